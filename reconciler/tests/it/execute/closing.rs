//! Exits: until flat, wherever the process dies, and never farther.

use std::sync::atomic::Ordering;
use std::time::Duration;

use exchange_client::{Clock as _, ExchangeTrader as _, NewOrder, SendOutcome};
use ledger_core::{
    Direction, ExitReason, IntentOutcome, IntentRole, Label, OrderClass, OrderIntent, PositionSide, Side, SignalKind,
};
use ledger_store::{DerivedReader as _, FactReader as _, PageRequest, Scope, SignalFilter, SignalOutlook, TripFilter};
use reconciler::{AttemptVerdict, CloseRequest, ClosedTrade, EntryOutcome, RepairKind, TradeEnd};

use super::{Cut, close, entry, exchange, life, symbol};
use crate::support::Fixture;

const LONG: Duration = Duration::from_mins(5);

/// A position, and in hedge mode one of the other side that is none of our business.
fn held(hedge: bool) -> Fixture {
    life(LONG, async || {
        let fixture = Fixture::in_process(exchange(11, hedge)).await;
        let executor = fixture.executor();
        let entered = executor.short_market(&entry("s-1", "0.05")).await.unwrap();
        assert!(matches!(entered, EntryOutcome::Sent(_)), "{entered:?}");
        if hedge {
            let other = executor.long_market(&entry("s-2", "0.02")).await.unwrap();
            assert!(matches!(other, EntryOutcome::Sent(_)), "{other:?}");
        }
        fixture
    })
    .unwrap()
}

fn others(fixture: &Fixture) -> Vec<(PositionSide, ledger_core::Decimal)> {
    fixture.held().into_iter().filter(|(side, _)| *side == PositionSide::Long).collect()
}

#[test]
fn a_close_is_made_wherever_its_process_dies() {
    for hedge in [false, true] {
        let fixture = held(hedge);
        let line = fixture.line(0, Cut::Before, false);
        let report = life(LONG, async || fixture.executor_over(&line).close_short_market(&close("s-1")).await).unwrap();
        assert!(report.is_flat() && report.not_recorded.is_empty(), "{report:?}");
        let requests = line.count.load(Ordering::SeqCst);
        for (at, cut) in (1..=requests).flat_map(|at| [Cut::Before, Cut::After].map(|cut| (at, cut))) {
            let fixture = held(hedge);
            let before = others(&fixture);
            let line = fixture.line(at, cut, false);
            // It is killed before it would send another attempt.
            let dies_after = Duration::from_millis(1_500);
            let died = life(dies_after, async || fixture.executor_over(&line).close_short_market(&close("s-1")).await);
            assert!(died.is_none_or(|report| report.is_flat()), "{at} {cut:?}");
            let report = life(LONG, async || fixture.executor().close_short_market(&close("s-1")).await).unwrap();
            assert!(report.is_flat() && report.not_recorded.is_empty(), "{at} {cut:?}: {report:?}");
            assert_eq!(fixture.held(), before, "{at} {cut:?}");
            life(LONG, async || {
                fixture.decided().await;
                fixture.assert_equal().await;
            })
            .unwrap();
        }
    }
}

#[test]
fn a_late_attempt_never_turns_a_position_over() {
    for hedge in [false, true] {
        let fixture = held(hedge);
        let before = others(&fixture);
        let line = fixture.line(1, Cut::Before, true);
        let report = life(LONG, async || fixture.executor_over(&line).close_short_market(&close("s-1")).await).unwrap();
        assert!(report.is_flat(), "{report:?}");
        assert!(matches!(report.attempts[0].verdict, AttemptVerdict::Undecided), "{report:?}");
        // Until it is decided what became of the first one, nothing new is opened.
        let entered = life(LONG, async || fixture.executor().short_market(&entry("s-3", "0.05")).await).unwrap();
        assert!(matches!(entered, Ok(EntryOutcome::Blocked(_))), "{entered:?}");
        // The first attempt arrives now.
        let late = line.kept.lock().unwrap().take().unwrap();
        let answer = life(LONG, async || fixture.transport.send(late).await.unwrap()).unwrap();
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(fixture.held(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_updates_position_profit_and_trip() {
    for hedge in [false, true] {
        let fixture = Fixture::in_process(exchange(5, hedge)).await;
        let executor = fixture.executor();
        let entered = executor.long_market(&entry("s-1", "0.05")).await.unwrap();
        assert!(matches!(entered, EntryOutcome::Sent(_)), "{entered:?}");
        fixture.simulator.step(Duration::from_mins(1));
        let request = CloseRequest { reason: Some(ExitReason::StopLoss), ..close("s-1") };
        let report = executor.close_long_market(&request).await;
        assert!(report.is_flat() && report.not_recorded.is_empty(), "{report:?}");
        assert!(fixture.held().is_empty() && fixture.booked().await.is_empty());
        let scope = Scope::symbol(fixture.account.clone(), symbol());
        let filter = TripFilter { scope, engine: None, position_side: None };
        let trips = fixture.store.trips(&filter, PageRequest::newest(9)).await.unwrap().items;
        let [trip] = &trips[..] else { panic!("{trips:?}") };
        assert_eq!((trip.exit_reason, trip.engine.as_ref().unwrap().as_str()), (ExitReason::StopLoss, "swing"));
        let realized: ledger_core::Decimal = fixture
            .truth()
            .trades
            .iter()
            .try_fold(ledger_core::Decimal::ZERO, |sum, trade| sum.checked_add(trade.realized))
            .unwrap();
        assert_eq!(trip.gross.told(), Some(realized));
        // The close answers it, and so does the bot's word that the trade is over, which adds nothing.
        assert_eq!(report.trip.as_deref(), Some(trip));
        let word = ClosedTrade {
            symbol: symbol(),
            direction: None,
            reason: Some(ExitReason::StopLoss),
            engine: None,
            order_id: None,
            time: None,
        };
        let end = fixture.recorder().trade_closed(&word).await.unwrap();
        assert_eq!(end, TradeEnd::Trip(Box::new(trip.clone())));
        fixture.assert_equal().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_without_a_book_is_made_and_found_later() {
    let fixture = Fixture::in_process(exchange(5, false)).await;
    let entered = fixture.executor().long_market(&entry("s-1", "0.05")).await.unwrap();
    assert!(matches!(entered, EntryOutcome::Sent(_)), "{entered:?}");
    // A book that has no such account takes nothing.
    let lame = fixture.with_empty_book().await;
    let nobody = ledger_core::AccountId::new("nobody").unwrap();
    let clock = std::sync::Arc::clone(&lame.clock) as std::sync::Arc<dyn exchange_client::Clock>;
    let recorder = reconciler::Recorder::new(lame.store.clone(), nobody, clock);
    let executor = reconciler::Executor::new(recorder, lame.exchange.clone(), lame.exchange.clone());
    let report = executor.close_long_market(&close("s-1")).await;
    assert!(report.is_flat() && !report.not_recorded.is_empty(), "{report:?}");
    assert!(fixture.held().is_empty());
    // The account's own book learns of it by a look.
    assert!(!fixture.booked().await.is_empty());
    fixture.decided().await;
    fixture.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_position_larger_than_one_order_is_closed_by_several() {
    let fixture = Fixture::in_process(exchange(5, false)).await;
    // A thin market: an order executes a part, and the rest of it expires.
    let entered = fixture.executor().long_market(&entry("s-1", "0.05")).await.unwrap();
    let EntryOutcome::Sent(sent) = entered else { panic!("{entered:?}") };
    let held = sent.order.executed.unwrap().qty;
    fixture.simulator.set_depth(&symbol(), Some("0.011".parse().unwrap())).unwrap();
    let report = fixture.executor().close_long_market(&close("s-1")).await;
    assert!(report.is_flat() && report.attempts.len() > 1, "{held}: {report:?}");
    assert!(fixture.held().is_empty() && fixture.booked().await.is_empty());
    fixture.assert_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_trade_is_labelled_on_its_order_or_kept_as_a_decision() {
    let fixture = Fixture::in_process(exchange(5, false)).await;
    let recorder = fixture.recorder().learning_contracts(fixture.exchange.clone());
    let word = |reason| ClosedTrade {
        symbol: symbol(),
        direction: Some(Direction::Long),
        reason: Some(reason),
        engine: None,
        order_id: None,
        time: None,
    };
    // Nothing is on record, and nothing tells a direction.
    let unclear = ClosedTrade { direction: None, ..word(ExitReason::TakeProfit) };
    assert_eq!(recorder.trade_closed(&unclear).await.unwrap(), TradeEnd::NotOnRecord);
    let scope = || Scope::symbol(fixture.account.clone(), symbol());
    let signals = async || fixture.store.signals(&scope().into(), PageRequest::newest(9)).await.unwrap().items;
    assert!(signals().await.is_empty());
    // A position that was closed by hand, of which the book has the opening alone.
    let entered = fixture.executor().long_market(&entry("s-1", "0.05")).await.unwrap();
    assert!(matches!(entered, EntryOutcome::Sent(_)), "{entered:?}");
    fixture.simulator.step(Duration::from_secs(1));
    fixture.simulator.close_from_app("sim-main", &symbol(), PositionSide::Net).unwrap();
    for _ in 0..2 {
        assert_eq!(recorder.trade_closed(&word(ExitReason::ManualClose)).await.unwrap(), TradeEnd::StillOpen);
    }
    let [decided] = &signals().await[..] else { panic!("one decision") };
    assert_eq!((decided.fact.kind, decided.fact.side), (SignalKind::ManualClose, Side::Sell));
    fixture.decided().await;
    let end = recorder.trade_closed(&word(ExitReason::ManualClose)).await.unwrap();
    assert!(matches!(&end, TradeEnd::Trip(trip) if trip.exit_reason == ExitReason::ManualClose), "{end:?}");
    fixture.assert_equal().await;
}

/// The bot says why it closed, hears nothing of its exit, and a look finds the order.
#[tokio::test(start_paused = true)]
async fn the_reason_of_a_close_that_only_a_look_finds_is_kept() {
    // An exit that names no signal, and one that names the signal of its entry.
    for named in [None, Some("s-1")] {
        let fixture = Fixture::in_process(exchange(5, false)).await;
        let entered = fixture.executor().long_market(&entry("s-1", "0.05")).await.unwrap();
        assert!(matches!(entered, EntryOutcome::Sent(_)), "{entered:?}");
        fixture.simulator.step(Duration::from_mins(1));
        let recorder = fixture.recorder();
        let exit = OrderIntent {
            client_order_id: "bye".parse().unwrap(),
            symbol: symbol(),
            class: OrderClass::Regular,
            side: Side::Sell,
            position_side: Some(PositionSide::Net),
            role: IntentRole::Exit,
            dca_step: 0,
            attempt: 1,
            order_type: Label::market(),
            qty: Some("0.05".parse().unwrap()),
            price: None,
            trigger_price: None,
            reduce_only: false,
            signal_id: named.map(|name| name.parse().unwrap()),
            engine: None,
            created_local: fixture.clock.now(),
            outcome: IntentOutcome::Pending,
        };
        recorder.intent(exit.clone()).await.unwrap();
        let sent = fixture.exchange.create_order(NewOrder::from_intent(&exit).unwrap()).await;
        assert!(matches!(sent, SendOutcome::Done(_)), "{sent:?}");
        let word = ClosedTrade {
            symbol: symbol(),
            direction: Some(Direction::Long),
            reason: Some(ExitReason::TakeProfit),
            engine: None,
            order_id: None,
            time: None,
        };
        assert_eq!(recorder.trade_closed(&word).await.unwrap(), TradeEnd::StillOpen);
        let scope = Scope::symbol(fixture.account.clone(), symbol());
        let filter = TripFilter { scope: scope.clone(), engine: None, position_side: None };
        let reasons = async || {
            let trips = fixture.store.trips(&filter, PageRequest::newest(9)).await.unwrap().items;
            trips.iter().map(|trip| trip.exit_reason).collect::<Vec<_>>()
        };
        // The look that brings the exit says why, and leaves no question about it.
        fixture.simulator.step(Duration::from_secs(70));
        let report = fixture.reconciler().sync().await.unwrap();
        assert_eq!(reasons().await, [ExitReason::TakeProfit], "{named:?}");
        let linked = report.repairs.iter().filter(|repair| repair.kind == RepairKind::LinkSignal);
        assert_eq!(linked.count(), 1, "{:?}", report.repairs);
        let waits = |left: &ledger_store::Discrepancy| left.entry.key.fingerprint.contains(".closed:");
        assert!(!report.left.iter().any(waits), "{:?}", report.left);
        fixture.decided().await;
        assert_eq!(reasons().await, [ExitReason::TakeProfit], "{named:?}");
        // Nothing of it waits, and nothing was said twice.
        fixture.assert_equal().await;
        let awaited = SignalFilter {
            named_by_order: Some(false),
            outlook: Some(SignalOutlook::Awaited),
            ..SignalFilter::from(scope)
        };
        let signals = fixture.store.signals(&awaited, PageRequest::newest(9)).await.unwrap().items;
        assert!(signals.is_empty(), "{named:?}: {signals:?}");
    }
}
