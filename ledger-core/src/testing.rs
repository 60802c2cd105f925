//! Facts in one line, for the tests of every crate. Feature `testing`; never part of a program.
//!
//! All times count from one fixed midnight (2026-01-01 UTC), so no test depends on the day on which it runs.
//!
//! # Panics
//! Every function here panics on text that is no such value: that is a mistake in the test.

use crate::amount::{Decimal, Price, Quantity};
use crate::fill::{Fee, Fill, FillKey};
use crate::funding_rate::FundingRate;
use crate::id::{AccountId, Asset, ClientOrderId, FillId, OrderId, SignalId, Symbol, TranId};
use crate::income::{Income, IncomeKey};
use crate::instrument::Instrument;
use crate::order::{Order, OrderClass, OrderKey};
use crate::order_status::OrderStatus;
use crate::signal::{Signal, SignalKind};
use crate::snapshot::{Anchor, BalanceSnapshot, PositionSnapshot, PriceKind, PriceSnapshot};
use crate::source::{PositionSide, Side};
use crate::time::{EventTime, TimestampMs};

/// 2026-01-01 00:00:00 UTC.
pub const MIDNIGHT_MS: i64 = 1_767_225_600_000;

/// The instant `ms` after the midnight.
#[must_use]
pub fn at(ms: i64) -> TimestampMs {
    TimestampMs::new(MIDNIGHT_MS + ms).unwrap()
}

/// The same instant as the time of an event, exact to the millisecond.
#[must_use]
pub fn time(ms: i64) -> EventTime {
    EventTime::ms(at(ms))
}

/// A decimal.
#[must_use]
pub fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// A price.
#[must_use]
pub fn price(text: &str) -> Price {
    text.parse().unwrap()
}

/// A quantity.
#[must_use]
pub fn qty(text: &str) -> Quantity {
    text.parse().unwrap()
}

/// The account of most tests.
#[must_use]
pub fn main_account() -> AccountId {
    AccountId::new("main").unwrap()
}

/// A symbol.
#[must_use]
pub fn symbol(text: &str) -> Symbol {
    Symbol::new(text).unwrap()
}

/// An asset.
#[must_use]
pub fn asset(text: &str) -> Asset {
    Asset::new(text).unwrap()
}

/// An order id.
#[must_use]
pub fn order_id(text: &str) -> OrderId {
    OrderId::new(text).unwrap()
}

/// A client order id.
#[must_use]
pub fn client_id(text: &str) -> ClientOrderId {
    ClientOrderId::new(text).unwrap()
}

/// A fee: positive = paid.
#[must_use]
pub fn fee(amount: &str, name: &str) -> Fee {
    Fee { amount: dec(amount), asset: asset(name) }
}

/// A linear contract in USDT with price steps of 0.01 and a liquidation fee of 0.5 % of the notional.
#[must_use]
pub fn linear(name: &str) -> Instrument {
    let mut instrument = Instrument::linear(symbol(name), asset("USDT")).unwrap();
    instrument.tick_size = Some(dec("0.01"));
    instrument.liquidation_fee = Some(dec("0.005"));
    instrument
}

/// A fill of a one-way position: the trade id is its sequence number, too, and it happens at `id` seconds.
#[must_use]
pub fn fill(name: &str, id: i64, side: Side, quantity: &str, at_price: &str) -> Fill {
    let key = FillKey { symbol: symbol(name), fill_id: FillId::new(id.to_string()).unwrap(), side };
    Fill::new(key, time(id * 1_000), price(at_price), qty(quantity)).in_position(PositionSide::Net).with_sequence(id)
}

/// [`fill`] of a buy.
#[must_use]
pub fn buy(name: &str, id: i64, quantity: &str, at_price: &str) -> Fill {
    fill(name, id, Side::Buy, quantity, at_price)
}

/// [`fill`] of a sell.
#[must_use]
pub fn sell(name: &str, id: i64, quantity: &str, at_price: &str) -> Fill {
    fill(name, id, Side::Sell, quantity, at_price)
}

/// The key of a regular order.
#[must_use]
pub fn order_key(name: &str, id: &str) -> OrderKey {
    OrderKey { symbol: symbol(name), class: OrderClass::Regular, order_id: order_id(id) }
}

/// A regular order of a one-way position.
#[must_use]
pub fn order(name: &str, id: &str, side: Side, status: OrderStatus) -> Order {
    Order::new(order_key(name, id), side, status).in_position(PositionSide::Net)
}

/// A ledger entry in USDT at `ms`; `name` is its contract, or empty for none. The amount is signed as the wallet saw it.
#[must_use]
pub fn income(kind: &str, tran_id: &str, name: &str, amount: &str, ms: i64) -> Income {
    let key = IncomeKey {
        income_type: kind.parse().unwrap(),
        tran_id: TranId::new(tran_id).unwrap(),
        symbol: (!name.is_empty()).then(|| symbol(name)),
        asset: asset("USDT"),
    };
    Income::new(key, time(ms), dec(amount))
}

/// A funding payment in USDT at `ms`.
#[must_use]
pub fn funding(name: &str, tran_id: &str, amount: &str, ms: i64) -> Income {
    income("FUNDING_FEE", tran_id, name, amount, ms)
}

/// An entry signal at `ms`.
#[must_use]
pub fn signal(id: &str, name: &str, side: Side, ms: i64) -> Signal {
    Signal::new(SignalId::new(id).unwrap(), time(ms), symbol(name), side, SignalKind::Entry)
}

/// What the exchange states of a one-way position at `ms`: signed quantity, and the entry unless it is flat.
#[must_use]
pub fn position(name: &str, quantity: &str, entry: Option<&str>, ms: i64) -> PositionSnapshot {
    PositionSnapshot {
        symbol: symbol(name),
        position_side: PositionSide::Net,
        at: at(ms),
        qty: dec(quantity),
        entry_price: entry.map(price),
    }
}

/// What the exchange states of a wallet at `ms`.
#[must_use]
pub fn balance(name: &str, wallet: &str, ms: i64) -> BalanceSnapshot {
    BalanceSnapshot { asset: asset(name), at: at(ms), wallet: dec(wallet) }
}

/// A mark price at `ms`.
#[must_use]
pub fn mark(name: &str, at_price: &str, ms: i64) -> PriceSnapshot {
    PriceSnapshot { symbol: symbol(name), kind: PriceKind::Mark, at: at(ms), price: price(at_price) }
}

/// The last price of the minute that begins at `minute` minutes.
#[must_use]
pub fn kline_close(name: &str, at_price: &str, minute: i64) -> PriceSnapshot {
    let closed = at((minute + 1) * 60_000 - 1);
    PriceSnapshot { symbol: symbol(name), kind: PriceKind::KlineClose, at: closed, price: price(at_price) }
}

/// A funding rate at `ms`, with the mark price that positions were valued at.
#[must_use]
pub fn funding_rate(name: &str, rate: &str, mark_price: Option<&str>, ms: i64) -> FundingRate {
    FundingRate { symbol: symbol(name), at: at(ms), rate: dec(rate), mark_price: mark_price.map(price) }
}

/// A stated one-way position at `ms`; a quantity of 0 states that it was flat.
#[must_use]
pub fn anchor(name: &str, quantity: &str, entry: Option<&str>, ms: i64) -> Anchor {
    Anchor {
        symbol: symbol(name),
        position_side: PositionSide::Net,
        at: at(ms),
        qty: dec(quantity),
        entry_price: entry.map(price),
        derivation: "stated by the test".parse().unwrap(),
        known_before: None,
        withdrawn: None,
    }
}
