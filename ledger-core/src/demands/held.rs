//! What was held around instants, as a fold comes by them.

use std::collections::VecDeque;

use crate::amount::{Decimal, MathError};
use crate::certainty::Certainty;
use crate::snapshot::PositionSnapshot;
use crate::source::PositionSide;
use crate::symbol_fold::{HeldNow, HeldProof, SymbolFold};
use crate::time::TimestampMs;

use super::CoveredTime;

/// How long before and after a funding instant a position has to stay as it is to have been funded for certain: Binance
/// documents a deviation of 15 s, and a list may date a fill or a row some seconds off.
pub const AROUND_MS: i64 = 60_000;

const SIDES: [PositionSide; 3] = [PositionSide::Net, PositionSide::Long, PositionSide::Short];

/// One position of a contract around an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLeg {
    /// Which position.
    pub position_side: PositionSide,
    /// The signed quantities that it had, in turn; the first was held when the time around the instant began.
    pub sizes: Vec<Decimal>,
    /// Known: it was proven that nothing else was held, then or by what followed. Estimated: nothing spoke against it.
    /// Unknown: something did.
    pub certainty: Certainty,
    /// When the exchange last stated, before the instant, just what the fold makes of the position, and nothing has spoken
    /// against it in between.
    pub stated_before: Option<TimestampMs>,
    /// The same, for the first time behind the instant.
    pub stated_after: Option<TimestampMs>,
}

impl HeldLeg {
    /// Whether nothing was held all the time.
    pub fn is_flat(&self) -> bool {
        self.sizes.iter().all(|size| size.is_zero())
    }

    /// A position with what the exchange says of it. Whatever was held unseen would have been in its word, too, and what is
    /// held changes by fills alone: so it is known from the one moment to the other, provided that all fills in between are on
    /// record. Only who knows what was read can tell that.
    fn is_stated(&self, fills: &CoveredTime, at: TimestampMs) -> bool {
        let (first, last) = (at.saturating_add_ms(-AROUND_MS), at.saturating_add_ms(AROUND_MS));
        let stated = [self.stated_before, self.stated_after];
        stated.into_iter().flatten().any(|stated| fills.holds(first.min(stated), last.max(stated)).is_ok())
    }

    /// What was held, if that did not change.
    pub fn unchanged(&self) -> Option<Decimal> {
        if let [size] = self.sizes.as_slice() { Some(*size) } else { None }
    }
}

/// The positions of a contract within [`AROUND_MS`] of an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldAround {
    /// The instant.
    pub at: TimestampMs,
    /// The one position, and both positions of a hedge.
    pub legs: Vec<HeldLeg>,
}

impl HeldAround {
    /// Turns estimated positions into known ones where a statement of the exchange proves them. `fills` is the time of which
    /// all fills are on record.
    #[must_use]
    pub fn proven_over(mut self, fills: &CoveredTime) -> Self {
        for leg in self.legs.iter_mut().filter(|leg| leg.certainty == Certainty::Estimated) {
            if leg.is_stated(fills, self.at) {
                leg.certainty = Certainty::Known;
            }
        }
        self
    }
}

/// Collects what was held, beside a fold that goes through a contract's history. Tell it of every event, before and after it
/// is applied.
#[derive(Debug, Default)]
pub struct HeldTracker {
    /// In order of time.
    waiting: VecDeque<TimestampMs>,
    open: Vec<HeldAround>,
    done: Vec<HeldAround>,
    /// The places in `done` of legs that a later proof may still prove, by side.
    unproven: [Vec<usize>; 3],
    proofs: [Option<HeldProof>; 3],
    /// What the exchange says of the positions, in order of time.
    statements: VecDeque<PositionSnapshot>,
    /// When it last said what the fold makes of them, by side.
    agreed: [Option<TimestampMs>; 3],
    /// The places in `done` of legs that it may still speak of, by side.
    unstated: [Vec<usize>; 3],
    last_event: Option<TimestampMs>,
    /// A settlement that may have ended a position without a fill. What it ended is known behind the next event.
    settled: Option<TimestampMs>,
}

impl HeldTracker {
    /// For these instants, and with what the exchange says of the contract's positions.
    pub fn new(mut instants: Vec<TimestampMs>, mut statements: Vec<PositionSnapshot>) -> Self {
        instants.sort_unstable();
        instants.dedup();
        statements.sort_by_key(|stated| stated.at);
        Self { waiting: instants.into(), statements: statements.into(), ..Self::default() }
    }

    /// Whether all instants have passed and nothing can be proven of them any more.
    pub fn is_done(&self) -> bool {
        let is_heard = |(side, places): (PositionSide, &Vec<usize>)| {
            places.is_empty() || self.statements.iter().all(|stated| stated.position_side != side)
        };
        self.waiting.is_empty()
            && self.open.is_empty()
            && self.unproven.iter().all(Vec::is_empty)
            && SIDES.into_iter().zip(&self.unstated).all(is_heard)
    }

    /// An event at `at` is about to be applied.
    ///
    /// # Errors
    /// [`MathError`] when a quantity does not fit.
    pub fn before(&mut self, fold: &SymbolFold, at: TimestampMs) -> Result<(), MathError> {
        while let Some(stated) = self.statements.pop_front_if(|stated| stated.at < at) {
            self.pass(fold, stated.at)?;
            // What a settlement ended is known only behind this event.
            if self.settled.is_none() {
                self.hear(fold, &stated, Some(at))?;
            }
        }
        self.pass(fold, at)
    }

    /// Time goes on until `at`.
    fn pass(&mut self, fold: &SymbolFold, at: TimestampMs) -> Result<(), MathError> {
        while let Some(instant) = self.waiting.pop_front_if(|instant| instant.saturating_add_ms(-AROUND_MS) <= at) {
            self.open_at(fold, instant)?;
        }
        self.close(|around| around.at.saturating_add_ms(AROUND_MS) < at);
        Ok(())
    }

    /// The event at `at` was applied. `is_doubtful` says that it leaves open what is held: it was inferred, contradicts what the
    /// exchange reports, or was passed over.
    ///
    /// # Errors
    /// [`MathError`] when a quantity does not fit.
    pub fn after(&mut self, fold: &SymbolFold, at: TimestampMs, is_doubtful: bool) -> Result<(), MathError> {
        self.last_event = Some(at);
        self.settled = self.settled.filter(|settled| at <= settled.saturating_add_ms(2 * AROUND_MS));
        for (index, side) in SIDES.into_iter().enumerate() {
            let now = fold.held(side)?;
            self.prove(index, now.proof, is_doubtful);
            for around in &mut self.open {
                let Some(leg) = around.legs.get_mut(index) else { continue };
                if leg.sizes.last() != Some(&now.qty) {
                    leg.sizes.push(now.qty);
                }
                leg.certainty = leg.certainty.max(certainty(now, is_doubtful));
            }
        }
        Ok(())
    }

    /// A position is about to be stated anew: what was assumed before is not proven by that.
    pub fn restated(&mut self) {
        for side in 0..SIDES.len() {
            self.forget(side);
        }
    }

    /// A settlement at `at` is about to be applied: what it ends, it may end without a fill.
    pub fn settlement(&mut self, at: TimestampMs) {
        self.settled = self.settled.max(Some(at));
        for leg in self.open.iter_mut().flat_map(|around| &mut around.legs) {
            leg.certainty = Certainty::Unknown;
        }
    }

    /// All instants, in order of time: the history is over.
    ///
    /// # Errors
    /// [`MathError`] when a quantity does not fit.
    pub fn finish(mut self, fold: &SymbolFold) -> Result<Vec<HeldAround>, MathError> {
        while let Some(stated) = self.statements.pop_front() {
            let begun = stated.at.saturating_add_ms(AROUND_MS);
            while let Some(instant) = self.waiting.pop_front_if(|instant| *instant <= begun) {
                self.open_last(fold, instant)?;
            }
            self.forget_settlement(stated.at);
            if self.settled.is_none() {
                self.hear(fold, &stated, None)?;
            }
        }
        while let Some(instant) = self.waiting.pop_front() {
            self.open_last(fold, instant)?;
        }
        self.close(|_| true);
        self.done.sort_by_key(|around| around.at);
        Ok(self.done)
    }

    /// Begins with an instant behind the last event.
    fn open_last(&mut self, fold: &SymbolFold, instant: TimestampMs) -> Result<(), MathError> {
        self.forget_settlement(instant);
        self.open_at(fold, instant)
    }

    /// Behind the last event it is known what a settlement ended.
    fn forget_settlement(&mut self, at: TimestampMs) {
        self.settled = self.settled.filter(|settled| at <= settled.saturating_add_ms(2 * AROUND_MS));
    }

    /// Holds what the exchange says against the fold. `next` is the event that follows.
    fn hear(
        &mut self,
        fold: &SymbolFold,
        stated: &PositionSnapshot,
        next: Option<TimestampMs>,
    ) -> Result<(), MathError> {
        let Some(index) = SIDES.iter().position(|side| *side == stated.position_side) else { return Ok(()) };
        if fold.held(stated.position_side)?.qty != stated.qty {
            // A fill on its way is in one of them and not in the other.
            let is_near = |event: TimestampMs| event.as_ms().abs_diff(stated.at.as_ms()) <= AROUND_MS.unsigned_abs();
            if !self.last_event.into_iter().chain(next).any(is_near) {
                self.forget(index);
            }
            return Ok(());
        }
        if let Some(agreed) = self.agreed.get_mut(index) {
            *agreed = Some(stated.at);
        }
        let places = self.unstated.get_mut(index).map(std::mem::take).unwrap_or_default();
        for at in places {
            if let Some(leg) = self.done.get_mut(at).and_then(|around| around.legs.get_mut(index)) {
                leg.stated_after = Some(stated.at);
            }
        }
        for leg in self.open.iter_mut().filter_map(|around| around.legs.get_mut(index)) {
            leg.stated_after.get_or_insert(stated.at);
        }
        Ok(())
    }

    fn open_at(&mut self, fold: &SymbolFold, at: TimestampMs) -> Result<(), MathError> {
        let mut legs = Vec::with_capacity(SIDES.len());
        for (position_side, stated_before) in SIDES.into_iter().zip(self.agreed) {
            let now = fold.held(position_side)?;
            let certainty = certainty(now, self.settled.is_some());
            legs.push(HeldLeg { position_side, sizes: vec![now.qty], certainty, stated_before, stated_after: None });
        }
        self.open.push(HeldAround { at, legs });
        Ok(())
    }

    fn close(&mut self, is_over: impl Fn(&HeldAround) -> bool) {
        for around in self.open.extract_if(.., |around| is_over(around)) {
            for (index, leg) in around.legs.iter().enumerate() {
                if leg.certainty != Certainty::Estimated {
                    continue;
                }
                if let Some(unproven) = self.unproven.get_mut(index) {
                    unproven.push(self.done.len());
                }
                if leg.stated_after.is_none()
                    && let Some(unstated) = self.unstated.get_mut(index)
                {
                    unstated.push(self.done.len());
                }
            }
            self.done.push(around);
        }
    }

    /// What was unseen is unseen from the beginning on: a proof that there is nothing of it holds for all of the time back to
    /// where something left that open.
    fn prove(&mut self, side: usize, now: HeldProof, is_doubtful: bool) {
        let before = self.proofs.get_mut(side).and_then(|proof| proof.replace(now));
        let has_lost = now == HeldProof::Lost || (now == HeldProof::Assumed && before.is_some_and(|it| it != now));
        if is_doubtful || has_lost {
            self.forget(side);
        } else if now == HeldProof::Proven {
            for at in self.unproven.get_mut(side).map(std::mem::take).unwrap_or_default() {
                if let Some(leg) = self.done.get_mut(at).and_then(|around| around.legs.get_mut(side)) {
                    leg.certainty = Certainty::Known;
                }
            }
            let open = self.open.iter_mut().filter_map(|around| around.legs.get_mut(side));
            for leg in open.filter(|leg| leg.certainty == Certainty::Estimated) {
                leg.certainty = Certainty::Known;
            }
        }
    }

    fn forget(&mut self, side: usize) {
        for places in [&mut self.unproven, &mut self.unstated] {
            if let Some(places) = places.get_mut(side) {
                places.clear();
            }
        }
        if let Some(agreed) = self.agreed.get_mut(side) {
            *agreed = None;
        }
        for leg in self.open.iter_mut().filter_map(|around| around.legs.get_mut(side)) {
            leg.certainty = Certainty::Unknown;
        }
    }
}

fn certainty(now: HeldNow, is_doubtful: bool) -> Certainty {
    match now.proof {
        _ if is_doubtful => Certainty::Unknown,
        HeldProof::Proven => Certainty::Known,
        HeldProof::Agreed | HeldProof::Assumed => Certainty::Estimated,
        HeldProof::Lost => Certainty::Unknown,
    }
}
