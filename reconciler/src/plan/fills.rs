//! Fills: those that the book lacks, those about which it says something else, and orders of which more was executed than
//! the book's fills add up to.
//!
//! Invariants, each with a test of the same name:
//! 1. `only_missing_fills_are_planned`; one that differs is a discrepancy.
//! 2. `fills_of_an_order_that_nobody_knows_wait_for_a_second_look`.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::OrderRef;
use ledger_core::{
    Decimal, Fill, FillId, MathError, Order, OrderClass, OrderId, OrderKey, Outcome, PositionSide, Source, Sourced,
    Symbol, TimePrecision, TimestampMs, merge,
};
use serde_json::{Value, json};

use super::positions::beyond_range;
use super::restored::latest_of_symbol;
use super::{Plan, SymbolPlan};
use crate::asked::Asked;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::memory::FillMemory;
use crate::memory::doubt::Claim;
use crate::observe::{FillWalk, Observation, SymbolObservation};
use crate::repair::RepairKind;
use crate::wording::{count, describe_order, instant};

/// The fills of every symbol that was looked at closely.
pub(super) fn plan_fills(observation: &Observation, now: TimestampMs) -> Plan {
    let mut plan = Plan::default();
    for (symbol, close) in &observation.symbols {
        if let Asked::Answered(walk) = &close.fills {
            plan.symbols.insert(symbol.clone(), plan_fills_of(observation, symbol, close, walk, now));
        }
    }
    plan
}

/// Those of one symbol. One that cannot be added up does not keep the others from being reconciled.
pub(super) fn plan_fills_of(
    observation: &Observation,
    symbol: &Symbol,
    close: &SymbolObservation,
    walk: &FillWalk,
    now: TimestampMs,
) -> SymbolPlan {
    let mut symbol_plan = SymbolPlan::default();
    if let Err(error) = compare_fills(observation, symbol, close, walk, now, &mut symbol_plan) {
        symbol_plan.find(beyond_range(symbol, PositionSide::Net, error));
    }
    symbol_plan
}

fn compare_fills(
    observation: &Observation,
    symbol: &Symbol,
    close: &SymbolObservation,
    walk: &FillWalk,
    now: TimestampMs,
    symbol_plan: &mut SymbolPlan,
) -> Result<(), MathError> {
    let mut missing: BTreeMap<OrderKey, Vec<&Fill>> = BTreeMap::new();
    let orders = latest_of_symbol(observation, symbol);
    let nobodys = plan_nobodys(observation, symbol, close, walk, now, symbol_plan)?;
    for row in walk.rows.values() {
        let Some(known) = close.book_fills.get(&row.entity.key) else {
            if row.entity.order_id.as_ref().is_some_and(|order_id| nobodys.contains(order_id)) {
                continue;
            }
            symbol_plan.statements.push(row.statement());
            if let Some(order_id) = &row.entity.order_id {
                missing.entry(order_key(symbol, order_id.clone())).or_default().push(&row.entity);
            }
            continue;
        };
        // The book may know it from a coarser source.
        let (joined, outcome) = merge(known, &Sourced::new(row.entity.clone(), Source::Rest));
        if joined == *known {
            continue;
        }
        symbol_plan.statements.push(row.statement());
        if let Outcome::Conflicts { fields } = outcome {
            let fields: Vec<&str> = fields.into_iter().collect();
            conflicting(symbol_plan, &known.fact, &row.entity, &fields);
        }
    }
    plan_unconfirmed(observation, symbol, close, walk, now, symbol_plan);
    // Orders of which more was executed than all known fills add up to.
    let booked = observation.book.orders.values().filter(|booked| booked.order.fact.key.symbol == *symbol);
    for booked in booked.filter(|booked| booked.residual_qty.is_some()) {
        missing.entry(booked.order.fact.key.clone()).or_default();
    }
    for (key, fills) in missing {
        missing_fills(observation, &key, orders.get(&key).copied(), &fills, now, symbol_plan)?;
    }
    Ok(())
}

/// New fills of orders that the exchange was asked for by name, and that neither it nor the book nor the ledger knows: the list
/// may be another account's. They wait for a second look to list as much. Answers the orders of those that do.
fn plan_nobodys(
    observation: &Observation,
    symbol: &Symbol,
    close: &SymbolObservation,
    walk: &FillWalk,
    now: TimestampMs,
    symbol_plan: &mut SymbolPlan,
) -> Result<BTreeSet<OrderId>, MathError> {
    let remembered = walk.asked_at.saturating_add_ms(-observation.venue.orders.retention_ms);
    let ledger = observation.income.iter().flat_map(|walk| &walk.rows).map(|row| &row.entity);
    let of_symbol = ledger.filter(|row| row.key.symbol.as_ref() == Some(symbol));
    let named: BTreeSet<&FillId> = of_symbol.filter_map(|row| row.fill_id.as_ref()).collect();
    let mut fills: BTreeMap<OrderId, Vec<&Fill>> = BTreeMap::new();
    for fill in walk.rows.values().map(|row| &row.entity) {
        let is_old = fill.time.at < remembered || close.book_fills.contains_key(&fill.key);
        if let Some(order_id) = fill.order_id.clone().filter(|_| !is_old) {
            fills.entry(order_id).or_default().push(fill);
        }
    }
    let mut nobodys = BTreeSet::new();
    for (order_id, fills) in fills {
        let key = order_key(symbol, order_id.clone());
        let is_stated = || observation.stated_orders().any(|row| row.entity.key == key);
        let reference = OrderRef::Id(key.class, order_id.clone());
        let is_asked = close.orders.iter().any(|(asked, _)| *asked == reference);
        let is_named = || fills.iter().any(|fill| named.contains(&fill.key.fill_id));
        if !is_asked || observation.book.orders.contains_key(&key) || is_stated() || is_named() {
            continue;
        }
        let qty = fills.iter().try_fold(Decimal::ZERO, |sum, fill| sum.checked_add(fill.signed_qty()))?;
        let evidence = format!(
            "order {order_id} ({symbol}): the exchange lists {} of it, and neither it nor its ledger tells of such an order; \
             recorded once a second look lists as much",
            count(fills.len(), "fill")
        );
        let subject = Subject::Order(key);
        let finding = Finding::new(DiscrepancyKind::MissingFills, Some(symbol), subject, Outlook::Stays, evidence);
        let finding = finding.doubted(Claim::Differs(qty), &observation.looks(now));
        if finding.is_doubtful {
            symbol_plan.find(finding);
            nobodys.insert(order_id);
        }
    }
    Ok(nobodys)
}

/// The exchange's values are recorded beside the book's; which of them counts is a matter of who said them.
fn conflicting(symbol_plan: &mut SymbolPlan, known: &Fill, stated: &Fill, fields: &[&str]) {
    let key = &stated.key;
    let describe = |fill: &Fill| format!("{} @ {} at {}", fill.qty, fill.price, instant(fill.time.at));
    let evidence = format!(
        "trade {} ({} {}): the exchange says {}, the book {}; they differ in {}",
        key.fill_id,
        key.side,
        key.symbol,
        describe(stated),
        describe(known),
        fields.join(", ")
    );
    let finding = Finding::new(
        DiscrepancyKind::ConflictingFill,
        Some(&key.symbol),
        Subject::Fill(key.clone()),
        Outlook::Settles,
        evidence,
    );
    symbol_plan.repair(finding, RepairKind::CorrectFill, Some(fill_json(known)), Some(fill_json(stated)));
}

/// Fills of the book that a complete answer of the exchange does not have.
fn plan_unconfirmed(
    observation: &Observation,
    symbol: &Symbol,
    close: &SymbolObservation,
    walk: &FillWalk,
    now: TimestampMs,
    symbol_plan: &mut SymbolPlan,
) {
    let settled = walk.asked_at.saturating_add_ms(-observation.venue.settle_lag_ms);
    for known in close.book_fills.values().filter(|known| !walk.rows.contains_key(&known.fact.key)) {
        let fill = &known.fact;
        let at = fill.time.at;
        // One that is known to the second only may lie before the first millisecond of the window, or behind its last.
        let is_inside = match fill.time.precision {
            TimePrecision::Second => at > walk.window.since() && at.saturating_add_ms(999) <= walk.window.until(),
            TimePrecision::Millisecond => at >= walk.window.since(),
        };
        if !is_inside || at >= settled {
            continue;
        }
        let key = &fill.key;
        let evidence = format!(
            "trade {} ({} {} {} @ {}): the book has it from {}, the exchange does not list it among its trades of that time",
            key.fill_id, key.side, fill.qty, symbol, fill.price, known.provenance.source
        );
        let subject = Subject::Fill(key.clone());
        let finding = Finding::new(DiscrepancyKind::UnconfirmedFill, Some(symbol), subject, Outlook::Stays, evidence);
        let finding = finding.doubted(Claim::Holds, &observation.looks(now));
        symbol_plan.find(finding.remembering(FillMemory { at }));
    }
}

fn order_key(symbol: &Symbol, order_id: ledger_core::OrderId) -> OrderKey {
    OrderKey { symbol: symbol.clone(), class: OrderClass::Regular, order_id }
}

fn missing_fills(
    observation: &Observation,
    key: &OrderKey,
    order: Option<&Order>,
    fills: &[&Fill],
    now: TimestampMs,
    symbol_plan: &mut SymbolPlan,
) -> Result<(), MathError> {
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
    let what = order.map_or_else(|| format!("order {} ({})", key.order_id, key.symbol), describe_order);
    // A fill can lag behind the state of its order for a moment.
    let changed_at = order.and_then(|order| order.updated).map(|updated| updated.at);
    let is_fresh = changed_at.is_some_and(|at| at.saturating_add_ms(observation.venue.settle_lag_ms) >= now);
    let outlook = if fills.is_empty() && is_fresh { Outlook::VerifyLagging } else { Outlook::Verify };
    let evidence = format!("{what}: {book_says}; {exchange_says}");
    let subject = Subject::Order(key.clone());
    let finding = Finding::new(DiscrepancyKind::MissingFills, Some(&key.symbol), subject, outlook, evidence);
    if fills.is_empty() {
        // It rests on what is not listed. Of fills that are listed and are not all of them, recording them tells.
        let lacking = booked.and_then(|booked| booked.residual_qty).unwrap_or_default();
        symbol_plan.find(finding.doubted(Claim::Differs(lacking), &observation.looks(now)));
        return Ok(());
    }
    let after = filled.map(|filled| filled.checked_add(restored)).transpose()?;
    let finding = finding.with("fills", fills.iter().map(|fill| fill_json(fill)).collect::<Vec<_>>());
    symbol_plan.repair(finding, RepairKind::RestoreFills, filled.map(filled_json), after.map(filled_json));
    Ok(())
}

fn filled_json(filled: Decimal) -> Value {
    json!({ "filled_qty": filled.to_string() })
}

pub(super) fn fill_json(fill: &Fill) -> Value {
    json!({
        "fill_id": fill.key.fill_id.as_str(), "side": fill.key.side.as_str(), "qty": fill.qty.to_string(),
        "price": fill.price.to_string(), "ts": fill.time.at.as_ms(),
    })
}
