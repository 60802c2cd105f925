//! The bot's own files and the configuration, through the real command.

use std::fs::OpenOptions;
use std::io::Write as _;

use ledger_core::Side;
use serde_json::json;

use super::Child;
use crate::support::{Exchange, Sandbox};

#[test]
fn the_bots_files_are_followed_until_the_end_of_the_input() {
    let sandbox = Sandbox::with_book(&[]);
    let line = |engine: &str, second: u64| {
        let entry = json!({ "ts": 1_772_344_800 + second, "symbol": "BTCUSDT", "side": "LONG", "engine": engine });
        format!("{entry}\n")
    };
    sandbox.write("entries.log", line("a", 0) + "not json\n" + &line("b", 600));
    let follow = ["--entry-events", "entries.log"];
    let (code, _, stderr) = Child::start(&sandbox, &follow).finish();
    assert_eq!(code, Some(0));
    assert_eq!(stderr.matches("line 2: not used").count(), 1, "{stderr}");
    // What is appended while it runs is on record when it ends, and what was told is not told again.
    let mut child = Child::start(&sandbox, &follow);
    let mut log = OpenOptions::new().append(true).open(sandbox.path().join("entries.log")).unwrap();
    log.write_all((line("c", 1_200) + &line("d", 1_800)[..20]).as_bytes()).unwrap();
    let signals = || sandbox.run(&["signals", "--json"]).exits(0).json();
    // It looks by itself, without a line to record.
    let mut asked = 0;
    while signals().len() < 3 {
        asked += 1;
        assert!(asked < 1_000, "the log is not followed");
    }
    assert_eq!(child.ask(&json!({ "event": "gate", "symbol": "BTCUSDT" }))["allowed"], true);
    log.write_all(&line("d", 1_800).as_bytes()[20..]).unwrap();
    let (code, _, stderr) = child.finish();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let engines: Vec<_> = signals().iter().map(|signal| signal["engine"].as_str().unwrap().to_owned()).collect();
    assert_eq!(engines, ["a", "b", "c", "d"]);
}

/// A pattern of the configuration words the ids of `record`, and a sync that finds nothing of an order but its id reads
/// strategy and role from it.
#[test]
fn a_pattern_of_the_configuration_is_written_and_read() {
    let sandbox = Sandbox::empty();
    sandbox.write("fillbook.toml", "client_ids = [\"b{engine:3}{role:1}{*}\"]\n\n[engines]\ntrd = \"추세\"\n");
    sandbox.run(&["init"]).exits(0);
    let mut child = Child::start(&sandbox, &[]);
    let intent = json!({ "event": "intent", "symbol": "BTCUSDT", "side": "long", "role": "entry", "type": "market",
        "amount": "0.02", "engine": "추세", "trade": "t-1" });
    let id = child.ask(&intent)["client_order_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("btrde") && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(child.finish().0, Some(0));
    let exchange = Exchange::start(23);
    exchange.trade(&id, "BTCUSDT", Side::Buy, "0.02");
    let other = Sandbox::empty();
    other.write("fillbook.toml", std::fs::read(sandbox.path().join("fillbook.toml")).unwrap());
    other.command(&["sync"], &exchange.environment()).exits(0);
    let orders = other.run(&["orders", "--json"]).exits(0).json();
    assert_eq!(orders[0]["engine"], "추세", "{orders:?}");
    for broken in ["client_ids = [\"{engine}\"]\n", "[engines]\ntrd = \"\"\n"] {
        other.write("fillbook.toml", broken);
        let refused = other.run(&["status"]).exits(1);
        assert!(refused.stderr.contains("fillbook.toml"), "{}", refused.transcript());
    }
}

#[test]
fn an_account_has_its_own_wording_of_ids_or_the_files() {
    let sandbox = Sandbox::with_book(&[]);
    for account in ["hedge", "spare"] {
        sandbox.run(&["init", "--account", account]).exits(0);
    }
    let all = "client_ids = [\"bot_{engine}_{role}_{*}\"]\n[engines]\nswg = \"swing\"\n[accounts.main]\n[accounts.spare]\n\
               client_ids = []\n[accounts.hedge]\nclient_ids = [\"h{engine:3}{role:1}{*}\"]\n[accounts.hedge.engines]\n\
               grd = \"swing\"\n";
    sandbox.write("fillbook.toml", all);
    let intent = json!({ "event": "intent", "symbol": "BTCUSDT", "side": "buy", "role": "entry", "type": "market",
        "amount": "0.01", "engine": "swing", "trade": "t-1" });
    // `nobody` of the file is one that only the command line names: it has the file's own.
    for (account, begins) in [("main", "bot_swg_e_"), ("hedge", "hgrde"), ("spare", "fb:swing:e:")] {
        let mut child = Child::start_as(&sandbox, account, &[]);
        let id = child.ask(&intent)["client_order_id"].as_str().unwrap().to_owned();
        assert!(id.starts_with(begins), "{account}: {id}");
        assert_eq!(child.finish().0, Some(0));
    }
    // The table of the account stands for the strategies of a pattern on the command line, too.
    let mut child = Child::start_as(&sandbox, "hedge", &["--client-ids", "x{engine:3}{role:1}{*}"]);
    let mut other = intent.clone();
    other["trade"] = "t-2".into();
    let id = child.ask(&other)["client_order_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("xgrde"), "{id}");
    assert_eq!(child.finish().0, Some(0));
    sandbox.write("fillbook.toml", "[accounts.hedge]\nclient_ids = [\"{engine}\"]\n");
    let refused = sandbox.run(&["status"]).exits(1);
    assert!(refused.stderr.contains("hedge") && refused.stderr.contains("client_ids"), "{}", refused.transcript());
}

/// What a look at the exchange makes of the ids of each account.
#[test]
fn a_sync_reads_ids_as_the_account_words_them() {
    let sandbox = Sandbox::empty();
    let exchange = Exchange::start(23);
    exchange.trade("hgrde17", "BTCUSDT", Side::Buy, "0.02");
    sandbox.write(
        "fillbook.toml",
        "client_ids = [\"b{engine:3}{role:1}{*}\"]\n[accounts.main]\nclient_ids = [\"h{engine:3}{role:1}{*}\"]\n\
         [accounts.main.engines]\ngrd = \"grid\"\n",
    );
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    let orders = sandbox.run(&["orders", "--json"]).exits(0).json();
    assert_eq!(orders[0]["engine"], "grid", "{orders:?}");
}
