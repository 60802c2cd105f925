//! Signals of which no order is known (case A): by what the bot noted, else by inference, else as a question.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_inference_waits_for_a_second_look`.
//! 2. `an_ambiguous_signal_lists_its_candidates`, and nothing is linked.
//! 3. `a_signal_that_was_never_sent_says_so`, unless any order or trade since could be its.
//! 4. `a_rejected_order_ends_its_signal`.
//! 5. `an_order_is_not_linked_before_its_window_is_over`.
//! 6. `never_sent_gives_way_to_an_order_that_turns_up`.

use std::collections::BTreeSet;

use ledger_core::{
    AnyFact, ExitReason, IntentOutcome, Label, Order, OrderClass, OrderIntent, OrderKey, Signal, Source, Statement,
    TimestampMs,
};
use serde_json::json;

use super::Plan;
use super::candidates::{Candidates, noted_client_id, noted_order_id};
use super::intents::{Absence, could_be_it, order_of};
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::memory::doubt::Claim;
use crate::memory::{Misses, SignalMemory, recall};
use crate::observe::Observation;
use crate::policy::Policy;
use crate::record::bot_record::is_concluded;
use crate::record::words::PlacedWord;
use crate::repair::RepairKind;
use crate::wording::describe_order;

pub(super) fn plan_signals(
    observation: &Observation,
    policy: &Policy,
    candidates: &Candidates<'_>,
    now: TimestampMs,
) -> Plan {
    let mut plan = Plan::default();
    let words = observation.book.words.iter().filter(|word| observation.is_in_scope(&word.signal.symbol));
    for word in words.clone() {
        place(&mut plan, word);
    }
    let placed: BTreeSet<_> = words.map(|word| &word.signal.signal_id).collect();
    let waiting = observation.book.signals.iter().filter(|known| !placed.contains(&known.fact.signal_id));
    for known in waiting.filter(|known| observation.is_in_scope(&known.fact.symbol)) {
        if is_concluded(known) {
            plan_concluded(observation, policy, candidates, &known.fact, now, &mut plan);
        } else {
            plan_signal(observation, policy, candidates, &known.fact, now, &mut plan);
        }
    }
    plan
}

/// What recording made placeable: the bot's words on closed trades, put on their orders.
pub(crate) fn plan_words(words: &[PlacedWord]) -> Plan {
    let mut plan = Plan::default();
    for word in words {
        place(&mut plan, word);
    }
    plan
}

/// Puts what the bot said of a closed trade on the order that closed it.
fn place(plan: &mut Plan, word: &PlacedWord) {
    let PlacedWord { signal, order, statements } = word;
    let symbol_plan = plan.symbol(&signal.symbol);
    let state = |(fact, source)| Statement { fact, source, payload: None };
    symbol_plan.statements.extend(statements.iter().cloned().map(state));
    let evidence = format!("{}: {} closed the trade that it is about", describe(signal), describe_order(order));
    let finding = finding(signal, Outlook::Settles, evidence).with("confidence", "known");
    let before = json!({ "order_id": null, "exit_reason": order.exit_reason.map(ExitReason::as_str) });
    let after = json!({
        "order_id": order.key.order_id.as_str(), "exit_reason": signal.reason.as_ref().map(Label::as_str),
    });
    symbol_plan.repair(finding, RepairKind::LinkSignal, Some(before), Some(after));
}

/// An order that names the signal, that it names, or that was sent for it takes the conclusion back at once; one that only
/// fits does after a second look.
fn plan_concluded(
    observation: &Observation,
    policy: &Policy,
    candidates: &Candidates<'_>,
    signal: &Signal,
    now: TimestampMs,
    plan: &mut Plan,
) {
    let named = |order: &&Order| order.signal_id.as_ref() == Some(&signal.signal_id);
    let booked = observation.book.orders.values().map(|known| &known.order.fact);
    let sent = observation.book.intents.values().map(|intent| &intent.fact);
    let mut sent = sent.filter(|intent| intent.signal_id.as_ref() == Some(&signal.signal_id)).peekable();
    let has_sent = sent.peek().is_some();
    if let Some(order) = booked.into_iter().find(named) {
        take_back(plan, signal, order, "which names it");
    } else if let Some(order) = sent.find_map(|intent| order_of(observation, intent)) {
        take_back(plan, signal, order, "which was sent for it");
    } else if let Some(order) = noted(observation, signal) {
        link(plan, signal, order, "the signal itself names it", "known", Source::Bot);
        take_back(plan, signal, order, "which the signal itself names");
    } else if !has_sent && let Some(order) = infer_order(observation, policy, candidates, signal, now, plan) {
        take_back(plan, signal, order, "the only one that fits");
    }
}

fn take_back(plan: &mut Plan, signal: &Signal, order: &Order, why: &str) {
    let mut sent = signal.clone();
    sent.skipped = Label::new(Signal::SENT_AFTER_ALL).ok();
    let symbol_plan = plan.symbol(&signal.symbol);
    symbol_plan.statements.push(Statement { fact: AnyFact::Signal(sent), source: Source::Repair, payload: None });
    let said = signal.skip_reason().map(Label::as_str);
    let evidence = format!(
        "{}: taken for {} until its order turned up: {}, {why}",
        describe(signal),
        said.unwrap_or("not sent"),
        describe_order(order)
    );
    let finding = finding(signal, Outlook::Settles, evidence);
    let before = json!({ "skipped": said, "order_id": null });
    let after = json!({ "skipped": null, "order_id": order.key.order_id.as_str() });
    symbol_plan.repair(finding, RepairKind::SignalSentAfterAll, Some(before), Some(after));
}

fn plan_signal(
    observation: &Observation,
    policy: &Policy,
    candidates: &Candidates<'_>,
    signal: &Signal,
    now: TimestampMs,
    plan: &mut Plan,
) {
    let intents = observation.book.intents.values().map(|intent| &intent.fact);
    let mut intents = intents.filter(|intent| intent.signal_id.as_ref() == Some(&signal.signal_id)).peekable();
    if intents.peek().is_some() {
        plan_sent(observation, policy, (signal, &intents.collect::<Vec<_>>()), now, plan);
    } else if let Some(order) = noted(observation, signal) {
        link(plan, signal, order, "the signal itself names it", "known", Source::Bot);
    } else {
        infer(observation, policy, candidates, signal, now, plan);
    }
}

/// What the bot wrote down before sending tells the order; until it is found, that is the discrepancy.
fn plan_sent(
    observation: &Observation,
    policy: &Policy,
    (signal, intents): (&Signal, &[&OrderIntent]),
    now: TimestampMs,
    plan: &mut Plan,
) {
    if intents.iter().all(|intent| intent.outcome == IntentOutcome::Rejected) {
        let ids: Vec<&str> = intents.iter().map(|intent| intent.client_order_id.as_str()).collect();
        let evidence = format!(
            "{}: its order was refused or never arrived (client order id {})",
            describe(signal),
            ids.join(", ")
        );
        skip(
            plan,
            signal,
            (Signal::REJECTED, RepairKind::SignalRejected),
            finding(signal, Outlook::Settles, evidence).with("confidence", "known"),
        );
        return;
    }
    for intent in intents.iter().filter(|intent| intent.outcome == IntentOutcome::Accepted) {
        let id = Some(&intent.client_order_id);
        let stated = observation.stated_orders().map(|row| &row.entity);
        let booked = observation.book.orders.values().map(|known| &known.order.fact);
        let order = stated
            .chain(booked)
            .find(|order| order.client_order_id.as_ref() == id && order.key.symbol == signal.symbol);
        if let Some(order) = order {
            link(
                plan,
                signal,
                order,
                &format!("sent with client order id {}", intent.client_order_id),
                "known",
                Source::Bot,
            );
        } else {
            let evidence = format!(
                "{}: its order was sent with client order id {}, and neither the book nor the exchange shows it",
                describe(signal),
                intent.client_order_id
            );
            let misses = misses(observation, policy, signal, now);
            plan.symbol(&signal.symbol).find(finding(signal, Outlook::Waits, evidence).remembering(missed(misses)));
        }
    }
}

/// The order that the signal's own notes name.
fn noted<'a>(observation: &'a Observation, signal: &Signal) -> Option<&'a Order> {
    let (client, id) = (noted_client_id(signal), noted_order_id(signal));
    let stated = observation.stated_orders().map(|row| &row.entity);
    let mut orders = stated.chain(observation.book.orders.values().map(|known| &known.order.fact));
    orders.find(|order| {
        order.key.symbol == signal.symbol
            && ((client.is_some() && order.client_order_id == client) || id.as_ref() == Some(&order.key.order_id))
    })
}

fn infer(
    observation: &Observation,
    policy: &Policy,
    candidates: &Candidates<'_>,
    signal: &Signal,
    now: TimestampMs,
    plan: &mut Plan,
) {
    if candidates.of(&signal.signal_id).is_empty() {
        plan_absent(observation, policy, signal, now, plan);
    } else {
        infer_order(observation, policy, candidates, signal, now, plan);
    }
}

/// The order that was linked, if one was by now.
fn infer_order<'a>(
    observation: &Observation,
    policy: &Policy,
    candidates: &Candidates<'a>,
    signal: &Signal,
    now: TimestampMs,
    plan: &mut Plan,
) -> Option<&'a Order> {
    let subject = Subject::Signal(signal.signal_id.clone());
    let found = candidates.of(&signal.signal_id);
    let names: Vec<OrderKey> = found.iter().map(|order| order.key.clone()).collect();
    if let Some(order) = candidates.unique(&signal.signal_id) {
        let kind = DiscrepancyKind::SignalWithoutOrder;
        let seen: Option<SignalMemory> = recall(&observation.book.discrepancies, kind, &subject);
        let seen = seen.filter(|seen| seen.candidates == names);
        let is_same = seen.is_some();
        let since = seen.and_then(|seen| seen.since).unwrap_or(now);
        // Until its window is over and everything of it is listed, another order may come that fits as well.
        let (_, until) = policy.signal_window(signal);
        let lag_ms = observation.venue.settle_lag_ms;
        let is_over = now > until.saturating_add_ms(lag_ms);
        if is_same && is_over && now.as_ms().saturating_sub(since.as_ms()) >= lag_ms {
            let why = "the only order of its symbol, side and moment without another owner, in two looks";
            link(plan, signal, order, why, "estimated", Source::Repair);
            return Some(order);
        }
        let evidence = format!(
            "{}: no order names it; {} is the only one that fits, which waits for a second look",
            describe(signal),
            describe_order(order)
        );
        let memory = SignalMemory { misses: Misses::default(), candidates: names, since: Some(since) };
        let finding = finding(signal, Outlook::Waits, evidence).remembering(memory);
        plan.symbol(&signal.symbol).find(finding);
        return None;
    }
    if !found.is_empty() {
        let listed: Vec<String> = found.iter().map(|order| describe_order(order)).collect();
        let evidence = if found.len() == 1 {
            format!("{}: {} may be its order, or that of another signal", describe(signal), listed.join(", "))
        } else {
            format!("{}: any of these may be its order: {}", describe(signal), listed.join(", "))
        };
        let kind = DiscrepancyKind::AmbiguousSignal;
        let memory = SignalMemory { misses: misses(observation, policy, signal, now), candidates: names, since: None };
        let finding = Finding::new(kind, Some(&signal.symbol), subject, Outlook::Stays, evidence).remembering(memory);
        // That no order names it rests on what was listed.
        plan.symbol(&signal.symbol).find(finding.doubted(Claim::Holds, &observation.looks(now)));
    }
    None
}

/// Nothing fits: the bot may not have sent anything.
fn plan_absent(observation: &Observation, policy: &Policy, signal: &Signal, now: TimestampMs, plan: &mut Plan) {
    let misses = misses(observation, policy, signal, now);
    let at = signal.time.at.saturating_add_ms(-signal.skew_ms.unwrap_or(0));
    let absence = Absence::of(observation, policy, OrderClass::Regular, at, misses, now);
    let could_be = could_be_it(observation, policy, &signal.symbol, signal.side, at, |_| true);
    if was_looked(observation, signal) && absence == Absence::Proven && could_be.is_none() {
        let evidence = format!(
            "{}: no order and no trade of nobody's followed, in {} looks; it was never sent",
            describe(signal),
            misses.count
        );
        // Nothing that the bot wrote down says so.
        let finding =
            finding(signal, Outlook::Settles, evidence).remembering(missed(misses)).with("confidence", "estimated");
        skip(plan, signal, (Signal::NEVER_SENT, RepairKind::SignalNeverSent), finding);
        return;
    }
    let why = match (could_be, absence) {
        (Some(other), _) => format!("{other} could be its, so it stays unknown"),
        (None, Absence::TooOld) => "the exchange would have forgotten an order without a fill by now".to_owned(),
        (None, _) => "one may still turn up".to_owned(),
    };
    let outlook = if absence == Absence::TooOld { Outlook::Stays } else { Outlook::Waits };
    let evidence = format!("{}: no order is known to have followed; {why}", describe(signal));
    let finding = finding(signal, outlook, evidence).remembering(missed(misses));
    plan.symbol(&signal.symbol).find(finding.doubted(Claim::Holds, &observation.looks(now)));
}

/// Writes on the signal why no order follows.
fn skip(plan: &mut Plan, signal: &Signal, (why, kind): (&str, RepairKind), finding: Finding) {
    let mut skipped = signal.clone();
    skipped.skipped = Label::new(why).ok();
    let symbol_plan = plan.symbol(&signal.symbol);
    symbol_plan.statements.push(Statement { fact: AnyFact::Signal(skipped), source: Source::Repair, payload: None });
    let (before, after) = (json!({ "skipped": null }), json!({ "skipped": why }));
    symbol_plan.repair(finding, kind, Some(before), Some(after));
}

/// Whether both classes of orders and the fills of the symbol were looked through.
fn was_looked(observation: &Observation, signal: &Signal) -> bool {
    let close = observation.symbols.get(&signal.symbol);
    close.is_some_and(|close| close.fills.is_answered() && close.conditional_orders.is_answered())
        && observation.orders.is_answered()
        && observation.open_orders.is_answered()
        && observation.reads_orders_of(&signal.symbol)
}

/// In which looks, with this one, nothing decided it. Counted as far as it matters, so that the evidence of what stays
/// undecided stays the same.
fn misses(observation: &Observation, policy: &Policy, signal: &Signal, now: TimestampMs) -> Misses {
    let earlier = SignalMemory::misses_of(&observation.book.discrepancies, signal);
    let counts = was_looked(observation, signal) && earlier.count < policy.absence_misses_min;
    if counts { earlier.and(&observation.looks(now)) } else { earlier }
}

fn missed(misses: Misses) -> SignalMemory {
    SignalMemory { misses, ..SignalMemory::default() }
}

/// Writes the signal's name on its order.
fn link(plan: &mut Plan, signal: &Signal, order: &Order, why: &str, confidence: &str, source: Source) {
    let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
    labelled.signal_id = Some(signal.signal_id.clone());
    labelled.engine.clone_from(&signal.engine);
    let symbol_plan = plan.symbol(&signal.symbol);
    symbol_plan.statements.push(Statement { fact: AnyFact::Order(labelled), source, payload: None });
    let evidence = format!("{}: its order is {}: {why}", describe(signal), describe_order(order));
    let finding = finding(signal, Outlook::Settles, evidence).with("confidence", confidence);
    let before = json!({ "order_id": order.key.order_id.as_str(), "signal_id": null });
    let after = json!({ "order_id": order.key.order_id.as_str(), "signal_id": signal.signal_id.as_str() });
    symbol_plan.repair(finding, RepairKind::LinkSignal, Some(before), Some(after));
}

fn finding(signal: &Signal, outlook: Outlook, evidence: String) -> Finding {
    let subject = Subject::Signal(signal.signal_id.clone());
    Finding::new(DiscrepancyKind::SignalWithoutOrder, Some(&signal.symbol), subject, outlook, evidence)
}

fn describe(signal: &Signal) -> String {
    let engine = signal.engine.as_ref().map_or_else(String::new, |engine| format!(" by {engine}"));
    format!("signal {} ({} {} {}{engine})", signal.signal_id, signal.kind, signal.side, signal.symbol)
}
