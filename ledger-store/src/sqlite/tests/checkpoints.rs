//! Where a fold goes on from.

use ledger_core::Side;

use super::{Folder, execute};
use crate::contract::{commit, fill, fills, position_of, prepare};
use crate::*;

#[tokio::test]
async fn a_checkpoint_that_cannot_be_read_is_done_without() {
    let folder = Folder::new();
    let options = OpenOptions { checkpoint_every: 2, ..OpenOptions::creating() };
    let store = SqliteStore::open(folder.book(), &options).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    commit(&store, fills((1..=5).map(|id| fill("ETHUSDT", id, Side::Buy, "1", "100")))).await;
    execute(&folder.book(), "UPDATE fold_checkpoints SET state = '{\"of\":\"another version\"}' WHERE fills_seen > 2;");
    let report = commit(&store, fills([fill("ETHUSDT", 6, Side::Buy, "1", "100")])).await;
    assert_eq!(report.refolded.iter().map(|report| report.fills).collect::<Vec<_>>(), [4]);
    assert_eq!(position_of(&store, "ETHUSDT").await.0, "6".parse().unwrap());
}

/// Other rules make other states: theirs are not folded on from.
#[tokio::test]
async fn a_checkpoint_of_other_rules_is_done_without() {
    let folder = Folder::new();
    let options = OpenOptions { checkpoint_every: 2, ..OpenOptions::creating() };
    let store = SqliteStore::open(folder.book(), &options).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    commit(&store, fills((1..=5).map(|id| fill("ETHUSDT", id, Side::Buy, "1", "100")))).await;
    // A state that would be believed, but for its version.
    execute(
        &folder.book(),
        "UPDATE fold_checkpoints SET fold_version = fold_version + 1, state = (
        SELECT state FROM fold_checkpoints WHERE fills_seen = 2) WHERE fills_seen > 2;",
    );
    let report = commit(&store, fills([fill("ETHUSDT", 6, Side::Buy, "1", "100")])).await;
    assert_eq!(report.refolded.iter().map(|report| report.fills).collect::<Vec<_>>(), [4]);
    assert_eq!(position_of(&store, "ETHUSDT").await.0, "6".parse().unwrap());
}

/// A book that an earlier version left is out of date as a whole, quarantined symbols included.
#[tokio::test]
async fn other_rules_make_a_book_out_of_date() {
    let folder = Folder::new();
    let open = || SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    let store = open();
    prepare(&store, &["ETHUSDT", "BTCUSDT"]).await;
    let all = ["ETHUSDT", "BTCUSDT", "NOSUCHUSDT"].map(|name| fill(name, 1, Side::Buy, "1", "100"));
    commit(&store, fills(all)).await;
    drop(store);
    let store = open();
    assert!(store.pending_refolds().await.unwrap().is_empty());
    drop(store);
    execute(
        &folder.book(),
        "UPDATE symbol_books SET fold_version = fold_version - 1 WHERE symbol = 'ETHUSDT';
         UPDATE quarantine SET fold_version = fold_version - 1;
         UPDATE positions SET qty = '9', detail_json = replace(detail_json, '\"qty\":\"1\"', '\"qty\":\"9\"');",
    );
    let reader = SqliteStore::open(folder.book(), &OpenOptions::reading()).unwrap();
    assert!(reader.pending_refolds().await.unwrap().is_empty(), "a reader changes nothing");
    drop(reader);
    let store = open();
    let pending = store.pending_refolds().await.unwrap();
    assert_eq!(pending.iter().map(|pending| pending.symbol.as_str()).collect::<Vec<_>>(), ["ETHUSDT", "NOSUCHUSDT"]);
    assert_eq!(position_of(&store, "ETHUSDT").await.0, "9".parse().unwrap());
    let reports = refold_pending(&store, &mut |_, _| {}).await.unwrap();
    assert_eq!(reports.iter().map(|report| report.fills).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(position_of(&store, "ETHUSDT").await.0, "1".parse().unwrap());
    drop(store);
    assert!(open().pending_refolds().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_late_fill_folds_from_the_last_checkpoint_only() {
    let store = SqliteStore::in_memory(&OpenOptions { checkpoint_every: 10, ..OpenOptions::inline() }).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    let all = (1..=95).filter(|id| *id != 83).map(|id| fill("ETHUSDT", id, Side::Buy, "1", "100"));
    commit(&store, fills(all)).await;
    let report = commit(&store, fills([fill("ETHUSDT", 83, Side::Buy, "1", "100")])).await;
    assert_eq!(report.refolded.iter().map(|report| report.fills).collect::<Vec<_>>(), [15]);
    let report = commit(&store, fills([fill("ETHUSDT", 96, Side::Buy, "1", "100")])).await;
    assert_eq!(report.refolded.iter().map(|report| report.fills).collect::<Vec<_>>(), [1]);
}
