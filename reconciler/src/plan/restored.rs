//! Records that fillbook restores because the bot's own are missing: the signal behind an order, and why an order closed
//! its position.

use std::collections::BTreeMap;

use ledger_core::{
    AnyFact, EngineLabel, EventTime, ExitReason, IntentRole, Label, Order, OrderClass, OrderKey, Signal, SignalId,
    SignalKind, Source, Statement, Symbol,
};
use serde_json::json;

use super::orphans::can_only_close;
use crate::client_id::{Sender, sender};
use crate::observation::Observation;
use crate::policy::Policy;

/// How the ids of restored signals begin. It sorts below every letter and digit: where the bot's own record turns up
/// later and is linked by inference too, that link is the one that stays.
const PREFIX: &str = ".restored:";

/// Whether a signal's id is one that was made here.
pub(super) fn is_restored_id(id: &SignalId) -> bool {
    id.as_str().starts_with(PREFIX)
}

/// The same order always gives the same signal.
fn restored_id(key: &OrderKey) -> Option<SignalId> {
    SignalId::new(format!("{PREFIX}{}:{}", key.symbol, key.order_id)).ok()
}

/// What a restored signal says.
pub(super) struct Restored<'a> {
    pub(super) order: &'a Order,
    pub(super) at: EventTime,
    pub(super) kind: SignalKind,
    pub(super) engine: Option<EngineLabel>,
    pub(super) reason: String,
    pub(super) exit_reason: Option<ExitReason>,
    pub(super) confidence: &'static str,
}

impl Restored<'_> {
    /// The signal, and the order that names it.
    pub(super) fn statements(&self) -> Option<(SignalId, [Statement; 2])> {
        let signal_id = restored_id(&self.order.key)?;
        let meta = json!({ "order_id": self.order.key.order_id.as_str(), "confidence": self.confidence });
        let signal = Signal {
            signal_id: signal_id.clone(),
            time: self.at,
            skew_ms: None,
            symbol: self.order.key.symbol.clone(),
            side: self.order.side,
            kind: self.kind,
            engine: self.engine.clone(),
            reason: Label::new(self.reason.chars().take(80).collect::<String>()).ok(),
            skipped: None,
            meta_json: Some(meta.to_string()),
            restored: true,
        };
        let mut labelled = Order::known_from_fill(self.order.key.clone(), self.order.side, self.order.position_side);
        labelled.signal_id = Some(signal_id.clone());
        labelled.engine.clone_from(&self.engine);
        labelled.exit_reason = self.exit_reason;
        let facts = [AnyFact::Signal(signal), AnyFact::Order(labelled)];
        Some((signal_id, facts.map(|fact| Statement { fact, source: Source::Repair, payload: None })))
    }
}

/// The latest that is known of an order: what the exchange says, else what the book has.
pub(super) fn latest<'a>(observation: &'a Observation, key: &OrderKey) -> Option<&'a Order> {
    let stated = observation.stated_orders().map(|row| &row.entity).filter(|order| order.key == *key);
    stated
        .max_by_key(|order| order.updated.map(|time| time.at))
        .or_else(|| observation.book.orders.get(key).map(|known| &known.order.fact))
}

/// The same for every order of a symbol.
pub(super) fn latest_of_symbol<'a>(observation: &'a Observation, symbol: &Symbol) -> BTreeMap<&'a OrderKey, &'a Order> {
    let booked = observation.book.orders.iter().map(|(key, known)| (key, &known.order.fact));
    let mut latest: BTreeMap<&OrderKey, &Order> = booked.filter(|(key, _)| key.symbol == *symbol).collect();
    let mut stated: Vec<&Order> = observation.stated_orders().map(|row| &row.entity).collect();
    stated.retain(|order| order.key.symbol == *symbol);
    stated.sort_by_key(|order| order.updated.map(|time| time.at));
    latest.extend(stated.into_iter().map(|order| (&order.key, order)));
    latest
}

/// Whether the book, or what the bot wrote down, tells the signal behind an order already.
pub(super) fn has_signal(observation: &Observation, order: &Order) -> bool {
    let booked = observation.book.orders.get(&order.key).map(|known| &known.order.fact);
    let intent = order.client_order_id.as_ref().and_then(|id| observation.book.intents.get(id));
    order.signal_id.is_some()
        || booked.is_some_and(|booked| booked.signal_id.is_some())
        || intent.is_some_and(|intent| intent.fact.signal_id.is_some())
}

/// Why an order closed its position, and what tells.
pub(super) fn exit_reason(observation: &Observation, policy: &Policy, order: &Order) -> (ExitReason, &'static str) {
    let sent = sender(order.client_order_id.as_ref(), &policy.schemes);
    if let Sender::Exchange(reason) = sent {
        return (reason, "by the client order id that the exchange gave it");
    }
    let forced = observation.force_orders.iter().flat_map(|walk| &walk.rows).map(|row| &row.entity);
    let forced = forced.filter(|forced| forced.key == order.key).find_map(|forced| forced.exit_reason);
    if let Some(reason) = forced {
        return (reason, "the exchange lists it among the orders that it forced");
    }
    let booked = observation.book.orders.get(&order.key).and_then(|known| known.order.fact.exit_reason);
    if let Some(reason) = order.exit_reason.or(booked) {
        return (reason, "as its sender said");
    }
    let intent = order.client_order_id.as_ref().and_then(|id| observation.book.intents.get(id));
    match intent.map(|intent| intent.fact.role) {
        Some(IntentRole::TakeProfit) => return (ExitReason::TakeProfit, "sent as a take-profit"),
        Some(IntentRole::StopLoss) => return (ExitReason::StopLoss, "sent as a stop-loss"),
        Some(IntentRole::Exit) => return (ExitReason::AutoExit, "sent as an exit by the bot"),
        Some(IntentRole::Entry | IntentRole::Dca) | None => {}
    }
    if let Some(reason) = by_type(order).or_else(|| came_of(observation, order).and_then(by_type)) {
        return (reason, "by the type of the conditional order that triggered");
    }
    let is_reducing = can_only_close(order);
    match sent {
        Sender::Bot(label) => match label.role {
            Some(IntentRole::TakeProfit) => (ExitReason::TakeProfit, "by its client order id"),
            Some(IntentRole::StopLoss) => (ExitReason::StopLoss, "by its client order id"),
            Some(IntentRole::Exit) => (ExitReason::AutoExit, "by its client order id"),
            Some(IntentRole::Entry | IntentRole::Dca) | None if is_reducing => {
                (ExitReason::AutoExit, "it can only close, by the bot's client order id")
            }
            Some(IntentRole::Entry | IntentRole::Dca) | None => {
                (ExitReason::Unknown, "the bot's, for a reason of its own")
            }
        },
        Sender::Person => (ExitReason::ManualClose, "by the client order id of the exchange's own apps"),
        // Every program gives its orders an id of its own; a hand does not. An order known only from its fills has none
        // because nobody asked.
        Sender::Unknown if order.client_order_id.is_none() && is_stated(observation, &order.key) => {
            (ExitReason::ManualClose, "it has no client order id")
        }
        Sender::Unknown if intent.is_some() && is_reducing => (ExitReason::AutoExit, "it can only close, by the bot"),
        Sender::Unknown | Sender::Exchange(_) => (ExitReason::Unknown, "nothing tells who sent it"),
    }
}

/// Whether the exchange itself told of the order in this look.
fn is_stated(observation: &Observation, key: &OrderKey) -> bool {
    observation.stated_orders().any(|row| row.entity.key == *key)
}

fn by_type(order: &Order) -> Option<ExitReason> {
    let name = order.order_type.as_ref()?.as_str();
    if name.starts_with("TAKE_PROFIT") {
        Some(ExitReason::TakeProfit)
    } else if name.starts_with("STOP") || name == "TRAILING_STOP_MARKET" {
        Some(ExitReason::StopLoss)
    } else {
        None
    }
}

/// The conditional order that became this one.
fn came_of<'a>(observation: &'a Observation, order: &Order) -> Option<&'a Order> {
    let stated = observation.stated_orders().map(|row| &row.entity);
    let booked = observation.book.orders.values().map(|known| &known.order.fact);
    stated.chain(booked).find(|conditional| {
        conditional.key.class == OrderClass::Conditional
            && conditional.key.symbol == order.key.symbol
            && conditional.triggered_order_id.as_ref() == Some(&order.key.order_id)
    })
}
