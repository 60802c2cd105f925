//! Which trade the bot's word is about, by its time, and which order ended it.
//!
//! Wrong is worse than unknown: a word that fits two trades belongs to neither until more is on record.
//!
//! Invariants, with their tests in `tests/meant.rs`:
//! 1. `an_exit_that_was_sent_after_the_word_is_not_the_one_that_it_is_about`: what closed before it is missing.
//! 2. `a_position_that_was_added_to_after_the_word_is_another_trade`.
//! 3. `a_word_right_after_a_quick_re_entry_is_about_the_trade_before_it`, unless that has its word.
//! 4. `a_trade_that_has_its_word_takes_no_other_one`.

use ledger_core::{
    AnyFact, Direction, EventTime, ExitReason, FactKind, FillKey, Order, OrderClass, OrderId, OrderKey, RoundTrip,
    Side, Source, Symbol, TimestampMs,
};
use ledger_store::{FillFilter, OrderFilter, PageRequest, Scope, TripFilter, fact_key};

use super::closing::{CLOCK_SLACK_MS, ClosedTrade, Closing, Held, LOOKED_AT, NEAR_MS, may_be_of};
use super::event_recorder::order_named;
use super::fields::Fields;
use super::words::{closing_side, is_word_id};
use crate::error::{Doing, ReconcileError};

/// How long before it sends the exit a bot may say that the trade is closed. Also how long after a trade's end another word
/// on it is the same once more, and how long ago one ended that a quick re-entry followed.
pub(super) const AHEAD_MS: i64 = 10_000;
/// A position that is younger than this at the bot's word may have been opened before the bot said that the last one is closed.
const QUICK_MS: i64 = 2_000;

/// Two trades ended at about the time of the word.
const EITHER: &str = "which of two trades is meant: give order_id";
/// What is on record ended after the word, by an order that was sent later, or after the position was added to.
const LATER: &str = "fills: what the book has of this position ended later";
/// The last trade ended well before the word, and has another one.
const TAKEN: &str = "fills: the last trade that the book has ended before, and why is said";

/// Something was taken out of the position at the time of the word, and how it was opened is missing.
const GONE: &str = "fills: of the position that was closed at this time the book has no beginning";

/// What the bot said of a trade on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    /// This very word, by its time.
    This,
    Other,
}

impl Closing<'_> {
    /// The round trip of a contract that was open at `said_at`, or ended shortly before or after. `time` is the word's own.
    pub(super) async fn held_at(
        &self,
        symbol: &Symbol,
        direction: Option<Direction>,
        said_at: TimestampMs,
        time: EventTime,
    ) -> Result<Held, ReconcileError> {
        let (mut trips, at) = self.trips_around(symbol, direction, said_at).await?;
        let Some(at) = at else { return Ok(Held::default()) };
        if let Some(ended) = trips[at].closed_at.filter(|ended| *ended <= said_at) {
            let is_late = ended.saturating_add_ms(AHEAD_MS) < said_at;
            if is_late && self.said_of_trip(&trips[at], time).await? == Said::Other {
                return Ok(Held::unclear(TAKEN));
            }
            if is_late && self.has_left(symbol, trips[at].direction, ended, said_at).await? {
                return Ok(Held::unclear(GONE));
            }
            let is_superseded = self.has_entered_since(symbol, direction, ended, Some(said_at)).await?;
            let closed = Some(trips.swap_remove(at)).filter(|_| !is_superseded);
            return Ok(Held { closed, ..Held::default() });
        }
        let trip = &trips[at];
        let closer = self.closer(trip).await?;
        let closes_now = match (trip.closed_at, &closer) {
            (Some(ended), _) if ended <= said_at.saturating_add_ms(AHEAD_MS) => true,
            (Some(_), Some(order)) => self.was_sent_by(order, said_at.saturating_add_ms(AHEAD_MS)).await?,
            _ => false,
        };
        let is_young = trip.opened_at.is_some_and(|opened| opened.saturating_add_ms(QUICK_MS) > said_at);
        let ended_lately = |before: &&RoundTrip| {
            before.direction == trip.direction
                && before.closed_at.is_some_and(|at| at <= said_at && at.saturating_add_ms(AHEAD_MS) >= said_at)
        };
        let before = at.checked_sub(1).and_then(|at| trips.get(at)).filter(ended_lately).filter(|_| is_young);
        if let Some(before) = before {
            let of_before = self.said_of_trip(before, time).await?;
            let of_trip = match &closer {
                Some(order) => self.said_of(order, time).await?,
                None => Said::Nothing,
            };
            match (of_before, of_trip) {
                (Said::Other, Said::Nothing | Said::This) | (_, Said::This) => {}
                (Said::Nothing, Said::Nothing) if closes_now => return Ok(Held::unclear(EITHER)),
                _ => return Ok(Held { closed: Some(before.clone()), ..Held::default() }),
            }
        }
        let Some(ended) = trip.closed_at else {
            return Ok(Held { open: Some(trips.swap_remove(at)), ..Held::default() });
        };
        if !closes_now || self.has_added(symbol, trip.direction, said_at, Some(ended)).await? {
            return Ok(Held::unclear(LATER));
        }
        Ok(Held { closed: Some(trips.swap_remove(at)), ..Held::default() })
    }

    /// The round trip near `said_at` that the order ended which the bot names.
    pub(super) async fn closed_by(
        &self,
        trade: &ClosedTrade,
        said_at: TimestampMs,
    ) -> Result<Option<RoundTrip>, ReconcileError> {
        let Some(order_id) = &trade.order_id else { return Ok(None) };
        let (trips, _) = self.trips_around(&trade.symbol, trade.direction, said_at).await?;
        for trip in trips.into_iter().rev() {
            if self.closer(&trip).await?.is_some_and(|order| order.key.order_id == *order_id) {
                return Ok(Some(trip));
            }
        }
        Ok(None)
    }

    /// The round trips near `said_at` in the order in which they were opened, and which of them was the latest by then. One that
    /// was opened within the slack behind it is that only where there is no other.
    async fn trips_around(
        &self,
        symbol: &Symbol,
        direction: Option<Direction>,
        said_at: TimestampMs,
    ) -> Result<(Vec<RoundTrip>, Option<usize>), ReconcileError> {
        let open = self.store.open_trips(self.account).await.doing("reading the round trips")?;
        let mut scope = Scope::symbol(self.account.clone(), symbol.clone());
        scope.since = Some(said_at.saturating_add_ms(-NEAR_MS));
        scope.until = Some(said_at.saturating_add_ms(NEAR_MS + 1));
        let filter = TripFilter { scope, engine: None, position_side: None };
        let ended = self.store.trips(&filter, PageRequest::newest(LOOKED_AT)).await.doing("reading the round trips")?;
        let may_be_meant = |trip: &RoundTrip| {
            trip.symbol == *symbol
                && direction.is_none_or(|held| trip.direction == held)
                && trip.opened_at.is_none_or(|at| at <= said_at.saturating_add_ms(CLOCK_SLACK_MS))
        };
        let mut trips: Vec<RoundTrip> = open.into_iter().chain(ended.items).filter(may_be_meant).collect();
        trips.sort_by_key(|trip| (trip.opened_at, trip.closed_at.is_none(), trip.closed_at));
        let is_before = |trip: &RoundTrip| trip.opened_at.is_none_or(|at| at <= said_at);
        let at = trips.iter().rposition(is_before).or(if trips.is_empty() { None } else { Some(0) });
        Ok((trips, at))
    }

    /// The order that ended a round trip: that of the fill that did, or the one of which the book knows that it executed and
    /// lacks the fills. `None` while it is open, and where only a statement of the exchange ended it.
    pub(super) async fn closer(&self, trip: &RoundTrip) -> Result<Option<Order>, ReconcileError> {
        let (symbol, side) = (&trip.symbol, closing_side(trip.direction));
        if let Some(fill_id) = trip.closed_by.clone() {
            let key = FillKey { symbol: symbol.clone(), fill_id, side };
            let fill = self.store.fill(self.account, &key).await.doing("looking for a fill")?;
            return match fill.and_then(|fill| fill.fact.order_id) {
                Some(order_id) => Ok(Some(self.order_of(symbol, &order_id, side).await?)),
                None => Ok(None),
            };
        }
        let Some(ended) = trip.closed_at else { return Ok(None) };
        let scope = Scope::symbol(self.account.clone(), symbol.clone());
        let filter = OrderFilter { residual_only: true, class: Some(OrderClass::Regular), ..scope.into() };
        let orders = self.store.orders(&filter, PageRequest::newest(LOOKED_AT)).await.doing("reading the orders")?;
        // Its missing fills count as of this moment.
        let ends = |order: &Order| {
            order.side == side
                && may_be_of(order.position_side, trip.direction)
                && order.updated.or(order.created).is_some_and(|time| time.at == ended)
        };
        let mut ending = orders.items.into_iter().map(|known| known.order.fact).filter(ends);
        let first = ending.next();
        Ok(first.filter(|_| ending.next().is_none()))
    }

    /// The order of a fill. Where only its fills tell of it, it is what they tell.
    async fn order_of(&self, symbol: &Symbol, order_id: &OrderId, side: Side) -> Result<Order, ReconcileError> {
        let known = order_named(self.store, self.account, symbol, Some(order_id), None).await?;
        let key = OrderKey { symbol: symbol.clone(), class: OrderClass::Regular, order_id: order_id.clone() };
        Ok(known.map_or_else(|| Order::known_from_fill(key, side, None), |known| known.order.fact))
    }

    /// Whether an order was sent by then, as far as anything tells.
    pub(super) async fn was_sent_by(&self, order: &Order, then: TimestampMs) -> Result<bool, ReconcileError> {
        if order.known_since().is_some_and(|since| since.at <= then) {
            return Ok(true);
        }
        let Some(id) = &order.client_order_id else { return Ok(false) };
        let intent = self.store.intent(self.account, id).await.doing("looking for an intent")?;
        Ok(intent.is_some_and(|intent| intent.fact.created_local <= then))
    }

    /// Whether a position was added to after `since`, and before `until` where that is given.
    pub(super) async fn has_added(
        &self,
        symbol: &Symbol,
        direction: Direction,
        since: TimestampMs,
        until: Option<TimestampMs>,
    ) -> Result<bool, ReconcileError> {
        let mut scope = Scope::symbol(self.account.clone(), symbol.clone());
        (scope.since, scope.until) = (Some(since.saturating_add_ms(1)), until);
        self.has_traded(scope, direction, |side| side != closing_side(direction)).await
    }

    /// Whether anything was taken out of a position that had ended, right before or after `said_at`.
    async fn has_left(
        &self,
        symbol: &Symbol,
        direction: Direction,
        ended: TimestampMs,
        said_at: TimestampMs,
    ) -> Result<bool, ReconcileError> {
        let mut scope = Scope::symbol(self.account.clone(), symbol.clone());
        scope.since = Some(said_at.saturating_add_ms(-AHEAD_MS).max(ended.saturating_add_ms(1)));
        scope.until = Some(said_at.saturating_add_ms(AHEAD_MS));
        self.has_traded(scope, direction, |side| side == closing_side(direction)).await
    }

    async fn has_traded(
        &self,
        scope: Scope,
        direction: Direction,
        side: impl Fn(Side) -> bool,
    ) -> Result<bool, ReconcileError> {
        let fills = self.store.fills(&FillFilter::from(scope), PageRequest::first(LOOKED_AT)).await;
        let fills = fills.doing("reading the fills")?.items;
        Ok(fills.iter().any(|fill| side(fill.fact.key.side) && may_be_of(fill.fact.position_side, direction)))
    }

    async fn said_of_trip(&self, trip: &RoundTrip, time: EventTime) -> Result<Said, ReconcileError> {
        match self.closer(trip).await? {
            Some(order) => self.said_of(&order, time).await,
            None => Ok(Said::Nothing),
        }
    }

    /// What the bot said of the trade that this order closed.
    pub(super) async fn said_of(&self, order: &Order, time: EventTime) -> Result<Said, ReconcileError> {
        if let Some(id) = order.signal_id.as_ref().filter(|id| is_word_id(id)) {
            let word = self.store.signal(self.account, id).await.doing("looking for a signal")?;
            return Ok(if word.is_some_and(|word| word.fact.time == time) { Said::This } else { Said::Other });
        }
        if order.exit_reason.is_none_or(|reason| reason == ExitReason::Unknown) {
            return Ok(Said::Nothing);
        }
        let key = fact_key(&AnyFact::Order(order.clone()));
        let sources = self.store.fact_sources(self.account, FactKind::Order, &key).await;
        let mut said = Said::Nothing;
        for source in sources.doing("reading who said it")?.iter().filter(|source| source.source == Source::Bot) {
            let Ok(fields) = Fields::parse(&source.payload) else { continue };
            if fields.text("event").ok().flatten().as_deref() == Some("closed") {
                match fields.time("time") {
                    Ok(Some(at)) if at != time => said = Said::Other,
                    // One without a time was said when it was written down: nothing tells it from this one.
                    _ => return Ok(Said::This),
                }
            }
        }
        Ok(said)
    }
}
