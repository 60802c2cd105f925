//! What a watcher says of itself, in the book, for whoever asks how it is.

use std::fmt;

use ledger_core::{FreshnessLimits, TimestampMs};
use serde::{Deserialize, Serialize};

/// The version of [`WatchState`] that is written.
const VERSION: u32 = 1;

/// What a stream's word is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamState {
    /// It has not stood yet.
    Connecting,
    /// It stands, and nothing that it told is confirmed.
    Unproven,
    /// It stands, and what it told is what the exchange answers.
    Confirmed,
    /// It stands, and the exchange answers something that it did not tell.
    Doubted,
    /// It is interrupted.
    Down,
}

impl StreamState {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Unproven => "connected, nothing confirmed yet",
            Self::Confirmed => "confirmed",
            Self::Doubted => "doubted",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a watcher says of itself. Times of what happened at the exchange are by its clock, all others by the local one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchState {
    version: u32,
    /// The stream.
    pub stream: StreamSummary,
    /// How long it took from the arrival of an event until it was durable: of half of the last thousand at most so long, in microseconds.
    pub delay_us_median: Option<u64>,
    /// The same of 99 of 100.
    pub delay_us_p99: Option<u64>,
    /// How many events were recorded.
    pub events: u64,
    /// How many events wait because the book cannot be written.
    pub waiting: usize,
    /// When positions and balances were last answered.
    pub looked_local: Option<TimestampMs>,
    /// The last full cycle that came to its end.
    pub cycle: Option<CycleSummary>,
    /// Whether it ended in the middle of a full cycle, on purpose.
    #[serde(default)]
    pub is_cut_short: bool,
    /// Why nothing is answered, and how often in a row.
    pub failure: Option<FailureSummary>,
    /// Why the book is not written, or not by everything that has something to write.
    #[serde(default)]
    pub book: Option<BookSummary>,
    /// The seconds between light looks, lists of orders, and full cycles.
    pub every_s: [u64; 3],
    /// By how much that is longer because several accounts share an address.
    pub stretch: u32,
    /// The weight of the requests of the last minute: ours.
    pub weight_1m_own: u64,
    /// The weight of the running minute at this address, everybody's, as the exchange said last.
    pub weight_1m: Option<u32>,
}

/// What a stream's word is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSummary {
    /// What it is worth.
    pub state: StreamState,
    /// Since when, by the exchange's clock.
    pub since: TimestampMs,
    /// Why it does not stand, where it never did and that lasts.
    #[serde(default)]
    pub trouble: Option<String>,
    /// The latest event, by the exchange's clock.
    pub last_event: Option<TimestampMs>,
    /// The latest event that an answer of the exchange confirmed, by the exchange's clock.
    pub confirmed_event: Option<TimestampMs>,
    /// How often it was interrupted.
    pub interruptions: u64,
}

/// A full cycle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CycleSummary {
    /// When it ended.
    pub ended_local: TimestampMs,
    /// How many there were.
    pub number: u64,
    /// What it repaired.
    pub repairs: usize,
    /// What is left on record.
    pub left: usize,
}

/// Why nothing is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureSummary {
    /// Since when.
    pub since_local: TimestampMs,
    /// How often.
    pub attempts: u32,
    /// Why.
    pub reason: String,
    /// Until when the exchange answers nobody at this address, by its clock, where it says so.
    #[serde(default)]
    pub banned_until: Option<TimestampMs>,
}

/// Why the book is not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookSummary {
    /// Since when.
    pub since_local: TimestampMs,
    /// Why, as it was told.
    pub reason: String,
}

impl WatchState {
    pub(crate) fn new(stream: StreamSummary) -> Self {
        Self {
            version: VERSION,
            stream,
            delay_us_median: None,
            delay_us_p99: None,
            events: 0,
            waiting: 0,
            looked_local: None,
            cycle: None,
            is_cut_short: false,
            failure: None,
            book: None,
            every_s: [0; 3],
            stretch: 1,
            weight_1m_own: 0,
            weight_1m: None,
        }
    }

    /// As the book keeps it.
    pub(crate) fn to_json(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// How recently the exchange has to have been asked for what a fill or ledger row has overtaken: while a confirmed stream
    /// tells what happens, as often as everything is read anyway, and a minute.
    #[must_use]
    pub fn limits(&self, limits: FreshnessLimits) -> FreshnessLimits {
        if self.stream.state != StreamState::Confirmed {
            return limits;
        }
        let every_s = self.every_s.into_iter().max().unwrap_or(0);
        let every_ms = i64::try_from(every_s).unwrap_or(i64::MAX).saturating_mul(1_000).saturating_add(60_000);
        FreshnessLimits { overtaken_ms: limits.overtaken_ms.max(every_ms), ..limits }
    }

    /// Reads what a watcher wrote; `None` for that of another version.
    pub fn parse(json: &str) -> Option<Self> {
        serde_json::from_str::<Self>(json).ok().filter(|state| state.version == VERSION)
    }
}
