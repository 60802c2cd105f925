//! `fillbook import`
//!
//! Files are read row by row and recorded in batches, so a file of any size needs little memory. Good rows arrive
//! whatever stands beside them; bad ones are named with file and line. Positions and round trips are recomputed once,
//! at the end.

mod coverage;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use exchange_client::binance_usdm::instrument_from_symbol;
use exchange_client::files::{self, Kind, Options, ZoneOrigin};
use ledger_core::{AccountId, AnyFact, FactKind, Outcome, Source, Statement, TimestampMs};
use ledger_store::{Batch, CommitReport, FillFilter, Refold, RunId, RunKind, RunStatus, Scope, Store, StoreError};
use serde_json::json;

use self::words::{describe, plural, story};
use super::rebuild::count;
use super::{PAGE, text};
use crate::Context;
use crate::args::ImportArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Column, Format, Listing, Output};

/// How many facts are recorded in one transaction.
const BATCH: usize = 10_000;
/// How many rejected or conflicting rows of a file are named for a person; a program gets all of them.
const NAMED_MAX: u64 = 20;

/// What became of the facts of one kind in one file.
#[derive(Debug)]
struct Line {
    file: String,
    what: String,
    counts: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    recorded: u64,
    already_recorded: u64,
    merged: u64,
    conflicts: u64,
    rejected: u64,
}

const LISTING: Listing<Line> = Listing {
    schema: "fillbook.import/1",
    plural: "facts",
    columns: &[
        Column { key: "file", title: "File", rank: 0, value: |l| text(&l.file) },
        Column { key: "what", title: "What", rank: 0, value: |l| text(&l.what) },
        Column { key: "new", title: "New", rank: 0, value: |l| l.counts.recorded.into() },
        Column { key: "already_there", title: "Already there", rank: 0, value: |l| l.counts.already_recorded.into() },
        Column { key: "merged", title: "Merged", rank: 0, value: |l| l.counts.merged.into() },
        Column { key: "conflicting", title: "Conflicting", rank: 0, value: |l| l.counts.conflicts.into() },
        Column { key: "rejected", title: "Rejected", rank: 0, value: |l| l.counts.rejected.into() },
    ],
};

/// Where in a file a statement stands.
#[derive(Debug, Clone)]
struct Origin {
    member: Option<std::sync::Arc<str>>,
    line: u64,
}

/// An import under way.
struct Import<'a> {
    to: &'a Recording<'a>,
    output: &'a mut Output,
    file: String,
    kinds: BTreeMap<FactKind, Counts>,
    rejected: u64,
    conflicting: u64,
    notes: u64,
    rows: u64,
    pending: Vec<Statement>,
    origins: Vec<Origin>,
    /// The exchange account that the file's rows belong to, once one says.
    uid: Option<String>,
}

/// Reads files into the book.
///
/// # Errors
/// When the book cannot be opened or written. What is wrong with files is reported, and tells in the exit code.
pub async fn run(args: &ImportArgs, context: &mut Context) -> Result<ExitCode, CommandError> {
    let account_id = context.settings.account.clone();
    let real = crate::wiring::open(&context.settings)?;
    if real.account(&account_id).await?.is_none() {
        return Err(StoreError::UnknownAccount { account: account_id }.into());
    }
    // A dry run is a real import into a copy of the book, so that its answers are the real ones.
    let scratch =
        if args.dry_run { Some(crate::wiring::scratch_copy(real.as_ref(), &context.settings).await?) } else { None };
    let store = scratch.as_ref().map_or(&real, |scratch| &scratch.store);
    let options = Options {
        zone: context.settings.zone_flag.clone(),
        settle_asset_default: args.settle_asset.clone(),
        uid: args.uid.clone(),
        after: None,
    };
    let started = context.clock.now();
    let run_id = store.begin_run(&account_id, RunKind::Import, started).await?;
    context.output.hold_errors();
    let recording = Recording { store: store.as_ref(), account: account_id, recorded_at: started, run_id };
    let result = recording.read_all(&args.files, &options, &mut context.output).await;
    let (status, detail) = match &result {
        Ok(read) => (RunStatus::Done, read.detail()),
        Err(error) => (RunStatus::Failed, json!({ "error": error.to_string() })),
    };
    store.end_run(run_id, status, context.clock.now(), Some(detail.to_string())).await?;
    let read = result?;
    read.print(&mut context.output)?;
    if args.dry_run {
        context.output.remark("A dry run: nothing was changed.");
    } else if context.output.format == Format::Table && read.code == ExitCode::Fine {
        context.output.remark("Next: `fillbook positions`, `fillbook report`, `fillbook verify`.");
    }
    Ok(read.code)
}

/// What a file says for the next one.
#[derive(Default)]
struct FileRead {
    /// The exchange account that its rows belong to, where they say.
    uid: Option<String>,
    /// How far it was counted, if it is a part of an export.
    parts: Option<files::Parts>,
}

/// What an import found and did.
struct Read {
    lines: Vec<Line>,
    unplaced: u64,
    quarantined: Vec<(String, String)>,
    /// What contradicts the user's word about the position mode.
    contradiction: Option<String>,
    code: ExitCode,
}

impl Read {
    fn detail(&self) -> serde_json::Value {
        let lines = self.lines.iter().map(|Line { file, what, counts }| {
            json!({ "file": file, "what": what, "new": counts.recorded, "merged": counts.merged,
                "conflicting": counts.conflicts, "rejected": counts.rejected })
        });
        lines.collect::<Vec<_>>().into()
    }

    fn print(&self, output: &mut Output) -> Result<(), CommandError> {
        output.list(&LISTING, &self.lines)?;
        for (symbol, reason) in &self.quarantined {
            output.complain(&format!("{symbol}: positions cannot be computed: {reason}"));
        }
        if let Some(contradiction) = &self.contradiction {
            output.complain(&format!("warning: {contradiction}"));
        }
        if self.unplaced > 0 {
            let (are, change) = if self.unplaced == 1 { ("is", "it") } else { ("are", "they") };
            output.remark(&format!(
                "{} {are} kept, but in no position: nothing says which one {change} changed. If the account was in one-way mode \
                 all the time, `fillbook init --position-mode one-way` says so. If not, an \
                 export with a position side, or the orders' export, tells.",
                count(self.unplaced, "fill")
            ));
        }
        Ok(())
    }
}

/// Where an import writes, and under which run.
struct Recording<'a> {
    store: &'a dyn Store,
    account: AccountId,
    recorded_at: TimestampMs,
    run_id: RunId,
}

impl Recording<'_> {
    async fn read_all(&self, files: &[PathBuf], options: &Options, output: &mut Output) -> Result<Read, CommandError> {
        let mut code = ExitCode::Fine;
        let mut lines = Vec::new();
        let mut options = options.clone();
        for path in files {
            let mut import = Import {
                to: self,
                output: &mut *output,
                file: path.display().to_string(),
                kinds: BTreeMap::new(),
                rejected: 0,
                conflicting: 0,
                notes: 0,
                rows: 0,
                pending: Vec::new(),
                origins: Vec::new(),
                uid: None,
            };
            let read = import.file(path, &options).await?;
            // One account a book: what the first file says holds for the others.
            options.uid = options.uid.or(read.uid);
            options.after = read.parts;
            if import.rejected > 0 {
                code = code.worst(ExitCode::Error);
            }
            if import.conflicting > 0 {
                code = code.worst(ExitCode::Discrepancies);
            }
            lines.extend(import.lines());
        }
        self.infer_contracts().await?;
        let quarantined = self.refold(output).await?;
        if !quarantined.is_empty() {
            code = code.worst(ExitCode::Discrepancies);
        }
        let unplaced = FillFilter { unplaced_only: true, ..Scope::account(self.account.clone()).into() };
        let unplaced = self.store.fill_count(&unplaced).await?;
        let contradiction = super::journal::mode_contradiction(self.store, &self.account).await?;
        if contradiction.is_some() {
            code = code.worst(ExitCode::Discrepancies);
        }
        Ok(Read { lines, unplaced, quarantined, contradiction, code })
    }

    async fn commit(&self, statements: Vec<Statement>, uid: Option<String>) -> Result<CommitReport, StoreError> {
        let mut batch = Batch::new(self.account.clone(), self.recorded_at, statements).with_refold(Refold::Deferred);
        batch.run_id = Some(self.run_id);
        batch.user_id = uid;
        self.store.commit(batch).await
    }

    /// Adds the contracts that no file stated but whose names tell what they are.
    async fn infer_contracts(&self) -> Result<(), CommandError> {
        let mut statements = Vec::new();
        for pending in self.store.pending_refolds().await? {
            let ours = pending.account == self.account;
            if ours && self.store.instrument(&self.account, &pending.symbol).await?.is_none() {
                statements.extend(instrument_from_symbol(&pending.symbol).map(|contract| Statement {
                    fact: AnyFact::Instrument(contract),
                    source: Source::Repair,
                    payload: None,
                }));
            }
        }
        if !statements.is_empty() {
            self.commit(statements, None).await?;
        }
        Ok(())
    }

    /// Recomputes what the import made out of date, and answers the symbols that cannot be computed.
    async fn refold(&self, output: &mut Output) -> Result<Vec<(String, String)>, CommandError> {
        let pending = self.store.pending_refolds().await?;
        for (done, next) in pending.iter().enumerate() {
            output.progress(&format!("recomputing {} ({} of {})", next.symbol, done + 1, pending.len()));
            self.store.refold(&next.account, &next.symbol).await?;
        }
        let quarantined = self.store.quarantined(&self.account).await?;
        Ok(quarantined.into_iter().map(|entry| (entry.symbol.to_string(), entry.reason)).collect())
    }
}

impl Import<'_> {
    /// Reads one file, and answers what the next one has to know. Only a failing store ends it early.
    async fn file(&mut self, path: &Path, options: &Options) -> Result<FileRead, CommandError> {
        let mut file = match files::open(path, options.clone()) {
            Ok(file) => file,
            Err(error) => return self.complain(&error).map(|()| FileRead::default()),
        };
        if file.kind() == Kind::BotDatabase {
            return self.bot_database(path).await.map(|()| FileRead::default());
        }
        while let Some(row) = file.next() {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    self.complain(&error)?;
                    continue;
                }
            };
            self.rows += 1;
            if self.uid.is_none() {
                self.uid = file.uid().map(str::to_owned);
            }
            let origin = Origin { member: row.member, line: row.line };
            if let Some(note) = row.note {
                self.notes += 1;
                self.name("noted", self.notes, &origin, note)?;
            }
            match row.result {
                Ok(statements) => self.take(statements, &origin).await?,
                Err(error) => self.reject(&origin, &error)?,
            }
        }
        if let Some((zone, origin)) = file.zone()
            && origin != ZoneOrigin::Header
        {
            let by = if origin == ZoneOrigin::FileName { "by its name" } else { "as given" };
            self.output.remark(&format!("{}: times read as {zone}, {by}", self.file));
        }
        self.commit().await?;
        self.to.cover(file.fills_covered()).await?;
        Ok(FileRead { uid: file.uid().map(str::to_owned), parts: file.parts() })
    }

    async fn bot_database(&mut self, path: &Path) -> Result<(), CommandError> {
        let mut database = match crate::wiring::open_bot_database(path) {
            Ok(database) => database,
            Err(error) => return self.complain(&error),
        };
        for table in database.tables() {
            let mut after = None;
            loop {
                let rows = match database.rows(table, after, PAGE) {
                    Ok(rows) => rows,
                    Err(error) => {
                        self.complain(&error)?;
                        break;
                    }
                };
                let Some(last) = rows.last() else { break };
                after = Some(last.rowid);
                for row in rows {
                    self.rows += 1;
                    let line = u64::try_from(row.rowid).unwrap_or_default();
                    let origin = Origin { member: Some(table.as_str().into()), line };
                    if let Some(note) = row.note {
                        self.notes += 1;
                        self.name("noted", self.notes, &origin, note)?;
                    }
                    match row.parsed {
                        Ok(statements) => {
                            self.take(statements, &origin).await?;
                        }
                        Err(reason) => {
                            self.rejected += 1;
                            self.name("rejected", self.rejected, &origin, &reason)?;
                        }
                    }
                }
            }
        }
        self.commit().await
    }

    async fn take(&mut self, statements: Vec<Statement>, origin: &Origin) -> Result<(), CommandError> {
        self.origins.extend(statements.iter().map(|_| origin.clone()));
        self.pending.extend(statements);
        if self.pending.len() >= BATCH {
            self.commit().await?;
            self.output.progress(&format!("{}: {} rows", self.file, self.rows));
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), CommandError> {
        let statements = std::mem::take(&mut self.pending);
        let origins = std::mem::take(&mut self.origins);
        if statements.is_empty() {
            return Ok(());
        }
        let facts: Vec<(FactKind, String)> = statements.iter().map(|s| (s.fact.kind(), describe(&s.fact))).collect();
        let report = self.to.commit(statements, self.uid.clone()).await?;
        for ((outcome, (kind, fact)), origin) in report.outcomes.iter().zip(facts).zip(origins) {
            let counts = self.kinds.entry(kind).or_default();
            match outcome {
                Outcome::Recorded => counts.recorded += 1,
                Outcome::AlreadyRecorded => counts.already_recorded += 1,
                Outcome::Merged { .. } => counts.merged += 1,
                Outcome::Conflicts { fields } => {
                    counts.conflicts += 1;
                    self.conflicting += 1;
                    let fields = fields.iter().copied().collect::<Vec<_>>().join(", ");
                    self.name(
                        "conflicting",
                        self.conflicting,
                        &origin,
                        &format!("{fact} has another {fields} than the book"),
                    )?;
                }
            }
        }
        Ok(())
    }

    fn reject(&mut self, origin: &Origin, error: &(dyn std::error::Error + 'static)) -> Result<(), CommandError> {
        self.rejected += 1;
        let story = story(error);
        self.name("rejected", self.rejected, origin, &story)
    }

    /// A file that cannot be read, or not be read further.
    fn complain(&mut self, error: &(dyn std::error::Error + 'static)) -> Result<(), CommandError> {
        self.rejected += 1;
        let story = story(error);
        if self.output.format == Format::Json {
            self.output
                .json(&json!({ "schema": "fillbook.import.file_error/1", "file": self.file, "reason": story }))?;
        }
        self.output.complain(&story);
        Ok(())
    }

    /// Names a row: to a program always, to a person up to a number that can be read.
    fn name(&mut self, what: &str, nth: u64, origin: &Origin, story: &str) -> Result<(), CommandError> {
        let Origin { member, line } = origin;
        if self.output.format == Format::Json {
            self.output.json(&json!({
                "schema": format!("fillbook.import.{what}/1"), "file": self.file, "member": member.as_deref(), "line": line,
                "reason": story,
            }))?;
        }
        if nth <= NAMED_MAX {
            let member = member.as_deref().map_or(String::new(), |member| format!("[{}]", member.escape_debug()));
            self.output.complain(&format!("{}{member}:{line}: {what}: {story}", self.file));
        } else if nth == NAMED_MAX + 1 {
            self.output.complain(&format!("{}: more {what} rows follow; --json names them all", self.file));
        }
        Ok(())
    }

    fn lines(self) -> Vec<Line> {
        // The name is enough to tell the files of one import apart; messages about rows have the whole path.
        let name = Path::new(&self.file)
            .file_name()
            .map_or_else(|| self.file.clone(), |name| name.to_string_lossy().into_owned());
        let mut lines: Vec<Line> = self
            .kinds
            .into_iter()
            .filter(|(kind, _)| *kind != FactKind::Instrument)
            .map(|(kind, counts)| Line { file: name.clone(), what: plural(kind).to_owned(), counts })
            .collect();
        if self.rejected > 0 || lines.is_empty() {
            let counts = Counts { rejected: self.rejected, ..Counts::default() };
            lines.push(Line { file: name, what: "rows".to_owned(), counts });
        }
        lines
    }
}
