//! The bot's word that a trade is closed: why, on the order that closed it, and what the book makes of the round trip.

use std::sync::Arc;

use ledger_core::{
    AnyFact, Direction, EventTime, ExitReason, FillKey, IntentOutcome, IntentRole, Label, Order, OrderClass, OrderKey,
    RoundTrip, Side, SignalKind, TimestampMs,
};
use ledger_store::{IntentFilter, OrderFilter, PageRequest, Scope, SignalFilter, TripFilter};
use serde_json::Value;

use super::answer::{Effect, Trouble, trip_json};
use super::event::{ClosedEvent, SignalEvent};
use super::event_recorder::EventRecorder;
use super::refusal::Refusal;
use crate::error::{Doing, ReconcileError};

/// How many of the latest orders, signals and trips of a contract are looked at.
const LOOKED_AT: u32 = 50;
/// A signal to close that is no older than this is the one that this close follows.
const SIGNAL_AGE_MAX_MS: i64 = 10 * 60_000;

/// What the book has of the position that the bot says is closed.
struct Held {
    /// The latest round trip that ended; absent where one is open, or later entries show that it is another one.
    closed: Option<RoundTrip>,
    open: Option<RoundTrip>,
}

impl EventRecorder {
    pub(super) async fn closed(&self, event: ClosedEvent, line: &Arc<str>) -> Result<Effect, Trouble> {
        let held = self.held(&event).await?;
        let direction = held.open.as_ref().or(held.closed.as_ref()).map(|trip| trip.direction);
        let is_long = event.is_long.or(direction.map(|direction| direction == Direction::Long));
        let closing_side = is_long.map(|is_long| if is_long { Side::Sell } else { Side::Buy });
        let order = self.closing_order(&event, &held, closing_side).await?;
        let effect = match order {
            Some(order) if event.reason.is_some() || event.engine.is_some() => {
                let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
                labelled.exit_reason = event.reason;
                // A close that another strategy decided belongs to the trip all the same.
                labelled.engine = event.engine.clone().filter(|_| order.engine.is_none());
                let effect = self.own(vec![AnyFact::Order(labelled)], line).await?;
                effect.with("order_id", order.key.order_id.as_str())
            }
            Some(order) => Effect::answered().with("order_id", order.key.order_id.as_str()),
            None => self.close_signal(&event, closing_side, line).await?,
        };
        let held = self.held(&event).await?;
        if let Some(trip) = held.closed {
            return Ok(effect.with("trip", trip_json(&trip)));
        }
        let missing = if held.open.is_some() {
            "fills: the position is still open in the book"
        } else {
            "fills: the book has none of this position"
        };
        Ok(effect.with("trip", Value::Null).with("missing", missing))
    }

    async fn held(&self, event: &ClosedEvent) -> Result<Held, ReconcileError> {
        let is_of_side =
            |trip: &RoundTrip| event.is_long.is_none_or(|long| (trip.direction == Direction::Long) == long);
        let open = self.store.open_trips(&self.account).await.doing("reading the round trips")?;
        let open = open.into_iter().find(|trip| trip.symbol == event.symbol && is_of_side(trip));
        if open.is_some() {
            return Ok(Held { closed: None, open });
        }
        let scope = Scope::symbol(self.account.clone(), event.symbol.clone());
        let filter = TripFilter { scope, engine: None, position_side: None };
        let trips =
            self.store.trips(&filter, &PageRequest::newest(LOOKED_AT)).await.doing("reading the round trips")?;
        let closed = trips.items.into_iter().find(is_of_side);
        let is_superseded = match closed.as_ref().and_then(|trip| trip.closed_at) {
            Some(at) => self.has_entered_since(event, at).await?,
            None => false,
        };
        Ok(Held { closed: closed.filter(|_| !is_superseded), open: None })
    }

    /// Whether an order to enter came after a round trip had ended: then what is closed now is a later one, whose fills
    /// are missing.
    async fn has_entered_since(&self, event: &ClosedEvent, at: TimestampMs) -> Result<bool, ReconcileError> {
        let mut scope = Scope::symbol(self.account.clone(), event.symbol.clone());
        scope.since = Some(at);
        let page = self.store.intents(&IntentFilter::from(scope), &PageRequest::newest(LOOKED_AT)).await;
        for intent in page.doing("reading the intents")?.items.into_iter().map(|intent| intent.fact) {
            let enters = matches!(intent.role, IntentRole::Entry | IntentRole::Dca);
            let is_of_side = event.is_long.is_none_or(|long| (intent.side == Side::Buy) == long);
            if !enters || !is_of_side || intent.outcome == IntentOutcome::Rejected {
                continue;
            }
            // The exchange's time counts: an intent that waited in a spool is written down late.
            let order = self.order_named(&intent.symbol, None, Some(&intent.client_order_id)).await?;
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
        event: &ClosedEvent,
        held: &Held,
        side: Option<Side>,
    ) -> Result<Option<Order>, Trouble> {
        if let Some(order_id) = &event.order_id {
            let known = self.order_named(&event.symbol, Some(order_id), None).await?;
            if let Some(known) = known {
                return Ok(Some(known.order.fact));
            }
            let side = side.ok_or_else(|| {
                let problem = "the book does not know the order, and nothing tells its direction";
                Refusal::field("side", problem, "give the side of the position: long or short")
            })?;
            let (symbol, class) = (event.symbol.clone(), OrderClass::Regular);
            let key = OrderKey { symbol, class, order_id: order_id.clone() };
            return Ok(Some(Order::known_from_fill(key, side, None)));
        }
        let Some(side) = side else { return Ok(None) };
        if let Some(fill_id) = held.closed.as_ref().and_then(|trip| trip.closed_by.clone()) {
            let key = FillKey { symbol: event.symbol.clone(), fill_id, side };
            let fill = self.store.fill(&self.account, &key).await.doing("looking for a fill")?;
            if let Some(order_id) = fill.and_then(|fill| fill.fact.order_id) {
                let known = self.order_named(&event.symbol, Some(&order_id), None).await?;
                return Ok(known.map(|known| known.order.fact));
            }
        }
        let trip = held.open.as_ref().or(held.closed.as_ref());
        let Some(opened) = trip.and_then(|trip| trip.opened_at) else { return Ok(None) };
        let scope = Scope::symbol(self.account.clone(), event.symbol.clone());
        let filter = OrderFilter { class: Some(OrderClass::Regular), ..scope.into() };
        let orders = self.store.orders(&filter, &PageRequest::newest(LOOKED_AT)).await.doing("reading the orders")?;
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
        let intent = self.store.intent(&self.account, id).await.doing("looking for an intent")?;
        Ok(intent.is_some_and(|intent| {
            matches!(intent.fact.role, IntentRole::Exit | IntentRole::TakeProfit | IntentRole::StopLoss)
        }))
    }

    /// Where no order is known that closed the position, the bot's word is kept as the decision to close it. A sync finds
    /// the order to it.
    async fn close_signal(&self, event: &ClosedEvent, side: Option<Side>, line: &Arc<str>) -> Result<Effect, Trouble> {
        let side = side.ok_or_else(|| {
            let problem = "the book has nothing of this position, and nothing tells its direction";
            Refusal::field("side", problem, "give the side of the position: long or short")
        })?;
        let time = event.time.unwrap_or_else(|| EventTime::ms(self.now()));
        let by_hand = event.reason == Some(ExitReason::ManualClose);
        let kind = if by_hand { SignalKind::ManualClose } else { SignalKind::AutoExit };
        let filter = SignalFilter::from(Scope::symbol(self.account.clone(), event.symbol.clone()));
        let known = self.store.signals(&filter, &PageRequest::newest(LOOKED_AT)).await.doing("reading the signals")?;
        let decided = known.items.into_iter().map(|signal| signal.fact).find(|signal| {
            let age_ms = time.at.as_ms().saturating_sub(signal.time.at.as_ms());
            signal.kind != SignalKind::Entry
                && signal.side == side
                && signal.skip_reason().is_none()
                && (0..=SIGNAL_AGE_MAX_MS).contains(&age_ms)
        });
        if let Some(decided) = decided {
            return Ok(Effect::already().with("signal_id", decided.signal_id.as_str()));
        }
        let reason = event.reason.map(|reason| Label::new(reason.as_str())).transpose();
        let reason = reason.map_err(|error| Refusal::field("reason", error.to_string(), "leave it out"))?;
        let signal = self.signal_of(SignalEvent {
            symbol: event.symbol.clone(),
            side,
            kind,
            engine: event.engine.clone(),
            reason,
            time: Some(time),
            signal_id: None,
            meta: None,
            skipped: None,
        })?;
        let id = signal.signal_id.clone();
        Ok(self.own(vec![AnyFact::Signal(signal)], line).await?.with("signal_id", id.as_str()))
    }
}
