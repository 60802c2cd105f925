//! A file beside the book, by which others see that a look is going on, or was stopped before its end.
//!
//! While a process looks it holds a lock on the file; the system takes the lock away when the process dies, however it
//! dies. So a file that is locked is a look in progress, and one that is not is a look that was interrupted. A look that
//! comes to its end, well or not, removes the file.
//!
//! A table could not tell the two apart: a process that was killed writes nothing more.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ledger_core::{AccountId, TimestampMs};

use crate::beside;
use crate::error::StoreError;
use crate::look::OpenLook;
use crate::store::StoreResult;

/// How often the file is opened again because whoever had it removed it in between.
const ATTEMPTS_MAX: usize = 16;

/// A look in progress. Dropping it without [`finish`](Self::finish) leaves it interrupted.
#[derive(Debug)]
#[must_use = "a look that is not finished counts as interrupted"]
pub struct LookHold {
    held: Option<(PathBuf, File)>,
}

impl LookHold {
    /// One that nobody sees: for a book without a file.
    pub fn unseen() -> Self {
        Self { held: None }
    }

    /// The look has come to its end: nothing of it is left beside the book.
    pub fn finish(self) {
        if let Some((path, file)) = self.held {
            // What cannot be removed is a look that seems interrupted until the next one ends: told, and no harm.
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "{} cannot be removed", path.display());
            }
            // The lock is given back behind that, so that nobody sees the file unlocked.
            drop(file);
        }
    }
}

/// The file of an account: the book's name with the account's behind it, which has no character that disturbs a path.
fn path_of(book: &Path, account: &AccountId) -> PathBuf {
    beside::path(book, &format!("-look-{account}"))
}

/// Shows others that a look has begun. Where another process looks at the same account already, or the file system knows
/// no locks, nothing is shown.
pub(crate) fn hold(book: Option<&Path>, account: &AccountId, began_local: TimestampMs) -> StoreResult<LookHold> {
    let Some(book) = book else { return Ok(LookHold::unseen()) };
    let path = path_of(book, account);
    match take(book, &path, began_local) {
        Ok(held) => Ok(LookHold { held: held.map(|file| (path, file)) }),
        Err(source) => Err(StoreError::Io { path, source }),
    }
}

fn take(book: &Path, path: &Path, began_local: TimestampMs) -> io::Result<Option<File>> {
    for _ in 0..ATTEMPTS_MAX {
        let Some(mut file) = beside::open(book, path)? else { return Ok(None) };
        match file.try_lock() {
            Ok(()) => {}
            // Somebody who only wants to know takes it for a moment, too, but shared.
            Err(TryLockError::WouldBlock) if file.try_lock_shared().is_ok() => continue,
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                std::fs::remove_file(path)?;
                return Ok(None);
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever had it may have removed it between the two steps: then the lock is on a file that nobody sees.
        if beside::is_still_there(path, &file)? {
            file.set_len(0)?;
            writeln!(file, "{began_local}")?;
            file.flush()?;
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// The look that has not come to its end, if there is one. Changes nothing.
pub(crate) fn open_look(book: Option<&Path>, account: &AccountId) -> StoreResult<Option<OpenLook>> {
    let Some(book) = book else { return Ok(None) };
    let path = path_of(book, account);
    look_at(&path).map_err(|source| StoreError::Io { path, source })
}

fn look_at(path: &Path) -> io::Result<Option<OpenLook>> {
    for _ in 0..ATTEMPTS_MAX {
        let mut file = match File::open(path) {
            Ok(file) => file,
            // Where the sign cannot be read, it is told as none: a look that nobody sees hides nothing of the book.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // Shared, so that two readers do not take each other for a look.
        let is_running = match file.try_lock_shared() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        if !beside::is_still_there(path, &file)? {
            continue;
        }
        let mut text = String::new();
        // The system may not let a locked file be read.
        let read = file.read_to_string(&mut text);
        if !is_running && read? == 0 {
            return Ok(None);
        }
        let began_local = text.trim().parse().ok().and_then(|ms| TimestampMs::new(ms).ok());
        return Ok(Some(OpenLook { began_local, is_running }));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> AccountId {
        AccountId::new(name).unwrap()
    }

    fn at(ms: i64) -> TimestampMs {
        TimestampMs::new(1_780_000_000_000 + ms).unwrap()
    }

    #[test]
    fn a_look_is_seen_while_it_goes_on_and_after_it_was_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let book = folder.path().join("book.db");
        let (main, other) = (account("main"), account("sub-1.b"));
        assert_eq!(open_look(Some(&book), &main).unwrap(), None);
        let look = hold(Some(&book), &main, at(1)).unwrap();
        let running = OpenLook { began_local: Some(at(1)), is_running: true };
        assert_eq!(open_look(Some(&book), &main).unwrap(), Some(running));
        assert_eq!(open_look(Some(&book), &main).unwrap(), Some(running), "reading takes nothing away");
        assert_eq!(open_look(Some(&book), &other).unwrap(), None);
        // Another one beside it shows nothing, and takes nothing away when it ends.
        hold(Some(&book), &main, at(2)).unwrap().finish();
        assert_eq!(open_look(Some(&book), &main).unwrap(), Some(running));
        drop(look);
        let stopped = OpenLook { began_local: Some(at(1)), is_running: false };
        assert_eq!(open_look(Some(&book), &main).unwrap(), Some(stopped));
        // The next one takes its place.
        let next = hold(Some(&book), &main, at(3)).unwrap();
        let elsewhere = hold(Some(&book), &other, at(4)).unwrap();
        assert_eq!(
            open_look(Some(&book), &main).unwrap(),
            Some(OpenLook { began_local: Some(at(3)), is_running: true })
        );
        next.finish();
        elsewhere.finish();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
        assert_eq!(open_look(None, &main).unwrap(), None);
        hold(None, &main, at(5)).unwrap().finish();
    }

    /// Whatever stands in the file: a look that was stopped does not become one that never was.
    #[test]
    fn a_file_without_a_time_is_a_look_that_was_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let book = folder.path().join("book.db");
        std::fs::write(path_of(&book, &account("main")), "17").unwrap();
        let open = open_look(Some(&book), &account("main")).unwrap().unwrap();
        assert_eq!(open, OpenLook { began_local: None, is_running: false });
        // Made, and not yet locked.
        std::fs::write(path_of(&book, &account("main")), "").unwrap();
        assert_eq!(open_look(Some(&book), &account("main")).unwrap(), None);
    }

    #[test]
    fn looks_that_begin_and_end_at_once_never_seem_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let book = folder.path().join("book.db");
        let main = account("main");
        std::thread::scope(|scope| {
            let looking: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        for round in 0..200 {
                            hold(Some(&book), &main, at(round)).unwrap().finish();
                        }
                    })
                })
                .collect();
            while looking.iter().any(|thread| !thread.is_finished()) {
                let open = open_look(Some(&book), &main).unwrap();
                assert!(open.is_none_or(|open| open.is_running), "{open:?}");
            }
        });
        assert_eq!(open_look(Some(&book), &main).unwrap(), None);
    }
}
