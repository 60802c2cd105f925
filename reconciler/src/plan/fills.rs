//! Fills: those that the book lacks, and orders of which more was executed than the book's fills add up to.

use std::collections::BTreeMap;

use ledger_core::{Decimal, Fill, MathError, OrderClass, OrderKey, Source, Sourced, Symbol, TimestampMs, merge};
use serde_json::{Value, json};

use super::orders::describe_order;
use super::{Plan, PlannedRepair, coverage, cursor, history_expired};
use crate::discrepancy::{DiscrepancyKind, Finding, Subject};
use crate::observation::{Continuity, FillWalk, Observation, SymbolObservation};
use crate::observe::FILLS;

pub(super) fn plan_fills(
    observation: &Observation,
    symbol: &Symbol,
    close: &SymbolObservation,
    walk: &FillWalk,
    now: TimestampMs,
    plan: &mut Plan,
) -> Result<(), MathError> {
    let settled = walk.asked_at.saturating_add_ms(-observation.venue.settle_lag_ms);
    let mut missing: BTreeMap<OrderKey, Vec<&Fill>> = BTreeMap::new();
    let symbol_plan = plan.symbol(symbol);
    symbol_plan.cursors.extend(walk.continuity.moves_cursor().then(|| cursor(FILLS, Some(symbol), settled)));
    // Fills are only asked for where something seems missing. The ledger names every trade of all symbols, so as long as
    // that was read without a gap, nothing was missed in the meantime.
    let is_watched = observation.income.as_ref().is_ok_and(|walk| walk.continuity == Continuity::Resumed);
    let expired = walk.continuity.expired().filter(|_| !is_watched);
    symbol_plan.findings.extend(expired.map(|gap| history_expired(FILLS, Some(symbol), gap)));
    symbol_plan.coverage.extend(coverage(FILLS, Some(symbol), walk.window.since(), settled));
    for row in walk.rows.values() {
        if let Some(known) = close.book_fills.get(&row.entity.key) {
            // The book may know it from a coarser source.
            let (joined, _) = merge(known, &Sourced::new(row.entity.clone(), Source::Rest));
            if joined != *known {
                symbol_plan.statements.push(row.statement());
            }
            continue;
        }
        symbol_plan.statements.push(row.statement());
        if let Some(order_id) = &row.entity.order_id {
            missing.entry(order_key(symbol, order_id.clone())).or_default().push(&row.entity);
        }
    }
    // Orders of which more was executed than all known fills add up to.
    let booked = observation.book.orders.values().filter(|booked| booked.order.fact.key.symbol == *symbol);
    for booked in booked.filter(|booked| booked.residual_qty.is_some()) {
        missing.entry(booked.order.fact.key.clone()).or_default();
    }
    for (key, fills) in missing {
        let (finding, repair) = missing_fills(observation, &key, &fills, now)?;
        symbol_plan.repairs.extend(repair);
        symbol_plan.findings.push(finding);
    }
    Ok(())
}

fn order_key(symbol: &Symbol, order_id: ledger_core::OrderId) -> OrderKey {
    OrderKey { symbol: symbol.clone(), class: OrderClass::Regular, order_id }
}

fn missing_fills(
    observation: &Observation,
    key: &OrderKey,
    fills: &[&Fill],
    now: TimestampMs,
) -> Result<(Finding, Option<PlannedRepair>), MathError> {
    let booked = observation.book.orders.get(key);
    // An order that the book does not know has no fills there; one whose fills do not add up has nobody knows how many.
    let filled = booked.map_or(Some(Decimal::ZERO), |booked| booked.filled_qty);
    let shown = filled.map_or_else(|| "an unknown quantity".to_owned(), |filled| filled.to_string());
    let executed = booked.and_then(|booked| booked.order.fact.executed.as_ref()).map(|executed| executed.qty);
    let mut restored = Decimal::ZERO;
    for fill in fills {
        restored = restored.checked_add(fill.qty.get())?;
    }
    let book_says = match (booked, executed) {
        (None, _) => "the book does not know the order".to_owned(),
        (Some(_), Some(executed)) => format!("the book has fills for {shown} of {executed} executed"),
        (Some(_), None) => format!("the book has fills for {shown}"),
    };
    let exchange_says = if fills.is_empty() {
        "the exchange shows no further fill".to_owned()
    } else {
        let ids: Vec<&str> = fills.iter().take(5).map(|fill| fill.key.fill_id.as_str()).collect();
        let more =
            if fills.len() > ids.len() { format!(" and {} more", fills.len() - ids.len()) } else { String::new() };
        format!(
            "the exchange has {} for {restored} that the book lacks: trade {}{more}",
            count(fills.len(), "fill"),
            ids.join(", ")
        )
    };
    let what =
        booked.map_or_else(|| format!("order {} ({})", key.order_id, key.symbol), |b| describe_order(&b.order.fact));
    // A fill can lag behind the state of its order for a moment.
    let changed_at = booked.and_then(|booked| booked.order.fact.updated).map(|updated| updated.at);
    let is_fresh = changed_at.is_some_and(|at| at.saturating_add_ms(observation.venue.settle_lag_ms) >= now);
    let finding = Finding {
        kind: DiscrepancyKind::MissingFills,
        symbol: Some(key.symbol.clone()),
        subject: Subject::Order(key.clone()),
        evidence: format!("{what}: {book_says}; {exchange_says}"),
        may_settle: fills.is_empty() && is_fresh,
    };
    let after = filled.map(|filled| filled.checked_add(restored)).transpose()?;
    let repair = (!fills.is_empty()).then(|| PlannedRepair {
        kind: "restore_fills",
        finding: (finding.kind, finding.fingerprint()),
        cause: finding.evidence.clone(),
        evidence_json: json!({
            "evidence": finding.evidence,
            "fills": fills.iter().map(|fill| fill_json(fill)).collect::<Vec<_>>(),
        })
        .to_string(),
        before_json: filled.map(filled_json),
        after_json: after.map(filled_json),
    });
    Ok((finding, repair))
}

fn filled_json(filled: Decimal) -> String {
    json!({ "filled_qty": filled.to_string() }).to_string()
}

fn fill_json(fill: &Fill) -> Value {
    json!({
        "fill_id": fill.key.fill_id.as_str(), "side": fill.key.side.as_str(), "qty": fill.qty.to_string(),
        "price": fill.price.to_string(), "ts": fill.time.at.as_ms(),
    })
}

pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
