//! An exchange with a bot and a book beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::{BinanceUsdm, RequestSettings, VENUE};
use exchange_client::simulator::{Simulator, SimulatorAccount, SimulatorConfig, SimulatorTransport, serve};
use exchange_client::{Clock, ExchangeReader, HttpTransport, HttpTransportConfig, ManualClock, TradeQuery, Transport};
use ledger_core::{
    AccountId, ClientOrderId, EngineLabel, EventTime, IntentOutcome, IntentRole, Label, OrderClass, OrderIntent,
    PositionSide, Side, Signal, SignalId, SignalKind, Symbol, TimestampMs,
};
use ledger_store::{NewAccount, OpenOptions, SqliteStore, Writer};
use reconciler::{CheckName, CycleReport, DiscrepancyKind, Reconciler, ReconcilerConfig, Recorder, Verdict};

pub(crate) const START_MS: i64 = 1_780_000_000_000;

/// An exchange that is asked over HTTP on loopback, unless a test takes more steps than that is worth.
pub(crate) struct Fixture {
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) clock: Arc<ManualClock>,
    /// How the simulator is reached, for tests that stand in between.
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) base_url: String,
    _server: Option<Server>,
    pub(crate) exchange: Arc<BinanceUsdm>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) account: AccountId,
}

impl Fixture {
    /// Over HTTP.
    pub(crate) async fn new(seed: u64) -> Self {
        Self::with(SimulatorConfig::new(seed)).await
    }

    /// Over HTTP, an exchange of this kind.
    pub(crate) async fn with(config: SimulatorConfig) -> Self {
        let (simulator, clock) = exchange_of(config);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let served = Arc::clone(&simulator);
        let server = tokio::spawn(async { serve(served, listener, std::future::pending()).await.unwrap() });
        let transport = Arc::new(HttpTransport::new(HttpTransportConfig::default()).unwrap());
        Self::build(simulator, clock, transport, base_url, Some(Server(server))).await
    }

    /// By calls into the simulator.
    pub(crate) async fn in_process(config: SimulatorConfig) -> Self {
        let (simulator, clock) = exchange_of(config);
        let transport = Arc::new(SimulatorTransport::new(Arc::clone(&simulator)));
        Self::build(simulator, clock, transport, "http://127.0.0.1:1".into(), None).await
    }

    async fn build(
        simulator: Arc<Simulator>,
        clock: Arc<ManualClock>,
        transport: Arc<dyn Transport>,
        base_url: String,
        server: Option<Server>,
    ) -> Self {
        let exchange = Arc::new(adapter(Arc::clone(&transport), &clock, &base_url));
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("book.db"), &options()).unwrap());
        let account = AccountId::new("main").unwrap();
        let entry = NewAccount { id: account.clone(), venue: "binance_usdm".into(), created_local: clock.now() };
        store.create_account(entry).await.unwrap();
        Self { simulator, clock, transport, base_url, _server: server, exchange, store, folder, account }
    }

    /// The same exchange, and another book. Lives as long as this fixture's server.
    pub(crate) fn with_book(&self, folder: tempfile::TempDir, store: SqliteStore) -> Self {
        Self {
            simulator: Arc::clone(&self.simulator),
            clock: Arc::clone(&self.clock),
            transport: Arc::clone(&self.transport),
            base_url: self.base_url.clone(),
            _server: None,
            exchange: Arc::clone(&self.exchange),
            store: Arc::new(store),
            folder,
            account: self.account.clone(),
        }
    }

    /// The same exchange, and a book that has seen nothing.
    pub(crate) async fn with_empty_book(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("book.db"), &options()).unwrap();
        let entry =
            NewAccount { id: self.account.clone(), venue: "binance_usdm".into(), created_local: self.clock.now() };
        store.create_account(entry).await.unwrap();
        self.with_book(folder, store)
    }

    /// The same exchange, and a book that has seen nothing and is not kept.
    pub(crate) async fn with_book_in_memory(&self) -> Self {
        let store = SqliteStore::in_memory(&options()).unwrap();
        let entry =
            NewAccount { id: self.account.clone(), venue: "binance_usdm".into(), created_local: self.clock.now() };
        store.create_account(entry).await.unwrap();
        self.with_book(tempfile::tempdir().unwrap(), store)
    }

    /// How many requests were sent.
    pub(crate) fn exchange_requests(&self) -> u64 {
        self.exchange.usage().requests
    }

    /// The mark prices on record, with what they are of and when.
    pub(crate) async fn marks_on_record(&self) -> Vec<(Symbol, TimestampMs)> {
        let scope = ledger_store::Scope::account(self.account.clone());
        let page = ledger_store::PageRequest::first(1_000);
        let prices = ledger_store::FactReader::price_snapshots(&*self.store, &scope, page).await.unwrap().items;
        let marks = prices.into_iter().filter(|price| price.fact.kind == ledger_core::PriceKind::Mark);
        marks.map(|mark| (mark.fact.symbol, mark.fact.at)).collect()
    }

    /// Some time from now.
    pub(crate) fn clock_at(&self, offset_ms: i64) -> TimestampMs {
        self.clock.now().saturating_add_ms(offset_ms)
    }

    /// The exchange with something in between.
    pub(crate) fn adapter_over(&self, transport: impl Transport + 'static) -> BinanceUsdm {
        adapter(Arc::new(transport), &self.clock, &self.base_url)
    }

    pub(crate) fn recorder(&self) -> Recorder {
        Recorder::new(self.store.clone(), self.account.clone(), Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    pub(crate) fn reconciler(&self) -> Reconciler {
        self.reconciler_over(Arc::clone(&self.exchange) as Arc<dyn ExchangeReader>)
    }

    pub(crate) fn reconciler_over(&self, exchange: Arc<dyn ExchangeReader>) -> Reconciler {
        // What is asked for type by type, a few types a look, comes and goes between looks that are compared.
        self.reconciler_by_type(exchange, 0)
    }

    /// One that asks for ledger rows type by type, in so many requests a look.
    pub(crate) fn reconciler_by_type(&self, exchange: Arc<dyn ExchangeReader>, requests_max: usize) -> Reconciler {
        let mut config = ReconcilerConfig::new(self.account.clone());
        config.policy.by_type_requests_max = requests_max;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Reconciler { exchange, book: self.store.clone(), clock, config }
    }

    /// A bot's order, recorded from signal to fills; `lose` says which of its fills are lost, by ordinal.
    pub(crate) async fn trade(&self, number: usize, name: &str, side: Side, qty: &str, lose: impl Fn(usize) -> bool) {
        self.simulator.step(Duration::from_secs(7_400));
        let recorder = self.recorder();
        let symbol = Symbol::new(name).unwrap();
        let engine = Some(EngineLabel::new("swing").unwrap());
        let signal_id = SignalId::new(format!("s-{number}")).unwrap();
        let signal = Signal {
            signal_id: signal_id.clone(),
            time: EventTime::ms(self.clock.now()),
            skew_ms: None,
            symbol: symbol.clone(),
            side,
            kind: SignalKind::Entry,
            engine: engine.clone(),
            reason: None,
            skipped: None,
            meta_json: None,
            restored: false,
        };
        recorder.signal(signal).await.unwrap();
        let intent = self.intent(number, &symbol, side, qty, Some(signal_id), engine);
        let outcome = recorder.send(&*self.exchange, &intent).await.unwrap().unwrap();
        let order = outcome.done().unwrap();
        let query = TradeQuery::Order(order.entity.key.order_id.clone());
        let fills = self.exchange.fetch_my_trades(symbol, query).await.unwrap().rows;
        let kept: Vec<_> =
            fills.into_iter().enumerate().filter(|(index, _)| !lose(*index)).map(|(_, fill)| fill).collect();
        recorder.fills(&kept).await.unwrap();
    }

    pub(crate) fn intent(
        &self,
        number: usize,
        symbol: &Symbol,
        side: Side,
        qty: &str,
        signal_id: Option<SignalId>,
        engine: Option<EngineLabel>,
    ) -> OrderIntent {
        OrderIntent {
            client_order_id: ClientOrderId::new(format!("bot-{number}")).unwrap(),
            symbol: symbol.clone(),
            class: OrderClass::Regular,
            side,
            position_side: Some(PositionSide::Net),
            role: IntentRole::Entry,
            dca_step: 0,
            attempt: 1,
            order_type: Label::new("MARKET").unwrap(),
            qty: Some(qty.parse().unwrap()),
            price: None,
            trigger_price: None,
            reduce_only: false,
            signal_id,
            engine,
            created_local: self.clock.now(),
            outcome: IntentOutcome::Pending,
        }
    }

    /// A session on several contracts: opened, added to, closed, flipped.
    pub(crate) async fn session(&self, lose: impl Fn(usize, usize) -> bool) {
        let plan = [
            ("BTCUSDT", Side::Buy, "0.05"),
            ("ETHUSDT", Side::Sell, "1.5"),
            ("币安人生USDT", Side::Buy, "700"),
            ("BTCUSDT", Side::Buy, "0.013"),
            ("ETHUSDC", Side::Buy, "0.4"),
            ("BTCUSDT", Side::Sell, "0.1"),
            ("ETHUSDT", Side::Buy, "1.5"),
            ("SOLUSDT", Side::Buy, "9"),
        ];
        for (number, (name, side, qty)) in plan.into_iter().enumerate() {
            self.trade(number, name, side, qty, |index| lose(number, index)).await;
        }
        self.simulator.step(Duration::from_mins(1));
    }

    /// The book's files, without the shared memory beside it.
    pub(crate) fn files(&self) -> BookFiles {
        files_in(self.folder.path())
    }

    /// Every row of the book but those that say when the exchange was looked at: every look writes these.
    pub(crate) async fn rows(&self) -> Vec<String> {
        self.store.rows_except(&["looks"]).await.unwrap()
    }

    /// A book that was left like this, opened as whoever comes next would.
    pub(crate) fn reopened(&self, files: &BookFiles) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let store = SqliteStore::open(folder.path().join("book.db"), &options()).unwrap();
        self.with_book(folder, store)
    }
}

/// How books are opened: for writing on the caller's thread, with the venue's table.
pub(crate) fn options() -> OpenOptions {
    OpenOptions::inline().with_rules(VENUE.name, VENUE.ledger_rules)
}

/// Names and contents.
pub(crate) type BookFiles = Vec<(std::ffi::OsString, Vec<u8>)>;

/// What a process that is gone leaves behind: all but the shared memory.
pub(crate) fn files_in(folder: &std::path::Path) -> BookFiles {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = files.filter(|file| !file.file_name().to_string_lossy().ends_with("-shm"));
    let mut files: Vec<_> = files.map(|file| (file.file_name(), std::fs::read(file.path()).unwrap())).collect();
    files.sort();
    files
}

/// An exchange for months: prices move every ten minutes.
pub(crate) fn for_months(seed: u64) -> SimulatorConfig {
    SimulatorConfig { tick_ms: 600_000, ..SimulatorConfig::new(seed) }
}

/// Ends with its fixture.
struct Server(tokio::task::JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn exchange_of(config: SimulatorConfig) -> (Arc<Simulator>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(TimestampMs::new(START_MS).unwrap()));
    let config = SimulatorConfig { weight_1m_max: None, ..config };
    (Arc::new(Simulator::new(config, Arc::clone(&clock)).unwrap()), clock)
}

fn adapter(transport: Arc<dyn Transport>, clock: &Arc<ManualClock>, base_url: &str) -> BinanceUsdm {
    let credentials = SimulatorAccount::standard().credentials().unwrap();
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    BinanceUsdm::with_settings(transport, clock, base_url, credentials, RequestSettings::SIMULATED).unwrap()
}

pub(crate) fn kinds(report: &CycleReport) -> BTreeMap<DiscrepancyKind, usize> {
    let mut kinds = BTreeMap::new();
    for finding in &report.findings {
        *kinds.entry(finding.finding.kind).or_default() += 1;
    }
    kinds
}

pub(crate) fn assert_all_pass(report: &CycleReport) {
    for check in &report.verification.checks {
        // A first look has no earlier balance to compare with, and there may be no position to have an entry or funding.
        let may_lack = matches!(check.name, CheckName::Footing | CheckName::AverageEntry | CheckName::Funding);
        let is_lacking = may_lack && matches!(check.verdict, Verdict::NotCheckable { .. });
        assert!(is_lacking || matches!(check.verdict, Verdict::Pass { .. }), "{check:?}");
    }
}
