//! [`FactReader`] on the SQLite book: each method is one command or one query.

use async_trait::async_trait;
use ledger_core::{
    AccountId, Anchor, BalanceSnapshot, Cancel, ClientOrderId, FactKind, Fill, FillId, FillKey, FundingRate, Income,
    IncomeKey, IncomeType, Instrument, OrderIntent, OrderKey, PositionModeSnapshot, PositionSnapshot, PriceSnapshot,
    Signal, SignalId, Sourced, Symbol, TimestampMs,
};

use crate::batch::{FundingReach, UnpricedFee};
use crate::filter::{FillFilter, IncomeFilter, IntentFilter, OrderFilter, Scope, SignalFilter};
use crate::page::{Page, PageRequest};
use crate::record::{Account, BookOrder, FactSource};
use crate::sqlite::store::SqliteStore;
use crate::sqlite::{account, as_folded, demands, fact_source, list, look_up, position_mode, unpriced_fee};
use crate::store::{FactReader, StoreResult};

#[async_trait]
impl FactReader for SqliteStore {
    async fn account(&self, id: &AccountId) -> StoreResult<Option<Account>> {
        let id = id.clone();
        self.read(move |conn| account::get(conn, &id)).await
    }

    async fn accounts(&self) -> StoreResult<Vec<Account>> {
        self.read(account::list).await
    }

    async fn position_modes(&self, id: &AccountId) -> StoreResult<Vec<Sourced<PositionModeSnapshot>>> {
        let id = id.clone();
        self.read(move |conn| position_mode::list(conn, &id)).await
    }

    async fn instrument(&self, account: &AccountId, symbol: &Symbol) -> StoreResult<Option<Sourced<Instrument>>> {
        let (account, symbol) = (account.clone(), symbol.clone());
        self.read(move |conn| look_up::fact::<Instrument>(conn, &account, &symbol)).await
    }

    async fn instruments(&self, account: &AccountId) -> StoreResult<Vec<Sourced<Instrument>>> {
        let account = account.clone();
        self.read(move |conn| look_up::instruments(conn, &account)).await
    }

    async fn symbols(&self, account: &AccountId) -> StoreResult<Vec<Symbol>> {
        let account = account.clone();
        self.read(move |conn| look_up::symbols(conn, &account)).await
    }

    async fn signal(&self, account: &AccountId, id: &SignalId) -> StoreResult<Option<Sourced<Signal>>> {
        let (account, id) = (account.clone(), id.clone());
        self.read(move |conn| look_up::fact::<Signal>(conn, &account, &id)).await
    }

    async fn signals(&self, filter: &SignalFilter, page: PageRequest) -> StoreResult<Page<Sourced<Signal>>> {
        let filter = filter.clone();
        self.read(move |conn| list::signals(conn, &filter, &page)).await
    }

    async fn intent(&self, account: &AccountId, id: &ClientOrderId) -> StoreResult<Option<Sourced<OrderIntent>>> {
        let (account, id) = (account.clone(), id.clone());
        self.read(move |conn| look_up::fact::<OrderIntent>(conn, &account, &id)).await
    }

    async fn intents(&self, filter: &IntentFilter, page: PageRequest) -> StoreResult<Page<Sourced<OrderIntent>>> {
        let filter = filter.clone();
        self.read(move |conn| list::intents(conn, &filter, &page)).await
    }

    async fn order(&self, account: &AccountId, key: &OrderKey) -> StoreResult<Option<BookOrder>> {
        let (account, key) = (account.clone(), key.clone());
        self.read(move |conn| look_up::order(conn, &account, &key)).await
    }

    async fn orders(&self, filter: &OrderFilter, page: PageRequest) -> StoreResult<Page<BookOrder>> {
        let filter = filter.clone();
        self.read(move |conn| list::orders(conn, &filter, &page)).await
    }

    async fn fill(&self, account: &AccountId, key: &FillKey) -> StoreResult<Option<Sourced<Fill>>> {
        let (account, key) = (account.clone(), key.clone());
        self.read(move |conn| look_up::fact::<Fill>(conn, &account, &key)).await
    }

    async fn fills(&self, filter: &FillFilter, page: PageRequest) -> StoreResult<Page<Sourced<Fill>>> {
        let filter = filter.clone();
        self.read(move |conn| list::fills(conn, &filter, &page)).await
    }

    async fn fills_in_fold_order(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        page: PageRequest,
    ) -> StoreResult<Page<Sourced<Fill>>> {
        let (account, symbol) = (account.clone(), symbol.clone());
        self.read(move |conn| list::fills_in_fold_order(conn, &account, &symbol, &page)).await
    }

    async fn as_folded(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        fills: Vec<Sourced<Fill>>,
    ) -> StoreResult<Vec<Sourced<Fill>>> {
        let (account, symbol) = (account.clone(), symbol.clone());
        self.read(move |conn| as_folded::as_folded(conn, &account, &symbol, fills)).await
    }

    async fn fill_count(&self, filter: &FillFilter) -> StoreResult<u64> {
        let filter = filter.clone();
        self.read(move |conn| list::fill_count(conn, &filter)).await
    }

    async fn cancel(&self, account: &AccountId, key: &OrderKey) -> StoreResult<Option<Sourced<Cancel>>> {
        let (account, key) = (account.clone(), key.clone());
        self.read(move |conn| look_up::fact::<Cancel>(conn, &account, &key)).await
    }

    async fn cancels(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<Cancel>>> {
        let scope = scope.clone();
        self.read(move |conn| list::cancels(conn, &scope, &page)).await
    }

    async fn income_row(&self, account: &AccountId, key: &IncomeKey) -> StoreResult<Option<Sourced<Income>>> {
        let (account, key) = (account.clone(), key.clone());
        self.read(move |conn| look_up::fact::<Income>(conn, &account, &key)).await
    }

    async fn income(&self, filter: &IncomeFilter, page: PageRequest) -> StoreResult<Page<Sourced<Income>>> {
        let filter = filter.clone();
        self.read(move |conn| list::income(conn, &filter, &page)).await
    }

    async fn fills_without_rows(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<Fill>>> {
        let scope = scope.clone();
        self.read(move |conn| list::fills_without_rows(conn, &scope, &page)).await
    }

    async fn rows_of_trade(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        fill_id: &FillId,
    ) -> StoreResult<Vec<Sourced<Income>>> {
        let (account, symbol, fill_id) = (account.clone(), symbol.clone(), fill_id.clone());
        self.read(move |conn| demands::rows_of_trade(conn, &account, &symbol, &fill_id)).await
    }

    async fn rows_without_trade(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        since: TimestampMs,
        until: TimestampMs,
    ) -> StoreResult<Vec<Sourced<Income>>> {
        let (account, symbol) = (account.clone(), symbol.clone());
        self.read(move |conn| demands::rows_without_trade(conn, &account, &symbol, since, until)).await
    }

    async fn funding_reach(&self, account: &AccountId) -> StoreResult<Vec<FundingReach>> {
        let account = account.clone();
        self.read(move |conn| look_up::funding_reach(conn, &account)).await
    }

    async fn unpriced_fees(&self, account: &AccountId, limit: u32) -> StoreResult<Vec<UnpricedFee>> {
        let account = account.clone();
        self.read(move |conn| unpriced_fee::latest(conn, &account, limit)).await
    }

    async fn latest_positions(&self, account: &AccountId) -> StoreResult<Vec<Sourced<PositionSnapshot>>> {
        let account = account.clone();
        self.read(move |conn| look_up::latest_positions(conn, &account)).await
    }

    async fn position_snapshots(
        &self,
        scope: &Scope,
        page: PageRequest,
    ) -> StoreResult<Page<Sourced<PositionSnapshot>>> {
        let scope = scope.clone();
        self.read(move |conn| list::position_snapshots(conn, &scope, &page)).await
    }

    async fn balance_snapshots(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<BalanceSnapshot>>> {
        let scope = scope.clone();
        self.read(move |conn| list::balance_snapshots(conn, &scope, &page)).await
    }

    async fn price_snapshots(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<PriceSnapshot>>> {
        let scope = scope.clone();
        self.read(move |conn| list::price_snapshots(conn, &scope, &page)).await
    }

    async fn funding_rates(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<FundingRate>>> {
        let scope = scope.clone();
        self.read(move |conn| list::funding_rates(conn, &scope, &page)).await
    }

    async fn anchors(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<Anchor>>> {
        let scope = scope.clone();
        self.read(move |conn| list::anchors(conn, &scope, &page)).await
    }

    async fn fact_sources(&self, account: &AccountId, kind: FactKind, fact_key: &str) -> StoreResult<Vec<FactSource>> {
        let (account, fact_key) = (account.clone(), fact_key.to_owned());
        self.read(move |conn| fact_source::list(conn, &account, kind, &fact_key)).await
    }

    async fn income_types(&self, account: &AccountId) -> StoreResult<Vec<IncomeType>> {
        let account = account.clone();
        self.read(move |conn| look_up::income_types(conn, &account)).await
    }

    async fn restated_count(&self, account: &AccountId) -> StoreResult<u64> {
        let account = account.clone();
        self.read(move |conn| fact_source::restated_count(conn, &account)).await
    }
}
