//! Hours, days, weeks and months of a reader's time zone.
//!
//! Days are as long as the zone has them: 23 or 25 hours where clocks change. Invariants, each with a test of the same
//! name:
//! 1. `spans_follow_each_other_without_a_gap`, also where clocks change.
//! 2. `a_repeated_hour_is_two_hours`, which their offsets tell apart.
//! 3. `weeks_begin_on_monday_and_are_numbered_by_iso`.

use std::sync::Arc;

use exchange_client::files::Zone;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, Zoned};
use ledger_core::{GroupBy, SpanOf, TimeSpan, TimestampMs};

const HOUR_MS: i64 = 3_600_000;

/// The spans of a grouping by time; `None` for another grouping.
pub(crate) fn spans(by: GroupBy, zone: &Zone) -> Option<SpanOf> {
    let zone = zone.time_zone().clone();
    let span_of: fn(&Zoned) -> Option<TimeSpan> = match by {
        GroupBy::Engine | GroupBy::Symbol | GroupBy::Side => return None,
        GroupBy::Hour => hour,
        GroupBy::Day => day,
        GroupBy::Week => week,
        GroupBy::Month => month,
    };
    Some(Arc::new(move |at| {
        let zoned = Timestamp::from_millisecond(at.as_ms()).ok().map(|at| at.to_zoned(zone.clone()));
        // Every accepted instant is in every calendar; were one not, it would be a span of its own.
        zoned.as_ref().and_then(span_of).unwrap_or_else(|| TimeSpan {
            since: at,
            until: at.saturating_add_ms(1),
            name: at.to_string(),
        })
    }))
}

fn instant(zoned: &Zoned) -> TimestampMs {
    bounded(zoned.timestamp().as_millisecond())
}

fn bounded(ms: i64) -> TimestampMs {
    TimestampMs::MIN.saturating_add_ms(ms.saturating_sub(TimestampMs::MIN.as_ms()))
}

/// An hour ends early where clocks change within it. One that clocks repeat has its offset in its name.
fn hour(at: &Zoned) -> Option<TimeSpan> {
    let zone = at.time_zone();
    let now_ms = at.timestamp().as_millisecond();
    let begun = i64::from(at.minute()) * 60_000 + i64::from(at.second()) * 1_000 + i64::from(at.millisecond());
    let changed = zone.preceding(at.timestamp().checked_add(1.nanoseconds()).ok()?).next();
    let changes = zone.following(at.timestamp()).next();
    let since_ms = changed.map_or(i64::MIN, |change| change.timestamp().as_millisecond()).max(now_ms - begun);
    let until_ms = changes.map_or(i64::MAX, |change| change.timestamp().as_millisecond()).min(now_ms - begun + HOUR_MS);
    let full = at.datetime().with().minute(0).second(0).subsec_nanosecond(0).build().ok()?;
    let is_cut = until_ms - since_ms < HOUR_MS;
    let is_repeated = zone.to_ambiguous_timestamp(full).is_ambiguous();
    let format = if is_cut || is_repeated { "%Y-%m-%d %H:00 %:z" } else { "%Y-%m-%d %H:00" };
    Some(TimeSpan { since: bounded(since_ms), until: bounded(until_ms), name: at.strftime(format).to_string() })
}

/// From the first instant of `first` to that of the day `days` later.
fn days(zone: &TimeZone, first: Date, length: Span, name: String) -> Option<TimeSpan> {
    let begin = |date: Date| zone.to_zoned(date.at(0, 0, 0, 0)).ok();
    let next = first.checked_add(length).ok()?;
    Some(TimeSpan { since: instant(&begin(first)?), until: instant(&begin(next)?), name })
}

fn day(at: &Zoned) -> Option<TimeSpan> {
    days(at.time_zone(), at.date(), 1.day(), at.strftime("%Y-%m-%d").to_string())
}

fn week(at: &Zoned) -> Option<TimeSpan> {
    let date = at.date();
    let monday = date.checked_sub(i64::from(date.weekday().to_monday_zero_offset()).days()).ok()?;
    let iso = date.iso_week_date();
    days(at.time_zone(), monday, 7.days(), format!("{}-W{:02}", iso.year(), iso.week()))
}

fn month(at: &Zoned) -> Option<TimeSpan> {
    days(at.time_zone(), at.date().first_of_month(), 1.month(), at.strftime("%Y-%m").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn span(by: GroupBy, zone: &str, at: &str) -> TimeSpan {
        spans(by, &zone.parse().unwrap()).unwrap()(TimestampMs::new(ms(at)).unwrap())
    }

    fn hours(span: &TimeSpan) -> i64 {
        (span.until.as_ms() - span.since.as_ms()) / HOUR_MS
    }

    #[test]
    fn weeks_begin_on_monday_and_are_numbered_by_iso() {
        // 2027-01-03 is a Sunday: it belongs to the last week of 2026, which began on Monday, 2026-12-28.
        let week = span(GroupBy::Week, "UTC", "2027-01-03T23:59:59.999Z");
        assert_eq!((week.name.as_str(), week.since.as_ms()), ("2026-W53", ms("2026-12-28T00:00:00Z")));
        let next = span(GroupBy::Week, "UTC", "2027-01-04T00:00:00Z");
        assert_eq!((next.name.as_str(), next.since), ("2027-W01", week.until));
        // The zone decides: in Seoul it is Monday already.
        assert_eq!(span(GroupBy::Week, "Asia/Seoul", "2027-01-03T23:59:59.999Z").name, "2027-W01");
    }

    #[test]
    fn days_and_months_are_as_long_as_the_zone_has_them() {
        let berlin = "Europe/Berlin";
        for (at, name, length) in [
            ("2026-03-29T12:00:00Z", "2026-03-29", 23),
            ("2026-10-25T12:00:00Z", "2026-10-25", 25),
            ("2026-10-24T22:00:00Z", "2026-10-25", 25),
            ("2026-10-24T21:59:59.999Z", "2026-10-24", 24),
        ] {
            let day = span(GroupBy::Day, berlin, at);
            assert_eq!((day.name.as_str(), hours(&day)), (name, length), "{at}");
        }
        assert_eq!(hours(&span(GroupBy::Month, berlin, "2026-03-15T00:00:00Z")), 31 * 24 - 1);
        assert_eq!(hours(&span(GroupBy::Week, berlin, "2026-10-25T00:00:00Z")), 7 * 24 + 1);
        // Clocks go forward at midnight there: the day begins at 01:00.
        let day = span(GroupBy::Day, "Africa/Cairo", "2026-04-24T09:00:00Z");
        assert_eq!((day.since.as_ms(), hours(&day)), (ms("2026-04-23T22:00:00Z"), 23));
    }

    #[test]
    fn a_repeated_hour_is_two_hours() {
        let berlin = "Europe/Berlin";
        let names = ["2026-10-24T23:59:59Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"];
        let spans = names.map(|at| span(GroupBy::Hour, berlin, at));
        let named: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(
            named,
            ["2026-10-25 01:00", "2026-10-25 02:00 +02:00", "2026-10-25 02:00 +01:00", "2026-10-25 03:00"]
        );
        assert!(spans.iter().all(|span| hours(span) == 1));
    }

    #[test]
    fn spans_follow_each_other_without_a_gap() {
        for zone in ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC-3:30"] {
            for by in [GroupBy::Hour, GroupBy::Day, GroupBy::Week, GroupBy::Month] {
                let span_of = spans(by, &zone.parse().unwrap()).unwrap();
                let mut at = TimestampMs::new(ms("2025-12-30T10:20:30.456Z")).unwrap();
                let mut names = std::collections::BTreeSet::new();
                for _ in 0..if by == GroupBy::Hour { 9_000 } else { 14 } {
                    let span = span_of(at);
                    for inside in [span.since, span.until.saturating_add_ms(-1)] {
                        assert_eq!(span_of(inside), span, "{zone} {by}");
                    }
                    assert!(names.insert(span.name.clone()), "{zone} {by} {span:?}");
                    assert!(span.since <= at && at < span.until);
                    at = span.until;
                }
            }
        }
    }
}
