//! `sync` and `audit` against an exchange over HTTP, and what they leave in the journal.

mod access;
mod interruption;
mod journal;
mod killed;
mod labels;
mod looks;
mod outside;
mod told;

use exchange_client::simulator::FaultProfile;
use ledger_core::Side;

use crate::support::{Exchange, Sandbox};

/// Two symbols, one position open, one closed.
fn traded(seed: u64) -> Exchange {
    let exchange = Exchange::start(seed);
    exchange.trade("fb-one", "BTCUSDT", Side::Buy, "0.02");
    exchange.trade("fb-two", "ETHUSDT", Side::Sell, "0.5");
    exchange.trade("fb-three", "ETHUSDT", Side::Buy, "0.5");
    exchange
}

/// The trade ids of the exchange's own books and of the book.
#[track_caller]
fn assert_same_fills(exchange: &Exchange, sandbox: &Sandbox) {
    let books = exchange.simulator.books();
    let mut truth: Vec<String> =
        books.accounts[0].trades.iter().map(|trade| format!("{} {} {}", trade.symbol, trade.id, trade.qty)).collect();
    let fills = sandbox.run(&["fills", "--json"]).exits(0).json();
    let mut found: Vec<String> = fills
        .iter()
        .map(|fill| {
            let text = |key: &str| fill[key].as_str().unwrap().to_owned();
            format!("{} {} {}", text("symbol"), text("fill_id"), text("qty"))
        })
        .collect();
    truth.sort();
    found.sort();
    assert_eq!(truth, found);
}

/// From flags and environment alone, in an empty folder: a book with the account's history, and a second run that finds
/// nothing.
#[test]
fn a_first_sync_makes_the_book() {
    let exchange = traded(1);
    let sandbox = Sandbox::empty();
    let run = sandbox.command(&["sync"], &exchange.environment()).exits(0);
    assert!(run.stderr.contains("Account main is new in fillbook.db"), "{}", run.transcript());
    assert!(run.stdout.contains("restore_order") && run.stdout.contains("Left       nothing"), "{}", run.transcript());
    assert_same_fills(&exchange, &sandbox);
    let status = sandbox.run(&["status"]).exits(0).stdout;
    assert!(status.contains(&exchange.base_url), "{status}");
    assert!(status.contains("Last sync") && status.contains("done"), "{status}");

    // The address is remembered; the book is not asked for it again.
    let [_, key, secret] = exchange.environment();
    let again = sandbox.command(&["sync", "--json"], &[key, secret]).exits(0);
    let summary = again.json().pop().unwrap();
    assert_eq!((&summary["schema"], &summary["command"]), (&"fillbook.reconcile/1".into(), &"sync".into()));
    assert_eq!((&summary["left"], &summary["repairs"]), (&0.into(), &0.into()), "{summary}");
    assert!(summary["requests"].as_u64().unwrap() > 0 && summary["weight"].as_u64().unwrap() > 0, "{summary}");
    sandbox.command(&["audit"], &[key, secret]).exits(0);
    let verify = sandbox.run(&["verify"]);
    assert!(!verify.stdout.contains("FAIL"), "{}", verify.transcript());
}

/// A file of labels that is not there is told before anything is made or asked.
#[test]
fn a_mistyped_file_of_labels_leaves_no_book() {
    let exchange = traded(35);
    for option in ["--state", "--entry-events"] {
        let sandbox = Sandbox::empty();
        let run = sandbox.command(&["sync", option, "stat.json"], &exchange.environment()).exits(1);
        assert!(run.stderr.contains("stat.json cannot be read") && sandbox.files().is_empty(), "{}", run.transcript());
    }
}

/// The audit finds what the sync would repair, and not a byte of the folder changes, nor does a file come or go.
#[test]
fn audit_changes_nothing_and_exits_3() {
    let exchange = traded(2);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    exchange.trade("fb-four", "SOLUSDT", Side::Buy, "12");
    exchange.trade("fb-five", "BTCUSDT", Side::Sell, "0.02");
    let before = sandbox.files();
    let table = sandbox.command(&["audit"], &exchange.environment()).exits(3);
    assert!(table.stdout.contains("nothing is changed"), "{}", table.transcript());
    let json = sandbox.command(&["audit", "--json"], &exchange.environment()).exits(3).json();
    let csv = sandbox.command(&["audit", "--csv"], &exchange.environment()).exits(3).stdout;
    assert!(before == sandbox.files(), "an audit touched the folder: {:?}", sandbox.files().keys());
    let findings: Vec<_> = json.iter().filter(|line| line["schema"] == "fillbook.reconcile.finding/1").collect();
    assert!(findings.iter().any(|found| found["symbol"] == "SOLUSDT"), "{findings:?}");
    assert!(findings.iter().any(|found| found["symbol"] == "BTCUSDT"), "{findings:?}");
    assert!(findings.iter().all(|found| !found["evidence"].as_str().unwrap().is_empty()), "{findings:?}");
    assert_eq!(csv.lines().count(), findings.len() + 1, "{csv}");
}

/// `--symbol` narrows what is looked at and what is repaired; the rest waits for a whole sync.
#[test]
fn a_narrowed_sync_leaves_the_rest_alone() {
    let exchange = traded(9);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    exchange.trade("fb-four", "SOLUSDT", Side::Buy, "12");
    exchange.trade("fb-five", "BTCUSDT", Side::Sell, "0.02");
    let narrow = sandbox.command(&["audit", "--json", "--symbol", "SOLUSDT"], &exchange.environment()).exits(3).json();
    let symbols: Vec<_> = narrow.iter().filter_map(|line| line["symbol"].as_str()).collect();
    assert!(!symbols.is_empty() && symbols.iter().all(|symbol| *symbol == "SOLUSDT"), "{narrow:?}");
    sandbox.command(&["sync", "--symbol", "SOLUSDT"], &exchange.environment()).exits(0);
    let fills = sandbox.run(&["fills", "--json"]).exits(0).json();
    let of = |symbol: &str| fills.iter().filter(|fill| fill["symbol"] == symbol).count();
    let truth = exchange.simulator.books();
    let at_exchange = |symbol: &str| truth.accounts[0].trades.iter().filter(|trade| trade.symbol == symbol).count();
    assert_eq!(of("SOLUSDT"), at_exchange("SOLUSDT"));
    assert!(of("BTCUSDT") < at_exchange("BTCUSDT"), "{fills:?}");
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    assert_same_fills(&exchange, &sandbox);
}

/// Which strategy it was, from the bot's own files: its log of entries, then its state. What cannot be read of them is
/// named, and stops nothing.
#[test]
fn labels_come_from_the_bots_own_files() {
    let exchange = Exchange::start(11);
    exchange.trade("job-1", "BTCUSDT", Side::Buy, "0.02");
    exchange.trade("job-2", "ETHUSDT", Side::Sell, "0.5");
    let sandbox = Sandbox::empty();
    let engine = |symbol: &str| {
        let orders = sandbox.run(&["orders", "--json", "--symbol", symbol]).exits(0).json();
        orders[0]["engine"].as_str().map(str::to_owned)
    };
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    assert_eq!((engine("BTCUSDT"), engine("ETHUSDT")), (None, None));
    let order = sandbox.run(&["orders", "--json", "--symbol", "BTCUSDT"]).exits(0).json()[0]["order_id"].clone();
    let entry = format!(
        r#"{{"ts": 1772344800, "symbol": "BTC/USDT:USDT", "side": "LONG", "engine": "swing", "order_id": {order}}}"#
    );
    sandbox.write("entries.log", format!("{entry}\n{{broken\n"));
    sandbox.write("state.json", r#"{"ETH/USDT:USDT": {"in_pos": true, "meta": {"reason": "reversal"}}}"#);
    let missing = sandbox.command(&["sync", "--entry-events", "nowhere.log"], &exchange.environment()).exits(1);
    assert!(missing.stderr.contains("nowhere.log"), "{}", missing.transcript());
    sandbox.write("other.txt", "not what was meant\n");
    for option in ["--entry-events", "--state"] {
        let other = sandbox.command(&["sync", option, "other.txt"], &exchange.environment()).exits(1);
        assert!(other.stderr.contains("nothing in other.txt can be used"), "{}", other.transcript());
    }
    let files = ["--entry-events", "entries.log", "--state", "state.json"];
    sandbox.command(&[&["audit"], &files[..]].concat(), &exchange.environment()).exits(3);
    let run = sandbox.command(&[&["sync"], &files[..]].concat(), &exchange.environment()).exits(0);
    // The line names its order: the bot's own word. The state speaks of a position: that waits for a second look.
    assert!(run.stderr.contains("entries.log, line 2: not used"), "{}", run.transcript());
    assert!(run.stdout.contains("label_order"), "{}", run.transcript());
    assert_eq!((engine("BTCUSDT").as_deref(), engine("ETHUSDT").as_deref()), (Some("swing"), None));
    assert!(run.stdout.contains("ETHUSDT  pending"), "{}", run.transcript());
    // A look that follows within the time by which answers lag is none.
    sandbox.command(&[&["sync"], &files[..]].concat(), &exchange.environment()).exits(0);
    assert_eq!(engine("ETHUSDT"), None);
}

/// An exchange that drops, delays, throttles and garbles by chance: whatever a run could not read the next one reads, the
/// book stays sound, and in the end it is the exchange's.
#[test]
fn a_bad_day_of_the_exchange_ends_well() {
    let exchange = traded(12);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    exchange.trade("fb-four", "SOLUSDT", Side::Buy, "12");
    exchange.simulator.set_faults(FaultProfile::flaky());
    for _ in 0..3 {
        let run = sandbox.command(&["sync", "--json"], &exchange.environment());
        assert!([0, 3, 5].contains(&run.code), "{}", run.transcript());
        // A partly answered look says so in its exit code.
        let summary = run.json().into_iter().find(|line| line["schema"] == "fillbook.reconcile/1");
        let unanswered = summary.is_some_and(|summary| !summary["not_answered"].as_array().unwrap().is_empty());
        assert!(!unanswered || run.code != 0, "{}", run.transcript());
    }
    exchange.simulator.set_faults(FaultProfile::none());
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    assert_same_fills(&exchange, &sandbox);
    let verify = sandbox.run(&["verify"]);
    assert!(!verify.stdout.contains("FAIL"), "{}", verify.transcript());
}

/// The user's word about the position mode, and the exchange says otherwise: told, on record, and in the exit code.
#[test]
fn a_word_that_the_exchange_contradicts_is_told() {
    let exchange = traded(14);
    let sandbox = Sandbox::with_book(&["--position-mode", "hedge"]);
    let run = sandbox.command(&["sync"], &exchange.environment()).exits(3);
    assert!(run.stdout.contains("was said to be hedge, but a fact of one-way mode"), "{}", run.transcript());
    sandbox.run(&["init", "--position-mode", "one-way"]).exits(0);
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
}
