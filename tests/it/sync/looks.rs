//! When the exchange was looked at: what every look leaves behind, and what `status` and `positions` make of it.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use exchange_client::{Clock as _, SystemClock};
use ledger_core::Side;

use super::traded;
use crate::support::{Exchange, Sandbox, Signal, send};

/// What somebody would find this long after the last look. The facts stay where they are in time.
fn let_pass(sandbox: &Sandbox, minutes: i64) {
    let ms = minutes * 60_000;
    sandbox.tamper(&format!(
        "UPDATE looks SET began_local_ms = began_local_ms - {ms}, ended_local_ms = ended_local_ms - {ms},
             began_ts = began_ts - {ms}, ended_ts = ended_ts - {ms}, succeeded_local_ms = succeeded_local_ms - {ms},
             seen_ts = seen_ts - {ms},
             seen_json = CASE WHEN stream = 'prices' THEN NULL ELSE seen_json END;
         UPDATE position_snapshots SET ts = ts - {ms};
         UPDATE positions SET exchange_ts = exchange_ts - {ms}, mark_ts = mark_ts - {ms};"
    ));
}

/// A book that was brought up to date a moment ago, with a position open.
fn synced(seed: u64) -> (Exchange, Sandbox) {
    let exchange = traded(seed);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    (exchange, sandbox)
}

fn status(sandbox: &Sandbox, code: i32) -> serde_json::Value {
    sandbox.run(&["status", "--json"]).exits(code).json().remove(0)
}

/// A server that takes questions and answers none, and a sync that has asked it.
fn asking_in_vain(sandbox: &Sandbox, exchange: &Exchange) -> (Child, TcpListener, TcpStream) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut environment = exchange.environment();
    environment[0].1 = &url;
    let mut command = sandbox.prepared(&["sync", "--quiet"], &environment);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut connection, _) = silent.accept().unwrap();
    assert!(connection.read(&mut [0_u8; 64]).unwrap() > 0);
    (child, silent, connection)
}

#[test]
fn a_look_that_finds_nothing_keeps_the_book_fresh() {
    let (exchange, sandbox) = synced(401);
    let fresh = sandbox.run(&["status"]).exits(0);
    assert!(fresh.stdout.contains("Attention  nothing"), "{}", fresh.transcript());
    // In one line, or in several where the machine took its time.
    let looked_at = fresh.stdout.split("Looked at").nth(1).and_then(|rest| rest.split("Last sync").next()).unwrap();
    for stream in ["positions", "orders", "balances", "ledger", "prices"] {
        assert!(looked_at.contains(stream), "{stream}: {}", fresh.transcript());
    }
    let told = status(&sandbox, 0);
    assert_eq!((&told["exit_code"], &told["looks"]["last"]["outcome"]), (&0.into(), &"succeeded".into()));
    let streams = told["looks"]["streams"].as_array().unwrap().clone();
    assert_eq!(streams.len(), 5);
    assert!(streams.iter().all(|stream| stream["stale"].is_null() && stream["due"] == false), "{streams:?}");
    let held = sandbox.run(&["positions", "--json"]).exits(0).json().remove(0);
    assert_eq!((&held["reconcile_status"], &held["exchange_stale"]), (&"MATCHED".into(), &serde_json::Value::Null));
    assert!(held["exchange_ts"].is_i64() && held["mark_ts"].is_i64() && held["mark_stale"] == false, "{held}");
    // Twenty minutes later, with a position open: no.
    let_pass(&sandbox, 20);
    let old = sandbox.run(&["status"]).exits(7);
    assert!(
        old.stdout.contains("not looked at recently enough") && old.stdout.contains("20 min ago"),
        "{}",
        old.stdout
    );
    assert!(old.stdout.contains("(stale)"), "{}", old.stdout);
    // The next look finds nothing, and that is what was asked for.
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    status(&sandbox, 0);
}

#[test]
fn what_rests_on_an_old_look_says_so() {
    let (_exchange, sandbox) = synced(402);
    let table = |sandbox: &Sandbox| sandbox.command(&["positions", "--all"], &[("COLUMNS", "300")]).exits(0).stdout;
    let fresh = table(&sandbox);
    assert!(fresh.contains("MATCHED") && !fresh.contains("stale") && !fresh.contains("Stale"), "{fresh}");
    assert!(fresh.contains("Marked") && fresh.contains("Seen") && fresh.contains(" ago"), "{fresh}");
    let_pass(&sandbox, 130);
    let old = table(&sandbox);
    assert!(old.contains("MATCHED, stale") && old.contains("2 h 10 min ago"), "{old}");
    let remark =
        "Stale: what the exchange holds of BTCUSDT, ETHUSDT; the mark, and so the unrealized profit, of BTCUSDT.";
    assert!(old.contains(remark), "{old}");
    let held = sandbox.run(&["positions", "--json"]).exits(0).json().remove(0);
    assert_eq!((&held["exchange_stale"], &held["mark_stale"]), (&"age".into(), &true.into()), "{held}");
    let csv = sandbox.run(&["positions", "--csv"]).exits(0).stdout;
    assert!(csv.contains("exchange_stale") && csv.contains(",age,"), "{csv}");
    // However narrow: where the status is, it says so, and where a profit is, its age is.
    for width in ["60", "80", "100", "120"] {
        let narrow = sandbox.command(&["positions"], &[("COLUMNS", width)]).exits(0).stdout;
        let header = narrow.lines().next().unwrap();
        assert!(!header.contains("Unrealized") || header.contains("Marked"), "{width}: {narrow}");
        assert!(!narrow.contains("MATCHED") || narrow.contains("MATCHED, stale"), "{width}: {narrow}");
        assert!(narrow.contains("Stale: "), "{width}: {narrow}");
    }
}

/// A working order works as far as the exchange said so last; sums of its ledger end where that was read last.
#[test]
fn lists_and_reports_say_when_the_exchange_was_asked() {
    let (_exchange, sandbox) = synced(412);
    let working = |sandbox: &Sandbox| {
        sandbox.run(&["orders", "--open", "--json"]).exits(0).json().pop().expect("an order that works")
    };
    let all = sandbox.run(&["orders", "--json"]).exits(0).json();
    assert!(all.iter().all(|order| order["seen_ts"].is_null()), "those that have ended have");
    sandbox.tamper("UPDATE orders SET status = 'NEW' WHERE order_id = (SELECT min(order_id) FROM orders)");
    let fresh = working(&sandbox);
    assert!(fresh["seen_ts"].is_i64() && fresh["seen_stale"].is_null(), "{fresh}");
    let rest = |sandbox: &Sandbox| {
        let lines = sandbox.run(&["report", "--json"]).exits(0).json();
        lines.into_iter().find(|line| line["schema"] == "fillbook.report.rest/1").unwrap()
    };
    assert!(rest(&sandbox)["ledger_seen_ts"].is_i64() && rest(&sandbox)["ledger_stale"].is_null());
    assert!(!sandbox.run(&["report"]).exits(0).stdout.contains("last read"));
    let_pass(&sandbox, 600);
    sandbox.tamper("UPDATE orders SET ts = ts - 36000000, updated_ts = updated_ts - 36000000");
    assert_eq!(working(&sandbox)["seen_stale"], "age");
    let table = sandbox.run(&["orders", "--open"]).exits(0).stdout;
    assert!(table.contains("Seen") && table.contains("10 h ago"), "{table}");
    assert_eq!(rest(&sandbox)["ledger_stale"], "age");
    assert!(sandbox.run(&["report"]).exits(0).stdout.contains("The ledger was last read 10 h ago"));
}

/// How recently is recently enough is a setting.
#[test]
fn the_limits_can_be_set() {
    let (_exchange, sandbox) = synced(403);
    let_pass(&sandbox, 20);
    sandbox.write("fillbook.toml", "[freshness]\nopen_minutes = 60\nafter_funding_minutes = 600\n");
    let told = status(&sandbox, 0);
    let stale: Vec<_> =
        told["looks"]["streams"].as_array().unwrap().iter().map(|stream| stream["stale"].clone()).collect();
    // The trades of a moment ago are newer than that look now, but not for long enough to ask for another one.
    assert_eq!(stale[..4], ["overtaken"; 4].map(serde_json::Value::from));
    assert_eq!(stale[4], "age");
    sandbox.write("fillbook.toml", "[freshness]\nopen_minutes = 0\n");
    let refused = sandbox.run(&["status"]).exits(1);
    assert!(refused.stderr.contains("open_minutes of [freshness] is 0"), "{}", refused.stderr);
}

#[test]
fn a_newer_fill_makes_a_look_stale() {
    let (_exchange, sandbox) = synced(404);
    let_pass(&sandbox, 8);
    status(&sandbox, 0);
    let fill = |id: u32, ago_ms: i64| {
        let ts = SystemClock.now().as_ms() - ago_ms;
        format!(
            r#"{{"schema":"fillbook.fill/1","source":"rest","symbol":"BTCUSDT","fill_id":"{id}","sequence":"{id}","side":"BUY","ts":{ts},"price":"60000","qty":"0.001","order_id":"77{id}","position_side":"NET"}}"#
        )
    };
    sandbox.write("older.ndjson", fill(1, 60 * 60_000));
    sandbox.run(&["import", "older.ndjson"]).exits(0);
    status(&sandbox, 0);
    sandbox.write("newer.ndjson", fill(900_000_000, 5 * 60_000));
    sandbox.run(&["import", "newer.ndjson"]).exits(0);
    let told = sandbox.run(&["status"]).exits(7);
    assert!(told.stdout.contains("newer than what was seen of positions, orders, balances, ledger"), "{}", told.stdout);
    let table = sandbox.command(&["positions"], &[("COLUMNS", "300")]).exits(0).stdout;
    assert!(table.contains(", overtaken") && table.contains("before the latest fills"), "{table}");
    let held = sandbox.run(&["positions", "--json"]).exits(0).json().remove(0);
    assert_eq!(held["exchange_stale"], "overtaken", "{held}");
}

/// Whoever asks only for the exit code must not take for fine what the last look showed as different, or as undecided.
#[test]
fn what_the_last_look_left_unsettled_is_not_fine() {
    let (exchange, sandbox) = synced(413);
    status(&sandbox, 0);
    // Of another contract than the one that the look was narrowed to.
    exchange.trade("fb-four", "SOLUSDT", Side::Buy, "12");
    let narrow = sandbox.command(&["sync", "--symbol", "ETHUSDT"], &exchange.environment()).exits(0);
    assert!(narrow.stdout.contains("SOLUSDT: something differs there"), "{}", narrow.transcript());
    let told = status(&sandbox, 7);
    assert_eq!(told["looks"]["left_aside"], serde_json::json!(["SOLUSDT"]), "{told}");
    assert!(told["attention"].to_string().contains("saw that something differs in SOLUSDT"), "{told}");
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    status(&sandbox, 0);
    // What the first of two looks doubts. Somebody's word that it may stay ends it.
    sandbox.tamper(
        "INSERT INTO discrepancies (account_id, symbol, kind, fingerprint, status, evidence_json, first_seen_local_ms,
             last_seen_local_ms) VALUES ('main', 'BTCUSDT', 'position_mismatch', 'x', 'pending', '{}', 1780000000000,
             1780000000000)",
    );
    let told = status(&sandbox, 7);
    assert!(told["attention"].to_string().contains("1 discrepancy not settled by the last look"), "{told}");
    sandbox.tamper("UPDATE discrepancies SET status = 'acknowledged' WHERE fingerprint = 'x'");
    status(&sandbox, 0);
}

#[test]
fn a_look_that_failed_is_told_with_its_code() {
    let (mut exchange, sandbox) = synced(405);
    let environment = exchange.environment().map(|(name, value)| (name, value.to_owned()));
    let run = |changed: &[(&str, &str)], code: i32| {
        let mut all: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.extend(changed);
        sandbox.command(&["sync"], &all).exits(code)
    };
    // Refused, and without any key at all: nobody else answered, and nobody looked.
    run(&[("FILLBOOK_API_SECRET", "wrong")], 4);
    let refused = sandbox.run(&["status"]).exits(4);
    assert!(
        refused.stdout.contains("the last sync failed") && refused.stdout.contains("exit code 4"),
        "{}",
        refused.stdout
    );
    run(&[], 0);
    status(&sandbox, 0);
    run(&[("FILLBOOK_API_SECRET", "")], 4);
    assert!(sandbox.run(&["status"]).exits(4).stdout.contains("FILLBOOK_API_SECRET is not set"));
    run(&[], 0);
    exchange.stop();
    run(&[], 5);
    let told = status(&sandbox, 5);
    let last = &told["looks"]["last"];
    assert_eq!((&last["outcome"], &last["failure"]["kind"]), (&"failed".into(), &"unreachable".into()), "{last}");
    assert_eq!(last["failure"]["exit_code"], 5);
    assert!(told["attention"][0].as_str().unwrap().contains("the last sync failed"), "{told}");
    // What was seen before still was.
    assert!(told["looks"]["streams"].as_array().unwrap().iter().all(|stream| stream["stale"].is_null()), "{told}");
    // However old it gets, the failure counts more.
    let_pass(&sandbox, 200);
    status(&sandbox, 5);
}

/// Where the book changed since the last look, no finding tells that it differs: it is no less wrong for that.
#[test]
fn a_position_that_differs_is_told_without_a_finding() {
    let (_exchange, sandbox) = synced(410);
    status(&sandbox, 0);
    // An older fill of a file, in front of all that the exchange was asked about, whatever the year.
    let older = r#"{"schema":"fillbook.fill/1","source":"rest","symbol":"BTCUSDT","fill_id":"0","sequence":"0","side":"BUY","ts":1572566400000,"price":"60000","qty":"0.01","fee":"0.1","fee_asset":"USDT"}"#;
    sandbox.write("older.ndjson", format!("{older}\n"));
    sandbox.run(&["import", "older.ndjson"]).exits(0);
    let told = sandbox.run(&["status"]).exits(3).stdout;
    assert!(told.contains("the book holds 0.03 of BTCUSDT, and the exchange 0.02"), "{told}");
    sandbox.run(&["verify"]).exits(3);
}

/// Readers, an audit, and an answer of another account change not a byte, and leave no file.
#[test]
fn nobody_else_writes_a_look() {
    let (exchange, sandbox) = synced(406);
    let other = traded(407);
    let before = sandbox.files();
    let run = sandbox.command(&["sync"], &other.environment()).exits(4);
    assert!(run.stderr.contains("nothing was written"), "{}", run.transcript());
    sandbox.command(&["audit"], &exchange.environment()).exits(0);
    sandbox.command(&["audit"], &other.environment()).exits(4);
    sandbox.run(&["status"]).exits(0);
    sandbox.run(&["positions"]).exits(0);
    assert!(before == sandbox.files(), "{:?}", sandbox.files().keys());
}

#[test]
fn a_sync_that_was_stopped_was_interrupted_and_one_that_runs_was_not() {
    let (exchange, sandbox) = synced(408);
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let (mut child, _silent, _connection) = asking_in_vain(&sandbox, &exchange);
        let running = sandbox.run(&["status"]).exits(0);
        assert!(running.stdout.contains("a sync is running"), "{signal:?}: {}", running.stdout);
        assert!(!running.stdout.contains("interrupted"), "{signal:?}: {}", running.stdout);
        assert!(status(&sandbox, 0)["looks"]["running"]["began_local"].is_i64());
        send(signal, &child);
        child.wait().unwrap();
        let stopped = sandbox.run(&["status"]).exits(1);
        assert!(stopped.stdout.contains("was interrupted"), "{signal:?}: {}", stopped.stdout);
        assert!(status(&sandbox, 1)["looks"]["running"].is_null());
        // Another one that runs makes it good, and this is no interruption.
        let (mut child, _silent, _connection) = asking_in_vain(&sandbox, &exchange);
        status(&sandbox, 0);
        child.kill().unwrap();
        child.wait().unwrap();
        sandbox.command(&["sync"], &exchange.environment()).exits(0);
        status(&sandbox, 0);
        let left: Vec<_> = sandbox.files().into_keys().collect();
        assert_eq!(left, ["fillbook.db"], "{signal:?}");
    }
}

/// A book that was never bound is not expected to be looked at, however old it is.
#[test]
fn a_book_of_files_alone_is_exempt() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let files = ["trades-archive.csv", "transactions.csv"];
    let files = files.map(|name| crate::support::fixture(&format!("import/one-way/{name}")));
    sandbox.run(&["import", &files[0], &files[1]]).exits(0);
    let told = sandbox.run(&["status"]).exits(0);
    assert!(!told.stdout.contains("Looked at") && !told.stdout.contains("looked at"), "{}", told.stdout);
    assert!(status(&sandbox, 0)["looks"]["last"].is_null());
    // One that was bound and never looked at to the end is not.
    let exchange = traded(409);
    let bound = Sandbox::empty();
    bound.command(&["sync"], &exchange.environment()).exits(0);
    bound.tamper("DELETE FROM looks");
    assert!(bound.run(&["status"]).exits(7).stdout.contains("not looked at to the end yet"));
}

/// 6 > 4 > 5 > 3 > 1 > 7, each with all those that count less.
#[test]
fn the_worst_that_is_known_is_the_exit_code() {
    let (_exchange, sandbox) = synced(410);
    let_pass(&sandbox, 30);
    status(&sandbox, 7);
    let failed = |kind: &str| {
        let outcome = if kind == "interrupted" { "interrupted" } else { "failed" };
        format!(
            "UPDATE looks SET outcome = '{outcome}', failed_local_ms = ended_local_ms, failure = '{kind}',
             failure_reason = 'for a test' WHERE stream = 'account'"
        )
    };
    sandbox.tamper(&failed("other"));
    status(&sandbox, 1);
    sandbox.tamper(&failed("interrupted"));
    status(&sandbox, 1);
    sandbox.tamper(
        "INSERT INTO discrepancies (account_id, symbol, kind, fingerprint, status, evidence_json, first_seen_local_ms,
             last_seen_local_ms) VALUES ('main', 'BTCUSDT', 'position_mismatch', 'x', 'pending', '{}', 1780000000000,
             1780000000000)",
    );
    status(&sandbox, 1);
    sandbox.tamper("UPDATE discrepancies SET status = 'unresolved' WHERE fingerprint = 'x'");
    let told = status(&sandbox, 3);
    assert!(told["attention"].to_string().contains("1 discrepancy confirmed"), "{told}");
    sandbox.tamper(&failed("unreachable"));
    status(&sandbox, 5);
    sandbox.tamper(&failed("authentication"));
    status(&sandbox, 4);
    sandbox.tamper("UPDATE symbol_books SET is_conserved = 0 WHERE symbol = 'BTCUSDT'");
    let told = status(&sandbox, 6);
    assert!(told["attention"].to_string().contains("does not balance"), "{told}");
    // Accepted, it does not count any more.
    sandbox.tamper("UPDATE symbol_books SET is_conserved = 1; UPDATE looks SET outcome = 'succeeded'");
    status(&sandbox, 3);
    sandbox.tamper("UPDATE discrepancies SET status = 'acknowledged' WHERE fingerprint = 'x'");
    status(&sandbox, 7);
    // Nobody knows what a damaged row said.
    sandbox.tamper("UPDATE looks SET seen_ts = 7 WHERE stream = 'balances'");
    assert!(sandbox.run(&["status"]).exits(6).stderr.contains("looks"));
}

/// The worst of all accounts counts.
#[test]
fn the_worst_account_is_the_exit_code() {
    let (_exchange, sandbox) = synced(411);
    sandbox.run(&["init", "--account", "zz-files"]).exits(0);
    sandbox.write("fillbook.toml", "account = \"nobody\"\n");
    let_pass(&sandbox, 30);
    assert_eq!(sandbox.run(&["status", "--json"]).exits(7).json().len(), 2);
    sandbox.run(&["status", "--account", "zz-files"]).exits(0);
}
