//! What fills are told as: per order, what it did to its position; and round trips that ended.
//!
//! Invariants, each with a test of the same name (in `tests/trades.rs`):
//! 1. `an_order_is_told_once_when_it_is_over`, and once before where it works on.
//! 2. `a_round_trip_is_told_once`, by the order that closed it or without one.
//! 3. `what_was_before_is_not_told`.
//! 4. `a_flood_is_told_as_a_number`, and what cannot wait by itself.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{
    Decimal, Direction, ExitReason, Fill, Instrument, OrderId, PositionSide, RoundTrip, Side, Symbol, TimestampMs,
};
use ledger_store::{BookOrder, BookPosition};

use super::event::{Amounts, Event, EventKind};
use super::money::{percent_text, totals, totals_json, trip_percent};
use super::state::TellState;
use crate::wording::{count, lasting};

/// From so many on, events that can wait are told as their number.
const SINGLE_MAX: usize = 20;

/// What the book says of trades, of one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct TradesSeen {
    /// The fills behind the last place.
    pub(crate) fills: Vec<Fill>,
    /// The place behind them.
    pub(crate) until: i64,
    /// The orders that these fills name, and those that worked when they were told.
    pub(crate) orders: BTreeMap<(Symbol, OrderId), BookOrder>,
    /// All fills of those that worked and are over now.
    pub(crate) ended: BTreeMap<(Symbol, OrderId), Vec<Fill>>,
    /// The round trips that are open.
    pub(crate) open: Vec<RoundTrip>,
    /// Round trips that ended: those of these fills, and those that were open before.
    pub(crate) closed: Vec<RoundTrip>,
    /// What is held.
    pub(crate) positions: Vec<BookPosition>,
    /// The contracts of all these.
    pub(crate) contracts: BTreeMap<Symbol, Instrument>,
}

/// What an order did to its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Opened(Direction),
    Added(Direction),
    Reduced(Direction),
    /// It closed the position; its round trip tells it.
    Closed,
    /// Nothing tells.
    Unknown,
}

/// The fills of one order.
struct Group<'a> {
    symbol: &'a Symbol,
    side: Side,
    order_id: Option<&'a OrderId>,
    fills: Vec<&'a Fill>,
}

/// What is to be told of `seen`. The state moves on to it.
pub(crate) fn derive(state: &mut TellState, seen: &TradesSeen) -> Vec<Event> {
    let mut events = Vec::new();
    let since = state.since;
    for group in groups(seen.fills.iter().filter(|fill| fill.time.at >= since)) {
        events.extend(of_group(state, seen, &group));
    }
    events.extend(ended_orders(state, seen));
    for trip in &seen.closed {
        if let Some(closed) = trip.closed_at.filter(|closed| *closed >= since) {
            events.push(of_trip(trip, closed, seen.contracts.get(&trip.symbol)));
        }
    }
    state.open = seen.open.iter().map(|trip| trip.key().to_string()).collect();
    state.fills = seen.until;
    folded(events, seen)
}

fn groups<'a>(fills: impl Iterator<Item = &'a Fill>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for fill in fills {
        let is_same = |group: &&mut Group<'a>| {
            let is_order = group.order_id.is_some() && group.order_id == fill.order_id.as_ref();
            is_order && *group.symbol == fill.key.symbol && group.side == fill.key.side
        };
        match groups.iter_mut().find(is_same) {
            Some(group) => group.fills.push(fill),
            None => groups.push(Group {
                symbol: &fill.key.symbol,
                side: fill.key.side,
                order_id: fill.order_id.as_ref(),
                fills: vec![fill],
            }),
        }
    }
    groups
}

fn of_group(state: &mut TellState, seen: &TradesSeen, group: &Group<'_>) -> Option<Event> {
    let order = group.order_id.and_then(|id| seen.orders.get(&(group.symbol.clone(), id.clone())));
    let works = order.is_some_and(|order| !is_over(order));
    if let (Some(id), true) = (group.order_id, works) {
        let is_news = state.working.insert((group.symbol.to_string(), id.to_string()));
        return is_news.then(|| of_order(seen, group, order, works)).flatten();
    }
    if group.order_id.is_some_and(|id| state.working.contains(&(group.symbol.to_string(), id.to_string()))) {
        // Its end is told below.
        return None;
    }
    of_order(seen, group, order, works)
}

/// The orders that worked when they were told, and are over.
fn ended_orders(state: &mut TellState, seen: &TradesSeen) -> Vec<Event> {
    let mut events = Vec::new();
    state.working.retain(|(symbol, id)| {
        let order = seen.orders.iter().find(|((of, order_id), _)| of.as_str() == symbol && order_id.as_str() == id);
        let Some((key, order)) = order else { return false };
        if is_over(order) {
            let fact = &order.order.fact;
            let fills = seen.ended.get(key).into_iter().flatten().collect();
            let group = Group { symbol: &fact.key.symbol, side: fact.side, order_id: Some(&fact.key.order_id), fills };
            events.extend(of_order(seen, &group, Some(order), false));
        }
        !is_over(order)
    });
    events
}

/// Whether nothing more of it is to come.
pub(crate) fn is_over(order: &BookOrder) -> bool {
    order.order.fact.status.is_terminal() && order.residual_qty.is_none()
}

fn of_order(seen: &TradesSeen, group: &Group<'_>, order: Option<&BookOrder>, works: bool) -> Option<Event> {
    let effect = effect(seen, group);
    let fact = order.map(|order| &order.order.fact);
    let forced = fact.and_then(|fact| fact.origin).filter(|origin| origin.is_forced());
    if effect == Effect::Closed {
        return None;
    }
    let last = group.fills.iter().map(|fill| fill.time.at).max();
    let at = last.or_else(|| Some(fact?.updated.or(fact?.created)?.at))?;
    let key = match (group.order_id, group.fills.first()) {
        (Some(id), _) => format!("order:{}:{id}:{}", group.symbol, if works { "began" } else { "over" }),
        (None, Some(fill)) => format!("fill:{}:{}:{}", group.symbol, group.side, fill.key.fill_id),
        (None, None) => return None,
    };
    let (qty, price) = executed(group, order)?;
    let symbol = group.symbol;
    let (kind, words) = match effect {
        Effect::Opened(direction) => (EventKind::Opened, format!("opened {symbol} {direction}")),
        Effect::Added(direction) => (EventKind::Added, format!("added to {symbol} {direction}")),
        Effect::Reduced(direction) => (EventKind::Reduced, format!("reduced {symbol} {direction}")),
        Effect::Closed | Effect::Unknown => (EventKind::Executed, format!("{} {symbol}", group.side)),
    };
    let mut event = Event::new(kind, key, at).urgent(forced.is_some()).say(words);
    event = event.say_from(Amounts::Full, format!(", {qty}"));
    if let Some(price) = price {
        event = event.say_from(Amounts::Percent, format!(" at {price}"));
        event = event.with_from(Amounts::Percent, "price", price.to_string());
    }
    if let Some(origin) = forced {
        event = event.say(format!(", by the exchange itself ({origin})")).with("forced", origin.as_str());
    }
    if works {
        event = event.say(", and the order works on");
    }
    if let Some(held) = held(seen, group, effect) {
        let entry = held.position.entry_price_avg.map_or_else(String::new, |entry| format!(" at {}", entry.round(8)));
        event = event.say_from(Amounts::Full, format!("; now {}{entry}", held.position.qty.abs()));
        event = event.with_from(Amounts::Full, "position_qty", held.position.qty.to_string());
    }
    if let Some(engine) = fact.and_then(|fact| fact.engine.as_ref()) {
        event = event.say(format!(" ({engine})")).with("engine", engine.as_str());
    }
    event = event.with("symbol", symbol.as_str()).with("side", group.side.as_str()).with("works_on", works);
    if let Some(id) = group.order_id {
        event = event.with("order_id", id.as_str());
    }
    Some(event.with_from(Amounts::Full, "qty", qty.to_string()))
}

/// How much was executed and at which average: of an order all of it, as its fills on record add up to.
fn executed(group: &Group<'_>, order: Option<&BookOrder>) -> Option<(Decimal, Option<Decimal>)> {
    let of_order = order.and_then(|order| Some((order.filled_qty?, order.filled_quote?)));
    let (qty, quote) = of_order.filter(|(qty, _)| qty.is_positive()).or_else(|| {
        group.fills.iter().try_fold((Decimal::ZERO, Decimal::ZERO), |(qty, quote), fill| {
            let amount = fill.qty.get().checked_mul(fill.price.get()).ok()?;
            Some((qty.checked_add(fill.qty.get()).ok()?, quote.checked_add(amount).ok()?))
        })
    })?;
    qty.is_positive().then(|| (qty, quote.div_round(qty, 8).ok()))
}

fn effect(seen: &TradesSeen, group: &Group<'_>) -> Effect {
    let trips = || seen.open.iter().chain(&seen.closed).filter(|trip| trip.symbol == *group.symbol);
    let ids: BTreeSet<_> = group.fills.iter().map(|fill| &fill.key.fill_id).collect();
    let entry_side = |direction| if direction == Direction::Long { Side::Buy } else { Side::Sell };
    let is_entry = |trip: &&RoundTrip| entry_side(trip.direction) == group.side;
    if let Some(trip) = trips().filter(is_entry).find(|trip| trip.opened_by().is_some_and(|id| ids.contains(id))) {
        return Effect::Opened(trip.direction);
    }
    let closes = |trip: &RoundTrip| trip.closed_by.as_ref().is_some_and(|id| ids.contains(id));
    if trips().any(|trip| !is_entry(&trip) && closes(trip)) {
        return Effect::Closed;
    }
    let Some(fill) = group.fills.last() else { return Effect::Unknown };
    let is_of = |trip: &&RoundTrip| {
        let is_side = fill.position_side.is_none_or(|side| side == trip.position_side);
        let began = trip.opened_at.is_none_or(|opened| opened <= fill.time.at);
        is_side && began && trip.closed_at.is_none_or(|closed| fill.time.at <= closed)
    };
    match trips().find(is_of) {
        Some(trip) if is_entry(&trip) => Effect::Added(trip.direction),
        Some(trip) => Effect::Reduced(trip.direction),
        None => Effect::Unknown,
    }
}

/// What is held now of the position that was changed.
fn held<'a>(seen: &'a TradesSeen, group: &Group<'_>, effect: Effect) -> Option<&'a BookPosition> {
    let (Effect::Added(direction) | Effect::Reduced(direction)) = effect else { return None };
    let is_of = |held: &&BookPosition| {
        let qty = held.position.qty;
        let points = if direction == Direction::Long { qty.is_positive() } else { qty.is_negative() };
        held.symbol == *group.symbol && points
    };
    seen.positions.iter().find(is_of)
}

/// A round trip that ended: why, what came of it, how long it was held.
fn of_trip(trip: &RoundTrip, closed: TimestampMs, contract: Option<&Instrument>) -> Event {
    let key = format!("trip:{}:closed", trip.key());
    let is_forced = trip.was_liquidated
        || matches!(
            trip.exit_reason,
            ExitReason::Liquidation | ExitReason::Adl | ExitReason::Forced | ExitReason::Settlement
        );
    let words = format!("closed {} {}", trip.symbol, trip.direction);
    let mut event = Event::new(EventKind::Closed, key, closed).urgent(is_forced).say(words);
    match trip.net() {
        Ok(net) => {
            event = event.say_from(Amounts::Full, format!(", net {}", totals(&net)));
            event = event.with_from(Amounts::Full, "net", totals_json(&net));
        }
        Err(_) => event = event.say_from(Amounts::Full, ", net unknown"),
    }
    if let Some((percent, certainty)) = trip_percent(trip, contract) {
        event = event.say_from(Amounts::Percent, format!(", {}", percent_text(percent, certainty)));
        event = event.with_from(Amounts::Percent, "net_percent", percent.to_string());
    }
    let why = match (trip.exit_reason, trip.was_liquidated) {
        (ExitReason::Unknown, false) => "nothing tells why".to_owned(),
        (ExitReason::Liquidation, _) | (_, false) => trip.exit_reason.to_string(),
        (reason, true) => format!("{reason}, partly liquidated"),
    };
    event = event.say(format!(", {why}")).with("reason", trip.exit_reason.as_str());
    event = event.with("was_liquidated", trip.was_liquidated);
    if let Some(held_ms) = trip.opened_at.map(|from| closed.as_ms().saturating_sub(from.as_ms())) {
        event = event.say(format!(", held {}", lasting(held_ms))).with("held_ms", held_ms);
    }
    if let Some(engine) = &trip.engine {
        event = event.say(format!(" ({engine})")).with("engine", engine.as_str());
    }
    if trip.position_side != PositionSide::Net {
        event = event.with("position_side", trip.position_side.as_str());
    }
    event
        .with("symbol", trip.symbol.as_str())
        .with("direction", trip.direction.as_str())
        .with("trip", trip.key().to_string())
}

/// Of more than people can read only the number, but for what cannot wait.
fn folded(events: Vec<Event>, seen: &TradesSeen) -> Vec<Event> {
    let (mut kept, rest): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.is_urgent);
    if rest.len() <= SINGLE_MAX {
        kept.extend(rest);
        kept.sort_by_key(|event| event.at);
        return kept;
    }
    let (closed, orders): (Vec<_>, Vec<_>) = rest.iter().partition(|event| event.kind == EventKind::Closed);
    let at = rest.iter().map(|event| event.at).max().unwrap_or(TimestampMs::MIN);
    let text = format!(
        "{} executed and {} closed since it was last told: `fillbook fills`, `fillbook trips`",
        count(orders.len(), "order"),
        count(closed.len(), "round trip")
    );
    let many = Event::new(EventKind::Many, format!("many:{}", seen.until), at).say(text);
    kept.push(many.with("orders", orders.len()).with("trips", closed.len()));
    kept
}
