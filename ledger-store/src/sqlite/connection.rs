//! Opening the book's file: nothing is changed in a file before it is known to be a book.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::migration::MigrationSource;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::engine::BookConnection;
use super::failure::{failed, not_opened};
use super::fold_settings::FoldSettings;
use super::store::OpenOptions;
use super::{account, fact_source, facts, mark, private_file};
use crate::beside;
use crate::error::{BackendError, StoreError};
use crate::error_class::StoreErrorClass;
use crate::record::FirstAccount;
use crate::store::StoreResult;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The number of migrations: the schema version that this version of fillbook writes and reads.
pub(super) const SCHEMA_VERSION: i64 = 13;

/// "fbok": marks a SQLite file as a book.
const APPLICATION_ID: i64 = 0x6662_6f6b;

/// SQLite 3.7.0 to 3.51.2 can corrupt a write-ahead log that two connections write or checkpoint at once.
const SQLITE_VERSION_MIN: (&str, i32) = ("3.51.3", 3_051_003);

/// How connections are opened.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// `None` is a book in memory.
    pub(super) path: Option<PathBuf>,
    pub(super) busy_timeout_ms: u32,
    pub(super) pages_max: Option<u32>,
    /// How readers open the file.
    pub(super) reading: Reading,
}

/// How a reader opens the file. Either way it cannot write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Beside a writer, which tidies up when it is closed.
    Beside,
    /// On its own: the last one to close takes away the write-ahead log and its index, which every reader makes. SQLite
    /// lets only a connection that could write do so.
    Alone,
    /// Beside a writer, in another user's book: nothing is made beside it, as that would be in the owner's way.
    Guest,
    /// Without any file beside it, where none can be made: on a read-only medium, or in somebody else's folder. SQLite
    /// takes the file as one that nobody changes, so this is for a book without a write-ahead log only.
    Immutable,
}

impl Reading {
    fn mode(self) -> &'static str {
        match self {
            Self::Beside => "ro",
            Self::Alone => "rw",
            Self::Guest => "ro&readonly_shm=1",
            Self::Immutable => "ro&immutable=1",
        }
    }
}

/// The path as a SQLite URI, so that names with `?` or `#`, and names that begin with `file:`, stay names.
fn uri(path: &Path, mode: &str) -> StoreResult<String> {
    let text = path.to_str().ok_or_else(|| StoreError::Io {
        path: path.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path is not valid UTF-8"),
    })?;
    let mut uri = String::from("file:");
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-') {
            uri.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri.push_str("?mode=");
    uri.push_str(mode);
    Ok(uri)
}

fn pragma(conn: &mut SqliteConnection, query: &str) -> QueryResult<i64> {
    // `select * from pragma_x` is the form of a pragma that can be queried like a table.
    diesel::select(sql::<BigInt>(query)).first(conn)
}

pub(super) fn sqlite_version(conn: &mut SqliteConnection) -> StoreResult<String> {
    diesel::select(sql::<Text>("sqlite_version()")).first(conn).map_err(failed("read the version"))
}

pub(super) fn schema_version(conn: &mut SqliteConnection) -> StoreResult<i64> {
    pragma(conn, "(SELECT user_version FROM pragma_user_version)").map_err(failed("read the schema version"))
}

pub(super) fn size_bytes(conn: &mut SqliteConnection) -> StoreResult<i64> {
    let pages = pragma(conn, "(SELECT page_count FROM pragma_page_count)").map_err(failed("read the size"))?;
    let page_size = pragma(conn, "(SELECT page_size FROM pragma_page_size)").map_err(failed("read the size"))?;
    Ok(pages.saturating_mul(page_size))
}

/// What SQLite finds wrong with the file, rows that point nowhere, migrations that are none of ours, facts that cannot be
/// read, payloads that are no longer what was received, and accounts that are one and the same at the exchange.
pub(super) fn integrity_check(conn: &mut SqliteConnection) -> StoreResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Finding {
        #[diesel(sql_type = Text)]
        finding: String,
    }
    let findings: Vec<Finding> = diesel::sql_query(
        "SELECT integrity_check AS finding FROM pragma_integrity_check WHERE integrity_check <> 'ok'
         UNION ALL SELECT 'row ' || rowid || ' of ' || \"table\" || ' points to no row of ' || parent
         FROM pragma_foreign_key_check",
    )
    .load(conn)
    .map_err(failed("check the file"))?;
    let mut findings: Vec<String> = findings.into_iter().map(|finding| finding.finding).collect();
    findings.extend(unexpected_migrations(conn)?);
    findings.extend(facts::unreadable(conn)?.iter().map(ToString::to_string));
    findings.extend(fact_source::altered(conn)?);
    findings.extend(account::bound_twice(conn)?);
    Ok(findings)
}

/// Migrations that were applied and are none of ours, or are ours and were not.
fn unexpected_migrations(conn: &mut SqliteConnection) -> StoreResult<Vec<String>> {
    let failure = |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Backend {
        operation: "read the migrations",
        source: BackendError::new(error.to_string()),
    };
    let applied: BTreeSet<String> =
        conn.applied_migrations().map_err(failure)?.iter().map(ToString::to_string).collect();
    let ours = MigrationSource::<Sqlite>::migrations(&MIGRATIONS).map_err(failure)?;
    let ours: BTreeSet<String> = ours.iter().map(|migration| migration.name().version().to_string()).collect();
    let unknown = applied.difference(&ours).map(|version| format!("migration {version} is none of this program's"));
    let missing = ours.difference(&applied).map(|version| format!("migration {version} was not applied"));
    Ok(unknown.chain(missing).collect())
}

fn check_linked_version(conn: &mut SqliteConnection) -> StoreResult<()> {
    let found = sqlite_version(conn)?;
    let mut parts = found.split('.').map(|part| part.parse::<i32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let number = next() * 1_000_000 + next() * 1_000 + next();
    if number >= SQLITE_VERSION_MIN.1 {
        Ok(())
    } else {
        Err(StoreError::SqliteTooOld { found, required: SQLITE_VERSION_MIN.0 })
    }
}

impl Target {
    /// The file at `path`, or a book in memory.
    pub(super) fn of(path: Option<&Path>, options: &OpenOptions) -> Self {
        let (busy_timeout_ms, pages_max) = (options.busy_timeout_ms, options.pages_max);
        Self { path: path.map(Path::to_owned), busy_timeout_ms, pages_max, reading: Reading::Beside }
    }

    /// The same file for a store without a writer. With a write-ahead log beside it there is a writer somewhere, or one
    /// has crashed: then nothing but reading is safe, because closing could write the log into the file.
    pub(super) fn for_reading(mut self) -> Self {
        self.reading = match (self.path.as_deref().is_some_and(beside::is_guest), self.log_bytes()) {
            (false, Some(_)) => Reading::Beside,
            (false, None) => Reading::Alone,
            (true, Some(1..)) => Reading::Guest,
            (true, _) => Reading::Immutable,
        };
        self
    }

    /// The size of the write-ahead log beside the file, if there is one.
    fn log_bytes(&self) -> Option<u64> {
        Some(std::fs::symlink_metadata(beside::path(self.path.as_ref()?, "-wal")).ok()?.len())
    }

    fn shown(&self) -> PathBuf {
        self.path.clone().unwrap_or_else(|| PathBuf::from(":memory:"))
    }

    pub(super) fn connect(&self, mode: &str) -> StoreResult<BookConnection> {
        let url = match &self.path {
            None => ":memory:".to_owned(),
            Some(path) => uri(path, mode)?,
        };
        BookConnection::establish(&url, self.shown(), self.busy_timeout_ms)
            .map_err(|error| not_opened(self.shown(), &error))
    }

    /// What the file is, before anything is written to it; `Ok(None)` for an empty one. All of it is read from one state
    /// of the file: another process may be making the book.
    fn identify(&self, conn: &mut BookConnection) -> StoreResult<Option<i64>> {
        conn.control("BEGIN")?;
        let identified = self.identify_in_transaction(conn).map_err(|error| conn.explain_opening(error));
        // After some failures there is nothing left to roll back.
        let _ = conn.control("ROLLBACK");
        identified
    }

    fn identify_in_transaction(&self, conn: &mut SqliteConnection) -> StoreResult<Option<i64>> {
        let path = self.shown();
        let tables = pragma(conn, "(SELECT count(*) FROM sqlite_master)").map_err(failed("open"))?;
        let application = pragma(conn, "(SELECT application_id FROM pragma_application_id)").map_err(failed("open"))?;
        let version = schema_version(conn)?;
        if application == APPLICATION_ID && version > SCHEMA_VERSION {
            return Err(StoreError::NewerSchema { path, found: version, supported: SCHEMA_VERSION });
        }
        match (application, tables) {
            (APPLICATION_ID, _) => Ok(Some(version)),
            (0, 0) if version == 0 => Ok(None),
            _ => Err(StoreError::ForeignDatabase { path }),
        }
    }

    /// What can be told about the path without SQLite.
    fn check_path(&self, create: bool, write: bool) -> StoreResult<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let folder = folder_of(path);
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(StoreError::IsDirectory { path: path.clone() }),
            // SQLite would open it for reading and fail at the first write.
            Ok(found) if write && found.permissions().readonly() => {
                return Err(StoreError::ReadOnly { path: path.clone() });
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if !create {
                    return Err(StoreError::Missing { path: path.clone() });
                }
                let found = std::fs::metadata(folder);
                if let Err(source) = found {
                    return Err(StoreError::Io { path: folder.to_owned(), source });
                }
            }
            Err(source) => {
                return Err(StoreError::Io { path: path.clone(), source });
            }
        }
        if write && std::fs::metadata(folder).is_ok_and(|found| found.permissions().readonly()) {
            return Err(StoreError::ReadOnly { path: folder.to_owned() });
        }
        Ok(())
    }

    /// A connection that writes, to a book with the current schema.
    pub(super) fn open_writer(&self, create: bool) -> StoreResult<BookConnection> {
        self.open_writer_with(create, None).map(|(conn, _)| conn)
    }

    /// The same, and whether this made the book; one that is made has `first` as its account.
    pub(super) fn open_writer_with(
        &self,
        create: bool,
        first: Option<(&FirstAccount, &FoldSettings)>,
    ) -> StoreResult<(BookConnection, bool)> {
        self.check_path(create, true)?;
        if let (Some(path), true) = (&self.path, create) {
            match private_file::create_new(path) {
                // Another process may have made it by now.
                Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => made?,
            }
        }
        let mut conn = self.connect("rw")?;
        let was_made = self.prepare_writer(&mut conn, create, first).map_err(|error| conn.explain(error))?;
        Ok((conn, was_made))
    }

    fn prepare_writer(
        &self,
        conn: &mut BookConnection,
        create: bool,
        first: Option<(&FirstAccount, &FoldSettings)>,
    ) -> StoreResult<bool> {
        let version = self.identify(conn)?;
        check_linked_version(conn)?;
        if version.is_none() && !create {
            // Nobody's database: perhaps another process is about to make the book.
            return Err(StoreError::Missing { path: self.shown() });
        }
        // 64 MiB of cache: the indexes of a large table are written all over, and would be read again and again. A log that
        // grew beyond 64 MiB, because somebody read for long, is cut when it is begun again.
        conn.control(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -65536; \
             PRAGMA journal_size_limit = 67108864;",
        )?;
        let was_made = version != Some(SCHEMA_VERSION) && self.migrate(conn, first)?;
        mark::outdated(conn).map_err(failed("compare the version of the rules"))?;
        if let Some(book) = &self.path {
            // SQLite gives them the book's mode, and the superuser's to the book's owner; a group it leaves as it is.
            for suffix in ["-wal", "-shm"] {
                beside::belong_to(book, &beside::path(book, suffix));
            }
        }
        if let Some(pages) = self.pages_max {
            conn.batch_execute(&format!("PRAGMA max_page_count = {pages}")).map_err(failed("open"))?;
        }
        Ok(was_made)
    }

    /// A connection that cannot write.
    pub(super) fn open_reader(&self) -> StoreResult<BookConnection> {
        self.check_path(false, false)?;
        let mut conn = self.connect(self.reading.mode())?;
        let is_alone = self.reading == Reading::Immutable;
        if is_alone {
            conn.watch();
        }
        match self.prepare_reader(&mut conn) {
            Ok(()) => Ok(conn),
            Err(error) if is_alone => conn.check_unchanged().and(Err(error)),
            // Only where nothing else is left: beside a writer the file alone is not the book.
            Err(error) if is_about_files_beside(&error) && self.log_bytes().unwrap_or(0) == 0 => {
                let mut conn = self.connect(Reading::Immutable.mode())?;
                conn.watch();
                let prepared = self.prepare_reader(&mut conn);
                conn.check_unchanged().and(prepared).map(|()| conn)
            }
            Err(error) if is_about_files_beside(&error) => Err(StoreError::LogNotReadable { path: self.shown() }),
            Err(error) => Err(error),
        }
    }

    fn prepare_reader(&self, conn: &mut BookConnection) -> StoreResult<()> {
        conn.control("PRAGMA query_only = ON")?;
        let version = self.identify(conn)?;
        check_linked_version(conn).map_err(|error| conn.explain(error))?;
        match version {
            None => return Err(StoreError::Missing { path: self.shown() }),
            Some(found) if found < SCHEMA_VERSION => {
                return Err(StoreError::OlderSchema { path: self.shown(), found, supported: SCHEMA_VERSION });
            }
            Some(_) => {}
        }
        conn.control("PRAGMA foreign_keys = ON")
    }

    /// Brings the schema up to date. The exclusive transaction makes a second process wait here and then find nothing
    /// left to do. Answers whether there was no book before.
    fn migrate(&self, conn: &mut BookConnection, first: Option<(&FirstAccount, &FoldSettings)>) -> StoreResult<bool> {
        let outcome = conn.exclusive_transaction(|conn| -> Result<bool, OpeningFailure> {
            let is_new = self.identify_in_transaction(conn)?.is_none();
            conn.run_pending_migrations(MIGRATIONS).map_err(|error| StoreError::Backend {
                operation: "migrate",
                source: BackendError::new(error.to_string()),
            })?;
            conn.batch_execute(&format!(
                "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
            ))?;
            if let (Some((first, rules)), true) = (first, is_new) {
                let account = &first.account;
                account::create(conn, account)?;
                if let Some(mode) = first.position_mode {
                    account::set_position_mode(conn, &account.id, mode, account.created_local, rules)?;
                }
            }
            Ok(is_new)
        });
        outcome.map_err(|failure| conn.explain(failure.0))
    }
}

/// Whether the files that reading needs beside the book could not be made or opened, as in a folder that cannot be written.
/// The book itself is open by then.
fn is_about_files_beside(error: &StoreError) -> bool {
    match error {
        StoreError::ReadOnly { .. } => true,
        StoreError::Io { .. } => !matches!(error.class(), StoreErrorClass::Resources | StoreErrorClass::Device),
        _ => false,
    }
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A connection that reads a file of some other program.
pub(crate) fn open_foreign(path: &Path) -> StoreResult<BookConnection> {
    let target = Target::of(Some(path), &OpenOptions::reading());
    target.check_path(false, false)?;
    let mode = if beside::is_guest(path) { target.clone().for_reading().reading.mode() } else { "ro" };
    let mut conn = target.connect(mode)?;
    pragma(&mut conn, "(SELECT count(*) FROM sqlite_master)")
        .map_err(|error| conn.explain_opening(failed("open")(error)))?;
    Ok(conn)
}

/// Carries both kinds of errors out of a Diesel transaction.
struct OpeningFailure(StoreError);

impl From<StoreError> for OpeningFailure {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

impl From<diesel::result::Error> for OpeningFailure {
    fn from(error: diesel::result::Error) -> Self {
        Self(failed("open")(error))
    }
}
