//! One file imported into a book of its own, and what has to hold then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use exchange_client::ManualClock;
use exchange_client::binance_usdm::VENUE;
use exchange_client::files::Options;
use ledger_core::{AccountId, FactKind, PositionMode, TimestampMs};
use ledger_store::{Maintenance, NewAccount, OpenOptions, SqliteStore, Writer};
use reconciler::{CheckName, Import, ImportReport, WholeBook, verify_book};

/// What is in the book before: a trade of the account that the fixtures are of.
const BEFORE: &str =
    "Uid,Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id
70031177,2026-02-01 08:00:00,SOLUSDT,BUY,BOTH,100,1,100,0.05USDT,0,true,false,1,1001
70031177,2026-02-01 09:00:00,SOLUSDT,SELL,BOTH,101,1,101,0.05USDT,1,false,false,2,1002
";

/// Far beyond what a file of some thousand bytes takes on any machine: who is not done then never is.
const HANGS: Duration = Duration::from_mins(2);

/// The tables of facts, by kind. Contracts are left out: an import adds those that a name alone tells.
const TABLES: [(FactKind, &str); 12] = [
    (FactKind::Signal, "engine_signals"),
    (FactKind::Intent, "order_intents"),
    (FactKind::Order, "orders"),
    (FactKind::Fill, "fills"),
    (FactKind::Cancel, "cancels"),
    (FactKind::Income, "income"),
    (FactKind::Position, "position_snapshots"),
    (FactKind::Balance, "balance_snapshots"),
    (FactKind::Price, "price_snapshots"),
    (FactKind::FundingRate, "funding_rates"),
    (FactKind::Anchor, "anchors"),
    (FactKind::PositionMode, "position_modes"),
];

/// What a file is tried on.
pub(super) struct Trials {
    /// The file of a book with an account and two trades.
    book: Vec<u8>,
}

impl Trials {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book.db");
        runtime().block_on(async {
            let store = open(&path);
            let venue = VENUE.name.to_owned();
            store.create_account(NewAccount { id: account(), venue, created_local: now() }).await.unwrap();
            store.set_position_mode(&account(), PositionMode::OneWay, now()).await.unwrap();
            let file = folder.path().join("before.csv");
            std::fs::write(&file, BEFORE).unwrap();
            let report = import(store, &file).await.unwrap();
            assert_eq!(report.files[0].kinds[&FactKind::Fill].recorded, 2);
        });
        sql(&path).batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        Self { book: std::fs::read(&path).unwrap() }
    }

    /// The book's file.
    pub(super) fn book(&self) -> &[u8] {
        &self.book
    }

    /// Imports a file, and answers what does not hold then.
    pub(super) fn run(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let (book, brought) = (folder.path().join("book.db"), folder.path().join("brought"));
        std::fs::create_dir(&brought).unwrap();
        let file = brought.join(name);
        std::fs::write(&book, &self.book).unwrap();
        std::fs::write(&file, bytes).unwrap();
        let (done, outcome) = mpsc::channel();
        let trial = std::thread::spawn(move || {
            // Nobody hears it who has given up waiting.
            let _ = done.send(runtime().block_on(trial(&book, &file)));
        });
        match outcome.recv_timeout(HANGS) {
            Ok(outcome) => outcome,
            Err(mpsc::RecvTimeoutError::Timeout) => Err("the import hangs".to_owned()),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(match trial.join() {
                Ok(()) => "the import gave no answer".to_owned(),
                Err(panic) => format!("panicked: {:?}", panic.downcast_ref::<String>()),
            }),
        }
    }
}

async fn trial(book: &Path, file: &Path) -> Result<(), String> {
    let before = counts(book);
    let facts_before = facts(book);
    let store = open(book);
    let report = import(Arc::clone(&store), file).await?;
    let recorded = |report: &ImportReport, kind| report.files[0].kinds.get(&kind).map_or(0, |counts| counts.recorded);
    let after = counts(book);
    for (kind, table) in TABLES {
        let (was, is, told) = (before[table], after[table], recorded(&report, kind));
        if u64::try_from(is - was) != Ok(told) {
            return Err(format!("{table} had {was} rows and has {is}, but {told} are told as recorded"));
        }
    }
    if report.files[0].kinds.is_empty() && facts(book) != facts_before {
        return Err("the file was refused, and the facts of the book changed".to_owned());
    }
    if let Some(lost) = facts_before.iter().find(|fact| !fact.starts_with("instrument") && !facts(book).contains(fact))
    {
        return Err(format!("what was recorded before is lost: {lost}"));
    }
    check(&store).await?;
    let again = import(Arc::clone(&store), file).await?;
    let twice = TABLES.into_iter().find(|(kind, _)| recorded(&again, *kind) > 0);
    twice.map_or(Ok(()), |(kind, _)| Err(format!("imported again, the file has another {kind} that is new")))
}

/// The checks of a book that hold whatever was imported.
async fn check(store: &Arc<SqliteStore>) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    store.backup(&copy).await.map_err(|error| error.to_string())?;
    let (scratch, account) = (open(&copy), account());
    let whole = WholeBook { account: &account, venue: &VENUE, store: store.as_ref(), scratch: scratch.as_ref() };
    let checks = verify_book(&whole, &mut |_| {}).await.map_err(|error| format!("verify: {error}"))?;
    let must = [CheckName::Schema, CheckName::Recomputation, CheckName::Conservation];
    match checks.iter().find(|check| must.contains(&check.name) && check.failed()) {
        Some(check) => Err(format!("{} fails: {}", check.name, check.detail)),
        None => Ok(()),
    }
}

async fn import(store: Arc<SqliteStore>, file: &Path) -> Result<ImportReport, String> {
    let clock = Arc::new(ManualClock::new(now()));
    let import = Import { store, clock, account: account(), options: Options::default() };
    let report = import.run(&[PathBuf::from(file)], &mut |_| {}, std::future::pending()).await;
    let report = report.map_err(|error| format!("the import failed: {error}"))?;
    report.ok_or_else(|| "the import was interrupted".to_owned())
}

fn open(path: &Path) -> Arc<SqliteStore> {
    let options = OpenOptions::inline().with_rules(VENUE.name, VENUE.ledger_rules);
    Arc::new(SqliteStore::open(path, &options).unwrap())
}

fn sql(path: &Path) -> SqliteConnection {
    SqliteConnection::establish(path.to_str().unwrap()).unwrap()
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn lines(path: &Path, query: &str) -> Vec<Line> {
    diesel::sql_query(query).load(&mut sql(path)).unwrap()
}

/// How many rows the tables of facts have.
fn counts(path: &Path) -> BTreeMap<String, i64> {
    let one = |(_, table): &(FactKind, &str)| format!("SELECT '{table}' AS line, count(*) AS number FROM {table}");
    let query = TABLES.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
    lines(path, &query).into_iter().map(|row| (row.line, row.number)).collect()
}

/// Which facts are stated, by whom and in which words.
fn facts(path: &Path) -> Vec<String> {
    let query = "SELECT kind || ' ' || fact_key || ' ' || source || ' ' || payload AS line, 0 AS number FROM fact_sources ORDER BY 1";
    lines(path, query).into_iter().map(|row| row.line).collect()
}

fn account() -> AccountId {
    AccountId::new("main").unwrap()
}

fn now() -> TimestampMs {
    TimestampMs::new(1_780_000_000_000).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}
