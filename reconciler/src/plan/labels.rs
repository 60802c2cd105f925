//! Which strategy an order belongs to, where its record does not say (case E): by its client order id, then by the bot's
//! log of entries, then by the bot's state.
//!
//! What the bot itself wrote on this very order is a statement and applied at once: its client order id, and a line of
//! its log that names the order. A line that fits by symbol, side and moment, and a state that speaks of a position and
//! not of an order, are inferences: they wait for a second look. Who told is kept with the label, as its source, so that
//! a better word replaces a worse one and never the other way round.
//!
//! Invariants, each with a test of the same name:
//! 1. `labels_come_from_the_client_id_then_the_log_then_the_state`.
//! 2. `an_entry_that_fits_two_orders_labels_none`.
//! 3. `an_inferred_label_waits_for_a_second_look`.
//! 4. `a_better_label_replaces_a_worse_one_and_no_other`.
//! 5. `an_order_that_an_export_told_first_is_labelled_all_the_same`.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{
    AnyFact, EngineLabel, Order, OrderClass, OrderKey, PositionSide, Signal, SignalKind, Source, Statement, Symbol,
    TimestampMs,
};
use serde_json::json;

use super::candidates::Candidates;
use super::positions::{RecordContext, openers};
use super::restored::{RestoredSignal, has_signal, latest, meta, reason};
use super::{Plan, SymbolPlan};
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::label::EntryEvent;
use crate::memory::{InferredLabel, LabelMemory, recall};
use crate::observe::Observation;
use crate::policy::Policy;
use crate::record::client_id::{bot_label, is_somebody_elses};
use crate::repair::RepairKind;
use crate::wording::describe_order;

/// How the reason of a signal begins that was restored because a file tells of it.
const RESTORED_BY: &str = "restored by ";

/// A strategy, with what tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToldLabel {
    pub(super) engine: EngineLabel,
    /// Who tells it, which is how much it is worth.
    pub(super) source: Source,
    why: String,
    /// Until when what it rests on may still change; `None` when it is the bot's own word on this order.
    inferred_until: Option<TimestampMs>,
}

impl ToldLabel {
    /// Whether the bot itself wrote it on this order.
    pub(super) fn is_statement(&self) -> bool {
        self.inferred_until.is_none()
    }

    pub(super) fn confidence(&self) -> &'static str {
        if self.is_statement() { "known" } else { "estimated" }
    }

    /// Whether the bot's own files tell it: then they tell of a signal, too.
    fn is_from_files(&self) -> bool {
        matches!(self.source, Source::BotLog | Source::BotState)
    }
}

/// What the client order id itself tells.
pub(super) fn by_client_id(order: &Order, policy: &Policy) -> Option<ToldLabel> {
    let label = bot_label(order, &policy.schemes)?;
    let why = format!("by its client order id {}", order.client_order_id.as_ref()?);
    Some(ToldLabel { engine: label.engine?, source: Source::ClientOrderId, why, inferred_until: None })
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

    /// The strategy of an order that does not say, by the best that tells.
    pub(super) fn of(&self, order: &Order) -> Option<ToldLabel> {
        if is_somebody_elses(order) {
            return None;
        }
        by_client_id(order, self.policy).or_else(|| self.by_log(order)).or_else(|| self.by_state(order))
    }

    fn by_log(&self, order: &Order) -> Option<ToldLabel> {
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
        // Until its window is over and everything of it is listed, another order may come that fits as well.
        let (_, until) = self.policy.signal_window_around(event.time.at);
        let inferred_until = (!named).then(|| until.saturating_add_ms(self.observation.venue.settle_lag_ms));
        Some(ToldLabel { engine: event.engine.clone(), source: Source::BotLog, why, inferred_until })
    }

    fn by_state(&self, order: &Order) -> Option<ToldLabel> {
        let opened = self.openers.iter().find(|(_, key)| **key == order.key)?;
        let mut states = self.observation.labels.states.iter();
        let state =
            states.find(|state| state.symbol == opened.0.0 && state.side.is_none_or(|side| side == order.side))?;
        let why = "by the bot's state of the position that it opened".to_owned();
        let engine = state.engine.clone();
        Some(ToldLabel { engine, source: Source::BotState, why, inferred_until: Some(TimestampMs::MIN) })
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
            && !is_somebody_elses(order)
    }

    /// All regular orders in view, each as the latest word on it says. An export knows no client order ids: where the book's
    /// record comes from one, the exchange's word says more.
    fn orders(&self) -> impl Iterator<Item = &'a Order> {
        let mut all: BTreeMap<&OrderKey, &Order> =
            self.observation.stated_orders().map(|row| (&row.entity.key, &row.entity)).collect();
        for (key, known) in &self.observation.book.orders {
            let booked = &known.order.fact;
            let says_less = |stated: &&Order| booked.client_order_id.is_none() && stated.client_order_id.is_some();
            if !all.get(key).is_some_and(says_less) {
                all.insert(key, booked);
            }
        }
        all.into_values().filter(|order| order.key.class == OrderClass::Regular)
    }

    /// The label on record, with who told it.
    fn on_record(&self, order: &Order) -> Option<(EngineLabel, Source)> {
        let booked = self.observation.book.orders.get(&order.key);
        let booked =
            booked.and_then(|known| Some((known.order.fact.engine.clone()?, known.order.provenance.of("engine"))));
        booked.or_else(|| Some((order.engine.clone()?, Source::Rest)))
    }
}

fn names(event: &EntryEvent, order: &Order) -> bool {
    order.key.symbol == event.symbol
        && (event.order_id.as_ref() == Some(&order.key.order_id)
            || (event.client_order_id.is_some() && event.client_order_id == order.client_order_id))
}

/// Whether a label by `offered` may stand where one by `known` stands. What the bot recorded itself is nobody's to
/// replace; what came over from a signal that was linked gives way to the order's own id alone.
fn is_better(offered: Source, known: Source) -> bool {
    known.is_inferred() && offered > known && (known != Source::Repair || offered == Source::ClientOrderId)
}

/// `planned` tells which orders have a label by now, and which signals are restored.
pub(super) fn plan_labels(
    context: &RecordContext<'_>,
    now: TimestampMs,
    planned: &Plan,
    is_wanted: impl Fn(&Order) -> bool,
) -> Plan {
    let RecordContext { observation, candidates, labels, .. } = *context;
    let mut plan = Plan::default();
    let statements = planned.symbols.values().flat_map(|symbol| &symbol.statements);
    let labelled: BTreeSet<&OrderKey> = statements
        .filter_map(|statement| match &statement.fact {
            AnyFact::Order(order) if order.engine.is_some() => Some(&order.key),
            _ => None,
        })
        .collect();
    let in_scope = labels.orders().filter(|order| observation.is_in_scope(&order.key.symbol));
    for order in in_scope.filter(|order| is_wanted(order)) {
        if labelled.contains(&order.key) {
            continue;
        }
        let known = labels.on_record(order);
        let planned = planned.statements_of(&order.key.symbol);
        let symbol_plan = plan.symbol(&order.key.symbol);
        let mut plan_label = |label: &ToldLabel, known| {
            plan_label((observation, candidates), order, (label, known), now, planned, symbol_plan);
        };
        match (labels.of(order), &known) {
            (None, None) => plan_unlabelled(observation, labels, order, symbol_plan),
            (Some(label), None) => plan_label(&label, None),
            (Some(label), Some((engine, source))) if label.engine != *engine && is_better(label.source, *source) => {
                plan_label(&label, Some((engine, *source)));
            }
            (_, Some(_)) => {}
        }
    }
    plan
}

/// Somebody asked for labels, and none was found for what is open now. What a person opened has none.
fn plan_unlabelled(observation: &Observation, labels: &Labels<'_>, order: &Order, symbol_plan: &mut SymbolPlan) {
    let opens = labels.openers.values().any(|key| *key == order.key);
    if opens && !observation.labels.is_empty() && !is_somebody_elses(order) {
        let evidence = format!(
            "{} opened the position that is open now: neither its client order id, nor the log of entries, nor the \
             bot's state tells which strategy it was",
            describe_order(order)
        );
        symbol_plan.find(finding(order, Outlook::Stays, evidence).remembering(memory_of(order, None)));
    }
}

fn plan_label(
    (observation, candidates): (&Observation, &Candidates<'_>),
    order: &Order,
    (label, known): (&ToldLabel, Option<(&EngineLabel, Source)>),
    now: TimestampMs,
    planned: &[Statement],
    symbol_plan: &mut SymbolPlan,
) {
    let subject = Subject::Order(order.key.clone());
    let on_record = &observation.book.discrepancies;
    let said: Option<LabelMemory> = recall(on_record, DiscrepancyKind::MissingLabel, &subject);
    let is_it = |said: &InferredLabel| said.engine == label.engine && said.told_by == label.source;
    let same = said.and_then(|said| said.inferred).filter(is_it);
    let is_same = same.is_some();
    let since = same.map_or(now, |same| same.since);
    let lag_ms = observation.venue.settle_lag_ms;
    let is_confirmed = match label.inferred_until {
        None => true,
        Some(until) => is_same && now > until && now.as_ms().saturating_sub(since.as_ms()) >= lag_ms,
    };
    let has = known.map_or_else(
        || "has no strategy in the book".to_owned(),
        |(engine, source)| format!("is {engine}'s in the book, by {source}"),
    );
    let waits = if is_confirmed { "" } else { ", which waits for a second look" };
    let evidence = format!("{} {has}: {}, {}{waits}", describe_order(order), label.engine, label.why);
    let outlook = if is_confirmed { Outlook::Settles } else { Outlook::Waits };
    let finding = finding(order, outlook, evidence)
        .with("engine", label.engine.as_str())
        .with("told_by", label.source.as_str())
        .with("confidence", label.confidence());
    if !is_confirmed {
        let inferred = Some(InferredLabel { engine: label.engine.clone(), told_by: label.source, since });
        symbol_plan.find(finding.remembering(memory_of(order, inferred)));
        return;
    }
    symbol_plan.statements.push(labelling(order, label));
    let before = json!({
        "engine": known.map(|(engine, _)| engine.as_str()), "told_by": known.map(|(_, source)| source.as_str()),
    });
    let after = json!({ "engine": label.engine.as_str(), "told_by": label.source.as_str() });
    symbol_plan.repair(finding, RepairKind::LabelOrder, Some(before), Some(after));
    if let Some(signal) = restored_signal(observation, order) {
        let fact = AnyFact::Signal(relabelled(signal, order, label));
        symbol_plan.statements.push(Statement { fact, source: label.source, payload: None });
    }
    let is_signalled = has_signal(observation, order) || candidates.is_wanted(&order.key);
    if label.is_from_files() && !is_signalled && !order.can_only_close() {
        restore_signal(observation, order, label, planned, symbol_plan);
    }
}

/// The label, written on its order.
pub(super) fn labelling(order: &Order, label: &ToldLabel) -> Statement {
    let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
    labelled.engine = Some(label.engine.clone());
    Statement { fact: AnyFact::Order(labelled), source: label.source, payload: None }
}

/// The signal that was restored for an order earlier.
fn restored_signal<'a>(observation: &'a Observation, order: &Order) -> Option<&'a Signal> {
    let booked = observation.book.orders.get(&order.key).map(|known| &known.order.fact);
    let id = booked.and_then(|booked| booked.signal_id.as_ref())?;
    observation.book.restored_signals.get(id).map(|known| &known.fact)
}

/// The same signal by the same strategy as its order.
fn relabelled(signal: &Signal, order: &Order, label: &ToldLabel) -> Signal {
    let mut signal = Signal { engine: Some(label.engine.clone()), ..signal.clone() };
    // What it said of its own label is no longer so.
    if signal.reason.as_ref().is_some_and(|reason| reason.as_str().starts_with(RESTORED_BY)) {
        signal.reason = reason(&format!("restored {}", label.why));
    }
    if signal.kind == SignalKind::Entry {
        signal.meta_json = Some(meta(order, label.confidence()));
    }
    signal
}

/// The bot's files tell of an entry of which the book has no signal.
fn restore_signal(
    observation: &Observation,
    order: &Order,
    label: &ToldLabel,
    planned: &[Statement],
    symbol_plan: &mut SymbolPlan,
) {
    let order = latest(observation, &order.key).unwrap_or(order);
    let Some(at) = order.created.or(order.updated) else { return };
    let restored = RestoredSignal {
        order,
        at,
        kind: SignalKind::Entry,
        reason: format!("restored {}", label.why),
        label: Some(label.clone()),
        exit_reason: None,
        confidence: label.confidence(),
    };
    if let Some((_, statements)) = restored.statements() {
        let is_planned = |said: &Statement| planned.contains(said) || symbol_plan.statements.contains(said);
        let news: Vec<_> = statements.into_iter().filter(|said| !is_planned(said)).collect();
        symbol_plan.statements.extend(news);
    }
}

fn memory_of(order: &Order, inferred: Option<InferredLabel>) -> LabelMemory {
    LabelMemory { class: order.key.class, order_id: order.key.order_id.clone(), inferred }
}

fn finding(order: &Order, outlook: Outlook, evidence: String) -> Finding {
    let subject = Subject::Order(order.key.clone());
    Finding::new(DiscrepancyKind::MissingLabel, Some(&order.key.symbol), subject, outlook, evidence)
}
