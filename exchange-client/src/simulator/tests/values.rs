//! How large positions and orders may be, by the raw interface.

use super::*;

/// Prices stand at 50000, and a leverage of 100 allows positions of up to 50000.
fn capped() -> (Arc<Simulator>, Desk) {
    let (simulator, desk) = still();
    set_price(&simulator, "BTCUSDT", "50000");
    let set = desk.done("POST", "v1/leverage", "symbol=BTCUSDT&leverage=100");
    assert_eq!(set["maxNotionalValue"], "50000");
    (simulator, desk)
}

fn limit(side: &str, price: &str, qty: &str) -> String {
    format!("symbol=BTCUSDT&type=LIMIT&timeInForce=GTC&side={side}&price={price}&quantity={qty}")
}

#[test]
fn open_orders_count_against_the_largest_position() {
    let (_simulator, desk) = capped();
    let refused = |query: &str| desk.refused("POST", "v1/order", query);
    // 27000, and as much again would be 54000.
    desk.order(&limit("BUY", "45000", "0.6"));
    assert_eq!(refused(&limit("BUY", "45000", "0.6")), -2027);
    // The other way is counted by itself.
    desk.order(&limit("SELL", "60000", "0.6"));
    // 20000 held and 27000 asked for; 5000 more would be 52000.
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.4");
    assert_eq!(refused("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1"), -2027);
    assert_eq!(refused(&limit("BUY", "40000", "0.1")), -2027);
    // Offers close the 0.4 first: 1.2 leave 0.8 short, which is 48000; 1.3 would be 54000.
    desk.order(&limit("SELL", "60000", "0.6"));
    assert_eq!(refused(&limit("SELL", "60000", "0.1")), -2027);
    // What only closes is never too much, and a cancelled order no longer counts.
    desk.order(&format!("{}&reduceOnly=true", limit("SELL", "59000", "0.4")));
    desk.done("DELETE", "v1/allOpenOrders", "symbol=BTCUSDT");
    desk.order(&limit("BUY", "45000", "0.6"));
}

#[test]
fn leverage_cannot_be_raised_above_what_open_orders_ask_for() {
    let (simulator, desk) = still();
    set_price(&simulator, "BTCUSDT", "50000");
    desk.order(&limit("SELL", "60000", "1"));
    assert_eq!(desk.refused("POST", "v1/leverage", "symbol=BTCUSDT&leverage=100"), -2027);
    desk.done("POST", "v1/leverage", "symbol=BTCUSDT&leverage=50");
}

#[test]
fn an_amended_order_must_fulfil_what_a_new_one_must() {
    let (simulator, desk) = capped();
    let id = desk.order(&limit("BUY", "45000", "0.1"))["orderId"].clone();
    let amend = |price: &str, qty: &str| format!("symbol=BTCUSDT&side=BUY&orderId={id}&price={price}&quantity={qty}");
    let refused = |price: &str, qty: &str| desk.refused("PUT", "v1/order", &amend(price, qty));
    assert_eq!(refused("45000", "1.2"), -2027);
    // Nor does it execute when it would cross.
    assert_eq!(refused("51000", "1.2"), -2027);
    assert_eq!(refused("4500", "0.001"), -4164);
    assert_eq!(refused("10000000.1", "0.1"), -4002);
    let order = desk.truth().orders[0].clone();
    assert_eq!((order.qty, order.price, order.executed), (dec("0.1"), Some(dec("45000")), dec("0")));
    // It does not count beside itself: 49500.
    desk.done("PUT", "v1/order", &amend("45000", "1.1"));
    // The rest of one that has executed in part counts, and what it executed is part of the position: 0.5 x 45000 twice.
    simulator.set_depth(&symbol("BTCUSDT"), Some("0.5".parse().unwrap())).unwrap();
    set_price(&simulator, "BTCUSDT", "45000");
    assert_eq!(desk.truth().positions[0].qty, dec("0.5"));
    set_price(&simulator, "BTCUSDT", "46000");
    desk.done("PUT", "v1/order", &amend("45000", "1"));
    // At 60000 there is 30000 held and 22500 asked for: too much already, so it may only become less.
    set_price(&simulator, "BTCUSDT", "60000");
    assert_eq!(refused("45000", "1.01"), -2027);
    desk.done("PUT", "v1/order", &amend("45000", "0.98"));
}

#[test]
fn an_amended_order_closes_no_more_than_there_is() {
    let account = SimulatorAccount { hedge_mode: true, ..SimulatorAccount::standard() };
    let (simulator, desk) = still_with(SimulatorConfig { accounts: vec![account], ..SimulatorConfig::new(1) });
    set_price(&simulator, "BTCUSDT", "50000");
    desk.order("symbol=BTCUSDT&side=BUY&positionSide=LONG&type=MARKET&quantity=0.2");
    let close = desk.order(&format!("{}&positionSide=LONG", limit("SELL", "60000", "0.1")));
    let amend = |qty: &str| format!("symbol=BTCUSDT&side=SELL&orderId={}&price=60000&quantity={qty}", close["orderId"]);
    assert_eq!(desk.refused("PUT", "v1/order", &amend("0.3")), -2022);
    desk.done("PUT", "v1/order", &amend("0.2"));
}

#[test]
fn an_order_by_hand_has_no_reduce_only_in_hedge_mode_either() {
    let account = SimulatorAccount { hedge_mode: true, ..SimulatorAccount::standard() };
    let (simulator, _desk) = still_with(SimulatorConfig { accounts: vec![account], ..SimulatorConfig::new(1) });
    let wish = AppOrder {
        prefix: "web_",
        symbol: symbol("BTCUSDT"),
        side: Side::Buy,
        position_side: PositionSide::Long,
        qty: "0.1".parse().unwrap(),
        price: None,
        reduce_only: true,
    };
    let refused = simulator.trade_from_app("sim-main", &wish).unwrap_err();
    assert!(matches!(refused, ControlError::Refused { code: -1106, .. }), "{refused}");
    simulator.trade_from_app("sim-main", &AppOrder { reduce_only: false, ..wish }).unwrap();
}
