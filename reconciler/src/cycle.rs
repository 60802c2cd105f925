//! A whole cycle: observe, plan, apply, verify. `audit` is all but apply, and writes nothing at all.
//!
//! Invariants, each with a test of the same name:
//! 1. `audit_writes_nothing`.
//! 2. `a_warm_second_run_changes_nothing`.
//! 3. `with_another_account_nothing_is_written`.

use std::fmt;
use std::sync::Arc;

use exchange_client::{Clock, ExchangeReader};
use ledger_core::AccountId;
use ledger_store::{
    Batch, DiscrepancyFilter, DiscrepancyKey, DiscrepancyStatus, ExchangeIdentity, OutcomeCounts, PageRequest, RunId,
    RunKind, RunStatus,
};
use serde_json::json;

use crate::apply::{Applied, apply, seen};
use crate::book::Book;
use crate::discrepancy::{DiscrepancyKind, Finding, Subject};
use crate::error::{Doing, ReconcileError};
use crate::observation::Observation;
use crate::observe::{ObserveOptions, observe};
use crate::plan::{Plan, plan};
use crate::verify::{Verification, verify};

/// Which account, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcilerConfig {
    /// The account in the book.
    pub account: AccountId,
    /// What to look at.
    pub observe: ObserveOptions,
}

impl ReconcilerConfig {
    /// Everything of `account`.
    pub fn new(account: AccountId) -> Self {
        Self { account, observe: ObserveOptions::default() }
    }
}

/// Brings a book in line with its exchange.
#[derive(Clone)]
pub struct Reconciler {
    /// Asked, never told anything: repairing a book places and cancels no order.
    pub exchange: Arc<dyn ExchangeReader>,
    /// The book.
    pub book: Book,
    /// The local clock, for the journal.
    pub clock: Arc<dyn Clock>,
    /// Which account, and what of it.
    pub config: ReconcilerConfig,
}

impl fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A finding, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingReport {
    /// What was found.
    pub finding: Finding,
    /// Its number in the journal; `None` in an audit.
    pub id: Option<i64>,
    /// What became of it. An audit leaves confirmed findings unresolved.
    pub status: DiscrepancyStatus,
}

/// A repair that was made, or that a sync would make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairReport {
    /// Its number in the journal; `None` in an audit.
    pub id: Option<i64>,
    /// What it does.
    pub kind: String,
    /// Why, with its evidence.
    pub cause: String,
}

/// What a cycle saw and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CycleReport {
    /// The journal's number; `None` for an audit.
    pub run: Option<RunId>,
    /// How many symbols were looked at closely.
    pub symbols_looked_at: usize,
    /// What was found.
    pub findings: Vec<FindingReport>,
    /// What was repaired, or would be.
    pub repairs: Vec<RepairReport>,
    /// What became of the recorded statements; all zero in an audit.
    pub counts: OutcomeCounts,
    /// How many ledger rows were, or would be, new.
    pub income_new: usize,
    /// The checks: after repairing, or in an audit of the book as it is.
    pub verification: Verification,
    /// Requests sent.
    pub requests: u64,
    /// What they weighed.
    pub weight: u64,
}

impl CycleReport {
    /// Findings that are confirmed and not repaired: what the exit code tells.
    pub fn unresolved(&self) -> impl Iterator<Item = &FindingReport> {
        self.findings.iter().filter(|finding| finding.status == DiscrepancyStatus::Unresolved)
    }
}

impl Reconciler {
    /// Looks, decides, and checks the book as it is. Writes nothing.
    ///
    /// # Errors
    /// [`ReconcileError`] when book and exchange could not be compared at all.
    pub async fn audit(&self) -> Result<CycleReport, ReconcileError> {
        let (observation, plan, spent) = self.look().await?;
        let verification = verify(&observation, &self.book, &self.config.account).await?;
        let findings = plan.findings().cloned().map(|finding| {
            let status = if finding.may_settle { DiscrepancyStatus::Pending } else { DiscrepancyStatus::Unresolved };
            FindingReport { finding, id: None, status }
        });
        Ok(CycleReport {
            run: None,
            symbols_looked_at: observation.symbols.len(),
            findings: findings.collect(),
            repairs: repairs(&plan, &[]),
            counts: OutcomeCounts::default(),
            income_new: plan.income_new,
            verification,
            requests: spent.0,
            weight: spent.1,
        })
    }

    /// Looks, decides, records what is missing, and checks the result.
    ///
    /// # Errors
    /// [`ReconcileError`] when book and exchange could not be compared at all, or the book failed.
    pub async fn sync(&self) -> Result<CycleReport, ReconcileError> {
        let account = &self.config.account;
        let (observation, plan, spent) = self.look().await?;
        let identity = ExchangeIdentity {
            base_url: observation.identity.base_url.clone(),
            alias: Some(observation.identity.account_alias.clone()),
        };
        self.book.accounts.bind_identity(account, identity).await.doing("binding the account")?;
        let started = self.clock.now();
        let run = self.book.runs.begin_run(account, RunKind::Sync, started).await.doing("opening a run")?;
        let result = self.repair(&observation, &plan, run).await;
        let (status, detail) = match &result {
            Ok((applied, verification, findings)) => {
                let left = findings.iter().filter(|finding| finding.status != DiscrepancyStatus::Resolved).count();
                let detail = json!({
                    "symbols": observation.symbols.keys().map(ledger_core::Symbol::as_str).collect::<Vec<_>>(),
                    "findings": findings.len(), "repairs": applied.repair_ids.len(), "left": left,
                    "recorded": applied.counts.recorded, "merged": applied.counts.merged,
                    "conflicts": applied.counts.conflicts, "requests": spent.0, "weight": spent.1,
                    "checks_clean": verification.is_clean(),
                });
                (RunStatus::Done, detail)
            }
            Err(error) => (RunStatus::Failed, json!({ "error": error.to_string() })),
        };
        let ended = self.book.runs.end_run(run, status, self.clock.now(), Some(detail.to_string())).await;
        let (applied, verification, findings) = result?;
        ended.doing("closing the run")?;
        Ok(CycleReport {
            run: Some(run),
            symbols_looked_at: observation.symbols.len(),
            findings,
            repairs: repairs(&plan, &applied.repair_ids),
            counts: applied.counts,
            income_new: plan.income_new,
            verification,
            requests: spent.0,
            weight: spent.1,
        })
    }

    /// The part that audit and sync share.
    async fn look(&self) -> Result<(Observation, Plan, (u64, u64)), ReconcileError> {
        let before = self.exchange.usage();
        let config = &self.config;
        let observation = observe(&*self.exchange, &self.book, &config.account, &config.observe).await?;
        let plan = plan(&observation, observed_at(&observation))?;
        let after = self.exchange.usage();
        let spent = (after.requests.saturating_sub(before.requests), after.weight.saturating_sub(before.weight));
        tracing::info!(
            account = %config.account, symbols = observation.symbols.len(), findings = plan.findings().count(),
            requests = spent.0, weight = spent.1, "account {} compared with the exchange", config.account,
        );
        Ok((observation, plan, spent))
    }

    async fn repair(
        &self,
        observation: &Observation,
        plan: &Plan,
        run: RunId,
    ) -> Result<(Applied, Verification, Vec<FindingReport>), ReconcileError> {
        let account = &self.config.account;
        let applied = apply(plan, &self.book, account, run, self.clock.now()).await?;
        let verification = verify(observation, &self.book, account).await?;
        let mut findings = Vec::new();
        let mut batch = Batch::new(account.clone(), self.clock.now(), Vec::new());
        batch.run_id = Some(run);
        for (finding, id) in plan.findings().zip(&applied.discrepancy_ids) {
            let status = judge(finding, &verification);
            match status {
                DiscrepancyStatus::Resolved => batch.settled.push(finding.key()),
                DiscrepancyStatus::Unresolved => batch.discrepancies.push(seen(finding, status)),
                DiscrepancyStatus::Pending | DiscrepancyStatus::Acknowledged => {}
            }
            findings.push(FindingReport { finding: finding.clone(), id: Some(*id), status });
        }
        if observation.scope.is_empty() && observation.failed_queries().is_empty() {
            batch.settled.extend(self.settled(&findings).await?);
        }
        if !batch.settled.is_empty() || !batch.discrepancies.is_empty() {
            self.book.writer.commit(batch).await.doing("closing discrepancies")?;
        }
        Ok((applied, verification, findings))
    }

    /// Discrepancies of earlier runs that a complete look no longer finds are gone.
    async fn settled(&self, findings: &[FindingReport]) -> Result<Vec<DiscrepancyKey>, ReconcileError> {
        let filter = DiscrepancyFilter::standing(self.config.account.clone());
        let mut settled = Vec::new();
        let mut request = PageRequest::first(500);
        loop {
            let page = self.book.runs.discrepancies(&filter, &request).await.doing("reading the discrepancies")?;
            for known in page.items {
                let mut ours = DiscrepancyKind::ALL.iter().filter(|kind| **kind != DiscrepancyKind::HistoryExpired);
                let ours = ours.any(|kind| kind.as_str() == known.entry.key.kind);
                if ours && !findings.iter().any(|finding| finding.id == Some(known.id)) {
                    settled.push(known.entry.key);
                }
            }
            match page.next {
                Some(cursor) => request = request.after(cursor),
                None => return Ok(settled),
            }
        }
    }
}

/// What became of a finding once everything planned is recorded.
fn judge(finding: &Finding, verification: &Verification) -> DiscrepancyStatus {
    let is_gone = match (&finding.kind, &finding.subject) {
        (DiscrepancyKind::QueryFailed | DiscrepancyKind::HistoryExpired, _) => false,
        (DiscrepancyKind::UnresolvedIntent, _) => !finding.may_settle,
        (DiscrepancyKind::MissingFills, Subject::Order(key)) => !verification.unfilled_orders.contains(key),
        (DiscrepancyKind::PositionMismatch, Subject::Position(symbol, side)) => {
            !verification.mismatched_positions.contains(&(symbol.clone(), *side))
        }
        // What the exchange states about an order is recorded as it states it.
        _ => true,
    };
    match (is_gone, finding.may_settle) {
        (true, _) => DiscrepancyStatus::Resolved,
        (false, true) => DiscrepancyStatus::Pending,
        (false, false) => DiscrepancyStatus::Unresolved,
    }
}

fn repairs(plan: &Plan, ids: &[i64]) -> Vec<RepairReport> {
    let planned = plan.symbols.values().flat_map(|symbol| &symbol.repairs).enumerate();
    planned
        .map(|(index, repair)| RepairReport {
            id: ids.get(index).copied(),
            kind: repair.kind.to_owned(),
            cause: repair.cause.clone(),
        })
        .collect()
}

/// The exchange's time of the observation.
fn observed_at(observation: &Observation) -> ledger_core::TimestampMs {
    let positions = observation.positions.as_ref().map_or(observation.asked_at, |answer| answer.asked_at);
    positions.max(observation.asked_at)
}
