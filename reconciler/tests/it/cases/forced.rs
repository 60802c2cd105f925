//! What the exchange itself closed.

use ledger_core::{ExitReason, PositionSide, Side};
use ledger_store::{DerivedReader, DiscrepancyStatus, PageRequest, Scope, TripFilter};
use reconciler::DiscrepancyKind;

use super::*;
use crate::support::{Fixture, assert_all_pass};

#[tokio::test]
async fn a_liquidation_is_told_and_kept() {
    let fixture = Fixture::new(47).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    fixture.sync().await;
    fixture.simulator.force_liquidation("sim-main", &symbol(ETH), PositionSide::Net).unwrap();
    let report = fixture.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::Liquidation), DiscrepancyStatus::Resolved);
    assert_eq!(fixture.last_trip().await.exit_reason, ExitReason::Liquidation);
    assert!(fixture.signals().await.iter().all(|signal| !signal.restored), "no strategy and no hand decided");
    fixture.assert_book_equals_exchange().await;
}

#[tokio::test]
async fn an_auto_deleveraging_takes_a_part_and_then_the_rest() {
    let fixture = Fixture::new(71).await;
    fixture.trade(1, ETH, Side::Sell, "2", |_| false).await;
    fixture.sync().await;
    fixture.simulator.force_adl("sim-main", &symbol(ETH), PositionSide::Net, "0.5".parse().unwrap()).unwrap();
    let report = fixture.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::Adl), DiscrepancyStatus::Resolved);
    assert!(of(&report, DiscrepancyKind::Liquidation).is_none());
    assert_all_pass(&report);
    let held = fixture.store.positions(&fixture.account).await.unwrap().remove(0).position;
    assert_eq!(held.qty, "-1.5".parse().unwrap());
    fixture.assert_book_equals_exchange().await;
    fixture.simulator.force_adl("sim-main", &symbol(ETH), PositionSide::Net, "1.5".parse().unwrap()).unwrap();
    let report = fixture.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::Adl), DiscrepancyStatus::Resolved);
    let trip = fixture.last_trip().await;
    assert_eq!((trip.exit_reason, trip.engine), (ExitReason::Adl, Some(engine("swing"))));
    assert!(fixture.signals().await.iter().all(|signal| !signal.restored), "no strategy and no hand decided");
    assert!(of(&report, DiscrepancyKind::ForeignFills).is_none(), "the exchange is nobody else");
    fixture.assert_book_equals_exchange().await;
    assert!(fixture.sync().await.findings.is_empty());
}

#[tokio::test]
async fn a_settled_contract_is_closed_in_the_book_and_stops_no_other() {
    let fixture = Fixture::new(72).await;
    fixture.trade(1, "SOLUSDT", Side::Buy, "9", |_| false).await;
    fixture.trade(2, ETH, Side::Buy, "2", |_| false).await;
    fixture.sync().await;
    fixture.simulator.settle_contract(&symbol("SOLUSDT")).unwrap();
    fixture.simulator.close_from_app("sim-main", &symbol(ETH), PositionSide::Net).unwrap();
    let report = fixture.sync().await;
    assert_eq!(status(&report, DiscrepancyKind::Settlement), DiscrepancyStatus::Resolved);
    assert!(report.findings.iter().all(|found| found.status == DiscrepancyStatus::Resolved), "{:#?}", report.findings);
    assert_all_pass(&report);
    let scope = Scope::symbol(fixture.account.clone(), symbol("SOLUSDT"));
    let filter = TripFilter { scope, engine: None, position_side: None };
    let trip = fixture.store.trips(&filter, PageRequest::newest(1)).await.unwrap().items.remove(0);
    assert_eq!((trip.exit_reason, trip.engine), (ExitReason::Settlement, Some(engine("swing"))));
    let restored: Vec<_> = fixture.signals().await.into_iter().filter(|signal| signal.restored).collect();
    assert_eq!(restored.len(), 1, "for the close by hand alone: {restored:#?}");
    fixture.assert_book_equals_exchange().await;
    assert!(fixture.sync().await.findings.is_empty());
}

/// Off the list, a contract answers nothing any more; what is known of it stays.
#[tokio::test]
async fn a_delisted_contract_is_told_and_stops_no_other() {
    let fixture = Fixture::new(73).await;
    fixture.trade(1, "SOLUSDT", Side::Buy, "9", |_| false).await;
    fixture.sync().await;
    fixture.trade(2, ETH, Side::Buy, "2", |index| index == 0).await;
    fixture.simulator.delist_contract(&symbol("SOLUSDT")).unwrap();
    let report = fixture.sync().await;
    let (gone, other): (Vec<_>, Vec<_>) =
        report.findings.iter().partition(|found| found.finding.symbol == Some(symbol("SOLUSDT")));
    assert!(gone.iter().any(|found| found.finding.kind == DiscrepancyKind::QueryFailed), "{gone:#?}");
    assert!(gone.iter().any(|found| found.finding.evidence.contains("-4141")), "{gone:#?}");
    assert!(!other.is_empty() && other.iter().all(|found| found.status == DiscrepancyStatus::Resolved), "{other:#?}");
    assert!(report.leaves_discrepancies());
    let held = fixture.store.positions(&fixture.account).await.unwrap();
    let known = |name: &str| held.iter().find(|held| held.symbol.as_str() == name).unwrap().position.qty;
    assert_eq!(known(ETH), "2".parse().unwrap());
    // Its settlement is known from the order alone: flat, at a profit that is no more than an estimate.
    assert!(known("SOLUSDT").is_zero());
    let settled = held.iter().find(|held| held.symbol.as_str() == "SOLUSDT").unwrap();
    assert!(settled.position.realized.has_estimates);
}
