//! When nobody wants to be woken, and when the day is summed up. Pure: time and zone come in.
//!
//! Invariants, each with a test of the same name:
//! 1. `quiet_hours_end_when_they_say`, over midnight and where clocks change.
//! 2. `a_day_ends_at_its_time`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use ledger_core::TimestampMs;
use thiserror::Error;

/// Why a text is no time of day, or no two.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is {what}")]
pub struct HoursError {
    text: String,
    what: &'static str,
}

/// The time of day at which the day is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyTime(Time);

/// The hours in which only what cannot wait is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from: Time,
    until: Time,
}

fn time_of(text: &str) -> Option<Time> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |part: &str, digits: std::ops::RangeInclusive<usize>| {
        let is_plain = digits.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| part.parse::<i8>().ok()).flatten()
    };
    Time::new(number(hour, 1..=2)?, number(minute, 2..=2)?, 0, 0).ok()
}

impl FromStr for DailyTime {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let what = "no time of day; expected one like 08:00";
        time_of(text).map(Self).ok_or_else(|| HoursError { text: text.to_owned(), what })
    }
}

impl FromStr for QuietHours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let refused = |what| HoursError { text: text.to_owned(), what };
        let hours = text.split_once('-').and_then(|(from, until)| Some((time_of(from)?, time_of(until)?)));
        let (from, until) = hours.ok_or_else(|| refused("no pair of times of day; expected one like 22:30-07:00"))?;
        if from == until {
            return Err(refused("all day or no time at all; leave it out to be told at once"));
        }
        Ok(Self { from, until })
    }
}

impl fmt::Display for DailyTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

/// The first instant of `zone` at `time`, `days` after the day of `at`.
fn instant_at(at: TimestampMs, zone: &TimeZone, time: Time, days: i64) -> Option<TimestampMs> {
    let day = Timestamp::from_millisecond(at.as_ms()).ok()?.to_zoned(zone.clone()).date();
    let day = day.checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
    let zoned = day.to_datetime(time).to_zoned(zone.clone()).ok()?;
    TimestampMs::new(zoned.timestamp().as_millisecond()).ok()
}

impl DailyTime {
    /// The last end of a day before `now` or at it, and the one before that.
    pub fn last_day(self, now: TimestampMs, zone: &TimeZone) -> Option<(TimestampMs, TimestampMs)> {
        let at = |days| instant_at(now, zone, self.0, days);
        let today = at(0)?;
        if today <= now { Some((at(-1)?, today)) } else { Some((at(-2)?, at(-1)?)) }
    }
}

impl QuietHours {
    /// When they end, if it is quiet at `now`.
    pub fn end(self, now: TimestampMs, zone: &TimeZone) -> Option<TimestampMs> {
        let time = Timestamp::from_millisecond(now.as_ms()).ok()?.to_zoned(zone.clone()).time();
        let is_over_midnight = self.from > self.until;
        let is_quiet = if is_over_midnight {
            time >= self.from || time < self.until
        } else {
            time >= self.from && time < self.until
        };
        let days = i64::from(is_over_midnight && time >= self.from);
        is_quiet.then(|| instant_at(now, zone, self.until, days)).flatten().filter(|end| *end > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> TimestampMs {
        TimestampMs::new(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    #[test]
    fn quiet_hours_end_when_they_say() {
        let berlin = zone("Europe/Berlin");
        let night: QuietHours = "22:30-07:00".parse().unwrap();
        for (now, end) in [
            ("2026-12-01T21:29:59Z", None),
            ("2026-12-01T21:30:00Z", Some("2026-12-02T06:00:00Z")),
            ("2026-12-02T05:59:59Z", Some("2026-12-02T06:00:00Z")),
            ("2026-12-02T06:00:00Z", None),
            // Clocks go forward in this night.
            ("2026-03-28T22:00:00Z", Some("2026-03-29T05:00:00Z")),
        ] {
            assert_eq!(night.end(at(now), &berlin), end.map(at), "{now}");
        }
        let noon: QuietHours = "12:00-13:00".parse().unwrap();
        assert_eq!(noon.end(at("2026-12-01T11:30:00Z"), &berlin), Some(at("2026-12-01T12:00:00Z")));
        assert_eq!(noon.end(at("2026-12-01T12:00:00Z"), &berlin), None);
        // The hour that is not there, and the one that is there twice, end.
        let short: QuietHours = "02:15-02:45".parse().unwrap();
        assert_eq!(short.end(at("2026-03-29T01:20:00Z"), &berlin), None);
        assert!(short.end(at("2026-10-25T00:20:00Z"), &berlin).is_some());
        for text in ["", "7-8", "22:30", "25:00-07:00", "7:0-8:00", "08:00-08:00", "+7:00-08:00"] {
            assert!(text.parse::<QuietHours>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_day_ends_at_its_time() {
        let daily: DailyTime = "8:00".parse().unwrap();
        let seoul = zone("Asia/Seoul");
        let day = |now: &str| daily.last_day(at(now), &seoul).unwrap();
        assert_eq!(day("2026-12-01T22:59:59Z"), (at("2026-11-29T23:00:00Z"), at("2026-11-30T23:00:00Z")));
        assert_eq!(day("2026-12-01T23:00:00Z"), (at("2026-11-30T23:00:00Z"), at("2026-12-01T23:00:00Z")));
        // A day of 23 hours.
        let (since, until) = daily.last_day(at("2026-03-29T12:00:00Z"), &zone("Europe/Berlin")).unwrap();
        assert_eq!(until.as_ms() - since.as_ms(), 23 * 3_600_000);
        assert_eq!((daily.to_string(), "24:00".parse::<DailyTime>().is_err()), ("08:00".to_owned(), true));
    }
}
