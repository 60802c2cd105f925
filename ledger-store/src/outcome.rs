//! What became of a batch, and of a refold.

use ledger_core::{AccountId, Outcome, Symbol};

use crate::error::UnreadableRow;

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitReport {
    /// What became of each statement, in the order of the batch.
    pub outcomes: Vec<Outcome>,
    /// The cancels that follow from the batch's orders that ended CANCELED.
    pub cancels: Vec<ImpliedCancel>,
    /// The numbers of the batch's discrepancies, in its order.
    pub discrepancy_ids: Vec<i64>,
    /// The numbers of the batch's settled discrepancies, in its order; `None` for those that were not on record.
    pub settled_ids: Vec<Option<i64>>,
    /// The numbers of the batch's repairs, in its order.
    pub repair_ids: Vec<i64>,
    /// The symbols whose derived rows were recomputed.
    pub refolded: Vec<RefoldReport>,
    /// The symbols whose derived rows are out of date until they are refolded.
    pub pending: Vec<Symbol>,
    /// The book's rows that statements could not be merged into: see [`Outcome::Unreadable`].
    pub unreadable: Vec<UnreadableRow>,
}

/// A cancel that follows from a statement about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImpliedCancel {
    /// Which statement of the batch, from 0.
    pub statement: usize,
    /// What became of the cancel.
    pub outcome: Outcome,
}

/// Numbers of outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutcomeCounts {
    /// Facts that were new.
    pub recorded: usize,
    /// Facts the book had already.
    pub already_recorded: usize,
    /// Facts that filled in or refined others.
    pub merged: usize,
    /// Facts that disagree with others.
    pub conflicts: usize,
    /// Facts whose record in the book cannot be read.
    pub unreadable: usize,
}

impl OutcomeCounts {
    /// Counts those of another commit, too.
    pub fn add(&mut self, other: Self) {
        self.recorded += other.recorded;
        self.already_recorded += other.already_recorded;
        self.merged += other.merged;
        self.conflicts += other.conflicts;
        self.unreadable += other.unreadable;
    }
}

impl CommitReport {
    /// How many statements had which outcome.
    pub fn counts(&self) -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        for outcome in &self.outcomes {
            match outcome {
                Outcome::Recorded => counts.recorded += 1,
                Outcome::AlreadyRecorded => counts.already_recorded += 1,
                Outcome::Merged { .. } => counts.merged += 1,
                Outcome::Conflicts { .. } => counts.conflicts += 1,
                Outcome::Unreadable { .. } => counts.unreadable += 1,
            }
        }
        counts
    }
}

/// What recomputing one symbol did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefoldReport {
    /// Whose.
    pub account: AccountId,
    /// Of which contract.
    pub symbol: Symbol,
    /// How many fills were folded; those before the checkpoint it started from are not among them.
    pub fills: u64,
    /// Why the symbol has no derived rows now, if it could not be folded.
    pub quarantined: Option<String>,
}

/// Derived rows that are out of date.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PendingRefold {
    /// Whose.
    pub account: AccountId,
    /// Of which contract.
    pub symbol: Symbol,
}

/// A symbol that could not be folded. Its facts are kept; it has no derived rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// Whose.
    pub account: AccountId,
    /// Of which contract.
    pub symbol: Symbol,
    /// Why.
    pub reason: String,
}
