//! Orders that were sent and whose outcome nobody knew. The exchange has been asked for them by client order id, in both
//! classes.
//!
//! Invariants, each with a test of the same name:
//! 1. `absence_is_proven_or_it_is_unknown`: "never arrived" needs time, repeated misses in both classes, no order and no
//!    trade that could be it, and an age at which the exchange still knows such orders.
//! 2. `never_arrived_gives_way_to_an_order_that_turns_up`.

use std::collections::BTreeMap;

use ledger_core::{
    AnyFact, IntentOutcome, Order, OrderClass, OrderIntent, OrderKey, Side, Source, Statement, Symbol, TimestampMs,
};
use serde_json::json;

use super::candidates::is_free;
use super::{Plan, SymbolPlan};
use crate::asked::Asked;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::memory::doubt::Claim;
use crate::memory::{AbsenceMemory, Misses};
use crate::observe::{Observation, SymbolObservation};
use crate::policy::Policy;
use crate::record::bot_record::accepted;
use crate::repair::RepairKind;
use crate::wording::describe_order;

pub(super) fn plan_intents(observation: &Observation, policy: &Policy, now: TimestampMs, planned: &Plan) -> Plan {
    let mut plan = Plan::default();
    let intents = observation.book.intents.values().map(|intent| &intent.fact);
    for intent in intents.filter(|intent| observation.is_in_scope(&intent.symbol)) {
        match intent.outcome {
            IntentOutcome::Pending | IntentOutcome::Unknown => {
                plan_intent(observation, policy, intent, now, planned, &mut plan);
            }
            IntentOutcome::Rejected => plan_rejected(observation, intent, planned, &mut plan),
            IntentOutcome::Accepted => {}
        }
    }
    plan
}

/// What was said never to have arrived turned up: in a late answer, or in an import.
fn plan_rejected(observation: &Observation, intent: &OrderIntent, planned: &Plan, plan: &mut Plan) {
    let Some(order) = order_of(observation, intent) else { return };
    let evidence = format!(
        "{} {} sent with client order id {} was on record as rejected; it is {}, {}",
        intent.side,
        intent.symbol,
        intent.client_order_id,
        describe_order(order),
        order.status
    );
    let subject = Subject::Intent(intent.client_order_id.clone());
    let kind = DiscrepancyKind::UnresolvedIntent;
    let finding = Finding::new(kind, Some(&intent.symbol), subject, Outlook::Settles, evidence);
    let finding = finding.with("confidence", "known");
    accept(intent, order, (finding, RepairKind::SentAfterAll), planned, plan.symbol(&intent.symbol));
}

/// The exchange has the order.
fn accept(
    intent: &OrderIntent,
    order: &Order,
    (finding, kind): (Finding, RepairKind),
    planned: &Plan,
    symbol_plan: &mut SymbolPlan,
) {
    // Both classes may carry it, so the same label may have been planned with the order's own statement.
    for statement in accepted(intent, order) {
        let is_planned = planned.statements_of(&intent.symbol).contains(&statement);
        if !is_planned && !symbol_plan.statements.contains(&statement) {
            symbol_plan.statements.push(statement);
        }
    }
    let before = json!({ "outcome": intent.outcome.as_str() });
    let after = json!({ "outcome": IntentOutcome::Accepted.as_str(), "order_id": order.key.order_id.as_str() });
    symbol_plan.repair(finding, kind, Some(before), Some(after));
}

fn plan_intent(
    observation: &Observation,
    policy: &Policy,
    intent: &OrderIntent,
    now: TimestampMs,
    planned: &Plan,
    plan: &mut Plan,
) {
    let symbol = &intent.symbol;
    let qty = intent.qty.map_or_else(|| "(whole position)".to_owned(), |qty| qty.to_string());
    let sent = format!("{} {qty} {symbol} sent with client order id {}", intent.side, intent.client_order_id);
    let subject = Subject::Intent(intent.client_order_id.clone());
    let found = |outlook, evidence| {
        Finding::new(DiscrepancyKind::UnresolvedIntent, Some(symbol), subject.clone(), outlook, evidence)
    };
    if let Some(order) = order_of(observation, intent) {
        let finding = found(Outlook::Settles, format!("{sent}: the exchange has it as {}", describe_order(order)));
        let finding = finding.with("confidence", "known");
        accept(intent, order, (finding, RepairKind::ResolveIntent), planned, plan.symbol(symbol));
        return;
    }
    let close = observation.symbols.get(symbol);
    let was_asked = close.is_some_and(|close| is_missed(close, intent));
    let earlier =
        AbsenceMemory::misses_of(&observation.book.discrepancies, DiscrepancyKind::UnresolvedIntent, &subject);
    let misses = if was_asked { earlier.and(&observation.looks(now)) } else { earlier };
    let sent_at = intent.created_local.saturating_add_ms(-observation.clock.skew_ms);
    let absence = Absence::of(observation, policy, intent.class, sent_at, misses, now);
    // What carries another client order id is not this one.
    let is_nameless = |order: &Order| order.client_order_id.is_none();
    let could_be = could_be_it(observation, policy, symbol, intent.side, sent_at, is_nameless);
    if was_asked && absence == Absence::Proven && could_be.is_none() {
        let evidence = format!(
            "{sent}: it never arrived; its receive window is over, {} looks in both order classes found nothing, and \
             no trade could be its",
            misses.count
        );
        let symbol_plan = plan.symbol(symbol);
        let never = OrderIntent { outcome: IntentOutcome::Rejected, ..intent.clone() };
        symbol_plan.statements.push(Statement { fact: AnyFact::Intent(never), source: Source::Repair, payload: None });
        let finding =
            found(Outlook::Settles, evidence).remembering(AbsenceMemory { misses }).with("confidence", "known");
        let before = json!({ "outcome": intent.outcome.as_str() });
        symbol_plan.repair(
            finding,
            RepairKind::NeverSent,
            Some(before),
            Some(json!({ "outcome": IntentOutcome::Rejected.as_str() })),
        );
        return;
    }
    let why = could_be.map_or_else(
        || match absence {
            Absence::TooOld => "and would have forgotten it by now, so it stays unknown".to_owned(),
            _ => "(yet), which proves nothing".to_owned(),
        },
        |other| format!("and {other} could be it, so it stays unknown"),
    );
    let outlook = if absence == Absence::TooOld { Outlook::Stays } else { Outlook::Waits };
    let finding =
        found(outlook, format!("{sent}: the exchange does not know it {why}")).remembering(AbsenceMemory { misses });
    plan.symbol(symbol).find(finding.doubted(Claim::Holds, &observation.looks(now)));
}

/// The exchange's order of this intent, however it came to be mentioned; the regular one rather than the conditional one
/// that it came of.
pub(super) fn order_of<'a>(observation: &'a Observation, intent: &OrderIntent) -> Option<&'a Order> {
    let id = Some(&intent.client_order_id);
    let stated = observation.stated_orders().map(|row| &row.entity);
    let booked = observation.book.orders.values().map(|known| &known.order.fact);
    let same = |order: &&Order| order.client_order_id.as_ref() == id && order.key.symbol == intent.symbol;
    stated.chain(booked).filter(same).min_by_key(|order| (order.key.class != intent.class, order.key.clone()))
}

/// Whether the exchange was asked in both classes and knew nothing.
fn is_missed(close: &SymbolObservation, intent: &OrderIntent) -> bool {
    let references = crate::observe::by_client_id(&intent.client_order_id);
    references.iter().all(|reference| close.answer(reference) == Some(None))
}

/// What not having found something tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// It may still turn up.
    Possible,
    /// It was never there.
    Proven,
    /// The exchange would have forgotten it.
    TooOld,
}

impl Absence {
    /// Of something of this class sent at `sent_at`, by the exchange's clock, and not found in `misses` cycles.
    pub(super) fn of(
        observation: &Observation,
        policy: &Policy,
        class: OrderClass,
        sent_at: TimestampMs,
        misses: Misses,
        now: TimestampMs,
    ) -> Self {
        let age_ms = now.as_ms().saturating_sub(sent_at.as_ms());
        let grace_ms = match class {
            OrderClass::Regular => policy.absence_grace_ms,
            OrderClass::Conditional => policy.absence_grace_conditional_ms,
        };
        let certain_after_ms = observation.venue.receive_window_ms.saturating_add(grace_ms);
        if age_ms > policy.absence_age_max_ms {
            Self::TooOld
        } else if age_ms > certain_after_ms && misses.count >= policy.absence_misses_min {
            Self::Proven
        } else {
            Self::Possible
        }
    }
}

/// An order or a trade at or after `sent_at` that nobody owns and that could be what was sent: then absence is not
/// proven. How long after makes no difference, for nothing tells how long sending took. `could_be` says which orders,
/// in every version of them that is known.
pub(super) fn could_be_it(
    observation: &Observation,
    policy: &Policy,
    symbol: &Symbol,
    side: Side,
    sent_at: TimestampMs,
    could_be: impl Fn(&Order) -> bool,
) -> Option<String> {
    if !observation.reads_orders_of(symbol) {
        return Some("an order that could not be read".to_owned());
    }
    let (since, _) = policy.signal_window_around(sent_at);
    let stated = observation.stated_orders().map(|row| &row.entity);
    let orders = stated.chain(observation.book.orders.values().map(|known| &known.order.fact));
    let mut known: BTreeMap<&OrderKey, Vec<&Order>> = BTreeMap::new();
    for order in orders.filter(|order| order.key.symbol == *symbol && order.side == side) {
        known.entry(&order.key).or_default().push(order);
    }
    let is_earlier = |order: &Order| order.created.is_some_and(|time| time.at < since);
    let fits = |order: &Order| could_be(order) && is_free(observation, order) && !is_earlier(order);
    let is_possible = |versions: &Vec<&Order>| versions.iter().all(|order| fits(order));
    let is_after = |order: &&&Order| order.created.or(order.updated).is_some_and(|time| time.at >= since);
    let mut possible = known.values().filter(|versions| is_possible(versions));
    if let Some(order) = possible.find_map(|versions| versions.iter().find(is_after)) {
        return Some(describe_order(order));
    }
    let close = observation.symbols.get(symbol)?;
    let walk = match &close.fills {
        Asked::Answered(walk) if walk.window.since() <= since => walk,
        _ => return Some("a trade that was not read in this look".to_owned()),
    };
    let booked = close.book_fills.values().map(|fill| &fill.fact);
    let mut fills = walk.rows.values().map(|row| &row.entity).chain(booked);
    let orphan = fills.find(|fill| {
        let class = OrderClass::Regular;
        let key = fill.order_id.clone().map(|order_id| OrderKey { symbol: symbol.clone(), class, order_id });
        let versions = key.and_then(|key| known.get(&key));
        fill.key.side == side && fill.time.at >= since && versions.is_none_or(is_possible)
    });
    orphan.map(|fill| format!("trade {}", fill.key.fill_id))
}
