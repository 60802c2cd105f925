//! What the exchange has forgotten, or is about to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use exchange_client::ExchangeReader;
use exchange_client::{Request, Response, Transport, TransportError};
use ledger_core::{PositionMode, PositionSide, Side};
use ledger_store::{DerivedReader, DiscrepancyStatus, FactReader, PageRequest, Scope};
use reconciler::DiscrepancyKind;

use super::*;
use crate::support::{Fixture, assert_all_pass, for_months};

#[tokio::test]
async fn what_is_older_than_the_exchanges_memory_is_stated_after_a_second_look() {
    let fixture = Fixture::with(for_months(49)).await;
    fixture.unrecorded("old-1", Side::Buy, "3", false).await;
    fixture.simulator.step(Duration::from_hours(24 * 100));
    fixture.unrecorded("new-1", Side::Sell, "1", true).await;
    fixture.pass(3_600);
    fixture.unrecorded("new-2", Side::Buy, "0.5", false).await;
    let first = fixture.sync().await;
    assert_eq!(
        status(&first, DiscrepancyKind::UnrecordedPosition),
        DiscrepancyStatus::Pending,
        "{:#?}",
        first.findings
    );
    let scope = Scope::account(fixture.account.clone());
    assert!(fixture.store.anchors(&scope, PageRequest::first(10)).await.unwrap().items.is_empty());
    let second = fixture.sync().await;
    assert_eq!(
        status(&second, DiscrepancyKind::PositionMismatch),
        DiscrepancyStatus::Resolved,
        "{:#?}",
        second.findings
    );
    let anchors = fixture.store.anchors(&scope, PageRequest::first(10)).await.unwrap().items;
    assert_eq!(anchors.len(), 1);
    assert_eq!(anchors[0].fact.qty, "3".parse().unwrap());
    // The entry is the one that the old fill made, as the exchange's realized profit tells.
    let truth = fixture.simulator.books();
    let old = &truth.accounts[0].trades;
    let cost = old.iter().filter(|trade| trade.time_ms < anchors[0].fact.at.as_ms());
    let cost = cost.fold("0".parse::<ledger_core::Decimal>().unwrap(), |sum, trade| {
        sum.checked_add(trade.price.checked_mul(trade.qty).unwrap()).unwrap()
    });
    let stated = anchors[0].fact.entry_price.unwrap().get().checked_mul("3".parse().unwrap()).unwrap();
    assert!(stated.checked_sub(cost).unwrap().abs() < "0.0001".parse().unwrap(), "{stated} {cost}");
    let held = fixture.store.positions(&fixture.account).await.unwrap();
    assert_eq!(held[0].position.qty, "2.5".parse().unwrap());
    assert!(second.verification.mismatched_positions.is_empty());
    assert!(!second.leaves_discrepancies(), "{:#?}", second.left);
}

#[tokio::test]
async fn what_is_stated_goes_when_older_fills_turn_up() {
    let fixture = Fixture::with(for_months(53)).await;
    fixture.unrecorded("old-1", Side::Buy, "3", false).await;
    fixture.pass(60);
    let old = fixture.exchange.fetch_my_trades(symbol(ETH), exchange_client::TradeQuery::FromId("1".parse().unwrap()));
    let old = old.await.unwrap().rows;
    assert!(!old.is_empty());
    fixture.simulator.step(Duration::from_hours(24 * 100));
    fixture.unrecorded("new-1", Side::Sell, "1", true).await;
    fixture.sync().await;
    fixture.sync().await;
    let scope = Scope::account(fixture.account.clone());
    let stated = || async { fixture.store.anchors(&scope, PageRequest::first(10)).await.unwrap().items.remove(0).fact };
    assert!(stated().await.withdrawn.is_none());
    // Somebody imports what the exchange has forgotten.
    fixture.recorder().fills(&old).await.unwrap();
    let report = fixture.sync().await;
    assert!(
        report.repairs.iter().any(|repair| repair.kind.as_str() == "withdraw_stated_position"),
        "{:#?}",
        report.repairs
    );
    assert!(stated().await.withdrawn.is_some());
    let report = fixture.sync().await;
    assert!(report.repairs.is_empty() && !report.leaves_discrepancies(), "{:#?}", report.left);
    // The ledger of that time stays forgotten; the fills and what they lead to are whole.
    assert_eq!(fixture.book_fills().await.len(), fixture.simulator.books().accounts[0].trades.len());
    assert_all_pass(&report);
}

#[tokio::test]
async fn what_is_stated_moves_back_in_front_of_older_fills() {
    let fixture = Fixture::with(for_months(58)).await;
    for (id, side, qty) in [("old-1", Side::Buy, "3"), ("old-2", Side::Buy, "2"), ("old-3", Side::Sell, "1")] {
        fixture.unrecorded(id, side, qty, false).await;
        fixture.pass(3_600);
    }
    let old = fixture.exchange.fetch_my_trades(symbol(ETH), exchange_client::TradeQuery::FromId("1".parse().unwrap()));
    let old = old.await.unwrap().rows;
    fixture.simulator.step(Duration::from_hours(24 * 100));
    fixture.unrecorded("new-1", Side::Sell, "1", true).await;
    fixture.sync().await;
    fixture.sync().await;
    let scope = Scope::account(fixture.account.clone());
    let live = || async {
        let known = fixture.store.anchors(&scope, PageRequest::first(10)).await.unwrap().items;
        known.into_iter().map(|known| known.fact).filter(|anchor| anchor.withdrawn.is_none()).collect::<Vec<_>>()
    };
    assert_eq!(live().await[0].qty, "4".parse().unwrap());
    // Somebody imports the later ones of what the exchange has forgotten, and then the first.
    let is_first = |row: &exchange_client::Stated<ledger_core::Fill>| row.entity.order_id == old[0].entity.order_id;
    let (first, later): (Vec<_>, Vec<_>) = old.iter().cloned().partition(is_first);
    fixture.recorder().fills(&later).await.unwrap();
    let report = fixture.sync().await;
    assert!(
        report.repairs.iter().any(|repair| repair.kind.as_str() == "move_stated_position"),
        "{:#?}",
        report.repairs
    );
    let stated = live().await;
    let begin = later.iter().map(|row| row.entity.time.at).min().unwrap();
    assert_eq!((stated.len(), stated[0].qty, stated[0].at), (1, "3".parse().unwrap(), begin));
    // The entry is the one that the first fills made, as the exchange's realized profit tells.
    let mut cost = ledger_core::Decimal::ZERO;
    for row in &first {
        let fill = &row.entity;
        cost = cost.checked_add(fill.price.get().checked_mul(fill.qty.get()).unwrap()).unwrap();
    }
    let said = stated[0].entry_price.unwrap().get().checked_mul("3".parse().unwrap()).unwrap();
    assert!(said.checked_sub(cost).unwrap().abs() < "0.0001".parse().unwrap(), "{said} {cost}");
    assert!(report.verification.mismatched_positions.is_empty());
    let report = fixture.sync().await;
    assert!(report.repairs.is_empty() && !report.leaves_discrepancies(), "{:#?}", report.left);
    fixture.recorder().fills(&first).await.unwrap();
    fixture.sync().await;
    assert!(live().await.is_empty());
    assert_eq!(fixture.book_fills().await.len(), fixture.simulator.books().accounts[0].trades.len());
    assert_all_pass(&fixture.sync().await);
}

/// Days after the last look somebody traded, and by the next look nobody remembers.
#[tokio::test]
async fn what_happened_in_an_expired_gap_is_stated_where_the_gap_ends() {
    let fixture = Fixture::with(for_months(57)).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    assert!(!fixture.sync().await.leaves_discrepancies());
    fixture.simulator.step(Duration::from_hours(24 * 2));
    fixture.unrecorded("unseen-1", Side::Buy, "1", false).await;
    fixture.simulator.step(Duration::from_hours(24 * 110));
    let first = fixture.sync().await;
    let expired: Vec<_> =
        first.findings.iter().filter(|found| found.finding.kind == DiscrepancyKind::HistoryExpired).collect();
    assert!(!expired.is_empty() && expired.iter().all(|found| found.status == DiscrepancyStatus::Unresolved));
    assert_eq!(status(&first, DiscrepancyKind::PositionMismatch), DiscrepancyStatus::Pending, "{:#?}", first.findings);
    let scope = Scope::account(fixture.account.clone());
    let second = fixture.sync().await;
    assert_eq!(
        status(&second, DiscrepancyKind::PositionMismatch),
        DiscrepancyStatus::Resolved,
        "{:#?}",
        second.findings
    );
    let anchors = fixture.store.anchors(&scope, PageRequest::first(10)).await.unwrap().items;
    assert_eq!(anchors.len(), 1);
    assert_eq!(anchors[0].fact.qty, "3".parse().unwrap());
    let held = fixture.store.positions(&fixture.account).await.unwrap().remove(0).position;
    let known = fixture.simulator.books().accounts[0].positions[0].entry_price;
    assert_eq!(held.qty, "3".parse().unwrap());
    let difference = held.entry_price_avg.unwrap().checked_sub(known).unwrap();
    assert!(difference.abs() < "0.0001".parse().unwrap(), "{difference}");
    // It stays on record that the ledger of that time was never seen.
    assert!(second.leaves_discrepancies());
    assert!(second.left.iter().all(|left| left.entry.key.kind == "history_expired"), "{:#?}", second.left);
}

/// Does not answer with the ledger.
struct NoLedger(Arc<dyn Transport>);

#[async_trait]
impl Transport for NoLedger {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        if request.path.ends_with("/income") {
            return Err(TransportError::Lost("connection reset".into()));
        }
        self.0.send(request).await
    }
}

#[tokio::test(start_paused = true)]
async fn history_that_is_about_to_be_forgotten_is_told_in_time() {
    let fixture = Fixture::in_process(for_months(58)).await;
    fixture.trade(1, ETH, Side::Buy, "2", |_| false).await;
    fixture.sync().await;
    let exchange = Arc::new(fixture.adapter_over(NoLedger(Arc::clone(&fixture.transport))));
    let reconciler = fixture.reconciler_over(exchange);
    fixture.simulator.step(Duration::from_hours(24 * 60));
    let report = reconciler.sync().await.unwrap();
    assert!(of(&report, DiscrepancyKind::HistoryExpiring).is_none(), "{:#?}", report.findings);
    fixture.simulator.step(Duration::from_hours(24 * 20));
    let report = reconciler.sync().await.unwrap();
    let found = of(&report, DiscrepancyKind::HistoryExpiring).unwrap();
    assert_eq!(found.status, DiscrepancyStatus::Unresolved);
    assert!(found.finding.evidence.contains("income") && found.finding.evidence.contains(" days"), "{found:?}");
    // Read in time, nothing is lost, and nothing is left.
    let report = fixture.sync().await;
    assert!(!report.leaves_discrepancies(), "{:#?}", report.left);
    assert_all_pass(&report);
    fixture.assert_book_equals_exchange().await;
}

/// Says that nothing is held, whatever is.
struct NoPositions(Arc<dyn Transport>);

#[async_trait]
impl Transport for NoPositions {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let is_positions = request.path.ends_with("/positionRisk");
        let mut answer = self.0.send(request).await?;
        if is_positions {
            answer.body = "[]".into();
        }
        Ok(answer)
    }
}

#[tokio::test]
async fn a_list_without_positions_closes_nothing_however_often_it_comes() {
    // By what the fills realized; by that and what the exchange said before; by the latter alone.
    for (is_first, turns) in [(true, false), (false, false), (false, true)] {
        let fixture = Fixture::in_process(for_months(59)).await;
        if turns {
            fixture.trade(0, ETH, Side::Buy, "1", |_| false).await;
        }
        fixture.trade(1, ETH, Side::Sell, if turns { "2" } else { "1" }, |_| false).await;
        if !is_first {
            fixture.sync().await;
        }
        let lying =
            fixture.reconciler_over(Arc::new(fixture.adapter_over(NoPositions(Arc::clone(&fixture.transport)))));
        for number in 0..4 {
            fixture.pass(400);
            let report = lying.sync().await.unwrap();
            if !is_first {
                let expected = if number == 0 { DiscrepancyStatus::Pending } else { DiscrepancyStatus::Unresolved };
                assert_eq!(status(&report, DiscrepancyKind::UnrecordedClose), expected);
            }
        }
        let held = fixture.store.positions(&fixture.account).await.unwrap().remove(0).position;
        assert_eq!(held.qty, "-1".parse().unwrap());
        let anchors = fixture.store.anchors(&Scope::account(fixture.account.clone()), PageRequest::first(10)).await;
        assert_eq!(anchors.unwrap().items, []);
        // And the truth is the truth again.
        let report = fixture.sync().await;
        assert!(!report.leaves_discrepancies(), "{:#?}", report.left);
        fixture.assert_book_equals_exchange().await;
    }
}

/// Fills of the other leg that were known lie on either side of where what is stated has moved.
#[tokio::test]
async fn what_is_stated_of_a_leg_moves_on_whatever_was_known_of_the_other() {
    let fixture = Fixture::in_process(for_months(65)).await;
    assert!(fixture.exchange.set_position_mode(PositionMode::Hedge).await.done().is_some());
    fixture.simulator.set_depth(&symbol(ETH), Some("100".parse().unwrap())).unwrap();
    let (long, short) = ((Side::Buy, PositionSide::Long), (Side::Sell, PositionSide::Short));
    for ((side, leg), qty) in [(long, "1"), (long, "2"), (long, "3"), (short, "1")] {
        fixture.by_hand(ETH, side, leg, qty);
        fixture.pass(3_600);
    }
    let old = fixture.exchange.fetch_my_trades(symbol(ETH), exchange_client::TradeQuery::FromId("1".parse().unwrap()));
    let old = old.await.unwrap().rows;
    assert_eq!(old.len(), 4);
    fixture.simulator.step(Duration::from_hours(24 * 100));
    fixture.by_hand(ETH, Side::Buy, PositionSide::Long, "1");
    fixture.recorder().fills(&[old[0].clone(), old[3].clone()]).await.unwrap();
    fixture.sync().await;
    fixture.pass(60);
    fixture.sync().await;
    let scope = Scope::account(fixture.account.clone());
    let live = || async {
        let known = fixture.store.anchors(&scope, PageRequest::first(10)).await.unwrap().items;
        let live = known.into_iter().map(|known| known.fact).filter(|anchor| anchor.withdrawn.is_none());
        live.map(|anchor| (anchor.at, anchor.qty.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(live().await.into_iter().map(|(_, qty)| qty).collect::<Vec<_>>(), ["6"]);
    for (row, qty) in [(&old[2], "3"), (&old[1], "1")] {
        fixture.recorder().fills(std::slice::from_ref(row)).await.unwrap();
        fixture.sync().await;
        let stated = live().await;
        assert!(stated.is_empty() || stated == [(row.entity.time.at, qty.to_owned())], "{stated:?}");
    }
    assert!(live().await.is_empty(), "all of it is there");
}
