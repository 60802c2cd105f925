//! Rows of the book that cannot be read: each silences its contract, and no other.
//!
//! Reading goes past them and notes the contract. Nothing is concluded or recorded about that, and no list that may hold
//! more of it counts as read, until somebody has mended the row or brought a backup back.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_unreadable_row_stops_its_contract_alone`.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use ledger_core::{AccountId, Fill, FillKey, Income, OrderKey, Sourced, Symbol};
use ledger_store::{
    BookOrder, FillFilter, IncomeFilter, OrderFilter, Page, PageRequest, Store, StoreError, StoreResult, UnreadableRow,
};

/// A book as looks and checks read it. What it is asked of fills, orders and ledger rows is asked here; all else of the
/// book itself.
#[derive(Debug)]
pub(crate) struct ReadableBook<'a> {
    book: &'a dyn Store,
    /// The contracts of which a row could not be read, each with the first such row; `None` where that is an error.
    noted: Option<Mutex<BTreeMap<Symbol, UnreadableRow>>>,
}

impl<'a> Deref for ReadableBook<'a> {
    type Target = dyn Store + 'a;

    fn deref(&self) -> &Self::Target {
        self.book
    }
}

impl<'a> ReadableBook<'a> {
    /// Read past what cannot be read; what that was is noted.
    pub(crate) fn past_unreadable(book: &'a dyn Store) -> Self {
        Self { book, noted: Some(Mutex::default()) }
    }

    /// Every row of it: one that cannot be read is an error.
    pub(crate) fn whole(book: &'a dyn Store) -> Self {
        Self { book, noted: None }
    }

    /// What was noted.
    pub(crate) fn noted(&self) -> BTreeMap<Symbol, UnreadableRow> {
        let noted = self.noted.as_ref().map(|noted| noted.lock().unwrap_or_else(PoisonError::into_inner).clone());
        noted.unwrap_or_default()
    }

    pub(crate) async fn fill(&self, account: &AccountId, key: &FillKey) -> StoreResult<Option<Sourced<Fill>>> {
        self.one(account, self.book.fill(account, key).await)
    }

    pub(crate) async fn fills(&self, filter: &FillFilter, page: PageRequest) -> StoreResult<Page<Sourced<Fill>>> {
        self.page(&filter.scope.account, self.book.fills(filter, self.request(page)).await?)
    }

    pub(crate) async fn order(&self, account: &AccountId, key: &OrderKey) -> StoreResult<Option<BookOrder>> {
        self.one(account, self.book.order(account, key).await)
    }

    pub(crate) async fn orders(&self, filter: &OrderFilter, page: PageRequest) -> StoreResult<Page<BookOrder>> {
        self.page(&filter.scope.account, self.book.orders(filter, self.request(page)).await?)
    }

    pub(crate) async fn income(&self, filter: &IncomeFilter, page: PageRequest) -> StoreResult<Page<Sourced<Income>>> {
        self.page(&filter.scope.account, self.book.income(filter, self.request(page)).await?)
    }

    fn request(&self, page: PageRequest) -> PageRequest {
        if self.noted.is_some() { page.past_unreadable() } else { page }
    }

    fn page<T>(&self, account: &AccountId, mut page: Page<T>) -> StoreResult<Page<T>> {
        if self.noted.is_some() {
            for row in std::mem::take(&mut page.unreadable) {
                self.note(account, row)?;
            }
        }
        Ok(page)
    }

    /// What was read; nothing, where the row cannot be.
    fn one<T>(&self, account: &AccountId, read: StoreResult<Option<T>>) -> StoreResult<Option<T>> {
        match read {
            Err(StoreError::CorruptRow { row }) => self.note(account, row).map(|()| None),
            read => read,
        }
    }

    /// Notes a row, if it says which contract it is about; else everything may rest on it.
    fn note(&self, account: &AccountId, row: UnreadableRow) -> StoreResult<()> {
        let (Some(noted), Some(symbol)) = (&self.noted, symbol_of(account, &row)) else {
            return Err(StoreError::CorruptRow { row });
        };
        noted.lock().unwrap_or_else(PoisonError::into_inner).entry(symbol).or_insert(row);
        Ok(())
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
