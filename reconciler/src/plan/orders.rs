//! Orders: those that the book does not know, and those whose state it is behind of.

use std::collections::BTreeMap;

use exchange_client::Stated;
use ledger_core::{AnyFact, Decimal, Order, OrderKey, Origin, Outcome, Source, Sourced, Statement, merge};
use serde_json::{Value, json};

use super::Plan;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::observe::Observation;
use crate::policy::Policy;
use crate::record::bot_record::accepted;
use crate::record::client_id::bot_label;
use crate::repair::RepairKind;
use crate::wording::describe_order;

/// The exchange's statements about orders, the account-wide ones and those asked for by name.
pub(super) fn plan_orders(observation: &Observation, policy: &Policy) -> Plan {
    let mut plan = Plan::default();
    // The same order may be told several times; the last state is the one with the greatest execution, so all are
    // merged first.
    let mut stated: BTreeMap<OrderKey, Vec<&Stated<Order>>> = BTreeMap::new();
    for row in observation.stated_orders() {
        let rows = stated.entry(row.entity.key.clone()).or_default();
        if !rows.iter().any(|known| known.entity == row.entity) {
            rows.push(row);
        }
    }
    for (key, rows) in stated {
        plan_order(observation, policy, &key, &rows, &mut plan);
    }
    plan
}

fn plan_order(observation: &Observation, policy: &Policy, key: &OrderKey, rows: &[&Stated<Order>], plan: &mut Plan) {
    // A symbol that was not asked for stays as it is.
    if !observation.is_in_scope(&key.symbol) {
        return;
    }
    let booked = observation.book.orders.get(key);
    let mut state = booked.map(|booked| booked.order.clone());
    let mut news = Vec::new();
    for row in rows {
        news.extend(joins(&mut state, row.statement(), Source::Rest));
    }
    let stated = state.clone();
    // What the bot wrote down before it sent the order tells whose it is.
    let id = stated.as_ref().and_then(|order| order.fact.client_order_id.as_ref());
    let intent = id.and_then(|id| observation.book.intents.get(id)).map(|intent| &intent.fact);
    let intent = intent.filter(|intent| intent.symbol == key.symbol);
    if let (Some(intent), Some(order)) = (intent, &stated) {
        for statement in accepted(intent, &order.fact) {
            match &statement.fact {
                AnyFact::Order(_) => news.extend(joins(&mut state, statement, Source::Bot)),
                _ if intent.outcome < ledger_core::IntentOutcome::Accepted => news.push(statement),
                _ => {}
            }
        }
    }
    let Some(after) = state.filter(|_| !news.is_empty()).map(|state| state.fact) else { return };
    let finding = finding_about(booked.map(|booked| &booked.order.fact), &after);
    if booked.is_none() {
        let foreign = foreign(observation, policy, &after, intent.is_some());
        plan.symbol(&key.symbol).findings.extend(foreign);
    }
    let symbol_plan = plan.symbol(&key.symbol);
    symbol_plan.statements.extend(news);
    let Some(finding) = finding else { return };
    let kind = if booked.is_none() { RepairKind::RestoreOrder } else { RepairKind::UpdateOrder };
    let before = booked.map(|booked| order_json(&booked.order.fact));
    symbol_plan.repair(finding, kind, before, Some(order_json(&after)));
}

/// The statement, if it tells `state` anything; a conflict that is on record already is not news.
fn joins(state: &mut Option<Sourced<Order>>, statement: Statement, source: Source) -> Option<Statement> {
    let AnyFact::Order(order) = &statement.fact else { return None };
    let offered = Sourced::new(order.clone(), source);
    let joined = match &*state {
        None => offered,
        Some(known) => match merge(known, &offered) {
            (_, Outcome::AlreadyRecorded) => return None,
            (joined, _) if joined == *known => return None,
            (joined, _) => joined,
        },
    };
    *state = Some(joined);
    Some(statement)
}

fn finding_about(before: Option<&Order>, after: &Order) -> Option<Finding> {
    let executed = |order: &Order| order.executed.as_ref().map_or(Decimal::ZERO, |executed| executed.qty);
    let describe = |order: &Order| format!("{} with {} executed", order.status, executed(order));
    let what = describe_order(after);
    let key = &after.key;
    let found = |kind, evidence| {
        Some(Finding::new(kind, Some(&key.symbol), Subject::Order(key.clone()), Outlook::Settles, evidence))
    };
    let Some(before) = before else {
        let at = format!("is {} at the exchange, unknown to the book", describe(after));
        return match forced(after) {
            Some((kind, words)) => found(kind, format!("{what}, {words}, {at}")),
            None => found(DiscrepancyKind::UnknownOrder, format!("{what} {at}")),
        };
    };
    if before.status != after.status || executed(before) != executed(after) {
        let evidence = format!("{what} is {} at the exchange, {} in the book", describe(after), describe(before));
        return found(DiscrepancyKind::OrderBehind, evidence);
    }
    None
}

/// What the exchange's own orders are.
fn forced(order: &Order) -> Option<(DiscrepancyKind, &'static str)> {
    match order.origin? {
        Origin::Liquidation => Some((DiscrepancyKind::Liquidation, "a liquidation by the exchange")),
        Origin::Adl => Some((DiscrepancyKind::Adl, "an auto-deleveraging by the exchange")),
        Origin::Settlement => Some((DiscrepancyKind::Settlement, "a settlement by the exchange")),
        Origin::Forced => Some((DiscrepancyKind::Liquidation, "forced by the exchange, which does not say why")),
        Origin::Program | Origin::Person => None,
    }
}

/// In a book that a bot keeps, an executed order of which the bot wrote nothing and whose client order id is of none of
/// its schemes is somebody else's. It is kept as every other.
fn foreign(observation: &Observation, policy: &Policy, order: &Order, has_intent: bool) -> Option<Finding> {
    let executed = order.executed.as_ref().map(|executed| executed.qty).unwrap_or_default();
    if !observation.book.has_bot || has_intent || !executed.is_positive() || forced(order).is_some() {
        return None;
    }
    let whose = match order.origin {
        Some(Origin::Person) => "placed by hand in the exchange's own app or web page",
        _ if bot_label(order, &policy.schemes).is_some() => return None,
        _ => "sent by somebody else than the bot: nothing was recorded of it before it was sent",
    };
    let key = &order.key;
    let evidence = format!("{}, executed {executed}, was {whose}; its fills are kept", describe_order(order));
    let subject = Subject::Order(key.clone());
    Some(Finding::new(DiscrepancyKind::ForeignFills, Some(&key.symbol), subject, Outlook::Settles, evidence))
}

pub(super) fn order_json(order: &Order) -> Value {
    json!({
        "order_id": order.key.order_id.as_str(),
        "status": order.status.as_str(),
        "executed_qty": order.executed.as_ref().map(|executed| executed.qty.to_string()),
        "engine": order.engine.as_ref().map(ledger_core::EngineLabel::as_str),
        "signal_id": order.signal_id.as_ref().map(ledger_core::SignalId::as_str),
    })
}
