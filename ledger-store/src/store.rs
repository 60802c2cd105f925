//! The seam: what the rest of the workspace may ask of a book, in a handful of traits by purpose.
//!
//! Everything here is object safe; a service holds a [`Book`], and a function names the part that it needs. Lists are
//! read in pages, from a key on, so that a history of any length needs little memory. Facts come back as [`Sourced`],
//! through the same constructors that checked them when they came in.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ledger_core::demands::HeldAround;
use ledger_core::{
    AccountId, Anchor, BalanceSnapshot, Cancel, ClientOrderId, FactKind, Fill, FillId, FillKey, FundingRate, Income,
    IncomeKey, IncomeType, Instrument, Movement, OrderIntent, OrderKey, PositionMode, PositionModeSnapshot,
    PositionSnapshot, PriceSnapshot, RoundTrip, Signal, SignalId, Sourced, Symbol, TimestampMs,
};

use crate::batch::{Batch, CoverageSpan, FundingReach, RunId, Stretch, SyncCursor, UnpricedFee};
use crate::error::StoreError;
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

/// What a book answers.
pub type StoreResult<T> = Result<T, StoreError>;

/// A book as services and command lines hold it, and share it.
pub type Book = Arc<dyn Store>;

/// Everything that a book can be asked.
pub trait Store: Writer + FactReader + DerivedReader + Journal + Leases + Outbox + Maintenance + Debug {}

impl<T: Writer + FactReader + DerivedReader + Journal + Leases + Outbox + Maintenance + Debug> Store for T {}

/// Writes: accounts, facts with what the journal says of them, and what is derived from facts.
#[async_trait]
pub trait Writer: Send + Sync {
    /// Records a batch with what the journal says of it: all of it, or nothing when this fails. When it answers, the
    /// batch survives a crash.
    ///
    /// What the book has already, refines or contradicts is an outcome, not an error.
    ///
    /// # Errors
    /// [`StoreError::UnknownAccount`] and [`StoreError::WrongAccount`]; [`StoreError::UnknownRun`],
    /// [`StoreError::UnknownDiscrepancy`] and [`StoreError::RepairWithoutRun`] when the journal cannot be written;
    /// [`StoreError::UnprovableStream`]; and whatever the file fails with.
    async fn commit(&self, batch: Batch) -> StoreResult<CommitReport>;

    /// Begins a transaction, as soon as nobody else writes: what is read in it is still so when what is written in it is
    /// committed. All other writes wait meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when another process keeps the book locked for too long.
    async fn begin(&self) -> StoreResult<Box<dyn Transaction>>;

    /// Adds an account. The same account again changes nothing; another venue is an error.
    async fn create_account(&self, account: NewAccount) -> StoreResult<()>;

    /// Binds an account to its exchange identity, at the first sync; later, checks that it is still the same.
    ///
    /// # Errors
    /// [`StoreError::WrongAccount`] when it is not; nothing is changed.
    async fn bind_identity(&self, id: &AccountId, identity: ExchangeIdentity) -> StoreResult<()>;

    /// Takes the user's word whether the account holds one position a symbol or two, in place of an earlier one. What
    /// follows from that is up to date when this answers. What the exchange answers is a fact, recorded by
    /// [`Writer::commit`].
    async fn set_position_mode(&self, id: &AccountId, mode: PositionMode, at_local: TimestampMs) -> StoreResult<()>;

    /// The symbols whose derived rows are out of date.
    async fn pending_refolds(&self) -> StoreResult<Vec<PendingRefold>>;

    /// Brings the derived rows of one symbol up to date, from the last checkpoint that still holds.
    async fn refold(&self, account: &AccountId, symbol: &Symbol) -> StoreResult<RefoldReport>;

    /// Drops every derived row of an account and marks all its symbols as out of date. The rows come back with
    /// [`refold`](Self::refold), which then recomputes what the fills of each order add up to, too;
    /// [`rebuild`](crate::rebuild) does both.
    async fn drop_derived(&self, account: &AccountId) -> StoreResult<Vec<PendingRefold>>;
}

/// A transaction on a book. A part of it can be rolled back alone; dropping it rolls all of it back.
///
/// It is meant to be short: its questions and commands are run where they are asked.
#[async_trait]
pub trait Transaction: Send + Sync {
    /// The book in this transaction: it answers what was written in it so far, and what is written to it is durable once the
    /// transaction is committed. Nothing can be asked of it after that.
    fn book(&self) -> Book;

    /// Begins a part. What was written before it is none of it.
    async fn begin_part(&self) -> StoreResult<()>;

    /// Ends the part that was begun, and takes it back unless it is to be kept.
    async fn end_part(&self, keep: bool) -> StoreResult<()>;

    /// Makes everything durable.
    ///
    /// # Errors
    /// Whatever the file fails with, also where that was in an earlier command and all was rolled back by it; then nothing of
    /// the transaction is in the book.
    async fn commit(self: Box<Self>) -> StoreResult<()>;
}

/// Reads facts: what was stated, by whom, and what one fact demands of others.
#[async_trait]
pub trait FactReader: Send + Sync {
    /// An account.
    async fn account(&self, id: &AccountId) -> StoreResult<Option<Account>>;

    /// All accounts, by name.
    async fn accounts(&self) -> StoreResult<Vec<Account>>;

    /// What the exchange answered about the position mode, by time.
    async fn position_modes(&self, id: &AccountId) -> StoreResult<Vec<Sourced<PositionModeSnapshot>>>;

    /// A contract.
    async fn instrument(&self, account: &AccountId, symbol: &Symbol) -> StoreResult<Option<Sourced<Instrument>>>;

    /// All contracts of an account, by symbol.
    async fn instruments(&self, account: &AccountId) -> StoreResult<Vec<Sourced<Instrument>>>;

    /// Every symbol that any fill, order, income row or snapshot of the account names, by name.
    async fn symbols(&self, account: &AccountId) -> StoreResult<Vec<Symbol>>;

    /// A signal.
    async fn signal(&self, account: &AccountId, id: &SignalId) -> StoreResult<Option<Sourced<Signal>>>;

    /// Signals by time.
    async fn signals(&self, filter: &SignalFilter, page: PageRequest) -> StoreResult<Page<Sourced<Signal>>>;

    /// An intent.
    async fn intent(&self, account: &AccountId, id: &ClientOrderId) -> StoreResult<Option<Sourced<OrderIntent>>>;

    /// Intents by the time they were written.
    async fn intents(&self, filter: &IntentFilter, page: PageRequest) -> StoreResult<Page<Sourced<OrderIntent>>>;

    /// An order.
    async fn order(&self, account: &AccountId, key: &OrderKey) -> StoreResult<Option<BookOrder>>;

    /// Orders by creation time.
    async fn orders(&self, filter: &OrderFilter, page: PageRequest) -> StoreResult<Page<BookOrder>>;

    /// A fill.
    async fn fill(&self, account: &AccountId, key: &FillKey) -> StoreResult<Option<Sourced<Fill>>>;

    /// Fills by time.
    async fn fills(&self, filter: &FillFilter, page: PageRequest) -> StoreResult<Page<Sourced<Fill>>>;

    /// Fills of one symbol as they are folded, in that order, from the first on; those that are kept out of the fold are
    /// left out. A position side that the order or the position mode tells and a fee that the exchange's ledger tells
    /// stand in them, with [`Source::Repair`](ledger_core::Source::Repair) in their provenance. The direction of `page`
    /// is not used.
    async fn fills_in_fold_order(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        page: PageRequest,
    ) -> StoreResult<Page<Sourced<Fill>>>;

    /// Fills of one symbol as they are folded: see [`fills_in_fold_order`](Self::fills_in_fold_order). Those that are
    /// kept out come back without a position side.
    async fn as_folded(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        fills: Vec<Sourced<Fill>>,
    ) -> StoreResult<Vec<Sourced<Fill>>>;

    /// How many fills there are.
    async fn fill_count(&self, filter: &FillFilter) -> StoreResult<u64>;

    /// The cancel of an order.
    async fn cancel(&self, account: &AccountId, key: &OrderKey) -> StoreResult<Option<Sourced<Cancel>>>;

    /// Cancels by time.
    async fn cancels(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<Cancel>>>;

    /// An income row.
    async fn income_row(&self, account: &AccountId, key: &IncomeKey) -> StoreResult<Option<Sourced<Income>>>;

    /// Income by time.
    async fn income(&self, filter: &IncomeFilter, page: PageRequest) -> StoreResult<Page<Sourced<Income>>>;

    /// Every type of the ledger's rows that the account has, by name. Costs a seek a type.
    async fn income_types(&self, account: &AccountId) -> StoreResult<Vec<IncomeType>>;

    /// Three kinds of fills, by time: a fee or a profit without a ledger row that names the trade; neither fee nor profit
    /// stated; the trade shared with another half. Costs a seek for each fee and profit of the scope.
    async fn fills_without_rows(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<Fill>>>;

    /// The ledger's rows that name a trade, in the order of their keys.
    async fn rows_of_trade(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        fill_id: &FillId,
    ) -> StoreResult<Vec<Sourced<Income>>>;

    /// The ledger's rows about trades of a contract that name none, from `since` on and before `until`.
    async fn rows_without_trade(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        since: TimestampMs,
        until: TimestampMs,
    ) -> StoreResult<Vec<Sourced<Income>>>;

    /// From when to when the facts of each contract with fills or funding rows ask for its funding rates, by symbol. Costs a
    /// few seeks a contract, however long its history is.
    async fn funding_reach(&self, account: &AccountId) -> StoreResult<Vec<FundingReach>>;

    /// The latest `limit` minutes that have a fee in another asset without a settled price, latest first.
    /// [`Batch::priced`](crate::Batch::priced) settles them.
    async fn unpriced_fees(&self, account: &AccountId, limit: u32) -> StoreResult<Vec<UnpricedFee>>;

    /// The exchange's latest word on every position of the account, flat ones included, by symbol.
    async fn latest_positions(&self, account: &AccountId) -> StoreResult<Vec<Sourced<PositionSnapshot>>>;

    /// Position snapshots by time.
    async fn position_snapshots(
        &self,
        scope: &Scope,
        page: PageRequest,
    ) -> StoreResult<Page<Sourced<PositionSnapshot>>>;

    /// Balance snapshots by time; the scope's symbol is not used.
    async fn balance_snapshots(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<BalanceSnapshot>>>;

    /// Prices by time, of both kinds.
    async fn price_snapshots(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<PriceSnapshot>>>;

    /// Funding rates by time.
    async fn funding_rates(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<FundingRate>>>;

    /// Anchors by time.
    async fn anchors(&self, scope: &Scope, page: PageRequest) -> StoreResult<Page<Sourced<Anchor>>>;

    /// Every payload that states a fact, by the time it was recorded. `fact_key` is what
    /// [`fact_key`](crate::fact_key) gives.
    async fn fact_sources(&self, account: &AccountId, kind: FactKind, fact_key: &str) -> StoreResult<Vec<FactSource>>;

    /// How many facts more than one payload states. Reads the keys of all payloads.
    async fn restated_count(&self, account: &AccountId) -> StoreResult<u64>;
}

/// Reads what is derived from the facts: positions, round trips, and what only folding tells.
#[async_trait]
pub trait DerivedReader: Send + Sync {
    /// Every position the account ever had, flat ones included, by symbol and position side.
    async fn positions(&self, account: &AccountId) -> StoreResult<Vec<BookPosition>>;

    /// What the fold says about each symbol as a whole, by symbol.
    async fn symbol_books(&self, account: &AccountId) -> StoreResult<Vec<SymbolBook>>;

    /// Fills whose exchange-reported realized profit is not the fold's, by symbol and fold order.
    async fn pnl_mismatches(&self, account: &AccountId, page: PageRequest) -> StoreResult<Page<PnlMismatch>>;

    /// Round trips that have ended, by closing time.
    async fn trips(&self, filter: &TripFilter, page: PageRequest) -> StoreResult<Page<RoundTrip>>;

    /// Round trips that have not ended, by symbol and position side.
    async fn open_trips(&self, account: &AccountId) -> StoreResult<Vec<RoundTrip>>;

    /// Every single amount behind the round trips of a contract and its own line, in fold order, dated `since` or later.
    /// They are made by folding again, from the last checkpoint before `since`: a page is what lies between two
    /// checkpoints, and may be empty while others follow. Of a quarantined symbol there are none.
    async fn movements(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        since: Option<TimestampMs>,
        after: Option<Cursor>,
    ) -> StoreResult<Page<Movement>>;

    /// What was held of a contract around these instants, by folding again from the last checkpoint before the first of them;
    /// in order of time. A quarantined symbol has none.
    async fn held_around(
        &self,
        account: &AccountId,
        symbol: &Symbol,
        instants: Vec<TimestampMs>,
    ) -> StoreResult<Vec<HeldAround>>;

    /// The funding rates other than 0 that no row of the ledger is for, although a round trip was open from a minute before
    /// the instant to a minute after it, by symbol and time. Costs a seek for each rate, and reads the times of the round
    /// trips of contracts with such rates.
    async fn rates_without_rows(&self, account: &AccountId) -> StoreResult<Vec<Sourced<FundingRate>>>;

    /// The symbols that could not be folded, by symbol.
    async fn quarantined(&self, account: &AccountId) -> StoreResult<Vec<Quarantine>>;
}

/// The journal: runs with their repairs and discrepancies, how far the book reaches, and when the exchange was looked at.
/// Repairs, discrepancies, cursors and coverage are written by [`Writer::commit`], with the facts.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Opens a run.
    async fn begin_run(&self, account: &AccountId, kind: RunKind, started_local: TimestampMs) -> StoreResult<RunId>;

    /// Closes a run. One that has come to its end by itself is not [interrupted](RunStatus::Interrupted) any more.
    async fn end_run(
        &self,
        run: RunId,
        status: RunStatus,
        ended_local: TimestampMs,
        detail_json: Option<String>,
    ) -> StoreResult<()>;

    /// Runs by number.
    async fn runs(&self, filter: &RunFilter, page: PageRequest) -> StoreResult<Page<Run>>;

    /// Repairs by number.
    async fn repairs(&self, filter: &RepairFilter, page: PageRequest) -> StoreResult<Page<Repair>>;

    /// Discrepancies by number.
    async fn discrepancies(&self, filter: &DiscrepancyFilter, page: PageRequest) -> StoreResult<Page<Discrepancy>>;

    /// Takes somebody's word that a discrepancy may stay, journals it as a repair of the kind `acknowledge`, and
    /// answers the repair's number.
    ///
    /// # Errors
    /// [`StoreError::UnknownDiscrepancy`] when the account has none of this number;
    /// [`StoreError::DiscrepancyResolved`] when it is gone already.
    async fn acknowledge_discrepancy(&self, acknowledgement: Acknowledgement) -> StoreResult<i64>;

    /// Where each stream goes on.
    async fn cursors(&self, account: &AccountId) -> StoreResult<Vec<SyncCursor>>;

    /// Which stretches of time are complete.
    async fn coverage(&self, account: &AccountId) -> StoreResult<Vec<CoverageSpan>>;

    /// Which stretches were read, and are to be read again ([`Batch::reopened`](crate::Batch::reopened)).
    async fn reopened(&self, account: &AccountId) -> StoreResult<Vec<Stretch>>;

    /// Holds what was confirmed against the rows that the book has now. [`ProofDepth::Counts`] counts in an index, so it
    /// costs a few seeks a proof and a step a row; [`ProofDepth::Identities`] reads every row.
    async fn check_proofs(&self, account: &AccountId, depth: ProofDepth) -> StoreResult<ProofCheck>;

    /// The last look at each stream, by stream; empty where the exchange was never looked at.
    async fn looks(&self, account: &AccountId) -> StoreResult<Vec<Look>>;

    /// Writes down how a look ended, over the one before.
    ///
    /// # Errors
    /// [`StoreError::UnknownAccount`]; nothing is changed.
    async fn record_look(&self, look: NewLook) -> StoreResult<()>;

    /// Shows others that a look has begun, for as long as the answer is held. Nothing is written into the book.
    async fn hold_look(&self, account: &AccountId, began_local: TimestampMs) -> StoreResult<LookHold>;

    /// The look that has not come to its end: one that goes on, or one whose process died.
    async fn open_look(&self, account: &AccountId) -> StoreResult<Option<OpenLook>>;
}

/// Who watches an account. A lease is one process's until it gives it back, dies, or gives no sign of life for too long; its
/// number fences what it writes.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Gives the lease on an account to whoever asks, unless another process holds it: one that lives, as far as that can be
    /// seen, and has renewed it in time. Every lease has a greater number than the one before.
    ///
    /// # Errors
    /// [`StoreError::UnknownAccount`]; nothing is changed.
    async fn take_lease(&self, request: LeaseRequest) -> StoreResult<LeaseAnswer>;

    /// Lets a lease count until `until_local`, with what its holder says of itself. One that ran out is renewed as long as
    /// nobody else has taken it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; nothing is changed.
    async fn renew_lease(
        &self,
        held: &mut HeldLease,
        now_local: TimestampMs,
        until_local: TimestampMs,
        state_json: Option<String>,
    ) -> StoreResult<()>;

    /// Gives a lease back.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; nothing is changed.
    async fn end_lease(&self, held: HeldLease, now_local: TimestampMs, state_json: Option<String>) -> StoreResult<()>;

    /// The last lease on an account, held or not.
    async fn lease(&self, account: &AccountId) -> StoreResult<Option<LeaseRecord>>;

    /// The book under a lease: as long as that is the account's last one it is this book, and after that every write is
    /// refused with [`StoreError::LeaseLost`], within the transaction that it would have been. Reading goes on.
    fn under_lease(&self, lease: &Lease) -> Book;
}

/// What is to be told to people, and how far that has come. A message is made in the transaction that notes that it was, so a
/// process that dies in between makes it later, and never twice; it is sent outside of any transaction.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The fills of an account that the book learned of behind `place` (0: all), in the order in which it did. A fill that was
    /// stated again keeps its place.
    async fn recorded_fills(&self, account: &AccountId, place: i64, limit: u32) -> StoreResult<RecordedFills>;

    /// The place behind all fills that are on record.
    async fn fills_end(&self) -> StoreResult<i64>;

    /// How far the telling has come, in its own terms; `None` before it first began.
    async fn telling(&self, account: &AccountId) -> StoreResult<Option<String>>;

    /// Adds messages, and notes how far the telling has come: both or neither. Those whose key the channel has already are left
    /// out, and those that ended before `keep_since_local` go. Answers how many are new.
    ///
    /// # Errors
    /// [`StoreError::UnknownAccount`]; nothing is changed.
    async fn put_messages(
        &self,
        account: &AccountId,
        messages: Vec<NewMessage>,
        now_local: TimestampMs,
        keep_since_local: TimestampMs,
        state_json: String,
    ) -> StoreResult<usize>;

    /// The messages of a channel that may be sent at `now_local`, urgent ones first, then as they were made.
    async fn due_messages(
        &self,
        account: &AccountId,
        channel: &str,
        now_local: TimestampMs,
        limit: u32,
    ) -> StoreResult<Vec<Message>>;

    /// Notes how an attempt at waiting messages ended. Those that do not wait any more stay as they are.
    async fn note_attempt(&self, ids: Vec<i64>, attempt: Attempt) -> StoreResult<()>;

    /// Gives up what waits for channels other than these, which are not there any more. Answers how many.
    async fn give_up_others(
        &self,
        account: &AccountId,
        channels: Vec<String>,
        now_local: TimestampMs,
    ) -> StoreResult<usize>;

    /// Messages by number.
    async fn messages(&self, account: &AccountId, page: PageRequest) -> StoreResult<Page<Message>>;

    /// How the messages of each channel stand, by channel.
    async fn outbox_summary(&self, account: &AccountId) -> StoreResult<Vec<ChannelSummary>>;
}

/// The book as a whole: its file, and one moment of it.
#[async_trait]
pub trait Maintenance: Send + Sync {
    /// What the file is.
    async fn info(&self) -> StoreResult<StoreInfo>;

    /// What is wrong with the file; empty when it is sound: what the database engine finds, rows that point nowhere,
    /// migrations that are none of this program's, and payloads that are no longer what was received. Reads all of it.
    async fn integrity_check(&self) -> StoreResult<Vec<String>>;

    /// Whether a command is at work that has left symbols out of date and will recompute them ([`Refold::Deferred`],
    /// [`Writer::drop_derived`]). A snapshot tells it of its own moment. What is out of date with nobody at work was
    /// interrupted.
    ///
    /// [`Refold::Deferred`]: crate::Refold::Deferred
    async fn is_refold_under_way(&self) -> StoreResult<bool>;

    /// Writes a consistent copy of the book to `path`, where no file may be.
    async fn backup(&self, path: &Path) -> StoreResult<()>;

    /// The book as it is now, for as long as the answer is held: all that is asked of it, its
    /// [backup](Maintenance::backup) included, is answered from this moment. It takes no writes. What stands in
    /// files beside the book (a [look in progress](Journal::open_look)) is told as it is when it is asked for.
    ///
    /// A snapshot of which nothing was asked for long may be given up ([`StoreError::MomentGivenUp`]); a snapshot's snapshot
    /// is the same moment.
    ///
    /// [`StoreError::MomentGivenUp`]: crate::StoreError::MomentGivenUp
    async fn snapshot(&self) -> StoreResult<Book>;
}

/// Recomputes everything that is out of date, symbol by symbol, each in a transaction of its own. `progress` is told
/// of every symbol done, with how many are left.
///
/// # Errors
/// [`StoreError`] from the first symbol that the store fails on; those before it are done. A symbol that cannot be
/// folded is no error: its report says why.
pub async fn refold_pending<W: Writer + ?Sized>(
    writer: &W,
    progress: &mut (dyn FnMut(&RefoldReport, usize) + Send),
) -> StoreResult<Vec<RefoldReport>> {
    let pending = writer.pending_refolds().await?;
    refold_all(writer, &pending, progress).await
}

/// Drops every derived row of an account and recomputes it from the facts.
///
/// # Errors
/// As [`refold_pending`]. What was not reached stays marked as out of date.
pub async fn rebuild<W: Writer + ?Sized>(
    writer: &W,
    account: &AccountId,
    progress: &mut (dyn FnMut(&RefoldReport, usize) + Send),
) -> StoreResult<Vec<RefoldReport>> {
    let pending = writer.drop_derived(account).await?;
    refold_all(writer, &pending, progress).await
}

async fn refold_all<W: Writer + ?Sized>(
    writer: &W,
    pending: &[PendingRefold],
    progress: &mut (dyn FnMut(&RefoldReport, usize) + Send),
) -> StoreResult<Vec<RefoldReport>> {
    let mut reports = Vec::with_capacity(pending.len());
    for (done, PendingRefold { account, symbol }) in pending.iter().enumerate() {
        let report = writer.refold(account, symbol).await?;
        progress(&report, pending.len() - done - 1);
        reports.push(report);
    }
    Ok(reports)
}
