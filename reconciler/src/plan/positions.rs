//! Positions: what is open on one side only (cases C and D), what differs, and the records behind new fills.
//!
//! Invariants, each with a test of the same name:
//! 1. `case_c_a_position_out_of_nowhere_is_restored_with_its_records`.
//! 2. `a_close_that_was_missed_is_completed_with_its_reason`, and so is
//!    `a_round_trip_that_was_missed_as_a_whole`, and `an_unseen_close_whose_fills_lag_is_pending_and_then_completed`.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{
    Decimal, Fill, FillKey, MathError, Order, OrderClass, OrderKey, PositionSide, Source, Symbol, TimestampMs,
};
use ledger_store::DiscrepancyKey;

use super::anchor::AnchorBasis;
use super::candidates::Candidates;
use super::exits::{restored_exit, unexplained};
use super::labels::Labels;
use super::openers::restore_entry;
use super::restored::{decided_at, exit, has_signal, latest, note};
use super::{Plan, SymbolPlan, orders_with_new_fills};
use crate::asked::Asked;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::flow::{Flow, Move};
use crate::memory::doubt::Claim;
use crate::memory::{PositionMemory, SearchMemory};
use crate::observe::without_residuals;
use crate::observe::{FillWalk, Observation};
use crate::policy::Policy;

/// What restoring a bot's records goes by.
#[derive(Clone, Copy)]
pub(super) struct RecordContext<'a> {
    pub(super) observation: &'a Observation,
    pub(super) policy: &'a Policy,
    pub(super) candidates: &'a Candidates<'a>,
    pub(super) labels: &'a Labels<'a>,
}

/// `planned` has the fills that are new to the book: records are restored behind these.
pub(super) fn plan_positions(context: &RecordContext<'_>, now: TimestampMs, planned: &Plan) -> Plan {
    let mut plan = Plan::default();
    let nothing = SymbolPlan::default();
    for (symbol, side) in position_keys(context.observation) {
        // What the book makes of these is not what their fills say, so nothing follows from comparing.
        if context.observation.book.quarantined.contains(&symbol) {
            continue;
        }
        let planned = planned.symbols.get(&symbol).unwrap_or(&nothing);
        let symbol_plan = plan.symbol(&symbol);
        if let Err(error) = plan_position(context, (&symbol, side), now, planned, symbol_plan) {
            // One of the quantities is the exchange's word on the position.
            let finding = beyond_range(&symbol, side, error);
            symbol_plan.find(finding.doubted(Claim::Holds, &context.observation.looks(now)));
        }
    }
    plan
}

fn plan_position(
    context: &RecordContext<'_>,
    (symbol, side): (&Symbol, PositionSide),
    now: TimestampMs,
    planned: &SymbolPlan,
    symbol_plan: &mut SymbolPlan,
) -> Result<(), MathError> {
    let observation = context.observation;
    // Without an answer nothing is said, and a symbol that was not looked at agrees.
    let Some(stated) = observation.exchange_position(symbol, side) else { return Ok(()) };
    let Some(close) = observation.symbols.get(symbol) else { return Ok(()) };
    let stated_qty = stated.map_or(Decimal::ZERO, |stated| stated.qty);
    let walk = close.fills.answer();
    let position = ComparedPosition { observation, symbol, side, stated_qty };
    let found = position.mismatch(walk, now)?;
    let Some(walk) = walk else {
        if let Some(finding) = found {
            symbol_plan.find(finding);
        }
        return Ok(());
    };
    let fills = walk.in_fold_order();
    let flow = Flow::new(fills.iter().copied(), side, stated_qty)?;
    let records = Records { context: *context, now, planned, answers: found.as_ref().map(Finding::key) };
    // While answers may lag, a fill that is not listed yet would move the beginning of every round trip.
    let may_lag = found.as_ref().is_some_and(|found| found.outlook == Outlook::VerifyLagging);
    let is_settled = !may_lag || position.adds_up(walk)?;
    records.restore(&flow, is_settled, symbol_plan);
    let Some(mut finding) = found else { return Ok(()) };
    let entry_now = stated.and_then(|stated| stated.entry_price);
    let basis = AnchorBasis { observation, symbol, side, walk, flow: &flow, entry_now };
    let mut memory = PositionMemory::default();
    basis.plan(&mut finding, &mut memory, symbol_plan)?;
    memory.search = position.search(walk, &finding.subject)?;
    finding.memory = (memory != PositionMemory::default()).then(|| memory.into());
    symbol_plan.find(finding);
    Ok(())
}

/// Restores the records behind the closes among new fills of the past, where `held` is what they led to by the book. Where
/// the exchange realized something from what had nothing to close, something else was held: then nothing is concluded. What
/// opened a position is told once all is read: only then the exchange's word says whether the book begins where it began.
pub(super) fn restore_records(
    context: &RecordContext<'_>,
    symbol: &Symbol,
    side: PositionSide,
    held: Decimal,
    planned: &SymbolPlan,
) -> SymbolPlan {
    let mut symbol_plan = SymbolPlan::default();
    let close = context.observation.symbols.get(symbol);
    let Some(walk) = close.and_then(|close| close.fills.answer()) else { return symbol_plan };
    let fills = walk.in_fold_order();
    let Ok(flow) = Flow::new(fills.iter().copied(), side, held) else { return symbol_plan };
    let realizes = |step: &Move<'_>| step.fill.exchange_realized_pnl.is_some_and(|realized| !realized.is_zero());
    if !flow.moves.iter().any(|step| realizes(step) && !step.closes()) {
        let records = Records { context: *context, now: context.observation.asked_at, planned, answers: None };
        records.restore_exits(&flow, &mut symbol_plan);
    }
    symbol_plan
}

/// What becomes of a symbol whose quantities do not fit: the others are reconciled all the same.
pub(super) fn beyond_range(symbol: &Symbol, side: PositionSide, error: MathError) -> Finding {
    let evidence =
        format!("{symbol}: its quantities cannot be added up exactly ({error}); nothing is concluded from them");
    let subject = Subject::Position(symbol.clone(), side);
    Finding::new(DiscrepancyKind::BeyondRange, Some(symbol), subject, Outlook::Stays, evidence)
}

/// Every position that either side knows of, and those that new fills name.
fn position_keys(observation: &Observation) -> BTreeSet<(Symbol, PositionSide)> {
    let mut keys = observation.position_keys();
    for (symbol, close) in &observation.symbols {
        for row in close.fills.iter().flat_map(|walk| walk.rows.values()) {
            keys.insert((symbol.clone(), row.entity.position_side.unwrap_or(PositionSide::Net)));
        }
    }
    keys
}

struct ComparedPosition<'a> {
    observation: &'a Observation,
    symbol: &'a Symbol,
    side: PositionSide,
    stated_qty: Decimal,
}

impl ComparedPosition<'_> {
    /// Neither a fill nor a stated position.
    fn book_has_nothing(&self) -> bool {
        let book = &self.observation.book;
        let held = book.position(self.symbol, self.side);
        let close = self.observation.symbols.get(self.symbol);
        let mut fills = close.iter().flat_map(|close| close.book_fills.values());
        let has_fills = fills.any(|known| known.fact.position_side.unwrap_or(PositionSide::Net) == self.side);
        !has_fills && held.is_none_or(|held| held.position.fill_count == 0 && held.position.qty.is_zero())
    }

    /// What the book holds. Where its contract is not on record yet, nothing was derived: then what its fills add up to.
    fn booked(&self) -> Result<Decimal, MathError> {
        let book = &self.observation.book;
        if !book.unfolded.contains(self.symbol) {
            return Ok(book.qty(self.symbol, self.side));
        }
        let close = self.observation.symbols.get(self.symbol);
        let fills = close.iter().flat_map(|close| close.book_fills.values()).map(|known| &known.fact);
        let mut fills = fills.filter(|fill| fill.position_side.unwrap_or(PositionSide::Net) == self.side);
        fills.try_fold(Decimal::ZERO, |sum, fill| sum.checked_add(fill.signed_qty()))
    }

    /// Whether the book with the fills that it lacks holds what the exchange does.
    fn adds_up(&self, walk: &FillWalk) -> Result<bool, MathError> {
        Ok(self.left(walk)?.is_some_and(Decimal::is_zero))
    }

    /// What the exchange holds beyond the book and the fills that it lacks. `None` where nobody can tell.
    fn left(&self, walk: &FillWalk) -> Result<Option<Decimal>, MathError> {
        let Self { observation, symbol, side, stated_qty } = self;
        let held = if observation.book.unfolded.contains(*symbol) {
            Some(self.booked()?)
        } else {
            without_residuals(observation, symbol, *side)
        };
        let Some(mut held) = held else { return Ok(None) };
        for fill in self.lacking(walk) {
            held = held.checked_add(fill.signed_qty())?;
        }
        stated_qty.checked_sub(held).map(Some)
    }

    /// The fills that the book lacks.
    fn lacking<'w>(&self, walk: &'w FillWalk) -> impl Iterator<Item = &'w Fill> {
        let close = self.observation.symbols.get(self.symbol);
        let is_known = move |key: &FillKey| close.is_some_and(|close| close.book_fills.contains_key(key));
        let lacking = walk.rows.values().map(|row| &row.entity).filter(move |fill| !is_known(&fill.key));
        lacking.filter(|fill| fill.position_side.unwrap_or(PositionSide::Net) == self.side)
    }

    fn mismatch(&self, walk: Option<&FillWalk>, now: TimestampMs) -> Result<Option<Finding>, MathError> {
        let Self { observation, symbol, side, stated_qty } = self;
        let booked = self.booked()?;
        // What new fills explain rests on these; what is left rests on one number, and on no fill being missing.
        let left = walk.map(|walk| self.left(walk)).transpose()?.flatten();
        let has_new = walk.is_some_and(|walk| self.lacking(walk).next().is_some());
        let is_left_behind = has_new && left.is_some_and(|left| !left.is_zero());
        if *stated_qty == booked && !is_left_behind {
            return Ok(None);
        }
        let what = if *side == PositionSide::Net { symbol.to_string() } else { format!("{symbol} {side}") };
        let (kind, mut evidence) = if *stated_qty == booked {
            // An answer of before these fills agrees with a book that does not have them either.
            let evidence = format!(
                "{what}: the exchange holds {stated_qty} as the book does, but not with the fills that it lacks"
            );
            (DiscrepancyKind::PositionMismatch, evidence)
        } else if stated_qty.is_zero() {
            let evidence = format!("{what}: flat at the exchange, the book still holds {booked}");
            (DiscrepancyKind::UnrecordedClose, evidence)
        } else if self.book_has_nothing() {
            let evidence = format!("{what}: the exchange holds {stated_qty}, the book has nothing of it");
            (DiscrepancyKind::UnrecordedPosition, evidence)
        } else {
            (DiscrepancyKind::PositionMismatch, format!("{what}: the exchange holds {stated_qty}, the book {booked}"))
        };
        if observation.book.unfolded.contains(*symbol) {
            evidence.push_str(" (by its fills: its contract is not on record yet)");
        }
        let latest = walk.and_then(|walk| walk.rows.values().map(|row| row.entity.time.at).max());
        let is_fresh = latest.is_some_and(|at| at.saturating_add_ms(observation.venue.settle_lag_ms) >= now);
        let outlook = if is_fresh { Outlook::VerifyLagging } else { Outlook::Verify };
        let subject = Subject::Position((*symbol).clone(), *side);
        let finding = Finding::new(kind, Some(symbol), subject, outlook, evidence);
        let left = match left {
            Some(left) if left.is_zero() && has_new => return Ok(Some(finding)),
            Some(left) if !left.is_zero() => left,
            _ => stated_qty.checked_sub(booked)?,
        };
        Ok(Some(finding.doubted(Claim::Differs(left), &observation.looks(now))))
    }
}

impl ComparedPosition<'_> {
    /// What is to be remembered of the search of the exchange's whole memory for what explains a difference: that is done
    /// twice, as far apart as answers lag, and not again while the difference stays the same.
    fn search(&self, walk: &FillWalk, subject: &Subject) -> Result<Option<SearchMemory>, MathError> {
        let Self { observation, symbol, .. } = self;
        let difference = self.stated_qty.checked_sub(self.booked()?)?;
        let now = walk.asked_at;
        let Some(known) = PositionMemory::search_for(&observation.book.discrepancies, subject, difference) else {
            return Ok(walk.reaches_oldest.then_some(SearchMemory { difference, since: now, again: false }));
        };
        let has_settled = now.as_ms().saturating_sub(known.since.as_ms()) > observation.venue.settle_lag_ms;
        // While the ledger names a trade that is on no list, there is something to look for.
        let is_whole = !observation.unfilled().any(|row| row.key.symbol.as_ref() == Some(*symbol));
        let again = known.again || (walk.reaches_oldest && has_settled && is_whole);
        Ok(Some(SearchMemory { again, ..known }))
    }
}

/// Restores the bot's records behind missing fills: of what is open, and of round trips that were missed as a whole.
struct Records<'a> {
    context: RecordContext<'a>,
    now: TimestampMs,
    /// What is planned for the symbol, its new fills among it.
    planned: &'a SymbolPlan,
    /// The finding about the position, if it differs.
    answers: Option<DiscrepancyKey>,
}

impl Records<'_> {
    /// The orders of which `chosen` moves are new to the book, each with its first such move.
    fn orders<'f>(&self, moves: &'f [Move<'f>], chosen: impl Fn(&Move<'f>) -> bool) -> Vec<(&Order, &'f Move<'f>)> {
        let new = orders_with_new_fills(self.planned);
        let mut first: BTreeMap<OrderKey, &'f Move<'f>> = BTreeMap::new();
        for step in moves.iter().filter(|step| chosen(step)) {
            let Some(order_id) = step.fill.order_id.clone() else { continue };
            let key = OrderKey { symbol: step.fill.key.symbol.clone(), class: OrderClass::Regular, order_id };
            if new.contains(&key) {
                first.entry(key).or_insert(step);
            }
        }
        first.into_iter().filter_map(|(key, step)| Some((latest(self.context.observation, &key)?, step))).collect()
    }

    fn restore(&self, flow: &Flow<'_>, is_settled: bool, symbol_plan: &mut SymbolPlan) {
        let done = self.restore_exits(flow, symbol_plan);
        if is_settled {
            self.restore_entries(&flow.moves, &done, symbol_plan);
        }
    }

    /// Case C: the signals behind what opened a round trip.
    fn restore_entries(&self, moves: &[Move<'_>], done: &BTreeSet<OrderKey>, symbol_plan: &mut SymbolPlan) {
        for (order, step) in self.orders(moves, Move::opens) {
            if !done.contains(&order.key) {
                let answers = self.answers.clone().or_else(|| missing_fills(order, self.planned));
                restore_entry(&self.context, order, step.fill.time, answers, symbol_plan);
            }
        }
    }

    /// Case D: the signals behind the closes, and why they were made. Answers the orders of which that is told now, or will
    /// be after a second look.
    fn restore_exits(&self, flow: &Flow<'_>, symbol_plan: &mut SymbolPlan) -> BTreeSet<OrderKey> {
        let mut done = BTreeSet::new();
        for (order, step) in self.orders(&flow.moves, Move::closes) {
            // One that opened a position first, and closed another later on, was sent to open one.
            let same = |of: &&Move<'_>| of.fill.order_id == step.fill.order_id;
            if flow.moves.iter().filter(same).find(|of| of.opens() || of.closes()).is_some_and(|of| !of.closes()) {
                continue;
            }
            let exit = exit(self.context.observation, self.context.policy, order);
            let Some(kind) = exit.signal_kind() else { continue };
            if has_signal(self.context.observation, order) || self.context.candidates.is_wanted(&order.key) {
                continue;
            }
            if is_told_by_bot(self.context.observation, &order.key) {
                continue;
            }
            done.insert(order.key.clone());
            if exit.is_inferred {
                symbol_plan.find(unexplained(order, &exit, self.now));
                continue;
            }
            let at = decided_at(self.context.observation, order, step.fill.time);
            let answers = self.answers.clone().or_else(|| missing_fills(order, self.planned));
            note(&restored_exit(self.context.policy, order, at, &exit, kind), answers, symbol_plan);
        }
        done
    }
}

/// Whether the bot said why an order closed its position: then its close surprised nobody, although its fills are new to the book.
fn is_told_by_bot(observation: &Observation, key: &OrderKey) -> bool {
    let booked = observation.book.orders.get(key).map(|known| &known.order);
    booked.is_some_and(|order| order.fact.exit_reason.is_some() && order.provenance.of("exit_reason") == Source::Bot)
}

/// The finding that the book lacks an order's fills.
fn missing_fills(order: &Order, planned: &SymbolPlan) -> Option<DiscrepancyKey> {
    let subject = Subject::Order(order.key.clone());
    let is_it = |finding: &&Finding| finding.kind == DiscrepancyKind::MissingFills && finding.subject == subject;
    planned.findings.iter().find(is_it).map(Finding::key)
}

/// The order that opened the position that is open now: as the fills at the exchange tell, else as the book has it.
pub(super) fn openers(observation: &Observation) -> BTreeMap<(Symbol, PositionSide), OrderKey> {
    let mut openers = observation.book.openers.clone();
    for (symbol, close) in &observation.symbols {
        let Asked::Answered(walk) = &close.fills else { continue };
        for side in [PositionSide::Net, PositionSide::Long, PositionSide::Short] {
            let Some(qty) = observation.exchange_qty(symbol, side) else { continue };
            let fills = walk.in_fold_order();
            let Ok(flow) = Flow::new(fills.iter().copied(), side, qty) else { continue };
            let opener = flow.open_trip().first().filter(|step| step.opens());
            if let Some(order_id) = opener.and_then(|step| step.fill.order_id.clone()) {
                let key = OrderKey { symbol: symbol.clone(), class: OrderClass::Regular, order_id };
                openers.insert((symbol.clone(), side), key);
            }
        }
    }
    openers
}
