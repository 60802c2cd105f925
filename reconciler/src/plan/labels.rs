//! Which strategy an order belongs to, where its record does not say (case E): by its client order id, then by the bot's
//! log of entries, then by the bot's state.
//!
//! Invariants, each with a test of the same name:
//! 1. `labels_come_from_the_client_id_then_the_log_then_the_state`.
//! 2. `an_entry_that_fits_two_orders_labels_none`.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{
    AnyFact, EngineLabel, Order, OrderClass, OrderKey, PositionSide, SignalKind, Source, Statement, Symbol,
};
use serde_json::json;

use super::candidates::Candidates;
use super::orphans::can_only_close;
use super::positions::openers;
use super::restored::{Restored, has_signal, latest};
use super::{Plan, describe_order};
use crate::client_id::{Sender, sender};
use crate::discrepancy::{DiscrepancyKind, Finding, Outlook, Subject};
use crate::label::EntryEvent;
use crate::observation::Observation;
use crate::policy::Policy;

/// A strategy, with what tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Labelled {
    pub(super) engine: EngineLabel,
    pub(super) confidence: &'static str,
    why: String,
    /// Whether the bot's own files tell it: then they tell of a signal, too.
    is_from_files: bool,
}

/// What the client order id itself tells.
pub(super) fn by_client_id(order: &Order, policy: &Policy) -> Option<Labelled> {
    let Sender::Bot(label) = sender(order.client_order_id.as_ref(), &policy.schemes) else { return None };
    let why = format!("by its client order id {}", order.client_order_id.as_ref()?);
    Some(Labelled { engine: label.engine?, confidence: "known", why, is_from_files: false })
}

/// What the bot's files tell.
pub(super) struct Labels<'a> {
    observation: &'a Observation,
    policy: &'a Policy,
    openers: BTreeMap<(Symbol, PositionSide), OrderKey>,
}

impl<'a> Labels<'a> {
    pub(super) fn new(observation: &'a Observation, policy: &'a Policy) -> Self {
        Self { observation, policy, openers: openers(observation) }
    }

    /// The strategy of an order that does not say.
    pub(super) fn of(&self, order: &Order) -> Option<Labelled> {
        let somebody_elses = sender(order.client_order_id.as_ref(), &self.policy.schemes);
        if matches!(somebody_elses, Sender::Exchange(_) | Sender::Person) {
            return None;
        }
        by_client_id(order, self.policy).or_else(|| self.by_log(order)).or_else(|| self.by_state(order))
    }

    fn by_log(&self, order: &Order) -> Option<Labelled> {
        let mut fitting = self.observation.labels.events.iter().filter(|event| self.fits(event, order));
        let event = fitting.next()?;
        // Two entries that fit tell something only when they say the same.
        if fitting.any(|other| other.engine != event.engine) {
            return None;
        }
        let named = names(event, order);
        if !named && self.orders().filter(|other| self.fits(event, other)).nth(1).is_some() {
            return None;
        }
        let how = if named { "which names it" } else { "the only order that fits its symbol, side and moment" };
        let why = format!("by line {} of the log of entries, {how}", event.line);
        Some(Labelled { engine: event.engine.clone(), confidence: "estimated", why, is_from_files: true })
    }

    fn by_state(&self, order: &Order) -> Option<Labelled> {
        let opened = self.openers.iter().find(|(_, key)| **key == order.key)?;
        let mut states = self.observation.labels.states.iter();
        let state =
            states.find(|state| state.symbol == opened.0.0 && state.side.is_none_or(|side| side == order.side))?;
        let why = "by the bot's state of the position that it opened".to_owned();
        Some(Labelled { engine: state.engine.clone(), confidence: "estimated", why, is_from_files: true })
    }

    /// Whether an entry may be of this order: the same id, else the same symbol, side and moment.
    fn fits(&self, event: &EntryEvent, order: &Order) -> bool {
        if event.order_id.is_some() || event.client_order_id.is_some() {
            return names(event, order);
        }
        let (since, until) = self.policy.signal_window_around(event.time.at);
        order.key.symbol == event.symbol
            && event.side.is_none_or(|side| side == order.side)
            && order.created.or(order.updated).is_some_and(|time| (since..=until).contains(&time.at))
            && !matches!(
                sender(order.client_order_id.as_ref(), &self.policy.schemes),
                Sender::Exchange(_) | Sender::Person
            )
    }

    /// All regular orders in view, each as the latest word on it says.
    fn orders(&self) -> impl Iterator<Item = &'a Order> {
        let stated = self.observation.stated_orders().map(|row| (&row.entity.key, &row.entity));
        let booked = self.observation.book.orders.iter().map(|(key, known)| (key, &known.order.fact));
        let all: BTreeMap<&OrderKey, &Order> = stated.chain(booked).collect();
        all.into_values().filter(|order| order.key.class == OrderClass::Regular)
    }
}

fn names(event: &EntryEvent, order: &Order) -> bool {
    order.key.symbol == event.symbol
        && (event.order_id.as_ref() == Some(&order.key.order_id)
            || (event.client_order_id.is_some() && event.client_order_id == order.client_order_id))
}

pub(super) fn plan_labels(
    observation: &Observation,
    candidates: &Candidates<'_>,
    labels: &Labels<'_>,
    plan: &mut Plan,
) {
    let planned = plan.symbols.values().flat_map(|symbol| &symbol.statements);
    let planned: BTreeSet<OrderKey> = planned
        .filter_map(|statement| match &statement.fact {
            AnyFact::Order(order) if order.engine.is_some() => Some(order.key.clone()),
            _ => None,
        })
        .collect();
    let orders: Vec<&Order> = labels.orders().filter(|order| observation.is_in_scope(&order.key.symbol)).collect();
    for order in orders {
        let symbol_plan = plan.symbol(&order.key.symbol);
        let booked = observation.book.orders.get(&order.key).and_then(|known| known.order.fact.engine.as_ref());
        let is_labelled = order.engine.is_some() || booked.is_some() || planned.contains(&order.key);
        if is_labelled {
            continue;
        }
        let opens = labels.openers.values().any(|key| *key == order.key);
        let Some(label) = labels.of(order) else {
            // Somebody asked for labels, and none was found for what is open now. What a person opened has none.
            let is_somebody_elses = matches!(
                sender(order.client_order_id.as_ref(), &labels.policy.schemes),
                Sender::Exchange(_) | Sender::Person
            );
            if opens && !observation.labels.is_empty() && !is_somebody_elses {
                let evidence = format!(
                    "{} opened the position that is open now: neither its client order id, nor the log of entries, nor the \
                     bot's state tells which strategy it was",
                    describe_order(order)
                );
                symbol_plan.find(finding(order, Outlook::Stays, evidence));
            }
            continue;
        };
        let evidence =
            format!("{} has no strategy in the book: {}, {}", describe_order(order), label.engine, label.why);
        let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
        labelled.engine = Some(label.engine.clone());
        symbol_plan.statements.push(Statement {
            fact: AnyFact::Order(labelled),
            source: Source::Repair,
            payload: None,
        });
        let finding = finding(order, Outlook::Settles, evidence).with("confidence", label.confidence);
        let after = json!({ "engine": label.engine.as_str() });
        symbol_plan.repair(finding, "label_order", Some(json!({ "engine": null })), Some(after));
        let is_signalled = has_signal(observation, order) || candidates.is_wanted(&order.key);
        if label.is_from_files && !is_signalled && !can_only_close(order) {
            restore_signal(observation, order, &label, symbol_plan);
        }
    }
}

/// The bot's files tell of an entry of which the book has no signal.
fn restore_signal(observation: &Observation, order: &Order, label: &Labelled, symbol_plan: &mut super::SymbolPlan) {
    let order = latest(observation, &order.key).unwrap_or(order);
    let Some(at) = order.created.or(order.updated) else { return };
    let restored = Restored {
        order,
        at,
        kind: SignalKind::Entry,
        engine: Some(label.engine.clone()),
        reason: format!("restored {}", label.why),
        exit_reason: None,
        confidence: label.confidence,
    };
    if let Some((_, statements)) = restored.statements() {
        symbol_plan.statements.extend(statements);
    }
}

fn finding(order: &Order, outlook: Outlook, evidence: String) -> Finding {
    let subject = Subject::Order(order.key.clone());
    Finding::new(DiscrepancyKind::MissingLabel, Some(&order.key.symbol), subject, outlook, evidence)
}
