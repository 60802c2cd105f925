//! Writing what the plan says. No choices are made here.
//!
//! One transaction a symbol, so that a crash leaves some symbols repaired and the others as they were; the account-wide
//! cursors move last.
//!
//! Invariants, each with a test of the same name:
//! 1. `nothing_is_left_out_of_date`.

use ledger_core::{Statement, TimestampMs};
use ledger_store::{Batch, CoverageSpan, DiscrepancyStatus, NewDiscrepancy, OutcomeCounts, Repair, RunId, SyncCursor};

use crate::book::Book;
use crate::error::{Doing, ReconcileError};
use crate::plan::{Plan, PlannedRepair, SymbolPlan};

/// What applying did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// What became of the statements.
    pub counts: OutcomeCounts,
    /// The journal's numbers of the findings, in the order of [`Plan::findings`].
    pub discrepancy_ids: Vec<i64>,
    /// The journal's numbers of the repairs, in the order of the symbols' plans.
    pub repair_ids: Vec<i64>,
}

/// Records the plan and journals it under `run`. `at_local` is the local time for the journal.
///
/// # Errors
/// [`ReconcileError::Store`]; the symbols before the failure are recorded, the cursors have not moved.
pub async fn apply(
    plan: &Plan,
    book: &Book,
    account: &ledger_core::AccountId,
    run: RunId,
    at_local: TimestampMs,
) -> Result<Applied, ReconcileError> {
    let mut applied = Applied::default();
    let journal = Journal { book, account, run, at_local };
    if let Some(mode) = plan.position_mode {
        book.accounts.set_position_mode(account, mode).await.doing("recording the position mode")?;
    }
    journal.commit(&plan.instruments, &[], &[], &mut applied).await?;
    for finding in &plan.account_findings {
        applied.discrepancy_ids.push(journal.discrepancy(finding).await?);
    }
    for symbol_plan in plan.symbols.values() {
        journal.symbol(symbol_plan, &mut applied).await?;
    }
    journal.commit(&plan.account_statements, &plan.account_cursors, &plan.account_coverage, &mut applied).await?;
    // The position mode decides which position a fill changed, so setting it can leave derived rows out of date. What
    // is verified next has to rest on all that is recorded.
    for pending in book.writer.pending_refolds().await.doing("reading which symbols are out of date")? {
        if pending.account == *account {
            book.writer.refold(account, &pending.symbol).await.doing("bringing a symbol up to date")?;
        }
    }
    Ok(applied)
}

struct Journal<'a> {
    book: &'a Book,
    account: &'a ledger_core::AccountId,
    run: RunId,
    at_local: TimestampMs,
}

impl Journal<'_> {
    async fn symbol(&self, plan: &SymbolPlan, applied: &mut Applied) -> Result<(), ReconcileError> {
        // The findings first: after a crash in between they say what was about to be repaired.
        let mut ids = Vec::new();
        for finding in &plan.findings {
            let id = self.discrepancy(finding).await?;
            ids.push(((finding.kind, finding.fingerprint()), id));
            applied.discrepancy_ids.push(id);
        }
        self.commit(&plan.statements, &plan.cursors, &plan.coverage, applied).await?;
        for repair in &plan.repairs {
            let discrepancy_id = ids.iter().find(|(finding, _)| *finding == repair.finding).map(|(_, id)| *id);
            let symbol = plan.findings.iter().find_map(|finding| finding.symbol.clone());
            applied.repair_ids.push(self.repair(repair, symbol, discrepancy_id).await?);
        }
        Ok(())
    }

    async fn commit(
        &self,
        statements: &[Statement],
        cursors: &[SyncCursor],
        coverage: &[CoverageSpan],
        applied: &mut Applied,
    ) -> Result<(), ReconcileError> {
        if statements.is_empty() && cursors.is_empty() && coverage.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new(self.account.clone(), self.at_local, statements.to_vec());
        batch.run_id = Some(self.run);
        batch.cursors = cursors.to_vec();
        batch.coverage = coverage.to_vec();
        let counts = self.book.writer.commit(batch).await.doing("recording what the exchange says")?.counts();
        let total = &mut applied.counts;
        total.recorded += counts.recorded;
        total.already_recorded += counts.already_recorded;
        total.merged += counts.merged;
        total.conflicts += counts.conflicts;
        Ok(())
    }

    async fn discrepancy(&self, finding: &crate::Finding) -> Result<i64, ReconcileError> {
        let entry = NewDiscrepancy {
            account: self.account.clone(),
            symbol: finding.symbol.clone(),
            kind: finding.kind.as_str().to_owned(),
            fingerprint: finding.fingerprint(),
            status: DiscrepancyStatus::Pending,
            evidence_json: finding.evidence_json(),
            seen_local: self.at_local,
            run_id: Some(self.run),
        };
        self.book.runs.record_discrepancy(entry).await.doing("recording a discrepancy")
    }

    async fn repair(
        &self,
        repair: &PlannedRepair,
        symbol: Option<ledger_core::Symbol>,
        discrepancy_id: Option<i64>,
    ) -> Result<i64, ReconcileError> {
        let entry = Repair {
            id: 0,
            account: self.account.clone(),
            symbol,
            run_id: self.run,
            at_local: self.at_local,
            kind: repair.kind.to_owned(),
            discrepancy_id,
            cause: repair.cause.clone(),
            evidence_json: repair.evidence_json.clone(),
            before_json: repair.before_json.clone(),
            after_json: repair.after_json.clone(),
        };
        self.book.runs.add_repair(entry).await.doing("journaling a repair")
    }
}
