//! What can be wrong with a file, and what can be wrong with one of its rows.
//!
//! A [`FileError`] ends a file, or one member of an archive; a [`RowError`] concerns one row, and the rows around it are
//! read all the same. Texts of the file are shown shortened and escaped, so a message cannot disturb a terminal.

use std::fmt;
use std::io;
use std::sync::Arc;

use ledger_core::printable;
use thiserror::Error;

use super::Kind;
pub use super::row_error::{RowError, RowProblem};

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
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    let mut shown = printable(&cut).into_owned();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
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
        match &self.member {
            None => write!(f, "`{}`", printable(&self.file)),
            Some(member) => write!(f, "`{}` (in `{}`)", printable(member), printable(&self.file)),
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
    /// A header of a known table without a column that it cannot do without.
    #[error(
        "the header of {place} looks like Binance USD-M's {table}, but lacks {columns}: without that its rows cannot be told \
         apart or read; export it with all columns"
    )]
    ColumnsMissing {
        /// Which file.
        place: Place,
        /// Which table, in words.
        table: &'static str,
        /// The columns, each in quotes.
        columns: String,
    },
    /// A column of a known table that has another name than its exports give it, where one is missing that says what others
    /// are held against.
    #[error(
        "the header of {place} has `{column}`, which no export of the exchange has, and lacks `{meant}`: if they are the same,          rows would be taken without what proves them, so none of them is taken; import the file as the exchange wrote it, or          name the column `{meant}`, or leave it out"
    )]
    UnknownColumn {
        /// Which file.
        place: Place,
        /// The name that it has, shortened and escaped.
        column: String,
        /// The name of the one that is missing.
        meant: &'static str,
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
    /// A header whose column with the exchange account cannot be read.
    #[error(
        "the header of {place} has `{column}`, where an export names the account that it is of (`Uid`): nothing \
         proves whose rows these are, so none of them is taken; import the file as the exchange wrote it"
    )]
    Owner {
        /// Which file.
        place: Place,
        /// What stands there, shortened and escaped.
        column: String,
    },
    /// Columns that name different owners in one row.
    #[error(
        "{place} has two columns that name an owner, and they disagree: {reason}; nothing proves whose rows these are, so none \
         of them is taken; import the file as the exchange wrote it"
    )]
    TwoOwners {
        /// Which file.
        place: Place,
        /// The row that shows it.
        reason: String,
    },
    /// An export of Binance USD-M for a book of another venue.
    #[error(
        "{place} has {kind}, and this book is of another venue: a book of one venue takes no trade \
         of another. A book of its own takes it: `fillbook init --account NAME`, then `fillbook import --account NAME`"
    )]
    OtherVenue {
        /// Which file.
        place: Place,
        /// What it is.
        kind: Kind,
    },
    /// Rows of another exchange account than the wanted one.
    #[error(
        "{place} has rows of the exchange account `{found}`, but {expected}: none of them is taken; import them into \
         another account of the book"
    )]
    OtherAccount {
        /// Which file.
        place: Place,
        /// Whose rows they are.
        found: String,
        /// Whose were expected, in words.
        expected: String,
    },
    /// A file whose numbers do not mean what they seem to.
    #[error(
        "the number format of {place} is in doubt, as after {}: {reason}; no row of it is taken. {}",
        rewritten_by(*.is_table),
        remedy(*.is_table)
    )]
    NumberFormat {
        /// Which file.
        place: Place,
        /// The row that shows it.
        reason: String,
        /// Whether it is a table, as spreadsheet programs open, and not JSON.
        is_table: bool,
    },
    /// Different time zones in a name and in the header, in the names of an archive and its member, or in one name.
    #[error(
        "the names of {place} and of its time column say both {one} and {other}: nothing proves in which of them its times \
         are, so no row of it is taken; correct the wrong one"
    )]
    ZonesDiffer {
        /// Which file.
        place: Place,
        /// The zone that stands first.
        one: String,
        /// The other one.
        other: String,
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
    #[error(
        "the name or time column of {place} says `{text}`, which is no UTC offset (those go from -12 to +14); correct it, as in `(UTC+3)`"
    )]
    ZoneInName {
        /// Which file.
        place: Place,
        /// The text in the name.
        text: String,
    },
}

/// What rewrites the numbers of such a file.
fn rewritten_by(is_table: bool) -> &'static str {
    if is_table {
        "a spreadsheet program with decimal commas or dots between thousands"
    } else {
        "a program that took dots for separators of thousands, or the other way round"
    }
}

fn remedy(is_table: bool) -> &'static str {
    if is_table {
        "Export it again, and import the file without opening it in between"
    } else {
        "Write it again from where it came from, and import what was written"
    }
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
            | Self::ColumnsMissing { place, .. }
            | Self::UnknownColumn { place, .. }
            | Self::DuplicateColumn { place, .. }
            | Self::Encoding { place, .. }
            | Self::Nested { place, .. }
            | Self::Zip { place, .. }
            | Self::NoMembers { place }
            | Self::Owner { place, .. }
            | Self::TwoOwners { place, .. }
            | Self::OtherVenue { place, .. }
            | Self::OtherAccount { place, .. }
            | Self::NumberFormat { place, .. }
            | Self::ZonesDiffer { place, .. }
            | Self::ZoneUnknown { place }
            | Self::ZoneInName { place, .. } => place,
        }
    }
}

impl FileError {
    /// Whether it is refused because its rows are another account's, or nothing proves that they are not.
    pub fn is_about_the_account(&self) -> bool {
        matches!(self, Self::Owner { .. } | Self::TwoOwners { .. } | Self::OtherAccount { .. })
    }
}
