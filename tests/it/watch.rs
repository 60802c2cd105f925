//! `fillbook watch`: the real process beside somebody who trades.
#![expect(clippy::disallowed_methods, reason = "real processes are waited for, by the machine's own clock")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use ledger_core::Side;
use serde_json::Value;

use crate::support::{Exchange, Run, Sandbox, Signal, send};

/// However slow the machine: what does not happen in that will not.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often it is killed. `.ci/long` asks for more.
fn kills() -> u64 {
    std::env::var("FILLBOOK_WATCH_KILLS").map_or(10, |kills| kills.parse().unwrap())
}

/// A watcher whose happenings are read.
struct Watch {
    process: Child,
    said: std::sync::mpsc::Receiver<Value>,
}

impl Watch {
    fn start(sandbox: &Sandbox, exchange: &Exchange, environment: &[(&str, &str)]) -> Self {
        Self::start_with(sandbox, exchange, &[], environment)
    }

    fn start_with(sandbox: &Sandbox, exchange: &Exchange, options: &[&str], environment: &[(&str, &str)]) -> Self {
        let all = [&exchange.environment()[..], environment].concat();
        Self::start_as(sandbox, &[&["watch", "--json"], options].concat(), &all)
    }

    fn start_as(sandbox: &Sandbox, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = sandbox.prepared(args, environment);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (say, said) = std::sync::mpsc::channel();
        let out = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // One that was killed may leave half a line.
                let Ok(value) = serde_json::from_str(&line) else { return };
                if say.send(value).is_err() {
                    return;
                }
            }
        });
        Self { process, said }
    }

    /// Waits until it says so, and answers in which words.
    fn until(&mut self, kind: &str) -> String {
        self.until_within(kind, PATIENCE)
    }

    fn until_within(&mut self, kind: &str, patience: Duration) -> String {
        let begun = Instant::now();
        let mut others = Vec::new();
        loop {
            let left = patience.checked_sub(begun.elapsed());
            let left = left.unwrap_or_else(|| panic!("it does not say `{kind}`, but {others:#?}"));
            match self.said.recv_timeout(left) {
                Ok(happening) => {
                    assert_eq!(happening["schema"], "fillbook.watch/1", "{happening}");
                    if happening["kind"] == kind {
                        return happening["text"].as_str().unwrap().to_owned();
                    }
                    others.push(happening);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let mut why = String::new();
                    self.process.stderr.take().unwrap().read_to_string(&mut why).unwrap();
                    panic!("it ended before it said `{kind}`: {why}{others:#?}");
                }
            }
        }
    }

    /// Waits until it says something of the kind, whatever that is.
    fn until_any(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let left = PATIENCE.checked_sub(begun.elapsed()).unwrap_or_else(|| panic!("it is not said"));
            match self.said.recv_timeout(left) {
                Ok(said) if is_wanted(&said) => return said,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("it ended before"),
            }
        }
    }

    /// Ends it as a service manager does, and answers how long that took.
    fn end(mut self) -> Duration {
        let begun = Instant::now();
        send(Signal::TERM, &self.process);
        let status = self.process.wait().unwrap();
        assert_eq!(status.code(), Some(0));
        begun.elapsed()
    }
}

fn number(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What the exchange's own books have, and what the book has: trades, ledger rows, open positions.
fn both(sandbox: &Sandbox, exchange: &Exchange) -> [BTreeMap<String, String>; 2] {
    let account = exchange.simulator.books().accounts.remove(0);
    let mut there = BTreeMap::new();
    for trade in &account.trades {
        there.insert(format!("fill {} {}", trade.symbol, trade.id), format!("{} x {}", trade.price, trade.qty));
    }
    for row in &account.income {
        let key = format!("income {} {} {}", row.income_type, row.tran_id, row.symbol);
        there.insert(key, format!("{} {}", row.amount, row.asset));
    }
    for held in &account.positions {
        there.insert(format!("position {}", held.symbol), held.qty.to_string());
    }
    let rows = |args: &[&str]| sandbox.run(args).exits(0).json();
    let mut here = BTreeMap::new();
    for fill in rows(&["fills", "--json"]) {
        let key = format!("fill {} {}", fill["symbol"].as_str().unwrap(), fill["fill_id"].as_str().unwrap());
        here.insert(key, format!("{} x {}", number(&fill["price"]), number(&fill["qty"])));
    }
    for row in rows(&["income", "--json"]) {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        let key = format!("income {} {} {}", text("income_type"), text("tran_id"), text("symbol"));
        here.insert(key, format!("{} {}", number(&row["amount"]), text("asset")));
    }
    for held in rows(&["positions", "--json"]) {
        here.insert(format!("position {}", held["symbol"].as_str().unwrap()), number(&held["qty"]));
    }
    [there, here]
}

#[track_caller]
fn assert_equal_at_last(sandbox: &Sandbox, exchange: &Exchange) {
    let begun = Instant::now();
    loop {
        let [there, here] = both(sandbox, exchange);
        if there == here {
            return;
        }
        if begun.elapsed() > PATIENCE {
            assert_eq!(there, here);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Knuth's generator: a seed always tells the same story.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

#[test]
fn a_watcher_that_is_killed_again_and_again_loses_nothing() {
    let (sandbox, exchange) = (Sandbox::empty(), Arc::new(Exchange::start(61)));
    let is_over = Arc::new(AtomicBool::new(false));
    let trading = std::thread::spawn({
        let (exchange, is_over) = (Arc::clone(&exchange), Arc::clone(&is_over));
        move || {
            let mut random = Random(7);
            let mut nth = 0;
            while !is_over.load(Ordering::Relaxed) {
                nth += 1;
                // However long the machine takes, what is held stays small beside the margin.
                let contracts = [("BTCUSDT", "0.01"), ("ETHUSDT", "0.1"), ("SOLUSDT", "1")];
                let (symbol, qty) = contracts[usize::try_from(random.below(3)).unwrap()];
                let side = if random.below(2) == 0 { Side::Buy } else { Side::Sell };
                exchange.trade(&format!("bot-{nth}"), symbol, side, qty);
                std::thread::sleep(Duration::from_millis(20 + random.below(60)));
            }
        }
    });
    let mut random = Random(3);
    for _ in 0..kills() {
        let mut watch = Watch::start(&sandbox, &exchange, &[]);
        std::thread::sleep(Duration::from_millis(random.below(900)));
        watch.process.kill().unwrap();
        watch.process.wait().unwrap();
    }
    let mut watch = Watch::start(&sandbox, &exchange, &[]);
    // What hundreds of killed ones asked counts against the weight that it may use, for minutes.
    watch.until_within("compared", 5 * PATIENCE);
    std::thread::sleep(Duration::from_millis(500));
    is_over.store(true, Ordering::Relaxed);
    trading.join().unwrap();
    // What the stream told is there; the ledger's rows of it are read by the next cycle, which somebody's sync is.
    sandbox.command(&["sync"], &exchange.environment()).exits(0);
    assert_equal_at_last(&sandbox, &exchange);
    watch.end();
    let verified = sandbox.run(&["verify"]).exits(0);
    assert!(verified.stdout.contains("The book balances"), "{}", verified.transcript());
    let runs = sandbox.run(&["runs", "--json"]).exits(0).json();
    assert!(runs.iter().all(|run| run["status"] != "running"), "{runs:?}");
}

#[test]
fn one_process_watches_and_says_how_it_stands_until_a_signal_ends_it() {
    let (sandbox, exchange) = (Sandbox::empty(), Exchange::start(62));
    let mut watch = Watch::start(&sandbox, &exchange, &[]);
    watch.until("compared");
    exchange.trade("bot-1", "BTCUSDT", Side::Buy, "0.05");
    let begun = Instant::now();
    while sandbox.run(&["fills", "--json"]).exits(0).stdout.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the stream tells nothing");
    }
    let status = || sandbox.run(&["status", "--json"]).json().remove(0)["watch"].clone();
    let watched = status();
    assert_eq!(watched["is_watched"], true, "{watched}");
    // A look may have confirmed by now what the stream told.
    let state = watched["state"]["stream"]["state"].as_str().unwrap();
    assert!(["unproven", "confirmed"].contains(&state), "{watched}");
    let lock = sandbox.path().join("fillbook.db-watch-main");
    assert!(lock.exists());
    let shown = sandbox.run(&["status"]).stdout;
    assert!(shown.contains("Watched    since ") && shown.contains("looks every 1 min"), "{shown}");

    let second: Run = sandbox.command(&["watch"], &exchange.environment()).exits(1);
    assert_eq!(second.stderr.matches("is watched by process").count(), 1, "told once: {}", second.transcript());
    sandbox.command(&["sync"], &exchange.environment()).exits(0);

    assert!(watch.end() < Duration::from_secs(5));
    assert!(!lock.exists(), "whoever ends leaves nothing beside the book");
    let ended = status();
    assert_eq!(ended["is_watched"], false);
    assert!(!ended["ended_local"].is_null(), "{ended}");

    // One that was killed is followed at once, and status says that it died.
    let mut killed = Watch::start(&sandbox, &exchange, &[]);
    killed.until("watching");
    killed.process.kill().unwrap();
    killed.process.wait().unwrap();
    let dead = sandbox.run(&["status"]).stdout;
    assert!(dead.contains("watched this account and died: `fillbook watch` goes on"), "{dead}");
    let mut next = Watch::start(&sandbox, &exchange, &[]);
    next.until("watching");
    next.end();
    assert_equal_at_last(&sandbox, &exchange);
}

fn until_filled(sandbox: &Sandbox, count: usize) {
    let begun = Instant::now();
    // As long as the book is being made, nothing is listed.
    while sandbox.run(&["fills", "--json"]).stdout.lines().count() < count {
        assert!(begun.elapsed() < PATIENCE, "nothing is recorded");
    }
}

fn has_ended(sandbox: &Sandbox) -> bool {
    !sandbox.run(&["status", "--json"]).json().remove(0)["watch"]["ended_local"].is_null()
}

/// Somebody reads the first line and leaves: the recording goes on, and the lease is given back in the end.
#[test]
fn a_reader_who_leaves_ends_nothing() {
    let (sandbox, exchange) = (Sandbox::empty(), Exchange::start(67));
    let mut command = sandbox.prepared(&["watch", "--json"], &exchange.environment());
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = String::new();
    // The reader goes with the end of this statement.
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("fillbook.watch/1"), "{first}");
    exchange.trade("bot-1", "BTCUSDT", Side::Buy, "0.05");
    until_filled(&sandbox, 1);
    exchange.trade("bot-2", "BTCUSDT", Side::Sell, "0.05");
    until_filled(&sandbox, 2);
    send(Signal::TERM, &process);
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert!(has_ended(&sandbox));
}

/// Nobody reads what it says, and there is no room for more of it: that is no reason to record nothing, or not to end.
#[test]
fn a_reader_who_does_not_read_stops_nothing() {
    let (sandbox, exchange) = (Sandbox::empty(), Exchange::start(68));
    let (unread, mut full) = std::io::pipe().unwrap();
    // As much as a pipe holds.
    std::io::Write::write_all(&mut full, &vec![b' '; 65_536]).unwrap();
    let mut command = sandbox.prepared(&["watch"], &exchange.environment());
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::from(full)).spawn().unwrap();
    let begun = Instant::now();
    while !sandbox.path().join("fillbook.db").exists() {
        assert!(begun.elapsed() < PATIENCE, "it makes no book");
    }
    exchange.trade("bot-1", "BTCUSDT", Side::Buy, "0.05");
    until_filled(&sandbox, 1);
    let begun = Instant::now();
    send(Signal::TERM, &process);
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(has_ended(&sandbox));
    drop(unread);
}

/// Another process keeps the book locked, and events wait to be recorded: it says so within seconds, and ends when it is to.
#[test]
fn a_locked_book_is_told_and_keeps_nobody_from_ending() {
    let (sandbox, exchange) = (Sandbox::empty(), Exchange::start(69));
    let mut watch = Watch::start(&sandbox, &exchange, &[]);
    watch.until("compared");
    let path = sandbox.path().join("fillbook.db");
    let mut locking = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    locking.batch_execute("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    exchange.trade("bot-1", "BTCUSDT", Side::Buy, "0.05");
    let text = watch.until("book_failed");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(text.contains("the book cannot be written"), "{text}");
    // Without an end to its patience with a book, it took the 30 s for which every other command waits.
    assert!(watch.end() < Duration::from_secs(10));
    locking.batch_execute("ROLLBACK").unwrap();
    let mut next = Watch::start(&sandbox, &exchange, &[]);
    next.until("compared");
    assert_equal_at_last(&sandbox, &exchange);
    next.end();
}

/// On the old form of its addresses the real exchange connects, answers and stays silent. Nobody is let wait for that.
#[test]
fn an_address_on_which_the_exchange_stays_silent_is_refused_at_once() {
    let (sandbox, exchange) = (Sandbox::empty(), Exchange::start(64));
    let right = "host and port, here `wss://fstream.binance.com`";
    let refused = |args: &[&str], named: &str| {
        let run = sandbox.command(args, &exchange.environment()).exits(1);
        assert!(run.stderr.contains(right) && run.stderr.contains(named), "{}", run.transcript());
        assert!(!run.stderr.contains("c0ffee"), "a key is shown: {}", run.transcript());
        assert!(!sandbox.path().join("fillbook.db").exists(), "nothing was begun");
    };
    for given in ["wss://fstream.binance.com/ws", "wss://fstream.binance.com/ws/c0ffee"] {
        refused(&["watch", "--stream-url", given], "--stream-url");
    }
    let config = "[accounts.main]\napi_key_env = \"FILLBOOK_API_KEY\"\napi_secret_env = \"FILLBOOK_API_SECRET\"\n\
                  stream_url = \"wss://fstream.binance.com/ws\"\n";
    std::fs::write(sandbox.path().join("fillbook.toml"), config).unwrap();
    refused(&["watch"], "[accounts.main] in fillbook.toml");
}

/// What a service manager is told.
struct Manager {
    path: PathBuf,
    socket: UnixDatagram,
    said: Vec<String>,
}

impl Manager {
    fn in_folder(sandbox: &Sandbox) -> Self {
        let path = sandbox.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { path, socket, said: Vec::new() }
    }

    fn until(&mut self, wanted: &str) {
        self.until_times(wanted, 1);
    }

    /// Waits until it was said so often since the start.
    fn until_times(&mut self, wanted: &str, times: usize) {
        let begun = Instant::now();
        while self.said.iter().filter(|line| *line == wanted).count() < times {
            assert!(begun.elapsed() < PATIENCE, "{wanted} is not said: {:?}", self.said);
            let mut bytes = [0; 4_096];
            let length = self.socket.recv(&mut bytes).unwrap();
            self.said.extend(String::from_utf8_lossy(&bytes[..length]).lines().map(str::to_owned));
        }
    }
}

#[test]
fn a_service_manager_is_told_when_it_is_ready_that_it_lives_and_that_it_ends() {
    let (sandbox, exchange) = (Sandbox::empty(), Exchange::start(63));
    let mut manager = Manager::in_folder(&sandbox);
    let path = manager.path.clone();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "3000000")];
    let watch = Watch::start(&sandbox, &exchange, &environment);
    manager.until("READY=1");
    manager.until("WATCHDOG=1");
    watch.end();
    manager.until("STOPPING=1");
    let said = &manager.said;
    let ready = said.iter().position(|line| line == "READY=1").unwrap();
    assert_eq!(said[0], "STATUS=catching up", "{said:?}");
    assert!(said[ready..].iter().any(|line| line.starts_with("STATUS=")), "{said:?}");
}

/// One that waits for the other's end is not ready, and the service manager gives it time as long as it moves.
#[test]
fn a_service_manager_gives_time_to_one_that_waits() {
    let (sandbox, exchange) = (Sandbox::empty(), Exchange::start(65));
    let mut first = Watch::start(&sandbox, &exchange, &[]);
    first.until("watching");
    let mut manager = Manager::in_folder(&sandbox);
    let path = manager.path.clone();
    let waiting = Watch::start_with(&sandbox, &exchange, &["--wait"], &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    manager.until_times("EXTEND_TIMEOUT_USEC=60000000", 2);
    let said = &manager.said;
    assert!(!said.iter().any(|line| line == "READY=1"), "{said:?}");
    let extended = said.iter().rposition(|line| line.starts_with("EXTEND_")).unwrap();
    assert!(said[extended + 1].contains("waiting until it ends"), "with how it stands: {said:?}");
    first.end();
    manager.until("READY=1");
    let extended = manager.said.iter().filter(|line| line.starts_with("EXTEND_")).count();
    std::thread::sleep(Duration::from_secs(11));
    waiting.end();
    manager.until("STOPPING=1");
    let now = manager.said.iter().filter(|line| line.starts_with("EXTEND_")).count();
    assert_eq!(now, extended, "one that is ready needs no more time");
}

/// Two accounts, the first of which has a key that the exchange refuses or none at all. The other one is watched and the service is
/// ready, with a book and without, and why the first is not is told at once, and once.
#[test]
fn one_account_that_cannot_be_watched_keeps_no_other_waiting() {
    for (has_book, has_key) in [(true, true), (false, true), (false, false)] {
        let (sandbox, exchange) = (Sandbox::empty(), Exchange::start(66));
        let [_, (_, key), (_, secret)] = exchange.environment();
        let account = |name: &str| {
            let base_url = &exchange.base_url;
            format!(
                "[accounts.{name}]\nbase_url = \"{base_url}\"\napi_key_env = \"KEY_{name}\"\napi_secret_env = \"SECRET_{name}\"\n"
            )
        };
        sandbox.write("fillbook.toml", account("bad") + &account("good"));
        let mut manager = Manager::in_folder(&sandbox);
        let path = manager.path.clone();
        let mut environment =
            vec![("KEY_good", key), ("SECRET_good", secret), ("NOTIFY_SOCKET", path.to_str().unwrap())];
        if has_key {
            environment.extend([("KEY_bad", key), ("SECRET_bad", "another")]);
        }
        if has_book {
            sandbox.command(&["sync", "--account", "good"], &environment).exits(0);
        }
        let mut watch = Watch::start_as(&sandbox, &["watch", "--json"], &environment);
        let refused = |happening: &Value| happening["account"] == "bad";
        let told = watch.until_any(refused);
        assert!(told["text"].as_str().is_none_or(|text| text.starts_with("not watched: ")), "{told}");
        manager.until("READY=1");
        exchange.trade("bot-1", "BTCUSDT", Side::Buy, "0.05");
        let begun = Instant::now();
        while sandbox.run(&["--account", "good", "fills", "--json"]).exits(0).stdout.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "the stream tells nothing");
        }
        send(Signal::TERM, &watch.process);
        assert_eq!(watch.process.wait().unwrap().code(), Some(4));
        let mut why = String::new();
        watch.process.stderr.take().unwrap().read_to_string(&mut why).unwrap();
        assert_eq!(why.matches("account bad").count(), 1, "{why}");
    }
}
