//! What a bot announced and nobody heard of any more, and what it never told: `status`, `verify`, `gate` and the lists say so, and
//! what settles it.

use exchange_client::{Clock as _, SystemClock};
use ledger_core::Side;
use serde_json::{Value, json};

use super::Child;
use crate::support::{Exchange, Run, Sandbox};

const SETTLES: &str = "`fillbook sync` settles it";
const BRINGS: &str = "executed, and the bot told no trades of them: `fillbook sync` brings them";

fn now_ms() -> i64 {
    SystemClock.now().as_ms()
}

/// Announces an order that was written down so long ago.
fn announce(child: &mut Child, client_order_id: &str, symbol: &str, ago_ms: i64) {
    let intent = json!({ "event": "intent", "symbol": symbol, "side": "buy", "role": "entry", "type": "market", "amount": "0.01",
        "engine": "swing", "trade": client_order_id, "client_order_id": client_order_id, "time": now_ms() - ago_ms });
    let answer = child.ask(&intent);
    assert_eq!(answer["outcome"], "recorded", "{answer}");
}

fn check(sandbox: &Sandbox) -> Value {
    let checks = sandbox.run(&["verify", "--json"]).json();
    checks.into_iter().find(|check| check["check"] == "executed_quantity").unwrap()
}

fn says(run: &Run, what: &str) -> bool {
    run.stdout.contains(what)
}

/// One whose end nobody heard is told by its client order id wherever somebody looks, until the exchange has said what became
/// of it.
#[test]
fn an_order_that_nobody_heard_of_is_told_until_it_is_settled() {
    let exchange = Exchange::start(811);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    let mut child = Child::start(&sandbox, &[]);
    announce(&mut child, "bot-1", "BTCUSDT", 3 * 60_000);
    exchange.trade("bot-1", "BTCUSDT", Side::Buy, "0.01");
    let table = sandbox.command(&["status"], &[("COLUMNS", "300")]).exits(7);
    assert!(says(&table, "nobody heard what became of 1 order"), "{}", table.transcript());
    assert!(
        says(&table, SETTLES) && says(&table, "BTCUSDT BUY (entry), client order id bot-1, sent"),
        "{}",
        table.stdout
    );
    assert!(says(&table, "3 min ago; perhaps it was never sent"), "{}", table.stdout);
    let status = sandbox.run(&["status", "--json"]).exits(7).json().remove(0);
    let told = &status["undecided_intents"][0];
    assert_eq!((&told["client_order_id"], &told["symbol"]), (&json!("bot-1"), &json!("BTCUSDT")), "{status}");
    assert!(told["created_local"].is_i64() && told["age_ms"].as_i64().unwrap() >= 180_000, "{told}");
    // `verify` compares nothing of it, and says which.
    let check = |verdict: &str| {
        let check = check(&sandbox);
        assert_eq!(check["verdict"], verdict, "{check}");
        check["detail"].as_str().unwrap().to_owned()
    };
    let detail = check("not_checkable");
    assert!(detail.contains("bot-1") && detail.contains(SETTLES), "{detail}");
    // The gate, for people and programs.
    let gate = |more: &[&str]| sandbox.command(&[&["gate", "BTCUSDT"], more].concat(), &[("COLUMNS", "300")]).exits(3);
    assert!(says(&gate(&[]), "bot-1") && says(&gate(&[]), SETTLES), "{}", gate(&[]).stdout);
    let reason = gate(&["--json"]).json()[0]["reasons"][0].clone();
    assert_eq!((&reason["client_order_id"], &reason["advice"]), (&json!("bot-1"), &json!(SETTLES)), "{reason}");
    assert_eq!(reason["intent_local"], told["created_local"]);
    let csv = gate(&["--csv"]).stdout;
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("kind,text,advice,client_order_id,intent_local,discrepancy"), "{csv}");
    assert!(lines.next().unwrap().contains(&format!(",{SETTLES},bot-1,")), "{csv}");
    // The list of what was announced.
    let intents = |more: &[&str]| sandbox.run(&[&["intents", "--json"], more].concat()).exits(0).json();
    let open = intents(&["--undecided"]);
    assert_eq!(
        (open.len(), &open[0]["outcome"], &open[0]["order_id"]),
        (1, &json!("pending"), &Value::Null),
        "{open:?}"
    );
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    let settled = sandbox.run(&["status"]);
    assert!(!says(&settled, "nobody heard"), "{}", settled.stdout);
    assert_eq!(intents(&["--undecided"]).len(), 0);
    let all = intents(&["--symbol", "BTCUSDT"]);
    let became = (&all[0]["outcome"], &all[0]["order_status"], &all[0]["executed_qty"]);
    assert_eq!(became, (&json!("accepted"), &json!("FILLED"), &json!("0.01")), "{all:?}");
    assert!(all[0]["order_id"].is_string() && all[0]["order_ts"].is_i64(), "{all:?}");
    assert!(check("pass").starts_with("1 order"), "{all:?}");
}

/// An answer may be on its way for a moment; of a venue that cannot be asked, the bot has to ask.
#[test]
fn an_order_on_its_way_alarms_nobody() {
    let exchange = Exchange::start(812);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    let mut child = Child::start(&sandbox, &[]);
    announce(&mut child, "bot-1", "BTCUSDT", 0);
    let run = sandbox.command(&["status"], &[("COLUMNS", "300")]).exits(0);
    assert!(says(&run, "bot-1") && says(&run, "its answer may be on its way"), "{}", run.stdout);
    // No answer came at all.
    let sent = json!({ "event": "sent", "client_order_id": "bot-1", "symbol": "BTCUSDT", "result": "unknown" });
    assert_eq!(child.ask(&sent)["intent"], "unknown");
    sandbox.run(&["status"]).exits(7);
    let sandbox = Sandbox::with_book(&["--venue", "other"]);
    let mut child = Child::start(&sandbox, &[]);
    announce(&mut child, "bot-1", "BTC/USDT:USDT", 3 * 60_000);
    // Nobody looks at the exchange for it.
    let run = sandbox.command(&["status"], &[("COLUMNS", "300")]).exits(0);
    assert!(
        says(&run, "ask the exchange for it, and tell `fillbook record`") && !says(&run, SETTLES),
        "{}",
        run.stdout
    );
}

/// An order as the bot heard of it, executed at once.
fn executed(id: &str, side: &str, qty: &str, average: &str, at: i64) -> Value {
    json!({ "event": "order", "order": { "symbol": "BTC/USDT:USDT", "id": id, "side": side, "info": {
        "orderId": id.parse::<u64>().unwrap(), "symbol": "BTCUSDT", "status": "FILLED", "side": side.to_uppercase(), "positionSide": "BOTH",
        "type": "MARKET", "origQty": qty, "executedQty": qty, "avgPrice": average, "time": at, "updateTime": at,
    } } })
}

/// Orders that executed and of which no trade was ever told lack nothing yet: `verify` and `status` say what brings the trades, and
/// agree. One of which some were told lacks the others.
#[test]
fn a_bot_that_tells_no_trades_is_told_what_brings_them() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let mut child = Child::start(&sandbox, &[]);
    let at = now_ms() - 3_600_000;
    child.ask(&executed("7", "buy", "0.03", "60000", at));
    let detail = check(&sandbox);
    assert_eq!((&detail["verdict"], &detail["not_compared"]), (&json!("not_checkable"), &json!(1)), "{detail}");
    assert!(detail["detail"].as_str().unwrap().contains("`fillbook sync` brings them (order 7 "), "{detail}");
    sandbox.run(&["verify"]).exits(0);
    let run = sandbox.command(&["status"], &[("COLUMNS", "300")]).exits(0);
    assert!(says(&run, &format!("1 order {BRINGS}")), "{}", run.stdout);
    let trade = json!({ "event": "trade", "trade": { "symbol": "BTC/USDT:USDT", "id": "1", "side": "buy", "info": {
        "id": 1, "orderId": 7, "symbol": "BTCUSDT", "side": "BUY", "positionSide": "BOTH", "price": "60000", "qty": "0.01",
        "commission": "0.1", "commissionAsset": "USDT", "realizedPnl": "0", "maker": false, "time": at,
    } } });
    child.ask(&trade);
    assert_eq!(check(&sandbox)["verdict"], "fail");
    sandbox.run(&["verify"]).exits(3);
    let run = sandbox.run(&["status"]).exits(3);
    assert!(says(&run, "fillbook orders --missing-fills") && !says(&run, "told no trades"), "{}", run.stdout);
}

/// The same beside an exchange: until the next look all is as it should be, and after that `status` asks for one. A close that the
/// bot told, with why, is no surprise to it, and what a look cost is one number.
#[test]
fn a_look_brings_the_trades_that_the_bot_did_not_tell() {
    let exchange = Exchange::start(813);
    let sandbox = Sandbox::empty();
    let first = sandbox.command(&["sync", "--json"], &exchange.environment()).exits(0).json();
    let cost = |lines: &[Value]| {
        let report = lines.iter().find(|line| line["schema"] == "fillbook.reconcile/1").unwrap();
        (report["requests"].clone(), report["weight"].clone())
    };
    let run = sandbox.run(&["runs", "--kind", "sync", "--json"]).exits(0).json().remove(0);
    assert_eq!((run["detail"]["requests"].clone(), run["detail"]["weight"].clone()), cost(&first), "{run}");
    let orders = [("bot-1", Side::Buy), ("bot-2", Side::Sell)];
    for (id, side) in orders {
        exchange.trade(id, "BTCUSDT", side, "0.01");
    }
    // What the exchange says of these, which is what the bot heard.
    let other = Sandbox::empty();
    other.command(&["sync"], &exchange.environment()).exits(0);
    let heard = other.run(&["orders", "--json"]).exits(0).json();
    let mut child = Child::start(&sandbox, &[]);
    for order in &heard {
        let word = |name: &str| order[name].as_str().unwrap();
        let at = order["updated_ts"].as_i64().unwrap();
        let line = executed(word("order_id"), &word("side").to_lowercase(), "0.01", word("avg_price"), at);
        assert_eq!(child.ask(&line)["outcome"], "recorded", "{line}");
    }
    let exit = heard.iter().find(|order| order["side"] == "SELL").unwrap();
    let closed = json!({ "event": "closed", "symbol": "BTCUSDT", "side": "long", "reason": "take_profit",
        "order_id": exit["order_id"], "time": exit["updated_ts"] });
    let answer = child.ask(&closed);
    assert!(answer["error"].is_null(), "{answer}");
    assert_eq!(check(&sandbox)["verdict"], "not_checkable");
    let young = sandbox.command(&["status"], &[("COLUMNS", "300")]).exits(0);
    assert!(says(&young, &format!("2 orders {BRINGS}")), "{}", young.stdout);
    // Some minutes later.
    sandbox.tamper(
        "UPDATE orders SET ts = ts - 300000, updated_ts = updated_ts - 300000;
         UPDATE looks SET seen_ts = seen_ts - 600000, began_ts = began_ts - 600000",
    );
    let due = sandbox.run(&["status"]).exits(7);
    assert!(says(&due, "`fillbook sync` brings them"), "{}", due.stdout);
    let _ = sandbox.command(&["sync"], &exchange.environment());
    assert_eq!(check(&sandbox)["verdict"], "pass");
    assert!(!says(&sandbox.run(&["status"]), "told no trades"));
    let restored = sandbox.run(&["repairs", "--kind", "restore_signal", "--json"]).exits(0).json();
    let of_exit = restored.iter().filter(|repair| repair["after"]["order_id"] == exit["order_id"]).collect::<Vec<_>>();
    assert!(of_exit.is_empty(), "{of_exit:?}");
    // Flat by the exchange's word as well: no open position, whatever is estimated of its profit.
    assert_eq!(sandbox.run(&["positions", "--json"]).exits(0).json(), [] as [Value; 0]);
    let trip = sandbox.run(&["trips", "--json"]).exits(0).json().remove(0);
    assert_eq!(trip["exit_reason"], "take_profit", "{trip}");
}

/// Whoever does what a refusal says can have the trade recorded.
#[test]
fn the_size_of_a_contract_can_be_told_in_the_object() {
    let sandbox = Sandbox::with_book(&["--venue", "other", "--position-mode", "one-way"]);
    let mut child = Child::start(&sandbox, &[]);
    let mut trade = json!({ "symbol": "DOGE/USDT:USDT", "id": "5", "order": "9", "side": "buy", "price": "0.2", "amount": "7",
        "timestamp": now_ms() });
    let refused = child.ask(&json!({ "event": "trade", "trade": trade }));
    let advice = refused["error"]["advice"].as_str().unwrap();
    assert!(advice.contains("put `contractSize` into the object"), "{refused}");
    trade["contractSize"] = 100.into();
    let recorded = child.ask(&json!({ "event": "trade", "trade": trade }));
    assert_eq!(recorded["outcome"], "recorded", "{recorded}");
    assert_eq!(sandbox.run(&["fills", "--json"]).exits(0).json()[0]["qty"], "700");
}
