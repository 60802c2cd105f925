"""Everything about an account that a user can ask for."""

import asyncio

import ccxt.async_support

from session import HOUR_MS, base_urls, check, settings


def read(session, symbols):
    """Everything about the account that a user can ask for."""
    exchange = session.ccxt
    reading = {
        "mode": exchange.fetch_position_mode(),
        "balance": exchange.fetch_balance(),
        "balances_v3": exchange.fapiPrivateV3GetBalance(),
        "positions": exchange.fetch_positions(),
        "positions_of_account": exchange.fetch_positions(None, {"method": "account", "filterClosed": True}),
        "positions_v2": exchange.fetch_positions(symbols, {"useV2": True}),
        "leverages": exchange.fetch_leverages(),
        "open_orders": exchange.fetch_open_orders(),
        "open_conditional": exchange.fetch_open_orders(None, None, None, {"trigger": True}),
        "ledger": exchange.fetch_ledger(None, None, 1000),
        "funding": exchange.fetch_funding_history(None, None, 1000),
        "liquidations": exchange.fetch_my_liquidations(),
        "orders": [],
        "orders_by_id": [],
        "orders_by_client_id": [],
        "closed_orders": [],
        "canceled_orders": [],
        "conditional": [],
        "conditional_by_id": [],
        "trades": [],
        "trades_of_orders": [],
    }
    for symbol in symbols:
        orders = exchange.fetch_orders(symbol)
        conditional = exchange.fetch_orders(symbol, None, None, {"trigger": True})
        reading["orders"] += orders
        reading["conditional"] += conditional
        reading["trades"] += exchange.fetch_my_trades(symbol, None, 1000)
        reading["closed_orders"] += exchange.fetch_closed_orders(symbol)
        reading["canceled_orders"] += exchange.fetch_canceled_orders(symbol)
        for order in orders:
            by_client_id = {"clientOrderId": order["clientOrderId"]}
            reading["orders_by_id"].append(exchange.fetch_order(order["id"], symbol))
            reading["orders_by_client_id"].append(exchange.fetch_order("", symbol, by_client_id))
            of_order = {"orderId": order["id"]}
            reading["trades_of_orders"] += exchange.fetch_my_trades(symbol, None, None, of_order)
        for order in conditional:
            reading["conditional_by_id"].append(session.conditional(symbol, order["id"]))
    return reading


async def read_at_once(account, symbols):
    """Orders and trades, read by ccxt's other half: another HTTP client, and many requests at the same time."""
    client = ccxt.async_support.binanceusdm(settings(account))
    client.urls["api"] = base_urls(account["base_url"])
    try:
        await client.load_markets()
        await client.load_time_difference()
        orders = asyncio.gather(*(client.fetch_orders(symbol) for symbol in symbols))
        trades = asyncio.gather(*(client.fetch_my_trades(symbol, None, 1000) for symbol in symbols))
        conditional = asyncio.gather(
            *(client.fetch_orders(symbol, None, None, {"trigger": True}) for symbol in symbols)
        )
        positions = client.fetch_positions()
        orders, trades, conditional, positions = await asyncio.gather(orders, trades, conditional, positions)
        return {
            "orders": sum(orders, []),
            "trades": sum(trades, []),
            "conditional": sum(conditional, []),
            "positions": positions,
        }
    finally:
        await client.close()


def history(session, reading, symbols):
    """Ten days later: only a week is told at once, and what is older has to be asked for with a beginning."""
    exchange = session.ccxt
    begin = min(trade["timestamp"] for trade in reading["trades"])
    for symbol in symbols:
        check(exchange.fetch_my_trades(symbol) == [], "nothing in the last week", symbol)
        known = [trade["id"] for trade in reading["trades"] if trade["symbol"] == symbol]
        found = [trade["id"] for trade in exchange.fetch_my_trades(symbol, begin)]
        # An order that still waited may have gone on.
        check(found[: len(known)] == known, "all of them since the beginning", symbol, found, known)
    too_long = {"startTime": begin, "endTime": begin + 8 * 24 * HOUR_MS, "symbol": "BTCUSDT"}
    session.refused(-1127, lambda: exchange.fapiPrivateGetUserTrades(too_long))
