//! What can be wrong with one row of a file; the rows around it are read all the same.

use std::fmt;

use ledger_core::{AmountError, IdError, OrderContradiction, ParseDecimalError, TimeError, UnknownName};
use thiserror::Error;

use super::error::shown;

/// Why a row was rejected: which column, what it holds, and, as the source, what is wrong with that.
#[derive(Debug, Error)]
pub struct RowError {
    /// The column, as the file names it; absent when the row as a whole is unreadable.
    pub column: Option<String>,
    /// What the column holds, shortened and escaped.
    pub value: Option<String>,
    /// What is wrong with it.
    #[source]
    pub problem: RowProblem,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.column, &self.value) {
            (Some(column), Some(value)) => write!(f, "{column} is `{value}`"),
            (Some(column), None) => write!(f, "{column} cannot be used"),
            (None, _) if matches!(self.problem, RowProblem::Order(_)) => f.write_str("the row contradicts itself"),
            (None, _) => f.write_str("the row cannot be read"),
        }
    }
}

impl RowError {
    /// A problem with the row as a whole.
    pub(super) fn row(problem: impl Into<RowProblem>) -> Self {
        Self { column: None, value: None, problem: problem.into() }
    }

    /// A problem with the value of a column.
    pub(super) fn cell(column: &str, value: &str, problem: impl Into<RowProblem>) -> Self {
        let value = if value.is_empty() { None } else { Some(shown(value)) };
        Self { column: Some(shown(column)), value, problem: problem.into() }
    }
}

impl RowError {
    /// Whether the row belongs to another exchange account.
    pub fn is_of_another_account(&self) -> bool {
        matches!(self.problem, RowProblem::OtherAccount { .. })
    }

    /// Whether the row names two owners, so that nothing proves whose any row of the file is.
    pub fn names_two_owners(&self) -> bool {
        matches!(self.problem, RowProblem::TwoOwners { .. })
    }

    /// Whether no number of the whole file is to be believed because of this row.
    pub fn doubts_number_format(&self) -> bool {
        matches!(
            self.problem,
            RowProblem::NotTheProduct { by_thousands: true, .. }
                | RowProblem::DecimalComma
                | RowProblem::Grouped
                | RowProblem::OtherMinus
        )
    }
}

/// What is wrong with a row or a value.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RowProblem {
    /// Longer than any row of an export.
    #[error("it is longer than {limit} bytes and was skipped to its end")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// Not text.
    #[error("byte {byte} of the row is not valid UTF-8")]
    NotUtf8 {
        /// Which byte, counted from 1.
        byte: usize,
    },
    /// A quote without its counterpart.
    #[error("a quoted cell is not closed on its line")]
    UnclosedQuote,
    /// Text between a closing quote and the next separator.
    #[error("there is text behind a closing quote")]
    TextAfterQuote,
    /// More or fewer cells than the header has.
    #[error("it has {found} cells where the header has {expected}")]
    Cells {
        /// The number of columns in the header.
        expected: usize,
        /// The number of cells in the row.
        found: usize,
    },
    /// A required value that is not there.
    #[error("the value is missing")]
    Missing,
    /// Not a number.
    #[error(transparent)]
    Number(#[from] ParseDecimalError),
    /// A number outside its range.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// A number with a comma in front of its decimals.
    #[error("it has a decimal comma; numbers of an export have a decimal point")]
    DecimalComma,
    /// A number with separators between its thousands.
    #[error("it has separators between thousands; numbers of an export have none")]
    Grouped,
    /// A number with a minus of typography.
    #[error("its minus is not the one of the keyboard, which numbers of an export have")]
    OtherMinus,
    /// Not a contract's name as exports write it.
    #[error("it is no contract as an export names them, as in BTCUSDT or BTCUSDT_260626")]
    NotAContract,
    /// A profit in an asset in which the contract pays none.
    #[error("the contract settles in {settle}, so that its profit cannot be in {found}: the row contradicts itself")]
    ProfitAsset {
        /// In what it is said to be.
        found: String,
        /// What the contract settles in.
        settle: String,
    },
    /// Something behind a number that is no asset.
    #[error("`{unit}` behind the number is no known asset, so nothing tells where the number ends")]
    Unit {
        /// What stands there, shortened and escaped.
        unit: String,
    },
    /// An amount that its own price and quantity contradict.
    #[error("price x quantity is {derived}: the row contradicts itself")]
    NotTheProduct {
        /// What it would have to be.
        derived: String,
        /// Whether the two are apart by a power of 1000.
        by_thousands: bool,
    },
    /// An order whose own figures contradict each other.
    #[error(transparent)]
    Order(Box<OrderContradiction>),
    /// What was ordered, what executed and what remains do not add up.
    #[error("what was ordered less what executed is {derived}: the row contradicts itself")]
    NotTheRest {
        /// What would have to remain.
        derived: String,
    },
    /// A buyer that sells, or the other way round.
    #[error("the side is {side}: the row contradicts itself")]
    BuyerOfOtherSide {
        /// What the side is.
        side: String,
    },
    /// An object of another venue than the book's.
    #[error(
        "its `info` {found}, and this book is of Binance USD-M: a book of one venue takes no trade of another. A book of its \
         own takes it: `fillbook init --account NAME --venue other`, then `fillbook import --account NAME`"
    )]
    OtherVenue {
        /// What it looks like.
        found: String,
    },
    /// An object of another exchange than those of the book before it.
    #[error(
        "it is of {found}, and what the book has so far is of {known}: a book of one venue takes no trade of another. An account of \
         its own takes it: `fillbook init --account NAME --venue other`, then `fillbook import --account NAME`"
    )]
    OtherExchange {
        /// The exchange that it is of.
        found: String,
        /// The book's.
        known: String,
    },
    /// A message of the event stream within a library's object.
    #[error(
        "its `info` is a message of the exchange's event stream, which is not read; fetch the trades and orders \
         (`fetchMyTrades`, `fetchOrders`), and import those"
    )]
    StreamMessage,
    /// A quantity in contracts of a size other than the venue's.
    #[error(
        "its contracts are of {size}, but those of Binance USD-M, which this book is of, are of 1: a book of one venue takes \
         no trade of another. A book of its own takes it: `fillbook init --account NAME --venue other`, then \
         `fillbook import --account NAME`"
    )]
    OtherUnit {
        /// The size.
        size: String,
    },
    /// A quantity whose unit nothing proves.
    #[error(
        "nothing proves whether it counts coins or contracts of some size: neither the exchange's own answer is there nor a \
         cost that is price x amount x size. With a `contractSize` of SIZE in it, or this line in front of its file, it can be \
         read, SIZE being how much of the coin one contract is (1 where the venue counts coins): {line}"
    )]
    UnitUnknown {
        /// A line that would prove it.
        line: String,
    },
    /// A contract size that differs from the one known before.
    #[error("by its cost a contract is {found}, but before it was {known}: the row contradicts what is known")]
    OtherSize {
        /// The size that follows from this row.
        found: String,
        /// The size that was known.
        known: String,
    },
    /// A quantity executed that is below zero.
    #[error("it cannot be below zero")]
    Negative,
    /// Not an identifier.
    #[error(transparent)]
    Id(#[from] IdError),
    /// An exchange id that is not a whole number any more.
    #[error("an id is a whole number; was the file saved by a spreadsheet program? Import the original file")]
    MangledId,
    /// Not a known name.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// Neither yes nor no.
    #[error("it is neither true nor false")]
    Boolean,
    /// Not a whole number.
    #[error("it is not a whole number in range")]
    Integer,
    /// Not a time.
    #[error("it is not a time; expected as in 2026-05-29 18:25:01, 26-05-29 18:25:01 or 1780079101000")]
    NotATime,
    /// A local time without a zone to read it in.
    #[error("it is a local time, and nothing says of which time zone")]
    LocalTime,
    /// A date or time of day that does not exist.
    #[error("there is no such date or time of day")]
    NoSuchTime,
    /// A time outside the accepted years.
    #[error(transparent)]
    TimeOutOfRange(#[from] TimeError),
    /// A local time that the clock skips.
    #[error("this local time does not exist in {zone}, where clocks go forward; give the UTC offset instead")]
    TimeSkipped {
        /// The zone.
        zone: String,
    },
    /// A local time that occurs twice.
    #[error("this local time occurs twice in {zone}, where clocks go back; give the UTC offset instead")]
    TimeRepeated {
        /// The zone.
        zone: String,
    },
    /// A fee without its asset.
    #[error(
        "it does not say in which asset the fee was paid, and the symbol does not tell: give it with `fillbook import --settle-asset ASSET`"
    )]
    FeeAsset,
    /// Fees in more than one asset.
    #[error("the fees are in more than one asset, which a fill cannot carry")]
    FeeAssets,
    /// A unified value that the exchange's own answer in the same object contradicts.
    #[error("`{info}` says {found}: the library's object and the exchange's answer within it are not of one thing")]
    Contradicts {
        /// The field of the exchange's answer.
        info: String,
        /// What it holds, shortened and escaped.
        found: String,
    },
    /// A trade listed within an order that it is not of.
    #[error("the order that it stands in says {expected}")]
    OtherOrder {
        /// What the order says.
        expected: String,
    },
    /// Two columns that name the owner of a row, and different ones.
    #[error("{column} says `{found}`: the row names two owners")]
    TwoOwners {
        /// The other column.
        column: String,
        /// What it holds, shortened and escaped.
        found: String,
    },
    /// A row of another exchange account.
    #[error("the rows before it belong to the exchange account {expected}; import one account's rows at a time")]
    OtherAccount {
        /// The account that the file began with, or the one asked for.
        expected: String,
    },
    /// Not JSON.
    #[error("it is not valid JSON for this place")]
    Json(#[source] serde_json::Error),
    /// JSON that is no object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// A value of another JSON type than expected.
    #[error("it is not {expected}")]
    JsonType {
        /// What is expected.
        expected: &'static str,
    },
    /// A JSON object of no known kind.
    #[error("it is neither a ccxt trade or order nor a fact of fillbook; {hint}")]
    Unrecognised {
        /// What it looks like instead.
        hint: &'static str,
    },
    /// An unknown schema.
    #[error("this schema is not known; known are {known}")]
    Schema {
        /// The known schemas.
        known: String,
    },
    /// A market that is no futures contract.
    #[error("it is not a linear or inverse futures contract; fillbook keeps futures only")]
    NotFutures,
}
