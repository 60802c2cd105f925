//! Position math where every quantity fits a register: the case of nearly every fill, without a detour.

use crate::amount::{Decimal, Price, Quantity, SCALE_MAX, Value, mul_div_round_narrow, narrow, pow10_narrow};
use crate::contract::Contract;
use crate::source::Side;

use super::{Applied, Change, Position};

/// A fill of which every quantity fits a register, as a position sees it that need not be rescaled for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlainPart {
    /// Its quantity, unsigned, in units of 10^-[`Position::scale`].
    pub(crate) units: i64,
    /// What it adds to the open cost.
    pub(crate) cost: Value,
    /// What is open before and after it, signed, in the same units.
    pub(crate) held: i64,
    pub(crate) open: i64,
    pub(crate) side: Side,
}

impl PlainPart {
    /// What of an amount for all of `whole` falls to this part of it: [`Applied::split`](super::Applied::split).
    #[inline]
    pub(crate) fn share_of(&self, amount: Value, whole: &Self) -> Option<Value> {
        mul_div_round_narrow(amount.0, self.units, whole.units).map(Value)
    }

    /// What it does to a position that is not flat.
    #[inline]
    pub(crate) fn change(&self) -> Change {
        // The side is there before its quantity is measured, and nothing foretells the answer.
        if (self.held < 0) == (self.side == Side::Sell) {
            Change::Increase
        } else if self.open == 0 {
            Change::Close
        } else if (self.held ^ self.open) >= 0 {
            Change::Reduce
        } else {
            Change::Flip
        }
    }
}

/// `amount` at the fixed scale, where its digits fit a register.
#[inline]
pub(crate) fn plain_value(amount: Decimal) -> Option<Value> {
    let factor = pow10_narrow(SCALE_MAX.wrapping_sub(amount.scale()))?;
    Some(Value(i128::from(narrow(amount.mantissa())?) * i128::from(factor)))
}

impl Position {
    /// What a fill is to this position; `None` where anything does not fit, or needs a finer scale.
    #[inline]
    pub(crate) fn plain_part(&self, contract: &Contract, side: Side, qty: Quantity, price: Price) -> Option<PlainPart> {
        let size = qty.get();
        let digits = narrow(size.mantissa())?;
        let units = digits.checked_mul(pow10_narrow(self.scale.wrapping_sub(size.scale()))?)?;
        let held = narrow(self.qty)?;
        if !contract.is_plain() {
            return None;
        }
        // Both signs without a branch: nothing foretells which one is next.
        let signed = if side == Side::Buy { units } else { -units };
        Some(PlainPart { units, cost: self.plain_cost(signed, price)?, held, open: held.checked_add(signed)?, side })
    }

    /// The cost of `units`, which are signed, of a linear contract without a multiplier.
    #[inline]
    fn plain_cost(&self, units: i64, price: Price) -> Option<Value> {
        let at = price.get();
        let product = units.checked_mul(narrow(at.mantissa())?)?;
        let factor = pow10_narrow(SCALE_MAX.wrapping_sub(self.scale + at.scale()))?;
        Some(Value(i128::from(product) * i128::from(factor)))
    }

    /// A [flip](Change::Flip), as a close of all that is held and an opening with the rest.
    #[inline]
    pub(crate) fn plain_flip(&self, part: &PlainPart, price: Price) -> Option<(PlainPart, PlainPart)> {
        let &PlainPart { cost, held, open, side, .. } = part;
        let opened = self.plain_cost(open, price)?;
        let closing =
            PlainPart { units: held.checked_abs()?, cost: cost.checked_sub(opened).ok()?, held, open: 0, side };
        Some((closing, PlainPart { units: open.checked_abs()?, cost: opened, held: 0, open, side }))
    }

    /// What would remain of the open cost after a fill that [reduces](Change::Reduce) the position.
    #[inline]
    pub(crate) fn remaining_cost(&self, part: &PlainPart) -> Option<Value> {
        mul_div_round_narrow(self.cost_base, part.open, narrow(self.qty_base)?).map(Value)
    }

    /// What a fill realizes that leaves `remaining` of the open cost.
    #[inline]
    pub(crate) fn realized_by(&self, part: &PlainPart, remaining: Value) -> Option<Value> {
        remaining.checked_sub(Value(self.cost).checked_add(part.cost).ok()?).ok()
    }

    /// Applies a fill that is no flip, and then what `then` does with it; `None`, with nothing changed, where anything does not
    /// fit. What follows from a fill depends on what it did, so it goes on here, instead of asking again.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a call would pass all of it through memory, at the price of the arithmetic"
    )]
    pub(super) fn apply_plain<T>(&mut self, part: &PlainPart, then: impl FnOnce(Applied, &Self) -> T) -> Option<T> {
        let &PlainPart { units, cost, held, open, .. } = part;
        let scale = self.scale.into();
        let applied = |change, realized, opened_cost, closed_qty| Applied {
            change,
            realized,
            cash_flow: cost.negated(),
            opened_cost,
            closed_qty,
            qty: units.into(),
            scale,
        };
        match if held == 0 { Change::Increase } else { part.change() } {
            Change::Increase => {
                self.replace_by(part, Value(self.cost).checked_add(cost).ok()?);
                Some(then(applied(Change::Increase, Value::ZERO, cost, 0), self))
            }
            Change::Reduce => {
                let remaining = self.remaining_cost(part)?;
                let realized = self.realized_by(part, remaining)?;
                (self.qty, self.cost) = (open.into(), remaining.0);
                Some(then(applied(Change::Reduce, realized, Value::ZERO, units.into()), self))
            }
            Change::Close => {
                let realized = self.realized_by(part, Value::ZERO)?;
                self.replace_by(part, Value::ZERO);
                Some(then(applied(Change::Close, realized, Value::ZERO, units.into()), self))
            }
            Change::Flip => None,
        }
    }

    /// Applies a fill that leaves `cost` of this position open, and no base for anything but what is open.
    #[inline]
    pub(crate) fn replace_by(&mut self, part: &PlainPart, cost: Value) {
        self.increase(i128::from(part.open), cost.0);
    }

    /// Applies a fill that leaves a part of the position open, at its `cost`.
    #[inline]
    pub(crate) fn reduce_to(&mut self, part: &PlainPart, cost: Value) {
        (self.qty, self.cost) = (i128::from(part.open), cost.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Asset, Symbol};
    use crate::instrument::{ContractKind, Instrument};
    use proptest::prelude::*;

    proptest! {
        /// Short numbers and ones that fit no register, both kinds of contract.
        #[test]
        fn the_short_cut_is_the_long_way(
            fills in prop::collection::vec((any::<bool>(), (1_i64..9, 0_u8..2), (1_i64..99, 0_u8..3), 0_u8..20, any::<u64>()), 1..40),
            is_inverse in prop::bool::weighted(0.1),
        ) {
            let mut instrument =
                Instrument::linear(Symbol::new("BTCUSD").unwrap(), Asset::new("USD").unwrap()).unwrap();
            if is_inverse {
                (instrument.kind, instrument.multiplier) = (ContractKind::Inverse, "10".parse().unwrap());
            }
            let contract = Contract::from(&instrument);
            let (mut short, mut long) = (Position::FLAT, Position::FLAT);
            for (buy, qty, price, rare, large) in fills {
                let dec = |(mantissa, scale): (i64, u8)| {
                    let mantissa = if rare == 0 { i128::from(large >> 2) + 1 } else { mantissa.into() };
                    Decimal::new(mantissa, if rare == 1 { scale + 9 } else { scale }).unwrap()
                };
                let (qty, price) = (Quantity::new(dec(qty)).unwrap(), Price::new(dec(price)).unwrap());
                let side = if buy { Side::Buy } else { Side::Sell };
                prop_assert_eq!(short.apply(contract, side, qty, price), long.apply_any(contract, side, qty, price));
                prop_assert_eq!(short, long);
                prop_assert_eq!((short.scale, short.units()), (long.scale, long.units()));
            }
        }
    }
}
