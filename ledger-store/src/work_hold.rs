//! A file beside the book, by which readers see that a command is at work that has left symbols out of date for later.
//!
//! An import and a rebuild recompute what follows from the facts in transactions of their own, behind those that changed the
//! facts. What is out of date in between is no fault; behind a command that was interrupted it is. While a command is at
//! work it holds a lock on the file, which it shares with others that are; the system takes the lock away when its process
//! dies, however it dies.
//!
//! It is a sign and no more: where it cannot be given, nothing fails, and what is out of date looks interrupted.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::beside;

/// How often the file is opened again because somebody removed or asked about it in between.
const ATTEMPTS_MAX: usize = 64;

/// A command at work. Dropping it, as the end of the process does, says that it is at work no longer.
#[derive(Debug)]
pub(crate) struct WorkHold {
    path: PathBuf,
    file: File,
}

fn path_of(book: &Path) -> PathBuf {
    beside::path(book, "-work")
}

/// Shows that a command is at work; `None` where that cannot be shown.
pub(crate) fn hold(book: &Path) -> Option<WorkHold> {
    let path = path_of(book);
    match take(book, &path) {
        Ok(file) => file.map(|file| WorkHold { path, file }),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "{} cannot be used", path.display());
            None
        }
    }
}

fn take(book: &Path, path: &Path) -> io::Result<Option<File>> {
    for _ in 0..ATTEMPTS_MAX {
        let Some(file) = beside::open(book, path)? else { return Ok(None) };
        // Whoever asks or removes has it for a moment only.
        file.lock_shared()?;
        if beside::is_still_there(path, &file)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

impl Drop for WorkHold {
    fn drop(&mut self) {
        // The last one takes the file away. The lock is given back behind that, so that nobody takes it for abandoned.
        if self.file.try_lock().is_ok() && beside::is_still_there(&self.path, &self.file).unwrap_or(false) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether a command is at work. Changes nothing.
pub(crate) fn is_held(book: &Path) -> bool {
    let path = path_of(book);
    for _ in 0..ATTEMPTS_MAX {
        let Ok(file) = File::open(&path) else { return false };
        if file.try_lock().is_ok() {
            // Nobody is at work, unless the file was another one before.
            if beside::is_still_there(&path, &file).unwrap_or(true) {
                return false;
            }
        } else if file.try_lock_shared().is_ok() {
            return true;
        }
        std::thread::yield_now();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen_for_as_long_as_anybody_is_at_it() {
        let folder = tempfile::tempdir().unwrap();
        let book = folder.path().join("book.db");
        std::fs::write(&book, "").unwrap();
        assert!(!is_held(&book));
        let first = hold(&book).unwrap();
        let second = hold(&book).unwrap();
        assert!(is_held(&book) && is_held(&book));
        drop(first);
        assert!(is_held(&book));
        drop(second);
        assert!(!is_held(&book));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the book");
        // What a killed process leaves is no sign, and the next one takes its place.
        std::fs::write(path_of(&book), "").unwrap();
        assert!(!is_held(&book));
        drop(hold(&book).unwrap());
        assert!(!path_of(&book).exists());
    }

    #[test]
    fn work_that_begins_and_ends_at_once_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let book = folder.path().join("book.db");
        std::fs::write(&book, "").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let held = hold(&book).unwrap();
                        assert!(is_held(&book));
                        drop(held);
                    }
                });
            }
        });
        assert!(!is_held(&book) && !path_of(&book).exists());
    }
}
