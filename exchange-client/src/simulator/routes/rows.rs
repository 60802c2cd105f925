//! Rows of answers, in the exchange's words. Amounts and prices are text, ids and times are numbers.

use serde_json::{Value, json};

use crate::simulator::amending::Amended;
use crate::simulator::books::{Income, Trade};
use crate::simulator::conditional::{AlgoStatus, Conditional};
use crate::simulator::fixed::{show_e8, to_e8};
use crate::simulator::order::{Kind, Order};

/// BUY or SELL.
pub(in crate::simulator) fn side(buy: bool) -> &'static str {
    if buy { "BUY" } else { "SELL" }
}

pub(in crate::simulator) fn order_type(kind: Kind) -> (&'static str, &'static str, i128) {
    match kind {
        Kind::Market => ("MARKET", "GTC", 0),
        Kind::Limit { price_e8, time_in_force } => ("LIMIT", time_in_force.as_str(), price_e8),
    }
}

/// An order as queries tell it, or as the answer to sending it does.
pub(super) fn order(order: &Order, stored: bool) -> Value {
    let (order_type, time_in_force, price_e8) = order_type(order.ticket.kind);
    let mut row = json!({
        "orderId": order.id, "symbol": order.ticket.symbol, "status": order.status.as_str(),
        "clientOrderId": order.client_order_id, "price": show_e8(price_e8, 0),
        "origQty": show_e8(order.ticket.qty_e8, 3), "executedQty": show_e8(order.executed_e8, 3),
        "timeInForce": time_in_force, "type": order_type, "origType": order_type,
        "reduceOnly": order.ticket.reduce_only, "closePosition": order.ticket.close_position,
        "side": side(order.ticket.buy), "positionSide": order.ticket.position_side.as_str(), "stopPrice": "0",
        "workingType": "CONTRACT_PRICE", "priceProtect": false, "priceMatch": "NONE",
        "selfTradePreventionMode": "NONE", "goodTillDate": order.ticket.kind.good_till_ms(), "updateTime": order.updated_ms,
    });
    if let Some(fields) = row.as_object_mut() {
        if stored {
            fields.insert("avgPrice".into(), show_e8(order.average_e8(), 5).into());
            fields.insert("cumQuote".into(), show_e8(to_e8(order.quote_e16), 0).into());
            fields.insert("time".into(), order.created_ms.into());
        } else {
            // The answer to placing or cancelling no longer tells an average price.
            fields.insert("cumQty".into(), show_e8(order.executed_e8, 3).into());
        }
    }
    row
}

/// A change of an order.
pub(super) fn amended(order: &Order, amended: &Amended) -> Value {
    let change = |[before_e8, after_e8]: [i128; 2], decimals| json!({ "before": show_e8(before_e8, decimals), "after": show_e8(after_e8, decimals) });
    json!({
        "amendmentId": amended.id, "symbol": order.ticket.symbol, "pair": order.ticket.symbol, "orderId": order.id,
        "clientOrderId": order.client_order_id, "time": amended.at_ms,
        "amendment": {
            "price": change(amended.price_e8, 0), "origQty": change(amended.qty_e8, 3), "count": amended.count,
        },
    })
}

/// A conditional order. `actual` is the regular order that it became.
pub(super) fn conditional(conditional: &Conditional, actual: Option<&Order>) -> Value {
    let ticket = &conditional.ticket;
    let is_trailing = ticket.callback_e8.is_some();
    let mut row = json!({
        "algoId": conditional.id, "clientAlgoId": conditional.client_algo_id, "algoType": "CONDITIONAL",
        "orderType": ticket.kind.as_str(), "symbol": ticket.symbol, "side": side(ticket.buy),
        "positionSide": ticket.position_side.as_str(), "timeInForce": ticket.time_in_force.as_str(),
        "quantity": show_e8(ticket.qty_e8, 3), "algoStatus": conditional.status.as_str(),
        "actualOrderId": actual.map_or_else(String::new, |order| order.id.to_string()),
        "actualPrice": show_e8(actual.map_or(0, Order::average_e8), 5),
        "triggerPrice": show_e8(if is_trailing { 0 } else { ticket.trigger_e8.unwrap_or(0) }, 2),
        "price": show_e8(ticket.price_e8.unwrap_or(0), 2), "icebergQuantity": null, "tpTriggerPrice": "0.000",
        "tpPrice": "0.000", "slTriggerPrice": "0.000", "slPrice": "0.000", "tpOrderType": "",
        "selfTradePreventionMode": "EXPIRE_MAKER", "workingType": ticket.working_type, "priceMatch": "NONE",
        "closePosition": ticket.close_position, "priceProtect": ticket.price_protect,
        "reduceOnly": ticket.reduce_only, "createTime": conditional.created_ms, "updateTime": conditional.updated_ms,
        "triggerTime": conditional.triggered_ms, "goodTillDate": 0,
    });
    if let Some(fields) = row.as_object_mut() {
        if is_trailing {
            let from_e8 = ticket.trigger_e8.unwrap_or(0);
            fields.insert("activatePrice".into(), show_e8(from_e8, 2).into());
            // Kept as a share, told in per cent.
            fields.insert("callbackRate".into(), show_e8(ticket.callback_e8.unwrap_or(0) * 100, 1).into());
        }
        if let Some(order) = actual {
            fields.insert("actualQty".into(), show_e8(order.executed_e8, 3).into());
            fields.insert("actualType".into(), order_type(order.ticket.kind).0.into());
        }
        if conditional.status == AlgoStatus::Rejected {
            fields.insert("failReason".into(), "The order could not be placed when it was triggered.".into());
        }
    }
    row
}

/// A fill.
pub(super) fn trade(trade: &Trade, margin_asset: &str) -> Value {
    json!({
        "symbol": trade.symbol, "id": trade.id, "orderId": trade.order_id, "side": side(trade.buy),
        "price": show_e8(trade.price_e8, 0), "qty": show_e8(trade.qty_e8, 3),
        "realizedPnl": show_e8(trade.realized_e8, 8), "marginAsset": margin_asset,
        "quoteQty": show_e8(to_e8(trade.qty_e8 * trade.price_e8), 0), "commission": show_e8(trade.fee_e8, 8),
        "commissionAsset": trade.fee_asset, "time": trade.time_ms, "positionSide": trade.position_side.as_str(),
        "buyer": trade.buy, "maker": trade.maker,
    })
}

/// A ledger entry.
pub(super) fn income(row: &Income) -> Value {
    json!({
        "symbol": row.symbol, "incomeType": row.kind, "income": show_e8(row.amount_e8, 8), "asset": row.asset,
        "info": row.kind, "time": row.time_ms, "tranId": row.tran_id,
        "tradeId": row.trade_id.map_or_else(String::new, |id| id.to_string()),
    })
}
