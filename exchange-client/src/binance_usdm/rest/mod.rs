//! One request and its answer: signed, timed by the exchange's clock, counted, and every refusal understood.
//!
//! Reads and commands differ. A read is repeated when the network or the exchange was in trouble, and waits for its
//! share of the exchange's budget. A command is sent once, at once; the one exception is a refusal of its timestamp:
//! the exchange looked at nothing else, so after measuring the clock it is signed anew and sent once more. A command that
//! needs the exchange's time asks for it once, for some seconds at most, and is not sent without it: late is worse.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `nothing_is_sent_while_the_exchange_asks_to_wait`, and `nothing_is_sent_while_banned`.
//! 2. `a_wrong_clock_is_measured_and_the_request_repeated_once`.
//! 3. `an_answer_of_any_other_shape_is_an_error`: HTML, a cut-off body, a redirect, an error status.
//! 4. `a_failed_read_is_repeated_and_a_command_never`.
//! 5. `reads_wait_for_their_share_and_commands_do_not`.
//! 6. `a_command_asks_for_the_time_once_or_is_not_sent`.
//! 7. `orders_beyond_the_limit_are_refused_and_not_sent`.
//! 8. `a_firewall_is_left_alone_by_reads`.

mod admission;
mod answer;
mod base_url;
mod funding_budget;
mod gate;
mod keyed;
mod order_budget;
mod retry;
mod server_clock;
mod settings;
mod shutter;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ledger_core::TimestampMs;
use serde::de::DeserializeOwned;

pub(super) use self::base_url::checked_stream_url;
use self::funding_budget::FundingBudget;
use self::gate::Gate;
pub use self::gate::RequestBudget;
use self::order_budget::OrderBudget;
use self::retry::Retries;
pub use self::retry::RetryPolicy;
pub use self::settings::RequestSettings;
use self::shutter::Shutter;
use super::facts::{ALGO_ORDER, FUNDING_RATE, KLINES, ORDER, VENUE};
use super::sign::Query;
use crate::api::Usage;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::error::{Endpoint, ErrorClass, ExchangeError};
use crate::foreign::Secrets;
use crate::transport::{GuardedTransport, Method, Transport};

const UNMEASURED: i64 = i64::MIN;
const UNSTATED: u64 = u64::MAX;

/// Whether a request can be repeated, and must keep to the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Read,
    /// What changes something, and what must be known at once to do so.
    Command,
}

/// An answer, and when it was asked for.
pub(super) struct Timed<T> {
    /// The answer.
    pub(super) answer: T,
    /// The exchange's time when the request was sent that was answered: after all waiting and repeating.
    pub(super) sent_at: TimestampMs,
}

/// Sends requests for one account.
pub(super) struct RestClient {
    transport: GuardedTransport,
    clock: Arc<dyn Clock>,
    base_url: String,
    credentials: Credentials,
    /// Shared by the accounts of an address: that is what the exchange counts by.
    gate: Arc<Gate>,
    /// Shared in the same way.
    funding_budget: Arc<FundingBudget>,
    /// Closed for new orders of this account.
    orders_shutter: Shutter,
    order_budget: OrderBudget,
    retries: Retries,
    /// The exchange's clock minus ours, in ms.
    offset_ms: AtomicI64,
    /// When that was measured, by our clock.
    measured_at_ms: AtomicI64,
    requests: AtomicU64,
    weight: AtomicU64,
    weight_1m: AtomicU64,
    orders_10s: AtomicU64,
    orders_1m: AtomicU64,
    /// Until when the last read waited for its budget, by our clock.
    waits_until_ms: AtomicI64,
}

impl RestClient {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        base_url: &str,
        credentials: Credentials,
        settings: RequestSettings,
    ) -> Result<Self, ExchangeError> {
        let base_url = base_url::checked(base_url)?;
        let gate = Arc::new(Gate::new(settings.budget, VENUE.weight_1m_max));
        let funding_budget = Arc::new(FundingBudget::new(settings.budget, VENUE.funding_requests_5m_max));
        Ok(Self::assembled(transport, clock, base_url, (gate, funding_budget), credentials, settings))
    }

    /// A client of another account from the same address: the budget and bans are common.
    pub(super) fn for_account(&self, credentials: Credentials, settings: RequestSettings) -> Self {
        let (transport, clock, gate) = (self.transport.unguarded(), Arc::clone(&self.clock), Arc::clone(&self.gate));
        gate.tighten(settings.budget, VENUE.weight_1m_max);
        let funding_budget = Arc::clone(&self.funding_budget);
        funding_budget.tighten(settings.budget, VENUE.funding_requests_5m_max);
        let budgets = (gate, funding_budget);
        let other = Self::assembled(transport, clock, self.base_url.clone(), budgets, credentials, settings);
        other.offset_ms.store(self.offset_ms.load(Ordering::Relaxed), Ordering::Relaxed);
        other.measured_at_ms.store(self.measured_at_ms.load(Ordering::Relaxed), Ordering::Relaxed);
        other
    }

    fn assembled(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        base_url: String,
        (gate, funding_budget): (Arc<Gate>, Arc<FundingBudget>),
        credentials: Credentials,
        settings: RequestSettings,
    ) -> Self {
        Self {
            transport: GuardedTransport::new(transport, credentials.secrets().clone()),
            clock,
            base_url,
            credentials,
            gate,
            funding_budget,
            orders_shutter: Shutter::default(),
            order_budget: OrderBudget::new(settings.order_limits),
            retries: Retries::new(settings.retry, settings.seed),
            offset_ms: AtomicI64::new(UNMEASURED),
            measured_at_ms: AtomicI64::new(UNMEASURED),
            requests: AtomicU64::new(0),
            weight: AtomicU64::new(0),
            weight_1m: AtomicU64::new(UNSTATED),
            orders_10s: AtomicU64::new(UNSTATED),
            orders_1m: AtomicU64::new(UNSTATED),
            waits_until_ms: AtomicI64::new(UNMEASURED),
        }
    }

    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// What is never repeated of this account.
    pub(super) fn secrets(&self) -> &Secrets {
        self.credentials.secrets()
    }

    pub(super) fn usage(&self) -> Usage {
        let stated = |counter: &AtomicU64| u32::try_from(counter.load(Ordering::Relaxed)).ok();
        Usage {
            requests: self.requests.load(Ordering::Relaxed),
            weight: self.weight.load(Ordering::Relaxed),
            weight_1m: stated(&self.weight_1m),
            orders_10s: stated(&self.orders_10s),
            orders_1m: stated(&self.orders_1m),
            // Before the first wait it holds what no clock shows.
            waits_until: TimestampMs::new(self.waits_until_ms.load(Ordering::Relaxed)).ok(),
        }
    }

    /// Asks what everybody may know.
    pub(super) async fn read_public<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        query: Query,
    ) -> Result<Timed<T>, ExchangeError> {
        let mut attempt = 1;
        loop {
            self.wait_for_budget(endpoint).await?;
            let sent_at = self.server_now().await?;
            match self.exchange(endpoint, query.clone().into_text(), Vec::new(), Purpose::Read).await {
                Ok(answer) => return Ok(Timed { answer, sent_at }),
                Err(error) => attempt = self.wait_to_repeat(attempt, error).await?,
            }
        }
    }

    /// Asks what only the account may know.
    pub(super) async fn read_signed<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        query: Query,
    ) -> Result<Timed<T>, ExchangeError> {
        let mut attempt = 1;
        loop {
            match self.send_timed(endpoint, &query, Purpose::Read).await {
                Ok(answer) => return Ok(answer),
                Err(error) => attempt = self.wait_to_repeat(attempt, error).await?,
            }
        }
    }

    /// Sends a command, or asks what must be known at once for one. [`prepare_command`](Self::prepare_command) comes first.
    pub(super) async fn command<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        query: &Query,
    ) -> Result<T, ExchangeError> {
        Ok(self.send_timed(endpoint, query, Purpose::Command).await?.answer)
    }

    /// Sends, and once more if all that was wrong is our clock: such a request was refused unseen.
    async fn send_timed<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        query: &Query,
        purpose: Purpose,
    ) -> Result<Timed<T>, ExchangeError> {
        match self.send_signed(endpoint, query, purpose).await {
            Err(error) if error.class() == ErrorClass::Clock => {
                let measured = match purpose {
                    Purpose::Read => self.measure_clock().await.map(|_| ()),
                    Purpose::Command => self.measure_for_command().await,
                };
                if measured.is_err() {
                    return Err(error);
                }
                self.send_signed(endpoint, query, purpose).await
            }
            result => result,
        }
    }

    async fn send_signed<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        query: &Query,
        purpose: Purpose,
    ) -> Result<Timed<T>, ExchangeError> {
        // Waiting comes before signing: the timestamp is that of sending.
        let sent_at = match purpose {
            Purpose::Read => {
                self.wait_for_budget(endpoint).await?;
                self.server_now().await?
            }
            // An order does not wait for a clock that only may have drifted.
            Purpose::Command => {
                self.check_open(endpoint, purpose)?;
                self.admit_order(endpoint)?;
                self.gate.count(weight_of(endpoint), self.server_estimate());
                self.server_estimate()
            }
        };
        let query = query
            .clone()
            .with("recvWindow", VENUE.receive_window_ms.to_string())
            .with("timestamp", sent_at.as_ms().to_string())
            .into_signed_text(&self.credentials);
        let headers = vec![("x-mbx-apikey", self.credentials.exposed_key().to_owned())];
        Ok(Timed { answer: self.exchange(endpoint, query, headers, purpose).await?, sent_at })
    }

    /// Waits before the next attempt and answers its number, or the error when there is none.
    async fn wait_to_repeat(&self, attempt: u32, error: ExchangeError) -> Result<u32, ExchangeError> {
        let asked_wait = error.retry_at().map(|until| {
            let wait_ms = until.as_ms().saturating_sub(self.clock.now().as_ms());
            Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))
        });
        match self.retries.next(attempt, &error, asked_wait) {
            Some(wait) => {
                tracing::debug!(%error, attempt, wait_ms = wait.as_millis(), "asking again");
                tokio::time::sleep(wait).await;
                Ok(attempt + 1)
            }
            None => Err(error),
        }
    }
}

/// Whether a request counts as an order.
fn places_orders(endpoint: &Endpoint) -> bool {
    matches!(endpoint.method, Method::Post | Method::Put) && matches!(endpoint.path, ORDER | ALGO_ORDER)
}

/// Whether a request counts as one for funding rates, which are counted by themselves.
fn asks_for_funding(endpoint: &Endpoint) -> bool {
    endpoint.path == FUNDING_RATE
}

fn weight_of(endpoint: &Endpoint) -> u32 {
    match endpoint.rows_max {
        Some(rows) if endpoint.path == KLINES => VENUE.kline_weight(rows),
        _ => VENUE.weight(endpoint.method, endpoint.path, endpoint.symbol.as_ref()),
    }
}
