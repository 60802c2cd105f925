//! Unified trades and orders of the ccxt library.
//!
//! Decimals are taken from `info`, the exchange's own answer within the object, because the unified numbers have been
//! floats. Only where `info` lacks a value, the literal text of the unified one is read. An object whose two halves are of
//! different trades or orders is rejected: another contract, id, side, price or quantity. Where they differ in anything else,
//! as a fee, a time or a status, the exchange's half counts, and what the library says is stated beside it, so that the
//! difference is on record.
//!
//! The exchange's half is read only where it is an answer of the venue that is known here, Binance USD-M; a book of that
//! venue refuses those of others. In a book of another venue the unified half is read alone. Its amounts may be contracts:
//! [`unit`] says how many coins they are, or that nothing proves it. The first object that shows which exchange it is of binds
//! such a book, and those of another one are refused.
//!
//! An order's `trades` are its fills and are read as such, each from its own `info`; one that cannot be read is rejected by
//! itself, and those without an id cannot be told apart, so they stay in the payload and are reported. An order's own
//! `fee` and `fees` are kept as what the answer states of what it executed: a fee belongs to a fill, so they are an estimate
//! while trades are missing, and no fill is made up for them.

mod answer;
mod embedded;
mod fees;
mod market;
mod object;
mod order;
mod trade;
mod unit;

use std::sync::Arc;

use ledger_core::{Decimal, EventTime, IdError, Statement};

use self::answer::Answer;
pub use self::answer::other_venue;
use self::market::Market;
pub use self::object::{CcxtObject, CcxtReader};
use self::order::parse_order;
use self::trade::parse_trade;
pub use self::unit::ContractSizes;
use super::BookVenue;
use super::cell::Cell;
use super::context::Context;
use super::error::{RowError, RowProblem, shown};
use super::json::Object;

/// A unified object and the exchange's answer within it.
struct Unified<'a> {
    outer: &'a Object<'a>,
    /// The exchange's answer, where it is one of Binance USD-M's.
    info: Option<Object<'a>>,
    /// What another venue's answer calls the contract.
    foreign_symbol: Option<String>,
    /// Whether what it stands in proves that its amounts are coins.
    counts_coins: bool,
    /// In a book of another venue, the exchange that it is of, where anything in it tells.
    exchange: Option<String>,
}

impl Unified<'_> {
    /// The exchange's value, else the unified one.
    fn pick(&self, info: &[&str], unified: &[&str]) -> Option<Cell<'_>> {
        self.info.as_ref().and_then(|object| object.first(info)).or_else(|| self.outer.first(unified))
    }

    fn required(&self, info: &[&str], unified: &'static str) -> Result<Cell<'_>, RowError> {
        self.pick(info, &[unified]).ok_or_else(|| RowError::cell(unified, "", RowProblem::Missing))
    }

    /// Checks that a unified value says what the exchange says, where both speak. `same` compares their texts.
    fn agrees(&self, info: &[&str], unified: &str, same: fn(&str, &str) -> bool) -> Result<(), RowError> {
        let (Some(own), Some(outer)) = (self.in_info(info), self.outer.get(unified)) else { return Ok(()) };
        if same(own.text, outer.text) {
            return Ok(());
        }
        Err(outer.error(RowProblem::Contradicts { info: own.column.to_owned(), found: shown(own.text) }))
    }

    fn in_info(&self, names: &[&str]) -> Option<Cell<'_>> {
        self.info.as_ref().and_then(|object| object.first(names))
    }
}

/// What an object states.
///
/// # Errors
/// When it is no trade or order, or one of its values cannot be read.
pub(super) fn parse(
    object: &Object<'_>,
    payload: &Arc<str>,
    context: &mut Context,
) -> Result<Vec<Statement>, RowError> {
    let hint = match Shape::of(object) {
        Shape::Trade => {
            let trade = unify(object, context)?;
            let statements = parse_trade(&trade, None, payload, context)?;
            context.note_exchange(trade.exchange);
            return Ok(statements);
        }
        Shape::Order => {
            let order = unify(object, context)?;
            let statements = parse_order(&order, payload, context)?;
            context.note_exchange(order.exchange);
            return Ok(statements);
        }
        Shape::Market => return unit::market(object, payload, context),
        Shape::Position => "it looks like a ccxt position, which is derived from trades",
        Shape::Other => "a trade has price, amount and side, an order has status and filled",
    };
    Err(RowError::row(RowProblem::Unrecognised { hint }))
}

/// Whether an object looks like anything of ccxt's.
pub(super) fn is_recognised(object: &Object<'_>) -> bool {
    !matches!(Shape::of(object), Shape::Other)
}

enum Shape {
    Trade,
    Order,
    Position,
    /// A contract's terms, as the library lists markets.
    Market,
    Other,
}

impl Shape {
    fn of(object: &Object<'_>) -> Self {
        let has_all = |names: &[&str]| names.iter().all(|name| object.has(name));
        if has_all(&["symbol", "filled"]) || has_all(&["symbol", "remaining"]) || has_all(&["symbol", "status", "id"]) {
            Self::Order
        } else if has_all(&["symbol", "side", "price", "amount"]) {
            Self::Trade
        } else if has_all(&["symbol", "contracts"]) || has_all(&["symbol", "entryPrice"]) {
            Self::Position
        } else if has_all(&["symbol", "contractSize"]) {
            Self::Market
        } else {
            Self::Other
        }
    }
}

/// # Errors
/// When it is another venue's object, and the book is of Binance USD-M; or another exchange's than those of the rows before it.
fn unify<'a>(outer: &'a Object<'a>, context: &Context) -> Result<Unified<'a>, RowError> {
    let info = match outer.nested("info") {
        Some(text) if text.starts_with('{') => Some(Object::parse(text, "info.")?).filter(|info| !info.is_empty()),
        _ => None,
    };
    let is_known = context.options.venue == BookVenue::BinanceUsdm;
    let answer = info.as_ref().map(Answer::of);
    let mut unified = Unified { outer, info: None, foreign_symbol: None, counts_coins: false, exchange: None };
    if !is_known {
        let named = || outer.get("exchange").map(|cell| answer::named(cell.text));
        let exchange = answer.as_ref().and_then(Answer::exchange).map(str::to_owned).or_else(named);
        if let (Some(found), Some(known)) = (&exchange, &context.options.exchange)
            && found != known
        {
            return Err(RowError::row(RowProblem::OtherExchange { found: shown(found), known: known.clone() }));
        }
        unified.exchange = exchange;
    }
    match (answer, info) {
        (Some(Answer::BinanceUsdm), Some(info)) => (unified.info, unified.counts_coins) = (Some(info), true),
        (Some(Answer::StreamMessage), _) if is_known => {
            return Err(RowError::cell("info", "", RowProblem::StreamMessage));
        }
        (Some(Answer::Foreign { found, .. }), _) if is_known => {
            return Err(RowError::cell("info", "", RowProblem::OtherVenue { found }));
        }
        (Some(_), Some(info)) => unified.foreign_symbol = info.get("symbol").map(|cell| cell.text.to_owned()),
        _ => {}
    }
    Ok(unified)
}

/// Whether two texts are the same name or id.
fn same_text(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Whether a number that has been a float stands for an exact one: they differ by no more than a billionth. What is no
/// number is complained about where it is read.
fn same_number(exact: &str, float: &str) -> bool {
    let (Ok(exact), Ok(float)) = (exact.parse::<Decimal>(), float.parse::<Decimal>()) else { return true };
    let billion = Decimal::from(1_000_000_000);
    let apart = exact.checked_sub(float).and_then(|difference| difference.abs().checked_mul(billion));
    apart.is_ok_and(|apart| apart <= exact.abs().max(float.abs()))
}

/// What the library says of the time of an event, if it is another one than counts: its `timestamp`, or its `datetime`, which
/// repeats it for readers. What is no time at all says nothing.
fn other_time(counts: EventTime, unified: &[Option<Cell<'_>>]) -> Option<EventTime> {
    let mut times = unified.iter().flatten().filter_map(|cell| cell.time(None).ok());
    times.find(|other| !other.agrees_with(counts))
}

/// An id whose digits are all there: a number with a fraction or an exponent has been a float.
fn exact_id<T: std::str::FromStr<Err = IdError>>(cell: Cell<'_>) -> Result<T, RowError> {
    let is_whole = cell.text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_whole && cell.text.parse::<Decimal>().is_ok() {
        return Err(cell.error(RowProblem::MangledId));
    }
    cell.id()
}
