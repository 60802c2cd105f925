//! Files that nobody but their owner may read.

use std::fs::OpenOptions;
use std::path::Path;

use crate::error::StoreError;
use crate::store::StoreResult;

/// Makes an empty file that its owner alone can read and write, whatever the process's mask says. SQLite gives the files
/// beside a book the mode of the book.
///
/// # Errors
/// [`StoreError::Io`], also where there is a file already.
pub(super) fn create_new(path: &Path) -> StoreResult<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = options.open(path).and_then(|file| {
        // A mask may have taken away the owner's own permissions.
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        drop(file);
        Ok(())
    });
    made.map_err(|source| StoreError::Io { path: path.to_owned(), source })
}
