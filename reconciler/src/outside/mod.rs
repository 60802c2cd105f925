//! Numbers from outside the account that its money is judged by: funding rates, and what other assets were worth when fees
//! were paid in them.
//!
//! They are asked for once everything else of a cycle is recorded, within a budget, and in the same order as all else: look,
//! decide, write. Whatever goes wrong is a remark of the cycle, and is tried again by the next one.
//!
//! Invariants, each with a test of the same name:
//! 1. `what_goes_wrong_with_outside_numbers_is_a_remark`, and everything else is recorded.
//! 2. `rates_are_asked_for_once`, and `a_late_older_fact_reaches_further_back`.
//! 3. `no_price_reaches_beyond_the_minute_of_its_fee`.
//! 4. `an_audit_asks_for_nothing_from_outside`.

mod prices;
mod rates;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::{ErrorClass, ExchangeError, TimeWindow};
use ledger_core::{AnyFact, Asset, FundingRate, Outcome, Sourced, Statement, Symbol};
use ledger_store::{
    Batch, CommitReport, CoverageSpan, PageRequest, Pages, RunId, Scope, StoreError, StoreResult, UnpricedFee,
};

use self::prices::{FeePrices, PricesSeen};
use self::rates::{Known, RatesSeen};
use crate::apply::is_empty;
use crate::cycle::Reconciler;
use crate::error::{Doing, ReconcileError};
use crate::observe::Observation;
use crate::plan::Plan;

/// What a cycle learned from outside the account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutsideReport {
    /// How many funding rates were new.
    pub rates_new: usize,
    /// How many prices were new.
    pub prices_new: usize,
    /// What could not be had, and why; it is tried again.
    pub remarks: Vec<String>,
}

/// How many requests are left.
#[derive(Debug)]
struct Budget(usize);

impl Budget {
    fn is_spent(&self) -> bool {
        self.0 == 0
    }

    /// Takes one; whether there was one.
    fn spend(&mut self) -> bool {
        let is_left = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        is_left
    }
}

/// What a failure means for the questions after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The exchange has no such contract, or none any more: there is nothing to be had.
    NoSuchContract,
    /// This question failed.
    Here,
    /// All questions would fail for now.
    ForNow,
}

/// What became of the questions so far.
#[derive(Debug, Default)]
struct Asking {
    remarks: Vec<String>,
    /// No use in asking more in this cycle.
    is_over: bool,
}

impl Asking {
    fn note(&mut self, what: &str, error: &ExchangeError) -> Trouble {
        let trouble = match error.class() {
            ErrorClass::Symbol => Trouble::NoSuchContract,
            ErrorClass::Unavailable
            | ErrorClass::Throttled
            | ErrorClass::Authentication
            | ErrorClass::AnotherAccount
            | ErrorClass::Clock => {
                self.is_over = true;
                Trouble::ForNow
            }
            _ => Trouble::Here,
        };
        let again = if trouble == Trouble::NoSuchContract { "" } else { "; the next sync asks again" };
        self.remarks.push(format!("{what} could not be read: {error}{again}"));
        trouble
    }

    /// What the book answers, unless a row of it cannot be read. That damages nothing but what rests on these numbers.
    fn readable<T>(&mut self, what: &str, answer: StoreResult<T>) -> Result<Option<T>, ReconcileError> {
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(StoreError::CorruptRow { row }) => {
                self.remarks
                    .push(format!("{what} were not asked for, because a row of the book cannot be read: {row}"));
                Ok(None)
            }
            Err(error) => Err(error).doing("reading what is needed from outside"),
        }
    }
}

impl Reconciler {
    /// Asks for what the book needs from outside and has not, and records it. Comes after everything else is recorded.
    pub(crate) async fn learn_from_outside(
        &self,
        observation: &Observation,
        plan: &Plan,
        run: &mut Option<RunId>,
    ) -> Result<OutsideReport, ReconcileError> {
        let mut asking = Asking::default();
        let rates = self.rates(observation, plan, &mut asking).await?;
        // One endpoint in trouble says nothing of the other.
        asking.is_over = false;
        let prices = self.prices(observation, plan, run.is_some(), &mut asking).await?;
        let mut report = OutsideReport::default();
        let statements: Vec<Statement> = rates.iter().flat_map(|seen| seen.rates.iter().cloned()).collect();
        let coverage = rates.iter().flat_map(RatesSeen::coverage).collect();
        report.rates_new =
            self.record_outside(run, &mut asking, Learned { statements, coverage, priced: Vec::new() }).await?;
        let PricesSeen { statements, priced } = prices;
        report.prices_new =
            self.record_outside(run, &mut asking, Learned { statements, coverage: Vec::new(), priced }).await?;
        for remark in &asking.remarks {
            tracing::warn!(account = %self.config.account, "{remark}");
        }
        report.remarks = asking.remarks;
        Ok(report)
    }

    async fn rates(
        &self,
        observation: &Observation,
        plan: &Plan,
        asking: &mut Asking,
    ) -> Result<Vec<RatesSeen>, ReconcileError> {
        let (account, options, policy) = (&self.config.account, &self.config.observe, &self.config.policy);
        let damaged = &observation.book.damaged;
        let reaches = self.book.funding_reach(account).await;
        let Some(mut reaches) = asking.readable("funding rates", reaches)? else { return Ok(Vec::new()) };
        reaches.retain(|reach| options.wants(&reach.symbol) && !damaged.contains_key(&reach.symbol));
        // What was recorded just now may have opened or closed something.
        let changed = if plan.records_facts() {
            asking.readable("funding rates", self.book.positions(account).await)?
        } else {
            None
        };
        let positions = changed.as_deref().unwrap_or(&observation.book.positions);
        let known = Known { reaches: &reaches, positions, coverage: &observation.book.coverage };
        let mut due = rates::due(&known, observation.asked_at, policy);
        let read_before = &observation.read_before;
        due.extend(rates::again(read_before, &reaches));
        let mut budget = Budget(policy.rate_requests_max);
        let mut seen = rates::ask(&*self.exchange, due, options.symbols.is_empty(), asking, &mut budget).await;
        for answer in &mut seen {
            let Some(window) = answer.parts_read_before(read_before) else { continue };
            let booked = self.rates_on_record(&answer.due.symbol, window).await;
            if let Some(booked) = asking.readable("funding rates", booked)? {
                answer.confirm(read_before, window, &booked);
            }
        }
        Ok(seen)
    }

    async fn rates_on_record(&self, symbol: &Symbol, window: TimeWindow) -> StoreResult<Vec<Sourced<FundingRate>>> {
        let until = Some(window.until().saturating_add_ms(1));
        let scope =
            Scope { since: Some(window.since()), until, ..Scope::symbol(self.config.account.clone(), symbol.clone()) };
        Pages::of(PageRequest::first(1_000), |page| self.book.funding_rates(&scope, page)).all().await
    }

    async fn prices(
        &self,
        observation: &Observation,
        plan: &Plan,
        is_news: bool,
        asking: &mut Asking,
    ) -> Result<PricesSeen, ReconcileError> {
        let (account, options, policy) = (&self.config.account, &self.config.observe, &self.config.policy);
        let waiting = self.book.unpriced_fees(account, policy.unpriced_fees_max).await;
        let Some(mut waiting) = asking.readable("prices of fees", waiting)? else { return Ok(PricesSeen::default()) };
        waiting.retain(|fee| options.wants(&fee.symbol) && !observation.book.damaged.contains_key(&fee.symbol));
        let mut settle_assets: BTreeMap<Symbol, Asset> = observation.book.settle_assets.clone();
        settle_assets.extend(plan.instruments.iter().filter_map(|statement| match &statement.fact {
            AnyFact::Instrument(contract) => Some((contract.symbol.clone(), contract.settle_asset.clone())),
            _ => None,
        }));
        let fees = FeePrices {
            reader: &*self.exchange,
            book: &*self.book,
            account,
            observation,
            settle_assets: &settle_assets,
        };
        fees.look(waiting, is_news, policy, asking).await
    }

    /// Records what was learned; answers how many of the facts were new. A row of the book that cannot be read keeps what
    /// rests on it from being settled, and nothing else.
    async fn record_outside(
        &self,
        run: &mut Option<RunId>,
        asking: &mut Asking,
        learned: Learned,
    ) -> Result<usize, ReconcileError> {
        let Learned { statements, coverage, priced } = learned;
        let symbols: Vec<Option<Symbol>> = statements.iter().map(symbol_of).collect();
        let mut batch = Batch::new(self.config.account.clone(), self.clock.now(), statements);
        batch.coverage.clone_from(&coverage);
        batch.priced = priced.iter().map(|(fee, _)| fee.clone()).collect();
        if is_empty(&batch) && batch.priced.is_empty() {
            return Ok(0);
        }
        batch.run_id = Some(self.run(run).await?);
        let report = self.commit_outside(batch).await?;
        if !report.unreadable.is_empty() {
            let unmerged = report.outcomes.iter().zip(&symbols);
            let unmerged: BTreeSet<&Symbol> = unmerged
                .filter(|(outcome, _)| matches!(outcome, Outcome::Unreadable { .. }))
                .filter_map(|(_, symbol)| symbol.as_ref())
                .collect();
            asking.remarks.extend(report.unreadable.iter().map(|row| {
                format!(
                    "a row of the book cannot be read, so what the exchange says of it could not be recorded: {row}"
                )
            }));
            let mut rest = Batch::new(self.config.account.clone(), self.clock.now(), Vec::new());
            let is_sound = |symbol: Option<&Symbol>| symbol.is_none_or(|symbol| !unmerged.contains(symbol));
            rest.coverage = coverage.into_iter().filter(|span| is_sound(span.symbol.as_ref())).collect();
            let sound = priced.into_iter().filter(|(_, contract)| is_sound(contract.as_ref()));
            rest.priced = sound.map(|(fee, _)| fee).collect();
            rest.run_id = *run;
            self.commit_outside(rest).await?;
        }
        Ok(report.counts().recorded)
    }

    async fn commit_outside(&self, batch: Batch) -> Result<CommitReport, ReconcileError> {
        self.book.commit(batch).await.doing("recording funding rates and prices")
    }
}

/// What is to be recorded together.
struct Learned {
    statements: Vec<Statement>,
    coverage: Vec<CoverageSpan>,
    /// Fees that are settled, with the contract whose price settles them, if one does.
    priced: Vec<(UnpricedFee, Option<Symbol>)>,
}

fn symbol_of(statement: &Statement) -> Option<Symbol> {
    match &statement.fact {
        AnyFact::FundingRate(rate) => Some(rate.symbol.clone()),
        AnyFact::Price(price) => Some(price.symbol.clone()),
        _ => None,
    }
}
