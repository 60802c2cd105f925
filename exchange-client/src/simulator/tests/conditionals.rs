//! Conditional orders, by the raw interface.

use super::*;

#[test]
fn a_triggered_order_is_a_new_order_with_the_same_client_id() {
    let (simulator, desk) = still();
    set_price(&simulator, "BTCUSDT", "60000");
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1");
    let stop = desk.conditional(
        "symbol=BTCUSDT&side=SELL&type=STOP_MARKET&triggerPrice=59000&quantity=0.1&reduceOnly=true&clientAlgoId=sl:1",
    );
    assert_eq!((&stop["algoStatus"], &stop["actualOrderId"]), (&"NEW".into(), &"".into()));
    assert!(stop.get("code").is_none());
    let algo_id = stop["algoId"].as_i64().unwrap();
    // It is in its own list only.
    assert_eq!(desk.get("v1/openOrders", "").as_array().unwrap().len(), 0);
    assert_eq!(desk.get("v1/openAlgoOrders", "")[0]["algoId"], algo_id);
    assert_eq!(desk.refused("GET", "v1/order", &format!("symbol=BTCUSDT&orderId={algo_id}")), -2013);
    set_price(&simulator, "BTCUSDT", "59000.1");
    assert_eq!(desk.get("v1/algoOrder", &format!("algoId={algo_id}"))["algoStatus"], "NEW");
    set_price(&simulator, "BTCUSDT", "58900");
    let done = desk.get("v1/algoOrder", "clientAlgoId=sl:1");
    assert_eq!((&done["algoStatus"], &done["actualPrice"]), (&"FINISHED".into(), &"58900.00000".into()));
    let actual = done["actualOrderId"].as_str().unwrap();
    let order = desk.get("v1/order", &format!("symbol=BTCUSDT&orderId={actual}"));
    assert_eq!(
        (&order["clientOrderId"], &order["status"], &order["type"]),
        (&"sl:1".into(), &"FILLED".into(), &"MARKET".into())
    );
    assert_ne!(actual, algo_id.to_string());
    let truth = desk.truth();
    assert!(truth.positions.is_empty());
    assert_eq!((truth.conditionals[0].order_id, truth.orders[1].algo_id), (Some(truth.orders[1].id), Some(algo_id)));
    assert_eq!(truth.trades.last().unwrap().realized, dec("-110"));
    assert_eq!(desk.refused("DELETE", "v1/algoOrder", &format!("algoId={algo_id}")), -2011);
}

#[test]
fn a_stop_with_a_limit_rests_after_it_was_triggered() {
    let (simulator, desk) = still();
    set_price(&simulator, "ETHUSDT", "3000");
    let stop =
        desk.conditional("symbol=ETHUSDT&side=BUY&type=STOP&triggerPrice=3100&price=3050&quantity=1&timeInForce=GTC");
    set_price(&simulator, "ETHUSDT", "3150");
    let by_id = format!("algoId={}", stop["algoId"]);
    assert_eq!(desk.get("v1/algoOrder", &by_id)["algoStatus"], "TRIGGERED");
    assert_eq!(desk.get("v1/openAlgoOrders", "").as_array().unwrap().len(), 0);
    assert_eq!(desk.get("v1/openOrders", "symbol=ETHUSDT")[0]["price"], "3050");
    set_price(&simulator, "ETHUSDT", "3050");
    assert_eq!(desk.get("v1/algoOrder", &by_id)["algoStatus"], "FINISHED");
    assert_eq!(desk.truth().positions[0].entry_price, dec("3050"));
}

#[test]
fn closing_the_position_takes_what_is_there_when_triggered() {
    let (simulator, desk) = still();
    set_price(&simulator, "ETHUSDT", "3000");
    let close = "symbol=ETHUSDT&side=SELL&type=TAKE_PROFIT_MARKET&triggerPrice=3300&closePosition=True";
    desk.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=1");
    let first = desk.conditional(close);
    assert_eq!((&first["quantity"], &first["closePosition"]), (&"0.000".into(), &true.into()));
    assert_eq!(desk.refused("POST", "v1/algoOrder", &format!("algoType=CONDITIONAL&{close}")), -4130);
    assert_eq!(desk.refused("POST", "v1/algoOrder", &format!("algoType=CONDITIONAL&{close}&quantity=1")), -4137);
    desk.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.5");
    set_price(&simulator, "ETHUSDT", "3300");
    assert_eq!(desk.truth().trades.last().unwrap().qty, dec("1.5"));
    assert!(desk.truth().positions.is_empty());
    // One that is to wait for a position expires where it finds none.
    set_price(&simulator, "ETHUSDT", "3000");
    let second = desk.conditional(&format!("{close}&timeInForce=GTC"));
    assert_eq!(second["timeInForce"], "GTC");
    set_price(&simulator, "ETHUSDT", "3400");
    assert_eq!(desk.get("v1/algoOrder", &format!("algoId={}", second["algoId"]))["algoStatus"], "EXPIRED");
}

#[test]
fn a_hedged_stop_closes_no_more_than_there_is_when_triggered() {
    let config = SimulatorConfig {
        accounts: vec![SimulatorAccount { hedge_mode: true, ..SimulatorAccount::standard() }],
        ..SimulatorConfig::new(1)
    };
    let (simulator, desk) = still_with(config);
    set_price(&simulator, "ETHUSDT", "3000");
    desk.order("symbol=ETHUSDT&side=SELL&positionSide=SHORT&type=MARKET&quantity=2");
    let stop = "symbol=ETHUSDT&side=BUY&positionSide=SHORT&type=STOP_MARKET&quantity=2";
    let first = desk.conditional(&format!("{stop}&triggerPrice=3100"));
    desk.conditional(&format!("{stop}&triggerPrice=3200"));
    desk.order("symbol=ETHUSDT&side=BUY&positionSide=SHORT&type=MARKET&quantity=0.5");
    set_price(&simulator, "ETHUSDT", "3100");
    let row = desk.get("v1/algoOrder", &format!("algoId={}", first["algoId"]));
    assert_eq!(
        (&row["algoStatus"], &row["quantity"], &row["actualQty"]),
        (&"FINISHED".into(), &"2.000".into(), &"1.500".into())
    );
    assert!(desk.truth().positions.is_empty());
    // The second one finds nothing left.
    set_price(&simulator, "ETHUSDT", "3200");
    assert_eq!(desk.truth().conditionals[1].status, "EXPIRED");
}

#[test]
fn an_order_for_a_position_ends_with_it() {
    let (simulator, desk) = still();
    set_price(&simulator, "SOLUSDT", "150");
    let stop = "symbol=SOLUSDT&side=SELL&type=STOP_MARKET&triggerPrice=100";
    let for_position = format!("{stop}&quantity=5&timeInForce=GTE_GTC");
    let place = |query: &str| desk.refused("POST", "v1/algoOrder", &format!("algoType=CONDITIONAL&{query}"));
    assert_eq!(place(&for_position), -4509);
    assert_eq!(place(&format!("{stop}&closePosition=true")), -4509);
    desk.order("symbol=SOLUSDT&side=SELL&type=MARKET&quantity=5");
    // A short is nothing that a sale closes.
    assert_eq!(place(&for_position), -4509);
    desk.order("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=10");
    let orders = [
        desk.conditional(&for_position),
        desk.conditional(&format!("{stop}&closePosition=true")),
        desk.conditional(&format!("{stop}&quantity=5")),
    ];
    let told = orders.each_ref().map(|order| order["timeInForce"].as_str().unwrap());
    assert_eq!(told, ["GTE_GTC", "GTE_GTC", "GTC"]);
    let statuses = || {
        let row = |order: &serde_json::Value| desk.get("v1/algoOrder", &format!("algoId={}", order["algoId"]));
        orders.each_ref().map(|order| row(order)["algoStatus"].as_str().unwrap().to_owned())
    };
    desk.order("symbol=SOLUSDT&side=SELL&type=MARKET&quantity=4");
    assert_eq!(statuses(), ["NEW", "NEW", "NEW"]);
    desk.order("symbol=SOLUSDT&side=SELL&type=MARKET&quantity=1");
    // At once, without waiting for a price.
    assert_eq!(statuses(), ["EXPIRED", "EXPIRED", "NEW"]);
    assert_eq!(desk.get("v1/openAlgoOrders", "").as_array().unwrap().len(), 1);
}

#[test]
fn an_order_for_a_position_still_ends_with_it_after_it_was_triggered() {
    let (simulator, desk) = still();
    set_price(&simulator, "ETHUSDT", "3000");
    desk.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=2");
    let stop = desk
        .conditional("symbol=ETHUSDT&side=SELL&type=STOP&triggerPrice=2950&price=2960&quantity=3&timeInForce=GTE_GTC");
    set_price(&simulator, "ETHUSDT", "2950");
    // No more than there is to close.
    let resting = desk.get("v1/openOrders", "symbol=ETHUSDT")[0].clone();
    assert_eq!((&resting["timeInForce"], &resting["origQty"]), (&"GTE_GTC".into(), &"2.000".into()));
    desk.order("symbol=ETHUSDT&side=SELL&type=MARKET&quantity=2");
    let ended = desk.get("v1/order", &format!("symbol=ETHUSDT&orderId={}", resting["orderId"]));
    assert_eq!((&ended["status"], &ended["executedQty"]), (&"EXPIRED".into(), &"0.000".into()));
    assert_eq!(desk.get("v1/algoOrder", &format!("algoId={}", stop["algoId"]))["algoStatus"], "FINISHED");
    set_price(&simulator, "ETHUSDT", "3000");
    assert!(desk.truth().positions.is_empty());
}

#[test]
fn conditional_orders_obey_the_published_filters() {
    let (simulator, desk) = still();
    set_price(&simulator, "SOLUSDT", "150");
    let info = desk.get("v1/exchangeInfo", "symbol=SOLUSDT");
    let filters = &info["symbols"][0]["filters"];
    assert_eq!((&filters[0]["maxPrice"], &filters[1]["maxQty"]), (&"10000000".into(), &"10000000".into()));
    assert_eq!(filters[5]["notional"], "5");
    let place = |query: &str| {
        let (_, body) = desk.ask("POST", "v1/algoOrder", &format!("algoType=CONDITIONAL&symbol=SOLUSDT&{query}"));
        body["code"].as_i64()
    };
    let buy = "side=BUY&type=STOP_MARKET";
    assert_eq!(place(&format!("{buy}&quantity=1&triggerPrice=10000000")), None);
    assert_eq!(place(&format!("{buy}&quantity=1&triggerPrice=10000000.01")), Some(-4007));
    assert_eq!(place(&format!("{buy}&quantity=1&triggerPrice=999999999999")), Some(-4007));
    assert_eq!(place(&format!("{buy}&quantity=1&triggerPrice=0")), Some(-4006));
    assert_eq!(place(&format!("{buy}&quantity=1&triggerPrice=200.005")), Some(-4014));
    assert_eq!(place("side=BUY&type=STOP&quantity=1&triggerPrice=200&price=10000000.01"), Some(-4002));
    assert_eq!(place("side=BUY&type=STOP&quantity=1&triggerPrice=200&price=200.005"), Some(-4014));
    assert_eq!(place(&format!("{buy}&quantity=10000000.01&triggerPrice=200")), Some(-4005));
    assert_eq!(place(&format!("{buy}&quantity=0.005&triggerPrice=200")), Some(-1111));
    let trailing = "side=SELL&type=TRAILING_STOP_MARKET&callbackRate=1";
    assert_eq!(place(&format!("{trailing}&quantity=1&activatePrice=10000000.01")), Some(-4007));
    // 0.02 x 200 is 4; 0.03 x 150 is 4.5. What only closes may be as small as it likes.
    assert_eq!(place(&format!("{buy}&quantity=0.02&triggerPrice=200")), Some(-4164));
    assert_eq!(place(&format!("{trailing}&quantity=0.03")), Some(-4164));
    assert_eq!(place(&format!("{buy}&quantity=0.02&triggerPrice=200&reduceOnly=true")), None);
    desk.order("symbol=SOLUSDT&side=SELL&type=MARKET&quantity=1");
    assert_eq!(place(&format!("{buy}&quantity=0.02&triggerPrice=200")), None);
    // Regular orders have the same highest price.
    let sell = "symbol=SOLUSDT&side=SELL&type=LIMIT&timeInForce=GTC&quantity=1&price=10000000.01";
    assert_eq!(desk.refused("POST", "v1/order", sell), -4002);
}

#[test]
fn a_trailing_stop_sells_below_the_best_price() {
    let (simulator, desk) = still();
    set_price(&simulator, "BTCUSDT", "60000");
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1");
    let trailing = desk.conditional(
        "symbol=BTCUSDT&side=SELL&type=TRAILING_STOP_MARKET&callbackRate=1.5&activatePrice=61000&quantity=0.1",
    );
    assert_eq!((&trailing["callbackRate"], &trailing["activatePrice"]), (&"1.5".into(), &"61000.00".into()));
    // Not active yet, so falling means nothing.
    for price in ["59000", "60900", "62000", "61071"] {
        set_price(&simulator, "BTCUSDT", price);
    }
    assert_eq!(desk.truth().positions.len(), 1);
    // 62000 less 1.5 % is 61070.
    set_price(&simulator, "BTCUSDT", "61070");
    assert_eq!(desk.truth().trades.last().unwrap().price, dec("61070"));
    for bad in ["0.05", "10.1"] {
        let query = format!(
            "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=TRAILING_STOP_MARKET&callbackRate={bad}&quantity=0.1"
        );
        assert_eq!(desk.refused("POST", "v1/algoOrder", &query), -1130);
    }
}

#[test]
fn what_cannot_be_placed_when_triggered_is_rejected() {
    let (simulator, desk) = still();
    set_price(&simulator, "BTCUSDT", "60000");
    let stop = desk.conditional("symbol=BTCUSDT&side=BUY&type=STOP_MARKET&triggerPrice=61000&quantity=900");
    set_price(&simulator, "BTCUSDT", "61000");
    let row = desk.get("v1/algoOrder", &format!("algoId={}", stop["algoId"]));
    assert_eq!((&row["algoStatus"], &row["actualOrderId"]), (&"REJECTED".into(), &"".into()));
    assert!(desk.truth().orders.is_empty());
}

#[test]
fn conditional_orders_are_checked_limited_and_cancelled() {
    let (_simulator, desk) = still();
    let place = |query: &str| desk.refused("POST", "v1/algoOrder", query);
    let stop = "symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.01";
    assert_eq!(place(&format!("{stop}&triggerPrice=60000")), -1102);
    assert_eq!(place(&format!("algoType=CONDITIONAL&{stop}&triggerPrice=70000")), -2021);
    assert_eq!(place(&format!("algoType=CONDITIONAL&{stop}")), -1102);
    assert_eq!(place("algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=LIMIT&quantity=1&triggerPrice=1"), -1116);
    assert_eq!(desk.refused("POST", "v1/order", &format!("{stop}&stopPrice=60000")), -4120);
    for number in 0..200 {
        let name = if number % 2 == 0 { "BTCUSDT" } else { "ETHUSDT" };
        let trigger = if number % 2 == 0 { 60_000 } else { 3_000 };
        desk.conditional(&format!(
            "symbol={name}&side=SELL&type=STOP_MARKET&quantity=0.01&triggerPrice={trigger}&clientAlgoId=c{number}"
        ));
    }
    assert_eq!(place(&format!("algoType=CONDITIONAL&{stop}&triggerPrice=60000")), -4045);
    let canceled = desk.done("DELETE", "v1/algoOrder", "clientAlgoId=c4");
    assert_eq!((&canceled["algoStatus"], &canceled["code"]), (&"CANCELED".into(), &"200".into()));
    assert_eq!(place(&format!("algoType=CONDITIONAL&{stop}&triggerPrice=60000&clientAlgoId=c6")), -4116);
    desk.done("DELETE", "v1/algoOpenOrders", "symbol=BTCUSDT");
    assert_eq!(desk.get("v1/openAlgoOrders", "").as_array().unwrap().len(), 100);
    assert_eq!(desk.get("v1/openAlgoOrders", "symbol=BTCUSDT").as_array().unwrap().len(), 0);
    assert_eq!(desk.get("v1/allAlgoOrders", "symbol=BTCUSDT&limit=1000").as_array().unwrap().len(), 100);
    let wait = desk.refused("POST", "v1/positionSide/dual", "dualSidePosition=true");
    assert_eq!(wait, -4067);
}

#[test]
fn a_new_conditional_order_may_not_be_found_for_a_while() {
    let (simulator, desk) = still_with(SimulatorConfig { conditional_lag_ms: 90_000, ..SimulatorConfig::new(1) });
    let stop = desk.conditional("symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.01&triggerPrice=60000");
    let by_id = format!("algoId={}", stop["algoId"]);
    assert_eq!(desk.refused("GET", "v1/algoOrder", &by_id), -2013);
    simulator.step(Duration::from_secs(89));
    assert_eq!(desk.refused("GET", "v1/algoOrder", &by_id), -2013);
    simulator.step(Duration::from_secs(1));
    assert_eq!(desk.get("v1/algoOrder", &by_id)["algoStatus"], "NEW");
}

#[test]
fn a_new_conditional_order_may_be_missing_from_lists() {
    let config = SimulatorConfig { conditional_list_lag_ms: 60_000, ..SimulatorConfig::new(1) };
    let (simulator, desk) = still_with(config);
    let stop = desk.conditional("symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.01&triggerPrice=60000");
    let listed = || {
        ["v1/openAlgoOrders", "v1/allAlgoOrders"].map(|path| desk.get(path, "symbol=BTCUSDT").as_array().unwrap().len())
    };
    assert_eq!(listed(), [0, 0]);
    assert_eq!(desk.get("v1/algoOrder", &format!("algoId={}", stop["algoId"]))["algoStatus"], "NEW");
    simulator.step(Duration::from_mins(1));
    assert_eq!(listed(), [1, 1]);
}
