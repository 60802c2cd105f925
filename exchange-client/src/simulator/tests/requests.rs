//! Signatures, clocks, pages, windows, weights.

use proptest::prelude::*;

use super::*;
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
        exchange.fetch_income(history()).await.unwrap();
    }
    let used = exchange.usage();
    assert_eq!((used.requests, used.weight, used.weight_1m), (4, 91, Some(91)));
    let error = exchange.fetch_income(history()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Throttled);
    // While the exchange asks to wait, nothing is sent.
    assert!(exchange.server_time().await.is_err());
    assert_eq!(exchange.usage().requests, 5);
    simulator.step(Duration::from_secs(61));
    assert!(exchange.fetch_income(history()).await.is_ok());
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
];

/// What makes a request good, where nothing before it says otherwise: else nothing would get past the first check.
const GOOD: &str = "symbol=BTCUSDT&side=BUY&quantity=0.01&algoType=CONDITIONAL&timeInForce=GTC&price=65000&orderId=1\
    &algoId=1&leverage=5&amount=1&marginType=ISOLATED&interval=1m&dualSidePosition=false&feeBurn=true";

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
            let mut query = format!("timestamp={now_ms}");
            for (name, value) in params {
                query = format!("{query}&{}={}", NAMES[name], VALUES[value]);
            }
            let query = format!("{query}&{kind}&{GOOD}");
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
    let (status, body) = desk.ask("POST", "v1/listenKey", "");
    assert_eq!((status, body["msg"].as_str().unwrap()), (404, "Path /fapi/v1/listenKey, Method POST is invalid"));
}
