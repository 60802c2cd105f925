//! The streams that are read from where they were read to the last time: their names in the book, and how far each was
//! read.

use ledger_core::{IncomeType, Symbol, TimestampMs};
use ledger_store::{CoverageSpan, SyncCursor};

use crate::error::ReconcileError;

/// The stream of regular orders, account-wide.
pub(crate) const ORDERS: &str = "orders";
/// The stream of conditional orders, per symbol.
pub(crate) const CONDITIONAL_ORDERS: &str = "conditional_orders";
/// The stream of orders by which the exchange closed positions, account-wide.
pub(crate) const FORCE_ORDERS: &str = "force_orders";
/// The stream of ledger rows, account-wide.
pub(crate) const INCOME: &str = "income";
/// The stream of fills, per symbol.
pub(crate) const FILLS: &str = "fills";
/// The stream of funding rates, per symbol.
pub(crate) const FUNDING_RATES: &str = "funding_rates";

/// The cursor of ledger rows of one type that were asked for by its name.
pub(crate) fn income_by_type(income_type: &IncomeType) -> String {
    format!("{INCOME} {income_type}")
}

/// Where the previous walk of a stream ended.
pub(crate) fn reached(
    cursors: &[SyncCursor],
    stream: &str,
    symbol: Option<&Symbol>,
) -> Result<Option<TimestampMs>, ReconcileError> {
    let Some(cursor) = cursors.iter().find(|cursor| cursor.stream == stream && cursor.symbol.as_ref() == symbol) else {
        return Ok(None);
    };
    let at = cursor.position.parse().ok().and_then(|ms| TimestampMs::new(ms).ok());
    at.map(Some).ok_or_else(|| ReconcileError::Cursor { stream: stream.to_owned(), position: cursor.position.clone() })
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
