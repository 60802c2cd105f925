//! Reading a stream from where it was read to the last time, page by page.

use exchange_client::{ExchangeReader, Page, Stated, TimeWindow, UnreadableRow, WindowQuery};
use ledger_core::{Income, Order, OrderClass, Symbol, TimestampMs};
use ledger_store::{CoverageSpan, SyncCursor};

use super::FILLS;
use crate::error::ReconcileError;
use crate::observation::{Asked, Continuity, Walk};

/// Where the previous walk of a stream ended.
pub(crate) fn reached(
    cursors: &[SyncCursor],
    stream: &'static str,
    symbol: Option<&Symbol>,
) -> Result<Option<TimestampMs>, ReconcileError> {
    let Some(cursor) = cursors.iter().find(|cursor| cursor.stream == stream && cursor.symbol.as_ref() == symbol) else {
        return Ok(None);
    };
    let at = cursor.position.parse().ok().and_then(|ms| TimestampMs::new(ms).ok());
    at.map(Some).ok_or_else(|| ReconcileError::Cursor { stream, position: cursor.position.clone() })
}

/// Where what is on record as complete ends, if it begins at `since` at the latest.
pub(crate) fn complete_up_to(
    coverage: &[CoverageSpan],
    stream: &str,
    symbol: Option<&Symbol>,
    since: TimestampMs,
) -> TimestampMs {
    let of_all = |span: &&CoverageSpan| span.symbol.is_none() || span.symbol.as_ref() == symbol;
    let mut spans: Vec<_> = coverage.iter().filter(|span| span.stream == stream).filter(of_all).collect();
    spans.sort_by_key(|span| span.since);
    spans.into_iter().fold(since, |reached, span| if span.since <= reached { reached.max(span.until) } else { reached })
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

/// From `begin` on, or as far back as the venue answers.
pub(super) fn span(
    reached: Option<TimestampMs>,
    begin: Option<TimestampMs>,
    now: TimestampMs,
    retention_ms: i64,
) -> Span {
    // A little inside of the venue's limit, which moves on while we ask.
    let oldest = now.saturating_add_ms(60_000 - retention_ms);
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
) -> Asked<Walk<Order>> {
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

pub(super) async fn walk_force_orders(exchange: &dyn ExchangeReader, mut span: Span) -> Asked<Walk<Order>> {
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

pub(super) async fn walk_income(exchange: &dyn ExchangeReader, mut span: Span) -> Asked<Walk<Income>> {
    let (mut rows, mut next) = (Vec::new(), Some(WindowQuery::new(span.window)));
    while let Some(query) = next {
        if span.ends_before(&query, rows.len()) {
            break;
        }
        let Page { rows: page, next: following, .. } = exchange.fetch_income(query).await?;
        rows.extend(page);
        next = following;
    }
    Ok(span.walk(rows, Vec::new()))
}
