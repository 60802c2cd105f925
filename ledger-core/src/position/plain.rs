//! Position math where every quantity fits a register: the case of nearly every fill, without a detour.

use crate::amount::{Decimal, Price, Quantity, SCALE_MAX, Value, mul_div_round_narrow, narrow, pow10_narrow};
use crate::contract::Contract;
use crate::source::Side;

use super::{Change, Position};

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
}

impl PlainPart {
    /// What it does to a position that is not flat.
    #[inline]
    pub(crate) fn change(&self) -> Change {
        if (self.held ^ self.open.wrapping_sub(self.held)) >= 0 {
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
        let (size, at) = (qty.get(), price.get());
        let digits = narrow(size.mantissa())?;
        let units = digits.checked_mul(pow10_narrow(self.scale.wrapping_sub(size.scale()))?)?;
        let held = narrow(self.qty)?;
        if !contract.is_plain() {
            return None;
        }
        let product = digits.checked_mul(narrow(at.mantissa())?)?;
        let factor = pow10_narrow(SCALE_MAX.wrapping_sub(size.scale() + at.scale()))?;
        // Both signs without a branch: nothing foretells which one is next.
        let sign = if side == Side::Buy { 1 } else { -1 };
        let open = held.checked_add(sign * units)?;
        Some(PlainPart { units, cost: Value(i128::from(sign * product) * i128::from(factor)), held, open })
    }

    /// What would remain of the open cost after a fill that [reduces](Change::Reduce) the position.
    #[inline]
    pub(crate) fn remaining_cost(&self, part: &PlainPart) -> Option<Value> {
        mul_div_round_narrow(self.cost_base, part.open, narrow(self.qty_base)?).map(Value)
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
