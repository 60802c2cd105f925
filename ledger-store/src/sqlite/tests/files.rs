//! Files that are no book, that cannot be written, that are shared, full, or left behind by a crash.

use std::path::{Path, PathBuf};

use ledger_core::{AnyFact, OrderClass, Side};

use crate::contract::{
    History, batch, commit, dump, fill, fills, linear, main_account, new_account, order, position_of, prepare, rest,
};
use crate::sqlite::connection::{Reading, Target};
use crate::*;

struct Folder {
    directory: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn book(&self) -> PathBuf {
        self.directory.path().join("book.db")
    }
}

fn refusal(path: &Path, options: &OpenOptions) -> StoreError {
    SqliteStore::open(path, options).expect_err("the file should be refused")
}

fn raw(path: &Path) -> diesel::sqlite::SqliteConnection {
    use diesel::connection::Connection;
    diesel::sqlite::SqliteConnection::establish(path.to_str().unwrap()).unwrap()
}

fn execute(path: &Path, statements: &str) {
    use diesel::connection::SimpleConnection;
    raw(path).batch_execute(statements).unwrap();
}

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
    assert!(matches!(error, StoreError::Busy), "{error:?}");
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(store.commit(batch(statements)).await.unwrap().counts().recorded, 1);
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

#[tokio::test]
async fn a_damaged_row_is_named_and_quarantines_its_symbol_only() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT", "BTCUSDT"]).await;
    commit(&store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100"), fill("BTCUSDT", 2, Side::Buy, "1", "100")])).await;
    execute(&folder.book(), "UPDATE fills SET price = '12x' WHERE symbol = 'ETHUSDT';");
    let error = store.fills(&Scope::account(main_account()).into(), &PageRequest::first(9)).await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains("table fills") && message.contains("column price"), "{message}");
    rebuild(&store, &main_account(), &mut |_, _| {}).await.unwrap();
    let quarantined = store.quarantined(&main_account()).await.unwrap();
    assert_eq!(quarantined.iter().map(|item| item.symbol.as_str()).collect::<Vec<_>>(), ["ETHUSDT"]);
    assert_eq!(position_of(&store, "BTCUSDT").await.0, "1".parse().unwrap());
}

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

/// What is derived of orders, too: the fold builds on it.
#[tokio::test]
async fn a_rebuild_trusts_nothing_derived() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    store.create_account(new_account("main")).await.unwrap();
    let mut statements = History::new(77).statements(300);
    // More orders than are read at once, some without fills and some that executed nothing.
    for id in 10_000..11_100 {
        let executed = if id % 7 == 0 { "0.5" } else { "0" };
        statements.push(rest(AnyFact::Order(order("ETHUSDT", &id.to_string(), Side::Buy, executed, "100", id / 30))));
    }
    let mut conditional = order("ETHUSDT", "1", Side::Buy, "2", "100", 5);
    conditional.key.class = OrderClass::Conditional;
    statements.push(rest(AnyFact::Order(conditional)));
    commit(&store, statements).await;
    let before = dump(&store, &main_account()).await;
    for corruption in [
        "UPDATE orders SET residual_qty = '7'",
        "UPDATE orders SET residual_qty = NULL",
        "UPDATE orders SET filled_qty = NULL, filled_quote = '1', residual_qty = '3' WHERE order_class <> 'REGULAR'",
        "UPDATE orders SET filled_qty = '123', filled_quote = NULL, residual_qty = filled_qty WHERE rowid % 2 = 0",
    ] {
        execute(&folder.book(), corruption);
        assert!(dump(&store, &main_account()).await != before, "{corruption}");
        rebuild(&store, &main_account(), &mut |_, _| {}).await.unwrap();
        assert!(dump(&store, &main_account()).await == before, "{corruption}");
    }
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
        assert!(info.schema_version == 8 && info.size_bytes > 4_096 && info.sqlite_version.starts_with("3."));
    }
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

/// What somebody changed in the file by hand, and SQLite finds nothing wrong with.
#[tokio::test]
async fn altered_payloads_and_foreign_migrations_are_named() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    let folder = Folder::new();
    let store = SqliteStore::open(folder.book(), &OpenOptions::creating()).unwrap();
    prepare(&store, &["ETHUSDT"]).await;
    commit(&store, fills([fill("ETHUSDT", 1, Side::Buy, "1", "100"), fill("ETHUSDT", 2, Side::Buy, "1", "100")])).await;
    assert_eq!(store.integrity_check().await.unwrap(), Vec::<String>::new());
    let mut conn = SqliteConnection::establish(folder.book().to_str().unwrap()).unwrap();
    conn.batch_execute(
        "UPDATE fact_sources SET payload = payload || ' ' WHERE kind = 'fill' AND fact_key LIKE '%|2';
         INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000001');",
    )
    .unwrap();
    let found = store.integrity_check().await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|it| it.contains("migration 20990101000001")), "{found:?}");
    assert!(found.iter().any(|it| it.contains("fill ETHUSDT|BUY|2")), "{found:?}");
}
