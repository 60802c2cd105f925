//! Reads files that users bring into a book: exports of an exchange, objects of libraries, a bot's database.
//!
//! Files are read row by row and recorded in batches, so a file of any size needs little memory. Good rows arrive
//! whatever stands beside them; bad ones are named with file and line, as [`ImportEvent`]s while the import runs. At the
//! end the contracts that only a symbol's name tells are added, positions and round trips are recomputed once, and
//! what contradicts the files is reported: that is the [`ImportReport`].
//!
//! Nothing is printed here and no argument is parsed, so a service imports as the command line does.

mod bot;
mod contracts;
mod coverage;
mod cut;
mod event;
mod known;
mod reading;
mod report;
mod survey;
mod unlisted;
mod words;

use std::fmt;
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use exchange_client::Clock;
use exchange_client::files::{BookVenue, Options};
use ledger_core::{AccountId, Statement, TimestampMs};
use ledger_store::{
    Batch, Book, CommitReport, ExchangeIdentity, FillFilter, Refold, RunId, RunKind, RunStatus, Scope, Store,
    StoreError,
};
use serde_json::json;

use self::cut::FileLedger;
pub use self::event::{ImportEvent, Origin, RowRemark};
use self::reading::Reading;
pub use self::report::{ImportCounts, ImportLine, ImportReport, ImportedFile, NotComputed};
use self::survey::Owner;

/// How many rows are asked for at once.
const PAGE: u32 = 1_000;

/// Receives what happens while files are read.
pub type ImportEvents<'a> = &'a mut (dyn FnMut(ImportEvent<'_>) + Send);

/// An import of files into one account of a book.
#[derive(Clone)]
pub struct Import {
    /// The book.
    pub store: Book,
    /// The local clock, for the journal.
    pub clock: Arc<dyn Clock>,
    /// The account in the book that the files belong to.
    pub account: AccountId,
    /// What the files themselves may leave open.
    pub options: Options,
}

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import").field("account", &self.account).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Import {
    /// Reads the files one after the other, as one run of the journal, until they end or `interruption` comes first.
    /// Then the answer is `None`: what was recorded stays, and the same import again reads the rest and doubles nothing.
    ///
    /// # Errors
    /// When the account is not in the book, or the book fails. What is wrong with files is no error: it is reported.
    pub async fn run(
        &self,
        files: &[PathBuf],
        events: ImportEvents<'_>,
        interruption: impl Future<Output = ()>,
    ) -> Result<Option<ImportReport>, StoreError> {
        let Some(account) = self.store.account(&self.account).await? else {
            return Err(StoreError::UnknownAccount { account: self.account.clone() });
        };
        let started = self.clock.now();
        let run_id = self.store.begin_run(&self.account, RunKind::Import, started).await?;
        let store = self.store.as_ref();
        let bound_to = match (&account.user_id, &account.identity) {
            (Some(user_id), _) => Some(format!("the exchange account `{user_id}`")),
            (None, Some(ExchangeIdentity { alias: Some(alias), .. })) => {
                Some(format!("the exchange account `{alias}`"))
            }
            (None, Some(ExchangeIdentity { base_url, .. })) => Some(format!("the exchange at {base_url}")),
            (None, None) => None,
        };
        let owner = Owner { asked: self.options.uid.clone(), bound: account.user_id, seen: None };
        let options = Options { venue: BookVenue::named(&account.venue), ..self.options.clone() };
        let recording = Recording { store, account: self.account.clone(), bound_to, recorded_at: started, run_id };
        // What is known of the files that were read to their end outlives a failure behind them.
        let mut told = Told { ledgers: Vec::new(), exchange: None };
        let reading = recording.read_all(files, options, owner, &mut told, events);
        let result = unless(interruption, reading).await;
        let (status, detail) = match &result {
            None => (RunStatus::Interrupted, told.beside(json!({ "interrupted": true }))),
            Some(Ok(report)) => (RunStatus::Done, detail(report, &told)),
            Some(Err(error)) => (RunStatus::Failed, told.beside(json!({ "error": error.to_string() }))),
        };
        store.end_run(run_id, status, self.clock.now(), Some(detail.to_string())).await?;
        result.transpose()
    }
}

/// What the journal keeps of an import.
fn detail(report: &ImportReport, told: &Told) -> serde_json::Value {
    let lines = report.lines().map(|ImportLine { file, what, counts }| {
        json!({ "file": file, "what": what, "new": counts.recorded, "merged": counts.merged,
            "conflicting": counts.conflicts, "rejected": counts.rejected })
    });
    let ledgers = told.ledgers.iter().map(|ledger| json!({ "ledger": ledger }));
    let exchange = told.exchange.iter().map(|exchange| json!({ "exchange": exchange }));
    lines.chain(ledgers).chain(exchange).collect::<Vec<_>>().into()
}

/// What the files of an import tell later ones.
struct Told {
    /// What each that was read to its end tells of its ledger.
    ledgers: Vec<FileLedger>,
    /// Of a book of another venue, the exchange that its rows are of.
    exchange: Option<String>,
}

impl Told {
    /// The same for an import that came to no end, behind what else there is to say of it.
    fn beside(&self, mut detail: serde_json::Value) -> serde_json::Value {
        if let Some(detail) = detail.as_object_mut() {
            detail.insert("ledgers".to_owned(), json!(self.ledgers));
            if let Some(exchange) = &self.exchange {
                detail.insert("exchange".to_owned(), json!(exchange));
            }
        }
        detail
    }
}

/// What `work` comes to, unless `interruption` comes first.
async fn unless<T>(interruption: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    let (mut interruption, mut work) = (pin!(interruption), pin!(work));
    poll_fn(|context| match interruption.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(context).map(Some),
    })
    .await
}

/// Where an import writes, and under which run.
struct Recording<'a> {
    store: &'a dyn Store,
    account: AccountId,
    /// Whom the account is bound to at the exchange, in words.
    bound_to: Option<String>,
    recorded_at: TimestampMs,
    run_id: RunId,
}

impl Recording<'_> {
    /// Reads the files one after the other, and notes in `told` what each that was read to its end tells.
    async fn read_all(
        &self,
        files: &[PathBuf],
        mut options: Options,
        mut owner: Owner,
        told: &mut Told,
        events: ImportEvents<'_>,
    ) -> Result<ImportReport, StoreError> {
        let mut report = ImportReport::default();
        let mut added = self.ledger_read().await?;
        if options.venue == BookVenue::Other && options.exchange.is_none() {
            options.exchange = self.exchange_read_before().await?;
        }
        for path in files {
            let mut reading = Reading::new(self, &mut *events, owner.clone(), &mut added, path);
            let read = reading.file(path, &options).await?;
            // One account a book: what the first file says holds for the others.
            owner.seen = owner.seen.or(read.uid);
            options.contract_sizes = read.contract_sizes;
            options.after = read.parts;
            told.exchange.clone_from(&read.exchange);
            options.exchange = read.exchange;
            told.ledgers.extend(read.ledgers);
            report.files.push(reading.imported);
        }
        self.infer_contracts().await?;
        report.not_computed = self.refold(events).await?;
        let unplaced = FillFilter { unplaced_only: true, ..Scope::account(self.account.clone()).into() };
        report.unplaced_fills = self.store.fill_count(&unplaced).await?;
        report.mode_contradiction = crate::position_mode::contradiction(self.store, &self.account).await?;
        report.doubts = self.judge_cuts(&told.ledgers).await?;
        report.doubts.extend(self.tell_unlisted(added).await?);
        Ok(report)
    }

    async fn commit(&self, statements: Vec<Statement>, uid: Option<String>) -> Result<CommitReport, StoreError> {
        let mut batch = self.batch(statements);
        batch.user_id = uid;
        self.store.commit(batch).await
    }

    /// A transaction of this run; what it makes out of date is recomputed at the end.
    fn batch(&self, statements: Vec<Statement>) -> Batch {
        let mut batch = Batch::new(self.account.clone(), self.recorded_at, statements).with_refold(Refold::Deferred);
        batch.run_id = Some(self.run_id);
        batch
    }
}
