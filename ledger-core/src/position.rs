//! Average-cost position math for one position, exact to the last digit.
//!
//! Signs. A quantity is positive for long and negative for short. `open cost` of a linear contract is the sum of
//! signed quantity x price x multiplier of what is open; an inverse contract's is the negative of its base value
//! (quantity x multiplier / price), so that in both kinds a fill's cash flow is the negative of its cost.
//!
//! Rounding. A linear fill's cost is never rounded. An inverse fill's base value is rounded once, half to even, at 18
//! decimals. A partial close leaves `cost0 x qty / qty0` open, where (qty0, cost0) is the state at the last increase,
//! rounded once, half to even, at 18 decimals; so the number of partial closes does not matter. A full close takes all
//! that remains.
//!
//! Invariants, each with a test of the same name:
//! 1. `conservation_is_exact`: realized - open cost = sum of cash flows, after any number of fills.
//! 2. `closing_in_parts_equals_closing_at_once`.
//! 3. `long_and_short_mirror_each_other`.
//! 4. `a_flip_is_a_close_and_an_open`.

use crate::amount::{Decimal, MathError, Price, Quantity, SCALE_MAX, mul, mul_div_round, pow10};
use crate::instrument::{ContractKind, Instrument};
use crate::source::Side;

/// An amount of the settle asset in units of 10^-18: the fixed scale that position math works at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Value(i128);

impl Value {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The exact value of a decimal.
    ///
    /// # Errors
    /// [`MathError::Overflow`] beyond about 1.7e20.
    #[inline]
    pub fn from_decimal(amount: Decimal) -> Result<Self, MathError> {
        amount.mantissa_at(SCALE_MAX).map(Self)
    }

    /// The same amount as a [`Decimal`].
    ///
    /// # Errors
    /// Never in practice: every value that arithmetic produces is a decimal.
    #[inline]
    pub fn to_decimal(self) -> Result<Decimal, MathError> {
        Decimal::new(self.0, SCALE_MAX)
    }

    /// The exact sum.
    ///
    /// # Errors
    /// [`MathError::Overflow`].
    #[inline]
    pub fn checked_add(self, other: Self) -> Result<Self, MathError> {
        add_symmetric(self.0, other.0).map(Self)
    }

    /// The exact difference.
    ///
    /// # Errors
    /// [`MathError::Overflow`].
    #[inline]
    pub fn checked_sub(self, other: Self) -> Result<Self, MathError> {
        add_symmetric(self.0, -other.0).map(Self)
    }

    /// Whether this is nothing.
    #[inline]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    #[inline]
    fn signed(magnitude: i128, positive: bool) -> Self {
        Self(if positive { magnitude } else { -magnitude })
    }
}

/// What position math needs to know of an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Contract {
    kind: ContractKind,
    multiplier: Quantity,
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

    /// The unsigned value of `qty` at `price` in the settle asset.
    #[inline]
    fn value(self, qty: Quantity, price: Price) -> Result<i128, MathError> {
        let (qty, price, multiplier) = (qty.get(), price.get(), self.multiplier.get());
        if self.kind == ContractKind::Linear && multiplier == Decimal::ONE {
            // Nearly every contract and fill: one multiplication, one shift to the fixed scale.
            let shift = SCALE_MAX.checked_sub(qty.scale() + price.scale()).and_then(pow10);
            if let (Some(product), Some(factor)) = (mul(qty.mantissa(), price.mantissa()), shift) {
                return mul(product, factor).ok_or(MathError::Overflow);
            }
        }
        let size = mul(qty.mantissa(), multiplier.mantissa()).ok_or(MathError::Overflow)?;
        let size_scale = qty.scale() + multiplier.scale();
        match self.kind {
            ContractKind::Linear => {
                let product = mul(size, price.mantissa()).ok_or(MathError::Overflow)?;
                let scale = size_scale + price.scale();
                if let Some(shift) = SCALE_MAX.checked_sub(scale) {
                    return pow10(shift).and_then(|factor| mul(product, factor)).ok_or(MathError::Overflow);
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
    fn cost(self, side: Side, qty: Quantity, price: Price) -> Result<Value, MathError> {
        let positive = (side == Side::Buy) == (self.kind == ContractKind::Linear);
        Ok(Value::signed(self.value(qty, price)?, positive))
    }

    /// The average price of `qty` that cost `cost` in all, both of either sign, rounded half to even at `scale`.
    ///
    /// # Errors
    /// [`MathError::DivisionByZero`] for a quantity or inverse cost of zero; [`MathError::Overflow`].
    pub fn average_price(self, qty: Decimal, cost: Value, scale: u8) -> Result<Decimal, MathError> {
        let size = qty.abs().checked_mul(self.multiplier.get())?;
        let cost = cost.to_decimal()?.abs();
        match self.kind {
            ContractKind::Linear => cost.div_round(size, scale),
            ContractKind::Inverse => size.div_round(cost, scale),
        }
    }

    /// [`Contract::average_price`] of a quantity at the scale of values.
    pub(crate) fn average_of(self, qty: Value, cost: Value, scale: u8) -> Result<Decimal, MathError> {
        if self.kind == ContractKind::Linear
            && self.multiplier.get() == Decimal::ONE
            && let Some(unit) = pow10(scale)
        {
            return Decimal::new(mul_div_round(cost.0.abs(), unit, qty.0.abs())?, scale);
        }
        self.average_price(qty.to_decimal()?, cost, scale)
    }
}

impl From<&Instrument> for Contract {
    fn from(instrument: &Instrument) -> Self {
        Self { kind: instrument.kind, multiplier: instrument.multiplier }
    }
}

/// What a fill did to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Opened it or made it larger.
    Increase,
    /// Closed a part of it.
    Reduce,
    /// Closed all of it.
    Close,
    /// Closed all of it and opened the rest in the other direction.
    Flip,
}

/// The money side of one fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// What it did.
    pub change: Change,
    /// The profit or loss that it realized, without fees.
    pub realized: Value,
    /// The cash it moved: negative for what was bought (linear).
    pub cash_flow: Value,
    /// The cost of what it opened.
    pub opened_cost: Value,
    closed_qty: i128,
    qty: i128,
    scale: u8,
}

impl Applied {
    /// How much of the position was closed, unsigned.
    ///
    /// # Errors
    /// Never in practice: it is at most the fill's quantity.
    #[inline]
    pub fn closed_qty(&self) -> Result<Decimal, MathError> {
        Decimal::new(self.closed_qty, self.scale)
    }

    /// How much was opened, unsigned.
    ///
    /// # Errors
    /// Never in practice: it is at most the fill's quantity.
    #[inline]
    pub fn opened_qty(&self) -> Result<Decimal, MathError> {
        Decimal::new(self.qty - self.closed_qty, self.scale)
    }

    /// The cash that the closing part moved.
    #[inline]
    pub(crate) fn closing_cash_flow(&self) -> Result<Value, MathError> {
        self.cash_flow.checked_add(self.opened_cost)
    }

    /// Splits an amount by quantity into (closing part, opening part): the closing part is rounded half to even at 18
    /// decimals, the opening part is the rest, so both add up to the whole.
    ///
    /// # Errors
    /// [`MathError::Overflow`].
    #[inline]
    pub fn split(&self, amount: Value) -> Result<(Value, Value), MathError> {
        if self.closed_qty == 0 {
            return Ok((Value::ZERO, amount));
        }
        if self.closed_qty == self.qty {
            return Ok((amount, Value::ZERO));
        }
        let closing = Value(mul_div_round(amount.0, self.closed_qty, self.qty)?);
        Ok((closing, amount.checked_sub(closing)?))
    }
}

/// One position: what is open and what it cost.
///
/// ```
/// use ledger_core::{Asset, Contract, Instrument, Position, Side, Symbol};
///
/// let instrument = Instrument::linear(Symbol::new("ETHUSDT")?, Asset::new("USDT")?)?;
/// let contract = Contract::from(&instrument);
/// let mut position = Position::FLAT;
/// position.apply(contract, Side::Buy, "12".parse()?, "100".parse()?)?;
/// let closed = position.apply(contract, Side::Sell, "9".parse()?, "101".parse()?)?;
/// assert_eq!(closed.realized.to_decimal()?, "9".parse()?);
/// assert_eq!(position.qty()?, "3".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Position {
    /// Signed, at `scale`; so is `qty_base`.
    qty: i128,
    cost: i128,
    qty_base: i128,
    cost_base: i128,
    scale: u8,
}

impl Position {
    /// Nothing open.
    pub const FLAT: Self = Self { qty: 0, cost: 0, qty_base: 0, cost_base: 0, scale: 0 };

    /// A position that is stated rather than built up: `qty` (signed) entered at `entry`.
    ///
    /// # Errors
    /// [`MathError`] when its cost does not fit.
    pub fn stated(contract: Contract, qty: Decimal, entry: Price) -> Result<Self, MathError> {
        let mut position = Self::FLAT;
        if let Ok(size) = Quantity::new(qty.abs()) {
            let side = if qty.is_negative() { Side::Sell } else { Side::Buy };
            position.apply(contract, side, size, entry)?;
        }
        Ok(position)
    }

    /// Whether nothing is open.
    #[inline]
    pub fn is_flat(&self) -> bool {
        self.qty == 0
    }

    /// The signed open quantity.
    ///
    /// # Errors
    /// Never in practice: quantities come from decimals.
    pub fn qty(&self) -> Result<Decimal, MathError> {
        Decimal::new(self.qty, self.scale)
    }

    /// The open quantity, unsigned, at the scale of values.
    #[inline]
    pub(crate) fn size(&self) -> Result<Value, MathError> {
        let factor = SCALE_MAX.checked_sub(self.scale).and_then(pow10).ok_or(MathError::LostDigits)?;
        let size = mul(self.qty.abs(), factor).ok_or(MathError::Overflow)?;
        Ok(Value(size))
    }

    /// Whether `side` would make the position larger (or open it).
    #[inline]
    pub fn is_increased_by(&self, side: Side) -> bool {
        match side {
            Side::Buy => self.qty >= 0,
            Side::Sell => self.qty <= 0,
        }
    }

    /// The open cost; see the module's sign conventions.
    #[inline]
    pub fn open_cost(&self) -> Value {
        Value(self.cost)
    }

    /// The average entry price, rounded half to even at `scale` for display; `None` when flat.
    ///
    /// # Errors
    /// [`MathError`] when it does not fit.
    pub fn average_entry(&self, contract: Contract, scale: u8) -> Result<Option<Decimal>, MathError> {
        if self.is_flat() {
            return Ok(None);
        }
        let qty = Decimal::new(self.qty_base, self.scale)?;
        contract.average_price(qty, Value(self.cost_base), scale).map(Some)
    }

    /// The profit or loss that closing everything at `mark` would realize, without fees.
    ///
    /// # Errors
    /// [`MathError`] when it does not fit.
    pub fn unrealized(&self, contract: Contract, mark: Price) -> Result<Value, MathError> {
        let mut closed = *self;
        let side = if self.qty > 0 { Side::Sell } else { Side::Buy };
        match Quantity::new(self.qty()?.abs()) {
            Ok(qty) => Ok(closed.apply(contract, side, qty, mark)?.realized),
            Err(_) => Ok(Value::ZERO),
        }
    }

    /// Applies a fill.
    ///
    /// # Errors
    /// [`MathError`] when a result does not fit or a linear cost needs more than 18 decimals; the position is
    /// unchanged.
    #[inline]
    pub fn apply(&mut self, contract: Contract, side: Side, qty: Quantity, price: Price) -> Result<Applied, MathError> {
        let mut next = *self;
        next.rescale(qty.get().scale())?;
        let size = qty.get().mantissa_at(next.scale)?;
        let delta = if side == Side::Buy { size } else { -size };
        let cost = contract.cost(side, qty, price)?;
        let cash_flow = Value(-cost.0);
        let scale = next.scale;
        let applied = |change, realized, opened_cost, closed_qty| Applied {
            change,
            realized,
            cash_flow,
            opened_cost,
            closed_qty,
            qty: size,
            scale,
        };
        let open = add_symmetric(next.qty, delta)?;
        let result = if next.is_increased_by(side) {
            next.increase(open, add_symmetric(next.cost, cost.0)?);
            applied(Change::Increase, Value::ZERO, cost, 0)
        } else if open == 0 {
            let realized = cash_flow.checked_sub(Value(next.cost))?;
            next = Self::FLAT;
            applied(Change::Close, realized, Value::ZERO, size)
        } else if (open > 0) == (next.qty > 0) {
            let remaining = mul_div_round(next.cost_base, open, next.qty_base)?;
            let realized = Value(remaining).checked_sub(Value(next.cost))?.checked_add(cash_flow)?;
            (next.qty, next.cost) = (open, remaining);
            applied(Change::Reduce, realized, Value::ZERO, size)
        } else {
            let rest = Quantity::new(Decimal::new(open.abs(), scale)?).map_err(|_| MathError::Overflow)?;
            let opened = contract.cost(side, rest, price)?;
            let closing = cost.checked_sub(opened)?;
            let realized = Value(-closing.0).checked_sub(Value(next.cost))?;
            let closed = next.qty.abs();
            next.increase(open, opened.0);
            applied(Change::Flip, realized, opened, closed)
        };
        *self = next;
        Ok(result)
    }

    #[inline]
    fn increase(&mut self, qty: i128, cost: i128) {
        (self.qty, self.cost) = (qty, cost);
        (self.qty_base, self.cost_base) = (qty, cost);
    }

    /// Makes room for quantities with `scale` decimals. Ratios of quantities, all that is ever used, do not change.
    #[inline]
    fn rescale(&mut self, scale: u8) -> Result<(), MathError> {
        let Some(shift) = scale.checked_sub(self.scale).filter(|shift| *shift > 0) else {
            return Ok(());
        };
        let factor = pow10(shift).ok_or(MathError::Overflow)?;
        self.qty = self.qty.checked_mul(factor).ok_or(MathError::Overflow)?;
        self.qty_base = self.qty_base.checked_mul(factor).ok_or(MathError::Overflow)?;
        self.scale = scale;
        Ok(())
    }
}

impl PartialEq for Position {
    /// By value: the internal scale remembers the most precise fill, which is no part of the position.
    fn eq(&self, other: &Self) -> bool {
        let scale = self.scale.max(other.scale);
        let (mut a, mut b) = (*self, *other);
        a.rescale(scale).is_ok()
            && b.rescale(scale).is_ok()
            && (a.qty, a.cost, a.qty_base, a.cost_base) == (b.qty, b.cost, b.qty_base, b.cost_base)
    }
}

impl Eq for Position {}

/// The sum, without `i128::MIN`, which has no negation.
#[inline]
fn add_symmetric(a: i128, b: i128) -> Result<i128, MathError> {
    a.checked_add(b).filter(|sum| *sum != i128::MIN).ok_or(MathError::Overflow)
}

#[cfg(feature = "serde")]
mod text_serde {
    use super::{Position, Value};
    use crate::amount::Decimal;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

    impl Serialize for Value {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.to_decimal().map_err(S::Error::custom)?.serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for Value {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Value::from_decimal(Decimal::deserialize(deserializer)?).map_err(D::Error::custom)
        }
    }

    #[derive(Serialize, Deserialize)]
    struct Parts {
        /// Part of the state: it decides when numbers overflow.
        scale: u8,
        qty: Decimal,
        cost: Value,
        qty_base: Decimal,
        cost_base: Value,
    }

    impl Serialize for Position {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let decimal = |mantissa| Decimal::new(mantissa, self.scale).map_err(S::Error::custom);
            Parts {
                scale: self.scale,
                qty: decimal(self.qty)?,
                cost: Value(self.cost),
                qty_base: decimal(self.qty_base)?,
                cost_base: Value(self.cost_base),
            }
            .serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for Position {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let parts = Parts::deserialize(deserializer)?;
            let scale = parts.scale;
            if scale > super::SCALE_MAX {
                return Err(D::Error::custom("a position has a scale of at most 18"));
            }
            let mantissa = |value: Decimal| value.mantissa_at(scale).map_err(D::Error::custom);
            Ok(Position {
                qty: mantissa(parts.qty)?,
                cost: parts.cost.0,
                qty_base: mantissa(parts.qty_base)?,
                cost_base: parts.cost_base.0,
                scale,
            })
        }
    }
}
