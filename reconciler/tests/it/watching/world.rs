//! A bot, an exchange and a watcher in one process, under a clock that a test moves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use exchange_client::binance_usdm::UserStreamSettings;
use exchange_client::simulator::{FaultProfile, SimulatorConfig, SimulatorTransport, StreamFaults};
use exchange_client::{Clock, ExchangeTrader};
use ledger_core::{Side, Symbol};
use ledger_store::{Book, Journal, Leases, PageRequest, RunFilter, RunStatus};
use reconciler::service::{Happening, HappeningKind, StopSwitch, Teller, WatchConfig, WatchError, WatchState, Watcher};

use crate::support::Fixture;

/// How far the clock moves at once.
const STEP: Duration = Duration::from_millis(50);

pub(crate) struct World {
    pub(crate) fixture: Fixture,
    told: Arc<Mutex<Vec<Happening>>>,
    orders: usize,
}

/// A watcher that runs.
pub(crate) struct Watch {
    pub(crate) switch: StopSwitch,
    pub(crate) task: tokio::task::JoinHandle<Result<(), WatchError>>,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let fixture = Fixture::in_process(SimulatorConfig::new(seed)).await;
        Self { fixture, told: Arc::default(), orders: 0 }
    }

    pub(crate) fn watcher(&self, name: &str) -> Watcher {
        self.watcher_over(name, self.fixture.store.clone())
    }

    pub(crate) fn watcher_over(&self, name: &str, book: Book) -> Watcher {
        let fixture = &self.fixture;
        let transport = Arc::new(SimulatorTransport::new(Arc::clone(&fixture.simulator)));
        let streams = fixture.exchange.user_streams(transport, UserStreamSettings::default()).unwrap();
        let streams = Arc::new(streams);
        let mut config = WatchConfig::new(fixture.account.clone(), name);
        config.reconcile.policy.by_type_requests_max = 0;
        let clock = Arc::clone(&fixture.clock) as Arc<dyn Clock>;
        Watcher::new(fixture.exchange.clone(), streams.clone(), book, clock, config).hearing_marks(streams)
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
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(STEP);
            self.fixture.simulator.step(step);
            tokio::time::sleep(step).await;
            left -= step;
        }
    }

    /// Lets time pass until something is told that was not when the world last [forgot](Self::forget); fails after `patience`.
    pub(crate) async fn until(&self, kind: HappeningKind, patience: Duration) -> String {
        let mut left = patience;
        while self.count(kind) == 0 {
            assert!(!left.is_zero(), "{kind} is not told within {patience:?}: {:#?}", self.all());
            self.pass(STEP).await;
            left = left.saturating_sub(STEP);
        }
        self.last(kind).unwrap()
    }

    pub(crate) fn count(&self, kind: HappeningKind) -> usize {
        self.told.lock().unwrap().iter().filter(|told| told.kind == kind).count()
    }

    pub(crate) fn last(&self, kind: HappeningKind) -> Option<String> {
        self.told.lock().unwrap().iter().rev().find(|told| told.kind == kind).map(|told| told.text.clone())
    }

    /// What was told, a line each.
    pub(crate) fn all(&self) -> Vec<String> {
        self.told.lock().unwrap().iter().map(|told| format!("{}: {}", told.kind, told.text)).collect()
    }

    pub(crate) fn forget(&self) {
        self.told.lock().unwrap().clear();
    }

    /// A bot that leaves nothing in the book trades at the market.
    pub(crate) async fn trade(&mut self, name: &str, side: Side, qty: &str) {
        self.orders += 1;
        let intent = self.fixture.intent(self.orders, &Symbol::new(name).unwrap(), side, qty, None, None);
        let order = exchange_client::NewOrder::from_intent(&intent).unwrap();
        self.fixture.exchange.create_order(order).await.done().unwrap();
    }

    /// Of every event of the stream so many in a thousand are lost like this, from now on.
    pub(crate) fn stream_faults(&self, stream: StreamFaults) {
        self.fixture.simulator.set_faults(FaultProfile { stream, ..FaultProfile::default() });
    }

    /// What the watcher last said of itself.
    pub(crate) async fn state(&self) -> WatchState {
        let lease = self.fixture.store.lease(&self.fixture.account).await.unwrap().unwrap();
        WatchState::parse(&lease.state_json.unwrap()).unwrap()
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
