//! Fills that turned up before a stated position, in an import for example: what is stated moves back in front of them, or
//! goes when they add up to it.
//!
//! What was held in front of them is what is stated without them. That counts only fills behind everything that the book
//! knew of that time when the position was stated: what is missing in front of that may lie on either side of it. Fills
//! that contradict it (one that realized a profit, and nothing was there to close) show that something is still missing in
//! between; then what is stated stays where it is.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_anchor_goes_when_older_fills_explain_it`.
//! 2. `an_anchor_moves_back_in_front_of_older_fills`, until it is the true position before the first of them.
//! 3. `an_anchor_stays_where_older_fills_do_not_reach_it`.
//! 4. `an_anchor_stays_behind_what_was_known_when_it_was_stated`.

use ledger_core::{
    Anchor, AnyFact, Decimal, Fill, Label, MathError, PositionMode, PositionSide, Price, Source, Sourced, Statement,
    TimestampMs,
};
use serde_json::{Value, json};

use super::positions::beyond_range;
use super::{Plan, SymbolPlan};
use crate::flow::Flow;
use crate::observe::Observation;
use crate::repair::{PlannedRepair, RepairKind};
use crate::wording::{count, instant};

pub(super) fn plan_older_fills(observation: &Observation) -> Plan {
    let mut plan = Plan::default();
    for anchor in live(observation).filter(|anchor| observation.is_in_scope(&anchor.symbol)) {
        let symbol_plan = plan.symbol(&anchor.symbol);
        if let Err(error) = plan_anchor(observation, anchor, symbol_plan) {
            symbol_plan.find(beyond_range(&anchor.symbol, anchor.position_side, error));
        }
    }
    plan
}

fn live(observation: &Observation) -> impl Iterator<Item = &Anchor> {
    observation.book.anchors.iter().map(|known| &known.fact).filter(|anchor| anchor.withdrawn.is_none())
}

fn plan_anchor(observation: &Observation, anchor: &Anchor, symbol_plan: &mut SymbolPlan) -> Result<(), MathError> {
    let key = (anchor.symbol.clone(), anchor.position_side, anchor.at);
    let Some(fills) = observation.book.before_anchors.get(&key) else { return Ok(()) };
    // What is stated earlier is where adding up begins.
    let same = live(observation).filter(|other| (&other.symbol, other.position_side) == (&key.0, key.1));
    let earlier = same.filter(|other| other.at < anchor.at).max_by_key(|other| other.at);
    let fills: Vec<&Sourced<Fill>> =
        fills.iter().filter(|fill| earlier.is_none_or(|earlier| fill.fact.time.at >= earlier.at)).collect();
    let is_placed = observation.mode() == Some(PositionMode::OneWay) || anchor.position_side != PositionSide::Net;
    if fills.is_empty() || !(is_placed || fills.iter().all(|fill| fill.fact.position_side.is_some())) {
        return Ok(());
    }
    let before = Flow::new(fills.iter().map(|fill| &fill.fact), anchor.position_side, anchor.qty)?.before;
    if before == earlier.map_or(Decimal::ZERO, |earlier| earlier.qty) {
        let cause = format!(
            "{} {}: the fills before {} add up to the {} that is stated there, so it is withdrawn",
            anchor.symbol,
            anchor.position_side,
            instant(anchor.at),
            anchor.qty
        );
        withdraw(anchor, "older fills add up to it", RepairKind::WithdrawStatedPosition, cause, None, symbol_plan);
        return Ok(());
    }
    let known_until = anchor.known_before.map(|known| known.until);
    let found = fills.into_iter().map(|fill| &fill.fact);
    let found: Vec<&Fill> = found.filter(|fill| known_until.is_none_or(|known| fill.time.at > known)).collect();
    let flow = Flow::new(found.iter().copied(), anchor.position_side, anchor.qty)?;
    let realizes = |fill: &Fill| fill.exchange_realized_pnl.is_some_and(|realized| !realized.is_zero());
    let Some(first) = found.iter().map(|fill| fill.time.at).min() else { return Ok(()) };
    if flow.moves.iter().any(|step| realizes(step.fill) && !step.closes()) {
        return Ok(());
    }
    let at = free_instant(observation, anchor, first);
    // In front of what was known it would not be what was held there.
    if known_until.is_some_and(|known| at <= known) {
        return Ok(());
    }
    let entry = flow.entry_before(anchor.entry_price)?.and_then(|entry| Price::new(entry).ok());
    let older = count(found.len(), "older fill");
    let Ok(derivation) = Label::new(format!("the {} stated at {} without {older}", anchor.qty, instant(anchor.at)))
    else {
        return Ok(());
    };
    let moved = Anchor { at, qty: flow.before, entry_price: entry, derivation, withdrawn: None, ..anchor.clone() };
    let cause = format!(
        "{} {}: {older} from {} on were found, so what is stated at {} moves in front of them: {} instead of {}",
        anchor.symbol,
        anchor.position_side,
        instant(first),
        instant(anchor.at),
        moved.qty,
        anchor.qty
    );
    let after = json!({ "at": moved.at.as_ms(), "qty": moved.qty.to_string(), "entry_price": price_json(&moved) });
    withdraw(anchor, "moved in front of older fills", RepairKind::MoveStatedPosition, cause, Some(after), symbol_plan);
    symbol_plan.statements.push(Statement { fact: AnyFact::Anchor(moved), source: Source::Repair, payload: None });
    Ok(())
}

/// Takes back what the exchange's word refutes: without it, the book holds what the exchange held at its first fill.
pub(super) fn withdraw_refuted(anchor: &Anchor, held: Decimal, symbol_plan: &mut SymbolPlan) {
    let cause = format!(
        "{} {}: the exchange held {held} before its fills, so the {} that is stated at {} is withdrawn",
        anchor.symbol,
        anchor.position_side,
        anchor.qty,
        instant(anchor.at)
    );
    withdraw(anchor, "refuted by the exchange", RepairKind::WithdrawStatedPosition, cause, None, symbol_plan);
}

fn price_json(anchor: &Anchor) -> Option<String> {
    anchor.entry_price.map(|price| price.to_string())
}

fn withdraw(
    anchor: &Anchor,
    reason: &str,
    kind: RepairKind,
    cause: String,
    after: Option<Value>,
    symbol_plan: &mut SymbolPlan,
) {
    let Ok(reason) = Label::new(reason) else { return };
    let confidence = if after.is_some() { "estimated" } else { "known" };
    let before = json!({ "at": anchor.at.as_ms(), "qty": anchor.qty.to_string(), "entry_price": price_json(anchor) });
    symbol_plan.repairs.push(PlannedRepair {
        symbol: Some(anchor.symbol.clone()),
        kind,
        discrepancy: None,
        evidence_json: json!({ "evidence": cause, "confidence": confidence }).to_string(),
        cause,
        before: Some(before),
        after,
    });
    let withdrawn = Anchor { withdrawn: Some(reason), ..anchor.clone() };
    symbol_plan.statements.push(Statement { fact: AnyFact::Anchor(withdrawn), source: Source::Repair, payload: None });
}

/// What is withdrawn at an instant stays withdrawn: what is stated then stands a millisecond earlier.
fn free_instant(observation: &Observation, anchor: &Anchor, at: TimestampMs) -> TimestampMs {
    let mut at = at;
    let is_taken = |at: TimestampMs| {
        let mut known = observation.book.anchors.iter().map(|known| &known.fact);
        known
            .any(|known| known.at == at && known.symbol == anchor.symbol && known.position_side == anchor.position_side)
    };
    while is_taken(at) && at > TimestampMs::MIN {
        at = at.saturating_add_ms(-1);
    }
    at
}
