//! What was told on the stream, and what is known.

use exchange_client::simulator::AccountSnapshot;
use ledger_core::Decimal;
use serde_json::Value;

use super::rows::{Row, decimal, position_side, read, row, same, text};
use super::trades::{known_unified, seen_unified};

/// Compares with what was known when the listening ended.
pub(super) fn compare(told: &Value, account: &AccountSnapshot) {
    // What ccxt calls trades does not include those that the exchange forces.
    let is_forced = |id: i64| account.orders.iter().any(|order| order.id == id && order.forced.is_some());
    let own = account.trades.iter().filter(|trade| !is_forced(trade.order_id));
    same("trades that were told", read(&told["trades"], seen_unified), own.map(known_unified));

    let orders = told["orders"].as_array().unwrap();
    let (conditional, regular): (Vec<&Value>, Vec<&Value>) =
        orders.iter().partition(|order| order["info"].get("aid").is_some());
    same(
        "orders that were told",
        regular.into_iter().map(seen_order).collect(),
        account.orders.iter().map(|order| {
            row([
                ("id", order.id.to_string()),
                ("client id", order.client_order_id.clone()),
                ("status", order.status.to_owned()),
                ("quantity", order.qty.to_string()),
                ("filled", order.executed.to_string()),
                ("average", order.average_price.to_string()),
            ])
        }),
    );
    same(
        "conditional orders that were told",
        conditional.into_iter().map(seen_conditional).collect(),
        account.conditionals.iter().map(|order| {
            row([
                ("id", order.id.to_string()),
                ("client id", order.client_algo_id.clone()),
                ("status", order.status.to_owned()),
                ("became", order.order_id.map_or_else(String::new, |id| id.to_string())),
            ])
        }),
    );

    let positions = told["positions"].as_array().unwrap();
    let open = positions.iter().filter(|position| decimal(&position["info"], "pa") != "0");
    same(
        "positions that were told",
        open.map(|seen| {
            let info = &seen["info"];
            row([
                ("symbol", text(info, "s")),
                ("side", text(info, "ps")),
                ("quantity", decimal(info, "pa")),
                ("contracts", decimal(seen, "contracts")),
                ("entry", decimal(info, "ep")),
            ])
        })
        .collect(),
        account.positions.iter().map(|position| {
            row([
                ("symbol", position.symbol.clone()),
                ("side", position_side(position.position_side)),
                ("quantity", position.qty.to_string()),
                ("contracts", position.qty.abs().to_string()),
                ("entry", position.entry_price.to_string()),
            ])
        }),
    );
    // Only what changed is told.
    let changed = account
        .wallets
        .iter()
        .filter(|(asset, _)| account.income.iter().any(|row| row.asset == **asset && row.income_type != "TRANSFER"));
    let changed: Vec<(&String, &Decimal)> = changed.collect();
    assert!(!changed.is_empty());
    for (asset, wallet) in changed {
        assert_eq!(decimal(&told["balance"], asset), wallet.to_string(), "the balance of {asset} that was told");
    }
}

fn seen_order(order: &Value) -> Row {
    let info = &order["info"];
    row([
        ("id", text(order, "id")),
        ("client id", text(order, "clientOrderId")),
        ("status", text(info, "X")),
        ("quantity", decimal(order, "amount")),
        ("filled", decimal(order, "filled")),
        ("average", decimal(info, "ap")),
    ])
}

fn seen_conditional(order: &Value) -> Row {
    let info = &order["info"];
    row([
        ("id", text(order, "id")),
        ("client id", text(order, "clientOrderId")),
        ("status", text(info, "X")),
        ("became", text(info, "ai")),
    ])
}
