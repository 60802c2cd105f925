//! What sync and audit leave in the journal.

use ledger_core::Side;

use super::traded;
use crate::support::Sandbox;

/// What was done and why is in the journal, and can be narrowed.
#[test]
fn the_journal_tells_what_was_done_and_why() {
    let exchange = traded(7);
    let sandbox = Sandbox::empty();
    for _ in 0..3 {
        sandbox.command(&["sync"], &exchange.environment()).exits(0);
    }
    let runs = sandbox.run(&["runs", "--json"]).exits(0).json();
    assert_eq!(runs.len(), 3, "the second confirms what the first read, and the third asks type by type: {runs:?}");
    for quiet in &runs[1..] {
        assert_eq!((&quiet["detail"]["recorded"], &quiet["detail"]["repairs"]), (&0.into(), &0.into()), "{runs:?}");
    }
    assert!(runs.iter().all(|run| run["kind"] == "sync" && run["status"] == "done"), "{runs:?}");
    assert!(runs[0]["detail"]["repairs"].as_u64().unwrap() > 0, "{runs:?}");
    assert!(sandbox.run(&["runs", "--kind", "import", "--json"]).exits(0).stdout.is_empty());
    let first = runs[0]["run"].to_string();
    let repairs = sandbox.run(&["repairs", "--json"]).exits(0).json();
    assert!(!repairs.is_empty() && repairs.iter().all(|repair| !repair["cause"].as_str().unwrap().is_empty()));
    assert_eq!(sandbox.run(&["repairs", "--json", "--run", &first]).exits(0).json(), repairs);
    let eth = sandbox.run(&["repairs", "--json", "--symbol", "ETHUSDT"]).exits(0).json();
    assert!(!eth.is_empty() && eth.len() < repairs.len(), "{eth:?}");
    let one = repairs[0]["discrepancy"].to_string();
    assert!(!sandbox.run(&["repairs", "--json", "--discrepancy", &one]).exits(0).stdout.is_empty());

    assert!(sandbox.run(&["discrepancies", "--json"]).exits(0).stdout.is_empty(), "all are resolved");
    let all = sandbox.run(&["discrepancies", "--all", "--json"]).exits(0).json();
    assert!(!all.is_empty() && all.iter().all(|found| found["status"] == "resolved"), "{all:?}");
    assert!(all.iter().all(|found| found["first_seen_local"].is_i64() && found["evidence"].is_string()), "{all:?}");
    for command in [&["runs"][..], &["repairs"], &["discrepancies", "--all"]] {
        for width in ["40", "80", "120"] {
            let run = sandbox.command(command, &[("COLUMNS", width)]).exits(0);
            let widest = run.stdout.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width.parse().unwrap(), "{command:?} at {width}:\n{}", run.stdout);
        }
    }
}

/// A disagreement between sources fails the check until somebody says, with a reason, that it may stay.
#[test]
fn a_discrepancy_can_be_acknowledged_with_a_reason() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let header = "Uid,Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id";
    for (name, price, code) in [("one.csv", "60000", 0), ("other.csv", "59999", 3)] {
        let row = format!("7,2026-03-01 08:00:00,BTCUSDT,BUY,BOTH,{price},0.010,600,0.24USDT,0,true,false,1,9001");
        sandbox.write(name, format!("{header}\n{row}\n"));
        sandbox.run(&["import", name]).exits(code);
    }
    sandbox.run(&["verify"]).exits(3);
    let open = sandbox.run(&["discrepancies", "--json", "--kind", "conflicting_fact"]).exits(0).json();
    assert_eq!(open.len(), 1, "{open:?}");
    let number = open[0]["discrepancy"].to_string();
    sandbox.run(&["discrepancies", "--acknowledge", &number]).exits(2);
    sandbox.run(&["discrepancies", "--acknowledge", "999", "--reason", "x"]).exits(1);
    let word = ["discrepancies", "--acknowledge", &number, "--reason", "the support confirmed 60000", "--by", "kim"];
    let said = sandbox.run(&word).exits(0);
    assert!(said.stdout.contains("acknowledged by kim"), "{}", said.transcript());
    let verify = sandbox.run(&["verify"]);
    assert!(!verify.stdout.contains("FAIL"), "{}", verify.transcript());
    let stays = sandbox.run(&["discrepancies", "--json"]).exits(0).json();
    assert_eq!(stays[0]["status"], "acknowledged");
    let repairs = sandbox.run(&["repairs", "--json"]).exits(0).json();
    let journaled = repairs.last().unwrap().to_string();
    assert!(journaled.contains("kim") && journaled.contains("the support confirmed 60000"), "{journaled}");
    // Importing the same again changes nothing about it.
    sandbox.run(&["import", "other.csv"]);
    assert_eq!(sandbox.run(&["discrepancies", "--json"]).exits(0).json()[0]["status"], "acknowledged");
}

/// A contract that is gone answers with errors for ever: that is told, stays on record with its age, and stops no other.
#[test]
fn a_contract_that_answers_no_more_stops_no_other() {
    let exchange = traded(13);
    exchange.trade("fb-four", "SOLUSDT", Side::Buy, "12");
    exchange.simulator.delist_contract(&ledger_core::Symbol::new("SOLUSDT").unwrap()).unwrap();
    let sandbox = Sandbox::empty();
    let run = sandbox.command(&["sync"], &exchange.environment()).exits(3);
    assert!(run.stdout.contains("SOLUSDT") && run.stdout.contains("-4141"), "{}", run.transcript());
    let of = |symbol: &str| {
        let fills = sandbox.run(&["fills", "--json", "--symbol", symbol]).exits(0).json();
        let truth = exchange.simulator.books();
        (fills.len(), truth.accounts[0].trades.iter().filter(|trade| trade.symbol == symbol).count())
    };
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        let (found, truth) = of(symbol);
        assert!(found == truth && found > 0, "{symbol}: {found} of {truth}");
    }
    let left = sandbox.run(&["discrepancies", "--json", "--symbol", "SOLUSDT"]).exits(0).json();
    assert!(!left.is_empty(), "{}", run.transcript());
    let again = sandbox.command(&["sync"], &exchange.environment()).exits(3);
    assert!(again.stdout.contains("SOLUSDT"), "{}", again.transcript());
    // The audit promises no repair of what a sync cannot repair, and counts what it can.
    let to_do = |audit: &str| audit.lines().find(|line| line.starts_with("To do")).unwrap().to_owned();
    let audit = to_do(&sandbox.command(&["audit"], &exchange.environment()).exits(3).stdout);
    assert!(audit.contains("a sync does not repair") && !audit.contains("`fillbook sync`"), "{audit}");
    exchange.trade("fb-five", "ETHUSDT", Side::Buy, "0.5");
    let audit = to_do(&sandbox.command(&["audit"], &exchange.environment()).exits(3).stdout);
    assert!(audit.contains("a sync does not repair") && audit.contains("`fillbook sync` repairs"), "{audit}");
}
