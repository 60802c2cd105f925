//! One file: its rows become statements, recorded in batches; bad rows are named with file and line.

use std::path::Path;

use exchange_client::files::{self, FileError, ImportSource, Kind, Options, RowError, ZoneOrigin};
use ledger_core::{FactKind, Outcome, Statement};
use ledger_store::StoreError;

use super::cut::FileLedger;
use super::event::{ImportEvent, Origin, RowRemark};
use super::known::Known;
use super::report::ImportedFile;
use super::survey::{Owner, TURN, give_way};
use super::unlisted::Added;
use super::words::{describe, story};
use super::{ImportEvents, Recording};

/// How many facts are recorded in one transaction.
const BATCH: usize = 10_000;

/// A file being read.
pub(super) struct Reading<'a> {
    to: &'a Recording<'a>,
    pub(super) events: ImportEvents<'a>,
    /// Whose rows are taken.
    pub(super) owner: Owner,
    /// The ledger rows of times that the exchange answered for.
    added: &'a mut Added,
    /// Whether anything of the file was in the book before.
    known: Known,
    /// What became of it so far.
    pub(super) imported: ImportedFile,
    notes: u64,
    pub(super) rows: u64,
    pending: Vec<Statement>,
    origins: Vec<Origin>,
    /// The exchange account that the file's rows belong to, once one says.
    uid: Option<String>,
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
    /// What it and the files before it told of the sizes of contracts.
    pub(super) contract_sizes: files::ContractSizes,
    /// The exchange that a book of another venue is of, as far as it and the files before it told.
    pub(super) exchange: Option<String>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        to: &'a Recording<'a>,
        events: ImportEvents<'a>,
        owner: Owner,
        added: &'a mut Added,
        path: &Path,
    ) -> Self {
        let imported = ImportedFile { file: path.display().to_string(), ..ImportedFile::default() };
        let known = Known::default();
        let (pending, origins) = (Vec::new(), Vec::new());
        Self { to, events, owner, added, known, imported, notes: 0, rows: 0, pending, origins, uid: None }
    }

    /// Reads one file, and answers what the next one has to know. Only a failing store ends it early.
    pub(super) async fn file(&mut self, path: &Path, options: &Options) -> Result<FileRead, StoreError> {
        let (contract_sizes, exchange) = (options.contract_sizes.clone(), options.exchange.clone());
        let nothing = FileRead { contract_sizes, exchange, ..FileRead::default() };
        let source = match ImportSource::open(path) {
            Ok(source) => source,
            Err(error) => {
                self.refuse_file(&error);
                return Ok(nothing);
            }
        };
        let mut options = options.clone();
        let (given_zone, venue) = (options.zone.clone(), options.venue);
        let opened = match self.survey(&source, &options).await {
            Ok(survey) => {
                options.contract_sizes = survey.contract_sizes;
                options.charges_are_negative = survey.charges_are_negative;
                options.uid = self.owner.expected().cloned();
                source.read(options)
            }
            Err(error) => Err(error),
        };
        let mut file = match opened {
            Ok(file) => file,
            Err(error) => {
                self.refuse_file(&error);
                return Ok(nothing);
            }
        };
        if file.kind() == Kind::BotDatabase {
            return self.bot_database(path, venue).await.map(|()| nothing);
        }
        while let Some(row) = file.next() {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    self.refuse_file(&error);
                    continue;
                }
            };
            self.rows += 1;
            // Rows that are rejected reach no commit, at which somebody else would have a turn.
            if self.rows.is_multiple_of(TURN) {
                give_way().await;
            }
            if self.uid.is_none() {
                self.uid = file.uid().map(str::to_owned);
            }
            let origin = Origin { member: row.member, line: row.line, element: row.element };
            if let Some(note) = row.note {
                self.note(&origin, note);
            }
            match row.result {
                Ok(statements) => self.take(statements, &origin).await?,
                Err(error) => self.reject_row(&origin, &error),
            }
        }
        if let Some((zone, origin)) = file.zone()
            && (origin != ZoneOrigin::Header || given_zone.is_some_and(|given| given != *zone))
        {
            (self.events)(ImportEvent::ZoneTaken { file: &self.imported.file, zone, origin });
        }
        self.commit().await?;
        // An account that is bound by the exchange's answers alone has a name there, and no number to compare.
        let is_compared = self.owner.bound.is_some() || self.owner.asked.is_some();
        if !(file.names_owners() && is_compared) {
            self.remark_owner();
        }
        if !self.imported.has_damaged {
            self.to.cover(file.fills_covered()).await?;
        }
        let name = &self.imported.file;
        let ledgers = file.ledger_read().into_iter().map(|read| FileLedger::new(name, read)).collect();
        let contract_sizes = file.contract_sizes().clone();
        let exchange = file.exchange().map(str::to_owned);
        Ok(FileRead { uid: file.uid().map(str::to_owned), parts: file.parts(), ledgers, contract_sizes, exchange })
    }

    pub(super) async fn take(&mut self, statements: Vec<Statement>, origin: &Origin) -> Result<(), StoreError> {
        self.origins.extend(statements.iter().map(|_| origin.clone()));
        self.pending.extend(statements);
        if self.pending.len() >= BATCH {
            self.commit().await?;
            (self.events)(ImportEvent::Rows { file: &self.imported.file, rows: self.rows });
        }
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        let statements = std::mem::take(&mut self.pending);
        let origins = std::mem::take(&mut self.origins);
        if statements.is_empty() {
            return Ok(());
        }
        let added: Vec<_> = statements.iter().map(|statement| self.added.candidate(statement)).collect();
        let facts: Vec<(FactKind, String)> = statements.iter().map(|s| (s.fact.kind(), describe(&s.fact))).collect();
        let report = self.to.commit(statements, self.uid.clone()).await?;
        for (outcome, row) in report.outcomes.iter().zip(added) {
            if let (Outcome::Recorded, Some(row)) = (outcome, row) {
                self.added.note(row);
            }
        }
        // A cancel that follows from an order is counted as one, at the order's row.
        let implied = report.cancels.iter().filter_map(|cancel| {
            let (_, order) = facts.get(cancel.statement)?;
            let origin = origins.get(cancel.statement)?;
            Some(((&cancel.outcome, (FactKind::Cancel, format!("the cancel of {order}"))), origin))
        });
        let implied: Vec<_> = implied.collect();
        let stated = report.outcomes.iter().zip(&facts).zip(&origins);
        let implied = implied.iter().map(|((outcome, fact), origin)| ((*outcome, fact), *origin));
        for ((outcome, (kind, fact)), origin) in stated.chain(implied) {
            self.known.note(*kind, fact, outcome);
            let counts = self.imported.kinds.entry(*kind).or_default();
            match outcome {
                Outcome::Recorded => counts.recorded += 1,
                Outcome::AlreadyRecorded => counts.already_recorded += 1,
                Outcome::Merged { .. } => counts.merged += 1,
                Outcome::Conflicts { fields } => {
                    counts.conflicts += 1;
                    self.imported.conflicting += 1;
                    let fields = fields.iter().copied().collect::<Vec<_>>().join(", ");
                    let reason = format!("{fact} has another {fields} than the book");
                    self.name(RowRemark::Conflicting, self.imported.conflicting, origin, &reason);
                }
                Outcome::Unreadable { reason } => {
                    self.imported.has_damaged = true;
                    let reason =
                        format!("{fact} cannot be merged: the book's own record of it cannot be read: {reason}");
                    self.reject(origin, &reason);
                }
            }
        }
        Ok(())
    }

    pub(super) fn reject(&mut self, origin: &Origin, reason: &str) {
        self.imported.rejected += 1;
        self.name(RowRemark::Rejected, self.imported.rejected, origin, reason);
    }

    pub(super) fn note(&mut self, origin: &Origin, note: &str) {
        self.notes += 1;
        self.name(RowRemark::Noted, self.notes, origin, note);
    }

    fn reject_row(&mut self, origin: &Origin, error: &RowError) {
        self.imported.is_of_another_account |= error.is_of_another_account();
        self.reject(origin, &story(error));
    }

    /// Says that nothing proves whose a file is.
    pub(super) fn remark_owner(&mut self) {
        if let Some(bound) = self.to.bound_to.as_deref().filter(|_| self.known.nothing()) {
            let uid = self.uid.as_deref();
            (self.events)(ImportEvent::OwnerUnproven { file: &self.imported.file, uid, bound });
        }
    }

    fn refuse_file(&mut self, error: &FileError) {
        self.imported.is_of_another_account |= error.is_about_the_account();
        self.refuse(error);
    }

    /// A file that cannot be read, or not be read further.
    pub(super) fn refuse(&mut self, error: &(dyn std::error::Error + 'static)) {
        self.imported.rejected += 1;
        (self.events)(ImportEvent::Refused { file: &self.imported.file, reason: &story(error) });
    }

    fn name(&mut self, remark: RowRemark, number: u64, origin: &Origin, reason: &str) {
        (self.events)(ImportEvent::Row { file: &self.imported.file, origin, remark, number, reason });
    }
}
