"""Sends orders with ccxt: the executor of a trading bot that knows nothing of fillbook.

Its functions are those of a bot that somebody runs: three ways in, two ways out, three ways to cancel, two ways to add.
"""

import ccxt

exchange = None

MAX_DCA = 2
DCA_STEP = 0.02


def use(made):
    """The exchange that orders go to. With fillbook this is the one line that changes."""
    global exchange
    exchange = made


# In.


def short_market(symbol, amount):
    return exchange.create_order(symbol, "market", "sell", amount)


def short_limit(symbol, amount, price):
    return exchange.create_limit_sell_order(symbol, amount, price)


def long_market(symbol, amount):
    return exchange.create_market_buy_order(symbol, amount)


def protect(symbol, side, trigger):
    """A stop at the exchange that closes the whole position."""
    out = "sell" if side == "long" else "buy"
    return exchange.create_order(
        symbol, "market", out, None, None, {"stopLossPrice": trigger, "closePosition": True}
    )


# Out.


def close_short_market(symbol):
    return _close(symbol, "short", "buy")


def close_long_market(symbol):
    return _close(symbol, "long", "sell")


def _close(symbol, side, out):
    held = position(symbol)
    if held is None or held["side"] != side:
        return None
    return exchange.create_order(symbol, "market", out, held["contracts"], None, {"reduceOnly": True})


# Cancel.


def cancel_open_orders(symbol):
    exchange.cancel_all_orders(symbol)


def cancel_stop_orders(symbol):
    for order in exchange.fetch_open_orders(symbol, None, None, {"trigger": True}):
        _cancel(order, {"trigger": True})


def cancel_conditional_by_side(symbol, side):
    """Only those that would close a long, or a short."""
    out = "sell" if side == "long" else "buy"
    for order in exchange.fetch_open_orders(symbol, None, None, {"trigger": True}):
        if order["side"] == out:
            _cancel(order, {"trigger": True})


def _cancel(order, params):
    try:
        exchange.cancel_order(order["id"], order["symbol"], params)
    except ccxt.OrderNotFound:
        pass


# Add.


def dca_short_if_needed(symbol, state, price):
    if state["dca"] < MAX_DCA and price >= state["last_entry"] * (1 + DCA_STEP):
        return short_market(symbol, state["amount"])
    return None


def dca_long_if_needed(symbol, state, price):
    if state["dca"] < MAX_DCA and price <= state["last_entry"] * (1 - DCA_STEP):
        return long_market(symbol, state["amount"])
    return None


# Look.


def position(symbol):
    for held in exchange.fetch_positions([symbol]):
        if held["contracts"]:
            return held
    return None


def price_of(symbol):
    return exchange.fetch_ticker(symbol)["last"]
