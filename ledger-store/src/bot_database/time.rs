//! Times as bots write them: milliseconds, seconds with or without a fraction, or ISO text.

use ledger_core::{Decimal, EventTime, TimestampMs};

/// Numbers from here on are milliseconds: as seconds they would be in the year 5138.
const MS_MIN: i64 = 100_000_000_000;

/// Reads a time; text without a zone is UTC.
pub(super) fn read(text: &str) -> Result<EventTime, String> {
    match text.parse::<Decimal>() {
        Ok(number) => numeric(number),
        Err(_) => iso(text)
            .ok_or_else(|| format!("`{}` is no time", text.chars().take(40).collect::<String>().escape_debug())),
    }
}

fn numeric(number: Decimal) -> Result<EventTime, String> {
    let is_ms = number >= Decimal::from(MS_MIN);
    let is_whole = number.scale() == 0;
    let ms = if is_ms { Ok(number) } else { number.checked_mul(Decimal::from(1_000)) };
    let whole = ms.map_err(|error| error.to_string())?;
    // Cut, not rounded: what happened within a millisecond belongs to it.
    let unit = 10_i128.pow(u32::from(whole.scale()));
    let ms = i64::try_from(whole.mantissa().div_euclid(unit)).map_err(|_| "the time is out of range".to_owned())?;
    let at = TimestampMs::new(ms).map_err(|error| error.to_string())?;
    Ok(if !is_ms && is_whole { EventTime::seconds(at) } else { EventTime::ms(at) })
}

/// `2026-01-31T18:25:01.123456+09:00`, with a space for the `T`, without fraction, with `Z` or without zone.
fn iso(text: &str) -> Option<EventTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', ' '])?;
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at_checked(zone_at)?;
    let mut date = date.split('-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.split(':').map(digits);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !in_range {
        return None;
    }
    let offset_minutes = match zone {
        "" | "Z" | "z" => 0,
        other => {
            let (sign, other) =
                if let Some(rest) = other.strip_prefix('-') { (-1, rest) } else { (1, other.strip_prefix('+')?) };
            let (hours, minutes) = other.split_once(':').or_else(|| other.split_at_checked(2))?;
            sign * (digits(hours)? * 60 + if minutes.is_empty() { 0 } else { digits(minutes)? })
        }
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + (hour * 60 + minute - offset_minutes) * 60 + second;
    let ms = if fraction.is_empty() { 0 } else { digits(&format!("{fraction:0<3}")[..3])? };
    let at = TimestampMs::new(seconds * 1_000 + ms).ok()?;
    Some(if fraction.is_empty() { EventTime::seconds(at) } else { EventTime::ms(at) })
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Days of the proleptic Gregorian calendar: years begin in March, so that the leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_before_month = (153 * month + 2) / 5;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + days_before_month + day
        - 1
        - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_every_form_are_read() {
        for (text, ms, exact) in [
            ("1767225600123", 1_767_225_600_123, true),
            ("1767225600", 1_767_225_600_000, false),
            ("1767225600.1239", 1_767_225_600_123, true),
            ("2026-01-01T00:00:00Z", 1_767_225_600_000, false),
            ("2026-01-01 09:00:00.5+09:00", 1_767_225_600_500, true),
            ("2025-12-31T19:00:00.000001-0500", 1_767_225_600_000, true),
            ("2024-02-29 12:00:00", 1_709_208_000_000, false),
            ("2000-03-01T00:00:00", 951_868_800_000, false),
        ] {
            let time = read(text).unwrap();
            let found = (time.at.as_ms(), time.precision == ledger_core::TimePrecision::Millisecond);
            assert_eq!(found, (ms, exact), "{text}");
        }
        for text in
            ["", "yesterday", "-5", "2026-13-01 00:00:00", "2026-01-01", "nan", "2026-01-01T25:00:00", "1e30", "é"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
