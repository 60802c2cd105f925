//! The open book: who runs which command on which connection.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use diesel::sqlite::SqliteConnection;
use ledger_core::LedgerRules;

use super::connection::{Reading, Target};
use super::failure::describe;
use super::fold_settings::FoldSettings;
use super::writer::{self, Writer};
use crate::error::{BackendError, StoreError};
use crate::repository::StoreResult;

/// Where the writer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WriterMode {
    /// On a thread of its own, beside readers that see the last commit. Needs a tokio runtime.
    #[default]
    Threaded,
    /// On the caller's thread, for simulations whose clock must not run on while a thread works.
    Inline,
}

/// How a book is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOptions {
    /// Create the file where there is none.
    pub create: bool,
    /// Open for reading only: nothing about the file changes, and no file beside it is left behind.
    pub read_only: bool,
    /// Where the writer runs.
    pub writer: WriterMode,
    /// How long to wait for another process that keeps the book locked.
    pub busy_timeout_ms: u32,
    /// A checkpoint is kept after this many fills of a symbol, so that a late fact need not fold all of them again.
    pub checkpoint_every: u32,
    /// Where the ledger entries of each venue belong, by the venue's name; a venue without an entry has the
    /// [default](LedgerRules::default). A book is opened with the same tables each time: what is derived rests on them.
    pub ledger_rules: Vec<(String, LedgerRules)>,
    /// The largest size of the file in pages of 4096 bytes; `None` for as much as the disk holds.
    pub pages_max: Option<u32>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: false,
            read_only: false,
            writer: WriterMode::Threaded,
            busy_timeout_ms: 5_000,
            checkpoint_every: 10_000,
            ledger_rules: Vec::new(),
            pages_max: None,
        }
    }
}

impl OpenOptions {
    /// Creates the file where there is none.
    pub fn creating() -> Self {
        Self { create: true, ..Self::default() }
    }

    /// The same, with the table of a venue.
    #[must_use]
    pub fn with_rules(mut self, venue: &str, rules: LedgerRules) -> Self {
        self.ledger_rules.push((venue.to_owned(), rules));
        self
    }

    /// Opens for reading only.
    pub fn reading() -> Self {
        Self { read_only: true, ..Self::default() }
    }

    /// Creates the file where there is none, and writes on the caller's thread.
    pub fn inline() -> Self {
        Self { create: true, writer: WriterMode::Inline, ..Self::default() }
    }
}

impl OpenOptions {
    fn settings(&self) -> Arc<FoldSettings> {
        let checkpoint_every = u64::from(self.checkpoint_every);
        Arc::new(FoldSettings { checkpoint_every, ledger_rules: self.ledger_rules.clone() })
    }
}

enum Access {
    /// One connection for everything.
    Inline(Mutex<SqliteConnection>),
    /// Query-only connections, and the writer unless the book is open for reading only.
    Pooled { readers: Arc<Readers>, writer: Option<Writer> },
}

struct Readers {
    target: Target,
    idle: Mutex<Vec<SqliteConnection>>,
}

/// More idle connections than this are closed.
const IDLE_MAX: usize = 8;

impl Readers {
    fn with<T>(&self, work: impl FnOnce(&mut SqliteConnection) -> StoreResult<T>) -> StoreResult<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut conn = match idle {
            Some(conn) => conn,
            None => self.target.open_reader()?,
        };
        let result = in_snapshot(&mut conn, work);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(conn);
        }
        result
    }
}

/// Runs several queries on one state of the book.
fn in_snapshot<T>(
    conn: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> StoreResult<T>,
) -> StoreResult<T> {
    use diesel::connection::SimpleConnection;
    let control = |conn: &mut SqliteConnection, statement: &'static str| {
        conn.batch_execute(statement).map_err(|error| describe(statement, &error))
    };
    control(conn, "BEGIN")?;
    let result = work(conn);
    control(conn, "ROLLBACK")?;
    result
}

/// A book in a SQLite file. Dropping it waits for what is being written.
pub struct SqliteStore {
    access: Access,
    /// The book's file; `None` in memory.
    path: Option<PathBuf>,
    settings: Arc<FoldSettings>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let access = match &self.access {
            Access::Inline(_) => "inline",
            Access::Pooled { writer: Some(_), .. } => "threaded",
            Access::Pooled { writer: None, .. } => "read-only",
        };
        f.debug_struct("SqliteStore").field("access", &access).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the book at `path`, and brings its schema up to date unless it is opened for reading only.
    ///
    /// # Errors
    /// [`StoreError`] says what is wrong with the file; a file that is no book is not changed.
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> StoreResult<Self> {
        let path = path.as_ref().to_owned();
        let target = Target {
            path: Some(path.clone()),
            busy_timeout_ms: options.busy_timeout_ms,
            pages_max: options.pages_max,
            reading: Reading::Beside,
        };
        let target = if options.read_only { target.for_reading() } else { target };
        let idle = if options.read_only { vec![target.open_reader()?] } else { Vec::new() };
        let writer = if options.read_only { None } else { Some(target.open_writer(options.create)?) };
        let access = match (writer, options.writer) {
            (Some(conn), WriterMode::Inline) => Access::Inline(Mutex::new(conn)),
            (writer, _) => Access::Pooled {
                readers: Arc::new(Readers { target, idle: Mutex::new(idle) }),
                writer: writer.map(Writer::start).transpose()?,
            },
        };
        Ok(Self { access, path: Some(path), settings: options.settings() })
    }

    /// A book in memory, written on the caller's thread; gone when it is dropped.
    ///
    /// # Errors
    /// [`StoreError`] when memory runs out.
    pub fn in_memory(options: &OpenOptions) -> StoreResult<Self> {
        let (busy_timeout_ms, pages_max) = (options.busy_timeout_ms, options.pages_max);
        let target = Target { path: None, busy_timeout_ms, pages_max, reading: Reading::Beside };
        let access = Access::Inline(Mutex::new(target.open_writer(true)?));
        Ok(Self { access, path: None, settings: options.settings() })
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(super) fn settings(&self) -> Arc<FoldSettings> {
        Arc::clone(&self.settings)
    }

    /// Runs a query on a consistent state of the book.
    pub(super) async fn read<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut SqliteConnection) -> StoreResult<T> + Send + 'static,
    {
        match &self.access {
            Access::Inline(conn) => work(&mut conn.lock().unwrap_or_else(PoisonError::into_inner)),
            Access::Pooled { readers, .. } => {
                let readers = Arc::clone(readers);
                tokio::task::spawn_blocking(move || readers.with(work)).await.map_err(|error| StoreError::Backend {
                    operation: "read",
                    source: BackendError::new(error.to_string()),
                })?
            }
        }
    }

    /// Runs a command; its answer comes after its commit.
    pub(super) async fn write<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut SqliteConnection) -> StoreResult<T> + Send + 'static,
    {
        let (command, answer) = writer::command(work);
        match &self.access {
            Access::Inline(conn) => {
                writer::execute(&mut conn.lock().unwrap_or_else(PoisonError::into_inner), vec![command]);
            }
            Access::Pooled { writer: Some(writer), .. } => writer.send(command).await?,
            Access::Pooled { writer: None, .. } => return Err(StoreError::OpenedReadOnly),
        }
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs statements outside of a transaction, on the connection that writes if there is one.
    pub(super) async fn maintain<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut SqliteConnection) -> StoreResult<T> + Send + 'static,
    {
        match &self.access {
            Access::Inline(conn) => work(&mut conn.lock().unwrap_or_else(PoisonError::into_inner)),
            Access::Pooled { readers, .. } => {
                let target = readers.target.clone();
                tokio::task::spawn_blocking(move || work(&mut target.open_reader()?)).await.map_err(|error| {
                    StoreError::Backend { operation: "maintenance", source: BackendError::new(error.to_string()) }
                })?
            }
        }
    }
}
