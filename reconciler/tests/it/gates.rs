//! Exchange and book, each call of which can be the last that goes through.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use exchange_client::{Request, Response, Transport, TransportError};
use ledger_core::demands::HeldAround;
use ledger_core::{
    AccountId, Anchor, BalanceSnapshot, Cancel, ClientOrderId, FactKind, Fill, FillId, FillKey, FundingRate, Income,
    IncomeKey, IncomeType, Instrument, Movement, OrderIntent, OrderKey, PositionMode, PositionModeSnapshot,
    PositionSnapshot, PriceSnapshot, RoundTrip, Signal, SignalId, Sourced, Symbol, TimestampMs,
};
use ledger_store::{
    Account, Acknowledgement, Attempt, Batch, Book, BookOrder, BookPosition, ChannelSummary, CommitReport,
    CoverageSpan, Cursor, DerivedReader, Discrepancy, DiscrepancyFilter, ExchangeIdentity, FactReader, FactSource,
    FillFilter, FundingReach, HeldLease, IncomeFilter, IntentFilter, Journal, Lease, LeaseAnswer, LeaseRecord,
    LeaseRequest, Leases, Look, LookHold, Maintenance, Message, NewAccount, NewLook, NewMessage, OpenLook, OrderFilter,
    Outbox, Page, PageRequest, PendingRefold, PnlMismatch, ProofCheck, ProofDepth, Quarantine, RecordedFills,
    RefoldReport, Repair, RepairFilter, Run, RunFilter, RunId, RunKind, RunStatus, Scope, SignalFilter, SqliteStore,
    StoreError, StoreInfo, StoreResult, Stretch, SymbolBook, SyncCursor, Transaction, TripFilter, UnpricedFee, Writer,
};
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

    /// Lets nothing through from now on.
    pub(crate) fn shut(&self) {
        self.calls_left.store(0, Ordering::SeqCst);
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
    store: Book,
    gate: Arc<Gate>,
}

impl fmt::Debug for GatedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

/// The methods that write.
const WRITES: [&str; 13] = [
    "commit",
    "refold",
    "drop_derived",
    "create_account",
    "bind_identity",
    "set_position_mode",
    "begin_run",
    "end_run",
    "acknowledge_discrepancy",
    "record_look",
    "put_messages",
    "note_attempt",
    "give_up_others",
];
/// Neither is a word to the book: they show and tell that somebody looks.
const SIGNS: [&str; 2] = ["hold_look", "open_look"];

impl GatedStore {
    pub(crate) fn book(store: &Arc<SqliteStore>, gate: &Arc<Gate>) -> Book {
        Arc::new(Self { store: Arc::clone(store) as Book, gate: Arc::clone(gate) })
    }

    async fn pass(&self) -> StoreResult<()> {
        if self.gate.is_shut().await { Err(StoreError::Closed) } else { Ok(()) }
    }
}

macro_rules! gated {
    ($($part:ident { $(fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)+ })+) => {$(
        #[async_trait]
        impl $part for GatedStore {
            $(async fn $name(&self, $($arg: $type),*) -> StoreResult<$answer> {
                if !SIGNS.contains(&stringify!($name)) {
                    self.pass().await?;
                }
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
    Writer {
        fn commit(batch: Batch) -> CommitReport;
        fn begin() -> Box<dyn Transaction>;
        fn create_account(account: NewAccount) -> ();
        fn bind_identity(id: &AccountId, identity: ExchangeIdentity) -> ();
        fn set_position_mode(id: &AccountId, mode: PositionMode, at_local: TimestampMs) -> ();
        fn pending_refolds() -> Vec<PendingRefold>;
        fn refold(account: &AccountId, symbol: &Symbol) -> RefoldReport;
        fn drop_derived(account: &AccountId) -> Vec<PendingRefold>;
    }
    FactReader {
        fn account(id: &AccountId) -> Option<Account>;
        fn accounts() -> Vec<Account>;
        fn position_modes(id: &AccountId) -> Vec<Sourced<PositionModeSnapshot>>;
        fn instrument(account: &AccountId, symbol: &Symbol) -> Option<Sourced<Instrument>>;
        fn instruments(account: &AccountId) -> Vec<Sourced<Instrument>>;
        fn symbols(account: &AccountId) -> Vec<Symbol>;
        fn signal(account: &AccountId, id: &SignalId) -> Option<Sourced<Signal>>;
        fn signals(filter: &SignalFilter, page: PageRequest) -> Page<Sourced<Signal>>;
        fn intent(account: &AccountId, id: &ClientOrderId) -> Option<Sourced<OrderIntent>>;
        fn intents(filter: &IntentFilter, page: PageRequest) -> Page<Sourced<OrderIntent>>;
        fn order(account: &AccountId, key: &OrderKey) -> Option<BookOrder>;
        fn orders(filter: &OrderFilter, page: PageRequest) -> Page<BookOrder>;
        fn fill(account: &AccountId, key: &FillKey) -> Option<Sourced<Fill>>;
        fn fills(filter: &FillFilter, page: PageRequest) -> Page<Sourced<Fill>>;
        fn fills_in_fold_order(account: &AccountId, symbol: &Symbol, page: PageRequest) -> Page<Sourced<Fill>>;
        fn as_folded(account: &AccountId, symbol: &Symbol, fills: Vec<Sourced<Fill>>) -> Vec<Sourced<Fill>>;
        fn fill_count(filter: &FillFilter) -> u64;
        fn cancel(account: &AccountId, key: &OrderKey) -> Option<Sourced<Cancel>>;
        fn cancels(scope: &Scope, page: PageRequest) -> Page<Sourced<Cancel>>;
        fn income_row(account: &AccountId, key: &IncomeKey) -> Option<Sourced<Income>>;
        fn income(filter: &IncomeFilter, page: PageRequest) -> Page<Sourced<Income>>;
        fn fills_without_rows(scope: &Scope, page: PageRequest) -> Page<Sourced<Fill>>;
        fn rows_of_trade(account: &AccountId, symbol: &Symbol, fill_id: &FillId) -> Vec<Sourced<Income>>;
        fn rows_without_trade(account: &AccountId, symbol: &Symbol, since: TimestampMs, until: TimestampMs) -> Vec<Sourced<Income>>;
        fn funding_reach(account: &AccountId) -> Vec<FundingReach>;
        fn unpriced_fees(account: &AccountId, limit: u32) -> Vec<UnpricedFee>;
        fn latest_positions(account: &AccountId) -> Vec<Sourced<PositionSnapshot>>;
        fn position_snapshots(scope: &Scope, page: PageRequest) -> Page<Sourced<PositionSnapshot>>;
        fn balance_snapshots(scope: &Scope, page: PageRequest) -> Page<Sourced<BalanceSnapshot>>;
        fn price_snapshots(scope: &Scope, page: PageRequest) -> Page<Sourced<PriceSnapshot>>;
        fn funding_rates(scope: &Scope, page: PageRequest) -> Page<Sourced<FundingRate>>;
        fn anchors(scope: &Scope, page: PageRequest) -> Page<Sourced<Anchor>>;
        fn fact_sources(account: &AccountId, kind: FactKind, fact_key: &str) -> Vec<FactSource>;
        fn restated_count(account: &AccountId) -> u64;
        fn income_types(account: &AccountId) -> Vec<IncomeType>;
    }
    DerivedReader {
        fn positions(account: &AccountId) -> Vec<BookPosition>;
        fn symbol_books(account: &AccountId) -> Vec<SymbolBook>;
        fn pnl_mismatches(account: &AccountId, page: PageRequest) -> Page<PnlMismatch>;
        fn trips(filter: &TripFilter, page: PageRequest) -> Page<RoundTrip>;
        fn open_trips(account: &AccountId) -> Vec<RoundTrip>;
        fn movements(account: &AccountId, symbol: &Symbol, since: Option<TimestampMs>, after: Option<Cursor>) -> Page<Movement>;
        fn held_around(account: &AccountId, symbol: &Symbol, instants: Vec<TimestampMs>) -> Vec<HeldAround>;
        fn rates_without_rows(account: &AccountId) -> Vec<Sourced<FundingRate>>;
        fn quarantined(account: &AccountId) -> Vec<Quarantine>;
    }
    Journal {
        fn begin_run(account: &AccountId, kind: RunKind, started_local: TimestampMs) -> RunId;
        fn end_run(run: RunId, status: RunStatus, ended_local: TimestampMs, detail_json: Option<String>) -> ();
        fn runs(filter: &RunFilter, page: PageRequest) -> Page<Run>;
        fn repairs(filter: &RepairFilter, page: PageRequest) -> Page<Repair>;
        fn discrepancies(filter: &DiscrepancyFilter, page: PageRequest) -> Page<Discrepancy>;
        fn acknowledge_discrepancy(acknowledgement: Acknowledgement) -> i64;
        fn cursors(account: &AccountId) -> Vec<SyncCursor>;
        fn coverage(account: &AccountId) -> Vec<CoverageSpan>;
        fn reopened(account: &AccountId) -> Vec<Stretch>;
        fn check_proofs(account: &AccountId, depth: ProofDepth) -> ProofCheck;
        fn looks(account: &AccountId) -> Vec<Look>;
        fn record_look(look: NewLook) -> ();
        fn hold_look(account: &AccountId, began_local: TimestampMs) -> LookHold;
        fn open_look(account: &AccountId) -> Option<OpenLook>;
    }
    Outbox {
        fn recorded_fills(account: &AccountId, place: i64, limit: u32) -> RecordedFills;
        fn fills_end() -> i64;
        fn telling(account: &AccountId) -> Option<String>;
        fn put_messages(account: &AccountId, messages: Vec<NewMessage>, now_local: TimestampMs, keep_since_local: TimestampMs, state_json: String) -> usize;
        fn due_messages(account: &AccountId, channel: &str, now_local: TimestampMs, limit: u32) -> Vec<Message>;
        fn note_attempt(ids: Vec<i64>, attempt: Attempt) -> ();
        fn give_up_others(account: &AccountId, channels: Vec<String>, now_local: TimestampMs) -> usize;
        fn messages(account: &AccountId, page: PageRequest) -> Page<Message>;
        fn outbox_summary(account: &AccountId) -> Vec<ChannelSummary>;
    }
    Maintenance {
        fn info() -> StoreInfo;
        fn integrity_check() -> Vec<String>;
        fn is_refold_under_way() -> bool;
        fn backup(path: &Path) -> ();
        fn snapshot() -> Book;
    }
}

/// Who watches is no part of a cycle, so it passes by the gate; what is written under a lease does not.
#[async_trait]
impl Leases for GatedStore {
    async fn take_lease(&self, request: LeaseRequest) -> StoreResult<LeaseAnswer> {
        self.store.take_lease(request).await
    }

    async fn renew_lease(
        &self,
        held: &mut HeldLease,
        now_local: TimestampMs,
        until_local: TimestampMs,
        state_json: Option<String>,
    ) -> StoreResult<()> {
        self.store.renew_lease(held, now_local, until_local, state_json).await
    }

    async fn end_lease(&self, held: HeldLease, now_local: TimestampMs, state_json: Option<String>) -> StoreResult<()> {
        self.store.end_lease(held, now_local, state_json).await
    }

    async fn lease(&self, account: &AccountId) -> StoreResult<Option<LeaseRecord>> {
        self.store.lease(account).await
    }

    fn under_lease(&self, lease: &Lease) -> Book {
        Arc::new(Self { store: self.store.under_lease(lease), gate: Arc::clone(&self.gate) })
    }
}
