//! Figures that a row states twice: price x quantity, and the amount that it comes to.
//!
//! A row that contradicts itself is not believed, because nothing tells which of its figures was damaged on the way. Apart
//! by a power of 1000 is the trace of a spreadsheet program that took dots for separators of thousands, or the other way
//! round: then the other rows of the file are not to be believed either, however well they add up.

use ledger_core::{Decimal, DerivedFigure};

use super::cell::Cell;
use super::error::{RowError, RowProblem};

/// A figure that follows from others, as a row states it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stated<'a> {
    cell: Cell<'a>,
    pub(super) figure: DerivedFigure,
}

impl<'a> Stated<'a> {
    /// A figure of a format with exact decimals.
    pub(super) fn exact(cell: Cell<'a>) -> Result<Self, RowError> {
        cell.decimal()?;
        Ok(Self { cell, figure: DerivedFigure::exact(cell.text).map_err(|problem| cell.error(problem))? })
    }

    /// A figure that a library computed with doubles.
    pub(super) fn float(cell: Cell<'a>) -> Result<Self, RowError> {
        Ok(Self { cell, figure: DerivedFigure::float(cell.text).map_err(|problem| cell.error(problem))? })
    }

    /// Checks that it is the product of a price and a quantity, give or take `slack`.
    ///
    /// # Errors
    /// The figure, with what it would have to be.
    pub(super) fn check(self, price: Decimal, qty: Decimal, slack: Decimal) -> Result<(), RowError> {
        let Ok(derived) = price.product(qty) else {
            let derived = format!("{price} x {qty}");
            return Err(self.cell.error(RowProblem::NotTheProduct { derived, by_thousands: false }));
        };
        if self.figure.is(derived, slack) {
            return Ok(());
        }
        let by_thousands = self.figure.is_apart_by_thousands(derived);
        Err(self.cell.error(RowProblem::NotTheProduct { derived: derived.abs().to_string(), by_thousands }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(price: &str, qty: &str, amount: &str) -> Result<(), bool> {
        let stated = Stated::exact(Cell::new("Amount", amount)).unwrap();
        stated.check(price.parse().unwrap(), qty.parse().unwrap(), Decimal::ZERO).map_err(|error| match error.problem {
            RowProblem::NotTheProduct { by_thousands, .. } => by_thousands,
            other => panic!("{other}"),
        })
    }

    #[test]
    fn an_amount_is_the_product_to_half_a_unit_of_its_last_digit() {
        for (price, qty, amount) in [
            ("60003.0", "0.020", "1200.06"),
            ("60003.0", "0.020", "1200.1"),
            ("60003.0", "0.020", "1200"),
            ("0.00012345", "7", "0.00086415"),
            ("0.00012345", "7", "0.0009"),
            ("0.005", "0.1", "0"),
            ("2", "1.5", "-3"),
            ("3", "250", "8e2"),
            // Doubles show more digits than they know.
            ("60003.0", "0.020", "1200.0600000000001"),
            ("1", "0.3", "0.30000000000000004"),
        ] {
            assert_eq!(check(price, qty, amount), Ok(()), "{price} x {qty} = {amount}");
        }
        for (price, qty, amount) in [
            ("60003.0", "0.020", "1200.0"),
            ("60003.0", "0.020", "1201"),
            ("60003.0", "0.020", "1200.0601"),
            ("60003.0", "0.020", "12000.6"),
            ("60003.0", "0.020", "120.006"),
            ("2", "1", "0"),
            ("99999999999999999999", "99999999999999999999", "1"),
        ] {
            assert_eq!(check(price, qty, amount), Err(false), "{price} x {qty} = {amount}");
        }
    }

    #[test]
    fn thousands_are_told_from_other_mistakes() {
        for (price, qty, amount) in [
            ("60.000", "1", "60000"),
            ("60000", "1", "60.000"),
            ("60000", "0.010", "600000"),
            ("60003", "20", "1.20006"),
            ("0.5", "3", "1500000000"),
        ] {
            assert_eq!(check(price, qty, amount), Err(true), "{price} x {qty} = {amount}");
        }
    }
}
