//! What an order's answer states of its fee: an estimate until its trades are given, and counted once.

use serde_json::{Value, json};

use super::Child;
use crate::support::Sandbox;

const START_MS: u64 = 1_772_344_800_000;

/// An order as a ccxt bot has it, executed at once, with a fee.
fn order(id: u64, side: &str, average: &str, fee: &Value) -> Value {
    let at = START_MS + id * 1_000;
    json!({ "event": "order", "order": {
        "symbol": "BTC/USDT:USDT", "id": id.to_string(), "side": side, "status": "closed", "amount": 0.03, "filled": 0.03,
        "remaining": 0, "average": average, "fee": fee, "trades": [], "info": {
            "orderId": id, "symbol": "BTCUSDT", "status": "FILLED", "side": side.to_uppercase(), "positionSide": "BOTH",
            "type": "MARKET", "origQty": "0.03", "executedQty": "0.03", "avgPrice": average, "time": at, "updateTime": at + 5,
        },
    } })
}

/// A trade of an order, a third of it.
fn trade(id: u64, order_id: u64, side: &str, price: &str, fee: &str) -> Value {
    // (60100 - 60000) x 0.01.
    let realized = if side == "sell" { "1" } else { "0" };
    json!({ "event": "trade", "trade": { "symbol": "BTC/USDT:USDT", "id": id.to_string(), "side": side, "price": price, "amount": 0.01,
        "info": {
            "id": id, "orderId": order_id, "symbol": "BTCUSDT", "side": side.to_uppercase(), "positionSide": "BOTH",
            "price": price, "qty": "0.01", "commission": fee, "commissionAsset": "USDT", "realizedPnl": realized, "maker": false,
            "time": START_MS + order_id * 1_000 + 5,
        },
    } })
}

/// The fees of the only round trip, as `trips` shows them, in JSON and as a spreadsheet reads them, and those of the report.
fn shown(sandbox: &Sandbox) -> (Value, String, Value) {
    let trips = sandbox.run(&["trips", "--json"]).exits(0).json();
    let [trip] = trips.as_slice() else { panic!("{trips:?}") };
    let csv = sandbox.run(&["trips", "--csv"]).exits(0).stdout;
    let mut lines = csv.lines().map(|line| line.split(','));
    let column = lines.next().unwrap().position(|name| name == "fees").unwrap();
    let told = lines.next().unwrap().nth(column).unwrap().to_owned();
    let report = sandbox.run(&["report", "--json"]);
    let fees = report.json().into_iter().find_map(|line| Some(line.get("fees")?["USDT"].clone())).unwrap_or_default();
    (trip["fees"]["USDT"].clone(), told, fees)
}

#[test]
fn a_fee_that_an_answer_states_is_estimated_until_the_trades_are_there() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let mut child = Child::start(&sandbox, &[]);
    let mut ask = |line: &Value| {
        let answer = child.ask(line);
        assert!(answer["error"].is_null(), "{line}: {answer}");
        answer
    };
    // ccxt leaves the fee out, or empty, where the exchange's answer has none: then it is not known.
    ask(&order(1, "buy", "60000", &json!({ "cost": null, "currency": null })));
    ask(&order(2, "sell", "60100", &json!({ "cost": 0.9015, "currency": "USDT" })));
    let (fees, told, _) = shown(&sandbox);
    assert_eq!((&fees["certainty"], told.as_str()), (&json!("unknown"), "0.9015+? USDT"), "{fees}");
    // Asked for again, the order says it: 0.03 x 60000 x 0.05 %.
    ask(&order(1, "buy", "60000", &json!({ "cost": 0.9, "currency": "USDT" })));
    let (fees, told, report) = shown(&sandbox);
    assert_eq!((&fees["amount"], &fees["certainty"]), (&json!("1.8015"), &json!("estimated")), "{fees}");
    assert_eq!(told, "~1.8015 USDT");
    assert_eq!((&report["amount"], &report["certainty"]), (&json!("1.8015"), &json!("estimated")), "{report}");

    // Each trade takes its part of the estimate, whatever it says itself: here a bit more than was stated.
    for (id, fee, known, estimated) in [(11, "0.3", "0.3", "1.5015"), (12, "0.3", "0.6", "1.2015")] {
        ask(&trade(id, 1, "buy", "60000", fee));
        let (fees, _, report) = shown(&sandbox);
        assert_eq!((&fees["amount"], &fees["certainty"]), (&json!("1.8015"), &json!("estimated")), "{fees}");
        assert_eq!((&fees["known"], &fees["estimated"]), (&json!(known), &json!(estimated)), "{fees}");
        assert_eq!(report["amount"], "1.8015", "{report}");
    }
    ask(&trade(13, 1, "buy", "60000", "0.31"));
    assert_eq!(shown(&sandbox).0["amount"], "1.8115");
    for (id, fee) in [(21, "0.3005"), (22, "0.3005"), (23, "0.3005")] {
        ask(&trade(id, 2, "sell", "60100", fee));
    }
    let (fees, told, report) = shown(&sandbox);
    assert_eq!((&fees["amount"], &fees["certainty"]), (&json!("1.8115"), &json!("known")), "{fees}");
    assert_eq!(told, "1.8115 USDT");
    assert_eq!((&report["amount"], &report["certainty"]), (&json!("1.8115"), &json!("known")), "{report}");
    // The answers given again change nothing.
    assert_eq!(
        ask(&order(2, "sell", "60100", &json!({ "cost": 0.9015, "currency": "USDT" })))["outcome"],
        "already_recorded"
    );
    assert_eq!(shown(&sandbox).1, "1.8115 USDT");
    assert_eq!(child.finish().0, Some(0));
    let orders = sandbox.run(&["orders", "--json"]).exits(0).json();
    let stated: Vec<_> = orders.iter().map(|order| &order["stated_fees"]["USDT"]).collect();
    assert_eq!(stated, [&json!("0.9"), &json!("0.9015")], "{orders:?}");
    let verify = sandbox.run(&["verify"]);
    assert!(!verify.stdout.contains("FAIL"), "{}", verify.transcript());
}

/// Two answers about one quantity that differ are told, as of an average, and hold no entry back: it is an estimate.
#[test]
fn fees_that_answers_state_differently_hold_no_entry_back() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let mut child = Child::start(&sandbox, &[]);
    let fee =
        |cost: &str| -> Value { serde_json::from_str(&format!(r#"{{"cost":{cost},"currency":"USDT"}}"#)).unwrap() };
    child.ask(&order(1, "buy", "60000", &fee("0.9")));
    // What a library adds up in doubles is no other number.
    child.ask(&order(1, "buy", "60000", &fee("0.9000000000000001")));
    let open = || sandbox.run(&["discrepancies", "--json"]).json();
    assert_eq!(open(), Vec::<Value>::new());
    child.ask(&order(1, "buy", "60000", &fee("0.95")));
    let found = open();
    let [conflict] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(conflict["kind"], "conflicting_fact");
    assert_eq!(child.ask(&json!({ "event": "gate", "symbol": "BTCUSDT" }))["allowed"], true);
    // Of another average it is not allowed.
    child.ask(&order(1, "buy", "60007", &fee("0.95")));
    assert_eq!(child.ask(&json!({ "event": "gate", "symbol": "BTCUSDT" }))["allowed"], false);
    assert_eq!(child.finish().0, Some(0));
}
