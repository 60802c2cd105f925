//! What the book keeps besides facts: accounts, runs, repairs, discrepancies, and payloads.

use ledger_core::{
    AccountId, Asset, AssetTotal, Decimal, DerivedPosition, FactKind, Fee, FillKey, Order, PositionMode,
    PositionModeSnapshot, PositionSnapshot, PriceSnapshot, Source, Sourced, Symbol, TimestampMs,
};

use crate::batch::RunId;

/// What an exchange says about who a key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeIdentity {
    /// The base URL of its interface.
    pub base_url: String,
    /// The account's name or number there, where the exchange tells.
    pub alias: Option<String>,
}

/// An account to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Its name in the book.
    pub id: AccountId,
    /// The venue, for example `binance_usdm`.
    pub venue: String,
    /// When it is created, by the local clock.
    pub created_local: TimestampMs,
}

/// The first account of a book that is made: it is in the book from the first moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstAccount {
    /// The account.
    pub account: NewAccount,
    /// The user's word on its position mode.
    pub position_mode: Option<PositionMode>,
}

/// An account of the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name in the book.
    pub id: AccountId,
    /// The venue, for example `binance_usdm`.
    pub venue: String,
    /// Who it is at the exchange; `None` before the first sync.
    pub identity: Option<ExchangeIdentity>,
    /// The exchange's number of its owner, as exports state it (`Uid`); `None` before the first that does.
    pub user_id: Option<String>,
    /// Whether it holds one position a symbol or two, as the user says: for all of its history, unless the exchange
    /// says otherwise.
    pub position_mode: Option<PositionMode>,
    /// What the exchange answered about that, last.
    pub observed_mode: Option<PositionModeSnapshot>,
    /// When it was created, by the local clock.
    pub created_local: TimestampMs,
}

impl Account {
    /// The mode that the account is in by all that is known: the exchange's last answer, else the user's word.
    pub fn mode(&self) -> Option<PositionMode> {
        self.observed_mode.as_ref().map(|observed| observed.mode).or(self.position_mode)
    }
}

/// An order with what its fills add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookOrder {
    /// The order as merged.
    pub order: Sourced<Order>,
    /// The exact sum of the quantities of its fills; `None` before it was first computed or where it does not fit.
    pub filled_qty: Option<Decimal>,
    /// The exact sum of quantity x price of its fills.
    pub filled_quote: Option<Decimal>,
    /// How much more was executed than its fills add up to; `None` when nothing is missing.
    pub residual_qty: Option<Decimal>,
    /// What that cost, by what an answer states of the order and the fees of its fills: an estimate, one amount for each
    /// asset. `None` where nothing is missing, and where nothing tells.
    pub residual_fees: Option<Vec<Fee>>,
}

/// How a derived position compares with the exchange's latest word on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReconcileStatus {
    /// Both have the same quantity.
    Matched,
    /// They differ, but fills have come in since the exchange spoke, so the next observation may settle it.
    Pending,
    /// They differ.
    Mismatch,
    /// They differ, and a discrepancy on record says that it could not be repaired.
    Unresolved,
}

ledger_core::names!(ReconcileStatus, "reconcile status", {
    Matched = "MATCHED", Pending = "PENDING", Mismatch = "MISMATCH", Unresolved = "UNRESOLVED",
});

/// A derived position, with the latest mark price and what the exchange says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookPosition {
    /// The contract.
    pub symbol: Symbol,
    /// The asset that profit is paid in.
    pub settle_asset: Asset,
    /// What the facts say; at most estimated where the exchange says something else
    /// ([`Mismatch`](ReconcileStatus::Mismatch), [`Unresolved`](ReconcileStatus::Unresolved)).
    pub position: DerivedPosition,
    /// The latest mark price on record.
    pub mark: Option<PriceSnapshot>,
    /// The profit that closing at the mark price would realize, in the settle asset, without fees; absent without a
    /// mark price and where the entry is unknown.
    pub unreal_pnl: Option<Decimal>,
    /// The exchange's latest word on the position.
    pub exchange: Option<PositionSnapshot>,
    /// How they compare; absent when the exchange has said nothing.
    pub reconcile_status: Option<ReconcileStatus>,
}

/// What the fold says about a symbol as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolBook {
    /// The contract.
    pub symbol: Symbol,
    /// The asset that profit is paid in.
    pub settle_asset: Asset,
    /// How many fills were folded.
    pub fill_count: u64,
    /// Fills that are kept out of the fold because nothing says which position they changed.
    pub unplaced_count: u64,
    /// Round trips that have ended.
    pub closed_count: u64,
    /// Fills whose exchange-reported realized profit is not the fold's.
    pub pnl_mismatch_count: u64,
    /// Fills of which the exchange did not report what they realized.
    pub pnl_unreported_count: u64,
    /// Fills of which it did, while the fold does not know it. All others were compared.
    pub pnl_unknown_count: u64,
    /// Funding that belongs to no position.
    pub unallocated_funding: Vec<AssetTotal>,
    /// Charges for liquidations of which the book has no forced fill: negative = charged.
    pub unallocated_clearance: Vec<AssetTotal>,
    /// What settlements paid that no single position can be told of.
    pub unallocated_realized: Vec<AssetTotal>,
    /// Whether realized - open cost = sum of cash flows.
    pub is_conserved: bool,
}

/// A fill whose exchange-reported realized profit is not the fold's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PnlMismatch {
    /// The fill.
    pub key: FillKey,
    /// When it was, by the exchange's clock.
    pub at: TimestampMs,
    /// What the fold says it realized; absent when unknown.
    pub derived: Option<Decimal>,
    /// What the exchange reported.
    pub reported: Option<Decimal>,
}

/// A payload as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactSource {
    /// The kind of fact it states.
    pub kind: FactKind,
    /// The fact's key, as text: see [`fact_key`](crate::fact_key).
    pub fact_key: String,
    /// Who sent it.
    pub source: Source,
    /// The payload, verbatim.
    pub payload: String,
    /// When it was first recorded, by the local clock.
    pub recorded_at: TimestampMs,
    /// The run that brought it.
    pub run_id: Option<RunId>,
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RunKind {
    /// Files were imported.
    Import,
    /// The book was brought in line with the exchange.
    Sync,
    /// The book was compared with the exchange.
    Audit,
    /// A bot recorded.
    Record,
    /// Derived rows were recomputed.
    Rebuild,
    /// An operator decided something by hand.
    Correct,
}

ledger_core::names!(RunKind, "kind of run", {
    Import = "import", Sync = "sync", Audit = "audit", Record = "record", Rebuild = "rebuild",
    Correct = "correct",
});

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RunStatus {
    /// It goes on, or was interrupted and no later one of the account has ended since.
    Running,
    /// It ended well.
    Done,
    /// It ended with an error.
    Failed,
    /// A later one of the account has ended while this one has not: its process is gone. Should it be alive after all,
    /// it says so when it ends.
    Interrupted,
}

ledger_core::names!(RunStatus, "run status", {
    Running = "running", Done = "done", Failed = "failed", Interrupted = "interrupted",
});

/// A run in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// For which account.
    pub account: AccountId,
    /// What it did.
    pub kind: RunKind,
    /// When it began, by the local clock.
    pub started_local: TimestampMs,
    /// When it ended; `None` while it goes on.
    pub ended_local: Option<TimestampMs>,
    /// How it ended.
    pub status: RunStatus,
    /// What it looked at and did, as JSON text.
    pub detail_json: Option<String>,
}

/// A change to be journaled, with why. Goes into the book with the facts it brings, in a
/// [`Batch`](crate::Batch), which says in which account, by which run and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRepair {
    /// Of which contract, where it has one.
    pub symbol: Option<Symbol>,
    /// What it does, for example `restore_fills`.
    pub kind: String,
    /// The discrepancy that it repairs: one of the same batch, or one on record.
    pub discrepancy: Option<DiscrepancyKey>,
    /// Why, for the reader.
    pub cause: String,
    /// What it rests on, as JSON text.
    pub evidence_json: String,
    /// What the book said before, as JSON text.
    pub before_json: Option<String>,
    /// What it says now, as JSON text.
    pub after_json: Option<String>,
}

/// A change that was made, with why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Its number.
    pub id: i64,
    /// In which account.
    pub account: AccountId,
    /// Of which contract, where it has one.
    pub symbol: Option<Symbol>,
    /// By which run.
    pub run_id: RunId,
    /// When, by the local clock.
    pub at_local: TimestampMs,
    /// What it does, for example `restore_fills`.
    pub kind: String,
    /// The number of the discrepancy it repairs, where one is recorded.
    pub discrepancy_id: Option<i64>,
    /// Why, for the reader.
    pub cause: String,
    /// What it rests on, as JSON text.
    pub evidence_json: String,
    /// What the book said before, as JSON text.
    pub before_json: Option<String>,
    /// What it says now, as JSON text.
    pub after_json: Option<String>,
}

/// How far a discrepancy is from being gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DiscrepancyStatus {
    /// Seen, and may go by itself.
    Pending,
    /// Stays, and could not be repaired.
    Unresolved,
    /// Stays, and somebody has said that it may.
    Acknowledged,
    /// Gone.
    Resolved,
}

ledger_core::names!(DiscrepancyStatus, "discrepancy status", {
    Pending = "pending", Unresolved = "unresolved", Acknowledged = "acknowledged", Resolved = "resolved",
});

/// What makes a discrepancy this one and no other, within an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DiscrepancyKey {
    /// What differs, for example `conflicting_fact`.
    pub kind: String,
    /// About what, in words that stay the same for as long as it is there.
    pub fingerprint: String,
}

/// A discrepancy that was seen, for the first time or again.
///
/// One that was resolved is open again. One that somebody acknowledged stays acknowledged for as long as the evidence
/// is the same: what is seen now is then no more than what they have accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDiscrepancy {
    /// Which.
    pub key: DiscrepancyKey,
    /// Of which contract, where it has one.
    pub symbol: Option<Symbol>,
    /// How far it is from being gone.
    pub status: DiscrepancyStatus,
    /// The values that differ and where they stand, as JSON text.
    pub evidence_json: String,
}

/// A discrepancy on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    /// Its number.
    pub id: i64,
    /// In which account.
    pub account: AccountId,
    /// What was seen, with the latest status and evidence.
    pub entry: NewDiscrepancy,
    /// When it was first seen, by the local clock.
    pub first_seen_local: TimestampMs,
    /// When it was last seen, by the local clock.
    pub last_seen_local: TimestampMs,
    /// When it was found gone, by the local clock.
    pub resolved_local: Option<TimestampMs>,
    /// The run that saw it last.
    pub run_id: Option<RunId>,
}

/// Somebody's word that a discrepancy may stay as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// In which account.
    pub account: AccountId,
    /// The discrepancy's number.
    pub discrepancy_id: i64,
    /// The run under which it is journaled.
    pub run_id: RunId,
    /// When, by the local clock.
    pub at_local: TimestampMs,
    /// Who says so.
    pub by: String,
    /// Why it may stay.
    pub reason: String,
}

/// What the book's file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// The schema version.
    pub schema_version: i64,
    /// The linked SQLite.
    pub sqlite_version: String,
    /// The size of the database in bytes, without the write-ahead log.
    pub size_bytes: i64,
}
