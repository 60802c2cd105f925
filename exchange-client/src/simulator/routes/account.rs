//! Balances, positions, and the account's settings.

use serde_json::{Value, json};

use super::{Answered, Ask};
use crate::simulator::books::PositionSide;
use crate::simulator::fixed::show_e8;
use crate::simulator::margin::Margin;
use crate::simulator::position::Position;
use crate::simulator::refusal::Refusal;
use crate::simulator::settings::value_max_e8;

impl Ask<'_> {
    /// How the account stands, by asset; the assets that anything is settled in, and those that it holds.
    fn margins(&self) -> Vec<(String, Margin)> {
        let mut assets: Vec<String> = self.config.markets.iter().map(|spec| spec.quote_asset.clone()).collect();
        if let Some(book) = self.engine.books.accounts.get(self.account) {
            assets.extend(book.wallets_e8.keys().cloned());
        }
        assets.sort_unstable();
        assets.dedup();
        assets.into_iter().map(|asset| (asset.clone(), self.engine.margin(self.account, &asset))).collect()
    }

    /// The positions that an answer lists: contract, side, position. Without `flat` only those of contracts with a
    /// position or an open order.
    fn positions(&self, flat: bool) -> Result<Vec<(String, PositionSide, Position)>, Refusal> {
        let (Some(book), Some(standing)) =
            (self.engine.books.accounts.get(self.account), self.engine.accounts.get(self.account))
        else {
            return Ok(Vec::new());
        };
        let mut rows = Vec::new();
        for market in self.markets()? {
            let symbol = market.spec.symbol.as_str();
            let held = |side: &PositionSide| book.qty_e8(symbol, *side) != 0;
            let sides = self.engine.sides(self.account);
            if flat || sides.iter().any(held) || standing.open_orders(symbol).next().is_some() {
                rows.extend(
                    sides.iter().map(|side| {
                        (symbol.to_owned(), *side, book.position(symbol, *side).cloned().unwrap_or_default())
                    }),
                );
            }
        }
        Ok(rows)
    }

    /// What a position ties up and needs: initial margin, the part of it for open orders, maintenance margin.
    fn position_margins(&self, symbol: &str, position: &Position) -> (i128, i128, i128) {
        let (Some(standing), Some(market)) = (self.engine.accounts.get(self.account), self.engine.markets.get(symbol))
        else {
            return (0, 0, 0);
        };
        let notional_e8 = position.notional_e8(market.price_e8);
        let for_position_e8 = notional_e8.abs() / standing.leverage(symbol);
        let for_orders_e8 = self.engine.order_margin_e8(self.account, symbol, None);
        (for_position_e8, for_orders_e8, market.maintenance_e8(notional_e8).max(0))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the table of endpoints wants one signature")]
pub(super) fn balances(ask: &mut Ask<'_>) -> Answered {
    let alias = ask.config.accounts.get(ask.account).map_or("", |account| account.alias.as_str());
    let now_ms = ask.now_ms();
    let row = |(asset, margin): (String, Margin)| {
        let available = show_e8(margin.available_e8().max(0), 8);
        json!({
            "accountAlias": alias, "asset": asset, "balance": show_e8(margin.wallet_e8, 8),
            "crossWalletBalance": show_e8(margin.cross_wallet_e8(), 8),
            "crossUnPnl": show_e8(margin.cross_unrealized_e8, 8), "availableBalance": available,
            "maxWithdrawAmount": available, "marginAvailable": asset != "BNB", "updateTime": now_ms,
        })
    };
    Ok(ask.margins().into_iter().map(row).collect())
}

pub(super) fn account_v3(ask: &mut Ask<'_>) -> Answered {
    let positions = ask.positions(false)?;
    Ok(account(ask, &positions, false))
}

pub(super) fn account_v2(ask: &mut Ask<'_>) -> Answered {
    let positions = ask.positions(true)?;
    Ok(account(ask, &positions, true))
}

fn account(ask: &Ask<'_>, positions: &[(String, PositionSide, Position)], is_v2: bool) -> Value {
    let margins = ask.margins();
    let now_ms = ask.now_ms();
    // In single-asset mode the totals are those of USDT.
    let usdt = margins.iter().find(|(asset, _)| asset == "USDT").map_or_else(Margin::default, |(_, margin)| *margin);
    let asset_row = |(asset, margin): &(String, Margin)| {
        let available = show_e8(margin.available_e8().max(0), 8);
        json!({
            "asset": asset, "walletBalance": show_e8(margin.wallet_e8, 8),
            "unrealizedProfit": show_e8(margin.unrealized_e8, 8),
            "marginBalance": show_e8(margin.wallet_e8 + margin.unrealized_e8, 8),
            "maintMargin": show_e8(margin.maintenance_e8, 8),
            "initialMargin": show_e8(margin.position_initial_e8 + margin.order_initial_e8, 8),
            "positionInitialMargin": show_e8(margin.position_initial_e8, 8),
            "openOrderInitialMargin": show_e8(margin.order_initial_e8, 8),
            "crossWalletBalance": show_e8(margin.cross_wallet_e8(), 8),
            "crossUnPnl": show_e8(margin.cross_unrealized_e8, 8), "availableBalance": available,
            "maxWithdrawAmount": available, "marginAvailable": asset != "BNB", "updateTime": now_ms,
        })
    };
    let position_row = |(symbol, side, position): &(String, PositionSide, Position)| {
        let price_e8 = ask.engine.markets.get(symbol).map_or(0, |market| market.price_e8);
        let (for_position_e8, for_orders_e8, maintenance_e8) = ask.position_margins(symbol, position);
        let unrealized_e8 = position.unrealized_e8(price_e8);
        let isolated_e8 = if position.isolated_e8 == 0 { 0 } else { position.isolated_e8 + unrealized_e8 };
        let mut row = json!({
            "symbol": symbol, "positionSide": side.as_str(), "positionAmt": show_e8(position.qty_e8, 3),
            "unrealizedProfit": show_e8(unrealized_e8, 8), "isolatedMargin": show_e8(isolated_e8, 8),
            "notional": show_e8(position.notional_e8(price_e8), 8),
            "isolatedWallet": show_e8(position.isolated_e8, 8),
            "initialMargin": show_e8(for_position_e8 + for_orders_e8, 8), "maintMargin": show_e8(maintenance_e8, 8),
            "updateTime": position.updated_ms,
        });
        if is_v2 && let Some(fields) = row.as_object_mut() {
            let standing = ask.engine.accounts.get(ask.account);
            let leverage = standing.map_or(20, |standing| standing.leverage(symbol));
            let max_e8 = ask.engine.markets.get(symbol).map_or(0, |market| value_max_e8(market, leverage));
            let more = json!({
                "leverage": leverage.to_string(), "entryPrice": show_e8(position.entry_price_e8(), 1),
                "breakEvenPrice": show_e8(position.entry_price_e8(), 1),
                "isolated": standing.is_some_and(|standing| standing.is_isolated(symbol)),
                "positionInitialMargin": show_e8(for_position_e8, 8), "openOrderInitialMargin": show_e8(for_orders_e8, 8),
                "maxNotional": show_e8(max_e8, 0), "bidNotional": "0", "askNotional": "0",
            });
            if let Value::Object(more) = more {
                fields.extend(more);
            }
        }
        row
    };
    let mut answer = json!({
        "totalInitialMargin": show_e8(usdt.position_initial_e8 + usdt.order_initial_e8, 8),
        "totalMaintMargin": show_e8(usdt.maintenance_e8, 8), "totalWalletBalance": show_e8(usdt.wallet_e8, 8),
        "totalUnrealizedProfit": show_e8(usdt.unrealized_e8, 8),
        "totalMarginBalance": show_e8(usdt.wallet_e8 + usdt.unrealized_e8, 8),
        "totalPositionInitialMargin": show_e8(usdt.position_initial_e8, 8),
        "totalOpenOrderInitialMargin": show_e8(usdt.order_initial_e8, 8),
        "totalCrossWalletBalance": show_e8(usdt.cross_wallet_e8(), 8),
        "totalCrossUnPnl": show_e8(usdt.cross_unrealized_e8, 8),
        "availableBalance": show_e8(usdt.available_e8().max(0), 8),
        "maxWithdrawAmount": show_e8(usdt.available_e8().max(0), 8),
        "assets": margins.iter().map(asset_row).collect::<Value>(),
        "positions": positions.iter().map(position_row).collect::<Value>(),
    });
    if is_v2 && let Some(fields) = answer.as_object_mut() {
        for flag in ["canTrade", "canDeposit", "canWithdraw"] {
            fields.insert(flag.into(), true.into());
        }
        let burns = ask.engine.accounts.get(ask.account).is_some_and(|standing| standing.fees_in_bnb);
        fields.insert("feeBurn".into(), burns.into());
        fields.insert("tradeGroupId".into(), (-1).into());
        fields.insert("multiAssetsMargin".into(), false.into());
        fields.insert("feeTier".into(), 0.into());
        fields.insert("updateTime".into(), now_ms.into());
    }
    answer
}

pub(super) fn position_risk_v3(ask: &mut Ask<'_>) -> Answered {
    let positions = ask.positions(false)?;
    Ok(positions.iter().map(|(symbol, side, position)| risk(ask, symbol, *side, position, false)).collect())
}

pub(super) fn position_risk_v2(ask: &mut Ask<'_>) -> Answered {
    let positions = ask.positions(true)?;
    Ok(positions.iter().map(|(symbol, side, position)| risk(ask, symbol, *side, position, true)).collect())
}

fn risk(ask: &Ask<'_>, symbol: &str, side: PositionSide, position: &Position, is_v2: bool) -> Value {
    let (Some(market), Some(standing)) = (ask.engine.markets.get(symbol), ask.engine.accounts.get(ask.account)) else {
        return Value::Null;
    };
    let unrealized_e8 = position.unrealized_e8(market.price_e8);
    let liquidation_e8 =
        if position.qty_e8 == 0 { 0 } else { ask.engine.liquidation_price_e8(ask.account, symbol, position) };
    let is_isolated = standing.is_isolated(symbol);
    let isolated_e8 = if is_isolated { position.isolated_e8 + unrealized_e8 } else { 0 };
    let mut row = json!({
        "symbol": symbol, "positionSide": side.as_str(), "positionAmt": show_e8(position.qty_e8, 3),
        "entryPrice": show_e8(position.entry_price_e8(), 1), "breakEvenPrice": show_e8(position.entry_price_e8(), 1),
        "markPrice": show_e8(market.price_e8, 8), "unRealizedProfit": show_e8(unrealized_e8, 8),
        "liquidationPrice": show_e8(liquidation_e8, 0), "isolatedMargin": show_e8(isolated_e8, 8),
        "notional": show_e8(position.notional_e8(market.price_e8), 8),
        "isolatedWallet": show_e8(position.isolated_e8, 8), "updateTime": position.updated_ms,
    });
    let more = if is_v2 {
        let leverage = standing.leverage(symbol);
        json!({
            "leverage": leverage.to_string(), "maxNotionalValue": show_e8(value_max_e8(market, leverage), 0),
            "marginType": if is_isolated { "isolated" } else { "cross" }, "isAutoAddMargin": "false",
        })
    } else {
        let (for_position_e8, for_orders_e8, maintenance_e8) = ask.position_margins(symbol, position);
        json!({
            "marginAsset": market.spec.quote_asset, "adl": i32::from(position.qty_e8 != 0),
            "initialMargin": show_e8(for_position_e8 + for_orders_e8, 8), "maintMargin": show_e8(maintenance_e8, 8),
            "positionInitialMargin": show_e8(for_position_e8, 8), "openOrderInitialMargin": show_e8(for_orders_e8, 8),
            "bidNotional": "0", "askNotional": "0",
        })
    };
    if let (Some(fields), Value::Object(more)) = (row.as_object_mut(), more) {
        fields.extend(more);
    }
    row
}

#[expect(clippy::unnecessary_wraps, reason = "the table of endpoints wants one signature")]
pub(super) fn account_config(ask: &mut Ask<'_>) -> Answered {
    let hedge = ask.engine.accounts.get(ask.account).is_some_and(|standing| standing.hedge);
    Ok(json!({
        "feeTier": 0, "canTrade": true, "canDeposit": true, "canWithdraw": true, "dualSidePosition": hedge,
        "updateTime": 0, "multiAssetsMargin": false, "tradeGroupId": -1,
    }))
}

pub(super) fn symbol_config(ask: &mut Ask<'_>) -> Answered {
    let standing = ask.engine.accounts.get(ask.account).ok_or_else(Refusal::key)?;
    let rows = ask.markets()?.into_iter().map(|market| {
        let symbol = market.spec.symbol.as_str();
        let leverage = standing.leverage(symbol);
        json!({
            "symbol": symbol, "marginType": if standing.is_isolated(symbol) { "ISOLATED" } else { "CROSSED" },
            "isAutoAddMargin": false, "leverage": i64::try_from(leverage).unwrap_or(1),
            "maxNotionalValue": show_e8(value_max_e8(market, leverage), 0),
        })
    });
    Ok(rows.collect())
}

pub(super) fn leverage_brackets(ask: &mut Ask<'_>) -> Answered {
    let whole = |e8: i128| i64::try_from(e8 / 100_000_000).unwrap_or(i64::MAX);
    let rows = ask.markets()?.into_iter().map(|market| {
        let brackets: Vec<Value> = market
            .brackets
            .iter()
            .map(|bracket| {
                json!({
                    "bracket": bracket.number, "initialLeverage": i64::try_from(bracket.leverage_max).unwrap_or(1),
                    "notionalCap": whole(bracket.cap_e8), "notionalFloor": whole(bracket.floor_e8),
                    // JSON numbers on the real exchange, exact in both.
                    "maintMarginRatio": number(bracket.rate_e8), "cum": number(bracket.deduction_e8),
                })
            })
            .collect();
        json!({ "symbol": market.spec.symbol, "notionalCoef": 1, "brackets": brackets })
    });
    Ok(rows.collect())
}

/// A decimal as a JSON number, with all its digits.
fn number(value_e8: i128) -> Value {
    serde_json::from_str(&show_e8(value_e8, 0)).unwrap_or(Value::Null)
}

pub(super) fn commission_rate(ask: &mut Ask<'_>) -> Answered {
    let symbol = ask.symbol()?;
    let standing = ask.engine.accounts.get(ask.account).ok_or_else(Refusal::key)?;
    Ok(json!({
        "symbol": symbol, "makerCommissionRate": show_e8(standing.maker_fee_e8, 4),
        "takerCommissionRate": show_e8(standing.taker_fee_e8, 4), "rpiCommissionRate": "0",
    }))
}

#[expect(clippy::unnecessary_wraps, reason = "the table of endpoints wants one signature")]
pub(super) fn multi_assets_margin(_: &mut Ask<'_>) -> Answered {
    Ok(json!({ "multiAssetsMargin": false }))
}

/// There is one mode only.
pub(super) fn set_multi_assets_margin(ask: &mut Ask<'_>) -> Answered {
    let wanted = ask.params.boolean("multiAssetsMargin")?.ok_or_else(|| Refusal::missing("multiAssetsMargin"))?;
    Err(if wanted { Refusal::no_multi_assets() } else { Refusal::multi_assets_unchanged() })
}

#[expect(clippy::unnecessary_wraps, reason = "the table of endpoints wants one signature")]
pub(super) fn api_trading_status(ask: &mut Ask<'_>) -> Answered {
    Ok(json!({ "indicators": {}, "updateTime": ask.now_ms() }))
}

pub(super) fn fee_burn(ask: &mut Ask<'_>) -> Answered {
    let standing = ask.engine.accounts.get(ask.account).ok_or_else(Refusal::key)?;
    Ok(json!({ "feeBurn": standing.fees_in_bnb }))
}

/// One row a contract, with each of the sides that a position can have. Where both legs share the wallet they are not
/// deleveraged apart, which `HEDGE` tells.
pub(super) fn adl_quantile(ask: &mut Ask<'_>) -> Answered {
    let standing = ask.engine.accounts.get(ask.account).ok_or_else(Refusal::key)?;
    let book = ask.engine.books.accounts.get(ask.account).ok_or_else(Refusal::key)?;
    let mut rows = Vec::new();
    for market in ask.markets()? {
        let symbol = market.spec.symbol.as_str();
        let quantile = |side| i32::from(book.qty_e8(symbol, side) != 0);
        let [long, short, both] = [PositionSide::Long, PositionSide::Short, PositionSide::Both].map(quantile);
        let third = if standing.hedge && !standing.is_isolated(symbol) { "HEDGE" } else { "BOTH" };
        if long + short + both > 0 {
            rows.push(json!({ "symbol": symbol, "adlQuantile": { "LONG": long, "SHORT": short, third: both } }));
        }
    }
    Ok(rows.into())
}

#[expect(clippy::unnecessary_wraps, reason = "the table of endpoints wants one signature")]
pub(super) fn order_limits(ask: &mut Ask<'_>) -> Answered {
    Ok(json!([
        { "rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": ask.config.orders_10s_max },
        { "rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": ask.config.orders_1m_max },
    ]))
}

pub(super) fn position_mode(ask: &mut Ask<'_>) -> Answered {
    let standing = ask.engine.accounts.get(ask.account).ok_or_else(Refusal::key)?;
    Ok(json!({ "dualSidePosition": standing.hedge }))
}

pub(super) fn set_position_mode(ask: &mut Ask<'_>) -> Answered {
    let hedge = ask.params.boolean("dualSidePosition")?.ok_or_else(|| Refusal::missing("dualSidePosition"))?;
    ask.engine.set_hedge(ask.account, hedge)?;
    Ok(json!({ "code": 200, "msg": "success" }))
}

pub(super) fn set_leverage(ask: &mut Ask<'_>) -> Answered {
    let symbol = ask.symbol()?;
    let leverage = ask.params.integer("leverage")?.ok_or_else(|| Refusal::missing("leverage"))?;
    let max_e8 = ask.engine.set_leverage(ask.account, &symbol, leverage)?;
    Ok(json!({ "leverage": leverage, "maxNotionalValue": show_e8(max_e8, 0), "symbol": symbol }))
}

pub(super) fn set_margin_type(ask: &mut Ask<'_>) -> Answered {
    let symbol = ask.symbol()?;
    let isolated = match ask.params.required("marginType")? {
        "ISOLATED" => true,
        "CROSSED" => false,
        _ => return Err(Refusal::invalid("marginType")),
    };
    ask.engine.set_isolated(ask.account, &symbol, isolated)?;
    Ok(json!({ "code": 200, "msg": "success" }))
}

pub(super) fn move_margin(ask: &mut Ask<'_>) -> Answered {
    let symbol = ask.symbol()?;
    let side = ask.params.position_side()?;
    ask.engine.check_side(ask.account, side)?;
    let amount = ask.params.required("amount")?;
    let amount_e8 = ask.params.decimal_e8("amount")?.filter(|amount_e8| *amount_e8 > 0);
    let amount_e8 = amount_e8.ok_or_else(|| Refusal::invalid("amount"))?;
    let direction = match ask.params.required("type")? {
        "1" => 1,
        "2" => -1,
        _ => return Err(Refusal::invalid("type")),
    };
    ask.engine.move_margin(ask.account, &symbol, side, direction * amount_e8)?;
    let kind = if direction == 1 { 1 } else { 2 };
    Ok(json!({ "amount": amount, "code": 200, "msg": "Successfully modify position margin.", "type": kind }))
}

pub(super) fn set_fee_burn(ask: &mut Ask<'_>) -> Answered {
    let burns = ask.params.boolean("feeBurn")?.ok_or_else(|| Refusal::missing("feeBurn"))?;
    ask.engine.accounts.get_mut(ask.account).ok_or_else(Refusal::key)?.fees_in_bnb = burns;
    Ok(json!({ "code": 200, "msg": "success" }))
}
