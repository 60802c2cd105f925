//! How findings, repairs and failures are told: to people in few lines, to programs in full.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use ledger_core::Side;

use super::traded;
use crate::support::{Proxy, Sandbox};

/// Many findings of one cause are one line with their number and range; `-v` and `--json` have each.
#[test]
fn findings_of_one_cause_are_told_together() {
    let exchange = traded(31);
    let sandbox = Sandbox::empty();
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    for nth in 0..6 {
        exchange.trade(&format!("fb-lost-{nth}"), "BTCUSDT", Side::Buy, "0.02");
    }
    // What the exchange has just executed it answers a moment later.
    let missing = |run: &[serde_json::Value]| run.iter().filter(|line| line["kind"] == "missing_fills").count();
    let mut audit = sandbox.command(&["audit", "--json"], &exchange.environment());
    while missing(&audit.json()) < 6 {
        audit = sandbox.command(&["audit", "--json"], &exchange.environment());
    }
    audit.exits(3);
    let table = sandbox.command(&["audit"], &[&exchange.environment()[..], &[("COLUMNS", "300")]].concat()).exits(3);
    let told: Vec<_> = table.stdout.lines().filter(|line| line.starts_with("missing_fills")).collect();
    assert_eq!(told.len(), 1, "{}", table.transcript());
    assert!(told[0].contains("6 (orders ") && told[0].contains("as in: order "), "{}", table.transcript());
    assert!(table.stdout.contains("-v and --json have each"), "{}", table.transcript());
    // What settles them is told once, below.
    let (_, settled) = table.stdout.split_once("What settles them:").unwrap();
    let is_told = |line: &str| line.trim().starts_with("missing_fills ") && line.ends_with("the order's fills add up");
    assert!(settled.lines().any(is_told), "{}", table.transcript());
    let each = sandbox.command(&["audit", "-v"], &exchange.environment()).exits(3);
    assert_eq!(
        each.stdout.lines().filter(|line| line.starts_with("missing_fills")).count(),
        6,
        "{}",
        each.transcript()
    );
    let sync = sandbox.command(&["sync"], &exchange.environment()).exits(0);
    let told: Vec<_> = sync.stdout.lines().filter(|line| line.starts_with("restore_fills")).collect();
    assert!(told.len() == 1 && told[0].contains("6 (repairs "), "{}", sync.transcript());
}

/// What went wrong is told to programs in parts, not as a text for people.
#[test]
fn failures_are_told_to_programs_in_parts() {
    let mut exchange = traded(32);
    let sandbox = Sandbox::empty();
    let [url, key, _] = exchange.environment();
    let run = sandbox.command(&["sync", "--json"], &[url, key, ("FILLBOOK_API_SECRET", "wrong")]).exits(4);
    let [error] = &run.json()[..] else { panic!("{}", run.transcript()) };
    assert_eq!(error["schema"], "fillbook.reconcile.error/1");
    assert_eq!((&error["account"], &error["command"]), (&"main".into(), &"sync".into()));
    assert_eq!((&error["kind"], &error["exit_code"]), (&"authentication".into(), &4.into()), "{error}");
    assert_eq!((&error["method"], &error["code"]), (&"GET".into(), &(-1022).into()), "{error}");
    assert!(error["path"].as_str().unwrap().starts_with("/fapi/"), "{error}");
    assert!(error["symbol"].is_null() && error["retry_at"].is_null(), "{error}");
    let (message, hints) = (error["message"].as_str().unwrap(), error["hints"].as_array().unwrap());
    assert!(!message.contains('\n') && !message.contains("error:") && !hints.is_empty(), "{error}");
    let environment = exchange.environment().map(|(name, value)| (name, value.to_owned()));
    exchange.stop();
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let run = sandbox.command(&["sync", "--json"], &environment).exits(5);
    let error = run.json().pop().unwrap();
    assert_eq!((&error["kind"], &error["exit_code"]), (&"unavailable".into(), &5.into()), "{error}");
}

/// An exchange that takes the first question and says nothing: whoever waits is told what for and for how long, also where
/// no terminal is.
#[test]
fn a_silent_exchange_is_told_while_it_is_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", silent.local_addr().unwrap());
    let sandbox = Sandbox::empty();
    let environment =
        [("FILLBOOK_BASE_URL", base_url.as_str()), ("FILLBOOK_API_KEY", "k"), ("FILLBOOK_API_SECRET", "s")];
    let mut run = sandbox.prepared(&["sync"], &environment).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(run.stderr.take().unwrap()).read_line(&mut first).unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(first.contains(&base_url) && first.contains("was asked who the account is"), "{first}");
    assert!(first.contains(" s ago, and has not answered yet"), "{first}");
}

/// Every request is counted, those included that ask who the account is and which contracts there are.
#[test]
fn what_it_cost_is_what_was_asked() {
    let exchange = traded(33);
    let proxy = Proxy::before(&exchange.base_url);
    let [_, key, secret] = exchange.environment();
    let sandbox = Sandbox::empty();
    for args in [&["sync"][..], &["sync"], &["audit"], &["audit", "--symbol", "DOGEUSDT"]] {
        let environment = [("FILLBOOK_BASE_URL", proxy.base_url.as_str()), key, secret];
        let run = sandbox.command(&[args, &["--json"]].concat(), &environment).exits(0);
        let told = run.json().pop().unwrap()["requests"].as_u64();
        assert_eq!(told, Some(proxy.take_count() as u64), "{args:?}: {}", run.transcript());
    }
}

/// What is logged into a file or a pipe is plain text.
#[test]
fn a_log_that_is_no_terminal_has_no_colours() {
    let exchange = traded(34);
    let run = Sandbox::empty().command(&["sync", "-v"], &exchange.environment()).exits(0);
    assert!(run.stderr.contains("INFO") && !run.stderr.contains('\u{1b}'), "{}", run.transcript());
}

/// Something between us and the exchange answers in its place: what to do is told, and the key is not blamed.
#[test]
fn who_answers_in_the_place_of_the_exchange_is_told() {
    for (head, code, hint) in [
        ("403 Forbidden", 4, "try: ask from another place or network"),
        ("200 OK", 1, "try: check the address (--base-url), and whether something on the way answers"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let page = "<html>sign in</html>";
                let answer = format!(
                    "HTTP/1.1 {head}\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}",
                    page.len()
                );
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let environment =
            [("FILLBOOK_BASE_URL", base_url.as_str()), ("FILLBOOK_API_KEY", "k"), ("FILLBOOK_API_SECRET", "s")];
        let sandbox = Sandbox::empty();
        let run = sandbox.command(&["sync"], &environment).exits(code);
        assert!(run.stderr.contains(hint) && !run.stderr.contains("secret, the key"), "{}", run.transcript());
        assert!(sandbox.files().is_empty());
    }
}
