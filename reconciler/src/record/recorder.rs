//! Recording as it happens: what a bot in the same process leaves in the book.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_order_is_written_down_before_it_is_sent`: a crash in between leaves an intent to be asked about.
//! 2. `an_unknown_outcome_is_recorded_as_unknown`, never as rejected, and nothing is sent again.
//! 3. `a_cancel_without_a_time_is_the_orders_state_only`.
//! 4. `a_contract_is_learned_when_it_is_first_needed`, and asked for once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use exchange_client::{CancelOutcome, Clock, ExchangeReader, ExchangeTrader, NewOrder, OrderRef, SendOutcome, Stated};
use ledger_core::{
    AccountId, AnyFact, Cancel, ClientOrderId, EngineLabel, ExitReason, Fill, Instrument, IntentOutcome, IntentRole,
    Label, Order, OrderIntent, OrderKey, Outcome, Signal, Source, Statement, Symbol,
};
use ledger_store::{Batch, Book, CommitReport, RunId, Store, StoreError};

use crate::error::{Doing, ReconcileError};
use crate::record::bot_record::accepted;
use crate::record::client_id::ClientIdScheme;
use crate::record::closing::{ClosedTrade, Closing, TradeEnd, Unclear, stated};
use crate::record::words::Changed;

/// Records what a bot does. Cheap to clone; every call is one transaction, and survives a crash once it returns.
#[derive(Clone)]
pub struct Recorder {
    book: Book,
    account: AccountId,
    clock: Arc<dyn Clock>,
    run: Option<RunId>,
    scheme: ClientIdScheme,
    contracts: Option<Arc<Contracts>>,
}

/// Where contracts are learned from, and which were.
struct Contracts {
    exchange: Arc<dyn ExchangeReader>,
    known: Mutex<BTreeSet<Symbol>>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("account", &self.account).field("run", &self.run).finish_non_exhaustive()
    }
}

impl Recorder {
    /// A recorder for `account`, which must exist in the book.
    pub fn new(book: Book, account: AccountId, clock: Arc<dyn Clock>) -> Self {
        Self { book, account, clock, run: None, scheme: ClientIdScheme::default(), contracts: None }
    }

    /// The same recorder, which learns the contract of every symbol from `exchange` when it is first needed. Without it
    /// a symbol's fills are kept, but nothing is derived from them until a sync has learned its contract.
    #[must_use]
    pub fn learning_contracts(mut self, exchange: Arc<dyn ExchangeReader>) -> Self {
        self.contracts = Some(Arc::new(Contracts { exchange, known: Mutex::default() }));
        self
    }

    /// The same recorder with another way of wording client order ids.
    #[must_use]
    pub fn wording_ids(mut self, scheme: ClientIdScheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// An id for an order of `engine` that tells its engine and role again should the book lose its records; `unique`
    /// tells it from the engine's other orders. `None` when the exchange would refuse it: see
    /// [`ClientIdScheme::compose`].
    pub fn client_order_id(&self, engine: &EngineLabel, role: IntentRole, unique: &str) -> Option<ClientOrderId> {
        self.scheme.compose(engine, role, unique)
    }

    /// The same recorder, its records journaled under `run`.
    #[must_use]
    pub fn under_run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    pub(crate) fn account(&self) -> &AccountId {
        &self.account
    }

    pub(crate) fn book(&self) -> &dyn Store {
        self.book.as_ref()
    }

    pub(crate) fn scheme(&self) -> &ClientIdScheme {
        &self.scheme
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Records statements as they are.
    ///
    /// # Errors
    /// [`ReconcileError::Store`]; then nothing of them is recorded.
    pub async fn record(&self, mut statements: Vec<Statement>) -> Result<CommitReport, ReconcileError> {
        let contracts = self.missing_contracts(&statements).await?;
        let learned = contracts.len();
        statements.splice(0..0, contracts);
        let changed = Changed::of(&statements, self.clock.now());
        let mut report = self.commit(statements).await?;
        report.outcomes.drain(..learned.min(report.outcomes.len()));
        // Rarely a long way: it lives on the heap, not in the future of whoever records.
        Box::pin(self.place_words(changed)).await;
        Ok(report)
    }

    /// Puts what the bot said of closed trades on their orders, now that these may be on record. What is to be recorded is by
    /// now; a word that cannot be placed waits for the next record of its contract.
    async fn place_words(&self, changed: BTreeMap<Symbol, Changed>) {
        let closing = Closing { store: self.book.as_ref(), account: &self.account };
        for (symbol, changed) in changed {
            let placed = match closing.placed_after(&symbol, changed).await {
                Ok(placed) if placed.is_empty() => continue,
                Ok(placed) => {
                    let statements = placed.into_iter().flat_map(|word| word.statements).collect();
                    self.commit(stated(statements, None)).await.map(drop)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = placed {
                tracing::warn!(%error, %symbol, "what was said of a closed trade could not be put on its order yet");
            }
        }
    }

    async fn commit(&self, statements: Vec<Statement>) -> Result<CommitReport, ReconcileError> {
        let mut batch = Batch::new(self.account.clone(), self.clock.now(), statements);
        batch.run_id = self.run;
        self.book.commit(batch).await.doing("recording")
    }

    /// The contracts of orders and fills that the book lacks. When the exchange does not answer, they are left to the
    /// next sync: recording what happened must not wait for it.
    async fn missing_contracts(&self, statements: &[Statement]) -> Result<Vec<Statement>, ReconcileError> {
        let Some(contracts) = &self.contracts else { return Ok(Vec::new()) };
        let named = statements.iter().filter_map(|statement| match &statement.fact {
            AnyFact::Order(order) => Some(&order.key.symbol),
            AnyFact::Fill(fill) => Some(&fill.key.symbol),
            _ => None,
        });
        let mut missing: BTreeSet<Symbol> = named.cloned().collect();
        // A panic elsewhere leaves the set as it is; it is plain data.
        missing.retain(|symbol| !contracts.known.lock().unwrap_or_else(PoisonError::into_inner).contains(symbol));
        let asked = missing.clone();
        for symbol in &asked {
            let known = self.book.instrument(&self.account, symbol).await.doing("reading a contract")?;
            if known.is_some() {
                missing.remove(symbol);
            }
        }
        let mut found = Vec::new();
        if !missing.is_empty() {
            match contracts.exchange.fetch_instruments().await {
                Ok(listed) => {
                    let wanted = listed.rows.iter().filter(|row| missing.contains(&row.entity.symbol));
                    found.extend(wanted.map(Stated::statement));
                }
                Err(error) => {
                    tracing::warn!(%error, "the contracts could not be read; the next sync records them");
                    return Ok(found);
                }
            }
        }
        contracts.known.lock().unwrap_or_else(PoisonError::into_inner).extend(asked);
        Ok(found)
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

    /// A strategy decided, and no order follows, because of `why`.
    ///
    /// # Errors
    /// [`ReconcileError::Store`].
    pub async fn skip(&self, signal: Signal, why: Label) -> Result<Outcome, ReconcileError> {
        self.own(AnyFact::Signal(Signal { skipped: Some(why), ..signal })).await
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
        self.record(Self::answer_of(intent, outcome)).await
    }

    /// What became of an order that was sent, as statements.
    pub(crate) fn answer_of(intent: &OrderIntent, outcome: &SendOutcome<Stated<Order>>) -> Vec<Statement> {
        let resolved = |outcome| {
            let fact = AnyFact::Intent(OrderIntent { outcome, ..intent.clone() });
            vec![Statement { fact, source: Source::Bot, payload: None }]
        };
        match outcome {
            SendOutcome::Done(order) => {
                let mut statements = vec![order.statement()];
                statements.extend(accepted(intent, &order.entity));
                statements
            }
            SendOutcome::Rejected(_) => resolved(IntentOutcome::Rejected),
            SendOutcome::Unknown(_) => resolved(IntentOutcome::Unknown),
        }
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

    /// Why an order was sent to close its position, when the bot decides or learns it after sending.
    ///
    /// # Errors
    /// [`ReconcileError::Store`].
    pub async fn close_reason(&self, order: &Order, reason: ExitReason) -> Result<Outcome, ReconcileError> {
        let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
        labelled.exit_reason = Some(reason);
        self.own(AnyFact::Order(labelled)).await
    }

    /// A trade is closed: why and by which strategy is noted on the order that closed it, in one transaction with the position,
    /// the profit and the round trip that follow from it. Where no such order is on record, the word is kept as the decision to
    /// close, and a sync finds the order; where nothing tells which direction was closed, nothing is recorded. Answers the
    /// round trip as far as the book has its fills.
    ///
    /// # Errors
    /// [`ReconcileError::Store`].
    pub async fn trade_closed(&self, trade: &ClosedTrade) -> Result<TradeEnd, ReconcileError> {
        let closing = Closing { store: self.book.as_ref(), account: &self.account };
        let statements = match Box::pin(closing.word(trade, self.clock.now(), None)).await {
            Ok(word) => word.statements,
            Err(Unclear::Direction { .. } | Unclear::SignalId(_)) => Vec::new(),
            Err(Unclear::Failed(error)) => return Err(error),
        };
        if !statements.is_empty() {
            let report = self.record(stated(statements, None)).await?;
            if let Some(row) = report.unreadable.into_iter().next() {
                return Err(StoreError::CorruptRow { row }).doing("recording");
            }
        }
        Box::pin(closing.end(trade, None)).await
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
        if let Some(row) = report.unreadable.into_iter().next() {
            return Err(StoreError::CorruptRow { row }).doing("recording");
        }
        Ok(report.outcomes.into_iter().next().unwrap_or(Outcome::AlreadyRecorded))
    }
}
