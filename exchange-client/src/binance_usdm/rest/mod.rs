//! One request and its answer: signed, timed by the exchange's clock, counted, and every refusal understood.
//!
//! Reads and commands differ. A read is repeated when the network or the exchange was in trouble, and waits for its
//! share of the exchange's budget. A command is sent once, at once; the one exception is a refusal of its timestamp:
//! the exchange looked at nothing else, so after measuring the clock it is signed anew and sent once more.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `nothing_is_sent_while_the_exchange_asks_to_wait`, and `nothing_is_sent_while_banned`.
//! 2. `a_wrong_clock_is_measured_and_the_request_repeated_once`.
//! 3. `an_answer_of_any_other_shape_is_an_error`: HTML, a cut-off body, a redirect, an error status.
//! 4. `a_failed_read_is_repeated_and_a_command_never`.
//! 5. `reads_wait_for_their_share_and_commands_do_not`.

mod base_url;
mod gate;
mod retry;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ledger_core::TimestampMs;
use serde::de::DeserializeOwned;

pub use self::gate::RequestBudget;
use self::gate::{Gate, Shutter};
use self::retry::Retries;
pub use self::retry::RetryPolicy;
use self::verdict::{Silence, Verdict, notice, verdict};
use super::dto;
use super::facts::{ALGO_ORDER, ORDER, TIME, VENUE};
use super::parse;
use super::rows::malformed;
use super::sign::Query;
use crate::api::Usage;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::error::{Endpoint, ErrorClass, ExchangeError, body_start};
use crate::transport::{Method, Request, Response, Transport, TransportError};
use crate::venue::MINUTE_MS;

const UNMEASURED: i64 = i64::MIN;
const UNSTATED: u64 = u64::MAX;
/// Clocks drift apart by some milliseconds in this time; what is asked for is dated by the exchange's.
const MEASURE_EVERY_MS: i64 = 15 * MINUTE_MS;

/// What can be set about how requests are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestSettings {
    /// How much of the exchange's budget reads may use.
    pub budget: RequestBudget,
    /// How failed reads are repeated.
    pub retry: RetryPolicy,
    /// Spreads the delays of repetitions. Clients that share an address should differ.
    pub seed: u64,
}

impl RequestSettings {
    /// For a simulated exchange: no waiting for a budget, everything else as it is by default.
    pub const SIMULATED: Self = Self { budget: RequestBudget::UNLIMITED, retry: RetryPolicy::DEFAULT, seed: 0 };
}

/// Whether a request can be repeated, and must keep to the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Read,
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
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    base_url: String,
    credentials: Credentials,
    /// Shared by the accounts of an address: that is what the exchange counts by.
    gate: Arc<Gate>,
    /// Closed for new orders of this account.
    orders_shutter: Shutter,
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
}

impl RestClient {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        base_url: &str,
        credentials: Credentials,
        settings: RequestSettings,
    ) -> Result<Self, ExchangeError> {
        Ok(Self {
            transport,
            clock,
            base_url: base_url::checked(base_url)?,
            credentials,
            gate: Arc::new(Gate::new(settings.budget, VENUE.weight_1m_max)),
            orders_shutter: Shutter::default(),
            retries: Retries::new(settings.retry, settings.seed),
            offset_ms: AtomicI64::new(UNMEASURED),
            measured_at_ms: AtomicI64::new(UNMEASURED),
            requests: AtomicU64::new(0),
            weight: AtomicU64::new(0),
            weight_1m: AtomicU64::new(UNSTATED),
            orders_10s: AtomicU64::new(UNSTATED),
            orders_1m: AtomicU64::new(UNSTATED),
        })
    }

    /// A client of another account from the same address: the budget and bans are common.
    pub(super) fn for_account(&self, credentials: Credentials, settings: RequestSettings) -> Self {
        Self {
            transport: Arc::clone(&self.transport),
            clock: Arc::clone(&self.clock),
            base_url: self.base_url.clone(),
            credentials,
            gate: Arc::clone(&self.gate),
            orders_shutter: Shutter::default(),
            retries: Retries::new(settings.retry, settings.seed),
            offset_ms: AtomicI64::new(self.offset_ms.load(Ordering::Relaxed)),
            measured_at_ms: AtomicI64::new(self.measured_at_ms.load(Ordering::Relaxed)),
            requests: AtomicU64::new(0),
            weight: AtomicU64::new(0),
            weight_1m: AtomicU64::new(UNSTATED),
            orders_10s: AtomicU64::new(UNSTATED),
            orders_1m: AtomicU64::new(UNSTATED),
        }
    }

    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    pub(super) fn usage(&self) -> Usage {
        let stated = |counter: &AtomicU64| u32::try_from(counter.load(Ordering::Relaxed)).ok();
        Usage {
            requests: self.requests.load(Ordering::Relaxed),
            weight: self.weight.load(Ordering::Relaxed),
            weight_1m: stated(&self.weight_1m),
            orders_10s: stated(&self.orders_10s),
            orders_1m: stated(&self.orders_1m),
        }
    }

    /// The exchange's time, from our clock and the measured difference.
    pub(super) async fn server_now(&self) -> Result<TimestampMs, ExchangeError> {
        self.ensure_measured().await?;
        let now_ms = self.clock.now().as_ms();
        let age_ms = now_ms.saturating_sub(self.measured_at_ms.load(Ordering::Relaxed));
        if !(0..MEASURE_EVERY_MS).contains(&age_ms)
            && let Err(error) = self.measure_clock().await
        {
            // The old measure still serves; should it be wrong, the exchange says so.
            tracing::debug!(%error, "the exchange's clock could not be measured again");
            self.measured_at_ms.store(now_ms - MEASURE_EVERY_MS + MINUTE_MS, Ordering::Relaxed);
        }
        Ok(self.server_estimate())
    }

    /// Measures the exchange's clock unless that was done before.
    pub(super) async fn ensure_measured(&self) -> Result<(), ExchangeError> {
        if self.offset_ms.load(Ordering::Relaxed) == UNMEASURED {
            self.measure_clock().await?;
        }
        Ok(())
    }

    /// The exchange's time as far as is known without asking.
    fn server_estimate(&self) -> TimestampMs {
        let offset_ms = self.offset_ms.load(Ordering::Relaxed);
        self.clock.now().saturating_add_ms(if offset_ms == UNMEASURED { 0 } else { offset_ms })
    }

    /// Asks for the exchange's time; answers it and by how much it is ahead of ours.
    pub(super) async fn measure_clock(&self) -> Result<(TimestampMs, i64), ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, TIME, None);
        let mut attempt = 1;
        loop {
            // Measured around the one request that was answered, not around its repetitions.
            self.gate.count(weight_of(&endpoint), self.server_estimate());
            let before_ms = self.clock.now().as_ms();
            let answer = self.exchange::<dto::ServerTimeRow>(&endpoint, Query::new().into_text(), Vec::new()).await;
            let after = self.clock.now();
            match answer {
                Ok(row) => {
                    let server = parse::server_time(&row).map_err(|unusable| malformed(&endpoint, 0, unusable))?;
                    let offset_ms = server.as_ms() - i64::midpoint(before_ms, after.as_ms());
                    self.offset_ms.store(offset_ms, Ordering::Relaxed);
                    self.measured_at_ms.store(after.as_ms(), Ordering::Relaxed);
                    return Ok((server, offset_ms));
                }
                Err(error) => attempt = self.wait_to_repeat(attempt, error).await?,
            }
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
            match self.exchange(endpoint, query.clone().into_text(), Vec::new()).await {
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

    /// Sends a command.
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
                if self.measure_clock().await.is_err() {
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
        match purpose {
            Purpose::Read => self.wait_for_budget(endpoint).await?,
            Purpose::Command => self.gate.count(weight_of(endpoint), self.server_estimate()),
        }
        let sent_at = match purpose {
            Purpose::Read => self.server_now().await?,
            // An order does not wait for a clock that only may have drifted.
            Purpose::Command => {
                self.ensure_measured().await?;
                self.server_estimate()
            }
        };
        let query = query
            .clone()
            .with("recvWindow", VENUE.receive_window_ms.to_string())
            .with("timestamp", sent_at.as_ms().to_string())
            .into_signed_text(&self.credentials.secret);
        let headers = vec![("x-mbx-apikey", self.credentials.key.expose().to_owned())];
        Ok(Timed { answer: self.exchange(endpoint, query, headers).await?, sent_at })
    }

    async fn wait_for_budget(&self, endpoint: &Endpoint) -> Result<(), ExchangeError> {
        let weight = weight_of(endpoint);
        loop {
            // No use in waiting for a budget while nothing may be sent at all.
            self.check_open(endpoint)?;
            match self.gate.admit(weight, self.server_estimate()) {
                Ok(()) => return Ok(()),
                Err(until) => {
                    let wait_ms = (until - tokio::time::Instant::now()).as_millis();
                    tracing::debug!(%endpoint, wait_ms, "waiting for the next minute's request budget");
                    tokio::time::sleep_until(until).await;
                }
            }
        }
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

    fn check_open(&self, endpoint: &Endpoint) -> Result<(), ExchangeError> {
        let places_orders =
            matches!(endpoint.method, Method::Post | Method::Put) && matches!(endpoint.path, ORDER | ALGO_ORDER);
        let now = self.clock.now();
        let orders_closed = if places_orders { self.orders_shutter.closed(now) } else { None };
        match self.gate.shutter.closed(now).or(orders_closed) {
            None => Ok(()),
            Some((silence, until)) => Err(quiet(endpoint, silence, until)),
        }
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        query: String,
        headers: Vec<(&'static str, String)>,
    ) -> Result<T, ExchangeError> {
        self.check_open(endpoint)?;
        let request = Request {
            method: endpoint.method,
            base_url: self.base_url.clone(),
            path: endpoint.path.to_owned(),
            query,
            headers,
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.weight.fetch_add(u64::from(weight_of(endpoint)), Ordering::Relaxed);
        let sent_at = self.server_estimate();
        let response = self.transport.send(request).await.map_err(|source| match source {
            TransportError::NotSent(_) => ExchangeError::Unreachable { endpoint: endpoint.clone(), source },
            TransportError::Lost(_) | TransportError::TooLarge { .. } => {
                ExchangeError::AnswerLost { endpoint: endpoint.clone(), source }
            }
        })?;
        self.learn_usage(&response, sent_at);
        if !(200..300).contains(&response.status) || is_error_notice(&response) {
            let now = self.clock.now();
            return Err(match verdict(endpoint, &response, now) {
                Verdict::Error(error) => error,
                Verdict::Quiet(silence, until) => {
                    let shutter = if silence == Silence::Orders { &self.orders_shutter } else { &self.gate.shutter };
                    shutter.close(silence, until, now);
                    quiet(endpoint, silence, until)
                }
            });
        }
        serde_json::from_slice(&response.body).map_err(|source| ExchangeError::Unreadable {
            endpoint: endpoint.clone(),
            content_type: content_type(&response),
            body_start: body_start(&response.body),
            source,
        })
    }

    fn learn_usage(&self, response: &Response, sent_at: TimestampMs) {
        let stated = |name| response.header(name).and_then(|text| text.parse::<u32>().ok());
        if let Some(used) = stated("x-mbx-used-weight-1m") {
            self.weight_1m.store(u64::from(used), Ordering::Relaxed);
            self.gate.stated(used, sent_at, self.server_estimate());
        }
        for (name, counter) in [("x-mbx-order-count-10s", &self.orders_10s), ("x-mbx-order-count-1m", &self.orders_1m)]
        {
            if let Some(count) = stated(name) {
                counter.store(u64::from(count), Ordering::Relaxed);
            }
        }
    }
}

/// Whether an answer with a success status is an error notice. Those are short.
fn is_error_notice(response: &Response) -> bool {
    response.body.len() < 4_096 && notice(response).is_some_and(|(code, _)| code < 0)
}

fn weight_of(endpoint: &Endpoint) -> u32 {
    VENUE.weight(endpoint.method, endpoint.path, endpoint.symbol.as_ref())
}

fn quiet(endpoint: &Endpoint, silence: Silence, until: TimestampMs) -> ExchangeError {
    let endpoint = endpoint.clone();
    match silence {
        Silence::Ban => ExchangeError::Banned { endpoint, until },
        Silence::Requests | Silence::Orders => ExchangeError::Throttled { endpoint, until },
    }
}

fn content_type(response: &Response) -> String {
    let stated = response.header("content-type").unwrap_or("no content type");
    stated.chars().filter(|character| !character.is_control()).take(60).collect()
}
