//! Time zones of files whose times are local.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use ledger_core::{EventTime, TimestampMs};
use thiserror::Error;

use super::error::{RowProblem, shown};

/// A time zone: a fixed offset from UTC, or a region with its history of daylight saving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    zone: TimeZone,
    name: String,
}

/// A text that names no time zone.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no time zone; give an offset as in UTC+3, UTC-05:30 or +09:00, or a region as in Asia/Seoul")]
pub struct ZoneError {
    /// The text, shortened and escaped.
    pub text: String,
}

/// Where a file's time zone was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ZoneOrigin {
    /// The name of the file or of the archive's member.
    FileName,
    /// The same, while the header of its time column says `UTC`, as the exchange's headers do above local times.
    NameOverHeader,
    /// The header of its time column.
    Header,
    /// The caller.
    Given,
}

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Self { zone: TimeZone::UTC, name: "UTC".to_owned() }
    }

    /// A fixed offset from UTC in minutes, east positive; `None` where no clock on earth goes so: before -12:00 and beyond
    /// +14:00.
    pub fn from_offset_minutes(minutes: i32) -> Option<Self> {
        if minutes == 0 {
            return Some(Self::utc());
        }
        if !(-12 * 60..=14 * 60).contains(&minutes) {
            return None;
        }
        let offset = Offset::from_seconds(minutes * 60).ok()?;
        let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
        let sign = if minutes < 0 { '-' } else { '+' };
        let name = if rest == 0 { format!("UTC{sign}{hours}") } else { format!("UTC{sign}{hours}:{rest:02}") };
        Some(Self { zone: offset.to_time_zone(), name })
    }

    /// Its name, for example `UTC+3` or `Asia/Seoul`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The zone for computing with.
    pub fn time_zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The instant of a local time, in milliseconds.
    ///
    /// # Errors
    /// When daylight saving makes the local time ambiguous or skips it: guessing would move a fill by an hour.
    pub(super) fn instant_ms(&self, local: DateTime) -> Result<i64, RowProblem> {
        let offset = match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { .. } => {
                return Err(RowProblem::TimeSkipped { zone: self.name.clone() });
            }
            AmbiguousOffset::Fold { .. } => {
                return Err(RowProblem::TimeRepeated { zone: self.name.clone() });
            }
        };
        offset.to_timestamp(local).map(jiff::Timestamp::as_millisecond).map_err(|_| RowProblem::NoSuchTime)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        let trimmed = text.trim();
        let upper = trimmed.to_ascii_uppercase();
        let rest = upper.strip_prefix("UTC").or_else(|| upper.strip_prefix("GMT"));
        let offset = match rest {
            Some(rest) => offset_minutes(rest),
            None if upper == "Z" => Some(0),
            None if upper.starts_with(['+', '-']) => offset_minutes(&upper),
            None => None,
        };
        if let Some(zone) = offset.and_then(Self::from_offset_minutes) {
            return Ok(zone);
        }
        TimeZone::get(trimmed)
            .map(|zone| {
                let name = zone.iana_name().unwrap_or(trimmed).to_owned();
                Self { zone, name }
            })
            .map_err(|_| ZoneError { text: shown(text) })
    }
}

/// Minutes of an offset: empty = 0, `+3`, `-5:30`, `+0530`, `--6` (= -6, as exports write it); `None` if it is none.
fn offset_minutes(text: &str) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    let (sign, digits) = if let Some(digits) = text.strip_prefix("--").or_else(|| text.strip_prefix('-')) {
        (-1, digits)
    } else {
        (1, text.strip_prefix('+')?)
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
        return None;
    }
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        Some(_) => return None,
        None if digits.len() == 4 => digits.split_at(2),
        None => (digits, "0"),
    };
    if hours.is_empty() || hours.len() > 2 {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Why the brackets of a name tell no zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UnclearZone {
    /// A text that begins with `UTC` and is no offset: guessing would shift every time of the file.
    NoOffset(String),
    /// Two zones.
    Two(Zone, Zone),
}

/// The zone in a file name such as `trades(UTC+3)-part1-of1.csv`.
pub(super) fn zone_in_name(name: &str) -> Result<Option<Zone>, UnclearZone> {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    zone_in_brackets(base)
}

/// The zone in brackets within a text: `Time(UTC)`, `Date (UTC+8)`.
pub(super) fn zone_in_brackets(text: &str) -> Result<Option<Zone>, UnclearZone> {
    let mut found: Option<Zone> = None;
    for part in text.split('(').skip(1) {
        let Some((inner, _)) = part.split_once(')') else {
            continue;
        };
        let inner = inner.trim().to_ascii_uppercase();
        let Some(rest) = inner.strip_prefix("UTC").or_else(|| inner.strip_prefix("GMT")) else {
            continue;
        };
        let zone = offset_minutes(&rest.replace(' ', "")).and_then(Zone::from_offset_minutes);
        let zone = zone.ok_or_else(|| UnclearZone::NoOffset(shown(&inner)))?;
        match found {
            Some(first) if first != zone => return Err(UnclearZone::Two(first, zone)),
            _ => found = Some(zone),
        }
    }
    Ok(found)
}

/// A time as a file writes it: milliseconds (or microseconds) since 1970, or a date and time of day with a four- or
/// two-digit year, with `Z` or an offset, else local in `zone`.
///
/// # Errors
/// [`RowProblem::LocalTime`] when the time is local and there is no zone; another one when it is no time.
pub(super) fn parse_time(text: &str, zone: Option<&Zone>) -> Result<EventTime, RowProblem> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().map_err(|_| RowProblem::NotATime)?;
        let ms = if text.len() == 16 { number / 1_000 } else { number };
        return Ok(EventTime::ms(TimestampMs::new(ms)?));
    }
    let (local, has_fraction, rest) = parse_local(text).ok_or(RowProblem::NotATime)??;
    let ms = match rest.trim() {
        "" => zone.ok_or(RowProblem::LocalTime)?.instant_ms(local)?,
        "Z" | "z" => Zone::utc().instant_ms(local)?,
        offset => {
            let name = offset.strip_prefix("UTC").unwrap_or(offset);
            let zone = offset_minutes(name).and_then(Zone::from_offset_minutes).ok_or(RowProblem::NotATime)?;
            zone.instant_ms(local)?
        }
    };
    let at = TimestampMs::new(ms)?;
    Ok(if has_fraction { EventTime::ms(at) } else { EventTime::seconds(at) })
}

/// Splits `2026-05-29 18:25:01.250Z` into its local time, whether it has a fraction, and what follows. `None` when it
/// does not have this form; an error when it does but there is no such date.
type Local<'a> = Result<(DateTime, bool, &'a str), RowProblem>;

fn parse_local(text: &str) -> Option<Local<'_>> {
    let (date, clock) = text.split_once([' ', 'T'])?;
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    let year = match year.len() {
        4 => number(year)?,
        2 => 2_000 + number(year)?,
        _ => return None,
    };
    let clock = clock.trim_start();
    let (hms, mut rest) = clock.split_at_checked(8)?;
    let mut hms = hms.splitn(3, ':');
    let (hour, minute, second) = (two_digits(hms.next()?)?, two_digits(hms.next()?)?, two_digits(hms.next()?)?);
    let mut nanosecond = 0;
    let fraction = rest.strip_prefix('.');
    if let Some(behind) = fraction {
        let length = behind.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, behind) = behind.split_at_checked(length)?;
        if digits.is_empty() || digits.len() > 9 {
            return None;
        }
        nanosecond = format!("{digits:0<9}").parse().ok()?;
        rest = behind;
    }
    let (month, day) = (two_digits(month)?, two_digits(day)?);
    let local = DateTime::new(year, month, day, hour, minute, second, nanosecond).map_err(|_| RowProblem::NoSuchTime);
    Some(local.map(|local| (local, fraction.is_some(), rest)))
}

fn number(text: &str) -> Option<i16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn two_digits(text: &str) -> Option<i8> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}
