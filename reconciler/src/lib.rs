#![doc = include_str!("../README.md")]

mod apply;
mod book;
mod cycle;
mod discrepancy;
mod error;
mod observation;
mod observe;
mod plan;
mod recorder;
#[cfg(test)]
mod tests;
mod verify;

pub use apply::{Applied, apply};
pub use book::Book;
pub use cycle::{CycleReport, FindingReport, Reconciler, ReconcilerConfig, RepairReport};
pub use discrepancy::{DiscrepancyKind, Finding, Subject};
pub use error::ReconcileError;
pub use observation::{Asked, BookView, Continuity, FillWalk, Observation, SymbolObservation, Walk};
pub use observe::{ObserveOptions, observe};
pub use plan::{Plan, PlannedRepair, SymbolPlan, plan};
pub use recorder::Recorder;
pub use verify::{Check, CheckName, Verdict, Verification, verify};
