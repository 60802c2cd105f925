//! A file on the disk that can be read more than once: first for what is wrong with it as a whole, then for its rows.

use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;

use super::error::{FileError, Place};
use super::{ImportFile, Options};

/// A file that can be read more than once. What comes through a pipe is copied to an unnamed file first.
#[derive(Debug)]
pub struct ImportSource {
    name: String,
    file: File,
}

impl ImportSource {
    /// Opens a file.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be opened or, through a pipe, not be read.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let name = path.to_string_lossy().into_owned();
        let place = || Place { file: name.as_str().into(), member: None };
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, mut file) = opened.map_err(|source| FileError::Open { place: place(), source })?;
        if metadata.is_dir() {
            return Err(FileError::Directory { place: place() });
        }
        if !metadata.is_file() {
            let copied = tempfile::tempfile().and_then(|mut copy| io::copy(&mut file, &mut copy).map(|_| copy));
            file = copied.map_err(|source| FileError::Read { place: place(), line: 0, source })?;
        }
        Ok(Self { name, file })
    }

    /// Begins to read it from its beginning. One reader at a time: they share the place in the file.
    ///
    /// # Errors
    /// [`FileError`] when it is empty or not recognised, lacks a time zone, or names its owner in a header that is damaged.
    pub fn read(&self, options: Options) -> Result<ImportFile, FileError> {
        let begun = self.file.try_clone().and_then(|mut file| file.rewind().map(|()| file));
        let place = || Place { file: self.name.as_str().into(), member: None };
        let file = begun.map_err(|source| FileError::Open { place: place(), source })?;
        ImportFile::from_reader(&self.name, file, options)
    }
}
