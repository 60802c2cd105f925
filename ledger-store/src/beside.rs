//! Files beside the book that are not its data. They belong to whom the book belongs, whoever makes them: a file of another
//! user's, left behind, would lock the owner out of the book.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The file of this name beside the book.
pub(crate) fn path(book: &Path, suffix: &str) -> PathBuf {
    let mut name = book.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens a file beside the book, and makes it where it is missing. One that another user has left behind, and that nobody
/// holds, is replaced; `None` where it is held, or cannot be replaced.
pub(crate) fn open(book: &Path, path: &Path) -> io::Result<Option<File>> {
    let attempt = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = match attempt() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && path.exists() => {
            let is_held = File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
            if is_held || std::fs::remove_file(path).is_err() {
                return Ok(None);
            }
            attempt()?
        }
        opened => opened?,
    };
    belong_to(book, path);
    Ok(Some(file))
}

/// Gives a file the owner, the group and the mode of the book, as far as this user may.
#[cfg(unix)]
pub(crate) fn belong_to(book: &Path, path: &Path) {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    let (Ok(book), Ok(file)) = (std::fs::metadata(book), std::fs::symlink_metadata(path)) else { return };
    if !file.is_file() || file.uid() != user() {
        return;
    }
    // Only the superuser may give files away. Others may share theirs with a group of theirs.
    if file.uid() != book.uid() {
        let _ = chown(path, Some(book.uid()), Some(book.gid()));
    }
    if file.gid() != book.gid() {
        let _ = chown(path, None, Some(book.gid()));
    }
    let mode = book.permissions().mode() & 0o666;
    if file.permissions().mode() & 0o777 != mode {
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    }
}

#[cfg(not(unix))]
pub(crate) fn belong_to(_book: &Path, _path: &Path) {}

/// Whether files that this user makes beside the book would be in its owner's way. Those of the superuser are not: they are
/// given to the owner.
#[cfg(unix)]
pub(crate) fn is_guest(book: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(book).is_ok_and(|book| user() != 0 && book.uid() != user())
}

#[cfg(not(unix))]
pub(crate) fn is_guest(_book: &Path) -> bool {
    false
}

#[cfg(unix)]
fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether the path still names the file.
#[cfg(unix)]
pub(crate) fn is_still_there(path: &Path, file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let opened = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
pub(crate) fn is_still_there(path: &Path, _file: &File) -> io::Result<bool> {
    Ok(path.exists())
}

/// What names a file while it is open, whatever its path is by then.
#[cfg(unix)]
pub(crate) fn number_of(file: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

#[cfg(not(unix))]
pub(crate) fn number_of(_file: &std::fs::Metadata) -> u64 {
    1
}

/// What a file looked like, to see whether somebody wrote to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileState {
    len: u64,
    modified: Option<std::time::Duration>,
    log_len: u64,
}

impl FileState {
    /// The book as it is now, with its write-ahead log.
    pub(crate) fn of(book: &Path) -> Option<Self> {
        let found = std::fs::metadata(book).ok()?;
        let log_len = std::fs::metadata(path(book, "-wal")).map_or(0, |log| log.len());
        Some(Self { len: found.len(), modified: modified(&found), log_len })
    }
}

#[cfg(unix)]
fn modified(file: &std::fs::Metadata) -> Option<std::time::Duration> {
    use std::os::unix::fs::MetadataExt as _;
    Some(std::time::Duration::new(file.mtime().try_into().ok()?, file.mtime_nsec().try_into().ok()?))
}

#[cfg(not(unix))]
fn modified(_file: &std::fs::Metadata) -> Option<std::time::Duration> {
    None
}
