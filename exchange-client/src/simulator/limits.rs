//! How much may be asked: request weight per minute and address, orders per ten seconds and per minute and account.
//!
//! Who goes on after a 429 is banned with a 418, each time for longer.

use std::collections::BTreeMap;

use super::SimulatorConfig;
use super::refusal::Refusal;

const MINUTE_MS: i64 = 60_000;
const TEN_SECONDS_MS: i64 = 10_000;
/// How many questions about funding may be asked in five minutes.
const FUNDING_MAX: u32 = 500;
const FUNDING_MS: i64 = 5 * MINUTE_MS;
/// How many requests may follow a 429 before a ban.
const IGNORED_MAX: u32 = 10;
const BAN_MS_MIN: i64 = 2 * MINUTE_MS;
const BAN_MS_MAX: i64 = 3 * 24 * 60 * MINUTE_MS;

/// A no, and after how many seconds to come back.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) refusal: Refusal,
    pub(super) seconds: i64,
}

/// Counts what happens in a stretch of time.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    stretch: i64,
    count: u32,
}

impl Counter {
    /// The count of the stretch of `length_ms` that `now_ms` is in, after adding.
    fn add(&mut self, now_ms: i64, length_ms: i64, more: u32) -> u32 {
        let stretch = now_ms.div_euclid(length_ms);
        if stretch != self.stretch {
            *self = Self { stretch, count: 0 };
        }
        self.count = self.count.saturating_add(more);
        self.count
    }
}

/// The counts of all that is limited.
#[derive(Debug, Clone, Default)]
pub(super) struct Limits {
    weight: Counter,
    funding: Counter,
    ignored: u32,
    bans: u32,
    banned_until_ms: i64,
    /// By account: in ten seconds, in a minute.
    orders: BTreeMap<usize, (Counter, Counter)>,
}

impl Limits {
    /// Counts a question about funding, unless it is one too many in five minutes.
    pub(super) fn count_funding(&mut self, now_ms: i64) -> Result<(), Wait> {
        if self.funding.add(now_ms, FUNDING_MS, 1) <= FUNDING_MAX {
            return Ok(());
        }
        let seconds = (FUNDING_MS - now_ms.rem_euclid(FUNDING_MS)) / 1_000 + 1;
        Err(Wait { refusal: Refusal::too_many_requests(FUNDING_MAX), seconds })
    }

    /// Charges a request's weight; answers what is used up in this minute, and whether it is too much.
    pub(super) fn charge(&mut self, now_ms: i64, weight: u32, max: Option<u32>) -> (u32, Result<(), Wait>) {
        let used = self.weight.add(now_ms, MINUTE_MS, weight);
        if now_ms < self.banned_until_ms {
            return (used, Err(self.ban(now_ms)));
        }
        let Some(max) = max.filter(|max| used > *max) else {
            self.ignored = 0;
            return (used, Ok(()));
        };
        self.ignored += 1;
        if self.ignored > IGNORED_MAX {
            let length_ms = BAN_MS_MIN.saturating_mul(1 << self.bans.min(11)).min(BAN_MS_MAX);
            self.bans += 1;
            self.ignored = 0;
            self.banned_until_ms = now_ms.saturating_add(length_ms);
            return (used, Err(self.ban(now_ms)));
        }
        let wait_ms = (now_ms.div_euclid(MINUTE_MS) + 1) * MINUTE_MS - now_ms;
        (used, Err(Wait { refusal: Refusal::too_many_requests(max), seconds: wait_ms / 1_000 + 1 }))
    }

    fn ban(&self, now_ms: i64) -> Wait {
        Wait { refusal: Refusal::banned(self.banned_until_ms), seconds: (self.banned_until_ms - now_ms) / 1_000 + 1 }
    }

    /// Counts a request for orders; answers the counts of ten seconds and a minute, and whether they are too high.
    pub(super) fn count_orders(
        &mut self,
        now_ms: i64,
        account: usize,
        orders: u32,
        config: &SimulatorConfig,
    ) -> ((u32, u32), Result<(), Refusal>) {
        let (ten_seconds, minute) = self.orders.entry(account).or_default();
        let counts = (ten_seconds.add(now_ms, TEN_SECONDS_MS, orders), minute.add(now_ms, MINUTE_MS, 1));
        let result = if let Some(max) = config.orders_10s_max.filter(|max| counts.0 > *max) {
            Err(Refusal::too_many_orders(max, "10 SECOND"))
        } else if let Some(max) = config.orders_1m_max.filter(|max| counts.1 > *max) {
            Err(Refusal::too_many_orders(max, "1 MINUTE"))
        } else {
            Ok(())
        };
        (counts, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ignores_a_429_is_banned_for_longer_each_time() {
        let mut limits = Limits::default();
        let mut ask = |now_ms| {
            let (_, result) = limits.charge(now_ms, 60, Some(100));
            result.map_err(|wait| (wait.refusal.status, wait.seconds))
        };
        assert_eq!(ask(5_000), Ok(()));
        for _ in 0..10 {
            assert_eq!(ask(5_000), Err((429, 56)));
        }
        assert_eq!(ask(5_000), Err((418, 121)));
        assert_eq!(ask(65_000), Err((418, 61)));
        assert_eq!(ask(125_001), Ok(()));
        for _ in 0..10 {
            assert_eq!(ask(125_001), Err((429, 55)));
        }
        assert_eq!(ask(125_001), Err((418, 241)));
    }
}
