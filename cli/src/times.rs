//! Times as a person writes and reads them.

use std::str::FromStr;

use exchange_client::files::Zone;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use ledger_core::TimestampMs;
use thiserror::Error;

/// A time given on the command line; local ones are read in the reader's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeArgument {
    /// An instant.
    Instant(TimestampMs),
    /// A local date and time.
    Local(DateTime),
}

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TimeArgumentError {
    /// Not readable.
    #[error(
        "not a time; give a date (2026-03-01), a date and time (2026-03-01T08:00), an instant (2026-03-01T08:00:00Z) or milliseconds since 1970"
    )]
    NotATime,
    /// A stretch that ends before it begins.
    #[error("--until is not behind --since, so nothing can be in between; exchange the two")]
    Backwards,
    /// Outside the accepted years.
    #[error(transparent)]
    Range(#[from] ledger_core::TimeError),
    /// A local time that does not exist or exists twice in the zone.
    #[error("{local} is skipped or repeated in {zone}; give an instant, as in 2026-03-01T08:00:00Z")]
    Ambiguous {
        /// The local time.
        local: DateTime,
        /// The zone.
        zone: String,
    },
}

/// Reads a time argument.
///
/// # Errors
/// [`TimeArgumentError`] when the text is no time.
pub fn parse_time(text: &str) -> Result<TimeArgument, TimeArgumentError> {
    if text.len() >= 11 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let ms = text.parse().map_err(|_| TimeArgumentError::NotATime)?;
        return Ok(TimeArgument::Instant(TimestampMs::new(ms)?));
    }
    if let Ok(instant) = Timestamp::from_str(text) {
        return Ok(TimeArgument::Instant(TimestampMs::new(instant.as_millisecond())?));
    }
    if let Ok(local) = DateTime::from_str(text) {
        return Ok(TimeArgument::Local(local));
    }
    match Date::from_str(text) {
        Ok(date) => Ok(TimeArgument::Local(date.to_datetime(jiff::civil::Time::midnight()))),
        Err(_) => Err(TimeArgumentError::NotATime),
    }
}

impl TimeArgument {
    /// The instant that is meant, in the reader's zone.
    ///
    /// # Errors
    /// [`TimeArgumentError`] for a local time that the zone skips or repeats.
    pub fn instant(self, zone: &Zone) -> Result<TimestampMs, TimeArgumentError> {
        match self {
            Self::Instant(at) => Ok(at),
            Self::Local(local) => {
                let ambiguous = zone.time_zone().to_ambiguous_zoned(local);
                let zoned = ambiguous
                    .unambiguous()
                    .map_err(|_| TimeArgumentError::Ambiguous { local, zone: zone.name().to_owned() })?;
                Ok(TimestampMs::new(zoned.timestamp().as_millisecond())?)
            }
        }
    }
}

/// An instant in a zone; `None` beyond what calendars hold, which accepted instants never are.
fn zoned(at: TimestampMs, zone: &TimeZone) -> Option<Zoned> {
    Timestamp::from_millisecond(at.as_ms()).ok().map(|at| at.to_zoned(zone.clone()))
}

/// `2026-03-01 08:00:00.123`, in `zone`; without the fraction when it is 0.
pub fn show_time(at: TimestampMs, zone: &Zone) -> String {
    let format = if at.as_ms() % 1_000 == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.3f" };
    zoned(at, zone.time_zone()).map_or_else(|| at.to_string(), |zoned| zoned.strftime(format).to_string())
}

/// `2026-03-01`, in `zone`.
pub fn show_day(at: TimestampMs, zone: &Zone) -> String {
    zoned(at, zone.time_zone()).map_or_else(|| at.to_string(), |zoned| zoned.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_readers_zone() {
        let seoul: Zone = "Asia/Seoul".parse().unwrap();
        let ms = |text: &str| parse_time(text).unwrap().instant(&seoul).unwrap().as_ms();
        assert_eq!(ms("2026-03-01"), 1_772_290_800_000);
        assert_eq!(ms("2026-03-01T00:00"), 1_772_290_800_000);
        assert_eq!(ms("2026-02-28T15:00:00Z"), 1_772_290_800_000);
        assert_eq!(ms("1772290800000"), 1_772_290_800_000);
        for text in ["", "yesterday", "2026-13-01", "99", "12345678901"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
        let new_york: Zone = "America/New_York".parse().unwrap();
        assert!(parse_time("2026-03-08T02:30").unwrap().instant(&new_york).is_err());
    }

    #[test]
    fn times_are_shown_in_the_readers_zone() {
        let at = TimestampMs::new(1_772_290_800_120).unwrap();
        assert_eq!(show_time(at, &Zone::utc()), "2026-02-28 15:00:00.120");
        assert_eq!(show_day(at, &"UTC+9".parse().unwrap()), "2026-03-01");
    }
}
