//! Findings and repairs as the journal keeps them, and the transactions that they go into.

use ledger_core::{AccountId, Statement, TimestampMs};
use ledger_store::{Batch, DiscrepancyStatus, NewDiscrepancy, NewRepair, RunId, Writer};

use super::ApplyReport;
use crate::error::{Doing, ReconcileError};
use crate::finding::{Finding, Outlook};
use crate::plan::SymbolPlan;
use crate::repair::PlannedRepair;

/// A finding as the journal keeps it before anything is verified.
pub(super) fn seen(finding: &Finding) -> NewDiscrepancy {
    let status = match finding.outlook {
        Outlook::Stays => DiscrepancyStatus::Unresolved,
        Outlook::Settles | Outlook::Verify | Outlook::VerifyLagging | Outlook::Waits => DiscrepancyStatus::Pending,
    };
    seen_as(finding, status)
}

/// A finding as the journal keeps it.
pub(crate) fn seen_as(finding: &Finding, status: DiscrepancyStatus) -> NewDiscrepancy {
    NewDiscrepancy {
        key: finding.key(),
        symbol: finding.symbol.clone(),
        status,
        evidence_json: finding.evidence_json(),
    }
}

pub(super) fn is_settled(finding: &Finding) -> bool {
    finding.outlook == Outlook::Settles
}

/// A repair as the journal keeps it.
pub(crate) fn journaled(repair: &PlannedRepair) -> NewRepair {
    NewRepair {
        symbol: repair.symbol.clone(),
        kind: repair.kind.as_str().to_owned(),
        discrepancy: repair.discrepancy.clone(),
        cause: repair.cause.clone(),
        evidence_json: repair.evidence_json.clone(),
        before_json: repair.before.as_ref().map(ToString::to_string),
        after_json: repair.after.as_ref().map(ToString::to_string),
    }
}

/// Whether a batch would change nothing.
pub(crate) fn is_empty(batch: &Batch) -> bool {
    batch.statements.is_empty()
        && batch.cursors.is_empty()
        && batch.coverage.is_empty()
        && batch.reopened.is_empty()
        && batch.discrepancies.is_empty()
        && batch.settled.is_empty()
        && batch.repairs.is_empty()
}

/// Writes batches of one run.
pub(super) struct Journal<'a> {
    pub(super) book: &'a dyn Writer,
    pub(super) account: &'a AccountId,
    pub(super) run: RunId,
    pub(super) at_local: TimestampMs,
}

impl Journal<'_> {
    pub(super) async fn symbol(&self, plan: &SymbolPlan, applied: &mut ApplyReport) -> Result<(), ReconcileError> {
        let batch = Batch {
            cursors: plan.cursors.clone(),
            coverage: plan.coverage.clone(),
            discrepancies: plan.findings.iter().map(seen).collect(),
            settled: plan.findings.iter().filter(|finding| is_settled(finding)).map(Finding::key).collect(),
            repairs: plan.repairs.iter().map(journaled).collect(),
            ..self.batch(&plan.statements)
        };
        self.commit(batch, applied).await
    }

    pub(super) fn batch(&self, statements: &[Statement]) -> Batch {
        let mut batch = Batch::new(self.account.clone(), self.at_local, statements.to_vec());
        batch.run_id = Some(self.run);
        batch
    }

    pub(super) async fn commit(&self, batch: Batch, applied: &mut ApplyReport) -> Result<(), ReconcileError> {
        if is_empty(&batch) {
            return Ok(());
        }
        let report = self.book.commit(batch).await.doing("recording what the exchange says")?;
        applied.counts.add(report.counts());
        applied.unreadable.extend(report.unreadable);
        applied.discrepancy_ids.extend(report.discrepancy_ids);
        applied.repair_ids.extend(report.repair_ids);
        Ok(())
    }
}
