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

mod applied;
mod holding;
mod plain;
mod sizes;
#[cfg(feature = "serde")]
mod stored;
mod turnover;

pub(crate) use self::applied::Part;
pub use self::applied::{Applied, Change};
pub use self::holding::{Cycle, Holding, Trade};
pub(crate) use self::plain::{PlainPart, plain_value};
pub use self::turnover::Turnover;

use crate::amount::{Decimal, MathError, Price, Quantity, Value, add_symmetric, mul_div_round, shift_left};
use crate::contract::Contract;
use crate::source::Side;

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

    /// The open quantity, unsigned, in units of 10^-[`Position::scale`].
    #[inline]
    pub(crate) fn units(&self) -> i128 {
        self.qty.abs()
    }

    /// The scale of the finest quantity that it has seen.
    #[inline]
    pub(crate) fn scale(&self) -> u8 {
        self.scale
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
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the answer would pass through memory, at the price of the arithmetic")]
    pub fn apply(&mut self, contract: Contract, side: Side, qty: Quantity, price: Price) -> Result<Applied, MathError> {
        if let Some(part) = self.plain_part(&contract, side, qty, price)
            && let Some(applied) = self.apply_plain(&part, |applied, _| applied)
        {
            return Ok(applied);
        }
        self.apply_any(contract, side, qty, price)
    }

    /// [`apply`](Position::apply) without a short cut.
    #[inline(never)]
    fn apply_any(&mut self, contract: Contract, side: Side, qty: Quantity, price: Price) -> Result<Applied, MathError> {
        let part = self.measure(&contract, side, qty, price)?;
        if self.is_increased_by(side) {
            self.enlarge(&part)?;
            return Ok(Applied::increase(&part, self.scale));
        }
        let mut applied = Applied::increase(&part, self.scale);
        self.diminish(&contract, side, price, &part, &mut applied)?;
        Ok(applied)
    }

    /// What a fill is to this position, which takes its scale.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a call would pass all of it through memory, at the price of the arithmetic"
    )]
    pub(crate) fn measure(
        &mut self,
        contract: &Contract,
        side: Side,
        qty: Quantity,
        price: Price,
    ) -> Result<Part, MathError> {
        self.rescale(qty.get().scale())?;
        let units = qty.get().mantissa_at(self.scale)?;
        let open = add_symmetric(self.qty, if side == Side::Buy { units } else { -units })?;
        Ok(Part { units, cost: contract.cost(side, qty, price)?, open })
    }

    /// Applies a fill that [increases](Position::is_increased_by) the position.
    #[inline]
    pub(crate) fn enlarge(&mut self, part: &Part) -> Result<(), MathError> {
        self.increase(part.open, add_symmetric(self.cost, part.cost.0)?);
        Ok(())
    }

    /// Applies a fill that does not increase the position. The answer is written in place: copied out of a `Result`, it
    /// would cost as much as the arithmetic.
    #[inline]
    pub(crate) fn diminish(
        &mut self,
        contract: &Contract,
        side: Side,
        price: Price,
        part: &Part,
        applied: &mut Applied,
    ) -> Result<(), MathError> {
        let &Part { units, cost, open } = part;
        (applied.cash_flow, applied.qty, applied.scale) = (cost.negated(), units, self.scale.into());
        if open != 0 && (open > 0) == (self.qty > 0) {
            let remaining = mul_div_round(self.cost_base, open, self.qty_base)?;
            let released = add_symmetric(remaining, -self.cost)?;
            applied.realized = Value(add_symmetric(released, -cost.0)?);
            (applied.change, applied.closed_qty, applied.opened_cost) = (Change::Reduce, units, Value::ZERO);
            (self.qty, self.cost) = (open, remaining);
            return Ok(());
        }
        let opened = if open == 0 { Value::ZERO } else { self.beyond(contract, side, open, price)? };
        let closing = cost.checked_sub(opened)?;
        applied.realized = Value(add_symmetric(-self.cost, -closing.0)?);
        applied.change = if open == 0 { Change::Close } else { Change::Flip };
        (applied.closed_qty, applied.opened_cost) = (self.qty.abs(), opened);
        self.increase(open, opened.0);
        Ok(())
    }

    /// The cost of what a flip opens.
    fn beyond(&self, contract: &Contract, side: Side, open: i128, price: Price) -> Result<Value, MathError> {
        let rest = Quantity::new(Decimal::new(open.abs(), self.scale)?).map_err(|_| MathError::Overflow)?;
        contract.cost(side, rest, price)
    }

    #[inline]
    fn increase(&mut self, qty: i128, cost: i128) {
        (self.qty, self.cost) = (qty, cost);
        (self.qty_base, self.cost_base) = (qty, cost);
    }

    /// Makes room for quantities with `scale` decimals. Ratios of quantities, all that is ever used, do not change.
    #[inline]
    fn rescale(&mut self, scale: u8) -> Result<(), MathError> {
        if scale > self.scale { self.rescale_to(scale) } else { Ok(()) }
    }

    #[cold]
    fn rescale_to(&mut self, scale: u8) -> Result<(), MathError> {
        let shift = scale - self.scale;
        let (qty, qty_base) = (shift_left(self.qty, shift)?, shift_left(self.qty_base, shift)?);
        (self.qty, self.qty_base, self.scale) = (qty, qty_base, scale);
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
