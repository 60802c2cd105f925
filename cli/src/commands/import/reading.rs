//! One file: its rows become statements, recorded in batches; bad rows are named with file and line.

use std::collections::BTreeMap;
use std::path::Path;

use exchange_client::files::{self, Kind, Options, ZoneOrigin};
use ledger_core::{FactKind, Outcome, Statement};
use serde_json::json;

use super::super::PAGE;
use super::cut::FileLedger;
use super::words::{describe, plural, story};
use super::{Counts, Line, Recording};
use crate::error::CommandError;
use crate::output::{Format, Output};

/// How many facts are recorded in one transaction.
const BATCH: usize = 10_000;
/// How many rejected or conflicting rows of a file are named for a person; a program gets all of them.
const NAMED_MAX: u64 = 20;

/// Where in a file a statement stands.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    member: Option<std::sync::Arc<str>>,
    line: u64,
}

/// An import under way.
pub(super) struct Import<'a> {
    pub(super) to: &'a Recording<'a>,
    pub(super) output: &'a mut Output,
    pub(super) file: String,
    pub(super) kinds: BTreeMap<FactKind, Counts>,
    pub(super) rejected: u64,
    pub(super) conflicting: u64,
    /// Whether rows of the book cannot be read that the file has more to say about.
    pub(super) has_damaged: bool,
    pub(super) notes: u64,
    pub(super) rows: u64,
    pub(super) pending: Vec<Statement>,
    pub(super) origins: Vec<Origin>,
    /// The exchange account that the file's rows belong to, once one says.
    pub(super) uid: Option<String>,
}

/// What a file says for the next one.
#[derive(Default)]
pub(super) struct FileRead {
    /// The exchange account that its rows belong to, where they say.
    pub(super) uid: Option<String>,
    /// How far it was counted, if it is a part of an export.
    pub(super) parts: Option<files::Parts>,
    /// What it told of ledger rows without an id.
    pub(super) ledgers: Vec<FileLedger>,
}

impl Import<'_> {
    /// Reads one file, and answers what the next one has to know. Only a failing store ends it early.
    pub(super) async fn file(&mut self, path: &Path, options: &Options) -> Result<FileRead, CommandError> {
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
        if !self.has_damaged {
            self.to.cover(file.fills_covered()).await?;
        }
        let ledgers = file.ledger_read().into_iter().map(|read| FileLedger::new(&self.file, read)).collect();
        Ok(FileRead { uid: file.uid().map(str::to_owned), parts: file.parts(), ledgers })
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
                Outcome::Unreadable { reason } => {
                    self.rejected += 1;
                    self.has_damaged = true;
                    let story =
                        format!("{fact} cannot be merged: the book's own record of it cannot be read: {reason}");
                    self.name("rejected", self.rejected, &origin, &story)?;
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

    pub(super) fn lines(self) -> Vec<Line> {
        // The name is enough to tell the files of one import apart; messages about rows have the whole path.
        let name = Path::new(&self.file)
            .file_name()
            .map_or_else(|| self.file.clone(), |name| name.to_string_lossy().into_owned());
        // Contracts come along with everything else and are told only where a file has nothing else.
        let is_of_contracts = self.kinds.keys().all(|kind| *kind == FactKind::Instrument);
        let mut lines: Vec<Line> = self
            .kinds
            .into_iter()
            .filter(|(kind, _)| is_of_contracts || *kind != FactKind::Instrument)
            .map(|(kind, counts)| Line { file: name.clone(), what: plural(kind).to_owned(), counts })
            .collect();
        if self.rejected > 0 || lines.is_empty() {
            let counts = Counts { rejected: self.rejected, ..Counts::default() };
            lines.push(Line { file: name, what: "rows".to_owned(), counts });
        }
        lines
    }
}
