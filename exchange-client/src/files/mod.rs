//! Files that users bring: the exchange's exports, ccxt's objects, fillbook's own NDJSON, read row by row into
//! [`Statement`]s.
//!
//! A file is recognised by what is in it, never by its name; its name is looked at for one thing only, the time zone,
//! because the exchange writes it nowhere else. Reading is streamed: memory does not grow with the file, not even with a
//! single endless line or a zip bomb, and an archive that unpacks to far more than any export is given up.
//!
//! The time zone of local times is, in this order: the offset in the file's name, as in `(UTC+3)`, because the exchange
//! puts the truth there while its headers say `Time(UTC)` and `Date(UTC)` whatever the zone; the header's; the one that the
//! caller gives, which is meant for many files at once and knows least about each of them. [`ImportFile::zone`] tells which
//! was taken and from where, and whether a header said `UTC` beside it. Two offsets that differ, in one name or in the name
//! and the header, refuse the file. A file that was renamed and whose header is wrong needs its offset back in its name. A
//! region's local time that daylight saving skips or repeats is rejected, row by row.
//!
//! ```
//! use std::io::Cursor;
//! use exchange_client::files::{ImportFile, Options};
//!
//! let text = "Uid,Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id\n\
//!             7,2026-03-01 08:00:00,BTCUSDT,BUY,BOTH,60000,0.010,600,0.24USDT,0,true,false,501,9001\n";
//! let file = ImportFile::from_reader("trades.csv", Cursor::new(text), Options::default())?;
//! for row in file {
//!     let row = row?;
//!     let statements = row.result?;
//!     assert_eq!((row.line, statements.len()), (2, 3)); // the fill, its order, its instrument
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A row that contradicts itself is rejected, with both values: an amount that is not price x quantity, a unified object whose
//! halves are of two things, a buyer that sells. [`RowError::doubts_number_format`] is set where a row puts all
//! others in doubt. A caller therefore reads the whole file once before it records any of it; an [`ImportSource`] can be read
//! twice. A book of one venue
//! ([`Options::venue`]) takes no trade of another, and amounts in contracts become coins only where their size is known.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_bad_row_never_costs_a_good_one`: whatever stands in a line, the lines around it are read. In a JSON array with an
//!    element a line, `a_bad_element_never_costs_a_good_one`; in an array on a single line, a broken string can cost what
//!    follows, and then the file is said to end inside its array.
//! 2. `every_generation_states_the_same_facts`: the same trades in any of the formats merge without a conflict.
//! 3. `arbitrary_bytes_never_panic`: and end.
//! 4. `memory_is_bounded_by_the_row_limit`: a line beyond [`ROW_BYTES_MAX`] is skipped without being held.
//! 5. `fillbook_lines_survive_a_round_trip`: what [`ndjson::write_line`] writes, [`ndjson::parse_line`] reads back equal.

mod amounts;
mod ccxt;
mod cell;
mod columns;
mod container;
mod context;
mod cut;
mod error;
mod executed;
mod feed;
mod import_file;
mod json;
mod json_split;
mod layout;
pub mod ndjson;
mod orders;
mod reach;
mod row_error;
mod source;
mod table;
mod tar;
#[cfg(test)]
mod tests;
mod text;
mod trades;
mod transactions;
mod zone;

use std::path::Path;
use std::sync::Arc;

use ledger_core::{Asset, Statement};

pub use ccxt::{CcxtObject, CcxtReader, ContractSizes, other_venue};
pub use context::Parts;
pub use cut::{LedgerCut, LedgerRead, LedgerWhole};
pub use error::{FileError, Place, RowError, RowProblem};
pub use import_file::ImportFile;
pub use reach::FillsCovered;
pub use source::ImportSource;
pub use zone::{Zone, ZoneError, ZoneOrigin};

/// The longest row that is read, in bytes. Rows of real exports have a few hundred bytes, ccxt objects a few thousand.
pub const ROW_BYTES_MAX: usize = 1 << 20;

/// What the files themselves may leave open.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The zone of local times in files that do not say it themselves.
    pub zone: Option<Zone>,
    /// The asset of a fee that stands without one, for symbols whose name does not tell the settle asset.
    pub settle_asset_default: Option<Asset>,
    /// The exchange account (`Uid`) whose rows are wanted; by default that of the first row.
    pub uid: Option<String>,
    /// How far the file before this one was counted, if this may be another part of the same export.
    pub after: Option<Parts>,
    /// The venue of the book that the files are read for.
    pub venue: BookVenue,
    /// How many coins a contract is, as far as files before this one, or an earlier look at it, told.
    pub contract_sizes: ContractSizes,
    /// Whether fees that were paid stand there below zero, as an earlier look at the same file told.
    pub charges_are_negative: bool,
    /// In a book of another venue, the exchange that rows of it were of so far, as [`ImportFile::exchange`] calls it.
    pub exchange: Option<String>,
}

/// The venue of a book.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum BookVenue {
    /// Binance USD-M futures, whose quantities count coins.
    #[default]
    BinanceUsdm,
    /// Another venue. Its rules are not known here.
    Other,
}

impl BookVenue {
    /// The venue that a book calls so.
    pub fn named(name: &str) -> Self {
        if name == crate::binance_usdm::VENUE.name { Self::BinanceUsdm } else { Self::Other }
    }
}

/// What a file was recognised as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Binance USD-M trade history as the web page exports it now: no position side.
    BinanceTrades,
    /// The web page's earlier trade history, with position side.
    BinanceTradesLegacy,
    /// The bulk archive's trade history.
    BinanceTradesArchive,
    /// Binance USD-M order history.
    BinanceOrders,
    /// Binance USD-M transaction history.
    BinanceTransactions,
    /// Unified trades and orders of the ccxt library.
    Ccxt,
    /// fillbook's own NDJSON.
    Fillbook,
    /// A SQLite database, presumably a trading bot's; it yields no rows here, the store's importer reads it.
    BotDatabase,
}

impl Kind {
    /// Whether it is an export of trades by the exchange.
    pub fn is_trades(self) -> bool {
        matches!(self, Self::BinanceTrades | Self::BinanceTradesLegacy | Self::BinanceTradesArchive)
    }

    /// What it is, in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BinanceTrades => "Binance USD-M trades",
            Self::BinanceTradesLegacy => "Binance USD-M trades (legacy header)",
            Self::BinanceTradesArchive => "Binance USD-M trades (archive)",
            Self::BinanceOrders => "Binance USD-M orders",
            Self::BinanceTransactions => "Binance USD-M transactions",
            Self::Ccxt => "ccxt trades and orders",
            Self::Fillbook => "fillbook NDJSON",
            Self::BotDatabase => "SQLite database of a bot",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// One row of a file, or what is wrong with a part of one: then the rest of it is a row of its own on the same line.
#[derive(Debug)]
pub struct Row {
    /// The archive's member that it stands in; absent in plain and gzip files.
    pub member: Option<Arc<str>>,
    /// The line that it begins on, counted from 1.
    pub line: u64,
    /// Which element of a JSON array it is, counted from 1: several may stand on one line.
    pub element: Option<u64>,
    /// What it states, or why it was rejected.
    pub result: Result<Vec<Statement>, RowError>,
    /// What the reader should know of how it was read.
    pub note: Option<&'static str>,
}

/// Opens a file and recognises what it is.
///
/// # Errors
/// [`FileError`] when it cannot be opened, is empty or not recognised, or lacks a time zone.
pub fn open(path: &Path, options: Options) -> Result<ImportFile, FileError> {
    ImportSource::open(path)?.read(options)
}
