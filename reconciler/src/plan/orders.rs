//! Orders: those that the book does not know, and those whose state it is behind of.

use std::collections::BTreeMap;

use exchange_client::Stated;
use ledger_core::{Decimal, Order, OrderKey, Outcome, Source, Sourced, merge};
use serde_json::{Value, json};

use super::{Plan, PlannedRepair};
use crate::discrepancy::{DiscrepancyKind, Finding, Subject};
use crate::observation::Observation;

/// The exchange's statements about orders, the account-wide ones and those asked for by name.
pub(super) fn plan_orders(observation: &Observation, plan: &mut Plan) {
    let wide = observation.orders.iter().flat_map(|walk| &walk.rows);
    let open = observation.open_orders.iter().flat_map(|answer| &answer.rows);
    let named = observation.symbols.values().flat_map(|close| &close.orders);
    let named = named.filter_map(|(_, asked)| asked.as_ref().ok()?.as_ref());
    // The same order may be told several times; the last state is the one with the greatest execution, so all are
    // merged first.
    let mut stated: BTreeMap<OrderKey, Vec<&Stated<Order>>> = BTreeMap::new();
    for row in wide.chain(open).chain(named) {
        let rows = stated.entry(row.entity.key.clone()).or_default();
        if !rows.iter().any(|known| known.entity == row.entity) {
            rows.push(row);
        }
    }
    for (key, rows) in stated {
        plan_order(observation, &key, &rows, plan);
    }
}

pub(super) fn plan_order(observation: &Observation, key: &OrderKey, rows: &[&Stated<Order>], plan: &mut Plan) {
    // A symbol that was not asked for stays as it is.
    if !observation.is_in_scope(&key.symbol) {
        return;
    }
    let booked = observation.book.orders.get(key);
    let mut state = booked.map(|booked| booked.order.clone());
    let mut news = Vec::new();
    for row in rows {
        let offered = Sourced::new(row.entity.clone(), Source::Rest);
        let (joined, is_news) = match &state {
            None => (offered, true),
            Some(known) => {
                let (joined, outcome) = merge(known, &offered);
                (joined, matches!(outcome, Outcome::Recorded | Outcome::Merged { .. } | Outcome::Conflicts { .. }))
            }
        };
        // A conflict that is on record already is not news.
        if is_news && state.as_ref() != Some(&joined) {
            news.push(row.statement());
        }
        state = Some(joined);
    }
    let Some(after) = state.filter(|_| !news.is_empty()).map(|state| state.fact) else { return };
    let executed = |order: &Order| order.executed.as_ref().map_or(Decimal::ZERO, |executed| executed.qty);
    let describe = |order: &Order| format!("{} with {} executed", order.status, executed(order));
    let what = describe_order(&after);
    let finding = match booked.map(|booked| &booked.order.fact) {
        None => Some((
            DiscrepancyKind::UnknownOrder,
            format!("{what} is {} at the exchange, unknown to the book", describe(&after)),
        )),
        Some(before) if before.status != after.status || executed(before) != executed(&after) => Some((
            DiscrepancyKind::OrderBehind,
            format!("{what} is {} at the exchange, {} in the book", describe(&after), describe(before)),
        )),
        Some(_) => None,
    };
    let symbol_plan = plan.symbol(&key.symbol);
    symbol_plan.statements.extend(news);
    let Some((kind, evidence)) = finding else { return };
    let finding = Finding {
        kind,
        symbol: Some(key.symbol.clone()),
        subject: Subject::Order(key.clone()),
        evidence,
        may_settle: false,
    };
    symbol_plan.repairs.push(PlannedRepair {
        kind: if kind == DiscrepancyKind::UnknownOrder { "restore_order" } else { "update_order" },
        finding: (kind, finding.fingerprint()),
        cause: finding.evidence.clone(),
        evidence_json: finding.evidence_json(),
        before_json: booked.map(|booked| order_json(&booked.order.fact).to_string()),
        after_json: Some(order_json(&after).to_string()),
    });
    symbol_plan.findings.push(finding);
}

pub(crate) fn describe_order(order: &Order) -> String {
    let mut what = format!("order {} ({} ", order.key.order_id, order.side);
    if let Some(qty) = order.terms.qty {
        what = format!("{what}{qty} ");
    }
    let client = order.client_order_id.as_ref().map_or_else(String::new, |id| format!(", client order id {id}"));
    format!("{what}{}{client})", order.key.symbol)
}

pub(super) fn order_json(order: &Order) -> Value {
    json!({
        "order_id": order.key.order_id.as_str(),
        "status": order.status.as_str(),
        "executed_qty": order.executed.as_ref().map(|executed| executed.qty.to_string()),
    })
}
