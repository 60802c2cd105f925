//! Which strategy it was, from the bot's own files.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use exchange_client::{Clock, SystemClock};
use ledger_core::{Side, TimestampMs};
use serde_json::Value;

use crate::support::{Exchange, Sandbox};

/// A clock that is behind the machine's by as much as one likes: an exchange's, so that a test need not wait.
#[derive(Debug)]
struct Behind(AtomicI64);

impl Clock for Behind {
    fn now(&self) -> TimestampMs {
        SystemClock.now().saturating_add_ms(-self.0.load(Ordering::SeqCst))
    }
}

/// A line of the log that names no order, and a state: both are inferences. A look later, when what they rest on can change
/// no more, the labels stand, with what they are worth, in orders, trips, the report, and the journal.
#[test]
fn inferred_labels_stand_after_a_second_look() {
    let clock = Arc::new(Behind(AtomicI64::new(600_000)));
    let exchange = Exchange::with_clock(18, clock.clone());
    exchange.trade("job-1", "BTCUSDT", Side::Buy, "0.02");
    exchange.trade("job-2", "ETHUSDT", Side::Sell, "0.5");
    let sandbox = Sandbox::empty();
    let seconds = clock.now().as_ms() / 1_000;
    let entry = format!(r#"{{"ts": {seconds}, "symbol": "BTC/USDT:USDT", "side": "LONG", "engine": "swing"}}"#);
    sandbox.write("entries.log", format!("{entry}\n"));
    sandbox.write("state.json", r#"{"ETH/USDT:USDT": {"in_pos": true, "meta": {"reason": "reversal"}}}"#);
    let list = |args: &[&str]| sandbox.run(&[args, &["--json"]].concat()).exits(0).json();
    let engines = |args: &[&str]| -> Vec<(String, Option<String>)> {
        let text = |row: &Value, name: &str| row[name].as_str().map(str::to_owned);
        let mut rows: Vec<_> =
            list(args).iter().map(|row| (text(row, "symbol").unwrap(), text(row, "engine"))).collect();
        rows.sort();
        rows
    };
    let told = |btc: Option<&str>, eth: Option<&str>| {
        let row = |symbol: &str, engine: Option<&str>| (symbol.to_owned(), engine.map(str::to_owned));
        vec![row("BTCUSDT", btc), row("ETHUSDT", eth)]
    };
    let sync = ["sync", "--entry-events", "entries.log", "--state", "state.json"];
    // The exchange's clock is off, which is told, and waits for a second look.
    let first = sandbox.command(&sync, &exchange.environment()).exits(0);
    assert!(first.stdout.contains("clock_skew"), "{}", first.transcript());
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        let pending = first.stdout.lines().any(|line| line.contains(symbol) && line.contains("pending"));
        assert!(pending, "{}", first.transcript());
    }
    assert_eq!(engines(&["orders"]), told(None, None));
    clock.0.store(0, Ordering::SeqCst);
    let second = sandbox.command(&sync, &exchange.environment()).exits(0);
    assert!(second.stdout.contains("label_order"), "{}", second.transcript());
    let labelled = told(Some("swing"), Some("reversal"));
    assert_eq!(engines(&["orders"]), labelled);
    assert_eq!(engines(&["trips", "--open"]), labelled);
    let repairs = list(&["repairs"]);
    let of: Vec<_> = repairs.iter().filter(|repair| repair["kind"] == "label_order").collect();
    assert_eq!(of.len(), 2, "{repairs:?}");
    for (symbol, engine, source) in [("BTCUSDT", "swing", "bot_log"), ("ETHUSDT", "reversal", "bot_state")] {
        let repair = of.iter().find(|repair| repair["symbol"] == symbol).unwrap().to_string();
        assert!(repair.contains(engine) && repair.contains(source) && repair.contains("estimated"), "{repair}");
    }
    // Known by now: the same files bring nothing new.
    let third = sandbox.command(&sync, &exchange.environment()).exits(0);
    assert!(third.stdout.contains("Left       nothing"), "{}", third.transcript());
    assert_eq!(list(&["repairs"]).len(), repairs.len(), "nothing was changed");
    // A round trip belongs to the strategy that opened it.
    exchange.trade("job-3", "BTCUSDT", Side::Sell, "0.02");
    exchange.trade("job-4", "ETHUSDT", Side::Buy, "0.5");
    sandbox.command(&sync, &exchange.environment()).exits(0);
    assert_eq!(engines(&["trips"]), labelled);
    let mut groups: Vec<_> = list(&["report", "--by", "engine"])
        .into_iter()
        .filter(|line| line["schema"] == "fillbook.report.group/1")
        .map(|line| (line["group"].as_str().unwrap().to_owned(), line["trips"].as_u64()))
        .collect();
    groups.sort();
    assert_eq!(groups, [("reversal".to_owned(), Some(1)), ("swing".to_owned(), Some(1))]);
}
