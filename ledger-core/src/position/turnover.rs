//! What went into a position and came out of it between two moments at which it was flat.

use crate::amount::{Decimal, MathError, Value, narrow};
use crate::contract::Contract;

use super::sizes::Sizes;

/// What went into a position and came out of it between two moments at which it was flat: sizes and costs, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Turnover {
    sizes: Sizes,
    /// Costs, signed as in position math.
    entry_cost: Value,
    exit_cost: Value,
}

impl Turnover {
    /// None yet, of a position with this [`scale`](super::Position::scale).
    #[inline]
    pub(crate) fn none(scale: u8) -> Self {
        Self { sizes: Sizes::none(scale), entry_cost: Value::ZERO, exit_cost: Value::ZERO }
    }

    /// `units` x 10^-`scale` went in for `cost`, and `held` are open now.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of what every fill needs, and smaller than a call")]
    pub(crate) fn enter(&mut self, units: i128, held: i128, scale: u8, cost: Value) -> Result<(), MathError> {
        self.sizes.enter(units, held, scale)?;
        self.entry_cost = self.entry_cost.checked_add(cost)?;
        Ok(())
    }

    /// `units` x 10^-`scale` came out for `cost`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of what every fill needs, and smaller than a call")]
    pub(crate) fn leave(&mut self, units: i128, scale: u8, cost: Value) -> Result<(), MathError> {
        self.sizes.leave(units, scale)?;
        self.exit_cost = self.exit_cost.checked_add(cost)?;
        Ok(())
    }

    /// Everything that was bought into it (sold, for a short), unsigned.
    ///
    /// # Errors
    /// Never in practice: it is a sum of quantities.
    #[inline]
    pub fn entry_qty(&self) -> Result<Decimal, MathError> {
        self.sizes.entered()
    }

    /// Everything that was taken out of it, unsigned.
    ///
    /// # Errors
    /// Never in practice: it is a sum of quantities.
    #[inline]
    pub fn exit_qty(&self) -> Result<Decimal, MathError> {
        self.sizes.left()
    }

    /// The largest size it had.
    ///
    /// # Errors
    /// Never in practice: it is a sum of quantities.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the answer would pass through memory")]
    pub fn qty_max(&self) -> Result<Decimal, MathError> {
        self.sizes.max()
    }

    /// The average price of the entries, rounded half to even at `scale`; absent where nothing went in.
    ///
    /// # Errors
    /// [`MathError`] when it does not fit.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the answer would pass through memory, at the price of the division")]
    pub fn entry_price_avg(&self, contract: Contract, scale: u8) -> Result<Option<Decimal>, MathError> {
        average(contract, self.sizes.entered_units(), self.entry_cost, scale)
    }

    /// The average price of the exits, rounded half to even at `scale`; absent where nothing came out.
    ///
    /// # Errors
    /// [`MathError`] when it does not fit.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the answer would pass through memory, at the price of the division")]
    pub fn exit_price_avg(&self, contract: Contract, scale: u8) -> Result<Option<Decimal>, MathError> {
        average(contract, self.sizes.left_units(), self.exit_cost, scale)
    }

    /// The sum of all costs, entries and exits; see [position math](super::Position) for the signs.
    pub(crate) fn cost(&self) -> Result<Value, MathError> {
        self.entry_cost.checked_add(self.exit_cost)
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "the answer would pass through memory, at the price of the division")]
fn average(
    contract: Contract,
    (units, decimals): (i128, u8),
    cost: Value,
    scale: u8,
) -> Result<Option<Decimal>, MathError> {
    if units == 0 || cost.is_zero() {
        return Ok(None);
    }
    match narrow(units).and_then(|units| contract.plain_average(units, decimals, cost, scale)) {
        Some(price) => Decimal::new(price, scale).map(Some),
        None => contract.average_of_any(Decimal::new(units, decimals)?, cost, scale).map(Some),
    }
}
