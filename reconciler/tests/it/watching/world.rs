//! A bot, an exchange and a watcher in one process, under a clock that a test moves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use exchange_client::binance_usdm::{BinanceUserStreams, UserStreamSettings};
use exchange_client::simulator::{AppOrder, FaultProfile, SimulatorConfig, SimulatorTransport, StreamFaults};
use exchange_client::{Clock, ExchangeTrader, NewOrder, OrderKind, OrderSize, Trigger};
use ledger_core::{PositionSide, Price, Side, Symbol, TimestampMs};
use ledger_store::{
    Book, DiscrepancyFilter, FactReader as _, Journal, LeaseRecord, Leases, PageRequest, RepairFilter, RunFilter,
    RunStatus, Scope,
};
use reconciler::service::{
    Happening, HappeningKind, Pace, StopSwitch, StreamState, Teller, WatchConfig, WatchError, WatchState, Watcher,
};

use super::door::Door;
use crate::support::Fixture;

/// How far the clock moves at once.
const STEP: Duration = Duration::from_millis(50);
/// How far where much time has to pass.
const LONG_STEP: Duration = Duration::from_secs(1);
/// What is waited for longer than this is waited for in long steps.
const SHORT: Duration = Duration::from_mins(2);

pub(crate) struct World {
    pub(crate) fixture: Fixture,
    told: Arc<Mutex<Vec<Happening>>>,
    /// When it last forgot what was told.
    forgot_local: Mutex<TimestampMs>,
    orders: usize,
}

/// A watcher that runs.
pub(crate) struct Watch {
    pub(crate) switch: StopSwitch,
    pub(crate) task: tokio::task::JoinHandle<Result<(), WatchError>>,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        Self::with(SimulatorConfig::new(seed)).await
    }

    /// On an exchange of this kind.
    pub(crate) async fn with(config: SimulatorConfig) -> Self {
        let fixture = Fixture::in_process(config).await;
        let forgot_local = Mutex::new(fixture.clock.now());
        Self { fixture, told: Arc::default(), forgot_local, orders: 0 }
    }

    pub(crate) fn watcher(&self, name: &str) -> Watcher {
        self.watcher_over(name, self.fixture.store.clone())
    }

    pub(crate) fn watcher_over(&self, name: &str, book: Book) -> Watcher {
        let (watcher, streams) = self.watcher_by(name, book, UserStreamSettings::default());
        watcher.hearing_marks(streams)
    }

    /// One whose streams are set like this.
    pub(crate) fn watcher_hearing(&self, name: &str, settings: UserStreamSettings) -> Watcher {
        let (watcher, streams) = self.watcher_by(name, self.fixture.store.clone(), settings);
        watcher.hearing_marks(streams)
    }

    /// One that looks this often, and hears no marks.
    pub(crate) fn watcher_pacing(&self, name: &str, pace: Pace) -> Watcher {
        let (mut config, streams) = self.config_and_streams(name, UserStreamSettings::default());
        config.pace = pace;
        let fixture = &self.fixture;
        let clock = Arc::clone(&fixture.clock) as Arc<dyn Clock>;
        Watcher::new(fixture.exchange.clone(), streams, fixture.store.clone(), clock, config)
    }

    /// One whose every request passes this door. It hears no marks.
    pub(crate) fn watcher_through(&self, name: &str, door: &Door) -> Watcher {
        let fixture = &self.fixture;
        let exchange = Arc::new(fixture.adapter_over(door.clone()));
        let transport = Arc::new(SimulatorTransport::new(Arc::clone(&fixture.simulator)));
        let streams = Arc::new(exchange.user_streams(transport, UserStreamSettings::default()).unwrap());
        let clock = Arc::clone(&fixture.clock) as Arc<dyn Clock>;
        Watcher::new(exchange, streams, fixture.store.clone(), clock, self.config(name))
    }

    fn watcher_by(&self, name: &str, book: Book, settings: UserStreamSettings) -> (Watcher, Arc<BinanceUserStreams>) {
        let (config, streams) = self.config_and_streams(name, settings);
        let clock = Arc::clone(&self.fixture.clock) as Arc<dyn Clock>;
        (Watcher::new(self.fixture.exchange.clone(), streams.clone(), book, clock, config), streams)
    }

    fn config_and_streams(&self, name: &str, settings: UserStreamSettings) -> (WatchConfig, Arc<BinanceUserStreams>) {
        let fixture = &self.fixture;
        let transport = Arc::new(SimulatorTransport::new(Arc::clone(&fixture.simulator)));
        let streams = fixture.exchange.user_streams(transport, settings).unwrap();
        (self.config(name), Arc::new(streams))
    }

    fn config(&self, name: &str) -> WatchConfig {
        let mut config = WatchConfig::new(self.fixture.account.clone(), name);
        config.reconcile.policy.by_type_requests_max = 0;
        config
    }

    pub(crate) fn teller(&self) -> Teller {
        let told = Arc::clone(&self.told);
        Arc::new(move |happening| told.lock().unwrap().push(happening.clone()))
    }

    pub(crate) fn start(&self, watcher: Watcher) -> Watch {
        let (switch, stop) = StopSwitch::new();
        let teller = self.teller();
        Watch { switch, task: tokio::spawn(async move { watcher.run(stop, teller).await }) }
    }

    /// Lets time pass: the exchange's, the machine's and the runtime's alike.
    pub(crate) async fn pass(&self, time: Duration) {
        let (mut left, step_max) = (time, if time > SHORT { LONG_STEP } else { STEP });
        while !left.is_zero() {
            let step = left.min(step_max);
            self.fixture.simulator.step(step);
            tokio::time::sleep(step).await;
            left -= step;
        }
    }

    /// Lets time pass until something is told that was not when the world last [forgot](Self::forget); fails after `patience`.
    pub(crate) async fn until(&self, kind: HappeningKind, patience: Duration) -> String {
        let (mut left, step) = (patience, if patience > SHORT { LONG_STEP } else { STEP });
        while self.count(kind) == 0 {
            assert!(!left.is_zero(), "{kind} is not told within {patience:?}: {:#?}", self.all());
            self.pass(step).await;
            left = left.saturating_sub(step);
        }
        self.last(kind).unwrap()
    }

    pub(crate) fn count(&self, kind: HappeningKind) -> usize {
        self.told.lock().unwrap().iter().filter(|told| told.kind == kind).count()
    }

    pub(crate) fn last(&self, kind: HappeningKind) -> Option<String> {
        self.told.lock().unwrap().iter().rev().find(|told| told.kind == kind).map(|told| told.text.clone())
    }

    /// The kinds of what was told.
    pub(crate) fn all_kinds(&self) -> Vec<HappeningKind> {
        self.told.lock().unwrap().iter().map(|told| told.kind).collect()
    }

    /// What was told, a line each.
    pub(crate) fn all(&self) -> Vec<String> {
        self.told.lock().unwrap().iter().map(|told| format!("{}: {}", told.kind, told.text)).collect()
    }

    pub(crate) fn forget(&self) {
        self.told.lock().unwrap().clear();
        *self.forgot_local.lock().unwrap() = self.fixture.clock.now();
    }

    /// A bot that leaves nothing in the book trades at the market.
    pub(crate) async fn trade(&mut self, name: &str, side: Side, qty: &str) {
        self.trade_of(name, PositionSide::Net, side, qty).await;
    }

    /// The same with one of the positions of a contract.
    pub(crate) async fn trade_of(&mut self, name: &str, position_side: PositionSide, side: Side, qty: &str) {
        self.orders += 1;
        let mut intent = self.fixture.intent(self.orders, &Symbol::new(name).unwrap(), side, qty, None, None);
        intent.position_side = Some(position_side);
        let order = NewOrder::from_intent(&intent).unwrap();
        self.fixture.exchange.create_order(order).await.done().unwrap();
    }

    /// A stop that can only close, placed by somebody else.
    pub(crate) async fn stop(&self, name: &str, side: Side, qty: &str, trigger: &str) {
        let order = NewOrder {
            client_order_id: "web_stop".parse().unwrap(),
            symbol: Symbol::new(name).unwrap(),
            side,
            position_side: PositionSide::Net,
            kind: OrderKind::StopMarket { trigger: Trigger::from(trigger.parse::<Price>().unwrap()) },
            size: OrderSize::Qty(qty.parse().unwrap()),
            reduce_only: true,
        };
        self.fixture.exchange.create_order(order).await.done().unwrap();
    }

    /// Of every event of the stream so many in a thousand are lost like this, from now on.
    pub(crate) fn stream_faults(&self, stream: StreamFaults) {
        self.fixture.simulator.set_faults(FaultProfile { stream, ..FaultProfile::default() });
    }

    /// What goes wrong with requests from now on.
    pub(crate) fn faults(&self, faults: FaultProfile) {
        self.fixture.simulator.set_faults(faults);
    }

    /// Somebody trades in the exchange's own app.
    pub(crate) fn by_hand(&self, name: &str, side: Side, qty: &str, price: Option<&str>) {
        let order = AppOrder {
            prefix: "web_",
            symbol: Symbol::new(name).unwrap(),
            side,
            position_side: PositionSide::Net,
            qty: qty.parse().unwrap(),
            price: price.map(|price| price.parse().unwrap()),
            reduce_only: false,
        };
        self.fixture.simulator.trade_from_app("sim-main", &order).unwrap();
    }

    /// A watcher that has compared everything, beside 0.05 BTC, with a stream that is confirmed. Nothing was told since. It hears
    /// no marks: they come every second, and hours have to pass.
    pub(crate) async fn watched(&mut self) -> Watch {
        let (watcher, _) = self.watcher_by("test", self.fixture.store.clone(), UserStreamSettings::default());
        self.watched_by(watcher).await
    }

    /// The same of this one.
    pub(crate) async fn watched_by(&mut self, watcher: Watcher) -> Watch {
        let watch = self.start(watcher);
        self.until(HappeningKind::Compared, Duration::from_mins(1)).await;
        self.trade("BTCUSDT", Side::Buy, "0.05").await;
        self.pass(Duration::from_secs(121)).await;
        assert_eq!(self.state().await.stream.state, StreamState::Confirmed, "{:#?}", self.all());
        self.forget();
        watch
    }

    /// How many fills the exchange has, and how many are on record.
    pub(crate) async fn fills(&self) -> (usize, usize) {
        (self.fixture.simulator.books().accounts[0].trades.len(), self.fixture.book_fills().await.len())
    }

    /// How many signals are on record.
    pub(crate) async fn signals(&self) -> usize {
        let scope = Scope::account(self.fixture.account.clone());
        self.fixture.store.signals(&scope.into(), PageRequest::first(1_000)).await.unwrap().items.len()
    }

    /// What was repaired since the world last [forgot](Self::forget). A bot that leaves nothing in the book has its signals
    /// restored, which is not among it.
    pub(crate) async fn repairs(&self) -> Vec<String> {
        let since = Some(*self.forgot_local.lock().unwrap());
        let filter = RepairFilter { since, ..RepairFilter::from(self.fixture.account.clone()) };
        let repairs = self.fixture.store.repairs(&filter, PageRequest::first(1_000)).await.unwrap().items;
        repairs.into_iter().map(|repair| repair.kind).filter(|kind| kind != "restore_signal").collect()
    }

    /// After the next cycle the book is what the exchange's own books are, and nothing of a difference is told.
    pub(crate) async fn assert_equal_in_the_end(&self) {
        self.pass(Duration::from_mins(11)).await;
        self.fixture.assert_book_equals_exchange().await;
        assert_eq!(self.count(HappeningKind::Differs), 0, "{:#?}", self.all());
    }

    /// Nothing is on record that the exchange does not have.
    pub(crate) async fn assert_nothing_invented(&self) {
        let trades = self.fixture.simulator.books().accounts.remove(0).trades;
        let mut known: Vec<_> =
            trades.into_iter().map(|trade| (trade.symbol, trade.id, trade.buy, trade.qty)).collect();
        for fill in self.fixture.book_fills().await {
            let fill =
                (fill.key.symbol.to_string(), fill.sequence.unwrap(), fill.key.side == Side::Buy, fill.qty.get());
            let at = known.iter().position(|known| *known == fill);
            assert!(at.is_some(), "{fill:?} never happened, or is on record twice");
            known.swap_remove(at.unwrap());
        }
    }

    /// Does something that takes its time, which passes meanwhile.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let passing = async {
            loop {
                self.pass(STEP).await;
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            () = passing => unreachable!("time does not end"),
        }
    }

    /// Who watches.
    pub(crate) async fn lease(&self) -> LeaseRecord {
        self.fixture.store.lease(&self.fixture.account).await.unwrap().unwrap()
    }

    /// What the watcher last said of itself.
    pub(crate) async fn state(&self) -> WatchState {
        let lease = self.lease().await;
        WatchState::parse(&lease.state_json.unwrap()).unwrap()
    }

    /// The kinds of what is open.
    pub(crate) async fn open_discrepancies(&self) -> Vec<String> {
        let filter = DiscrepancyFilter::open(self.fixture.account.clone());
        let open = self.fixture.store.discrepancies(&filter, PageRequest::first(100)).await.unwrap();
        open.items.into_iter().map(|known| known.entry.key.kind).collect()
    }

    /// What is on record of the syncs that ended so.
    pub(crate) async fn ended_runs(&self, status: RunStatus) -> Vec<String> {
        let filter = RunFilter { status: Some(status), ..RunFilter::from(self.fixture.account.clone()) };
        let runs = self.fixture.store.runs(&filter, PageRequest::first(100)).await.unwrap().items;
        runs.into_iter().map(|run| run.detail_json.unwrap_or_default()).collect()
    }

    pub(crate) async fn open_runs(&self) -> usize {
        let filter = RunFilter { status: Some(RunStatus::Running), ..RunFilter::from(self.fixture.account.clone()) };
        self.fixture.store.runs(&filter, PageRequest::first(10)).await.unwrap().items.len()
    }
}

impl Watch {
    pub(crate) async fn end(self, world: &World) -> Result<(), WatchError> {
        self.switch.stop();
        for _ in 0..200 {
            if self.task.is_finished() {
                break;
            }
            world.pass(STEP).await;
        }
        assert!(self.task.is_finished(), "it does not end within ten seconds");
        self.task.await.unwrap()
    }
}
