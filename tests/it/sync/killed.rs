//! Processes that are killed: they say nothing, and close nothing.

use std::process::Stdio;

use super::traded;
use crate::support::{Proxy, Sandbox};

/// What a book says of facts and what follows from them, and what was repaired and why, without the journal's numbers
/// and times.
fn facts(sandbox: &Sandbox) -> Vec<String> {
    let lists = [&["fills"][..], &["orders"], &["signals"], &["income"], &["trips"]];
    let list = |list: &[&str]| sandbox.run(&[list, &["--json"]].concat()).exits(0);
    let mut facts: Vec<_> = lists.iter().map(|name| list(name).stdout).collect();
    let repairs = list(&["repairs"]).json();
    let mut repairs: Vec<_> =
        repairs.iter().map(|repair| format!("{} {} {}", repair["kind"], repair["symbol"], repair["cause"])).collect();
    repairs.sort();
    facts.extend(repairs);
    facts
}

/// What was left behind is sound, and the next run makes of it what nobody disturbed.
#[track_caller]
fn assert_made_good(sandbox: &Sandbox, environment: &[(&str, &str)], expected: &[String], when: &str) {
    if sandbox.path().join("fillbook.db").exists() {
        let verify = sandbox.run(&["verify"]);
        assert!(!verify.stdout.contains("FAIL"), "{when}: {}", verify.transcript());
    }
    let next = sandbox.command(&["sync"], environment).exits(0);
    assert!(next.stdout.contains("Left       nothing"), "{when}: {}", next.transcript());
    assert_eq!(facts(sandbox), expected, "{when}");
    let runs = sandbox.run(&["runs", "--json"]).exits(0).json();
    assert!(runs.iter().all(|run| run["status"] != "running"), "{when}: {runs:?}");
    let verify = sandbox.run(&["verify"]);
    assert!(!verify.stdout.contains("FAIL"), "{when}: {}", verify.transcript());
}

/// Without a word, after any answer of the exchange and while the book is being written.
#[test]
fn a_sync_that_is_killed_anywhere_is_made_good_by_the_next() {
    let exchange = traded(17);
    let proxy = Proxy::before(&exchange.base_url);
    let mut environment = exchange.environment();
    environment[0].1 = &proxy.base_url;
    let whole = Sandbox::empty();
    whole.command(&["sync"], &environment).exits(0);
    let (requests, expected) = (proxy.take_count(), facts(&whole));
    let start = |sandbox: &Sandbox| {
        let mut command = sandbox.prepared(&["sync", "--quiet"], &environment);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut killed = 0;
    for nth in (1..requests).step_by(requests / 6).chain([requests - 1, requests]) {
        let sandbox = Sandbox::empty();
        proxy.choose(nth);
        let mut child = start(&sandbox);
        assert!(proxy.wait());
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
        proxy.choose(usize::MAX);
        assert_made_good(&sandbox, &environment, &expected, &format!("request {nth} of {requests}"));
    }
    // The last moments, in which everything is written: once the log of the book has grown so far.
    for share in 0..8 {
        let sandbox = Sandbox::empty();
        let log = sandbox.path().join("fillbook.db-wal");
        let mut child = start(&sandbox);
        let grown = |len: u64| std::fs::metadata(&log).is_ok_and(|log| log.len() >= len);
        let len = MADE + share * 60_000;
        while !grown(len) && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        // It may have come to its end before.
        let _gone_by_itself = child.kill();
        killed += usize::from(!child.wait().unwrap().success());
        assert_made_good(&sandbox, &environment, &expected, &format!("{len} bytes were written"));
    }
    assert!(killed > 8, "only {killed} runs were killed");
}

/// How much of the log an empty book takes; what is written of the account comes after it.
const MADE: u64 = 400_000;
