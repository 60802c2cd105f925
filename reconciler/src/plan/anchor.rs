//! Anchors: a position that is stated because the fills that made it can no longer be had.
//!
//! Only where the exchange answers for nothing earlier: at the beginning of covered history, or where an expired gap ends.
//! What was held there is what the exchange holds now without every fill since; nothing is made up. A fill can lag behind
//! the position that it made, so two looks, further apart than answers lag, have to say the same.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_anchor_is_what_the_exchange_holds_without_the_fills_since`.
//! 2. `no_anchor_while_a_gap_can_still_be_fetched`.
//! 3. `no_anchor_while_a_fill_may_lag`.
//! 4. `nothing_is_stated_about_a_symbol_that_the_book_cannot_add_up`.
//! 5. `nothing_is_stated_against_what_fills_or_earlier_words_say`: a list from which a position is missing closes nothing.
//! 6. `what_the_exchange_refutes_is_withdrawn`.

use ledger_core::{
    Anchor, AnyFact, Decimal, KnownBefore, Label, MathError, PositionMode, PositionSide, Price, Side, Source,
    Statement, Symbol, TimestampMs,
};
use ledger_store::CoverageSpan;
use serde_json::json;

use super::SymbolPlan;
use super::older_fills::withdraw_refuted;
use crate::discrepancy::Subject;
use crate::finding::{Finding, Outlook};
use crate::flow::{Flow, Move};
use crate::memory::{HeldBefore, PositionMemory};
use crate::observe::{Continuity, FillWalk, Observation};
use crate::repair::{PlannedRepair, RepairKind};
use crate::streams::{FILLS, complete_up_to};
use crate::wording::{count, instant};

/// What a look at a position has to go on.
pub(super) struct AnchorBasis<'a> {
    pub(super) observation: &'a Observation,
    pub(super) symbol: &'a Symbol,
    pub(super) side: PositionSide,
    pub(super) walk: &'a FillWalk,
    pub(super) flow: &'a Flow<'a>,
    /// The exchange's average entry now.
    pub(super) entry_now: Option<Price>,
}

impl AnchorBasis<'_> {
    /// States what was held before the oldest fill that can be had, where that explains `finding`.
    pub(super) fn plan(
        &self,
        finding: &mut Finding,
        memory: &mut PositionMemory,
        symbol_plan: &mut SymbolPlan,
    ) -> Result<(), MathError> {
        let Some(booked) = self.booked_before()? else { return Ok(()) };
        if let Some(why) = self.contradiction(booked)? {
            finding.evidence = format!("{}; {why}, so nothing is stated about what was held before", finding.evidence);
            return Ok(());
        }
        let begin = self.walk.window.since();
        let held = self.flow.before;
        let subject = Subject::Position(self.symbol.clone(), self.side);
        let book = &self.observation.book;
        let now = self.walk.asked_at;
        let first_said = PositionMemory::held_before_since(&book.discrepancies, &subject, held);
        memory.held_before = Some(HeldBefore { qty: held, since: first_said.unwrap_or(now) });
        let lag_ms = self.observation.venue.settle_lag_ms;
        let has_settled = first_said.is_some_and(|first| now.as_ms().saturating_sub(first.as_ms()) > lag_ms);
        // A trade that the ledger names and that is not among the fills would be taken for something held before.
        let lacks_a_fill = self.observation.unfilled().any(|row| row.key.symbol.as_ref() == Some(self.symbol));
        if !has_settled || lacks_a_fill {
            finding.evidence = format!(
                "{}; the exchange answers for no fill before {}, when {held} were held and the book has {booked}: \
                 that waits for a second look",
                finding.evidence,
                instant(begin)
            );
            finding.outlook = Outlook::VerifyLagging;
            return Ok(());
        }
        match self.refuted(booked)? {
            Some(anchor) => {
                withdraw_refuted(anchor, held, symbol_plan);
                Ok(())
            }
            None => self.state(booked, finding, symbol_plan),
        }
    }

    /// What speaks against that something else was held in the beginning than the book has: then it is not what differs,
    /// and what the exchange says of the position now may be wrong.
    fn contradiction(&self, booked: Decimal) -> Result<Option<String>, MathError> {
        let realizes = |step: &Move<'_>| step.fill.exchange_realized_pnl.is_some_and(|realized| !realized.is_zero());
        let moves = &self.flow.moves;
        if let Some(step) = moves.iter().find(|step| realizes(step) && !step.closes()) {
            return Ok(Some(format!(
                "trade {} realized a profit, and by that nothing was there to close",
                step.fill.key.fill_id
            )));
        }
        // A position that no list has is flat; but not if that alone says that a fill closed what nobody has seen.
        let first_flat = moves.iter().position(|step| step.after.is_zero() || step.opens());
        let closing = moves.get(..=first_flat.unwrap_or(0)).unwrap_or_default();
        let realized_nothing = |step: &Move<'_>| step.fill.exchange_realized_pnl.is_some_and(Decimal::is_zero);
        let is_absent = moves.last().is_some_and(|last| last.after.is_zero());
        if is_absent && !self.flow.before.is_zero() && closing.iter().all(realized_nothing) {
            return Ok(Some("by that its fills closed something, and they realized nothing".to_owned()));
        }
        let (mut said_booked, mut said_held) = (None, None);
        let close = self.observation.symbols.get(self.symbol);
        let said = close.iter().flat_map(|close| &close.beginning.said);
        for said in said.filter(|said| said.position_side == self.side && said.at >= self.reference()) {
            let since =
                moves.iter().filter(|step| step.fill.time.at >= self.reference() && step.fill.time.at <= said.at);
            let begun = since.map(|step| step.fill.signed_qty()).try_fold(said.qty, Decimal::checked_sub)?;
            if begun == booked {
                said_booked = said_booked.or(Some(said.at));
            } else if begun == self.held_at_reference() {
                said_held = said_held.or(Some(said.at));
            }
        }
        // Whichever it said first: a wrong answer is on record as well.
        let is_confirmed = said_booked.filter(|booked| said_held.is_none_or(|held| *booked < held));
        Ok(is_confirmed.map(|at| format!("at {} the exchange held what the book has", instant(at))))
    }

    /// The position that was stated last, where the exchange's word refutes it: all fills since are there, and without it
    /// the book holds what the exchange holds.
    fn refuted(&self, booked: Decimal) -> Result<Option<&Anchor>, MathError> {
        let book = &self.observation.book;
        let anchors = book.anchors.iter().map(|known| &known.fact).filter(|anchor| anchor.withdrawn.is_none());
        let ours = anchors.filter(|anchor| anchor.symbol == *self.symbol && anchor.position_side == self.side);
        let Some(last) = ours.clone().max_by_key(|anchor| anchor.at) else { return Ok(None) };
        let begin = self.walk.window.since();
        let is_complete =
            last.at >= begin || complete_up_to(&book.coverage, FILLS, Some(self.symbol), last.at) >= begin;
        let beginning = self.observation.symbols.get(self.symbol).map(|close| &close.beginning);
        let before = beginning.and_then(|beginning| beginning.before_anchors.get(&(self.side, last.at)).copied());
        let Some(before) = before.filter(|_| is_complete) else { return Ok(None) };
        let earlier = ours.filter(|anchor| anchor.at < last.at).max_by_key(|anchor| anchor.at);
        let before = before.checked_add(earlier.map_or(Decimal::ZERO, |earlier| earlier.qty))?;
        let without = booked.checked_sub(last.qty)?.checked_add(before)?;
        Ok((without == self.held_at_reference()).then_some(last))
    }

    /// What the exchange held where it is compared with the book.
    fn held_at_reference(&self) -> Decimal {
        let reference = self.reference();
        let held = self.flow.moves.iter().find(|step| step.fill.time.at >= reference);
        held.map_or_else(|| self.flow.moves.last().map_or(self.flow.before, |step| step.after), |step| step.before)
    }

    /// What the book held when the walk began, if that is not what the exchange held, and nothing earlier can be had.
    fn booked_before(&self) -> Result<Option<Decimal>, MathError> {
        let Self { observation, symbol, walk, .. } = self;
        let Some(close) = observation.symbols.get(*symbol) else { return Ok(None) };
        let is_derived = !observation.book.unfolded.contains(*symbol) || close.book_fills.is_empty();
        let is_placed = observation.mode() == Some(PositionMode::OneWay)
            || close.book_fills.values().all(|known| known.fact.position_side.is_some());
        if !walk.reaches_oldest || walk.continuity == Continuity::Apart || !is_derived || !is_placed {
            return Ok(None);
        }
        let (reference, held) = (self.reference(), self.held_at_reference());
        let mut booked = observation.book.qty(symbol, self.side);
        for known in close.book_fills.values().filter(|known| known.fact.time.at >= reference) {
            if known.fact.position_side.unwrap_or(PositionSide::Net) == self.side {
                booked = booked.checked_sub(known.fact.signed_qty())?;
            }
        }
        // What an order executed beyond its fills is part of the book's position, as an estimate.
        for known in observation.book.orders.values() {
            let order = &known.order.fact;
            let is_of = order.key.symbol == **symbol && order.position_side.unwrap_or(PositionSide::Net) == self.side;
            if let Some(residual) = known.residual_qty.filter(|_| is_of) {
                let signed = if order.side == Side::Buy { residual } else { -residual };
                booked = booked.checked_sub(signed)?;
            }
        }
        Ok((booked != held).then_some(booked))
    }

    /// Where book and exchange are compared: after the last position that is stated already, else where the walk began.
    fn reference(&self) -> TimestampMs {
        let begin = self.walk.window.since();
        let anchors = self.observation.book.anchors.iter().map(|anchor| &anchor.fact);
        let anchors = anchors.filter(|anchor| anchor.withdrawn.is_none());
        let ours = anchors.filter(|anchor| anchor.symbol == *self.symbol && anchor.position_side == self.side);
        ours.map(|anchor| anchor.at).max().map_or(begin, |at| at.max(begin))
    }

    /// What the book has of the time before: its last fill, or that there was none in what was read or imported as a
    /// whole.
    fn known_before(&self) -> Option<KnownBefore> {
        let close = self.observation.symbols.get(self.symbol)?;
        let known = close.beginning.known.get(&self.side).copied();
        let coverage = &self.observation.book.coverage;
        let covered = covered_before(coverage, self.symbol, self.walk.window.since());
        let until = known.map(|known| known.until).max(covered)?;
        Some(KnownBefore { until, fill_count: known.map_or(0, |known| known.fill_count) })
    }

    fn state(&self, booked: Decimal, finding: &mut Finding, symbol_plan: &mut SymbolPlan) -> Result<(), MathError> {
        let Self { observation, symbol, side, walk, flow, .. } = self;
        let begin = walk.window.since();
        let held = flow.before;
        let entry = flow.entry_before(self.entry_now)?.and_then(|entry| Price::new(entry).ok());
        let now = flow.moves.last().map_or(held, |step| step.after);
        let fills = count(flow.moves.len(), "fill");
        let begins = instant(begin);
        let told = format!("the exchange's {now} at {} without {fills} since {begins}", instant(walk.asked_at));
        let Ok(derivation) = Label::new(told.clone()) else { return Ok(()) };
        let shown = entry.map_or_else(|| "an unknown entry".to_owned(), |entry| format!("an average entry of {entry}"));
        let cause = format!(
            "{symbol} {side}: the exchange answers for no fill before {begins}, so {held} with {shown} is stated as held \
             then: {told}"
        );
        let uncertainty = Decimal::new(1, observation.venue.entry_price_scale)?;
        let evidence = json!({
            "evidence": cause, "confidence": "estimated", "entry_price_uncertainty": uncertainty.to_string(),
            "interval": { "since": begin.as_ms(), "until": walk.asked_at.as_ms() },
        });
        symbol_plan.repairs.push(PlannedRepair {
            symbol: Some((*symbol).clone()),
            kind: RepairKind::StatePosition,
            discrepancy: Some(finding.key()),
            cause,
            evidence_json: evidence.to_string(),
            before: Some(json!({ "qty": booked.to_string() })),
            after: Some(json!({
                "at": begin.as_ms(), "qty": held.to_string(), "entry_price": entry.map(|entry| entry.to_string()),
            })),
        });
        let anchor = Anchor {
            symbol: (*symbol).clone(),
            position_side: *side,
            at: begin,
            qty: held,
            entry_price: entry,
            derivation,
            known_before: self.known_before(),
            withdrawn: None,
        };
        symbol_plan.statements.push(Statement { fact: AnyFact::Anchor(anchor), source: Source::Repair, payload: None });
        Ok(())
    }
}

/// The last instant before `at` of which it is on record that all fills of a symbol are known. A stretch that reaches `at`
/// itself belongs to what comes after.
fn covered_before(coverage: &[CoverageSpan], symbol: &Symbol, at: TimestampMs) -> Option<TimestampMs> {
    let is_ours = |span: &&CoverageSpan| {
        span.stream == FILLS && span.symbol.as_ref().is_none_or(|of| of == symbol) && span.since < at
    };
    let mut spans: Vec<&CoverageSpan> = coverage.iter().filter(is_ours).collect();
    spans.sort_by_key(|span| std::cmp::Reverse(span.until));
    let mut reached = at;
    for span in spans {
        if span.until < reached {
            return Some(span.until.saturating_add_ms(-1));
        }
        reached = reached.min(span.since);
    }
    None
}
