//! Reading a stream from where it was read to the last time, page by page.

use std::collections::BTreeMap;

use exchange_client::{ExchangeError, ExchangeReader, Page, Stated, TimeWindow, UnreadableRow, WindowQuery, speaks_of};
use ledger_core::{Fill, FillKey, Income, Order, OrderClass, Symbol, TimestampMs};
use ledger_store::CoverageSpan;

use crate::streams::{FILLS, complete_up_to};

/// How a walk joins on to the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continuity {
    /// Nothing was walked before: it began as far back as the venue answers.
    First,
    /// Nothing lies unread between the two.
    Resumed,
    /// It was told to begin later: what lies between is still to be read.
    Apart,
    /// The previous walk ended so long ago that the venue does not answer for the time up to this one any more.
    Expired(TimeWindow),
}

impl Continuity {
    /// Whether the cursor may move to the end of this walk, because waiting would bring nothing.
    pub(crate) fn moves_cursor(self) -> bool {
        self != Self::Apart
    }

    /// The time that can no longer be read.
    pub(crate) fn expired(self) -> Option<TimeWindow> {
        if let Self::Expired(gap) = self { Some(gap) } else { None }
    }
}

/// All rows of a window, collected page by page.
#[derive(Debug)]
pub(crate) struct Walk<T> {
    /// The rows.
    pub rows: Vec<Stated<T>>,
    /// What was asked for.
    pub window: TimeWindow,
    /// The server's time when the walk began: what happened later may be missing.
    pub asked_at: TimestampMs,
    /// Rows that could not be read: of the symbols that they are about the walk is not complete.
    pub unreadable: Vec<UnreadableRow>,
    /// How it joins on to the previous walk.
    pub continuity: Continuity,
}

impl<T> Walk<T> {
    /// Whether everything that the exchange said about a symbol could be read.
    pub(crate) fn speaks_of(&self, symbol: &Symbol) -> bool {
        speaks_of(&self.unreadable, symbol)
    }
}

/// The fills of a symbol: those of a window, and those of orders that were asked for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FillWalk {
    /// The fills, each once.
    pub rows: BTreeMap<FillKey, Stated<Fill>>,
    /// The window in which they are complete.
    pub window: TimeWindow,
    /// Whether the venue answers for nothing before the window.
    pub reaches_oldest: bool,
    /// The server's time when the walk began.
    pub asked_at: TimestampMs,
    /// How it joins on to the previous walk.
    pub continuity: Continuity,
}

impl FillWalk {
    /// The fills inside the window, in fold order: with these, nothing is missing in between.
    pub(crate) fn in_fold_order(&self) -> Vec<&Fill> {
        in_fold_order(&self.rows, self.window)
    }
}

/// The fills inside a window, in fold order.
pub(super) fn in_fold_order(rows: &BTreeMap<FillKey, Stated<Fill>>, window: TimeWindow) -> Vec<&Fill> {
    let inside = rows.values().map(|row| &row.entity).filter(|fill| window.contains(fill.time.at));
    let mut fills: Vec<&Fill> = inside.collect();
    fills.sort_by_cached_key(|fill| fill.fold_key());
    fills
}

/// What to walk through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) window: TimeWindow,
    pub(super) now: TimestampMs,
    pub(super) continuity: Continuity,
    /// The oldest instant that the venue answers for.
    pub(super) oldest: TimestampMs,
    /// After how many rows a walk stops, wherever that is.
    pub(super) rows_max: usize,
}

/// The first instant that is asked for of what a venue keeps that long: a little inside of its limit, which moves on while
/// we ask.
pub(super) fn oldest(now: TimestampMs, retention_ms: i64) -> TimestampMs {
    now.saturating_add_ms(60_000 - retention_ms)
}

/// From `begin` on, or as far back as the venue answers.
pub(super) fn span(
    reached: Option<TimestampMs>,
    begin: Option<TimestampMs>,
    now: TimestampMs,
    retention_ms: i64,
) -> Span {
    let oldest = oldest(now, retention_ms);
    let since = begin.map_or(oldest, |begin| begin.max(oldest));
    let continuity = match reached {
        None if since == oldest => Continuity::First,
        Some(reached) if since <= reached => Continuity::Resumed,
        Some(reached) if since == oldest => Continuity::Expired(TimeWindow::up_to(oldest, reached)),
        // Told to begin later than where the last walk ended, the cursor has to stay, or the time between is never read.
        _ => Continuity::Apart,
    };
    Span { window: TimeWindow::up_to(now, since), now, continuity, oldest, rows_max: usize::MAX }
}

impl Span {
    /// The part of it that ends at `until`, or where `rows_max` rows are reached. `None` when it begins later.
    pub(super) fn first_part(mut self, until: TimestampMs, rows_max: usize) -> Option<Self> {
        if self.window.since() >= until {
            return None;
        }
        self.window = TimeWindow::up_to(until, self.window.since());
        self.rows_max = rows_max;
        Some(self)
    }

    /// Ends the walk before the next question when it has read enough. A question that begins where the walk began is one
    /// that was too large, and is asked again in smaller steps.
    fn ends_before(&mut self, next: &WindowQuery, row_count: usize) -> bool {
        let ends = row_count >= self.rows_max && next.window.since() > self.window.since();
        if ends {
            self.window = TimeWindow::up_to(next.window.since().saturating_add_ms(-1), self.window.since());
        }
        ends
    }

    /// Goes back to what is doubted, as far as the venue answers: only another answer about it tells.
    pub(super) fn begin_at_latest(&mut self, doubted: Option<TimestampMs>) {
        let is_told = |at: &TimestampMs| (self.oldest..self.window.since()).contains(at);
        if let Some(at) = doubted.filter(|at| self.continuity == Continuity::Resumed && is_told(at)) {
            self.window = TimeWindow::up_to(self.window.until(), at);
        }
    }

    /// Leaves out what is known to hold nothing. What lies before counts as read.
    pub(super) fn begin_no_earlier_than(&mut self, first: Option<TimestampMs>) {
        if let Some(first) = first.filter(|first| *first > self.window.since()) {
            self.window = TimeWindow::up_to(self.window.until(), first);
            self.oldest = self.window.since();
        }
    }

    /// Begins a little before what is on record as complete ends, where it is complete from the beginning on. What lies
    /// before can still be asked for. Not behind `coarse`, a fill of which the exchange can tell more than the book knows:
    /// nothing is missing there, but whether it was imported before or after the exchange was asked must make no difference.
    pub(super) fn begin_where_covered(
        &mut self,
        coverage: &[CoverageSpan],
        symbol: &Symbol,
        overlap_ms: i64,
        coarse: Option<TimestampMs>,
    ) {
        let end = complete_up_to(coverage, FILLS, Some(symbol), self.window.since());
        let covered = end.saturating_add_ms(-overlap_ms);
        let since = coarse.map_or(covered, |coarse| covered.min(coarse));
        if since > self.window.since() {
            self.window = TimeWindow::up_to(self.window.until(), since);
        }
    }

    fn walk<T>(self, rows: Vec<Stated<T>>, unreadable: Vec<UnreadableRow>) -> Walk<T> {
        Walk { rows, window: self.window, asked_at: self.now, unreadable, continuity: self.continuity }
    }
}

pub(super) async fn walk_orders(
    exchange: &dyn ExchangeReader,
    class: OrderClass,
    symbol: Option<&Symbol>,
    mut span: Span,
) -> Result<Walk<Order>, ExchangeError> {
    let (mut rows, mut unreadable, mut next) = (Vec::new(), Vec::new(), Some(WindowQuery::new(span.window)));
    while let Some(query) = next {
        if span.ends_before(&query, rows.len()) {
            break;
        }
        let page = exchange.fetch_orders(class, symbol.cloned(), query).await?;
        rows.extend(page.rows);
        unreadable.extend(page.unreadable);
        next = page.next;
    }
    Ok(span.walk(rows, unreadable))
}

pub(super) async fn walk_force_orders(
    exchange: &dyn ExchangeReader,
    mut span: Span,
) -> Result<Walk<Order>, ExchangeError> {
    let (mut rows, mut unreadable, mut next) = (Vec::new(), Vec::new(), Some(WindowQuery::new(span.window)));
    while let Some(query) = next {
        if span.ends_before(&query, rows.len()) {
            break;
        }
        let page = exchange.fetch_force_orders(None, query).await?;
        rows.extend(page.rows);
        unreadable.extend(page.unreadable);
        next = page.next;
    }
    Ok(span.walk(rows, unreadable))
}

pub(super) async fn walk_income(exchange: &dyn ExchangeReader, mut span: Span) -> Result<Walk<Income>, ExchangeError> {
    let (mut rows, mut next) = (Vec::new(), Some(WindowQuery::new(span.window)));
    while let Some(query) = next {
        if span.ends_before(&query, rows.len()) {
            break;
        }
        let Page { rows: page, next: following, .. } = exchange.fetch_income(None, query).await?;
        rows.extend(page);
        next = following;
    }
    Ok(span.walk(rows, Vec::new()))
}
