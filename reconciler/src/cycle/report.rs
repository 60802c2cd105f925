//! What a cycle saw and did, for whoever shows it.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::ErrorClass;
use ledger_core::{AccountId, AnyFact, FillId, OrderClass, OrderKey, Symbol, TimestampMs};
use ledger_store::{Discrepancy, DiscrepancyKey, DiscrepancyStatus, OutcomeCounts, Quarantine, RunId};

use super::catch_up::CaughtUp;
use super::settle::acknowledged;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::observe::Observation;
use crate::outside::OutsideReport;
use crate::plan::Plan;
use crate::repair::{PlannedRepair, RepairKind};
use crate::verify::Verification;

/// A finding, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingReport {
    /// What was found.
    pub finding: Finding,
    /// Its number in the journal; `None` in an audit of something that is not on record.
    pub id: Option<i64>,
    /// What became of it. An audit leaves confirmed findings unresolved.
    pub status: DiscrepancyStatus,
    /// When it was first seen, by the local clock; `None` when that is now.
    pub first_seen_local: Option<TimestampMs>,
}

/// A repair that was made, or that a sync would make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairReport {
    /// Its number in the journal; `None` in an audit.
    pub id: Option<i64>,
    /// The contract.
    pub symbol: Option<Symbol>,
    /// What it does.
    pub kind: RepairKind,
    /// Why, with its evidence, in one line.
    pub cause: String,
}

impl FindingReport {
    /// Whether a sync repairs it: what the exchange states settles it, or the checks after the repairs tell.
    pub fn is_repaired_by_sync(&self) -> bool {
        matches!(self.finding.outlook, Outlook::Settles | Outlook::Verify)
    }
}

impl RepairReport {
    pub(crate) fn new(repair: &PlannedRepair, id: Option<i64>) -> Self {
        Self { id, symbol: repair.symbol.clone(), kind: repair.kind, cause: repair.cause.clone() }
    }
}

/// A question that the exchange did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedQuery {
    /// About which contract; `None` for all.
    pub symbol: Option<Symbol>,
    /// What was asked.
    pub what: String,
    /// What kind of trouble it is.
    pub class: ErrorClass,
}

/// What a cycle saw and did.
#[derive(Debug, Clone, PartialEq)]
pub struct CycleReport {
    /// The account.
    pub account: AccountId,
    /// The journal's number; `None` for an audit, and for a sync that had nothing to write.
    pub run: Option<RunId>,
    /// By the exchange's clock.
    pub asked_at: TimestampMs,
    /// The symbols that were looked at closely.
    pub symbols: Vec<Symbol>,
    /// The contracts in which something differs, or is not known, and that a narrowed look did not follow.
    pub left_aside: Vec<Symbol>,
    /// What was found.
    pub findings: Vec<FindingReport>,
    /// What was repaired, or would be.
    pub repairs: Vec<RepairReport>,
    /// What stays on record from this cycle and earlier ones, with when it was first seen.
    pub left: Vec<Discrepancy>,
    /// The symbols that the book could not add up, with why.
    pub quarantined: Vec<Quarantine>,
    /// What the exchange did not answer.
    pub failed: Vec<FailedQuery>,
    /// What became of the recorded statements; all zero in an audit.
    pub counts: OutcomeCounts,
    /// How many ledger rows were, or would be, new, or told in more detail than before.
    pub income_new: usize,
    /// The history that was caught up with before the present was looked at. Its first findings and repairs are among
    /// those above; the journal has all.
    pub history: CaughtUp,
    /// What was learned of funding rates and prices; nothing in an audit.
    pub outside: OutsideReport,
    /// The checks: after repairing, or in an audit of the book as it is.
    pub verification: Verification,
    /// Requests sent.
    pub requests: u64,
    /// What they weighed.
    pub weight: u64,
}

impl CycleReport {
    /// Findings of this cycle that are confirmed and not repaired.
    pub fn unresolved(&self) -> impl Iterator<Item = &FindingReport> {
        self.findings.iter().filter(|finding| finding.status == DiscrepancyStatus::Unresolved)
    }

    /// How many findings there were, those of the history included that are not named here.
    pub fn finding_count(&self) -> usize {
        self.findings.len() + self.history.untold_findings.values().sum::<usize>()
    }

    /// How many of them came to this.
    pub fn finding_count_of(&self, status: DiscrepancyStatus) -> usize {
        let untold = self.history.untold_findings.iter().filter(|((_, of), _)| *of == status);
        self.findings.iter().filter(|found| found.status == status).count()
            + untold.map(|(_, number)| number).sum::<usize>()
    }

    /// How many repairs there were, those of the history included that are not named here.
    pub fn repair_count(&self) -> usize {
        self.repairs.len() + self.history.untold_repairs
    }

    /// Whether something confirmed is left: of this cycle or an earlier one, or a symbol that cannot be added up. What
    /// may still settle by itself does not count, nor what somebody accepted.
    pub fn leaves_discrepancies(&self) -> bool {
        self.unresolved().next().is_some()
            || self.left.iter().any(|known| known.entry.status == DiscrepancyStatus::Unresolved)
            || !self.quarantined.is_empty()
    }
}

/// The findings of an audit: what a sync would repair is not repaired.
pub(crate) fn audited(observation: &Observation, plan: &Plan, verification: &Verification) -> Vec<FindingReport> {
    let consequences = Consequences::new(observation, plan, verification);
    let checked = verification.findings.iter().filter(|finding| !consequences.covers(finding));
    plan.findings()
        .chain(checked)
        .map(|finding| {
            let known = observation.book.discrepancy(&finding.key());
            let status = match finding.outlook {
                Outlook::Waits | Outlook::VerifyLagging => DiscrepancyStatus::Pending,
                Outlook::Settles | Outlook::Verify | Outlook::Stays => DiscrepancyStatus::Unresolved,
            };
            FindingReport {
                id: known.map(|known| known.id),
                status: acknowledged(observation, finding, status),
                first_seen_local: known.map(|known| known.first_seen_local),
                finding: consequences.of(finding),
            }
        })
        .collect()
}

/// The ledger's rows about fills that the book lacks and that were found: no finding of their own, but part of that one's
/// evidence.
struct Consequences {
    /// The kinds of rows, by the order whose fills are missing.
    rows: BTreeMap<Subject, BTreeSet<String>>,
    covered: BTreeSet<DiscrepancyKey>,
}

impl Consequences {
    fn new(observation: &Observation, plan: &Plan, verification: &Verification) -> Self {
        let found = plan.findings().filter(|finding| finding.kind == DiscrepancyKind::MissingFills);
        let found: BTreeSet<&Subject> = found.map(|finding| &finding.subject).collect();
        let statements = plan.symbols.values().flat_map(|symbol| &symbol.statements);
        let mut missing: BTreeMap<(&Symbol, &FillId), Subject> = BTreeMap::new();
        for statement in statements {
            let AnyFact::Fill(fill) = &statement.fact else { continue };
            let close = observation.symbols.get(&fill.key.symbol);
            if close.is_some_and(|close| close.book_fills.contains_key(&fill.key)) {
                continue;
            }
            let Some(order_id) = fill.order_id.clone() else { continue };
            let symbol = fill.key.symbol.clone();
            let order = Subject::Order(OrderKey { symbol, class: OrderClass::Regular, order_id });
            if found.contains(&order) {
                missing.insert((&fill.key.symbol, &fill.key.fill_id), order);
            }
        }
        let (mut rows, mut covered) = (BTreeMap::<Subject, BTreeSet<String>>::new(), BTreeSet::new());
        for finding in &verification.findings {
            let Subject::Ledger(symbol, fill_id, income_type, _) = &finding.subject else { continue };
            if let Some(order) = missing.get(&(symbol, fill_id)) {
                rows.entry(order.clone()).or_default().insert(income_type.to_string());
                covered.insert(finding.key());
            }
        }
        Self { rows, covered }
    }

    fn covers(&self, finding: &Finding) -> bool {
        self.covered.contains(&finding.key())
    }

    fn of(&self, finding: &Finding) -> Finding {
        let mut finding = finding.clone();
        if let Some(types) = self.rows.get(&finding.subject).filter(|_| finding.kind == DiscrepancyKind::MissingFills) {
            let types: Vec<&str> = types.iter().map(String::as_str).collect();
            finding.evidence = format!("{}; the ledger names them ({})", finding.evidence, types.join(", "));
        }
        finding
    }
}

/// What the exchange did not answer.
pub(crate) fn failed(observation: &Observation) -> Vec<FailedQuery> {
    let failed = observation.failed_queries().into_iter();
    failed.map(|(symbol, what, error)| FailedQuery { symbol, what, class: error.class() }).collect()
}
