//! One value of a row, with the name it goes by in the file: what every parser of this module reads from.

use std::str::FromStr;

use ledger_core::{
    Asset, Decimal, EventTime, Fee, IdError, Label, OrderStatus, PositionSide, Price, Quantity, Side, Symbol,
};

use super::error::{RowError, RowProblem};
use super::zone::{Zone, parse_time};
use crate::binance_usdm::fee_from_commission;

/// A value and the column or field that it stands in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<'a> {
    /// The column's name in the file.
    pub(super) column: &'a str,
    /// The value without the white space around it.
    pub(super) text: &'a str,
}

impl<'a> Cell<'a> {
    pub(super) fn new(column: &'a str, text: &'a str) -> Self {
        Self { column, text: text.trim() }
    }

    /// Whether it stands for no value.
    pub(super) fn is_blank(self) -> bool {
        matches!(self.text, "" | "-" | "--" | "null" | "NULL" | "None" | "N/A")
    }

    /// The cell unless it is blank.
    pub(super) fn present(self) -> Option<Self> {
        (!self.is_blank()).then_some(self)
    }

    /// `problem` with this cell's value.
    pub(super) fn error(self, problem: impl Into<RowProblem>) -> RowError {
        RowError::cell(self.column, self.text, problem)
    }

    pub(super) fn decimal(self) -> Result<Decimal, RowError> {
        self.text.parse().map_err(|problem: ledger_core::ParseDecimalError| self.error(problem))
    }

    /// A number that cannot be below zero.
    pub(super) fn not_negative(self) -> Result<Decimal, RowError> {
        let value = self.decimal()?;
        if value.is_negative() { Err(self.error(RowProblem::Negative)) } else { Ok(value) }
    }

    pub(super) fn price(self) -> Result<Price, RowError> {
        Price::new(self.decimal()?).map_err(|problem| self.error(problem))
    }

    pub(super) fn quantity(self) -> Result<Quantity, RowError> {
        Quantity::new(self.decimal()?).map_err(|problem| self.error(problem))
    }

    /// A price where 0 means none.
    pub(super) fn price_unless_zero(self) -> Result<Option<Price>, RowError> {
        if self.decimal()?.is_zero() { Ok(None) } else { self.price().map(Some) }
    }

    /// A quantity where 0 means none.
    pub(super) fn quantity_unless_zero(self) -> Result<Option<Quantity>, RowError> {
        if self.decimal()?.is_zero() { Ok(None) } else { self.quantity().map(Some) }
    }

    /// An identifier of any type.
    pub(super) fn id<T: FromStr<Err = IdError>>(self) -> Result<T, RowError> {
        self.text.parse().map_err(|problem: IdError| self.error(problem))
    }

    /// An identifier that the exchange counts up. Spreadsheet programs turn long ones into `8.38977E+18`, which would
    /// be another order's id for all that anybody knows.
    pub(super) fn counted_id<T: FromStr<Err = IdError>>(self) -> Result<T, RowError> {
        if !self.text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.error(RowProblem::MangledId));
        }
        self.id()
    }

    pub(super) fn symbol(self) -> Result<Symbol, RowError> {
        self.id()
    }

    pub(super) fn side(self) -> Result<Side, RowError> {
        self.text.to_ascii_uppercase().parse().map_err(|problem: ledger_core::UnknownName| self.error(problem))
    }

    /// The exchange's `BOTH` is the one position of one-way mode.
    pub(super) fn position_side(self) -> Result<PositionSide, RowError> {
        let upper = self.text.to_ascii_uppercase();
        if upper == "BOTH" {
            return Ok(PositionSide::Net);
        }
        upper.parse().map_err(|problem: ledger_core::UnknownName| self.error(problem))
    }

    pub(super) fn boolean(self) -> Result<bool, RowError> {
        match self.text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" => Ok(true),
            "false" | "f" | "no" | "n" | "0" => Ok(false),
            _ => Err(self.error(RowProblem::Boolean)),
        }
    }

    pub(super) fn time(self, zone: Option<&Zone>) -> Result<EventTime, RowError> {
        parse_time(self.text, zone).map_err(|problem| self.error(problem))
    }

    /// An order status, in the exchange's own spelling whatever the export makes of it (`Partially Filled`).
    pub(super) fn status(self) -> Result<OrderStatus, RowError> {
        let name = match self.open_name().as_str() {
            "CANCELLED" => "CANCELED".to_owned(),
            "PARTIAL_FILLED" | "PARTIALLYFILLED" => "PARTIALLY_FILLED".to_owned(),
            name => name.to_owned(),
        };
        name.parse().map_err(|problem: ledger_core::UnknownName| self.error(problem))
    }

    /// A name such as an order type, in the exchange's spelling: `Stop Market` is `STOP_MARKET`.
    pub(super) fn label_as_name(self) -> Result<Label, RowError> {
        Label::new(self.open_name()).map_err(|problem| self.error(problem))
    }

    /// The text in capitals with `_` between its words.
    pub(super) fn open_name(self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join("_").to_ascii_uppercase()
    }

    /// A fee such as `0.0368USDT`, `0.28 BNB`, or a bare number in `asset_when_absent`. Positive = paid; a taker has no
    /// rebates, so what a taker paid is positive however it is written.
    pub(super) fn fee(self, asset_when_absent: Option<&Asset>, maker: Option<bool>) -> Result<Fee, RowError> {
        let (number, unit) = split_unit(self.text);
        let amount: Decimal = number.parse().map_err(|problem: ledger_core::ParseDecimalError| self.error(problem))?;
        let asset = match (unit, asset_when_absent) {
            ("", Some(asset)) => asset.clone(),
            ("", None) => return Err(self.error(RowProblem::FeeAsset)),
            (unit, _) => Asset::new(unit).map_err(|problem| self.error(problem))?,
        };
        Ok(Fee { amount: fee_from_commission(amount, maker), asset })
    }

    /// A number behind which its asset may stand.
    pub(super) fn amount_with_unit(self) -> Result<Decimal, RowError> {
        let (number, unit) = split_unit(self.text);
        if !unit.is_empty() {
            // Anything else behind the digits means that they are not the whole number, as in `1,234.5`.
            Asset::new(unit).map_err(|_| self.error(ledger_core::ParseDecimalError::NotANumber))?;
        }
        number.parse().map_err(|problem: ledger_core::ParseDecimalError| self.error(problem))
    }
}

/// Splits `0.0368USDT` behind its number. An `E` belongs to the number only if digits follow it: assets may begin with
/// one, as in `0.5ETH`.
fn split_unit(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let digits_from = |at: usize| bytes.iter().skip(at).take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = usize::from(text.starts_with(['+', '-']));
    end += digits_from(end);
    if bytes.get(end) == Some(&b'.') {
        end += 1;
        end += digits_from(end);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let digits = digits_from(end + 1 + sign);
        if digits > 0 {
            end += 1 + sign + digits;
        }
    }
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    (number, unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fee_cells_carry_their_asset_in_several_ways() {
        let usdt = Asset::new("USDT").unwrap();
        for (text, amount, asset) in [
            ("0.0368USDT", "0.0368", "USDT"),
            ("0.28 BNB", "0.28", "BNB"),
            ("-0.01USDC", "-0.01", "USDC"),
            ("0.5ETH", "0.5", "ETH"),
            ("0.5EUR", "0.5", "EUR"),
            ("1.5e-7BNFCR", "0.00000015", "BNFCR"),
            ("0.25", "0.25", "USDT"),
            ("0", "0", "USDT"),
        ] {
            let fee = Cell::new("Fee", text).fee(Some(&usdt), None).unwrap();
            assert_eq!((fee.amount.to_string().as_str(), fee.asset.as_str()), (amount, asset), "{text}");
        }
        for text in ["USDT", "", ".", "0.1 US DT", "0.1\u{1b}[31m", "1,5USDT", "NaN", "0.1=cmd"] {
            assert!(Cell::new("Fee", text).fee(Some(&usdt), None).is_err(), "{text:?}");
        }
        assert!(matches!(Cell::new("Fee", "0.1").fee(None, None).unwrap_err().problem, RowProblem::FeeAsset));
    }

    #[test]
    fn an_id_that_a_spreadsheet_rounded_is_refused() {
        let id = |text| Cell::new("Order ID", text).counted_id::<ledger_core::OrderId>();
        assert_eq!(id("8389765568816714211\t").unwrap().as_str(), "8389765568816714211");
        for text in ["8.38977E+18", "123.0", "1,234", "-5", "=1+1", ""] {
            assert!(id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_read_in_the_spelling_of_the_api() {
        assert_eq!(Cell::new("Status", "Partially Filled").status().unwrap(), OrderStatus::PartiallyFilled);
        assert_eq!(Cell::new("Status", "Cancelled").status().unwrap(), OrderStatus::Canceled);
        assert_eq!(Cell::new("Status", "EXPIRED_IN_MATCH").status().unwrap(), OrderStatus::ExpiredInMatch);
        assert_eq!(Cell::new("Type", "Stop Market").label_as_name().unwrap().as_str(), "STOP_MARKET");
        assert_eq!(Cell::new("Position Side", "Both").position_side().unwrap(), PositionSide::Net);
        assert!(Cell::new("Side", "HOLD").side().is_err());
    }
}
