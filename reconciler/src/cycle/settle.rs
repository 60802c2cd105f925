//! What becomes of discrepancies after the checks: those of this cycle, and those of earlier ones that are gone.
//!
//! Gone is only what was looked for and not found; what was not looked at stays as it is.
//!
//! Invariants, each with a test of the same name:
//! 1. `what_was_not_looked_at_stays_on_record`.
//! 2. `a_position_that_differs_after_the_repairs_alone_waits_for_the_next_look`, and is not passed over.

use std::collections::BTreeSet;

use ledger_core::{AccountId, TimestampMs};
use ledger_store::{Batch, Discrepancy, DiscrepancyKey, DiscrepancyStatus};
use serde_json::json;

use crate::apply::{journaled, seen_as};
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::memory::doubt::Claim;
use crate::memory::{FillMemory, LabelMemory, recall_known};
use crate::observe::{Observation, observed_at};
use crate::plan::Plan;
use crate::repair::{PlannedRepair, RepairKind};
use crate::verify::Verification;

/// The outcome of a cycle's findings, in the order of the plan's and then the checks'.
pub(crate) struct Settlement {
    /// Each finding with what became of it.
    pub(crate) findings: Vec<(Finding, DiscrepancyStatus)>,
    /// What was repaired by recording what the exchange lists, as is seen now.
    pub(crate) repairs: Vec<PlannedRepair>,
    /// What the journal has to be told of that.
    pub(crate) batch: Batch,
}

pub(crate) fn settle(
    observation: &Observation,
    plan: &Plan,
    verification: &Verification,
    account: &AccountId,
    at_local: TimestampMs,
) -> Settlement {
    let mut batch = Batch::new(account.clone(), at_local, Vec::new());
    let mut findings = Vec::new();
    // Where nothing else is written, what is on record as it is stays as it is.
    let is_quiet = plan.is_empty();
    let is_news = |finding: &Finding, status| !(is_quiet && is_on_record_as(observation, finding, status));
    for finding in plan.findings() {
        let (finding, is_doubted) = doubted_if_left(observation, finding, verification);
        let status = acknowledged(observation, &finding, judge(&finding, verification));
        let verified = matches!(finding.outlook, Outlook::Verify | Outlook::VerifyLagging);
        match status {
            DiscrepancyStatus::Resolved if verified => batch.settled.push(finding.key()),
            DiscrepancyStatus::Unresolved if verified && is_news(&finding, status) => {
                batch.discrepancies.push(seen_as(&finding, status));
            }
            DiscrepancyStatus::Pending if is_doubted => batch.discrepancies.push(seen_as(&finding, status)),
            _ => {}
        }
        findings.push((finding, status));
    }
    for finding in differing_since(observation, verification, &findings) {
        batch.discrepancies.push(seen_as(&finding, DiscrepancyStatus::Pending));
        findings.push((finding, DiscrepancyStatus::Pending));
    }
    for finding in &verification.findings {
        let status = checked(finding);
        if is_news(finding, status) {
            batch.discrepancies.push(seen_as(finding, status));
        }
        findings.push((finding.clone(), acknowledged(observation, finding, status)));
    }
    let found: BTreeSet<DiscrepancyKey> = findings.iter().map(|(finding, _)| finding.key()).collect();
    for known in &observation.book.discrepancies {
        let is_found = found.contains(&known.entry.key);
        let is_settled: bool = plan.settled.contains(&known.entry.key);
        if !is_found && !is_settled && is_gone(observation, verification, known) {
            batch.settled.push(known.entry.key.clone());
        }
    }
    let restored = findings.iter().filter(|(finding, status)| {
        finding.kind == DiscrepancyKind::LostRows && *status == DiscrepancyStatus::Resolved
    });
    let repairs: Vec<_> = restored.map(|(finding, _)| restored_rows(finding)).collect();
    batch.repairs.extend(repairs.iter().map(journaled));
    Settlement { findings, repairs, batch }
}

/// What recording was to settle, and did not: some of it was not listed. So it rests on absence, and waits for a second look
/// to leave as much. Answers besides whether that is said here for the first time.
fn doubted_if_left(observation: &Observation, finding: &Finding, verification: &Verification) -> (Finding, bool) {
    let is_to_verify = matches!(finding.outlook, Outlook::Verify | Outlook::VerifyLagging);
    let left = match &finding.subject {
        Subject::Order(key) => verification.unfilled_orders.get(key).copied(),
        Subject::Position(symbol, side) => {
            verification.mismatched_positions.get(&(symbol.clone(), *side)).map(|(_, beyond)| *beyond)
        }
        _ => None,
    };
    match left.filter(|_| is_to_verify && finding.doubt.is_none()) {
        Some(left) => {
            (finding.clone().doubted(Claim::Differs(left), &observation.looks(observed_at(observation))), true)
        }
        None => (finding.clone(), false),
    }
}

/// What was lost and is there again.
fn restored_rows(finding: &Finding) -> PlannedRepair {
    PlannedRepair {
        symbol: finding.symbol.clone(),
        kind: RepairKind::RestoreRows,
        discrepancy: Some(finding.key()),
        cause: finding.evidence.clone(),
        evidence_json: finding.evidence_json(),
        before: None,
        after: finding.details.get("stated").map(|stated| json!({ "rows": stated })),
    }
}

/// The positions on which both sides agreed until what was found was recorded: either the exchange's answer about them or
/// that about what led to them was not the whole truth, and the next look tells which.
fn differing_since(
    observation: &Observation,
    verification: &Verification,
    told: &[(Finding, DiscrepancyStatus)],
) -> Vec<Finding> {
    let mut differing = Vec::new();
    let looks = observation.looks(observed_at(observation));
    for ((symbol, side), (evidence, beyond)) in &verification.mismatched_positions {
        let subject = Subject::Position(symbol.clone(), *side);
        let is_told = told.iter().any(|(finding, _)| finding.subject == subject);
        // What the book makes of a symbol that it cannot add up is no position.
        if is_told || observation.book.quarantined.contains(symbol) {
            continue;
        }
        let kind = DiscrepancyKind::PositionMismatch;
        let evidence = format!("{evidence}, now that what was found is recorded; the next look tells which is right");
        let finding = Finding::new(kind, Some(symbol), subject, Outlook::Waits, evidence);
        differing.push(finding.doubted(Claim::Differs(*beyond), &looks));
    }
    differing
}

/// What somebody said may stay, stays accepted for as long as the evidence is the same.
pub(crate) fn acknowledged(
    observation: &Observation,
    finding: &Finding,
    status: DiscrepancyStatus,
) -> DiscrepancyStatus {
    let known = observation.book.discrepancy(&finding.key()).map(|known| &known.entry);
    let is_accepted = known.is_some_and(|known| {
        known.status == DiscrepancyStatus::Acknowledged && known.evidence_json == finding.evidence_json()
    });
    if is_accepted && status == DiscrepancyStatus::Unresolved { DiscrepancyStatus::Acknowledged } else { status }
}

/// What becomes of what a check found.
pub(crate) fn checked(finding: &Finding) -> DiscrepancyStatus {
    let waits = finding.is_doubtful || matches!(finding.outlook, Outlook::Waits);
    if waits { DiscrepancyStatus::Pending } else { DiscrepancyStatus::Unresolved }
}

/// Whether the journal has a finding in this state, or as accepted, in the same words.
fn is_on_record_as(observation: &Observation, finding: &Finding, status: DiscrepancyStatus) -> bool {
    let known = observation.book.discrepancy(&finding.key()).map(|known| &known.entry);
    known.is_some_and(|known| {
        [status, DiscrepancyStatus::Acknowledged].contains(&known.status)
            && known.symbol == finding.symbol
            && known.evidence_json == finding.evidence_json()
    })
}

/// What became of a finding once everything planned is recorded.
fn judge(finding: &Finding, verification: &Verification) -> DiscrepancyStatus {
    let left = match finding.outlook {
        Outlook::Settles => return DiscrepancyStatus::Resolved,
        Outlook::Waits => return DiscrepancyStatus::Pending,
        Outlook::Stays => return DiscrepancyStatus::Unresolved,
        Outlook::Verify => DiscrepancyStatus::Unresolved,
        Outlook::VerifyLagging => DiscrepancyStatus::Pending,
    };
    if finding.kind == DiscrepancyKind::LostRows {
        return match verification.lost_rows.as_ref().map(|lost| lost.get(&finding.key())) {
            Some(None) => DiscrepancyStatus::Resolved,
            // What could not be read so far is read by the next look.
            Some(Some(true)) => DiscrepancyStatus::Pending,
            _ => DiscrepancyStatus::Unresolved,
        };
    }
    let is_gone = match &finding.subject {
        Subject::Order(key) => !verification.unfilled_orders.contains_key(key),
        // What two looks said is recorded by now.
        Subject::Balance(_) => true,
        Subject::Position(symbol, side) => !verification.mismatched_positions.contains_key(&(symbol.clone(), *side)),
        _ => false,
    };
    if is_gone { DiscrepancyStatus::Resolved } else { left }
}

/// Whether a discrepancy that was not found was looked for.
fn is_gone(observation: &Observation, verification: &Verification, known: &Discrepancy) -> bool {
    let DiscrepancyKey { kind, fingerprint } = &known.entry.key;
    // What the book itself notices is not ours to close.
    let Some(kind) = DiscrepancyKind::from_name(kind) else { return false };
    let symbol = known.entry.symbol.as_ref();
    if symbol.is_some_and(|symbol| !observation.is_in_scope(symbol))
        || (symbol.is_none() && !observation.scope.is_empty())
    {
        return false;
    }
    if symbol.is_some_and(|symbol| verification.damaged.contains(symbol)) {
        return false;
    }
    let failed = observation.failed_queries();
    let close = symbol.and_then(|symbol| observation.symbols.get(symbol));
    if kind == DiscrepancyKind::QueryFailed {
        return symbol.is_none() || close.is_some();
    }
    if failed.iter().any(|(of, _, _)| of.is_none() || of.as_ref() == symbol) {
        return false;
    }
    // Nothing is said about the position of a symbol that the book cannot add up.
    let is_position = matches!(
        kind,
        DiscrepancyKind::UnrecordedPosition | DiscrepancyKind::UnrecordedClose | DiscrepancyKind::PositionMismatch
    );
    if is_position && symbol.is_some_and(|symbol| observation.book.quarantined.contains(symbol)) {
        return false;
    }
    match kind {
        // Planning knows when this is covered, and the checks when it is filled.
        DiscrepancyKind::HistoryExpired => verification.filled_gaps.contains(&known.entry.key),
        DiscrepancyKind::LostRows => {
            verification.lost_rows.as_ref().is_some_and(|lost| !lost.contains_key(&known.entry.key))
        }
        // Planning knows when the ledger was read over it.
        DiscrepancyKind::LedgerCut => false,
        DiscrepancyKind::UnconfirmedFill => {
            let walk = close.and_then(|close| close.fills.answer());
            let fill: Option<FillMemory> = recall_known(known);
            walk.is_some_and(|walk| fill.is_some_and(|fill| walk.window.since() <= fill.at))
        }
        // A few types have their turn in a look.
        DiscrepancyKind::UnequalLedger => observation.by_type.answers.iter().any(|answer| {
            let subject = Subject::LedgerType(answer.income_type.clone());
            !answer.is_refused && answer.unlisted.is_empty() && subject.to_string() == *fingerprint
        }),
        // The checks know what they looked for.
        DiscrepancyKind::MissingIncome | DiscrepancyKind::MissingFunding | DiscrepancyKind::FundingMismatch => {
            verification.met.contains(&known.entry.key)
        }
        DiscrepancyKind::FootingMismatch => verification
            .footed
            .iter()
            .any(|span| Subject::Wallet(span.asset.clone(), span.since, span.until).to_string() == *fingerprint),
        // Without the bot's files nobody looked, unless the order has its label by now.
        DiscrepancyKind::MissingLabel => {
            let label: Option<LabelMemory> = recall_known(known);
            let key = label.and_then(|label| label.order(known));
            let order = key.and_then(|key| observation.book.orders.get(&key));
            !observation.labels.is_empty() || order.is_some_and(|known| known.order.fact.engine.is_some())
        }
        _ => true,
    }
}
