//! How an answer of one page leads to the next question.
//!
//! Invariants, each with a test of the same name:
//! 1. `every_walk_ends_and_sees_everything`: whatever the page size and however many rows share a millisecond.
//! 2. `a_page_full_within_one_millisecond_is_an_error`, not an end.
//! 3. `an_answer_that_was_cut_is_an_error`: a walk by trade id begins with the trade that it goes on from.
//! 4. `what_the_exchange_has_forgotten_is_not_asked_for`.

use ledger_core::{Fill, FillId, TimestampMs};

use super::facts::VENUE;
use crate::api::{Stated, TimeWindow, TradeQuery, WindowQuery};
use crate::clock::utc;
use crate::venue::{DAY_MS, PagedFacts};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TradeRequest {
    /// The first page of a window.
    Window(TimeWindow),
    /// A page from a trade id on.
    FromId(FillId),
    /// A page of one order.
    Order(ledger_core::OrderId),
}

/// Why a walk cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stuck(pub(super) String);

pub(super) fn trade_request(query: &TradeQuery) -> TradeRequest {
    match query {
        TradeQuery::Window(window) => TradeRequest::Window(window.head(VENUE.trades.window_ms_max)),
        TradeQuery::FromId(id) | TradeQuery::After(id) | TradeQuery::Resume { after: id, .. } => {
            TradeRequest::FromId(id.clone())
        }
        TradeQuery::Order(order_id) => TradeRequest::Order(order_id.clone()),
    }
}

/// The question after a page of fills, given in ascending order of their ids.
///
/// On a full page the walk goes on by trade id, never by time: more than a page can share a millisecond. It goes on
/// from the last trade itself, not from the one after it: that trade has to be in the next page, or the exchange cut
/// it; and of a self-trade, whose two rows share an id, a page may end with the first.
pub(super) fn next_trades(
    query: &TradeQuery,
    rows: &[Stated<Fill>],
    row_count: usize,
) -> Result<Option<TradeQuery>, Stuck> {
    let full = row_count >= VENUE.trades.page_rows_max;
    if let TradeQuery::After(known) | TradeQuery::Resume { after: known, .. } = query {
        let first = rows.first().map(|row| &row.entity.key.fill_id);
        if first != Some(known) {
            let first = first.map_or_else(|| "nothing".to_owned(), |first| format!("trade {first}"));
            return Err(Stuck(format!("trades from {known} on were asked for, but the answer begins with {first}")));
        }
    }
    let last = || {
        let last = rows.last().map(|row| &row.entity.key.fill_id);
        let last = last.ok_or_else(|| Stuck("a full page without a row".into()))?;
        match query {
            TradeQuery::FromId(from) if last.as_sequence() < from.as_sequence() => {
                Err(Stuck(format!("trades from {from} on were asked for, older ones answered")))
            }
            TradeQuery::After(from) | TradeQuery::Resume { after: from, .. } if last == from => {
                Err(Stuck(format!("a full page has nothing after trade {from}; there is no way to ask for more")))
            }
            _ => Ok(last.clone()),
        }
    };
    let rest = |step: TimeWindow, until: TimestampMs| -> Option<TradeQuery> {
        let whole = TimeWindow::new(step.since(), until).ok()?;
        // One millisecond of overlap: whether the bounds of a window are inclusive is not documented.
        let rest = whole.after(step)?;
        TimeWindow::new(step.until(), rest.until()).ok().map(TradeQuery::Window)
    };
    match query {
        TradeQuery::Window(window) => {
            let step = window.head(VENUE.trades.window_ms_max);
            if full {
                Ok(Some(TradeQuery::Resume { after: last()?, step, until: window.until() }))
            } else {
                Ok(rest(step, window.until()))
            }
        }
        TradeQuery::Resume { step, until, .. } => {
            let beyond_step = rows.last().is_some_and(|row| row.entity.time.at > step.until());
            if full && !beyond_step {
                Ok(Some(TradeQuery::Resume { after: last()?, step: *step, until: *until }))
            } else {
                Ok(rest(*step, *until))
            }
        }
        // An order's trades cannot be paged; all trades from there on include the rest of them.
        TradeQuery::FromId(_) | TradeQuery::After(_) | TradeQuery::Order(_) if full => {
            last().map(|last| Some(TradeQuery::After(last)))
        }
        TradeQuery::FromId(_) | TradeQuery::After(_) | TradeQuery::Order(_) => Ok(None),
    }
}

/// How far before the edge of what the exchange keeps a window may begin: long walks start at the edge and wait for
/// their budget on the way.
const RETENTION_GRACE_MS: i64 = 3_600_000;

/// Refuses a window that begins where the exchange has forgotten everything: it would answer with nothing, which is
/// not the same as nothing having happened.
pub(super) fn within_retention(window: TimeWindow, now: TimestampMs, limits: PagedFacts) -> Result<(), Stuck> {
    let edge = now.saturating_add_ms(-limits.retention_ms);
    if window.since() >= edge.saturating_add_ms(-RETENTION_GRACE_MS) {
        return Ok(());
    }
    let days = limits.retention_ms / DAY_MS;
    Err(Stuck(format!(
        "the exchange answers for the last {days} days, since {}; from {} on there would be nothing, whatever there was: \
         ask from the later time on",
        utc(edge),
        utc(window.since())
    )))
}

/// Milliseconds in a second.
pub(super) const SECOND_MS: i64 = 1_000;

/// The same question, from the beginning of its first second on and in steps that end where a second ends.
pub(super) fn in_whole_seconds(query: WindowQuery, limits: PagedFacts) -> WindowQuery {
    let since = query.window.since();
    let since = since.saturating_add_ms(-since.as_ms().rem_euclid(SECOND_MS));
    let step_ms = query.step_ms.min(limits.window_ms_max);
    let step_ms = (step_ms - step_ms.rem_euclid(SECOND_MS)).max(SECOND_MS);
    WindowQuery { window: TimeWindow::up_to(query.window.until(), since), step_ms }
}

/// The part of a window that one request asks for.
pub(super) fn window_step(query: &WindowQuery, limits: PagedFacts) -> TimeWindow {
    query.window.head(query.step_ms.min(limits.window_ms_max))
}

/// What follows a page of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WindowAnswer {
    /// The page holds all of its step.
    Complete(Option<WindowQuery>),
    /// There may be more rows than the page holds, and nothing tells which ones are missing: ask for half the span.
    Overflowed(WindowQuery),
}

pub(super) fn next_window(query: &WindowQuery, row_count: usize, limits: PagedFacts) -> Result<WindowAnswer, Stuck> {
    let step = window_step(query, limits);
    if row_count < limits.page_rows_max {
        // After a crowded stretch the steps grow again.
        let step_ms = query.step_ms.saturating_mul(2);
        return Ok(WindowAnswer::Complete(query.window.after(step).map(|window| WindowQuery { window, step_ms })));
    }
    if step.length_ms() == 1 {
        return Err(Stuck(format!(
            "{row_count} rows, a full page, lie within the millisecond {}; there is no way to ask for the others",
            utc(step.since())
        )));
    }
    Ok(WindowAnswer::Overflowed(WindowQuery { window: query.window, step_ms: step.length_ms() / 2 }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ledger_core::{EventTime, FillKey, Side, Symbol};
    use proptest::prelude::*;

    use super::*;

    const START_MS: i64 = 1_780_000_000_000;

    fn at(ms: i64) -> TimestampMs {
        TimestampMs::new(START_MS + ms).unwrap()
    }

    fn fill(id: i64, ms: i64) -> Stated<Fill> {
        fill_of(id, ms, Side::Buy)
    }

    fn fill_of(id: i64, ms: i64, side: Side) -> Stated<Fill> {
        let entity = Fill {
            key: FillKey {
                symbol: Symbol::new("BTCUSDT").unwrap(),
                fill_id: FillId::new(id.to_string()).unwrap(),
                side,
            },
            order_id: None,
            time: EventTime::ms(at(ms)),
            price: "1".parse().unwrap(),
            qty: "1".parse().unwrap(),
            position_side: None,
            fee: None,
            maker: None,
            exchange_realized_pnl: None,
            sequence: Some(id),
        };
        Stated { entity, payload: "{}".into() }
    }

    /// What a venue with the real page size would answer.
    fn answer(history: &[Stated<Fill>], request: &TradeRequest) -> Vec<Stated<Fill>> {
        let wanted = |row: &&Stated<Fill>| match request {
            TradeRequest::Window(window) => {
                assert!(window.length_ms() <= VENUE.trades.window_ms_max);
                window.contains(row.entity.time.at)
            }
            TradeRequest::FromId(id) => row.entity.sequence >= id.as_sequence(),
            TradeRequest::Order(_) => true,
        };
        history.iter().filter(wanted).take(VENUE.trades.page_rows_max).cloned().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_walk_ends_and_sees_everything(
            // Gaps of 0 make many share a millisecond, gaps of days make windows empty.
            gaps in proptest::collection::vec(prop_oneof![6 => Just(0_i64), 3 => 1_i64..50, 1 => 0_i64..900_000_000], 0..4_000),
        ) {
            let mut now = 0;
            let mut history = Vec::new();
            for (index, gap) in gaps.iter().enumerate() {
                now += gap;
                let id = 700_000 + i64::try_from(index).unwrap() * 3;
                history.push(fill(id, now));
                // Some are trades with oneself: two rows of one id, which a page may separate.
                if gap % 7 == 3 {
                    history.push(fill_of(id, now, Side::Sell));
                }
            }
            let window = TimeWindow::new(at(0), at(now)).unwrap();
            let mut seen = BTreeSet::new();
            let mut next = Some(TradeQuery::Window(window));
            let mut requests = 0;
            while let Some(query) = next {
                requests += 1;
                prop_assert!(requests < 10_000);
                let rows = answer(&history, &trade_request(&query));
                seen.extend(rows.iter().map(|row| row.entity.key.clone()));
                next = next_trades(&query, &rows, rows.len()).unwrap();
            }
            prop_assert_eq!(seen.len(), history.len());
        }

        #[test]
        fn bisected_windows_cover_every_row_once(times in proptest::collection::vec(0_i64..2_000_000_000, 0..60), crowd in 0_usize..6) {
            let limits = PagedFacts { page_rows_max: 7, window_ms_max: 600_000_000, retention_ms: 0, needs_symbol: false };
            let mut times = times;
            times.extend(std::iter::repeat_n(1_234_567, crowd));
            let rows: Vec<_> = times.iter().map(|ms| at(*ms)).collect();
            let mut seen = 0;
            let mut requests = 0;
            let mut next = Some(WindowQuery::new(TimeWindow::new(at(0), at(2_000_000_000)).unwrap()));
            while let Some(query) = next {
                requests += 1;
                prop_assert!(requests < 10_000);
                let step = window_step(&query, limits);
                prop_assert!(step.length_ms() <= limits.window_ms_max);
                let count = rows.iter().filter(|at| step.contains(**at)).count().min(limits.page_rows_max);
                next = match next_window(&query, count, limits).unwrap() {
                    WindowAnswer::Complete(next) => { seen += count; next }
                    WindowAnswer::Overflowed(narrower) => Some(narrower),
                };
            }
            prop_assert_eq!(seen, rows.len());
        }
    }

    #[test]
    fn a_page_full_within_one_millisecond_is_an_error() {
        let limits = PagedFacts { page_rows_max: 5, window_ms_max: 1_000, retention_ms: 0, needs_symbol: false };
        let mut query = WindowQuery::new(TimeWindow::new(at(0), at(5_000)).unwrap());
        let stuck = loop {
            match next_window(&query, 5, limits) {
                Ok(WindowAnswer::Overflowed(narrower)) => query = narrower,
                Ok(WindowAnswer::Complete(next)) => panic!("went on to {next:?}"),
                Err(Stuck(message)) => break message,
            }
        };
        assert!(stuck.contains("full page") && stuck.contains(" 2026-05-28T20:26:40Z;"), "{stuck}");
    }

    #[test]
    fn an_answer_that_was_cut_is_an_error() {
        let id = |id: &str| FillId::new(id).unwrap();
        let rows: Vec<_> = (0..1_000).map(|id| fill(id, 0)).collect();
        let next = |query: TradeQuery, rows: &[Stated<Fill>]| next_trades(&query, rows, rows.len());
        // Older ones than were asked for, or nothing newer.
        assert!(next(TradeQuery::FromId(id("5000")), &rows).is_err());
        assert!(next(TradeQuery::After(id("999")), &rows[999..]).unwrap().is_none());
        let same: Vec<_> = std::iter::repeat_n(fill(999, 0), 1_000).collect();
        assert!(next(TradeQuery::After(id("999")), &same).is_err());
        // The trade that is known is not there: the exchange has cut what lies before.
        let step = TimeWindow::new(at(0), at(5)).unwrap();
        for query in [TradeQuery::After(id("2")), TradeQuery::Resume { after: id("2"), step, until: at(9) }] {
            for answer in [&rows[3..], &rows[..1], &[]] {
                let Err(Stuck(why)) = next(query.clone(), answer) else { panic!("{query:?}") };
                assert!(why.contains("from 2 on"), "{why}");
            }
            assert!(next(query, &rows[2..900]).is_ok());
        }
        // The trades of one order that fill a page go on with all trades.
        let order = TradeQuery::Order(ledger_core::OrderId::new("1").unwrap());
        assert_eq!(next(order, &rows), Ok(Some(TradeQuery::After(id("999")))));
    }

    #[test]
    fn what_the_exchange_has_forgotten_is_not_asked_for() {
        let limits =
            PagedFacts { page_rows_max: 5, window_ms_max: 1_000, retention_ms: 90 * DAY_MS, needs_symbol: false };
        let from = |ms| within_retention(TimeWindow::new(at(ms), at(0)).unwrap(), at(0), limits);
        assert_eq!(from(-90 * DAY_MS), Ok(()));
        assert_eq!(from(-90 * DAY_MS - RETENTION_GRACE_MS), Ok(()));
        let Err(Stuck(why)) = from(-90 * DAY_MS - RETENTION_GRACE_MS - 1) else { panic!() };
        assert!(
            why.contains("90 days, since 2026-02-27T20:26:40Z") && why.contains("from 2026-02-27T19:26:39.999Z"),
            "{why}"
        );
    }
}
