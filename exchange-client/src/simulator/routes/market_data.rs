//! What everybody may ask: time, contracts, prices, funding.

use serde_json::{Value, json};

use super::{Answered, Ask};
use crate::simulator::fixed::{decimals_e8, mul_div, show_e8};
use crate::simulator::market::{Market, MarketStatus, Print};
use crate::simulator::refusal::Refusal;
use crate::simulator::request::Params;

/// What the book offers at its best prices, in steps of quantity.
const DEPTH_STEPS: i128 = 5_000;
/// How many levels of the book can be asked for.
const DEPTH_LIMITS: [usize; 7] = [5, 10, 20, 50, 100, 500, 1_000];

#[expect(clippy::unnecessary_wraps, reason = "the table of endpoints wants one signature")]
pub(super) fn ping(_: &mut Ask<'_>) -> Answered {
    Ok(json!({}))
}

#[expect(clippy::unnecessary_wraps, reason = "the table of endpoints wants one signature")]
pub(super) fn time(ask: &mut Ask<'_>) -> Answered {
    Ok(json!({ "serverTime": ask.now_ms() }))
}

pub(super) fn exchange_info(ask: &mut Ask<'_>) -> Answered {
    let symbols: Vec<Value> = ask.markets()?.into_iter().map(contract).collect();
    let mut assets: Vec<&str> = ask.config.markets.iter().map(|spec| spec.quote_asset.as_str()).collect();
    assets.push("BNB");
    assets.sort_unstable();
    assets.dedup();
    let limit = |kind: &str, interval: &str, number: u32, limit: Option<u32>| json!({ "rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit.unwrap_or(u32::MAX) });
    Ok(json!({
        "timezone": "UTC",
        "serverTime": ask.now_ms(),
        "futuresType": "U_MARGINED",
        "rateLimits": [
            limit("REQUEST_WEIGHT", "MINUTE", 1, ask.config.weight_1m_max),
            limit("ORDERS", "MINUTE", 1, ask.config.orders_1m_max),
            limit("ORDERS", "SECOND", 10, ask.config.orders_10s_max),
        ],
        "exchangeFilters": [],
        "assets": assets.iter().map(|asset| json!({
            "asset": asset, "marginAvailable": *asset != "BNB", "autoAssetExchange": "0",
        })).collect::<Value>(),
        "symbols": symbols,
    }))
}

fn contract(market: &Market) -> Value {
    let spec = &market.spec;
    let (step, qty_max) = (show_e8(market.step_e8, 0), show_e8(Market::QTY_MAX_E8, 0));
    let rate_e8 = market.bracket(0).rate_e8;
    json!({
        "symbol": spec.symbol, "pair": spec.symbol, "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000_i64, "onboardDate": 1_569_398_400_000_i64,
        "status": if market.status == MarketStatus::Trading { "TRADING" } else { "SETTLING" },
        "maintMarginPercent": show_e8(rate_e8 * 100, 4), "requiredMarginPercent": "5.0000",
        "baseAsset": spec.base_asset, "quoteAsset": spec.quote_asset, "marginAsset": spec.quote_asset,
        "pricePrecision": decimals_e8(market.tick_e8), "quantityPrecision": decimals_e8(market.step_e8),
        "baseAssetPrecision": 8, "quotePrecision": 8, "underlyingType": "COIN", "underlyingSubType": ["SIM"],
        "settlePlan": 0, "triggerProtect": "0.0500", "liquidationFee": show_e8(market.liquidation_fee_e8, 6), "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10_000,
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY"],
        "filters": [
            { "filterType": "PRICE_FILTER", "minPrice": spec.tick_size, "maxPrice": show_e8(Market::PRICE_MAX_E8, 0), "tickSize": spec.tick_size },
            { "filterType": "LOT_SIZE", "minQty": step, "maxQty": qty_max, "stepSize": step },
            { "filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": qty_max, "stepSize": step },
            { "filterType": "MAX_NUM_ORDERS", "limit": 200 },
            { "filterType": "MAX_NUM_ALGO_ORDERS", "limit": 200 },
            { "filterType": "MIN_NOTIONAL", "notional": "5" },
            { "filterType": "PERCENT_PRICE", "multiplierUp": "4.0000", "multiplierDown": "0.2500", "multiplierDecimal": "4" },
        ],
    })
}

pub(super) fn premium_index(ask: &mut Ask<'_>) -> Answered {
    let (now_ms, interval_ms) = (ask.now_ms(), ask.engine.funding_interval_ms);
    ask.one_or_all(|market| {
        let price = show_e8(market.price_e8, 8);
        json!({
            "symbol": market.spec.symbol, "markPrice": price, "indexPrice": price, "estimatedSettlePrice": price,
            "lastFundingRate": show_e8(market.funding_rate_e8, 8), "interestRate": "0.00010000",
            "nextFundingTime": (now_ms.div_euclid(interval_ms) + 1) * interval_ms, "time": now_ms,
        })
    })
}

pub(super) fn funding_rates(ask: &mut Ask<'_>) -> Answered {
    let limit = ask.params.limit(100, 1_000)?;
    let (since, until) = (ask.params.integer("startTime")?, ask.params.integer("endTime")?);
    let mut rows = Vec::new();
    for market in ask.markets()? {
        let inside = market.funding.iter().filter(|instant| {
            since.is_none_or(|since| instant.at_ms >= since) && until.is_none_or(|until| instant.at_ms <= until)
        });
        rows.extend(
            inside.map(|instant| (instant.at_ms, market.spec.symbol.as_str(), instant.rate_e8, instant.price_e8)),
        );
    }
    rows.sort_unstable();
    // With a beginning the first ones, else the latest.
    let skipped = if since.is_some() { 0 } else { rows.len().saturating_sub(limit) };
    let row = |(at_ms, symbol, rate_e8, price_e8): (i64, &str, i128, i128)| {
        json!({
            "symbol": symbol, "fundingRate": show_e8(rate_e8, 8), "fundingTime": at_ms, "markPrice": show_e8(price_e8, 8),
        })
    };
    Ok(rows.into_iter().skip(skipped).take(limit).map(row).collect())
}

pub(super) fn funding_info(ask: &mut Ask<'_>) -> Answered {
    let hours = ask.engine.funding_interval_ms / 3_600_000;
    let row = |market: &Market| {
        json!({
            "symbol": market.spec.symbol, "adjustedFundingRateCap": "0.02", "adjustedFundingRateFloor": "-0.02",
            "fundingIntervalHours": hours, "disclaimer": false,
        })
    };
    Ok(ask.markets()?.into_iter().map(row).collect())
}

/// What an order book costs: the deeper, the more.
pub(super) fn weight_of_depth(params: &Params) -> u32 {
    match params.limit(500, 1_000) {
        Ok(..=50) | Err(_) => 2,
        Ok(..=100) => 5,
        Ok(..=500) => 10,
        Ok(_) => 20,
    }
}

pub(super) fn depth(ask: &mut Ask<'_>) -> Answered {
    let (limit, now_ms) = (ask.params.integer("limit")?.unwrap_or(500), ask.now_ms());
    let limit = DEPTH_LIMITS
        .into_iter()
        .find(|known| i64::try_from(*known) == Ok(limit))
        .ok_or_else(|| Refusal::depth_limit(&limit.to_string()))?;
    let market = ask.market()?;
    let qty = show_e8(DEPTH_STEPS * market.step_e8, 0);
    let levels = |sign: i128| -> Value {
        let prices = (0..i128::try_from(limit).unwrap_or(5)).map(|level| {
            // The price is what buyers pay; the best bid is a tick below.
            let ticks = if sign > 0 { level } else { -level - 1 };
            market.price_e8 + ticks * market.tick_e8
        });
        prices.filter(|price_e8| *price_e8 > 0).map(|price_e8| json!([show_e8(price_e8, 0), qty])).collect()
    };
    Ok(json!({ "lastUpdateId": now_ms, "E": now_ms, "T": now_ms, "bids": levels(-1), "asks": levels(1) }))
}

pub(super) fn trades(ask: &mut Ask<'_>) -> Answered {
    let limit = ask.params.limit(500, 1_000)?;
    let rows = traded(ask)?;
    let skipped = rows.len().saturating_sub(limit);
    let row = |trade: &Print| {
        json!({
            "id": trade.id, "price": show_e8(trade.price_e8, 0), "qty": show_e8(trade.qty_e8, 3),
            "quoteQty": show_e8(mul_div(trade.qty_e8, trade.price_e8, 100_000_000), 0), "time": trade.at_ms,
            "isBuyerMaker": trade.is_buyer_maker,
        })
    };
    Ok(rows.iter().skip(skipped).map(row).collect())
}

/// Trades with those of the same order and price together. Here each has a price of its own.
pub(super) fn aggregate_trades(ask: &mut Ask<'_>) -> Answered {
    let limit = ask.params.limit(500, 1_000)?;
    let from = ask.params.integer("fromId")?;
    let (since, until) = (ask.params.integer("startTime")?, ask.params.integer("endTime")?);
    let mut rows = traded(ask)?;
    rows.retain(|trade| {
        from.is_none_or(|from| trade.id >= from)
            && since.is_none_or(|since| trade.at_ms >= since)
            && until.is_none_or(|until| trade.at_ms <= until)
    });
    // With a beginning the first ones, else the latest.
    let skipped = if from.is_some() || since.is_some() { 0 } else { rows.len().saturating_sub(limit) };
    let row = |trade: &Print| {
        json!({
            "a": trade.id, "p": show_e8(trade.price_e8, 0), "q": show_e8(trade.qty_e8, 3), "f": trade.id,
            "l": trade.id, "T": trade.at_ms, "m": trade.is_buyer_maker,
        })
    };
    Ok(rows.iter().skip(skipped).take(limit).map(row).collect())
}

/// What was traded in a contract, by id: by the accounts, and last by the rest of the market.
fn traded(ask: &Ask<'_>) -> Result<Vec<Print>, Refusal> {
    let market = ask.market()?;
    let books = ask.engine.books.accounts.iter();
    let own = books.flat_map(|book| book.trades.values()).filter(|trade| trade.symbol == market.spec.symbol);
    let mut rows: Vec<Print> = own.map(Print::of).chain(market.prints.iter().copied()).collect();
    rows.sort_by_key(|trade| trade.id);
    Ok(rows)
}

/// The best bid, how much is asked for at it, the best offer, and how much is offered.
pub(in crate::simulator) fn best_prices(market: &Market) -> [String; 4] {
    let qty = show_e8(DEPTH_STEPS * market.step_e8, 0);
    let bid_e8 = (market.price_e8 - market.tick_e8).max(market.tick_e8);
    [show_e8(bid_e8, 2), qty.clone(), show_e8(market.price_e8, 2), qty]
}

pub(super) fn ticker_price(ask: &mut Ask<'_>) -> Answered {
    let now_ms = ask.now_ms();
    ask.one_or_all(
        |market| json!({ "symbol": market.spec.symbol, "price": show_e8(market.price_e8, 2), "time": now_ms }),
    )
}

pub(super) fn book_ticker(ask: &mut Ask<'_>) -> Answered {
    let now_ms = ask.now_ms();
    ask.one_or_all(|market| {
        let [bid, bid_qty, ask, ask_qty] = best_prices(market);
        json!({
            "symbol": market.spec.symbol, "bidPrice": bid, "bidQty": bid_qty, "askPrice": ask, "askQty": ask_qty,
            "time": now_ms, "lastUpdateId": now_ms,
        })
    })
}

pub(super) fn open_interest(ask: &mut Ask<'_>) -> Answered {
    let (symbol, now_ms) = (ask.symbol()?, ask.now_ms());
    let mut long_e8 = ask.engine.books.house_positions_e8.get(&symbol).copied().unwrap_or(0).max(0);
    for book in &ask.engine.books.accounts {
        for (_, _, position) in book.open_positions().filter(|(of, _, _)| *of == symbol) {
            long_e8 += position.qty_e8.max(0);
        }
    }
    Ok(json!({ "symbol": symbol, "openInterest": show_e8(long_e8, 3), "time": now_ms }))
}
