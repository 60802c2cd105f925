//! Regular orders, by the raw interface.

use super::*;

#[test]
fn time_in_force_decides_what_becomes_of_the_rest() {
    let (simulator, desk) = still();
    set_price(&simulator, "BTCUSDT", "60000");
    simulator.set_depth(&symbol("BTCUSDT"), Some("0.030".parse().unwrap())).unwrap();
    let order = |tif: &str, price: &str, qty: &str| {
        format!("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce={tif}&price={price}&quantity={qty}")
    };
    // What is offered at once is 0.030.
    let gtc = desk.order(&order("GTC", "60000", "0.050"));
    assert_eq!((&gtc["status"], &gtc["executedQty"]), (&"PARTIALLY_FILLED".into(), &"0.030".into()));
    let ioc = desk.order(&order("IOC", "60000", "0.050"));
    assert_eq!((&ioc["status"], &ioc["executedQty"]), (&"EXPIRED".into(), &"0.030".into()));
    let none = desk.order(&order("IOC", "59999", "0.050"));
    assert_eq!((&none["status"], &none["executedQty"]), (&"EXPIRED".into(), &"0.000".into()));
    assert_eq!(desk.refused("POST", "v1/order", &order("FOK", "60000", "0.050")), -5021);
    assert_eq!(desk.order(&order("FOK", "60000", "0.030"))["status"], "FILLED");
    assert_eq!(desk.refused("POST", "v1/order", &order("GTX", "60000", "0.010")), -5022);
    assert_eq!(desk.order(&order("GTX", "59999.9", "0.010"))["status"], "NEW");
    assert_eq!(desk.refused("POST", "v1/order", &order("DAY", "59999.9", "0.010")), -1115);
    // What was refused is in no list: four orders were taken, and the rests of two are open.
    assert_eq!(desk.truth().orders.len(), 5);
    assert_eq!(desk.get("v1/openOrders", "").as_array().unwrap().len(), 2);
    // The first tick executes the rest of the first order as a maker, at its own price.
    simulator.step(Duration::from_secs(5));
    let first = desk.get("v1/order", &format!("symbol=BTCUSDT&orderId={}", gtc["orderId"]));
    assert_eq!((&first["status"], &first["avgPrice"]), (&"FILLED".into(), &"60000.00000".into()));
    let makers: Vec<_> = desk.truth().trades.into_iter().filter(|trade| trade.maker).collect();
    assert_eq!(makers.len(), 1);
    // 0.020 x 60000 x 0.02 %.
    assert_eq!(makers[0].fee, dec("0.24"));
}

#[test]
fn an_acknowledgement_does_not_tell_what_became_of_the_order() {
    let (_simulator, desk) = still();
    let ack = desk.done("POST", "v1/order", "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=1&newClientOrderId=a/1");
    assert_eq!((&ack["status"], &ack["executedQty"]), (&"NEW".into(), &"0.000".into()));
    assert!(ack.get("avgPrice").is_none() && ack.get("cumQuote").is_none());
    let stored = desk.get("v1/order", "symbol=ETHUSDT&origClientOrderId=a/1");
    assert_eq!((&stored["status"], &stored["cumQuote"]), (&"FILLED".into(), &"3120.4".into()));
}

#[test]
fn amending_keeps_the_order_and_may_end_it() {
    let (simulator, desk) = still();
    set_price(&simulator, "BTCUSDT", "60000");
    let placed = desk.order(
        "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&price=61000&quantity=0.020&newClientOrderId=amend:me",
    );
    let id = placed["orderId"].as_i64().unwrap();
    let amend = |query: &str| format!("symbol=BTCUSDT&side=SELL&orderId={id}&{query}");
    let amended = desk.done("PUT", "v1/order", &amend("quantity=0.030&price=60500"));
    assert_eq!(amended["orderId"], id);
    assert_eq!((&amended["origQty"], &amended["price"]), (&"0.030".into(), &"60500".into()));
    assert_eq!(desk.refused("PUT", "v1/order", &amend("quantity=0.030&price=60500")), -5027);
    assert_eq!(desk.refused("PUT", "v1/order", &amend("quantity=0.030&price=60500.05")), -4014);
    assert_eq!(desk.refused("PUT", "v1/order", &amend("quantity=0.0305&price=60500")), -1111);
    assert_eq!(desk.refused("PUT", "v1/order", &amend("quantity=900&price=60600")), -2019);
    assert_eq!(desk.truth().orders[0].qty, dec("0.03"));
    // Half of it executes; asking for no more than that cancels the rest.
    simulator.set_depth(&symbol("BTCUSDT"), Some("0.010".parse().unwrap())).unwrap();
    set_price(&simulator, "BTCUSDT", "60500");
    assert_eq!(desk.truth().orders[0].executed, dec("0.01"));
    set_price(&simulator, "BTCUSDT", "60000");
    let ended = desk.done("PUT", "v1/order", &amend("quantity=0.010&price=60600"));
    assert_eq!((&ended["status"], &ended["executedQty"]), (&"CANCELED".into(), &"0.010".into()));
    assert_eq!(desk.refused("PUT", "v1/order", &amend("quantity=0.020&price=60600")), -2013);
    // An amended price that the market has reached executes at once, as a taker.
    let other = desk.order("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=59000&quantity=0.010");
    let query = format!("symbol=BTCUSDT&side=BUY&orderId={}&quantity=0.010&price=60000", other["orderId"]);
    assert_eq!(desk.done("PUT", "v1/order", &query)["status"], "FILLED");
    assert!(!desk.truth().trades.last().unwrap().maker);
}

#[test]
fn reduce_only_never_opens() {
    let (simulator, desk) = still();
    set_price(&simulator, "ETHUSDT", "3000");
    let sell = "symbol=ETHUSDT&side=SELL&type=MARKET&reduceOnly=True";
    assert_eq!(desk.refused("POST", "v1/order", &format!("{sell}&quantity=1")), -2022);
    desk.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=2");
    assert_eq!(
        desk.refused("POST", "v1/order", "symbol=ETHUSDT&side=BUY&type=MARKET&reduceOnly=true&quantity=1"),
        -2022
    );
    // More than there is: it is cut to what is there.
    let closed = desk.order(&format!("{sell}&quantity=3"));
    let told = ["status", "origQty", "executedQty"].map(|name| closed[name].as_str().unwrap());
    assert_eq!(told, ["FILLED", "2.000", "2.000"]);
    assert!(desk.truth().positions.is_empty());
    // One that rests when the position goes ends without a fill.
    desk.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=1");
    desk.order("symbol=ETHUSDT&side=SELL&type=LIMIT&timeInForce=GTC&price=3100&quantity=1&reduceOnly=true");
    desk.order("symbol=ETHUSDT&side=SELL&type=MARKET&quantity=1");
    let truth = desk.truth();
    assert_eq!(truth.orders[truth.orders.len() - 2].status, "EXPIRED");
    set_price(&simulator, "ETHUSDT", "3200");
    assert!(desk.truth().positions.is_empty());
}

#[test]
fn one_way_positions_flip_and_hedged_ones_do_not() {
    let (simulator, desk) = still();
    set_price(&simulator, "SOLUSDT", "100");
    desk.order("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=10");
    set_price(&simulator, "SOLUSDT", "110");
    desk.order("symbol=SOLUSDT&side=SELL&type=MARKET&quantity=15");
    let truth = desk.truth();
    assert_eq!((truth.positions[0].qty, truth.positions[0].entry_price), (dec("-5"), dec("110")));
    // 10 x (110 - 100); fees 1000 x 0.04 % and 1650 x 0.04 %.
    assert_eq!(truth.trades[1].realized, dec("100"));
    assert_eq!(truth.wallets["USDT"], dec("100098.94"));
    assert_eq!(desk.refused("POST", "v1/positionSide/dual", "dualSidePosition=true"), -4068);
    desk.order("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=5&reduceOnly=true");
    desk.order("symbol=SOLUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=90&quantity=5");
    assert_eq!(desk.refused("POST", "v1/positionSide/dual", "dualSidePosition=true"), -4067);
    assert_eq!(
        desk.done("DELETE", "v1/allOpenOrders", "symbol=SOLUSDT"),
        serde_json::json!({ "code": 200, "msg": "The operation of cancel all open order is done." })
    );
    assert_eq!(desk.refused("POST", "v1/positionSide/dual", "dualSidePosition=false"), -4059);
    desk.done("POST", "v1/positionSide/dual", "dualSidePosition=true");
    // Both at once, each with its own entry; closing more than there is is refused, and so is reduceOnly.
    desk.order("symbol=SOLUSDT&side=BUY&positionSide=LONG&type=MARKET&quantity=4");
    set_price(&simulator, "SOLUSDT", "120");
    desk.order("symbol=SOLUSDT&side=SELL&positionSide=SHORT&type=MARKET&quantity=6");
    let sell_long = "symbol=SOLUSDT&side=SELL&positionSide=LONG&type=MARKET";
    assert_eq!(desk.refused("POST", "v1/order", &format!("{sell_long}&quantity=5")), -2022);
    assert_eq!(desk.refused("POST", "v1/order", &format!("{sell_long}&quantity=4&reduceOnly=true")), -1106);
    assert_eq!(desk.refused("POST", "v1/order", "symbol=SOLUSDT&side=SELL&type=MARKET&quantity=1"), -4061);
    desk.order(&format!("{sell_long}&quantity=4"));
    let truth = desk.truth();
    assert_eq!(truth.trades.last().unwrap().realized, dec("40"));
    assert_eq!((truth.positions.len(), truth.positions[0].qty), (1, dec("-6")));
    // A flat side is listed beside the one that is not.
    let rows = desk.get("v3/positionRisk", "symbol=SOLUSDT");
    assert_eq!((&rows[0]["positionSide"], &rows[0]["positionAmt"]), (&"LONG".into(), &"0.000".into()));
    assert_eq!((&rows[1]["positionSide"], &rows[1]["positionAmt"]), (&"SHORT".into(), &"-6.000".into()));
}

#[test]
fn client_ids_are_unique_among_open_orders_only() {
    let (_simulator, desk) = still();
    let bid = "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=3000&quantity=1&newClientOrderId=same";
    let first = desk.order(bid);
    assert_eq!(desk.refused("POST", "v1/order", bid), -4116);
    desk.done("DELETE", "v1/order", "symbol=ETHUSDT&origClientOrderId=same");
    let second = desk.order(bid);
    assert_ne!(first["orderId"], second["orderId"]);
    // The latest one answers.
    assert_eq!(desk.get("v1/order", "symbol=ETHUSDT&origClientOrderId=same")["orderId"], second["orderId"]);
    assert_eq!(desk.get("v1/openOrder", "symbol=ETHUSDT&origClientOrderId=same")["orderId"], second["orderId"]);
    let by_id = format!("symbol=ETHUSDT&orderId={}", first["orderId"]);
    assert_eq!(desk.refused("DELETE", "v1/order", &by_id), -2011);
    assert_eq!(desk.refused("GET", "v1/openOrder", &by_id), -2013);
    assert_eq!(desk.get("v1/order", &by_id)["status"], "CANCELED");
}

#[test]
fn fees_can_be_paid_in_bnb_and_makers_can_be_paid() {
    let account = SimulatorAccount {
        fees_in_bnb: true,
        maker_fee: "-0.0001".into(),
        deposits: vec![("USDT".into(), "10000".into()), ("BNB".into(), "0.01".into())],
        ..SimulatorAccount::standard()
    };
    let (simulator, desk) = still_with(SimulatorConfig { accounts: vec![account], ..SimulatorConfig::new(1) });
    set_price(&simulator, "BTCUSDT", "50000");
    // 0.1 x 50000 x 0.04 % = 2 USDT; nine tenths of it at 600 are 0.003 BNB.
    for _ in 0..4 {
        desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1");
    }
    let fees: Vec<_> = desk.truth().trades.iter().map(|trade| (trade.fee, trade.fee_asset.clone())).collect();
    let bnb = (dec("0.003"), "BNB".to_owned());
    // The fourth one finds too little left.
    assert_eq!(fees, [bnb.clone(), bnb.clone(), bnb, (dec("2"), "USDT".to_owned())]);
    assert_eq!(desk.wallet("BNB"), dec("0.001"));
    let ask = "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTX&price=51000&quantity=0.1";
    desk.order(ask);
    set_price(&simulator, "BTCUSDT", "51000");
    let rebate = desk.truth().trades.last().unwrap().clone();
    assert_eq!((rebate.maker, rebate.fee), (true, dec("-0.51")));
    let row = &desk.get("v1/income", "incomeType=COMMISSION")[4];
    assert_eq!((&row["income"], &row["asset"]), (&"0.51000000".into(), &"USDT".into()));
}

#[test]
fn leverage_and_margin_type_have_rules() {
    let (_simulator, desk) = still();
    let leverage = |value: &str| format!("symbol=BTCUSDT&leverage={value}");
    let set = desk.done("POST", "v1/leverage", &leverage("50"));
    assert_eq!(set, serde_json::json!({ "leverage": 50, "maxNotionalValue": "600000", "symbol": "BTCUSDT" }));
    for bad in ["0", "101", "-3"] {
        assert_eq!(desk.refused("POST", "v1/leverage", &leverage(bad)), -4028);
    }
    // A larger position than the leverage allows, although the margin would do.
    assert_eq!(desk.refused("POST", "v1/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=12"), -2027);
    let margin = |kind: &str| format!("symbol=BTCUSDT&marginType={kind}");
    assert_eq!(desk.refused("POST", "v1/marginType", &margin("CROSSED")), -4046);
    desk.done("POST", "v1/marginType", &margin("ISOLATED"));
    let config = desk.get("v1/symbolConfig", "symbol=BTCUSDT");
    assert_eq!((&config[0]["marginType"], &config[0]["leverage"]), (&"ISOLATED".into(), &50.into()));
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1");
    assert_eq!(desk.refused("POST", "v1/marginType", &margin("CROSSED")), -4048);
    assert_eq!(desk.refused("POST", "v1/leverage", &leverage("10")), -4161);
    // 0.1 x 64250.5 / 50.
    assert_eq!(desk.get("v3/positionRisk", "")[0]["isolatedWallet"], "128.50100000");
}

#[test]
fn orders_tie_up_margin_for_the_worse_of_both_sides() {
    let account = SimulatorAccount {
        deposits: vec![("USDT".into(), "1000".into())],
        taker_fee: "0".into(),
        ..SimulatorAccount::standard()
    };
    let (simulator, desk) = still_with(SimulatorConfig { accounts: vec![account], ..SimulatorConfig::new(1) });
    set_price(&simulator, "BTCUSDT", "50000");
    let asset = || {
        let account = desk.get("v3/account", "");
        account["assets"].as_array().unwrap().iter().find(|row| row["asset"] == "USDT").unwrap().clone()
    };
    let free = || asset()["availableBalance"].as_str().unwrap().to_owned();
    let limit = |side: &str, price: &str, qty: &str| {
        format!("symbol=BTCUSDT&type=LIMIT&timeInForce=GTC&side={side}&price={price}&quantity={qty}")
    };
    // 0.2 x 40000 / 20 is tied up by the bid; an offer of the same value costs nothing more.
    desk.order(&limit("BUY", "40000", "0.2"));
    assert_eq!(free(), "600.00000000");
    desk.order(&limit("SELL", "80000", "0.1"));
    assert_eq!(free(), "600.00000000");
    desk.done("DELETE", "v1/allOpenOrders", "symbol=BTCUSDT");
    assert_eq!(free(), "1000.00000000");
    // A position that takes nearly all of it can still be turned round at once, but not made larger.
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.38");
    assert_eq!((free(), asset()["initialMargin"].clone()), ("50.00000000".into(), "950.00000000".into()));
    assert_eq!(desk.refused("POST", "v1/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.03"), -2019);
    assert_eq!(desk.refused("POST", "v1/order", "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.79"), -2019);
    desk.order("symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.76");
    assert_eq!(desk.truth().positions[0].qty, dec("-0.38"));
    // Offers that close tie up nothing.
    desk.order(&limit("BUY", "45000", "0.38"));
    assert_eq!(free(), "50.00000000");
    assert_eq!(asset()["maintMargin"], "76.00000000");
}

#[test]
fn an_order_with_a_date_ends_by_itself() {
    let (simulator, desk) = still();
    set_price(&simulator, "BTCUSDT", "60000");
    let until_ms = START_MS + 3_600_000;
    let limit = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTD&quantity=0.01&price=59000";
    assert_eq!(desk.refused("POST", "v1/order", limit), -1102);
    for date in [START_MS, START_MS + 600_000, 253_402_300_799_000] {
        assert_eq!(desk.refused("POST", "v1/order", &format!("{limit}&goodTillDate={date}")), -5040);
    }
    let placed = desk.order(&format!("{limit}&goodTillDate={}", until_ms + 999));
    assert_eq!((&placed["timeInForce"], &placed["goodTillDate"]), (&"GTD".into(), &until_ms.into()));
    let filled = desk.order(&format!("{limit}&goodTillDate={until_ms}").replace("59000", "61000"));
    assert_eq!(filled["status"], "FILLED");
    simulator.step(Duration::from_millis(3_599_999));
    let open = desk.get("v1/openOrders", "symbol=BTCUSDT");
    assert_eq!((open.as_array().unwrap().len(), &open[0]["goodTillDate"]), (1, &until_ms.into()));
    // Prices that come later find it gone, in however long a step.
    let later = TimestampMs::new(until_ms + 1).unwrap();
    simulator.script_prices(&symbol("BTCUSDT"), &[(later, "50000".parse().unwrap())]).unwrap();
    simulator.step(Duration::from_hours(2));
    let order = desk.get("v1/order", &format!("symbol=BTCUSDT&orderId={}", placed["orderId"]));
    assert_eq!((&order["status"], &order["updateTime"]), (&"EXPIRED".into(), &until_ms.into()));
    assert_eq!(order["executedQty"], "0.000");
}

#[test]
fn a_price_that_follows_the_book_is_refused() {
    let (_simulator, desk) = still();
    let limit = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&priceMatch=QUEUE";
    assert_eq!(desk.refused("POST", "v1/order", limit), -5037);
    assert_eq!(desk.refused("PUT", "v1/order", &format!("{limit}&orderId=1")), -5037);
    let stop =
        "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=STOP&triggerPrice=1000&quantity=0.01&priceMatch=OPPONENT";
    assert_eq!(desk.refused("POST", "v1/algoOrder", stop), -5037);
    let none = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=50000&priceMatch=NONE";
    assert_eq!(desk.order(none)["priceMatch"], "NONE");
}
