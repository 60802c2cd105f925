//! The book's fills.

use std::collections::BTreeMap;

use ledger_core::{Fill, FillKey, Sourced, Symbol, TimestampMs};
use ledger_store::{FillFilter, PageRequest, Pages, Scope};

use super::{BOOK_PAGE_ROWS, BookReader};
use crate::error::{Doing, ReconcileError};

impl BookReader<'_> {
    pub(super) async fn fills(&self, scope: Scope) -> Result<BTreeMap<FillKey, Sourced<Fill>>, ReconcileError> {
        let filter = FillFilter::from(scope);
        let fills = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.fills(&filter, page))
            .all()
            .await
            .doing("reading the fills")?;
        Ok(fills.into_iter().map(|fill| (fill.fact.key.clone(), fill)).collect())
    }

    /// The book's fills of a symbol in a stretch of time. Those of the second that it begins in are among them: an
    /// export knows no more.
    pub(in crate::observe) async fn fills_between(
        &self,
        symbol: &Symbol,
        since: TimestampMs,
        until: TimestampMs,
    ) -> Result<BTreeMap<FillKey, Sourced<Fill>>, ReconcileError> {
        self.fills(self.stretch(Some(symbol), since.saturating_add_ms(-1_000), until)).await
    }

    /// Whether the book has any fill of a symbol.
    pub(in crate::observe) async fn has_fills(&self, symbol: &Symbol) -> Result<bool, ReconcileError> {
        let filter = FillFilter::from(Scope::symbol(self.account.clone(), symbol.clone()));
        let first = self.book.fills(&filter, PageRequest::first(1)).await.doing("reading the fills")?;
        Ok(!first.items.is_empty())
    }

    /// The book's fills of a symbol after an instant, unless they are many.
    pub(in crate::observe) async fn few_fills_after(
        &self,
        symbol: &Symbol,
        after: TimestampMs,
    ) -> Result<Option<Vec<Fill>>, ReconcileError> {
        let stretch = self.stretch(Some(symbol), after.saturating_add_ms(1), TimestampMs::MAX);
        let page = self.book.fills(&FillFilter::from(stretch), PageRequest::first(BOOK_PAGE_ROWS)).await;
        let page = page.doing("reading the fills")?;
        let fills = page.items.into_iter().map(|fill| fill.fact).collect();
        Ok(page.next.is_none().then_some(fills))
    }

    /// A fill of the book.
    pub(in crate::observe) async fn fill(&self, key: &FillKey) -> Result<Option<Sourced<Fill>>, ReconcileError> {
        self.book.fill(self.account, key).await.doing("reading a fill")
    }
}
