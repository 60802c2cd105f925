//! Cases about a transaction that is open for several questions and commands.

use ledger_core::Side;

use super::Open;
use super::dump::dump;
use super::fixtures::{commit, fill, fills, main_account, position_of, prepare};
use crate::filter::Scope;

/// What is written in a transaction is seen in it at once and by nobody else before it is committed; a part is taken back
/// alone, and a transaction that is dropped leaves nothing.
pub async fn a_transaction_is_all_or_nothing(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let count = async |of: &dyn crate::Store| of.fill_count(&Scope::account(main_account()).into()).await.unwrap();
    let before = dump(store, &main_account()).await;

    let transaction = store.begin().await.unwrap();
    let inside = transaction.book();
    commit(&*inside, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100")])).await;
    assert_eq!((count(&*inside).await, position_of(&*inside, "ETHUSDT").await.0), (1, "1".parse().unwrap()));
    drop(transaction);
    assert_eq!(dump(store, &main_account()).await, before, "dropped");
    // A book of a transaction that has ended answers nothing.
    assert!(inside.fill_count(&Scope::account(main_account()).into()).await.is_err());

    let transaction = store.begin().await.unwrap();
    let inside = transaction.book();
    for (nth, keep) in [(1, true), (2, false), (3, true)] {
        transaction.begin_part().await.unwrap();
        commit(&*inside, fills([fill("ETHUSDT", nth, Side::Buy, "1", "100")])).await;
        transaction.end_part(keep).await.unwrap();
    }
    assert_eq!(count(&*inside).await, 2);
    // A command that fails takes itself back alone.
    inside.begin_run(&"nobody".parse().unwrap(), crate::RunKind::Sync, super::at(0)).await.unwrap_err();
    transaction.commit().await.unwrap();
    assert_eq!((count(store).await, position_of(store, "ETHUSDT").await.0), (2, "2".parse().unwrap()));
    // And the book goes on.
    commit(store, fills([fill("ETHUSDT", 4, Side::Buy, "1", "100")])).await;
    assert_eq!(count(store).await, 3);
}
