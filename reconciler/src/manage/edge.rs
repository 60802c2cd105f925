//! At which prices a rule applies. Whether an edge is reached is computed without any division, so exactly; a price that rests at
//! the exchange is rounded to its steps.

use ledger_core::{Decimal, Direction, MathError, Price};

use super::rules::{Basis, Distance, Unit};
use super::sight::{Plan, Seen};

/// Decimals of a price that was divided, before it is rounded to the contract's steps.
const SCALE: u8 = 12;

/// Which way the price moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Toward {
    /// Against the position.
    Loss,
    /// In its favour.
    Profit,
}

/// Whether a price that falls moves that way.
fn falls(direction: Direction, toward: Toward) -> bool {
    (direction == Direction::Long) == (toward == Toward::Loss)
}

/// From where a distance counts, with the factor by which a move of the price counts; `None` where that is not known.
fn measured(distance: &Distance, plan: &Plan, seen: &Seen) -> Option<(Decimal, Decimal)> {
    let basis = match distance.basis {
        Basis::Entry => seen.entry,
        Basis::BreakEven => seen.break_even,
    };
    let factor = match distance.unit {
        Unit::Price => Some(Decimal::from(1)),
        Unit::Roe => plan.leverage.filter(|leverage| leverage.is_positive()),
    };
    basis.map(Price::get).zip(factor)
}

/// Whether `price` has moved so far, its edge included; `None` where the rule's numbers are not known.
pub(super) fn is_reached(
    distance: &Distance,
    toward: Toward,
    plan: &Plan,
    seen: &Seen,
    price: Price,
) -> Result<Option<bool>, MathError> {
    let Some((basis, factor)) = measured(distance, plan, seen) else { return Ok(None) };
    has_moved(price.get(), basis, distance.percent, factor, falls(plan.direction, toward)).map(Some)
}

/// Whether `price` is at least `percent / factor` percent of `basis` below it, or above.
pub(super) fn has_moved(
    price: Decimal,
    basis: Decimal,
    percent: Decimal,
    factor: Decimal,
    falls: bool,
) -> Result<bool, MathError> {
    let moved = if falls { basis.checked_sub(price)? } else { price.checked_sub(basis)? };
    Ok(moved.checked_mul(Decimal::from(100))?.checked_mul(factor)? >= percent.checked_mul(basis)?)
}

/// The price at which a rule applies, on the contract's steps: that of a stop is rounded so that it applies earlier, that of a
/// take-profit so that it applies later, never to less than was asked. `None` where the rule's numbers are not known, or no price is so far
/// away.
pub(super) fn resting(
    distance: &Distance,
    toward: Toward,
    plan: &Plan,
    seen: &Seen,
    tick: Option<Decimal>,
) -> Result<Option<Price>, MathError> {
    let Some((basis, factor)) = measured(distance, plan, seen) else { return Ok(None) };
    let all = factor.checked_mul(Decimal::from(100))?;
    let share = if falls(plan.direction, toward) {
        all.checked_sub(distance.percent)?
    } else {
        all.checked_add(distance.percent)?
    };
    let exact = basis.checked_mul(share)?.div_round(all, SCALE)?;
    // Upwards a long's stop applies earlier, and its take-profit later; mirrored for a short.
    let upwards = plan.direction == Direction::Long;
    let rounded = if upwards { up(exact, tick)? } else { down(exact, tick)? };
    Ok(Price::new(rounded).ok())
}

/// At which price closing a position leaves neither profit nor loss: what it cost with `fees` paid, less the `funding` received (negative
/// where it was paid), with a closing order that takes for `taker_rate` of its value (0.0005 are 5 basis points). `None` where no
/// price does.
///
/// From `qty * (price - entry) - fees + funding - qty * price * taker_rate = 0` for a long, mirrored for a short.
///
/// # Errors
/// [`MathError`] where a number does not fit.
pub fn break_even(
    direction: Direction,
    qty: Decimal,
    entry: Price,
    fees: Decimal,
    funding: Decimal,
    taker_rate: Decimal,
) -> Result<Option<Price>, MathError> {
    let (cost, one) = (entry.get().checked_mul(qty)?, Decimal::from(1));
    let burden = fees.checked_sub(funding)?;
    let (value, kept) = match direction {
        Direction::Long => (cost.checked_add(burden)?, one.checked_sub(taker_rate)?),
        Direction::Short => (cost.checked_sub(burden)?, one.checked_add(taker_rate)?),
    };
    let kept = kept.checked_mul(qty)?;
    if !kept.is_positive() {
        return Ok(None);
    }
    Ok(Price::new(value.div_round(kept, SCALE)?).ok())
}

/// The largest multiple of `step` that is not above `value`; without a step the value itself.
pub(super) fn down(value: Decimal, step: Option<Decimal>) -> Result<Decimal, MathError> {
    crate::execute::rounding::down(value, step)
}

/// The smallest multiple of `step` that is not below `value`.
pub(super) fn up(value: Decimal, step: Option<Decimal>) -> Result<Decimal, MathError> {
    crate::execute::rounding::up(value, step)
}
