//! Which symbols deserve a closer look, and why.

use std::collections::BTreeSet;

use exchange_client::OrderRef;
use ledger_core::{
    ClientOrderId, Decimal, FillId, IntentOutcome, OrderClass, OrderId, OrderIntent, OrderKey, OrderStatus,
    PositionSide, Symbol, TimestampMs,
};
use ledger_store::DiscrepancyStatus;

use super::entry::unsearched_difference;
use super::observation::Observation;
use super::walk::Continuity;
use super::{Suspects, by_client_id, looked_at};
use crate::asked::Asked;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::error::ReconcileError;
use crate::memory::{AbsenceMemory, OrderQuestionMemory, SignalMemory, recall_known};
use crate::policy::Policy;
use crate::record::bot_record::is_concluded;

/// Why a symbol deserves a closer look. Nothing at all: it is its turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Suspect {
    /// Quantities or entries differ: what explains that may lie anywhere in the past.
    pub(crate) position_differs: bool,
    /// Something else differs.
    pub(crate) is_dirty: bool,
    /// Orders whose fills are to be asked for by name.
    pub(crate) unfilled_orders: BTreeSet<OrderId>,
    /// Orders to be asked for by name.
    pub(crate) orders: BTreeSet<OrderRef>,
}

pub(crate) fn suspects(seen: &Observation, policy: &Policy, unfilled: &BTreeSet<(Symbol, FillId)>) -> Suspects {
    let mut suspects = Suspects::new();
    suspect_positions(seen, &mut suspects);
    suspect_orders(seen, &mut suspects);
    suspect_sent(seen, policy, &mut suspects);
    for (symbol, _) in unfilled {
        suspects.entry(symbol.clone()).or_default().is_dirty = true;
    }
    // Whatever was not answered the last time is asked again, an order by its name; and so is what one answer lacked.
    for known in &seen.book.discrepancies {
        let Some(symbol) = &known.entry.symbol else { continue };
        let is_unanswered = known.entry.key.kind == DiscrepancyKind::QueryFailed.as_str();
        let is_unlisted = known.entry.key.kind == DiscrepancyKind::UnconfirmedFill.as_str()
            && known.entry.status == DiscrepancyStatus::Pending;
        if is_unanswered || is_unlisted {
            suspects.entry(symbol.clone()).or_default().is_dirty = true;
        }
        if let Some(OrderQuestionMemory { class, order_id }) = recall_known(known) {
            suspects.entry(symbol.clone()).or_default().orders.insert(OrderRef::Id(class, order_id));
        }
    }
    suspects
}

fn suspect_positions(seen: &Observation, suspects: &mut Suspects) {
    for (symbol, side) in seen.position_keys() {
        let Some(stated) = seen.exchange_position(&symbol, side) else { continue };
        // No further fill makes the book add these up.
        if seen.book.quarantined.contains(&symbol) {
            continue;
        }
        if stated.is_none() && lacks_word(seen, &symbol, side) {
            suspects.entry(symbol.clone()).or_default().is_dirty = true;
        }
        if stated.map_or(Decimal::ZERO, |stated| stated.qty) != seen.book.qty(&symbol, side) {
            suspects.entry(symbol).or_default().position_differs = true;
            continue;
        }
        // The same quantity at another price: a pair of fills is missing in between.
        let Some(price) = stated.and_then(|stated| stated.entry_price) else { continue };
        if unsearched_difference(seen, &symbol, side, price).is_some() {
            suspects.entry(symbol).or_default().position_differs = true;
        }
    }
}

/// Whether the exchange's word on a position that its list does not have is still to be had: that one list lacks it is none, and
/// the closer look tells. There is no word on what the book changed since, either; but the exchange tells nothing more of a
/// contract that it does not list any more.
fn lacks_word(seen: &Observation, symbol: &Symbol, side: PositionSide) -> bool {
    let mut words = seen.book.latest_positions.iter().map(|known| &known.fact);
    let known = words.rfind(|known| known.symbol == *symbol && known.position_side == side);
    if known.is_some_and(|known| !known.qty.is_zero()) {
        return true;
    }
    let is_listed = seen
        .mark_prices
        .answer()
        .is_some_and(|answer| answer.rows.iter().any(|row| row.entity.price.symbol == *symbol));
    let changed = seen.book.position(symbol, side).and_then(|held| held.position.updated_at);
    is_listed && changed.is_some_and(|changed| known.is_none_or(|known| known.at < changed))
}

fn suspect_orders(seen: &Observation, suspects: &mut Suspects) {
    for row in seen.stated_orders() {
        let order = &row.entity;
        let booked = seen.book.orders.get(&order.key);
        if booked.is_none() {
            suspects.entry(order.key.symbol.clone()).or_default().is_dirty = true;
        }
        let executed = order.executed.as_ref().map(|executed| executed.qty).unwrap_or_default();
        let filled = booked.and_then(|booked| booked.filled_qty).unwrap_or_default();
        if order.key.class == OrderClass::Regular && executed > filled {
            let suspect = suspects.entry(order.key.symbol.clone()).or_default();
            suspect.unfilled_orders.insert(order.key.order_id.clone());
        }
        if let Some(order_id) = &order.triggered_order_id {
            let class = OrderClass::Regular;
            let key = OrderKey { symbol: order.key.symbol.clone(), class, order_id: order_id.clone() };
            if !seen.book.orders.contains_key(&key) {
                let suspect = suspects.entry(order.key.symbol.clone()).or_default();
                suspect.orders.insert(OrderRef::Id(class, order_id.clone()));
            }
        }
    }
    let ended = seen.stated_orders().map(|row| &row.entity).filter(|order| order.status.is_terminal());
    let ended: BTreeSet<&OrderKey> = ended.map(|order| &order.key).collect();
    // The lists of orders hold all that the exchange remembers, and were read up to now: an order that is known from its
    // fills alone and was never on them is forgotten.
    let lists_are_whole = seen.orders.answer().is_some_and(|walk| walk.continuity != Continuity::Apart);
    let is_read = |symbol: &Symbol| seen.reads_orders_of(symbol);
    for (key, booked) in &seen.book.orders {
        if booked.residual_qty.is_some() && key.class == OrderClass::Regular {
            let suspect = suspects.entry(key.symbol.clone()).or_default();
            suspect.unfilled_orders.insert(key.order_id.clone());
        }
        // An old resting order that was executed today shows up in no list: it is only missing from the open ones.
        let Asked::Answered(open) = &seen.open_orders else { continue };
        let is_open = open.rows.iter().any(|row| row.entity.key == *key);
        let status = &booked.order.fact.status;
        let is_forgotten = *status == OrderStatus::Unknown
            && key.class == OrderClass::Regular
            && lists_are_whole
            && is_read(&key.symbol);
        if !status.is_terminal() && !is_open && !is_forgotten && !ended.contains(key) {
            let suspect = suspects.entry(key.symbol.clone()).or_default();
            suspect.orders.insert(OrderRef::Id(key.class, key.order_id.clone()));
        }
    }
}

/// What the book says was decided or sent, and of which it has no order.
fn suspect_sent(seen: &Observation, policy: &Policy, suspects: &mut Suspects) {
    for signal in seen.book.signals.iter().filter(|known| !is_concluded(known)).map(|known| &known.fact) {
        let outcomes = seen.book.intents.values().map(|intent| &intent.fact);
        let mut outcomes = outcomes.filter(|intent| intent.signal_id.as_ref() == Some(&signal.signal_id)).peekable();
        // An order that was refused is nowhere to be found, and one whose outcome nobody knows is asked for by name.
        if outcomes.peek().is_some() && outcomes.all(|intent| intent.outcome != IntentOutcome::Accepted) {
            continue;
        }
        let misses = SignalMemory::misses_of(&seen.book.discrepancies, signal);
        let age_ms = seen.asked_at.as_ms().saturating_sub(signal.time.at.as_ms());
        if misses.count < policy.absence_misses_min || age_ms <= policy.absence_age_max_ms {
            suspects.entry(signal.symbol.clone()).or_default().is_dirty = true;
        }
    }
    let stated = seen.stated_orders().filter_map(|row| row.entity.client_order_id.as_ref());
    let booked = seen.book.orders.values().filter_map(|known| known.order.fact.client_order_id.as_ref());
    let known: BTreeSet<&ClientOrderId> = stated.chain(booked).collect();
    for intent in seen.book.intents.values().map(|intent| &intent.fact) {
        if !known.contains(&intent.client_order_id) && is_to_be_asked_for(seen, policy, intent) {
            let suspect = suspects.entry(intent.symbol.clone()).or_default();
            suspect.orders.extend(by_client_id(&intent.client_order_id));
        }
    }
}

fn is_to_be_asked_for(seen: &Observation, policy: &Policy, intent: &OrderIntent) -> bool {
    if intent.outcome == IntentOutcome::Rejected {
        return false;
    }
    let subject = Subject::Intent(intent.client_order_id.clone());
    let misses = AbsenceMemory::misses_of(&seen.book.discrepancies, DiscrepancyKind::UnresolvedIntent, &subject);
    let age_ms = seen.asked_at.as_ms().saturating_sub(intent.created_local.as_ms());
    // The exchange forgets orders that ended without a fill: beyond that, asking again tells nothing new.
    misses.count < policy.absence_misses_min || age_ms <= policy.absence_age_max_ms
}

/// Whose turn it is among the symbols to which nothing points: those that were not looked at the longest.
pub(super) fn quiet_symbols(
    seen: &Observation,
    symbols: &[Symbol],
    policy: &Policy,
) -> Result<Vec<Symbol>, ReconcileError> {
    let again_before = seen.asked_at.saturating_add_ms(-policy.quiet_again_after_ms);
    let mut quiet: Vec<(Option<TimestampMs>, &Symbol)> = Vec::new();
    for symbol in symbols {
        let looked = looked_at(&seen.book.cursors, symbol)?;
        if looked.is_none_or(|looked| looked < again_before) {
            quiet.push((looked, symbol));
        }
    }
    quiet.sort_unstable();
    Ok(quiet.into_iter().take(policy.quiet_symbols_per_cycle).map(|(_, symbol)| symbol.clone()).collect())
}
