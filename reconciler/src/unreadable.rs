//! Rows of the book that cannot be read: each silences its contract, and no other.
//!
//! Reading goes past them and notes the contract. Nothing is concluded or recorded about that, and no list that may hold
//! more of it counts as read, until somebody has mended the row or brought a backup back.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_unreadable_row_stops_its_contract_alone`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ledger_core::{AccountId, Fill, FillKey, Income, IncomeKey, OrderKey, Sourced, Symbol};
use ledger_store::{
    BookOrder, FillFilter, FillRepository, IncomeFilter, IncomeRepository, OrderFilter, OrderRepository, Page,
    PageRequest, StoreError, StoreResult, UnreadableRow,
};

use crate::book::Book;

/// The contracts of which a row could not be read, each with the first such row.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnreadableRows(Arc<Mutex<BTreeMap<Symbol, UnreadableRow>>>);

impl UnreadableRows {
    /// The same book, read past what cannot be read; what that was is noted here.
    pub(crate) fn beside(book: &Book) -> (Book, Self) {
        let rows = Self::default();
        let fills = SkipUnreadable { inner: Arc::clone(&book.fills), noted: rows.clone() };
        let orders = SkipUnreadable { inner: Arc::clone(&book.orders), noted: rows.clone() };
        let income = SkipUnreadable { inner: Arc::clone(&book.income), noted: rows.clone() };
        let book = Book { fills: Arc::new(fills), orders: Arc::new(orders), income: Arc::new(income), ..book.clone() };
        (book, rows)
    }

    /// What was noted.
    pub(crate) fn noted(&self) -> BTreeMap<Symbol, UnreadableRow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a row, if it says which contract it is about; else everything may rest on it.
    fn note(&self, account: &AccountId, row: UnreadableRow) -> StoreResult<()> {
        let Some(symbol) = symbol_of(account, &row) else { return Err(StoreError::CorruptRow { row }) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(symbol).or_insert(row);
        Ok(())
    }

    fn page<T>(&self, account: &AccountId, mut page: Page<T>) -> StoreResult<Page<T>> {
        for row in std::mem::take(&mut page.unreadable) {
            self.note(account, row)?;
        }
        Ok(page)
    }

    fn one<T>(&self, account: &AccountId, read: StoreResult<Option<T>>) -> StoreResult<Option<T>> {
        self.list(account, read, || None)
    }

    /// What was read; where a row cannot be, nothing.
    fn list<T>(&self, account: &AccountId, read: StoreResult<T>, nothing: impl FnOnce() -> T) -> StoreResult<T> {
        match read {
            Err(StoreError::CorruptRow { row }) => self.note(account, row).map(|()| nothing()),
            read => read,
        }
    }
}

/// The contract that a row's key names.
fn symbol_of(account: &AccountId, row: &UnreadableRow) -> Option<Symbol> {
    let key = row.key.strip_prefix(account.as_str())?.strip_prefix('/')?;
    let parts: Vec<&str> = key.split('/').collect();
    // A ledger row goes by its own key, or by the trade that it is about.
    let (("fills" | "orders", [symbol, ..]) | ("income", [_, _, symbol, _] | [symbol, _])) =
        (row.table, parts.as_slice())
    else {
        return None;
    };
    Symbol::new(symbol).ok()
}

struct SkipUnreadable<R: ?Sized> {
    inner: Arc<R>,
    noted: UnreadableRows,
}

#[async_trait]
impl FillRepository for SkipUnreadable<dyn FillRepository> {
    async fn fill(&self, account: &AccountId, key: &FillKey) -> StoreResult<Option<Sourced<Fill>>> {
        self.noted.one(account, self.inner.fill(account, key).await)
    }

    async fn fills(&self, filter: &FillFilter, page: &PageRequest) -> StoreResult<Page<Sourced<Fill>>> {
        let page = self.inner.fills(filter, &page.clone().past_unreadable()).await?;
        self.noted.page(&filter.scope.account, page)
    }

    async fn fills_in_fold_order(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        page: &PageRequest,
    ) -> StoreResult<Page<Sourced<Fill>>> {
        let page = self.inner.fills_in_fold_order(account, symbol, page).await;
        self.noted.list(account, page, || Page { items: Vec::new(), unreadable: Vec::new(), next: None })
    }

    async fn as_folded(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        fills: Vec<Sourced<Fill>>,
    ) -> StoreResult<Vec<Sourced<Fill>>> {
        let folded = self.inner.as_folded(account, symbol, fills).await;
        self.noted.list(account, folded, Vec::new)
    }

    async fn fill_count(&self, filter: &FillFilter) -> StoreResult<u64> {
        self.inner.fill_count(filter).await
    }
}

#[async_trait]
impl OrderRepository for SkipUnreadable<dyn OrderRepository> {
    async fn order(&self, account: &AccountId, key: &OrderKey) -> StoreResult<Option<BookOrder>> {
        self.noted.one(account, self.inner.order(account, key).await)
    }

    async fn orders(&self, filter: &OrderFilter, page: &PageRequest) -> StoreResult<Page<BookOrder>> {
        let page = self.inner.orders(filter, &page.clone().past_unreadable()).await?;
        self.noted.page(&filter.scope.account, page)
    }
}

#[async_trait]
impl IncomeRepository for SkipUnreadable<dyn IncomeRepository> {
    async fn income_row(&self, account: &AccountId, key: &IncomeKey) -> StoreResult<Option<Sourced<Income>>> {
        self.noted.one(account, self.inner.income_row(account, key).await)
    }

    async fn income(&self, filter: &IncomeFilter, page: &PageRequest) -> StoreResult<Page<Sourced<Income>>> {
        let page = self.inner.income(filter, &page.clone().past_unreadable()).await?;
        self.noted.page(&filter.scope.account, page)
    }
}
