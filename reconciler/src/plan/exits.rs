//! Closes of which nobody said whose they were. An order without a client order id is taken for one that a hand placed,
//! which is no more than an inference: it waits for a second look.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_close_by_an_unnamed_hand_waits_for_a_second_look`.

use ledger_core::{EventTime, Order, SignalKind, TimestampMs};

use super::candidates::Candidates;
use super::labels::by_client_id;
use super::restored::{Exit, Restored, exit, has_signal, latest, note};
use super::{Plan, SymbolPlan};
use crate::discrepancy::{DiscrepancyKind, Finding, Outlook, Subject};
use crate::evidence::{FOUND_SINCE, on_record, order_of};
use crate::observe::Observation;
use crate::policy::Policy;
use crate::wording::describe_order;

/// Those that an earlier look has found.
pub(super) fn plan_unexplained(
    observation: &Observation,
    policy: &Policy,
    candidates: &Candidates<'_>,
    now: TimestampMs,
    plan: &mut Plan,
) {
    let kind = DiscrepancyKind::UnexplainedClose.as_str();
    let known = observation.book.discrepancies.iter().filter(|known| known.entry.key.kind == kind);
    for key in known.filter_map(order_of).filter(|key| observation.is_in_scope(&key.symbol)) {
        let Some(order) = latest(observation, &key) else { continue };
        if !has_signal(observation, order) && !candidates.is_wanted(&key) {
            plan_again(observation, policy, order, now, plan.symbol(&key.symbol));
        }
    }
}

fn plan_again(
    observation: &Observation,
    policy: &Policy,
    order: &Order,
    now: TimestampMs,
    symbol_plan: &mut SymbolPlan,
) {
    let exit = exit(observation, policy, order);
    let (Some(kind), Some(at)) = (exit.signal_kind(), order.created.or(order.updated)) else { return };
    let subject = Subject::Order(order.key.clone());
    let since = on_record(&observation.book, DiscrepancyKind::UnexplainedClose, &subject, FOUND_SINCE);
    let since = since.and_then(|since| since.as_i64()).unwrap_or(now.as_ms());
    // Somebody's word on it that came since needs no second look.
    if exit.is_inferred && now.as_ms().saturating_sub(since) < observation.venue.settle_lag_ms {
        symbol_plan.find(unexplained(order, &exit, since));
        return;
    }
    let evidence = format!("{} closed its position: {}, {}", describe_order(order), exit.reason, exit.why);
    let symbol = Some(&order.key.symbol);
    let finding = Finding::new(DiscrepancyKind::UnexplainedClose, symbol, subject, Outlook::Settles, evidence);
    let answers = Some(finding.key());
    symbol_plan.find(finding);
    note(&restored_exit(policy, order, at, &exit, kind), answers, symbol_plan);
}

/// A close that is explained by nothing but inference, first found at `since_ms` by the exchange's clock.
pub(super) fn unexplained(order: &Order, exit: &Exit, since_ms: i64) -> Finding {
    let evidence = format!(
        "{} closed its position and {}: {} as it seems, which waits for a second look",
        describe_order(order),
        exit.why,
        exit.reason
    );
    let subject = Subject::Order(order.key.clone());
    let kind = DiscrepancyKind::UnexplainedClose;
    Finding::new(kind, Some(&order.key.symbol), subject, Outlook::Waits, evidence).with(FOUND_SINCE, since_ms)
}

/// The signal behind a close.
pub(super) fn restored_exit<'a>(
    policy: &Policy,
    order: &'a Order,
    at: EventTime,
    exit: &Exit,
    kind: SignalKind,
) -> Restored<'a> {
    Restored {
        order,
        at,
        kind,
        label: by_client_id(order, policy),
        reason: format!("restored: {}, {}", exit.reason, exit.why),
        exit_reason: Some(exit.reason),
        confidence: "estimated",
    }
}
