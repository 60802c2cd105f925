//! What is decided by taste or caution and not by the exchange: one place for every number.

use ledger_core::{Signal, TimestampMs};

use crate::record::client_id::ClientIdScheme;

/// A minute in milliseconds.
const MINUTE_MS: i64 = 60_000;
/// A day in milliseconds.
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// How long a ledger row that is demanded has to be missing before that is a discrepancy.
pub(crate) const DEMAND_WAIT_MS: i64 = 15 * MINUTE_MS;
/// In how many looks it has to be missing.
pub(crate) const DEMAND_LOOKS_MIN: u32 = 3;

/// Up to how many fills a book has for a look to ask for the ledger rows of all of them.
pub(crate) const DEMAND_FILLS_MAX: u64 = 50_000;

/// How reconciling looks and decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How far before its cursor every walk begins again: lists of orders have been seen to lag by hours.
    pub overlap_ms: i64,
    /// How many symbols that nothing points to are looked at in a cycle, those first that were not looked at the longest.
    pub quiet_symbols_per_cycle: usize,
    /// A quiet symbol is left alone when it was looked at less than this ago.
    pub quiet_again_after_ms: i64,
    /// A cursor that lags by less than this is not moved for its own sake, so that a cycle that finds nothing writes
    /// nothing.
    pub cursor_stride_ms: i64,
    /// What lies further back than this is history: it is caught up with piece by piece, each recorded before the next is
    /// read, so that a first look holds little in memory and goes on where it was stopped. What inferences wait for has
    /// to be younger.
    pub history_after_ms: i64,
    /// How many rows of a list are read of the history before what was read is recorded.
    pub history_rows_max: usize,
    /// A mark price is recorded with other news, or when the last on record is this old.
    pub price_stride_ms: i64,
    /// The funding rates of a contract that is held are asked for again after this long, or when a funding row names one.
    pub rate_stride_ms: i64,
    /// Ledger rows that nothing demands are asked for once more, each type by its own name, when so much time was confirmed
    /// since.
    pub by_type_stride_ms: i64,
    /// How many requests a cycle sends for that at most; the rest waits for the next one. There are some thirty types, and with
    /// all of them at once a look would use up its share of the minute.
    pub by_type_requests_max: usize,
    /// How many requests for funding rates a cycle sends at most; the rest waits for the next one.
    pub rate_requests_max: usize,
    /// How many requests for prices of the past a cycle sends at most; the rest waits for the next one.
    pub price_requests_max: usize,
    /// How many of the minutes with fees in other assets a cycle looks at, the latest first.
    pub unpriced_fees_max: u32,
    /// What the exchange says of a position that differs is recorded again when it was last this long ago, even if it
    /// says the same.
    pub position_stride_ms: i64,
    /// An order may have been created this long before its signal, by the exchange's clock.
    pub signal_window_before_ms: i64,
    /// And this long after it.
    pub signal_window_after_ms: i64,
    /// An order that was sent cannot turn up any more this long after its receive window closed.
    pub absence_grace_ms: i64,
    /// The same of a conditional order: the exchange has been seen to deny such orders for minutes after it took them.
    pub absence_grace_conditional_ms: i64,
    /// In how many cycles the exchange has to know nothing of an order before its absence is proven.
    pub absence_misses_min: u32,
    /// An order that ended without a fill vanishes from the exchange: absence proves nothing beyond this age.
    pub absence_age_max_ms: i64,
    /// How far the local clock may be off before it is told.
    pub skew_ms_max: i64,
    /// A stream whose cursor is older than this share of the venue's retention is about to lose history.
    pub expiring_percent: i64,
    /// How the account's bots word their client order ids. Orders of no scheme, without an intent, are foreign.
    pub schemes: Vec<ClientIdScheme>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            overlap_ms: 6 * 60 * MINUTE_MS,
            quiet_symbols_per_cycle: 2,
            quiet_again_after_ms: 30 * MINUTE_MS,
            cursor_stride_ms: 10 * MINUTE_MS,
            history_after_ms: 7 * DAY_MS,
            history_rows_max: 5_000,
            price_stride_ms: 60 * MINUTE_MS,
            rate_stride_ms: 60 * MINUTE_MS,
            by_type_stride_ms: DAY_MS,
            by_type_requests_max: 15,
            rate_requests_max: 40,
            price_requests_max: 20,
            unpriced_fees_max: 5_000,
            position_stride_ms: 60 * MINUTE_MS,
            signal_window_before_ms: 2_000,
            signal_window_after_ms: MINUTE_MS,
            absence_grace_ms: MINUTE_MS,
            absence_grace_conditional_ms: 10 * MINUTE_MS,
            absence_misses_min: 2,
            absence_age_max_ms: 3 * DAY_MS,
            skew_ms_max: 1_000,
            expiring_percent: 80,
            schemes: ClientIdScheme::own().into(),
        }
    }
}

impl Policy {
    /// When an order of this signal may have been created, by the exchange's clock.
    pub(crate) fn signal_window(&self, signal: &Signal) -> (TimestampMs, TimestampMs) {
        self.signal_window_around(signal.time.at.saturating_add_ms(-signal.skew_ms.unwrap_or(0)))
    }

    /// The same window around another instant.
    pub(crate) fn signal_window_around(&self, at: TimestampMs) -> (TimestampMs, TimestampMs) {
        (at.saturating_add_ms(-self.signal_window_before_ms), at.saturating_add_ms(self.signal_window_after_ms))
    }
}
