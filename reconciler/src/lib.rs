#![doc = include_str!("../README.md")]

mod account_report;
mod apply;
mod book;
mod catch_up;
mod client_id;
mod cycle;
mod damage;
mod discrepancy;
mod entry;
mod error;
mod evidence;
mod flow;
mod freshness;
mod import;
mod label;
mod look;
mod observation;
mod observe;
mod outside;
mod plan;
mod policy;
mod position_mode;
mod recorder;
mod report;
mod settle;
#[cfg(test)]
mod tests;
mod verify;
mod wording;

pub use account_report::{AccountReport, ReportRequest, account_report};
pub use apply::{Applied, apply};
pub use book::Book;
pub use catch_up::CaughtUp;
pub use client_id::{ClientIdLabel, ClientIdScheme, SchemeError, bot_label};
pub use cycle::{Reconciler, ReconcilerConfig};
pub use discrepancy::{DiscrepancyKind, Finding, Outlook, Subject};
pub use error::ReconcileError;
pub use freshness::{LookState, PositionFreshness, look_state};
pub use import::{
    Import, ImportCounts, ImportEvent, ImportEvents, ImportLine, ImportReport, ImportedFile, NotComputed, Origin,
    RowRemark,
};
pub use label::{
    BadEntry, EntryEvent, EntryEvents, LabelSources, StateLabel, StateLabels, parse_entry_events, parse_state,
};
pub use look::{look_failure_kind, look_failure_of_store, record_failed_look};
pub use observation::{
    Asked, Beginning, BookView, ClockReading, Continuity, FillWalk, Observation, SymbolObservation, Walk,
};
pub use observe::{ObserveOptions, observe};
pub use outside::OutsideReport;
pub use plan::{Plan, SymbolPlan, plan};
pub use policy::Policy;
pub use position_mode::contradiction as position_mode_contradiction;
pub use recorder::Recorder;
pub use report::{CycleReport, FailedQuery, FindingReport, RepairReport};
pub use verify::{
    Check, CheckCounts, CheckName, FootedSpan, LeftOut, Severity, Verdict, Verification, WholeBook, verify, verify_book,
};
pub use wording::{evidence_line, instant};
