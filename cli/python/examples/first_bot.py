"""A bot's first trade through the book, on `fillbook simulator --listen 127.0.0.1:9555`."""

import os
import time

import ccxt

import fillbook

simulator = os.environ.get("FILLBOOK_BASE_URL", "http://127.0.0.1:9555")

exchange = ccxt.binanceusdm({
    "apiKey": "fillbook-simulator-test-key",
    "secret": "fillbook-simulator-test-secret",
    "options": {"fetchCurrencies": False, "fetchMarkets": {"types": ["linear"]}},
})
# Only the simulator: what has no URL cannot go to the real exchange by mistake.
exchange.urls["api"] = {
    f"fapi{audience}{name}": f"{simulator}/fapi/{version}"
    for audience in ("Public", "Private")
    for name, version in {"": "v1", "V2": "v2", "V3": "v3"}.items()
}

with fillbook.Book("fillbook.db", account="main") as book:
    exchange = fillbook.recorded(exchange, book)  # the one line

    book.signal("BTC/USDT:USDT", "buy", engine="swing", reason="breakout")
    order = exchange.create_order("BTC/USDT:USDT", "market", "buy", 0.01)
    print("bought", order["filled"], "as", order["clientOrderId"])

    exchange.create_order("BTC/USDT:USDT", "market", "sell", 0.01, None, {"reduceOnly": True})
    # An exchange says that an order is filled before it lists the trades.
    time.sleep(2)
    exchange.fetch_my_trades("BTC/USDT:USDT")
    print(book.close_trade("BTC/USDT:USDT", "long", reason="take_profit"))
