//! A book that answers what a test expects it to be asked, and fails on anything else.

use std::path::Path;

use async_trait::async_trait;
use ledger_core::demands::HeldAround;
use ledger_core::{
    AccountId, Anchor, BalanceSnapshot, Cancel, ClientOrderId, FactKind, Fill, FillId, FillKey, FundingRate, Income,
    IncomeKey, IncomeType, Instrument, Movement, OrderIntent, OrderKey, PositionMode, PositionModeSnapshot,
    PositionSnapshot, PriceSnapshot, RoundTrip, Signal, SignalId, Sourced, Symbol, TimestampMs,
};

use crate::batch::{Batch, CoverageSpan, FundingReach, RunId, Stretch, SyncCursor, UnpricedFee};
use crate::filter::{
    DiscrepancyFilter, FillFilter, IncomeFilter, IntentFilter, OrderFilter, RepairFilter, RunFilter, Scope,
    SignalFilter, TripFilter,
};
use crate::lease::{HeldLease, Lease, LeaseAnswer, LeaseRecord, LeaseRequest};
use crate::look::{Look, NewLook, OpenLook};
use crate::look_hold::LookHold;
use crate::outbox::{Attempt, ChannelSummary, Message, NewMessage, RecordedFills};
use crate::outcome::{CommitReport, PendingRefold, Quarantine, RefoldReport};
use crate::page::{Cursor, Page, PageRequest};
use crate::proof::{ProofCheck, ProofDepth};
use crate::record::{
    Account, Acknowledgement, BookOrder, BookPosition, Discrepancy, ExchangeIdentity, FactSource, NewAccount,
    PnlMismatch, Repair, Run, RunKind, RunStatus, StoreInfo, SymbolBook,
};
use crate::store::{
    Book, DerivedReader, FactReader, Journal, Leases, Maintenance, Outbox, StoreResult, Transaction, Writer,
};

mockall::mock! {
    /// A mock of every trait of a book, and so of [`Store`](crate::Store).
    #[derive(Debug)]
    pub Store {}

    #[async_trait]
    impl Writer for Store {
        async fn commit(&self, batch: Batch) -> StoreResult<CommitReport>;
        async fn begin(&self) -> StoreResult<Box<dyn Transaction>>;
        async fn create_account(&self, account: NewAccount) -> StoreResult<()>;
        async fn bind_identity(&self, id: &AccountId, identity: ExchangeIdentity) -> StoreResult<()>;
        async fn set_position_mode(&self, id: &AccountId, mode: PositionMode, at_local: TimestampMs) -> StoreResult<()>;
        async fn pending_refolds(&self) -> StoreResult<Vec<PendingRefold>>;
        async fn refold(&self, account: &AccountId, symbol: &Symbol) -> StoreResult<RefoldReport>;
        async fn drop_derived(&self, account: &AccountId) -> StoreResult<Vec<PendingRefold>>;
    }

    #[async_trait]
    impl FactReader for Store {
        async fn account(&self, id: &AccountId) -> StoreResult<Option<Account>>;
        async fn accounts(&self) -> StoreResult<Vec<Account>>;
        async fn position_modes(&self, id: &AccountId) -> StoreResult<Vec<Sourced<PositionModeSnapshot>>>;
        async fn instrument(&self, account: &AccountId, symbol: &Symbol) -> StoreResult<Option<Sourced<Instrument>>>;
        async fn instruments(&self, account: &AccountId) -> StoreResult<Vec<Sourced<Instrument>>>;
        async fn symbols(&self, account: &AccountId) -> StoreResult<Vec<Symbol>>;
        async fn signal(&self, account: &AccountId, id: &SignalId) -> StoreResult<Option<Sourced<Signal>>>;
        async fn signals(&self, filter: &SignalFilter, page: PageRequest) -> StoreResult<Page<Sourced<Signal>>>;
        async fn intent(&self, account: &AccountId, id: &ClientOrderId) -> StoreResult<Option<Sourced<OrderIntent>>>;
        async fn intents(&self, filter: &IntentFilter, page: PageRequest) -> StoreResult<Page<Sourced<OrderIntent>>>;
        async fn order(&self, account: &AccountId, key: &OrderKey) -> StoreResult<Option<BookOrder>>;
        async fn orders(&self, filter: &OrderFilter, page: PageRequest) -> StoreResult<Page<BookOrder>>;
        async fn fill(&self, account: &AccountId, key: &FillKey) -> StoreResult<Option<Sourced<Fill>>>;
        async fn fills(&self, filter: &FillFilter, page: PageRequest) -> StoreResult<Page<Sourced<Fill>>>;
        async fn fills_in_fold_order(
            &self, account: &AccountId, symbol: &Symbol, page: PageRequest,
        ) -> StoreResult<Page<Sourced<Fill>>>;
        async fn as_folded(
            &self, account: &AccountId, symbol: &Symbol, fills: Vec<Sourced<Fill>>,
        ) -> StoreResult<Vec<Sourced<Fill>>>;
        async fn fill_count(&self, filter: &FillFilter) -> StoreResult<u64>;
        async fn cancel(&self, account: &AccountId, key: &OrderKey) -> StoreResult<Option<Sourced<Cancel>>>;
        async fn cancels(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<Cancel>>>;
        async fn income_row(&self, account: &AccountId, key: &IncomeKey) -> StoreResult<Option<Sourced<Income>>>;
        async fn income(&self, filter: &IncomeFilter, page: PageRequest) -> StoreResult<Page<Sourced<Income>>>;
        async fn fills_without_rows(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<Fill>>>;
        async fn rows_of_trade(
            &self, account: &AccountId, symbol: &Symbol, fill_id: &FillId,
        ) -> StoreResult<Vec<Sourced<Income>>>;
        async fn rows_without_trade(
            &self, account: &AccountId, symbol: &Symbol, since: TimestampMs, until: TimestampMs,
        ) -> StoreResult<Vec<Sourced<Income>>>;
        async fn funding_reach(&self, account: &AccountId) -> StoreResult<Vec<FundingReach>>;
        async fn unpriced_fees(&self, account: &AccountId, limit: u32) -> StoreResult<Vec<UnpricedFee>>;
        async fn latest_positions(&self, account: &AccountId) -> StoreResult<Vec<Sourced<PositionSnapshot>>>;
        async fn position_snapshots(
            &self, scope: &Scope, page: PageRequest,
        ) -> StoreResult<Page<Sourced<PositionSnapshot>>>;
        async fn balance_snapshots(
            &self, scope: &Scope, page: PageRequest,
        ) -> StoreResult<Page<Sourced<BalanceSnapshot>>>;
        async fn price_snapshots(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<PriceSnapshot>>>;
        async fn funding_rates(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<FundingRate>>>;
        async fn anchors(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<Anchor>>>;
        async fn fact_sources(
            &self, account: &AccountId, kind: FactKind, fact_key: &str,
        ) -> StoreResult<Vec<FactSource>>;
        async fn restated_count(&self, account: &AccountId) -> StoreResult<u64>;
        async fn income_types(&self, account: &AccountId) -> StoreResult<Vec<IncomeType>>;
    }

    #[async_trait]
    impl DerivedReader for Store {
        async fn positions(&self, account: &AccountId) -> StoreResult<Vec<BookPosition>>;
        async fn symbol_books(&self, account: &AccountId) -> StoreResult<Vec<SymbolBook>>;
        async fn pnl_mismatches(&self, account: &AccountId, page: PageRequest) -> StoreResult<Page<PnlMismatch>>;
        async fn trips(&self, filter: &TripFilter, page: PageRequest) -> StoreResult<Page<RoundTrip>>;
        async fn open_trips(&self, account: &AccountId) -> StoreResult<Vec<RoundTrip>>;
        async fn movements(
            &self, account: &AccountId, symbol: &Symbol, since: Option<TimestampMs>, after: Option<Cursor>,
        ) -> StoreResult<Page<Movement>>;
        async fn held_around(
            &self, account: &AccountId, symbol: &Symbol, instants: Vec<TimestampMs>,
        ) -> StoreResult<Vec<HeldAround>>;
        async fn rates_without_rows(&self, account: &AccountId) -> StoreResult<Vec<Sourced<FundingRate>>>;
        async fn quarantined(&self, account: &AccountId) -> StoreResult<Vec<Quarantine>>;
    }

    #[async_trait]
    impl Journal for Store {
        async fn begin_run(&self, account: &AccountId, kind: RunKind, started_local: TimestampMs) -> StoreResult<RunId>;
        async fn end_run(
            &self, run: RunId, status: RunStatus, ended_local: TimestampMs, detail_json: Option<String>,
        ) -> StoreResult<()>;
        async fn runs(&self, filter: &RunFilter, page: PageRequest) -> StoreResult<Page<Run>>;
        async fn repairs(&self, filter: &RepairFilter, page: PageRequest) -> StoreResult<Page<Repair>>;
        async fn discrepancies(&self, filter: &DiscrepancyFilter, page: PageRequest) -> StoreResult<Page<Discrepancy>>;
        async fn acknowledge_discrepancy(&self, acknowledgement: Acknowledgement) -> StoreResult<i64>;
        async fn cursors(&self, account: &AccountId) -> StoreResult<Vec<SyncCursor>>;
        async fn coverage(&self, account: &AccountId) -> StoreResult<Vec<CoverageSpan>>;
        async fn reopened(&self, account: &AccountId) -> StoreResult<Vec<Stretch>>;
        async fn check_proofs(&self, account: &AccountId, depth: ProofDepth) -> StoreResult<ProofCheck>;
        async fn looks(&self, account: &AccountId) -> StoreResult<Vec<Look>>;
        async fn record_look(&self, look: NewLook) -> StoreResult<()>;
        async fn hold_look(&self, account: &AccountId, began_local: TimestampMs) -> StoreResult<LookHold>;
        async fn open_look(&self, account: &AccountId) -> StoreResult<Option<OpenLook>>;
    }

    #[async_trait]
    impl Leases for Store {
        async fn take_lease(&self, request: LeaseRequest) -> StoreResult<LeaseAnswer>;
        async fn renew_lease(
            &self,
            held: &mut HeldLease,
            now_local: TimestampMs,
            until_local: TimestampMs,
            state_json: Option<String>,
        ) -> StoreResult<()>;
        async fn end_lease(
            &self,
            held: HeldLease,
            now_local: TimestampMs,
            state_json: Option<String>,
        ) -> StoreResult<()>;
        async fn lease(&self, account: &AccountId) -> StoreResult<Option<LeaseRecord>>;
        fn under_lease(&self, lease: &Lease) -> Book;
    }

    #[async_trait]
    impl Outbox for Store {
        async fn recorded_fills(&self, account: &AccountId, place: i64, limit: u32) -> StoreResult<RecordedFills>;
        async fn fills_end(&self) -> StoreResult<i64>;
        async fn telling(&self, account: &AccountId) -> StoreResult<Option<String>>;
        async fn put_messages(
            &self,
            account: &AccountId,
            messages: Vec<NewMessage>,
            now_local: TimestampMs,
            keep_since_local: TimestampMs,
            state_json: String,
        ) -> StoreResult<usize>;
        async fn due_messages(
            &self, account: &AccountId, channel: &str, now_local: TimestampMs, limit: u32,
        ) -> StoreResult<Vec<Message>>;
        async fn note_attempt(&self, ids: Vec<i64>, attempt: Attempt) -> StoreResult<()>;
        async fn give_up_others(
            &self, account: &AccountId, channels: Vec<String>, now_local: TimestampMs,
        ) -> StoreResult<usize>;
        async fn messages(&self, account: &AccountId, page: PageRequest) -> StoreResult<Page<Message>>;
        async fn outbox_summary(&self, account: &AccountId) -> StoreResult<Vec<ChannelSummary>>;
    }

    #[async_trait]
    impl Maintenance for Store {
        async fn info(&self) -> StoreResult<StoreInfo>;
        async fn integrity_check(&self) -> StoreResult<Vec<String>>;
        async fn is_refold_under_way(&self) -> StoreResult<bool>;
        async fn backup(&self, path: &Path) -> StoreResult<()>;
        async fn snapshot(&self) -> StoreResult<Book>;
    }
}
