//! Rows that could not be read when they were looked at last.

use ledger_store::{FillFilter, IncomeFilter, OrderFilter, PageRequest, Pages, Scope};

use super::{BOOK_PAGE_ROWS, BookReader};
use crate::discrepancy::DiscrepancyKind;
use crate::error::{Doing, ReconcileError};
use crate::observe::observation::Observation;

impl BookReader<'_> {
    /// Looks again at the rows that could not be read when they were looked at last.
    pub(in crate::observe) async fn learn_damaged(&self, seen: &Observation) -> Result<(), ReconcileError> {
        let kind = DiscrepancyKind::UnreadableRow.as_str();
        for known in seen.book.discrepancies.iter().filter(|known| known.entry.key.kind == kind) {
            let Some(symbol) = &known.entry.symbol else { continue };
            // Nothing but reading all of it tells that no row is left that cannot be read.
            let fills = FillFilter::from(Scope::symbol(self.account.clone(), symbol.clone()));
            let orders = OrderFilter::from(Scope::symbol(self.account.clone(), symbol.clone()));
            let scope = Scope::symbol(self.account.clone(), symbol.clone());
            let income = IncomeFilter { scope, income_type: None };
            Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.fills(&fills, page))
                .all()
                .await
                .doing("reading the fills")?;
            Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.orders(&orders, page))
                .all()
                .await
                .doing("reading the orders")?;
            Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.income(&income, page))
                .all()
                .await
                .doing("reading the income")?;
        }
        Ok(())
    }
}
