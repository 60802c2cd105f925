//! Stops that rest at the exchange, where they work whatever becomes of the bot, its book and this machine.
//!
//! A protection names what is to rest and not an order: a stop at this price, for the whole position or for a part. What rests
//! like that already is left as it is. When it moves, the new one is placed first, so that no moment has none; where the exchange
//! takes no second one that closes the whole position, one of the position's quantity bridges. An attempt too many harms nobody,
//! for all of them can only close; the book holds up nothing.

use exchange_client::{ExchangeError, NewOrder, OrderKind, OrderRefusal, SendOutcome, Stated, Trigger};
use ledger_core::{
    ClientOrderId, Direction, IntentRole, Label, Order, OrderClass, OrderStatus, PositionMode, PositionSide, Price,
    Quantity,
};
use tokio::time::{Instant, sleep, timeout};

use super::Executor;
use super::announcing::{Announcer, SentBeside};
use super::desk::Terms;
use super::outcome::{CancelledOrder, StopEnd, StopReport};
use super::request::{Aim, StopRequest, closing_side, position_side};
use super::rounding::{closing, triggering};
use super::venue::Held;

/// A protection under way.
struct Protection<'a> {
    executor: &'a Executor,
    request: &'a StopRequest,
    direction: Direction,
    announcer: Announcer<'a>,
    replaced: Vec<CancelledOrder>,
}

/// What became of one stop that was sent.
enum Placed {
    Resting(Box<Stated<Order>>),
    Refused(ExchangeError),
    Undecided(ClientOrderId),
    /// No client order id can be made.
    Nameless,
}

impl Executor {
    pub(super) async fn protect(&self, request: &StopRequest, direction: Direction) -> StopReport {
        let mut protection =
            Protection { executor: self, request, direction, announcer: Announcer::new(self), replaced: Vec::new() };
        let end = protection.run().await;
        let Protection { announcer, replaced, .. } = protection;
        StopReport { end, replaced, not_recorded: announcer.not_recorded }
    }
}

impl Protection<'_> {
    async fn run(&mut self) -> StopEnd {
        let held = self.held().await;
        if held.is_some_and(|held| held.qty.is_zero()) {
            return StopEnd::Flat;
        }
        let position = match held {
            Some(held) => held.position_side,
            // Wrong, the order is refused because of its mode, and the next one is of the other.
            None => position_side(self.direction, self.executor.venue.mode_at_hand().unwrap_or(PositionMode::OneWay)),
        };
        let filters = self.executor.venue.filters(&self.request.symbol, self.executor.settings.book_wait).await.ok();
        let tick = filters.as_ref().and_then(|filters| filters.tick_size);
        let price = triggering(self.request.price, closing_side(self.direction), tick);
        let part = self.request.qty.map(|qty| {
            closing(filters.as_ref().map(|filters| &filters.market_qty), qty.get()).map_or(qty, |closing| closing.qty)
        });
        let resting = self.resting(position).await;
        let is_wanted = |order: &Stated<Order>| is_at(order, price) && order.entity.terms.qty == part;
        if let Some(at) = resting.iter().position(is_wanted) {
            return self.stays(resting, at).await;
        }
        match self.place(position, price, part).await {
            Placed::Resting(order) => self.replaces(*order, resting).await,
            Placed::Refused(error) if error.order_refusal() == Some(OrderRefusal::WholePositionTaken) => {
                let bridge = held.and_then(|held| Quantity::new(held.qty).ok());
                self.bridge(position, price, bridge, resting, error).await
            }
            other => not_placed(other, resting),
        }
    }

    /// What is held. An answer that nothing is may be older than the entry, so it takes two, and none where the book has fills.
    async fn held(&mut self) -> Option<Held> {
        let executor = self.executor;
        let (symbol, direction, patience) = (&self.request.symbol, self.direction, executor.settings.verdict_wait);
        let held = executor.venue.held(symbol, direction, patience).await?;
        if !held.qty.is_zero() {
            return Some(held);
        }
        if let Ok(Some(_)) = self.announcer.book(executor.desk.held(symbol, direction == Direction::Long)).await {
            return None;
        }
        sleep(executor.settings.ask_every).await;
        executor.venue.held(symbol, direction, patience).await
    }

    /// Our own stops of the position that wait, as far as the exchange lists them.
    async fn resting(&self, position: PositionSide) -> Vec<Stated<Order>> {
        let executor = self.executor;
        let listed = executor.venue.open_orders(&self.request.symbol, executor.settings.verdict_wait).await;
        let listed = listed.unwrap_or_else(|error| {
            tracing::warn!(%error, symbol = %self.request.symbol, "working orders could not be listed; a stop is placed beside what may rest");
            Vec::new()
        });
        let stop = Label::stop_market();
        let mut resting = Vec::new();
        for order in listed {
            let Order { key, side, order_type, status, .. } = &order.entity;
            let is_stop = key.class == OrderClass::Conditional
                && order_type.as_ref() == Some(&stop)
                && *side == closing_side(self.direction)
                && *status == OrderStatus::New
                && order.entity.position_side.is_none_or(|of| of == position);
            if is_stop && executor.desk.is_own(&order.entity, executor.settings.book_wait).await {
                resting.push(order);
            }
        }
        resting
    }

    /// One rests already as it is wanted. Others of ours are what a move has left behind that was not finished.
    async fn stays(&mut self, mut resting: Vec<Stated<Order>>, at: usize) -> StopEnd {
        let order = resting.swap_remove(at);
        self.replaces(order, resting).await
    }

    /// A stop rests; those before it go.
    async fn replaces(&mut self, order: Stated<Order>, before: Vec<Stated<Order>>) -> StopEnd {
        for before in before.into_iter().filter(|before| before.entity.key != order.entity.key) {
            let cancelled = self.executor.cancel_one(before, None).await;
            self.replaced.push(cancelled);
        }
        StopEnd::Resting { order: Box::new(order.entity) }
    }

    /// The exchange takes no second stop for the whole position: one of the position's quantity rests until the first has
    /// made room.
    async fn bridge(
        &mut self,
        position: PositionSide,
        price: Price,
        qty: Option<Quantity>,
        resting: Vec<Stated<Order>>,
        refusal: ExchangeError,
    ) -> StopEnd {
        let Some(qty) = qty else { return not_placed(Placed::Refused(refusal), resting) };
        let covers = |order: &Order| order.terms.qty.is_some_and(|of| of >= qty);
        let bridge = match resting.iter().find(|order| is_at(order, price) && covers(&order.entity)) {
            Some(bridge) => bridge.clone(),
            None => match self.place(position, price, Some(qty)).await {
                Placed::Resting(bridge) => *bridge,
                other => return not_placed(other, resting),
            },
        };
        let had_whole = resting.iter().any(|order| order.entity.close_position == Some(true));
        self.replaces(bridge.clone(), resting).await;
        // Somebody else's may be in the way: then the bridge is what there is.
        if !had_whole {
            return StopEnd::Resting { order: Box::new(bridge.entity) };
        }
        match self.place(position, price, None).await {
            Placed::Resting(order) => self.replaces(*order, vec![bridge]).await,
            _ => StopEnd::Resting { order: Box::new(bridge.entity) },
        }
    }

    /// Sends one stop: of the other position mode, too, where the exchange says that the account is in that.
    async fn place(&mut self, position: PositionSide, price: Price, qty: Option<Quantity>) -> Placed {
        let placed = self.send(position, price, qty).await;
        let Placed::Refused(error) = &placed else { return placed };
        if error.order_refusal() != Some(OrderRefusal::PositionMode) {
            self.executor.learn_from(error);
            return placed;
        }
        let other = if position == PositionSide::Net { PositionMode::Hedge } else { PositionMode::OneWay };
        self.executor.venue.doubt_mode(Some(other));
        self.send(position_side(self.direction, other), price, qty).await
    }

    async fn send(&mut self, position_side: PositionSide, price: Price, qty: Option<Quantity>) -> Placed {
        let executor = self.executor;
        let reduce_only = qty.is_some() && position_side == PositionSide::Net;
        let terms = Terms { position_side, qty, price: None, trigger: Some(price), reduce_only };
        let aim = Aim {
            symbol: &self.request.symbol,
            cause: &self.request.cause,
            engine: self.request.engine.as_ref(),
            role: IntentRole::StopLoss,
            step: 0,
            side: closing_side(self.direction),
        };
        let Some(intent) = self.announcer.next(&aim, &terms).await else { return Placed::Nameless };
        let kind = OrderKind::StopMarket { trigger: Trigger { price, working_type: self.request.working_type } };
        let Ok(order) = NewOrder::from_intent_as(&intent, kind) else { return Placed::Nameless };
        let deadline = Instant::now() + executor.settings.verdict_wait;
        let SentBeside { told, recording } = executor.send_beside(&intent, order);
        let answer = timeout(executor.settings.verdict_wait, told).await;
        let placed = match answer {
            Ok(Ok(SendOutcome::Done(order))) => Placed::Resting(Box::new(order)),
            Ok(Ok(SendOutcome::Rejected(error))) => Placed::Refused(error),
            _ => match executor.ask_for(&intent, deadline).await {
                Some(order) => {
                    self.announcer.answered(&intent, SendOutcome::Done(order.clone())).await;
                    Placed::Resting(Box::new(order))
                }
                None => Placed::Undecided(intent.client_order_id),
            },
        };
        self.announcer.not_recorded.extend(executor.recorded_beside(recording).await);
        placed
    }
}

/// Whether a stop waits for this price.
fn is_at(order: &Stated<Order>, price: Price) -> bool {
    order.entity.terms.trigger_price == Some(price)
}

/// No stop rests as it was wanted.
fn not_placed(placed: Placed, resting: Vec<Stated<Order>>) -> StopEnd {
    let before = resting.into_iter().next().map(|order| Box::new(order.entity));
    match placed {
        Placed::Resting(order) => StopEnd::Resting { order: Box::new(order.entity) },
        Placed::Refused(error) if error.order_refusal() == Some(OrderRefusal::AtTrigger) => {
            StopEnd::AtTrigger { before }
        }
        Placed::Refused(error) => StopEnd::Refused { error, before },
        Placed::Undecided(client_order_id) => StopEnd::Undecided { client_order_id, before },
        Placed::Nameless => StopEnd::Nameless { before },
    }
}
