//! The database engine's errors, told apart by what a user can do about them.

use std::path::PathBuf;

use diesel::result::{ConnectionError, Error};

use crate::error::{BackendError, StoreError};

/// Diesel hands on SQLite's messages but not its result codes; these messages are SQLite's own fixed ones.
const FULL: &str = "database or disk is full";
const LOCKED: [&str; 2] = ["database is locked", "database table is locked"];
const READ_ONLY: &str = "attempt to write a readonly database";
const MALFORMED: [&str; 2] = ["database disk image is malformed", "disk I/O error"];
const NOT_A_DATABASE: &str = "file is not a database";

fn message_of(error: &Error) -> String {
    match error {
        Error::DatabaseError(_, information) => information.message().to_owned(),
        other => other.to_string(),
    }
}

/// What went wrong with a statement of `operation`.
pub(super) fn describe(operation: &'static str, error: &Error) -> StoreError {
    let message = message_of(error);
    if message.contains(FULL) {
        StoreError::DiskFull
    } else if LOCKED.iter().any(|text| message.contains(text)) {
        StoreError::Busy
    } else if message.contains(READ_ONLY) {
        StoreError::OpenedReadOnly
    } else if MALFORMED.iter().any(|text| message.contains(text)) {
        StoreError::Damaged { source: BackendError::new(message) }
    } else {
        StoreError::Backend { operation, source: BackendError::new(message) }
    }
}

/// As [`describe`], for `map_err`.
pub(super) fn failed(operation: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| describe(operation, &error)
}

/// What went wrong with opening `path`.
pub(super) fn not_opened(path: PathBuf, error: &ConnectionError) -> StoreError {
    let message = error.to_string();
    if message.contains("unable to open database file") && !path.exists() {
        return StoreError::Missing { path };
    }
    StoreError::Backend { operation: "open", source: BackendError::new(message) }
}

/// As [`failed`], for the first statements on a file that may be anything.
pub(super) fn not_a_book(path: PathBuf) -> impl Fn(Error) -> StoreError {
    move |error| {
        let message = message_of(&error);
        if message.contains(NOT_A_DATABASE) {
            StoreError::NotADatabase { path: path.clone() }
        } else if message.contains(READ_ONLY) || message.contains("unable to open database file") {
            StoreError::ReadOnly { path: path.clone() }
        } else {
            failed("open")(error)
        }
    }
}
