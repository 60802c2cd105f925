//! A whole cycle: observe, plan, apply, verify. `audit` is all but apply, and writes nothing at all: no later look has what it
//! doubted, so it looks at that a second time by itself.
//!
//! Invariants, each with a test of the same name:
//! 1. `audit_writes_nothing`.
//! 2. `a_warm_second_run_writes_nothing` but that it looked.
//! 3. `with_another_account_nothing_is_written`.
//! 4. `a_cycle_that_is_interrupted_anywhere_is_made_good_by_the_next`.

mod catch_up;
mod doubtful;
mod look;
mod reopening;
mod report;
pub(crate) mod settle;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use exchange_client::{AccountIdentity, Clock, ExchangeReader, Usage};
use ledger_core::{AccountId, Symbol, TimestampMs};
use ledger_store::{
    Account, Book, Discrepancy, DiscrepancyFilter, DiscrepancyKey, ExchangeIdentity, PageRequest, Pages, RunFilter,
    RunId, RunKind, RunStatus,
};
use serde_json::{Value, json};

pub use self::catch_up::CaughtUp;
use self::doubtful::Doubtful;
pub use self::look::record_failed_look;
pub use self::report::{CycleReport, FailedQuery, FindingReport, RepairReport};
use self::report::{audited, failed};
use self::settle::settle;
use self::words::Placed;
use crate::apply::{ApplyReport, apply, is_empty};
use crate::confirming::ReadBefore;
use crate::error::{Doing, ReconcileError};
use crate::finding::Finding;
use crate::observe::{LookAgain, Observation, ObserveOptions, greet, observe, observed_at};
use crate::outside::OutsideReport;
use crate::plan::{Plan, plan};
use crate::policy::Policy;
use crate::verify::{Check, CheckName, Verdict, Verification, verify};

/// Which account, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcilerConfig {
    /// The account in the book.
    pub account: AccountId,
    /// What to look at.
    pub observe: ObserveOptions,
    /// How to look and decide.
    pub policy: Policy,
    /// The requests, and their weight, that were spent before the cycle to know whom and what to ask about: they are counted with
    /// its own, in what it answers and in the journal.
    pub spent_before: (u64, u64),
}

impl ReconcilerConfig {
    /// Everything of `account`.
    pub fn new(account: AccountId) -> Self {
        Self { account, observe: ObserveOptions::default(), policy: Policy::default(), spent_before: (0, 0) }
    }
}

/// Brings a book in line with its exchange.
#[derive(Clone)]
pub struct Reconciler {
    /// Asked, never told anything: repairing a book places and cancels no order.
    pub exchange: Arc<dyn ExchangeReader>,
    /// The book.
    pub book: Book,
    /// The local clock, for the journal, and to be compared with the exchange's.
    pub clock: Arc<dyn Clock>,
    /// Which account, and what of it.
    pub config: ReconcilerConfig,
}

impl fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Requests and weight.
type RequestCost = (u64, u64);

impl Reconciler {
    /// Looks, decides, and checks the book as it is. Writes nothing.
    ///
    /// # Errors
    /// [`ReconcileError`] when book and exchange could not be compared at all.
    pub async fn audit(&self) -> Result<CycleReport, ReconcileError> {
        let before = self.exchange.usage();
        let read_before = self.read_before(self.lost().await?).await?;
        // Nobody would know that the ledger was asked type by type, and the next look would ask again.
        let policy = Policy { by_type_requests_max: 0, ..self.config.policy.clone() };
        let (mut observation, mut plan, _) = self.look(&read_before, &policy).await?;
        let mut verification = verify(&observation, &*self.book, &self.config.account).await?;
        if let Some(doubtful) = Doubtful::of(&plan, &verification) {
            let on_record = doubtful.put_on_record(&mut observation, self.clock.now());
            self.exchange.outwait_lag().await;
            let config = &self.config;
            let again = LookAgain {
                exchange: &*self.exchange,
                book: &*self.book,
                account: &config.account,
                options: &config.observe,
                policy: &config.policy,
            };
            Box::pin(again.take(&mut observation, &doubtful.symbols)).await?;
            plan = self::plan(&observation, &config.policy, observed_at(&observation))?;
            verification = verify(&observation, &*self.book, &config.account).await?;
            observation.book.discrepancies = on_record;
        }
        let after = self.exchange.usage();
        let spent = self.spent(before, after);
        let findings = audited(&observation, &plan, &verification);
        let repairs = plan.repairs().map(|repair| RepairReport::new(repair, None)).collect();
        let left = observation.book.discrepancies.clone();
        let outside = OutsideReport::default();
        self.report(
            &observation,
            &plan,
            spent,
            CycleOutcome { run: None, findings, repairs, left, verification, outside },
        )
        .await
    }

    /// Looks, decides, records what is missing, and checks the result. History that lies far back is recorded piece by
    /// piece before that. What is written is consistent at every moment: stopped anywhere, the next cycle goes on.
    ///
    /// # Errors
    /// [`ReconcileError`] when book and exchange could not be compared at all, or the book failed.
    pub async fn sync(&self) -> Result<CycleReport, ReconcileError> {
        self.sync_until(std::future::pending()).await
    }

    /// The same, unless `stopped` comes first: then what was recorded stays, and the run is closed as one that was stopped. That is
    /// no failed look: what the last one saw stands, and is as old as it is.
    ///
    /// # Errors
    /// As [`sync`](Self::sync), and [`ReconcileError::Stopped`].
    pub async fn sync_until(&self, stopped: impl Future<Output = ()> + Send) -> Result<CycleReport, ReconcileError> {
        let (before, began) = (self.exchange.usage(), self.clock.now());
        let look = self.show_look(began).await;
        let mut run = None;
        // A cycle is a long walk: it lives on the heap, not in the future of whoever waits for it.
        let result = tokio::select! {
            biased;
            () = stopped => Err(ReconcileError::Stopped),
            result = Box::pin(self.sync_under(&mut run)) => result,
        };
        let after = self.exchange.usage();
        let spent = self.spent(before, after);
        if let Some(run) = run {
            let (status, detail) = match &result {
                Ok(synced) => (RunStatus::Done, synced.detail_json(spent)),
                Err(ReconcileError::Stopped) => (RunStatus::Interrupted, json!({ "stopped": true }).to_string()),
                Err(error) => (RunStatus::Failed, json!({ "error": error.to_string() }).to_string()),
            };
            let ended = self.book.end_run(run, status, self.clock.now(), Some(detail)).await;
            if result.is_ok() {
                ended.doing("closing the run")?;
            }
        }
        let noted = self.note_look(began, result.as_ref().map(|synced| &synced.observation)).await;
        // From here on nothing that the exchange said is lost: the look has come to its end, whatever it came to.
        look.finish();
        if result.is_ok() {
            noted?;
        }
        let Synced { caught_up, observation, plan, applied, mut outcome } = result?;
        if run.is_none() {
            self.close_abandoned(began).await?;
        }
        let mut caught_up = caught_up;
        // What the present says of a subject is its last word.
        let last: BTreeSet<_> = outcome.findings.iter().map(|found| found.finding.key()).collect();
        caught_up.findings.retain(|found| !last.contains(&found.finding.key()));
        outcome.verification.add_agreed(CheckName::IncomeHasFills, caught_up.ledger_agreed);
        outcome.findings.splice(0..0, std::mem::take(&mut caught_up.findings));
        outcome.repairs.splice(0..0, std::mem::take(&mut caught_up.repairs));
        let mut report = self.report(&observation, &plan, spent, outcome).await?;
        report.counts = applied.counts;
        report.counts.add(caught_up.counts);
        report.income_new += caught_up.income_new;
        let symbols: BTreeSet<Symbol> = report.symbols.into_iter().chain(caught_up.symbols.iter().cloned()).collect();
        report.symbols = symbols.into_iter().collect();
        report.history = caught_up;
        Ok(report)
    }

    /// Learns whose the answers are and what time it is, and binds an account that was never bound.
    pub(crate) async fn introduce(&self) -> Result<(AccountIdentity, TimestampMs), ReconcileError> {
        let greeting = greet(&*self.exchange, &*self.book, &*self.clock, &self.config.account).await?;
        if greeting.account.identity.is_none() {
            self.refuse_anothers(&greeting.identity).await?;
        }
        self.bind_to(&greeting.account, &greeting.identity).await?;
        Ok((greeting.identity, greeting.now))
    }

    /// Two accounts of a book are never one and the same at the exchange.
    async fn refuse_anothers(&self, identity: &AccountIdentity) -> Result<(), ReconcileError> {
        let account = &self.config.account;
        let accounts = self.book.accounts().await.doing("reading the accounts")?;
        let is_it = |other: &Account| {
            other.identity.as_ref().is_some_and(|known| {
                known.base_url == identity.base_url && known.alias.as_ref() == Some(&identity.account_alias)
            })
        };
        match accounts.into_iter().find(|other| other.id != *account && is_it(other)) {
            None => Ok(()),
            Some(other) => Err(ReconcileError::BoundElsewhere {
                account: account.clone(),
                other: other.id,
                offered: identity.to_string(),
            }),
        }
    }

    async fn sync_under(&self, run: &mut Option<RunId>) -> Result<Synced, ReconcileError> {
        let read_before = Box::pin(self.reopen_broken(run)).await?;
        let caught_up = self.catch_up(run, &read_before).await?;
        let (observation, plan, _) = self.look(&read_before, &self.config.policy).await?;
        self.bind(&observation).await?;
        let (applied, outcome) = self.repair(&observation, &plan, run).await?;
        Ok(Synced { caught_up, observation, plan, applied, outcome })
    }

    /// What a cycle cost, with what was spent to begin it.
    fn spent(&self, before: Usage, after: Usage) -> RequestCost {
        let (requests, weight) = self.config.spent_before;
        let cycle = (after.requests.saturating_sub(before.requests), after.weight.saturating_sub(before.weight));
        (requests.saturating_add(cycle.0), weight.saturating_add(cycle.1))
    }

    /// From the first word that is written on, the account is the exchange's that said it.
    pub(crate) async fn bind(&self, observation: &Observation) -> Result<(), ReconcileError> {
        self.bind_to(&observation.book.account, &observation.identity).await
    }

    async fn bind_to(&self, account: &Account, identity: &AccountIdentity) -> Result<(), ReconcileError> {
        if account.identity.is_some() {
            return Ok(());
        }
        let (base_url, alias) = (identity.base_url.clone(), Some(identity.account_alias.clone()));
        let identity = ExchangeIdentity { base_url, alias };
        self.book.bind_identity(&self.config.account, identity).await.doing("binding the account")
    }

    /// The part that audit and sync share.
    async fn look(
        &self,
        read_before: &ReadBefore,
        policy: &Policy,
    ) -> Result<(Observation, Plan, RequestCost), ReconcileError> {
        let before = self.exchange.usage();
        let config = &self.config;
        let (exchange, clock) = (&*self.exchange, &*self.clock);
        let (account, options) = (&config.account, &config.observe);
        let observation = observe(exchange, &*self.book, clock, account, options, policy, read_before);
        // A look is a long walk: it lives on the heap, not in the future of whoever waits for it.
        let observation = Box::pin(observation).await?;
        let plan = plan(&observation, policy, observed_at(&observation))?;
        let after = self.exchange.usage();
        let spent = (after.requests.saturating_sub(before.requests), after.weight.saturating_sub(before.weight));
        tracing::info!(
            account = %config.account, symbols = observation.symbols.len(), findings = plan.findings().count(),
            requests = spent.0, weight = spent.1, "account {} compared with the exchange", config.account,
        );
        Ok((observation, plan, spent))
    }

    /// Opens a run when there is something to write; a cycle that finds nothing leaves no run.
    pub(crate) async fn run(&self, run: &mut Option<RunId>) -> Result<RunId, ReconcileError> {
        if let Some(run) = *run {
            return Ok(run);
        }
        let started = self.clock.now();
        let opened = self.book.begin_run(&self.config.account, RunKind::Sync, started).await;
        let opened = opened.doing("opening a run")?;
        *run = Some(opened);
        Ok(opened)
    }

    /// Whoever ends a run closes those before it that were left open by somebody who died. So does a cycle without one.
    async fn close_abandoned(&self, began: TimestampMs) -> Result<(), ReconcileError> {
        let status = Some(RunStatus::Running);
        let filter = RunFilter { kind: Some(RunKind::Sync), status, ..RunFilter::from(self.config.account.clone()) };
        let open = self.book.runs(&filter, PageRequest::newest(10)).await.doing("reading the runs")?;
        for run in open.items.into_iter().filter(|run| run.started_local <= began) {
            let ended = self.book.end_run(run.id, RunStatus::Interrupted, self.clock.now(), None).await;
            ended.doing("closing a run that was left open")?;
        }
        Ok(())
    }

    async fn repair(
        &self,
        observation: &Observation,
        plan: &Plan,
        run: &mut Option<RunId>,
    ) -> Result<(ApplyReport, CycleOutcome), ReconcileError> {
        let account = &self.config.account;
        let (mut applied, mut placed) = (ApplyReport::default(), Placed::default());
        if !plan.is_empty() {
            let opened = self.run(run).await?;
            applied = apply(plan, &*self.book, account, opened, self.clock.now()).await?;
            placed = Box::pin(self.place_words(observation, run, &mut applied)).await?;
        }
        let outside = Box::pin(self.learn_from_outside(observation, plan, run)).await?;
        let verification = verify(observation, &*self.book, account).await?;
        let mut settlement = settle(observation, plan, &verification, account, self.clock.now());
        placed.settle(&mut settlement);
        let known = &observation.book;
        let restored = std::mem::take(&mut settlement.repairs);
        let mut restored_ids = Vec::new();
        let mut ids: BTreeMap<DiscrepancyKey, i64> =
            plan.findings().map(Finding::key).zip(applied.discrepancy_ids.iter().copied()).collect();
        if !is_empty(&settlement.batch) {
            settlement.batch.run_id = Some(self.run(run).await?);
            let keys: Vec<_> = settlement.batch.discrepancies.iter().map(|seen| seen.key.clone()).collect();
            let journaled = self.book.commit(settlement.batch).await.doing("closing discrepancies")?;
            ids.extend(keys.into_iter().zip(journaled.discrepancy_ids));
            restored_ids = journaled.repair_ids;
        }
        let findings = settlement.findings.into_iter().map(|(finding, status)| {
            let key = finding.key();
            let known = known.discrepancy(&key);
            let id = ids.get(&key).copied().or(known.map(|known| known.id));
            FindingReport { id, status, first_seen_local: known.map(|known| known.first_seen_local), finding }
        });
        let findings = findings.chain(placed.findings(observation)).collect();
        let restored_ids = restored_ids.into_iter().map(Some).chain(std::iter::repeat(None));
        let restored = restored.iter().zip(restored_ids).map(|(repair, id)| RepairReport::new(repair, id));
        let ids = applied.repair_ids.iter().copied().map(Some).chain(std::iter::repeat(None));
        let repairs = plan.repairs().zip(ids).map(|(repair, id)| RepairReport::new(repair, id)).chain(restored);
        let repairs = repairs.chain(placed.repairs()).collect();
        let left = self.left().await?;
        Ok((applied, CycleOutcome { run: *run, findings, repairs, left, verification, outside }))
    }

    /// What is on record and still asks for something.
    async fn left(&self) -> Result<Vec<Discrepancy>, ReconcileError> {
        let filter = DiscrepancyFilter::open(self.config.account.clone());
        Pages::of(PageRequest::first(500), |page| self.book.discrepancies(&filter, page))
            .all()
            .await
            .doing("reading the discrepancies")
    }

    async fn report(
        &self,
        observation: &Observation,
        plan: &Plan,
        spent: RequestCost,
        outcome: CycleOutcome,
    ) -> Result<CycleReport, ReconcileError> {
        let account = &self.config.account;
        let quarantined = self.book.quarantined(account).await.doing("reading the quarantined symbols")?;
        let CycleOutcome { run, findings, repairs, left, verification, outside } = outcome;
        Ok(CycleReport {
            account: account.clone(),
            run,
            asked_at: observation.asked_at,
            symbols: observation.symbols.keys().cloned().collect(),
            left_aside: observation.left_aside.iter().cloned().collect(),
            findings,
            repairs,
            left,
            quarantined,
            failed: failed(observation),
            counts: ledger_store::OutcomeCounts::default(),
            income_new: plan.income_new,
            history: CaughtUp::default(),
            outside,
            verification,
            requests: spent.0,
            weight: spent.1,
        })
    }
}

/// What a cycle came to.
struct CycleOutcome {
    run: Option<RunId>,
    findings: Vec<FindingReport>,
    repairs: Vec<RepairReport>,
    left: Vec<Discrepancy>,
    verification: Verification,
    outside: OutsideReport,
}

/// A sync that came to its end.
struct Synced {
    caught_up: CaughtUp,
    observation: Observation,
    plan: Plan,
    applied: ApplyReport,
    outcome: CycleOutcome,
}

impl Synced {
    /// What the journal says of the run.
    fn detail_json(&self, spent: RequestCost) -> String {
        let Self { caught_up, observation, applied, outcome, .. } = self;
        let symbols: BTreeSet<&str> =
            observation.symbols.keys().chain(&caught_up.symbols).map(Symbol::as_str).collect();
        let mut counts = applied.counts;
        counts.add(caught_up.counts);
        json!({
            "symbols": symbols,
            "findings": outcome.findings.len() + caught_up.finding_count,
            "repairs": outcome.repairs.len() + caught_up.repair_count, "left": outcome.left.len(),
            "recorded": counts.recorded, "merged": counts.merged, "conflicts": counts.conflicts,
            "requests": spent.0, "weight": spent.1, "checks": checks_json(&outcome.verification),
        })
        .to_string()
    }
}

/// What the checks came to: one that could not be made is neither passed nor failed, and is named like a failed one.
fn checks_json(verification: &Verification) -> Value {
    let names = |wanted: fn(&Check) -> bool| {
        let checks = verification.checks.iter().filter(|check| wanted(check));
        checks.map(|check| check.name.as_str()).collect::<Vec<_>>()
    };
    let counts = verification.counts();
    json!({
        "state": counts.state(), "passed": counts.passed,
        "failed": names(Check::failed),
        "in_part": names(Check::is_in_part),
        "not_checkable": names(|check| matches!(check.verdict, Verdict::NotCheckable { .. })),
    })
}
