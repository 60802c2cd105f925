//! Orders of which nobody knows what became of them: nothing but evidence decides, and nothing is sent twice meanwhile.

use std::sync::Arc;
use std::time::Duration;

use exchange_client::SendOutcome;
use exchange_client::simulator::{FaultProfile, SimulatorConfig, StreamFaults};
use ledger_core::{IntentOutcome, IntentRole, Label, OrderClass, Side, Symbol};
use ledger_store::{FactReader as _, IntentFilter, PageRequest, Scope};
use reconciler::{EntryOutcome, Executor};

use super::super::world::World;
use super::super::{MINUTE, SECOND};
use crate::execute::{Cut, close, entry, exchange};

impl World {
    /// What is known of each order that was written down before it was sent.
    async fn outcomes(&self) -> Vec<IntentOutcome> {
        let filter = IntentFilter::from(Scope::account(self.fixture.account.clone()));
        let intents = self.fixture.store.intents(&filter, PageRequest::first(99)).await.unwrap().items;
        intents.into_iter().map(|intent| intent.fact.outcome).collect()
    }

    async fn enter(&self, executor: &Executor, name: &str) -> EntryOutcome {
        self.during(executor.long_market(&entry(name, "0.05"))).await.unwrap()
    }

    /// The orders of entries at the exchange.
    fn entries(&self) -> usize {
        self.fixture.orders_of("e").len()
    }
}

fn is_open(outcome: IntentOutcome) -> bool {
    matches!(outcome, IntentOutcome::Pending | IntentOutcome::Unknown)
}

/// The answer is lost, no event comes, and for minutes the exchange denies the order, by itself and in lists.
#[tokio::test(start_paused = true)]
async fn a_conditional_order_is_unknown_right_after_it_was_placed() {
    let config = SimulatorConfig {
        conditional_lag_ms: 180_000,
        conditional_list_lag_ms: 180_000,
        prices_wander: false,
        ..SimulatorConfig::new(91)
    };
    let mut world = World::with(config).await;
    let watch = world.watched().await;
    let symbol = Symbol::new("BTCUSDT").unwrap();
    let price: ledger_core::Decimal = world.fixture.simulator.price(&symbol).unwrap();
    let below: i64 = price.to_string().split('.').next().unwrap().parse().unwrap();
    let mut stop = world.fixture.intent(900, &symbol, Side::Sell, "0.02", None, None);
    (stop.class, stop.role) = (OrderClass::Conditional, IntentRole::StopLoss);
    (stop.order_type, stop.trigger_price) =
        (Label::new("STOP_MARKET").unwrap(), Some((below - 5_000).to_string().parse().unwrap()));
    world.faults(FaultProfile {
        lost_after: 1_000,
        only: &["POST /fapi/v1/algoOrder"],
        stream: StreamFaults { dropped: 1_000, only: &["ALGO_UPDATE"], ..StreamFaults::default() },
        ..FaultProfile::none()
    });
    let sent = world.fixture.recorder().send(&*world.fixture.exchange, &stop).await.unwrap().unwrap();
    assert!(matches!(sent, SendOutcome::Unknown(_)), "{sent:?}");
    world.faults(FaultProfile::none());
    for second in (0..175).step_by(5) {
        world.pass(5 * SECOND).await;
        let outcomes = world.outcomes().await;
        assert!(outcomes.iter().copied().all(is_open), "{second}: {outcomes:?}, {:#?}", world.all());
    }
    // Nothing new is opened as long as nobody knows.
    let blocked = world.enter(&world.fixture.executor(), "s-1").await;
    assert!(matches!(blocked, EntryOutcome::Blocked(_)), "{blocked:?}");
    world.pass(11 * MINUTE).await;
    assert_eq!(world.outcomes().await, [IntentOutcome::Accepted], "{:#?}", world.all());
    world.assert_equal_in_the_end().await;
    assert_eq!(world.fixture.truth().conditionals.len(), 1);
    watch.end(&world).await.unwrap();
}

/// 503 "unknown error" and -1007: some of these orders were executed, some never arrived, and no answer says which.
#[tokio::test(start_paused = true)]
async fn an_order_answers_503_or_1007_and_may_have_filled() {
    let (unknown, timed_out) = (FaultProfile::none(), FaultProfile::none());
    let unknown = FaultProfile { unknown: 1_000, ..unknown };
    let (mut arrived, mut lost) = (0, 0);
    for faults in [unknown, FaultProfile { timed_out: 1_000, ..timed_out }] {
        let mut world = World::with(exchange(92, false)).await;
        let watch = world.watched().await;
        world.trade("BTCUSDT", Side::Sell, "0.05").await;
        world.pass(MINUTE).await;
        for nth in 0..4 {
            let name = format!("s-{nth}");
            let before = world.entries();
            world.faults(FaultProfile { only: &["POST /fapi/v1/order"], ..faults }.with_seed(nth));
            let outcome = world.enter(&world.fixture.executor(), &name).await;
            world.faults(FaultProfile::none());
            let is_there = world.entries() > before;
            // It is asked for at once; what is not found may still be on its way.
            assert_eq!(matches!(outcome, EntryOutcome::Sent(_)), is_there, "{nth}: {outcome:?}");
            assert!(is_there || matches!(outcome, EntryOutcome::Unknown { .. }), "{nth}: {outcome:?}");
            // Asked for again at once, it is not sent again.
            let again = world.enter(&world.fixture.executor(), &name).await;
            assert!(!matches!(again, EntryOutcome::Sent(_)), "{nth}: {again:?}");
            assert_eq!(world.entries() - before, usize::from(is_there), "{nth}");
            // An exit does not wait for what nobody knows.
            let closed = world.during(world.fixture.executor().close_long_market(&close(&name))).await;
            assert!(closed.is_flat() && world.fixture.held().is_empty(), "{nth}: {closed:?}");
            // The watcher settles it by itself.
            world.pass(4 * MINUTE).await;
            let outcomes = world.outcomes().await;
            assert!(!outcomes.iter().copied().any(is_open), "{nth}: {outcomes:?}, {:#?}", world.all());
            let expected = if is_there { IntentOutcome::Accepted } else { IntentOutcome::Rejected };
            assert!(outcomes.contains(&expected), "{nth}: {outcomes:?}");
            let again = world.enter(&world.fixture.executor(), &name).await;
            assert_eq!(matches!(again, EntryOutcome::Sent(_)), !is_there, "{nth}: {again:?}");
            assert_eq!(world.entries() - before, 1, "{nth}");
            let closed = world.during(world.fixture.executor().close_long_market(&close(&name))).await;
            assert!(closed.is_flat(), "{nth}: {closed:?}");
            *if is_there { &mut arrived } else { &mut lost } += 1;
        }
        world.assert_equal_in_the_end().await;
        watch.end(&world).await.unwrap();
    }
    assert!(arrived > 0 && lost > 0, "{arrived} arrived, {lost} did not");
}

/// When a request that hangs reaches the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrives {
    /// At once, and its answer never comes.
    AtOnce,
    /// Within its receive window.
    Late,
    /// When nothing of it counts any more.
    TooLate,
}

/// No answer is no answer: neither a rejection nor an order.
#[tokio::test(start_paused = true)]
async fn a_timeout_in_flight_is_no_verdict() {
    for arrives in [Arrives::AtOnce, Arrives::Late, Arrives::TooLate] {
        let mut world = World::with(exchange(93, false)).await;
        let watch = world.watched().await;
        let cut = if arrives == Arrives::AtOnce { Cut::After } else { Cut::Before };
        let line = world.fixture.line(1, cut, true);
        let executor = world.fixture.executor_over(&line);
        // The bot dies of impatience.
        let died = world.during(tokio::time::timeout(2 * SECOND, executor.long_market(&entry("s-1", "0.05")))).await;
        assert!(died.is_err(), "{died:?}");
        let kept = || line.kept.lock().unwrap().take().unwrap();
        let transport = Arc::clone(&world.fixture.transport);
        match arrives {
            Arrives::AtOnce => {}
            Arrives::Late => {
                assert!(world.outcomes().await.into_iter().all(is_open));
                assert_eq!(transport.send(kept()).await.unwrap().status, 200);
            }
            Arrives::TooLate => {
                // Another entry waits; an exit does not.
                world.pass(20 * SECOND).await;
                assert!(world.outcomes().await.into_iter().all(is_open), "{:#?}", world.all());
                let blocked = world.enter(&world.fixture.executor(), "s-2").await;
                assert!(matches!(blocked, EntryOutcome::Blocked(_)), "{blocked:?}");
                world.pass(20 * SECOND).await;
                assert!(world.outcomes().await.into_iter().all(is_open), "{:#?}", world.all());
                world.pass(4 * MINUTE).await;
                assert_eq!(world.outcomes().await, [IntentOutcome::Rejected], "{:#?}", world.all());
                assert_eq!(transport.send(kept()).await.unwrap().status, 400, "its window is over");
            }
        }
        if arrives != Arrives::TooLate {
            world.pass(Duration::from_secs(15)).await;
            assert_eq!(world.outcomes().await, [IntentOutcome::Accepted], "{arrives:?}: {:#?}", world.all());
            let again = world.enter(&world.fixture.executor(), "s-1").await;
            assert!(matches!(again, EntryOutcome::AlreadySent { .. }), "{again:?}");
        }
        assert_eq!(world.entries(), usize::from(arrives != Arrives::TooLate));
        world.assert_equal_in_the_end().await;
        watch.end(&world).await.unwrap();
    }
}
