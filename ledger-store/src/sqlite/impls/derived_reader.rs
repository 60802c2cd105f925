//! [`DerivedReader`] on the SQLite book: each method is one command or one query.

use async_trait::async_trait;
use ledger_core::demands::HeldAround;
use ledger_core::{AccountId, FundingRate, Movement, RoundTrip, Sourced, Symbol, TimestampMs};

use crate::filter::TripFilter;
use crate::outcome::Quarantine;
use crate::page::{Cursor, Page, PageRequest};
use crate::record::{BookPosition, PnlMismatch, SymbolBook};
use crate::sqlite::store::SqliteStore;
use crate::sqlite::{demands, held, list, look_up, movements, quarantine};
use crate::store::{DerivedReader, StoreResult};

#[async_trait]
impl DerivedReader for SqliteStore {
    async fn positions(&self, account: &AccountId) -> StoreResult<Vec<BookPosition>> {
        let account = account.clone();
        self.read(move |conn| look_up::positions(conn, &account)).await
    }

    async fn symbol_books(&self, account: &AccountId) -> StoreResult<Vec<SymbolBook>> {
        let account = account.clone();
        self.read(move |conn| look_up::symbol_books(conn, &account)).await
    }

    async fn pnl_mismatches(&self, account: &AccountId, page: PageRequest) -> StoreResult<Page<PnlMismatch>> {
        let account = account.clone();
        self.read(move |conn| look_up::pnl_mismatches(conn, &account, &page)).await
    }

    async fn trips(&self, filter: &TripFilter, page: PageRequest) -> StoreResult<Page<RoundTrip>> {
        let filter = filter.clone();
        self.read(move |conn| list::trips(conn, &filter, &page)).await
    }

    async fn open_trips(&self, account: &AccountId) -> StoreResult<Vec<RoundTrip>> {
        let account = account.clone();
        self.read(move |conn| look_up::open_trips(conn, &account)).await
    }

    async fn movements(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        since: Option<TimestampMs>,
        after: Option<Cursor>,
    ) -> StoreResult<Page<Movement>> {
        let (account, symbol, settings) = (account.clone(), symbol.clone(), self.settings());
        self.read(move |conn| movements::page(conn, &account, &symbol, since, after.as_ref(), &settings)).await
    }

    async fn held_around(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        instants: Vec<TimestampMs>,
    ) -> StoreResult<Vec<HeldAround>> {
        let (account, symbol, settings) = (account.clone(), symbol.clone(), self.settings());
        self.read(move |conn| held::around(conn, &account, &symbol, instants, &settings)).await
    }

    async fn rates_without_rows(&self, account: &AccountId) -> StoreResult<Vec<Sourced<FundingRate>>> {
        let account = account.clone();
        self.read(move |conn| demands::rates_without_rows(conn, &account)).await
    }

    async fn quarantined(&self, account: &AccountId) -> StoreResult<Vec<Quarantine>> {
        let account = account.clone();
        self.read(move |conn| quarantine::list(conn, &account)).await
    }
}
