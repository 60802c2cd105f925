//! When a request may be sent: never while the exchange asks to keep quiet, and within our share of its budget.
//!
//! The exchange counts the weight of all requests from an address in each minute of its clock, and a trading bot
//! shares the address. So reads keep to a share of the minute, and wait for the next one when others have nearly used
//! it up; what trades never waits, but counts.
//!
//! The minute is the exchange's, by the measured clock. It ends when that clock says so or when as much time has
//! passed on tokio's: a simulation may stop either of them, and neither must hold a request for ever.
//!
//! Invariants, each with a test of the same name:
//! 1. `reads_keep_to_their_share_of_a_minute`.
//! 2. `what_others_use_counts_too`.
//! 3. `a_request_heavier_than_the_share_goes_out_alone`.
//! 4. `the_stricter_of_two_budgets_holds_for_both`.
//! 5. `a_statement_never_lowers_a_minute_and_tells_nothing_at_its_edge`: answers overtake each other.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ledger_core::TimestampMs;
use tokio::time::Instant;

use super::shutter::Shutter;
use crate::venue::MINUTE_MS;

/// How much of the venue's weight reads may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestBudget {
    /// The share of a minute's weight that this adapter's reads use at most, in percent.
    pub own_percent: u16,
    /// The share at which reads wait whoever has used it, in percent: what is left is for whoever trades.
    pub total_percent: u16,
}

impl Default for RequestBudget {
    /// 40 % of our own, and waiting once everybody together has used 85 %.
    fn default() -> Self {
        Self { own_percent: 40, total_percent: 85 }
    }
}

impl RequestBudget {
    /// All that the venue allows: for an address that nobody shares.
    pub const FULL: Self = Self { own_percent: 100, total_percent: 100 };
    /// No waiting: for a simulated exchange whose clock is stepped, or whose limits are being tried.
    pub const UNLIMITED: Self = Self { own_percent: u16::MAX, total_percent: u16::MAX };
}

#[derive(Debug, Clone, Copy)]
struct Minute {
    /// Which minute of the exchange's clock.
    index: i64,
    ends: Instant,
    /// The weight of our reads.
    own: u32,
    /// The most weight that the exchange stated, or more by what was sent since.
    total: u32,
}

/// Keeps the counts of an address, and whether it may send at all.
#[derive(Debug)]
pub(super) struct Gate {
    /// Closed for everything from this address.
    pub(super) shutter: Shutter,
    /// Closed for reads from this address, which a firewall has turned away.
    pub(super) firewall: Shutter,
    minute: Mutex<Option<Minute>>,
    own_max: AtomicU32,
    total_max: AtomicU32,
}

/// How much weight a budget allows to us, and to everybody.
fn shares(budget: RequestBudget, weight_1m_max: u32) -> (u32, u32) {
    let share = |percent: u16| weight_1m_max.saturating_mul(u32::from(percent)) / 100;
    (share(budget.own_percent), share(budget.total_percent))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here panics while it holds the lock, and counts that are a little off would do no harm.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    pub(super) fn new(budget: RequestBudget, weight_1m_max: u32) -> Self {
        let (own_max, total_max) = shares(budget, weight_1m_max);
        Self {
            shutter: Shutter::default(),
            firewall: Shutter::default(),
            minute: Mutex::default(),
            own_max: AtomicU32::new(own_max),
            total_max: AtomicU32::new(total_max),
        }
    }

    /// Somebody else asks from the same address: what is stricter holds for all.
    pub(super) fn tighten(&self, budget: RequestBudget, weight_1m_max: u32) {
        let (own_max, total_max) = shares(budget, weight_1m_max);
        self.own_max.fetch_min(own_max, Ordering::Relaxed);
        self.total_max.fetch_min(total_max, Ordering::Relaxed);
    }

    /// Counts a request that is sent whatever the budget says.
    pub(super) fn count(&self, weight: u32, server_now: TimestampMs) {
        let mut minute = locked(&self.minute);
        let minute = running(&mut minute, server_now);
        minute.total = minute.total.saturating_add(weight);
    }

    /// Counts a read, unless it has to wait until the answered instant.
    pub(super) fn admit(&self, weight: u32, server_now: TimestampMs) -> Result<(), Instant> {
        let mut minute = locked(&self.minute);
        let minute = running(&mut minute, server_now);
        let (own, total) = (minute.own.saturating_add(weight), minute.total.saturating_add(weight));
        // One that is too heavy for a share goes out first of all in a minute, or it never would.
        let (own_max, total_max) = (self.own_max.load(Ordering::Relaxed), self.total_max.load(Ordering::Relaxed));
        let over_own = own > own_max && minute.own > 0;
        let over_total = total > total_max && (minute.own > 0 || (minute.total > 0 && weight <= total_max));
        if over_own || over_total {
            return Err(minute.ends);
        }
        (minute.own, minute.total) = (own, total);
        Ok(())
    }

    /// The exchange said how much was used in its minute, in the answer to a request that was sent at `sent_at`. A
    /// minute's total only grows, so of two answers that overtook each other the higher one is the later.
    pub(super) fn stated(&self, used: u32, sent_at: TimestampMs, server_now: TimestampMs) {
        if is_in_stretch_of(MINUTE_MS, sent_at, server_now) {
            let mut minute = locked(&self.minute);
            let minute = running(&mut minute, server_now);
            minute.total = minute.total.max(used);
        }
    }
}

/// How long after the beginning of a stretch an answer may still be about the one before: our idea of the exchange's clock
/// is off by a part of the time that a measurement took.
const EDGE_MS: i64 = 1_000;

/// Whether what the exchange counts in stretches of `length_ms`, and said in the answer to a request that was sent at
/// `sent_at`, is about the stretch that `server_now` is in. Nobody knows when another one has begun in between, or just
/// before; the next answer will tell.
pub(super) fn is_in_stretch_of(length_ms: i64, sent_at: TimestampMs, server_now: TimestampMs) -> bool {
    let same = sent_at.as_ms().div_euclid(length_ms) == server_now.as_ms().div_euclid(length_ms);
    same && sent_at.as_ms().rem_euclid(length_ms) >= EDGE_MS
}

fn minute_of(at: TimestampMs) -> i64 {
    at.as_ms().div_euclid(MINUTE_MS)
}

/// The minute that is running, a new one if the last is over.
fn running(minute: &mut Option<Minute>, server_now: TimestampMs) -> &mut Minute {
    let index = minute_of(server_now);
    let now = Instant::now();
    if minute.is_some_and(|minute| minute.index != index || minute.ends <= now) {
        *minute = None;
    }
    minute.get_or_insert_with(|| {
        let left_ms = MINUTE_MS - server_now.as_ms().rem_euclid(MINUTE_MS);
        let ends = now + Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        Minute { index, ends, own: 0, total: 0 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten seconds into a minute.
    const START_MS: i64 = 1_780_000_000_000 - 1_780_000_000_000 % MINUTE_MS + 10_000;

    fn at(seconds: i64) -> TimestampMs {
        TimestampMs::new(START_MS + seconds * 1_000).unwrap()
    }

    fn wait(gate: &Gate, weight: u32, seconds: i64) -> Option<u64> {
        gate.admit(weight, at(seconds)).err().map(|until| (until - Instant::now()).as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn reads_keep_to_their_share_of_a_minute() {
        let gate = Gate::new(RequestBudget { own_percent: 40, total_percent: 85 }, 100);
        assert_eq!(wait(&gate, 30, 0), None);
        assert_eq!(wait(&gate, 10, 0), None);
        assert_eq!(wait(&gate, 1, 0), Some(50));
        // The next minute, by the exchange's clock ...
        assert_eq!(wait(&gate, 40, 50), None);
        assert_eq!(wait(&gate, 1, 50), Some(60));
        // ... or because that much time has passed although its clock stands still.
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(wait(&gate, 40, 50), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_stricter_of_two_budgets_holds_for_both() {
        let gate = Gate::new(RequestBudget { own_percent: 40, total_percent: 50 }, 100);
        gate.tighten(RequestBudget { own_percent: 20, total_percent: 85 }, 100);
        assert_eq!(wait(&gate, 20, 0), None);
        assert_eq!(wait(&gate, 1, 0), Some(50));
        gate.count(45, at(50));
        assert_eq!(wait(&gate, 5, 50), None);
        assert_eq!(wait(&gate, 1, 50), Some(60));
        // A looser one changes nothing.
        gate.tighten(RequestBudget::UNLIMITED, 100);
        assert_eq!(wait(&gate, 1, 50), Some(60));
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_use_counts_too() {
        let gate = Gate::new(RequestBudget { own_percent: 40, total_percent: 85 }, 100);
        gate.stated(80, at(0), at(0));
        assert_eq!(wait(&gate, 5, 0), None);
        assert_eq!(wait(&gate, 1, 0), Some(50));
        gate.count(10, at(50));
        gate.count(70, at(50));
        assert_eq!(wait(&gate, 6, 50), Some(60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_statement_never_lowers_a_minute_and_tells_nothing_at_its_edge() {
        let gate = Gate::new(RequestBudget { own_percent: 40, total_percent: 85 }, 100);
        // The second answer overtook the first.
        gate.stated(80, at(0), at(1));
        gate.stated(20, at(0), at(1));
        assert_eq!(wait(&gate, 6, 1), Some(49));
        // On its way from one minute into the next, or sent when the next had just begun: it may be the last one's.
        gate.stated(100, at(49), at(50));
        gate.stated(100, at(50), at(51));
        assert_eq!(wait(&gate, 6, 52), None);
        gate.stated(80, at(52), at(53));
        // The minute was first noticed two seconds after it had begun.
        assert_eq!(wait(&gate, 6, 53), Some(58));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_heavier_than_the_share_goes_out_alone() {
        let gate = Gate::new(RequestBudget { own_percent: 1, total_percent: 2 }, 1_000);
        assert_eq!(wait(&gate, 50, 0), None);
        assert_eq!(wait(&gate, 50, 0), Some(50));
        assert_eq!(wait(&gate, 50, 50), None);
    }
}
