//! The time behind what is covered on record. A look that finds nothing writes no coverage, and yet it read all lists: of that time
//! every fill is on record, too.

use std::collections::BTreeSet;

use ledger_core::{AccountId, LookStream, Symbol, TimestampMs};
use ledger_store::CoverageSpan;

use super::Extent;
use crate::error::{Doing, ReconcileError};
use crate::streams::FILLS;
use crate::unreadable::ReadableBook;

/// A stretch of time in which, by the lists of all contracts, no fill is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QuietTime {
    /// Where the coverage on record ends.
    since: TimestampMs,
    /// As far as the last look's answers are settled.
    until: TimestampMs,
    /// The contracts of which a row could not be read.
    except: BTreeSet<Symbol>,
}

impl QuietTime {
    /// The stretch, for a contract of which it tells.
    pub(super) fn of(&self, symbol: &Symbol) -> Option<(TimestampMs, TimestampMs)> {
        (!self.except.contains(symbol)).then_some((self.since, self.until))
    }
}

/// What the look under way has read beyond the coverage on record; of a book, what its last look has. `None` where that is nothing,
/// or where orders or the ledger were not answered.
///
/// # Errors
/// [`ReconcileError`] when the book cannot be read.
pub(super) async fn quiet_time(
    extent: Extent<'_>,
    book: &ReadableBook<'_>,
    account: &AccountId,
    coverage: &[CoverageSpan],
) -> Result<Option<QuietTime>, ReconcileError> {
    let ends = coverage.iter().filter(|span| span.stream == FILLS && span.symbol.is_none()).map(|span| span.until);
    let Some(since) = ends.max() else { return Ok(None) };
    let read = match extent {
        Extent::Look(observation) => {
            let (Some(orders), Some(income)) = (observation.orders.answer(), observation.income.answer()) else {
                return Ok(None);
            };
            let joins_on = orders.window.since() <= since && income.window.since() <= since;
            let unreadable = orders.unreadable.iter().chain(&income.unreadable);
            let except = unreadable.filter_map(|row| row.symbol.clone()).collect();
            (joins_on && observation.scope.is_empty()).then_some((orders.asked_at.min(income.asked_at), except))
        }
        Extent::Book { .. } => {
            let looks = book.looks(account).await.doing("reading the looks")?;
            let success = |stream| looks.iter().find(|look| look.stream == stream)?.success.as_ref();
            success(LookStream::Orders).zip(success(LookStream::Ledger)).map(|(orders, ledger)| {
                (orders.seen_at.min(ledger.seen_at), orders.seen.except.union(&ledger.seen.except).cloned().collect())
            })
        }
    };
    let lag_ms = extent.venue().settle_lag_ms;
    let quiet = read.map(|(read_at, except)| QuietTime { since, until: read_at.saturating_add_ms(-lag_ms), except });
    Ok(quiet.filter(|quiet| quiet.since < quiet.until))
}
