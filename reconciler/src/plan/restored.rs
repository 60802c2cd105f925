//! Records that fillbook restores because the bot's own are missing: the signal behind an order, and why an order closed
//! its position.

use std::collections::BTreeMap;

use ledger_core::{
    AnyFact, BotOrder, EngineLabel, EventTime, ExitReason, IntentWords, Label, Order, OrderContext, OrderKey,
    OrderWords, Signal, SignalId, SignalKind, Source, Sourced, Statement, Symbol, conditionals_of, merge,
};
use ledger_store::DiscrepancyKey;
use serde_json::json;

use super::SymbolPlan;
use super::labels::{ToldLabel, labelling};
use crate::observe::Observation;
use crate::policy::Policy;
use crate::record::bot_record::restored_id;
use crate::record::client_id::bot_label;
use crate::repair::{PlannedRepair, RepairKind};
use crate::wording::describe_order;

/// What a restored signal says.
pub(super) struct RestoredSignal<'a> {
    pub(super) order: &'a Order,
    pub(super) at: EventTime,
    pub(super) kind: SignalKind,
    pub(super) label: Option<ToldLabel>,
    pub(super) reason: String,
    pub(super) exit_reason: Option<ExitReason>,
    pub(super) confidence: &'static str,
}

impl RestoredSignal<'_> {
    pub(super) fn engine(&self) -> Option<&EngineLabel> {
        self.label.as_ref().map(|label| &label.engine)
    }

    /// The signal, the order that names it, and the label of both.
    pub(super) fn statements(&self) -> Option<(SignalId, Vec<Statement>)> {
        let signal_id = restored_id(&self.order.key)?;
        let signal = Signal {
            signal_id: signal_id.clone(),
            time: self.at,
            skew_ms: None,
            symbol: self.order.key.symbol.clone(),
            side: self.order.side,
            kind: self.kind,
            engine: self.engine().cloned(),
            reason: reason(&self.reason),
            skipped: None,
            meta_json: Some(meta(self.order, self.confidence)),
            restored: true,
        };
        let mut named = Order::known_from_fill(self.order.key.clone(), self.order.side, self.order.position_side);
        named.signal_id = Some(signal_id.clone());
        named.exit_reason = self.exit_reason;
        // Who told the label is what it is worth; that this signal was behind this order is fillbook's own conclusion.
        let source = self.label.as_ref().map_or(Source::Repair, |label| label.source);
        let mut statements = vec![
            Statement { fact: AnyFact::Signal(signal), source, payload: None },
            Statement { fact: AnyFact::Order(named), source: Source::Repair, payload: None },
        ];
        statements.extend(self.label.as_ref().map(|label| labelling(self.order, label)));
        Some((signal_id, statements))
    }
}

/// Records a restored signal, and journals it as an answer to the discrepancy.
pub(super) fn note(restored: &RestoredSignal<'_>, answers: Option<DiscrepancyKey>, symbol_plan: &mut SymbolPlan) {
    let Some((signal_id, statements)) = restored.statements() else { return };
    symbol_plan.statements.extend(statements);
    let order = describe_order(restored.order);
    let cause = format!("{order} has no signal in the book: {} signal {}", restored.kind, restored.reason);
    let told_by = restored.label.as_ref().map(|label| label.source.as_str());
    symbol_plan.repairs.push(PlannedRepair {
        symbol: Some(restored.order.key.symbol.clone()),
        kind: RepairKind::RestoreSignal,
        discrepancy: answers,
        evidence_json: json!({ "evidence": cause, "confidence": restored.confidence, "told_by": told_by }).to_string(),
        cause,
        before: None,
        after: Some(json!({
                "signal_id": signal_id.as_str(), "kind": restored.kind.as_str(), "restored": true,
                "order_id": restored.order.key.order_id.as_str(),
                "engine": restored.engine().map(EngineLabel::as_str),
                "exit_reason": restored.exit_reason.map(ExitReason::as_str),
        })),
    });
}

/// A signal's reason, as long as reasons may be.
pub(super) fn reason(text: &str) -> Option<Label> {
    Label::new(text.chars().take(80).collect::<String>()).ok()
}

/// What a restored signal notes.
pub(super) fn meta(order: &Order, confidence: &str) -> String {
    json!({ "order_id": order.key.order_id.as_str(), "confidence": confidence }).to_string()
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

/// Whether the book, or what the bot wrote down, tells the signal behind an order already: behind itself, or behind the
/// conditional order that became it.
pub(super) fn has_signal(observation: &Observation, order: &Order) -> bool {
    let names = |order: &Order| {
        let booked = observation.book.orders.get(&order.key).map(|known| &known.order.fact);
        let intent = order.client_order_id.as_ref().and_then(|id| observation.book.intents.get(id));
        order.signal_id.is_some()
            || booked.is_some_and(|booked| booked.signal_id.is_some())
            || intent.is_some_and(|intent| intent.fact.signal_id.is_some())
    };
    names(order) || came_of(observation, order).into_iter().any(names)
}

/// When an order was decided on, by what the exchange says alone: what others say of its time is told to the second at
/// times, and which of them was heard first must not matter.
pub(super) fn decided_at(observation: &Observation, order: &Order, first_fill: EventTime) -> EventTime {
    let is_stated = observation.stated_orders().any(|row| row.entity.key == order.key)
        || observation.book.orders.get(&order.key).is_some_and(|known| known.order.provenance.of("ts") == Source::Rest);
    order.created.filter(|_| is_stated).unwrap_or(first_fill)
}

/// Why an order closed its position, what tells, and whether that is no more than an inference.
pub(super) struct Exit {
    pub(super) reason: ExitReason,
    pub(super) why: &'static str,
    pub(super) is_inferred: bool,
}

impl Exit {
    /// The signal behind it. The exchange's own doing, or nobody knows whose: no strategy and no hand decided.
    pub(super) fn signal_kind(&self) -> Option<SignalKind> {
        match self.reason {
            ExitReason::TakeProfit | ExitReason::StopLoss | ExitReason::AutoExit => Some(SignalKind::AutoExit),
            ExitReason::ManualClose => Some(SignalKind::ManualClose),
            ExitReason::Forced
            | ExitReason::Liquidation
            | ExitReason::Adl
            | ExitReason::Settlement
            | ExitReason::Unknown => None,
        }
    }
}

/// Why an order closed its position.
pub(super) fn exit(observation: &Observation, policy: &Policy, order: &Order) -> Exit {
    let context = order_context(observation, policy, order);
    if let Some((reason, evidence)) = context.exit() {
        return Exit { reason, why: evidence.words(), is_inferred: false };
    }
    // Every program gives its orders an id of its own; a hand does not. An order known only from its fills has none
    // because nobody asked.
    if context.origin.is_none() && is_told(observation, &order.key) {
        return Exit { reason: ExitReason::ManualClose, why: "it has no client order id", is_inferred: true };
    }
    Exit { reason: ExitReason::Unknown, why: "nothing tells who sent it", is_inferred: false }
}

/// What is known of an order, as the fold will know it once this look is recorded, and what the bot's schemes make of it.
fn order_context(observation: &Observation, policy: &Policy, order: &Order) -> OrderContext {
    let own = with_record(observation, order);
    let waited: Vec<OrderWords> = came_of(observation, &own.fact)
        .into_iter()
        .map(|order| OrderWords::of(&with_record(observation, order)))
        .collect();
    let label = bot_label(&own.fact, &policy.schemes);
    let words = OrderWords::joined(Some(OrderWords::of(&own)), &waited);
    let intent = words.client_order_id.as_ref().and_then(|id| observation.book.intents.get(id));
    let intent = intent.map(|intent| IntentWords { engine: intent.fact.engine.clone(), role: intent.fact.role });
    let can_only_close = words.can_only_close;
    let mut context = words.context(intent.as_ref(), None);
    if let Some(label) = label {
        context.bot = Some(BotOrder { role: label.role, can_only_close });
    }
    context
}

/// An order as the exchange states it in this look, merged with the book's record.
fn with_record(observation: &Observation, order: &Order) -> Sourced<Order> {
    let stated = observation.stated_orders().map(|row| &row.entity).filter(|stated| stated.key == order.key);
    let stated = stated.map(|stated| Sourced::new(stated.clone().stated_by(Source::Rest), Source::Rest));
    let booked = observation.book.orders.get(&order.key).map(|known| known.order.clone());
    let all = booked.into_iter().chain(stated).reduce(|known, next| merge(&known, &next).0);
    all.unwrap_or_else(|| Sourced::new(order.clone(), Source::Rest))
}

/// Whether the exchange itself told of the order, in this look or an earlier one.
fn is_told(observation: &Observation, key: &OrderKey) -> bool {
    let booked = observation.book.orders.get(key);
    observation.stated_orders().any(|row| row.entity.key == *key)
        || booked.is_some_and(|known| known.order.provenance.of("status") == Source::Rest)
}

/// The conditional orders that became this one.
fn came_of<'a>(observation: &'a Observation, order: &Order) -> Vec<&'a Order> {
    let stated = observation.stated_orders().map(|row| &row.entity);
    let booked = observation.book.orders.values().map(|known| &known.order.fact);
    conditionals_of(&order.key, order.client_order_id.as_ref(), stated.chain(booked))
}
