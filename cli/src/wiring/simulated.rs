//! Simulated exchanges: the demo's world, and one that runs alone.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::{BinanceUsdm, RequestSettings, UserStreamSettings};
use exchange_client::simulator::{Simulator, SimulatorAccount, SimulatorClock, SimulatorConfig, serve};
use exchange_client::{
    Clock, ExchangeReader, ExchangeTrader, HttpTransport, HttpTransportConfig, ManualClock, StreamTransport, Transport,
    UserStreams, WebSocketTransport, WebSocketTransportConfig,
};
use ledger_core::{AccountId, TimestampMs};
use ledger_store::{Book, OpenOptions, SqliteStore};

use super::failed;
use crate::error::{CommandError, ExitCode};

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
    /// What the exchange tells of it without being asked.
    pub(crate) streams: Arc<dyn UserStreams>,
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
    /// The book.
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
    /// Where it tells, without a path.
    pub(crate) stream_url: String,
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
    config: SimulatorConfig,
    clock: Arc<dyn Clock>,
) -> Result<SimulatedExchange, CommandError> {
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
    let (base_url, stream_url) = (format!("http://{address}"), format!("ws://{address}"));
    Ok(SimulatedExchange { base_url, api_key, api_secret, stream_url, stop, server })
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
    let (transport, listening, base_url, server): (
        Arc<dyn Transport>,
        Arc<dyn StreamTransport>,
        String,
        Option<DemoServer>,
    ) = match connection {
        DemoConnection::Http => {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
            let base_url = format!("http://{}", listener.local_addr().map_err(failed)?);
            let (stop, stopped) = tokio::sync::oneshot::channel();
            let task = tokio::spawn(serve(simulator.clone(), listener, async {
                let _ = stopped.await;
            }));
            let transport = HttpTransport::new(HttpTransportConfig::default()).map_err(failed)?;
            let listening = WebSocketTransport::new(WebSocketTransportConfig::default()).map_err(failed)?;
            (Arc::new(transport), Arc::new(listening), base_url, Some(DemoServer { stop, task }))
        }
        #[cfg(test)]
        DemoConnection::InProcess => {
            let transport = exchange_client::simulator::SimulatorTransport::new(simulator.clone());
            (Arc::new(transport.clone()), Arc::new(transport), "http://127.0.0.1:9".to_owned(), None)
        }
    };
    let account = |id: &str, of: &SimulatorAccount| {
        let credentials = of.credentials().map_err(failed)?;
        let settings = RequestSettings::SIMULATED;
        let adapter = BinanceUsdm::with_settings(transport.clone(), clock.clone(), &base_url, credentials, settings)
            .map_err(failed)?;
        let streams = adapter.user_streams(listening.clone(), UserStreamSettings::default()).map_err(failed)?;
        let (streams, adapter) = (Arc::new(streams), Arc::new(adapter));
        let (id, alias) = (AccountId::new(id).map_err(failed)?, of.alias.clone());
        Ok::<_, CommandError>(DemoAccount { id, alias, reader: adapter.clone(), trader: adapter, streams })
    };
    let accounts = [account("main", &one_way)?, account("hedge", &hedge)?];
    let book = Arc::new(SqliteStore::open(&db, &super::with_venues(OpenOptions::creating()))?);
    Ok(DemoWorld { simulator, clock, base_url, accounts, book, db, server })
}
