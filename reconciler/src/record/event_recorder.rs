//! The protocol of `fillbook record`: events as lines of JSON, each recorded before it is answered.
//!
//! Invariants, with their tests in `tests/events.rs`:
//! 1. `a_line_again_changes_nothing`: whoever did not get the answer gives the line again.
//! 2. `an_undecided_order_blocks_the_next_try_of_an_entry`, and of no exit.
//! 3. `a_bad_line_is_refused_with_its_field`, and nothing of it is on record.
//! 4. `lines_that_share_a_transaction_are_what_they_are_alone`: a bad one costs itself, and what cannot be committed together
//!    is committed one by one.
//! 5. `an_answer_counts_at_once_and_never_twice`: what an order's answer says about execution, beside its trades.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use exchange_client::Clock;
use exchange_client::files::{BookVenue, CcxtReader};
use ledger_core::{
    AccountId, AnyFact, ClientOrderId, EngineLabel, EventTime, FreshnessLimits, Label, Order, OrderClass, OrderId,
    OrderKey, Side, Signal, SignalId, SignalKind, Source, Statement, Symbol, TimestampMs,
};
use ledger_store::{Book, BookOrder, CommitReport, OrderFilter, PageRequest, Scope, Store, StoreError, Transaction};
use serde_json::Value;
use tokio::time::Instant;

use super::answer::{Answer, Effect, LineOutcome, Trouble};
use super::breaks::Breaks;
use super::client_id::ClientIdScheme;
use super::event::{Event, LabelEvent, SignalEvent};
use super::fields::Fields;
use super::gate::{GateTerms, gate};
use super::order_id::digest;
use super::refusal::Refusal;
use crate::error::{Doing, ReconcileError};

/// Letters of a signal's id that the bot did not give.
const SIGNAL_DIGEST_LEN: usize = 24;

/// The most lines of one transaction, so that the first of them does not wait for too many others.
const LINES_MAX: usize = 256;
/// How long a transaction goes on taking lines: others that write wait for it, and so does the answer to its first line.
const TRANSACTION_MAX: Duration = Duration::from_millis(100);

/// The transaction of some lines.
enum Open {
    /// No line has needed one yet.
    Not,
    Begun(Box<dyn Transaction>),
    /// There can be none; what each line is answered.
    Failed(Effect),
}

/// Records a bot's events line by line. Lines that wait together share a transaction, and its one flush to disk.
#[derive(Clone)]
pub struct EventRecorder {
    /// The book outside of any transaction.
    home: Book,
    /// The book in the transaction of the lines that are being recorded.
    pub(super) store: Book,
    pub(super) account: AccountId,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) reader: CcxtReader,
    pub(super) schemes: Vec<ClientIdScheme>,
    pub(super) skew_ms: Option<i64>,
    spool: Option<PathBuf>,
    freshness: FreshnessLimits,
    breaks: Breaks,
}

impl std::fmt::Debug for EventRecorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventRecorder").field("account", &self.account).finish_non_exhaustive()
    }
}

impl EventRecorder {
    /// A recorder for `account`.
    ///
    /// # Errors
    /// [`ReconcileError::UnknownAccount`] where the book has none of this name; [`ReconcileError::Store`].
    pub async fn open(store: Book, account: AccountId, clock: Arc<dyn Clock>) -> Result<Self, ReconcileError> {
        let known = store.account(&account).await.doing("looking for the account")?;
        let Some(known) = known else { return Err(ReconcileError::UnknownAccount { account }) };
        let reader = CcxtReader::new(BookVenue::named(&known.venue));
        let freshness = FreshnessLimits::default();
        let (home, schemes) = (Arc::clone(&store), Vec::new());
        let breaks = Breaks::default();
        Ok(Self { home, store, account, clock, reader, schemes, skew_ms: None, spool: None, freshness, breaks })
    }

    /// The same, which words client order ids by the first of the bot's schemes that tells strategy and role.
    #[must_use]
    pub fn wording_ids(mut self, schemes: Vec<ClientIdScheme>) -> Self {
        self.schemes = schemes;
        self
    }

    /// The same, with the bot's clock minus the exchange's in milliseconds.
    #[must_use]
    pub fn with_clock_skew(mut self, skew_ms: i64) -> Self {
        self.skew_ms = Some(skew_ms);
        self
    }

    /// The same, with the file in which lines wait that could not be recorded.
    #[must_use]
    pub fn with_spool(mut self, spool: PathBuf) -> Self {
        self.spool = Some(spool);
        self
    }

    /// The same, with how recently the exchange has to have been looked at for an entry.
    #[must_use]
    pub fn with_freshness(mut self, limits: FreshnessLimits) -> Self {
        self.freshness = limits;
        self
    }

    /// Records a line and answers it; `None` for an empty one. `number` counts lines from 1.
    pub async fn line(&mut self, number: u64, text: &str) -> Option<Answer> {
        let mut waiting = VecDeque::from([(number, text.to_owned())]);
        self.lines(&mut waiting).await.pop()
    }

    /// Records the first of the lines that wait, as many as one transaction takes, and answers them in their order. They are
    /// taken from the queue; an empty line has no answer. Each comes with its number, from 1.
    pub async fn lines(&mut self, waiting: &mut VecDeque<(u64, String)>) -> Vec<Answer> {
        let pause = self.breaks.before_batch(Instant::now());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let answers = self.batch(waiting).await;
        self.breaks.after_batch(Instant::now());
        answers
    }

    async fn batch(&mut self, waiting: &mut VecDeque<(u64, String)>) -> Vec<Answer> {
        let mut taken = Vec::new();
        if let Some(answers) = self.transact(waiting, &mut taken, LINES_MAX).await {
            return answers;
        }
        // The transaction is lost, through one line or the machine: each gets one of its own.
        let mut answers = Vec::new();
        for line in taken {
            let mut alone = VecDeque::from([line]);
            answers.extend(self.transact(&mut alone, &mut Vec::new(), 0).await.into_iter().flatten());
        }
        answers
    }

    /// Takes up to `lines_max` lines from the queue, and one at least, and records them in one transaction. `None` where that
    /// cannot be committed and was of more than one line; `taken` is told which.
    async fn transact(
        &mut self,
        waiting: &mut VecDeque<(u64, String)>,
        taken: &mut Vec<(u64, String)>,
        lines_max: usize,
    ) -> Option<Vec<Answer>> {
        let home = Arc::clone(&self.home);
        self.store = Arc::clone(&home);
        let mut open: Open = Open::Not;
        let mut begun = Instant::now();
        let mut answers = Vec::new();
        while let Some((number, text)) = waiting.pop_front() {
            if !text.trim().is_empty() {
                let mut reference = Value::Null;
                let is_first = matches!(open, Open::Not);
                let effect = match self.effect(&text, &mut reference, &home, &mut open).await {
                    Ok(effect) => effect,
                    Err(trouble) => trouble.effect(),
                };
                if is_first {
                    begun = Instant::now();
                }
                answers.push(Answer { line: number, reference, outcome: effect.outcome, details: effect.details });
            }
            taken.push((number, text));
            if taken.len() >= lines_max || begun.elapsed() >= TRANSACTION_MAX {
                break;
            }
        }
        self.store = home;
        let Open::Begun(transaction) = open else { return Some(answers) };
        match transaction.commit().await {
            Ok(()) => Some(answers),
            Err(_) if taken.len() > 1 => None,
            Err(error) => {
                let failed = Trouble::from(ReconcileError::Store { doing: "recording", source: error }).effect();
                for answer in answers.iter_mut().filter(|answer| answer.outcome != LineOutcome::Refused) {
                    // What had failed before says why the transaction was lost.
                    if answer.outcome != LineOutcome::Failed {
                        (answer.outcome, answer.details) = (failed.outcome, failed.details.clone());
                    }
                }
                Some(answers)
            }
        }
    }

    async fn effect(
        &mut self,
        text: &str,
        reference: &mut Value,
        home: &Book,
        open: &mut Open,
    ) -> Result<Effect, Trouble> {
        let fields = Fields::parse(text.trim())?;
        *reference = fields.reference()?;
        let reader = self.reader.clone();
        let event = Event::parse(&fields, &reader)?;
        let line: Arc<str> = Arc::from(text.trim());
        if let Event::Gate { symbol, position_side } = &event {
            // A question needs no lock; it is answered from the transaction that is open.
            let terms = GateTerms { spool: self.spool.as_deref(), freshness: self.freshness, now: self.clock.now() };
            let gate = gate(self.store.as_ref(), &self.account, symbol, *position_side, terms).await;
            return Ok(Effect { outcome: LineOutcome::Answered, details: gate.to_json() });
        }
        if let Open::Not = open {
            *open = match home.begin().await {
                Ok(transaction) => {
                    self.store = transaction.book();
                    Open::Begun(transaction)
                }
                Err(error) => {
                    let trouble = Trouble::from(ReconcileError::Store { doing: "recording", source: error });
                    Open::Failed(trouble.effect())
                }
            };
        }
        let transaction = match open {
            Open::Begun(transaction) => transaction,
            // The others of its moment do not wait for it each.
            Open::Failed(effect) => return Ok(effect.clone()),
            Open::Not => return Ok(Effect::answered()),
        };
        transaction.begin_part().await.doing("recording")?;
        let recorded = self.record(event, &line).await;
        let ended = transaction.end_part(recorded.is_ok()).await.doing("recording");
        let effect = recorded?;
        ended?;
        Ok(effect)
    }

    async fn record(&mut self, event: Event<'_>, line: &Arc<str>) -> Result<Effect, Trouble> {
        match event {
            Event::Signal(signal) => self.signal(signal, line).await,
            Event::Skip { signal_id, why } => self.skip(&signal_id, why, line).await,
            Event::Intent(intent) => self.intent(intent, line).await,
            Event::Sent(sent) => self.sent(sent, line).await,
            Event::Order { order, client_order_id } => {
                let object = self.read_order(order)?;
                self.order(object, client_order_id, Vec::new()).await
            }
            Event::Trade { trade } => {
                let object = self.reader.trade(trade).map_err(|error| Refusal::object("trade", &error))?;
                self.object(object, Vec::new()).await
            }
            Event::Cancel { order, reason } => self.cancel(order, reason, line).await,
            Event::Closed(closed) => self.closed(closed, line).await,
            Event::Entry { entry } => self.entry_event(entry, line).await,
            Event::Label(label) => self.label(label, line).await,
            Event::Gate { .. } => Ok(Effect::answered()),
        }
    }

    /// Commits statements. A row of the book that cannot be read takes nothing in.
    pub(super) async fn commit(&self, statements: Vec<Statement>) -> Result<CommitReport, ReconcileError> {
        let batch = ledger_store::Batch::new(self.account.clone(), self.clock.now(), statements);
        let report = self.store.commit(batch).await.doing("recording")?;
        match report.unreadable.first() {
            Some(row) => Err(StoreError::CorruptRow { row: row.clone() }).doing("recording"),
            None => Ok(report),
        }
    }

    pub(super) async fn own(&self, facts: Vec<AnyFact>, line: &Arc<str>) -> Result<Effect, Trouble> {
        let state = |fact| Statement { fact, source: Source::Bot, payload: Some(Arc::clone(line)) };
        Ok(Effect::of(&self.commit(facts.into_iter().map(state).collect()).await?))
    }

    pub(super) fn now(&self) -> TimestampMs {
        self.clock.now()
    }

    /// The exchange's time, as well as the local clock tells it.
    pub(super) fn exchange_now(&self) -> TimestampMs {
        self.now().saturating_add_ms(-self.skew_ms.unwrap_or(0))
    }

    pub(super) fn signal_of(&self, event: SignalEvent) -> Result<Signal, Refusal> {
        let time = event.time.unwrap_or_else(|| EventTime::ms(self.now()));
        let id = match event.signal_id {
            Some(id) => id,
            None => signal_id(time, &event.symbol, event.side, event.kind, event.engine.as_ref())?,
        };
        Ok(Signal {
            signal_id: id,
            time,
            skew_ms: self.skew_ms,
            symbol: event.symbol,
            side: event.side,
            kind: event.kind,
            engine: event.engine,
            reason: event.reason,
            skipped: event.skipped,
            meta_json: event.meta,
            restored: false,
        })
    }

    async fn signal(&self, event: SignalEvent, line: &Arc<str>) -> Result<Effect, Trouble> {
        let signal = self.signal_of(event)?;
        let id = signal.signal_id.clone();
        Ok(self.own(vec![AnyFact::Signal(signal)], line).await?.with("signal_id", id.as_str()))
    }

    async fn skip(&self, id: &SignalId, why: Label, line: &Arc<str>) -> Result<Effect, Trouble> {
        let known = self.store.signal(&self.account, id).await.doing("looking for a signal")?;
        let known = known.ok_or_else(|| {
            let advice = "give symbol and side as well, then the signal is recorded with it";
            Refusal::field("signal_id", format!("no signal {id} is on record"), advice)
        })?;
        let skipped = Signal { skipped: Some(why), ..known.fact };
        Ok(self.own(vec![AnyFact::Signal(skipped)], line).await?.with("signal_id", id.as_str()))
    }

    async fn label(&self, event: LabelEvent, line: &Arc<str>) -> Result<Effect, Trouble> {
        let order = self.order_named(&event.symbol, event.order_id.as_ref(), event.client_order_id.as_ref()).await?;
        let order = order.map(|order| order.order.fact).ok_or_else(|| {
            let id = event.order_id.as_ref().map(OrderId::as_str);
            let id = id.or(event.client_order_id.as_ref().map(ClientOrderId::as_str)).unwrap_or_default();
            unknown_order(if event.order_id.is_some() { "order_id" } else { "client_order_id" }, id)
        })?;
        let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
        (labelled.engine, labelled.exit_reason) = (event.engine, event.reason);
        self.own(vec![AnyFact::Order(labelled)], line).await
    }

    /// As [`order_named`], of this account.
    pub(super) async fn order_named(
        &self,
        symbol: &Symbol,
        order_id: Option<&OrderId>,
        client_order_id: Option<&ClientOrderId>,
    ) -> Result<Option<BookOrder>, ReconcileError> {
        order_named(self.store.as_ref(), &self.account, symbol, order_id, client_order_id).await
    }
}

/// The book's order of this id; of the two classes, and of those that share a client order id, the regular one.
pub(super) async fn order_named(
    store: &dyn Store,
    account: &AccountId,
    symbol: &Symbol,
    order_id: Option<&OrderId>,
    client_order_id: Option<&ClientOrderId>,
) -> Result<Option<BookOrder>, ReconcileError> {
    if let Some(order_id) = order_id {
        for class in [OrderClass::Regular, OrderClass::Conditional] {
            let key = OrderKey { symbol: symbol.clone(), class, order_id: order_id.clone() };
            let found = store.order(account, &key).await.doing("looking for an order")?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    let Some(id) = client_order_id else { return Ok(None) };
    let scope = Scope::symbol(account.clone(), symbol.clone());
    let filter = OrderFilter { client_order_id: Some(id.clone()), ..scope.into() };
    let page = store.orders(&filter, PageRequest::newest(10)).await.doing("looking for an order")?;
    Ok(page.items.into_iter().min_by_key(|order| order.order.fact.key.class != OrderClass::Regular))
}

/// The id of a signal that has none: a digest of what it says.
pub(super) fn signal_id(
    time: EventTime,
    symbol: &Symbol,
    side: Side,
    kind: SignalKind,
    engine: Option<&EngineLabel>,
) -> Result<SignalId, Refusal> {
    let at = time.at.as_ms().to_string();
    let engine = engine.map_or("", EngineLabel::as_str);
    let text = digest(&[&at, symbol.as_str(), side.as_str(), kind.as_str(), engine], SIGNAL_DIGEST_LEN);
    SignalId::new(format!("sig-{text}"))
        .map_err(|error| Refusal::field("signal_id", error.to_string(), "give signal_id"))
}

pub(super) fn unknown_order(field: &str, id: &str) -> Refusal {
    let problem = format!("the book has no order {} of this contract", super::refusal::shown(id));
    Refusal::field(field, problem, "give the order as the library returned it, with `order`")
}
