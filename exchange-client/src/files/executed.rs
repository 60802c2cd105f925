//! What an order executed, as a row states it several times: quantity, average price, and the amount that both come to;
//! and whether that is possible with what was ordered and how the order stands.

use ledger_core::{Decimal, Execution, Order, Price, Symbol, half_unit};

use super::amounts::Stated;
use super::cell::Cell;
use super::error::{RowError, RowProblem};
use crate::binance_usdm::instrument_from_symbol;

/// How many decimals an average is computed with where only the amount tells it: those of the exchange's amounts.
const AVERAGE_SCALE: u8 = 8;

/// The cells of a row about what its order executed.
pub(super) struct Executed<'a> {
    pub(super) symbol: &'a Symbol,
    pub(super) qty: Option<Cell<'a>>,
    /// 0 where nothing executed, and where the exchange leaves it out.
    pub(super) avg_price: Option<Cell<'a>>,
    /// Quantity x average price.
    pub(super) quote: Option<Cell<'a>>,
}

impl Executed<'_> {
    /// What was executed. Where the average price is 0, the amount tells it.
    ///
    /// # Errors
    /// When a cell cannot be read, or they contradict each other.
    pub(super) fn read(self) -> Result<Option<Execution>, RowError> {
        let Some(qty_cell) = self.qty else { return Ok(None) };
        let qty = qty_cell.not_negative()?;
        let stated = self.avg_price.map_or(Ok(None), Cell::price_unless_zero)?;
        // The amounts of an inverse contract are in coins.
        let quote =
            self.quote.filter(|_| instrument_from_symbol(self.symbol).is_some()).map(Stated::exact).transpose()?;
        let avg_price = match (stated, quote, self.avg_price) {
            (Some(price), Some(quote), Some(shown)) => {
                // The average is rounded, too.
                let slack = qty.product(half_unit(shown.text)).unwrap_or(Decimal::ZERO);
                quote.check(price.get(), qty, slack)?;
                Some(price)
            }
            (None, Some(quote), _) if qty.is_positive() => average(quote.figure.amount(), qty),
            (None, Some(quote), _) => {
                quote.check(Decimal::ZERO, qty, Decimal::ZERO)?;
                None
            }
            (stated, ..) => stated,
        };
        Ok(Some(Execution::new(qty, avg_price)))
    }
}

/// Checks that an order's quantities, status and times do not contradict each other.
///
/// # Errors
/// What does, with both values.
pub(super) fn check_order(order: &Order) -> Result<(), RowError> {
    order.contradiction().map_or(Ok(()), |contradiction| Err(RowError::row(RowProblem::Order(Box::new(contradiction)))))
}

/// The average price that an amount and a quantity tell.
pub(super) fn average(amount: Decimal, qty: Decimal) -> Option<Price> {
    amount.div_round(qty, AVERAGE_SCALE).ok().and_then(|price| Price::new(price).ok())
}
