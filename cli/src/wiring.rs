//! The one place where concrete parts are put together, and where the environment is read.

mod exchange;
mod simulated;

use std::io;
use std::sync::Arc;

use exchange_client::{Clock, SystemClock};
use ledger_store::{OpenOptions, SqliteStore, Store, StoreError};
use reconciler::Book;

pub(crate) use self::exchange::Exchanges;
pub(crate) use self::simulated::{DemoAccount, DemoConnection, DemoWorld, demo_world, simulated_exchange};
use crate::config::Settings;
use crate::error::{CommandError, ExitCode};

/// The real clock.
pub(crate) fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// How wide a table is where nothing says how wide it may be: a file, a pipe, a mail. Evidence is wrapped there, too.
const WIDTH_ELSEWHERE: u16 = 200;

/// How wide a table may be: what `COLUMNS` says, else the terminal's width, else [`WIDTH_ELSEWHERE`].
#[expect(clippy::disallowed_methods, reason = "the environment is read in this module and nowhere else")]
pub(crate) fn terminal_width(is_terminal: bool) -> u16 {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
    columns.unwrap_or_else(|| {
        if is_terminal {
            terminal_size::terminal_size().map_or(80, |(terminal_size::Width(width), _)| width)
        } else {
            WIDTH_ELSEWHERE
        }
    })
}

/// The reader's time zone by the environment.
#[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
pub(crate) fn zone_variable() -> Option<String> {
    std::env::var("FILLBOOK_TZ").ok()
}

/// What the system calls whoever runs this.
#[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
pub(crate) fn user_name() -> Option<String> {
    ["LOGNAME", "USER"].into_iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.trim().is_empty())
}

/// The runtime that commands run on.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Sends what the parts log to standard error: errors, or more with `-v`, in colours on a terminal unless `NO_COLOR` says
/// no. What a command has to say it says itself.
#[expect(clippy::disallowed_methods, reason = "the environment is read in this module and nowhere else")]
pub(crate) fn init_tracing(verbose: u8, is_terminal: bool) {
    let coloured = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let level = match verbose {
        0 => tracing::Level::ERROR,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_target(false);
    let subscriber = subscriber.with_ansi(coloured).finish();
    // A program that embeds the command line may have set its own.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// The same, with what is known of the venues.
pub(crate) fn with_venues(options: OpenOptions) -> OpenOptions {
    let venue = &exchange_client::binance_usdm::VENUE;
    options.with_rules(venue.name, venue.ledger_rules)
}

/// Opens the book for writing.
pub(crate) fn open(settings: &Settings) -> Result<Arc<dyn Store>, CommandError> {
    Ok(Arc::new(SqliteStore::open(&settings.db, &with_venues(OpenOptions::default()))?))
}

/// Opens the book for reading, as it is now: nothing that is written meanwhile is in what the command reads.
pub(crate) async fn open_for_reading(settings: &Settings) -> Result<Arc<dyn Store>, CommandError> {
    Ok(open_book(settings, Access::Read).await?.store)
}

/// Creates the book where there is none, and opens it for writing.
pub(crate) fn create(settings: &Settings) -> Result<Arc<dyn Store>, CommandError> {
    Ok(Arc::new(SqliteStore::open(&settings.db, &with_venues(OpenOptions::creating()))?))
}

/// A book that is open, as commands and as the reconciler see it.
pub(crate) struct OpenBook {
    /// For commands.
    pub(crate) store: Arc<dyn Store>,
    /// For the reconciler.
    pub(crate) book: Book,
}

/// How a book is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// For reading, as it is now.
    Read,
    /// For writing.
    Write,
    /// For writing, and made if it is not there.
    Create,
}

/// Opens the book for reconciling.
pub(crate) async fn open_book(settings: &Settings, access: Access) -> Result<OpenBook, StoreError> {
    let options = match access {
        Access::Read => OpenOptions::reading(),
        Access::Write => OpenOptions::default(),
        Access::Create => OpenOptions::creating(),
    };
    let store = SqliteStore::open(&settings.db, &with_venues(options))?;
    let store = Arc::new(if access == Access::Read { store.at_this_moment().await? } else { store });
    Ok(OpenBook { book: Book::of(&store), store })
}

/// The signals that end a command: Ctrl-C and, where there is one, the system's request to terminate.
pub(crate) struct Interruption {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Interruption {
    /// From now on these signals no longer end the process at once.
    pub(crate) fn listen() -> Result<Self, CommandError> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// Waits for a signal.
    pub(crate) async fn wait(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            biased;
            // Where signals cannot be listened for, nobody interrupts.
            Ok(()) = tokio::signal::ctrl_c() => {}
            Some(()) = self.terminate.recv() => {}
            else => std::future::pending().await,
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
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

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CommandError {
    CommandError::new(ExitCode::Error, error)
}
