//! `fillbook watch` beside a plain SQLite writer, both fed by the same simulated exchange: how long it takes from the arrival of
//! an event until it is durable, what the watching weighs, and whether its memory grows.
//!
//! ```sh
//! cargo bench -p ledger-tests --bench watch -- --seconds 60 --fills-per-second 125
//! ```
//!
//! The plain writer listens by a connection of its own and takes what waits into one transaction, as the watcher does. It writes the
//! rows that the watcher writes, into the same tables with the same indexes: the messages verbatim, order, fill and position.
//! Both flush to disk with each commit. Delays are told for half and for 99 of 100 of the last thousand events, at the end of every ten seconds, and of
//! the whole run the worst of these.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that measures the machine's time and says so"
)]
#![expect(clippy::panic, reason = "what cannot be measured ends the program")]

use std::collections::VecDeque;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel::{Connection as _, RunQueryDsl, SqliteConnection};
use exchange_client::binance_usdm::{BinanceUsdm, RequestSettings, UserStreamSettings};
use exchange_client::simulator::{Simulator, SimulatorClock, SimulatorConfig, SimulatorTransport, serve};
use exchange_client::{
    Clock, ExchangeTrader, NewOrder, OrderKind, StreamEvent, SystemClock, UserStreams, WebSocketTransport,
    WebSocketTransportConfig,
};
use ledger_core::{ClientOrderId, PositionSide, Quantity, Side, Symbol};
use ledger_store::{OpenOptions, SqliteStore};
use serde_json::Value;

/// How many delays are kept.
const DELAYS_MAX: usize = 1_000;
/// How many events a transaction takes at most, here and there.
const GROUP_MAX: usize = 256;

fn argument(name: &str, usual: u64) -> u64 {
    let mut words = std::env::args().skip_while(|word| word != name);
    words.nth(1).map_or(usual, |value| value.parse().unwrap_or_else(|_| panic!("{name} {value} is no number")))
}

/// The delays of the last events, in microseconds.
#[derive(Default)]
struct Delays(VecDeque<u64>);

impl Delays {
    fn push(&mut self, delay: Duration) {
        if self.0.len() == DELAYS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(u64::try_from(delay.as_micros()).unwrap());
    }

    fn of(&self, percent: usize) -> u64 {
        let mut sorted: Vec<u64> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
    }
}

/// What somebody would write into the same tables who leaves everything else out: no merging, no checks, nothing derived but the
/// position's row.
struct PlainWriter(SqliteConnection);

const FACT_SOURCE: &str =
    "INSERT OR IGNORE INTO fact_sources VALUES ('plain', ?, ?, 'stream', randomblob(16), ?, 0, NULL)";
const ORDER: &str = "INSERT OR REPLACE INTO orders (account_id, symbol, order_class, order_id, client_order_id, side, position_side, \
    order_type, status, qty, executed_qty, avg_price, ts, ts_precision, updated_ts, updated_ts_precision, source) \
    VALUES ('plain', ?, 'REGULAR', ?, ?, ?, 'NET', ?, ?, ?, ?, ?, ?, 'ms', ?, 'ms', 'stream')";
const FILL: &str = "INSERT OR REPLACE INTO fills (account_id, symbol, fill_id, side, order_id, ts, ts_precision, price, qty, \
    position_side, fee, fee_asset, source) VALUES ('plain', ?, ?, ?, ?, ?, 'ms', ?, ?, 'NET', ?, ?, 'stream')";
const POSITION: &str = "INSERT OR REPLACE INTO positions (account_id, symbol, position_side, ts, side, qty, certainty, settle_asset, \
    source, detail_json) VALUES ('plain', ?, 'NET', ?, 'long', ?, 'known', 'USDT', 'fold', '{}')";

impl PlainWriter {
    fn open(path: &str) -> Self {
        drop(SqliteStore::open(path, &OpenOptions::creating()).unwrap());
        let mut connection = SqliteConnection::establish(path).unwrap();
        connection
            .batch_execute(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                 INSERT INTO accounts (account_id, venue, created_local_ms) VALUES ('plain', 'binance_usdm', 0);",
            )
            .unwrap();
        Self(connection)
    }

    fn commit(&mut self, group: &[Arc<str>]) {
        self.0
            .immediate_transaction(|connection| {
                for body in group {
                    write_message(connection, body)?;
                }
                Ok::<_, diesel::result::Error>(())
            })
            .unwrap();
    }
}

fn write_message(connection: &mut SqliteConnection, body: &str) -> diesel::QueryResult<()> {
    let message: Value = serde_json::from_str(body).unwrap();
    let order = &message["o"];
    if order.is_null() {
        return Ok(());
    }
    let text = |name: &str| order[name].as_str().map_or_else(|| order[name].to_string(), str::to_owned);
    let at = order["T"].as_i64().unwrap();
    let source = |connection: &mut SqliteConnection, kind: &str, key: String| {
        let statement = diesel::sql_query(FACT_SOURCE).bind::<Text, _>(kind).bind::<Text, _>(key);
        PreparedOnce(statement.bind::<Text, _>(body)).execute(connection)
    };
    source(connection, "order", format!("{}|REGULAR|{}", text("s"), text("i")))?;
    let statement = diesel::sql_query(ORDER)
        .bind::<Text, _>(text("s"))
        .bind::<Text, _>(text("i"))
        .bind::<Text, _>(text("c"))
        .bind::<Text, _>(text("S"))
        .bind::<Text, _>(text("o"))
        .bind::<Text, _>(text("X"))
        .bind::<Text, _>(text("q"))
        .bind::<Text, _>(text("z"))
        .bind::<Text, _>(text("ap"))
        .bind::<BigInt, _>(at)
        .bind::<BigInt, _>(at);
    PreparedOnce(statement).execute(connection)?;
    if text("x") != "TRADE" {
        return Ok(());
    }
    source(connection, "fill", format!("{}|{}|{}", text("s"), text("S"), text("t")))?;
    let statement = diesel::sql_query(FILL)
        .bind::<Text, _>(text("s"))
        .bind::<Text, _>(text("t"))
        .bind::<Text, _>(text("S"))
        .bind::<Text, _>(text("i"))
        .bind::<BigInt, _>(at)
        .bind::<Text, _>(text("L"))
        .bind::<Text, _>(text("l"))
        .bind::<Text, _>(text("n"))
        .bind::<Text, _>(text("N"));
    PreparedOnce(statement).execute(connection)?;
    let statement = diesel::sql_query(POSITION).bind::<Text, _>(text("s")).bind::<BigInt, _>(at);
    PreparedOnce(statement.bind::<Text, _>(text("l"))).execute(connection)?;
    Ok(())
}

/// A statement that is prepared once: Diesel prepares literal SQL anew each time.
struct PreparedOnce<Q>(Q);

impl<Q: QueryFragment<Sqlite>> QueryFragment<Sqlite> for PreparedOnce<Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, Sqlite>) -> diesel::QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _backend: &Sqlite) -> diesel::QueryResult<bool> {
        Ok(true)
    }
}

impl<Q> QueryId for PreparedOnce<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q> RunQueryDsl<SqliteConnection> for PreparedOnce<Q> {}

fn payload(event: &StreamEvent) -> Option<Arc<str>> {
    match event {
        StreamEvent::Order(update) => Some(Arc::clone(&update.payload)),
        StreamEvent::Trade(notice) => Some(Arc::clone(&notice.payload)),
        _ => None,
    }
}

struct Shared {
    is_over: AtomicBool,
    fills: AtomicU64,
    delays: std::sync::Mutex<Delays>,
}

/// Listens and writes, as the watcher does: what waits goes into one transaction.
async fn write_plainly(streams: impl UserStreams + 'static, path: String, shared: Arc<Shared>) {
    let (tell, mut heard) = tokio::sync::mpsc::channel::<(StreamEvent, Instant)>(4_096);
    tokio::spawn(async move {
        let mut stream = streams.open_user_stream().await.unwrap();
        loop {
            let event = stream.next().await;
            if tell.send((event, Instant::now())).await.is_err() {
                return;
            }
        }
    });
    let mut writer = Some(PlainWriter::open(&path));
    let mut group = Vec::new();
    while heard.recv_many(&mut group, GROUP_MAX).await > 0 {
        let mut arrived = Vec::new();
        let mut bodies = Vec::new();
        for (event, at) in group.drain(..) {
            if let StreamEvent::Order(update) = &event {
                shared.fills.fetch_add(u64::from(update.fill.is_some()), Ordering::Relaxed);
            }
            if let Some(body) = payload(&event) {
                bodies.push(body);
                arrived.push(at);
            }
        }
        if bodies.is_empty() {
            continue;
        }
        let mut lent = writer.take().unwrap();
        let lent = tokio::task::spawn_blocking(move || {
            lent.commit(&bodies);
            lent
        });
        writer = Some(lent.await.unwrap());
        let mut delays = shared.delays.lock().unwrap();
        for at in arrived {
            delays.push(at.elapsed());
        }
    }
}

/// The memory of a process that no file backs, in KiB.
fn memory_kib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn main() {
    let (seconds, rate) = (argument("--seconds", 20), argument("--fills-per-second", 500));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure(seconds, rate));
}

async fn measure(seconds: u64, rate: u64) {
    let folder = tempfile::tempdir().unwrap();
    let config =
        SimulatorConfig { weight_1m_max: None, orders_10s_max: None, orders_1m_max: None, ..SimulatorConfig::new(7) };
    let account = config.accounts[0].clone();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let simulator = Arc::new(Simulator::new(config, SimulatorClock::Live(Arc::clone(&clock))).unwrap());
    // Enough for the fees of any run.
    simulator.deposit(&account.alias, "USDT", "1000000000".parse().unwrap()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(Arc::clone(&simulator), listener, std::future::pending()));
    let http = exchange_client::HttpTransport::new(exchange_client::HttpTransportConfig::default()).unwrap();
    let over_http =
        BinanceUsdm::new(Arc::new(http), Arc::clone(&clock), &base_url, account.credentials().unwrap()).unwrap();
    let sockets = Arc::new(WebSocketTransport::new(WebSocketTransportConfig::default()).unwrap());
    let streams = over_http.user_streams(sockets, UserStreamSettings::default()).unwrap();

    let mut watcher = Command::new(env!("CARGO_BIN_EXE_fillbook-under-test"))
        .args(["watch", "--quiet"])
        .current_dir(folder.path())
        .env("FILLBOOK_BASE_URL", &base_url)
        .env("FILLBOOK_API_KEY", &account.api_key)
        .env("FILLBOOK_API_SECRET", &account.api_secret)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = || {
        let out = Command::new(env!("CARGO_BIN_EXE_fillbook-under-test"))
            .args(["status", "--json"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        serde_json::from_str::<Value>(&text).unwrap_or(Value::Null)["watch"]["state"].clone()
    };
    let begun = Instant::now();
    while status()["cycle"].is_null() {
        assert!(begun.elapsed() < Duration::from_mins(1), "the watcher does not begin");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let shared = Arc::new(Shared {
        is_over: AtomicBool::new(false),
        fills: AtomicU64::new(0),
        delays: std::sync::Mutex::default(),
    });
    let plain = folder.path().join("plain.db").to_str().unwrap().to_owned();
    tokio::spawn(write_plainly(streams, plain, Arc::clone(&shared)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let in_process = Arc::new(SimulatorTransport::new(Arc::clone(&simulator)));
    let trader = BinanceUsdm::with_settings(
        in_process,
        clock,
        "http://127.0.0.1:1",
        account.credentials().unwrap(),
        RequestSettings::SIMULATED,
    )
    .unwrap();
    let trading = tokio::spawn(trade(trader, rate, Arc::clone(&shared)));

    let begun = Instant::now();
    let memory_before = memory_kib(&watcher);
    let (mut worst, mut memory_early) = ([0_u64; 4], 0);
    println!("seconds  fills  watch median us  watch p99 us  plain median us  plain p99 us  watch KiB  weight/min");
    while begun.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_secs(10.min(seconds))).await;
        let state = status();
        let of = |name: &str| state[name].as_u64().unwrap_or(0);
        let plain = {
            let delays = shared.delays.lock().unwrap();
            [delays.of(50), delays.of(99)]
        };
        let now = [of("delay_us_median"), of("delay_us_p99"), plain[0], plain[1]];
        worst = std::array::from_fn(|at| worst[at].max(now[at]));
        let memory = memory_kib(&watcher);
        if memory_early == 0 {
            memory_early = memory;
        }
        let fills = shared.fills.load(Ordering::Relaxed);
        let [a, b, c, d] = now;
        println!(
            "{:>7}  {fills:>5}  {a:>15}  {b:>12}  {c:>15}  {d:>12}  {memory:>9}  {:>10}",
            begun.elapsed().as_secs(),
            of("weight_1m_own")
        );
    }
    shared.is_over.store(true, Ordering::Relaxed);
    trading.await.unwrap();
    let took = begun.elapsed();
    let memory_after = memory_kib(&watcher);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let told = shared.fills.load(Ordering::Relaxed);
    let there = simulator.books().accounts[0].trades.len();
    let recorded = Command::new(env!("CARGO_BIN_EXE_fillbook-under-test"))
        .args(["fills", "--json"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let recorded = String::from_utf8(recorded.stdout).unwrap().lines().count();
    let events = status()["events"].as_u64().unwrap_or(0);
    watcher.kill().unwrap();
    watcher.wait().unwrap();
    let file = std::fs::metadata(folder.path().join("fillbook.db")).unwrap().len();
    let a_second = |many: u64| many * 1_000 / u64::try_from(took.as_millis()).unwrap();
    println!(
        "fills: {there} at the exchange, {recorded} in the book, {told} told to the plain writer, {} a second; events: {} a second",
        a_second(told),
        a_second(events)
    );
    println!(
        "worst of all tens of seconds, in us: watch median {}, p99 {}; plain median {}, p99 {}",
        worst[0], worst[1], worst[2], worst[3]
    );
    println!(
        "memory of the watcher in KiB: {memory_before} before, {memory_early} after ten seconds, {memory_after} at the end; the book has {} KiB",
        file / 1_024
    );
}

/// Trades at the market, on three contracts, in and out, as many fills a second as asked.
async fn trade(trader: BinanceUsdm, rate: u64, shared: Arc<Shared>) {
    let begun = Instant::now();
    let mut nth = 0_u64;
    let symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"].map(|name| Symbol::new(name).unwrap());
    while !shared.is_over.load(Ordering::Relaxed) {
        let wanted = u64::try_from(begun.elapsed().as_millis()).unwrap() * rate / 1_000;
        if shared.fills.load(Ordering::Relaxed) >= wanted {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        nth += 1;
        let order = NewOrder {
            client_order_id: ClientOrderId::new(format!("bench-{nth}")).unwrap(),
            symbol: symbols[usize::try_from(nth % 3).unwrap()].clone(),
            side: if (nth / 3).is_multiple_of(2) { Side::Buy } else { Side::Sell },
            position_side: PositionSide::Net,
            kind: OrderKind::Market,
            size: "1".parse::<Quantity>().unwrap().into(),
            reduce_only: false,
        };
        if let exchange_client::SendOutcome::Rejected(error) | exchange_client::SendOutcome::Unknown(error) =
            trader.create_order(order).await
        {
            panic!("{error}");
        }
        tokio::task::yield_now().await;
    }
}
