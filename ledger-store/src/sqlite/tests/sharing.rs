//! A book that several write, that is full, locked, or left behind by a crash.

use std::path::{Path, PathBuf};

use ledger_core::Side;

use super::{Folder, raw};
use crate::contract::{batch, commit, fill, fills, main_account, new_account, position_of, prepare};
use crate::sqlite::connection::{Reading, Target};
use crate::*;

#[tokio::test]
async fn two_processes_share_a_book() {
    let folder = Folder::new();
    let first = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&first, &["ETHUSDT", "BTCUSDT"]).await;
    let second = SqliteStore::open(folder.book(), &OpenOptions::default()).unwrap();
    let mut work = tokio::task::JoinSet::new();
    for (store, side) in [(first, Side::Buy), (second, Side::Sell)] {
        work.spawn(async move {
            for id in 1..=30 {
                commit(&store, fills([fill("ETHUSDT", id, side, "1", "100"), fill("BTCUSDT", id, side, "1", "100")]))
                    .await;
            }
            store
        });
    }
    let stores = work.join_all().await;
    for store in &stores {
        assert_eq!(store.fill_count(&Scope::account(main_account()).into()).await.unwrap(), 120);
        assert_eq!(position_of(store, "ETHUSDT").await.0, "0".parse().unwrap());
        assert!(store.integrity_check().await.unwrap().is_empty());
    }
}

#[test]
fn processes_may_create_and_migrate_a_book_at_the_same_time() {
    let folder = Folder::new();
    let path = folder.book();
    let start = std::sync::Barrier::new(6);
    std::thread::scope(|scope| {
        let openings: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    // As a first sync does: it looks whether there is a book, and makes one if there is none.
                    match SqliteStore::open(&path, &OpenOptions::default()) {
                        Err(StoreError::Missing { .. }) => SqliteStore::open(&path, &OpenOptions::creating()).map(drop),
                        opened => opened.map(drop),
                    }
                })
            })
            .collect();
        for opening in openings {
            opening.join().unwrap().unwrap();
        }
    });
    SqliteStore::open(&path, &OpenOptions::default()).unwrap();
}

#[tokio::test]
async fn a_book_locked_for_long_is_busy_and_goes_on_later() {
    use diesel::connection::SimpleConnection;
    let folder = Folder::new();
    let store =
        SqliteStore::open(folder.book(), &OpenOptions { busy_timeout_ms: 1, ..OpenOptions::creating() }).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    let mut other = raw(&folder.book());
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let statements = fills([fill("ETHUSDT", 1, Side::Buy, "1", "100")]);
    let error = store.commit(batch(statements.clone())).await.unwrap_err();
    assert!(matches!(error, StoreError::Busy { waited_ms: 1 }), "{error:?}");
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(store.commit(batch(statements)).await.unwrap().counts().recorded, 1);
}

/// What is derived is proven in a copy: it has to be of the moment that it is compared with.
#[tokio::test]
async fn a_copy_of_a_snapshot_is_of_its_moment() {
    for options in [OpenOptions::creating(), OpenOptions::inline()] {
        let folder = Folder::new();
        let store = SqliteStore::open(folder.book(), &options).unwrap();
        prepare(&store, &["ETHUSDT"]).await;
        commit(&store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100")])).await;
        let beside = SqliteStore::open(folder.book(), &OpenOptions::reading()).unwrap();
        let snapshots = [store.snapshot().await.unwrap(), beside.snapshot().await.unwrap()];
        drop(beside);
        commit(&store, fills([fill("ETHUSDT", 2, Side::Buy, "1", "100")])).await;
        for (nth, snapshot) in snapshots.iter().enumerate() {
            let copy = folder.directory.path().join(format!("{nth}.db"));
            snapshot.backup(&copy).await.unwrap();
            let copy = SqliteStore::open(&copy, &OpenOptions::default()).unwrap();
            assert_eq!(copy.fill_count(&Scope::account(main_account()).into()).await.unwrap(), 1);
            commit(&copy, fills([fill("ETHUSDT", 9, Side::Buy, "1", "100")])).await;
            assert!(copy.integrity_check().await.unwrap().is_empty());
        }
        assert_eq!(store.fill_count(&Scope::account(main_account()).into()).await.unwrap(), 2);
    }
}

/// A moment keeps the log from being taken into the file. One that is forgotten does so for a while only.
#[tokio::test]
async fn a_snapshot_that_nobody_asks_is_given_up() {
    let folder = Folder::new();
    let options = OpenOptions { snapshot_idle_max_ms: 50, ..OpenOptions::creating() };
    let store = SqliteStore::open(folder.book(), &options).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    let snapshot = store.snapshot().await.unwrap();
    commit(&store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100")])).await;
    // `busy` is 1 while somebody still reads from the log.
    let is_held = || {
        use diesel::prelude::*;
        #[derive(QueryableByName)]
        struct Checkpoint {
            #[diesel(sql_type = diesel::sql_types::Integer)]
            busy: i32,
        }
        diesel::sql_query("PRAGMA wal_checkpoint(RESTART)")
            .get_result::<Checkpoint>(&mut raw(&folder.book()))
            .unwrap()
            .busy
            == 1
    };
    while is_held() {
        tokio::task::yield_now().await;
    }
    let error = snapshot.fill_count(&Scope::account(main_account()).into()).await.unwrap_err();
    assert!(matches!(error, StoreError::MomentGivenUp), "{error:?}");
    assert_eq!(store.snapshot().await.unwrap().accounts().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_failed_batch_leaves_nothing() {
    for options in [OpenOptions::creating(), OpenOptions::inline()] {
        let folder = Folder::new();
        let small = OpenOptions { pages_max: Some(160), ..options };
        let store = SqliteStore::open(folder.book(), &small).unwrap();
        prepare(&store, &["ETHUSDT"]).await;
        let mut recorded = 0;
        // One more batch fits, until none does.
        let error = loop {
            let ids = recorded + 1..=recorded + 100;
            let mut batch = batch(fills(ids.map(|id| fill("ETHUSDT", id, Side::Buy, "1", "100"))));
            batch.cursors =
                vec![SyncCursor { stream: "fills".to_owned(), symbol: None, position: (recorded + 100).to_string() }];
            match store.commit(batch).await {
                Ok(_) => recorded += 100,
                Err(error) => break error,
            }
            assert!(recorded < 10_000, "the disk never fills up");
        };
        assert!(matches!(error, StoreError::DiskFull), "{error:?}");
        assert!(recorded > 0);
        let check = async |store: &SqliteStore| {
            let count = store.fill_count(&Scope::account(main_account()).into()).await.unwrap();
            assert_eq!(i64::try_from(count).unwrap(), recorded);
            let cursors = store.cursors(&main_account()).await.unwrap();
            assert_eq!(
                cursors.iter().map(|cursor| cursor.position.as_str()).collect::<Vec<_>>(),
                [recorded.to_string()]
            );
            assert_eq!(position_of(store, "ETHUSDT").await.0, recorded.to_string().parse().unwrap());
            assert!(store.pending_refolds().await.unwrap().is_empty());
        };
        check(&store).await;
        drop(store);
        let store = SqliteStore::open(folder.book(), &OpenOptions::default()).unwrap();
        check(&store).await;
        commit(&store, fills([fill("ETHUSDT", 99_999, Side::Buy, "1", "100")])).await;
        assert!(store.integrity_check().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    commit(&store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100")])).await;
    let deferred = batch(fills([fill("ETHUSDT", 2, Side::Buy, "1", "100")])).with_refold(Refold::Deferred);
    store.commit(deferred).await.unwrap();
    // What a kill leaves behind: the files as they are, with a transaction in the middle of the log.
    let mut writer =
        Target { path: Some(folder.book()), busy_timeout_ms: 100, pages_max: None, reading: Reading::Beside }
            .open_writer(false)
            .unwrap();
    {
        use diesel::connection::SimpleConnection;
        writer.batch_execute("BEGIN IMMEDIATE; DELETE FROM fills; UPDATE accounts SET venue = 'x';").unwrap();
    }
    let copy = folder.directory.path().join("copy.db");
    for suffix in ["", "-wal"] {
        let with_suffix = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        std::fs::copy(with_suffix(&folder.book()), with_suffix(&copy)).unwrap();
    }
    let survivor = SqliteStore::open(&copy, &OpenOptions::default()).unwrap();
    assert_eq!(survivor.fill_count(&Scope::account(main_account()).into()).await.unwrap(), 2);
    assert!(survivor.account(&main_account()).await.unwrap().is_some());
    // The mark of the refold that was left for later survived, too.
    assert_eq!(position_of(&survivor, "ETHUSDT").await.0, "1".parse().unwrap());
    assert_eq!(survivor.pending_refolds().await.unwrap().len(), 1);
    refold_pending(&survivor, &mut |_, _| {}).await.unwrap();
    assert_eq!(position_of(&survivor, "ETHUSDT").await.0, "2".parse().unwrap());
}

#[tokio::test]
async fn commands_that_wait_together_fail_alone() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    let mut waiting = Vec::new();
    for id in 1..=40 {
        let mut batch = batch(fills([fill("ETHUSDT", id, Side::Buy, "1", "100")]));
        if id % 4 == 0 {
            batch.account = new_account("nobody").id;
        }
        waiting.push(store.commit(batch));
    }
    let mut waiting = waiting.into_iter().map(Some).collect::<Vec<_>>();
    let mut results = Vec::new();
    // Polled together, so that the writer finds several in its queue.
    for chunk in waiting.chunks_mut(4) {
        let [a, b, c, d] = chunk else { panic!("chunks of four") };
        let (a, b, c, d) = tokio::join!(a.take().unwrap(), b.take().unwrap(), c.take().unwrap(), d.take().unwrap());
        results.extend([a, b, c, d].map(|result| result.is_ok()));
    }
    assert_eq!(results.iter().filter(|is_ok| **is_ok).count(), 30);
    assert_eq!(store.fill_count(&Scope::account(main_account()).into()).await.unwrap(), 30);
}
