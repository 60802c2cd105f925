//! Importing files as a service does: into a real book, without a command line.

use std::path::PathBuf;
use std::sync::Arc;

use exchange_client::ManualClock;
use exchange_client::files::Options;
use ledger_core::{AccountId, FactKind, TimestampMs};
use ledger_store::{
    DerivedReader, FactReader, Journal, NewAccount, OpenOptions, PageRequest, RunFilter, RunStatus, Scope, SqliteStore,
    StoreError, Writer,
};
use reconciler::{Import, ImportEvent, ImportReport, RowRemark};

const HEADER: &str =
    "Uid,Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id\n";

/// A book in a file, with a folder for what is imported.
struct Book {
    folder: tempfile::TempDir,
    store: Arc<SqliteStore>,
    import: Import,
}

impl Book {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(
            SqliteStore::open(
                folder.path().join("book.db"),
                &OpenOptions::creating().with_rules(
                    exchange_client::binance_usdm::VENUE.name,
                    exchange_client::binance_usdm::VENUE.ledger_rules,
                ),
            )
            .unwrap(),
        );
        let at = TimestampMs::new(1_780_000_000_000).unwrap();
        let account = AccountId::new("desk").unwrap();
        let new = NewAccount { id: account.clone(), venue: "binance_usdm".into(), created_local: at };
        store.create_account(new).await.unwrap();
        let clock = Arc::new(ManualClock::new(at));
        let import = Import { store: store.clone(), clock, account, options: Options::default() };
        Self { folder, store, import }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Imports, and answers the report with the rows that were named: `remark line`.
    async fn read(&self, files: &[PathBuf]) -> (ImportReport, Vec<String>) {
        let mut named = Vec::new();
        let mut note = |event: ImportEvent<'_>| {
            if let ImportEvent::Row { origin, remark, number, .. } = event {
                named.push(format!("{} {} {number}", remark.as_str(), origin.line));
            }
        };
        let report = self.import.run(files, &mut note, std::future::pending()).await.unwrap().unwrap();
        (report, named)
    }

    async fn fill_count(&self) -> u64 {
        self.store.fill_count(&Scope::account(self.import.account.clone()).into()).await.unwrap()
    }

    async fn run_statuses(&self) -> Vec<RunStatus> {
        let filter = RunFilter::from(self.import.account.clone());
        let runs = self.store.runs(&filter, PageRequest::first(10)).await.unwrap().items;
        runs.iter().map(|run| run.status).collect()
    }
}

fn fill(second: u32, side: &str, price: &str, qty: &str, id: u32) -> String {
    let amount = price.parse::<u32>().unwrap_or(0) * qty.parse::<u32>().unwrap();
    let is_buyer = side == "BUY";
    format!(
        "7,2026-02-03 10:00:{second:02},SOLUSDT,{side},BOTH,{price},{qty},{amount},0.05USDT,0,{is_buyer},false,{id},4{id}\n"
    )
}

#[tokio::test]
async fn files_become_facts_and_positions_and_bad_rows_are_named() {
    let book = Book::new().await;
    let rows = [fill(1, "BUY", "150", "2", 1), fill(2, "BUY", "dear", "1", 2), fill(3, "SELL", "151", "1", 3)];
    let path = book.file("trades.csv", &format!("{HEADER}{}", rows.concat()));
    let (report, named) = book.read(std::slice::from_ref(&path)).await;
    assert_eq!(named, ["rejected 3 1"]);
    let file = &report.files[0];
    assert_eq!((file.kinds[&FactKind::Fill].recorded, file.rejected, file.conflicting), (2, 1, 0));
    let lines: Vec<_> = report.lines().map(|line| (line.file, line.what, line.counts.rejected)).collect();
    assert_eq!(lines.first().unwrap(), &("trades.csv".to_owned(), "orders", 0));
    assert_eq!(lines.last().unwrap(), &("trades.csv".to_owned(), "rows", 1));
    assert_eq!(book.run_statuses().await, [RunStatus::Done]);
    // Positions are there as well: 2 bought, 1 sold.
    let positions = book.store.positions(&book.import.account).await.unwrap();
    assert_eq!(positions.iter().map(|held| held.position.qty.to_string()).collect::<Vec<_>>(), ["1"]);
    // A second time nothing is new.
    let (again, _) = book.read(&[path]).await;
    assert_eq!(again.files[0].kinds[&FactKind::Fill].already_recorded, 2);
    assert_eq!(book.fill_count().await, 2);
}

#[tokio::test]
async fn another_price_for_a_known_fill_is_named_as_a_conflict() {
    let book = Book::new().await;
    let first = book.file("first.csv", &format!("{HEADER}{}", fill(1, "BUY", "150", "2", 1)));
    let second = book.file("second.csv", &format!("{HEADER}{}", fill(1, "BUY", "155", "2", 1)));
    let (report, named) = book.read(&[first, second]).await;
    assert_eq!(named, [format!("{} 2 1", RowRemark::Conflicting.as_str())]);
    assert_eq!((report.files[0].conflicting, report.files[1].conflicting), (0, 1));
}

#[tokio::test]
async fn an_interruption_ends_the_run_in_the_journal() {
    let book = Book::new().await;
    let path = book.file("trades.csv", &format!("{HEADER}{}", fill(1, "BUY", "150", "2", 1)));
    let report = book.import.run(&[path], &mut |_| {}, std::future::ready(())).await.unwrap();
    assert_eq!(report, None);
    assert_eq!(book.run_statuses().await, [RunStatus::Interrupted]);
    assert_eq!(book.fill_count().await, 0);
}

#[tokio::test]
async fn an_account_that_is_not_in_the_book_is_an_error_and_no_run() {
    let book = Book::new().await;
    let import = Import { account: AccountId::new("nobody").unwrap(), ..book.import.clone() };
    let error = import.run(&[], &mut |_| {}, std::future::pending()).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownAccount { .. }), "{error}");
    assert!(book.run_statuses().await.is_empty());
}
