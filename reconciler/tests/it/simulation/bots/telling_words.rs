//! The lines in which a bot tells `fillbook record` what it does, and the objects of its library in them.

use exchange_client::Stated;
use ledger_core::{ClientOrderId, Direction, Fill, Order, OrderId, PositionSide, Symbol, TimestampMs};
use serde_json::{Value, json};

/// The strategy of this bot.
const ENGINE: &str = "grid";

/// What an order is, apart from who sent it when.
pub(super) struct Terms<'a> {
    pub(super) symbol: &'a Symbol,
    pub(super) direction: Direction,
    pub(super) position_side: PositionSide,
    pub(super) qty: &'a str,
    /// The limit of an order that rests.
    pub(super) price: Option<&'a str>,
}

pub(super) fn signal_id(number: usize) -> String {
    format!("t-{number}")
}

pub(super) fn signal(number: usize, symbol: &Symbol, direction: Direction, at: TimestampMs) -> String {
    let id = signal_id(number);
    json!({
        "event": "signal", "symbol": unified(symbol), "side": direction.as_str(), "engine": ENGINE, "signal_id": id,
        "time": at.as_ms(),
    })
    .to_string()
}

pub(super) fn skip(number: usize, why: &str) -> String {
    json!({ "event": "skip", "signal_id": signal_id(number), "why": why }).to_string()
}

pub(super) fn gate(symbol: &Symbol, position_side: PositionSide) -> String {
    let mut line = json!({ "event": "gate", "symbol": unified(symbol) });
    if position_side != PositionSide::Net {
        line["side"] = position_side.as_str().to_ascii_lowercase().into();
    }
    line.to_string()
}

/// An entry is about to be sent, under an id that the recorder makes.
pub(super) fn entry(number: usize, terms: &Terms<'_>, at: TimestampMs) -> String {
    let mut line = order("entry", number, terms, at);
    line["type"] = if terms.price.is_some() { "limit" } else { "market" }.into();
    if let Some(price) = terms.price {
        line["price"] = price.into();
    }
    line.to_string()
}

/// An exit is about to be sent, under the bot's own id, so that it needs no recorder.
pub(super) fn exit(number: usize, terms: &Terms<'_>, id: &ClientOrderId, attempt: usize, at: TimestampMs) -> String {
    let mut line = order("exit", number, terms, at);
    line["type"] = "market".into();
    line["client_order_id"] = id.as_str().into();
    line["attempt"] = attempt.into();
    line["reduce_only"] = (terms.position_side == PositionSide::Net).into();
    line.to_string()
}

fn order(role: &str, number: usize, terms: &Terms<'_>, at: TimestampMs) -> Value {
    json!({
        "event": "intent", "role": role, "symbol": unified(terms.symbol), "side": terms.direction.as_str(),
        "amount": terms.qty, "position_side": terms.position_side.as_str().to_ascii_lowercase(), "engine": ENGINE,
        "signal_id": signal_id(number), "time": at.as_ms(),
    })
}

/// What became of an order: it is at the exchange, or it is refused, or nobody knows.
pub(super) fn sent(id: &ClientOrderId, symbol: &Symbol, result: &str, order: Option<&Stated<Order>>) -> String {
    let mut line =
        json!({ "event": "sent", "client_order_id": id.as_str(), "symbol": unified(symbol), "result": result });
    if let Some(order) = order {
        line["order"] = order_object(order);
    }
    line.to_string()
}

pub(super) fn order_is(order: &Stated<Order>) -> String {
    json!({ "event": "order", "order": order_object(order) }).to_string()
}

pub(super) fn trade(fill: &Stated<Fill>) -> String {
    let Fill { key, order_id, .. } = &fill.entity;
    let order_id = order_id.as_ref().map(OrderId::as_str);
    let info: Value = serde_json::from_str(&fill.payload).unwrap();
    let object = json!({ "id": key.fill_id.as_str(), "order": order_id, "symbol": unified(&key.symbol), "info": info });
    json!({ "event": "trade", "trade": object }).to_string()
}

pub(super) fn cancel(order: &Stated<Order>) -> String {
    json!({ "event": "cancel", "order": order_object(order), "reason": "too far" }).to_string()
}

/// A trade is closed, by the bot or by somebody else.
pub(super) fn closed(symbol: &Symbol, direction: Direction, is_own: bool, at: TimestampMs) -> String {
    let reason = is_own.then_some("take_profit");
    json!({
        "event": "closed", "symbol": unified(symbol), "side": direction.as_str(), "reason": reason, "time": at.as_ms(),
    })
    .to_string()
}

fn order_object(order: &Stated<Order>) -> Value {
    let Order { key, client_order_id, .. } = &order.entity;
    let info: Value = serde_json::from_str(&order.payload).unwrap();
    let client_order_id = client_order_id.as_ref().map(ClientOrderId::as_str);
    json!({
        "id": key.order_id.as_str(), "clientOrderId": client_order_id, "symbol": unified(&key.symbol), "info": info,
    })
}

/// The library's name for a contract that settles in USDT.
fn unified(symbol: &Symbol) -> String {
    let base = symbol.as_str().strip_suffix("USDT").unwrap();
    format!("{base}/USDT:USDT")
}
