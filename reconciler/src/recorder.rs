//! Recording as it happens: what a bot in the same process leaves in the book.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_order_is_written_down_before_it_is_sent`: a crash in between leaves an intent to be asked about.
//! 2. `an_unknown_outcome_is_recorded_as_unknown`, never as rejected, and nothing is sent again.
//! 3. `a_cancel_without_a_time_is_the_orders_state_only`.

use std::fmt;
use std::sync::Arc;

use exchange_client::{CancelOutcome, Clock, ExchangeReader, ExchangeTrader, NewOrder, OrderRef, SendOutcome, Stated};
use ledger_core::{
    AccountId, AnyFact, Cancel, Fill, Instrument, IntentOutcome, Label, Order, OrderIntent, OrderKey, Outcome, Signal,
    Source, Statement,
};
use ledger_store::{Batch, CommitReport, RunId};

use crate::book::Book;
use crate::error::{Doing, ReconcileError};
use crate::plan::accepted;

/// Records what a bot does. Cheap to clone; every call is one transaction, and survives a crash once it returns.
#[derive(Clone)]
pub struct Recorder {
    book: Book,
    account: AccountId,
    clock: Arc<dyn Clock>,
    run: Option<RunId>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("account", &self.account).field("run", &self.run).finish_non_exhaustive()
    }
}

impl Recorder {
    /// A recorder for `account`, which must exist in the book.
    pub fn new(book: Book, account: AccountId, clock: Arc<dyn Clock>) -> Self {
        Self { book, account, clock, run: None }
    }

    /// The same recorder, its records journaled under `run`.
    #[must_use]
    pub fn under_run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    /// Records statements as they are.
    ///
    /// # Errors
    /// [`ReconcileError::Store`]; then nothing of them is recorded.
    pub async fn record(&self, statements: Vec<Statement>) -> Result<CommitReport, ReconcileError> {
        let mut batch = Batch::new(self.account.clone(), self.clock.now(), statements);
        batch.run_id = self.run;
        self.book.writer.commit(batch).await.doing("recording")
    }

    /// Records the exchange's contracts: `wanted` says which. Without its contract a symbol's fills are kept, but no
    /// position can be derived from them.
    ///
    /// # Errors
    /// [`ReconcileError::Exchange`] when the exchange does not list its contracts, [`ReconcileError::Store`].
    pub async fn instruments(
        &self,
        exchange: &dyn ExchangeReader,
        wanted: impl Fn(&Instrument) -> bool + Send,
    ) -> Result<CommitReport, ReconcileError> {
        let listed = exchange.fetch_instruments().await.map_err(ReconcileError::Exchange)?;
        let wanted = listed.rows.iter().filter(|row| wanted(&row.entity));
        self.record(wanted.map(Stated::statement).collect()).await
    }

    /// A strategy decided.
    ///
    /// # Errors
    /// [`ReconcileError::Store`].
    pub async fn signal(&self, signal: Signal) -> Result<Outcome, ReconcileError> {
        self.own(AnyFact::Signal(signal)).await
    }

    /// An order is about to be sent. Call it before sending.
    ///
    /// # Errors
    /// [`ReconcileError::Store`]; then the order must not be sent.
    pub async fn intent(&self, intent: OrderIntent) -> Result<Outcome, ReconcileError> {
        self.own(AnyFact::Intent(intent)).await
    }

    /// What became of an order that was sent: its state, or that it was refused, or that nobody knows.
    ///
    /// # Errors
    /// [`ReconcileError::Store`].
    pub async fn order_answer(
        &self,
        intent: &OrderIntent,
        outcome: &SendOutcome<Stated<Order>>,
    ) -> Result<CommitReport, ReconcileError> {
        let resolved = |outcome| {
            let fact = AnyFact::Intent(OrderIntent { outcome, ..intent.clone() });
            vec![Statement { fact, source: Source::Bot, payload: None }]
        };
        let statements = match outcome {
            SendOutcome::Done(order) => {
                let mut statements = vec![order.statement()];
                statements.extend(accepted(intent, &order.entity));
                statements
            }
            SendOutcome::Rejected(_) => resolved(IntentOutcome::Rejected),
            SendOutcome::Unknown(_) => resolved(IntentOutcome::Unknown),
        };
        self.record(statements).await
    }

    /// Fills as the exchange stated them.
    ///
    /// # Errors
    /// [`ReconcileError::Store`].
    pub async fn fills(&self, fills: &[Stated<Fill>]) -> Result<CommitReport, ReconcileError> {
        self.record(fills.iter().map(Stated::statement).collect()).await
    }

    /// An order was cancelled, and why. An answer that does not say when is recorded as the order's state only: the time
    /// of a fact is the exchange's, never the local clock's. The reason is then not on record.
    ///
    /// # Errors
    /// [`ReconcileError::Store`].
    pub async fn cancel(&self, order: &Stated<Order>, reason: Option<Label>) -> Result<CommitReport, ReconcileError> {
        let mut statements = vec![order.statement()];
        statements.extend(order.entity.updated.map(|time| {
            let cancel = Cancel { key: order.entity.key.clone(), side: Some(order.entity.side), time, reason };
            Statement { fact: AnyFact::Cancel(cancel), source: Source::Bot, payload: None }
        }));
        self.record(statements).await
    }

    /// Writes an order down, sends it once, and records what became of it. An unknown outcome is not an error: the next
    /// sync asks for the order by its client order id.
    ///
    /// `None` when the intent is of a kind that cannot be sent; nothing is recorded then.
    ///
    /// # Errors
    /// [`ReconcileError::Store`] before sending: nothing was sent. After sending, the intent is on record and the next
    /// sync resolves it.
    pub async fn send(
        &self,
        trader: &dyn ExchangeTrader,
        intent: &OrderIntent,
    ) -> Result<Option<SendOutcome<Stated<Order>>>, ReconcileError> {
        let Ok(order) = NewOrder::from_intent(intent) else { return Ok(None) };
        self.intent(intent.clone()).await?;
        let outcome = trader.create_order(order).await;
        self.order_answer(intent, &outcome).await?;
        Ok(Some(outcome))
    }

    /// Cancels an order and records that it was, if it was and the exchange tells its state.
    ///
    /// # Errors
    /// [`ReconcileError::Store`].
    pub async fn send_cancel(
        &self,
        trader: &dyn ExchangeTrader,
        key: &OrderKey,
        reason: Option<Label>,
    ) -> Result<CancelOutcome, ReconcileError> {
        let reference = OrderRef::Id(key.class, key.order_id.clone());
        let outcome = trader.cancel_order(key.symbol.clone(), reference).await;
        if let SendOutcome::Done(Some(order)) = &outcome {
            self.cancel(order, reason).await?;
        }
        Ok(outcome)
    }

    async fn own(&self, fact: AnyFact) -> Result<Outcome, ReconcileError> {
        let report = self.record(vec![Statement { fact, source: Source::Bot, payload: None }]).await?;
        Ok(report.outcomes.into_iter().next().unwrap_or(Outcome::AlreadyRecorded))
    }
}
