//! Orders that may only close, beside each other and beside their position.

use super::*;

fn limit(side: &str, price: &str, qty: &str) -> String {
    format!("symbol=ETHUSDT&type=LIMIT&timeInForce=GTC&side={side}&price={price}&quantity={qty}")
}

fn closing(side: &str, price: &str, qty: &str) -> String {
    format!("{}&reduceOnly=true", limit(side, price, qty))
}

/// An account in ETHUSDT at 3000, long by this much.
fn long(qty: &str) -> (Arc<Simulator>, Desk) {
    let (simulator, desk) = still();
    set_price(&simulator, "ETHUSDT", "3000");
    desk.order(&format!("symbol=ETHUSDT&side=BUY&type=MARKET&quantity={qty}"));
    (simulator, desk)
}

fn hedged() -> (Arc<Simulator>, Desk) {
    let account = SimulatorAccount { hedge_mode: true, ..SimulatorAccount::standard() };
    let (simulator, desk) = still_with(SimulatorConfig { accounts: vec![account], ..SimulatorConfig::new(1) });
    set_price(&simulator, "ETHUSDT", "3000");
    (simulator, desk)
}

impl Desk {
    /// Status, quantity and what was executed of an order.
    #[track_caller]
    fn stands(&self, order: &serde_json::Value) -> [String; 3] {
        let row = self.get("v1/order", &format!("symbol=ETHUSDT&orderId={}", order["orderId"]));
        ["status", "origQty", "executedQty"].map(|name| row[name].as_str().unwrap().to_owned())
    }
}

#[test]
fn what_only_closes_ends_with_its_position_and_leaves_the_next_one_alone() {
    let (simulator, desk) = long("2");
    let resting = desk.order(&closing("SELL", "3100", "2"));
    let opening = desk.order(&limit("SELL", "3200", "1"));
    desk.order("symbol=ETHUSDT&side=SELL&type=MARKET&quantity=1");
    assert_eq!(desk.stands(&resting), ["NEW", "2.000", "0.000"], "half of the position is left");
    desk.order("symbol=ETHUSDT&side=SELL&type=MARKET&quantity=1");
    // At once, without waiting for a price. What may open as well stays.
    assert_eq!(desk.stands(&resting), ["EXPIRED", "2.000", "0.000"]);
    assert_eq!(desk.stands(&opening)[0], "NEW");
    // The next position is left alone where the old order was.
    desk.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=3");
    set_price(&simulator, "ETHUSDT", "3150");
    assert_eq!(desk.truth().positions[0].qty, dec("3"));
}

/// A way to close a position.
type Way<'a> = &'a dyn Fn(&Simulator, &Desk);

#[test]
fn it_ends_whatever_closed_the_position() {
    // Turned round, liquidated, deleveraged, closed by hand, closed by a stop that was triggered.
    let eth = symbol("ETHUSDT");
    let net = PositionSide::Net;
    let ways: [(&str, Way<'_>); 5] = [
        ("turned round", &|_, desk| drop(desk.order("symbol=ETHUSDT&side=SELL&type=MARKET&quantity=5"))),
        ("liquidated", &|simulator, _| simulator.force_liquidation("sim-main", &eth, net).unwrap()),
        ("deleveraged", &|simulator, _| simulator.force_adl("sim-main", &eth, net, "2".parse().unwrap()).unwrap()),
        ("by hand", &|simulator, _| drop(simulator.close_from_app("sim-main", &eth, net).unwrap())),
        ("stopped", &|simulator, desk| {
            desk.conditional("symbol=ETHUSDT&side=SELL&type=STOP_MARKET&triggerPrice=2900&closePosition=true");
            set_price(simulator, "ETHUSDT", "2900");
        }),
    ];
    for (name, close) in ways {
        let (simulator, desk) = long("2");
        let resting = [desk.order(&closing("SELL", "3100", "1")), desk.order(&closing("SELL", "3200", "1"))];
        close(&simulator, &desk);
        for order in &resting {
            assert_eq!(desk.stands(order), ["EXPIRED", "1.000", "0.000"], "{name}");
        }
    }
}

#[test]
fn a_stream_tells_the_end_after_the_fill_that_brought_it() {
    let (simulator, desk) = long("2");
    let key = ask(&simulator, "POST", "/fapi/v1/listenKey", "", Some(&desk.key)).1["listenKey"].clone();
    let mut stream = simulator.open_stream("/private/ws", &format!("listenKey={}", key.as_str().unwrap())).unwrap();
    let resting = desk.order(&closing("SELL", "3100", "2"));
    desk.order("symbol=ETHUSDT&side=SELL&type=MARKET&quantity=2&newClientOrderId=out");
    let mut told = Vec::new();
    while let Some(StreamMessage::Text(text)) = stream.try_next() {
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        let order = &event["o"];
        let text = |name: &str| order[name].as_str().unwrap_or_default().to_owned();
        told.push(format!("{} {} {} {}", event["e"].as_str().unwrap(), text("x"), text("X"), text("z")));
        assert!(order["x"] != "EXPIRED" || (order["i"] == resting["orderId"] && order["R"] == true), "{event}");
    }
    let expected = [
        "ORDER_TRADE_UPDATE NEW NEW 0.000",
        "ORDER_TRADE_UPDATE NEW NEW 0.000",
        "TRADE_LITE   ",
        "ACCOUNT_UPDATE   ",
        "ORDER_TRADE_UPDATE TRADE FILLED 2.000",
        "ORDER_TRADE_UPDATE EXPIRED EXPIRED 0.000",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_others_close_first_is_not_there_to_be_closed() {
    let (_simulator, desk) = long("10");
    desk.order(&closing("SELL", "3100", "6"));
    // Four are left behind it: more is cut to them, and then nothing is left.
    let behind = desk.order(&closing("SELL", "3200", "7"));
    assert_eq!(desk.stands(&behind), ["NEW", "4.000", "0.000"]);
    assert_eq!(desk.refused("POST", "v1/order", &closing("SELL", "3300", "1")), -2022);
    // At the same price the earlier one is first.
    assert_eq!(desk.refused("POST", "v1/order", &closing("SELL", "3200", "1")), -2022);
    // An order that may open as well closes first, too.
    desk.done("DELETE", "v1/allOpenOrders", "symbol=ETHUSDT");
    desk.order(&limit("SELL", "3100", "10"));
    assert_eq!(desk.refused("POST", "v1/order", &closing("SELL", "3200", "1")), -2022);
    // What was taken of an order is part of the position no more.
    desk.done("DELETE", "v1/allOpenOrders", "symbol=ETHUSDT");
    let whole = desk.order(&closing("SELL", "3100", "40"));
    assert_eq!(desk.stands(&whole), ["NEW", "10.000", "0.000"]);
}

#[test]
fn a_better_price_replaces_a_worse_one() {
    let (simulator, desk) = long("10");
    let [first, second] = [("3100", "6"), ("3200", "4")].map(|(price, qty)| desk.order(&closing("SELL", price, qty)));
    let better = desk.order(&closing("SELL", "3050", "5"));
    // Five of ten are taken before: the first has five left, and the second none.
    assert_eq!(desk.stands(&first), ["NEW", "6.000", "0.000"]);
    assert_eq!(desk.stands(&second), ["EXPIRED", "4.000", "0.000"]);
    set_price(&simulator, "ETHUSDT", "3050");
    assert_eq!(desk.stands(&better)[0], "FILLED");
    // No more executes than there is, and then nothing is left of it.
    set_price(&simulator, "ETHUSDT", "3100");
    assert_eq!(desk.stands(&first), ["EXPIRED", "6.000", "5.000"]);
    assert!(desk.truth().positions.is_empty());
    // Shorts the other way round: the higher bid is the better one.
    desk.order("symbol=ETHUSDT&side=SELL&type=MARKET&quantity=1");
    let low = desk.order(&closing("BUY", "2800", "1"));
    assert_eq!(desk.refused("POST", "v1/order", &closing("BUY", "2700", "1")), -2022);
    desk.order(&closing("BUY", "2900", "1"));
    assert_eq!(desk.stands(&low)[0], "EXPIRED");
}

#[test]
fn out_at_the_market_comes_before_everything() {
    let (_simulator, desk) = long("10");
    let resting = desk.order(&closing("SELL", "3100", "10"));
    let market = "symbol=ETHUSDT&side=SELL&type=MARKET&reduceOnly=true";
    assert_eq!(desk.order(&format!("{market}&quantity=3"))["executedQty"], "3.000");
    assert_eq!(desk.stands(&resting)[0], "NEW");
    let rest = desk.order(&format!("{market}&quantity=50"));
    assert_eq!((&rest["status"], &rest["origQty"]), (&"FILLED".into(), &"7.000".into()));
    assert_eq!(desk.stands(&resting)[0], "EXPIRED");
}

#[test]
fn an_amended_order_closes_what_is_left_for_it() {
    let (_simulator, desk) = long("10");
    let first = desk.order(&closing("SELL", "3100", "6"));
    let second = desk.order(&closing("SELL", "3200", "4"));
    let amend = |order: &serde_json::Value, price: &str, qty: &str| {
        format!("symbol=ETHUSDT&side=SELL&orderId={}&price={price}&quantity={qty}", order["orderId"])
    };
    let cut = desk.done("PUT", "v1/order", &amend(&second, "3250", "9"));
    assert_eq!((&cut["origQty"], &cut["price"]), (&"4.000".into(), &"3250".into()));
    // To a better price: the other has six left of six.
    desk.done("PUT", "v1/order", &amend(&second, "3050", "4"));
    assert_eq!(desk.stands(&first)[0], "NEW");
    // Now all of it, and the other has none.
    desk.done("PUT", "v1/order", &amend(&second, "3050", "10"));
    assert_eq!(desk.stands(&first)[0], "EXPIRED");
}

#[test]
fn what_an_order_would_leave_to_others_to_open_needs_margin() {
    let account = SimulatorAccount {
        deposits: vec![("USDT".into(), "1000".into())],
        taker_fee: "0".into(),
        ..SimulatorAccount::standard()
    };
    let (simulator, desk) = still_with(SimulatorConfig { accounts: vec![account], ..SimulatorConfig::new(1) });
    set_price(&simulator, "ETHUSDT", "2000");
    // 19000 at 20x tie up 950 of 1000. An offer that closes all of it costs nothing.
    desk.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=9.5");
    desk.order(&limit("SELL", "2400", "9.5"));
    // By hand: if all of it is closed before, 22800 are sold short, which need 1140: 190 more than the 950.
    assert_eq!(desk.refused("POST", "v1/order", &closing("SELL", "2200", "9.5")), -4118);
    // With two closed before, 7.5 are left, worth 15000: 7800 would be sold short.
    desk.order(&closing("SELL", "2200", "2"));
    // Without the other one it is fine.
    desk.done("DELETE", "v1/allOpenOrders", "symbol=ETHUSDT");
    desk.order(&closing("SELL", "2200", "9.5"));
}

#[test]
fn legs_of_a_hedge_are_closed_by_the_same_rules() {
    let (simulator, desk) = hedged();
    desk.order("symbol=ETHUSDT&side=BUY&positionSide=LONG&type=MARKET&quantity=4");
    desk.order("symbol=ETHUSDT&side=SELL&positionSide=SHORT&type=MARKET&quantity=4");
    let out = |price: &str, qty: &str| format!("{}&positionSide=LONG", limit("SELL", price, qty));
    let resting = desk.order(&out("3100", "3"));
    // It is not cut: what is too much is refused.
    assert_eq!(desk.refused("POST", "v1/order", &out("3200", "2")), -2022);
    let last = desk.order(&out("3200", "1"));
    // What adds to the other leg is another matter, and so is what closes it.
    let add = desk.order(&format!("{}&positionSide=SHORT", limit("SELL", "3050", "4")));
    let other = desk.order(&format!("{}&positionSide=SHORT", limit("BUY", "2900", "4")));
    desk.order(&out("3050", "1"));
    assert_eq!([&resting, &last].map(|order| desk.stands(order)[0].clone()), ["NEW", "EXPIRED"]);
    simulator.close_from_app("sim-main", &symbol("ETHUSDT"), PositionSide::Long).unwrap();
    let stand = [&resting, &add, &other].map(|order| desk.stands(order)[0].clone());
    assert_eq!(stand, ["EXPIRED", "NEW", "NEW"]);
}

#[test]
fn a_position_is_closed_whole_by_one_stop_and_one_take_profit_of_a_side() {
    let (_simulator, desk) = long("1");
    let whole = |side: &str, kind: &str, trigger: &str| {
        format!("symbol=ETHUSDT&side={side}&type={kind}&triggerPrice={trigger}&closePosition=true&timeInForce=GTC")
    };
    let refused = |query: &str| desk.refused("POST", "v1/algoOrder", &format!("algoType=CONDITIONAL&{query}"));
    let stop = desk.conditional(&whole("SELL", "STOP_MARKET", "2900"));
    desk.conditional(&whole("SELL", "TAKE_PROFIT_MARKET", "3300"));
    // At another trigger it is one too many all the same; of another side it is not.
    assert_eq!(refused(&whole("SELL", "STOP_MARKET", "2800")), -4130);
    assert_eq!(refused(&whole("SELL", "TAKE_PROFIT_MARKET", "3400")), -4130);
    desk.conditional(&whole("BUY", "STOP_MARKET", "3500"));
    desk.done("DELETE", "v1/algoOrder", &format!("algoId={}", stop["algoId"]));
    desk.conditional(&whole("SELL", "STOP_MARKET", "2800"));
}
