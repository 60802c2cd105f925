//! The simulator that the stranger trades on, served over HTTP, and the questions that a session asks meanwhile.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use exchange_client::simulator::{BooksSnapshot, Simulator, SimulatorAccount, SimulatorClock, SimulatorConfig, serve};
use exchange_client::{Clock, SystemClock};
use ledger_core::{Price, Quantity, Symbol, TimestampMs};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use super::environment::Environment;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/stranger/");
/// The account that trades in one-way mode.
pub(super) const ONE_WAY: &str = "one-way";
/// The account that trades in hedge mode.
pub(super) const HEDGED: &str = "hedged";
/// The account that is listened to while it trades.
pub(super) const WATCHED: &str = "watched";
/// The account that the exchange's own SDK trades for.
pub(super) const OFFICIAL: &str = "official";
/// The account that a bot trades for.
pub(crate) const BOT: &str = "bot";
const YEAR_MS: i64 = 365 * 86_400_000;

/// When the session begins: an hour after a funding, so that none falls between what is read and what is compared.
const BEGIN_MS: i64 = 1_782_867_600_000;

/// A clock that runs like the machine's, because the stranger signs with the machine's, and steps at a word.
#[derive(Debug)]
struct SteppedClock {
    ahead_ms: AtomicI64,
}

impl SteppedClock {
    fn at(begin_ms: i64) -> Self {
        Self { ahead_ms: AtomicI64::new(begin_ms - SystemClock.now().as_ms()) }
    }

    fn now() -> Self {
        Self { ahead_ms: AtomicI64::new(0) }
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> TimestampMs {
        SystemClock.now().saturating_add_ms(self.ahead_ms.load(Ordering::SeqCst))
    }
}

/// What the session saw, each time beside what the exchange knew by then.
#[derive(Debug)]
pub(super) struct Seen {
    /// On the stream, while it traded.
    pub(super) watched: (Value, BooksSnapshot),
    /// By asking, at the end.
    pub(super) read: (Value, BooksSnapshot),
}

/// An exchange on a port of its own.
#[derive(Debug)]
pub(crate) struct Exchange {
    simulator: Arc<Simulator>,
    clock: Arc<SteppedClock>,
    accounts: Vec<SimulatorAccount>,
    address: String,
}

impl Exchange {
    pub(super) async fn open() -> Self {
        let mut config = SimulatorConfig::new(7);
        let mut accounts = [ONE_WAY, HEDGED, WATCHED].map(SimulatorAccount::named).to_vec();
        // Its first fees are paid in BNB, until there is none left.
        accounts[1].fees_in_bnb = true;
        accounts[1].deposits.push(("BNB".to_owned(), "0.005".to_owned()));
        config.accounts = accounts;
        // Prices move only when the session asks, so that what is read at two moments can be compared.
        config.tick_ms = YEAR_MS;
        // As on the real one, what an order says is known before its fills are.
        config.settle_lag_ms = 5_000;
        Self::serve(config, SteppedClock::at(BEGIN_MS)).await
    }

    /// An exchange for the official SDK.
    pub(super) async fn open_now() -> Self {
        Self::open_for(OFFICIAL).await
    }

    /// An exchange with one account, at the machine's own time, which clients sign with. No funding comes while they trade.
    pub(crate) async fn open_for(account: &str) -> Self {
        let accounts = vec![SimulatorAccount::named(account)];
        let config = SimulatorConfig {
            accounts,
            tick_ms: YEAR_MS,
            funding_interval_ms: 100 * YEAR_MS,
            ..SimulatorConfig::new(7)
        };
        Self::serve(config, SteppedClock::now()).await
    }

    async fn serve(config: SimulatorConfig, clock: SteppedClock) -> Self {
        let (accounts, clock) = (config.accounts.clone(), Arc::new(clock));
        let simulator = Simulator::new(config, SimulatorClock::Live(clock.clone())).unwrap();
        let simulator = Arc::new(simulator);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve(simulator.clone(), listener, std::future::pending()));
        Self { simulator, clock, accounts, address }
    }

    /// Runs the session with ccxt.
    pub(super) async fn trade(&self, python: &Environment) -> Seen {
        let accounts = json!({ "one_way": self.account(0), "hedged": self.account(1), "watched": self.account(2) });
        let [watched, read] = self.run(python, "trade.py", &accounts, ["watched", "report"]).await;
        Seen { watched, read }
    }

    /// Runs the session with the official SDK: what it heard, beside what the exchange knew by then.
    pub(super) async fn listen(&self, python: &Environment) -> (Value, BooksSnapshot) {
        let [heard] = self.run(python, "official.py", &json!({ OFFICIAL: self.account(0) }), ["heard"]).await;
        heard
    }

    /// Runs a bot's session: what it said at its end, beside what the exchange knew by then.
    pub(crate) async fn run_bot(&self, session: Command) -> (Value, BooksSnapshot) {
        let [done] = self.converse(session, &json!({ BOT: self.account(0) }), ["done"]).await;
        done
    }

    fn account(&self, index: usize) -> Value {
        let account = &self.accounts[index];
        json!({
            "base_url": format!("http://{}", self.address), "stream_url": format!("ws://{}", self.address),
            "api_key": account.api_key, "api_secret": account.api_secret,
        })
    }

    /// Runs a session, answers what it asks, and passes on what it reported beside what the exchange knew by then.
    async fn run<const N: usize>(
        &self,
        python: &Environment,
        script: &str,
        accounts: &Value,
        reports: [&str; N],
    ) -> [(Value, BooksSnapshot); N] {
        let mut command = python.command();
        command.arg(format!("{SCRIPTS}{script}")).env_remove("PYTHONPATH");
        self.converse(command, accounts, reports).await
    }

    async fn converse<const N: usize>(
        &self,
        mut command: Command,
        accounts: &Value,
        reports: [&str; N],
    ) -> [(Value, BooksSnapshot); N] {
        command.env("STRANGER_ACCOUNTS", accounts.to_string()).env("PYTHONIOENCODING", "utf-8");
        // Its files import each other, and nothing is to be left behind beside them.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        // Settings of whoever runs the tests are no part of the session.
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut answers = child.stdin.take().unwrap();
        let mut questions = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut narration = child.stderr.take().unwrap();
        let narration = tokio::spawn(async move {
            let mut text = String::new();
            narration.read_to_string(&mut text).await.map(|_| text)
        });
        let mut reported: [Option<(Value, BooksSnapshot)>; N] = std::array::from_fn(|_| None);
        while let Some(line) = questions.next_line().await.unwrap() {
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            if let Some((at, report)) = reports.iter().enumerate().find_map(|(at, name)| Some((at, line.get(name)?))) {
                reported[at] = Some((report.clone(), self.simulator.books()));
                continue;
            }
            self.obey(&line);
            if answers.write_all(b"{\"done\": true}\n").await.is_err() {
                // It ended meanwhile; why, is told below.
                break;
            }
        }
        let status = child.wait().await.unwrap();
        let narration = narration.await.unwrap().unwrap();
        assert!(status.success(), "the session ended with {status}:\n{narration}");
        reported.map(|seen| seen.unwrap_or_else(|| panic!("the session reported nothing:\n{narration}")))
    }

    fn obey(&self, question: &Value) {
        match question["ask"].as_str() {
            Some("price") => {
                let (symbol, price) = (question["symbol"].as_str().unwrap(), question["price"].as_str().unwrap());
                let price = Price::new(price.parse().unwrap()).unwrap();
                self.simulator.set_price(&Symbol::new(symbol).unwrap(), price).unwrap();
            }
            Some("depth") => {
                let symbol = Symbol::new(question["symbol"].as_str().unwrap()).unwrap();
                let qty = question["qty"].as_str().map(|qty| Quantity::new(qty.parse().unwrap()).unwrap());
                self.simulator.set_depth(&symbol, qty).unwrap();
            }
            Some("time") => {
                self.clock.ahead_ms.fetch_add(question["ms"].as_i64().unwrap(), Ordering::SeqCst);
            }
            Some("deposit") => {
                let (asset, amount) = (question["asset"].as_str().unwrap(), question["amount"].as_str().unwrap());
                self.simulator.deposit(WATCHED, asset, amount.parse().unwrap()).unwrap();
            }
            _ => panic!("the session asks what nobody knows: {question}"),
        }
    }
}
