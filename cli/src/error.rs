//! Errors of commands, and the exit codes they lead to.

use std::fmt;
use std::io;

use exchange_client::{ErrorClass, ExchangeError};
use ledger_core::printable;
use ledger_store::{LookFailure, LookFailureKind, StoreError, StoreErrorClass, UnreadableRow};
use reconciler::ReconcileError;
use reconciler::service::WatchError;
use serde_json::{Map, Value, json};

/// Exit codes. When several apply, the worst wins: 6 > 4 > 5 > 3 > 1 > 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// 0: all is well.
    Fine,
    /// 1: an error, for example rejected rows.
    Error,
    /// 2: the command line is not understood.
    Usage,
    /// 3: confirmed discrepancies.
    Discrepancies,
    /// 4: authentication or permission failed, or it is another account.
    Authentication,
    /// 5: the exchange cannot be reached.
    Unreachable,
    /// 6: the book is corrupt or does not balance.
    Corrupt,
    /// 7: the exchange is to be looked at again: that was not done recently enough, or the last look left something
    /// unsettled; from `status` only.
    Stale,
    /// 130: a signal ended the command before it was done. Nothing is half written.
    Interrupted,
}

impl ExitCode {
    /// The number.
    pub fn as_u8(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Discrepancies => 3,
            Self::Authentication => 4,
            Self::Unreachable => 5,
            Self::Corrupt => 6,
            Self::Stale => 7,
            Self::Interrupted => 130,
        }
    }

    /// What kind of trouble it stands for.
    fn kind(self) -> &'static str {
        match self {
            Self::Fine => "none",
            Self::Error => "error",
            Self::Usage => "usage",
            Self::Discrepancies => "discrepancies",
            Self::Authentication => "wrong_account",
            Self::Unreachable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Stale => "stale",
            Self::Interrupted => "interrupted",
        }
    }

    /// The worse of both.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let severity = |code| match code {
            Self::Fine => 0,
            Self::Stale => 1,
            Self::Error => 2,
            Self::Usage => 3,
            Self::Discrepancies => 4,
            Self::Unreachable => 5,
            Self::Authentication => 6,
            Self::Corrupt => 7,
            Self::Interrupted => 8,
        };
        if severity(other) > severity(self) { other } else { self }
    }
}

/// Why a command ended early: what happened, and what to do about it.
#[derive(Debug)]
pub struct CommandError {
    /// The exit code.
    pub exit_code: ExitCode,
    /// What happened and where; its causes are its sources.
    pub error: Box<dyn std::error::Error + Send + Sync>,
    /// What to do next.
    pub hints: Vec<String>,
    /// Whether the reader of standard output went away, which is no error.
    pub broken_pipe: bool,
}

impl CommandError {
    /// An error with an exit code.
    pub fn new(exit_code: ExitCode, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { exit_code, error: error.into(), hints: Vec::new(), broken_pipe: false }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl CommandError {
    /// The errors behind it, the outermost first.
    fn causes(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        std::iter::successors(self.error.source(), |cause| cause.source())
    }

    /// Why a look ended with this, for the book.
    pub(crate) fn as_look_failure(&self) -> LookFailure {
        let kind = match self.exit_code {
            ExitCode::Authentication => LookFailureKind::Authentication,
            ExitCode::Unreachable => LookFailureKind::Unreachable,
            ExitCode::Corrupt => LookFailureKind::Corrupt,
            ExitCode::Interrupted => LookFailureKind::Interrupted,
            _ => LookFailureKind::Other,
        };
        let outermost = self.error.to_string();
        let reasons: Vec<_> = std::iter::once(outermost).chain(self.causes().map(ToString::to_string)).collect();
        LookFailure { kind, reason: printable(&reasons.join(": ")).into_owned() }
    }

    /// The same for programs: what kind of trouble, where, in whose words, and what to do about it.
    pub(crate) fn as_json(&self) -> Map<String, Value> {
        let outermost: &(dyn std::error::Error + 'static) = &*self.error;
        let all = || std::iter::once(outermost).chain(self.causes());
        let exchange: Option<&ExchangeError> = all().find_map(|error| error.downcast_ref());
        let store: Option<&StoreError> = all().find_map(|error| error.downcast_ref());
        let endpoint = exchange.and_then(ExchangeError::endpoint);
        let kind = match (exchange, store) {
            (Some(error), _) => error.class().as_str(),
            (None, Some(error)) => error.class().as_str(),
            (None, None) => self.exit_code.kind(),
        };
        let object = json!({
            "kind": kind,
            "message": self.error.to_string(),
            "because": self.causes().map(ToString::to_string).collect::<Vec<_>>(),
            "hints": self.hints,
            "symbol": endpoint.and_then(|endpoint| endpoint.symbol.as_ref()).map(ledger_core::Symbol::as_str),
            "method": endpoint.map(|endpoint| endpoint.method.to_string()),
            "path": endpoint.map(|endpoint| endpoint.path),
            "code": exchange.and_then(ExchangeError::code),
            "retry_at": exchange.and_then(ExchangeError::retry_at).map(ledger_core::TimestampMs::as_ms),
            "exit_code": self.exit_code.as_u8(),
        });
        match object {
            Value::Object(object) => object,
            _ => Map::new(),
        }
    }
}

impl fmt::Display for CommandError {
    /// The whole story on a few lines: the error, its causes, the hints. Each of them is one line: a line break in a name
    /// or a message begins none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one_line = |text: &dyn fmt::Display| printable(&text.to_string()).into_owned();
        write!(f, "error: {}", one_line(&self.error))?;
        let causes: Vec<_> = self.causes().collect();
        match causes.as_slice() {
            // A connection fails through many layers, of which the outermost and the system have something to say.
            [first, _, .., last] if last.is::<io::Error>() => {
                write!(f, "\n  because: {}: {}", one_line(first), one_line(last))?;
            }
            causes => {
                for cause in causes {
                    write!(f, "\n  because: {}", one_line(cause))?;
                }
            }
        }
        for hint in &self.hints {
            write!(f, "\n  try: {}", one_line(hint))?;
        }
        Ok(())
    }
}

/// The exit code of a failing book.
fn store_exit_code(error: &StoreError) -> ExitCode {
    match error.class() {
        StoreErrorClass::WrongAccount => ExitCode::Authentication,
        StoreErrorClass::Damaged => ExitCode::Corrupt,
        _ => ExitCode::Error,
    }
}

/// The exit code of an exchange that did not answer what was asked.
fn exchange_exit_code(error: &ExchangeError) -> ExitCode {
    class_exit_code(error.class())
}

/// The exit code of a kind of trouble with an exchange.
pub(crate) fn class_exit_code(class: ErrorClass) -> ExitCode {
    match class {
        ErrorClass::Authentication | ErrorClass::AnotherAccount => ExitCode::Authentication,
        ErrorClass::Unavailable | ErrorClass::Throttled => ExitCode::Unreachable,
        _ => ExitCode::Error,
    }
}

/// The exit code of a look that came to nothing: the one that the command itself ended with.
pub(crate) fn look_exit_code(kind: LookFailureKind) -> ExitCode {
    match kind {
        LookFailureKind::Authentication => ExitCode::Authentication,
        LookFailureKind::Unreachable => ExitCode::Unreachable,
        LookFailureKind::Corrupt => ExitCode::Corrupt,
        LookFailureKind::Interrupted | LookFailureKind::Other => ExitCode::Error,
    }
}

/// What to do about an exchange that did not answer what was asked.
fn exchange_hint(error: &ExchangeError) -> Option<&'static str> {
    match error.class() {
        ErrorClass::Authentication if matches!(error, ExchangeError::Forbidden { .. }) => {
            Some("ask from another place or network: key and secret were not even looked at")
        }
        ErrorClass::Authentication => Some(
            "check key and secret, the key's permission to read futures, and its list of allowed addresses; an \
                 account in portfolio margin mode keeps its futures wallets elsewhere, and is not supported",
        ),
        ErrorClass::Unavailable => Some(
            "check the network, the address (--base-url) and the exchange's status page; the next run goes on where this one ended",
        ),
        ErrorClass::Throttled => {
            Some("wait until then: asking earlier prolongs the ban; other programs on this address count, too")
        }
        ErrorClass::Malformed => {
            Some("check the address (--base-url), and whether something on the way answers in the exchange's place")
        }
        ErrorClass::Clock => Some("set this machine's clock, for example with `timedatectl set-ntp true`"),
        _ => None,
    }
}

impl From<ExchangeError> for CommandError {
    fn from(error: ExchangeError) -> Self {
        let hint = exchange_hint(&error);
        let error = Self::new(exchange_exit_code(&error), error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl From<ReconcileError> for CommandError {
    fn from(error: ReconcileError) -> Self {
        let (exit_code, hint) = match &error {
            ReconcileError::Exchange(source) => (exchange_exit_code(source), exchange_hint(source)),
            ReconcileError::WrongAccount { .. } | ReconcileError::Contradiction { .. } => {
                (ExitCode::Authentication, None)
            }
            ReconcileError::BoundElsewhere { .. } => {
                (ExitCode::Authentication, Some("use the credentials of another account, or name that account"))
            }
            ReconcileError::Store { source, .. } => (store_exit_code(source), store_hint(source)),
            _ => (ExitCode::Error, None),
        };
        let error = Self::new(exit_code, error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl From<WatchError> for CommandError {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Reconcile { source, .. } => source.into(),
            broken @ WatchError::Broken { .. } => Self::new(ExitCode::Error, broken).hint("`fillbook watch` goes on"),
            held @ WatchError::Held { .. } => Self::new(ExitCode::Error, held)
                .hint("end that one first, or `--wait` until it ends")
                .hint("`fillbook status` tells how it stands"),
        }
    }
}

/// What to do about a failing book, by what happened.
fn store_hint(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::UnknownAccount { .. } => {
            return Some("`fillbook init --account NAME` adds an account; `fillbook status` lists those there are");
        }
        StoreError::NotADatabase { .. } | StoreError::ForeignDatabase { .. } => {
            return Some("to read it into a book, `fillbook import FILE`; --db names the book itself");
        }
        StoreError::LogNotReadable { .. } => {
            return Some("copy the book and its `-wal` to a folder that can be written, and open the copy");
        }
        StoreError::CorruptRow { row } => return Some(unreadable_hint(row)),
        _ => {}
    }
    match error.class() {
        StoreErrorClass::NoBook => Some("`fillbook init` creates a book; --db names another one"),
        StoreErrorClass::Busy => {
            Some("repeat the command when the other one is done: what was recorded stays, and nothing is doubled")
        }
        StoreErrorClass::DiskFull => Some(
            "free some space, or raise the quota, and repeat the command: what was recorded stays, and nothing is doubled",
        ),
        StoreErrorClass::FileTooLarge => Some(
            "raise the limit (`ulimit -f`), or move the book to a file system that takes larger files, and repeat the command: \
             what was recorded stays, and nothing is doubled",
        ),
        StoreErrorClass::Device => Some(
            "look after the disk and the system's log (`dmesg`) first, then repeat the command: what was recorded stays, and \
             nothing is doubled; `fillbook verify` proves the book",
        ),
        StoreErrorClass::Denied => {
            Some("run it as the user who owns the book, or let this user read and write the book's file and its folder")
        }
        StoreErrorClass::ReadOnly => {
            Some("make the file and its folder writable, or copy the book to where it can be written")
        }
        StoreErrorClass::NoLocks => {
            Some("keep the book on a local disk: without locks two commands at once would destroy it")
        }
        StoreErrorClass::Resources => Some(
            "end other programs, or raise the limits of memory and open files (`ulimit -n`), and repeat the command",
        ),
        StoreErrorClass::Moved => {
            Some("put the book, or its folder, back to its place, or name it with --db, and repeat the command")
        }
        StoreErrorClass::Changed => Some("repeat the command"),
        StoreErrorClass::TakenOver => Some("one process watches an account; `fillbook status` says which"),
        StoreErrorClass::Damaged => Some("restore the book from a backup, or import the facts into a new one"),
        StoreErrorClass::NotABook
        | StoreErrorClass::OtherVersion
        | StoreErrorClass::WrongAccount
        | StoreErrorClass::Request
        | StoreErrorClass::Other => None,
    }
}

/// What to do about a row that cannot be read.
fn unreadable_hint(row: &UnreadableRow) -> &'static str {
    match row.table {
        "positions" | "round_trips" | "symbol_books" | "pnl_mismatches" => {
            "`fillbook rebuild` recomputes what is derived"
        }
        _ => "restore the book from a backup, or import the facts into a new one",
    }
}

/// Rows that a list had to leave out.
#[derive(Debug)]
struct LeftOut(Vec<UnreadableRow>);

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let words = if count == 1 { "row cannot be read and is" } else { "rows cannot be read and are" };
        write!(f, "{count} {words} not shown")?;
        for (number, row) in self.0.iter().enumerate() {
            write!(f, "{} {row}", if number == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for LeftOut {}

impl CommandError {
    /// What a list had to leave out; `None` if that is nothing.
    pub(crate) fn left_out(mut rows: Vec<UnreadableRow>) -> Option<Self> {
        // What several items rest on was found once for each.
        let mut known = std::collections::BTreeSet::new();
        rows.retain(|row| known.insert((row.table, row.key.clone())));
        let hint = unreadable_hint(rows.first()?);
        Some(Self::new(ExitCode::Corrupt, LeftOut(rows)).hint(hint))
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let hint = store_hint(&error);
        let error = Self::new(store_exit_code(&error), error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        let broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        let exit_code = if broken_pipe { ExitCode::Fine } else { ExitCode::Error };
        Self { broken_pipe, ..Self::new(exit_code, WriteFailed(error)) }
    }
}

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the output could not be written")]
struct WriteFailed(#[source] io::Error);

impl From<ledger_core::MathError> for CommandError {
    fn from(error: ledger_core::MathError) -> Self {
        Self::new(ExitCode::Error, error)
    }
}

impl From<crate::times::TimeArgumentError> for CommandError {
    fn from(error: crate::times::TimeArgumentError) -> Self {
        Self::new(ExitCode::Usage, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_exit_code_wins() {
        use ExitCode::{Authentication, Corrupt, Discrepancies, Error, Fine, Stale, Unreachable};
        let by_severity = [Fine, Stale, Error, Discrepancies, Unreachable, Authentication, Corrupt];
        for (at, code) in by_severity.into_iter().enumerate() {
            for other in &by_severity[..=at] {
                assert_eq!(code.worst(*other), code);
                assert_eq!(other.worst(code), code);
            }
        }
        assert_eq!(by_severity.map(ExitCode::as_u8), [0, 7, 1, 3, 5, 4, 6]);
    }
}
