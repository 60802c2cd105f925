//! A cycle that ends anywhere: at the n-th question to the exchange, at the n-th word to or from the book, by an error or
//! by being dropped. The next cycles make the same book of it as if nothing had happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use exchange_client::simulator::{Simulator, SimulatorTransport};
use exchange_client::{Request, Response, Transport, TransportError};
use ledger_core::{AccountId, PositionSide, Side, Symbol};
use ledger_store::{
    Batch, CommitReport, FillFilter, FillRepository, LedgerWriter, OrderFilter, OrderRepository, PageRequest,
    PendingRefold, PositionRepository, RefoldReport, Scope, SignalFilter, SignalRepository, SqliteStore, StoreError,
    StoreResult, TripFilter, TripRepository,
};
use reconciler::Reconciler;

use crate::support::{House, adapter, assert_all_pass};

/// How a cycle ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By an error.
    Fails,
    /// By never going on: whoever waits drops it.
    Hangs,
}

/// Lets a number of calls through.
struct Gate {
    calls_left: AtomicUsize,
    end: End,
}

impl Gate {
    fn new(calls: usize, end: End) -> Self {
        Self { calls_left: AtomicUsize::new(calls), end }
    }

    /// Whether this call is one too many; never answers when the cycle is to hang.
    async fn is_shut(&self) -> bool {
        let left = self.calls_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() && self.end == End::Hangs {
            std::future::pending::<()>().await;
        }
        left.is_err()
    }
}

struct GatedTransport(SimulatorTransport, Gate);

#[async_trait]
impl Transport for GatedTransport {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        if self.1.is_shut().await {
            return Err(TransportError::Lost("connection reset".into()));
        }
        self.0.send(request).await
    }
}

/// A book that fails before or after it has committed.
struct GatedWriter {
    store: Arc<SqliteStore>,
    gate: Gate,
    commits_first: bool,
}

#[async_trait]
impl LedgerWriter for GatedWriter {
    async fn commit(&self, batch: Batch) -> StoreResult<CommitReport> {
        if self.commits_first {
            let report = self.store.commit(batch).await?;
            return if self.gate.is_shut().await { Err(StoreError::Closed) } else { Ok(report) };
        }
        if self.gate.is_shut().await { Err(StoreError::Closed) } else { self.store.commit(batch).await }
    }

    async fn pending_refolds(&self) -> StoreResult<Vec<PendingRefold>> {
        self.store.pending_refolds().await
    }

    async fn refold(&self, account: &AccountId, symbol: &Symbol) -> StoreResult<RefoldReport> {
        if self.gate.is_shut().await { Err(StoreError::Closed) } else { self.store.refold(account, symbol).await }
    }

    async fn drop_derived(&self, account: &AccountId) -> StoreResult<Vec<PendingRefold>> {
        self.store.drop_derived(account).await
    }
}

/// Several of the seed's cases at once: lost fills, a lost order, a close by hand that nobody saw.
async fn house() -> House {
    let house = House::new(61).await;
    house.trade(1, "ETHUSDT", Side::Buy, "2", |_| false).await;
    house.trade(2, "BTCUSDT", Side::Sell, "0.05", |index| index == 0).await;
    house.trade(3, "SOLUSDT", Side::Buy, "9", |_| true).await;
    house.simulator.close_from_app("sim-main", &Symbol::new("ETHUSDT").unwrap(), PositionSide::Net).unwrap();
    house.simulator.step(Duration::from_mins(1));
    house
}

/// Everything that the book says, without numbers and times of the journal.
async fn logical(house: &House) -> String {
    let scope = Scope::account(house.account.clone());
    let all = PageRequest::first(1_000);
    let fills = house.store.fills(&FillFilter::from(scope.clone()), &all).await.unwrap().items;
    let orders = house.store.orders(&OrderFilter::from(scope.clone()), &all).await.unwrap().items;
    let signals = house.store.signals(&SignalFilter::from(scope.clone()), &all).await.unwrap().items;
    let trips = TripFilter { scope, engine: None, position_side: None };
    let trips = house.store.trips(&trips, &all).await.unwrap().items;
    let held = house.store.positions(&house.account).await.unwrap();
    let held: Vec<_> = held.into_iter().map(|held| (held.symbol, held.position)).collect();
    format!("{fills:#?}{orders:#?}{signals:#?}{trips:#?}{held:#?}")
}

/// Runs a cycle that ends early. Whether it came to its end all the same.
async fn cut_short(reconciler: &Reconciler) -> bool {
    // The clock is paused: waiting for nothing takes no time.
    matches!(tokio::time::timeout(Duration::from_hours(1), reconciler.sync()).await, Ok(Ok(_)))
}

async fn made_good(house: &House, expected: &str, what: &str) {
    let report = house.reconciler().sync().await.unwrap();
    assert!(!report.leaves_discrepancies(), "{what}: {:#?}", report.left);
    assert_all_pass(&report);
    let found = logical(house).await;
    let first = found.lines().zip(expected.lines()).position(|(found, expected)| found != expected);
    let around = first.map(|at| found.lines().skip(at.saturating_sub(15)).take(30).collect::<Vec<_>>().join("\n"));
    assert!(found == expected, "{what}: {around:?}");
    house.assert_book_equals_exchange().await;
}

async fn expected() -> String {
    let house = house().await;
    house.reconciler().sync().await.unwrap();
    logical(&house).await
}

fn gated_exchange(house: &House, simulator: &Arc<Simulator>, calls: usize, end: End) -> Reconciler {
    let transport = GatedTransport(SimulatorTransport::new(Arc::clone(simulator)), Gate::new(calls, end));
    house.reconciler_over(Arc::new(adapter(Arc::new(transport), &house.clock)))
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_is_interrupted_anywhere_is_made_good_by_the_next() {
    let expected = expected().await;
    for end in [End::Fails, End::Hangs] {
        let mut calls = 0;
        loop {
            let house = house().await;
            let reached = cut_short(&gated_exchange(&house, &house.simulator, calls, end)).await;
            made_good(&house, &expected, &format!("{end:?} at question {calls}")).await;
            // A question that fails ends no cycle, so the count of questions does: far more than a cycle asks.
            if calls > 60 || (reached && end == End::Hangs) {
                break;
            }
            calls += 3;
        }
        assert!(calls > 20, "only {calls} questions were asked");
    }
}

#[tokio::test(start_paused = true)]
async fn a_book_that_fails_at_any_word_is_made_good_by_the_next() {
    let expected = expected().await;
    for end in [End::Fails, End::Hangs] {
        for commits_first in [false, true] {
            let mut words = 0;
            loop {
                let house = house().await;
                let mut reconciler = house.reconciler();
                let gate = Gate::new(words, end);
                reconciler.book.writer = Arc::new(GatedWriter { store: Arc::clone(&house.store), gate, commits_first });
                let reached = cut_short(&reconciler).await;
                made_good(&house, &expected, &format!("{end:?} at word {words}, committed first: {commits_first}"))
                    .await;
                if reached {
                    break;
                }
                words += 1;
            }
            assert!(words >= 4, "only {words} words");
        }
    }
}
