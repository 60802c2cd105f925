//! What was held around instants, as a fold comes by them.

use std::collections::VecDeque;

use crate::amount::{Decimal, MathError};
use crate::certainty::Certainty;
use crate::source::PositionSide;
use crate::symbol_fold::{HeldNow, HeldProof, SymbolFold};
use crate::time::TimestampMs;

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
}

impl HeldLeg {
    /// Whether nothing was held all the time.
    pub fn is_flat(&self) -> bool {
        self.sizes.iter().all(|size| size.is_zero())
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
    /// A settlement that may have ended a position without a fill. What it ended is known behind the next event.
    settled: Option<TimestampMs>,
}

impl HeldTracker {
    /// For these instants.
    pub fn new(mut instants: Vec<TimestampMs>) -> Self {
        instants.sort_unstable();
        instants.dedup();
        Self { waiting: instants.into(), ..Self::default() }
    }

    /// Whether all instants have passed and nothing can be proven of them any more.
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.open.is_empty() && self.unproven.iter().all(Vec::is_empty)
    }

    /// An event at `at` is about to be applied.
    ///
    /// # Errors
    /// [`MathError`] when a quantity does not fit.
    pub fn before(&mut self, fold: &SymbolFold, at: TimestampMs) -> Result<(), MathError> {
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
        while let Some(instant) = self.waiting.pop_front() {
            // By now it is known what a settlement ended.
            let is_past = |settled: &TimestampMs| instant > settled.saturating_add_ms(2 * AROUND_MS);
            self.settled = self.settled.filter(|settled| !is_past(settled));
            self.open_at(fold, instant)?;
        }
        self.close(|_| true);
        self.done.sort_by_key(|around| around.at);
        Ok(self.done)
    }

    fn open_at(&mut self, fold: &SymbolFold, at: TimestampMs) -> Result<(), MathError> {
        let mut legs = Vec::with_capacity(SIDES.len());
        for position_side in SIDES {
            let now = fold.held(position_side)?;
            legs.push(HeldLeg {
                position_side,
                sizes: vec![now.qty],
                certainty: certainty(now, self.settled.is_some()),
            });
        }
        self.open.push(HeldAround { at, legs });
        Ok(())
    }

    fn close(&mut self, is_over: impl Fn(&HeldAround) -> bool) {
        for around in self.open.extract_if(.., |around| is_over(around)) {
            for (index, leg) in around.legs.iter().enumerate() {
                if leg.certainty == Certainty::Estimated
                    && let Some(unproven) = self.unproven.get_mut(index)
                {
                    unproven.push(self.done.len());
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
}

impl HeldTracker {
    fn forget(&mut self, side: usize) {
        if let Some(unproven) = self.unproven.get_mut(side) {
            unproven.clear();
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
