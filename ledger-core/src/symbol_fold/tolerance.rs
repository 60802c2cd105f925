//! How closely the exchange's realized profit has to fit.

use crate::amount::{Decimal, MathError, SCALE_MAX, Value, pow10};
use crate::contract::Contract;
use crate::instrument::ContractKind;
use crate::position::Applied;

use super::Trade;

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
