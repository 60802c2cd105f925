//! What Diesel does not hand on of SQLite: the codes behind an error, and the copying of a book as a transaction sees it.
//!
//! This is the only file of the workspace with `unsafe` code. Diesel keeps the handle of its connections to itself, so it is
//! taken where SQLite itself tells it: SQLite calls every registered extension with the handle of each connection that it
//! opens, on the thread that opens it.
//!
//! What makes it sound:
//! 1. A handle is kept beside its connection, in [`BookConnection`], which gives neither of them away. So it is used only
//!    while the connection is open.
//! 2. A connection is used by one thread at a time (`&mut`), and SQLite is built to be used from any (`SQLITE_THREADSAFE=1`).
#![expect(unsafe_code, reason = "SQLite's extended codes and its backup interface can be reached in no other way")]

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::ptr::{NonNull, null_mut};
use std::sync::Once;

use diesel::prelude::*;
use diesel::result::ConnectionError;
use libsqlite3_sys as ffi;

use crate::beside::FileState;
use crate::error::StoreError;
use crate::store::StoreResult;

/// A connection to a book, with SQLite's handle of it.
pub(crate) struct BookConnection {
    inner: SqliteConnection,
    /// `None` where SQLite had no memory to register the extension.
    handle: Option<NonNull<ffi::sqlite3>>,
    path: PathBuf,
    busy_timeout_ms: u32,
    /// What the file has to look like all the time, where nothing can be locked.
    unlocked: Option<FileState>,
}

// SAFETY: as for Diesel's own connection, which is `Send`: no thread keeps a reference while another one uses it.
unsafe impl Send for BookConnection {}

impl Deref for BookConnection {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.inner
    }
}

impl DerefMut for BookConnection {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }
}

thread_local! {
    /// The handle of the connection that this thread opened last.
    static OPENED: Cell<*mut ffi::sqlite3> = const { Cell::new(null_mut()) };
}

/// The extension: it notes the handle and changes nothing.
unsafe extern "C" fn note_handle(
    handle: *mut ffi::sqlite3,
    _message: *mut *mut c_char,
    _routines: *const ffi::sqlite3_api_routines,
) -> c_int {
    // Fails while the thread ends, when nothing opens a connection any more.
    let _ = OPENED.try_with(|opened| opened.set(handle));
    ffi::SQLITE_OK
}

/// The codes of the last statement of a connection that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FailureCodes {
    /// SQLite's extended result code.
    pub(super) extended: i32,
    /// What the operating system said when it failed this connection last; 0 where it never did.
    pub(super) errno: i32,
}

impl FailureCodes {
    /// The class that the extended code is of.
    pub(super) fn primary(self) -> i32 {
        self.extended & 0xff
    }
}

impl BookConnection {
    /// Opens a connection that waits for other processes. `path` is what errors call the file.
    pub(super) fn establish(url: &str, path: PathBuf, busy_timeout_ms: u32) -> Result<Self, ConnectionError> {
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(|| {
            // SAFETY: the function lives as long as the process, and has the signature that SQLite calls it with. Where it
            // cannot be registered, handles stay unknown.
            let _ = unsafe { ffi::sqlite3_auto_extension(Some(note_handle)) };
        });
        OPENED.set(null_mut());
        let inner = SqliteConnection::establish(url)?;
        let handle = NonNull::new(OPENED.replace(null_mut()));
        if let Some(handle) = handle {
            // SAFETY: the connection is open (1), and no other thread uses it (2).
            let _ = unsafe {
                ffi::sqlite3_busy_timeout(handle.as_ptr(), c_int::try_from(busy_timeout_ms).unwrap_or(c_int::MAX))
            };
        }
        Ok(Self { inner, handle, path, busy_timeout_ms, unlocked: None })
    }

    /// The codes of the statement that failed last. What is asked of the connection next overwrites the result code, and not
    /// the system's number.
    pub(super) fn failure_codes(&self) -> Option<FailureCodes> {
        let handle = self.handle?.as_ptr();
        // SAFETY: the connection is open (1), and no other thread uses it (2).
        let (extended, errno) = unsafe { (ffi::sqlite3_extended_errcode(handle), ffi::sqlite3_system_errno(handle)) };
        Some(FailureCodes { extended, errno })
    }

    /// What the system said when it last failed to read the book or its write-ahead log; 0 where it never did. SQLite calls
    /// a page damaged that a disk fails to read.
    pub(super) fn read_errno(&self) -> i32 {
        let Some(handle) = self.handle else { return 0 };
        let mut errno: c_int = 0;
        let mut log: *mut ffi::sqlite3_file = null_mut();
        // SAFETY: the connection is open (1), and no other thread uses it (2); the name ends with a zero; both controls
        // write one value of the type that is handed to them, and the file that the second one names is open for as long as
        // the connection is.
        unsafe {
            let name = c"main".as_ptr();
            let to = |value: *mut c_int| value.cast::<c_void>();
            ffi::sqlite3_file_control(handle.as_ptr(), name, ffi::SQLITE_FCNTL_LAST_ERRNO, to(&raw mut errno));
            ffi::sqlite3_file_control(
                handle.as_ptr(),
                name,
                ffi::SQLITE_FCNTL_JOURNAL_POINTER,
                (&raw mut log).cast::<c_void>(),
            );
            if errno == 0
                && let Some(log) = log.as_mut()
                && let Some(methods) = log.pMethods.as_ref()
                && let Some(control) = methods.xFileControl
            {
                control(log, ffi::SQLITE_FCNTL_LAST_ERRNO, to(&raw mut errno));
            }
        }
        errno
    }

    /// Whether a transaction is open. SQLite ends one by itself after some failures.
    pub(super) fn is_in_transaction(&self) -> bool {
        // SAFETY: the connection is open (1), and no other thread uses it (2).
        self.handle.is_none_or(|handle| unsafe { ffi::sqlite3_get_autocommit(handle.as_ptr()) == 0 })
    }

    /// From now on the file must not change: it is read without locks.
    pub(super) fn watch(&mut self) {
        self.unlocked = FileState::of(&self.path);
    }

    /// Fails where the file was to stay as it was, and did not.
    pub(super) fn check_unchanged(&self) -> StoreResult<()> {
        match &self.unlocked {
            Some(state) if FileState::of(&self.path).as_ref() != Some(state) => {
                Err(StoreError::ChangedWhileRead { path: self.path.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Whether the file was opened in a way in which nothing can write it.
    pub(super) fn is_opened_read_only(&self) -> bool {
        // SAFETY: the connection is open (1), and no other thread uses it (2); the name ends with a zero.
        self.handle.is_some_and(|handle| unsafe { ffi::sqlite3_db_readonly(handle.as_ptr(), c"main".as_ptr()) == 1 })
    }

    /// What errors call the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How long SQLite waits for other processes before it fails with this connection.
    pub(super) fn busy_timeout_ms(&self) -> u32 {
        self.busy_timeout_ms
    }

    /// Copies all pages, as this connection's transaction sees them, into `target`, which is overwritten.
    ///
    /// # Errors
    /// The codes of what failed, of whichever of both files.
    pub(super) fn copy_into(&mut self, target: &mut Self) -> Result<(), FailureCodes> {
        let (Some(from), Some(to)) = (self.handle, target.handle) else {
            return Err(FailureCodes { extended: ffi::SQLITE_NOMEM, errno: 0 });
        };
        // SAFETY: both connections are open (1) and borrowed for as long as this takes (2); the names end with a zero; the
        // copy is finished before this answers, whatever became of it.
        unsafe {
            let copy = ffi::sqlite3_backup_init(to.as_ptr(), c"main".as_ptr(), from.as_ptr(), c"main".as_ptr());
            let failed = |extended| Err(FailureCodes { extended, errno: ffi::sqlite3_system_errno(to.as_ptr()) });
            if copy.is_null() {
                return failed(ffi::sqlite3_extended_errcode(to.as_ptr()));
            }
            // All at once: in several steps the copy would begin again whenever somebody writes.
            let copied = ffi::sqlite3_backup_step(copy, -1);
            match (copied, ffi::sqlite3_backup_finish(copy)) {
                (ffi::SQLITE_DONE, ffi::SQLITE_OK) => Ok(()),
                (ffi::SQLITE_DONE, extended) | (extended, _) => failed(extended),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;

    #[test]
    fn each_connection_has_its_own_codes() {
        let mut first = BookConnection::establish(":memory:", PathBuf::new(), 0).unwrap();
        let mut second = BookConnection::establish(":memory:", PathBuf::new(), 0).unwrap();
        first.batch_execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b NOT NULL)").unwrap();
        first.batch_execute("INSERT INTO t VALUES (1, NULL)").unwrap_err();
        second.batch_execute("SELECT nothing").unwrap_err();
        let not_null = FailureCodes { extended: ffi::SQLITE_CONSTRAINT_NOTNULL, errno: 0 };
        assert_eq!(first.failure_codes(), Some(not_null));
        assert_eq!(not_null.primary(), ffi::SQLITE_CONSTRAINT);
        assert_eq!(second.failure_codes().map(|codes| codes.extended), Some(ffi::SQLITE_ERROR));
    }

    #[test]
    fn a_copy_is_what_the_transaction_sees() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let url = path.to_str().unwrap();
        let mut writer = BookConnection::establish(url, path.clone(), 0).unwrap();
        writer.batch_execute("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
        let mut reader = BookConnection::establish(url, path.clone(), 0).unwrap();
        reader.batch_execute("BEGIN; SELECT a FROM t").unwrap();
        writer.batch_execute("INSERT INTO t VALUES (2)").unwrap();
        let mut copy = BookConnection::establish(":memory:", PathBuf::new(), 0).unwrap();
        assert_eq!(reader.copy_into(&mut copy), Ok(()));
        copy.batch_execute("CREATE TEMP TABLE one (a CHECK (a = 1)); INSERT INTO one SELECT count(*) FROM t").unwrap();
    }
}
