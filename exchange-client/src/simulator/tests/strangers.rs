//! What other people's clients ask for besides trading.

use serde_json::json;

use super::*;

#[test]
fn orders_are_cancelled_when_the_countdown_ends() {
    let (simulator, desk) = still();
    let bid = |name: &str| format!("symbol={name}&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1");
    desk.order(&bid("ETHUSDT"));
    desk.order(&bid("BTCUSDT"));
    desk.conditional("symbol=ETHUSDT&side=BUY&type=STOP_MARKET&triggerPrice=4000&quantity=1");
    let count = |time_ms: i64| format!("symbol=ETHUSDT&countdownTime={time_ms}");
    let answer = desk.done("POST", "v1/countdownCancelAll", &count(120_000));
    assert_eq!(answer, json!({ "symbol": "ETHUSDT", "countdownTime": "120000" }));
    let open = || desk.get("v1/openOrders", "").as_array().unwrap().len();
    // A heartbeat sets it anew.
    simulator.step(Duration::from_secs(119));
    desk.done("POST", "v1/countdownCancelAll", &count(120_000));
    simulator.step(Duration::from_millis(119_999));
    assert_eq!(open(), 2);
    // In however long a step: it ends to the millisecond, before a price that comes later.
    let later = TimestampMs::new(START_MS + 239_001).unwrap();
    simulator.script_prices(&symbol("ETHUSDT"), &[(later, "90".parse().unwrap())]).unwrap();
    simulator.step(Duration::from_hours(1));
    let ended = desk.truth().orders.into_iter().find(|order| order.symbol == "ETHUSDT").unwrap();
    assert_eq!((ended.status, ended.updated_ms), ("CANCELED", START_MS + 239_000));
    // Other contracts are left alone, and so are conditional orders.
    assert_eq!((open(), desk.truth().conditionals[0].status), (1, "NEW"));
    // Once is enough, and 0 stops it.
    desk.order(&bid("ETHUSDT").replace("price=100", "price=50"));
    simulator.step(Duration::from_hours(1));
    desk.done("POST", "v1/countdownCancelAll", &count(1_000));
    desk.done("POST", "v1/countdownCancelAll", &count(0));
    simulator.step(Duration::from_hours(1));
    assert_eq!(open(), 2);
    assert_eq!(desk.refused("POST", "v1/countdownCancelAll", &count(-1)), -1130);
    assert_eq!(desk.refused("POST", "v1/countdownCancelAll", "symbol=ETHUSDT"), -1102);
}

#[test]
fn changes_of_an_order_are_remembered() {
    let (simulator, desk) = still();
    let order =
        desk.order("symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=2000&quantity=1&newClientOrderId=changed");
    let by_id = format!("symbol=ETHUSDT&orderId={}", order["orderId"]);
    assert_eq!(desk.get("v1/orderAmendment", &by_id), json!([]));
    let amend = |price: &str, qty: &str| format!("{by_id}&side=BUY&price={price}&quantity={qty}");
    let first = desk.done("PUT", "v1/order", &format!("{}&modifyId=77", amend("2100", "1")));
    assert_eq!((&first["pair"], &first["modifyId"]), (&json!("ETHUSDT"), &json!(77)));
    simulator.step(Duration::from_secs(1));
    let second = desk.done("PUT", "v1/order", &amend("2050", "1.5"));
    assert!(second.get("modifyId").is_none());
    // What was refused changed nothing.
    assert_eq!(desk.refused("PUT", "v1/order", &amend("2050", "1.5")), -5027);
    let told = desk.get("v1/orderAmendment", "symbol=ETHUSDT&origClientOrderId=changed");
    let row = |id: &serde_json::Value, at_ms: i64, price: [&str; 2], qty: [&str; 2], count: i64| {
        json!({
            "amendmentId": id, "symbol": "ETHUSDT", "pair": "ETHUSDT", "orderId": order["orderId"],
            "clientOrderId": "changed", "time": at_ms,
            "amendment": {
                "price": { "before": price[0], "after": price[1] },
                "origQty": { "before": qty[0], "after": qty[1] },
                "count": count,
            },
        })
    };
    let expected = [
        row(&told[0]["amendmentId"], START_MS + 1_000, ["2100", "2050"], ["1.000", "1.500"], 2),
        row(&told[1]["amendmentId"], START_MS, ["2000", "2100"], ["1.000", "1.000"], 1),
    ];
    assert_eq!(told, json!(expected));
    assert!(told[0]["amendmentId"].as_i64() > told[1]["amendmentId"].as_i64());
    let one = |query: String| desk.get("v1/orderAmendment", &format!("{by_id}&{query}"));
    assert_eq!(one("limit=1".into()), json!(expected[..1]));
    assert_eq!(one(format!("endTime={START_MS}")), json!(expected[1..]));
    assert_eq!(desk.refused("GET", "v1/orderAmendment", "symbol=ETHUSDT"), -1102);
    assert_eq!(desk.refused("GET", "v1/orderAmendment", "symbol=ETHUSDT&orderId=1"), -2013);
    assert_eq!(desk.refused("GET", "v1/orderAmendment", &format!("{by_id}&limit=101")), -1130);
    // After three months nobody knows any more.
    simulator.step(Duration::from_hours(24 * 91));
    assert_eq!(desk.get("v1/orderAmendment", &by_id), json!([]));
}

#[test]
fn an_amendment_does_not_make_an_order_close_only() {
    let (_simulator, desk) = still();
    let order = desk.order("symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=2000&quantity=1");
    let amend = format!("symbol=ETHUSDT&orderId={}&side=BUY&price=2100&quantity=1", order["orderId"]);
    assert_eq!(desk.refused("PUT", "v1/order", &format!("{amend}&reduceOnly=true")), -5047);
    assert_eq!(desk.done("PUT", "v1/order", &format!("{amend}&reduceOnly=false"))["price"], "2100");
}

#[test]
fn there_is_no_multi_assets_mode_to_change_to() {
    let (_simulator, desk) = still();
    let change = |wanted: &str| {
        let (_, body) = desk.ask("POST", "v1/multiAssetsMargin", &format!("multiAssetsMargin={wanted}"));
        (body["code"].as_i64().unwrap(), body["msg"].as_str().unwrap().to_owned())
    };
    assert_eq!(change("false").0, -4171);
    let (code, why) = change("true");
    assert!(code == -4169 && why.contains("single-asset mode"), "{code} {why}");
    assert_eq!(desk.refused("POST", "v1/multiAssetsMargin", ""), -1102);
    assert_eq!(desk.get("v1/multiAssetsMargin", ""), json!({ "multiAssetsMargin": false }));
}

#[test]
fn every_side_has_a_place_in_the_queue_of_deleveraging() {
    let mut config = SimulatorConfig::new(5);
    config.accounts.push(SimulatorAccount { hedge_mode: true, ..SimulatorAccount::named("hedged") });
    let (simulator, one_way) = still_with(config);
    let hedged = Desk::new(&simulator, 1);
    assert_eq!(one_way.get("v1/adlQuantile", ""), json!([]));
    one_way.order("symbol=ETHUSDT&side=SELL&type=MARKET&quantity=1");
    let row = |third: &str, legs: [i32; 3]| json!({ "LONG": legs[0], "SHORT": legs[1], third: legs[2] });
    let told = |desk: &Desk| desk.get("v1/adlQuantile", "symbol=ETHUSDT")[0]["adlQuantile"].clone();
    assert_eq!(told(&one_way), row("BOTH", [0, 0, 1]));
    for (side, leg) in [("BUY", "LONG"), ("SELL", "SHORT")] {
        hedged.order(&format!("symbol=ETHUSDT&side={side}&positionSide={leg}&type=MARKET&quantity=1"));
    }
    assert_eq!(told(&hedged), row("HEDGE", [1, 1, 0]));
    assert_eq!(hedged.get("v1/adlQuantile", "").as_array().unwrap().len(), 1, "both legs in one row");
    hedged.done("POST", "v1/marginType", "symbol=SOLUSDT&marginType=ISOLATED");
    hedged.order("symbol=SOLUSDT&side=SELL&positionSide=SHORT&type=MARKET&quantity=1");
    assert_eq!(hedged.get("v1/adlQuantile", "symbol=SOLUSDT")[0]["adlQuantile"], row("BOTH", [0, 1, 0]));
}

#[test]
fn the_book_is_as_deep_as_it_can_be_asked_for() {
    let (simulator, _desk) = still();
    let depth = |limit: &str| ask(&simulator, "GET", "/fapi/v1/depth", &format!("symbol=BTCUSDT{limit}"), None);
    for limit in [5, 10, 20, 50, 100, 500, 1_000] {
        let (_, book) = depth(&format!("&limit={limit}"));
        assert_eq!((book["bids"].as_array().unwrap().len(), book["asks"].as_array().unwrap().len()), (limit, limit));
    }
    assert_eq!(depth("").1["bids"].as_array().unwrap().len(), 500);
    for limit in ["6", "0", "-5", "1001"] {
        let refused = json!({ "code": -4021, "msg": format!("{limit} is not valid depth limit.") });
        assert_eq!(depth(&format!("&limit={limit}")), (400, refused));
    }
}

#[test]
fn contracts_say_what_they_take_and_cost() {
    let (simulator, desk) = still();
    let info = desk.get("v1/exchangeInfo", "");
    for contract in info["symbols"].as_array().unwrap() {
        assert_eq!(contract["timeInForce"], json!(["GTC", "IOC", "FOK", "GTX", "GTD"]));
        let fee = match contract["symbol"].as_str().unwrap() {
            "DOGEUSDT" => "0.007500",
            "币安人生USDT" => "0.015000",
            _ => "0.005000",
        };
        assert_eq!(contract["liquidationFee"], fee, "{contract}");
    }
    // It is what a liquidation takes: 1.5 % of 2000, as long as the position has as much left.
    set_price(&simulator, "币安人生USDT", "0.2");
    desk.order("symbol=币安人生USDT&side=BUY&type=MARKET&quantity=10000");
    simulator.force_liquidation("sim-main", &symbol("币安人生USDT"), PositionSide::Net).unwrap();
    let clear = desk.truth().income_total("INSURANCE_CLEAR").unwrap();
    assert_eq!(clear["USDT"], dec("-30"));
    let commission = desk.get("v1/commissionRate", "symbol=BTCUSDT");
    assert_eq!(
        commission,
        json!({
            "symbol": "BTCUSDT", "makerCommissionRate": "0.0002", "takerCommissionRate": "0.0004",
            "rpiCommissionRate": "0",
        })
    );
    let bad = MarketSpec { liquidation_fee: "1.1".into(), ..MarketSpec::standard().remove(0) };
    let config = SimulatorConfig { markets: vec![bad], ..SimulatorConfig::new(1) };
    let clock = Arc::new(ManualClock::new(start()));
    assert!(matches!(Simulator::new(config, clock), Err(SimulatorError::Market { .. })));
}

#[test]
fn answers_have_the_keys_that_they_have_on_the_exchange() {
    let (_simulator, desk) = still();
    let trial = desk.done(
        "POST",
        "v1/order/test",
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=60000&quantity=0.01&newClientOrderId=trial",
    );
    for key in ["cumQty", "cumQuote", "executedQty"] {
        assert_eq!(trial[key].as_str().map(dec), Some(Decimal::ZERO), "{key}");
    }
    assert_eq!((&trial["avgPrice"], &trial["clientOrderId"]), (&json!("0.00000"), &json!("trial")));
    let account = desk.get("v2/account", "");
    assert_eq!((&account["feeBurn"], &account["tradeGroupId"]), (&json!(false), &json!(-1)));
    desk.done("POST", "v1/feeBurn", "feeBurn=true");
    assert_eq!(desk.get("v2/account", "")["feeBurn"], true);
}

#[test]
fn mark_prices_are_told_by_the_minute() {
    let config = SimulatorConfig { tick_ms: 5_000, ..SimulatorConfig::new(9) };
    let (simulator, _clock) = simulator(SimulatorConfig { weight_1m_max: None, ..config });
    // What is seen of the price, second by second, against what is told afterwards.
    let mut seen: BTreeMap<i64, Vec<Decimal>> = BTreeMap::new();
    let btc = symbol("BTCUSDT");
    for _ in 0..10 * 60 {
        simulator.step(Duration::from_secs(1));
        let books = simulator.books();
        let price = simulator.price(&btc).unwrap();
        if books.at_ms % 5_000 == 0 {
            seen.entry(books.at_ms.div_euclid(60_000) * 60_000).or_default().push(price);
        }
    }
    let query = format!("symbol=BTCUSDT&interval=1m&startTime={START_MS}&limit=1500");
    let (_, rows) = ask(&simulator, "GET", "/fapi/v1/markPriceKlines", &query, None);
    let rows = rows.as_array().unwrap();
    assert!(rows.len() >= 9, "{rows:?}");
    for row in rows {
        let open_ms = row[0].as_i64().unwrap();
        let prices = &seen[&open_ms];
        let text = |at: usize| dec(row[at].as_str().unwrap());
        assert_eq!(row[6].as_i64(), Some(open_ms + 59_999));
        let known = [prices.first(), prices.iter().max(), prices.iter().min(), prices.last()];
        assert_eq!([text(1), text(2), text(3), text(4)], known.map(|price| *price.unwrap()), "{row}");
        // Nobody trades at the mark price.
        assert_eq!((text(5), text(7)), (Decimal::ZERO, Decimal::ZERO));
    }
    assert!(rows.windows(2).all(|pair| pair[1][0].as_i64().unwrap() - pair[0][0].as_i64().unwrap() == 60_000));
}
