//! One value of a row, with the name it goes by in the file: what every parser of this module reads from.

use std::str::FromStr;

use ledger_core::{
    Asset, Decimal, EventTime, Fee, IdError, Label, OrderStatus, PositionSide, Price, Quantity, Side, Symbol,
};

use super::error::{RowError, RowProblem, shown};
use super::zone::{Zone, parse_time};
use crate::binance_usdm::{WALLET_ASSETS, fee_from_commission};

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
        self.text.parse().map_err(|problem: ledger_core::ParseDecimalError| {
            self.foreign_form().map_or_else(|| self.error(problem), |form| self.error(form))
        })
    }

    /// How a number is written that no exchange writes so.
    fn foreign_form(self) -> Option<RowProblem> {
        if has_decimal_comma(self.text) {
            Some(RowProblem::DecimalComma)
        } else if has_groups(self.text) {
            Some(RowProblem::Grouped)
        } else {
            let is_minus =
                self.text.strip_prefix(['\u{2212}', '\u{2013}']).is_some_and(|rest| rest.starts_with(is_digit));
            is_minus.then_some(RowProblem::OtherMinus)
        }
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

    /// A contract in an export, whose names have capitals and no separators: `BTCUSDT`, `BTCUSDT_260626`.
    pub(super) fn contract(self) -> Result<Symbol, RowError> {
        let symbol = self.text.to_uppercase().parse().map_err(|problem: IdError| self.error(problem))?;
        if self.text.contains(['/', ':', '-']) { Err(self.error(RowProblem::NotAContract)) } else { Ok(symbol) }
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

    /// A fee such as `0.0368USDT`, `0.28 BNB`, or a bare number in the asset that `assets` names. Positive = paid; a taker
    /// has no rebates, so what a taker paid is positive however it is written.
    pub(super) fn fee(self, assets: Assets<'_>, maker: Option<bool>) -> Result<Fee, RowError> {
        let (amount, unit) = self.money(assets)?;
        let asset = unit.or_else(|| assets.when_absent().cloned()).ok_or_else(|| self.error(RowProblem::FeeAsset))?;
        Ok(Fee { amount: fee_from_commission(amount, maker), asset })
    }

    /// A number, and the asset behind it where one stands there.
    pub(super) fn money(self, assets: Assets<'_>) -> Result<(Decimal, Option<Asset>), RowError> {
        let (number, gap, unit) = split_unit(self.text);
        if unit.is_empty() || matches!(assets, Assets::Named(_)) || self.foreign_form().is_some() {
            return Ok((self.decimal()?, None));
        }
        let amount = number.parse().map_err(|problem: ledger_core::ParseDecimalError| self.error(problem))?;
        let asset = Asset::new(unit).ok().filter(|_| assets.may_be(unit, !gap.is_empty()));
        let unclear = || self.error(RowProblem::Unit { unit: shown(unit) });
        Ok((amount, Some(asset.ok_or_else(unclear)?)))
    }
}

/// What is known of the asset of an amount.
#[derive(Debug, Clone, Copy)]
pub(super) enum Assets<'a> {
    /// A column or field of its own names it: the amount is a number and nothing else.
    Named(&'a Asset),
    /// The amount may carry it.
    Carried {
        /// The contract, whose name tells what is traded.
        symbol: &'a Symbol,
        /// The asset where the amount carries none.
        settle: Option<&'a Asset>,
    },
}

impl Assets<'_> {
    fn when_absent(&self) -> Option<&Asset> {
        match self {
            Self::Named(asset) => Some(asset),
            Self::Carried { settle, .. } => *settle,
        }
    }

    /// Whether `unit` behind a number is an asset, and not a digit that was misread: `24O` is no 24 of an asset "O". One
    /// that stands by itself has to look like an asset; one that touches the number has to be known, because nothing tells
    /// where the number ends in `0.51INCH`.
    fn may_be(&self, unit: &str, stands_apart: bool) -> bool {
        let Self::Carried { symbol, settle } = self else { return false };
        let is_known = WALLET_ASSETS.contains(&unit)
            || settle.is_some_and(|asset| asset.as_str() == unit)
            || (looks_like_asset(unit) && symbol.as_str().starts_with(unit));
        is_known || (stands_apart && looks_like_asset(unit))
    }
}

/// Two letters or more, in capitals, with or without digits: `BNB`, `1INCH`.
fn looks_like_asset(unit: &str) -> bool {
    let is_letter = |c: char| c.is_alphabetic() && !c.is_lowercase();
    unit.chars().all(|c| is_letter(c) || c.is_ascii_digit()) && unit.chars().filter(|c| is_letter(*c)).count() >= 2
}

/// Whether it is a number as half of the world writes it, `1.234,5` or `0,25`, perhaps with more behind it. A comma in
/// front of three digits may stand between thousands as well and proves nothing.
fn has_decimal_comma(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ','))).unwrap_or(text.len());
    let Some((whole, fraction)) = text.get(..end).and_then(|number| number.split_once(',')) else { return false };
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut groups = whole.split('.');
    let is_grouped = groups.next().is_some_and(are_digits) && groups.all(|group| group.len() == 3 && are_digits(group));
    is_grouped && are_digits(fraction) && (fraction.len() != 3 || whole.contains('.') || whole == "0")
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// Whether it is a number with something between its thousands, `60,000.00` or `60 000`, perhaps with more behind it.
fn has_groups(text: &str) -> bool {
    const BETWEEN: [char; 7] = [',', ' ', '\u{a0}', '\u{202f}', '\u{2009}', '\'', '\u{2019}'];
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = text.find(|c: char| !(is_digit(c) || BETWEEN.contains(&c))).unwrap_or(text.len());
    let mut groups = text.get(..end).unwrap_or("").trim_end_matches(BETWEEN).split(BETWEEN);
    let first = groups.next().unwrap_or("");
    let others: Vec<&str> = groups.collect();
    (1..=3).contains(&first.len()) && !others.is_empty() && others.iter().all(|group| group.len() == 3)
}

/// Splits `0.28 BNB` into its number, the white space behind it, and its unit. An `E` belongs to the number only if digits
/// follow it: assets may begin with one, as in `0.5ETH`.
fn split_unit(text: &str) -> (&str, &str, &str) {
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
    let (number, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let unit = rest.trim();
    (number, rest.get(..rest.len() - rest.trim_start().len()).unwrap_or(""), unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fee_cells_carry_their_asset_in_several_ways() {
        let (usdt, dot) = (Asset::new("USDT").unwrap(), Symbol::new("DOTUSDT").unwrap());
        let carried = Assets::Carried { symbol: &dot, settle: Some(&usdt) };
        for (text, amount, asset) in [
            ("0.0368USDT", "0.0368", "USDT"),
            ("0.28 BNB", "0.28", "BNB"),
            ("-0.01USDC", "-0.01", "USDC"),
            ("0.5ETH", "0.5", "ETH"),
            ("0.5EUR", "0.5", "EUR"),
            ("1.5e-7BNFCR", "0.00000015", "BNFCR"),
            ("0.25", "0.25", "USDT"),
            ("0", "0", "USDT"),
            ("0.28\u{a0}1INCH", "0.28", "1INCH"),
            ("7 FRESHCOIN", "7", "FRESHCOIN"),
            ("3DOT", "3", "DOT"),
        ] {
            let fee = Cell::new("Fee", text).fee(carried, None).unwrap();
            assert_eq!((fee.amount.to_string().as_str(), fee.asset.as_str()), (amount, asset), "{text}");
        }
        for text in ["USDT", "", ".", "0.1 US DT", "0.1\u{1b}[31m", "1,5USDT", "NaN", "0.1=cmd"] {
            assert!(Cell::new("Fee", text).fee(carried, None).is_err(), "{text:?}");
        }
        let unknown = Assets::Carried { symbol: &dot, settle: None };
        assert!(matches!(Cell::new("Fee", "0.1").fee(unknown, None).unwrap_err().problem, RowProblem::FeeAsset));
    }

    /// A cell is a number or none: what can be read of its beginning is not what it says.
    #[test]
    fn a_misread_digit_is_no_asset() {
        let (usdt, dot) = (Asset::new("USDT").unwrap(), Symbol::new("DOTUSDT").unwrap());
        let carried = Assets::Carried { symbol: &dot, settle: Some(&usdt) };
        for text in [
            "24O",
            "0x10",
            "7O0",
            "24 O",
            "1l",
            "0.5I",
            "24O8USDT",
            "24OUSDT",
            "0.51INCH",
            "1 234",
            "1 234.5 USDT",
            "1'234",
            "1_000",
            "1,234.5USDT",
            "\u{ff12}\u{ff14}USDT",
            "\u{2212}3USDT",
            "24usdt",
            "5e",
            "5 e3",
            "1.2.3",
            "0.1USDTUSDT",
            "1D",
            "1.5 %",
        ] {
            assert!(Cell::new("Fee", text).fee(carried, None).is_err(), "{text:?}");
            assert!(Cell::new("Realized Profit", text).money(carried).is_err(), "{text:?}");
        }
        for text in ["0.0368USDT", "0.28 BNB", "24O", "0x10", "7O0", "1 2"] {
            assert!(Cell::new("Amount", text).money(Assets::Named(&usdt)).is_err(), "{text:?}");
        }
        let fee = Cell::new("Fee", "0.25").fee(Assets::Named(&usdt), None).unwrap();
        assert_eq!((fee.amount.to_string().as_str(), fee.asset.as_str()), ("0.25", "USDT"));
    }

    #[test]
    fn a_decimal_comma_is_told_from_thousands() {
        for text in ["0,25", "1.234,5", "12,5 USDT", "-3,75", "60.000,125", "0,125", "1.234.567,8"] {
            assert!(has_decimal_comma(text), "{text}");
        }
        for text in
            ["1,234", "1,234.5", "60.000", "1,2,3", ",5", "5,", "12.34,5", "x,5", "1234,567", "2026-03-01, noon"]
        {
            assert!(!has_decimal_comma(text), "{text}");
        }
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
