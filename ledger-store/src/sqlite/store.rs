//! The open book: who runs which command on which connection.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel::sqlite::SqliteConnection;
use ledger_core::LedgerRules;

use super::connection::Target;
use super::copy;
use super::engine::BookConnection;
use super::fold_settings::FoldSettings;
use super::lease;
use super::moment::{self, Moment};
use super::transaction::{Lent, OpenTransaction};
use super::writer::{self, Task, Writer};
use crate::error::{BackendError, StoreError};
use crate::lease::Lease;
use crate::record::FirstAccount;
use crate::store::StoreResult;
use crate::work_hold::{self, WorkHold};

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
    /// The first account of a book that is created, made in the same transaction: a process that is killed leaves a whole book
    /// or none. Of no effect on a book that is there.
    pub first: Option<FirstAccount>,
    /// Open for reading only: nothing about the file changes, and no file beside it is left behind.
    pub read_only: bool,
    /// Where the writer runs.
    pub writer: WriterMode,
    /// How long to wait for another process that keeps the book locked.
    pub busy_timeout_ms: u32,
    /// A [snapshot](crate::Maintenance) that was not read for this long is given up, because it blocks the checkpoint of the
    /// write-ahead log.
    pub snapshot_idle_max_ms: u64,
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
            first: None,
            read_only: false,
            writer: WriterMode::Threaded,
            busy_timeout_ms: 30_000,
            snapshot_idle_max_ms: 3_600_000,
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

    /// Creates the file where there is none, with this account in it.
    pub fn creating_with(first: FirstAccount) -> Self {
        Self { first: Some(first), ..Self::creating() }
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
    Inline(Arc<tokio::sync::Mutex<BookConnection>>),
    /// Query-only connections, and the writer unless the book is open for reading only.
    Pooled { readers: Readers, writer: Option<Writer> },
    /// The book at one moment, held by a thread of its own.
    Moment(Moment),
    /// The same, on the caller's thread.
    InlineMoment(Mutex<BookConnection>),
    /// The book in a transaction.
    Lent(Arc<Lent>),
}

struct Readers {
    target: Target,
    idle: Mutex<Vec<BookConnection>>,
}

/// More idle connections than this are closed.
const IDLE_MAX: usize = 8;

impl Readers {
    fn take(&self) -> StoreResult<BookConnection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.target.open_reader(), Ok)
    }

    fn with<T>(&self, work: impl FnOnce(&mut BookConnection) -> StoreResult<T>) -> StoreResult<T> {
        let mut conn = self.take()?;
        conn.control("BEGIN")?;
        let answer = work(&mut conn);
        // After some failures there is nothing left to roll back.
        let is_sound = !conn.is_in_transaction() || conn.control("ROLLBACK").is_ok();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if is_sound && idle.len() < IDLE_MAX {
            idle.push(conn);
        }
        answer
    }
}

/// A book in a SQLite file. Dropping it waits for what is being written.
#[derive(Clone)]
pub struct SqliteStore {
    access: Arc<Access>,
    /// The book's file; `None` in memory.
    path: Option<PathBuf>,
    settings: Arc<FoldSettings>,
    options: OpenOptions,
    /// Held from the first time on that this store left something out of date, until it is dropped.
    work: Arc<Mutex<Option<WorkHold>>>,
    /// Of a snapshot: whether somebody was at work at its moment.
    was_at_work: Option<bool>,
    was_made: bool,
    /// The lease under which it is written: see [`Journal::under_lease`](crate::Journal::under_lease).
    fence: Option<Lease>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let access = match &*self.access {
            Access::Inline(_) => "inline",
            Access::Pooled { writer: Some(_), .. } => "threaded",
            Access::Pooled { writer: None, .. } => "read-only",
            Access::Moment(_) | Access::InlineMoment(_) => "snapshot",
            Access::Lent(_) => "transaction",
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
        let target = Target::of(Some(&path), options);
        let target = if options.read_only { target.for_reading() } else { target };
        let idle = if options.read_only { vec![target.open_reader()?] } else { Vec::new() };
        let first = options.first.as_ref().map(|first| (first, options.settings()));
        let (writer, was_made) = if options.read_only {
            (None, false)
        } else {
            let opened =
                target.open_writer_with(options.create, first.as_ref().map(|(first, rules)| (*first, &**rules)))?;
            (Some(opened.0), opened.1)
        };
        let access = match (writer, options.writer) {
            (Some(conn), WriterMode::Inline) => Access::Inline(Arc::new(tokio::sync::Mutex::new(conn))),
            (writer, _) => Access::Pooled {
                readers: Readers { target, idle: Mutex::new(idle) },
                writer: writer.map(Writer::start).transpose()?,
            },
        };
        Ok(Self { was_made, ..Self::over(access, Some(path), options) })
    }

    /// A book in memory, written on the caller's thread; gone when it is dropped.
    ///
    /// # Errors
    /// [`StoreError`] when memory runs out.
    pub fn in_memory(options: &OpenOptions) -> StoreResult<Self> {
        let conn = Target::of(None, options).open_writer(true)?;
        let access = Access::Inline(Arc::new(tokio::sync::Mutex::new(conn)));
        Ok(Self::over(access, None, options))
    }

    fn over(access: Access, path: Option<PathBuf>, options: &OpenOptions) -> Self {
        Self {
            access: Arc::new(access),
            path,
            settings: options.settings(),
            options: options.clone(),
            work: Arc::default(),
            was_at_work: None,
            was_made: false,
            fence: None,
        }
    }

    /// Whether opening it made the book: there was none.
    pub fn was_made(&self) -> bool {
        self.was_made
    }

    /// Shows others that what is out of date from now on will be recomputed.
    pub(super) fn begin_work(&self) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if let (None, Some(book)) = (&*work, &self.path) {
            *work = work_hold::hold(book);
        }
    }

    /// Whether somebody is at work who will recompute what is out of date.
    pub(super) fn is_at_work(&self) -> bool {
        self.was_at_work.unwrap_or_else(|| self.path.as_deref().is_some_and(work_hold::is_held))
    }

    /// The book as it is now: see [`Maintenance`](crate::Maintenance). A snapshot's snapshot is the same moment.
    ///
    /// # Errors
    /// [`StoreError`] when the book cannot be read.
    pub async fn at_this_moment(&self) -> StoreResult<Self> {
        let before = self.is_at_work();
        let access = match &*self.access {
            Access::Moment(_) | Access::InlineMoment(_) => return Ok(self.clone()),
            // Nobody else sees it, and it goes on.
            Access::Lent(_) => return Err(StoreError::OpenedReadOnly),
            Access::Inline(conn) => {
                let target = Target::of(self.path.as_deref(), &self.options);
                let mut moment = match &self.path {
                    Some(_) => target.open_reader()?,
                    None => copy::in_memory(&mut *conn.lock().await, &target)?,
                };
                moment::fix(&mut moment)?;
                Access::InlineMoment(Mutex::new(moment))
            }
            Access::Pooled { .. } => {
                let idle_max = Duration::from_millis(self.options.snapshot_idle_max_ms);
                let access = Arc::clone(&self.access);
                on_a_thread(move || {
                    let Access::Pooled { readers, .. } = &*access else { return Err(StoreError::Closed) };
                    let mut conn = readers.take()?;
                    moment::fix(&mut conn)?;
                    Moment::hold(conn, idle_max)
                })
                .await
                .map(Access::Moment)?
            }
        };
        // Asked before the moment and behind it: a command that ended in between was at work in it, and so was one that
        // began.
        let was_at_work = Some(before || self.is_at_work());
        Ok(Self { access: Arc::new(access), was_at_work, work: Arc::default(), ..self.clone() })
    }

    /// The same book, whose writes ask first whether the lease still holds.
    pub(super) fn fenced(&self, lease: &Lease) -> Self {
        Self { fence: Some(lease.clone()), ..self.clone() }
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
        self.read_on(move |conn| work(conn)).await
    }

    async fn read_on<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut BookConnection) -> StoreResult<T> + Send + 'static,
    {
        let work = move |conn: &mut BookConnection| {
            let answer = work(conn).map_err(|error| conn.explain(error));
            // Whether it was answered or not: pages of two states of the file may be in it.
            conn.check_unchanged().and(answer)
        };
        match &*self.access {
            Access::Inline(conn) => work(&mut *conn.lock().await),
            Access::Lent(lent) => lent.ask(work),
            Access::InlineMoment(conn) => moment::ask(&mut conn.lock().unwrap_or_else(PoisonError::into_inner), work),
            Access::Pooled { .. } => {
                let access = Arc::clone(&self.access);
                on_a_thread(move || match &*access {
                    Access::Pooled { readers, .. } => readers.with(work),
                    _ => Err(StoreError::Closed),
                })
                .await
            }
            Access::Moment(moment) => moment.ask(work).await,
        }
    }

    /// Runs a command; its answer comes after its commit. Whether the lease still holds is asked in its transaction.
    pub(super) async fn write<T, F>(&self, mut work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut SqliteConnection) -> StoreResult<T> + Send + 'static,
    {
        let fence = self.fence.clone();
        let work = move |conn: &mut SqliteConnection| {
            if let Some(lease) = &fence {
                lease::check(conn, lease)?;
            }
            work(conn)
        };
        if let Access::Lent(lent) = &*self.access {
            return lent.write(work);
        }
        let (command, answer) = writer::command(work);
        match &*self.access {
            Access::Inline(conn) => writer::execute(&mut *conn.lock().await, vec![command]),
            Access::Pooled { writer: Some(writer), .. } => writer.send(Task::Run(command)).await?,
            Access::Lent(_) => return Err(StoreError::Closed),
            Access::Pooled { writer: None, .. } | Access::Moment(_) | Access::InlineMoment(_) => {
                return Err(StoreError::OpenedReadOnly);
            }
        }
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Begins a transaction on the connection that writes.
    pub(super) async fn begin_transaction(&self) -> StoreResult<OpenTransaction> {
        let lent = match &*self.access {
            Access::Inline(conn) => Lent::inline(Arc::clone(conn).lock_owned().await)?,
            Access::Pooled { writer: Some(writer), .. } => {
                let (reply, answer) = tokio::sync::oneshot::channel();
                writer.send(Task::Lend(reply)).await?;
                Lent::of_writer(answer.await.map_err(|_| StoreError::Closed)??)
            }
            Access::Pooled { writer: None, .. } | Access::Moment(_) | Access::InlineMoment(_) | Access::Lent(_) => {
                return Err(StoreError::OpenedReadOnly);
            }
        };
        let lent = Arc::new(lent);
        let book = Self { access: Arc::new(Access::Lent(Arc::clone(&lent))), ..self.clone() };
        Ok(OpenTransaction { lent, book: Arc::new(book) })
    }

    /// Writes the book, as one state of it, into a new file.
    pub(super) async fn copy_to(&self, path: PathBuf) -> StoreResult<()> {
        self.read_on(move |conn| copy::to_file(conn, &path)).await
    }
}

/// Runs what may block beside the runtime.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> StoreResult<T> + Send + 'static) -> StoreResult<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Backend { operation: "read", source: BackendError::new(error.to_string()) })?
}
