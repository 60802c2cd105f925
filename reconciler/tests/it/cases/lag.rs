//! Fills that can be asked for only a moment after their order: nothing wrong is concluded in between.

use exchange_client::simulator::SimulatorConfig;
use ledger_core::{ExitReason, PositionSide, Side, SignalKind};
use ledger_store::{DiscrepancyStatus, FactReader, PageRequest, Scope};
use reconciler::{CycleReport, DiscrepancyKind};

use super::*;
use crate::support::{Fixture, assert_all_pass};

/// Fills and ledger entries come eight seconds after their order.
async fn lagging(seed: u64) -> Fixture {
    Fixture::with(SimulatorConfig { settle_lag_ms: 8_000, ..SimulatorConfig::new(seed) }).await
}

impl Fixture {
    async fn sync_after(&self, seconds: u64) -> CycleReport {
        self.pass(seconds);
        self.reconciler().sync().await.unwrap()
    }

    async fn assert_nothing_concluded(&self, report: &CycleReport) {
        assert!(!report.findings.is_empty());
        let concluded: Vec<_> =
            report.findings.iter().filter(|found| found.status == DiscrepancyStatus::Unresolved).collect();
        assert!(concluded.is_empty(), "{concluded:#?}");
        assert!(!report.leaves_discrepancies(), "{:#?}", report.left);
        let anchors = self.store.anchors(&Scope::account(self.account.clone()), PageRequest::first(10)).await.unwrap();
        assert!(anchors.items.is_empty());
        assert!(self.signals().await.iter().all(|signal| !signal.restored));
    }
}

#[tokio::test]
async fn fills_that_lag_behind_their_order_are_pending_and_then_match() {
    let fixture = lagging(74).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    assert!(fixture.book_fills().await.is_empty(), "they cannot be asked for yet");
    let first = fixture.sync_after(1).await;
    assert_eq!(status(&first, DiscrepancyKind::MissingFills), DiscrepancyStatus::Pending, "{:#?}", first.findings);
    fixture.assert_nothing_concluded(&first).await;
    let second = fixture.sync_after(2).await;
    fixture.assert_nothing_concluded(&second).await;
    let third = fixture.sync_after(10).await;
    assert_eq!(status(&third, DiscrepancyKind::MissingFills), DiscrepancyStatus::Resolved);
    assert_all_pass(&third);
    fixture.assert_book_equals_exchange().await;
    assert_eq!(fixture.open_discrepancies().await, 0);
    assert!(fixture.signals().await.iter().all(|signal| !signal.restored), "the bot's own order has its signal");
}

#[tokio::test]
async fn an_unseen_position_whose_fills_lag_is_pending_and_then_restored() {
    let fixture = lagging(75).await;
    fixture.unrecorded("fb:grid:e:7", Side::Buy, "2", false).await;
    for _ in 0..2 {
        let report = fixture.sync_after(2).await;
        fixture.assert_nothing_concluded(&report).await;
    }
    let report = fixture.sync_after(10).await;
    assert!(report.findings.iter().all(|found| found.status == DiscrepancyStatus::Resolved), "{:#?}", report.findings);
    assert_all_pass(&report);
    fixture.assert_book_equals_exchange().await;
    let signal = fixture.signals().await.remove(0);
    assert_eq!((signal.restored, signal.kind, signal.engine), (true, SignalKind::Entry, Some(engine("grid"))));
    assert_eq!(fixture.orders().await.remove(0).signal_id, Some(signal.signal_id));
    assert_eq!(fixture.sync_after(20).await.findings, []);
}

#[tokio::test]
async fn an_unseen_close_whose_fills_lag_is_pending_and_then_completed() {
    let fixture = lagging(76).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    fixture.sync_after(60).await;
    fixture.assert_book_equals_exchange().await;
    fixture.pass(3_600);
    fixture.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Net).unwrap();
    for _ in 0..2 {
        let report = fixture.sync_after(2).await;
        fixture.assert_nothing_concluded(&report).await;
    }
    let report = fixture.sync_after(10).await;
    assert_eq!(status(&report, DiscrepancyKind::MissingFills), DiscrepancyStatus::Resolved);
    assert_eq!(fixture.last_trip().await.exit_reason, ExitReason::ManualClose);
    let restored: Vec<_> = fixture.signals().await.into_iter().filter(|signal| signal.restored).collect();
    assert_eq!(restored.len(), 1, "{restored:#?}");
    assert_eq!((restored[0].kind, restored[0].side), (SignalKind::ManualClose, Side::Sell));
    assert_all_pass(&report);
    fixture.assert_book_equals_exchange().await;
    assert_eq!(fixture.sync_after(20).await.findings, []);
}
