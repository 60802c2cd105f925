//! What is told, and what is never touched.

use std::sync::Arc;

use exchange_client::simulator::AppOrder;
use exchange_client::{Clock, ExchangeReader, ExchangeTrader, ManualClock, NewOrder, OrderKind, OrderSize, Trigger};
use ledger_core::{AnyFact, ClientOrderId, PositionMode, PositionSide, Side, Source, Statement};
use ledger_store::DiscrepancyStatus;
use reconciler::DiscrepancyKind;

use super::*;
use crate::support::Fixture;

#[tokio::test]
async fn orders_that_are_left_of_a_position_are_told_and_never_touched() {
    let fixture = Fixture::new(50).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    let order = NewOrder {
        client_order_id: ClientOrderId::new("sl-1").unwrap(),
        symbol: symbol(ETH),
        side: Side::Sell,
        position_side: PositionSide::Net,
        kind: OrderKind::StopMarket { trigger: Trigger::from("100".parse::<ledger_core::Price>().unwrap()) },
        size: OrderSize::Qty("2".parse().unwrap()),
        reduce_only: true,
    };
    assert!(fixture.exchange.create_order(order).await.done().is_some());
    fixture.sync().await;
    fixture.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Net).unwrap();
    fixture.sync().await;
    let second = fixture.sync().await;
    assert_eq!(status(&second, DiscrepancyKind::OrphanOrder), DiscrepancyStatus::Pending);
    let third = fixture.sync().await;
    assert_eq!(status(&third, DiscrepancyKind::OrphanOrder), DiscrepancyStatus::Unresolved);
    assert!(third.leaves_discrepancies());
    assert_eq!(fixture.exchange.fetch_open_orders(None).await.unwrap().rows.len(), 1);
    // Gone once somebody has cancelled it.
    assert!(fixture.exchange.cancel_all_conditional_orders(symbol(ETH)).await.done().is_some());
    let fourth = fixture.sync().await;
    assert!(of(&fourth, DiscrepancyKind::OrphanOrder).is_none());
    assert_eq!(fixture.open_discrepancies().await, 0);
}

#[tokio::test]
async fn somebody_elses_trades_are_kept_and_told() {
    let fixture = Fixture::new(51).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    let wish = AppOrder {
        prefix: "ios_",
        symbol: symbol("BTCUSDT"),
        side: Side::Buy,
        position_side: PositionSide::Net,
        qty: "0.01".parse().unwrap(),
        price: None,
        reduce_only: false,
    };
    fixture.simulator.trade_from_app("sim-main", &wish).unwrap();
    let report = fixture.sync().await;
    let found = of(&report, DiscrepancyKind::ForeignFills).unwrap();
    assert!(found.finding.evidence.contains("by hand"), "{}", found.finding.evidence);
    assert_eq!(found.finding.symbol.as_ref().unwrap().as_str(), "BTCUSDT");
    fixture.assert_book_equals_exchange().await;
    assert!(fixture.sync().await.findings.is_empty());
}

#[tokio::test]
async fn the_mode_the_clock_and_a_fill_that_differs_are_told() {
    let fixture = Fixture::new(52).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    fixture.trade(2, ETH, Side::Sell, "2", |_| false).await;
    fixture.sync().await;
    // A local clock that is five seconds ahead.
    let ahead = ManualClock::new(fixture.clock.now().saturating_add_ms(5_000));
    let mut reconciler = fixture.reconciler();
    reconciler.clock = Arc::new(ahead);
    let report = reconciler.audit().await.unwrap();
    assert!(of(&report, DiscrepancyKind::ClockSkew).unwrap().finding.evidence.contains("5 s ahead"));
    // Somebody tells a fill otherwise.
    let mut fill = fixture.book_fills().await.remove(0);
    fill.price = "1".parse().unwrap();
    let other = fixture.with_empty_book().await;
    let told = Statement { fact: AnyFact::Fill(fill.clone()), source: Source::ExchangeCsv, payload: None };
    other.recorder().record(vec![told]).await.unwrap();
    let report = other.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::ConflictingFill), DiscrepancyStatus::Resolved);
    assert!(other.book_fills().await.iter().all(|known| known.price != fill.price), "REST is believed");
    // And the account changes its mode.
    assert!(fixture.exchange.set_position_mode(PositionMode::Hedge).await.done().is_some());
    let report = fixture.sync().await;
    assert!(of(&report, DiscrepancyKind::PositionModeChanged).unwrap().finding.evidence.contains("hedge"));
}

/// The ledger names a fill that the book lacks: that is part of the evidence for it, not a second finding.
#[tokio::test]
async fn an_audit_tells_a_missing_fill_once() {
    let fixture = Fixture::new(62).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| true).await;
    fixture.pass(20);
    let report = fixture.reconciler().audit().await.unwrap();
    let missing = of(&report, DiscrepancyKind::MissingFills).unwrap();
    assert!(missing.finding.evidence.contains("the ledger names them (COMMISSION"), "{}", missing.finding.evidence);
    assert!(of(&report, DiscrepancyKind::IncomeMismatch).is_none(), "{:#?}", report.findings);
    // The check itself says what it saw.
    assert!(!report.verification.is_clean());
}
