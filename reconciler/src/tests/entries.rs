//! Average entries that differ: what is searched for, and what is remembered of it.

use ledger_store::BookPosition;

use super::deciding::{btc, close_look, known};
use super::*;
use crate::Finding;
use crate::memory::Memory;
use crate::observe::suspects::suspects;

/// One held at 60,000 by the exchange and at 59,000 by the book, looked at as far back as the exchange answers.
fn at_another_price() -> Observation {
    let mut seen = quiet();
    seen.book.positions = vec![cheap()];
    seen.positions = Asked::Answered(answer(vec![held("1")]));
    let mut close = close_look(vec![], vec![], "1");
    close.fills.answer_mut().unwrap().reaches_oldest = true;
    seen.symbols.insert(btc(), close);
    seen
}

fn cheap() -> BookPosition {
    let mut held = restraint::long();
    held.position.position_side = PositionSide::Net;
    held.position.entry_price_avg = Some("59000".parse().unwrap());
    held
}

async fn findings(seen: &Observation) -> Vec<Finding> {
    let mut mock = MockStore::new();
    mock.expect_positions().returning(|_| Ok(vec![cheap()]));
    verify(seen, &*beside_nothing(mock), &account_id()).await.unwrap().findings
}

fn searched_again(finding: &Finding) -> Option<bool> {
    match &finding.memory {
        Some(Memory::Entry(entry)) => Some(entry.again),
        _ => None,
    }
}

/// What is found, and whether it was searched for the second time.
async fn found(seen: &Observation) -> (Finding, bool) {
    let mut findings = findings(seen).await;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let finding = findings.remove(0);
    assert_eq!(finding.kind, DiscrepancyKind::AverageEntryMismatch);
    let again = searched_again(&finding).unwrap();
    (finding, again)
}

fn later(seen: &mut Observation, ms: i64) {
    seen.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap().asked_at = at(ms);
}

#[tokio::test]
async fn a_search_counts_as_the_second_once_what_lags_must_be_there() {
    let mut seen = at_another_price();
    let (first, again) = found(&seen).await;
    assert!(!again);
    seen.book.discrepancies = vec![known(&first)];
    later(&mut seen, VENUE.settle_lag_ms);
    assert!(!found(&seen).await.1, "its answer may have lagged");
    later(&mut seen, VENUE.settle_lag_ms + 1);
    assert!(found(&seen).await.1);
    // While the ledger names a trade that is on no list, there is something to look for.
    seen.income = Asked::Answered(walk(vec![checks::income("COMMISSION", 1, "-0.1")]));
    seen.book.unfilled = [(btc(), FillId::new("5").unwrap())].into();
    let findings = findings(&seen).await;
    let entry = findings.iter().find(|finding| finding.kind == DiscrepancyKind::AverageEntryMismatch).unwrap();
    assert_eq!(searched_again(entry), Some(false));
}

#[tokio::test]
async fn what_was_searched_for_is_remembered_without_another_look() {
    let mut seen = at_another_price();
    let (first, _) = found(&seen).await;
    seen.book.discrepancies = vec![known(&first)];
    later(&mut seen, 60_000);
    let (second, _) = found(&seen).await;
    seen.book.discrepancies = vec![known(&second)];
    seen.symbols.clear();
    let (kept, again) = found(&seen).await;
    assert!(again && kept == second, "{kept:?}");
    // A walk that reached neither the opening nor the end of what the exchange remembers is no search.
    let mut seen = at_another_price();
    seen.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap().reaches_oldest = false;
    let findings = findings(&seen).await;
    assert!(findings[0].memory.is_none(), "{findings:#?}");
}

#[tokio::test]
async fn an_entry_is_suspect_until_it_was_searched_for_twice() {
    let is_suspect = |seen: &Observation| {
        let suspects = suspects(seen, &Policy::default(), &BTreeSet::new());
        suspects.get(&btc()).is_some_and(|suspect| suspect.position_differs)
    };
    let mut seen = at_another_price();
    assert!(is_suspect(&seen));
    // An order of which more was executed than its fills tell makes the entry an estimate, and is asked for by name.
    let behind = booked(order("77", OrderStatus::Filled, "0.05"), "0.02");
    let key = behind.order.fact.key.clone();
    seen.book.orders.insert(key.clone(), behind);
    assert!(!is_suspect(&seen));
    let asked = suspects(&seen, &Policy::default(), &BTreeSet::new());
    assert!(asked[&btc()].unfilled_orders.contains(&key.order_id));
    // One of the other side of a hedge says nothing about this.
    let other = &mut seen.book.orders.get_mut(&key).unwrap().order.fact;
    other.position_side = Some(PositionSide::Short);
    assert!(is_suspect(&seen));
    let (first, _) = found(&seen).await;
    seen.book.discrepancies = vec![known(&first)];
    assert!(is_suspect(&seen));
    later(&mut seen, 60_000);
    let (second, _) = found(&seen).await;
    seen.book.discrepancies = vec![known(&second)];
    assert!(!is_suspect(&seen));
}
