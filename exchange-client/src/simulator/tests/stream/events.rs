//! Each event in its own words.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

fn fields(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The names that the exchange's documentation gives, and no others.
#[track_caller]
fn has_fields(value: &Value, names: &str) {
    assert_eq!(fields(value), names.split(' ').collect(), "{value}");
}

const ORDER: &str = "s c S o f q p ap sp x X i l z L T t b a m R wt ot ps cp rp pP si ss V pm gtd er";

#[test]
fn a_fill_is_told_three_times_and_counts_once() {
    let mut config = SimulatorConfig::new(5);
    config.settle_lag_ms = 60_000;
    let (simulator, desk) = still_with(config);
    set_price(&simulator, "BTCUSDT", "60000");
    let mut stream = listen(&desk);
    let order = desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1&newClientOrderId=mine");
    let told = events(&mut stream);
    assert_eq!(kinds(&told), ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]);
    // The stream says at once what queries say later.
    assert_eq!(desk.get("v1/userTrades", "symbol=BTCUSDT"), json!([]));
    for event in &told {
        assert_eq!((&event["E"], &event["T"]), (&json!(START_MS), &json!(START_MS)));
    }
    let trade = &desk.truth().trades[0];

    let accepted = &told[0]["o"];
    has_fields(&told[0], "e E T o");
    has_fields(accepted, &format!("{ORDER} N n"));
    assert_eq!((&accepted["N"], &accepted["n"]), (&json!("USDT"), &json!("0")));
    assert_eq!((&accepted["x"], &accepted["X"], &accepted["t"]), (&json!("NEW"), &json!("NEW"), &json!(0)));
    assert_eq!((&accepted["l"], &accepted["z"], &accepted["L"]), (&json!("0.000"), &json!("0.000"), &json!("0")));

    has_fields(&told[1], "e E T s q p m c S L l t i");
    assert_eq!((&told[1]["t"], &told[1]["L"], &told[1]["l"]), (&json!(trade.id), &json!("60000"), &json!("0.100")));
    assert_eq!((&told[1]["p"], &told[1]["c"], &told[1]["i"]), (&json!("0"), &json!("mine"), &order["orderId"]));

    has_fields(&told[2], "e E T a");
    let account = &told[2]["a"];
    // By hand: 6000 at 0.04 % cost 2.4.
    let balance = json!({ "a": "USDT", "wb": "99997.60000000", "cw": "99997.60000000", "bc": "0.00000000" });
    assert_eq!((&account["m"], &account["B"]), (&json!("ORDER"), &json!([balance])));
    let position = json!({
        "s": "BTCUSDT", "pa": "0.100", "ep": "60000.0", "bep": "60000.0", "cr": "0.00000000", "up": "0.00000000",
        "mt": "cross", "iw": "0.00000000", "ps": "BOTH", "ma": "USDT",
    });
    assert_eq!(account["P"], json!([position]));

    let filled = &told[3]["o"];
    has_fields(filled, &format!("{ORDER} N n"));
    let expected = json!({
        "s": "BTCUSDT", "c": "mine", "S": "BUY", "o": "MARKET", "f": "GTC", "q": "0.100", "p": "0", "ap": "60000.00000",
        "sp": "0", "x": "TRADE", "X": "FILLED", "i": order["orderId"], "l": "0.100", "z": "0.100", "L": "60000",
        "N": "USDT", "n": "2.40000000", "T": START_MS, "t": trade.id, "b": "0", "a": "0", "m": false, "R": false,
        "wt": "CONTRACT_PRICE", "ot": "MARKET", "ps": "BOTH", "cp": false, "rp": "0.00000000", "pP": false, "si": 0,
        "ss": 0, "V": "NONE", "pm": "NONE", "gtd": 0, "er": "0",
    });
    assert_eq!(*filled, expected);
}

#[test]
fn orders_are_told_from_beginning_to_end() {
    let (simulator, desk) = still();
    set_price(&simulator, "BTCUSDT", "60000");
    let mut stream = listen(&desk);
    let told = |stream: &mut SimulatorStream| -> Vec<String> {
        let told = |event: Value| {
            let o = &event["o"];
            let text = |name: &str| o[name].as_str().unwrap().to_owned();
            format!("{} {} {} {} {}", text("x"), text("X"), text("q"), text("p"), text("z"))
        };
        events_of(stream, "ORDER_TRADE_UPDATE").into_iter().map(told).collect()
    };
    let limit = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC";
    let rests = desk.order(&format!("{limit}&quantity=0.1&price=59000"));
    let id = &rests["orderId"];
    desk.done("PUT", "v1/order", &format!("symbol=BTCUSDT&side=BUY&orderId={id}&quantity=0.2&price=59500"));
    simulator.set_depth(&symbol("BTCUSDT"), Some("0.05".parse().unwrap())).unwrap();
    set_price(&simulator, "BTCUSDT", "59500");
    desk.done("DELETE", "v1/order", &format!("symbol=BTCUSDT&orderId={id}"));
    assert_eq!(
        told(&mut stream),
        [
            "NEW NEW 0.100 59000 0.000",
            "AMENDMENT NEW 0.200 59500 0.000",
            "TRADE PARTIALLY_FILLED 0.200 59500 0.050",
            "CANCELED CANCELED 0.200 59500 0.050"
        ]
    );
    desk.order("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.1&price=59500");
    assert_eq!(
        told(&mut stream),
        ["NEW NEW 0.100 59500 0.000", "TRADE PARTIALLY_FILLED 0.100 59500 0.050", "EXPIRED EXPIRED 0.100 59500 0.050"]
    );
    // An amendment at or below what is executed cancels; what is refused is not told.
    let rests = desk.order(&format!("{limit}&quantity=0.1&price=59500"));
    let id = &rests["orderId"];
    desk.done("PUT", "v1/order", &format!("symbol=BTCUSDT&side=BUY&orderId={id}&quantity=0.05&price=59000"));
    assert_eq!(desk.refused("POST", "v1/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.00001"), -1111);
    assert_eq!(
        told(&mut stream),
        [
            "NEW NEW 0.100 59500 0.000",
            "TRADE PARTIALLY_FILLED 0.100 59500 0.050",
            "CANCELED CANCELED 0.100 59500 0.050"
        ]
    );
    // What somebody does by hand is told like anything else.
    simulator.close_from_app("sim-main", &symbol("BTCUSDT"), PositionSide::Net).unwrap();
    let by_hand = events_of(&mut stream, "ORDER_TRADE_UPDATE");
    assert!(by_hand.iter().all(|event| event["o"]["c"].as_str().unwrap().starts_with("web_")), "{by_hand:?}");
}

#[test]
fn conditional_orders_are_told_until_their_order_has_ended() {
    let (simulator, desk) = still();
    set_price(&simulator, "BTCUSDT", "60000");
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1");
    let mut stream = listen(&desk);
    let stop = desk.conditional(
        "symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.1&triggerPrice=59000&reduceOnly=true&clientAlgoId=stop",
    );
    let limit =
        desk.conditional("symbol=BTCUSDT&side=SELL&type=TAKE_PROFIT&quantity=0.1&triggerPrice=61000&price=61500");
    set_price(&simulator, "BTCUSDT", "61000");
    set_price(&simulator, "BTCUSDT", "61500");
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1");
    set_price(&simulator, "BTCUSDT", "59000");
    let all = events(&mut stream);
    let told: Vec<_> = all
        .iter()
        .filter(|event| event["e"] == "ALGO_UPDATE")
        .map(|event| {
            let of = if event["o"]["aid"] == stop["algoId"] { "stop" } else { "limit" };
            format!("{of} {} {}", event["o"]["X"].as_str().unwrap(), event["o"]["act"].as_str().unwrap())
        })
        .collect();
    let expected = [
        "stop NEW 0",
        "limit NEW 0",
        "limit TRIGGERING 0",
        "limit TRIGGERED LIMIT",
        "limit FINISHED LIMIT",
        "stop TRIGGERING 0",
        "stop TRIGGERED MARKET",
        "stop FINISHED MARKET",
    ];
    assert_eq!(told, expected);
    let last = &all.iter().rfind(|event| event["e"] == "ALGO_UPDATE").unwrap()["o"];
    let order = desk.truth().conditionals[0].order_id.unwrap();
    let expected = json!({
        "caid": "stop", "aid": stop["algoId"], "at": "CONDITIONAL", "o": "STOP_MARKET", "s": "BTCUSDT", "S": "SELL",
        "ps": "BOTH", "f": "GTC", "q": "0.100", "X": "FINISHED", "ai": order.to_string(), "ap": "59000.00000",
        "aq": "0.10000", "act": "MARKET", "tp": "59000", "p": "0", "V": "EXPIRE_MAKER", "wt": "CONTRACT_PRICE",
        "pm": "NONE", "cp": false, "pP": false, "R": true, "tt": START_MS, "gtd": 0,
    });
    assert_eq!(*last, expected);
    // The order that it became has its client id.
    assert!(all.iter().any(|event| event["o"]["i"] == json!(order) && event["o"]["c"] == "stop"));
    // One that is cancelled, and one whose order is refused when it triggers.
    desk.done(
        "DELETE",
        "v1/algoOrder",
        &format!(
            "algoId={}",
            desk.conditional("symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.1&triggerPrice=50000",)["algoId"]
        ),
    );
    desk.conditional("symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=900&triggerPrice=58000");
    set_price(&simulator, "BTCUSDT", "58000");
    let told = events_of(&mut stream, "ALGO_UPDATE");
    let statuses: Vec<_> = told.iter().map(|event| event["o"]["X"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["NEW", "CANCELED", "NEW", "TRIGGERING", "REJECTED"]);
    assert!(told[4]["o"]["rm"].is_string() && told[3]["o"].get("rm").is_none());
    assert_ne!(limit["algoId"], stop["algoId"]);
}

#[test]
fn balances_change_for_a_reason() {
    let mut config = SimulatorConfig::new(5);
    config.accounts.push(SimulatorAccount { hedge_mode: true, ..SimulatorAccount::named("hedged") });
    let (simulator, _) = still_with(config);
    set_price(&simulator, "ETHUSDT", "2000");
    let desk = Desk::new(&simulator, 1);
    let mut stream = listen(&desk);
    let account = |stream: &mut SimulatorStream| -> Vec<Value> {
        events_of(stream, "ACCOUNT_UPDATE").into_iter().map(|event| event["a"].clone()).collect()
    };
    simulator.deposit("hedged", "USDT", dec("12.5")).unwrap();
    simulator.deposit("hedged", "USDT", dec("-2.5")).unwrap();
    simulator.post_income("hedged", "REFERRAL_KICKBACK", "", "USDT", dec("0.5")).unwrap();
    let told = account(&mut stream);
    let balance = |wb: &str, bc: &str| json!([{ "a": "USDT", "wb": wb, "cw": wb, "bc": bc }]);
    assert_eq!(
        told,
        [
            json!({ "m": "DEPOSIT", "B": balance("100012.50000000", "12.50000000"), "P": [] }),
            json!({ "m": "WITHDRAW", "B": balance("100010.00000000", "-2.50000000"), "P": [] }),
            json!({ "m": "ADJUSTMENT", "B": balance("100010.50000000", "0.50000000"), "P": [] }),
        ]
    );
    // An isolated position: its margin type, its leverage, its margin, its funding.
    desk.done("POST", "v1/marginType", "symbol=ETHUSDT&marginType=ISOLATED");
    desk.done("POST", "v1/leverage", "symbol=ETHUSDT&leverage=10");
    desk.order("symbol=ETHUSDT&side=BUY&positionSide=LONG&type=MARKET&quantity=1");
    desk.done("POST", "v1/positionMargin", "symbol=ETHUSDT&positionSide=LONG&amount=50&type=1");
    simulator.set_funding_rate(&symbol("ETHUSDT"), dec("0.0001")).unwrap();
    let all = events(&mut stream);
    assert_eq!(all[1]["e"], "ACCOUNT_CONFIG_UPDATE");
    has_fields(&all[1], "e E T ac");
    assert_eq!(all[1]["ac"], json!({ "s": "ETHUSDT", "l": 10 }));
    assert_eq!(all[0]["a"]["m"], "MARGIN_TYPE_CHANGE");
    let moved = &all.last().unwrap()["a"];
    assert_eq!(moved["m"], "MARGIN_TRANSFER");
    // 200 for the position and 50 more; 0.8 is the fee.
    assert_eq!(
        moved["B"],
        json!([{ "a": "USDT", "wb": "100009.70000000", "cw": "99759.70000000", "bc": "0.00000000" }])
    );
    let sides: Vec<_> = moved["P"].as_array().unwrap().iter().map(|row| (&row["ps"], &row["pa"], &row["iw"])).collect();
    assert_eq!(
        sides,
        [
            (&json!("LONG"), &json!("1.000"), &json!("250.00000000")),
            (&json!("SHORT"), &json!("0.000"), &json!("0.00000000"))
        ]
    );
    keep_until_funding(&simulator, &desk);
    let told = account(&mut stream);
    assert_eq!((told.len(), &told[0]["m"], &told[0]["B"][0]["bc"]), (1, &json!("FUNDING_FEE"), &json!("-0.20000000")));
    assert_eq!(told[0]["P"][0]["iw"], "249.80000000");
    // Of positions that share the wallet funding tells the balance alone.
    desk.order("symbol=BTCUSDT&side=BUY&positionSide=LONG&type=MARKET&quantity=0.1");
    events(&mut stream);
    keep_until_funding(&simulator, &desk);
    let told = account(&mut stream);
    let of_btc: Vec<_> = told.iter().filter(|account| account["P"] == json!([])).collect();
    assert_eq!((told.len(), of_btc.len(), &of_btc[0]["m"]), (2, 1, &json!("FUNDING_FEE")));
}

fn keep_until_funding(simulator: &Simulator, desk: &Desk) {
    for _ in 0..16 {
        simulator.step(Duration::from_mins(30));
        assert_eq!(keyed(desk, "PUT").0, 200);
    }
}

#[test]
fn forced_closes_are_calculated_and_warned_of() {
    let (simulator, desk) = still();
    set_price(&simulator, "BTCUSDT", "60000");
    set_price(&simulator, "ETHUSDT", "2000");
    // Nearly everything in one position: 20 BTC at 20x on 100 000.
    desk.done("POST", "v1/leverage", "symbol=BTCUSDT&leverage=20");
    desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=20");
    let mut stream = listen(&desk);
    set_price(&simulator, "BTCUSDT", "58000");
    assert_eq!(events_of(&mut stream, "MARGIN_CALL"), [] as [Value; 0]);
    // By hand: of 1 124 000, 2.5 % less 9300 are 18 800, which is 79.9 % of the 23 520 that are left of 99 520. Ten lower
    // it is 18 795 of 23 320, or 80.6 %. It is told then, and once.
    set_price(&simulator, "BTCUSDT", "56200");
    assert_eq!(events_of(&mut stream, "MARGIN_CALL"), [] as [Value; 0]);
    set_price(&simulator, "BTCUSDT", "56190");
    set_price(&simulator, "BTCUSDT", "56180");
    let told = events_of(&mut stream, "MARGIN_CALL");
    assert_eq!(told.len(), 1, "{told:?}");
    has_fields(&told[0], "e E cw p");
    has_fields(&told[0]["p"][0], "s ps pa mt iw mp up mm");
    assert_eq!((&told[0]["p"][0]["pa"], &told[0]["p"][0]["mp"]), (&json!("20.000"), &json!("56190.00000000")));
    set_price(&simulator, "BTCUSDT", "55000");
    let all = events(&mut stream);
    let forced: Vec<_> = all.iter().filter(|event| event["e"] == "ORDER_TRADE_UPDATE").collect();
    assert_eq!(forced[0]["o"]["x"], "NEW");
    assert_eq!((&forced[1]["o"]["x"], &forced[1]["o"]["X"]), (&json!("CALCULATED"), &json!("FILLED")));
    assert!(forced.iter().all(|event| event["o"]["c"].as_str().unwrap().starts_with("autoclose-")));
    let last = &all.last().unwrap()["a"];
    assert_eq!(
        (&last["m"], last["B"][0]["wb"].as_str().map(dec)),
        (&json!("INSURANCE_CLEAR"), Some(desk.wallet("USDT")))
    );
    assert!(!kinds(&all).contains(&"TRADE_LITE"));

    // Deleveraging and settlement cost no fee: then there is no fee in the message either.
    simulator.deposit("sim-main", "USDT", dec("50000")).unwrap();
    desk.order("symbol=ETHUSDT&side=SELL&type=MARKET&quantity=2");
    events(&mut stream);
    simulator.force_adl("sim-main", &symbol("ETHUSDT"), PositionSide::Net, "1".parse().unwrap()).unwrap();
    simulator.settle_contract(&symbol("ETHUSDT")).unwrap();
    let all = events_of(&mut stream, "ORDER_TRADE_UPDATE");
    let calculated: Vec<_> = all.iter().map(|event| &event["o"]).filter(|order| order["x"] == "CALCULATED").collect();
    let client_ids: Vec<_> = calculated.iter().map(|order| order["c"].as_str().unwrap()).collect();
    assert_eq!(client_ids[0], "adl_autoclose");
    assert!(client_ids[1].starts_with("settlement_autoclose-"), "{client_ids:?}");
    assert!(calculated.iter().all(|order| order.get("n").is_none() && order.get("N").is_none()));
    let accepted = all.iter().map(|event| &event["o"]).find(|order| order["x"] == "NEW").unwrap();
    assert_eq!((&accepted["n"], &accepted["N"]), (&json!("0"), &json!("USDT")));
}

#[test]
fn a_healthy_stream_keeps_the_order_of_what_happened() {
    let (simulator, desk) = still();
    let mut stream = listen(&desk);
    let mut ids = Vec::new();
    for round in 0..20 {
        simulator.step(Duration::from_millis(round));
        ids.push(desk.order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01")["orderId"].clone());
    }
    let told = events(&mut stream);
    let orders: Vec<_> =
        told.iter().filter(|event| event["e"] == "TRADE_LITE").map(|event| event["i"].clone()).collect();
    assert_eq!(orders, ids);
    let times: Vec<_> = told.iter().map(|event| event["E"].as_i64().unwrap()).collect();
    assert!(times.is_sorted());
}
