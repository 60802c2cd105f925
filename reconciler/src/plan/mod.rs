//! Deciding: what differs, and which of the exchange's statements repair it. Pure and synchronous; the same observation
//! gives the same plan.
//!
//! Invariants, each with a test of the same name:
//! 1. `nothing_is_planned_from_a_failed_query`.
//! 2. `a_book_that_agrees_needs_nothing`.
//! 3. `every_finding_has_its_evidence_in_one_line`.

mod account;
mod fills;
mod intents;
mod orders;

use std::collections::BTreeMap;

use exchange_client::{ExchangeError, TimeWindow};
use ledger_core::{PositionModeSnapshot, PositionSide, Statement, Symbol, TimestampMs};
use ledger_store::{BookOrder, CoverageGrade, CoverageSpan, SyncCursor};

use self::account::plan_account;
use self::fills::plan_fills;
pub(crate) use self::intents::accepted;
use self::intents::plan_intents;
pub(crate) use self::orders::describe_order;
use self::orders::plan_orders;
use crate::discrepancy::{DiscrepancyKind, Finding, Subject};
use crate::error::ReconcileError;
use crate::observation::Observation;

/// What to change, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What the exchange says of the position mode, where it has not said so before or said otherwise last.
    pub position_mode: Option<PositionModeSnapshot>,
    /// Contracts that the book lacks: recorded first, for nothing can be folded without them.
    pub instruments: Vec<Statement>,
    /// What concerns the account as a whole: the ledger, balances, the exchange's word on positions. Recorded last, with
    /// the cursors: a crash before only means that everything is asked again.
    pub account_statements: Vec<Statement>,
    /// How many of them are ledger rows that are new to the book.
    pub income_new: usize,
    /// How far the account-wide streams reach once this is recorded.
    pub account_cursors: Vec<SyncCursor>,
    /// What the account-wide streams cover then.
    pub account_coverage: Vec<CoverageSpan>,
    /// Findings about no symbol in particular.
    pub account_findings: Vec<Finding>,
    /// The symbols, each in a transaction of its own.
    pub symbols: BTreeMap<Symbol, SymbolPlan>,
}

/// What to change about one symbol, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SymbolPlan {
    /// What was found.
    pub findings: Vec<Finding>,
    /// What to record.
    pub statements: Vec<Statement>,
    /// What the journal will say about it.
    pub repairs: Vec<PlannedRepair>,
    /// How far the symbol's fills reach then.
    pub cursors: Vec<SyncCursor>,
    /// What they cover then.
    pub coverage: Vec<CoverageSpan>,
}

/// A repair, as the journal will tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRepair {
    /// What it does.
    pub kind: &'static str,
    /// The finding that it answers: its kind and fingerprint.
    pub finding: (DiscrepancyKind, String),
    /// Why, for the reader.
    pub cause: String,
    /// What it rests on.
    pub evidence_json: String,
    /// What the book says before.
    pub before_json: Option<String>,
    /// What it will say.
    pub after_json: Option<String>,
}

impl Plan {
    /// All findings.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.account_findings.iter().chain(self.symbols.values().flat_map(|symbol| &symbol.findings))
    }

    /// Whether it would record a fact.
    pub fn changes_anything(&self) -> bool {
        self.position_mode.is_some()
            || !self.instruments.is_empty()
            || !self.account_statements.is_empty()
            || self.symbols.values().any(|symbol| !symbol.statements.is_empty())
    }

    fn symbol(&mut self, symbol: &Symbol) -> &mut SymbolPlan {
        self.symbols.entry(symbol.clone()).or_default()
    }
}

/// Decides what differs and what to record. `now` is the exchange's time.
///
/// # Errors
/// [`ReconcileError::Math`] when quantities cannot be added up.
pub fn plan(observation: &Observation, now: TimestampMs) -> Result<Plan, ReconcileError> {
    let mut plan = Plan::default();
    let account = &observation.book.account;
    if account.observed_mode.as_ref().map(|observed| observed.mode) != Some(observation.position_mode) {
        plan.position_mode = Some(PositionModeSnapshot { at: observation.asked_at, mode: observation.position_mode });
    }
    plan_failed_queries(observation, &mut plan);
    plan_orders(observation, &mut plan);
    for (symbol, close) in &observation.symbols {
        plan_intents(observation, symbol, close, &mut plan);
        if let Ok(walk) = &close.fills {
            plan_fills(observation, symbol, close, walk, now, &mut plan).map_err(ReconcileError::Math)?;
        }
    }
    plan_positions(observation, now, &mut plan);
    plan_account(observation, &mut plan);
    Ok(plan)
}

fn plan_failed_queries(observation: &Observation, plan: &mut Plan) {
    for (symbol, what, error) in observation.failed_queries() {
        let finding = Finding {
            kind: DiscrepancyKind::QueryFailed,
            symbol: symbol.clone(),
            evidence: format!("{what} could not be read: {}", one_line(error)),
            subject: Subject::Query(what),
            may_settle: true,
        };
        match symbol {
            Some(symbol) => plan.symbol(&symbol).findings.push(finding),
            None => plan.account_findings.push(finding),
        }
    }
}

/// An error with its sources.
fn one_line(error: &ExchangeError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn plan_positions(observation: &Observation, now: TimestampMs, plan: &mut Plan) {
    for (symbol, side) in observation.position_keys() {
        // Without an answer nothing is said, and a symbol outside of what was asked for is left alone.
        let Some(stated) = observation.exchange_qty(&symbol, side) else { continue };
        let booked = observation.book.qty(&symbol, side);
        if stated == booked || !observation.symbols.contains_key(&symbol) {
            continue;
        }
        let position = if side == PositionSide::Net { symbol.to_string() } else { format!("{symbol} {side}") };
        let mut evidence = format!("{position}: the exchange holds {stated}, the book {booked}");
        if observation.book.unfolded.contains(&symbol) {
            evidence.push_str(" (its contract is not on record, so its fills could not be added up)");
        }
        let latest = observation.symbols.get(&symbol).and_then(|close| close.fills.as_ref().ok());
        let latest = latest.and_then(|walk| walk.rows.values().map(|row| row.entity.time.at).max());
        let is_fresh = latest.is_some_and(|at| at.saturating_add_ms(observation.venue.settle_lag_ms) >= now);
        plan.symbol(&symbol).findings.push(Finding {
            kind: DiscrepancyKind::PositionMismatch,
            symbol: Some(symbol.clone()),
            subject: Subject::Position(symbol, side),
            evidence,
            may_settle: is_fresh,
        });
    }
}

/// What lies between the previous walk of a stream and the oldest that the venue still answers for.
fn history_expired(stream: &str, symbol: Option<&Symbol>, gap: TimeWindow) -> Finding {
    let what = symbol.map_or_else(|| stream.to_owned(), |symbol| format!("{stream} of {symbol}"));
    let (since, until) = (gap.since(), gap.until());
    Finding {
        kind: DiscrepancyKind::HistoryExpired,
        symbol: symbol.cloned(),
        evidence: format!(
            "{what} from {since} to {until} ms were not read in time and the exchange does not answer for them any \
             more; import its export files of that time"
        ),
        subject: Subject::History(what, since),
        may_settle: false,
    }
}

fn cursor(stream: &str, symbol: Option<&Symbol>, reached: TimestampMs) -> SyncCursor {
    SyncCursor { stream: stream.to_owned(), symbol: symbol.cloned(), position: reached.as_ms().to_string() }
}

fn coverage(stream: &str, symbol: Option<&Symbol>, since: TimestampMs, until: TimestampMs) -> Option<CoverageSpan> {
    (since < until).then(|| CoverageSpan {
        stream: stream.to_owned(),
        symbol: symbol.cloned(),
        grade: CoverageGrade::Asked,
        since,
        until,
    })
}

/// The book's sum of an order's fills, for whoever shows it.
pub(crate) fn residual_text(order: &BookOrder) -> Option<String> {
    let residual = order.residual_qty?;
    Some(format!("{} lacks fills for {residual}", describe_order(&order.order.fact)))
}
