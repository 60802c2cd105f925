//! What a day came to: whether book and exchange agree, the money that moved, what is held.
//!
//! Invariants, each with a test of the same name (in `tests/daily.rs`):
//! 1. `a_day_is_summed_up_once`, when the ledger has been read to its end or will not be soon.
//! 2. `a_day_says_whether_book_and_exchange_agree`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ledger_core::{
    Asset, Certainty, Decimal, Direction, Income, LedgerPlace, LedgerRules, LookStream, RoundTrip, TimestampMs,
};
use ledger_store::{BookPosition, Look};
use serde_json::{Value, json};

use super::event::{Amounts, Event, EventKind};
use super::money::{direction_of, percent, percent_text};
use super::state::TellState;
use crate::wording::count;

/// How long after its end a day waits for the ledger to be read that far.
pub(crate) const PATIENCE_MS: i64 = 30 * 60_000;

/// What the book says of a day.
#[derive(Debug, Clone, Default)]
pub(crate) struct DaySeen {
    /// The exchange's ledger rows of the day.
    pub(crate) ledger: Vec<Income>,
    /// The round trips that closed in it.
    pub(crate) closed: Vec<RoundTrip>,
    /// What is held now.
    pub(crate) positions: Vec<BookPosition>,
    /// The last looks.
    pub(crate) looks: Vec<Look>,
    /// The last wallet of each asset.
    pub(crate) wallets: BTreeMap<Asset, Decimal>,
    /// How many differences are confirmed.
    pub(crate) differing: usize,
    /// Whether the last look is too old to go by.
    pub(crate) is_stale: bool,
    /// How often the stream was interrupted since the watcher began.
    pub(crate) interruptions: u64,
}

/// Whether the ledger has been read up to `until`.
pub(crate) fn is_read(looks: &[Look], until: TimestampMs) -> bool {
    seen(looks, LookStream::Ledger).is_some_and(|(_, seen_at)| seen_at >= until)
}

/// When a stream was last answered, by the local clock, and of which instant that is true, by the exchange's.
fn seen(looks: &[Look], stream: LookStream) -> Option<(TimestampMs, TimestampMs)> {
    let success = looks.iter().find(|look| look.stream == stream)?.success.as_ref()?;
    Some((success.ended_local, success.seen_at))
}

/// The sum of a day. The state moves on to its end.
pub(crate) fn derive(
    state: &mut TellState,
    seen_day: &DaySeen,
    (since, until): (TimestampMs, TimestampMs),
    rules: LedgerRules,
    zone: &TimeZone,
) -> Event {
    state.day = Some(until);
    let clock = |at: TimestampMs| at_clock(at, zone);
    let checked = seen(&seen_day.looks, LookStream::Positions).map(|(local, _)| clock(local));
    let event = Event::new(EventKind::Daily, format!("daily:{}", until.as_ms()), until);
    let agreement = match (checked, seen_day.is_stale, seen_day.differing) {
        (None, ..) => "book and exchange were not compared".to_owned(),
        (Some(at), true, _) => format!("book and exchange were last compared at {at}"),
        (Some(at), false, 0) => format!("book = exchange, checked {at}"),
        (Some(at), false, number) => {
            format!("book and exchange differ in {}, checked {at} `fillbook discrepancies`", count(number, "thing"))
        }
    };
    let mut event = event.say(agreement).with("since", since.as_ms()).with("differing", seen_day.differing);
    event = event.with("agrees", checked_and_equal(seen_day));
    event = money(event, seen_day, rules);
    if let Some((_, read)) = seen(&seen_day.looks, LookStream::Ledger).filter(|(_, read)| *read < until) {
        event = event.say(format!(" (the ledger was read up to {})", clock(read)));
    }
    event = event.say(format!("; {} closed", count(seen_day.closed.len(), "round trip")));
    let won = seen_day.closed.iter().filter(|trip| is_won(trip)).count();
    if won > 0 {
        event = event.say(format!(", {won} won"));
    }
    event = held(event.with("trips_closed", seen_day.closed.len()).with("trips_won", won), &seen_day.positions);
    if seen_day.interruptions > 0 {
        let times = count(usize::try_from(seen_day.interruptions).unwrap_or(usize::MAX), "time");
        event = event.say(format!("; the stream was interrupted {times} since the watcher began"));
    }
    event
}

fn checked_and_equal(seen_day: &DaySeen) -> bool {
    let was_checked = seen(&seen_day.looks, LookStream::Positions).is_some();
    was_checked && !seen_day.is_stale && seen_day.differing == 0
}

fn is_won(trip: &RoundTrip) -> bool {
    let net = trip.net().ok().and_then(|net| net.into_iter().find(|total| total.asset == trip.settle_asset));
    let known = net.filter(|net| net.total.certainty() != Certainty::Unknown);
    known.and_then(|net| net.total.amount().ok()).is_some_and(Decimal::is_positive)
}

/// What the ledger says that the day earned, an asset each; transfers and conversions earn nothing.
fn money(mut event: Event, seen_day: &DaySeen, rules: LedgerRules) -> Event {
    let earns = |row: &&Income| {
        let place = rules.place(&row.key.income_type);
        !matches!(place, LedgerPlace::Transfer | LedgerPlace::Conversion | LedgerPlace::Unknown)
    };
    let mut net: BTreeMap<&Asset, Option<Decimal>> = BTreeMap::new();
    for row in seen_day.ledger.iter().filter(earns) {
        let sum = net.entry(&row.key.asset).or_insert(Some(Decimal::ZERO));
        *sum = sum.and_then(|sum| sum.checked_add(row.amount).ok());
    }
    if net.is_empty() {
        return event.say("; nothing earned or paid");
    }
    let (mut words, mut shares, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (asset, sum) in net {
        let Some(sum) = sum else { continue };
        let plus = if sum.is_positive() { "+" } else { "" };
        words.push(format!("{plus}{sum} {asset}"));
        values.push(json!({"asset": asset.as_str(), "amount": sum.to_string()}));
        // What it was before the day.
        let before = seen_day.wallets.get(asset).and_then(|wallet| wallet.checked_sub(sum).ok());
        if let Some(share) = before.and_then(|before| percent(sum, before)) {
            shares.push(format!("{} of {asset}", percent_text(share, Certainty::Known)));
        }
    }
    event = event.say_from(Amounts::Full, format!("; the day's net by the ledger: {}", words.join(", ")));
    if !shares.is_empty() {
        event = event.say_from(Amounts::Percent, format!("; {} wallet", shares.join(", ")));
    }
    event.with_from(Amounts::Full, "net", Value::Array(values))
}

/// What is held.
fn held(mut event: Event, positions: &[BookPosition]) -> Event {
    let open: Vec<_> = positions.iter().filter(|held| !held.position.qty.is_zero()).collect();
    if open.is_empty() {
        return event.say("; nothing is open").with("open", Value::Array(Vec::new()));
    }
    let mut names = Vec::new();
    for (nth, held) in open.iter().enumerate() {
        let (qty, direction) = (held.position.qty, direction_of(held.position.qty));
        event = event.say(format!("{} {} {direction}", if nth == 0 { "; open:" } else { "," }, held.symbol));
        event = event.say_from(Amounts::Full, format!(" {}", qty.abs()));
        if let Some(entry) = held.position.entry_price_avg {
            event = event.say_from(Amounts::Percent, format!(" at {}", entry.round(8)));
        }
        if let Some(pnl) = held.unreal_pnl {
            event = event.say_from(Amounts::Full, format!(" (~{pnl} {} unrealized)", held.settle_asset));
        } else if let Some(moved) = moved(held, direction) {
            event = event.say_from(Amounts::Percent, format!(" ({})", percent_text(moved, Certainty::Estimated)));
        }
        names.push(json!({"symbol": held.symbol.as_str(), "direction": direction.as_str()}));
    }
    event.with("open", Value::Array(names))
}

/// How far the mark is from the entry in favour of the position, in percent.
fn moved(held: &BookPosition, direction: Direction) -> Option<Decimal> {
    let (mark, entry) = (held.mark.as_ref()?.price.get(), held.position.entry_price_avg?);
    let by = if direction == Direction::Long { mark.checked_sub(entry) } else { entry.checked_sub(mark) };
    percent(by.ok()?, entry)
}

fn at_clock(at: TimestampMs, zone: &TimeZone) -> String {
    let zoned = Timestamp::from_millisecond(at.as_ms()).map(|at| at.to_zoned(zone.clone()));
    zoned.map_or_else(|_| at.to_string(), |at| at.strftime("%H:%M").to_string())
}
