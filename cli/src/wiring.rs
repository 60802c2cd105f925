//! The one place where concrete parts are put together.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::{BinanceUsdm, RequestSettings};
use exchange_client::simulator::{FaultProfile, Simulator, SimulatorAccount, SimulatorClock, SimulatorConfig, serve};
use exchange_client::{
    Clock, CredentialError, CredentialFileError, Credentials, ExchangeReader, ExchangeTrader, HttpTransport,
    HttpTransportConfig, ManualClock, SystemClock, Transport,
};
use ledger_core::{AccountId, TimestampMs};
use ledger_store::bot_database::BotDatabase;
use ledger_store::{OpenOptions, SqliteStore, Store, StoreError};
use reconciler::Book;

use crate::config::{AccountSettings, CredentialSource, Settings};
use crate::error::{CommandError, ExitCode};

/// The real clock.
pub(crate) fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// How wide a table may be: what `COLUMNS` says, else the terminal's width; `None` when nothing limits it.
#[expect(clippy::disallowed_methods, reason = "the environment is read in this module and nowhere else")]
pub(crate) fn terminal_width(is_terminal: bool) -> Option<u16> {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
    columns.or_else(|| {
        is_terminal.then(|| terminal_size::terminal_size().map_or(80, |(terminal_size::Width(width), _)| width))
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

/// Sends what the parts log to standard error: errors, or more with `-v`. What a command has to say it says itself.
pub(crate) fn init_tracing(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::ERROR,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_target(false).finish();
    // A program that embeds the command line may have set its own.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Opens the book for writing.
pub(crate) fn open(settings: &Settings) -> Result<Arc<dyn Store>, CommandError> {
    Ok(Arc::new(SqliteStore::open(&settings.db, &OpenOptions::default())?))
}

/// Opens the book for reading.
pub(crate) fn open_for_reading(settings: &Settings) -> Result<Arc<dyn Store>, CommandError> {
    Ok(Arc::new(SqliteStore::open(&settings.db, &OpenOptions::reading())?))
}

/// Creates the book where there is none, and opens it for writing.
pub(crate) fn create(settings: &Settings) -> Result<Arc<dyn Store>, CommandError> {
    Ok(Arc::new(SqliteStore::open(&settings.db, &OpenOptions::creating())?))
}

/// A book that is open, as commands and as the reconciler see it.
pub(crate) struct OpenBook {
    /// For commands.
    pub(crate) store: Arc<dyn Store>,
    /// For the reconciler.
    pub(crate) book: Book,
}

/// How a book is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// For reading.
    Read,
    /// For writing.
    Write,
    /// For writing, and made if it is not there.
    Create,
}

/// Opens the book for reconciling.
pub(crate) fn open_book(settings: &Settings, access: Access) -> Result<OpenBook, StoreError> {
    let options = match access {
        Access::Read => OpenOptions::reading(),
        Access::Write => OpenOptions::default(),
        Access::Create => OpenOptions::creating(),
    };
    let store = Arc::new(SqliteStore::open(&settings.db, &options)?);
    Ok(OpenBook { book: Book::of(&store), store })
}

/// Why an account's credentials cannot be used.
#[derive(Debug, thiserror::Error)]
enum CredentialsProblem {
    #[error("there is no API key for account `{account}`: the environment variable {name} is not set")]
    Unset { account: AccountId, name: String },
    #[error("the credentials of account `{account}` cannot be used")]
    Unusable {
        account: AccountId,
        #[source]
        source: CredentialError,
    },
    #[error("the credentials of account `{account}` cannot be read")]
    Unreadable {
        account: AccountId,
        #[source]
        source: CredentialFileError,
    },
    #[error(
        "the credentials of account `{account}` come from systemd, which has handed over none: CREDENTIALS_DIRECTORY is not set"
    )]
    NoSystemd { account: AccountId },
}

/// An account's credentials, from where its settings say.
#[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
fn credentials(account: &AccountSettings) -> Result<Credentials, CommandError> {
    let failed = |problem: CredentialsProblem| CommandError::new(ExitCode::Authentication, problem);
    let unusable = |source| failed(CredentialsProblem::Unusable { account: account.id.clone(), source });
    let unreadable = |source| failed(CredentialsProblem::Unreadable { account: account.id.clone(), source });
    match &account.credentials {
        CredentialSource::Environment { key, secret } => {
            let read = |name: &String| {
                std::env::var(name).ok().filter(|text| !text.is_empty()).ok_or_else(|| {
                    failed(CredentialsProblem::Unset { account: account.id.clone(), name: name.clone() }).hint(format!(
                        "set {key} and {secret}, or name another source under [accounts.{}] in fillbook.toml; a key with \
                         reading rights is enough",
                        account.id
                    ))
                })
            };
            Credentials::new(read(key)?, read(secret)?).map_err(unusable)
        }
        CredentialSource::File(path) => Credentials::from_file(path).map_err(unreadable),
        CredentialSource::Systemd(name) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
            let folder = folder.ok_or_else(|| {
                failed(CredentialsProblem::NoSystemd { account: account.id.clone() })
                    .hint(format!("give the service a line `LoadCredential={name}:/path/to/file`"))
            })?;
            Credentials::from_systemd(Path::new(&folder), name).map_err(unreadable)
        }
    }
}

/// The exchange of an account, as its credentials see it.
pub(crate) fn exchange(
    account: &AccountSettings,
    base_url: &str,
    weight_percent: Option<u16>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn ExchangeReader>, CommandError> {
    let credentials = credentials(account)?;
    let transport = HttpTransport::new(HttpTransportConfig::default()).map_err(failed)?;
    let mut settings = RequestSettings { seed: u64::from(std::process::id()), ..RequestSettings::default() };
    if let Some(percent) = weight_percent {
        settings.budget.own_percent = percent;
        settings.budget.total_percent = settings.budget.total_percent.max(percent);
    }
    Ok(Arc::new(BinanceUsdm::with_settings(Arc::new(transport), clock, base_url, credentials, settings)?))
}

/// The signals that end a command: Ctrl-C and, where there is one, the system's request to terminate.
pub(crate) struct Interruption {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Interruption {
    /// From now on these signals no longer end the process at once.
    pub(crate) fn listen() -> Result<Self, CommandError> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// Waits for a signal.
    pub(crate) async fn wait(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            biased;
            // Where signals cannot be listened for, nobody interrupts.
            Ok(()) = tokio::signal::ctrl_c() => {}
            Some(()) = self.terminate.recv() => {}
            else => std::future::pending().await,
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A copy of the book that goes when this is dropped.
pub(crate) struct ScratchCopy {
    /// The copy.
    pub(crate) store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

/// Copies the book into a folder that goes with the copy.
pub(crate) async fn scratch_copy(store: &dyn Store, settings: &Settings) -> Result<ScratchCopy, CommandError> {
    let folder = tempfile::tempdir()?;
    let copy = Settings { db: folder.path().join("dry-run.db"), ..settings.clone() };
    store.backup(&copy.db).await?;
    Ok(ScratchCopy { store: open(&copy)?, _folder: folder })
}

/// Opens a bot's own database for importing.
pub(crate) fn open_bot_database(path: &Path) -> Result<BotDatabase, StoreError> {
    BotDatabase::open(path)
}

/// An account of the demo: in the book, and at the simulated exchange.
pub(crate) struct DemoAccount {
    /// Its name in the book.
    pub(crate) id: AccountId,
    /// What the exchange calls it.
    pub(crate) alias: String,
    /// The adapter that asks for it.
    pub(crate) reader: Arc<dyn ExchangeReader>,
    /// The adapter that trades for it.
    pub(crate) trader: Arc<dyn ExchangeTrader>,
}

/// The demo's world: a simulated exchange with an account in each position mode, and a book.
pub(crate) struct DemoWorld {
    /// The exchange itself, for stepping its clock, moving its prices, and comparing its books.
    pub(crate) simulator: Arc<Simulator>,
    /// Its clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where it answers.
    pub(crate) base_url: String,
    /// One in one-way mode, one in hedge mode.
    pub(crate) accounts: [DemoAccount; 2],
    /// The book, for commands.
    pub(crate) store: Arc<dyn Store>,
    /// The book, for the reconciler.
    pub(crate) book: Book,
    /// Its file.
    pub(crate) db: PathBuf,
    server: Option<DemoServer>,
}

struct DemoServer {
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl DemoWorld {
    /// Stops the exchange; the book stays.
    pub(crate) async fn stop(self) {
        if let Some(DemoServer { stop, task }) = self.server {
            // Both fail only when the server has stopped already.
            let _ = stop.send(());
            let _ = task.await;
        }
    }
}

/// A simulated exchange that runs by itself.
pub(crate) struct SimulatedExchange {
    /// Where it answers.
    pub(crate) base_url: String,
    /// The published key of its account.
    pub(crate) api_key: String,
    /// The published secret.
    pub(crate) api_secret: String,
    stop: tokio::sync::oneshot::Sender<()>,
    server: tokio::task::JoinHandle<io::Result<()>>,
}

impl SimulatedExchange {
    /// Lets requests under way finish, for a moment, and stops.
    pub(crate) async fn stop(self) -> Result<(), CommandError> {
        const PATIENCE: Duration = Duration::from_secs(2);
        // Fails only when the server has stopped already; then its result says why.
        let _ = self.stop.send(());
        match tokio::time::timeout(PATIENCE, self.server).await {
            // A client that does not finish its request is left alone.
            Err(_elapsed) => Ok(()),
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(failed(error)),
            Ok(Err(error)) => Err(failed(error)),
        }
    }
}

/// Why the simulated exchange does not run.
#[derive(Debug, thiserror::Error)]
#[error("the simulated exchange cannot listen on {listen}")]
struct ListenError {
    listen: SocketAddr,
    #[source]
    source: io::Error,
}

/// Starts a simulated exchange whose prices move with the clock.
pub(crate) async fn simulated_exchange(
    listen: SocketAddr,
    seed: u64,
    faults: FaultProfile,
    clock: Arc<dyn Clock>,
) -> Result<SimulatedExchange, CommandError> {
    let config = SimulatorConfig { tick_ms: 1_000, faults: faults.with_seed(seed), ..SimulatorConfig::new(seed) };
    let account = config.accounts.first().ok_or_else(|| failed("the simulator has no account"))?;
    let (api_key, api_secret) = (account.api_key.clone(), account.api_secret.clone());
    let simulator = Arc::new(Simulator::new(config, SimulatorClock::Live(clock)).map_err(failed)?);
    let bound = tokio::net::TcpListener::bind(listen).await.and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    let (listener, address) = bound.map_err(|source| {
        failed(ListenError { listen, source }).hint("--listen 127.0.0.1:0 takes any free port, and says which")
    })?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(serve(simulator, listener, async {
        let _ = stopped.await;
    }));
    Ok(SimulatedExchange { base_url: format!("http://{address}"), api_key, api_secret, stop, server })
}

/// Why the demo's book cannot be made where it was asked for.
#[derive(Debug, thiserror::Error)]
enum DemoBookError {
    #[error("{} exists already, and the demo makes a book of its own", path.display())]
    Exists { path: PathBuf },
    #[error("the demo's book cannot be made at {}", path.display())]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A file for the demo's book: `wanted`, where there must be none yet, else one in a new folder for temporary files.
fn demo_book(wanted: Option<&Path>) -> Result<PathBuf, CommandError> {
    let Some(path) = wanted.map(Path::to_owned) else {
        let folder = tempfile::Builder::new().prefix("fillbook-demo-").tempdir();
        let folder = folder.map_err(|source| DemoBookError::Create { path: std::env::temp_dir(), source });
        let folder = folder.map_err(|error| {
            CommandError::new(ExitCode::Error, error).hint("`fillbook demo --db PATH` makes it somewhere else")
        })?;
        return Ok(folder.keep().join("demo.db"));
    };
    // Taken for ourselves at once: nobody else's file can come in between.
    match std::fs::File::create_new(&path) {
        Ok(_) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(CommandError::new(ExitCode::Error, DemoBookError::Exists { path }).hint(
                "name a file that does not exist, or leave out --db: then the book is made in a temporary folder",
            ))
        }
        Err(source) => Err(CommandError::new(ExitCode::Error, DemoBookError::Create { path, source })
            .hint("name a file in a folder that exists and can be written")),
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CommandError {
    CommandError::new(ExitCode::Error, error)
}

/// How the demo's adapters reach its exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DemoConnection {
    /// Over HTTP on a free port of this machine, as the real one is reached.
    Http,
    /// By a call: for tests of many seeds.
    #[cfg(test)]
    InProcess,
}

/// Builds the demo's world: the exchange, and a new book in which both accounts are.
pub(crate) async fn demo_world(
    seed: u64,
    begins: TimestampMs,
    db: Option<&Path>,
    connection: DemoConnection,
) -> Result<DemoWorld, CommandError> {
    let db = demo_book(db)?;
    let one_way = SimulatorAccount::standard();
    let hedge = SimulatorAccount { hedge_mode: true, ..SimulatorAccount::named("sim-hedge") };
    // Its clock stands still between two steps of the script, so a limit by the minute would never be lifted.
    let accounts = vec![one_way.clone(), hedge.clone()];
    let config = SimulatorConfig { accounts, weight_1m_max: None, orders_10s_max: None, ..SimulatorConfig::new(seed) };
    let clock = Arc::new(ManualClock::new(begins));
    let simulator = Arc::new(Simulator::new(config, clock.clone()).map_err(failed)?);
    let (transport, base_url, server): (Arc<dyn Transport>, String, Option<DemoServer>) = match connection {
        DemoConnection::Http => {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
            let base_url = format!("http://{}", listener.local_addr().map_err(failed)?);
            let (stop, stopped) = tokio::sync::oneshot::channel();
            let task = tokio::spawn(serve(simulator.clone(), listener, async {
                let _ = stopped.await;
            }));
            let transport = HttpTransport::new(HttpTransportConfig::default()).map_err(failed)?;
            (Arc::new(transport), base_url, Some(DemoServer { stop, task }))
        }
        #[cfg(test)]
        DemoConnection::InProcess => {
            let transport = exchange_client::simulator::SimulatorTransport::new(simulator.clone());
            (Arc::new(transport), "http://127.0.0.1:9".to_owned(), None)
        }
    };
    let account = |id: &str, of: &SimulatorAccount| {
        let credentials = of.credentials().map_err(failed)?;
        let settings = RequestSettings::SIMULATED;
        let adapter = BinanceUsdm::with_settings(transport.clone(), clock.clone(), &base_url, credentials, settings)
            .map_err(failed)?;
        let adapter = Arc::new(adapter);
        let id = AccountId::new(id).map_err(failed)?;
        Ok::<_, CommandError>(DemoAccount { id, alias: of.alias.clone(), reader: adapter.clone(), trader: adapter })
    };
    let accounts = [account("main", &one_way)?, account("hedge", &hedge)?];
    let store = Arc::new(SqliteStore::open(&db, &OpenOptions::creating())?);
    let book = Book::of(&store);
    Ok(DemoWorld { simulator, clock, base_url, accounts, store, book, db, server })
}
