//! Opening a book: files that are none, that cannot be written, and what the file says to whoever looks by hand.

use std::path::Path;

use ledger_core::{AnyFact, PositionMode, Side};

use super::{Folder, execute, raw, refusal};
use crate::contract::{batch, commit, dec, fill, fills, linear, main_account, order, position_of, prepare, rest};
use crate::*;

#[test]
fn a_missing_file_is_told_from_an_empty_book() {
    let folder = Folder::new();
    for options in [OpenOptions::default(), OpenOptions::reading()] {
        assert!(matches!(refusal(&folder.book(), &options), StoreError::Missing { .. }));
        assert!(!folder.book().exists());
    }
    // Nor is an empty file one, nor an empty database, as another process leaves it for an instant that makes the book.
    for contents in [None, Some("PRAGMA journal_mode = WAL;")] {
        match contents {
            None => std::fs::write(folder.book(), "").unwrap(),
            Some(statements) => execute(&folder.book(), statements),
        }
        for options in [OpenOptions::default(), OpenOptions::reading()] {
            assert!(matches!(refusal(&folder.book(), &options), StoreError::Missing { .. }));
        }
    }
    drop(SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap());
    drop(SqliteStore::open(folder.book(), &OpenOptions::reading()).unwrap());
    let nowhere = folder.directory.path().join("no/such/folder/book.db");
    assert!(matches!(refusal(&nowhere, &OpenOptions::creating()), StoreError::Io { .. }));
}

/// A book is there with its account, or it is not there.
#[tokio::test]
async fn a_book_that_is_made_has_its_first_account() {
    let folder = Folder::new();
    let first = |venue: &str, mode| {
        let account = NewAccount { id: main_account(), venue: venue.to_owned(), created_local: crate::contract::at(0) };
        OpenOptions::creating_with(FirstAccount { account, position_mode: mode })
    };
    // As a process leaves it that was killed before it had made the book.
    std::fs::write(folder.book(), "").unwrap();
    let store = SqliteStore::open(folder.book(), &first("binance_usdm", Some(PositionMode::OneWay))).unwrap();
    assert!(store.was_made());
    let account = store.account(&main_account()).await.unwrap().unwrap();
    assert_eq!((account.venue.as_str(), account.position_mode), ("binance_usdm", Some(PositionMode::OneWay)));
    drop(store);
    // It is no matter to a book that is there.
    let store = SqliteStore::open(folder.book(), &first("other", None)).unwrap();
    assert!(!store.was_made());
    assert_eq!(store.account(&main_account()).await.unwrap().unwrap(), account);
}

#[test]
fn a_directory_is_refused() {
    let folder = Folder::new();
    for options in [OpenOptions::creating(), OpenOptions::reading()] {
        assert!(matches!(refusal(folder.directory.path(), &options), StoreError::IsDirectory { .. }));
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let text = "Uid,Time,Symbol,Side,Price,Quantity\n".repeat(200);
    std::fs::write(folder.book(), &text).unwrap();
    for options in [OpenOptions::creating(), OpenOptions::reading()] {
        let error = refusal(&folder.book(), &options);
        assert!(matches!(error, StoreError::NotADatabase { .. }), "{error:?}");
    }
    assert_eq!(std::fs::read_to_string(folder.book()).unwrap(), text);
}

#[test]
fn the_database_of_another_program_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    execute(&folder.book(), "CREATE TABLE fills (fill_id TEXT PRIMARY KEY); INSERT INTO fills VALUES ('1');");
    let before = std::fs::read(folder.book()).unwrap();
    for options in [OpenOptions::creating(), OpenOptions::default(), OpenOptions::reading()] {
        let error = refusal(&folder.book(), &options);
        assert!(matches!(error, StoreError::ForeignDatabase { .. }), "{error:?}");
    }
    assert_eq!(std::fs::read(folder.book()).unwrap(), before);
}

#[test]
fn a_newer_schema_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    drop(SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap());
    execute(&folder.book(), "PRAGMA user_version = 99;");
    let before = std::fs::read(folder.book()).unwrap();
    for options in [OpenOptions::creating(), OpenOptions::reading()] {
        let error = refusal(&folder.book(), &options);
        assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error:?}");
    }
    assert_eq!(std::fs::read(folder.book()).unwrap(), before);
}

#[cfg(unix)]
#[tokio::test]
async fn a_read_only_file_or_folder_is_read_and_not_written() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    commit(&store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100")])).await;
    drop(store);
    let set_mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    set_mode(&folder.book(), 0o444);
    let error = refusal(&folder.book(), &OpenOptions::default());
    assert!(matches!(&error, StoreError::ReadOnly { path } if *path == folder.book()), "{error:?}");
    let before = std::fs::read(folder.book()).unwrap();
    let reader = SqliteStore::open(folder.book(), &OpenOptions::reading()).unwrap();
    assert_eq!(position_of(&reader, "ETHUSDT").await.0, "1".parse().unwrap());
    let error = reader.commit(batch(Vec::new())).await.unwrap_err();
    assert!(matches!(error, StoreError::OpenedReadOnly), "{error:?}");
    drop(reader);
    assert_eq!(std::fs::read(folder.book()).unwrap(), before);
    set_mode(&folder.book(), 0o644);
    set_mode(folder.directory.path(), 0o555);
    let error = refusal(&folder.book(), &OpenOptions::default());
    assert!(matches!(&error, StoreError::ReadOnly { path } if path == folder.directory.path()), "{error:?}");
    set_mode(folder.directory.path(), 0o755);
}

#[tokio::test]
async fn a_path_may_have_any_name() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a b?mode=ro#x%20.db", "장부.db", "file:x.db"] {
        let path = directory.path().join(name);
        let store = SqliteStore::open(&path, &OpenOptions::creating()).unwrap();
        prepare(&store, &["ETHUSDT"]).await;
        assert!(path.is_file(), "{name}");
        assert_eq!(store.instruments(&main_account()).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_backup_is_a_book() {
    let folder = Folder::new();
    for options in [OpenOptions::creating(), OpenOptions::inline()] {
        let name = format!("{:?}", options.writer);
        let store = SqliteStore::open(folder.directory.path().join(&name), &options).unwrap();
        prepare(&store, &["ETHUSDT"]).await;
        commit(&store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100")])).await;
        let copy = folder.directory.path().join(format!("{name} copy"));
        store.backup(&copy).await.unwrap();
        assert!(matches!(store.backup(&copy).await.unwrap_err(), StoreError::Io { .. }));
        commit(&store, vec![rest(AnyFact::Instrument(linear("BTCUSDT")))]).await;
        let copy = SqliteStore::open(&copy, &OpenOptions::reading()).unwrap();
        assert_eq!(position_of(&copy, "ETHUSDT").await.0, "1".parse().unwrap());
        assert_eq!(copy.instruments(&main_account()).await.unwrap().len(), 1);
        let info = copy.info().await.unwrap();
        assert!(info.schema_version == 13 && info.size_bytes > 4_096 && info.sqlite_version.starts_with("3."));
    }
}

/// Two changes that each add a migration must not both call theirs the same version.
#[tokio::test]
async fn the_schema_version_counts_the_migrations() {
    use diesel::prelude::*;
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    let version = store.info().await.unwrap().schema_version;
    let query = "SELECT count(*) AS count FROM __diesel_schema_migrations";
    let made: Count = diesel::sql_query(query).get_result(&mut raw(&folder.book())).unwrap();
    assert_eq!(version, made.count);
}

/// A book of an earlier version is brought to this one, and takes what that had no place for.
#[tokio::test]
async fn a_book_of_schema_8_is_migrated() {
    let folder = Folder::new();
    let mut stated = order("ETHUSDT", "7", Side::Buy, "3", "100", 5);
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    commit(&store, vec![rest(AnyFact::Order(stated.clone()))]).await;
    drop(store);
    execute(
        &folder.book(),
        "DROP INDEX engine_signals_symbol_awaited; DROP INDEX orders_lacking; DROP TABLE leases;
         DROP TABLE messages; DROP TABLE telling;
         ALTER TABLE orders DROP COLUMN residual_fees_json; ALTER TABLE orders DROP COLUMN fees_json;
         DELETE FROM __diesel_schema_migrations WHERE version >= '20261130000009'; PRAGMA user_version = 8;",
    );
    let reads = refusal(&folder.book(), &OpenOptions::reading());
    assert!(matches!(reads, StoreError::OlderSchema { found: 8, supported: 13, .. }), "{reads:?}");
    let store = SqliteStore::open(folder.book(), &OpenOptions::default()).unwrap();
    assert_eq!(store.info().await.unwrap().schema_version, 13);
    let known = async || store.order(&main_account(), &stated.key).await.unwrap().unwrap();
    let as_stated = stated.clone().stated_by(ledger_core::Source::Rest);
    assert_eq!((known().await.order.fact, known().await.residual_fees), (as_stated, None));
    let fees = vec![ledger_core::testing::fee("0.3", "USDT")];
    let with_fees = ledger_core::StatedFees::new(dec("3"), fees.clone()).unwrap();
    stated.fees = with_fees;
    commit(&store, vec![rest(AnyFact::Order(stated.clone()))]).await;
    let now = store.order(&main_account(), &stated.key).await.unwrap().unwrap();
    assert_eq!((now.order.fact.fees, now.residual_fees), (stated.fees, Some(fees)));
}

/// People query the file by hand: the seed's tables and the raw payloads are there by name.
#[tokio::test]
async fn the_file_can_be_queried_by_hand() {
    use diesel::prelude::*;
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        raw_json: String,
    }
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    commit(&store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100")])).await;
    let rows: Vec<Row> = diesel::sql_query("SELECT raw_json FROM fills_raw").load(&mut raw(&folder.book())).unwrap();
    assert!(matches!(rows.as_slice(), [row] if row.raw_json.starts_with("{\"by\":\"rest\"")));
    for statement in [
        "SELECT id, ts, symbol, side, engine, reason, meta_json FROM engine_signals",
        "SELECT order_id, ts, symbol, side, order_type, status, price, qty, engine, client_order_id, raw_json FROM orders_raw",
        "SELECT fill_id, ts, order_id, symbol, side, price, qty, fee, fee_asset, raw_json FROM fills_raw",
        "SELECT id, ts, symbol, side, qty, avg_entry, unreal_pnl, realized_pnl, source, reconcile_status FROM positions",
        "SELECT id, ts, order_id, symbol, side, reason, raw_json FROM cancels_raw",
        "SELECT * FROM balance_snapshots",
        "SELECT * FROM pnl_realized",
        "SELECT * FROM price_snapshots",
    ] {
        execute(&folder.book(), statement);
    }
}

/// On a read-only medium, or in somebody else's folder, nothing can be put beside the file, which reading needs as well.
/// Modes do not bind the superuser; a link to nowhere in the place of the file that SQLite wants to make does.
#[cfg(unix)]
#[tokio::test]
async fn a_book_beside_which_nothing_can_be_made_is_read_alone() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    commit(&store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100")])).await;
    drop(store);
    let beside = |suffix: &str| folder.directory.path().join(format!("book.db-{suffix}"));
    assert!(!beside("wal").exists());
    std::os::unix::fs::symlink("/no/such/folder/shm", beside("shm")).unwrap();
    let before = std::fs::read(folder.book()).unwrap();
    let reader = SqliteStore::open(folder.book(), &OpenOptions::reading()).unwrap();
    assert_eq!(position_of(&reader, "ETHUSDT").await.0, "1".parse().unwrap());
    drop(reader);
    assert!(std::fs::read(folder.book()).unwrap() == before);
    // With a log beside it that cannot be read the file alone may be an earlier book: that is told, not shown.
    let _ = std::fs::remove_file(beside("wal"));
    std::fs::create_dir(beside("wal")).unwrap();
    let error = refusal(&folder.book(), &OpenOptions::reading());
    assert!(matches!(&error, StoreError::LogNotReadable { path } if *path == folder.book()), "{error:?}");
    // Somebody for whom the log is no obstacle writes while it is read: what was read may be of two states.
    std::fs::remove_dir(beside("wal")).unwrap();
    let reader = SqliteStore::open(folder.book(), &OpenOptions::reading()).unwrap();
    std::io::Write::write_all(&mut std::fs::OpenOptions::new().append(true).open(folder.book()).unwrap(), &[0; 4_096])
        .unwrap();
    let error = reader.accounts().await.unwrap_err();
    assert!(matches!(&error, StoreError::ChangedWhileRead { path } if *path == folder.book()), "{error:?}");
}
