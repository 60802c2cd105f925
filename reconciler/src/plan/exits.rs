//! Closes of which nobody said whose they were. An order without a client order id is taken for one that a hand placed,
//! which is no more than an inference: it waits for a second look.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_close_by_an_unnamed_hand_waits_for_a_second_look`.

use ledger_core::{EventTime, Order, SignalKind, TimestampMs};

use super::candidates::Candidates;
use super::labels::by_client_id;
use super::restored::{Exit, RestoredSignal, exit, has_signal, latest, note};
use super::{Plan, SymbolPlan};
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::memory::{CloseMemory, recall_all};
use crate::observe::Observation;
use crate::policy::Policy;
use crate::wording::describe_order;

/// Those that an earlier look has found.
pub(super) fn plan_unexplained(
    observation: &Observation,
    policy: &Policy,
    candidates: &Candidates<'_>,
    now: TimestampMs,
) -> Plan {
    let mut plan = Plan::default();
    for (known, close) in recall_all::<CloseMemory>(&observation.book.discrepancies) {
        let since = close.since;
        let Some(key) = close.order(known).filter(|key| observation.is_in_scope(&key.symbol)) else { continue };
        let Some(order) = latest(observation, &key) else { continue };
        if !has_signal(observation, order) && !candidates.is_wanted(&key) {
            plan_again(observation, policy, order, (since, now), plan.symbol(&key.symbol));
        }
    }
    plan
}

fn plan_again(
    observation: &Observation,
    policy: &Policy,
    order: &Order,
    (since, now): (TimestampMs, TimestampMs),
    symbol_plan: &mut SymbolPlan,
) {
    let exit = exit(observation, policy, order);
    let (Some(kind), Some(at)) = (exit.signal_kind(), order.created.or(order.updated)) else { return };
    let subject = Subject::Order(order.key.clone());
    // Somebody's word on it that came since needs no second look.
    if exit.is_inferred && now.as_ms().saturating_sub(since.as_ms()) < observation.venue.settle_lag_ms {
        symbol_plan.find(unexplained(order, &exit, since));
        return;
    }
    let evidence = format!("{} closed its position: {}, {}", describe_order(order), exit.reason, exit.why);
    let symbol = Some(&order.key.symbol);
    let finding = Finding::new(DiscrepancyKind::UnexplainedClose, symbol, subject, Outlook::Settles, evidence);
    let memory = CloseMemory { class: order.key.class, order_id: order.key.order_id.clone(), since };
    let finding = finding.remembering(memory);
    let answers = Some(finding.key());
    symbol_plan.find(finding);
    note(&restored_exit(policy, order, at, &exit, kind), answers, symbol_plan);
}

/// A close that is explained by nothing but inference, first found at `since` by the exchange's clock.
pub(super) fn unexplained(order: &Order, exit: &Exit, since: TimestampMs) -> Finding {
    let evidence = format!(
        "{} closed its position and {}: {} as it seems, which waits for a second look",
        describe_order(order),
        exit.why,
        exit.reason
    );
    let subject = Subject::Order(order.key.clone());
    let kind = DiscrepancyKind::UnexplainedClose;
    let memory = CloseMemory { class: order.key.class, order_id: order.key.order_id.clone(), since };
    Finding::new(kind, Some(&order.key.symbol), subject, Outlook::Waits, evidence).remembering(memory)
}

/// The signal behind a close.
pub(super) fn restored_exit<'a>(
    policy: &Policy,
    order: &'a Order,
    at: EventTime,
    exit: &Exit,
    kind: SignalKind,
) -> RestoredSignal<'a> {
    RestoredSignal {
        order,
        at,
        kind,
        label: by_client_id(order, policy),
        reason: format!("restored: {}, {}", exit.reason, exit.why),
        exit_reason: Some(exit.reason),
        confidence: "estimated",
    }
}
