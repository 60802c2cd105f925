//! Instants as the exchange states them: UTC milliseconds, with the precision they were given in.

use std::fmt;

use thiserror::Error;

/// An instant, UTC, in milliseconds since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "i64", into = "i64"))]
pub struct TimestampMs(i64);

/// An instant outside 2000-01-01 .. 2200-01-01: surely seconds taken for milliseconds, or garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} is no plausible time in milliseconds since 1970 (years 2000 to 2199)")]
pub struct TimeError(pub i64);

impl TimestampMs {
    /// The earliest instant that is accepted: 2000-01-01.
    pub const MIN: Self = Self(946_684_800_000);
    /// The latest instant that is accepted: the end of 2199.
    pub const MAX: Self = Self(7_258_118_399_999);

    /// Checks that `ms` is a plausible instant.
    ///
    /// # Errors
    /// [`TimeError`] outside the years 2000 to 2199.
    pub fn new(ms: i64) -> Result<Self, TimeError> {
        if (Self::MIN.0..=Self::MAX.0).contains(&ms) { Ok(Self(ms)) } else { Err(TimeError(ms)) }
    }

    /// Milliseconds since 1970-01-01 UTC.
    #[inline]
    pub fn as_ms(self) -> i64 {
        self.0
    }

    /// The instant `ms` later (earlier when negative), kept within the accepted range.
    #[must_use]
    pub fn saturating_add_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms).clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl From<TimestampMs> for i64 {
    fn from(time: TimestampMs) -> Self {
        time.0
    }
}

impl TryFrom<i64> for TimestampMs {
    type Error = TimeError;

    fn try_from(ms: i64) -> Result<Self, TimeError> {
        Self::new(ms)
    }
}

impl fmt::Display for TimestampMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How exactly an [`EventTime`] is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum TimePrecision {
    /// Only the second is known: spreadsheets and exports.
    Second,
    /// The millisecond is known.
    Millisecond,
}

/// When something happened, by the exchange's clock, and how exactly that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EventTime {
    /// The instant; a full second when only that is known.
    pub at: TimestampMs,
    /// What `at` is exact to.
    pub precision: TimePrecision,
}

impl EventTime {
    /// An instant known to the millisecond.
    pub fn ms(at: TimestampMs) -> Self {
        Self { at, precision: TimePrecision::Millisecond }
    }

    /// An instant of which only the second is known.
    pub fn seconds(at: TimestampMs) -> Self {
        let at = at.saturating_add_ms(-at.as_ms().rem_euclid(1_000));
        Self { at, precision: TimePrecision::Second }
    }

    /// The last instant that it can have been; the first is `at`.
    pub fn latest(self) -> TimestampMs {
        match self.precision {
            TimePrecision::Millisecond => self.at,
            TimePrecision::Second => self.at.saturating_add_ms(999),
        }
    }

    /// Whether both can be the same instant, as far as the coarser one tells.
    pub fn agrees_with(self, other: Self) -> bool {
        if self.precision == TimePrecision::Millisecond && other.precision == TimePrecision::Millisecond {
            self.at == other.at
        } else {
            self.at.as_ms().div_euclid(1_000) == other.at.as_ms().div_euclid(1_000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_agree_with_any_millisecond_of_theirs() {
        let at = |ms| TimestampMs::new(ms).unwrap();
        let second = EventTime::seconds(at(1_569_514_978_020));
        assert_eq!(second.at.as_ms(), 1_569_514_978_000);
        assert!(second.agrees_with(EventTime::ms(at(1_569_514_978_999))));
        assert!(!second.agrees_with(EventTime::ms(at(1_569_514_979_000))));
        assert_eq!(second.latest(), at(1_569_514_978_999));
        assert_eq!(EventTime::ms(at(1_569_514_978_020)).latest(), at(1_569_514_978_020));
        assert!(!EventTime::ms(at(1_569_514_978_020)).agrees_with(EventTime::ms(at(1_569_514_978_021))));
    }

    #[test]
    fn seconds_taken_for_milliseconds_are_refused() {
        assert_eq!(TimestampMs::new(1_569_514_978), Err(TimeError(1_569_514_978)));
        assert!(TimestampMs::new(i64::MAX).is_err());
    }
}
