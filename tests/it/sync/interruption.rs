//! Runs that are stopped, wait, or find another process beside them.

use std::io::{BufRead as _, Read as _};
use std::process::{Command, Stdio};

use ledger_core::Side;

use super::{assert_same_fills, traded};
use crate::support::{Proxy, Sandbox, Signal, send};

/// Ctrl-C while an exchange keeps us waiting: the book is sound, and the next run goes on.
#[test]
fn an_interrupted_sync_leaves_a_sound_book() {
    let exchange = traded(6);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    exchange.trade("fb-later", "SOLUSDT", Side::Buy, "3");
    // Whoever runs the tests with `nohup` has it ignored in all that they start.
    let hang_up = Some(Signal::HUP).filter(|_| !ignores_hang_up());
    for signal in [Signal::INT, Signal::TERM].into_iter().chain(hang_up) {
        // Takes connections and never answers.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let mut environment = exchange.environment();
        environment[0].1 = &url;
        let mut child =
            sandbox.prepared(&["sync"], &environment).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut request = [0_u8; 64];
        let (mut connection, _) = silent.accept().unwrap();
        let read = connection.read(&mut request).unwrap();
        assert!(read > 0, "it asks, so it listens for signals by now");
        send(signal, &child);
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal:?}: {told}");
        assert!(told.contains("the next run goes on"), "{told}");
    }
    let verify = sandbox.run(&["verify"]);
    assert!(!verify.stdout.contains("FAIL"), "{}", verify.transcript());
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    assert_same_fills(&exchange, &sandbox);
}

/// Whether this process ignores SIGHUP, and whatever it starts with it.
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    u64::from_str_radix(mask, 16).unwrap() & 1 == 1
}

/// Who starts a command with `nohup` goes away, and it works on to its end.
#[test]
fn a_hang_up_that_is_ignored_interrupts_nothing() {
    let exchange = traded(21);
    let proxy = Proxy::before(&exchange.base_url);
    let mut environment = exchange.environment();
    environment[0].1 = &proxy.base_url;
    let sandbox = Sandbox::empty();
    let plain = sandbox.prepared(&["sync"], &environment);
    let mut ignoring = Command::new("sh");
    ignoring.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
    ignoring.current_dir(sandbox.path()).envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    proxy.choose(2);
    let child = ignoring.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(proxy.wait());
    send(Signal::HUP, &child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_same_fills(&exchange, &sandbox);
}

/// Ctrl-C after any answer of the exchange, the last ones included, when the book is being written: what is there is
/// sound, and the next run brings the rest.
#[test]
fn a_sync_can_be_interrupted_anywhere() {
    let exchange = traded(15);
    let proxy = Proxy::before(&exchange.base_url);
    let mut environment = exchange.environment();
    environment[0].1 = &proxy.base_url;
    let whole = Sandbox::empty();
    whole.command(&["sync"], &environment).exits(0);
    let requests = proxy.take_count();
    let facts = |sandbox: &Sandbox| {
        let list = |list: &[&str]| sandbox.run(&[list, &["--json"]].concat()).exits(0).stdout;
        (list(&["fills"]), list(&["trips"]), list(&["income"]))
    };
    let mut interrupted = 0;
    let steps = (1..requests).step_by(7).chain([requests - 2, requests - 1, requests]);
    for nth in steps {
        let sandbox = Sandbox::empty();
        proxy.choose(nth);
        let mut command = sandbox.prepared(&["sync", "--quiet"], &environment);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        assert!(proxy.wait());
        send(Signal::INT, &child);
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        let code = child.wait().unwrap().code();
        assert!(matches!(code, Some(130 | 0)), "request {nth}: {code:?} {told}");
        interrupted += usize::from(code == Some(130));
        if sandbox.path().join("fillbook.db").exists() {
            let runs = sandbox.run(&["runs", "--json"]).exits(0).json();
            assert!(runs.iter().all(|run| run["status"] != "running"), "request {nth}: {runs:?}");
            assert!(!sandbox.run(&["verify"]).stdout.contains("FAIL"), "request {nth}");
        }
        proxy.choose(usize::MAX);
        sandbox.command(&["sync"], &environment).exits(0);
        assert_eq!(facts(&sandbox), facts(&whole), "request {nth}");
    }
    assert!(interrupted > 3, "only {interrupted} runs were interrupted");
}

/// A first sync that is interrupted while it looks has bound the account: the next one asks the same exchange, and no other
/// with this key. Nothing was recorded, and nothing else is said.
#[test]
fn an_interrupted_first_sync_stays_with_its_exchange() {
    let exchange = traded(16);
    let proxy = Proxy::before(&exchange.base_url);
    let [_, key, secret] = exchange.environment();
    for made_before in [false, true] {
        let sandbox = if made_before { Sandbox::with_book(&[]) } else { Sandbox::empty() };
        proxy.choose(6);
        let mut command = sandbox.prepared(&["sync", "--base-url", &proxy.base_url], &[key, secret]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        assert!(proxy.wait());
        send(Signal::INT, &child);
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{told}");
        assert!(told.contains("before anything was recorded") && !told.contains("stays"), "{told}");
        proxy.choose(usize::MAX);
        let next = sandbox.command(&["sync"], &[key, secret]).exits(0);
        assert!(next.stdout.contains(&proxy.base_url), "{}", next.transcript());
        assert_same_fills(&exchange, &sandbox);
    }
}

/// A run that waits for the next minute's request weight says so, also where there is no terminal.
#[test]
fn waiting_for_request_weight_is_told() {
    let exchange = traded(19);
    let sandbox = Sandbox::empty();
    let mut command = sandbox.prepared(&["sync", "--weight-percent", "1"], &exchange.environment());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.find(|line| line.contains("waiting until"));
    send(Signal::INT, &child);
    assert!(told.is_some_and(|told| told.contains("for request weight")));
    assert!(lines.all(|line| !line.contains("waiting until")), "it is told once");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// A crashed bot leaves its write-ahead log beside the book: the audit reads what is in it, and changes neither.
#[test]
fn an_audit_beside_a_crashed_writer_changes_nothing() {
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, SqliteConnection};
    let exchange = traded(10);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    let book = sandbox.path().join("fillbook.db");
    let mut writer = SqliteConnection::establish(book.to_str().unwrap()).unwrap();
    // A fill that only the log knows of: the last one is gone.
    writer.batch_execute("DELETE FROM fills WHERE rowid = (SELECT max(rowid) FROM fills)").unwrap();
    let crashed = Sandbox::empty();
    for name in ["fillbook.db", "fillbook.db-wal"] {
        std::fs::copy(sandbox.path().join(name), crashed.path().join(name)).unwrap();
    }
    drop(writer);
    let before = crashed.files();
    assert!(!before["fillbook.db-wal"].is_empty());
    let run = crashed.command(&["audit"], &exchange.environment()).exits(3);
    assert!(run.stdout.contains("missing_fills"), "{}", run.transcript());
    let after = crashed.files();
    for name in ["fillbook.db", "fillbook.db-wal"] {
        assert!(before[name] == after[name], "{name} changed");
    }
}
