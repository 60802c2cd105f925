//! The bot's word that a trade is closed: why, on the order that closed it, and what the book makes of the round trip.

use std::sync::Arc;

use ledger_core::{
    AccountId, AnyFact, Direction, EngineLabel, EventTime, ExitReason, FillKey, IntentOutcome, IntentRole, Label,
    Order, OrderClass, OrderId, OrderKey, RoundTrip, Side, Signal, SignalId, SignalKind, Symbol, TimestampMs,
};
use ledger_store::{IntentFilter, OrderFilter, PageRequest, Scope, SignalFilter, Store, TripFilter};
use serde_json::Value;

use super::answer::{Effect, Trouble, trip_json};
use super::event_recorder::{EventRecorder, order_named, signal_id};
use super::refusal::Refusal;
use crate::error::{Doing, ReconcileError};

/// How many of the latest orders, signals and trips of a contract are looked at.
const LOOKED_AT: u32 = 50;
/// A signal to close that is no older than this is the one that this close follows.
const SIGNAL_AGE_MAX_MS: i64 = 10 * 60_000;

/// A trade that its bot says is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedTrade {
    /// The contract.
    pub symbol: Symbol,
    /// What was held. Without it the book has to tell.
    pub direction: Option<Direction>,
    /// Why it was closed.
    pub reason: Option<ExitReason>,
    /// The strategy that decided.
    pub engine: Option<EngineLabel>,
    /// The regular order that closed it, where the bot knows.
    pub order_id: Option<OrderId>,
    /// When it was closed; the present moment when absent.
    pub time: Option<EventTime>,
}

/// What the book makes of a trade that its bot says is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TradeEnd {
    /// The round trip that ended.
    Trip(Box<RoundTrip>),
    /// The book still has the position open: fills of it are missing.
    StillOpen,
    /// The book has nothing of this position: its fills are missing.
    NotOnRecord,
}

/// What of the bot's word on a closed trade is to be recorded.
pub(super) enum Word {
    /// Its reason and strategy, on the order that closed the position.
    OnOrder { order: Box<Order>, label: Option<Box<Order>> },
    /// No order is known that closed the position, so the word is kept as the decision to close it. A sync finds the order.
    Decision(Box<Signal>),
    /// That decision is on record.
    Decided(SignalId),
}

/// Why the bot's word cannot be recorded.
pub(super) enum Unclear {
    /// Nothing tells which direction was closed.
    Direction {
        knows_order: bool,
    },
    /// No id can be made for the decision.
    SignalId(Refusal),
    Failed(ReconcileError),
}

impl From<ReconcileError> for Unclear {
    fn from(error: ReconcileError) -> Self {
        Self::Failed(error)
    }
}

impl From<Unclear> for Trouble {
    fn from(unclear: Unclear) -> Self {
        let advice = "give the side of the position: long or short";
        match unclear {
            Unclear::Direction { knows_order: true } => {
                let problem = "the book does not know the order, and nothing tells its direction";
                Refusal::field("side", problem, advice).into()
            }
            Unclear::Direction { knows_order: false } => {
                let problem = "the book has nothing of this position, and nothing tells its direction";
                Refusal::field("side", problem, advice).into()
            }
            Unclear::SignalId(refusal) => refusal.into(),
            Unclear::Failed(error) => error.into(),
        }
    }
}

/// What the book has of the position that the bot says is closed.
struct Held {
    /// The latest round trip that ended; absent where one is open, or later entries show that it is another one.
    closed: Option<RoundTrip>,
    open: Option<RoundTrip>,
}

impl EventRecorder {
    pub(super) async fn closed(&self, trade: ClosedTrade, line: &Arc<str>) -> Result<Effect, Trouble> {
        let closing = Closing { store: self.store.as_ref(), account: &self.account };
        let effect = match closing.word(&trade, self.now(), self.skew_ms).await? {
            Word::OnOrder { order, label } => {
                let effect = match label {
                    Some(label) => self.own(vec![AnyFact::Order(*label)], line).await?,
                    None => Effect::answered(),
                };
                effect.with("order_id", order.key.order_id.as_str())
            }
            Word::Decided(id) => Effect::already().with("signal_id", id.as_str()),
            Word::Decision(signal) => {
                let id = signal.signal_id.clone();
                self.own(vec![AnyFact::Signal(*signal)], line).await?.with("signal_id", id.as_str())
            }
        };
        Ok(match closing.end(&trade).await? {
            TradeEnd::Trip(trip) => effect.with("trip", trip_json(&trip)),
            TradeEnd::StillOpen => {
                effect.with("trip", Value::Null).with("missing", "fills: the position is still open in the book")
            }
            TradeEnd::NotOnRecord => {
                effect.with("trip", Value::Null).with("missing", "fills: the book has none of this position")
            }
        })
    }
}

/// A book that is asked about a trade that was closed.
pub(crate) struct Closing<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) account: &'a AccountId,
}

impl Closing<'_> {
    /// What of the bot's word is to be recorded. `now` and `skew_ms` are of the bot's clock.
    pub(super) async fn word(
        &self,
        trade: &ClosedTrade,
        now: TimestampMs,
        skew_ms: Option<i64>,
    ) -> Result<Word, Unclear> {
        let held = self.held(trade).await?;
        let known = held.open.as_ref().or(held.closed.as_ref()).map(|trip| trip.direction);
        let direction = trade.direction.or(known);
        let closing_side = direction.map(|held| if held == Direction::Long { Side::Sell } else { Side::Buy });
        let Some(order) = self.closing_order(trade, &held, closing_side).await? else {
            let side = closing_side.ok_or(Unclear::Direction { knows_order: false })?;
            return self.decision(trade, side, now, skew_ms).await;
        };
        let label = (trade.reason.is_some() || trade.engine.is_some()).then(|| {
            let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
            labelled.exit_reason = trade.reason;
            // A close that another strategy decided belongs to the trip all the same.
            labelled.engine = trade.engine.clone().filter(|_| order.engine.is_none());
            Box::new(labelled)
        });
        Ok(Word::OnOrder { order: Box::new(order), label })
    }

    /// What the book has of the trade now.
    pub(crate) async fn end(&self, trade: &ClosedTrade) -> Result<TradeEnd, ReconcileError> {
        let held = self.held(trade).await?;
        Ok(match (held.closed, held.open) {
            (Some(trip), _) => TradeEnd::Trip(Box::new(trip)),
            (None, Some(_)) => TradeEnd::StillOpen,
            (None, None) => TradeEnd::NotOnRecord,
        })
    }

    async fn held(&self, trade: &ClosedTrade) -> Result<Held, ReconcileError> {
        let is_of_side = |trip: &RoundTrip| trade.direction.is_none_or(|held| trip.direction == held);
        let open = self.store.open_trips(self.account).await.doing("reading the round trips")?;
        let open = open.into_iter().find(|trip| trip.symbol == trade.symbol && is_of_side(trip));
        if open.is_some() {
            return Ok(Held { closed: None, open });
        }
        let scope = Scope::symbol(self.account.clone(), trade.symbol.clone());
        let filter = TripFilter { scope, engine: None, position_side: None };
        let trips = self.store.trips(&filter, PageRequest::newest(LOOKED_AT)).await.doing("reading the round trips")?;
        let closed = trips.items.into_iter().find(is_of_side);
        let is_superseded = match closed.as_ref().and_then(|trip| trip.closed_at) {
            Some(at) => self.has_entered_since(trade, at).await?,
            None => false,
        };
        Ok(Held { closed: closed.filter(|_| !is_superseded), open: None })
    }

    /// Whether an order to enter came after a round trip had ended: then what is closed now is a later one, whose fills
    /// are missing.
    async fn has_entered_since(&self, trade: &ClosedTrade, at: TimestampMs) -> Result<bool, ReconcileError> {
        let mut scope = Scope::symbol(self.account.clone(), trade.symbol.clone());
        scope.since = Some(at);
        let page = self.store.intents(&IntentFilter::from(scope), PageRequest::newest(LOOKED_AT)).await;
        for intent in page.doing("reading the intents")?.items.into_iter().map(|intent| intent.fact) {
            let enters = matches!(intent.role, IntentRole::Entry | IntentRole::Dca);
            let is_of_side = trade.direction.is_none_or(|held| (intent.side == Side::Buy) == (held == Direction::Long));
            if !enters || !is_of_side || intent.outcome == IntentOutcome::Rejected {
                continue;
            }
            // The exchange's time counts: an intent that waited in a spool is written down late.
            let order =
                order_named(self.store, self.account, &intent.symbol, None, Some(&intent.client_order_id)).await?;
            let created = order.and_then(|order| order.order.fact.known_since());
            if created.is_none_or(|created| created.at > at) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The order that closed the position: the one that the bot names, else that of the fill that closed the round trip, else
    /// the latest that was sent to close it.
    async fn closing_order(
        &self,
        trade: &ClosedTrade,
        held: &Held,
        side: Option<Side>,
    ) -> Result<Option<Order>, Unclear> {
        if let Some(order_id) = &trade.order_id {
            let known = order_named(self.store, self.account, &trade.symbol, Some(order_id), None).await?;
            if let Some(known) = known {
                return Ok(Some(known.order.fact));
            }
            let side = side.ok_or(Unclear::Direction { knows_order: true })?;
            let (symbol, class) = (trade.symbol.clone(), OrderClass::Regular);
            let key = OrderKey { symbol, class, order_id: order_id.clone() };
            return Ok(Some(Order::known_from_fill(key, side, None)));
        }
        let Some(side) = side else { return Ok(None) };
        if let Some(fill_id) = held.closed.as_ref().and_then(|trip| trip.closed_by.clone()) {
            let key = FillKey { symbol: trade.symbol.clone(), fill_id, side };
            let fill = self.store.fill(self.account, &key).await.doing("looking for a fill")?;
            if let Some(order_id) = fill.and_then(|fill| fill.fact.order_id) {
                let known = order_named(self.store, self.account, &trade.symbol, Some(&order_id), None).await?;
                return Ok(known.map(|known| known.order.fact));
            }
        }
        let trip = held.open.as_ref().or(held.closed.as_ref());
        let Some(opened) = trip.and_then(|trip| trip.opened_at) else { return Ok(None) };
        let scope = Scope::symbol(self.account.clone(), trade.symbol.clone());
        let filter = OrderFilter { class: Some(OrderClass::Regular), ..scope.into() };
        let orders = self.store.orders(&filter, PageRequest::newest(LOOKED_AT)).await.doing("reading the orders")?;
        for order in orders.items.into_iter().map(|order| order.order.fact) {
            let is_later = order.created.or(order.updated).is_none_or(|time| time.latest() >= opened);
            let has_executed = order.executed.as_ref().is_some_and(|executed| executed.qty.is_positive());
            if order.side == side
                && is_later
                && (has_executed || !order.status.is_terminal())
                && self.closes(&order).await?
            {
                return Ok(Some(order));
            }
        }
        Ok(None)
    }

    /// Whether an order was sent to close something.
    async fn closes(&self, order: &Order) -> Result<bool, ReconcileError> {
        let Some(id) = order.client_order_id.as_ref().filter(|_| !order.can_only_close()) else { return Ok(true) };
        let intent = self.store.intent(self.account, id).await.doing("looking for an intent")?;
        Ok(intent.is_some_and(|intent| {
            matches!(intent.fact.role, IntentRole::Exit | IntentRole::TakeProfit | IntentRole::StopLoss)
        }))
    }

    /// The decision to close, as the bot's word on a close whose order nobody knows.
    async fn decision(
        &self,
        trade: &ClosedTrade,
        side: Side,
        now: TimestampMs,
        skew_ms: Option<i64>,
    ) -> Result<Word, Unclear> {
        let time = trade.time.unwrap_or_else(|| EventTime::ms(now));
        let by_hand = trade.reason == Some(ExitReason::ManualClose);
        let kind = if by_hand { SignalKind::ManualClose } else { SignalKind::AutoExit };
        let filter = SignalFilter::from(Scope::symbol(self.account.clone(), trade.symbol.clone()));
        let known = self.store.signals(&filter, PageRequest::newest(LOOKED_AT)).await.doing("reading the signals")?;
        let decided = known.items.into_iter().map(|signal| signal.fact).find(|signal| {
            let age_ms = time.at.as_ms().saturating_sub(signal.time.at.as_ms());
            signal.kind != SignalKind::Entry
                && signal.side == side
                && signal.skip_reason().is_none()
                && (0..=SIGNAL_AGE_MAX_MS).contains(&age_ms)
        });
        if let Some(decided) = decided {
            return Ok(Word::Decided(decided.signal_id));
        }
        let reason = trade.reason.and_then(|reason| Label::new(reason.as_str()).ok());
        let engine = trade.engine.clone();
        let id = signal_id(time, &trade.symbol, side, kind, engine.as_ref()).map_err(Unclear::SignalId)?;
        Ok(Word::Decision(Box::new(Signal {
            signal_id: id,
            time,
            skew_ms,
            symbol: trade.symbol.clone(),
            side,
            kind,
            engine,
            reason,
            skipped: None,
            meta_json: None,
            restored: false,
        })))
    }
}
