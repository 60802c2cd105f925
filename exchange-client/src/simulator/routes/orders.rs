//! Placing, amending, cancelling and asking for regular orders.

use serde_json::{Value, json};

use super::history::is_kept;
use super::{Answered, Ask, rows};
use crate::simulator::books::PositionSide;
use crate::simulator::conditional::AlgoKind;
use crate::simulator::fixed::show_e8;
use crate::simulator::order::{Kind, Order, Status, Ticket, TimeInForce};
use crate::simulator::refusal::Refusal;

/// How far away the end of an order must be, and how far it may be.
const GOOD_TILL_MS_MIN: i64 = 600_000;
const GOOD_TILL_MS_MAX: i64 = 253_402_300_799_000;

/// The order that the parameters describe.
fn ticket(ask: &Ask<'_>) -> Result<Ticket, Refusal> {
    let params = ask.params;
    let symbol = ask.symbol()?;
    let buy = ask.buys()?;
    refuse_price_match(ask)?;
    let kind = match params.required("type")? {
        "MARKET" => Kind::Market,
        "LIMIT" => Kind::Limit {
            time_in_force: time_in_force(ask)?,
            price_e8: params.decimal_e8("price")?.ok_or_else(|| Refusal::missing("price"))?,
        },
        other if AlgoKind::parse(other).is_some() => return Err(Refusal::algo_endpoint()),
        _ => return Err(Refusal::order_type()),
    };
    let reduce_only = params.boolean("reduceOnly")?;
    let position_side = params.position_side()?;
    // In hedge mode the parameter is refused even when false.
    if reduce_only.is_some() && position_side != PositionSide::Both {
        return Err(Refusal::not_required("reduceonly"));
    }
    Ok(Ticket {
        symbol,
        buy,
        position_side,
        kind,
        qty_e8: params.decimal_e8("quantity")?.ok_or_else(|| Refusal::missing("quantity"))?,
        reduce_only: reduce_only.unwrap_or(false),
        close_position: false,
        client_order_id: ask.client_id("newClientOrderId")?,
    })
}

/// How long a limit order waits.
fn time_in_force(ask: &Ask<'_>) -> Result<TimeInForce, Refusal> {
    match ask.params.required("timeInForce")? {
        "GTD" => {
            let until_ms = ask.params.integer("goodTillDate")?.ok_or_else(|| Refusal::missing("goodTillDate"))?;
            // To the second, as the real exchange keeps it.
            let until_ms = until_ms - until_ms.rem_euclid(1_000);
            let is_far = until_ms > ask.now_ms() + GOOD_TILL_MS_MIN && until_ms < GOOD_TILL_MS_MAX;
            if is_far { Ok(TimeInForce::Gtd { until_ms }) } else { Err(Refusal::good_till_date()) }
        }
        other => TimeInForce::parse(other).ok_or_else(Refusal::time_in_force),
    }
}

/// A price that follows the book is not simulated: it is refused instead of being placed at another price.
pub(super) fn refuse_price_match(ask: &Ask<'_>) -> Result<(), Refusal> {
    match ask.params.get("priceMatch") {
        None | Some("NONE") => Ok(()),
        Some(_) => Err(Refusal::price_match()),
    }
}

pub(super) fn place(ask: &mut Ask<'_>) -> Answered {
    let ticket = ticket(ask)?;
    let wants_result = match ask.params.get("newOrderRespType") {
        None | Some("ACK") => false,
        Some("RESULT") => true,
        Some(_) => return Err(Refusal::invalid("newOrderRespType")),
    };
    let order = ask.engine.place(ask.account, ticket)?;
    if wants_result {
        return Ok(rows::order(&order, false));
    }
    // An acknowledgement tells that the order arrived, not what became of it.
    let arrived = Order { status: Status::New, executed_e8: 0, quote_e16: 0, ..order };
    Ok(rows::order(&arrived, false))
}

/// Whether an order would be taken; it is not placed.
pub(super) fn test(ask: &mut Ask<'_>) -> Answered {
    let ticket = ticket(ask)?;
    ask.engine.check(ask.account, &ticket)?;
    let mut row = rows::order(&Order::new(0, ticket, ask.now_ms()), false);
    if let Some(fields) = row.as_object_mut() {
        // Here they are told, unlike in the answer to an order that is placed.
        fields.insert("cumQuote".into(), "0".into());
        fields.insert("avgPrice".into(), show_e8(0, 5).into());
    }
    Ok(row)
}

pub(super) fn amend(ask: &mut Ask<'_>) -> Answered {
    let (symbol, lookup, buy) = (ask.symbol()?, ask.lookup("orderId", "origClientOrderId")?, ask.buys()?);
    refuse_price_match(ask)?;
    let qty_e8 = ask.params.decimal_e8("quantity")?.ok_or_else(|| Refusal::missing("quantity"))?;
    let price_e8 = ask.params.decimal_e8("price")?.ok_or_else(|| Refusal::missing("price"))?;
    let modify_id = ask.params.integer("modifyId")?;
    if ask.params.boolean("reduceOnly")? == Some(true)
        && ask.engine.find(ask.account, &symbol, &lookup).is_some_and(|order| !order.ticket.reduce_only)
    {
        return Err(Refusal::not_reduce_only());
    }
    let order = ask.engine.amend(ask.account, &symbol, &lookup, buy, qty_e8, price_e8)?;
    let mut row = rows::order(&order, false);
    if let Some(fields) = row.as_object_mut() {
        fields.insert("pair".into(), symbol.into());
        fields.extend(modify_id.map(|id| ("modifyId".to_owned(), id.into())));
    }
    Ok(row)
}

pub(super) fn cancel(ask: &mut Ask<'_>) -> Answered {
    let (symbol, lookup) = (ask.symbol()?, ask.lookup("orderId", "origClientOrderId")?);
    Ok(rows::order(&ask.engine.cancel(ask.account, &symbol, &lookup)?, false))
}

pub(super) fn cancel_all(ask: &mut Ask<'_>) -> Answered {
    let symbol = ask.symbol()?;
    ask.engine.cancel_all(ask.account, &symbol);
    Ok(json!({ "code": 200, "msg": "The operation of cancel all open order is done." }))
}

/// Cancels every order of a contract when a time has passed, unless it is asked again before; 0 stops the clock.
pub(super) fn count_down(ask: &mut Ask<'_>) -> Answered {
    let symbol = ask.symbol()?;
    let time_ms = ask.params.integer("countdownTime")?.ok_or_else(|| Refusal::missing("countdownTime"))?;
    if time_ms < 0 {
        return Err(Refusal::invalid("countdownTime"));
    }
    ask.engine.count_down(ask.account, &symbol, time_ms);
    Ok(json!({ "symbol": symbol, "countdownTime": time_ms.to_string() }))
}

pub(super) fn order(ask: &mut Ask<'_>) -> Answered {
    let (symbol, lookup) = (ask.symbol()?, ask.lookup("orderId", "origClientOrderId")?);
    let found = ask.engine.find(ask.account, &symbol, &lookup).filter(|order| is_kept(order, ask.engine.now_ms));
    found.map(|order| rows::order(order, true)).ok_or_else(Refusal::no_such_order)
}

pub(super) fn open_order(ask: &mut Ask<'_>) -> Answered {
    let (symbol, lookup) = (ask.symbol()?, ask.lookup("orderId", "origClientOrderId")?);
    let found = ask.engine.find(ask.account, &symbol, &lookup).filter(|order| order.status.is_open());
    found.map(|order| rows::order(order, true)).ok_or_else(Refusal::no_such_order)
}

pub(super) fn open_orders(ask: &mut Ask<'_>) -> Answered {
    let wanted = ask.optional_symbol()?;
    let Some(standing) = ask.engine.accounts.get(ask.account) else {
        return Ok(Value::Array(Vec::new()));
    };
    let open = standing.open.iter().filter_map(|key| standing.orders.get(key));
    let open = open.filter(|order| wanted.as_ref().is_none_or(|wanted| *wanted == order.ticket.symbol));
    Ok(open.map(|order| rows::order(order, true)).collect())
}
