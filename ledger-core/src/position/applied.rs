//! What a fill does to a position.

use crate::amount::{Decimal, MathError, Value, mul_div_round};

/// What a fill did to a position.
// As wide as half a register, and `Applied::scale` as well: an answer that ends in two bytes is copied in pieces that overlap,
// for which the processor waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
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

/// A fill as a position sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// Its quantity, unsigned, in units of 10^-[`Position::scale`].
    pub(crate) units: i128,
    /// What it adds to the open cost.
    pub(crate) cost: Value,
    /// What is open after it, signed, in the same units.
    pub(crate) open: i128,
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
    pub(super) closed_qty: i128,
    pub(super) qty: i128,
    pub(super) scale: u32,
}

impl Applied {
    /// What a fill does that [increases](Position::is_increased_by) the position.
    #[inline]
    pub(super) fn increase(part: &Part, scale: u8) -> Self {
        Self {
            change: Change::Increase,
            realized: Value::ZERO,
            cash_flow: part.cost.negated(),
            opened_cost: part.cost,
            closed_qty: 0,
            qty: part.units,
            scale: scale.into(),
        }
    }

    /// Where [`Position::diminish`] writes its answer.
    #[inline]
    pub(crate) fn blank() -> Self {
        Self::increase(&Part { units: 0, cost: Value::ZERO, open: 0 }, 0)
    }

    /// How much of the position was closed, unsigned.
    ///
    /// # Errors
    /// Never in practice: it is at most the fill's quantity.
    #[inline]
    pub fn closed_qty(&self) -> Result<Decimal, MathError> {
        Decimal::new(self.closed_qty, self.digits())
    }

    /// How much was opened, unsigned.
    ///
    /// # Errors
    /// Never in practice: it is at most the fill's quantity.
    #[inline]
    pub fn opened_qty(&self) -> Result<Decimal, MathError> {
        Decimal::new(self.qty - self.closed_qty, self.digits())
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it was a byte")]
    fn digits(&self) -> u8 {
        self.scale as u8
    }

    /// What was closed, in units of 10^-[`Applied::scale`].
    #[inline]
    pub(crate) fn closed_units(&self) -> i128 {
        self.closed_qty
    }

    /// What was opened, in units of 10^-[`Applied::scale`].
    #[inline]
    pub(crate) fn opened_units(&self) -> i128 {
        self.qty - self.closed_qty
    }

    /// The scale of the position it was applied to.
    #[inline]
    pub(crate) fn scale(&self) -> u8 {
        self.digits()
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
