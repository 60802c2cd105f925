//! The spellings that bots use for symbols, sides and times.

use jiff::tz::TimeZone;
use ledger_core::{EventTime, Side, Symbol, TimestampMs};
use serde_json::value::RawValue;

/// A JSON scalar as text: the characters of a string, or a number as it is written. Numbers never pass through a float.
pub(super) fn scalar(raw: &RawValue) -> Option<String> {
    let text = raw.get().trim();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).ok(),
        Some(b'-' | b'0'..=b'9') => Some(text.to_owned()),
        _ => None,
    }
}

/// `BTCUSDT`, `BTC/USDT` and `BTC/USDT:USDT` are one contract; `BTC/USDT:USDT-261225` is a dated one.
pub(super) fn symbol(text: &str) -> Option<Symbol> {
    let text = text.trim();
    let (pair, settled) = text.split_once(':').map_or((text, None), |(pair, settled)| (pair, Some(settled)));
    let delivery = settled.and_then(|settled| settled.split_once('-')).map(|(_, delivery)| delivery);
    let joined: String = pair.chars().filter(|character| *character != '/').collect();
    Symbol::new(delivery.map_or(joined.clone(), |delivery| format!("{joined}_{delivery}"))).ok()
}

/// The direction of the order that opens such a position.
pub(super) fn side(text: &str) -> Option<Side> {
    match text.trim().to_ascii_uppercase().as_str() {
        "BUY" | "LONG" => Some(Side::Buy),
        "SELL" | "SHORT" => Some(Side::Sell),
        _ => None,
    }
}

/// Seconds (with or without a fraction), milliseconds or microseconds since 1970, or ISO 8601; a time without an offset
/// is read in `zone`.
pub(super) fn time(text: &str, zone: &TimeZone) -> Option<EventTime> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !text.is_empty() {
        return number(text);
    }
    let instant = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let local = text.parse::<jiff::civil::DateTime>().ok()?;
        // An hour that the clocks repeat is two instants; neither is guessed.
        zone.to_ambiguous_timestamp(local).unambiguous().ok()
    })?;
    let at = TimestampMs::new(instant.as_millisecond()).ok()?;
    Some(if text.contains('.') { EventTime::ms(at) } else { EventTime::seconds(at) })
}

fn number(text: &str) -> Option<EventTime> {
    let (whole, fraction) = text.split_once('.').map_or((text, ""), |(whole, fraction)| (whole, fraction));
    if fraction.contains('.') {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    match whole {
        100_000_000_000_000.. => Some(EventTime::ms(TimestampMs::new(whole / 1_000).ok()?)),
        100_000_000_000.. => Some(EventTime::ms(TimestampMs::new(whole).ok()?)),
        _ => {
            let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
            let ms: i64 = digits.parse().ok()?;
            let at = TimestampMs::new(whole.checked_mul(1_000)?.checked_add(ms)?).ok()?;
            Some(if fraction.is_empty() { EventTime::seconds(at) } else { EventTime::ms(at) })
        }
    }
}

#[cfg(test)]
mod tests {
    use ledger_core::TimePrecision;

    use super::*;

    #[test]
    fn one_contract_has_many_names() {
        for text in ["BTCUSDT", "BTC/USDT", "BTC/USDT:USDT", " BTC/USDT:USDT "] {
            assert_eq!(symbol(text).unwrap().as_str(), "BTCUSDT", "{text}");
        }
        assert_eq!(symbol("ETH/USDT:USDT-261225").unwrap().as_str(), "ETHUSDT_261225");
        assert_eq!(symbol("币安人生/USDT:USDT").unwrap().as_str(), "币安人生USDT");
        for text in ["", "/", "=cmd|x", "BTC USDT"] {
            assert_eq!(symbol(text), None, "{text}");
        }
    }

    #[test]
    fn one_instant_has_many_spellings() {
        let seoul = TimeZone::get("Asia/Seoul").unwrap();
        let expected = 1_780_000_000_000;
        for (text, precision) in [
            ("1780000000", TimePrecision::Second),
            ("1780000000.0", TimePrecision::Millisecond),
            ("1780000000000", TimePrecision::Millisecond),
            ("1780000000000000", TimePrecision::Millisecond),
            ("2026-05-28T20:26:40Z", TimePrecision::Second),
            ("2026-05-29 05:26:40", TimePrecision::Second),
            ("2026-05-29T05:26:40.000", TimePrecision::Millisecond),
            ("2026-05-28T22:26:40+02:00", TimePrecision::Second),
        ] {
            let read = time(text, &seoul).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((read.at.as_ms(), read.precision), (expected, precision), "{text}");
        }
        assert_eq!(time("1780000000.1239", &seoul).unwrap().at.as_ms(), expected + 123);
        let new_york = TimeZone::get("America/New_York").unwrap();
        for text in ["", "17.8.1", "yesterday", "17", "2025-11-02 01:30:00", "1e9"] {
            assert_eq!(time(text, &new_york), None, "{text}");
        }
    }
}
