//! A file beside the book, by whose lock others see that the process that watches an account lives.
//!
//! The lease itself stands in the book, with the time until which it counts. The lock adds what no row can say: that its holder
//! died, at once and however it died. A holder that lives and does not move (a stopped process, a machine that slept) keeps the
//! lock; there the time decides.
//!
//! Whoever gives its lease back takes the file away while it still has the lock, and only if the path names that very file. So
//! whoever gets the lock of a file looks whether the path names it still: if not, nobody would see that lock, and it is taken of the
//! file that lies there now.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use ledger_core::AccountId;

use crate::beside;
use crate::error::StoreError;
use crate::store::StoreResult;

/// How often the file is opened again because whoever had it took it away in between.
const ATTEMPTS_MAX: usize = 16;
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
    for _ in 0..ATTEMPTS_MAX {
        let found = take_at(book, &path).map_err(|source| StoreError::Io { path: path.clone(), source })?;
        if let Some(found) = found {
            return Ok(found);
        }
    }
    Ok(Found::Held)
}

/// The same once: `None` where the file was taken away before its lock was got.
fn take_at(book: &Path, path: &Path) -> io::Result<Option<Found>> {
    let Some(file) = beside::open(book, path)? else { return Ok(Some(Found::Held)) };
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
        Ok(()) => Ok(beside::is_still_there(path, &file)?.then_some(Found::Taken(file))),
        Err(TryLockError::WouldBlock) => Ok(Some(Found::Held)),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(Some(Found::Untold)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Gives the lock back, and leaves nothing of it beside the book.
pub(crate) fn give_back(book: Option<&Path>, account: &AccountId, lock: File) {
    let Some(book) = book else { return };
    let path = path_of(book, account);
    // Another file at its place is another's.
    if beside::is_still_there(&path, &lock).unwrap_or(false)
        && let Err(error) = std::fs::remove_file(&path)
    {
        // It says nothing without a lock on it.
        tracing::debug!(path = %path.display(), %error, "the file of a lease could not be taken away");
    }
    drop(lock);
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

    #[test]
    fn whoever_gives_the_lock_back_takes_its_own_file_away_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let book = folder.path().join("book.db");
        let main = AccountId::new("main").unwrap();
        let path = path_of(&book, &main);
        let taken = || match take(Some(&book), &main).unwrap() {
            Found::Taken(lock) => lock,
            found => panic!("{found:?}"),
        };
        give_back(Some(&book), &main, taken());
        assert!(!path.exists());
        // Another one has the lock of another file by now.
        let first = taken();
        std::fs::remove_file(&path).unwrap();
        let second = taken();
        let number = number_of(&second);
        give_back(Some(&book), &main, first);
        assert_eq!(is_held(Some(&book), &main, number), Some(true));
        // Whoever opened the file before it was taken away has a lock that nobody sees, and takes it of another file.
        let opened = File::open(&path).unwrap();
        give_back(Some(&book), &main, second);
        opened.try_lock().unwrap();
        assert!(!beside::is_still_there(&path, &opened).unwrap());
        assert!(matches!(take(Some(&book), &main).unwrap(), Found::Taken(_)));
    }

    /// Many take it and give it back at once: never do two have it at a time, and in the end nothing lies there.
    #[test]
    fn two_never_have_the_lock_while_files_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let book = folder.path().join("book.db");
        let holders = std::sync::atomic::AtomicUsize::new(0);
        let taken = std::sync::atomic::AtomicUsize::new(0);
        let order = std::sync::atomic::Ordering::SeqCst;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let main = AccountId::new("main").unwrap();
                    for _ in 0..400 {
                        let Found::Taken(lock) = take(Some(&book), &main).unwrap() else { continue };
                        assert_eq!(holders.fetch_add(1, order), 0, "two have it");
                        taken.fetch_add(1, order);
                        std::thread::yield_now();
                        holders.fetch_sub(1, order);
                        give_back(Some(&book), &main, lock);
                    }
                });
            }
        });
        assert!(taken.load(order) > 0);
        assert!(!path_of(&book, &AccountId::new("main").unwrap()).exists());
    }
}
