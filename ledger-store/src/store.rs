//! A book as a whole: its file, one moment of it, everything that can be asked of it, and deriving it anew.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ledger_core::AccountId;

use crate::outcome::{PendingRefold, RefoldReport};
use crate::record::StoreInfo;
use crate::repository::{
    AccountRepository, CancelRepository, DemandRepository, FillRepository, IncomeRepository, InstrumentRepository,
    IntentRepository, LedgerWriter, LookRepository, OrderRepository, PositionRepository, RunRepository,
    SignalRepository, SnapshotRepository, SourceRepository, StoreResult, SyncRepository, TripRepository,
};

/// The book's file.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait MaintenanceRepository: Send + Sync {
    /// What the file is.
    async fn info(&self) -> StoreResult<StoreInfo>;

    /// What is wrong with the file; empty when it is sound: what the database engine finds, rows that point nowhere,
    /// migrations that are none of this program's, and payloads that are no longer what was received. Reads all of it.
    async fn integrity_check(&self) -> StoreResult<Vec<String>>;

    /// Whether a command is at work that has left symbols out of date and will recompute them ([`Refold::Deferred`],
    /// [`LedgerWriter::drop_derived`]). A snapshot tells it of its own moment. What is out of date with nobody at work was
    /// interrupted.
    ///
    /// [`Refold::Deferred`]: crate::Refold::Deferred
    async fn is_refold_under_way(&self) -> StoreResult<bool>;

    /// Writes a consistent copy of the book to `path`, where no file may be.
    async fn backup(&self, path: &Path) -> StoreResult<()>;
}

/// Reading the book as it is at one moment, whatever is written meanwhile.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait BookSnapshots: Send + Sync {
    /// The book as it is now, for as long as the answer is held: all that is asked of it, its
    /// [backup](MaintenanceRepository::backup) included, is answered from this moment. It takes no writes. What stands in
    /// files beside the book (a [look in progress](LookRepository::open_look)) is told as it is when it is asked for.
    ///
    /// A snapshot of which nothing was asked for long may be given up ([`StoreError::MomentGivenUp`]); a snapshot's snapshot
    /// is the same moment.
    ///
    /// [`StoreError::MomentGivenUp`]: crate::StoreError::MomentGivenUp
    async fn snapshot(&self) -> StoreResult<Arc<dyn Store>>;
}

/// Everything a book can be asked: what a service or a command line holds.
pub trait Store:
    LedgerWriter
    + AccountRepository
    + InstrumentRepository
    + SignalRepository
    + OrderRepository
    + IntentRepository
    + FillRepository
    + CancelRepository
    + IncomeRepository
    + DemandRepository
    + PositionRepository
    + TripRepository
    + SnapshotRepository
    + SourceRepository
    + RunRepository
    + SyncRepository
    + LookRepository
    + MaintenanceRepository
    + BookSnapshots
{
}

impl<T> Store for T where
    T: LedgerWriter
        + AccountRepository
        + InstrumentRepository
        + SignalRepository
        + OrderRepository
        + IntentRepository
        + FillRepository
        + CancelRepository
        + IncomeRepository
        + DemandRepository
        + PositionRepository
        + TripRepository
        + SnapshotRepository
        + SourceRepository
        + RunRepository
        + SyncRepository
        + LookRepository
        + MaintenanceRepository
        + BookSnapshots
{
}

/// Recomputes everything that is out of date, symbol by symbol, each in a transaction of its own. `progress` is told
/// of every symbol done, with how many are left.
///
/// # Errors
/// [`StoreError`] from the first symbol that the store fails on; those before it are done. A symbol that cannot be
/// folded is no error: its report says why.
///
/// [`StoreError`]: crate::StoreError
pub async fn refold_pending<W: LedgerWriter + ?Sized>(
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
pub async fn rebuild<W: LedgerWriter + ?Sized>(
    writer: &W,
    account: &AccountId,
    progress: &mut (dyn FnMut(&RefoldReport, usize) + Send),
) -> StoreResult<Vec<RefoldReport>> {
    let pending = writer.drop_derived(account).await?;
    refold_all(writer, &pending, progress).await
}

async fn refold_all<W: LedgerWriter + ?Sized>(
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
