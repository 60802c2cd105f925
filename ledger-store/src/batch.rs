//! What is written in one go: the facts of one account, with how far they reach, and what the journal says of them.

use ledger_core::{AccountId, Asset, Statement, Symbol, TimestampMs};

use crate::record::{DiscrepancyKey, NewDiscrepancy, NewRepair};

/// The number of a run in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub i64);

/// When the positions and round trips that new facts change are recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Refold {
    /// In the transaction of the facts: for the few facts of a bot or a sync.
    #[default]
    Now,
    /// Later, by [`refold_pending`](crate::refold_pending): for imports. Until then the marks say what is out of date,
    /// and a crash does not lose them.
    Deferred,
}

/// Facts of one account that are recorded together or not at all. Of those whose record in the book cannot be read the payload
/// is kept, which the outcome tells; then cursors and coverage stay where they are, so that these are asked for again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Whose facts; the account must exist.
    pub account: AccountId,
    /// The facts, each with its source and payload.
    pub statements: Vec<Statement>,
    /// The run that brought them, for the journal. Repairs need one.
    pub run_id: Option<RunId>,
    /// When they are recorded, by the local clock.
    pub recorded_at: TimestampMs,
    /// Where later queries begin.
    pub cursors: Vec<SyncCursor>,
    /// Which stretches of time these facts complete. Those that are [confirmed](CoverageGrade::Confirmed) get a
    /// [proof](crate::Proof) of what the book then has in them, where they have none yet.
    pub coverage: Vec<CoverageSpan>,
    /// Which stretches are not believed to be complete any more and are to be read again: they are covered in no grade, and
    /// the proofs that touch them go with the confirmation of all that these were of; a proof of which rows are missing stays,
    /// for it is all that tells of the loss. Comes before `coverage`: what is covered by the same batch is read again
    /// already. Holds even where a fact of the batch cannot be recorded.
    pub reopened: Vec<Stretch>,
    /// What was seen to differ: opened, or still there.
    pub discrepancies: Vec<NewDiscrepancy>,
    /// What was seen to differ no longer. One that is in `discrepancies`, too, was found and is settled by this batch;
    /// those that the book does not have or that are gone already stay as they are.
    pub settled: Vec<DiscrepancyKey>,
    /// What this batch changes, for the journal.
    pub repairs: Vec<NewRepair>,
    /// Fees of which it is settled what their asset was worth: the price is among these facts or on record, or the exchange
    /// has none.
    pub priced: Vec<UnpricedFee>,
    /// The exchange's number of the owner of these facts (`Uid` in exports), where they state it: bound to the account
    /// with the first batch that has one; another one's batches are refused from then on.
    pub user_id: Option<String>,
    /// When derived rows follow.
    pub refold: Refold,
}

impl Batch {
    /// A batch of `statements` and nothing else, refolded at once.
    pub fn new(account: AccountId, recorded_at: TimestampMs, statements: Vec<Statement>) -> Self {
        Self {
            account,
            statements,
            run_id: None,
            recorded_at,
            cursors: Vec::new(),
            coverage: Vec::new(),
            reopened: Vec::new(),
            discrepancies: Vec::new(),
            settled: Vec::new(),
            repairs: Vec::new(),
            priced: Vec::new(),
            user_id: None,
            refold: Refold::Now,
        }
    }

    /// The same batch with another time of refolding.
    #[must_use]
    pub fn with_refold(mut self, refold: Refold) -> Self {
        self.refold = refold;
        self
    }
}

/// Where the next query of a stream of facts begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SyncCursor {
    /// Which stream, for example `fills`.
    pub stream: String,
    /// Of which contract; `None` for streams of the whole account.
    pub symbol: Option<Symbol>,
    /// Where to go on, in the stream's own terms: an id or a time.
    pub position: String,
}

/// A minute in which fees of a contract were paid in an asset whose price at that time may not be on record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnpricedFee {
    /// The contract that was traded.
    pub symbol: Symbol,
    /// What the fees were paid in.
    pub asset: Asset,
    /// The minute's first millisecond.
    pub minute: TimestampMs,
}

/// From when to when a contract's facts ask for its funding rates.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FundingReach {
    /// The contract.
    pub symbol: Symbol,
    /// Its first fill or funding row.
    pub first: TimestampMs,
    /// Its last funding row.
    pub last_row: Option<TimestampMs>,
}

/// How a stretch of time is known to be complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CoverageGrade {
    /// Follows from something else, for example from orders that are all accounted for.
    Inferred,
    /// The exchange was asked for exactly this.
    Asked,
    /// A later look asked again, and was answered the same: no single answer is believed to be whole. The book has a
    /// [proof](crate::Proof) of it.
    Confirmed,
}

ledger_core::names!(CoverageGrade, "coverage grade", {
    Inferred = "inferred", Asked = "asked", Confirmed = "confirmed",
});

/// A stretch of time in which the book has every fact of a stream. Touching spans of one grade become one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CoverageSpan {
    /// Which stream, for example `fills`.
    pub stream: String,
    /// Of which contract; `None` for streams of the whole account.
    pub symbol: Option<Symbol>,
    /// How it is known.
    pub grade: CoverageGrade,
    /// The first instant that is covered.
    pub since: TimestampMs,
    /// The first instant after it that is not.
    pub until: TimestampMs,
}

/// A stretch of time of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stretch {
    /// Which stream, for example `income`.
    pub stream: String,
    /// Of which contract; `None` for streams of the whole account.
    pub symbol: Option<Symbol>,
    /// The first instant of it.
    pub since: TimestampMs,
    /// The first instant after it.
    pub until: TimestampMs,
}

impl From<CoverageSpan> for Stretch {
    fn from(span: CoverageSpan) -> Self {
        let CoverageSpan { stream, symbol, since, until, .. } = span;
        Self { stream, symbol, since, until }
    }
}
