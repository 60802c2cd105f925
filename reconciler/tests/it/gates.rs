//! Exchange and book, each call of which can be the last that goes through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use exchange_client::{Request, Response, Transport, TransportError};
use ledger_core::{
    AccountId, Anchor, BalanceSnapshot, ClientOrderId, Fill, FillKey, FundingRate, Income, IncomeKey, Instrument,
    Movement, OrderIntent, OrderKey, PositionMode, PositionModeSnapshot, PositionSnapshot, PriceSnapshot, RoundTrip,
    Signal, SignalId, Sourced, Symbol, TimestampMs,
};
use ledger_store::{
    Account, AccountRepository, Acknowledgement, Batch, BookOrder, BookPosition, CommitReport, CoverageSpan, Cursor,
    Discrepancy, DiscrepancyFilter, ExchangeIdentity, FillFilter, FillRepository, FundingReach, IncomeFilter,
    IncomeRepository, InstrumentRepository, IntentFilter, IntentRepository, LedgerWriter, Look, LookHold,
    LookRepository, NewAccount, NewLook, OpenLook, OrderFilter, OrderRepository, Page, PageRequest, PendingRefold,
    PnlMismatch, PositionRepository, ProofCheck, ProofDepth, Quarantine, RefoldReport, Repair, RepairFilter, Run,
    RunFilter, RunId, RunKind, RunRepository, RunStatus, Scope, SignalFilter, SignalRepository, SnapshotRepository,
    SqliteStore, StoreError, StoreResult, Stretch, SymbolBook, SyncCursor, SyncRepository, TripFilter, TripRepository,
    UnpricedFee,
};
use reconciler::Book;
use tokio::sync::Notify;

/// How a cycle ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By an error, and by errors from then on.
    Fails,
    /// One call answers an error, those after it are fine.
    FailsOnce,
    /// By being dropped while it waits.
    Drops,
}

/// Lets a number of calls through.
pub(crate) struct Gate {
    calls_left: AtomicUsize,
    end: End,
    hit: AtomicBool,
    stuck: Notify,
    /// Called at every call.
    watch: Box<dyn Fn() + Send + Sync>,
}

impl Gate {
    pub(crate) fn new(calls: usize, end: End) -> Arc<Self> {
        let (calls_left, hit, stuck) = (AtomicUsize::new(calls), AtomicBool::new(false), Notify::new());
        Arc::new(Self { calls_left, end, hit, stuck, watch: Box::new(|| ()) })
    }

    /// Lets every call through, once somebody has looked.
    pub(crate) fn watched(watch: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        let (calls_left, hit, stuck) = (AtomicUsize::new(usize::MAX), AtomicBool::new(false), Notify::new());
        Arc::new(Self { calls_left, end: End::Fails, hit, stuck, watch: Box::new(watch) })
    }

    /// Whether any call was one too many.
    pub(crate) fn was_hit(&self) -> bool {
        self.hit.load(Ordering::SeqCst)
    }

    /// How many more calls go through.
    pub(crate) fn calls_left(&self) -> usize {
        self.calls_left.load(Ordering::SeqCst)
    }

    /// Answers once somebody waits for ever.
    pub(crate) async fn stuck(&self) {
        self.stuck.notified().await;
    }

    /// Whether this call is one too many; never answers when the cycle is to be dropped.
    async fn is_shut(&self) -> bool {
        (self.watch)();
        let left = self.calls_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() || (self.end == End::FailsOnce && self.was_hit()) {
            return false;
        }
        self.hit.store(true, Ordering::SeqCst);
        if self.end == End::Drops {
            self.stuck.notify_one();
            std::future::pending::<()>().await;
        }
        true
    }
}

/// The exchange behind a gate: every request counts.
pub(crate) struct GatedTransport(pub(crate) Arc<dyn Transport>, pub(crate) Arc<Gate>);

#[async_trait]
impl Transport for GatedTransport {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        if self.1.is_shut().await {
            return Err(TransportError::Lost("connection reset".into()));
        }
        self.0.send(request).await
    }
}

/// A book behind a gate. Every call counts, and every one that writes counts twice: before and after it has written.
pub(crate) struct GatedStore {
    store: Arc<SqliteStore>,
    gate: Arc<Gate>,
}

/// The methods that write.
const WRITES: [&str; 9] = [
    "commit",
    "refold",
    "drop_derived",
    "create_account",
    "bind_identity",
    "set_position_mode",
    "begin_run",
    "end_run",
    "acknowledge_discrepancy",
];

impl GatedStore {
    pub(crate) fn book(store: &Arc<SqliteStore>, gate: &Arc<Gate>) -> Book {
        let gated = Arc::new(Self { store: Arc::clone(store), gate: Arc::clone(gate) });
        Book {
            writer: gated.clone(),
            accounts: gated.clone(),
            instruments: gated.clone(),
            orders: gated.clone(),
            intents: gated.clone(),
            signals: gated.clone(),
            fills: gated.clone(),
            income: gated.clone(),
            demands: Arc::clone(store) as Arc<dyn ledger_store::DemandRepository>,
            positions: gated.clone(),
            trips: gated.clone(),
            snapshots: gated.clone(),
            runs: gated.clone(),
            sync: gated.clone(),
            looks: gated,
        }
    }

    async fn pass(&self) -> StoreResult<()> {
        if self.gate.is_shut().await { Err(StoreError::Closed) } else { Ok(()) }
    }
}

macro_rules! gated {
    ($($repository:ident { $(fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)+ })+) => {$(
        #[async_trait]
        impl $repository for GatedStore {
            $(async fn $name(&self, $($arg: $type),*) -> StoreResult<$answer> {
                self.pass().await?;
                let answer = self.store.$name($($arg),*).await?;
                if WRITES.contains(&stringify!($name)) {
                    self.pass().await?;
                }
                Ok(answer)
            })+
        }
    )+};
}

gated! {
    LedgerWriter {
        fn commit(batch: Batch) -> CommitReport;
        fn pending_refolds() -> Vec<PendingRefold>;
        fn refold(account: &AccountId, symbol: &Symbol) -> RefoldReport;
        fn drop_derived(account: &AccountId) -> Vec<PendingRefold>;
    }
    AccountRepository {
        fn create_account(account: NewAccount) -> ();
        fn account(id: &AccountId) -> Option<Account>;
        fn accounts() -> Vec<Account>;
        fn bind_identity(id: &AccountId, identity: ExchangeIdentity) -> ();
        fn set_position_mode(id: &AccountId, mode: PositionMode, at_local: TimestampMs) -> ();
        fn position_modes(id: &AccountId) -> Vec<Sourced<PositionModeSnapshot>>;
    }
    InstrumentRepository {
        fn instrument(account: &AccountId, symbol: &Symbol) -> Option<Sourced<Instrument>>;
        fn instruments(account: &AccountId) -> Vec<Sourced<Instrument>>;
        fn symbols(account: &AccountId) -> Vec<Symbol>;
    }
    SignalRepository {
        fn signal(account: &AccountId, id: &SignalId) -> Option<Sourced<Signal>>;
        fn signals(filter: &SignalFilter, page: &PageRequest) -> Page<Sourced<Signal>>;
    }
    OrderRepository {
        fn order(account: &AccountId, key: &OrderKey) -> Option<BookOrder>;
        fn orders(filter: &OrderFilter, page: &PageRequest) -> Page<BookOrder>;
    }
    IntentRepository {
        fn intent(account: &AccountId, id: &ClientOrderId) -> Option<Sourced<OrderIntent>>;
        fn intents(filter: &IntentFilter, page: &PageRequest) -> Page<Sourced<OrderIntent>>;
    }
    FillRepository {
        fn fill(account: &AccountId, key: &FillKey) -> Option<Sourced<Fill>>;
        fn fills(filter: &FillFilter, page: &PageRequest) -> Page<Sourced<Fill>>;
        fn fills_in_fold_order(account: &AccountId, symbol: &Symbol, page: &PageRequest) -> Page<Sourced<Fill>>;
        fn as_folded(account: &AccountId, symbol: &Symbol, fills: Vec<Sourced<Fill>>) -> Vec<Sourced<Fill>>;
        fn fill_count(filter: &FillFilter) -> u64;
    }
    IncomeRepository {
        fn income_row(account: &AccountId, key: &IncomeKey) -> Option<Sourced<Income>>;
        fn income(filter: &IncomeFilter, page: &PageRequest) -> Page<Sourced<Income>>;
    }
    PositionRepository {
        fn positions(account: &AccountId) -> Vec<BookPosition>;
        fn symbol_books(account: &AccountId) -> Vec<SymbolBook>;
        fn pnl_mismatches(account: &AccountId, page: &PageRequest) -> Page<PnlMismatch>;
    }
    TripRepository {
        fn trips(filter: &TripFilter, page: &PageRequest) -> Page<RoundTrip>;
        fn open_trips(account: &AccountId) -> Vec<RoundTrip>;
        fn movements(account: &AccountId, symbol: &Symbol, since: Option<TimestampMs>, after: Option<Cursor>) -> Page<Movement>;
    }
    SnapshotRepository {
        fn latest_positions(account: &AccountId) -> Vec<Sourced<PositionSnapshot>>;
        fn position_snapshots(scope: &Scope, page: &PageRequest) -> Page<Sourced<PositionSnapshot>>;
        fn balance_snapshots(scope: &Scope, page: &PageRequest) -> Page<Sourced<BalanceSnapshot>>;
        fn price_snapshots(scope: &Scope, page: &PageRequest) -> Page<Sourced<PriceSnapshot>>;
        fn funding_rates(scope: &Scope, page: &PageRequest) -> Page<Sourced<FundingRate>>;
        fn anchors(scope: &Scope, page: &PageRequest) -> Page<Sourced<Anchor>>;
    }
    RunRepository {
        fn begin_run(account: &AccountId, kind: RunKind, started_local: TimestampMs) -> RunId;
        fn end_run(run: RunId, status: RunStatus, ended_local: TimestampMs, detail_json: Option<String>) -> ();
        fn runs(filter: &RunFilter, page: &PageRequest) -> Page<Run>;
        fn repairs(filter: &RepairFilter, page: &PageRequest) -> Page<Repair>;
        fn discrepancies(filter: &DiscrepancyFilter, page: &PageRequest) -> Page<Discrepancy>;
        fn acknowledge_discrepancy(acknowledgement: Acknowledgement) -> i64;
        fn quarantined(account: &AccountId) -> Vec<Quarantine>;
    }
    SyncRepository {
        fn cursors(account: &AccountId) -> Vec<SyncCursor>;
        fn coverage(account: &AccountId) -> Vec<CoverageSpan>;
        fn reopened(account: &AccountId) -> Vec<Stretch>;
        fn check_proofs(account: &AccountId, depth: ProofDepth) -> ProofCheck;
        fn funding_reach(account: &AccountId) -> Vec<FundingReach>;
        fn unpriced_fees(account: &AccountId, limit: u32) -> Vec<UnpricedFee>;
    }
}

#[async_trait]
impl LookRepository for GatedStore {
    async fn looks(&self, account: &AccountId) -> StoreResult<Vec<Look>> {
        self.pass().await?;
        self.store.looks(account).await
    }

    async fn record_look(&self, look: NewLook) -> StoreResult<()> {
        self.pass().await?;
        self.store.record_look(look).await?;
        self.pass().await
    }

    // Neither is a word to the book: they show and tell that somebody looks.
    async fn hold_look(&self, account: &AccountId, began_local: TimestampMs) -> StoreResult<LookHold> {
        self.store.hold_look(account, began_local).await
    }

    async fn open_look(&self, account: &AccountId) -> StoreResult<Option<OpenLook>> {
        self.store.open_look(account).await
    }
}
