//! Where the time comes from: a trait, the machine's clock, and one that a test or simulation moves by hand.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_manual_clock_moves_only_when_told`.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ledger_core::TimestampMs;

/// Tells the time.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait Clock: fmt::Debug + Send + Sync {
    /// The current instant, UTC.
    fn now(&self) -> TimestampMs;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "this is the one place that reads the machine's clock; everything else is handed a `Clock`"
    )]
    fn now(&self) -> TimestampMs {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
        // A clock set before 2000 or after 2199 is kept at the edge; the exchange then refuses the timestamp.
        TimestampMs::MIN.saturating_add_ms(duration_ms(since_epoch).saturating_sub(TimestampMs::MIN.as_ms()))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    now_ms: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: TimestampMs) -> Self {
        Self { now_ms: AtomicI64::new(start.as_ms()) }
    }

    /// Moves the clock forward and returns the new time, which stops at [`TimestampMs::MAX`].
    pub fn advance(&self, by: Duration) -> TimestampMs {
        let by_ms = duration_ms(by);
        let moved =
            |now_ms| Some(TimestampMs::MIN.saturating_add_ms(now_ms - TimestampMs::MIN.as_ms() + by_ms).as_ms());
        // The closure always answers `Some`, so the update cannot fail; either way `now` is read afresh.
        let _previous = self.now_ms.fetch_update(Ordering::SeqCst, Ordering::SeqCst, moved);
        self.now()
    }

    /// Sets the clock, backwards too: a clock that is wrong is worth testing.
    pub fn set(&self, to: TimestampMs) {
        self.now_ms.store(to.as_ms(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> TimestampMs {
        let now_ms = self.now_ms.load(Ordering::SeqCst);
        TimestampMs::MIN.saturating_add_ms(now_ms - TimestampMs::MIN.as_ms())
    }
}

/// An instant as people read it: UTC, to the millisecond where it has one.
pub(crate) fn utc(at: TimestampMs) -> String {
    jiff::Timestamp::from_millisecond(at.as_ms()).map_or_else(|_| format!("{at} ms"), |at| at.to_string())
}

/// Whole milliseconds, capped where a plausible instant plus the duration could overflow.
pub(crate) fn duration_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(TimestampMs::MAX.as_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let start = TimestampMs::new(1_780_000_000_000).unwrap();
        let clock = ManualClock::new(start);
        assert_eq!((clock.now(), clock.now()), (start, start));
        assert_eq!(clock.advance(Duration::from_micros(1_500_999)).as_ms(), 1_780_000_001_500);
        clock.set(start);
        assert_eq!(clock.now(), start);
        assert_eq!(clock.advance(Duration::MAX), TimestampMs::MAX);
    }

    /// Whatever date the machine has: the clock lies between two readings of the system's.
    #[test]
    #[expect(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "the reading that the clock is compared with"
    )]
    fn the_system_clock_is_the_machines() {
        let machine_ms = || {
            let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
            i64::try_from(now.as_millis()).unwrap().clamp(TimestampMs::MIN.as_ms(), TimestampMs::MAX.as_ms())
        };
        let (before_ms, now_ms, after_ms) = (machine_ms(), SystemClock.now().as_ms(), machine_ms());
        assert!(before_ms <= now_ms && now_ms <= after_ms, "{before_ms} {now_ms} {after_ms}");
    }
}
