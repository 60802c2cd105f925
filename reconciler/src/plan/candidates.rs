//! Which orders may have followed which signals.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_candidate_is_unique_from_both_sides`: one order for the signal, and one signal for the order.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{ClientOrderId, Decimal, Order, OrderClass, OrderId, OrderKey, Quantity, Signal, SignalId};
use serde_json::Value;

use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::memory::{SignalMemory, recall};
use crate::observe::Observation;
use crate::policy::Policy;
use crate::record::bot_record::is_restored_id;
use crate::record::client_id::is_somebody_elses;

/// The orders that may have followed each signal.
pub(super) struct Candidates<'a> {
    of_signal: BTreeMap<&'a SignalId, Vec<&'a Order>>,
    /// How many signals each order may have followed.
    contested: BTreeMap<&'a OrderKey, usize>,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(observation: &'a Observation, policy: &Policy) -> Self {
        let mut known: BTreeMap<&OrderKey, &Order> = BTreeMap::new();
        known.extend(observation.stated_orders().map(|row| (&row.entity.key, &row.entity)));
        // The book's record where it names an owner, or is all there is: one from an export names none.
        for (key, order) in &observation.book.orders {
            let booked = &order.order.fact;
            let names_owner = booked.signal_id.is_some() || booked.engine.is_some() || booked.client_order_id.is_some();
            if names_owner || !known.contains_key(key) {
                known.insert(key, booked);
            }
        }
        let orders: Vec<&Order> = known.into_values().collect();
        let mut of_signal = BTreeMap::new();
        let mut contested: BTreeMap<&OrderKey, usize> = BTreeMap::new();
        for signal in observation.book.signals.iter().map(|signal| &signal.fact) {
            let step = observation.book.steps.get(&signal.symbol).copied();
            let free = orders.iter().copied().filter(|order| is_free(observation, order));
            let mut fitting: Vec<&Order> = free.filter(|order| fits(policy, signal, order, step)).collect();
            // A conditional order and the regular one that it became are one.
            let regular: BTreeSet<&OrderId> = fitting
                .iter()
                .filter(|order| order.key.class == OrderClass::Regular)
                .map(|order| &order.key.order_id)
                .collect();
            let became: BTreeSet<OrderKey> = fitting
                .iter()
                .filter(|order| order.triggered_order_id.as_ref().is_some_and(|id| regular.contains(id)))
                .map(|order| order.key.clone())
                .collect();
            fitting.retain(|order| !became.contains(&order.key));
            for order in &fitting {
                *contested.entry(&order.key).or_default() += 1;
            }
            of_signal.insert(&signal.signal_id, fitting);
        }
        Self { of_signal, contested }
    }

    /// The orders that may have followed a signal.
    pub(super) fn of(&self, signal: &SignalId) -> &[&'a Order] {
        self.of_signal.get(signal).map_or(&[], Vec::as_slice)
    }

    /// The only one, if no other signal may have caused it.
    pub(super) fn unique(&self, signal: &SignalId) -> Option<&'a Order> {
        let [order] = self.of(signal) else { return None };
        (self.contested.get(&order.key) == Some(&1)).then_some(*order)
    }

    /// Whether a signal may have caused this order.
    pub(super) fn is_wanted(&self, key: &OrderKey) -> bool {
        self.contested.contains_key(key)
    }

    /// Whether a signal may have caused this order, and it is not known yet that several orders or signals may be meant.
    pub(super) fn is_awaited(&self, observation: &Observation, key: &OrderKey) -> bool {
        let kind = DiscrepancyKind::AmbiguousSignal;
        let wanting = self.of_signal.iter().filter(|(_, orders)| orders.iter().any(|order| order.key == *key));
        wanting.into_iter().any(|(signal, _)| {
            let subject = Subject::Signal((*signal).clone());
            let known: Option<SignalMemory> = recall(&observation.book.discrepancies, kind, &subject);
            known.is_none_or(|known| known.candidates.is_empty())
        })
    }
}

/// Without a known owner.
pub(super) fn is_free(observation: &Observation, order: &Order) -> bool {
    if order.signal_id.as_ref().is_some_and(|id| !is_restored_id(id)) {
        return false;
    }
    let intent = order.client_order_id.as_ref().and_then(|id| observation.book.intents.get(id));
    if intent.is_some_and(|intent| intent.fact.signal_id.is_some()) {
        return false;
    }
    !is_somebody_elses(order)
}

/// `step` is the contract's quantity step: what is asked for is rounded to it when it is sent.
fn fits(policy: &Policy, signal: &Signal, order: &Order, step: Option<Decimal>) -> bool {
    let (since, until) = policy.signal_window(signal);
    let at = order.created.or(order.updated).map(|time| time.at);
    let engines_agree = match (&signal.engine, &order.engine) {
        (Some(signal), Some(order)) => signal == order,
        _ => true,
    };
    let quantities_agree = match (wanted_qty(signal), order.terms.qty) {
        (Some(wanted), Some(qty)) => {
            let is_rounding = |apart: Decimal| step.is_some_and(|step| apart.abs() < step);
            wanted == qty || wanted.get().checked_sub(qty.get()).is_ok_and(is_rounding)
        }
        _ => true,
    };
    order.key.symbol == signal.symbol
        && order.side == signal.side
        && at.is_some_and(|at| (since..=until).contains(&at))
        && engines_agree
        && quantities_agree
}

/// A value of the signal's own notes, as text; numbers as they are written.
fn note(signal: &Signal, names: &[&str]) -> Option<String> {
    let meta: BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(signal.meta_json.as_ref()?).ok()?;
    let raw = names.iter().find_map(|name| meta.get(*name))?.get();
    match serde_json::from_str::<Value>(raw).ok()? {
        Value::String(text) => Some(text),
        Value::Number(_) => Some(raw.trim().to_owned()),
        _ => None,
    }
}

/// The quantity that a signal asks for, where the bot noted it.
fn wanted_qty(signal: &Signal) -> Option<Quantity> {
    note(signal, &["qty", "quantity", "amount"])?.parse().ok()
}

/// The client order id that a signal's order was sent with, where the bot noted it.
pub(super) fn noted_client_id(signal: &Signal) -> Option<ClientOrderId> {
    ClientOrderId::new(note(signal, &["client_order_id", "clientOrderId"])?).ok()
}

/// The order's id at the exchange, where the bot noted it.
pub(super) fn noted_order_id(signal: &Signal) -> Option<OrderId> {
    OrderId::new(note(signal, &["order_id", "orderId"])?).ok()
}
