//! What kind of trouble an error of the book is: exit codes and advice follow it.

use std::io;

use crate::error::StoreError;

/// What happened, by what a user can do about it. The README has the table of causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoreErrorClass {
    /// There is no book at the path.
    NoBook,
    /// The path is something else than a book.
    NotABook,
    /// The book, or the linked SQLite, is of another version.
    OtherVersion,
    /// Other processes kept the book locked for longer than it was waited for.
    Busy,
    /// No room is left on the disk, or of the user's quota.
    DiskFull,
    /// The file would grow beyond what the system, or a limit set for this process, allows.
    FileTooLarge,
    /// The disk, or what connects it, failed.
    Device,
    /// The user may not do that with the file or its folder.
    Denied,
    /// The file, its folder or its file system is read-only.
    ReadOnly,
    /// The file system knows no locks, or its server does not answer for them.
    NoLocks,
    /// Memory or file handles have run out.
    Resources,
    /// The file, or a file beside it, is not where it was.
    Moved,
    /// The book has moved on from the state that was being read.
    Changed,
    /// What the file holds is not what was written to it.
    Damaged,
    /// It is of another account at the exchange.
    WrongAccount,
    /// Another process has taken over what this one was doing.
    TakenOver,
    /// What was asked for does not fit the book.
    Request,
    /// None of the others.
    Other,
}

ledger_core::names!(StoreErrorClass, "class of error", {
    NoBook = "no_book", NotABook = "not_a_book", OtherVersion = "other_version", Busy = "busy", DiskFull = "disk_full",
    FileTooLarge = "file_too_large", Device = "device", Denied = "denied", ReadOnly = "read_only", NoLocks = "no_locks",
    Resources = "resources", Moved = "moved", Changed = "changed", Damaged = "corrupt", WrongAccount = "wrong_account",
    TakenOver = "taken_over",     Request = "request", Other = "error",
});

impl StoreError {
    /// What kind of trouble it is.
    pub fn class(&self) -> StoreErrorClass {
        match self {
            Self::Missing { .. } => StoreErrorClass::NoBook,
            Self::IsDirectory { .. }
            | Self::NotADatabase { .. }
            | Self::ForeignDatabase { .. }
            | Self::NotABotDatabase { .. }
            | Self::NotAnOrdinaryTable { .. } => StoreErrorClass::NotABook,
            Self::NewerSchema { .. } | Self::OlderSchema { .. } | Self::SqliteTooOld { .. } => {
                StoreErrorClass::OtherVersion
            }
            Self::Busy { .. } => StoreErrorClass::Busy,
            Self::DiskFull => StoreErrorClass::DiskFull,
            Self::ReadOnly { .. } | Self::LogNotReadable { .. } => StoreErrorClass::ReadOnly,
            Self::Moved { .. } => StoreErrorClass::Moved,
            Self::ChangedWhileRead { .. } | Self::MomentGivenUp => StoreErrorClass::Changed,
            Self::Damaged { .. } | Self::CorruptRow { .. } => StoreErrorClass::Damaged,
            Self::WrongAccount { .. } => StoreErrorClass::WrongAccount,
            Self::LeaseLost { .. } => StoreErrorClass::TakenOver,
            Self::Storage { source, .. } | Self::Io { source, .. } => class_of(source),
            Self::UnknownAccount { .. }
            | Self::AccountExists { .. }
            | Self::UnknownRun { .. }
            | Self::UnknownDiscrepancy { .. }
            | Self::DiscrepancyResolved { .. }
            | Self::RepairWithoutRun
            | Self::UnprovableStream { .. }
            | Self::BadCursor { .. }
            | Self::OpenedReadOnly => StoreErrorClass::Request,
            Self::Closed | Self::Backend { .. } => StoreErrorClass::Other,
        }
    }
}

/// What the standard library has no name for, by Linux's numbers: the device failed, is not there, or has no medium; an
/// error of a remote device.
const DEVICE: [i32; 4] = [5, 6, 121, 123];
/// Too many open files, of this process and of all.
const TOO_MANY_OPEN: [i32; 2] = [24, 23];
/// No locks: Linux's number and the BSDs'.
const NO_LOCKS: [i32; 2] = [37, 77];

fn class_of(error: &io::Error) -> StoreErrorClass {
    match error.kind() {
        io::ErrorKind::PermissionDenied => StoreErrorClass::Denied,
        io::ErrorKind::ReadOnlyFilesystem => StoreErrorClass::ReadOnly,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorClass::DiskFull,
        io::ErrorKind::FileTooLarge => StoreErrorClass::FileTooLarge,
        io::ErrorKind::OutOfMemory => StoreErrorClass::Resources,
        io::ErrorKind::Unsupported => StoreErrorClass::NoLocks,
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => StoreErrorClass::Device,
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::StaleNetworkFileHandle => {
            StoreErrorClass::Moved
        }
        io::ErrorKind::AlreadyExists | io::ErrorKind::InvalidInput => StoreErrorClass::Request,
        _ => match error.raw_os_error() {
            Some(number) if DEVICE.contains(&number) => StoreErrorClass::Device,
            Some(number) if TOO_MANY_OPEN.contains(&number) => StoreErrorClass::Resources,
            Some(number) if NO_LOCKS.contains(&number) => StoreErrorClass::NoLocks,
            _ => StoreErrorClass::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the numbers that the kernel gives, as they come out of SQLite.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_systems_numbers_have_their_classes() {
        for (numbers, class) in [
            (&[5, 6, 110, 113, 121, 123][..], StoreErrorClass::Device),
            (&[27], StoreErrorClass::FileTooLarge),
            (&[28, 122], StoreErrorClass::DiskFull),
            (&[1, 13], StoreErrorClass::Denied),
            (&[30], StoreErrorClass::ReadOnly),
            (&[12, 23, 24], StoreErrorClass::Resources),
            (&[37, 95], StoreErrorClass::NoLocks),
            (&[2, 20, 116], StoreErrorClass::Moved),
            (&[40, 4_000], StoreErrorClass::Other),
        ] {
            for number in numbers {
                let error = StoreError::Storage {
                    path: "book.db".into(),
                    doing: "written",
                    source: io::Error::from_raw_os_error(*number),
                };
                assert_eq!(error.class(), class, "{number}");
            }
        }
    }
}
