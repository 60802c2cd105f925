//! Positions, balances and settings, as read and as known.

use std::collections::BTreeMap;

use exchange_client::simulator::{AccountSnapshot, ContractSettings, MarginTruth, PositionTruth};
use ledger_core::{Decimal, PositionSide};
use serde_json::Value;

use super::rows::{Row, decimal, position_side, read, row, same, text, unified_symbol};

/// Compares with what is known; `prices` are the current ones.
pub(super) fn compare(reading: &Value, account: &AccountSnapshot, prices: &BTreeMap<String, Decimal>) {
    assert_eq!(reading["mode"]["hedged"], account.hedge_mode, "the position mode");
    let positions = || account.positions.iter();
    same(
        "positions",
        read(&reading["positions"], seen_position),
        positions().map(|position| known_position(position, prices[&position.symbol])),
    );
    let unified = || positions().map(|position| known_unified(position, &account.settings[&position.symbol]));
    same("unified positions", read(&reading["positions"], seen_unified), unified());
    same(
        "positions of the account",
        read(&reading["positions_of_account"], seen_of_account),
        positions().map(known_of_account),
    );
    same("unified positions of the older endpoint", read(&reading["positions_v2"], seen_unified), unified());

    let assets = reading["balance"]["info"]["assets"].as_array().unwrap();
    let held = assets.iter().filter(|row| decimal(row, "walletBalance") != "0");
    let wallets = || account.wallets.iter().filter(|(_, wallet)| **wallet != Decimal::ZERO);
    same(
        "wallets",
        held.map(|seen| row([("asset", text(seen, "asset")), ("wallet", decimal(seen, "walletBalance"))])).collect(),
        wallets().map(|(asset, wallet)| row([("asset", asset.clone()), ("wallet", wallet.to_string())])),
    );
    let balances = reading["balances_v3"].as_array().unwrap();
    let held = balances.iter().filter(|row| decimal(row, "balance") != "0");
    same(
        "balances",
        held.map(|seen| {
            row([
                ("alias", text(seen, "accountAlias")),
                ("asset", text(seen, "asset")),
                ("wallet", decimal(seen, "balance")),
                ("unrealized", decimal(seen, "crossUnPnl")),
            ])
        })
        .collect(),
        wallets().map(|(asset, wallet)| {
            row([
                ("alias", account.alias.clone()),
                ("asset", asset.clone()),
                ("wallet", wallet.to_string()),
                ("unrealized", unrealized(account, asset).to_string()),
            ])
        }),
    );
    same("margins", read(&reading["balance"]["info"]["assets"], seen_margin), account.margins.iter().map(known_margin));
    // What ccxt calls total is the wallet with the profit that is not yet realized.
    for (asset, wallet) in wallets() {
        let margin = &account.margins[asset];
        let of = |name: &str| decimal(&reading["balance"][name], asset);
        assert_eq!(of("total"), wallet.checked_add(margin.unrealized).unwrap().to_string(), "the total of {asset}");
        assert_eq!(of("used"), margin.initial.to_string(), "what is used of {asset}");
        assert_eq!(of("free"), margin.available.to_string(), "what is free of {asset}");
    }
    let leverages = reading["leverages"].as_object().unwrap().values();
    same("settings", leverages.map(seen_settings).collect(), account.settings.iter().map(known_settings));
}

fn unrealized(account: &AccountSnapshot, asset: &str) -> Decimal {
    let settled_in = account.positions.iter().filter(|position| position.symbol.ends_with(asset));
    settled_in.fold(Decimal::ZERO, |sum, position| sum.checked_add(position.unrealized).unwrap())
}

fn seen_margin(asset: &Value) -> Row {
    row([
        ("asset", text(asset, "asset")),
        ("initialMargin", decimal(asset, "initialMargin")),
        ("maintMargin", decimal(asset, "maintMargin")),
        ("unrealizedProfit", decimal(asset, "unrealizedProfit")),
        ("availableBalance", decimal(asset, "availableBalance")),
    ])
}

fn known_margin((asset, margin): (&String, &MarginTruth)) -> Row {
    row([
        ("asset", asset.clone()),
        ("initialMargin", margin.initial.to_string()),
        ("maintMargin", margin.maintenance.to_string()),
        ("unrealizedProfit", margin.unrealized.to_string()),
        ("availableBalance", margin.available.to_string()),
    ])
}

fn seen_settings(leverage: &Value) -> Row {
    row([
        ("symbol", text(leverage, "symbol")),
        ("margin mode", text(leverage, "marginMode")),
        ("long", text(leverage, "longLeverage")),
        ("short", text(leverage, "shortLeverage")),
    ])
}

fn known_settings((symbol, settings): (&String, &ContractSettings)) -> Row {
    row([
        ("symbol", unified_symbol(symbol)),
        ("margin mode", margin_mode(settings).to_owned()),
        ("long", settings.leverage.to_string()),
        ("short", settings.leverage.to_string()),
    ])
}

fn seen_position(position: &Value) -> Row {
    let info = &position["info"];
    row([
        ("symbol", text(info, "symbol")),
        ("positionSide", text(info, "positionSide")),
        ("positionAmt", decimal(info, "positionAmt")),
        ("entryPrice", decimal(info, "entryPrice")),
        ("markPrice", decimal(info, "markPrice")),
        ("unRealizedProfit", decimal(info, "unRealizedProfit")),
        ("liquidationPrice", decimal(info, "liquidationPrice")),
    ])
}

fn known_position(position: &PositionTruth, price: Decimal) -> Row {
    row([
        ("symbol", position.symbol.clone()),
        ("positionSide", position_side(position.position_side)),
        ("positionAmt", position.qty.to_string()),
        ("entryPrice", position.entry_price.to_string()),
        ("markPrice", price.to_string()),
        ("unRealizedProfit", position.unrealized.to_string()),
        ("liquidationPrice", position.liquidation_price.to_string()),
    ])
}

fn seen_unified(position: &Value) -> Row {
    row([
        ("symbol", text(position, "symbol")),
        ("side", text(position, "side")),
        ("contracts", decimal(position, "contracts")),
        ("entry price", decimal(position, "entryPrice")),
        ("unrealized", decimal(position, "unrealizedPnl")),
        ("margin mode", text(position, "marginMode")),
        ("hedged", text(position, "hedged")),
    ])
}

fn known_unified(position: &PositionTruth, settings: &ContractSettings) -> Row {
    row([
        ("symbol", unified_symbol(&position.symbol)),
        ("side", if position.qty > Decimal::ZERO { "long" } else { "short" }.to_owned()),
        ("contracts", position.qty.abs().to_string()),
        ("entry price", position.entry_price.to_string()),
        ("unrealized", position.unrealized.to_string()),
        ("margin mode", margin_mode(settings).to_owned()),
        ("hedged", (position.position_side != PositionSide::Net).to_string()),
    ])
}

fn seen_of_account(position: &Value) -> Row {
    let info = &position["info"];
    row([
        ("symbol", text(info, "symbol")),
        ("positionSide", text(info, "positionSide")),
        ("positionAmt", decimal(info, "positionAmt")),
        ("unrealizedProfit", decimal(info, "unrealizedProfit")),
    ])
}

fn known_of_account(position: &PositionTruth) -> Row {
    row([
        ("symbol", position.symbol.clone()),
        ("positionSide", position_side(position.position_side)),
        ("positionAmt", position.qty.to_string()),
        ("unrealizedProfit", position.unrealized.to_string()),
    ])
}

fn margin_mode(settings: &ContractSettings) -> &'static str {
    if settings.isolated { "isolated" } else { "cross" }
}
