//! The book's fills of which the exchange can tell more: those that some file told to the second, or without their position or
//! fee, and those of which a stream gave no more than short word. Nothing is missing there, but whether it was recorded before
//! or after the exchange was asked must make no difference.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::TimeWindow;
use ledger_core::{Fill, Sourced, Symbol, TimestampMs};
use ledger_store::{FillFilter, Page, PageRequest, Pages, Scope, StoreResult};

use super::{BOOK_PAGE_ROWS, BookReader};
use crate::error::{Doing, ReconcileError};
use crate::observe::observation::Observation;
use crate::streams::{FILLS, reached};

impl BookReader<'_> {
    /// When the first such fill of a symbol was executed.
    pub(in crate::observe) async fn first_coarse_fill(
        &self,
        symbol: &Symbol,
        window: TimeWindow,
    ) -> Result<Option<TimestampMs>, ReconcileError> {
        let stretch = self.stretch(Some(symbol), window.since(), window.until());
        let page = self.coarse(stretch, PageRequest::first(1)).await.doing("reading the fills")?;
        Ok(page.items.first().map(|fill| fill.fact.time.at))
    }

    /// When the first such fill of each symbol was executed, of those that have one.
    pub(in crate::observe) async fn first_coarse_fills(
        &self,
        window: TimeWindow,
    ) -> Result<BTreeMap<Symbol, TimestampMs>, ReconcileError> {
        let mut first = BTreeMap::new();
        for fill in self.coarse_fills(self.stretch(None, window.since(), window.until())).await? {
            earlier(&mut first, &fill.key.symbol, fill.time.at);
        }
        Ok(first)
    }

    /// The contracts with such a fill in the time of which the ledger was read, executed since their own list of fills was read
    /// last: that list tells the rest.
    pub(in crate::observe) async fn told_in_short(
        &self,
        seen: &Observation,
    ) -> Result<BTreeSet<Symbol>, ReconcileError> {
        let Some(walk) = seen.income.answer() else { return Ok(BTreeSet::new()) };
        let mut symbols = BTreeSet::new();
        for fill in self.coarse_fills(self.stretch(None, walk.window.since(), TimestampMs::MAX)).await? {
            let read = reached(&seen.book.cursors, FILLS, Some(&fill.key.symbol))?;
            if read.is_none_or(|read| read <= fill.time.at) {
                symbols.insert(fill.key.symbol);
            }
        }
        Ok(symbols)
    }

    async fn coarse_fills(&self, scope: Scope) -> Result<Vec<Fill>, ReconcileError> {
        let pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.coarse(scope.clone(), page));
        let fills = pages.all().await.doing("reading the fills")?;
        Ok(fills.into_iter().map(|fill| fill.fact).collect())
    }

    async fn coarse(&self, scope: Scope, page: PageRequest) -> StoreResult<Page<Sourced<Fill>>> {
        self.book.fills(&FillFilter { coarse_only: true, ..scope.into() }, page).await
    }
}

/// Keeps the earliest instant of each symbol.
pub(in crate::observe) fn earlier(first: &mut BTreeMap<Symbol, TimestampMs>, symbol: &Symbol, at: TimestampMs) {
    first.entry(symbol.clone()).and_modify(|first| *first = at.min(*first)).or_insert(at);
}
