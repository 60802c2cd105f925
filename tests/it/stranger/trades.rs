//! Trades and the ledger, as read and as known.

use exchange_client::simulator::{AccountSnapshot, IncomeTruth, TradeTruth};
use ledger_core::Decimal;
use serde_json::Value;

use super::rows::{Row, decimal, position_side, read, row, same, side, text, unified_symbol};

pub(super) fn compare(reading: &Value, account: &AccountSnapshot) {
    same("trades", read(&reading["trades"], seen_trade), account.trades.iter().map(known_trade));
    same("trades of orders", read(&reading["trades_of_orders"], seen_trade), account.trades.iter().map(known_trade));
    same("unified trades", read(&reading["trades"], seen_unified), account.trades.iter().map(known_unified));

    let ledger = &reading["ledger"];
    same("ledger", read(ledger, seen_income), account.income.iter().map(known_income));
    same("unified ledger", read(ledger, seen_entry), account.income.iter().map(known_entry));
    let funding = account.income.iter().filter(|row| row.income_type == "FUNDING_FEE");
    same("funding", read(&reading["funding"], seen_funding), funding.map(known_funding));
}

fn seen_trade(trade: &Value) -> Row {
    let info = &trade["info"];
    row([
        ("symbol", text(info, "symbol")),
        ("id", text(info, "id")),
        ("orderId", text(info, "orderId")),
        ("side", text(info, "side")),
        ("buyer", text(info, "buyer")),
        ("maker", text(info, "maker")),
        ("positionSide", text(info, "positionSide")),
        ("price", decimal(info, "price")),
        ("qty", decimal(info, "qty")),
        ("quoteQty", decimal(info, "quoteQty")),
        ("commission", decimal(info, "commission")),
        ("commissionAsset", text(info, "commissionAsset")),
        ("realizedPnl", decimal(info, "realizedPnl")),
        ("time", text(info, "time")),
    ])
}

fn known_trade(trade: &TradeTruth) -> Row {
    row([
        ("symbol", trade.symbol.clone()),
        ("id", trade.id.to_string()),
        ("orderId", trade.order_id.to_string()),
        ("side", side(trade.buy).to_owned()),
        ("buyer", trade.buy.to_string()),
        ("maker", trade.maker.to_string()),
        ("positionSide", position_side(trade.position_side)),
        ("price", trade.price.to_string()),
        ("qty", trade.qty.to_string()),
        ("quoteQty", trade.price.checked_mul(trade.qty).unwrap().to_string()),
        ("commission", trade.fee.to_string()),
        ("commissionAsset", trade.fee_asset.clone()),
        ("realizedPnl", trade.realized.to_string()),
        ("time", trade.time_ms.to_string()),
    ])
}

pub(super) fn seen_unified(trade: &Value) -> Row {
    row([
        ("symbol", text(trade, "symbol")),
        ("id", text(trade, "id")),
        ("order", text(trade, "order")),
        ("side", text(trade, "side")),
        ("taker or maker", text(trade, "takerOrMaker")),
        ("price", decimal(trade, "price")),
        ("amount", decimal(trade, "amount")),
        ("fee", decimal(&trade["fee"], "cost")),
        ("fee in", text(&trade["fee"], "currency")),
        ("timestamp", text(trade, "timestamp")),
    ])
}

pub(super) fn known_unified(trade: &TradeTruth) -> Row {
    row([
        ("symbol", unified_symbol(&trade.symbol)),
        ("id", trade.id.to_string()),
        ("order", trade.order_id.to_string()),
        ("side", side(trade.buy).to_lowercase()),
        ("taker or maker", if trade.maker { "maker" } else { "taker" }.to_owned()),
        ("price", trade.price.to_string()),
        ("amount", trade.qty.to_string()),
        ("fee", trade.fee.to_string()),
        ("fee in", trade.fee_asset.clone()),
        ("timestamp", trade.time_ms.to_string()),
    ])
}

fn seen_income(entry: &Value) -> Row {
    let info = &entry["info"];
    row([
        ("incomeType", text(info, "incomeType")),
        ("tranId", text(info, "tranId")),
        ("tradeId", text(info, "tradeId")),
        ("symbol", text(info, "symbol")),
        ("asset", text(info, "asset")),
        ("income", decimal(info, "income")),
        ("time", text(info, "time")),
    ])
}

fn known_income(income: &IncomeTruth) -> Row {
    row([
        ("incomeType", income.income_type.clone()),
        ("tranId", income.tran_id.to_string()),
        ("tradeId", income.trade_id.map_or_else(String::new, |id| id.to_string())),
        ("symbol", income.symbol.clone()),
        ("asset", income.asset.clone()),
        ("income", income.amount.to_string()),
        ("time", income.time_ms.to_string()),
    ])
}

fn seen_entry(entry: &Value) -> Row {
    row([
        ("id", text(entry, "id")),
        ("direction", text(entry, "direction")),
        ("amount", decimal(entry, "amount")),
        ("currency", text(entry, "currency")),
        ("timestamp", text(entry, "timestamp")),
    ])
}

/// ccxt tells the sign of an amount by its direction.
fn known_entry(income: &IncomeTruth) -> Row {
    let is_in = income.amount > Decimal::ZERO;
    row([
        ("id", income.tran_id.to_string()),
        ("direction", if is_in { "in" } else { "out" }.to_owned()),
        ("amount", income.amount.abs().to_string()),
        ("currency", income.asset.clone()),
        ("timestamp", income.time_ms.to_string()),
    ])
}

fn seen_funding(payment: &Value) -> Row {
    row([
        ("id", text(payment, "id")),
        ("symbol", text(payment, "symbol")),
        ("code", text(payment, "code")),
        ("amount", decimal(payment, "amount")),
        ("timestamp", text(payment, "timestamp")),
    ])
}

fn known_funding(income: &IncomeTruth) -> Row {
    row([
        ("id", income.tran_id.to_string()),
        ("symbol", unified_symbol(&income.symbol)),
        ("code", income.asset.clone()),
        ("amount", income.amount.to_string()),
        ("timestamp", income.time_ms.to_string()),
    ])
}
