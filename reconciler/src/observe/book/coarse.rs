//! The book's fills of which the exchange can tell more: those that some file told to the second, or without their position or
//! fee. Nothing is missing there, but whether it was imported before or after the exchange was asked must make no difference.

use std::collections::BTreeMap;

use exchange_client::TimeWindow;
use ledger_core::{Fill, Symbol, TimePrecision, TimestampMs};
use ledger_store::{FillFilter, PageRequest, Pages};

use super::{BOOK_PAGE_ROWS, BookReader};
use crate::error::{Doing, ReconcileError};

impl BookReader<'_> {
    /// When the first such fill of a symbol was executed.
    pub(in crate::observe) async fn first_coarse_fill(
        &self,
        symbol: &Symbol,
        window: TimeWindow,
    ) -> Result<Option<TimestampMs>, ReconcileError> {
        let filter = FillFilter::from(self.stretch(Some(symbol), window.since(), window.until()));
        let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.fills(&filter, page));
        while let Some(page) = pages.next().await.doing("reading the fills")? {
            if let Some(fill) = page.items.iter().map(|fill| &fill.fact).find(|fill| is_coarse(fill)) {
                return Ok(Some(fill.time.at));
            }
        }
        Ok(None)
    }

    /// When the first such fill of each symbol was executed, of those that have one.
    pub(in crate::observe) async fn first_coarse_fills(
        &self,
        window: TimeWindow,
    ) -> Result<BTreeMap<Symbol, TimestampMs>, ReconcileError> {
        let filter = FillFilter::from(self.stretch(None, window.since(), window.until()));
        let mut first = BTreeMap::new();
        let mut pages = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.fills(&filter, page));
        while let Some(page) = pages.next().await.doing("reading the fills")? {
            for fill in page.items.iter().map(|fill| &fill.fact).filter(|fill| is_coarse(fill)) {
                earlier(&mut first, &fill.key.symbol, fill.time.at);
            }
        }
        Ok(first)
    }
}

/// Keeps the earliest instant of each symbol.
pub(in crate::observe) fn earlier(first: &mut BTreeMap<Symbol, TimestampMs>, symbol: &Symbol, at: TimestampMs) {
    first.entry(symbol.clone()).and_modify(|first| *first = at.min(*first)).or_insert(at);
}

fn is_coarse(fill: &Fill) -> bool {
    fill.time.precision == TimePrecision::Second || fill.position_side.is_none() || fill.fee.is_none()
}
