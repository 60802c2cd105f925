//! The bot's words on closed trades, put on the orders that this very look brought.

use ledger_store::{DiscrepancyKey, DiscrepancyStatus, RunId, StoreError};

use super::Reconciler;
use super::report::{FindingReport, RepairReport};
use super::settle::Settlement;
use crate::apply::{ApplyReport, apply};
use crate::error::ReconcileError;
use crate::finding::Finding;
use crate::observe::Observation;
use crate::plan::{Plan, plan_words};
use crate::record::closing::Closing;
use crate::record::words::is_word;

/// What was put on its order behind the look.
#[derive(Default)]
pub(super) struct Placed {
    plan: Plan,
    applied: ApplyReport,
}

impl Reconciler {
    /// Puts the words on their orders that waited for what was just recorded, so that whoever reads the book behind this look
    /// finds them there.
    pub(super) async fn place_words(
        &self,
        observation: &Observation,
        run: &mut Option<RunId>,
        applied: &mut ApplyReport,
    ) -> Result<Placed, ReconcileError> {
        if !observation.book.signals.iter().any(|signal| is_word(&signal.fact)) {
            return Ok(Placed::default());
        }
        let closing = Closing { store: &*self.book, account: &self.config.account };
        let mut words = match Box::pin(closing.placed()).await {
            // Those of a contract with a row that cannot be read wait on.
            Err(ReconcileError::Store { source: StoreError::CorruptRow { .. }, .. }) => Vec::new(),
            placed => placed?,
        };
        words.retain(|word| observation.is_in_scope(&word.signal.symbol));
        if words.is_empty() {
            return Ok(Placed::default());
        }
        let plan = plan_words(&words);
        let run = self.run(run).await?;
        let placed = apply(&plan, &*self.book, &self.config.account, run, self.clock.now()).await?;
        applied.counts.add(placed.counts);
        Ok(Placed { plan, applied: placed })
    }
}

impl Placed {
    /// What was found of these words before is settled.
    pub(super) fn settle(&self, settlement: &mut Settlement) {
        let settled: Vec<DiscrepancyKey> = self.plan.findings().map(Finding::key).collect();
        settlement.findings.retain(|(finding, _)| !settled.contains(&finding.key()));
        settlement.batch.discrepancies.retain(|seen| !settled.contains(&seen.key));
    }

    /// The findings as they are told.
    pub(super) fn findings(&self, observation: &Observation) -> Vec<FindingReport> {
        let ids = self.applied.discrepancy_ids.iter().copied();
        let told = |(finding, id): (&Finding, i64)| FindingReport {
            id: Some(id),
            status: DiscrepancyStatus::Resolved,
            first_seen_local: observation.book.discrepancy(&finding.key()).map(|known| known.first_seen_local),
            finding: finding.clone(),
        };
        self.plan.findings().zip(ids).map(told).collect()
    }

    /// The repairs as they are told.
    pub(super) fn repairs(&self) -> Vec<RepairReport> {
        let ids = self.applied.repair_ids.iter().copied().map(Some);
        self.plan.repairs().zip(ids).map(|(repair, id)| RepairReport::new(repair, id)).collect()
    }
}
