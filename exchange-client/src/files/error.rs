//! What can be wrong with a file, and what can be wrong with one of its rows.
//!
//! A [`FileError`] ends a file, or one member of an archive; a [`RowError`] concerns one row, and the rows around it are
//! read all the same. Texts of the file are shown shortened and escaped, so a message cannot disturb a terminal.

use std::fmt;
use std::io;
use std::sync::Arc;

use ledger_core::{AmountError, IdError, ParseDecimalError, TimeError, UnknownName};
use thiserror::Error;

/// The kinds of files that are recognised, for messages.
pub(super) const RECOGNISED: &str = "\
Binance USD-M trade history (CSV: Time, Symbol, Side, Price, Quantity, Fee, Realized Profit, Trade ID, Order ID; or the \
archive's symbol, id, orderId, side, price, qty, commission, commissionAsset, time), order history (CSV: Time, Symbol, \
Type, Side, Price, Average Price, Amount, Executed Amount, Status, Order No), transaction history (CSV: Date, type, \
Amount, Asset, Symbol, Transaction ID); ccxt trades and orders (JSON array, or one object a line); fillbook's own \
NDJSON; a trading bot's SQLite database; each of the texts also as zip or gzip";

/// `text` cut to a length that fits a message, with everything escaped that could disturb a terminal.
pub(super) fn shown(text: &str) -> String {
    const SHOWN_MAX: usize = 60;
    let mut shown: String = text.chars().take(SHOWN_MAX).flat_map(escaped).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// A character as it may be printed. Quotes disturb nothing.
fn escaped(character: char) -> impl Iterator<Item = char> {
    let plain = matches!(character, '"' | '\'').then_some(character);
    let escape = plain.is_none().then(|| character.escape_debug());
    plain.into_iter().chain(escape.into_iter().flatten())
}

/// A file, or a member of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file's name, as it was given.
    pub file: Arc<str>,
    /// The member, when the file is an archive.
    pub member: Option<Arc<str>>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = |text: &str| text.chars().flat_map(escaped).collect::<String>();
        match &self.member {
            None => write!(f, "`{}`", escape(&self.file)),
            Some(member) => write!(f, "`{}` (in `{}`)", escape(member), escape(&self.file)),
        }
    }
}

/// Why a file, or a member of an archive, cannot be read or not be read further.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// It could not be opened.
    #[error("{place} cannot be opened")]
    Open {
        /// Which file.
        place: Place,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It is a directory.
    #[error("{place} is a directory; name the files in it")]
    Directory {
        /// Which file.
        place: Place,
    },
    /// Reading failed on the way.
    #[error("{place} could not be read beyond line {line}")]
    Read {
        /// Which file.
        place: Place,
        /// The last line that was read; 0 when there was none.
        line: u64,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Compressed data that ends too early, does not decompress, or does not match its checksum. The rows in front of the
    /// damage have been yielded; where it is the checksum that differs, any of them may be wrong.
    #[error("{place} is damaged: reading ended behind line {line}; fetch the file again and import it anew")]
    Damaged {
        /// Which file.
        place: Place,
        /// The last line that was read; 0 when there was none.
        line: u64,
        /// What the decompressor says.
        #[source]
        source: io::Error,
    },
    /// A JSON array that is never closed.
    #[error("{place} ends at line {line} inside its JSON array: it was cut off; fetch the file again")]
    Unclosed {
        /// Which file.
        place: Place,
        /// The last line.
        line: u64,
    },
    /// There is nothing in it.
    #[error("{place} is empty")]
    Empty {
        /// Which file.
        place: Place,
    },
    /// It is none of the known kinds.
    #[error("{place} is not recognised; it begins with `{found}`. Recognised are: {RECOGNISED}")]
    Unrecognised {
        /// Which file.
        place: Place,
        /// How it begins, shortened and escaped.
        found: String,
    },
    /// Two columns of one name.
    #[error("the header of {place} names the column `{column}` twice, so its rows are ambiguous")]
    DuplicateColumn {
        /// Which file.
        place: Place,
        /// The column.
        column: String,
    },
    /// A text encoding other than UTF-8.
    #[error("{place} is encoded as {encoding}; save it as UTF-8")]
    Encoding {
        /// Which file.
        place: Place,
        /// The encoding.
        encoding: &'static str,
    },
    /// An archive or a database within an archive.
    #[error("{place} is {what} inside an archive; unpack the archive and import it by itself")]
    Nested {
        /// Which member.
        place: Place,
        /// What it is.
        what: &'static str,
    },
    /// A zip member that cannot be unpacked.
    #[error("{place} {what}; unpack the archive with another tool and import what is in it")]
    Zip {
        /// Which member.
        place: Place,
        /// What is special about it.
        what: &'static str,
    },
    /// An archive without any file to read.
    #[error("{place} contains no file to import")]
    NoMembers {
        /// Which archive.
        place: Place,
    },
    /// Local times without a time zone.
    #[error(
        "{place} has local times and nothing says of which time zone: give it (`--tz UTC+3`, `--tz Asia/Seoul`), or \
         restore the exchange's file name, which contains it as in `(UTC+3)`"
    )]
    ZoneUnknown {
        /// Which file.
        place: Place,
    },
    /// A time zone in the file name or header that cannot be read.
    #[error("the name or time column of {place} says `{text}`, which is no UTC offset; correct it, as in `(UTC+3)`")]
    ZoneInName {
        /// Which file.
        place: Place,
        /// The text in the name.
        text: String,
    },
}

impl FileError {
    /// The file or member that this is about.
    pub fn place(&self) -> &Place {
        match self {
            Self::Open { place, .. }
            | Self::Directory { place }
            | Self::Read { place, .. }
            | Self::Damaged { place, .. }
            | Self::Unclosed { place, .. }
            | Self::Empty { place }
            | Self::Unrecognised { place, .. }
            | Self::DuplicateColumn { place, .. }
            | Self::Encoding { place, .. }
            | Self::Nested { place, .. }
            | Self::Zip { place, .. }
            | Self::NoMembers { place }
            | Self::ZoneUnknown { place }
            | Self::ZoneInName { place, .. } => place,
        }
    }
}

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
    #[error("it does not say in which asset the fee was paid, and the symbol does not tell; give the settle asset")]
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
