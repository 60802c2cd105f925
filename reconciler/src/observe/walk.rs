//! Reading a stream from where it was read to the last time, page by page.

use exchange_client::{ExchangeReader, Page, Stated, TimeWindow, UnreadableRow, WindowQuery};
use ledger_core::{Income, Order, OrderClass, Symbol, TimestampMs};
use ledger_store::SyncCursor;

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

/// What to walk through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) window: TimeWindow,
    pub(super) now: TimestampMs,
    pub(super) continuity: Continuity,
    /// The oldest instant that the venue answers for.
    pub(super) oldest: TimestampMs,
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
    Span { window: TimeWindow::up_to(now, since), now, continuity, oldest }
}

impl Span {
    /// Leaves out what is known to hold nothing. What lies before counts as read.
    pub(super) fn begin_no_earlier_than(&mut self, first: Option<TimestampMs>) {
        if let Some(first) = first.filter(|first| *first > self.window.since()) {
            self.window = TimeWindow::up_to(self.window.until(), first);
            self.oldest = self.window.since();
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
    span: Span,
) -> Asked<Walk<Order>> {
    let (mut rows, mut unreadable, mut next) = (Vec::new(), Vec::new(), Some(WindowQuery::new(span.window)));
    while let Some(query) = next {
        let page = exchange.fetch_orders(class, symbol.cloned(), query).await?;
        rows.extend(page.rows);
        unreadable.extend(page.unreadable);
        next = page.next;
    }
    Ok(span.walk(rows, unreadable))
}

pub(super) async fn walk_force_orders(exchange: &dyn ExchangeReader, span: Span) -> Asked<Walk<Order>> {
    let (mut rows, mut unreadable, mut next) = (Vec::new(), Vec::new(), Some(WindowQuery::new(span.window)));
    while let Some(query) = next {
        let page = exchange.fetch_force_orders(None, query).await?;
        rows.extend(page.rows);
        unreadable.extend(page.unreadable);
        next = page.next;
    }
    Ok(span.walk(rows, unreadable))
}

pub(super) async fn walk_income(exchange: &dyn ExchangeReader, span: Span) -> Asked<Walk<Income>> {
    let (mut rows, mut next) = (Vec::new(), Some(WindowQuery::new(span.window)));
    while let Some(query) = next {
        let Page { rows: page, next: following, .. } = exchange.fetch_income(query).await?;
        rows.extend(page);
        next = following;
    }
    Ok(span.walk(rows, Vec::new()))
}
