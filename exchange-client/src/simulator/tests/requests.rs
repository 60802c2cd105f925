//! Signatures, clocks, pages, windows, weights.

use proptest::prelude::*;

use super::*;
use crate::simulator::request::Params;
use crate::simulator::routes::{ROUTES, find};

#[test]
fn requests_must_prove_who_they_are_from_and_be_fresh() {
    let (simulator, _clock) = simulator(generous(1));
    let now = format!("timestamp={START_MS}");
    let code = |query: &str, key| ask(&simulator, "GET", "/fapi/v3/balance", query, key);
    let refusal = |(status, body): (u16, serde_json::Value)| (status, body["code"].as_i64().unwrap());
    let key = Some(TEST_API_KEY);
    assert_eq!(code(&signed(&now, TEST_API_SECRET), key).0, 200);
    assert_eq!(refusal(code(&signed(&now, TEST_API_SECRET), None)), (401, -2014));
    assert_eq!(refusal(code(&signed(&now, TEST_API_SECRET), Some("other"))), (401, -2015));
    assert_eq!(refusal(code(&signed(&now, "other"), key)), (400, -1022));
    assert_eq!(refusal(code(&format!("{}0", signed(&now, TEST_API_SECRET)), key)), (400, -1022));
    assert_eq!(refusal(code(&format!("x=1&{}", signed(&now, TEST_API_SECRET)), key)), (400, -1022));
    assert_eq!(refusal(code(&now, key)), (400, -1102));
    for (skew_ms, fresh) in [(0, true), (-5_000, true), (-5_001, false), (999, true), (1_000, false)] {
        let query = signed(&format!("timestamp={}", START_MS + skew_ms), TEST_API_SECRET);
        assert_eq!(code(&query, key).0 == 200, fresh, "{skew_ms}");
        assert!(fresh || refusal(code(&query, key)) == (400, -1021));
    }
}

/// What a request with a body is answered: the status, and the code of a refusal.
fn send(simulator: &Simulator, query: &str, body: &str) -> (u16, Option<i64>) {
    let incoming = Incoming { method: "POST", path: "/fapi/v1/order", query, body, api_key: Some(TEST_API_KEY) };
    let Arrival::Whole(answer) = simulator.handle(&incoming).arrival else { panic!("a fault without a profile") };
    let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    (answer.status, told["code"].as_i64())
}

#[test]
fn nothing_is_read_that_is_not_signed() {
    let (simulator, desk) = still();
    let order = "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1";
    let now = format!("timestamp={START_MS}");
    let whole = format!("{order}&{now}");
    let pair = |payload: &str| signed(payload, TEST_API_SECRET).rsplit('&').next().unwrap().to_owned();
    let own = pair(&whole);
    let encoded = own.replace("signature", "sig%6Eature");
    for (query, body, code) in [
        (format!("{now}&{}&{order}", pair(&now)), String::new(), -1022),
        (format!("{now}&{}", pair(&now)), order.to_owned(), -1022),
        (format!("{own}&{whole}"), String::new(), -1022),
        (whole.clone(), format!("{own}&positionSide=BOTH"), -1022),
        (whole.clone(), format!("positionSide=BOTH&{own}"), -1022),
        (format!("{whole}&{encoded}"), String::new(), -1022),
        (format!("{whole}&{own}"), "signature=00&newClientOrderId=smuggled".to_owned(), -1101),
        (format!("{whole}&{own}"), own.clone(), -1101),
        (format!("{whole}&{own}&{own}"), String::new(), -1101),
        (format!("{whole}&{encoded}&{own}"), String::new(), -1101),
        (whole.clone(), String::new(), -1102),
    ] {
        assert_eq!(send(&simulator, &query, &body), (400, Some(code)), "{query} | {body}");
    }
    assert!(desk.truth().orders.is_empty());
    // In the query, in the body, and in both, joined without anything in between, each is signed as a whole.
    let in_both = pair(&format!("{order}{now}"));
    for (query, body) in [
        (format!("{whole}&{own}"), String::new()),
        (String::new(), format!("{whole}&{own}")),
        (order.to_owned(), format!("{now}&{in_both}")),
        (whole.clone(), own.clone()),
    ] {
        assert_eq!(send(&simulator, &query, &body), (200, None), "{query} | {body}");
    }
    assert_eq!(desk.truth().orders.len(), 4);
}

#[test]
fn a_parameter_is_told_once() {
    let (simulator, desk) = still();
    let (status, body) = ask(&simulator, "GET", "/fapi/v1/exchangeInfo", "symbol=BTCUSDT&symbol=ETHUSDT", None);
    assert_eq!((status, &body["code"]), (400, &(-1101).into()));
    assert_eq!(desk.refused("GET", "v1/userTrades", "symbol=SOLUSDT&symbol=BTCUSDT"), -1101);
    // An encoded name is the same name.
    assert_eq!(desk.refused("GET", "v1/userTrades", "symbol=SOLUSDT&s%79mbol=BTCUSDT"), -1101);
    // Where query and body name the same, the query's is used.
    let query = format!("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1&timestamp={START_MS}");
    let signature = signed(&format!("{query}quantity=3"), TEST_API_SECRET);
    let signature = signature.rsplit('&').next().unwrap();
    assert_eq!(send(&simulator, &query, &format!("quantity=3&{signature}")), (200, None));
    assert_eq!(desk.truth().orders[0].qty, dec("1"));
}

#[test]
fn a_receive_window_is_at_most_a_minute() {
    let (simulator, desk) = still();
    simulator.step(Duration::from_hours(1));
    let at_ms = simulator.books().at_ms;
    for (window, age_ms, code) in [
        ("-1", 0, Some(-1131)),
        ("60001", 0, Some(-1131)),
        ("9223372036854775807", 0, Some(-1131)),
        ("x", 0, Some(-1102)),
        ("0", 0, None),
        ("0", 1, Some(-1021)),
        ("60000", 60_000, None),
        ("60000", 60_001, Some(-1021)),
    ] {
        let query = signed(&format!("recvWindow={window}&timestamp={}", at_ms - age_ms), &desk.secret);
        let (_, body) = ask(&simulator, "GET", "/fapi/v3/balance", &query, Some(&desk.key));
        assert_eq!(body["code"].as_i64(), code, "{window} {age_ms}");
    }
}

#[test]
fn paths_that_do_not_exist_are_not_remembered() {
    let (simulator, _desk) = still();
    for number in 0..50 {
        assert_eq!(ask(&simulator, "GET", &format!("/fapi/v1/{number}"), "", None).0, 404);
        assert_eq!(ask(&simulator, &format!("M{number}"), "/fapi/v1/time", "", None).0, 404);
    }
    assert_eq!(simulator.state().asked.len(), 1);
}

#[test]
fn requests_weigh_what_they_weigh_on_the_real_exchange() {
    // The documented weights: with a symbol, and without one.
    for (method, path, one, all) in [
        ("GET", "/fapi/v1/exchangeInfo", 1, 1),
        ("GET", "/fapi/v1/time", 1, 1),
        ("GET", "/fapi/v1/premiumIndex", 1, 10),
        ("GET", "/fapi/v3/balance", 5, 5),
        ("GET", "/fapi/v3/account", 5, 5),
        ("GET", "/fapi/v3/positionRisk", 5, 5),
        ("GET", "/fapi/v1/openOrders", 1, 40),
        ("GET", "/fapi/v1/allOrders", 5, 5),
        ("GET", "/fapi/v1/userTrades", 5, 5),
        ("GET", "/fapi/v1/income", 30, 30),
        ("GET", "/fapi/v1/forceOrders", 20, 50),
        ("GET", "/fapi/v1/positionSide/dual", 30, 30),
        ("GET", "/fapi/v1/leverageBracket", 1, 1),
        ("GET", "/fapi/v1/openAlgoOrders", 1, 40),
        ("GET", "/fapi/v1/allAlgoOrders", 5, 5),
        ("POST", "/fapi/v1/order", 0, 0),
        ("PUT", "/fapi/v1/order", 0, 0),
        ("DELETE", "/fapi/v1/order", 1, 1),
        ("DELETE", "/fapi/v1/allOpenOrders", 1, 1),
        ("POST", "/fapi/v1/leverage", 1, 1),
        ("POST", "/fapi/v1/marginType", 1, 1),
        ("POST", "/fapi/v1/positionSide/dual", 1, 1),
        ("GET", "/fapi/v1/multiAssetsMargin", 30, 30),
        ("POST", "/fapi/v1/multiAssetsMargin", 1, 1),
        ("POST", "/fapi/v1/countdownCancelAll", 10, 10),
        ("GET", "/fapi/v1/orderAmendment", 1, 1),
        ("GET", "/fapi/v1/commissionRate", 20, 20),
        ("GET", "/fapi/v1/adlQuantile", 5, 5),
        // As many rows as are answered when nothing is said.
        ("GET", "/fapi/v1/depth", 10, 10),
        ("GET", "/fapi/v1/klines", 5, 5),
        ("GET", "/fapi/v1/markPriceKlines", 5, 5),
    ] {
        let route = find(method, path).unwrap();
        let named = Params::of([("symbol".to_owned(), "BTCUSDT".to_owned())]);
        assert_eq!((route.weight(&named), route.weight(&Params::default())), (one, all), "{method} {path}");
        let orders = u32::from(path == "/fapi/v1/order" && matches!(method, "POST" | "PUT"));
        assert_eq!(route.orders, orders, "{method} {path}");
    }
    for (path, by_limit) in [
        ("/fapi/v1/depth", &[(5, 2), (10, 2), (20, 2), (50, 2), (100, 5), (500, 10), (1_000, 20)][..]),
        ("/fapi/v1/klines", &[(1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1_000, 5), (1_001, 10), (1_500, 10)]),
        ("/fapi/v1/markPriceKlines", &[(99, 1), (100, 2), (499, 2), (500, 5), (1_000, 5), (1_001, 10)]),
    ] {
        for (limit, weight) in by_limit {
            let params = [("symbol", "BTCUSDT".to_owned()), ("limit", limit.to_string())];
            let params = Params::of(params.map(|(name, value)| (name.to_owned(), value)));
            assert_eq!(find("GET", path).unwrap().weight(&params), *weight, "{path} {limit}");
        }
    }
    // What the header tells is what the table says: 40 for the open orders of all contracts, then 1 for those of one.
    let (simulator, desk) = still();
    let used = |query: &str| {
        let query = signed(&format!("{query}timestamp={START_MS}"), &desk.secret);
        let incoming =
            Incoming { method: "GET", path: "/fapi/v1/openOrders", query: &query, body: "", api_key: Some(&desk.key) };
        let Arrival::Whole(answer) = simulator.handle(&incoming).arrival else { panic!("a fault without a profile") };
        answer.headers.into_iter().find(|(name, _)| *name == "x-mbx-used-weight-1m").unwrap().1
    };
    assert_eq!((used("").as_str(), used("symbol=BTCUSDT&").as_str()), ("40", "41"));
}

#[test]
fn pages_windows_and_types_are_limited_as_on_the_real_exchange() {
    let (simulator, _clock) = simulator(generous(1));
    let get = |path: &str, query: &str| {
        let query = signed(&format!("{query}&timestamp={START_MS}"), TEST_API_SECRET);
        let (_, body) = ask(&simulator, "GET", path, &query, Some(TEST_API_KEY));
        body["code"].as_i64()
    };
    let week_ms = 7 * 86_400_000_i64;
    let window = |length: i64| format!("symbol=BTCUSDT&startTime={}&endTime={START_MS}", START_MS - length);
    assert_eq!(get("/fapi/v1/userTrades", &window(week_ms)), None);
    assert_eq!(get("/fapi/v1/userTrades", &window(week_ms + 1)), Some(-1127));
    assert_eq!(get("/fapi/v1/allOrders", &window(week_ms - 1)), None);
    assert_eq!(get("/fapi/v1/allOrders", &window(week_ms)), Some(-1127));
    assert_eq!(get("/fapi/v1/userTrades", "symbol=BTCUSDT&limit=1001"), Some(-1130));
    assert_eq!(get("/fapi/v1/userTrades", "symbol=BTCUSDT&fromId=1&startTime=1"), Some(-1128));
    assert_eq!(get("/fapi/v1/userTrades", "limit=5"), Some(-1102));
    assert_eq!(get("/fapi/v1/order", "symbol=BTCUSDT&orderId=1"), Some(-2013));
    let query = format!("symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=1&stopPrice=1&timestamp={START_MS}");
    let (_, body) = ask(&simulator, "POST", "/fapi/v1/order", &signed(&query, TEST_API_SECRET), Some(TEST_API_KEY));
    assert_eq!(body["code"].as_i64(), Some(-4120));
}

#[tokio::test]
async fn weights_are_counted_and_their_limit_is_obeyed() {
    let (simulator, clock) = simulator(SimulatorConfig { weight_1m_max: Some(100), ..SimulatorConfig::new(1) });
    let exchange = in_process(&simulator, &clock);
    for _ in 0..3 {
        exchange.fetch_income(None, history()).await.unwrap();
    }
    let used = exchange.usage();
    assert_eq!((used.requests, used.weight, used.weight_1m), (4, 91, Some(91)));
    let error = exchange.fetch_income(None, history()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Throttled);
    // While the exchange asks to wait, nothing is sent.
    assert!(exchange.server_time().await.is_err());
    assert_eq!(exchange.usage().requests, 5);
    simulator.step(Duration::from_secs(61));
    assert!(exchange.fetch_income(None, history()).await.is_ok());
}

#[test]
fn the_adapter_counts_what_the_exchange_counts() {
    use crate::binance_usdm::VENUE;

    let named = Params::of([("symbol".to_owned(), "BTCUSDT".to_owned())]);
    let unnamed = Params::of([]);
    for known in VENUE.weights {
        let route = find(known.method.as_str(), known.path).unwrap();
        let counted = (route.weight(&named), route.weight(&unnamed));
        assert_eq!((known.one_symbol, known.all_symbols), counted, "{} {}", known.method, known.path);
    }
}

/// Values that a parameter should not have, and some that it may.
const VALUES: &[&str] = &[
    "",
    "0",
    "-1",
    "1",
    "0.001",
    "5",
    "60000",
    "3000.01",
    "1e5",
    "NaN",
    "999999999999.99999999",
    "0.00000001",
    "123456789012345678901234567890",
    "-999999999999",
    "9223372036854775807",
    "-9223372036854775808",
    "BTCUSDT",
    "ETHUSDT",
    "NOPE",
    "BUY",
    "SELL",
    "LIMIT",
    "MARKET",
    "STOP",
    "STOP_MARKET",
    "TAKE_PROFIT",
    "TRAILING_STOP_MARKET",
    "GTC",
    "IOC",
    "FOK",
    "GTX",
    "BOTH",
    "LONG",
    "SHORT",
    "true",
    "False",
    "CONDITIONAL",
    "RESULT",
    "1m",
    "ISOLATED",
    "CROSSED",
    "[1,2]",
    "[{}]",
    "{\"a\":[",
    "%00",
    "%FF%FE",
    "\u{202e}",
    "a&b=c",
];
const NAMES: &[&str] = &[
    "symbol",
    "side",
    "type",
    "quantity",
    "price",
    "timeInForce",
    "positionSide",
    "reduceOnly",
    "closePosition",
    "newClientOrderId",
    "clientAlgoId",
    "newOrderRespType",
    "algoType",
    "triggerPrice",
    "activatePrice",
    "callbackRate",
    "workingType",
    "priceProtect",
    "orderId",
    "origClientOrderId",
    "algoId",
    "fromId",
    "startTime",
    "endTime",
    "limit",
    "incomeType",
    "autoCloseType",
    "leverage",
    "marginType",
    "dualSidePosition",
    "interval",
    "recvWindow",
    "amount",
    "batchOrders",
    "orderIdList",
    "feeBurn",
    "countdownTime",
    "multiAssetsMargin",
    "modifyId",
];

/// What makes a request good, where nothing before it says otherwise: else nothing would get past the first check.
const GOOD: &str = "symbol=BTCUSDT&side=BUY&quantity=0.01&algoType=CONDITIONAL&timeInForce=GTC&price=65000&orderId=1\
    &algoId=1&leverage=5&amount=1&marginType=ISOLATED&interval=1m&dualSidePosition=false&feeBurn=true&countdownTime=60000&multiAssetsMargin=true";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_is_asked_something_is_answered(
        asked in proptest::collection::vec(
            (0..ROUTES.len(), any::<bool>(), proptest::collection::vec((0..NAMES.len(), 0..VALUES.len()), 0..4)), 1..80,
        )
    ) {
        let (simulator, _desk) = still();
        let now_ms = simulator.books().at_ms;
        for (route, buys, params) in asked {
            // Half of the time an order: they lead to more than a question does.
            let route = &ROUTES[route];
            let (route, kind) = match route.method {
                "GET" if buys => (find("POST", "/fapi/v1/order").unwrap(), "type=LIMIT"),
                _ if route.path == "/fapi/v1/algoOrder" => (route, "type=STOP&triggerPrice=65000"),
                _ => (route, "type=LIMIT"),
            };
            let odd = params.into_iter().map(|(name, value)| (NAMES[name], VALUES[value]));
            let good = [kind, GOOD].into_iter().flat_map(|pairs| pairs.split('&')).filter_map(|pair| pair.split_once('='));
            // What comes twice would be all that is looked at.
            let mut named = std::collections::BTreeSet::new();
            let pairs = odd.chain(good).filter(|(name, _)| named.insert(*name));
            let query = pairs.fold(format!("timestamp={now_ms}"), |query, (name, value)| format!("{query}&{name}={value}"));
            let query = signed(&query, TEST_API_SECRET);
            let incoming = Incoming { method: route.method, path: route.path, query: &query, body: "", api_key: Some(TEST_API_KEY) };
            let Arrival::Whole(answer) = simulator.handle(&incoming).arrival else { panic!("a fault without a profile") };
            prop_assert!(matches!(answer.status, 200 | 400), "{} {query}: {answer:?}", route.path);
            let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            prop_assert!(answer.status == 200 || body["code"].as_i64().is_some_and(|code| code < 0), "{body}");
        }
        simulator.step(Duration::from_hours(9));
    }
}

#[test]
fn an_endpoint_that_is_not_spoken_is_named() {
    let (_simulator, desk) = still();
    let (status, body) = desk.ask("POST", "v1/convert/getQuote", "");
    assert_eq!(
        (status, body["msg"].as_str().unwrap()),
        (404, "Path /fapi/v1/convert/getQuote, Method POST is invalid")
    );
}
