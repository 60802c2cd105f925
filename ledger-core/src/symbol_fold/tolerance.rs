//! How closely the exchange's realized profit has to fit.

use crate::amount::{Decimal, MathError, SCALE_MAX, Value, narrow, pow10, pow10_narrow};
use crate::contract::Contract;
use crate::instrument::ContractKind;
use crate::position::{Applied, plain_value};

use super::Trade;

/// One unit of the 8th decimal, the last that an exchange reports, at the fixed scale.
const LAST_DIGIT: i128 = 10_000_000_000;

/// How closely an exchange's realized profit has to fit.
#[derive(Clone, Copy)]
pub(super) struct Tolerance<'a> {
    pub(super) contract: &'a Contract,
    pub(super) entry_rounding: &'a Decimal,
}

impl Tolerance<'_> {
    /// See [`SymbolFold::pnl_tolerance`](super::SymbolFold::pnl_tolerance).
    pub(super) fn of(self, closed_qty: Decimal) -> Result<Decimal, MathError> {
        if self.contract.kind() == ContractKind::Inverse {
            return Decimal::new(2, 8);
        }
        let size = closed_qty.checked_mul(self.contract.multiplier().get())?;
        let exact = size.mantissa().checked_mul(self.entry_rounding.mantissa()).ok_or(MathError::Overflow)?;
        let scale = size.scale() + self.entry_rounding.scale();
        // Rounded up where it needs more decimals than fit: a tolerance need not be exact.
        let product = match scale.checked_sub(SCALE_MAX).and_then(pow10) {
            Some(unit) => Decimal::new(exact / unit + 1, SCALE_MAX)?,
            None => Decimal::new(exact, scale)?,
        };
        product.checked_add(Decimal::new(1, 8)?)
    }

    /// Whether `reported` is within the tolerance of what closing `units` x 10^-`scale` of a linear contract without a
    /// multiplier realized, in plain numbers: false also where these do not fit a register.
    #[inline]
    pub(super) fn surely_admits(self, units: i64, scale: u8, realized: Value, reported: Value) -> bool {
        let sizes = || {
            let difference = narrow(realized.0.checked_sub(reported.0)?)?;
            let rounding = narrow(plain_value(*self.entry_rounding)?.0)?;
            Some((difference.unsigned_abs(), rounding, pow10_narrow(scale)?))
        };
        let Some((difference, rounding, unit)) = sizes() else { return false };
        // Both sides of `difference <= units x rounding + 10^-8`, times `unit`.
        let difference = i128::from(difference) * i128::from(unit);
        difference <= i128::from(units) * i128::from(rounding) + i128::from(unit) * LAST_DIGIT
    }

    /// Whether what the exchange says a trade realized fits the fold; true when it says nothing.
    #[inline]
    pub(super) fn agrees(self, trade: &Trade<'_>, applied: &Applied) -> Result<bool, MathError> {
        let Some(reported) = trade.reported else {
            return Ok(true);
        };
        let reported = Value::from_decimal(*reported)?;
        if reported == applied.realized {
            return Ok(true);
        }
        let difference = applied.realized.checked_sub(reported)?.to_decimal()?.abs();
        Ok(difference <= self.of(applied.closed_qty()?)?)
    }
}
