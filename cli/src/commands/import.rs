//! `fillbook import`
//!
//! Files are read row by row and recorded in batches, so a file of any size needs little memory. Good rows arrive
//! whatever stands beside them; bad ones are named with file and line. Positions and round trips are recomputed once,
//! at the end.

mod coverage;
mod cut;
mod reading;
#[cfg(test)]
mod seams;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;

use exchange_client::binance_usdm::instrument_from_symbol;
use exchange_client::files::Options;
use ledger_core::{AccountId, AnyFact, Source, Statement, TimestampMs};
use ledger_store::{Batch, CommitReport, FillFilter, Refold, RunId, RunKind, RunStatus, Scope, Store, StoreError};
use serde_json::json;

use self::cut::FileLedger;
use self::reading::Import;
use super::rebuild::count;
use super::text;
use crate::Context;
use crate::args::ImportArgs;
use crate::error::{CommandError, ExitCode};
use crate::output::{Column, Format, Listing, Output};
use crate::wiring::Interruption;

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
    let mut interruption = Interruption::listen()?;
    // What is known of the files that were read to their end outlives a failure behind them.
    let mut ledgers = Vec::new();
    let result = tokio::select! {
        biased;
        () = interruption.wait() => None,
        result = recording.read_all(&args.files, &options, &mut ledgers, &mut context.output) => Some(result),
    };
    let Some(result) = result else {
        let detail = json!({ "interrupted": true, "ledgers": ledgers }).to_string();
        store.end_run(run_id, RunStatus::Interrupted, context.clock.now(), Some(detail)).await?;
        context.output.remark(if args.dry_run {
            "Interrupted. A dry run: nothing was changed."
        } else {
            "Interrupted. What was recorded stays, and positions are out of date: the same import again reads the rest and \
             doubles nothing; `fillbook rebuild` recomputes from what is there."
        });
        return Ok(ExitCode::Interrupted);
    };
    let (status, detail) = match &result {
        Ok(read) => (RunStatus::Done, read.detail(&ledgers)),
        Err(error) => (RunStatus::Failed, json!({ "error": error.to_string(), "ledgers": ledgers })),
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

/// What an import found and did.
struct Read {
    lines: Vec<Line>,
    /// Of which ledger rows nobody knows whether they are the same.
    doubts: Vec<String>,
    unplaced: u64,
    quarantined: Vec<(String, String)>,
    /// What contradicts the user's word about the position mode.
    contradiction: Option<String>,
    code: ExitCode,
}

impl Read {
    fn detail(&self, ledgers: &[FileLedger]) -> serde_json::Value {
        let lines = self.lines.iter().map(|Line { file, what, counts }| {
            json!({ "file": file, "what": what, "new": counts.recorded, "merged": counts.merged,
                "conflicting": counts.conflicts, "rejected": counts.rejected })
        });
        let ledgers = ledgers.iter().map(|ledger| json!({ "ledger": ledger }));
        lines.chain(ledgers).collect::<Vec<_>>().into()
    }

    fn print(&self, output: &mut Output) -> Result<(), CommandError> {
        output.list(&LISTING, &self.lines)?;
        for (symbol, reason) in &self.quarantined {
            output.complain(&format!("{symbol}: positions cannot be computed: {reason}"));
        }
        for doubt in self.doubts.iter().chain(&self.contradiction) {
            output.complain(&format!("warning: {doubt}"));
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
    /// Reads the files one after the other, and notes in `ledgers` what each that was read to its end tells of its ledger.
    async fn read_all(
        &self,
        files: &[PathBuf],
        options: &Options,
        ledgers: &mut Vec<FileLedger>,
        output: &mut Output,
    ) -> Result<Read, CommandError> {
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
                has_damaged: false,
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
            ledgers.extend(read.ledgers);
            if import.rejected > 0 {
                code = code.worst(ExitCode::Error);
            }
            if import.has_damaged {
                code = code.worst(ExitCode::Corrupt);
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
        let doubts = self.judge_cuts(ledgers).await?;
        if contradiction.is_some() || !doubts.is_empty() {
            code = code.worst(ExitCode::Discrepancies);
        }
        Ok(Read { lines, doubts, unplaced, quarantined, contradiction, code })
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
        let mut quarantined = Vec::new();
        for entry in self.store.quarantined(&self.account).await? {
            let hint = super::contract_hint(self.store, &self.account, &entry.symbol).await?;
            quarantined.push((entry.symbol.to_string(), entry.reason + &hint));
        }
        Ok(quarantined)
    }
}
