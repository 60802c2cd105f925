//! What happens while files are read, for whoever shows it.

use std::sync::Arc;

use exchange_client::files::{Zone, ZoneOrigin};
use ledger_core::Symbol;

/// Where in a file a row stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The member of an archive, or the table of a database; absent in plain files.
    pub member: Option<Arc<str>>,
    /// The line, counted from 1, or the row's number in its table.
    pub line: u64,
    /// Which element of a JSON array, counted from 1: several may stand on one line.
    pub element: Option<u64>,
}

/// Why a row is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowRemark {
    /// It was not recorded.
    Rejected,
    /// It was recorded, and says something else than the book.
    Conflicting,
    /// It was recorded, and its reader should know how it was read.
    Noted,
}

impl RowRemark {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Conflicting => "conflicting",
            Self::Noted => "noted",
        }
    }
}

/// Something that happened during an import.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum ImportEvent<'a> {
    /// So many rows of a file have been read.
    Rows {
        /// The file, as it was given.
        file: &'a str,
        /// How many.
        rows: u64,
    },
    /// So many rows of a file have been looked at, before any is recorded.
    Checking {
        /// The file, as it was given.
        file: &'a str,
        /// How many.
        rows: u64,
    },
    /// A file was taken for the account, which is bound to somebody, and nothing in it proves that it is theirs: none of its
    /// orders and trades was known, and it names no owner, or one by a number that the account was not bound by so far.
    OwnerUnproven {
        /// The file, as it was given.
        file: &'a str,
        /// The number by which it names its owner.
        uid: Option<&'a str>,
        /// Whom the account is bound to, in words.
        bound: &'a str,
    },
    /// A row that is named.
    Row {
        /// The file, as it was given.
        file: &'a str,
        /// Where in it.
        origin: &'a Origin,
        /// Why it is named.
        remark: RowRemark,
        /// The how manieth of its file with this remark, counted from 1.
        number: u64,
        /// What there is to say of it.
        reason: &'a str,
    },
    /// A file, or a member of an archive, that cannot be read, or not be read further.
    Refused {
        /// The file, as it was given.
        file: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// The zone in which a file's local times were read, unless its header alone tells it.
    ZoneTaken {
        /// The file, as it was given.
        file: &'a str,
        /// Which zone.
        zone: &'a Zone,
        /// Who said so.
        origin: ZoneOrigin,
    },
    /// Positions and round trips of a contract are being recomputed.
    Recomputing {
        /// The contract.
        symbol: &'a Symbol,
        /// The how manieth, counted from 1.
        number: usize,
        /// Of how many.
        of: usize,
    },
}
