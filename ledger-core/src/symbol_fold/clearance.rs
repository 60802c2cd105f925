//! Which round trip the cost of a liquidation belongs to.

use crate::amount::{Decimal, MathError};
use crate::certainty::Certainty;
use crate::income::Income;

use super::watch::{Exit, ExitCause, Occupant};

/// Where the entry `row` belongs: a round trip, or the contract's own line; `None` = to the account, not to the contract.
///
/// A charge (negative) goes to the round trip of the latest forced fill before it, and is known if it is the fee at
/// `rate` on what was closed by force. Where no order is on record that says who closed, the latest exit is taken for
/// the forced one, as an estimate: without a liquidation there is no such charge. What the insurance fund adds
/// (positive) is for the account's debt, so it goes to the round trip only where nothing else was liquidated
/// (`is_alone`), as an estimate. Auto-deleveraging is not taken to be charged.
pub(super) fn place<'a>(
    row: &Income,
    is_alone: bool,
    rate: Option<Decimal>,
    occupants: &'a [Occupant],
) -> Option<(Option<&'a Occupant>, Certainty)> {
    let forced = latest(occupants, ExitCause::Liquidation);
    if !row.amount.is_negative() {
        return forced.filter(|_| is_alone).map(|occupant| (Some(occupant), Certainty::Estimated));
    }
    let Some(forced) = forced else {
        return Some(match latest(occupants, ExitCause::Untold) {
            Some(occupant) => (Some(occupant), Certainty::Estimated),
            None => (None, Certainty::Known),
        });
    };
    let fitting: Vec<&Occupant> =
        occupants.iter().filter(|it| rate.is_some_and(|rate| fits(row.amount, rate, &it.exits))).collect();
    Some(match fitting.as_slice() {
        [occupant] => (Some(*occupant), Certainty::Known),
        _ => (Some(forced), Certainty::Estimated),
    })
}

/// The round trip with the latest exit of this kind.
fn latest(occupants: &[Occupant], why: ExitCause) -> Option<&Occupant> {
    let last = |it: &Occupant| it.exits.iter().filter(|exit| exit.why == why).map(|exit| exit.at).max();
    occupants.iter().filter_map(|it| Some((last(it)?, it))).max_by_key(|(at, _)| *at).map(|(_, it)| it)
}

/// Whether a charge is the fee at `rate` on one of the forced exits, or on all of them, up to the rounding at the 8th
/// decimal.
fn fits(charge: Decimal, rate: Decimal, exits: &[Exit]) -> bool {
    let forced: Option<Vec<Decimal>> =
        exits.iter().filter(|exit| exit.why == ExitCause::Liquidation).map(|exit| exit.notional).collect();
    let Some(forced) = forced.filter(|forced| !forced.is_empty()) else { return false };
    let is_fee = |notional: Decimal| -> Result<bool, MathError> {
        let fee = notional.checked_mul_round(rate, crate::amount::SCALE_MAX)?;
        Ok(charge.abs().checked_sub(fee)?.abs() <= Decimal::new(1, 8)?)
    };
    let all = forced.iter().try_fold(Decimal::ZERO, |sum, notional| sum.checked_add(*notional));
    forced.iter().copied().chain(all).any(|notional| is_fee(notional).unwrap_or(false))
}
