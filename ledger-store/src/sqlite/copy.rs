//! Copies of a book: all pages as one transaction sees them.

use std::path::{Path, PathBuf};

use super::connection::{Reading, Target};
use super::engine::BookConnection;
use crate::error::BackendError;
use crate::store::StoreResult;

/// What is being done, for the error.
const COPYING: &str = "copy the book";

/// Writes what the transaction of `conn` sees into a new file.
pub(super) fn to_file(conn: &mut BookConnection, path: &Path) -> StoreResult<()> {
    super::private_file::create_new(path)?;
    let target = Target { path: Some(path.to_owned()), busy_timeout_ms: 0, pages_max: None, reading: Reading::Beside };
    let copied = target.connect("rw").and_then(|mut copy| pages(conn, &mut copy));
    if copied.is_err() {
        // Half a copy is of no use to anybody. What cannot be removed is told by the failure that comes first.
        for suffix in ["", "-journal"] {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            let _ = std::fs::remove_file(PathBuf::from(name));
        }
    }
    copied
}

/// What the transaction of `conn` sees, in memory.
pub(super) fn in_memory(conn: &mut BookConnection, target: &Target) -> StoreResult<BookConnection> {
    let mut copy = target.connect("")?;
    pages(conn, &mut copy)?;
    Ok(copy)
}

fn pages(from: &mut BookConnection, to: &mut BookConnection) -> StoreResult<()> {
    from.copy_into(to).map_err(|codes| {
        let source = BackendError::new(format!("not all pages could be copied ({})", codes.extended));
        // SQLite does not tell which of both files failed; the one that cannot be read remembers it.
        let which = if from.read_errno() == 0 { &*to } else { &*from };
        which.of_codes(codes, COPYING, source)
    })
}
