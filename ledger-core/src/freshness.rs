//! How old what the exchange said may be, and when it no longer says how things are.
//!
//! What the exchange answered is true of the moment at which it was asked. It becomes stale in two ways: by age, and by
//! being overtaken. A fill or a ledger row on record that is newer than the answer shows that the account has moved
//! since, so the answer is stale whatever its age.
//!
//! Everything here is pure: instants go in, verdicts come out. All instants are by one clock, the exchange's.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_answer_is_fresh_up_to_its_limit`.
//! 2. `what_is_overtaken_is_stale_whatever_its_age`, and due once the newer row is old enough.
//! 3. `the_ledger_is_due_after_the_next_funding_of_what_is_held`.
//! 4. `marks_are_never_due`.
//! 5. `an_answer_from_the_future_is_not_believed`.

use crate::time::TimestampMs;

/// A second in milliseconds.
const SECOND_MS: i64 = 1_000;
/// A minute in milliseconds.
const MINUTE_MS: i64 = 60 * SECOND_MS;
/// An hour in milliseconds.
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// How far ahead of now an answer may lie: clocks drift, and are set right by a little now and then.
const AHEAD_MS_MAX: i64 = MINUTE_MS;

/// What an exchange is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LookStream {
    /// The look as a whole: that it took place, and how it ended.
    Account,
    /// What the account holds.
    Positions,
    /// Working orders.
    Orders,
    /// Wallet balances.
    Balances,
    /// Mark prices of what is held.
    Prices,
    /// The exchange's ledger (income).
    Ledger,
}

crate::names!(LookStream, "stream of a look", {
    Account = "account", Positions = "positions", Orders = "orders", Balances = "balances", Prices = "prices",
    Ledger = "ledger",
});

impl LookStream {
    /// The streams that can be stale, in the order in which they are shown.
    pub const SEEN: [Self; 5] = [Self::Positions, Self::Orders, Self::Balances, Self::Ledger, Self::Prices];
}

/// From which age on an answer is stale, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreshnessLimits {
    /// Positions, working orders and balances of an account with a position or a working order.
    pub open_ms: i64,
    /// The same, and the ledger, of an account with neither.
    pub flat_ms: i64,
    /// Mark prices.
    pub mark_ms: i64,
    /// The ledger of an account that holds something: this long after the next funding of anything held.
    pub after_funding_ms: i64,
    /// An answer that was overtaken has to be replaced once the newer row is this old.
    pub overtaken_ms: i64,
}

impl Default for FreshnessLimits {
    fn default() -> Self {
        Self {
            open_ms: 15 * MINUTE_MS,
            flat_ms: 24 * HOUR_MS,
            mark_ms: MINUTE_MS,
            after_funding_ms: 15 * MINUTE_MS,
            overtaken_ms: 2 * MINUTE_MS,
        }
    }
}

/// What the account has at stake, as far as the book knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exposure {
    /// Whether it holds a position or has a working order.
    pub is_open: bool,
    /// The first funding instant, after the ledger was read, of anything held; `None` where nothing held pays funding.
    pub next_funding: Option<TimestampMs>,
}

/// What there is to judge an answer by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sighting {
    /// The instant that the exchange's latest answer is true of; `None` where there was none.
    pub seen_at: Option<TimestampMs>,
    /// The oldest fill or ledger row on record that is newer than the answer and that it had to reflect.
    pub overtaken_at: Option<TimestampMs>,
}

/// Why an answer of the exchange no longer says how things are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Staleness {
    /// There is none.
    Never,
    /// It is dated later than now: one of the clocks was set, and nothing tells its age.
    Ahead,
    /// It is too old.
    Age,
    /// A fill or a ledger row on record is newer.
    Overtaken,
}

crate::names!(Staleness, "kind of staleness", {
    Never = "never", Ahead = "ahead", Age = "age", Overtaken = "overtaken",
});

/// How old an answer of the exchange is, and what that means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The instant that it is true of.
    pub seen_at: Option<TimestampMs>,
    /// How long ago that was, in ms; never negative.
    pub age_ms: Option<i64>,
    /// The oldest fill or ledger row on record that is newer.
    pub overtaken_at: Option<TimestampMs>,
    /// Why it is stale; `None` while it is fresh.
    pub stale: Option<Staleness>,
    /// Whether the exchange should have been asked again by now.
    pub is_due: bool,
}

impl Freshness {
    /// Of an answer of which nothing tells when it was.
    pub const UNKNOWN: Self =
        Self { seen_at: None, age_ms: None, overtaken_at: None, stale: Some(Staleness::Never), is_due: false };

    /// Whether it says how things are.
    pub fn is_fresh(&self) -> bool {
        self.stale.is_none()
    }
}

impl FreshnessLimits {
    /// Judges an answer of a stream at `now`.
    ///
    /// ```
    /// use ledger_core::{Exposure, FreshnessLimits, LookStream, Sighting, Staleness, TimestampMs};
    ///
    /// let now = TimestampMs::new(1_780_000_000_000).unwrap();
    /// let seen = Sighting { seen_at: Some(now.saturating_add_ms(-20 * 60_000)), overtaken_at: None };
    /// let limits = FreshnessLimits::default();
    /// let flat = limits.judge(LookStream::Positions, seen, Exposure::default(), now);
    /// assert!(flat.is_fresh());
    /// let open = limits.judge(LookStream::Positions, seen, Exposure { is_open: true, next_funding: None }, now);
    /// assert_eq!((open.stale, open.is_due), (Some(Staleness::Age), true));
    /// ```
    pub fn judge(self, stream: LookStream, sighting: Sighting, exposure: Exposure, now: TimestampMs) -> Freshness {
        let counts = !matches!(stream, LookStream::Prices | LookStream::Account);
        let Some(seen_at) = sighting.seen_at else {
            return Freshness { is_due: counts, ..Freshness::UNKNOWN };
        };
        let since_ms = |at: TimestampMs| now.as_ms().saturating_sub(at.as_ms());
        let age_ms = since_ms(seen_at);
        // A mark is worth what the market said then, whatever the account did since.
        let overtaken_at = sighting.overtaken_at.filter(|at| *at > seen_at && stream != LookStream::Prices);
        let (stale, is_due) = if age_ms < -AHEAD_MS_MAX {
            (Some(Staleness::Ahead), true)
        } else if now > self.fresh_until(stream, seen_at, exposure) {
            (Some(Staleness::Age), true)
        } else if let Some(at) = overtaken_at {
            (Some(Staleness::Overtaken), since_ms(at) >= self.overtaken_ms)
        } else {
            (None, false)
        };
        let (age_ms, is_due) = (Some(age_ms.max(0)), is_due && counts);
        Freshness { seen_at: Some(seen_at), age_ms, overtaken_at, stale, is_due }
    }

    /// The last instant at which an answer of `seen_at` is young enough.
    fn fresh_until(self, stream: LookStream, seen_at: TimestampMs, exposure: Exposure) -> TimestampMs {
        let by_exposure = if exposure.is_open { self.open_ms } else { self.flat_ms };
        match (stream, exposure.next_funding) {
            (LookStream::Prices, _) => seen_at.saturating_add_ms(self.mark_ms),
            (LookStream::Ledger, Some(funding)) => funding.max(seen_at).saturating_add_ms(self.after_funding_ms),
            (LookStream::Ledger, None) => seen_at.saturating_add_ms(self.flat_ms),
            _ => seen_at.saturating_add_ms(by_exposure),
        }
    }
}

/// The next full hour after `at`: the earliest instant at which funding can be, where nothing tells when it is. Venues
/// fund every hour at most, on the hour.
pub fn next_full_hour(at: TimestampMs) -> TimestampMs {
    at.saturating_add_ms(HOUR_MS - at.as_ms().rem_euclid(HOUR_MS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: FreshnessLimits = FreshnessLimits {
        open_ms: 900_000,
        flat_ms: 86_400_000,
        mark_ms: 60_000,
        after_funding_ms: 900_000,
        overtaken_ms: 120_000,
    };
    const FLAT: Exposure = Exposure { is_open: false, next_funding: None };

    /// 2026-05-28 20:26:40.000 UTC and some.
    fn at(ms: i64) -> TimestampMs {
        TimestampMs::new(1_780_000_000_000 + ms).unwrap()
    }

    fn open(next_funding: Option<i64>) -> Exposure {
        Exposure { is_open: true, next_funding: next_funding.map(at) }
    }

    fn seen(ms: i64) -> Sighting {
        Sighting { seen_at: Some(at(ms)), overtaken_at: None }
    }

    #[test]
    fn an_answer_is_fresh_up_to_its_limit() {
        assert_eq!(FreshnessLimits::default(), LIMITS);
        for (stream, exposure, limit_ms) in [
            (LookStream::Positions, open(None), 900_000),
            (LookStream::Orders, open(None), 900_000),
            (LookStream::Balances, open(None), 900_000),
            (LookStream::Positions, FLAT, 86_400_000),
            (LookStream::Orders, FLAT, 86_400_000),
            (LookStream::Balances, FLAT, 86_400_000),
            (LookStream::Ledger, FLAT, 86_400_000),
            // Working orders alone fund nothing.
            (LookStream::Ledger, open(None), 86_400_000),
            (LookStream::Prices, open(None), 60_000),
            (LookStream::Prices, FLAT, 60_000),
        ] {
            let fresh = LIMITS.judge(stream, seen(0), exposure, at(limit_ms));
            assert_eq!((fresh.stale, fresh.age_ms, fresh.is_due), (None, Some(limit_ms), false), "{stream}");
            let stale = LIMITS.judge(stream, seen(0), exposure, at(limit_ms + 1));
            assert_eq!(stale.stale, Some(Staleness::Age), "{stream}");
            assert_eq!(stale.is_due, stream != LookStream::Prices, "{stream}");
        }
        let never = LIMITS.judge(LookStream::Orders, Sighting::default(), FLAT, at(0));
        assert_eq!((never.stale, never.age_ms, never.is_due), (Some(Staleness::Never), None, true));
    }

    #[test]
    fn what_is_overtaken_is_stale_whatever_its_age() {
        let overtaken = Sighting { seen_at: Some(at(0)), overtaken_at: Some(at(1)) };
        for stream in [LookStream::Positions, LookStream::Orders, LookStream::Balances, LookStream::Ledger] {
            let at_once = LIMITS.judge(stream, overtaken, open(Some(7_200_000)), at(1));
            assert_eq!((at_once.stale, at_once.is_due), (Some(Staleness::Overtaken), false), "{stream}");
            let later = LIMITS.judge(stream, overtaken, open(Some(7_200_000)), at(120_000));
            assert!(!later.is_due, "{stream}: the newer row is not two minutes old");
            let due = LIMITS.judge(stream, overtaken, open(Some(7_200_000)), at(120_001));
            assert_eq!((due.stale, due.is_due), (Some(Staleness::Overtaken), true), "{stream}");
        }
        // A row of the very instant of the answer is in it.
        let same = Sighting { seen_at: Some(at(0)), overtaken_at: Some(at(0)) };
        assert!(LIMITS.judge(LookStream::Positions, same, FLAT, at(1)).is_fresh());
        assert!(LIMITS.judge(LookStream::Prices, overtaken, FLAT, at(2)).is_fresh());
    }

    #[test]
    fn the_ledger_is_due_after_the_next_funding_of_what_is_held() {
        // Funding four hours after the look: fresh until 4 h 15 min.
        let held = open(Some(14_400_000));
        assert!(LIMITS.judge(LookStream::Ledger, seen(0), held, at(15_300_000)).is_fresh());
        let due = LIMITS.judge(LookStream::Ledger, seen(0), held, at(15_300_001));
        assert_eq!((due.stale, due.is_due), (Some(Staleness::Age), true));
        // Positions do not wait for it.
        assert!(!LIMITS.judge(LookStream::Positions, seen(0), held, at(15_300_000)).is_fresh());
    }

    #[test]
    fn marks_are_never_due() {
        for now in [0, 60_001, 10_000_000_000] {
            assert!(!LIMITS.judge(LookStream::Prices, seen(0), open(None), at(now)).is_due);
        }
        assert!(!LIMITS.judge(LookStream::Prices, Sighting::default(), open(None), at(0)).is_due);
    }

    #[test]
    fn an_answer_from_the_future_is_not_believed() {
        let near = LIMITS.judge(LookStream::Positions, seen(0), FLAT, at(-60_000));
        assert_eq!((near.stale, near.age_ms), (None, Some(0)));
        let far = LIMITS.judge(LookStream::Positions, seen(0), FLAT, at(-60_001));
        assert_eq!((far.stale, far.is_due, far.age_ms), (Some(Staleness::Ahead), true, Some(0)));
    }

    #[test]
    fn the_next_full_hour_lies_ahead() {
        // 20:26:40 and 21:00:00.
        assert_eq!(next_full_hour(at(0)), at(2_000_000));
        assert_eq!(next_full_hour(at(2_000_000)), at(5_600_000));
        assert_eq!(next_full_hour(at(1_999_999)), at(2_000_000));
    }

    proptest! {
        /// Time alone makes nothing fresh again, and what is due is stale.
        #[test]
        fn staleness_grows_with_time(
            stream in prop::sample::select(LookStream::ALL),
            overtaken in prop::option::of(-1_000_i64..200_000),
            is_open in any::<bool>(),
            funding in prop::option::of(1_i64..30_000_000),
            first in 0_i64..100_000_000,
            later in 0_i64..100_000_000,
        ) {
            let sighting = Sighting { seen_at: Some(at(0)), overtaken_at: overtaken.map(at) };
            let exposure = Exposure { is_open, next_funding: funding.map(at) };
            let one = LIMITS.judge(stream, sighting, exposure, at(first));
            let other = LIMITS.judge(stream, sighting, exposure, at(first + later));
            prop_assert!(one.is_fresh() || !other.is_fresh());
            prop_assert!(!one.is_due || other.is_due);
            prop_assert!(!one.is_due || !one.is_fresh());
        }
    }
}
