//! A stateful exchange for demos and tests. It speaks Binance USD-M's REST interface, in the same process or over HTTP.
//!
//! What it does so far: several contracts with filters and a seeded price path, market and good-till-cancelled limit
//! orders, fills in parts, fees, one-way and hedge mode, margin, funding, the ledger, page limits, windows, retention,
//! request weights; signatures and timestamps are checked. `engine` is a pure state machine; `books` keeps its own
//! accounts in its own arithmetic, so that it can serve as the oracle for everything else.

mod books;
mod engine;
mod fixed;
mod http;
mod market;
mod order;
mod refusal;
mod request;
mod routes;
mod snapshot;
#[cfg(test)]
mod tests;
mod transport;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;

use self::engine::Engine;
pub use self::http::serve;
pub use self::market::MarketSpec;
use self::refusal::Refusal;
use self::request::{Incoming, Params};
pub use self::snapshot::{AccountSnapshot, BooksSnapshot, IncomeTruth, PositionTruth, TradeTruth};
pub use self::transport::SimulatorTransport;
use crate::clock::{Clock, ManualClock};
use crate::credentials::{CredentialError, Credentials};

/// The published key of the simulator's first account.
pub const TEST_API_KEY: &str = "fillbook-simulator-test-key";
/// The published secret of the simulator's first account. It guards nothing.
pub const TEST_API_SECRET: &str = "fillbook-simulator-test-secret";

/// Why a simulator cannot be made of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SimulatorError {
    /// A contract's numbers.
    #[error("market {symbol}: start price, tick size and step size must be decimals above 0 with at most 8 decimals")]
    Market {
        /// The contract.
        symbol: String,
    },
    /// A deposit's amount.
    #[error("the deposit of {asset} must be a decimal of at least 0 with at most 8 decimals")]
    Deposit {
        /// The asset.
        asset: String,
    },
}

/// An account of the simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatorAccount {
    /// What the exchange calls it.
    pub alias: String,
    /// Its key; for tests, and shown on purpose.
    pub api_key: String,
    /// Its secret; for tests, and shown on purpose.
    pub api_secret: String,
    /// What is in its wallets at first: asset and decimal text.
    pub deposits: Vec<(String, String)>,
    /// Whether it begins in hedge mode.
    pub hedge_mode: bool,
}

impl SimulatorAccount {
    /// The account with the published test key: 100 000 USDT and 50 000 USDC, one-way mode.
    pub fn standard() -> Self {
        Self {
            alias: "sim-main".into(),
            api_key: TEST_API_KEY.into(),
            api_secret: TEST_API_SECRET.into(),
            deposits: vec![("USDT".into(), "100000".into()), ("USDC".into(), "50000".into())],
            hedge_mode: false,
        }
    }

    /// What an adapter needs to act for this account.
    ///
    /// # Errors
    /// [`CredentialError`] when key or secret were set to something that is none.
    pub fn credentials(&self) -> Result<Credentials, CredentialError> {
        Credentials::new(self.api_key.clone(), self.api_secret.clone())
    }
}

/// What a simulator is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatorConfig {
    /// Decides prices, funding rates, partial fills and ids.
    pub seed: u64,
    /// The contracts.
    pub markets: Vec<MarketSpec>,
    /// The accounts.
    pub accounts: Vec<SimulatorAccount>,
    /// How often prices move, in ms.
    pub tick_ms: i64,
    /// How often funding is paid, in ms since 1970.
    pub funding_interval_ms: i64,
    /// The weight of requests allowed in a minute; `None` for no limit.
    pub weight_1m_max: Option<u32>,
}

impl SimulatorConfig {
    /// Standard markets and account: prices move every 5 s, funding is paid every 8 hours.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            markets: MarketSpec::standard(),
            accounts: vec![SimulatorAccount::standard()],
            tick_ms: 5_000,
            funding_interval_ms: 8 * 3_600_000,
            weight_1m_max: Some(2_400),
        }
    }
}

/// Where the simulator's time comes from.
#[derive(Debug, Clone)]
pub enum SimulatorClock {
    /// Stands still until it is stepped.
    Manual(Arc<ManualClock>),
    /// Runs by itself.
    Live(Arc<dyn Clock>),
}

impl From<Arc<ManualClock>> for SimulatorClock {
    fn from(clock: Arc<ManualClock>) -> Self {
        Self::Manual(clock)
    }
}

struct State {
    engine: Engine,
    weight_minute: i64,
    weight_used: u32,
}

/// A stateful exchange.
pub struct Simulator {
    config: SimulatorConfig,
    clock: SimulatorClock,
    state: Mutex<State>,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("seed", &self.config.seed).field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// What the simulator answers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outgoing {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Simulator {
    /// An exchange that begins at the clock's time.
    ///
    /// # Errors
    /// [`SimulatorError`] when a number of the configuration makes no sense.
    pub fn new(config: SimulatorConfig, clock: impl Into<SimulatorClock>) -> Result<Self, SimulatorError> {
        let clock = clock.into();
        let engine = Engine::new(&config, clock_now_ms(&clock))?;
        Ok(Self { config, clock, state: Mutex::new(State { engine, weight_minute: 0, weight_used: 0 }) })
    }

    /// What it was made of.
    pub fn config(&self) -> &SimulatorConfig {
        &self.config
    }

    /// Lets `by` pass on a manual clock. On a live clock time passes by itself: this only catches up with it.
    pub fn step(&self, by: Duration) {
        if let SimulatorClock::Manual(clock) = &self.clock {
            clock.advance(by);
        }
        self.state().engine.advance(clock_now_ms(&self.clock));
    }

    /// What the exchange knows, for comparing.
    pub fn books(&self) -> BooksSnapshot {
        let mut state = self.state();
        state.engine.advance(clock_now_ms(&self.clock));
        snapshot::take(&state.engine, self.config.accounts.iter().map(|account| account.alias.clone()))
    }

    fn handle(&self, incoming: &Incoming<'_>) -> Outgoing {
        let params = Params::read(incoming);
        let mut state = self.state();
        state.engine.advance(clock_now_ms(&self.clock));
        let minute = state.engine.now_ms.div_euclid(60_000);
        if minute != state.weight_minute {
            (state.weight_minute, state.weight_used) = (minute, 0);
        }
        state.weight_used = state.weight_used.saturating_add(routes::weight(incoming, &params));
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-mbx-used-weight-1m", state.weight_used.to_string()),
        ];
        let answered = if self.config.weight_1m_max.is_some_and(|max| state.weight_used > max) {
            let wait_ms = (minute + 1) * 60_000 - state.engine.now_ms;
            headers.push(("retry-after", (wait_ms / 1_000 + 1).to_string()));
            Err(Refusal::too_many_requests())
        } else {
            routes::answer(self, &mut state.engine, incoming, &params)
        };
        match answered {
            Ok(value) => Outgoing { status: 200, headers, body: value.to_string() },
            Err(Refusal { status, code, message }) => {
                Outgoing { status, headers, body: serde_json::json!({ "code": code, "msg": message }).to_string() }
            }
        }
    }

    fn account_of_key(&self, key: &str) -> Option<(usize, &str)> {
        let mut accounts = self.config.accounts.iter().enumerate();
        accounts
            .find(|(_, account)| account.api_key == key)
            .map(|(index, account)| (index, account.api_secret.as_str()))
    }

    fn alias(&self, account: usize) -> &str {
        self.config.accounts.get(account).map_or("", |account| account.alias.as_str())
    }

    /// A panic elsewhere leaves the books as they are; they are plain data.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn clock_now_ms(clock: &SimulatorClock) -> i64 {
    match clock {
        SimulatorClock::Manual(clock) => clock.now(),
        SimulatorClock::Live(clock) => clock.now(),
    }
    .as_ms()
}
