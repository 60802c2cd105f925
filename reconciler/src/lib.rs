#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod account_report;
mod apply;
mod asked;
mod confirming;
mod cycle;
mod discrepancy;
mod error;
mod execute;
mod finding;
mod flow;
mod freshness;
mod import;
mod label;
mod liquidation;
pub mod manage;
mod memory;
mod observe;
mod outside;
mod plan;
mod policy;
mod position_mode;
mod proofs;
mod record;
mod repair;
pub mod service;
mod settled_by;
mod streams;
pub mod tell;
#[cfg(test)]
mod tests;
mod unreadable;
mod verify;
mod watch_state;
mod wording;

// A cycle, what it is told, and what it tells.
pub use cycle::{
    CaughtUp, CycleReport, FailedQuery, FindingReport, Reconciler, ReconcilerConfig, RepairReport, record_failed_look,
};
pub use discrepancy::{DiscrepancyKind, Subject};
pub use error::ReconcileError;
pub use finding::Finding;
pub use label::{
    BadEntry, EntryEvent, EntryEvents, LabelSources, StateLabel, StateLabels, parse_entry_events, parse_state,
};
pub use observe::{ObserveOptions, agreed_identity};
pub use outside::OutsideReport;
pub use policy::Policy;
pub use repair::RepairKind;
pub use settled_by::SettledBy;
pub use verify::{Check, CheckCounts, CheckName, FootedSpan, LeftOut, Severity, Verdict, Verification};
pub use wording::evidence_line;

// What trades for a bot, what a bot leaves in the book, and what it is answered.
pub use execute::{
    AttemptVerdict, BalanceRemark, CancelReport, CancelRequest, CancelVerdict, CancelledOrder, Cause, CloseAttempt,
    CloseEnd, CloseReport, CloseRequest, DcaBasis, DcaOutcome, DcaRequest, EntryOutcome, EntryRequest, ExecuteError,
    Executor, ExecutorSettings, NotNeeded, SentOrder, StopEnd, StopReport, StopRequest, Unsendable,
};
pub use record::{
    Answer, BotFiles, ClientIdLabel, ClientIdScheme, ClosedTrade, EventRecorder, Gate, GateReason, GateReasonKind,
    GateTerms, LineOutcome, Recorder, Refusal, SchemeError, TradeEnd, gate, settles_intent, spool_of,
};

// Files that users bring.
pub use import::{
    Import, ImportCounts, ImportEvent, ImportEvents, ImportLine, ImportReport, ImportedFile, NotComputed, Origin,
    RowRemark,
};

// What a book says: a report, how current it is, whether it balances.
pub use account_report::{AccountReport, ReportRequest, account_report};
pub use freshness::{LookState, PositionFreshness, look_state};
pub use position_mode::contradiction as position_mode_contradiction;
pub use verify::{WholeBook, awaits_trades, brings_trades, verify_book};
