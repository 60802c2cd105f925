//! The traits, on the SQLite book: each method is one command or one query.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ledger_core::{
    AccountId, Anchor, BalanceSnapshot, Cancel, ClientOrderId, FactKind, Fill, FillKey, FundingRate, Income, IncomeKey,
    Instrument, Movement, OrderIntent, OrderKey, PositionMode, PositionModeSnapshot, PositionSnapshot, PriceSnapshot,
    RoundTrip, Signal, SignalId, Sourced, Symbol, TimestampMs,
};

use super::effects::Mark;
use super::encoded::EncodedBatch;
use super::store::SqliteStore;
use super::{
    account, as_folded, commit, connection, derived, discrepancy, fact_source, list, look, look_up, mark, movements,
    placement, position_mode, proof, quarantine, refold, repair, run, sync, unpriced_fee,
};
use crate::batch::{Batch, CoverageSpan, FundingReach, Refold, RunId, Stretch, SyncCursor, UnpricedFee};
use crate::filter::{
    DiscrepancyFilter, FillFilter, IncomeFilter, IntentFilter, OrderFilter, RepairFilter, RunFilter, Scope,
    SignalFilter, TripFilter,
};
use crate::look::{Look, NewLook, OpenLook};
use crate::look_hold::{self, LookHold};
use crate::outcome::{CommitReport, PendingRefold, Quarantine, RefoldReport};
use crate::page::{Cursor, Page, PageRequest};
use crate::proof::{ProofCheck, ProofDepth};
use crate::record::{
    Account, Acknowledgement, BookOrder, BookPosition, Discrepancy, ExchangeIdentity, FactSource, NewAccount,
    PnlMismatch, Repair, Run, RunKind, RunStatus, StoreInfo, SymbolBook,
};
use crate::repository::{
    AccountRepository, CancelRepository, FillRepository, IncomeRepository, InstrumentRepository, IntentRepository,
    LedgerWriter, LookRepository, OrderRepository, PositionRepository, RunRepository, SignalRepository,
    SnapshotRepository, SourceRepository, StoreResult, SyncRepository, TripRepository,
};
use crate::store::{BookSnapshots, MaintenanceRepository, Store};

#[async_trait]
impl LedgerWriter for SqliteStore {
    async fn commit(&self, batch: Batch) -> StoreResult<CommitReport> {
        if batch.refold == Refold::Deferred {
            self.begin_work();
        }
        let settings = self.settings();
        let batch = EncodedBatch::new(batch);
        self.write(move |conn| commit::apply(conn, &batch, &settings)).await
    }

    async fn pending_refolds(&self) -> StoreResult<Vec<PendingRefold>> {
        self.read(mark::pending).await
    }

    async fn refold(&self, account: &AccountId, symbol: &Symbol) -> StoreResult<RefoldReport> {
        let (account, symbol, settings) = (account.clone(), symbol.clone(), self.settings());
        self.write(move |conn| refold::refold(conn, &account, &symbol, &settings)).await
    }

    async fn drop_derived(&self, account: &AccountId) -> StoreResult<Vec<PendingRefold>> {
        self.begin_work();
        let account = account.clone();
        self.write(move |conn| {
            commit::require_account(conn, &account)?;
            placement::recompute(conn, &account)?;
            let symbols = look_up::foldable_symbols(conn, &account)?;
            for symbol in &symbols {
                derived::drop_symbol(conn, &account, symbol)?;
                quarantine::set(conn, &account, symbol, None)?;
            }
            let whole = Mark { is_whole: true, ..Mark::default() };
            let marks = symbols.iter().map(|symbol| (symbol.clone(), whole.clone())).collect();
            mark::write(conn, &account, &marks)?;
            Ok(symbols.into_iter().map(|symbol| PendingRefold { account: account.clone(), symbol }).collect())
        })
        .await
    }
}

#[async_trait]
impl AccountRepository for SqliteStore {
    async fn create_account(&self, account: NewAccount) -> StoreResult<()> {
        self.write(move |conn| account::create(conn, &account)).await
    }

    async fn account(&self, id: &AccountId) -> StoreResult<Option<Account>> {
        let id = id.clone();
        self.read(move |conn| account::get(conn, &id)).await
    }

    async fn accounts(&self) -> StoreResult<Vec<Account>> {
        self.read(account::list).await
    }

    async fn bind_identity(&self, id: &AccountId, identity: ExchangeIdentity) -> StoreResult<()> {
        let id = id.clone();
        self.write(move |conn| account::bind(conn, &id, &identity)).await
    }

    async fn set_position_mode(&self, id: &AccountId, mode: PositionMode, at_local: TimestampMs) -> StoreResult<()> {
        let (id, settings) = (id.clone(), self.settings());
        self.write(move |conn| account::set_position_mode(conn, &id, mode, at_local, &settings)).await
    }

    async fn position_modes(&self, id: &AccountId) -> StoreResult<Vec<Sourced<PositionModeSnapshot>>> {
        let id = id.clone();
        self.read(move |conn| position_mode::list(conn, &id)).await
    }
}

#[async_trait]
impl InstrumentRepository for SqliteStore {
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
}

#[async_trait]
impl SignalRepository for SqliteStore {
    async fn signal(&self, account: &AccountId, id: &SignalId) -> StoreResult<Option<Sourced<Signal>>> {
        let (account, id) = (account.clone(), id.clone());
        self.read(move |conn| look_up::fact::<Signal>(conn, &account, &id)).await
    }

    async fn signals(&self, filter: &SignalFilter, page: &PageRequest) -> StoreResult<Page<Sourced<Signal>>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |conn| list::signals(conn, &filter, &page)).await
    }
}

#[async_trait]
impl OrderRepository for SqliteStore {
    async fn order(&self, account: &AccountId, key: &OrderKey) -> StoreResult<Option<BookOrder>> {
        let (account, key) = (account.clone(), key.clone());
        self.read(move |conn| look_up::order(conn, &account, &key)).await
    }

    async fn orders(&self, filter: &OrderFilter, page: &PageRequest) -> StoreResult<Page<BookOrder>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |conn| list::orders(conn, &filter, &page)).await
    }
}

#[async_trait]
impl IntentRepository for SqliteStore {
    async fn intent(&self, account: &AccountId, id: &ClientOrderId) -> StoreResult<Option<Sourced<OrderIntent>>> {
        let (account, id) = (account.clone(), id.clone());
        self.read(move |conn| look_up::fact::<OrderIntent>(conn, &account, &id)).await
    }

    async fn intents(&self, filter: &IntentFilter, page: &PageRequest) -> StoreResult<Page<Sourced<OrderIntent>>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |conn| list::intents(conn, &filter, &page)).await
    }
}

#[async_trait]
impl FillRepository for SqliteStore {
    async fn fill(&self, account: &AccountId, key: &FillKey) -> StoreResult<Option<Sourced<Fill>>> {
        let (account, key) = (account.clone(), key.clone());
        self.read(move |conn| look_up::fact::<Fill>(conn, &account, &key)).await
    }

    async fn fills(&self, filter: &FillFilter, page: &PageRequest) -> StoreResult<Page<Sourced<Fill>>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |conn| list::fills(conn, &filter, &page)).await
    }

    async fn fills_in_fold_order(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        page: &PageRequest,
    ) -> StoreResult<Page<Sourced<Fill>>> {
        let (account, symbol, page) = (account.clone(), symbol.clone(), page.clone());
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
}

#[async_trait]
impl CancelRepository for SqliteStore {
    async fn cancel(&self, account: &AccountId, key: &OrderKey) -> StoreResult<Option<Sourced<Cancel>>> {
        let (account, key) = (account.clone(), key.clone());
        self.read(move |conn| look_up::fact::<Cancel>(conn, &account, &key)).await
    }

    async fn cancels(&self, scope: &Scope, page: &PageRequest) -> StoreResult<Page<Sourced<Cancel>>> {
        let (scope, page) = (scope.clone(), page.clone());
        self.read(move |conn| list::cancels(conn, &scope, &page)).await
    }
}

#[async_trait]
impl IncomeRepository for SqliteStore {
    async fn income_row(&self, account: &AccountId, key: &IncomeKey) -> StoreResult<Option<Sourced<Income>>> {
        let (account, key) = (account.clone(), key.clone());
        self.read(move |conn| look_up::fact::<Income>(conn, &account, &key)).await
    }

    async fn income(&self, filter: &IncomeFilter, page: &PageRequest) -> StoreResult<Page<Sourced<Income>>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |conn| list::income(conn, &filter, &page)).await
    }
}

#[async_trait]
impl PositionRepository for SqliteStore {
    async fn positions(&self, account: &AccountId) -> StoreResult<Vec<BookPosition>> {
        let account = account.clone();
        self.read(move |conn| look_up::positions(conn, &account)).await
    }

    async fn symbol_books(&self, account: &AccountId) -> StoreResult<Vec<SymbolBook>> {
        let account = account.clone();
        self.read(move |conn| look_up::symbol_books(conn, &account)).await
    }

    async fn pnl_mismatches(&self, account: &AccountId, page: &PageRequest) -> StoreResult<Page<PnlMismatch>> {
        let (account, page) = (account.clone(), page.clone());
        self.read(move |conn| look_up::pnl_mismatches(conn, &account, &page)).await
    }
}

#[async_trait]
impl TripRepository for SqliteStore {
    async fn trips(&self, filter: &TripFilter, page: &PageRequest) -> StoreResult<Page<RoundTrip>> {
        let (filter, page) = (filter.clone(), page.clone());
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
}

#[async_trait]
impl SnapshotRepository for SqliteStore {
    async fn latest_positions(&self, account: &AccountId) -> StoreResult<Vec<Sourced<PositionSnapshot>>> {
        let account = account.clone();
        self.read(move |conn| look_up::latest_positions(conn, &account)).await
    }

    async fn position_snapshots(
        &self,
        scope: &Scope,
        page: &PageRequest,
    ) -> StoreResult<Page<Sourced<PositionSnapshot>>> {
        let (scope, page) = (scope.clone(), page.clone());
        self.read(move |conn| list::position_snapshots(conn, &scope, &page)).await
    }

    async fn balance_snapshots(
        &self,
        scope: &Scope,
        page: &PageRequest,
    ) -> StoreResult<Page<Sourced<BalanceSnapshot>>> {
        let (scope, page) = (scope.clone(), page.clone());
        self.read(move |conn| list::balance_snapshots(conn, &scope, &page)).await
    }

    async fn price_snapshots(&self, scope: &Scope, page: &PageRequest) -> StoreResult<Page<Sourced<PriceSnapshot>>> {
        let (scope, page) = (scope.clone(), page.clone());
        self.read(move |conn| list::price_snapshots(conn, &scope, &page)).await
    }

    async fn funding_rates(&self, scope: &Scope, page: &PageRequest) -> StoreResult<Page<Sourced<FundingRate>>> {
        let (scope, page) = (scope.clone(), page.clone());
        self.read(move |conn| list::funding_rates(conn, &scope, &page)).await
    }

    async fn anchors(&self, scope: &Scope, page: &PageRequest) -> StoreResult<Page<Sourced<Anchor>>> {
        let (scope, page) = (scope.clone(), page.clone());
        self.read(move |conn| list::anchors(conn, &scope, &page)).await
    }
}

#[async_trait]
impl SourceRepository for SqliteStore {
    async fn fact_sources(&self, account: &AccountId, kind: FactKind, fact_key: &str) -> StoreResult<Vec<FactSource>> {
        let (account, fact_key) = (account.clone(), fact_key.to_owned());
        self.read(move |conn| fact_source::list(conn, &account, kind, &fact_key)).await
    }

    async fn restated_count(&self, account: &AccountId) -> StoreResult<u64> {
        let account = account.clone();
        self.read(move |conn| fact_source::restated_count(conn, &account)).await
    }
}

#[async_trait]
impl RunRepository for SqliteStore {
    async fn begin_run(&self, account: &AccountId, kind: RunKind, started_local: TimestampMs) -> StoreResult<RunId> {
        let account = account.clone();
        self.write(move |conn| run::begin(conn, &account, kind, started_local)).await
    }

    async fn end_run(
        &self,
        run: RunId,
        status: RunStatus,
        ended_local: TimestampMs,
        detail_json: Option<String>,
    ) -> StoreResult<()> {
        self.write(move |conn| run::end(conn, run, status, ended_local, detail_json.as_deref())).await
    }

    async fn runs(&self, filter: &RunFilter, page: &PageRequest) -> StoreResult<Page<Run>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |conn| run::list(conn, &filter, &page)).await
    }

    async fn repairs(&self, filter: &RepairFilter, page: &PageRequest) -> StoreResult<Page<Repair>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |conn| repair::list(conn, &filter, &page)).await
    }

    async fn discrepancies(&self, filter: &DiscrepancyFilter, page: &PageRequest) -> StoreResult<Page<Discrepancy>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |conn| discrepancy::list(conn, &filter, &page)).await
    }

    async fn acknowledge_discrepancy(&self, acknowledgement: Acknowledgement) -> StoreResult<i64> {
        self.write(move |conn| {
            commit::require_account(conn, &acknowledgement.account)?;
            run::require(conn, &acknowledgement.account, acknowledgement.run_id)?;
            discrepancy::acknowledge(conn, &acknowledgement)
        })
        .await
    }

    async fn quarantined(&self, account: &AccountId) -> StoreResult<Vec<Quarantine>> {
        let account = account.clone();
        self.read(move |conn| quarantine::list(conn, &account)).await
    }
}

#[async_trait]
impl SyncRepository for SqliteStore {
    async fn cursors(&self, account: &AccountId) -> StoreResult<Vec<SyncCursor>> {
        let account = account.clone();
        self.read(move |conn| sync::cursors(conn, &account)).await
    }

    async fn coverage(&self, account: &AccountId) -> StoreResult<Vec<CoverageSpan>> {
        let account = account.clone();
        self.read(move |conn| sync::coverage(conn, &account)).await
    }

    async fn reopened(&self, account: &AccountId) -> StoreResult<Vec<Stretch>> {
        let account = account.clone();
        self.read(move |conn| sync::reopened(conn, &account)).await
    }

    async fn check_proofs(&self, account: &AccountId, depth: ProofDepth) -> StoreResult<ProofCheck> {
        let account = account.clone();
        self.read(move |conn| proof::check(conn, &account, depth)).await
    }

    async fn funding_reach(&self, account: &AccountId) -> StoreResult<Vec<FundingReach>> {
        let account = account.clone();
        self.read(move |conn| look_up::funding_reach(conn, &account)).await
    }

    async fn unpriced_fees(&self, account: &AccountId, limit: u32) -> StoreResult<Vec<UnpricedFee>> {
        let account = account.clone();
        self.read(move |conn| unpriced_fee::latest(conn, &account, limit)).await
    }
}

#[async_trait]
impl LookRepository for SqliteStore {
    async fn looks(&self, account: &AccountId) -> StoreResult<Vec<Look>> {
        let account = account.clone();
        self.read(move |conn| look::list(conn, &account)).await
    }

    async fn record_look(&self, look: NewLook) -> StoreResult<()> {
        self.write(move |conn| look::write(conn, &look)).await
    }

    async fn hold_look(&self, account: &AccountId, began_local: TimestampMs) -> StoreResult<LookHold> {
        look_hold::hold(self.path(), account, began_local)
    }

    async fn open_look(&self, account: &AccountId) -> StoreResult<Option<OpenLook>> {
        look_hold::open_look(self.path(), account)
    }
}

#[async_trait]
impl MaintenanceRepository for SqliteStore {
    async fn info(&self) -> StoreResult<StoreInfo> {
        self.read(|conn| {
            Ok(StoreInfo {
                schema_version: connection::schema_version(conn)?,
                sqlite_version: connection::sqlite_version(conn)?,
                size_bytes: connection::size_bytes(conn)?,
            })
        })
        .await
    }

    async fn integrity_check(&self) -> StoreResult<Vec<String>> {
        self.read(connection::integrity_check).await
    }

    async fn is_refold_under_way(&self) -> StoreResult<bool> {
        Ok(self.is_at_work())
    }

    async fn backup(&self, path: &Path) -> StoreResult<()> {
        self.copy_to(path.to_owned()).await
    }
}

#[async_trait]
impl BookSnapshots for SqliteStore {
    async fn snapshot(&self) -> StoreResult<Arc<dyn Store>> {
        Ok(Arc::new(self.at_this_moment().await?))
    }
}
