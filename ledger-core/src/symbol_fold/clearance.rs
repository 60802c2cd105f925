//! Which round trip the cost of a liquidation belongs to.

use crate::amount::{Decimal, MathError};
use crate::certainty::Certainty;
use crate::income::Income;

use super::watch::{Exit, ExitCause, Occupant};

/// Where an entry belongs.
#[derive(Debug)]
pub(super) struct Place {
    /// The occupant; `None` is the contract's own line.
    pub(super) occupant: Option<usize>,
    pub(super) certainty: Certainty,
    /// Those of its exits that it was charged for: no other entry is.
    pub(super) charged: Vec<usize>,
    /// Others that it may be of: what they were charged is not sure either.
    pub(super) doubted: Vec<usize>,
}

/// Where the entry `row` belongs; `None` = to the account, not to the contract.
///
/// A charge (negative) goes to the round trip of the latest forced fill before it, and is known if it is the fee at
/// `rate` on what was closed by force there alone, and nothing else was charged for it. Where several were closed by
/// force and it does not tell which it is for, each of them is doubted. Where no order is on record that says who closed,
/// the latest exit is taken for the forced one, as an estimate: without a liquidation there is no such charge. What the
/// insurance fund adds (positive) is for the account's debt, so it goes to the round trip only where nothing else was
/// liquidated (`is_alone`), as an estimate. Auto-deleveraging is not taken to be charged.
pub(super) fn place(row: &Income, is_alone: bool, rate: Option<Decimal>, occupants: &[Occupant]) -> Option<Place> {
    let forced = Candidates::new(occupants, ExitCause::Liquidation);
    if !row.amount.is_negative() {
        return forced.latest().filter(|_| is_alone).map(|latest| forced.estimate(latest, Vec::new()));
    }
    let Some(latest) = forced.latest() else {
        let untold = Candidates::new(occupants, ExitCause::Untold);
        let Some(latest) = untold.latest() else {
            return Some(Place {
                occupant: None,
                certainty: Certainty::Known,
                charged: Vec::new(),
                doubted: Vec::new(),
            });
        };
        return Some(untold.estimate(latest, untold.exits(latest)));
    };
    let fitting: Vec<(usize, Vec<usize>)> =
        forced.all().filter_map(|at| Some((at, fits(row.amount, rate?, occupants.get(at)?)?))).collect();
    Some(match fitting.as_slice() {
        [(occupant, charged)] => Place {
            occupant: Some(*occupant),
            certainty: Certainty::Known,
            charged: charged.clone(),
            doubted: Vec::new(),
        },
        [(occupant, charged), ..] => forced.estimate(*occupant, charged.clone()),
        // With a rate, a later entry may be the fee on it.
        [] => forced.estimate(latest, if rate.is_none() { forced.exits(latest) } else { Vec::new() }),
    })
}

/// The round trips with exits of one kind.
struct Candidates<'a> {
    occupants: &'a [Occupant],
    why: ExitCause,
}

impl<'a> Candidates<'a> {
    fn new(occupants: &'a [Occupant], why: ExitCause) -> Self {
        Self { occupants, why }
    }

    fn all(&self) -> impl Iterator<Item = usize> {
        (0..self.occupants.len()).filter(|at| !self.exits_of(*at, |_| true).is_empty())
    }

    fn exits_of(&self, occupant: usize, is_wanted: impl Fn(&Exit) -> bool) -> Vec<usize> {
        let exits = self.occupants.get(occupant).map(|it| it.exits.as_slice()).unwrap_or_default();
        let is_wanted = |exit: &Exit| exit.why == self.why && is_wanted(exit);
        exits.iter().enumerate().filter(|(_, exit)| is_wanted(exit)).map(|(at, _)| at).collect()
    }

    fn exits(&self, occupant: usize) -> Vec<usize> {
        self.exits_of(occupant, |_| true)
    }

    /// The one with the latest exit that nothing was charged for yet; if there is none, the one with the latest of all.
    fn latest(&self) -> Option<usize> {
        let last = |at: usize| {
            let exits = &self.occupants.get(at)?.exits;
            let own = exits.iter().filter(|exit| exit.why == self.why);
            own.map(|exit| (!exit.is_charged, exit.at)).max()
        };
        self.all().filter_map(|at| Some((last(at)?, at))).max().map(|(_, at)| at)
    }

    fn estimate(&self, occupant: usize, charged: Vec<usize>) -> Place {
        let doubted = self.all().filter(|other| *other != occupant).collect();
        Place { occupant: Some(occupant), certainty: Certainty::Estimated, charged, doubted }
    }
}

/// The exits that a charge is the fee at `rate` on: one of the forced ones, or all of them, that nothing was charged for yet;
/// up to the rounding at the 8th decimal.
fn fits(charge: Decimal, rate: Decimal, occupant: &Occupant) -> Option<Vec<usize>> {
    let is_open = |exit: &Exit| exit.why == ExitCause::Liquidation && !exit.is_charged;
    let forced: Option<Vec<(usize, Decimal)>> = occupant
        .exits
        .iter()
        .enumerate()
        .filter(|(_, exit)| is_open(exit))
        .map(|(at, exit)| Some((at, exit.notional?)))
        .collect();
    let forced = forced.filter(|forced| !forced.is_empty())?;
    let is_fee = |notional: Decimal| -> Result<bool, MathError> {
        let fee = notional.checked_mul_round(rate, crate::amount::SCALE_MAX)?;
        Ok(charge.abs().checked_sub(fee)?.abs() <= Decimal::new(1, 8)?)
    };
    if let Some((at, _)) = forced.iter().find(|(_, notional)| is_fee(*notional).unwrap_or(false)) {
        return Some(vec![*at]);
    }
    let all = forced.iter().try_fold(Decimal::ZERO, |sum, (_, notional)| sum.checked_add(*notional)).ok()?;
    is_fee(all).unwrap_or(false).then(|| forced.iter().map(|(at, _)| *at).collect())
}
