//! Questions about funding rates: the exchange counts them apart from all weight, so many in any five minutes from one
//! address, together with those of `fundingInfo`.
//!
//! Invariants, each with a test of the same name:
//! 1. `questions_about_funding_keep_to_their_share_of_any_five_minutes`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ledger_core::TimestampMs;
use tokio::time::Instant;

use super::gate::RequestBudget;
use crate::venue::MINUTE_MS;

const STRETCH_MS: i64 = 5 * MINUTE_MS;
const STRETCH: Duration = Duration::from_mins(5);

/// When the questions of the last five minutes were asked, by both clocks.
#[derive(Debug)]
pub(super) struct FundingBudget {
    asked: Mutex<VecDeque<(TimestampMs, Instant)>>,
    max: AtomicUsize,
}

/// How many questions a budget allows us, at least one.
fn share(budget: RequestBudget, requests_5m_max: u32) -> usize {
    let share = u64::from(requests_5m_max) * u64::from(budget.own_percent) / 100;
    usize::try_from(share).unwrap_or(usize::MAX).max(1)
}

impl FundingBudget {
    pub(super) fn new(budget: RequestBudget, requests_5m_max: u32) -> Self {
        Self { asked: Mutex::default(), max: AtomicUsize::new(share(budget, requests_5m_max)) }
    }

    /// Somebody else asks from the same address: what is stricter holds for all.
    pub(super) fn tighten(&self, budget: RequestBudget, requests_5m_max: u32) {
        self.max.fetch_min(share(budget, requests_5m_max), Ordering::Relaxed);
    }

    /// Counts a question, unless it has to wait until the answered instant. Five minutes are over when the exchange's clock
    /// or tokio's says so: a simulation may stop either.
    pub(super) fn admit(&self, server_now: TimestampMs) -> Result<(), Instant> {
        // Nothing in here panics while it holds the lock.
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_over = |(at, instant): &(TimestampMs, Instant)| {
            at.saturating_add_ms(STRETCH_MS) <= server_now || *instant + STRETCH <= now
        };
        while asked.front().is_some_and(is_over) {
            asked.pop_front();
        }
        if asked.len() < self.max.load(Ordering::Relaxed) {
            asked.push_back((server_now, now));
            return Ok(());
        }
        Err(asked.front().map_or(now, |(_, instant)| *instant + STRETCH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> TimestampMs {
        TimestampMs::new(1_780_000_000_000 + seconds * 1_000).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn questions_about_funding_keep_to_their_share_of_any_five_minutes() {
        let budget = RequestBudget { own_percent: 40, total_percent: 85 };
        let funding = FundingBudget::new(budget, 5);
        let wait = |seconds| funding.admit(at(seconds)).err().map(|until| (until - Instant::now()).as_secs());
        // Two fifths of five, across any edge of the clock.
        assert_eq!((wait(0), wait(200)), (None, None));
        assert_eq!(wait(299), Some(300));
        // The first is five minutes ago by the exchange's clock, the second is not.
        assert_eq!((wait(300), wait(301)), (None, Some(300)));
        // By tokio's clock both are.
        tokio::time::advance(STRETCH).await;
        assert_eq!((wait(301), wait(301), wait(301)), (None, None, Some(300)));
        // Who asks from the same address with less to spend binds both; one question is always allowed.
        funding.tighten(RequestBudget { own_percent: 1, total_percent: 1 }, 5);
        tokio::time::advance(STRETCH).await;
        assert_eq!((wait(301), wait(301)), (None, Some(300)));
        funding.tighten(RequestBudget::UNLIMITED, 5);
        assert_eq!(wait(301), Some(300));
    }
}
