//! What can be asked for, and for how long.

use super::*;

fn rows(desk: &Desk, path: &str, query: &str) -> usize {
    desk.get(path, query).as_array().unwrap().len()
}

#[test]
fn fills_and_ledger_lag_behind_their_order() {
    let (simulator, desk) = still_with(SimulatorConfig { settle_lag_ms: 10_000, ..SimulatorConfig::new(1) });
    simulator.step(Duration::from_mins(1));
    let order = desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1");
    let by_id = format!("symbol=BTCUSDT&orderId={}", order["orderId"]);
    // The order and the position know of it at once.
    assert_eq!(desk.get("v1/order", &by_id)["executedQty"], "0.100");
    assert_eq!(rows(&desk, "v3/positionRisk", ""), 1);
    for (after_ms, told) in [(0, 0), (9_999, 0), (1, 1)] {
        simulator.step(Duration::from_millis(after_ms));
        assert_eq!(rows(&desk, "v1/userTrades", &by_id), told);
        assert_eq!(rows(&desk, "v1/income", "incomeType=COMMISSION"), told);
    }
}

#[test]
fn what_is_old_is_forgotten() {
    let (simulator, desk) = still();
    let filled = desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1");
    let resting = desk.order("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=20000&quantity=0.1");
    let ended = desk.order("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=IOC&price=60000&quantity=0.1");
    let stop = desk.conditional("symbol=BTCUSDT&side=SELL&type=STOP_MARKET&triggerPrice=20000&quantity=0.1");
    let canceled = desk.conditional("symbol=BTCUSDT&side=SELL&type=STOP_MARKET&triggerPrice=20001&quantity=0.1");
    desk.done("DELETE", "v1/algoOrder", &format!("algoId={}", canceled["algoId"]));
    let order =
        |row: &serde_json::Value| desk.ask("GET", "v1/order", &format!("symbol=BTCUSDT&orderId={}", row["orderId"])).0;
    let algo = |row: &serde_json::Value| desk.ask("GET", "v1/algoOrder", &format!("algoId={}", row["algoId"])).0;
    let day = Duration::from_hours(24);
    simulator.step(day * 3);
    assert_eq!([order(&filled), order(&resting), order(&ended), algo(&stop), algo(&canceled)], [200; 5]);
    simulator.step(Duration::from_millis(1));
    assert_eq!(
        [order(&filled), order(&resting), order(&ended), algo(&stop), algo(&canceled)],
        [200, 200, 400, 200, 400]
    );
    simulator.step(day * 86 + Duration::from_millis(86_399_999));
    let since = format!("symbol=BTCUSDT&startTime={START_MS}&endTime={}", START_MS + 1_000);
    assert_eq!((rows(&desk, "v1/userTrades", &since), rows(&desk, "v1/userTrades", "symbol=BTCUSDT&fromId=1")), (1, 1));
    let income = format!("startTime={START_MS}&incomeType=COMMISSION");
    assert_eq!(rows(&desk, "v1/income", &income), 1);
    simulator.step(Duration::from_millis(1));
    assert_eq!((rows(&desk, "v1/userTrades", &since), rows(&desk, "v1/userTrades", "symbol=BTCUSDT&fromId=1")), (0, 0));
    assert_eq!(rows(&desk, "v1/income", &income), 0);
    // What still works is never forgotten.
    assert_eq!([order(&filled), order(&resting), algo(&stop)], [400, 200, 200]);
    assert_eq!(desk.truth().trades.len(), 1);
}

#[test]
fn an_early_start_answers_nothing_and_pages_go_on_by_id() {
    let (simulator, desk) = still();
    simulator.step(Duration::from_hours(24 * 30));
    for _ in 0..12 {
        desk.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.1");
    }
    // From a start alone the window ends after seven days: long before anything happened.
    assert_eq!(rows(&desk, "v1/userTrades", &format!("symbol=ETHUSDT&startTime={START_MS}")), 0);
    // All twelve share one millisecond; only ids tell them apart.
    let page = desk.get("v1/userTrades", "symbol=ETHUSDT&fromId=1&limit=5");
    let last = page[4]["id"].as_i64().unwrap();
    let rest = desk.get("v1/userTrades", &format!("symbol=ETHUSDT&fromId={}&limit=1000", last + 1));
    assert_eq!((page.as_array().unwrap().len(), rest.as_array().unwrap().len()), (5, 7));
    // Without any bound the latest ones come, oldest first.
    let latest = desk.get("v1/userTrades", "symbol=ETHUSDT&limit=5");
    assert_eq!(latest[4]["id"], rest[6]["id"]);
    assert!(latest[0]["id"].as_i64() < latest[4]["id"].as_i64());
    let orders = desk.get("v1/allOrders", "limit=3");
    assert_eq!(orders[2]["orderId"], desk.truth().orders[11].id);
}

#[test]
fn too_many_orders_are_refused_and_counted() {
    let config = SimulatorConfig { prices_wander: false, orders_10s_max: Some(3), ..SimulatorConfig::new(1) };
    let (simulator, _clock) = simulator(config);
    let desk = Desk::new(&simulator, 0);
    let send = || desk.ask("POST", "v1/order", "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.1").1["code"].as_i64();
    assert_eq!([send(), send(), send(), send()], [None, None, None, Some(-1015)]);
    assert_eq!(desk.truth().orders.len(), 3);
    let query =
        signed(&format!("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.1&timestamp={START_MS}"), TEST_API_SECRET);
    let incoming =
        Incoming { method: "POST", path: "/fapi/v1/order", query: "", body: &query, api_key: Some(TEST_API_KEY) };
    let Arrival::Whole(answer) = simulator.handle(&incoming).arrival else { panic!("no answer") };
    let header = |name: &str| answer.headers.iter().find(|(found, _)| *found == name).unwrap().1.clone();
    assert_eq!((header("x-mbx-order-count-10s"), header("x-mbx-order-count-1m")), ("5".into(), "5".into()));
    // Orders cost no weight: only the question for the time does, and none was asked.
    assert_eq!((answer.status, header("x-mbx-used-weight-1m")), (429, "0".into()));
}
