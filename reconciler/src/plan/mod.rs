//! Deciding: what differs, and which of the exchange's statements repair it. Pure and synchronous; the same observation
//! gives the same plan.
//!
//! What the exchange itself states is recorded at once. What only follows from it by inference waits until a second look
//! has found the same; the journal remembers the first.
//!
//! Invariants, each with a test of the same name:
//! 1. `nothing_is_planned_from_a_failed_query`.
//! 2. `a_book_that_agrees_needs_nothing`.
//! 3. `every_finding_has_its_evidence_in_one_line`.

mod account;
mod anchor;
mod balances;
mod by_type;
mod candidates;
mod exits;
mod fills;
mod history;
mod intents;
mod labels;
mod lost;
mod older_fills;
mod openers;
mod orders;
mod orphans;
mod positions;
mod restored;
mod signals;
mod streams;
mod vanished;

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::{ErrorClass, ExchangeError, OrderRef};
use ledger_core::{OrderKey, PositionModeSnapshot, Statement, Symbol, TimestampMs};
use ledger_store::{CoverageSpan, DiscrepancyKey, DiscrepancyStatus, Stretch, SyncCursor};
use serde_json::Value;

use self::account::{plan_account, plan_clock, plan_position_mode};
use self::by_type::plan_by_type;
use self::candidates::Candidates;
use self::exits::plan_unexplained;
use self::fills::plan_fills;
pub(crate) use self::history::plan_history;
use self::intents::plan_intents;
use self::labels::{Labels, plan_labels};
use self::lost::plan_lost;
use self::older_fills::plan_older_fills;
use self::openers::plan_openers;
use self::orders::plan_orders;
use self::orphans::plan_orphans;
use self::positions::{RecordContext, plan_positions};
use self::signals::plan_signals;
pub(crate) use self::signals::plan_words;
use self::streams::plan_streams;
use self::vanished::plan_vanished;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::ReconcileError;
use crate::finding::{Finding, Outlook};
use crate::memory::{OrderQuestionMemory, unreadable};
use crate::observe::Observation;
use crate::policy::Policy;
use crate::repair::{PlannedRepair, RepairKind};

/// What to change, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
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
    /// What is not believed to be complete any more, of streams of the account and of contracts: it is read again by the
    /// next look, as far as the exchange answers. Recorded first; what this plan covers is read again already.
    pub reopened: Vec<Stretch>,
    /// Findings about no symbol in particular.
    pub account_findings: Vec<Finding>,
    /// Discrepancies on record that are gone: the gaps in history that have been closed since.
    pub settled: Vec<DiscrepancyKey>,
    /// The findings that stand on record in the same words and the same state. By themselves they are no reason to write
    /// anything; they are noted again, with when they were seen last, along with whatever else is written.
    pub on_record: BTreeSet<DiscrepancyKey>,
    /// The symbols, each in a transaction of its own.
    pub symbols: BTreeMap<Symbol, SymbolPlan>,
}

/// What to change about one symbol, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SymbolPlan {
    /// What was found.
    pub findings: Vec<Finding>,
    /// What to record.
    pub statements: Vec<Statement>,
    /// What the journal will say about it.
    pub repairs: Vec<PlannedRepair>,
    /// How far the symbol's streams reach then.
    pub cursors: Vec<SyncCursor>,
    /// What they cover then.
    pub coverage: Vec<CoverageSpan>,
}

impl SymbolPlan {
    /// Notes a finding and the repair that answers it.
    fn repair(&mut self, finding: Finding, kind: RepairKind, before: Option<Value>, after: Option<Value>) {
        self.repairs.push(PlannedRepair {
            symbol: finding.symbol.clone(),
            kind,
            discrepancy: Some(finding.key()),
            cause: finding.evidence.clone(),
            evidence_json: finding.evidence_json(),
            before,
            after,
        });
        self.find(finding);
    }

    /// Notes a finding. The same discrepancy is noted once.
    fn find(&mut self, finding: Finding) {
        let is_same = |known: &Finding| known.kind == finding.kind && known.subject == finding.subject;
        if !self.findings.iter().any(is_same) {
            self.findings.push(finding);
        }
    }

    /// Takes up what another step plans for the same symbol.
    fn add(&mut self, step: Self) {
        let Self { findings, statements, repairs, cursors, coverage } = step;
        for finding in findings {
            self.find(finding);
        }
        self.statements.extend(statements);
        self.repairs.extend(repairs);
        self.cursors.extend(cursors);
        self.coverage.extend(coverage);
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a cursor moves, or something is covered that was not.
    fn moves_streams(&self) -> bool {
        !self.cursors.is_empty() || !self.coverage.is_empty()
    }

    /// Whether there is something to write, whatever becomes of the streams.
    fn has_news(&self, observation: &Observation) -> bool {
        !self.statements.is_empty()
            || !self.repairs.is_empty()
            || self.findings.iter().any(|finding| !is_on_record(observation, finding))
    }
}

impl Plan {
    /// All findings.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.account_findings.iter().chain(self.symbols.values().flat_map(|symbol| &symbol.findings))
    }

    /// All repairs.
    pub(crate) fn repairs(&self) -> impl Iterator<Item = &PlannedRepair> {
        self.symbols.values().flat_map(|symbol| &symbol.repairs)
    }

    /// Whether it would record a fact.
    pub(crate) fn records_facts(&self) -> bool {
        self.position_mode.is_some()
            || !self.instruments.is_empty()
            || !self.account_statements.is_empty()
            || self.symbols.values().any(|symbol| !symbol.statements.is_empty())
    }

    /// Whether there is nothing to write: nothing was found but what stands on record.
    pub(crate) fn is_empty(&self) -> bool {
        !self.records_facts()
            && self.account_cursors.is_empty()
            && self.account_coverage.is_empty()
            && self.reopened.is_empty()
            && self.settled.is_empty()
            && self.findings().all(|finding| self.on_record.contains(&finding.key()))
            && self.symbols.values().all(|symbol| symbol.repairs.is_empty() && !symbol.moves_streams())
    }

    fn symbol(&mut self, symbol: &Symbol) -> &mut SymbolPlan {
        self.symbols.entry(symbol.clone()).or_default()
    }

    /// What is planned to be recorded of a symbol.
    fn statements_of(&self, symbol: &Symbol) -> &[Statement] {
        self.symbols.get(symbol).map_or(&[], |planned| &planned.statements)
    }

    /// Takes up what a step plans, behind what is planned.
    fn add(&mut self, step: Self) {
        let Self { position_mode, instruments, account_statements, income_new, account_cursors, .. } = step;
        self.position_mode = position_mode.or(self.position_mode.take());
        self.instruments.extend(instruments);
        self.account_statements.extend(account_statements);
        self.income_new += income_new;
        self.account_cursors.extend(account_cursors);
        self.account_coverage.extend(step.account_coverage);
        self.reopened.extend(step.reopened);
        self.account_findings.extend(step.account_findings);
        self.settled.extend(step.settled);
        self.on_record.extend(step.on_record);
        for (symbol, planned) in step.symbols {
            self.symbol(&symbol).add(planned);
        }
    }
}

/// Decides what differs and what to record. `now` is the exchange's time.
///
/// A step takes what it reads and answers what it plans, and what is planned already is shown to those alone whose decision
/// depends on it. So this is the one order that there is.
///
/// # Errors
/// [`ReconcileError::Cursor`] when a cursor on record cannot be read.
pub(crate) fn plan(observation: &Observation, policy: &Policy, now: TimestampMs) -> Result<Plan, ReconcileError> {
    let candidates = Candidates::new(observation, policy);
    let labels = Labels::new(observation, policy);
    let context = RecordContext { observation, policy, candidates: &candidates, labels: &labels };
    let mut plan = Plan::default();
    // What the account is, and what could not be asked: these depend on nothing.
    plan.add(plan_position_mode(observation));
    plan.add(plan_clock(observation, policy));
    plan.add(plan_failed_queries(observation));
    plan.add(plan_lost(observation));
    // What the exchange says of orders, and then what follows from what it does not say.
    plan.add(plan_orders(observation, policy));
    plan.add(plan_vanished(observation, policy, now));
    // The order that came of an intent may be planned with its label already, which is not planned twice.
    plan.add(plan_intents(observation, policy, now, &plan));
    plan.add(plan_signals(observation, policy, &candidates, now));
    plan.add(plan_fills(observation, now));
    // Records are restored behind fills that are new: those planned.
    plan.add(plan_positions(&context, now, &plan));
    plan.add(plan_unexplained(observation, policy, &candidates, now));
    // A signal that was linked, or restored behind a new fill, is not restored once more behind one on record.
    plan.add(plan_openers(&context, now, &plan));
    plan.add(plan_older_fills(observation));
    // Whoever got a label by now needs none.
    plan.add(plan_labels(&context, now, &plan, |_| true));
    plan.add(plan_orphans(observation));
    // A row of the book that cannot be read silences its contract: nothing of it is news for what comes now.
    plan.symbols.retain(|symbol, _| !observation.book.damaged.contains_key(symbol));
    // What is planned for a position's symbol decides whether the exchange's word on it is recorded.
    plan.add(plan_account(observation, policy, &plan));
    plan.add(plan_by_type(observation));
    // Whether anything is written at all decides whether cursors move.
    plan.add(plan_streams(observation, policy, now, &plan)?);
    silence_damaged(observation, &mut plan);
    plan.add(plan_damaged(observation));
    plan.add(plan_memories(observation));
    plan.symbols.retain(|_, symbol| !symbol.is_empty());
    plan.on_record = plan.findings().filter(|finding| is_on_record(observation, finding)).map(Finding::key).collect();
    Ok(plan)
}

/// Whether the journal says of a finding just what there is to say of it before anything is verified.
fn is_on_record(observation: &Observation, finding: &Finding) -> bool {
    let known = observation.book.discrepancy(&finding.key()).map(|known| &known.entry);
    known.is_some_and(|known| {
        let is_same_state = match (finding.outlook, known.status) {
            (Outlook::Settles, _) | (_, DiscrepancyStatus::Resolved) => false,
            // Somebody's word stands while the evidence is the same. What is verified is judged afterwards.
            (_, DiscrepancyStatus::Acknowledged) | (Outlook::Verify, _) => true,
            (Outlook::Waits | Outlook::VerifyLagging, status) => status == DiscrepancyStatus::Pending,
            (Outlook::Stays, status) => status == DiscrepancyStatus::Unresolved,
        };
        is_same_state && known.symbol == finding.symbol && known.evidence_json == finding.evidence_json()
    })
}

/// Leaves a contract of which a row of the book cannot be read as it is, and the lists that may hold more of it where they
/// were read to: they are read again until it is mended.
fn silence_damaged(observation: &Observation, plan: &mut Plan) {
    if observation.book.damaged.is_empty() {
        return;
    }
    plan.symbols.retain(|symbol, _| !observation.book.damaged.contains_key(symbol));
    plan.account_cursors.clear();
    plan.account_coverage.clear();
    plan.reopened.clear();
}

fn plan_damaged(observation: &Observation) -> Plan {
    let mut plan = Plan::default();
    for (symbol, row) in &observation.book.damaged {
        if !observation.is_in_scope(symbol) {
            continue;
        }
        let evidence = format!(
            "{symbol}: a row of the book cannot be read ({row}), so nothing is concluded or recorded about it; restore a \
             backup, or import its facts into a new book"
        );
        let subject = Subject::Query(format!("book of {symbol}"));
        let kind = DiscrepancyKind::UnreadableRow;
        plan.symbol(symbol).find(Finding::new(kind, Some(symbol), subject, Outlook::Stays, evidence));
    }
    plan
}

/// What an earlier look left and cannot be read is looked at anew, and told until it can be read again.
fn plan_memories(observation: &Observation) -> Plan {
    let mut plan = Plan::default();
    for (known, error) in unreadable(&observation.book.discrepancies) {
        let symbol = known.entry.symbol.as_ref();
        if symbol.map_or(!observation.scope.is_empty(), |symbol| !observation.is_in_scope(symbol)) {
            continue;
        }
        let DiscrepancyKey { kind, fingerprint } = &known.entry.key;
        let evidence = format!(
            "what earlier looks left of {kind} {fingerprint} is not known any more: {error}; it is looked at anew, and \
             where this stays, acknowledge both"
        );
        let subject = Subject::Discrepancy(known.entry.key.clone());
        let finding = Finding::new(DiscrepancyKind::UnreadableMemory, symbol, subject, Outlook::Stays, evidence);
        match symbol {
            Some(symbol) => plan.symbol(symbol).find(finding),
            None => plan.account_findings.push(finding),
        }
    }
    plan
}

fn plan_failed_queries(observation: &Observation) -> Plan {
    let mut plan = Plan::default();
    for (symbol, what, error) in observation.failed_queries() {
        let mut finding = failed_query(observation, symbol.as_ref(), what, error);
        let close = symbol.as_ref().and_then(|symbol| observation.symbols.get(symbol));
        let mut asked = close.into_iter().flat_map(|close| &close.orders);
        let order = asked.find(|(_, asked)| asked.error().is_some_and(|of| std::ptr::eq(of, error)));
        if let Some((OrderRef::Id(class, order_id), _)) = order {
            finding = finding.remembering(OrderQuestionMemory { class: *class, order_id: order_id.clone() });
        }
        match symbol {
            Some(symbol) => plan.symbol(&symbol).find(finding),
            None => plan.account_findings.push(finding),
        }
    }
    plan
}

fn failed_query(observation: &Observation, symbol: Option<&Symbol>, what: String, error: &ExchangeError) -> Finding {
    let evidence = format!("{what} could not be read: {}", one_line(error));
    let subject = Subject::Query(what);
    let known =
        DiscrepancyKey { kind: DiscrepancyKind::QueryFailed.as_str().to_owned(), fingerprint: subject.to_string() };
    // Lost answers and overloads pass; a plain no, or the same trouble as the last time, stays.
    let may_pass = matches!(
        error.class(),
        ErrorClass::Unavailable | ErrorClass::Throttled | ErrorClass::Clock | ErrorClass::AnotherAccount
    );
    let stays = !may_pass || observation.book.discrepancy(&known).is_some();
    let outlook = if stays { Outlook::Stays } else { Outlook::Waits };
    Finding::new(DiscrepancyKind::QueryFailed, symbol, subject, outlook, evidence)
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

/// The orders of which fills are planned.
fn orders_with_new_fills(plan: &SymbolPlan) -> BTreeSet<OrderKey> {
    let fills = plan.statements.iter().filter_map(|statement| match &statement.fact {
        ledger_core::AnyFact::Fill(fill) => Some(fill),
        _ => None,
    });
    fills
        .filter_map(|fill| {
            let class = ledger_core::OrderClass::Regular;
            Some(OrderKey { symbol: fill.key.symbol.clone(), class, order_id: fill.order_id.clone()? })
        })
        .collect()
}
