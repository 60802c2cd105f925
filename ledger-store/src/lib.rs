#![doc = include_str!("../README.md")]

mod batch;
mod beside;
pub mod bot_database;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod error;
mod error_class;
mod filter;
mod lease;
mod lease_lock;
mod look;
mod look_hold;
#[cfg(feature = "mock")]
mod mock;
mod outbox;
mod outcome;
mod page;
mod pages;
mod proof;
mod record;
mod sqlite;
mod store;
mod work_hold;

pub use batch::{Batch, CoverageGrade, CoverageSpan, FundingReach, Refold, RunId, Stretch, SyncCursor, UnpricedFee};
pub use error::{BackendError, StoreError, UnreadableRow};
pub use error_class::StoreErrorClass;
pub use filter::{
    DiscrepancyFilter, FillFilter, IncomeFilter, IntentFilter, OrderFilter, RepairFilter, RunFilter, Scope,
    SignalFilter, SignalOutlook, TripFilter,
};
pub use lease::{HeldLease, Lease, LeaseAnswer, LeaseRecord, LeaseRequest};
pub use look::{
    Look, LookFailure, LookFailureKind, LookOutcome, LookResult, LookSuccess, NewLook, OpenLook, Seen, SeenLiquidation,
    SeenMark, SeenWallet,
};
pub use look_hold::LookHold;
#[cfg(feature = "mock")]
pub use mock::MockStore;
pub use outbox::{Attempt, ChannelSummary, Message, MessageState, NewMessage, RecordedFills};
pub use outcome::{CommitReport, ImpliedCancel, OutcomeCounts, PendingRefold, Quarantine, RefoldReport};
pub use page::{Cursor, Direction, Page, PageRequest};
pub use pages::Pages;
pub use proof::{BrokenProof, Proof, ProofCheck, ProofDepth, Tally};
pub use record::{
    Account, Acknowledgement, BookOrder, BookPosition, Discrepancy, DiscrepancyKey, DiscrepancyStatus,
    ExchangeIdentity, FactSource, FirstAccount, NewAccount, NewDiscrepancy, NewRepair, PnlMismatch, ReconcileStatus,
    Repair, Run, RunKind, RunStatus, StoreInfo, SymbolBook,
};
pub use sqlite::{OpenOptions, SqliteStore, WriterMode, fact_key};
pub use store::{
    Book, DerivedReader, FactReader, Journal, Leases, Maintenance, Outbox, Store, StoreResult, Transaction, Writer,
    rebuild, refold_pending,
};
