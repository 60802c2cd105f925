//! Fills that can be asked for only a moment after their order: nothing wrong is concluded in between.

use exchange_client::simulator::SimulatorConfig;
use ledger_core::{ExitReason, PositionSide, Side, SignalKind};
use ledger_store::{DiscrepancyStatus, PageRequest, Scope, SnapshotRepository};
use reconciler::{CycleReport, DiscrepancyKind};

use super::*;
use crate::support::{House, assert_all_pass};

/// Fills and ledger entries come eight seconds after their order.
async fn lagging(seed: u64) -> House {
    House::with(SimulatorConfig { settle_lag_ms: 8_000, ..SimulatorConfig::new(seed) }).await
}

impl House {
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
        let anchors = self.store.anchors(&Scope::account(self.account.clone()), &PageRequest::first(10)).await.unwrap();
        assert!(anchors.items.is_empty());
        assert!(self.signals().await.iter().all(|signal| !signal.restored));
    }
}

#[tokio::test]
async fn fills_that_lag_behind_their_order_are_pending_and_then_match() {
    let house = lagging(74).await;
    house.trade(1, ETH, Side::Buy, "2", |_| false).await;
    assert!(house.book_fills().await.is_empty(), "they cannot be asked for yet");
    let first = house.sync_after(1).await;
    assert_eq!(status(&first, DiscrepancyKind::MissingFills), DiscrepancyStatus::Pending, "{:#?}", first.findings);
    house.assert_nothing_concluded(&first).await;
    let second = house.sync_after(2).await;
    house.assert_nothing_concluded(&second).await;
    let third = house.sync_after(10).await;
    assert_eq!(status(&third, DiscrepancyKind::MissingFills), DiscrepancyStatus::Resolved);
    assert_all_pass(&third);
    house.assert_book_equals_exchange().await;
    assert_eq!(house.open_discrepancies().await, 0);
    assert!(house.signals().await.iter().all(|signal| !signal.restored), "the bot's own order has its signal");
}

#[tokio::test]
async fn an_unseen_position_whose_fills_lag_is_pending_and_then_restored() {
    let house = lagging(75).await;
    house.unrecorded("fb:grid:e:7", Side::Buy, "2", false).await;
    for _ in 0..2 {
        let report = house.sync_after(2).await;
        house.assert_nothing_concluded(&report).await;
    }
    let report = house.sync_after(10).await;
    assert!(report.findings.iter().all(|found| found.status == DiscrepancyStatus::Resolved), "{:#?}", report.findings);
    assert_all_pass(&report);
    house.assert_book_equals_exchange().await;
    let signal = house.signals().await.remove(0);
    assert_eq!((signal.restored, signal.kind, signal.engine), (true, SignalKind::Entry, Some(engine("grid"))));
    assert_eq!(house.orders().await.remove(0).signal_id, Some(signal.signal_id));
    assert_eq!(house.sync_after(20).await.findings, []);
}

#[tokio::test]
async fn an_unseen_close_whose_fills_lag_is_pending_and_then_completed() {
    let house = lagging(76).await;
    house.trade(1, ETH, Side::Buy, "2", |_| false).await;
    house.sync_after(60).await;
    house.assert_book_equals_exchange().await;
    house.pass(3_600);
    house.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Net).unwrap();
    for _ in 0..2 {
        let report = house.sync_after(2).await;
        house.assert_nothing_concluded(&report).await;
    }
    let report = house.sync_after(10).await;
    assert_eq!(status(&report, DiscrepancyKind::MissingFills), DiscrepancyStatus::Resolved);
    assert_eq!(house.last_trip().await.exit_reason, ExitReason::ManualClose);
    let restored: Vec<_> = house.signals().await.into_iter().filter(|signal| signal.restored).collect();
    assert_eq!(restored.len(), 1, "{restored:#?}");
    assert_eq!((restored[0].kind, restored[0].side), (SignalKind::ManualClose, Side::Sell));
    assert_all_pass(&report);
    house.assert_book_equals_exchange().await;
    assert_eq!(house.sync_after(20).await.findings, []);
}
