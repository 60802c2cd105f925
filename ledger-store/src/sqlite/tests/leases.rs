//! What the lock beside a book says of who watches, and what it does not.

use super::Folder;
use crate::contract::{at, main_account, new_account};
use crate::*;

async fn asked(store: &SqliteStore, holder: &str, now: i64) -> LeaseAnswer {
    let request = LeaseRequest {
        account: main_account(),
        holder: holder.to_owned(),
        now_local: at(now),
        until_local: at(now + 30_000),
    };
    store.take_lease(request).await.unwrap()
}

async fn granted(store: &SqliteStore, holder: &str, now: i64) -> HeldLease {
    match asked(store, holder, now).await {
        LeaseAnswer::Granted(held) => held,
        LeaseAnswer::Held(record) => panic!("{record:?}"),
    }
}

async fn is_alive(store: &SqliteStore) -> Option<bool> {
    store.lease(&main_account()).await.unwrap().unwrap().is_alive
}

async fn book(folder: &Folder) -> SqliteStore {
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    store.create_account(new_account("main")).await.unwrap();
    store
}

/// One that did not move was followed, kept the lock, woke up and ended: whoever followed it lives, without having the lock yet.
#[tokio::test]
async fn that_a_lock_is_free_says_nothing_of_a_holder_that_never_had_it() {
    let folder = Folder::new();
    let store = book(&folder).await;
    let stopped = granted(&store, "stopped", 0).await;
    let mut next = granted(&store, "next", 40_000).await;
    drop(stopped);
    assert_eq!(is_alive(&store).await, None);
    assert!(matches!(asked(&store, "third", 41_000).await, LeaseAnswer::Held(known) if known.holder == "next"));
    // From its next sign of life on its lock says that it lives, and then that it died.
    store.renew_lease(&mut next, at(50_000), at(80_000), None).await.unwrap();
    assert_eq!(is_alive(&store).await, Some(true));
    drop(next);
    assert_eq!(is_alive(&store).await, Some(false));
    granted(&store, "third", 51_000).await;
}

/// Somebody tidied up.
#[tokio::test]
async fn a_lock_that_was_removed_makes_no_holder_dead() {
    let folder = Folder::new();
    let store = book(&folder).await;
    let mut first = granted(&store, "first", 0).await;
    std::fs::remove_file(folder.book().with_file_name("book.db-watch-main")).unwrap();
    assert!(matches!(asked(&store, "second", 1_000).await, LeaseAnswer::Held(_)));
    store.renew_lease(&mut first, at(2_000), at(32_000), None).await.unwrap();
    assert_eq!(is_alive(&store).await, None, "another file is at its place");
}

#[tokio::test]
async fn a_lease_that_is_given_back_leaves_nothing_beside_the_book() {
    let folder = Folder::new();
    let store = book(&folder).await;
    let file = folder.book().with_file_name("book.db-watch-main");
    let first = granted(&store, "first", 0).await;
    assert!(file.exists());
    store.end_lease(first, at(1_000), None).await.unwrap();
    assert!(!file.exists());
    // One that did not move and was followed takes nothing away from whoever followed it.
    let stopped = granted(&store, "stopped", 2_000).await;
    let mut next = granted(&store, "next", 40_000).await;
    let error = store.end_lease(stopped, at(41_000), None).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost { .. }), "{error:?}");
    store.renew_lease(&mut next, at(42_000), at(72_000), None).await.unwrap();
    assert_eq!(is_alive(&store).await, Some(true));
    store.end_lease(next, at(43_000), None).await.unwrap();
    assert!(!file.exists());
}

#[tokio::test]
async fn whoever_watches_notices_that_the_book_is_another_file() {
    let folder = Folder::new();
    let store = book(&folder).await;
    let mut held = granted(&store, "first", 0).await;
    store.renew_lease(&mut held, at(1_000), at(31_000), None).await.unwrap();
    let backup = folder.book().with_file_name("backup.db");
    std::fs::copy(folder.book(), &backup).unwrap();
    std::fs::rename(&backup, folder.book()).unwrap();
    let error = store.renew_lease(&mut held, at(2_000), at(32_000), None).await.unwrap_err();
    assert!(matches!(error, StoreError::Moved { .. }), "{error:?}");
    std::fs::remove_file(folder.book()).unwrap();
    let error = store.renew_lease(&mut held, at(3_000), at(33_000), None).await.unwrap_err();
    assert!(matches!(error, StoreError::Moved { .. }), "{error:?}");
}
