//! Stops that rest at the exchange, by its own books.

use std::time::Duration;

use exchange_client::simulator::ConditionalTruth;
use exchange_client::{ExchangeTrader as _, NewOrder, OrderKind, OrderSize, Trigger, WorkingType};
use ledger_core::{ClientOrderId, Decimal, OrderStatus, PositionSide, Side};
use ledger_store::FactReader as _;
use reconciler::{CloseRequest, EntryOutcome, Executor, StopEnd, StopReport, StopRequest};

use super::{Cut, Fixture, cause, engine, entry, exchange, life, symbol};

fn stop(name: &str, price: &str) -> StopRequest {
    StopRequest {
        symbol: symbol(),
        cause: cause(name),
        engine: Some(engine()),
        price: price.parse().unwrap(),
        working_type: WorkingType::MarkPrice,
        qty: None,
    }
}

#[track_caller]
fn rests(report: &StopReport) -> &ledger_core::Order {
    assert!(report.not_recorded.is_empty() && !report.is_naked(), "{report:?}");
    let order = if let StopEnd::Resting { order } = &report.end { Some(order) } else { None };
    assert!(order.is_some(), "{report:?}");
    order.unwrap()
}

impl Fixture {
    /// The stops that wait, by the exchange's own books: whose, at what price, for how much (0: for all).
    fn stops(&self) -> Vec<(String, Decimal, Decimal)> {
        let waits = |order: &ConditionalTruth| order.status == "NEW" && order.order_type == "STOP_MARKET";
        let waiting = self.truth().conditionals.into_iter().filter(waits);
        let told = waiting.map(|order| (order.client_algo_id, order.trigger_price.unwrap(), order.qty));
        told.collect()
    }

    fn stops_at(&self) -> Vec<(Decimal, Decimal)> {
        self.stops().into_iter().map(|(_, price, qty)| (price, qty)).collect()
    }

    async fn entered(executor: &Executor) {
        let entered = executor.long_market(&entry("s-1", "0.05")).await.unwrap();
        assert!(matches!(entered, EntryOutcome::Sent(_)), "{entered:?}");
    }
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stop_rests_once_and_moves_with_the_plan() {
    for hedge in [false, true] {
        let fixture = Fixture::in_process(exchange(5, hedge)).await;
        let executor = fixture.executor();
        assert!(matches!(executor.protect_long(&stop("s-1", "50000")).await.end, StopEnd::Flat));
        Fixture::entered(&executor).await;
        // Off the grid it is earlier rather than later.
        let report = executor.protect_long(&stop("s-1", "50000.01")).await;
        let order = rests(&report).clone();
        assert_eq!((order.close_position, order.status), (Some(true), OrderStatus::New));
        assert_eq!(fixture.stops_at(), [(decimal("50000.1"), Decimal::ZERO)], "hedge {hedge}");
        // Whoever asks again, and a process that begins anew, places nothing.
        let again = fixture.executor().protect_long(&stop("s-1", "50000.01")).await;
        assert_eq!(rests(&again).key, order.key);
        assert_eq!(fixture.truth().conditionals.len(), 1);
        // It moves, and is one again.
        let moved = executor.protect_long(&stop("s-1", "51000")).await;
        assert_eq!(fixture.stops_at(), [(decimal("51000"), Decimal::ZERO)], "{moved:?}");
        assert!(moved.replaced.iter().all(|before| before.verdict.is_over()), "{moved:?}");
        // What was sent is on record, with what it was for.
        let intent = fixture.store.intent(&fixture.account, rests(&moved).client_order_id.as_ref().unwrap()).await;
        let intent = intent.unwrap().unwrap().fact;
        assert_eq!(intent.role, ledger_core::IntentRole::StopLoss);
        assert_eq!(intent.trigger_price, Some("51000".parse().unwrap()));
        // A part is a quantity.
        let part = StopRequest { qty: Some("0.02".parse().unwrap()), ..stop("s-1", "51000") };
        let report = executor.protect_long(&part).await;
        assert_eq!(rests(&report).terms.qty, part.qty);
        assert_eq!(fixture.stops_at(), [(decimal("51000"), decimal("0.02"))]);
        fixture.assert_equal().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_the_price_has_passed_says_so() {
    let fixture = Fixture::in_process(exchange(5, false)).await;
    let executor = fixture.executor();
    Fixture::entered(&executor).await;
    let report = executor.protect_long(&stop("s-1", "90000")).await;
    assert!(matches!(report.end, StopEnd::AtTrigger { before: None }) && report.is_naked(), "{report:?}");
    let report = executor.protect_long(&stop("s-1", "50000")).await;
    rests(&report);
    let report = executor.protect_long(&stop("s-1", "90000")).await;
    assert!(matches!(report.end, StopEnd::AtTrigger { before: Some(_) }) && !report.is_naked(), "{report:?}");
    assert_eq!(fixture.stops_at(), [(decimal("50000"), Decimal::ZERO)]);
}

#[tokio::test(start_paused = true)]
async fn stops_of_others_are_left_alone() {
    let fixture = Fixture::in_process(exchange(5, false)).await;
    let executor = fixture.executor();
    Fixture::entered(&executor).await;
    let by_hand = NewOrder {
        client_order_id: ClientOrderId::new("web_1").unwrap(),
        symbol: symbol(),
        side: Side::Sell,
        position_side: PositionSide::Net,
        kind: OrderKind::StopMarket { trigger: Trigger::from("49000".parse::<ledger_core::Price>().unwrap()) },
        size: OrderSize::ClosePosition,
        reduce_only: false,
    };
    assert!(fixture.exchange.create_order(by_hand).await.done().is_some());
    // A second one for the whole position is refused: ours has the quantity, and stays one however often it is asked for.
    for _ in 0..2 {
        let report = executor.protect_long(&stop("s-1", "50000")).await;
        rests(&report);
        assert_eq!(fixture.stops_at(), [(decimal("49000"), Decimal::ZERO), (decimal("50000"), decimal("0.05"))]);
    }
}

/// Whenever the process dies, and whether or not its last request arrives: a stop works, one moment after it was placed for the
/// first time, and the next process makes it the one that is wanted.
#[test]
fn a_stop_rests_at_every_moment() {
    let mut tried = 0;
    for at in 1.. {
        let mut was_cut = false;
        for cut in [Cut::Before, Cut::After] {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
            let fixture = runtime.block_on(async {
                let fixture = Fixture::in_process(exchange(5, false)).await;
                let executor = fixture.executor();
                Fixture::entered(&executor).await;
                rests(&executor.protect_long(&stop("s-1", "50000")).await);
                fixture
            });
            drop(runtime);
            let line = fixture.line(at, cut, false);
            let moved = life(Duration::from_mins(1), async || {
                fixture.executor_over(&line).protect_long(&stop("s-1", "51000")).await
            });
            was_cut |= line.count.load(std::sync::atomic::Ordering::SeqCst) >= at;
            let what = format!("request {at}, {cut:?}: {moved:?}");
            assert!(!fixture.stops().is_empty(), "naked: {what}");
            life(Duration::from_mins(1), async || {
                rests(&fixture.executor().protect_long(&stop("s-1", "51000")).await);
            })
            .unwrap();
            assert_eq!(fixture.stops_at(), [(decimal("51000"), Decimal::ZERO)], "{what}");
            // A close leaves nothing of ours behind that could open anything.
            life(Duration::from_mins(2), async || {
                let request = CloseRequest {
                    symbol: symbol(),
                    cause: cause("s-1"),
                    engine: Some(engine()),
                    reason: None,
                    believed_qty: None,
                };
                assert!(fixture.executor().close_long_market(&request).await.is_flat());
                fixture.decided().await;
                fixture.assert_equal().await;
            })
            .unwrap();
        }
        if !was_cut {
            break;
        }
        tried += 1;
    }
    assert!(tried >= 6, "only {tried} requests were cut");
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_placed_without_a_book() {
    let fixture = Fixture::in_process(exchange(5, false)).await;
    Fixture::entered(&fixture.executor()).await;
    // A book that has no such account takes nothing.
    let lame = fixture.with_empty_book().await;
    let nobody = ledger_core::AccountId::new("nobody").unwrap();
    let clock = std::sync::Arc::clone(&lame.clock) as std::sync::Arc<dyn exchange_client::Clock>;
    let recorder = reconciler::Recorder::new(lame.store.clone(), nobody, clock);
    let executor = Executor::new(recorder, lame.exchange.clone(), lame.exchange.clone());
    let report = executor.protect_long(&stop("s-1", "50000")).await;
    assert!(matches!(report.end, StopEnd::Resting { .. }) && !report.not_recorded.is_empty(), "{report:?}");
    assert_eq!(fixture.stops_at(), [(decimal("50000"), Decimal::ZERO)]);
    fixture.decided().await;
    fixture.assert_equal().await;
}
