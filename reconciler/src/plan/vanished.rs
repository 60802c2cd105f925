//! Working orders of the book of which the exchange says nothing any more.
//!
//! An order that ended without a fill vanishes from the exchange: once it would have, that is what happened. A
//! conditional order that triggered is done with once the regular order that it became is; the exchange need not say so.
//! Both are inferences, so a second look has to find the same; and both end the asking.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_conditional_order_that_triggered_did_not_end_without_a_fill`.
//! 2. `a_triggered_order_is_finished_once_its_regular_order_is`.

use exchange_client::OrderRef;
use ledger_core::{AnyFact, Decimal, Order, OrderClass, OrderStatus, Source, Statement, TimestampMs};
use ledger_store::BookOrder;

use super::orders::order_json;
use super::{Plan, SymbolPlan};
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::memory::AbsenceMemory;
use crate::observe::Observation;
use crate::policy::Policy;
use crate::repair::RepairKind;
use crate::wording::{count, describe_order};

/// What became of an order that is not told any more.
struct OrderEnd {
    status: OrderStatus,
    /// What the exchange says instead, and what follows once that is confirmed.
    said: String,
    follows: &'static str,
    /// Whether nothing but the second look is missing.
    is_certain: bool,
    kind: RepairKind,
}

pub(super) fn plan_vanished(observation: &Observation, policy: &Policy, now: TimestampMs) -> Plan {
    let mut plan = Plan::default();
    for (key, booked) in &observation.book.orders {
        let Some(close) = observation.symbols.get(&key.symbol) else { continue };
        let order = &booked.order.fact;
        let is_working = !order.status.is_terminal() && order.status != OrderStatus::Unknown;
        let Some(answer) = close.answer(&OrderRef::Id(key.class, key.order_id.clone())).filter(|_| is_working) else {
            continue;
        };
        let told = answer.map(|row| &row.entity);
        if !observation.reads_orders_of(&key.symbol) {
            continue;
        }
        // The exchange says itself how it ended.
        if observation.stated_orders().any(|row| row.entity.key == *key && row.entity.status.is_terminal()) {
            continue;
        }
        let end = if key.class == OrderClass::Conditional && has_triggered(observation, told.unwrap_or(order)) {
            triggered_end(observation, told.unwrap_or(order), told.is_some(), now)
        } else if told.is_none() && !observation.stated_orders().any(|row| row.entity.key == *key) {
            Some(unfilled_end(observation, booked, now))
        } else {
            None
        };
        if let Some(end) = end {
            plan_end(observation, policy, (order, end), now, plan.symbol(&key.symbol));
        }
    }
    plan
}

fn plan_end(
    observation: &Observation,
    policy: &Policy,
    (order, end): (&Order, OrderEnd),
    now: TimestampMs,
    symbol_plan: &mut SymbolPlan,
) {
    let key = &order.key;
    let subject = Subject::Order(key.clone());
    let on_record = &observation.book.discrepancies;
    let earlier = AbsenceMemory::misses_of(on_record, DiscrepancyKind::OrderVanished, &subject);
    let misses = earlier.and(&observation.looks(now));
    let is_over = end.is_certain && misses.count >= policy.absence_misses_min;
    let evidence = format!(
        "{} is {} in the book; {} ({}){}",
        describe_order(order),
        order.status,
        end.said,
        count(usize::try_from(misses.count).unwrap_or(usize::MAX), "look"),
        if is_over { end.follows } else { "" }
    );
    let outlook = if is_over { Outlook::Settles } else { Outlook::Waits };
    let finding = Finding::new(DiscrepancyKind::OrderVanished, Some(&key.symbol), subject, outlook, evidence)
        .remembering(AbsenceMemory { misses });
    if !is_over {
        symbol_plan.find(finding);
        return;
    }
    let mut ended = Order::known_from_fill(key.clone(), order.side, order.position_side);
    ended.status = end.status;
    let fact = AnyFact::Order(ended.clone());
    symbol_plan.statements.push(Statement { fact, source: Source::Repair, payload: None });
    let finding = finding.with("confidence", "estimated");
    symbol_plan.repair(finding, end.kind, Some(order_json(order)), Some(order_json(&ended)));
}

fn unfilled_end(observation: &Observation, booked: &BookOrder, now: TimestampMs) -> OrderEnd {
    let order = &booked.order.fact;
    let has_fills = booked.filled_qty.is_some_and(Decimal::is_positive)
        || order.executed.as_ref().is_some_and(|executed| executed.qty.is_positive());
    OrderEnd {
        status: OrderStatus::Canceled,
        said: "the exchange does not list it as working and does not know it".to_owned(),
        follows: ": it ended without a fill and was forgotten, as such orders are",
        is_certain: has_aged(observation, order, now) && !has_fills,
        kind: RepairKind::EndVanishedOrder,
    }
}

/// Whether an order that ended without a fill when this one last changed would be forgotten by now.
fn has_aged(observation: &Observation, order: &Order, now: TimestampMs) -> bool {
    let changed = order.updated.or(order.created).map(|time| time.at);
    changed.is_some_and(|at| at.saturating_add_ms(observation.venue.unfilled_order_retention_ms) < now)
}

/// What became of an order that triggered: nothing while its regular order may still be working.
fn triggered_end(observation: &Observation, order: &Order, is_told: bool, now: TimestampMs) -> Option<OrderEnd> {
    let open = observation.open_orders.answer()?;
    if open.rows.iter().any(|row| became(order, &row.entity)) {
        return None;
    }
    let stated = observation.stated_orders().map(|row| &row.entity);
    let booked = observation.book.orders.values().map(|known| &known.order.fact);
    let regular: Vec<&Order> = stated.chain(booked).filter(|other| became(order, other)).collect();
    let is_over = regular.iter().any(|regular| regular.status.is_terminal());
    // It is asked for by name itself.
    if !is_over && regular.iter().any(|regular| regular.status != OrderStatus::Unknown) {
        return None;
    }
    let says = if is_told { "the exchange has not said more" } else { "the exchange does not know it any more" };
    let became = match regular.first() {
        Some(regular) if is_over => format!("it became {}, which is over", describe_order(regular)),
        _ => "what it became is not working".to_owned(),
    };
    Some(OrderEnd {
        status: OrderStatus::Finished,
        said: format!("{says}, and {became}"),
        follows: ": it is finished",
        is_certain: is_over || (!is_told && has_aged(observation, order, now)),
        kind: RepairKind::FinishTriggeredOrder,
    })
}

/// Whether a conditional order became this one: it says so, or the regular order goes by its client order id.
fn became(order: &Order, other: &Order) -> bool {
    let is_named = order.triggered_order_id.as_ref() == Some(&other.key.order_id);
    let is_sibling = order.client_order_id.is_some() && other.client_order_id == order.client_order_id;
    other.key.class == OrderClass::Regular && other.key.symbol == order.key.symbol && (is_named || is_sibling)
}

/// Whether a conditional order became a regular one: that one is the order that counts, and what became of it says
/// whether anything was executed.
fn has_triggered(observation: &Observation, order: &Order) -> bool {
    let has_said_so = matches!(order.status, OrderStatus::Triggering | OrderStatus::Triggered | OrderStatus::Finished);
    let stated = observation.stated_orders().map(|row| &row.entity);
    let booked = observation.book.orders.values().map(|known| &known.order.fact);
    has_said_so || order.triggered_order_id.is_some() || stated.chain(booked).any(|other| became(order, other))
}
