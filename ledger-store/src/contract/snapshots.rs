//! Cases about reading one moment.

use ledger_core::Side;

use super::Open;
use super::dump::dump;
use super::fixtures::{at, batch, commit, fill, fills, main_account, position_of, prepare};
use crate::error::StoreError;
use crate::filter::Scope;
use crate::record::RunKind;
use crate::store::rebuild;

/// Whatever is written meanwhile, a snapshot answers everything from the moment at which it was taken, and takes no writes.
pub async fn a_snapshot_is_one_moment(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    commit(store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100")])).await;
    let snapshot = store.snapshot().await.unwrap();
    let before = dump(&*snapshot, &main_account()).await;
    assert_eq!(before, dump(store, &main_account()).await);

    commit(store, fills([fill("ETHUSDT", 2, Side::Buy, "2", "110")])).await;
    let later = store.snapshot().await.unwrap();
    store.begin_run(&main_account(), RunKind::Sync, at(0)).await.unwrap();
    rebuild(store, &main_account(), &mut |_, _| {}).await.unwrap();
    assert_eq!(position_of(store, "ETHUSDT").await.0, "3".parse().unwrap());

    assert_eq!(dump(&*snapshot, &main_account()).await, before);
    assert_eq!(snapshot.fill_count(&Scope::account(main_account()).into()).await.unwrap(), 1);
    assert!(snapshot.integrity_check().await.unwrap().is_empty());
    assert_eq!(dump(&*snapshot.snapshot().await.unwrap(), &main_account()).await, before);
    assert_eq!(later.fill_count(&Scope::account(main_account()).into()).await.unwrap(), 2);

    let error = snapshot.commit(batch(Vec::new())).await.unwrap_err();
    assert!(matches!(error, StoreError::OpenedReadOnly), "{error:?}");
    // Both end in any order, and the book goes on without them.
    drop(snapshot);
    commit(store, fills([fill("ETHUSDT", 3, Side::Buy, "1", "110")])).await;
    assert_eq!(position_of(&*later, "ETHUSDT").await.0, "3".parse().unwrap());
}
