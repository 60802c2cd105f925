//! Many commands on one book at once: four imports, a sync and a rebuild over and over, and eight readers beside them.
//!
//! Whatever the others are doing, every command is answered from one state of the book: no check fails, no list has half of
//! a file in it, nobody is turned away, and in the end every row is there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use ledger_core::Side;

use crate::support::{Exchange, Run, Sandbox};

/// How often each writer writes. `.ci/long` asks for more.
#[expect(clippy::disallowed_methods, reason = "how much a run of the tests must cover is said by whoever starts it")]
fn rounds() -> usize {
    std::env::var("FILLBOOK_BESIDE_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

const ROUNDS: usize = 4;
/// Each file is recorded in one batch, so that a reader sees all of it or nothing.
const FILLS_A_FILE: usize = 400;
/// The account and the contract of each importer.
const IMPORTERS: [(&str, &str); 4] = [("a", "BTCUSDT"), ("a", "ETHUSDT"), ("b", "SOLUSDT"), ("b", "XRPUSDT")];

/// Round trips of a contract: a buy and a sell, over and over.
fn trades(symbol: &str, round: usize) -> String {
    let header = "symbol,id,orderId,side,positionSide,price,qty,quoteQty,commission,commissionAsset,marginAsset,realizedPnl,maker,time\n";
    (0..FILLS_A_FILE).fold(header.to_owned(), |mut text, nth| {
        let id = round * FILLS_A_FILE + nth + 1;
        let (side, price, profit) = if nth % 2 == 0 { ("BUY", "100", "0") } else { ("SELL", "101", "1") };
        let (quote, ms) = (price, 1_772_344_800_000 + id * 1_000);
        writeln!(text, "{symbol},{id},{id},{side},BOTH,{price},1,{quote},0.05,USDT,USDT,{profit},false,{ms}").unwrap();
        text
    })
}

#[track_caller]
fn written(what: &str, run: &Run) {
    assert_eq!(run.code, 0, "{what}: {}", run.transcript());
}

/// What a reader must not be told, whatever is going on.
#[track_caller]
fn assert_true(what: &[&str], run: &Run) {
    // A symbol may differ from the exchange for a while, and the last look may be old.
    let codes: &[i32] = if what.contains(&"status") { &[0, 3, 7] } else { &[0] };
    assert!(codes.contains(&run.code), "{what:?}: {}", run.transcript());
    assert!(!run.stdout.contains("FAIL") && !run.stderr.contains("error"), "{what:?}: {}", run.transcript());
    // What an import has not recomputed yet was not interrupted.
    let all = format!("{}{}", run.stdout, run.stderr);
    assert!(!all.contains("a command was interrupted"), "{what:?}: {}", run.transcript());
    if what.contains(&"fills") {
        let mut counts = BTreeMap::new();
        for fill in run.json() {
            *counts.entry(fill["symbol"].to_string()).or_insert(0) += 1;
        }
        assert!(counts.values().all(|count| count % FILLS_A_FILE == 0), "{what:?}: half a file: {counts:?}");
    }
}

const READERS: [&[&[&str]]; 8] = [
    &[&["verify", "--account", "a"]],
    &[&["verify", "--account", "b"]],
    &[&["verify", "--account", "main"]],
    &[&["status"], &["status", "--account", "a"]],
    &[&["fills", "--account", "a", "--json"], &["fills", "--account", "b", "--json"]],
    &[&["positions", "--account", "a", "--all"], &["positions"], &["orders"], &["income", "--json"]],
    &[&["trips", "--account", "b", "--json"], &["signals"], &["runs", "--json"], &["repairs", "--json"]],
    &[&["report", "--account", "a", "--by", "symbol"], &["report", "--account", "b"], &["report"]],
];

#[test]
fn commands_at_once_disturb_nobody() {
    let rounds = rounds();
    let exchange = Exchange::start(41);
    exchange.trade("fb-first", "BTCUSDT", Side::Buy, "0.02");
    let environment = exchange.environment();
    let sandbox = Sandbox::empty();
    written("sync", &sandbox.command(&["sync"], &environment));
    for account in ["a", "b"] {
        written("init", &sandbox.run(&["init", "--account", account, "--position-mode", "one-way"]));
    }
    let (writing, read) = (AtomicUsize::new(IMPORTERS.len() + 2), AtomicUsize::new(0));
    let over = |write: &dyn Fn(usize)| {
        // Also when a writer fails: the readers must not wait for it.
        struct Done<'a>(&'a AtomicUsize);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let _done = Done(&writing);
        (0..rounds).for_each(write);
    };
    std::thread::scope(|scope| {
        for (account, symbol) in IMPORTERS {
            let (sandbox, over) = (&sandbox, &over);
            scope.spawn(move || {
                over(&|round| {
                    let name = format!("{symbol}-{round}.csv");
                    sandbox.write(&name, trades(symbol, round));
                    written(&name, &sandbox.run(&["import", "--account", account, &name]));
                });
            });
        }
        scope.spawn(|| {
            over(&|round| {
                let side = if round % 2 == 0 { Side::Sell } else { Side::Buy };
                exchange.trade(&format!("fb-{round}"), "BTCUSDT", side, "0.02");
                written("sync", &sandbox.command(&["sync"], &environment));
            });
        });
        scope.spawn(|| {
            over(&|round| {
                let account = ["a", "b", "main"][round % 3];
                written("rebuild", &sandbox.run(&["rebuild", "--account", account]));
            });
        });
        for commands in READERS {
            let (sandbox, writing, read) = (&sandbox, &writing, &read);
            scope.spawn(move || {
                for command in commands.iter().cycle() {
                    assert_true(command, &sandbox.run(command));
                    read.fetch_add(1, Ordering::SeqCst);
                    if writing.load(Ordering::SeqCst) == 0 {
                        break;
                    }
                }
            });
        }
    });
    println!("{} commands read beside {} that wrote", read.load(Ordering::SeqCst), rounds * (IMPORTERS.len() + 2));
    for account in ["a", "b"] {
        let fills = sandbox.run(&["fills", "--account", account, "--json"]).exits(0).stdout.lines().count();
        assert_eq!(fills, 2 * rounds * FILLS_A_FILE, "{account}");
        let trips = sandbox.run(&["trips", "--account", account, "--json"]).exits(0).stdout.lines().count();
        assert_eq!(trips, rounds * FILLS_A_FILE, "{account}");
    }
    let again = sandbox.command(&["sync"], &environment).exits(0);
    assert!(again.stdout.contains("Left       nothing"), "{}", again.transcript());
    for account in ["a", "b", "main"] {
        assert_true(&["verify"], &sandbox.run(&["verify", "--account", account]));
    }
    // Nothing is left beside the book by anybody.
    let beside = sandbox.files().into_keys().filter(|name| name.starts_with("fillbook.db-"));
    assert_eq!(beside.collect::<Vec<_>>(), Vec::<String>::new());
}
