//! The book as the reconciler sees it: a handful of repository traits, so that each can be replaced in a test.

use std::fmt;
use std::sync::Arc;

use ledger_store::{
    AccountRepository, DemandRepository, FillRepository, IncomeRepository, InstrumentRepository, IntentRepository,
    LedgerWriter, LookRepository, OrderRepository, PositionRepository, RunRepository, SignalRepository,
    SnapshotRepository, Store, SyncRepository, TripRepository,
};

/// The parts of a book that reconciling and recording need.
#[derive(Clone)]
pub struct Book {
    /// Records facts.
    pub writer: Arc<dyn LedgerWriter>,
    /// Accounts.
    pub accounts: Arc<dyn AccountRepository>,
    /// Contracts.
    pub instruments: Arc<dyn InstrumentRepository>,
    /// Orders.
    pub orders: Arc<dyn OrderRepository>,
    /// Orders about to be sent.
    pub intents: Arc<dyn IntentRepository>,
    /// Strategies' decisions.
    pub signals: Arc<dyn SignalRepository>,
    /// Fills.
    pub fills: Arc<dyn FillRepository>,
    /// Income.
    pub income: Arc<dyn IncomeRepository>,
    /// What facts demand of the ledger.
    pub demands: Arc<dyn DemandRepository>,
    /// Derived positions.
    pub positions: Arc<dyn PositionRepository>,
    /// Round trips.
    pub trips: Arc<dyn TripRepository>,
    /// What the exchange said earlier.
    pub snapshots: Arc<dyn SnapshotRepository>,
    /// The journal.
    pub runs: Arc<dyn RunRepository>,
    /// Cursors and coverage.
    pub sync: Arc<dyn SyncRepository>,
    /// When the exchange was looked at.
    pub looks: Arc<dyn LookRepository>,
}

impl Book {
    /// All parts from one store.
    pub fn of<S: Store + 'static>(store: &Arc<S>) -> Self {
        Self {
            writer: Arc::clone(store) as Arc<dyn LedgerWriter>,
            accounts: Arc::clone(store) as Arc<dyn AccountRepository>,
            instruments: Arc::clone(store) as Arc<dyn InstrumentRepository>,
            orders: Arc::clone(store) as Arc<dyn OrderRepository>,
            intents: Arc::clone(store) as Arc<dyn IntentRepository>,
            signals: Arc::clone(store) as Arc<dyn SignalRepository>,
            fills: Arc::clone(store) as Arc<dyn FillRepository>,
            income: Arc::clone(store) as Arc<dyn IncomeRepository>,
            demands: Arc::clone(store) as Arc<dyn DemandRepository>,
            positions: Arc::clone(store) as Arc<dyn PositionRepository>,
            trips: Arc::clone(store) as Arc<dyn TripRepository>,
            snapshots: Arc::clone(store) as Arc<dyn SnapshotRepository>,
            runs: Arc::clone(store) as Arc<dyn RunRepository>,
            sync: Arc::clone(store) as Arc<dyn SyncRepository>,
            looks: Arc::clone(store) as Arc<dyn LookRepository>,
        }
    }
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Book").finish_non_exhaustive()
    }
}
