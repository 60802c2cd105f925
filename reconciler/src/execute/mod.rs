//! Sending orders for a bot, each recorded by itself: entries and additions at most once, exits until flat.
//!
//! Invariants, each with a test of the same name (in `tests` and in the crate's integration tests):
//! 1. `an_entry_is_written_down_before_it_is_sent`, and is not sent where it cannot be.
//! 2. `an_entry_is_sent_at_most_once`, whenever the process dies and whoever asks again: the rule stands in [`attempts`].
//! 3. `a_close_goes_on_until_the_position_is_flat`, by orders that can only close, and never holds more than a position's worth.
//! 4. `a_close_waits_for_a_verdict_two_seconds_at_most`, and then sends the next attempt.
//! 5. `a_book_that_cannot_be_written_stops_no_close`, and the report says what is not on record.
//! 6. `every_listed_order_is_cancelled_and_confirmed`, of the class that was asked for alone.
//! 7. `an_addition_is_made_once_a_step`, under its condition.
//! 8. `a_stop_rests_at_every_moment`, whenever the process dies; what rests as wanted is not placed again, and nobody else's is
//!    touched.
//! 9. `a_wallet_is_recorded_after_a_close_where_the_book_leads_to_it`, and nothing that the exchange says of it stops or delays
//!    a close.

mod announcing;
mod attempts;
mod cancelling;
mod dca;
mod desk;
mod entries;
mod exits;
mod outcome;
mod protecting;
mod request;
pub(crate) mod rounding;
#[cfg(test)]
mod tests;
mod venue;
mod wallet;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::{ExchangeReader, ExchangeTrader};
use ledger_core::{Direction, FreshnessLimits, IntentRole, OrderClass, Price, Side};
use tokio::sync::Mutex;

use self::desk::Desk;
use self::entries::Opens;
pub use self::outcome::{
    AttemptVerdict, BalanceRemark, CancelReport, CancelVerdict, CancelledOrder, CloseAttempt, CloseEnd, CloseReport,
    DcaOutcome, EntryOutcome, ExecuteError, NotNeeded, SentOrder, StopEnd, StopReport,
};
pub use self::request::{CancelRequest, Cause, CloseRequest, DcaBasis, DcaRequest, EntryRequest, StopRequest};
pub use self::rounding::Unsendable;
use self::venue::Venue;
use crate::record::Recorder;

/// How long an executor waits for what, and how often it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutorSettings {
    /// How long the next attempt to close waits for what became of the one before, and how long a close waits for the
    /// exchange to say what is held.
    pub verdict_wait: Duration,
    /// How long a question may take that comes before an entry or a cancellation, and how long an entry waits to be written
    /// down.
    pub question_wait: Duration,
    /// How long a close waits for the book to take a record.
    pub book_wait: Duration,
    /// How often the exchange is asked for an order or position that it did not tell of.
    pub ask_every: Duration,
    /// How long a close waits after a first attempt that closed nothing; twice as long after each further one.
    pub backoff_first: Duration,
    /// How long it waits between two attempts at most.
    pub backoff_max: Duration,
    /// After how many attempts in a row that closed nothing a close answers that it is still open. To go on, ask again.
    pub attempts_max: u32,
}

impl Default for ExecutorSettings {
    fn default() -> Self {
        Self {
            verdict_wait: Duration::from_secs(2),
            question_wait: Duration::from_secs(10),
            book_wait: Duration::from_secs(1),
            ask_every: Duration::from_millis(250),
            backoff_first: Duration::from_millis(250),
            backoff_max: Duration::from_secs(5),
            attempts_max: 12,
        }
    }
}

/// Sends orders for a bot and records them. Cheap to clone; clones are one executor. Needs a tokio runtime with a timer.
///
/// Quantities and limit prices are rounded to what the exchange takes, never to the disadvantage of who asked: quantities
/// down, the limit of a purchase down and that of a sale up. Orders are of one-way or hedge mode as the account is.
#[derive(Clone)]
pub struct Executor {
    desk: Desk,
    venue: Venue,
    settings: ExecutorSettings,
    /// Held from the look at the gate until an entry is written down.
    entering: Arc<Mutex<()>>,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Executor {
    /// An executor that records with `recorder`, and trades for the same account by `trader`.
    pub fn new(recorder: Recorder, trader: Arc<dyn ExchangeTrader>, reader: Arc<dyn ExchangeReader>) -> Self {
        let venue = Venue::new(trader, reader, Arc::clone(recorder.clock()));
        Self { desk: Desk::new(recorder), venue, settings: ExecutorSettings::default(), entering: Arc::default() }
    }

    /// The same, with other patience.
    #[must_use]
    pub fn with_settings(mut self, settings: ExecutorSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The same, with the file in which events wait that could not be recorded: while there are any, no entry is made.
    #[must_use]
    pub fn with_spool(mut self, spool: PathBuf) -> Self {
        self.desk.set_spool(spool);
        self
    }

    /// The same, with how recently the exchange has to have been looked at for an entry, where the account is one that is
    /// looked at.
    #[must_use]
    pub fn with_freshness(mut self, limits: FreshnessLimits) -> Self {
        self.desk.set_freshness(limits);
        self
    }

    /// Asks the exchange now for what stays as it is for a while, so that the first order does not wait for it: contracts'
    /// filters and the position mode.
    ///
    /// # Errors
    /// [`ExecuteError::Exchange`] and [`ExecuteError::Slow`]: then the first order asks again.
    pub async fn prepare(&self) -> Result<(), ExecuteError> {
        self.venue.mode(self.settings.question_wait).await?;
        self.venue.load_filters(self.settings.question_wait).await
    }

    /// Opens a long position at the market.
    ///
    /// # Errors
    /// [`ExecuteError`]; nothing was sent then. The same holds for every entry and addition here.
    pub async fn long_market(&self, request: &EntryRequest) -> Result<EntryOutcome, ExecuteError> {
        self.enter(request, entry(Direction::Long, None)).await
    }

    /// Opens a short position at the market.
    ///
    /// # Errors
    /// [`ExecuteError`].
    pub async fn short_market(&self, request: &EntryRequest) -> Result<EntryOutcome, ExecuteError> {
        self.enter(request, entry(Direction::Short, None)).await
    }

    /// Opens a long position by a limit order that rests until it is cancelled.
    ///
    /// # Errors
    /// [`ExecuteError`].
    pub async fn long_limit(&self, request: &EntryRequest, price: Price) -> Result<EntryOutcome, ExecuteError> {
        self.enter(request, entry(Direction::Long, Some(price))).await
    }

    /// Opens a short position by a limit order that rests until it is cancelled.
    ///
    /// # Errors
    /// [`ExecuteError`].
    pub async fn short_limit(&self, request: &EntryRequest, price: Price) -> Result<EntryOutcome, ExecuteError> {
        self.enter(request, entry(Direction::Short, Some(price))).await
    }

    /// Closes the long position at the market, until the exchange says that nothing is held. Needs no book. What is larger
    /// than one order may be is closed by several.
    pub async fn close_long_market(&self, request: &CloseRequest) -> CloseReport {
        self.close(request, Direction::Long).await
    }

    /// Closes the short position at the market, as [`close_long_market`](Self::close_long_market) does the long one.
    pub async fn close_short_market(&self, request: &CloseRequest) -> CloseReport {
        self.close(request, Direction::Short).await
    }

    /// Sees that a stop rests at the exchange for the long position, and that it is the only one of ours: what rests as wanted
    /// stays, and a new one is placed before an earlier one is cancelled. Needs no book.
    pub async fn protect_long(&self, request: &StopRequest) -> StopReport {
        self.protect(request, Direction::Long).await
    }

    /// The same for the short position.
    pub async fn protect_short(&self, request: &StopRequest) -> StopReport {
        self.protect(request, Direction::Short).await
    }

    /// Cancels the working regular orders of a contract, whoever placed them. Conditional ones stay.
    ///
    /// # Errors
    /// [`ExecuteError`] where they cannot be listed; nothing was cancelled then. The same holds for all that cancels.
    pub async fn cancel_open_orders(&self, request: &CancelRequest) -> Result<CancelReport, ExecuteError> {
        self.cancel_listed(request, |order| order.key.class == OrderClass::Regular).await
    }

    /// Cancels the waiting conditional orders of a contract (stops, take-profits, trailing stops), whoever placed them.
    /// Regular ones stay.
    ///
    /// # Errors
    /// [`ExecuteError`].
    pub async fn cancel_stop_orders(&self, request: &CancelRequest) -> Result<CancelReport, ExecuteError> {
        self.cancel_listed(request, |order| order.key.class == OrderClass::Conditional).await
    }

    /// Cancels the waiting conditional orders of a contract that would trade on `side`.
    ///
    /// # Errors
    /// [`ExecuteError`].
    pub async fn cancel_conditional_by_side(
        &self,
        request: &CancelRequest,
        side: Side,
    ) -> Result<CancelReport, ExecuteError> {
        let wanted = |order: &ledger_core::Order| order.key.class == OrderClass::Conditional && order.side == side;
        self.cancel_listed(request, wanted).await
    }

    /// Adds to a long position where the mark price has fallen far enough, once a step.
    ///
    /// # Errors
    /// [`ExecuteError`].
    pub async fn dca_long_if_needed(&self, request: &DcaRequest) -> Result<DcaOutcome, ExecuteError> {
        self.add_if_needed(request, Direction::Long).await
    }

    /// Adds to a short position where the mark price has risen far enough, once a step.
    ///
    /// # Errors
    /// [`ExecuteError`].
    pub async fn dca_short_if_needed(&self, request: &DcaRequest) -> Result<DcaOutcome, ExecuteError> {
        self.add_if_needed(request, Direction::Short).await
    }
}

fn entry(direction: Direction, limit: Option<Price>) -> Opens {
    Opens { direction, role: IntentRole::Entry, step: 0, limit }
}
