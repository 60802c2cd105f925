//! The signals behind what opened a round trip (case C): of the bot's own, or, where nobody tells of one, restored.
//!
//! Whether one is restored follows from what the book holds, and not from when somebody looked or which of its facts came
//! first: a round trip has one where the exchange itself stated the fill that opened it and nothing names a signal behind
//! its order. What somebody opened by hand has one, too, without a strategy, as what was closed by hand does. While a
//! signal of the bot's waits for its order, nothing is restored for the orders that may be it. A signal that turns up later
//! takes the place of a restored one.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_round_trip_whose_opening_names_no_signal_has_one_restored`, whoever told its fills first.
//! 2. `nothing_is_restored_while_a_signal_may_be_meant`.

use ledger_core::{AnyFact, EventTime, Fill, Order, OrderClass, OrderKey, SignalKind, Statement, TimestampMs};
use ledger_store::DiscrepancyKey;

use super::exits::{restored_exit, unexplained};
use super::labels::ToldLabel;
use super::positions::RecordContext;
use super::restored::{RestoredSignal, decided_at, exit, has_signal, latest, note};
use super::{Plan, SymbolPlan};

/// Those on record: their fills came by another way, or before it was known that no signal is meant.
/// `planned` tells of which orders a signal is known by now.
pub(super) fn plan_openers(context: &RecordContext<'_>, now: TimestampMs, planned: &Plan) -> Plan {
    let mut plan = Plan::default();
    let book = &context.observation.book;
    for (fill, ends_another) in &book.unsignalled_openers {
        let symbol = &fill.key.symbol;
        if !context.observation.is_in_scope(symbol) || book.quarantined.contains(symbol) {
            continue;
        }
        plan_opener(context, (fill, *ends_another), now, planned.statements_of(symbol), plan.symbol(symbol));
    }
    plan
}

fn plan_opener(
    context: &RecordContext<'_>,
    (fill, ends_another): (&Fill, bool),
    now: TimestampMs,
    planned: &[Statement],
    symbol_plan: &mut SymbolPlan,
) {
    let observation = context.observation;
    let Some(order_id) = fill.order_id.clone() else { return };
    let key = OrderKey { symbol: fill.key.symbol.clone(), class: OrderClass::Regular, order_id };
    let Some(order) = latest(observation, &key) else { return };
    let is_told = |statement: &Statement| match &statement.fact {
        AnyFact::Order(told) => told.key == key && told.signal_id.is_some(),
        _ => false,
    };
    if planned.iter().chain(&symbol_plan.statements).any(is_told) {
        return;
    }
    // One that turned a position round closed something first.
    let exit = ends_another.then(|| exit(observation, context.policy, order));
    match exit.as_ref().and_then(|exit| Some((exit, exit.signal_kind()?))) {
        _ if is_settled_otherwise(context, order) => {}
        None => restore_entry(context, order, fill.time, None, symbol_plan),
        Some((exit, _)) if exit.is_inferred => symbol_plan.find(unexplained(order, exit, now)),
        Some((exit, kind)) => {
            let at = decided_at(observation, order, fill.time);
            note(&restored_exit(context.policy, order, at, exit, kind), None, symbol_plan);
        }
    }
}

/// Whether a signal is known, or one that waits may be meant.
fn is_settled_otherwise(context: &RecordContext<'_>, order: &Order) -> bool {
    has_signal(context.observation, order) || context.candidates.is_awaited(context.observation, &order.key)
}

/// Restores the signal behind an order whose first fill of a round trip is told, unless there is one.
pub(super) fn restore_entry(
    context: &RecordContext<'_>,
    order: &Order,
    first_fill: EventTime,
    answers: Option<DiscrepancyKey>,
    symbol_plan: &mut SymbolPlan,
) {
    if is_settled_otherwise(context, order) {
        return;
    }
    // A label that is an inference comes after its second look.
    let label = context.labels.of(order).filter(ToldLabel::is_statement);
    let restored = RestoredSignal {
        order,
        at: decided_at(context.observation, order, first_fill),
        kind: SignalKind::Entry,
        reason: "restored: it opened a position, and its signal was not in the book".to_owned(),
        confidence: label.as_ref().map_or("unknown", ToldLabel::confidence),
        label,
        exit_reason: None,
    };
    note(&restored, answers, symbol_plan);
}
