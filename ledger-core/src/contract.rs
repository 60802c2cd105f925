//! How quantities and prices of a contract become money.

use crate::amount::{
    Decimal, MathError, Price, Quantity, SCALE_MAX, Value, mul, mul_div_round, mul_div_round_narrow, narrow, pow10,
    pow10_narrow, shift_left,
};
use crate::instrument::{ContractKind, Instrument};
use crate::source::Side;

/// What position math needs to know of an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(from = "Terms", into = "Terms"))]
pub struct Contract {
    kind: ContractKind,
    multiplier: Quantity,
    is_plain: bool,
}

impl Contract {
    /// How the contract pays.
    pub fn kind(self) -> ContractKind {
        self.kind
    }

    /// The contract's size: see [`Instrument::multiplier`].
    pub fn multiplier(self) -> Quantity {
        self.multiplier
    }

    /// Whether a unit of quantity is one unit of a linear contract: whether its value is quantity x price.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    fn new(kind: ContractKind, multiplier: Quantity) -> Self {
        Self { kind, multiplier, is_plain: kind == ContractKind::Linear && multiplier.get() == Decimal::ONE }
    }

    /// The unsigned value of `qty` at `price` in the settle asset.
    #[inline]
    fn value(&self, qty: Quantity, price: Price) -> Result<i128, MathError> {
        let (size, at) = (qty.get(), price.get());
        if self.is_plain()
            && let (Some(units), Some(ticks)) = (narrow(size.mantissa()), narrow(at.mantissa()))
            && let Some(shift) = SCALE_MAX.checked_sub(size.scale() + at.scale())
        {
            // Nearly every contract and fill: one multiplication, one shift to the fixed scale.
            return shift_left(i128::from(units) * i128::from(ticks), shift);
        }
        self.value_of_any(size, at)
    }

    #[cold]
    fn value_of_any(&self, qty: Decimal, price: Decimal) -> Result<i128, MathError> {
        let multiplier = self.multiplier.get();
        let size = mul(qty.mantissa(), multiplier.mantissa()).ok_or(MathError::Overflow)?;
        let size_scale = qty.scale() + multiplier.scale();
        match self.kind {
            ContractKind::Linear => {
                let product = mul(size, price.mantissa()).ok_or(MathError::Overflow)?;
                let scale = size_scale + price.scale();
                if let Some(shift) = SCALE_MAX.checked_sub(scale) {
                    return shift_left(product, shift);
                }
                let unit = pow10(scale - SCALE_MAX).ok_or(MathError::LostDigits)?;
                if product % unit == 0 { Ok(product / unit) } else { Err(MathError::LostDigits) }
            }
            ContractKind::Inverse => {
                // size / price at scale 18 = size x 10^(18 + price scale) / (price x 10^size scale)
                let numerator = pow10(SCALE_MAX + price.scale()).ok_or(MathError::Overflow)?;
                let denominator = pow10(size_scale)
                    .and_then(|factor| price.mantissa().checked_mul(factor))
                    .ok_or(MathError::Overflow)?;
                mul_div_round(size, numerator, denominator)
            }
        }
    }

    /// The cost that buying or selling `qty` at `price` adds; its negative is the cash flow.
    #[inline]
    pub(crate) fn cost(&self, side: Side, qty: Quantity, price: Price) -> Result<Value, MathError> {
        let is_positive = (side == Side::Buy) == (self.kind == ContractKind::Linear);
        let value = Value(self.value(qty, price)?);
        Ok(if is_positive { value } else { value.negated() })
    }

    /// The average price of `qty` that cost `cost` in all, both of either sign, rounded half to even at `scale`.
    ///
    /// # Errors
    /// [`MathError::DivisionByZero`] for a quantity or inverse cost of zero; [`MathError::Overflow`].
    pub fn average_price(self, qty: Decimal, cost: Value, scale: u8) -> Result<Decimal, MathError> {
        match narrow(qty.mantissa()).and_then(|units| self.plain_average(units, qty.scale(), cost, scale)) {
            Some(price) => Decimal::new(price, scale),
            None => self.average_of_any(qty, cost, scale),
        }
    }

    /// The average price of `units` x 10^-`decimals` in units of 10^-`scale` where everything fits a register: one division,
    /// of the amounts as they are.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the answer would pass through memory, at the price of the division")]
    pub(crate) fn plain_average(self, units: i64, decimals: u8, cost: Value, scale: u8) -> Option<i128> {
        if !self.is_plain() || scale > SCALE_MAX {
            return None;
        }
        let (units, cost) = (units.checked_abs()?, cost.0.checked_abs()?);
        let decimals = decimals + scale;
        match SCALE_MAX.checked_sub(decimals) {
            Some(shift) => mul_div_round_narrow(cost, 1, units.checked_mul(pow10_narrow(shift)?)?),
            None => mul_div_round_narrow(cost, pow10_narrow(decimals - SCALE_MAX)?, units),
        }
    }

    #[cold]
    pub(crate) fn average_of_any(self, qty: Decimal, cost: Value, scale: u8) -> Result<Decimal, MathError> {
        let size = qty.abs().checked_mul(self.multiplier.get())?;
        let cost = cost.to_decimal()?.abs();
        match self.kind {
            ContractKind::Linear => cost.div_round(size, scale),
            ContractKind::Inverse => size.div_round(cost, scale),
        }
    }
}

impl From<&Instrument> for Contract {
    fn from(instrument: &Instrument) -> Self {
        Self::new(instrument.kind, instrument.multiplier)
    }
}

/// A contract as it is stored.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Terms {
    kind: ContractKind,
    multiplier: Quantity,
}

#[cfg(feature = "serde")]
impl From<Terms> for Contract {
    fn from(Terms { kind, multiplier }: Terms) -> Self {
        Self::new(kind, multiplier)
    }
}

#[cfg(feature = "serde")]
impl From<Contract> for Terms {
    fn from(Contract { kind, multiplier, .. }: Contract) -> Self {
        Self { kind, multiplier }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Asset, Symbol};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_short_average_is_the_long_one(
            qty in (any::<i64>(), 0_u32..64, 0_u8..19),
            cost in (any::<i128>(), 0_u32..128),
            scale in any::<u8>(),
        ) {
            let instrument = Instrument::linear(Symbol::new("BTCUSDT").unwrap(), Asset::new("USDT").unwrap()).unwrap();
            let contract = Contract::from(&instrument);
            let scale = if scale < 200 { scale % 20 } else { scale };
            let qty = Decimal::new(i128::from(qty.0 >> (qty.1 % 64)), qty.2).unwrap();
            let cost = Value((cost.0 >> (cost.1 % 128)).max(-i128::MAX));
            let (short, long) = (contract.average_price(qty, cost, scale), contract.average_of_any(qty, cost, scale));
            // The long one gives up earlier where numbers grow too large, because it begins with decimals.
            prop_assert!(short == long || long == Err(MathError::Overflow), "{short:?} {long:?}");
            if let Ok(short) = short {
                let rational = |mantissa: i128, scale: u8| {
                    num_rational::BigRational::new(mantissa.abs().into(), num_bigint::BigInt::from(10).pow(scale.into()))
                };
                let exact = rational(cost.0, SCALE_MAX) / rational(qty.mantissa(), qty.scale());
                let off = rational(short.mantissa(), short.scale()) - exact;
                let half = rational(1, scale) / num_bigint::BigInt::from(2);
                prop_assert!(off <= half && -off <= half);
            }
        }
    }
}
