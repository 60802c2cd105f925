//! Rows that went missing from what was confirmed.

use ledger_core::testing::{income, order as some_order, time};
use ledger_core::{AnyFact, OrderClass, OrderStatus, Side};
use proptest::prelude::*;

use super::{Folder, execute};
use crate::contract::{at, batch, commit, main_account, prepare, rest, symbol};
use crate::*;

fn confirmed(stream: &str, name: Option<&str>, since: i64, until: i64) -> CoverageSpan {
    let (symbol, grade) = (name.map(symbol), CoverageGrade::Confirmed);
    CoverageSpan { stream: stream.to_owned(), symbol, grade, since: at(since), until: at(until) }
}

async fn broken(store: &SqliteStore, depth: ProofDepth) -> Vec<(String, u64)> {
    let check = store.check_proofs(&main_account(), depth).await.unwrap();
    check.broken.iter().map(|broken| (broken.proof.stretch.stream.clone(), broken.missing())).collect()
}

#[tokio::test]
async fn rows_that_were_deleted_or_replaced_are_noticed() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    let row = |number: i64| rest(AnyFact::Income(income("TRANSFER", &number.to_string(), "ETHUSDT", "1", number)));
    let order = |number: i64| {
        let mut order = some_order("ETHUSDT", &number.to_string(), Side::Buy, OrderStatus::Expired);
        order.key.class = OrderClass::Conditional;
        rest(AnyFact::Order(order.between(time(number), time(number + 1))))
    };
    commit(&store, (1..=9).flat_map(|number| [row(number), order(number)]).collect()).await;
    let coverage = vec![confirmed("income", None, 0, 100), confirmed("conditional_orders", Some("ETHUSDT"), 0, 100)];
    store.commit(Batch { coverage, ..batch(Vec::new()) }).await.unwrap();
    assert_eq!(broken(&store, ProofDepth::Identities).await, []);
    execute(&folder.book(), "DELETE FROM orders WHERE order_id IN ('3', '4');");
    let orders = [("conditional_orders".to_owned(), 2)];
    for depth in [ProofDepth::Counts, ProofDepth::Identities] {
        assert_eq!(broken(&store, depth).await, orders);
    }
    // Only reading them tells that one is another.
    execute(&folder.book(), "UPDATE income SET tran_id = '77' WHERE tran_id = '5';");
    assert_eq!(broken(&store, ProofDepth::Counts).await, orders);
    assert_eq!(broken(&store, ProofDepth::Identities).await[1..], [("income".to_owned(), 1)]);
    // A time that was changed moves a row out of what was proven, one of an amount does not.
    execute(&folder.book(), "UPDATE income SET tran_id = '5' WHERE tran_id = '77'; UPDATE income SET amount = '8';");
    assert_eq!(broken(&store, ProofDepth::Identities).await.len(), 1);
    execute(&folder.book(), "UPDATE income SET ts = 100 WHERE tran_id = '5';");
    assert_eq!(broken(&store, ProofDepth::Counts).await.len(), 2);
}

/// What is lost is told of its own stretch until it is back, whatever becomes of what lies next to it.
#[tokio::test]
async fn a_proof_of_which_rows_are_missing_outlives_its_reopening() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    let row = |number: i64| rest(AnyFact::Income(income("TRANSFER", &number.to_string(), "ETHUSDT", "1", number)));
    commit(&store, (1..=9).map(row).collect()).await;
    let confirm = async |since, until| {
        let coverage = vec![confirmed("income", None, since, until)];
        store.commit(Batch { coverage, ..batch(Vec::new()) }).await.unwrap();
    };
    let reopened = vec![confirmed("income", None, 0, 8).into()];
    confirm(0, 5).await;
    execute(&folder.book(), "DELETE FROM income WHERE tran_id = '3';");
    confirm(5, 8).await;
    store.commit(Batch { reopened: reopened.clone(), ..batch(Vec::new()) }).await.unwrap();
    assert!(store.coverage(&main_account()).await.unwrap().is_empty());
    confirm(0, 8).await;
    let lost = async || {
        let check = store.check_proofs(&main_account(), ProofDepth::Counts).await.unwrap();
        let spans = check.broken.iter().map(|it| (it.proof.stretch.since, it.proof.stretch.until, it.missing()));
        (check.checked, spans.collect::<Vec<_>>())
    };
    assert_eq!(lost().await, (2, vec![(at(0), at(5), 1)]));
    commit(&store, vec![row(3)]).await;
    assert_eq!(lost().await, (2, vec![]));
    // A row in addition is no loss, and what is proven anew is proven with it.
    commit(&store, vec![rest(AnyFact::Income(income("TRANSFER", "77", "ETHUSDT", "1", 3)))]).await;
    assert_eq!(lost().await, (2, vec![(at(0), at(5), 0)]));
    store.commit(Batch { reopened, ..batch(Vec::new()) }).await.unwrap();
    confirm(0, 8).await;
    assert_eq!(lost().await, (1, vec![]));
}

/// A change of what is confirmed, in hours.
#[derive(Debug, Clone)]
enum Change {
    Confirm(i64, i64),
    Reopen(i64, i64),
}

fn change() -> impl Strategy<Value = Change> {
    let span = || (0_i64..100, 1_i64..60).prop_map(|(since, hours)| (since, since + hours));
    prop_oneof![
        3 => span().prop_map(|(since, until)| Change::Confirm(since, until)),
        1 => span().prop_map(|(since, until)| Change::Reopen(since, until)),
    ]
}

const HOUR_MS: i64 = 3_600_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Against an hour-by-hour model: a day that is reopened anywhere loses all that was proven next to it.
    #[test]
    fn what_is_proven_is_what_is_confirmed_and_not_reopened(changes in proptest::collection::vec(change(), 1..12)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let store = SqliteStore::in_memory(&OpenOptions::inline()).unwrap();
            prepare(&store, &["ETHUSDT"]).await;
            let row = |hour: i64| {
                rest(AnyFact::Income(income("TRANSFER", &hour.to_string(), "ETHUSDT", "1", hour * HOUR_MS)))
            };
            commit(&store, (0..200).map(row).collect()).await;
            let mut proven = [false; 200];
            for change in changes {
                let mut next = batch(Vec::new());
                match change {
                    Change::Confirm(since, until) => {
                        next.coverage = vec![confirmed("income", None, since * HOUR_MS, until * HOUR_MS)];
                        (since..until).for_each(|hour| proven[usize::try_from(hour).unwrap()] = true);
                    }
                    Change::Reopen(since, until) => {
                        let span = confirmed("income", None, since * HOUR_MS, until * HOUR_MS);
                        next.reopened = vec![span.into()];
                        // Each run of proven hours of a day goes as a whole.
                        for (day, first) in proven.chunks_mut(24).zip((0_i64..).step_by(24)) {
                            let mut hour = first;
                            for run in day.chunk_by_mut(|one, other| one == other) {
                                let end = hour + i64::try_from(run.len()).unwrap();
                                if hour < until && end > since {
                                    run.fill(false);
                                }
                                hour = end;
                            }
                        }
                    }
                }
                store.commit(next).await.unwrap();
                let check = store.check_proofs(&main_account(), ProofDepth::Identities).await.unwrap();
                let rows = proven.iter().filter(|is_proven| **is_proven).count();
                prop_assert_eq!((check.rows, check.broken.len()), (u64::try_from(rows).unwrap(), 0));
                let coverage = store.coverage(&main_account()).await.unwrap();
                let covered: i64 = coverage.iter().map(|span| span.until.as_ms() - span.since.as_ms()).sum();
                prop_assert_eq!(covered / HOUR_MS, i64::try_from(rows).unwrap());
            }
            Ok(())
        })?;
    }
}
