//! How many orders may still be sent: the exchange counts those of an account in every ten seconds and every minute of
//! its clock, and bans who goes on beyond the limit.
//!
//! What is counted here is what was sent from here and what the exchange states in its answers, whichever is more: others
//! may trade on the same account. An order that would be too many is refused and never delayed: its price is of now.
//!
//! Invariants, each with a test of the same name:
//! 1. `the_last_order_of_a_stretch_goes_out_and_the_next_does_not`.
//! 2. `what_the_exchange_states_counts_too`, but never lowers a count within its stretch.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ledger_core::TimestampMs;
use tokio::time::Instant;

use super::gate::is_in_stretch_of;
use crate::venue::{MINUTE_MS, OrderLimits};

const TEN_SECONDS_MS: i64 = 10_000;

/// A count within a stretch of the exchange's clock.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    length_ms: i64,
    max: u32,
    index: i64,
    /// By tokio's clock: a simulation may stop the exchange's.
    ends: Option<Instant>,
    count: u32,
}

impl Stretch {
    fn new(length_ms: i64, max: u32) -> Self {
        Self { length_ms, max, index: 0, ends: None, count: 0 }
    }

    /// Begins anew when the last stretch is over.
    fn follow(&mut self, server_now: TimestampMs) {
        let index = server_now.as_ms().div_euclid(self.length_ms);
        let now = Instant::now();
        if self.index != index || self.ends.is_none_or(|ends| ends <= now) {
            let ends = now + Duration::from_millis(self.left_ms(server_now).unsigned_abs());
            (self.index, self.ends, self.count) = (index, Some(ends), 0);
        }
    }

    fn left_ms(&self, server_now: TimestampMs) -> i64 {
        self.length_ms - server_now.as_ms().rem_euclid(self.length_ms)
    }

    fn state(&mut self, count: Option<u32>, sent_at: TimestampMs, server_now: TimestampMs) {
        if let Some(count) = count.filter(|_| is_in_stretch_of(self.length_ms, sent_at, server_now)) {
            self.follow(server_now);
            self.count = self.count.max(count);
        }
    }
}

/// Keeps an account's counts of orders.
#[derive(Debug)]
pub(super) struct OrderBudget(Option<Mutex<[Stretch; 2]>>);

impl OrderBudget {
    /// Without limits everything goes out.
    pub(super) fn new(limits: Option<OrderLimits>) -> Self {
        Self(limits.map(|limits| {
            Mutex::new([Stretch::new(TEN_SECONDS_MS, limits.per_10s_max), Stretch::new(MINUTE_MS, limits.per_1m_max)])
        }))
    }

    /// Counts an order that is about to be sent, or answers in how many ms one may be.
    pub(super) fn admit(&self, server_now: TimestampMs) -> Result<(), i64> {
        let Some(mut stretches) = self.stretches() else { return Ok(()) };
        for stretch in stretches.iter_mut() {
            stretch.follow(server_now);
        }
        let full = stretches.iter().filter(|stretch| stretch.count >= stretch.max);
        if let Some(wait_ms) = full.map(|stretch| stretch.left_ms(server_now)).max() {
            return Err(wait_ms);
        }
        for stretch in stretches.iter_mut() {
            stretch.count = stretch.count.saturating_add(1);
        }
        Ok(())
    }

    /// The exchange said how many orders it has counted, in the answer to a request that was sent at `sent_at`.
    pub(super) fn stated(
        &self,
        in_10s: Option<u32>,
        in_1m: Option<u32>,
        sent_at: TimestampMs,
        server_now: TimestampMs,
    ) {
        let Some(mut stretches) = self.stretches() else { return };
        for (stretch, count) in stretches.iter_mut().zip([in_10s, in_1m]) {
            stretch.state(count, sent_at, server_now);
        }
    }

    fn stretches(&self) -> Option<MutexGuard<'_, [Stretch; 2]>> {
        // Nothing in here panics while it holds the lock.
        self.0.as_ref().map(|stretches| stretches.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two seconds into a minute.
    const START_MS: i64 = 1_780_000_000_000 - 1_780_000_000_000 % MINUTE_MS + 2_000;

    fn at(ms: i64) -> TimestampMs {
        TimestampMs::new(START_MS + ms).unwrap()
    }

    fn budget() -> OrderBudget {
        OrderBudget::new(Some(OrderLimits { per_10s_max: 3, per_1m_max: 5 }))
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_order_of_a_stretch_goes_out_and_the_next_does_not() {
        let budget = budget();
        let sent: Vec<_> = (0..4).map(|_| budget.admit(at(0))).collect();
        assert_eq!(sent, [Ok(()), Ok(()), Ok(()), Err(8_000)]);
        // What was refused was not counted.
        let sent: Vec<_> = (0..3).map(|_| budget.admit(at(8_000))).collect();
        assert_eq!(sent, [Ok(()), Ok(()), Err(50_000)]);
        assert_eq!(budget.admit(at(57_999)), Err(1));
        assert_eq!(budget.admit(at(58_000)), Ok(()));
        // A clock that stands still does not close for good.
        for _ in 0..2 {
            assert_eq!(budget.admit(at(58_000)), Ok(()));
        }
        assert_eq!(budget.admit(at(58_000)), Err(10_000));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(budget.admit(at(58_000)), Ok(()));
        let unlimited = OrderBudget::new(None);
        assert!((0..10_000).all(|_| unlimited.admit(at(0)).is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_exchange_states_counts_too() {
        let budget = budget();
        budget.stated(Some(2), Some(4), at(0), at(10));
        budget.stated(Some(1), Some(1), at(0), at(20));
        assert_eq!(budget.admit(at(20)), Ok(()));
        assert_eq!(budget.admit(at(20)), Err(57_980));
        // Answers around the edge of a stretch say nothing: nobody knows which one they are about.
        let budget = self::budget();
        budget.stated(Some(3), None, at(7_900), at(8_100));
        budget.stated(Some(3), None, at(8_100), at(8_200));
        assert_eq!(budget.admit(at(8_300)), Ok(()));
        budget.stated(Some(3), None, at(9_100), at(9_200));
        assert_eq!(budget.admit(at(9_200)), Err(8_800));
    }
}
