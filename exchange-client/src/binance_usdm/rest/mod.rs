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

mod base_url;
mod gate;
mod keyed;
mod order_budget;
mod retry;
mod shutter;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ledger_core::TimestampMs;
use serde::de::DeserializeOwned;

pub(super) use self::base_url::checked_stream_url;
use self::gate::Gate;
pub use self::gate::RequestBudget;
use self::order_budget::OrderBudget;
use self::retry::Retries;
pub use self::retry::RetryPolicy;
use self::shutter::Shutter;
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
use crate::venue::{MINUTE_MS, OrderLimits};

const UNMEASURED: i64 = i64::MIN;
const UNSTATED: u64 = u64::MAX;
/// Clocks drift apart by some milliseconds in this time; what is asked for is dated by the exchange's.
const MEASURE_EVERY_MS: i64 = 15 * MINUTE_MS;

/// The longest that a command waits for the exchange's time: as long as a request stays valid.
const TIME_PATIENCE: Duration = Duration::from_millis(VENUE.receive_window_ms.unsigned_abs());

/// What can be set about how requests are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestSettings {
    /// How much of the exchange's budget reads may use.
    pub budget: RequestBudget,
    /// How failed reads are repeated.
    pub retry: RetryPolicy,
    /// How many orders the account may send; one that would be too many is refused here. `None` leaves it to the exchange.
    pub order_limits: Option<OrderLimits>,
    /// Spreads the delays of repetitions. Clients that share an address should differ.
    pub seed: u64,
}

impl Default for RequestSettings {
    /// The default budget and repetitions, and the venue's limits of orders.
    fn default() -> Self {
        Self {
            budget: RequestBudget::default(),
            retry: RetryPolicy::DEFAULT,
            order_limits: Some(VENUE.order_limits),
            seed: 0,
        }
    }
}

impl RequestSettings {
    /// For a simulated exchange, whose clock may stand still: no budget and no limits of orders.
    pub const SIMULATED: Self =
        Self { budget: RequestBudget::UNLIMITED, retry: RetryPolicy::DEFAULT, order_limits: None, seed: 0 };
}

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
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    base_url: String,
    credentials: Credentials,
    /// Shared by the accounts of an address: that is what the exchange counts by.
    gate: Arc<Gate>,
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
        Ok(Self::assembled(transport, clock, base_url, gate, credentials, settings))
    }

    /// A client of another account from the same address: the budget and bans are common.
    pub(super) fn for_account(&self, credentials: Credentials, settings: RequestSettings) -> Self {
        let (transport, clock, gate) = (Arc::clone(&self.transport), Arc::clone(&self.clock), Arc::clone(&self.gate));
        gate.tighten(settings.budget, VENUE.weight_1m_max);
        let other = Self::assembled(transport, clock, self.base_url.clone(), gate, credentials, settings);
        other.offset_ms.store(self.offset_ms.load(Ordering::Relaxed), Ordering::Relaxed);
        other.measured_at_ms.store(self.measured_at_ms.load(Ordering::Relaxed), Ordering::Relaxed);
        other
    }

    fn assembled(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        base_url: String,
        gate: Arc<Gate>,
        credentials: Credentials,
        settings: RequestSettings,
    ) -> Self {
        Self {
            transport,
            clock,
            base_url,
            credentials,
            gate,
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

    /// The exchange's time, from our clock and the measured difference.
    pub(super) async fn server_now(&self) -> Result<TimestampMs, ExchangeError> {
        if !self.is_measured() {
            self.measure_clock().await?;
        }
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

    /// Measures the exchange's clock unless that was done before: once, and not for long.
    ///
    /// # Errors
    /// Why there is no measure. The command is not to be sent.
    pub(super) async fn prepare_command(&self) -> Result<(), ExchangeError> {
        if self.is_measured() { Ok(()) } else { self.measure_for_command().await }
    }

    fn is_measured(&self) -> bool {
        self.offset_ms.load(Ordering::Relaxed) != UNMEASURED
    }

    /// By how much the exchange's clock is ahead of ours, as far as is known without asking.
    fn offset_estimate_ms(&self) -> i64 {
        Some(self.offset_ms.load(Ordering::Relaxed)).filter(|offset_ms| *offset_ms != UNMEASURED).unwrap_or(0)
    }

    /// The exchange's time as far as is known without asking.
    pub(super) fn server_estimate(&self) -> TimestampMs {
        self.clock.now().saturating_add_ms(self.offset_estimate_ms())
    }

    /// Asks for the exchange's time, repeatedly if need be; answers it and by how much it is ahead of ours.
    pub(super) async fn measure_clock(&self) -> Result<(TimestampMs, i64), ExchangeError> {
        let mut attempt = 1;
        loop {
            match self.measure_once(Purpose::Read).await {
                Ok(measured) => return Ok(measured),
                Err(error) => attempt = self.wait_to_repeat(attempt, error).await?,
            }
        }
    }

    async fn measure_for_command(&self) -> Result<(), ExchangeError> {
        match tokio::time::timeout(TIME_PATIENCE, self.measure_once(Purpose::Command)).await {
            Ok(measured) => measured.map(|_| ()),
            Err(elapsed) => Err(ExchangeError::AnswerLost {
                endpoint: Endpoint::new(Method::Get, TIME, None),
                source: TransportError::Lost(elapsed.into()),
            }),
        }
    }

    /// Measured around this one request, not around its repetitions.
    async fn measure_once(&self, purpose: Purpose) -> Result<(TimestampMs, i64), ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, TIME, None);
        self.gate.count(weight_of(&endpoint), self.server_estimate());
        let before_ms = self.clock.now().as_ms();
        let query = Query::new().into_text();
        let row = self.exchange::<dto::ServerTimeRow>(&endpoint, query, Vec::new(), purpose).await?;
        let after = self.clock.now();
        let server = parse::server_time(&row).map_err(|unusable| malformed(&endpoint, 0, unusable))?;
        let offset_ms = server.as_ms() - i64::midpoint(before_ms, after.as_ms());
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
        self.measured_at_ms.store(after.as_ms(), Ordering::Relaxed);
        Ok((server, offset_ms))
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
            .into_signed_text(&self.credentials.secret);
        let headers = vec![("x-mbx-apikey", self.credentials.key.expose().to_owned())];
        Ok(Timed { answer: self.exchange(endpoint, query, headers, purpose).await?, sent_at })
    }

    async fn wait_for_budget(&self, endpoint: &Endpoint) -> Result<(), ExchangeError> {
        let weight = weight_of(endpoint);
        loop {
            // No use in waiting for a budget while nothing may be sent at all.
            self.check_open(endpoint, Purpose::Read)?;
            match self.gate.admit(weight, self.server_estimate()) {
                Ok(()) => return Ok(()),
                Err(until) => {
                    let wait_ms = (until - tokio::time::Instant::now()).as_millis();
                    let until_ms = self.clock.now().as_ms().saturating_add(i64::try_from(wait_ms).unwrap_or(i64::MAX));
                    self.waits_until_ms.store(until_ms, Ordering::Relaxed);
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

    /// Counts an order, unless it is one too many.
    fn admit_order(&self, endpoint: &Endpoint) -> Result<(), ExchangeError> {
        if !places_orders(endpoint) {
            return Ok(());
        }
        self.order_budget.admit(self.server_estimate()).map_err(|wait_ms| ExchangeError::OrdersUsedUp {
            endpoint: endpoint.clone(),
            until: self.clock.now().saturating_add_ms(wait_ms),
        })
    }

    fn check_open(&self, endpoint: &Endpoint, purpose: Purpose) -> Result<(), ExchangeError> {
        let now = self.clock.now();
        let of_purpose = match purpose {
            Purpose::Read => self.gate.firewall.closed(now),
            Purpose::Command if places_orders(endpoint) => self.orders_shutter.closed(now),
            Purpose::Command => None,
        };
        match self.gate.shutter.closed(now).or(of_purpose) {
            None => Ok(()),
            Some((silence, until)) => Err(quiet(endpoint, silence, until, "not asked again yet")),
        }
    }

    /// Keeps quiet, and answers the error that says so.
    fn close(&self, endpoint: &Endpoint, silence: Silence, until: TimestampMs, response: &Response) -> ExchangeError {
        let shutter = match silence {
            Silence::Orders => &self.orders_shutter,
            Silence::Firewall(_) => &self.gate.firewall,
            Silence::Requests | Silence::Ban => &self.gate.shutter,
        };
        let until = shutter.close(silence, until, self.clock.now());
        quiet(endpoint, silence, until, &body_start(&response.body))
    }

    /// The exchange said something else than to keep quiet.
    fn answered(&self, endpoint: &Endpoint) {
        self.gate.shutter.answered();
        self.gate.firewall.answered();
        if places_orders(endpoint) {
            self.orders_shutter.answered();
        }
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        query: String,
        headers: Vec<(&'static str, String)>,
        purpose: Purpose,
    ) -> Result<T, ExchangeError> {
        self.check_open(endpoint, purpose)?;
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
            return Err(match verdict(endpoint, &response, self.clock.now(), self.offset_estimate_ms()) {
                Verdict::Error(error) => error,
                Verdict::Quiet(silence, until) => self.close(endpoint, silence, until, &response),
            });
        }
        self.answered(endpoint);
        serde_json::from_slice(&response.body).map_err(|source| ExchangeError::Unreadable {
            endpoint: endpoint.clone(),
            content_type: content_type(&response),
            body_start: body_start(&response.body),
            source,
        })
    }

    fn learn_usage(&self, response: &Response, sent_at: TimestampMs) {
        let stated = |name| response.header(name).and_then(|text| text.parse::<u32>().ok());
        let (weight, in_10s, in_1m) =
            (stated("x-mbx-used-weight-1m"), stated("x-mbx-order-count-10s"), stated("x-mbx-order-count-1m"));
        for (counter, count) in [(&self.weight_1m, weight), (&self.orders_10s, in_10s), (&self.orders_1m, in_1m)] {
            if let Some(count) = count {
                counter.store(u64::from(count), Ordering::Relaxed);
            }
        }
        // Before the clock was measured nobody knows which minute of the exchange's this is.
        if self.is_measured() {
            let now = self.server_estimate();
            if let Some(used) = weight {
                self.gate.stated(used, sent_at, now);
            }
            self.order_budget.stated(in_10s, in_1m, sent_at, now);
        }
    }
}

/// Whether a request counts as an order.
fn places_orders(endpoint: &Endpoint) -> bool {
    matches!(endpoint.method, Method::Post | Method::Put) && matches!(endpoint.path, ORDER | ALGO_ORDER)
}

/// Whether an answer with a success status is an error notice. Those are short.
fn is_error_notice(response: &Response) -> bool {
    response.body.len() < 4_096 && notice(response).is_some_and(|(code, _)| code < 0)
}

fn weight_of(endpoint: &Endpoint) -> u32 {
    VENUE.weight(endpoint.method, endpoint.path, endpoint.symbol.as_ref())
}

fn quiet(endpoint: &Endpoint, silence: Silence, until: TimestampMs, body_start: &str) -> ExchangeError {
    let endpoint = endpoint.clone();
    match silence {
        Silence::Ban => ExchangeError::Banned { endpoint, until },
        Silence::Requests | Silence::Orders => ExchangeError::Throttled { endpoint, until },
        Silence::Firewall(status) => {
            ExchangeError::Forbidden { endpoint, status, until, body_start: body_start.to_owned() }
        }
    }
}

fn content_type(response: &Response) -> String {
    let stated = response.header("content-type").unwrap_or("no content type");
    stated.chars().filter(|character| !character.is_control()).take(60).collect()
}
