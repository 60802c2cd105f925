//! A cycle that ends anywhere: at any question to the exchange, at any word to or from the book, before and after it was
//! written; by an error, or by being dropped. The next cycle makes the same book of it as if nothing had happened.

use std::sync::Arc;
use std::time::Duration;

use exchange_client::simulator::SimulatorConfig;
use ledger_core::{PositionSide, Side, Symbol};
use ledger_store::{
    DerivedReader, FactReader, FillFilter, IncomeFilter, IntentFilter, Journal, Maintenance, OpenOptions, OrderFilter,
    PageRequest, Scope, SignalFilter, SqliteStore, TripFilter,
};

use crate::gates::{End, Gate, GatedStore, GatedTransport};
use crate::support::{Fixture, assert_all_pass};

/// Which calls count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seam {
    Exchange,
    Book,
    Both,
}

/// The same hole in the book, as often as it takes.
struct Scene {
    fixture: Fixture,
    book: Vec<u8>,
    expected: String,
    /// The repairs of a cycle that nothing interrupts.
    repairs: Vec<String>,
}

impl Scene {
    /// Several of the seed's cases at once: lost fills, and a close by hand that nobody saw.
    async fn new() -> Self {
        let fixture = Fixture::in_process(SimulatorConfig::new(61)).await;
        fixture.trade(1, "ETHUSDT", Side::Buy, "2", |_| false).await;
        fixture.trade(2, "BTCUSDT", Side::Sell, "0.05", |index| index == 0).await;
        fixture.simulator.close_from_app("sim-main", &Symbol::new("ETHUSDT").unwrap(), PositionSide::Net).unwrap();
        fixture.simulator.step(Duration::from_mins(1));
        let copy = fixture.folder.path().join("copy.db");
        fixture.store.backup(&copy).await.unwrap();
        let book = std::fs::read(copy).unwrap();
        let mut scene = Self { fixture, book, expected: String::new(), repairs: Vec::new() };
        let whole = scene.again();
        whole.reconciler().sync().await.unwrap();
        whole.assert_book_equals_exchange().await;
        (scene.expected, scene.repairs) = (logical(&whole).await, repairs(&whole).await);
        assert!(scene.repairs.len() > 1);
        scene
    }

    /// The exchange only answers, so one does for all.
    fn again(&self) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book.db");
        std::fs::write(&path, &self.book).unwrap();
        self.fixture.with_book(
            folder,
            SqliteStore::open(
                path,
                &OpenOptions::inline().with_rules(
                    exchange_client::binance_usdm::VENUE.name,
                    exchange_client::binance_usdm::VENUE.ledger_rules,
                ),
            )
            .unwrap(),
        )
    }

    /// Runs a cycle of which only so many calls go through, and one that nothing interrupts. How many calls a whole
    /// cycle makes, once it is whole.
    async fn every_end(&self, seam: Seam, end: End) -> usize {
        for calls in 0.. {
            let what = format!("{end:?} at call {calls} of {seam:?}");
            let fixture = self.again();
            let gate = Gate::new(calls, end);
            let mut reconciler = fixture.reconciler();
            if seam != Seam::Book {
                let transport = GatedTransport(Arc::clone(&fixture.transport), Arc::clone(&gate));
                reconciler.exchange = Arc::new(fixture.adapter_over(transport));
            }
            if seam != Seam::Exchange {
                reconciler.book = GatedStore::book(&fixture.store, &gate);
            }
            let ended = tokio::select! {
                biased;
                () = gate.stuck() => None,
                ended = reconciler.sync() => Some(ended),
            };
            if !gate.was_hit() {
                assert!(matches!(ended, Some(Ok(_))), "{what}: {ended:?}");
                return calls;
            }
            assert!(ended.is_none() == (end == End::Drops), "{what}: {ended:?}");
            // A question without an answer is part of a look; a book that fails ends it.
            assert!(seam == Seam::Exchange || !matches!(ended, Some(Ok(_))), "{what}: nobody was told");
            self.assert_made_good(&fixture, &what, seam).await;
        }
        0
    }

    async fn assert_made_good(&self, fixture: &Fixture, what: &str, seam: Seam) {
        let report = fixture.reconciler().sync().await.unwrap();
        assert!(!report.leaves_discrepancies(), "{what}: {:#?}", report.left);
        assert_all_pass(&report);
        assert_same(&logical(fixture).await, &self.expected, what);
        if seam != Seam::Exchange {
            assert_eq!(repairs(fixture).await, self.repairs, "{what}: journaled once each");
        }
    }
}

/// Everything that the book says, without numbers and times of the journal.
pub(crate) async fn logical(fixture: &Fixture) -> String {
    let scope = Scope::account(fixture.account.clone());
    let all = || PageRequest::first(1_000);
    let fills = fixture.store.fills(&FillFilter::from(scope.clone()), all()).await.unwrap().items;
    let orders = fixture.store.orders(&OrderFilter::from(scope.clone()), all()).await.unwrap().items;
    let signals = fixture.store.signals(&SignalFilter::from(scope.clone()), all()).await.unwrap().items;
    let intents = fixture.store.intents(&IntentFilter::from(scope.clone()), all()).await.unwrap().items;
    let income = IncomeFilter { scope: scope.clone(), income_type: None };
    let income = fixture.store.income(&income, PageRequest::first(5_000)).await.unwrap().items;
    let anchors = fixture.store.anchors(&scope, all()).await.unwrap().items;
    let trips = TripFilter { scope, engine: None, position_side: None };
    let trips = fixture.store.trips(&trips, all()).await.unwrap().items;
    let open = fixture.store.open_trips(&fixture.account).await.unwrap();
    let held = fixture.store.positions(&fixture.account).await.unwrap();
    let held: Vec<_> = held.into_iter().map(|held| (held.symbol, held.position, held.reconcile_status)).collect();
    format!("{fills:#?}{orders:#?}{signals:#?}{intents:#?}{income:#?}{anchors:#?}{trips:#?}{open:#?}{held:#?}")
}

/// Shows where two books part.
#[track_caller]
pub(crate) fn assert_same(found: &str, expected: &str, what: &str) {
    let mut pairs = found.lines().zip(expected.lines());
    let first = pairs.position(|(found, expected)| found != expected).unwrap_or_default();
    let around = |text: &str| text.lines().skip(first.saturating_sub(25)).take(40).collect::<Vec<_>>().join("\n");
    assert!(found == expected, "{what}: found\n{}\ninstead of\n{}", around(found), around(expected));
}

/// What the journal says was repaired.
pub(crate) async fn repairs(fixture: &Fixture) -> Vec<String> {
    let repairs = fixture.store.repairs(&fixture.account.clone().into(), PageRequest::first(100)).await.unwrap().items;
    let mut repairs: Vec<_> = repairs.into_iter().map(|repair| format!("{} {}", repair.kind, repair.cause)).collect();
    repairs.sort();
    repairs
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_is_interrupted_anywhere_is_made_good_by_the_next() {
    let scene = Scene::new().await;
    let calls = scene.every_end(Seam::Both, End::Drops).await;
    assert!(calls > 60, "only {calls} calls");
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_stops_answering_anywhere_is_made_good_by_the_next() {
    let scene = Scene::new().await;
    for end in [End::Fails, End::FailsOnce] {
        let calls = scene.every_end(Seam::Exchange, end).await;
        assert!(calls > 12, "only {calls} questions");
    }
}

#[tokio::test(start_paused = true)]
async fn a_book_that_fails_at_any_word_is_made_good_by_the_next() {
    let scene = Scene::new().await;
    let calls = scene.every_end(Seam::Book, End::Fails).await;
    assert!(calls > 40, "only {calls} words");
}
