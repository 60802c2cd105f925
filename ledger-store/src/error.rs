//! What can go wrong with a book, in terms of the book.

use std::fmt;
use std::path::PathBuf;

use ledger_core::AccountId;
use thiserror::Error;

/// An error of the database engine, as it words it.
#[derive(Debug)]
pub struct BackendError(String);

impl BackendError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BackendError {}

/// A row that does not hold what was written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRow {
    /// The table.
    pub table: &'static str,
    /// The row's key.
    pub key: String,
    /// The column.
    pub column: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for UnreadableRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, key, column, reason } = self;
        write!(f, "table {table}, row {key}: column {column} is invalid: {reason}")
    }
}

/// Why the book could not be opened, read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no file, or one in which nothing has been written yet; a book has to be created first.
    #[error("there is no book at {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The path is a directory.
    #[error("{} is a directory; give the path of the book's file", path.display())]
    IsDirectory {
        /// The path.
        path: PathBuf,
    },
    /// The file has other content.
    #[error("{} is not a SQLite database", path.display())]
    NotADatabase {
        /// The path.
        path: PathBuf,
    },
    /// A database of some other program. Nothing was changed in it.
    #[error("{} is a SQLite database, but not a fillbook book", path.display())]
    ForeignDatabase {
        /// The path.
        path: PathBuf,
    },
    /// A database that is not a bot's.
    #[error(
        "{} is a fillbook book or another program's database: it has none of a bot's tables (engine_signals, orders, fills, positions, cancels) in a bot's form", path.display()
    )]
    NotABotDatabase {
        /// The path.
        path: PathBuf,
    },
    /// A table of a bot's database that is none that rows are stored in.
    #[error("{}: `{table}` is {what}; only tables that SQLite numbers the rows of are read", path.display())]
    NotAnOrdinaryTable {
        /// The database.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// What it is.
        what: &'static str,
    },
    /// The file or its folder cannot be written. A book needs its folder too, for the write-ahead log beside it.
    #[error("{} is read-only, so the book cannot be written", path.display())]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
    },
    /// There is a write-ahead log, which may hold the latest commits, and it cannot be read. Without it the book would be an
    /// earlier one.
    #[error("{} has a write-ahead log (`-wal`) beside it that cannot be read here", path.display())]
    LogNotReadable {
        /// The book.
        path: PathBuf,
    },
    /// The book was written by a later version.
    #[error("{} has schema version {found}, newer than {supported}, the newest that this version knows; use a newer fillbook", path.display())]
    NewerSchema {
        /// The path.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest known one.
        supported: i64,
    },
    /// The book was written by an earlier version and is open for reading only.
    #[error("{} has schema version {found}; open it for writing once to bring it to version {supported}", path.display())]
    OlderSchema {
        /// The path.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The current one.
        supported: i64,
    },
    /// The linked SQLite has known corruption bugs.
    #[error(
        "the linked SQLite {found} is older than {required}, which fixes a corruption bug; rebuild with the bundled one"
    )]
    SqliteTooOld {
        /// The linked version.
        found: String,
        /// The oldest accepted one.
        required: &'static str,
    },
    /// No room left. Nothing of the failed transaction was written.
    #[error("the disk is full")]
    DiskFull,
    /// Another process kept the book locked.
    #[error("another process has kept the book locked for {} s", (waited_ms + 500) / 1_000)]
    Busy {
        /// How long it was waited for.
        waited_ms: u32,
    },
    /// The system failed while the book was read or written. What was answered before is recorded, and nothing of the failed
    /// transaction.
    #[error("{} could not be {doing}", path.display())]
    Storage {
        /// The book.
        path: PathBuf,
        /// What was being done, as a participle: `read`, `written`, `locked`.
        doing: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file was moved, removed or replaced while it was open. What is written now would be in no book.
    #[error("{} was moved, removed or replaced while it was open", path.display())]
    Moved {
        /// Where it was.
        path: PathBuf,
    },
    /// Somebody wrote to a book that could be read only without locks.
    #[error("{} was written to while it was read, and nothing can be locked there", path.display())]
    ChangedWhileRead {
        /// The book.
        path: PathBuf,
    },
    /// A [snapshot](crate::Maintenance) has ended: nothing was asked of it for too long, or a read failed.
    #[error(
        "the state of the book that this command began to read is given up, because nothing was read for too long or a read failed"
    )]
    MomentGivenUp,
    /// The file is damaged.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The book.
        path: PathBuf,
        /// What the engine says.
        #[source]
        source: BackendError,
    },
    /// A row does not hold what was written to it.
    #[error("{row}")]
    CorruptRow {
        /// The row.
        row: UnreadableRow,
    },
    /// The account is not in the book.
    #[error("the book has no account `{account}`")]
    UnknownAccount {
        /// The account asked for.
        account: AccountId,
    },
    /// The account exists, as another one.
    #[error("account `{account}` exists already, with {field} `{existing}`")]
    AccountExists {
        /// The account.
        account: AccountId,
        /// What differs.
        field: &'static str,
        /// What the book says.
        existing: String,
    },
    /// The exchange, or an export, says it is another account than the one this book was bound to.
    #[error(
        "account `{account}` is bound to {field} `{bound}`, but this is of `{offered}`; nothing was written: name the account it belongs to, or keep it in another one"
    )]
    WrongAccount {
        /// The account.
        account: AccountId,
        /// What differs.
        field: &'static str,
        /// What the book is bound to.
        bound: String,
        /// What the exchange says.
        offered: String,
    },
    /// Another process watches the account now, or the lease was given back. Nothing was written.
    #[error("account `{account}` is no longer watched by this process{}", holder.as_ref().map_or_else(String::new, |holder| format!(", but by {holder}")))]
    LeaseLost {
        /// The account.
        account: AccountId,
        /// Who watches it now; `None` where nobody does.
        holder: Option<String>,
    },
    /// The run is not in the journal.
    #[error("the book has no run {run}")]
    UnknownRun {
        /// The number.
        run: i64,
    },
    /// The discrepancy is not on record.
    #[error("the book has no discrepancy {which} of this account")]
    UnknownDiscrepancy {
        /// The number, or kind and fingerprint.
        which: String,
    },
    /// The discrepancy is gone, so there is nothing to acknowledge.
    #[error("discrepancy {id} is resolved already; there is nothing to acknowledge")]
    DiscrepancyResolved {
        /// The number.
        id: i64,
    },
    /// A repair can only be journaled under a run.
    #[error("a batch that repairs something has to name its run")]
    RepairWithoutRun,
    /// Nothing tells which rows of the book a stream has, so none of its stretches can be confirmed.
    #[error("no stretch of the stream `{stream}` can be confirmed, for nothing tells which rows are of it")]
    UnprovableStream {
        /// The stream.
        stream: String,
    },
    /// A cursor that no list of this kind gave.
    #[error("`{cursor}` is no cursor of this list")]
    BadCursor {
        /// The text.
        cursor: String,
    },
    /// The book was opened for reading only.
    #[error("the book is open for reading only")]
    OpenedReadOnly,
    /// The writer has stopped: the book is being closed, or its thread could not be started.
    #[error("the book is closed")]
    Closed,
    /// Anything else the database engine says.
    #[error("the book's database failed at: {operation}")]
    Backend {
        /// What was being done.
        operation: &'static str,
        /// What the engine says.
        #[source]
        source: BackendError,
    },
    /// The operating system refused something.
    #[error("{} cannot be used", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        #[source]
        source: std::io::Error,
    },
}
