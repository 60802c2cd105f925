//! Asking again: which failures of a read are worth it, and how long to wait before.
//!
//! Only reads are repeated. A command whose outcome is unknown may have taken effect, so it is never sent again.
//!
//! Invariants, each with a test of the same name:
//! 1. `delays_grow_and_are_spread_the_same_way_for_the_same_seed`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::ExchangeError;
use crate::transport::TransportError;

/// How often and after what delays a failed read is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most attempts, the first one included.
    pub attempts_max: u32,
    /// The longest delay before the second attempt; it doubles with each further one.
    pub delay_first: Duration,
    /// The longest delay at all.
    pub delay_max: Duration,
    /// When asked to slow down: the longest wait before asking again rather than giving up. A ban is never waited for.
    pub throttle_wait_max: Duration,
}

impl Default for RetryPolicy {
    /// Three attempts, half a second to four seconds apart; slowing down is waited for up to 65 s, a little more than the
    /// minute in which the exchange counts.
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl RetryPolicy {
    /// The default.
    pub const DEFAULT: Self = Self {
        attempts_max: 3,
        delay_first: Duration::from_millis(500),
        delay_max: Duration::from_secs(4),
        throttle_wait_max: Duration::from_secs(65),
    };

    /// No repetitions: every failure is told at once.
    pub const NEVER: Self = Self {
        attempts_max: 1,
        delay_first: Duration::ZERO,
        delay_max: Duration::ZERO,
        throttle_wait_max: Duration::ZERO,
    };

    /// The delay before an attempt (the second is 2): between half of and all that the policy allows, `random` says where.
    /// Spreading keeps many clients that failed together from coming back together.
    fn delay(&self, attempt: u32, random: u64) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(2));
        let longest = self.delay_first.saturating_mul(doubled).min(self.delay_max);
        let half_ms = u64::try_from(longest.as_millis() / 2).unwrap_or(u64::MAX);
        longest / 2 + Duration::from_millis(if half_ms == 0 { 0 } else { random % (half_ms + 1) })
    }
}

/// A policy with the generator that spreads its delays.
#[derive(Debug)]
pub(super) struct Retries {
    policy: RetryPolicy,
    random: AtomicU64,
}

impl Retries {
    pub(super) fn new(policy: RetryPolicy, seed: u64) -> Self {
        Self { policy, random: AtomicU64::new(seed) }
    }

    /// How long to wait before asking again after `error` ended the attempt of this number; `None` to give up. `wait` is
    /// how long the exchange asks to keep quiet.
    pub(super) fn next(&self, attempt: u32, error: &ExchangeError, wait: Option<Duration>) -> Option<Duration> {
        if attempt >= self.policy.attempts_max {
            return None;
        }
        match error {
            ExchangeError::Throttled { .. } => wait.filter(|wait| *wait <= self.policy.throttle_wait_max),
            error if worth_repeating(error) => Some(self.policy.delay(attempt + 1, self.random())),
            _ => None,
        }
    }

    /// The delay before an attempt under another policy, spread as all of them are.
    pub(super) fn delay(&self, policy: &RetryPolicy, attempt: u32) -> Duration {
        policy.delay(attempt, self.random())
    }

    /// `SplitMix64`, which needs no more than a counter. Nothing secret depends on it.
    fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut value = self.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }
}

/// Whether the same question may get a better answer: the network failed, or the exchange was in trouble.
fn worth_repeating(error: &ExchangeError) -> bool {
    match error {
        ExchangeError::AnswerLost { source, .. } => !matches!(source, TransportError::TooLarge { .. }),
        ExchangeError::Http { status, .. } => *status >= 500 || *status == 408,
        ExchangeError::Unreachable { .. }
        | ExchangeError::Overloaded { .. }
        | ExchangeError::OutcomeUnknown { .. }
        | ExchangeError::Unreadable { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_are_spread_the_same_way_for_the_same_seed() {
        let policy = RetryPolicy { attempts_max: 9, ..RetryPolicy::default() };
        let delays = |seed| {
            let retries = Retries::new(policy, seed);
            (2..9).map(|attempt| policy.delay(attempt, retries.random())).collect::<Vec<_>>()
        };
        assert_eq!(delays(7), delays(7));
        assert_ne!(delays(7), delays(8));
        for seed in 0..200 {
            for (delay, longest_ms) in delays(seed).into_iter().zip([500, 1_000, 2_000, 4_000, 4_000, 4_000, 4_000]) {
                let longest = Duration::from_millis(longest_ms);
                assert!(delay <= longest && delay >= longest / 2, "{delay:?} of {longest:?}");
            }
        }
        assert_eq!(RetryPolicy::NEVER.delay(2, u64::MAX), Duration::ZERO);
    }
}
