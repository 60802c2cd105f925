#![doc = include_str!("README.md")]
//!
//! ## Where is what
//!
//! `engine` is a pure state machine, `placing`, `amending`, `reducing`, `matching`, `triggering` and `forced` say what becomes of orders,
//! `books` keeps the accounts, `routes` speaks, `events` tells accounts and `feed` everybody what `stream` passes on, `reply` and
//! `faults` stand between, `control` is for the owner.

mod amending;
mod books;
mod candles;
mod conditional;
mod control;
mod engine;
mod events;
mod faults;
mod feed;
mod fixed;
mod forced;
mod http;
mod limits;
mod margin;
mod market;
mod matching;
mod order;
mod placing;
mod position;
mod reducing;
mod refusal;
mod reply;
mod request;
mod routes;
mod settings;
mod snapshot;
mod stream;
#[cfg(test)]
mod tests;
mod transport;
mod triggering;
mod websocket;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;

pub use self::control::{AppOrder, ControlError};
use self::engine::Engine;
pub use self::faults::{FaultProfile, StreamFaults, UnknownFaultProfile};
pub use self::http::serve;
use self::limits::Limits;
pub use self::market::MarketSpec;
pub use self::snapshot::{
    AccountSnapshot, BooksSnapshot, ConditionalTruth, ContractSettings, IncomeTruth, MarginTruth, OrderTruth,
    PositionTruth, TradeTruth,
};
use self::stream::Streams;
pub use self::stream::{SimulatorStream, StreamMessage, StreamRefused};
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
    #[error(
        "market {symbol}: start price, tick size and step size must be decimals above 0, the liquidation fee one from 0 to 1, with at most 8 decimals"
    )]
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
    /// An account's fees.
    #[error("the fees of account {alias} must be decimals between -0.1 and 0.1 with at most 8 decimals")]
    Fee {
        /// The account.
        alias: String,
    },
}

/// An account of the simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatorAccount {
    /// What the exchange calls it.
    pub alias: String,
    /// Its key; for tests, and shown on purpose.
    pub api_key: String,
    /// Its secret, or its Ed25519 key in PEM (PKCS#8); for tests, and shown on purpose.
    pub api_secret: String,
    /// What is in its wallets at first: asset and decimal text.
    pub deposits: Vec<(String, String)>,
    /// Whether it begins in hedge mode.
    pub hedge_mode: bool,
    /// What a resting order pays, as a share of its value; below 0 for a rebate.
    pub maker_fee: String,
    /// What any other order pays.
    pub taker_fee: String,
    /// Whether fees are paid in BNB, at nine tenths, as long as there is enough.
    pub fees_in_bnb: bool,
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
            maker_fee: "0.0002".into(),
            taker_fee: "0.0004".into(),
            fees_in_bnb: false,
        }
    }

    /// Another account, with what the standard one has and a key of its own: `<alias>-key`, `<alias>-secret`.
    pub fn named(alias: &str) -> Self {
        Self {
            alias: alias.to_owned(),
            api_key: format!("{alias}-key"),
            api_secret: format!("{alias}-secret"),
            ..Self::standard()
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
    /// Whether they move by themselves; else they stand still until they are set.
    pub prices_wander: bool,
    /// How often funding is paid, in ms since 1970.
    pub funding_interval_ms: i64,
    /// The weight of requests allowed in a minute; `None` for no limit. Then no answer states how much is used, and no client
    /// waits for the next minute.
    pub weight_1m_max: Option<u32>,
    /// The orders of an account allowed in ten seconds; `None` for no limit.
    pub orders_10s_max: Option<u32>,
    /// The orders of an account allowed in a minute; `None` for no limit.
    pub orders_1m_max: Option<u32>,
    /// How long after their order fills and ledger entries can be asked for, in ms.
    pub settle_lag_ms: i64,
    /// How long a new conditional order answers "does not exist" when asked for by itself, in ms.
    pub conditional_lag_ms: i64,
    /// How long a new conditional order is missing from lists, in ms.
    pub conditional_list_lag_ms: i64,
    /// What the insurance fund holds of every asset at first, as decimal text.
    pub insurance_fund: String,
    /// What a BNB costs where fees are paid in it and no contract is listed whose price it is, as decimal text.
    pub bnb_price: String,
    /// What goes wrong.
    pub faults: FaultProfile,
}

impl SimulatorConfig {
    /// Standard markets and account: prices move every 5 s, funding is paid every 8 hours.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            markets: MarketSpec::standard(),
            accounts: vec![SimulatorAccount::standard()],
            tick_ms: 5_000,
            prices_wander: true,
            funding_interval_ms: 8 * 3_600_000,
            weight_1m_max: Some(2_400),
            orders_10s_max: Some(300),
            orders_1m_max: Some(1_200),
            settle_lag_ms: 0,
            conditional_lag_ms: 0,
            conditional_list_lag_ms: 0,
            insurance_fund: "1000000".into(),
            bnb_price: "600".into(),
            faults: FaultProfile::none(),
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
    limits: Limits,
    faults: FaultProfile,
    /// How often each endpoint was asked, and how often something that is none.
    asked: BTreeMap<String, u64>,
    /// The last genuine snapshot by question, for answers that lie behind.
    snapshots: BTreeMap<String, String>,
    streams: Streams,
}

/// A stateful exchange.
pub struct Simulator {
    config: SimulatorConfig,
    clock: SimulatorClock,
    state: Mutex<State>,
    /// Changes when there may be something new on a stream.
    woken: watch::Sender<()>,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("seed", &self.config.seed).field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Simulator {
    /// An exchange that begins at the clock's time.
    ///
    /// # Errors
    /// [`SimulatorError`] when a number of the configuration makes no sense.
    pub fn new(config: SimulatorConfig, clock: impl Into<SimulatorClock>) -> Result<Self, SimulatorError> {
        let clock = clock.into();
        let engine = Engine::new(&config, clock_now_ms(&clock).saturating_add(config.faults.clock_skew_ms))?;
        let state = State {
            engine,
            limits: Limits::default(),
            faults: config.faults,
            asked: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            streams: Streams::default(),
        };
        Ok(Self { config, clock, state: Mutex::new(state), woken: watch::Sender::new(()) })
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
        drop(self.up_to_date());
    }

    /// What the exchange knows, for comparing.
    pub fn books(&self) -> BooksSnapshot {
        let state = self.up_to_date();
        snapshot::take(&state.engine, self.config.accounts.iter().map(|account| account.alias.clone()))
    }

    fn account_of_key(&self, key: &str) -> Option<(usize, &SimulatorAccount)> {
        self.config.accounts.iter().enumerate().find(|(_, account)| account.api_key == key)
    }

    /// The state at the clock's time. What is done with it is told to who listens when it is let go.
    fn up_to_date(&self) -> UpToDate<'_> {
        let mut state = self.state();
        let now_ms = clock_now_ms(&self.clock).saturating_add(state.faults.clock_skew_ms);
        let before_ms = state.engine.now_ms;
        state.engine.advance(now_ms);
        // On a live clock, who listens looks at it by himself.
        let time_passed = before_ms < now_ms && matches!(self.clock, SimulatorClock::Manual(_));
        let is_news = state.tell() || time_passed;
        UpToDate { state, simulator: self, is_news }
    }

    /// A panic elsewhere leaves the books as they are; they are plain data.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Passes on what has happened. Whether there is anything new.
    fn tell(&mut self) -> bool {
        let (told, news) = (std::mem::take(&mut self.engine.told), self.engine.feed.take());
        let is_news = self.streams.deliver(told, news, self.engine.now_ms, &self.faults);
        self.engine.listened = self.streams.is_listened();
        self.engine.feed.listen_to(self.streams.topics());
        is_news
    }
}

/// The state, at the clock's time, as long as nobody else needs it.
struct UpToDate<'a> {
    state: MutexGuard<'a, State>,
    simulator: &'a Simulator,
    is_news: bool,
}

impl Deref for UpToDate<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for UpToDate<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for UpToDate<'_> {
    fn drop(&mut self) {
        if self.state.tell() || self.is_news {
            self.simulator.woken.send_replace(());
        }
    }
}

fn clock_now_ms(clock: &SimulatorClock) -> i64 {
    match clock {
        SimulatorClock::Manual(clock) => clock.now(),
        SimulatorClock::Live(clock) => clock.now(),
    }
    .as_ms()
}
