//! The database engine's errors, told apart by what happened.
//!
//! Diesel hands on SQLite's messages and not its codes. Where a statement fails, [`describe`] keeps the message; where the
//! connection is at hand, [`BookConnection::explain`] makes of it what SQLite's extended code and the system's error number
//! say. The codes are believed only where they are of the class that the message is of: something may have been asked of the
//! connection in between.

use std::io;
use std::path::PathBuf;

use diesel::connection::SimpleConnection;
use diesel::result::{ConnectionError, Error};
use libsqlite3_sys as ffi;

use super::engine::{BookConnection, FailureCodes};
use crate::error::{BackendError, StoreError};
use crate::store::StoreResult;

/// SQLite's fixed messages, with the class of result codes that each stands for.
const MESSAGES: [(&str, i32); 13] = [
    ("database or disk is full", ffi::SQLITE_FULL),
    ("database is locked", ffi::SQLITE_BUSY),
    ("database table is locked", ffi::SQLITE_LOCKED),
    ("locking protocol", ffi::SQLITE_PROTOCOL),
    ("attempt to write a readonly database", ffi::SQLITE_READONLY),
    ("database disk image is malformed", ffi::SQLITE_CORRUPT),
    ("file is not a database", ffi::SQLITE_NOTADB),
    ("disk I/O error", ffi::SQLITE_IOERR),
    ("unable to open database file", ffi::SQLITE_CANTOPEN),
    ("out of memory", ffi::SQLITE_NOMEM),
    ("access permission denied", ffi::SQLITE_PERM),
    ("authorization denied", ffi::SQLITE_AUTH),
    ("large file support is disabled", ffi::SQLITE_NOLFS),
];

fn message_of(error: &Error) -> String {
    match error {
        Error::DatabaseError(_, information) => information.message().to_owned(),
        other => other.to_string(),
    }
}

/// The class of result codes that a message stands for.
fn class_of_message(message: &str) -> Option<i32> {
    MESSAGES.iter().find(|(text, _)| message.contains(text)).map(|(_, primary)| *primary)
}

/// A statement of `operation` failed.
pub(super) fn describe(operation: &'static str, error: &Error) -> StoreError {
    StoreError::Backend { operation, source: BackendError::new(message_of(error)) }
}

/// As [`describe`], for `map_err`.
pub(crate) fn failed(operation: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| describe(operation, &error)
}

/// What went wrong with opening `path`. Every book that can be told from a missing one was told before.
pub(super) fn not_opened(path: PathBuf, error: &ConnectionError) -> StoreError {
    // SQLite gives no code without a connection; what the system said last is why the file was not opened.
    let system = io::Error::last_os_error();
    let message = error.to_string();
    match class_of_message(&message) {
        Some(ffi::SQLITE_CANTOPEN) if system.kind() == io::ErrorKind::NotFound => StoreError::Missing { path },
        Some(ffi::SQLITE_CANTOPEN | ffi::SQLITE_IOERR) if system.raw_os_error() != Some(0) => {
            StoreError::Storage { path, doing: "opened", source: system }
        }
        Some(ffi::SQLITE_NOMEM) => out_of_memory(path),
        _ => StoreError::Backend { operation: "open", source: BackendError::new(message) },
    }
}

/// What SQLite was doing, by the extended code.
fn doing(extended: i32) -> &'static str {
    match extended {
        ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_FSTAT | ffi::SQLITE_IOERR_SEEK => {
            "read"
        }
        ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => "flushed to the disk",
        ffi::SQLITE_IOERR_TRUNCATE => "cut to its size",
        ffi::SQLITE_IOERR_LOCK
        | ffi::SQLITE_IOERR_RDLOCK
        | ffi::SQLITE_IOERR_UNLOCK
        | ffi::SQLITE_IOERR_CHECKRESERVEDLOCK
        | ffi::SQLITE_IOERR_SHMLOCK => "locked",
        ffi::SQLITE_IOERR_SHMOPEN | ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_SHMMAP => {
            "written (the index of its log, `-shm`)"
        }
        ffi::SQLITE_IOERR_DELETE | ffi::SQLITE_IOERR_CLOSE => "closed",
        ffi::SQLITE_IOERR_ACCESS => "looked at",
        _ => "written",
    }
}

impl BookConnection {
    /// Runs statements that steer the connection.
    pub(crate) fn control(&mut self, statements: &'static str) -> StoreResult<()> {
        self.batch_execute(statements).map_err(|error| self.explain(describe(statements, &error)))
    }

    /// What happened, of an error of the statement that failed last on this connection.
    pub(crate) fn explain(&self, error: StoreError) -> StoreError {
        let StoreError::Backend { operation, source } = error else { return error };
        let message = source.to_string();
        let codes = match (class_of_message(&message), self.failure_codes()) {
            (Some(primary), Some(codes)) if codes.primary() == primary => codes,
            (Some(primary), codes) => FailureCodes { extended: primary, errno: codes.map_or(0, |codes| codes.errno) },
            (None, _) => return StoreError::Backend { operation, source },
        };
        self.of_codes(codes, operation, source)
    }

    /// What codes of this connection stand for.
    pub(super) fn of_codes(&self, codes: FailureCodes, operation: &'static str, source: BackendError) -> StoreError {
        let message = source.to_string();
        let path = self.path().to_owned();
        let errno = if codes.errno == 0 { self.read_errno() } else { codes.errno };
        let system = || io::Error::from_raw_os_error(errno);
        match codes.primary() {
            ffi::SQLITE_FULL => StoreError::DiskFull,
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL => {
                StoreError::Busy { waited_ms: self.busy_timeout_ms() }
            }
            ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => match self.read_errno() {
                0 => StoreError::Damaged { path, source },
                errno => StoreError::Storage { path, doing: "read", source: io::Error::from_raw_os_error(errno) },
            },
            ffi::SQLITE_READONLY => match codes.extended {
                ffi::SQLITE_READONLY_DBMOVED => StoreError::Moved { path },
                ffi::SQLITE_READONLY_DIRECTORY => {
                    let source = io::ErrorKind::PermissionDenied.into();
                    StoreError::Io { path: super::connection::folder_of(&path).to_owned(), source }
                }
                ffi::SQLITE_READONLY if !self.is_opened_read_only() => StoreError::OpenedReadOnly,
                _ => StoreError::ReadOnly { path },
            },
            ffi::SQLITE_CANTOPEN if codes.errno != 0 => StoreError::Io { path, source: system() },
            ffi::SQLITE_IOERR if codes.extended == ffi::SQLITE_IOERR_SHORT_READ => StoreError::Damaged { path, source },
            ffi::SQLITE_IOERR if codes.extended == ffi::SQLITE_IOERR_NOMEM => out_of_memory(path),
            ffi::SQLITE_IOERR if errno != 0 => {
                StoreError::Storage { path, doing: doing(codes.extended), source: system() }
            }
            ffi::SQLITE_IOERR => {
                let source = io::Error::other(format!("{message} ({})", codes.extended));
                StoreError::Storage { path, doing: doing(codes.extended), source }
            }
            ffi::SQLITE_NOMEM => out_of_memory(path),
            ffi::SQLITE_NOLFS => {
                StoreError::Storage { path, doing: "written", source: io::ErrorKind::FileTooLarge.into() }
            }
            ffi::SQLITE_PERM | ffi::SQLITE_AUTH => {
                StoreError::Io { path, source: io::ErrorKind::PermissionDenied.into() }
            }
            _ => StoreError::Backend { operation, source },
        }
    }

    /// As [`explain`](Self::explain), for the first statements on a file that may be anything.
    pub(crate) fn explain_opening(&self, error: StoreError) -> StoreError {
        let is_other = matches!(&error, StoreError::Backend { source, .. } if source.to_string().contains("file is not a database"));
        if is_other { StoreError::NotADatabase { path: self.path().to_owned() } } else { self.explain(error) }
    }
}

fn out_of_memory(path: PathBuf) -> StoreError {
    StoreError::Storage { path, doing: "read or written", source: io::ErrorKind::OutOfMemory.into() }
}
