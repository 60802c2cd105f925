//! Keeps a user stream alive: its key, its connection, and the account of what it may have missed.
//!
//! A key is asked for before every connection. The exchange answers with the one that is valid, if one is, and makes it
//! valid for another hour; with one that has expired a connection would come about and stay silent. The key is never
//! deleted: an account has only one, and a bot on the same account listens by it as well.
//!
//! What is due is told by whichever clock says so first, ours or tokio's, as for silences of the REST interface.
//!
//! Invariants, each with a test of the same name (in [`super::super::tests::stream`]):
//! 1. `a_lost_connection_is_a_gap_from_before_the_last_sign_of_life`, and `whoever_reads_late_is_told_of_a_longer_gap`.
//! 2. `attempts_grow_apart_and_never_end`, and `whoever_is_turned_away_after_a_ping_asks_ever_more_rarely`: what counts is how long a
//!    connection stood, not that it said something.
//! 3. `a_key_is_kept_alive_and_a_forgotten_one_replaced`, `a_key_that_was_not_used_for_long_is_asked_for_anew`, and
//!    `a_key_that_ends_with_each_connection_is_asked_for_ever_more_rarely`. `a_renewal_that_hangs_keeps_no_event_waiting`, and
//!    `a_key_does_not_wait_for_the_budget_of_looks`.
//! 4. `silence_ends_a_connection`.
//! 5. `a_message_that_cannot_be_read_does_not_end_the_stream`.
//! 6. `dropping_a_wait_loses_nothing`, and `whoever_has_little_patience_is_connected_all_the_same`.
//! 7. `a_connection_is_renewed_without_a_gap`: before it is as old as the exchange lets it become, another one is made beside it,
//!    and both are read for a while.
//! 8. `a_gap_is_told_rightly_by_a_clock_that_jumps`: the exchange's clock is measured again with every connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ledger_core::TimestampMs;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::event::{Heard, heard};
use super::{KeyedAddress, UserStreamSettings};
use crate::api::{Gap, Interruption, StreamEvent, StreamEventError, UserStream};
use crate::binance_usdm::dto;
use crate::binance_usdm::facts::{LISTEN_KEY, VENUE};
use crate::binance_usdm::parse;
use crate::binance_usdm::rest::RestClient;
use crate::binance_usdm::rows::malformed;
use crate::clock::duration_ms;
use crate::error::{Endpoint, ExchangeError};
use crate::transport::{GuardedStreams, Method, StreamConnection, StreamError, StreamFrame};

const KEY_IS_GONE: i64 = -1125;
/// A key that was not renewed for this long is about to expire, whatever keeps us from renewing it.
const KEY_LIFE: Duration = Duration::from_mins(55);
/// How long a connection is read on beside the one that takes its place: what happened before the new one stood may come late.
const OVERLAP: Duration = Duration::from_secs(10);
/// How long after a renewal that failed the next one is tried.
const KEY_RETRY: Duration = Duration::from_mins(1);

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
struct Moment {
    ours: TimestampMs,
    tokios: Instant,
}

impl Moment {
    fn now(rest: &RestClient) -> Self {
        Self { ours: rest.clock().now(), tokios: Instant::now() }
    }

    /// How long ago it was, by whichever clock says more.
    fn age(self, rest: &RestClient) -> Duration {
        let ours_ms = rest.clock().now().as_ms().saturating_sub(self.ours.as_ms());
        Duration::from_millis(u64::try_from(ours_ms).unwrap_or(0)).max(self.tokios.elapsed())
    }
}

/// Names the account's stream; whoever has it can listen.
struct Key {
    text: Zeroizing<String>,
    /// When it was last known to be good for an hour.
    renewed: Moment,
    /// When its renewal was last tried.
    tried: Moment,
}

struct Live {
    connection: Box<dyn StreamConnection>,
    key: Key,
    opened: Moment,
    heard: Moment,
    /// The last sign of life, by the exchange's clock: not before then.
    heard_at: TimestampMs,
    /// When everything that had come was read.
    idle_at: TimestampMs,
}

/// What becomes of an attempt to connect: a connection with its key, or why there is none and how long to wait.
type Attempt = Result<(Box<dyn StreamConnection>, Key), (Interruption, Duration)>;
type Connecting = Pin<Box<dyn Future<Output = Attempt> + Send>>;
/// What becomes of a renewal of the key: the exchange's answer.
type Renewed = Result<dto::ListenKeyRow, ExchangeError>;
type Renewing = Pin<Box<dyn Future<Output = Renewed> + Send>>;

/// A user stream of Binance USD-M.
pub(super) struct BinanceUserStream {
    rest: Arc<RestClient>,
    transport: Arc<GuardedStreams>,
    address: KeyedAddress,
    settings: UserStreamSettings,
    /// A key that was asked for and not used yet.
    fresh_key: Option<Key>,
    /// A connection that is being made: whoever stops waiting for it does not stop it.
    connecting: Option<Connecting>,
    live: Option<Live>,
    /// A renewal of the key that is on its way: the connection is read meanwhile.
    renewing: Option<Renewing>,
    /// One that is being made beside a connection that has become old.
    successor: Option<Connecting>,
    /// When the last attempt to make one failed.
    successor_failed: Option<Moment>,
    /// One that was replaced, and since when.
    old: Option<(Box<dyn StreamConnection>, Moment)>,
    /// Whether it ever stood.
    was_open: bool,
    /// Since when nothing is told, by the exchange's clock, and the last sign of life by ours.
    silent_since: Option<(TimestampMs, Moment)>,
    /// How many connections in a row did not come about, or ended before they were as old as the longest delay.
    failures: u32,
    /// How long to wait, and since when, before the next attempt.
    wait: Option<(Moment, Duration)>,
}

impl fmt::Debug for BinanceUserStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_live = self.live.is_some();
        f.debug_struct("BinanceUserStream")
            .field("base_url", &self.address.base_url)
            .field("is_live", &is_live)
            .finish_non_exhaustive()
    }
}

impl BinanceUserStream {
    /// A stream that has a key and will connect.
    pub(super) async fn open(
        rest: Arc<RestClient>,
        transport: Arc<GuardedStreams>,
        address: KeyedAddress,
        settings: UserStreamSettings,
    ) -> Result<Self, ExchangeError> {
        // Gaps are told by the exchange's clock.
        let since = rest.server_now().await?;
        let fresh_key = Some(new_key(&rest).await?);
        let silent_since = Some((since, Moment::now(&rest)));
        let (live, connecting, renewing, wait) = (None, None, None, None);
        let (successor, successor_failed, old) = (None, None, None);
        let (was_open, failures) = (false, 0);
        Ok(Self {
            rest,
            transport,
            address,
            settings,
            fresh_key,
            connecting,
            live,
            renewing,
            successor,
            successor_failed,
            old,
            was_open,
            silent_since,
            failures,
            wait,
        })
    }

    /// Connects, or says why not.
    async fn connect(&mut self) -> StreamEvent {
        if let Some((since, wait)) = self.wait {
            tokio::time::sleep(wait.saturating_sub(since.age(&self.rest))).await;
            self.wait = None;
        }
        let is_usable = |key: &Key| key.renewed.age(&self.rest) < self.settings.keep_alive_every;
        let connecting = self.connecting.get_or_insert_with(|| {
            let (rest, transport) = (Arc::clone(&self.rest), Arc::clone(&self.transport));
            let key = self.fresh_key.take().filter(is_usable);
            Box::pin(attempt(rest, transport, self.address.clone(), key))
        });
        let attempted = connecting.await;
        self.connecting = None;
        match attempted {
            Err((cause, wait)) => self.interrupted(cause, wait),
            Ok((connection, key)) => {
                let (now, at) = (Moment::now(&self.rest), self.rest.server_estimate());
                self.live = Some(Live { connection, key, opened: now, heard: now, heard_at: at, idle_at: at });
                let since = self.silent_since.take().map_or(at, |(since, last)| {
                    // What was noted by a clock that was wrong is put right by how long ago it was.
                    let ago_ms = duration_ms(last.age(&self.rest)).saturating_add(VENUE.settle_lag_ms);
                    since.min(at.saturating_add_ms(ago_ms.saturating_neg()))
                });
                if std::mem::replace(&mut self.was_open, true) {
                    StreamEvent::Resumed(Gap { since, until: at })
                } else {
                    StreamEvent::Opened { at }
                }
            }
        }
    }

    /// Ends the connection, if there is one; `wait` is how long to wait at least before the next.
    fn interrupted(&mut self, cause: Interruption, wait: Duration) -> StreamEvent {
        (self.successor, self.successor_failed, self.old) = (None, None, None);
        self.renewing = None;
        let age = self.live.as_ref().map_or(Duration::ZERO, |live| live.opened.age(&self.rest));
        let lost = self.live.take().map_or_else(
            || (self.rest.server_estimate(), Moment::now(&self.rest)),
            // What happened just before the last sign of life may have been on its way still.
            |live| (live.heard_at.saturating_add_ms(-VENUE.settle_lag_ms), live.heard),
        );
        let (since, _) = *self.silent_since.get_or_insert(lost);
        // An exchange that pings and then turns away has said something, and is not to be asked again at once for that.
        let has_stood = age >= self.settings.reconnect.delay_max;
        if has_stood {
            self.failures = 0;
        }
        // A key that ends in its time is replaced at once; one that ends with each connection is a failure like others.
        if !(has_stood && matches!(cause, Interruption::KeyExpired)) {
            self.failures = self.failures.saturating_add(1);
        }
        let wait = match self.failures {
            0 => wait,
            // The first delay is before the second attempt.
            failures => wait.max(self.rest.spread_delay(&self.settings.reconnect, failures.saturating_add(1))),
        };
        self.wait = Some((Moment::now(&self.rest), wait));
        StreamEvent::Interrupted { since, cause }
    }

    /// Begins to renew the key; a renewal that nobody has answered by now has failed.
    fn renew(&mut self) -> Option<StreamEvent> {
        let unanswered = self.renewing.take();
        let live = self.live.as_mut()?;
        if unanswered.is_some() && live.key.renewed.age(&self.rest) >= KEY_LIFE {
            return Some(self.interrupted(Interruption::KeyExpired, Duration::ZERO));
        }
        live.key.tried = Moment::now(&self.rest);
        let rest = Arc::clone(&self.rest);
        self.renewing = Some(Box::pin(async move {
            let endpoint = Endpoint::new(Method::Put, LISTEN_KEY, None);
            rest.send_keyed(&endpoint).await
        }));
        None
    }

    /// Takes what the exchange answers to a renewal.
    fn renewed(&mut self, renewed: Renewed) -> Option<StreamEvent> {
        self.renewing = None;
        let live = self.live.as_mut()?;
        let is_forgotten = match renewed {
            // It may name the key; another one than ours names another stream.
            Ok(row) => {
                live.key.renewed = Moment::now(&self.rest);
                row.listen_key.is_some_and(|named| named.to_string() != *live.key.text)
            }
            Err(error) if error.code() == Some(KEY_IS_GONE) => true,
            Err(error) => {
                tracing::debug!(%error, "the key of the user stream could not be renewed");
                live.key.renewed.age(&self.rest) >= KEY_LIFE
            }
        };
        is_forgotten.then(|| self.interrupted(Interruption::KeyExpired, Duration::ZERO))
    }

    /// What a frame says, if anything. It came at `arrived_at` or later.
    fn told(&mut self, frame: Result<StreamFrame, StreamError>, arrived_at: TimestampMs) -> Option<StreamEvent> {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Some(self.interrupted(Interruption::Connection(error), Duration::ZERO)),
        };
        let now = Moment::now(&self.rest);
        let live = self.live.as_mut()?;
        (live.heard, live.heard_at) = (now, live.heard_at.max(arrived_at));
        match frame {
            StreamFrame::Ping | StreamFrame::Pong => None,
            StreamFrame::Binary(bytes) => Some(StreamEvent::Unreadable {
                error: StreamEventError::Binary { length_bytes: bytes.len() },
                payload: String::from_utf8_lossy(&bytes).into(),
            }),
            StreamFrame::Text(text) => match heard(&text) {
                Heard::Event(event) => Some(*event),
                Heard::KeyExpired => Some(self.interrupted(Interruption::KeyExpired, Duration::ZERO)),
            },
        }
    }

    /// The next that comes, if it does before `left` is over. What is there already came at any time since everything was read:
    /// whoever reads late must not take it for a sign of life of now.
    async fn came(&mut self, left: Duration) -> Came {
        let Self { live: Some(live), old, successor, renewing, rest, .. } = self else { return Came::Nothing };
        tokio::select! {
            biased;
            attempted = made(successor) => return Came::Successor(attempted),
            renewed = made(renewing) => return Came::Renewed(renewed),
            frame = next_of(old) => return Came::OfOld(frame),
            frame = live.connection.next() => return Came::Frame(frame, live.idle_at),
            () = std::future::ready(()) => {}
        }
        live.idle_at = rest.server_estimate();
        tokio::select! {
            biased;
            attempted = made(successor) => Came::Successor(attempted),
            renewed = made(renewing) => Came::Renewed(renewed),
            frame = next_of(old) => Came::OfOld(frame),
            frame = live.connection.next() => Came::Frame(frame, rest.server_estimate()),
            () = tokio::time::sleep(left) => Came::Nothing,
        }
    }

    /// Goes on with the connection that was made beside the one there is, which is read for a while longer.
    fn succeed(&mut self, attempted: Attempt) {
        self.successor = None;
        match (attempted, self.live.take()) {
            (Ok((connection, key)), live) => {
                let (now, at) = (Moment::now(&self.rest), self.rest.server_estimate());
                self.successor_failed = None;
                self.old = live.map(|live| (live.connection, now));
                self.live = Some(Live { connection, key, opened: now, heard: now, heard_at: at, idle_at: at });
            }
            (Err((cause, _)), live) => {
                tracing::debug!(%cause, "a connection that is old could not be renewed yet");
                self.live = live;
                self.successor_failed = Some(Moment::now(&self.rest));
            }
        }
    }

    /// What the connection that was replaced still says. Its end is nothing that happened.
    fn told_by_old(&mut self, frame: Result<StreamFrame, StreamError>) -> Option<StreamEvent> {
        match frame {
            Ok(StreamFrame::Text(text)) => match heard(&text) {
                Heard::Event(event) => Some(*event),
                Heard::KeyExpired => Some(self.interrupted(Interruption::KeyExpired, Duration::ZERO)),
            },
            Ok(_) => None,
            Err(_) => {
                self.old = None;
                None
            }
        }
    }

    /// What has to be done next, and in how long.
    fn due(&self, live: &Live) -> (Duration, Due) {
        let left = |since: Moment, after: Duration| after.saturating_sub(since.age(&self.rest));
        let renewal = left(live.key.renewed, self.settings.keep_alive_every);
        let is_retry = live.key.tried.tokios > live.key.renewed.tokios;
        let is_tried = is_retry || self.renewing.is_some();
        let retry = if is_tried { left(live.key.tried, KEY_RETRY) } else { Duration::ZERO };
        let age = left(live.opened, self.settings.connection_age_max);
        let age_retry = self.successor_failed.map_or(Duration::ZERO, |failed| left(failed, KEY_RETRY));
        let age = if self.successor.is_some() { Duration::MAX } else { age.max(age_retry) };
        let old = self.old.as_ref().map_or(Duration::MAX, |(_, since)| left(*since, OVERLAP));
        [
            (left(live.heard, self.settings.silence_max), Due::Silence),
            (age, Due::Age),
            (renewal.max(retry), Due::Renewal),
            (old, Due::Goodbye),
        ]
        .into_iter()
        .min_by_key(|(left, _)| *left)
        .unwrap_or((Duration::ZERO, Due::Silence))
    }
}

/// What comes of waiting.
enum Came {
    /// A frame, and when it arrived at the earliest.
    Frame(Result<StreamFrame, StreamError>, TimestampMs),
    /// A frame of the connection that was replaced.
    OfOld(Result<StreamFrame, StreamError>),
    /// An attempt to make another connection has ended.
    Successor(Attempt),
    /// The exchange has answered the renewal of the key.
    Renewed(Renewed),
    Nothing,
}

async fn made<T>(pending: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match pending {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
}

async fn next_of(old: &mut Option<(Box<dyn StreamConnection>, Moment)>) -> Result<StreamFrame, StreamError> {
    match old {
        Some((connection, _)) => connection.next().await,
        None => std::future::pending().await,
    }
}

/// What has to be done from time to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Giving up on a connection that says nothing.
    Silence,
    /// Making another connection before the exchange ends this one.
    Age,
    /// Ending the one that was replaced.
    Goodbye,
    /// Renewing the key.
    Renewal,
}

/// The account's key: the one that is valid, or a new one.
async fn new_key(rest: &RestClient) -> Result<Key, ExchangeError> {
    let endpoint = Endpoint::new(Method::Post, LISTEN_KEY, None);
    let row = rest.send_keyed(&endpoint).await?;
    let text = parse::listen_key(&row).map_err(|unusable| malformed(&endpoint, 0, unusable))?;
    let now = Moment::now(rest);
    Ok(Key { text: Zeroizing::new(text), renewed: now, tried: now })
}

/// Connects once: with `key`, or with the one that the account has now.
async fn attempt(
    rest: Arc<RestClient>,
    transport: Arc<GuardedStreams>,
    address: KeyedAddress,
    key: Option<Key>,
) -> Attempt {
    let key = match key {
        Some(key) => key,
        None => new_key(&rest).await.map_err(|error| {
            let asked_ms = error.retry_at().map(|until| until.as_ms() - rest.clock().now().as_ms());
            let asked = asked_ms.and_then(|ms| u64::try_from(ms).ok()).map_or(Duration::ZERO, Duration::from_millis);
            (Interruption::NoAccess(error), asked)
        })?,
    };
    // A gap is told by the exchange's clock, and ours may have been set since it was measured.
    if let Err(error) = rest.measure_clock().await {
        tracing::debug!(%error, "the exchange's clock could not be measured for a stream");
    }
    let address = address.with_key(&key.text);
    let connected = transport.connect(address).await;
    connected.map(|connection| (connection, key)).map_err(|error| (Interruption::Connection(error), Duration::ZERO))
}

#[async_trait]
impl UserStream for BinanceUserStream {
    async fn next(&mut self) -> StreamEvent {
        loop {
            let Some(live) = &self.live else { return self.connect().await };
            let (left, due) = self.due(live);
            if left.is_zero() {
                let event = match due {
                    Due::Silence => {
                        let after = live.heard.age(&self.rest);
                        Some(self.interrupted(Interruption::Silent { after }, Duration::ZERO))
                    }
                    Due::Age => {
                        let (rest, transport) = (Arc::clone(&self.rest), Arc::clone(&self.transport));
                        self.successor = Some(Box::pin(attempt(rest, transport, self.address.clone(), None)));
                        None
                    }
                    Due::Goodbye => {
                        if let Some((mut old, _)) = self.old.take() {
                            old.close().await;
                        }
                        None
                    }
                    Due::Renewal => self.renew(),
                };
                match event {
                    Some(event) => return event,
                    None => continue,
                }
            }
            let came = self.came(left).await;
            let told = match came {
                Came::Frame(frame, arrived_at) => self.told(frame, arrived_at),
                Came::OfOld(frame) => self.told_by_old(frame),
                Came::Successor(attempted) => {
                    self.succeed(attempted);
                    None
                }
                Came::Renewed(renewed) => self.renewed(renewed),
                Came::Nothing => None,
            };
            if let Some(event) = told {
                return event;
            }
        }
    }

    async fn close(&mut self) {
        (self.successor, self.successor_failed, self.renewing) = (None, None, None);
        if let Some((mut old, _)) = self.old.take() {
            old.close().await;
        }
        if let Some(mut live) = self.live.take() {
            self.silent_since.get_or_insert((live.heard_at.saturating_add_ms(-VENUE.settle_lag_ms), live.heard));
            live.connection.close().await;
        }
    }
}
