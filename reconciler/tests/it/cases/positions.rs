//! Cases C and D: positions out of nowhere, and closes that nobody saw.

use exchange_client::{ExchangeTrader, NewOrder, OrderKind, OrderSize, Trigger};
use ledger_core::{
    ClientOrderId, ExitReason, IntentRole, Label, OrderClass, PositionMode, PositionSide, Side, SignalKind,
};
use ledger_store::{DerivedReader, DiscrepancyStatus};
use reconciler::{ClientIdScheme, DiscrepancyKind};

use super::*;
use crate::support::{Fixture, assert_all_pass};

#[tokio::test]
async fn case_c_a_position_out_of_nowhere_is_restored_with_its_records() {
    let fixture = Fixture::new(44).await;
    let id = ClientIdScheme::default().compose(&engine("grid"), IntentRole::Entry, "7").unwrap();
    fixture.unrecorded(id.as_str(), Side::Sell, "1.5", false).await;
    fixture.pass(300);
    fixture.unrecorded("fb:grid:d:8", Side::Sell, "0.5", false).await;
    let report = fixture.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::UnrecordedPosition), DiscrepancyStatus::Resolved);
    assert!(report.findings.iter().all(|found| found.status == DiscrepancyStatus::Resolved), "{:#?}", report.findings);
    // Two orders, of which one opened it: that is what a signal was for.
    let signal = fixture.signals().await.remove(0);
    assert_eq!(fixture.signals().await.len(), 1);
    assert_eq!((signal.restored, signal.kind, signal.side), (true, SignalKind::Entry, Side::Sell));
    assert_eq!(signal.engine, Some(engine("grid")));
    let mut orders = fixture.orders().await;
    orders.sort_by_key(|order| order.created.map(|time| time.at));
    assert!(orders.iter().all(|order| order.engine == Some(engine("grid"))));
    let linked: Vec<_> = orders.into_iter().map(|order| order.signal_id).collect();
    assert_eq!(linked, [Some(signal.signal_id), None]);
    assert_all_pass(&report);
    fixture.assert_book_equals_exchange().await;
}

#[tokio::test]
async fn case_d_a_close_by_hand_is_completed_with_its_reason() {
    let fixture = Fixture::new(45).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    assert!(!fixture.sync().await.leaves_discrepancies());
    fixture.pass(3_600);
    fixture.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Net).unwrap();
    let report = fixture.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::UnrecordedClose), DiscrepancyStatus::Resolved);
    assert_eq!(status(&report, DiscrepancyKind::ForeignFills), DiscrepancyStatus::Resolved);
    let trip = fixture.last_trip().await;
    assert_eq!((trip.exit_reason, trip.engine), (ExitReason::ManualClose, Some(engine("swing"))));
    let signals = fixture.signals().await;
    let restored: Vec<_> = signals.iter().filter(|signal| signal.restored).collect();
    assert_eq!(restored.len(), 1);
    assert_eq!((restored[0].kind, restored[0].side), (SignalKind::ManualClose, Side::Sell));
    assert_all_pass(&report);
    fixture.assert_book_equals_exchange().await;
    assert!(fixture.sync().await.findings.is_empty());
}

#[tokio::test]
async fn one_leg_of_a_hedge_is_closed_by_hand_and_the_other_stays() {
    let fixture = Fixture::new(55).await;
    assert!(fixture.exchange.set_position_mode(PositionMode::Hedge).await.done().is_some());
    for (number, (direction, position_side)) in
        [(Side::Buy, PositionSide::Long), (Side::Sell, PositionSide::Short)].into_iter().enumerate()
    {
        let mut intent = fixture.intent(number, &symbol(ETH), direction, "2", None, Some(engine("swing")));
        intent.position_side = Some(position_side);
        assert!(fixture.recorder().send(&*fixture.exchange, &intent).await.unwrap().unwrap().done().is_some());
        fixture.pass(600);
    }
    assert!(!fixture.sync().await.leaves_discrepancies());
    fixture.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Short).unwrap();
    let report = fixture.sync().await;
    let closed = of(&report, DiscrepancyKind::UnrecordedClose).unwrap();
    assert!(closed.finding.evidence.contains("SHORT") && closed.status == DiscrepancyStatus::Resolved, "{closed:?}");
    let trip = fixture.last_trip().await;
    assert_eq!((trip.position_side, trip.exit_reason), (PositionSide::Short, ExitReason::ManualClose));
    assert_eq!(fixture.store.open_trips(&fixture.account).await.unwrap().len(), 1);
    assert_all_pass(&report);
    fixture.assert_book_equals_exchange().await;
}

/// A stop-loss that was recorded before it triggered, and a cancel of which the book learned nothing.
#[tokio::test]
async fn a_conditional_order_hands_its_label_to_the_order_that_it_became() {
    let fixture = Fixture::new(56).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    let price = fixture.simulator.price(&symbol(ETH)).unwrap();
    let trigger = price.checked_sub("50".parse().unwrap()).unwrap().round(1);
    let mut stop = fixture.intent(2, &symbol(ETH), Side::Sell, "2", None, Some(engine("swing")));
    stop.role = IntentRole::StopLoss;
    (stop.class, stop.order_type) = (OrderClass::Conditional, Label::new("STOP_MARKET").unwrap());
    (stop.trigger_price, stop.reduce_only) = (Some(trigger.to_string().parse().unwrap()), true);
    assert!(fixture.recorder().send(&*fixture.exchange, &stop).await.unwrap().unwrap().done().is_some());
    let mut limit = fixture.intent(3, &symbol(ETH), Side::Buy, "1", None, Some(engine("swing")));
    limit.order_type = Label::new("LIMIT").unwrap();
    limit.price = Some("100".parse().unwrap());
    let resting = fixture.recorder().send(&*fixture.exchange, &limit).await.unwrap().unwrap().done().unwrap().entity;
    fixture.sync().await;
    let reference = exchange_client::OrderRef::Id(OrderClass::Regular, resting.key.order_id.clone());
    assert!(fixture.exchange.cancel_order(symbol(ETH), reference).await.done().is_some());
    let beyond: ledger_core::Decimal = trigger.checked_sub("5".parse().unwrap()).unwrap();
    fixture.simulator.set_price(&symbol(ETH), beyond.to_string().parse().unwrap()).unwrap();
    let report = fixture.sync().await;
    assert!(report.findings.iter().all(|found| found.status == DiscrepancyStatus::Resolved), "{:#?}", report.findings);
    let trip = fixture.last_trip().await;
    assert_eq!((trip.exit_reason, trip.engine), (ExitReason::StopLoss, Some(engine("swing"))));
    let cancelled = fixture.orders().await.into_iter().find(|order| order.key == resting.key).unwrap();
    assert_eq!(cancelled.status, ledger_core::OrderStatus::Canceled);
    assert!(of(&report, DiscrepancyKind::ForeignFills).is_none(), "the bot's own order is nobody else's");
    fixture.assert_book_equals_exchange().await;
    assert!(fixture.sync().await.findings.is_empty());
}

#[tokio::test]
async fn case_d_a_take_profit_that_triggered_unseen_says_what_it_was() {
    let fixture = Fixture::new(46).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    let price = fixture.simulator.price(&symbol(ETH)).unwrap();
    let above: ledger_core::Price =
        price.checked_add("100".parse().unwrap()).unwrap().round(1).to_string().parse().unwrap();
    let order = NewOrder {
        client_order_id: ClientOrderId::new("tp-1").unwrap(),
        symbol: symbol(ETH),
        side: Side::Sell,
        position_side: PositionSide::Net,
        kind: OrderKind::TakeProfitMarket { trigger: Trigger::from(above) },
        size: OrderSize::ClosePosition,
        reduce_only: false,
    };
    assert!(fixture.exchange.create_order(order).await.done().is_some());
    let report = fixture.sync().await;
    assert!(of(&report, DiscrepancyKind::UnknownOrder).unwrap().finding.evidence.contains("conditional order"));
    let beyond: ledger_core::Price =
        above.get().checked_add("5".parse().unwrap()).unwrap().to_string().parse().unwrap();
    fixture.simulator.set_price(&symbol(ETH), beyond).unwrap();
    let report = fixture.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::UnrecordedClose), DiscrepancyStatus::Resolved);
    assert_eq!(fixture.last_trip().await.exit_reason, ExitReason::TakeProfit);
    let exits: Vec<_> = fixture.signals().await.into_iter().filter(|signal| signal.restored).collect();
    assert_eq!(exits.len(), 1, "{exits:#?}");
    assert_eq!(exits[0].kind, SignalKind::AutoExit);
    let conditional =
        fixture.orders().await.into_iter().find(|order| order.key.class == OrderClass::Conditional).unwrap();
    assert!(conditional.triggered_order_id.is_some() && conditional.status.is_terminal(), "{conditional:?}");
    fixture.assert_book_equals_exchange().await;
}
