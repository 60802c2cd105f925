//! Words of others on their way to a terminal: names of files, aliases, settings, and what somebody wrote into the book.

use std::sync::Arc;

use ledger_core::{Side, disturbs_display};

use crate::support::{Asked, Exchange, Habit, Parrot, Run, Sandbox, response};

/// Moves the cursor, colours, turns the direction, hides, and pretends to be another line.
const NASTY: &str = "a\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{7f}\u{202e}\u{200b}\u{feff}\rerror: b";

#[track_caller]
fn assert_printable(runs: &[Run]) {
    for run in runs {
        let found = run.stdout.chars().chain(run.stderr.chars()).find(|c| disturbs_display(*c) && *c != '\n');
        assert_eq!(found, None, "{:?}", run.transcript());
    }
}

/// On the command line, in variables, in the configuration, in names of files: shown escaped.
#[test]
fn what_a_person_names_is_shown_escaped() {
    let sandbox = Sandbox::with_book(&[]);
    let mut runs = Vec::new();
    let file = format!("{NASTY}\nwarning: c.csv");
    sandbox.write(&file, "no known\u{1b}[2J format\u{9b}31m\n");
    let book = format!("{NASTY}.db");
    for words in [
        &["import", &file][..],
        &["import", "--json", &file],
        &["import", &format!("missing{NASTY}")],
        &["init", "--db", &book],
        &["status", "--db", &book],
        &["status", "--db", &book, "--json"],
        &["status", "--db", &format!("missing{NASTY}")],
        &["fills", "--symbol", NASTY],
        &["status", "--account", NASTY],
        &["status", "--tz", NASTY],
        &["fills", "--since", NASTY],
        &[NASTY],
        &["sync", "--base-url", &format!("https://{NASTY}")],
        &["--help"],
    ] {
        runs.push(sandbox.run(words));
    }
    assert!(
        runs[0].stderr.contains("\\u{1b}[2J") && !runs[0].stderr.contains("\nwarning: c.csv"),
        "{}",
        runs[0].transcript()
    );
    for name in ["FILLBOOK_DB", "FILLBOOK_ACCOUNT", "FILLBOOK_TZ", "FILLBOOK_CONFIG", "FILLBOOK_BASE_URL"] {
        let environment =
            [(name, NASTY), ("FILLBOOK_API_KEY", "some-key-of-ours"), ("FILLBOOK_API_SECRET", "its-secret-text")];
        runs.push(sandbox.command(&["audit"], &environment));
        runs.push(sandbox.command(&["audit", "--help"], &environment));
    }
    let toml = serde_json::Value::from(NASTY.replace('\u{7f}', "")).to_string();
    for config in [
        format!("account = {toml}\n"),
        format!("tz = {toml}\n"),
        format!("[accounts.main]\nvenue = {toml}\n"),
        format!("[accounts.main]\nbase_url = {toml}\n"),
        format!("{toml} = 1\n"),
        format!("db = {toml}\n"),
    ] {
        sandbox.write("fillbook.toml", config);
        runs.push(sandbox.run(&["sync"]));
        runs.push(sandbox.run(&["status", "--json"]));
    }
    assert_printable(&runs);
}

/// From the exchange, and from somebody who edited the book: tables, JSON and CSV.
#[test]
fn what_others_wrote_is_shown_escaped() {
    let exchange = Exchange::start(37);
    exchange.trade("fb-one", "BTCUSDT", Side::Buy, "0.02");
    let habit: Arc<Habit> = Arc::new(|asked: &Asked, body: &str| {
        let nasty = serde_json::Value::from(NASTY).to_string();
        (asked.path == "/fapi/v3/balance").then(|| {
            let told = body.replace("\"sim-main\"", &nasty);
            response("200 OK", "application/json", &told)
        })
    });
    let parrot = Parrot::before(&exchange.base_url, habit);
    let sandbox = Sandbox::empty();
    let mut environment = exchange.environment();
    environment[0].1 = &parrot.base_url;
    let mut runs = vec![
        sandbox.command(&["sync", "-vvv"], &environment).exits(0),
        // The account itself has another name than the book knows.
        sandbox.command(&["sync", "--base-url", &exchange.base_url], &environment[1..]),
    ];
    assert!(runs[1].code != 0 && runs[1].stderr.contains("a\\u{1b}[2J"), "{}", runs[1].transcript());
    let hex: String = NASTY.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    for (table, column) in [
        ("accounts", "alias"),
        ("accounts", "base_url"),
        ("runs", "detail_json"),
        ("looks", "failure_reason"),
        ("repairs", "evidence_json"),
        ("fills", "fee_asset"),
    ] {
        let sql = format!("PRAGMA foreign_keys=off; UPDATE {table} SET {column} = CAST(x'{hex}' AS TEXT)");
        sandbox.tamper(&sql);
        for list in ["status", "runs", "repairs", "discrepancies", "fills", "orders", "report", "verify"] {
            for format in [&[][..], &["--json"], &["--csv"]] {
                if format.is_empty() || matches!(list, "runs" | "repairs" | "fills") {
                    runs.push(sandbox.run(&[&[list], format].concat()));
                }
            }
        }
    }
    assert_printable(&runs);
}
