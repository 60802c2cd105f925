//! The one place where concrete parts are put together, and where the environment is read.

mod exchange;
mod interruption;
mod simulated;
pub(crate) mod supervisor;
mod telling;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use exchange_client::{API_KEY_VARIABLE, API_SECRET_VARIABLE, Clock, Credentials, SecretKind, Secrets, SystemClock};
use ledger_core::printable;
use ledger_store::{Book, FirstAccount, OpenOptions, SqliteStore, Store, StoreError};

pub(crate) use self::exchange::{Exchanges, Streams};
pub(crate) use self::interruption::Interruption;
pub(crate) use self::simulated::{DemoAccount, DemoConnection, DemoWorld, demo_world, simulated_exchange};
pub(crate) use self::telling::telling;
use crate::config::{CredentialSource, Settings};
use crate::error::{CommandError, ExitCode};
use crate::input::Input;
use crate::output::{Queue, Screen};

/// The real clock.
pub(crate) fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// How wide a table is where nothing says how wide it may be: a file, a pipe, a mail. Evidence is wrapped there, too.
const WIDTH_ELSEWHERE: u16 = 200;

/// How wide a table may be: what `COLUMNS` says, else the terminal's width, else [`WIDTH_ELSEWHERE`].
#[expect(clippy::disallowed_methods, reason = "the environment is read in this module and nowhere else")]
pub(crate) fn terminal_width(is_terminal: bool) -> u16 {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
    columns.unwrap_or_else(|| {
        if is_terminal {
            terminal_size::terminal_size().map_or(80, |(terminal_size::Width(width), _)| width)
        } else {
            WIDTH_ELSEWHERE
        }
    })
}

/// The reader's time zone by the environment.
#[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
pub(crate) fn zone_variable() -> Option<String> {
    std::env::var("FILLBOOK_TZ").ok()
}

/// What the system calls whoever runs this.
#[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
pub(crate) fn user_name() -> Option<String> {
    ["LOGNAME", "USER"].into_iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.trim().is_empty())
}

/// The runtime that commands run on.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Sends what the parts log to standard error: errors, or more with `-v`. What a command has to say it says itself. Without
/// colours: a log holds words of others, and on its way to the screen no control character is let through. Where a queue waits
/// before standard error, these wait there, too.
pub(crate) fn init_tracing(verbose: u8, secrets: &Secrets, queue: Option<Queue>) {
    let level = match verbose {
        0 => tracing::Level::ERROR,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    let secrets = secrets.clone();
    let queue = queue.map(Mutex::new);
    let log = move || {
        Log(match &queue {
            // Nothing panics while it holds the lock.
            Some(queue) => {
                let beside = queue.lock().unwrap_or_else(PoisonError::into_inner).beside();
                Screen::new(Box::new(beside), secrets.clone())
            }
            None => standard_error(&secrets),
        })
    };
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(log).with_target(false);
    let subscriber = subscriber.with_ansi(false).finish();
    // A program that embeds the command line may have set its own.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Standard error, for lines of the log.
struct Log(Screen);

impl io::Write for Log {
    /// A record comes as a whole and ends with the only line break that is one.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        self.0.line(&printable(text.strip_suffix('\n').unwrap_or(&text)))?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Standard input.
pub(crate) fn standard_input() -> Input {
    Input::new(Box::new(io::stdin()))
}

/// Standard output, through the door.
#[expect(clippy::disallowed_methods, reason = "the stream gets its door here, and is used without it nowhere")]
pub(crate) fn standard_output(secrets: &Secrets) -> Screen {
    Screen::new(Box::new(io::BufWriter::new(io::stdout())), secrets.clone())
}

/// Standard error, through the door.
#[expect(clippy::disallowed_methods, reason = "the stream gets its door here, and is used without it nowhere")]
pub(crate) fn standard_error(secrets: &Secrets) -> Screen {
    Screen::new(Box::new(io::stderr()), secrets.clone())
}

/// Whether standard output and standard error are terminals.
#[expect(clippy::disallowed_methods, reason = "nothing is written to them here")]
pub(crate) fn are_terminals() -> (bool, bool) {
    use io::IsTerminal as _;
    (io::stdout().is_terminal(), io::stderr().is_terminal())
}

/// What must not be repeated, as far as the environment tells before any settings are read.
pub(crate) fn secrets_of_environment() -> Secrets {
    let secrets = Secrets::default();
    learn_variables(&secrets, API_KEY_VARIABLE, API_SECRET_VARIABLE);
    secrets
}

/// Learns what must not be repeated of all accounts and channels: their variables, and what of their files can be read.
#[expect(clippy::disallowed_methods, reason = "the environment is read in this module and nowhere else")]
pub(crate) fn learn_credentials(settings: &Settings, secrets: &Secrets) {
    for account in &settings.accounts {
        let credentials = match &account.credentials {
            CredentialSource::Environment { key, secret } => {
                learn_variables(secrets, key, secret);
                continue;
            }
            CredentialSource::File(path) => Credentials::from_file(path).ok(),
            CredentialSource::Systemd(name) => std::env::var_os("CREDENTIALS_DIRECTORY")
                .and_then(|folder| Credentials::from_systemd(std::path::Path::new(&folder), name).ok()),
        };
        // The command that needs these credentials reports why they cannot be read.
        if let Some(credentials) = credentials {
            let _shared = credentials.known_to(secrets);
        }
    }
    if let Some(config) = &settings.tell {
        telling::learn(config, secrets);
    }
}

#[expect(clippy::disallowed_methods, reason = "the environment is read in this module and nowhere else")]
fn learn_variables(secrets: &Secrets, key: &str, secret: &str) {
    for (kind, name) in [(SecretKind::Key, key), (SecretKind::Secret, secret)] {
        if let Ok(text) = std::env::var(name) {
            secrets.learn(kind, &text);
        }
    }
}

/// Our own variables that hold no secrets, as far as they are set.
#[expect(clippy::disallowed_methods, reason = "the environment is read in this module and nowhere else")]
pub(crate) fn plain_variables() -> Vec<(&'static str, String)> {
    let names = [
        "FILLBOOK_DB",
        "FILLBOOK_CONFIG",
        "FILLBOOK_ACCOUNT",
        "FILLBOOK_BASE_URL",
        "FILLBOOK_TZ",
        "FILLBOOK_WEIGHT_PERCENT",
    ];
    names.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?.to_string_lossy().into_owned()))).collect()
}

/// The same, with what is known of the venues.
pub(crate) fn with_venues(options: OpenOptions) -> OpenOptions {
    let venue = &exchange_client::binance_usdm::VENUE;
    options.with_rules(venue.name, venue.ledger_rules)
}

/// Opens the book for writing.
pub(crate) fn open(settings: &Settings) -> Result<Book, CommandError> {
    Ok(Arc::new(SqliteStore::open(&settings.db, &with_venues(OpenOptions::default()))?))
}

/// Opens the book for reading, as it is now: nothing that is written meanwhile is in what the command reads.
pub(crate) async fn open_for_reading(settings: &Settings) -> Result<Book, CommandError> {
    Ok(open_book(settings, Access::Read).await?)
}

/// How long a bot's event waits for another process that keeps the book locked. A bot that wants to close a position must not
/// wait for a bookkeeper.
const RECORD_BUSY_MS: u32 = 2_000;

/// How long a watcher waits for another process that keeps the book locked. It tries again anyway, and until it has an answer it
/// can neither tell that nor end.
const WATCH_BUSY_MS: u32 = 2_000;

/// Opens the book for the events of a bot.
pub(crate) fn open_for_recording(settings: &Settings) -> Result<Book, CommandError> {
    let options = OpenOptions { busy_timeout_ms: RECORD_BUSY_MS, ..OpenOptions::default() };
    Ok(Arc::new(SqliteStore::open(&settings.db, &with_venues(options))?))
}

/// Creates the book with this account where there is none, and opens it for writing. Answers whether it was created.
pub(crate) fn create(settings: &Settings, first: FirstAccount) -> Result<(Book, bool), StoreError> {
    let store = SqliteStore::open(&settings.db, &with_venues(OpenOptions::creating_with(first)))?;
    let was_made = store.was_made();
    Ok((Arc::new(store), was_made))
}

/// How a book is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// For reading, as it is now.
    Read,
    /// For writing.
    Write,
    /// For writing again and again, by somebody who goes on when it fails.
    Watch,
}

/// Opens the book for reconciling.
pub(crate) async fn open_book(settings: &Settings, access: Access) -> Result<Book, StoreError> {
    let options = match access {
        Access::Read => OpenOptions::reading(),
        Access::Write => OpenOptions::default(),
        Access::Watch => OpenOptions { busy_timeout_ms: WATCH_BUSY_MS, ..OpenOptions::default() },
    };
    let store = SqliteStore::open(&settings.db, &with_venues(options))?;
    Ok(Arc::new(if access == Access::Read { store.at_this_moment().await? } else { store }))
}

/// A copy of the book that goes when this is dropped.
pub(crate) struct ScratchCopy {
    /// The copy.
    pub(crate) store: Book,
    _folder: tempfile::TempDir,
}

/// Copies the book into a folder that goes with the copy.
pub(crate) async fn scratch_copy(store: &dyn Store, settings: &Settings) -> Result<ScratchCopy, CommandError> {
    let folder = tempfile::tempdir()?;
    let copy = Settings { db: folder.path().join("dry-run.db"), ..settings.clone() };
    store.backup(&copy.db).await?;
    Ok(ScratchCopy { store: open(&copy)?, _folder: folder })
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CommandError {
    CommandError::new(ExitCode::Error, error)
}

/// Who this process is, for people who read it elsewhere: the machine and the process.
pub(crate) fn holder() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let machine = machine.as_deref().map(str::trim).filter(|name| !name.is_empty()).unwrap_or("this machine");
    format!("process {} on {machine}", std::process::id())
}

/// A number that differs between processes.
pub(crate) fn seed() -> u32 {
    std::process::id()
}
