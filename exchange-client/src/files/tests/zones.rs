//! Times: in every form of the exports, and in the zone that the file's name, its header or the caller states.

use ledger_core::{EventTime, Source, TimePrecision};

use super::formats::{at, fills};
use super::*;
use crate::files::{Zone, ZoneOrigin};

const NO_ZONE: &str = "Time,Symbol,Side,Price,Quantity,Fee,Realized Profit,Trade ID,Order ID\n2026-03-29 02:30:00,BTCUSDT,BUY,1,1,0USDT,0,1,1\n2026-10-25 02:30:00,BTCUSDT,BUY,1,1,0USDT,0,2,1\n2026-07-01 00:00:00,BTCUSDT,BUY,1,1,0USDT,0,3,1\n";

fn in_zone(zone: &str) -> Options {
    Options { zone: Some(zone.parse().unwrap()), ..Options::default() }
}

#[test]
fn a_zone_is_needed_and_may_be_given() {
    let error = from_text("trades.csv", NO_ZONE, Options::default()).unwrap_err();
    assert!(matches!(error, FileError::ZoneUnknown { .. }), "{error}");
    assert!(error.to_string().contains("--tz UTC+3"), "{error}");
    let found = drain(from_text("trades.csv", NO_ZONE, in_zone("Asia/Seoul")).unwrap()).clean();
    // 2026-07-01 00:00 in Seoul is 15:00 UTC of the day before.
    assert_eq!(fills(&found)[2].time, EventTime::seconds(at(1_782_831_600_000)));
    // The file's own name is more precise than what is given for many files.
    let found = drain(from_text("trades(UTC--6).csv", NO_ZONE, in_zone("Asia/Seoul")).unwrap()).clean();
    assert_eq!(fills(&found)[2].time, EventTime::seconds(at(1_782_885_600_000)));
    assert_eq!(found.statements[0].source, Source::ExchangeCsv);
}

#[test]
fn local_times_that_daylight_saving_skips_or_repeats_are_rejected() {
    let found = drain(from_text("trades.csv", NO_ZONE, in_zone("Europe/Berlin")).unwrap());
    let reasons: Vec<_> = found.rejected.iter().map(|(line, reason)| (*line, reason.as_str())).collect();
    assert_eq!(reasons.len(), 2);
    assert!(reasons[0].0 == 2 && reasons[0].1.contains("does not exist in Europe/Berlin"), "{reasons:?}");
    assert!(reasons[1].0 == 3 && reasons[1].1.contains("occurs twice in Europe/Berlin"), "{reasons:?}");
    assert_eq!(fills(&found).len(), 1);
    let found = drain(from_text("trades.csv", NO_ZONE, in_zone("UTC+1")).unwrap()).clean();
    assert_eq!(fills(&found).len(), 3);
}

#[test]
fn the_name_of_a_file_outranks_its_header_and_both_outrank_what_is_given() {
    let text = NO_ZONE.replacen("Time", "Time(UTC)", 1);
    let time = |file: ImportFile| fills(&drain(file).clean())[2].time.at.as_ms();
    let plain = time(from_text("trades.csv", text.clone(), Options::default()).unwrap());
    assert_eq!(plain, 1_782_864_000_000);
    let named = from_text("dir(UTC-9)/trades (UTC+3) (1).csv", text.clone(), Options::default()).unwrap();
    // The name overrules the header's bare UTC, and the origin says so.
    assert_eq!(named.zone().map(|(_, origin)| origin), Some(ZoneOrigin::NameOverHeader));
    let named = time(named);
    let same = from_text("trades(UTC).csv", text.clone(), Options::default()).unwrap();
    assert_eq!(same.zone().map(|(_, origin)| origin), Some(ZoneOrigin::FileName));
    assert_eq!(plain - named, 3 * 3_600_000);
    assert_eq!(time(from_text("trades.csv", text.clone(), in_zone("UTC")).unwrap()), plain);
    let file = from_text("trades.csv", text.clone(), in_zone("UTC+9")).unwrap();
    assert_eq!(file.zone().map(|(_, origin)| origin), Some(ZoneOrigin::Header));
    assert_eq!(time(file), plain);
    for nowhere in ["UTC+x", "UTC+15", "UTC-13", "UTC+14:30", "UTC--12:01"] {
        let error = from_text(&format!("trades({nowhere}).csv"), text.clone(), Options::default()).unwrap_err();
        assert!(matches!(error, FileError::ZoneInName { .. }) && error.to_string().contains(nowhere), "{error}");
        let in_header = NO_ZONE.replacen("Time", &format!("Time({nowhere})"), 1);
        assert!(from_text("trades.csv", in_header, Options::default()).is_err(), "{nowhere}");
    }
    for somewhere in ["UTC+14", "UTC-12", "UTC--12:00", "UTC+13:45"] {
        drain(from_text(&format!("trades({somewhere}).csv"), text.clone(), Options::default()).unwrap()).clean();
    }
}

#[test]
fn zones_are_read_in_every_usual_spelling() {
    for (text, name) in [
        ("UTC", "UTC"),
        ("utc+0", "UTC"),
        ("Z", "UTC"),
        ("UTC+3", "UTC+3"),
        ("UTC--6", "UTC-6"),
        ("GMT-05:30", "UTC-5:30"),
        ("+0900", "UTC+9"),
        ("Asia/Seoul", "Asia/Seoul"),
        ("europe/berlin", "Europe/Berlin"),
    ] {
        assert_eq!(text.parse::<Zone>().unwrap().name(), name, "{text}");
    }
    for text in
        ["", "UTC+", "UTC+25", "UTC+15", "-13:00", "UTC+5:7", "+1:99", "Mars/Olympus", "\u{1b}[2J", "UTC+3:", "3"]
    {
        let error = text.parse::<Zone>().unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}

#[test]
fn times_are_read_in_every_form_of_the_exports() {
    for (text, ms, precision) in [
        ("2026-05-29 18:25:01", 1_780_079_101_000, TimePrecision::Second),
        ("26-03-17 09:34:12", 1_773_740_052_000, TimePrecision::Second),
        ("2026-05-29T18:25:01Z", 1_780_079_101_000, TimePrecision::Second),
        ("2026-05-29T18:25:01.250+03:00", 1_780_068_301_250, TimePrecision::Millisecond),
        ("2026-05-29 18:25:01.5", 1_780_079_101_500, TimePrecision::Millisecond),
        ("1780079101250", 1_780_079_101_250, TimePrecision::Millisecond),
        ("1780079101250999", 1_780_079_101_250, TimePrecision::Millisecond),
    ] {
        let time = super::super::zone::parse_time(text, Some(&Zone::utc())).unwrap();
        assert_eq!((time.at.as_ms(), time.precision), (ms, precision), "{text}");
    }
    for text in [
        "",
        "1780079101",
        "2026-02-30 00:00:00",
        "2026-05-29",
        "2026-05-29 25:00:00",
        "29.05.2026 18:25:01",
        "2026-05-29 18:25",
        "2026-05-29 18:25:01 PM",
        "0026-05-29 18:25:01",
        "2026-05-29 18:25:01.",
        "٢٠٢٦-05-29 18:25:01",
        "2026-05-29 18:25:0é",
        "99999999999999999999",
    ] {
        assert!(super::super::zone::parse_time(text, Some(&Zone::utc())).is_err(), "{text}");
    }
}
