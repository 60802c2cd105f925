//! Which position a funding payment belongs to.
//!
//! The exchange's funding rows name the symbol but not the position. In one-way mode that is enough while nothing changes;
//! in hedge mode a symbol can hold a long and a short at once, which pay and receive the same rate on their own sizes, in
//! two rows or in one. The sign of a row and the sign of the rate say together whether it is of a long or of a short.

use std::collections::BTreeMap;

use crate::amount::{Decimal, MathError, Price, Quantity, SCALE_MAX};
use crate::certainty::Certainty;
use crate::contract::Contract;
use crate::funding_rate::FundingRate;
use crate::id::Asset;
use crate::income::Income;
use crate::round_trip::Direction;
use crate::source::{PositionSide, Side};
use crate::symbol_fold::Occupant;
use crate::time::TimestampMs;

const HOUR_MS: i64 = 3_600_000;
const POSTING_DELAY_MS_MAX: i64 = 60_000;

/// The instant whose position a funding row posted at `at` pays for, where no rate is on record that states it.
///
/// Funding is charged on the positions held at a full hour and posted some seconds later (Binance's documentation
/// allows a deviation of 15 s), so a row within the first minute of an hour belongs to that hour; any other row is
/// taken at its own time. Later rows never have an earlier instant.
pub fn funding_instant(at: TimestampMs) -> TimestampMs {
    let late = at.as_ms().rem_euclid(HOUR_MS);
    if late <= POSTING_DELAY_MS_MAX { at.saturating_add_ms(-late) } else { at }
}

/// What a rate on record says that positions were charged.
pub(crate) struct Charge<'a> {
    contract: &'a Contract,
    rate: Decimal,
    mark: Price,
}

impl<'a> Charge<'a> {
    /// `None` where the mark price is not stated.
    pub(crate) fn new(contract: &'a Contract, rate: &FundingRate) -> Option<Self> {
        Some(Self { contract, rate: rate.rate, mark: rate.mark_price? })
    }

    /// What a position of `size` was charged or paid, unsigned.
    fn of(&self, size: Decimal, mark: Price) -> Option<Decimal> {
        let qty = Quantity::new(size).ok()?;
        let notional = self.contract.cost(Side::Buy, qty, mark).ok()?.to_decimal().ok()?;
        Some(notional.checked_mul_round(self.rate, SCALE_MAX).ok()?.abs())
    }

    /// By how much the amount for `size` may differ: one unit of the mark price's last digit, and the rounding at the
    /// 8th decimal.
    pub(crate) fn tolerance(&self, size: Decimal) -> Option<Decimal> {
        let next = self.mark.get().checked_add(Decimal::new(1, self.mark.get().scale()).ok()?).ok()?;
        let apart = self.of(size, Price::new(next).ok()?)?.checked_sub(self.of(size, self.mark)?).ok()?;
        apart.abs().checked_add(Decimal::new(1, 8).ok()?).ok()
    }

    /// Whether `amount` is what a position of `size` was charged or paid.
    fn fits(&self, amount: Decimal, size: Decimal) -> bool {
        let difference = || self.of(size, self.mark)?.checked_sub(amount.abs()).ok();
        match (difference(), self.tolerance(size)) {
            (Some(difference), Some(tolerance)) => !size.is_zero() && difference.abs() <= tolerance,
            _ => false,
        }
    }

    /// What a long or short of `size` got: negative = paid.
    pub(crate) fn signed(&self, direction: Direction, size: Decimal) -> Option<Decimal> {
        let amount = self.of(size, self.mark)?;
        Some(if (direction == Direction::Long) == self.rate.is_positive() { -amount } else { amount })
    }
}

/// A part of a funding payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    /// The row that it is a part of, by its place.
    pub(crate) row: usize,
    /// The round trip it belongs to, by its place; `None` when that cannot be told.
    pub(crate) occupant: Option<usize>,
    pub(crate) amount: Decimal,
    pub(crate) certainty: Certainty,
}

/// How the rows of an instant are distributed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Placed {
    /// They add up to the rows.
    pub(crate) shares: Vec<Share>,
    /// Round trips that may lack an amount of this asset, because it could not be placed.
    pub(crate) doubted: Vec<(usize, Asset)>,
}

/// Distributes the rows of one instant over the round trips that were open within the minute around it.
///
/// - A round trip that was open all the time, alone, gets everything, with the certainty that `single` states.
/// - Where the rate is on record, its sign and the row's say whether a row is of a long or of a short. Without it, two
///   rows whose sizes fit only one way are told apart by these; else that longs pay is assumed, as an estimate.
/// - Among round trips that changed within that minute, a row goes to the one that it fits at the rate; else, as an
///   estimate, to the one held at the instant, or to the only one.
/// - One row for both positions of a hedge is split by their sizes, as an estimate, unless it is the amount of one.
/// - What fits nothing is of no round trip, and every one that it might be of is doubted.
pub(crate) fn attribute(
    rows: &[Income],
    rate: Option<&FundingRate>,
    charge: Option<&Charge<'_>>,
    occupants: &[Occupant],
    single: Certainty,
) -> Placed {
    let mut by_asset: BTreeMap<&Asset, Vec<(usize, Decimal)>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        by_asset.entry(&row.key.asset).or_default().push((index, row.amount));
    }
    let payer = rate
        .filter(|rate| !rate.rate.is_zero())
        .map(|rate| if rate.rate.is_positive() { Direction::Long } else { Direction::Short });
    let mut placed = Placed::default();
    for (asset, rows) in by_asset {
        Attribution { rows: &rows, payer, charge, occupants, single, asset, placed: &mut placed }.run();
    }
    placed
}

/// The rows of one asset.
struct Attribution<'a> {
    rows: &'a [(usize, Decimal)],
    /// Who paid, where a rate on record says so.
    payer: Option<Direction>,
    charge: Option<&'a Charge<'a>>,
    occupants: &'a [Occupant],
    single: Certainty,
    asset: &'a Asset,
    placed: &'a mut Placed,
}

impl Attribution<'_> {
    fn run(&mut self) {
        let is_hedge = |it: &Occupant| it.position_side != PositionSide::Net;
        let leg = |direction| self.occupants.iter().position(|it| is_hedge(it) && it.direction == direction);
        match (self.occupants, leg(Direction::Long), leg(Direction::Short)) {
            ([], ..) => self.rows.iter().for_each(|(row, amount)| self.give(*row, None, *amount, Certainty::Known)),
            ([_], ..) => self.place_single(),
            (_, Some(_), Some(_)) => self.place_in_hedge(),
            _ => {
                for (row, amount) in self.rows {
                    let candidates = self.of_direction(Self::direction_of(*amount, self.payer));
                    self.resolve(*row, *amount, &candidates, self.payer.is_some());
                }
            }
        }
    }

    fn give(&mut self, row: usize, occupant: Option<usize>, amount: Decimal, certainty: Certainty) {
        self.placed.shares.push(Share { row, occupant, amount, certainty });
    }

    /// Whether a row is of longs or of shorts, when `payer` paid.
    fn direction_of(amount: Decimal, payer: Option<Direction>) -> Option<Direction> {
        let payer = payer.filter(|_| !amount.is_zero())?;
        Some(if amount.is_negative() { payer } else { payer.opposite() })
    }

    /// The round trips that a row may be of; all of them, where its sign tells nothing or fits none.
    fn of_direction(&self, direction: Option<Direction>) -> Vec<usize> {
        let fits = |index: &usize| {
            direction.is_none_or(|direction| self.occupants.get(*index).is_some_and(|it| it.direction == direction))
        };
        let fitting: Vec<usize> = (0..self.occupants.len()).filter(fits).collect();
        if fitting.is_empty() { (0..self.occupants.len()).collect() } else { fitting }
    }

    /// Only one round trip was open.
    fn place_single(&mut self) {
        let Some(only) = self.occupants.first() else { return };
        let is_hedge = only.position_side != PositionSide::Net;
        let is_mixed = self.rows.iter().any(|(_, amount)| amount.is_positive())
            && self.rows.iter().any(|(_, amount)| amount.is_negative());
        // Of two opposite rows one is of the other position of a hedge, which the book does not see.
        let payer = self.payer.or((is_hedge && is_mixed).then_some(Direction::Long));
        for (row, amount) in self.rows {
            let contradicts = Self::direction_of(*amount, payer).is_some_and(|direction| direction != only.direction);
            if contradicts && is_hedge {
                self.give(*row, None, *amount, Certainty::Estimated);
                continue;
            }
            let is_sure = only.throughout || self.charge.is_some_and(|charge| fits_any(charge, *amount, only));
            let is_sure = is_sure && !contradicts && !(is_hedge && self.rows.len() > 1);
            let certainty = if is_sure { self.single } else { self.single.max(Certainty::Estimated) };
            self.give(*row, Some(0), *amount, certainty);
        }
    }

    /// Both positions of a hedge were open.
    fn place_in_hedge(&mut self) {
        match self.rows {
            [(row, amount)] => self.split(*row, *amount),
            rows => {
                let by_sizes = if self.payer.is_none() { self.payer_by_sizes() } else { None };
                let payer = self.payer.or(by_sizes);
                let are_two = matches!(rows, [(_, x), (_, y)] if x.is_negative() != y.is_negative());
                for (row, amount) in rows {
                    // Rates are positive most of the time.
                    let direction = Self::direction_of(*amount, payer.or(Some(Direction::Long)));
                    let candidates = self.of_direction(direction);
                    self.resolve(*row, *amount, &candidates, payer.is_some() && are_two);
                }
            }
        }
    }

    /// Who paid, by the sizes of two positions that did not change: two rows of opposite signs, in the ratio of the
    /// sizes up to the rounding of each amount, where that fits in one way only.
    fn payer_by_sizes(&self) -> Option<Direction> {
        let ([a, b], [(_, x), (_, y)]) = (self.occupants, self.rows) else { return None };
        let unchanged = |it: &Occupant| if it.throughout && it.sizes.len() == 1 { it.held } else { None };
        let (size_a, size_b) = (unchanged(a)?, unchanged(b)?);
        if x.is_negative() == y.is_negative() || x.is_zero() || y.is_zero() {
            return None;
        }
        let (paid, received) = if x.is_negative() { (x.abs(), *y) } else { (y.abs(), *x) };
        let fits = |of_a: Decimal, of_b: Decimal| -> Result<bool, MathError> {
            let (left, right) = (of_a.checked_mul(size_b)?, of_b.checked_mul(size_a)?);
            let slack = size_a.checked_add(size_b)?.checked_mul(Decimal::new(1, 8)?)?;
            Ok(left.checked_sub(right)?.abs() <= slack)
        };
        // Numbers that cannot be compared exactly match nothing.
        match (fits(paid, received).ok()?, fits(received, paid).ok()?) {
            (true, false) => Some(a.direction),
            (false, true) => Some(b.direction),
            _ => None,
        }
    }

    /// One row for a long and a short: the amount of one of them, or what both got together.
    fn split(&mut self, row: usize, amount: Decimal) {
        let held: Vec<(usize, Direction, Decimal)> = (0..self.occupants.len())
            .filter_map(|index| self.occupants.get(index).and_then(|it| Some((index, it.direction, it.held?))))
            .collect();
        let ([a, b], all) = (held.as_slice(), self.of_direction(None)) else {
            let candidates = self.of_direction(Self::direction_of(amount, self.payer));
            return self.resolve(row, amount, &candidates, self.payer.is_some());
        };
        let is_of_one = |(_, direction, size): &(usize, Direction, Decimal)| {
            let charge = self.charge.filter(|charge| charge.fits(amount, *size));
            charge
                .and_then(|charge| charge.signed(*direction, *size))
                .is_some_and(|its| its.is_negative() == amount.is_negative())
        };
        let sure = self.occupants.len() == 2 && self.occupants.iter().all(|it| it.sizes.len() == 1);
        match (is_of_one(a), is_of_one(b)) {
            (true, false) | (false, true) => {
                let one = if is_of_one(a) { a.0 } else { b.0 };
                let certainty = if sure { Certainty::Known } else { Certainty::Estimated };
                self.give(row, Some(one), amount, certainty);
            }
            _ => match self.shares_of(amount, *a, *b) {
                Some((of_a, of_b)) => {
                    self.give(row, Some(a.0), of_a, Certainty::Estimated);
                    self.give(row, Some(b.0), of_b, Certainty::Estimated);
                }
                // Positions of one size get nothing together, so it is of one of them.
                None if a.2 == b.2 => {
                    let direction = Self::direction_of(amount, self.payer.or(Some(Direction::Long)));
                    let candidates = self.of_direction(direction);
                    self.resolve(row, amount, &candidates, self.payer.is_some() && sure);
                }
                None => self.leave(row, amount, &all),
            },
        }
    }

    /// The parts of one amount by size, as the sum of a long and a short is, rounded to what wallets are kept in.
    fn shares_of(
        &self,
        amount: Decimal,
        a: (usize, Direction, Decimal),
        b: (usize, Direction, Decimal),
    ) -> Option<(Decimal, Decimal)> {
        let signed = |(_, direction, size): (usize, Direction, Decimal)| {
            if direction == Direction::Long { size } else { -size }
        };
        let weight = signed(a).checked_add(signed(b)).ok().filter(|weight| !weight.is_zero())?;
        // The first is what the rate says, where it says the sum, too; else in proportion.
        let by_rate = || {
            let charge = self.charge?;
            let (of_a, of_b) = (charge.signed(a.1, a.2)?, charge.signed(b.1, b.2)?);
            let off = of_a.checked_add(of_b).ok()?.checked_sub(amount).ok()?.abs();
            let slack = charge.tolerance(a.2)?.checked_add(charge.tolerance(b.2)?).ok()?;
            (off <= slack).then(|| of_a.round(8))
        };
        let in_proportion = || amount.div_round(weight, SCALE_MAX).ok()?.checked_mul_round(signed(a), 8).ok();
        let of_a = by_rate().or_else(in_proportion)?;
        Some((of_a, amount.checked_sub(of_a).ok()?))
    }

    /// Gives a row to one of `candidates`. `is_told` says whether these are all that its sign leaves.
    fn resolve(&mut self, row: usize, amount: Decimal, candidates: &[usize], is_told: bool) {
        let of = |index: &usize| self.occupants.get(*index);
        if let [only] = candidates {
            let fits = of(only)
                .is_some_and(|it| it.throughout || self.charge.is_some_and(|charge| fits_any(charge, amount, it)));
            let certainty = if is_told && fits { Certainty::Known } else { Certainty::Estimated };
            return self.give(row, Some(*only), amount, certainty);
        }
        let only = |fits: &dyn Fn(&Occupant) -> bool| {
            let mut fitting = candidates.iter().filter(|index| of(index).is_some_and(fits));
            fitting.next().filter(|_| fitting.next().is_none()).copied()
        };
        let exact = self.charge.and_then(|charge| only(&|it| fits_any(charge, amount, it)));
        let within = || self.charge.and_then(|charge| only(&|it| fits_between(charge, amount, it)));
        let held = || only(&|it| it.held.is_some());
        let (occupant, certainty) = match exact {
            Some(one) => (Some(one), Certainty::Known),
            None => (within().or_else(held), Certainty::Estimated),
        };
        match occupant {
            Some(one) => self.give(row, Some(one), amount, certainty),
            None => self.leave(row, amount, candidates),
        }
    }

    /// A row that nothing places.
    fn leave(&mut self, row: usize, amount: Decimal, candidates: &[usize]) {
        self.give(row, None, amount, Certainty::Estimated);
        if !amount.is_zero() {
            self.placed.doubted.extend(candidates.iter().map(|index| (*index, self.asset.clone())));
        }
    }
}

/// Whether `amount` is what any of the sizes was charged.
fn fits_any(charge: &Charge<'_>, amount: Decimal, it: &Occupant) -> bool {
    it.sizes.iter().any(|size| charge.fits(amount, *size))
}

/// Whether `amount` lies between what the smallest and the largest size were charged.
fn fits_between(charge: &Charge<'_>, amount: Decimal, it: &Occupant) -> bool {
    let largest = it.sizes.iter().copied().max().unwrap_or_default();
    let smallest = if it.throughout { it.sizes.iter().copied().min().unwrap_or_default() } else { Decimal::ZERO };
    let reaches = |size: Decimal| charge.of(size, charge.mark).is_some_and(|most| amount.abs() <= most);
    let exceeds = smallest.is_zero() || charge.of(smallest, charge.mark).is_some_and(|least| amount.abs() >= least);
    exceeds && (reaches(largest) || charge.fits(amount, largest))
}
