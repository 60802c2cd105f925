//! An exchange with a bot and a book beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::{BinanceUsdm, RequestSettings};
use exchange_client::simulator::{Simulator, SimulatorAccount, SimulatorConfig, SimulatorTransport, serve};
use exchange_client::{Clock, ExchangeReader, HttpTransport, HttpTransportConfig, ManualClock, TradeQuery, Transport};
use ledger_core::{
    AccountId, ClientOrderId, Decimal, EngineLabel, EventTime, Fill, IntentOutcome, IntentRole, Label, OrderClass,
    OrderIntent, PositionSide, Side, Signal, SignalId, SignalKind, Symbol, TimestampMs,
};
use ledger_store::{
    AccountRepository, FillFilter, FillRepository, NewAccount, OpenOptions, PageRequest, PositionRepository,
    ReconcileStatus, Scope, SqliteStore,
};
use reconciler::{Book, CheckName, CycleReport, DiscrepancyKind, Reconciler, ReconcilerConfig, Recorder, Verdict};

pub(crate) const START_MS: i64 = 1_780_000_000_000;

pub(crate) struct House {
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) exchange: Arc<BinanceUsdm>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) account: AccountId,
}

impl House {
    pub(crate) async fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::new(TimestampMs::new(START_MS).unwrap()));
        let config = SimulatorConfig { weight_1m_max: None, ..SimulatorConfig::new(seed) };
        let simulator = Arc::new(Simulator::new(config, Arc::clone(&clock)).unwrap());
        let transport = Arc::new(SimulatorTransport::new(Arc::clone(&simulator)));
        let exchange = Arc::new(adapter(transport, &clock));
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("book.db"), &OpenOptions::inline()).unwrap());
        let account = AccountId::new("main").unwrap();
        let entry = NewAccount { id: account.clone(), venue: "binance_usdm".into(), created_local: clock.now() };
        store.create_account(entry).await.unwrap();
        Self { simulator, clock, exchange, store, folder, account }
    }

    pub(crate) fn recorder(&self) -> Recorder {
        Recorder::new(Book::of(&self.store), self.account.clone(), Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    pub(crate) fn reconciler(&self) -> Reconciler {
        self.reconciler_over(Arc::clone(&self.exchange) as Arc<dyn ExchangeReader>)
    }

    pub(crate) fn reconciler_over(&self, exchange: Arc<dyn ExchangeReader>) -> Reconciler {
        Reconciler {
            exchange,
            book: Book::of(&self.store),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            config: ReconcilerConfig::new(self.account.clone()),
        }
    }

    /// A reconciler that asks the simulator over HTTP, and the server.
    pub(crate) async fn reconciler_over_http(&self) -> (Reconciler, tokio::task::JoinHandle<()>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let simulator = Arc::clone(&self.simulator);
        let server = tokio::spawn(async { serve(simulator, listener, std::future::pending()).await.unwrap() });
        let transport = Arc::new(HttpTransport::new(HttpTransportConfig::default()).unwrap());
        let credentials = SimulatorAccount::standard().credentials().unwrap();
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let settings = RequestSettings::SIMULATED;
        let exchange = BinanceUsdm::with_settings(transport, clock, &base_url, credentials, settings).unwrap();
        (self.reconciler_over(Arc::new(exchange)), server)
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
    pub(crate) fn files(&self) -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| !path.to_string_lossy().ends_with("-shm")).collect();
        files.sort();
        files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    pub(crate) async fn book_fills(&self) -> Vec<Fill> {
        let filter = FillFilter::from(Scope::account(self.account.clone()));
        let page = self.store.fills(&filter, &PageRequest::first(1_000)).await.unwrap();
        page.items.into_iter().map(|fill| fill.fact).collect()
    }

    /// The book says exactly what the simulator's books say.
    pub(crate) async fn assert_book_equals_exchange(&self) {
        let books = self.simulator.books();
        let truth = &books.accounts[0];
        let mut fills = self.book_fills().await;
        fills.sort_by_key(|fill| (fill.key.symbol.clone(), fill.sequence));
        assert_eq!(fills.len(), truth.trades.len());
        for (fill, known) in fills.iter().zip(&truth.trades) {
            assert_eq!((fill.key.symbol.as_str(), fill.sequence), (known.symbol.as_str(), Some(known.id)));
            assert_eq!((fill.price.get(), fill.qty.get()), (known.price, known.qty));
            assert_eq!(fill.fee.as_ref().unwrap().amount, known.fee);
        }
        let tolerance: Decimal = "0.00000001".parse().unwrap();
        let mut realized: BTreeMap<String, Decimal> = BTreeMap::new();
        let mut paid: BTreeMap<(&str, String), Decimal> = BTreeMap::new();
        let mut open = 0;
        for held in self.store.positions(&self.account).await.unwrap() {
            let position = &held.position;
            let total = realized.entry(held.settle_asset.to_string()).or_default();
            *total = total.checked_add(position.realized.amount().unwrap()).unwrap();
            for (what, totals) in [("fees", &position.fees), ("funding", &position.funding)] {
                for line in totals {
                    let sum = paid.entry((what, line.asset.to_string())).or_default();
                    *sum = sum.checked_add(line.total.amount().unwrap()).unwrap();
                }
            }
            let known = truth
                .positions
                .iter()
                .find(|known| known.symbol == held.symbol.as_str() && known.position_side == position.position_side);
            assert_eq!(position.qty, known.map_or(Decimal::ZERO, |known| known.qty), "{}", held.symbol);
            if let Some(known) = known {
                let difference = position.entry_price_avg.unwrap().checked_sub(known.entry_price).unwrap();
                assert!(difference.abs() <= tolerance, "{}: {difference}", held.symbol);
                assert_eq!(held.reconcile_status, Some(ReconcileStatus::Matched), "{}", held.symbol);
                open += 1;
            }
        }
        assert_eq!(open, truth.positions.len());
        // Fees and funding to the last digit. A payment that no position was held for would be missing here.
        for (asset, total) in truth.income_total("COMMISSION").unwrap() {
            assert_eq!(paid.get(&("fees", asset.clone())), Some(&-total), "{asset}");
        }
        for (asset, total) in truth.income_total("FUNDING_FEE").unwrap() {
            assert_eq!(paid.get(&("funding", asset.clone())), Some(&total), "{asset}");
        }
        // Realized profit: the exchange rounds each trade's to 8 decimals.
        for (asset, total) in truth.income_total("REALIZED_PNL").unwrap() {
            let slack = tolerance.checked_mul(Decimal::from(i64::try_from(truth.trades.len()).unwrap())).unwrap();
            let difference = realized[&asset].checked_sub(total).unwrap();
            assert!(difference.abs() <= slack, "{asset}: {difference}");
        }
    }
}

pub(crate) fn adapter(transport: Arc<dyn Transport>, clock: &Arc<ManualClock>) -> BinanceUsdm {
    let credentials = SimulatorAccount::standard().credentials().unwrap();
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    BinanceUsdm::with_settings(transport, clock, "http://127.0.0.1:1", credentials, RequestSettings::SIMULATED).unwrap()
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
        // A first look has no earlier balance to compare with, and there may be no position to have an entry.
        let may_lack = matches!(check.name, CheckName::Footing | CheckName::AverageEntry);
        let is_lacking = may_lack && matches!(check.verdict, Verdict::NotCheckable { .. });
        assert!(is_lacking || matches!(check.verdict, Verdict::Pass { .. }), "{check:?}");
    }
}
