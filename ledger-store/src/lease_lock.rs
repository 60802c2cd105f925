//! A file beside the book, by whose lock others see that the process that watches an account lives.
//!
//! The lease itself stands in the book, with the time until which it counts. The lock adds what no row can say: that its holder
//! died, at once and however it died. A holder that lives and does not move (a stopped process, a machine that slept) keeps the
//! lock; there the time decides.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use ledger_core::AccountId;

use crate::beside;
use crate::error::StoreError;
use crate::store::StoreResult;

/// How often a lock is tried for that somebody may have who only asks whether its holder lives.
const MOMENTS: u32 = 200;

/// What the file says.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nobody has the lock: now we do.
    Taken(File),
    /// A process that lives has it.
    Held,
    /// There is no file, or no locks: nothing is known.
    Untold,
}

fn path_of(book: &Path, account: &AccountId) -> PathBuf {
    beside::path(book, &format!("-watch-{account}"))
}

/// Takes the lock, if nobody has it.
pub(crate) fn take(book: Option<&Path>, account: &AccountId) -> StoreResult<Found> {
    let Some(book) = book else { return Ok(Found::Untold) };
    let path = path_of(book, account);
    let found = beside::open(book, &path).and_then(|file| {
        let Some(file) = file else { return Ok(Found::Held) };
        // Whoever only asks has it for a moment.
        let mut locked = file.try_lock();
        for _ in 0..MOMENTS {
            if !matches!(locked, Err(TryLockError::WouldBlock)) {
                break;
            }
            std::thread::yield_now();
            locked = file.try_lock();
        }
        match locked {
            Ok(()) => Ok(Found::Taken(file)),
            Err(TryLockError::WouldBlock) => Ok(Found::Held),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(Found::Untold),
            Err(TryLockError::Error(error)) => Err(error),
        }
    });
    found.map_err(|source| StoreError::Io { path, source })
}

/// What names the file of a lock, as a row can keep it.
pub(crate) fn number_of(lock: &File) -> Option<i64> {
    i64::try_from(beside::number_of(&lock.metadata().ok()?)).ok()
}

/// Whether a process that lives has the lock of the file with this number; `None` where that cannot be told: another file may lie
/// at its place by now. Changes nothing.
pub(crate) fn is_held(book: Option<&Path>, account: &AccountId, lock_file: Option<i64>) -> Option<bool> {
    let file = File::open(path_of(book?, account)).ok()?;
    number_of(&file).filter(|number| lock_file == Some(*number))?;
    match file.try_lock_shared() {
        Ok(()) => Some(false),
        Err(TryLockError::WouldBlock) => Some(true),
        Err(TryLockError::Error(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_one_holders_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let book = folder.path().join("book.db");
        let (main, other) = (AccountId::new("main").unwrap(), AccountId::new("other").unwrap());
        let is_held = |number| is_held(Some(&book), &main, number);
        assert_eq!(is_held(Some(1)), None, "there is no file");
        let Found::Taken(held) = take(Some(&book), &main).unwrap() else { panic!("nobody has it") };
        let number = number_of(&held);
        assert!(matches!(take(Some(&book), &main).unwrap(), Found::Held));
        assert_eq!(is_held(number), Some(true));
        assert_eq!(is_held(number), Some(true), "asking takes nothing away");
        assert_eq!(is_held(None), None, "whoever has no lock is not seen");
        assert!(matches!(take(Some(&book), &other).unwrap(), Found::Taken(_)), "another account is another lock");
        // Another file in its place says nothing of the holder of this one.
        std::fs::remove_file(path_of(&book, &main)).unwrap();
        let Found::Taken(another) = take(Some(&book), &main).unwrap() else { panic!("nobody has the new one") };
        assert_eq!((is_held(number), is_held(number_of(&another))), (None, Some(true)));
        drop((held, another));
        let Found::Taken(again) = take(Some(&book), &main).unwrap() else { panic!("nobody has it any more") };
        let number = number_of(&again);
        drop(again);
        assert_eq!(is_held(number), Some(false));
        assert!(matches!(take(None, &main).unwrap(), Found::Untold));
    }
}
