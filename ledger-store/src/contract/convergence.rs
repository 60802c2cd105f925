//! Cases about books that must come out the same whichever way the facts take.

use ledger_core::{AnyFact, Side, Statement};

use super::Open;
use super::dump::{dump, dump_derived, oracle, stored};
use super::fixtures::{batch, commit, fill, fills, main_account, new_account, of_order, order, prepare, rest, symbol};
use super::history::History;
use crate::batch::Refold;
use crate::store::{Store, rebuild, refold_pending};

/// How many random histories each case goes through, and how many fills each has.
const SEEDS: std::ops::Range<u64> = 0..12;
const FILLS: usize = 60;

/// Commits statements in batches of random size, some of them twice, refolding now or later.
async fn commit_in_parts(store: &dyn Store, history: &mut History, statements: &[Statement]) {
    let mut rest = statements;
    while !rest.is_empty() {
        let (part, more) = rest.split_at((history.below(17) + 1).min(rest.len()));
        let refold = if history.below(3) == 0 { Refold::Deferred } else { Refold::Now };
        store.commit(batch(part.to_vec()).with_refold(refold)).await.unwrap();
        if history.below(4) == 0 {
            store.commit(batch(part.to_vec()).with_refold(refold)).await.unwrap();
        }
        rest = more;
    }
    refold_pending(store, &mut |_, _| {}).await.unwrap();
}

/// Order, repetition, batch sizes and time of refolding leave no trace in the logical book.
pub async fn any_order_and_repetition_gives_the_same_book(open: Open<'_>) {
    for seed in SEEDS {
        let mut history = History::new(seed);
        let mut statements = history.statements(FILLS);
        history.told_elsewhere(&mut statements);
        let (straight, shuffled) = (open(), open());
        for store in [&straight.store, &shuffled.store] {
            store.create_account(new_account("main")).await.unwrap();
        }
        commit(&*straight.store, statements.clone()).await;
        history.shuffle(&mut statements);
        commit_in_parts(&*shuffled.store, &mut history, &statements).await;
        let expected = dump(&*straight.store, &main_account()).await;
        let found = dump(&*shuffled.store, &main_account()).await;
        // Only what differs: a whole book is no message to read.
        let only_in =
            |a: &[String], b: &[String]| a.iter().filter(|line| !b.contains(line)).cloned().collect::<Vec<_>>();
        assert_eq!(only_in(&found, &expected), only_in(&expected, &found), "seed {seed}");
        assert_eq!(found.len(), expected.len(), "seed {seed}");
    }
}

/// Checkpoints, marks and pages change nothing: the derived rows are those of one fold over everything.
pub async fn the_book_is_that_of_a_fold_in_memory(open: Open<'_>) {
    let mut compared = 0;
    for seed in SEEDS {
        let mut history = History::new(seed + 1_000);
        let mut statements = history.statements(FILLS);
        history.shuffle(&mut statements);
        let book = open();
        book.store.create_account(new_account("main")).await.unwrap();
        commit_in_parts(&*book.store, &mut history, &statements).await;
        assert!(book.store.quarantined(&main_account()).await.unwrap().is_empty(), "seed {seed}");
        for name in ["ETHUSDT", "BTCUSDT"] {
            let expected = oracle(&*book.store, &main_account(), &symbol(name)).await;
            let found = stored(&*book.store, &main_account(), &symbol(name)).await;
            assert_eq!(found, expected, "seed {seed}, {name}");
            compared += expected.len();
        }
    }
    assert!(compared > 50, "the histories say too little: {compared}");
}

/// A fill that was missed and comes in late, at every place of a history in turn.
pub async fn a_late_fill_changes_what_it_must(open: Open<'_>) {
    let all: Vec<_> = (1..=12)
        .map(|id| {
            let side = if id % 3 == 0 { Side::Sell } else { Side::Buy };
            of_order(fill("ETHUSDT", id, side, "1.5", &(100 + id).to_string()), &(id / 4).to_string())
        })
        .collect();
    let complete = open();
    prepare(&*complete.store, &["ETHUSDT"]).await;
    commit(&*complete.store, vec![rest(AnyFact::Order(order("ETHUSDT", "1", Side::Buy, "9", "104", 8)))]).await;
    commit(&*complete.store, fills(all.clone())).await;
    let expected = dump(&*complete.store, &main_account()).await;
    for late in 0..all.len() {
        let book = open();
        prepare(&*book.store, &["ETHUSDT"]).await;
        commit(&*book.store, vec![rest(AnyFact::Order(order("ETHUSDT", "1", Side::Buy, "9", "104", 8)))]).await;
        let mut others = all.clone();
        let missed = others.remove(late);
        for part in others.chunks(2) {
            commit(&*book.store, fills(part.to_vec())).await;
        }
        commit(&*book.store, fills([missed])).await;
        assert_eq!(dump(&*book.store, &main_account()).await, expected, "late: {late}");
    }
}

/// Dropping everything derived and computing it again changes nothing.
pub async fn a_rebuild_gives_the_same_derived_rows(open: Open<'_>) {
    for seed in SEEDS {
        let mut history = History::new(seed + 2_000);
        let mut statements = history.statements(FILLS);
        history.told_elsewhere(&mut statements);
        history.shuffle(&mut statements);
        let book = open();
        let store = &*book.store;
        store.create_account(new_account("main")).await.unwrap();
        commit_in_parts(store, &mut history, &statements).await;
        let before = dump_derived(store, &main_account()).await;
        store.drop_derived(&main_account()).await.unwrap();
        assert!(store.positions(&main_account()).await.unwrap().is_empty());
        rebuild(store, &main_account(), &mut |_, _| {}).await.unwrap();
        assert_eq!(dump_derived(store, &main_account()).await, before, "seed {seed}");
        assert!(store.pending_refolds().await.unwrap().is_empty());
    }
}
