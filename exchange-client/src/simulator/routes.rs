//! Which question gets which answer: the part of the REST interface that the simulator speaks, with its page limits,
//! windows and retention.

use serde_json::{Value, json};

use super::Simulator;
use super::books::{Income, Trade};
use super::engine::Engine;
use super::fixed::{ONE_E8, mul_div, show_e8};
use super::market::Market;
use super::order::{Kind, Lookup, Order, Status, Ticket};
use super::refusal::Refusal;
use super::request::{Incoming, Params, check_signed};

const DAY_MS: i64 = 86_400_000;
const WINDOW_MS_MAX: i64 = 7 * DAY_MS;
const RETENTION_MS: i64 = 90 * DAY_MS;
const UNFILLED_RETENTION_MS: i64 = 3 * DAY_MS;

type Answered = Result<Value, Refusal>;

/// What a request costs, per minute and address.
pub(super) fn weight(incoming: &Incoming<'_>, params: &Params) -> u32 {
    let one_symbol = params.get("symbol").is_some();
    match (incoming.method, incoming.path) {
        (
            "GET",
            "/fapi/v3/balance"
            | "/fapi/v3/positionRisk"
            | "/fapi/v1/allOrders"
            | "/fapi/v1/allAlgoOrders"
            | "/fapi/v1/userTrades",
        ) => 5,
        ("GET", "/fapi/v1/income" | "/fapi/v1/positionSide/dual") => 30,
        ("GET", "/fapi/v1/openOrders" | "/fapi/v1/openAlgoOrders") if !one_symbol => 40,
        ("GET", "/fapi/v1/forceOrders") => {
            if one_symbol {
                20
            } else {
                50
            }
        }
        ("GET", "/fapi/v1/premiumIndex") if !one_symbol => 10,
        ("POST", "/fapi/v1/order") => 0,
        _ => 1,
    }
}

pub(super) fn answer(simulator: &Simulator, engine: &mut Engine, incoming: &Incoming<'_>, params: &Params) -> Answered {
    match (incoming.method, incoming.path) {
        ("GET", "/fapi/v1/ping") => Ok(json!({})),
        ("GET", "/fapi/v1/time") => Ok(json!({ "serverTime": engine.now_ms })),
        ("GET", "/fapi/v1/exchangeInfo") => Ok(exchange_info(engine)),
        ("GET", "/fapi/v1/premiumIndex") => premium_index(engine, params),
        _ => {
            let key = incoming.api_key.filter(|key| !key.is_empty()).ok_or_else(Refusal::key_format)?;
            let (account, secret) = simulator.account_of_key(key).ok_or_else(Refusal::key)?;
            check_signed(incoming, params, secret, engine.now_ms)?;
            signed(simulator, engine, account, incoming, params)
        }
    }
}

fn signed(
    simulator: &Simulator,
    engine: &mut Engine,
    account: usize,
    incoming: &Incoming<'_>,
    params: &Params,
) -> Answered {
    match (incoming.method, incoming.path) {
        ("GET", "/fapi/v3/balance") => Ok(balance(engine, account, simulator.alias(account))),
        ("GET", "/fapi/v3/positionRisk") => position_risk(engine, account, params),
        ("GET", "/fapi/v1/positionSide/dual") => {
            Ok(json!({ "dualSidePosition": engine.accounts.get(account).is_some_and(|standing| standing.hedge) }))
        }
        ("POST", "/fapi/v1/positionSide/dual") => {
            let hedge = params.boolean("dualSidePosition")?.ok_or_else(|| Refusal::missing("dualSidePosition"))?;
            engine.set_hedge(account, hedge)?;
            Ok(json!({ "code": 200, "msg": "success" }))
        }
        ("GET", "/fapi/v1/openOrders") => open_orders(engine, account, params),
        ("GET", "/fapi/v1/allOrders") => all_orders(engine, account, params),
        ("GET", "/fapi/v1/order") => {
            let (symbol, lookup) = (known_symbol(engine, params)?, lookup(params)?);
            let found = engine.find(account, symbol, &lookup).filter(|order| is_kept(order, engine.now_ms));
            found.map(|order| order_json(order, true)).ok_or_else(Refusal::no_such_order)
        }
        ("POST", "/fapi/v1/order") => {
            let ticket = ticket(engine, params)?;
            let order = engine.place(account, ticket)?;
            Ok(order_json(&order, false))
        }
        ("DELETE", "/fapi/v1/order") => {
            let (symbol, lookup) = (known_symbol(engine, params)?.to_owned(), lookup(params)?);
            let order = engine.cancel(account, &symbol, &lookup)?;
            Ok(order_json(&order, false))
        }
        // There are no conditional and no forced orders here yet.
        ("GET", "/fapi/v1/openAlgoOrders" | "/fapi/v1/allAlgoOrders" | "/fapi/v1/forceOrders") => Ok(json!([])),
        ("GET", "/fapi/v1/algoOrder") => Err(Refusal::no_such_order()),
        ("GET", "/fapi/v1/userTrades") => user_trades(engine, account, params),
        ("GET", "/fapi/v1/income") => income(engine, account, params),
        _ => Err(Refusal::no_such_path()),
    }
}

fn known_symbol<'a>(engine: &Engine, params: &'a Params) -> Result<&'a str, Refusal> {
    let symbol = params.required("symbol")?;
    if engine.markets.contains_key(symbol) { Ok(symbol) } else { Err(Refusal::symbol()) }
}

fn optional_symbol<'a>(engine: &Engine, params: &'a Params) -> Result<Option<&'a str>, Refusal> {
    params.get("symbol").map(|_| known_symbol(engine, params)).transpose()
}

fn lookup(params: &Params) -> Result<Lookup, Refusal> {
    match (params.integer("orderId")?, params.get("origClientOrderId")) {
        (Some(id), _) => Ok(Lookup::Id(id)),
        (None, Some(client_order_id)) => Ok(Lookup::Client(client_order_id.to_owned())),
        (None, None) => Err(Refusal::missing("orderId")),
    }
}

fn ticket(engine: &Engine, params: &Params) -> Result<Ticket, Refusal> {
    let symbol = known_symbol(engine, params)?.to_owned();
    let buy = match params.required("side")? {
        "BUY" => true,
        "SELL" => false,
        _ => return Err(Refusal::side()),
    };
    let order_type = params.required("type")?;
    let kind = match order_type {
        "MARKET" => Kind::Market,
        "LIMIT" => {
            if params.required("timeInForce")? != "GTC" {
                return Err(Refusal::invalid("timeInForce"));
            }
            Kind::Limit { price_e8: params.decimal_e8("price")?.ok_or_else(|| Refusal::missing("price"))? }
        }
        "STOP" | "STOP_MARKET" | "TAKE_PROFIT" | "TAKE_PROFIT_MARKET" | "TRAILING_STOP_MARKET" => {
            return Err(Refusal::algo_endpoint());
        }
        _ => return Err(Refusal::order_type()),
    };
    let client_order_id = params.get("newClientOrderId").map(str::to_owned);
    let valid = |id: &str| {
        id.len() <= 36 && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'/' | b'_' | b'-'))
    };
    if client_order_id.as_deref().is_some_and(|id| !valid(id)) {
        return Err(Refusal::client_order_id());
    }
    let reduce_only = params.boolean("reduceOnly")?;
    let position_side = params.position_side()?;
    if reduce_only.is_some() && position_side != super::books::PositionSide::Both {
        return Err(Refusal::not_required("reduceonly"));
    }
    Ok(Ticket {
        symbol,
        buy,
        position_side,
        kind,
        qty_e8: params.decimal_e8("quantity")?.ok_or_else(|| Refusal::missing("quantity"))?,
        reduce_only: reduce_only.unwrap_or(false),
        client_order_id,
    })
}

fn exchange_info(engine: &Engine) -> Value {
    let symbols: Vec<Value> = engine.markets.values().map(contract_json).collect();
    json!({
        "timezone": "UTC",
        "serverTime": engine.now_ms,
        "rateLimits": [
            { "rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400 },
        ],
        "exchangeFilters": [],
        "symbols": symbols,
    })
}

fn contract_json(market: &Market) -> Value {
    let spec = &market.spec;
    json!({
        "symbol": spec.symbol, "pair": spec.symbol, "contractType": "PERPETUAL", "status": "TRADING",
        "baseAsset": spec.base_asset, "quoteAsset": spec.quote_asset, "marginAsset": spec.quote_asset,
        "pricePrecision": 8, "quantityPrecision": 8, "baseAssetPrecision": 8, "quotePrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"], "timeInForce": ["GTC"],
        "filters": [
            { "filterType": "PRICE_FILTER", "minPrice": spec.tick_size, "maxPrice": "10000000", "tickSize": spec.tick_size },
            { "filterType": "LOT_SIZE", "minQty": spec.step_size, "maxQty": show_e8(Market::QTY_MAX_E8, 0), "stepSize": spec.step_size },
            { "filterType": "MARKET_LOT_SIZE", "minQty": spec.step_size, "maxQty": show_e8(Market::QTY_MAX_E8, 0), "stepSize": spec.step_size },
            { "filterType": "MIN_NOTIONAL", "notional": "5.0" },
        ],
    })
}

fn premium_index(engine: &Engine, params: &Params) -> Answered {
    let row = |market: &Market| {
        let next_funding_ms = (engine.now_ms.div_euclid(engine.funding_interval_ms) + 1) * engine.funding_interval_ms;
        json!({
            "symbol": market.spec.symbol, "markPrice": show_e8(market.price_e8, 8), "indexPrice": show_e8(market.price_e8, 8),
            "lastFundingRate": show_e8(market.funding_rate_e8, 8), "nextFundingTime": next_funding_ms,
            "interestRate": "0.00010000", "time": engine.now_ms,
        })
    };
    match optional_symbol(engine, params)? {
        Some(symbol) => engine.markets.get(symbol).map(row).ok_or_else(Refusal::symbol),
        None => Ok(engine.markets.values().map(row).collect()),
    }
}

fn balance(engine: &Engine, account: usize, alias: &str) -> Value {
    let Some(book) = engine.books.accounts.get(account) else {
        return json!([]);
    };
    let rows = book.wallets_e8.iter().map(|(asset, wallet_e8)| {
        let unrealized_e8: i128 = book
            .positions
            .iter()
            .filter_map(|((symbol, _), position)| Some((engine.markets.get(symbol)?, position)))
            .filter(|(market, _)| market.spec.quote_asset == *asset)
            .map(|(market, position)| position.unrealized_e8(market.price_e8))
            .sum();
        let available = show_e8(engine.available_e8(account, asset).max(0), 8);
        json!({
            "accountAlias": alias, "asset": asset, "balance": show_e8(*wallet_e8, 8),
            "crossWalletBalance": show_e8(*wallet_e8, 8), "crossUnPnl": show_e8(unrealized_e8, 8),
            "availableBalance": available, "maxWithdrawAmount": available, "marginAvailable": true,
            "updateTime": engine.now_ms,
        })
    });
    rows.collect()
}

fn position_risk(engine: &Engine, account: usize, params: &Params) -> Answered {
    let wanted = optional_symbol(engine, params)?;
    let Some(book) = engine.books.accounts.get(account) else {
        return Ok(json!([]));
    };
    let open = book
        .positions
        .iter()
        .filter(|((symbol, _), position)| position.qty_e8 != 0 && wanted.is_none_or(|wanted| wanted == symbol));
    let rows = open.filter_map(|((symbol, side), position)| {
        let market = engine.markets.get(symbol)?;
        let unrealized_e8 = position.unrealized_e8(market.price_e8);
        let notional_e8 = mul_div(position.qty_e8, market.price_e8, ONE_E8);
        Some(json!({
            "symbol": symbol, "positionSide": side.as_str(), "positionAmt": show_e8(position.qty_e8, 3),
            "entryPrice": show_e8(position.entry_price_e8(), 1), "markPrice": show_e8(market.price_e8, 8),
            "unRealizedProfit": show_e8(unrealized_e8, 8), "liquidationPrice": "0", "notional": show_e8(notional_e8, 8),
            "marginAsset": market.spec.quote_asset, "adl": 0, "updateTime": position.updated_ms,
        }))
    });
    Ok(rows.collect())
}

/// Orders that ended without a fill vanish after three days, all others after ninety.
fn is_kept(order: &Order, now_ms: i64) -> bool {
    let unfilled = matches!(order.status, Status::Canceled | Status::Expired) && order.executed_e8 == 0;
    let kept_ms = if unfilled { UNFILLED_RETENTION_MS } else { RETENTION_MS };
    order.status.is_open() || now_ms - order.created_ms <= kept_ms
}

fn open_orders(engine: &Engine, account: usize, params: &Params) -> Answered {
    let wanted = optional_symbol(engine, params)?;
    let Some(standing) = engine.accounts.get(account) else {
        return Ok(json!([]));
    };
    let open = standing
        .orders
        .values()
        .filter(|order| order.status.is_open() && wanted.is_none_or(|wanted| wanted == order.ticket.symbol));
    Ok(open.map(|order| order_json(order, true)).collect())
}

/// The bounds of a window as asked for, or as the exchange fills them in.
fn window(params: &Params, now_ms: i64) -> Result<(i64, i64), Refusal> {
    let (since, until) = match (params.integer("startTime")?, params.integer("endTime")?) {
        (None, None) => (now_ms - WINDOW_MS_MAX, now_ms),
        (Some(since), None) => (since, since.saturating_add(WINDOW_MS_MAX)),
        (None, Some(until)) => (until.saturating_sub(WINDOW_MS_MAX), until),
        (Some(since), Some(until)) => (since, until),
    };
    if until < since {
        return Err(Refusal::invalid("startTime"));
    }
    if until.saturating_sub(since) > WINDOW_MS_MAX {
        return Err(Refusal::window_too_long());
    }
    Ok((since.max(now_ms - RETENTION_MS), until))
}

fn all_orders(engine: &Engine, account: usize, params: &Params) -> Answered {
    let wanted = optional_symbol(engine, params)?;
    let limit = params.limit(500, 1_000)?;
    let Some(standing) = engine.accounts.get(account) else {
        return Ok(json!([]));
    };
    let kept = standing
        .orders
        .values()
        .filter(|order| wanted.is_none_or(|wanted| wanted == order.ticket.symbol) && is_kept(order, engine.now_ms));
    if let Some(id) = params.integer("orderId")? {
        return Ok(kept.filter(|order| order.id >= id).take(limit).map(|order| order_json(order, true)).collect());
    }
    let (since, until) = window(params, engine.now_ms)?;
    if until - since >= WINDOW_MS_MAX {
        return Err(Refusal::window_too_long());
    }
    let mut orders: Vec<&Order> = kept.filter(|order| (since..=until).contains(&order.created_ms)).collect();
    orders.sort_by_key(|order| (order.created_ms, order.id));
    // The most recent ones, oldest first.
    let skipped = orders.len().saturating_sub(limit);
    Ok(orders.into_iter().skip(skipped).map(|order| order_json(order, true)).collect())
}

fn order_json(order: &Order, stored: bool) -> Value {
    let (order_type, price_e8) = match order.ticket.kind {
        Kind::Market => ("MARKET", 0),
        Kind::Limit { price_e8 } => ("LIMIT", price_e8),
    };
    let mut row = json!({
        "orderId": order.id, "symbol": order.ticket.symbol, "status": order.status.as_str(),
        "clientOrderId": order.client_order_id, "price": show_e8(price_e8, 0),
        "origQty": show_e8(order.ticket.qty_e8, 3), "executedQty": show_e8(order.executed_e8, 3),
        "timeInForce": "GTC", "type": order_type, "origType": order_type, "reduceOnly": order.ticket.reduce_only,
        "closePosition": false, "side": if order.ticket.buy { "BUY" } else { "SELL" },
        "positionSide": order.ticket.position_side.as_str(), "stopPrice": "0", "workingType": "CONTRACT_PRICE",
        "priceProtect": false, "priceMatch": "NONE", "selfTradePreventionMode": "NONE", "goodTillDate": 0,
        "updateTime": order.updated_ms,
    });
    if let Some(fields) = row.as_object_mut() {
        if stored {
            let average_e8 = if order.executed_e8 == 0 { 0 } else { mul_div(order.quote_e16, 1, order.executed_e8) };
            fields.insert("avgPrice".into(), show_e8(average_e8, 5).into());
            fields.insert("cumQuote".into(), show_e8(super::fixed::to_e8(order.quote_e16), 0).into());
            fields.insert("time".into(), order.created_ms.into());
        } else {
            // The answer to placing or cancelling no longer tells an average price.
            fields.insert("cumQty".into(), show_e8(order.executed_e8, 3).into());
        }
    }
    row
}

fn user_trades(engine: &Engine, account: usize, params: &Params) -> Answered {
    let symbol = known_symbol(engine, params)?;
    let limit = params.limit(500, 1_000)?;
    let Some(book) = engine.books.accounts.get(account) else {
        return Ok(json!([]));
    };
    let oldest_ms = engine.now_ms - RETENTION_MS;
    let order_id = params.integer("orderId")?;
    let kept = book.trades.values().filter(|trade| {
        trade.symbol == symbol && trade.time_ms >= oldest_ms && order_id.is_none_or(|id| id == trade.order_id)
    });
    let timed = params.get("startTime").is_some() || params.get("endTime").is_some();
    match params.integer("fromId")? {
        Some(_) if timed => Err(Refusal::combination()),
        Some(from) => Ok(kept.filter(|trade| trade.id >= from).take(limit).map(trade_json).collect()),
        None if order_id.is_some() && !timed => Ok(kept.take(limit).map(trade_json).collect()),
        None => {
            let (since, until) = window(params, engine.now_ms)?;
            let inside = kept.filter(|trade| (since..=until).contains(&trade.time_ms));
            Ok(inside.take(limit).map(trade_json).collect())
        }
    }
}

fn trade_json(trade: &Trade) -> Value {
    json!({
        "symbol": trade.symbol, "id": trade.id, "orderId": trade.order_id,
        "side": if trade.buy { "BUY" } else { "SELL" }, "price": show_e8(trade.price_e8, 0),
        "qty": show_e8(trade.qty_e8, 3), "realizedPnl": show_e8(trade.realized_e8, 8),
        "quoteQty": show_e8(super::fixed::to_e8(trade.qty_e8 * trade.price_e8), 0), "commission": show_e8(trade.fee_e8, 8),
        "commissionAsset": trade.fee_asset, "time": trade.time_ms, "positionSide": trade.position_side.as_str(),
        "buyer": trade.buy, "maker": trade.maker,
    })
}

fn income(engine: &Engine, account: usize, params: &Params) -> Answered {
    let wanted = optional_symbol(engine, params)?;
    let kind = params.get("incomeType");
    let limit = params.limit(100, 1_000)?;
    let (since, until) = match (params.integer("startTime")?, params.integer("endTime")?) {
        (None, None) => (engine.now_ms - WINDOW_MS_MAX, engine.now_ms),
        (since, until) => (since.unwrap_or(0), until.unwrap_or(i64::MAX)),
    };
    let oldest_ms = engine.now_ms - RETENTION_MS;
    let Some(book) = engine.books.accounts.get(account) else {
        return Ok(json!([]));
    };
    let rows = book.income.iter().filter(|row| {
        row.time_ms >= oldest_ms
            && (since..=until).contains(&row.time_ms)
            && wanted.is_none_or(|wanted| wanted == row.symbol)
            && kind.is_none_or(|kind| kind == row.kind)
    });
    Ok(rows.take(limit).map(income_json).collect())
}

fn income_json(row: &Income) -> Value {
    json!({
        "symbol": row.symbol, "incomeType": row.kind, "income": show_e8(row.amount_e8, 8), "asset": row.asset,
        "info": row.kind, "time": row.time_ms, "tranId": row.tran_id,
        "tradeId": row.trade_id.map_or_else(String::new, |id| id.to_string()),
    })
}
