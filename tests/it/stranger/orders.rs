//! Orders, ordinary and conditional, as read and as known.

use exchange_client::simulator::{AccountSnapshot, ConditionalTruth, OrderTruth};
use ledger_core::Decimal;
use serde_json::Value;

use super::rows::{Row, decimal, position_side, read, row, same, side, text, unified_symbol};

pub(super) fn compare(reading: &Value, account: &AccountSnapshot) {
    let orders = || account.orders.iter();
    same("orders", read(&reading["orders"], seen_order), orders().map(known_order));
    same("orders by id", read(&reading["orders_by_id"], seen_order), orders().map(known_order));
    same("orders by client id", read(&reading["orders_by_client_id"], seen_order), orders().map(known_order));
    same("unified orders", read(&reading["orders"], seen_unified), orders().map(known_unified));
    let open = orders().filter(|order| matches!(order.status, "NEW" | "PARTIALLY_FILLED"));
    same("open orders", read(&reading["open_orders"], seen_order), open.map(known_order));
    let closed = orders().filter(|order| order.status == "FILLED");
    same("closed orders", read(&reading["closed_orders"], seen_order), closed.map(known_order));
    let canceled = orders().filter(|order| order.status == "CANCELED");
    same("canceled orders", read(&reading["canceled_orders"], seen_order), canceled.map(known_order));
    let liquidated = orders().filter(|order| order.forced == Some("LIQUIDATION"));
    same("liquidations", read(&reading["liquidations"], seen_order), liquidated.map(known_order));

    let conditional = || account.conditionals.iter();
    same("conditional orders", read(&reading["conditional"], seen_conditional), conditional().map(known_conditional));
    same(
        "conditional orders by id",
        read(&reading["conditional_by_id"], seen_conditional),
        conditional().map(known_conditional),
    );
    same(
        "unified conditional orders",
        read(&reading["conditional"], seen_unified_conditional),
        conditional().map(known_unified_conditional),
    );
    let waiting = conditional().filter(|order| order.status == "NEW");
    same(
        "open conditional orders",
        read(&reading["open_conditional"], seen_conditional),
        waiting.map(known_conditional),
    );
}

fn seen_order(order: &Value) -> Row {
    let info = &order["info"];
    row([
        ("symbol", text(info, "symbol")),
        ("orderId", text(info, "orderId")),
        ("clientOrderId", text(info, "clientOrderId")),
        ("type", text(info, "type")),
        ("side", text(info, "side")),
        ("positionSide", text(info, "positionSide")),
        ("timeInForce", text(info, "timeInForce")),
        ("price", decimal(info, "price")),
        ("origQty", decimal(info, "origQty")),
        ("executedQty", decimal(info, "executedQty")),
        ("avgPrice", decimal(info, "avgPrice")),
        ("cumQuote", decimal(info, "cumQuote")),
        ("reduceOnly", text(info, "reduceOnly")),
        ("status", text(info, "status")),
        ("time", text(info, "time")),
        ("updateTime", text(info, "updateTime")),
    ])
}

fn known_order(order: &OrderTruth) -> Row {
    row([
        ("symbol", order.symbol.clone()),
        ("orderId", order.id.to_string()),
        ("clientOrderId", order.client_order_id.clone()),
        ("type", order.order_type.to_owned()),
        ("side", side(order.buy).to_owned()),
        ("positionSide", position_side(order.position_side)),
        ("timeInForce", order.time_in_force.to_owned()),
        ("price", order.price.unwrap_or_default().to_string()),
        ("origQty", order.qty.to_string()),
        ("executedQty", order.executed.to_string()),
        ("avgPrice", order.average_price.to_string()),
        ("cumQuote", order.quote.to_string()),
        ("reduceOnly", order.reduce_only.to_string()),
        ("status", order.status.to_owned()),
        ("time", order.created_ms.to_string()),
        ("updateTime", order.updated_ms.to_string()),
    ])
}

fn seen_unified(order: &Value) -> Row {
    row([
        ("symbol", text(order, "symbol")),
        ("id", text(order, "id")),
        ("client id", text(order, "clientOrderId")),
        ("type", text(order, "type")),
        ("side", text(order, "side")),
        ("amount", decimal(order, "amount")),
        ("filled", decimal(order, "filled")),
        ("remaining", decimal(order, "remaining")),
        ("average", decimal(order, "average")),
        ("status", text(order, "status")),
        ("timestamp", text(order, "timestamp")),
        ("last update", text(order, "lastUpdateTimestamp")),
    ])
}

fn known_unified(order: &OrderTruth) -> Row {
    let nothing = order.executed == Decimal::ZERO;
    row([
        ("symbol", unified_symbol(&order.symbol)),
        ("id", order.id.to_string()),
        ("client id", order.client_order_id.clone()),
        ("type", order.order_type.to_lowercase()),
        ("side", side(order.buy).to_lowercase()),
        ("amount", order.qty.to_string()),
        ("filled", order.executed.to_string()),
        ("remaining", order.qty.checked_sub(order.executed).unwrap().to_string()),
        ("average", if nothing { "null".to_owned() } else { order.average_price.to_string() }),
        ("status", unified_status(order.status).to_owned()),
        ("timestamp", order.created_ms.to_string()),
        ("last update", order.updated_ms.to_string()),
    ])
}

fn seen_conditional(order: &Value) -> Row {
    let info = &order["info"];
    let trigger = trigger_field(&text(info, "orderType"));
    row([
        ("symbol", text(info, "symbol")),
        ("algoId", text(info, "algoId")),
        ("clientAlgoId", text(info, "clientAlgoId")),
        ("orderType", text(info, "orderType")),
        ("side", text(info, "side")),
        ("positionSide", text(info, "positionSide")),
        (trigger, decimal(info, trigger)),
        ("price", decimal(info, "price")),
        ("quantity", decimal(info, "quantity")),
        ("closePosition", text(info, "closePosition")),
        ("reduceOnly", text(info, "reduceOnly")),
        ("algoStatus", text(info, "algoStatus")),
        ("actualOrderId", text(info, "actualOrderId")),
        ("createTime", text(info, "createTime")),
        ("updateTime", text(info, "updateTime")),
    ])
}

fn known_conditional(order: &ConditionalTruth) -> Row {
    row([
        ("symbol", order.symbol.clone()),
        ("algoId", order.id.to_string()),
        ("clientAlgoId", order.client_algo_id.clone()),
        ("orderType", order.order_type.to_owned()),
        ("side", side(order.buy).to_owned()),
        ("positionSide", position_side(order.position_side)),
        (trigger_field(order.order_type), order.trigger_price.unwrap_or_default().to_string()),
        ("price", order.price.unwrap_or_default().to_string()),
        ("quantity", order.qty.to_string()),
        ("closePosition", order.close_position.to_string()),
        ("reduceOnly", order.reduce_only.to_string()),
        ("algoStatus", order.status.to_owned()),
        ("actualOrderId", order.order_id.map_or_else(String::new, |id| id.to_string())),
        ("createTime", order.created_ms.to_string()),
        ("updateTime", order.updated_ms.to_string()),
    ])
}

fn seen_unified_conditional(order: &Value) -> Row {
    row([
        ("symbol", text(order, "symbol")),
        ("id", text(order, "id")),
        ("client id", text(order, "clientOrderId")),
        ("side", text(order, "side")),
        ("trigger price", decimal(order, "triggerPrice")),
        ("status", text(order, "status")),
        ("timestamp", text(order, "timestamp")),
    ])
}

fn known_unified_conditional(order: &ConditionalTruth) -> Row {
    // Where a trailing stop begins to trail is nothing that ccxt tells.
    let trigger_price = order.trigger_price.filter(|_| trigger_field(order.order_type) == "triggerPrice");
    row([
        ("symbol", unified_symbol(&order.symbol)),
        ("id", order.id.to_string()),
        ("client id", order.client_algo_id.clone()),
        ("side", side(order.buy).to_lowercase()),
        ("trigger price", trigger_price.map_or_else(|| "null".to_owned(), |price| price.to_string())),
        ("status", unified_status(order.status).to_owned()),
        ("timestamp", order.created_ms.to_string()),
    ])
}

/// The price that a conditional order waits for; a trailing stop has one from which it trails.
fn trigger_field(order_type: &str) -> &'static str {
    if order_type == "TRAILING_STOP_MARKET" { "activatePrice" } else { "triggerPrice" }
}

fn unified_status(status: &str) -> &'static str {
    match status {
        "NEW" | "PARTIALLY_FILLED" => "open",
        "FILLED" | "TRIGGERED" | "FINISHED" => "closed",
        "CANCELED" => "canceled",
        "EXPIRED" => "expired",
        "REJECTED" => "rejected",
        _ => "unknown",
    }
}
