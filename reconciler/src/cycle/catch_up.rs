//! Bringing a book up to the present piece by piece, before the present is looked at: each piece of history is planned,
//! recorded with its cursors and checked before the next one is read.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{Symbol, TimestampMs};
use ledger_store::{Batch, DiscrepancyStatus, OutcomeCounts, RunId};

use super::Reconciler;
use super::report::{FindingReport, RepairReport};
use super::settle::{acknowledged, checked};
use crate::apply::{ApplyReport, apply, is_empty, seen_as};
use crate::confirming::ReadBefore;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::{Doing, ReconcileError};
use crate::finding::{Finding, Outlook};
use crate::observe::{HistoryLook, HistoryPiece, HistoryProgress};
use crate::plan::{Plan, plan_history};
use crate::verify::{CheckName, check_ledger};
use crate::wording::instant;

/// How many findings, and repairs, of the history a report names; the journal has all.
const NAMED_MAX: usize = 1_000;

/// What was caught up with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CaughtUp {
    /// In how many pieces.
    pub pieces: usize,
    /// From the first instant to the last; `None` when there was nothing to catch up with.
    pub span: Option<(TimestampMs, TimestampMs)>,
    /// The symbols whose fills were asked for.
    pub symbols: BTreeSet<Symbol>,
    /// What became of the recorded statements.
    pub counts: OutcomeCounts,
    /// How many ledger rows were new.
    pub income_new: usize,
    /// How many findings there were.
    pub finding_count: usize,
    /// How many repairs.
    pub repair_count: usize,
    /// How many of the ledger's sums agreed with the fills.
    pub(crate) ledger_agreed: usize,
    /// Of the findings, those that the report does not name: how many of each kind, and what became of them.
    pub untold_findings: BTreeMap<(DiscrepancyKind, DiscrepancyStatus), usize>,
    /// How many repairs the report does not name.
    pub untold_repairs: usize,
    /// The first findings.
    pub(crate) findings: Vec<FindingReport>,
    /// The first repairs.
    pub(crate) repairs: Vec<RepairReport>,
}

impl CaughtUp {
    /// Names the first findings and repairs, and counts all.
    fn tell(&mut self, findings: Vec<FindingReport>, repairs: impl Iterator<Item = RepairReport>) {
        for finding in findings {
            self.finding_count += 1;
            if self.findings.len() < NAMED_MAX {
                self.findings.push(finding);
            } else {
                *self.untold_findings.entry((finding.finding.kind, finding.status)).or_default() += 1;
            }
        }
        for repair in repairs {
            self.repair_count += 1;
            if self.repairs.len() < NAMED_MAX {
                self.repairs.push(repair);
            } else {
                self.untold_repairs += 1;
            }
        }
    }
}

impl Reconciler {
    /// Catches up with the history that the book lacks. A look that is narrowed to symbols or to a beginning reads only
    /// that, and catches up with nothing.
    pub(crate) async fn catch_up(
        &self,
        run: &mut Option<RunId>,
        read_before: &ReadBefore,
    ) -> Result<CaughtUp, ReconcileError> {
        let mut caught_up = CaughtUp::default();
        let options = &self.config.observe;
        if !options.symbols.is_empty() || options.since.is_some() {
            return Ok(caught_up);
        }
        let look = HistoryLook {
            exchange: &*self.exchange,
            book: &*self.book,
            clock: &*self.clock,
            account: &self.config.account,
            labels: &options.labels,
            policy: &self.config.policy,
        };
        if !look.may_lag(read_before).await? {
            return Ok(caught_up);
        }
        let mut progress = HistoryProgress::new(read_before.clone());
        while let Some(piece) = Box::pin(look.next(&mut progress)).await? {
            self.bind(&piece.seen).await?;
            self.record(&piece, run, &mut caught_up).await?;
        }
        Ok(caught_up)
    }

    async fn record(
        &self,
        piece: &HistoryPiece,
        run: &mut Option<RunId>,
        caught_up: &mut CaughtUp,
    ) -> Result<(), ReconcileError> {
        let plan = plan_history(piece, &self.config.policy)?;
        let opened = self.run(run).await?;
        let applied = apply(&plan, &*self.book, &self.config.account, opened, self.clock.now()).await?;
        let findings = self.settle_history(piece, &plan, &applied, opened, &mut caught_up.ledger_agreed).await?;
        let window = piece.window;
        tracing::info!(
            since = window.since().as_ms(),
            until = window.until().as_ms(),
            recorded = applied.counts.recorded,
            "history recorded up to {}",
            instant(window.until())
        );
        caught_up.pieces += 1;
        let since = caught_up.span.map_or(window.since(), |(since, _)| since.min(window.since()));
        caught_up.span = Some((since, window.until()));
        caught_up.symbols.extend(piece.seen.symbols.keys().cloned());
        caught_up.counts.add(applied.counts);
        caught_up.income_new += plan.income_new;
        let ids = applied.repair_ids.iter().copied().map(Some).chain(std::iter::repeat(None));
        let repairs = plan.repairs().zip(ids).map(|(repair, id)| RepairReport::new(repair, id));
        caught_up.tell(findings, repairs);
        Ok(())
    }

    /// What became of the findings. One whose subject a later piece may still settle is pending.
    async fn settle_history(
        &self,
        piece: &HistoryPiece,
        plan: &Plan,
        applied: &ApplyReport,
        run: RunId,
        agreed: &mut usize,
    ) -> Result<Vec<FindingReport>, ReconcileError> {
        let account = &self.config.account;
        let observation = &piece.seen;
        let mut batch = Batch::new(account.clone(), self.clock.now(), Vec::new());
        let mut findings = Vec::new();
        let mut ids: Vec<Option<i64>> = applied.discrepancy_ids.iter().copied().map(Some).collect();
        for finding in plan.findings() {
            let status = match (finding.outlook, &finding.subject) {
                (Outlook::Settles, _) => DiscrepancyStatus::Resolved,
                (Outlook::Stays, _) => acknowledged(observation, finding, DiscrepancyStatus::Unresolved),
                (Outlook::Verify | Outlook::VerifyLagging, Subject::Order(key)) => {
                    let order = self.book.order(account, key).await.doing("reading an order")?;
                    let is_whole = order.is_none_or(|order| order.residual_qty.is_none());
                    if is_whole {
                        batch.settled.push(finding.key());
                    }
                    if is_whole { DiscrepancyStatus::Resolved } else { DiscrepancyStatus::Pending }
                }
                (Outlook::Verify | Outlook::VerifyLagging | Outlook::Waits, _) => DiscrepancyStatus::Pending,
            };
            findings.push((finding.clone(), status));
        }
        ids.resize(findings.len(), None);
        let verification = check_ledger(observation, &*self.book, account).await?;
        *agreed += verification.agreed(CheckName::IncomeHasFills);
        // A contract that did not answer in its turn is left to the look at the present.
        let is_left = |finding: &Finding| finding.symbol.as_ref().is_some_and(|it| observation.book.has_unanswered(it));
        let found: Vec<_> = verification.findings.into_iter().filter(|finding| !is_left(finding)).collect();
        batch.discrepancies.extend(found.iter().map(|finding| seen_as(finding, checked(finding))));
        findings.extend(found.into_iter().map(|finding| {
            let status = acknowledged(observation, &finding, checked(&finding));
            (finding, status)
        }));
        if !is_empty(&batch) {
            batch.run_id = Some(run);
            let journaled = self.book.commit(batch).await.doing("closing discrepancies")?;
            ids.extend(journaled.discrepancy_ids.into_iter().map(Some));
        }
        let ids = ids.into_iter().chain(std::iter::repeat(None));
        let reports = findings.into_iter().zip(ids).map(|((finding, status), id)| {
            let known = observation.book.discrepancy(&finding.key());
            FindingReport { id, status, first_seen_local: known.map(|known| known.first_seen_local), finding }
        });
        Ok(reports.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repair::RepairKind;

    #[test]
    fn what_is_not_named_is_counted() {
        let mut caught_up = CaughtUp::default();
        let found = |status| {
            let (kind, subject) = (DiscrepancyKind::MissingFills, Subject::Account);
            let finding = Finding::new(kind, None, subject, Outlook::Settles, String::new());
            FindingReport { finding, id: None, status, first_seen_local: None }
        };
        let repair = || RepairReport { id: None, symbol: None, kind: RepairKind::RestoreFills, cause: String::new() };
        for (number, status) in [(NAMED_MAX - 1, DiscrepancyStatus::Resolved), (3, DiscrepancyStatus::Pending)] {
            caught_up.tell(vec![found(status); number], std::iter::repeat_with(repair).take(number));
        }
        assert_eq!((caught_up.findings.len(), caught_up.finding_count), (NAMED_MAX, NAMED_MAX + 2));
        let untold = [((DiscrepancyKind::MissingFills, DiscrepancyStatus::Pending), 2)];
        assert_eq!(caught_up.untold_findings, untold.into());
        assert_eq!(
            (caught_up.repairs.len(), caught_up.untold_repairs, caught_up.repair_count),
            (NAMED_MAX, 2, NAMED_MAX + 2)
        );
    }
}
