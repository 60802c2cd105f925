"""A bot as a user of ccxt writes one. It trades often, in hedge mode, and means nothing by it; it knows nothing of fillbook.

    bot.py BASE_URL SEED        until SIGTERM

Killed and started again, it goes on with what it finds open. At its end it cancels what waits, and keeps what it holds.
"""

import collections
import random
import signal
import sys
import time

import ccxt

from session import BTC, ETH, ETH_USDC, SOL, base_urls, settings

AMOUNTS = {BTC: 0.02, ETH: 0.4, SOL: 8, ETH_USDC: 0.3}
LOOKS_S, HOLDS_S, WAITS_S = 0.7, 12, 4
STOP, TARGET = 0.0012, 0.0008
KEY, SECRET = "fillbook-simulator-test-key", "fillbook-simulator-test-secret"


class Bot:
    def __init__(self, base_url, seed):
        self.exchange = ccxt.binanceusdm(settings({"api_key": KEY, "api_secret": SECRET}))
        self.exchange.urls["api"] = base_urls(base_url)
        self.chance = random.Random(seed)
        self.since = {}
        self.is_over = False

    def run(self):
        self.exchange.load_markets()
        if not self.exchange.fetch_position_mode()["hedged"]:
            self.exchange.set_position_mode(True)
        for symbol in AMOUNTS:
            self.exchange.set_leverage(10, symbol)
        while not self.is_over:
            held, waiting = self.look()
            for symbol in AMOUNTS:
                for side in ("long", "short"):
                    with_patience(self.step, symbol, side, held.get((symbol, side)), waiting[symbol, side])
            time.sleep(LOOKS_S)
        for orders in self.look()[1].values():
            for order in orders:
                with_patience(self.cancel, order)

    def look(self):
        """What is held, and what waits, by contract and side."""
        held = {(position["symbol"], position["side"]): position for position in self.exchange.fetch_positions()}
        waiting = collections.defaultdict(list)
        for symbol in AMOUNTS:
            for params in ({}, {"trigger": True}):
                for order in self.exchange.fetch_open_orders(symbol, None, None, params):
                    waiting[symbol, order["info"]["positionSide"].lower()].append(order)
        return held, waiting

    def step(self, symbol, side, position, waiting):
        into, out = ("buy", "sell") if side == "long" else ("sell", "buy")
        entries = [order for order in waiting if order["side"] == into]
        exits = [order for order in waiting if order["side"] == out]
        for order in entries:
            if time.time() - order["timestamp"] / 1000 > WAITS_S:
                self.follow(order)
        if position is None:
            self.since.pop((symbol, side), None)
            for order in exits:
                self.cancel(order)
            if not entries and self.chance.random() < 0.3:
                self.enter(symbol, into)
        elif time.time() - self.since.setdefault((symbol, side), time.time()) > HOLDS_S:
            for order in exits:
                self.cancel(order)
            self.leave(symbol, out, position)
        elif not exits:
            self.protect(symbol, out, position)
        elif not entries and self.chance.random() < 0.05:
            self.enter(symbol, into)

    def enter(self, symbol, side):
        amount = AMOUNTS[symbol] * self.chance.choice((1, 1.5, 2))
        kind = self.chance.choice(("market", "taking", "resting"))
        if kind == "market":
            self.place(symbol, "market", side, amount)
        else:
            # At the price it may be executed in part, and wait with the rest.
            better = 0.0003 if kind == "resting" else 0
            self.place(symbol, "limit", side, amount, self.near(symbol, -better if side == "buy" else better))

    def follow(self, order):
        """An entry that waits too long: once more at the price, or not at all."""
        if self.chance.random() < 0.3:
            price = self.near(order["symbol"], 0)
            self.exchange.edit_order(order["id"], order["symbol"], "limit", order["side"], order["amount"], price)
        else:
            self.cancel(order)

    def protect(self, symbol, side, position):
        """A stop, and a target that waits for its price or in the book of orders."""
        sign = 1 if side == "sell" else -1
        closing = {"reduceOnly": True}
        amount = position["contracts"]
        self.place(symbol, "market", side, amount, stopLossPrice=self.near(symbol, -sign * STOP), **closing)
        if self.chance.random() < 0.5:
            self.place(symbol, "market", side, amount, takeProfitPrice=self.near(symbol, sign * TARGET), **closing)
        else:
            self.place(symbol, "limit", side, amount, self.near(symbol, sign * TARGET), **closing)

    def leave(self, symbol, side, position):
        """All at once, or the half of it first."""
        amount = position["contracts"]
        if amount > AMOUNTS[symbol] and self.chance.random() < 0.5:
            amount = self.exchange.amount_to_precision(symbol, amount / 2)
        self.place(symbol, "market", side, amount, reduceOnly=True)

    def near(self, symbol, by):
        price = self.exchange.fetch_ticker(symbol)["last"] * (1 + by)
        return float(self.exchange.price_to_precision(symbol, price))

    def place(self, symbol, kind, side, amount, price=None, **params):
        order = self.exchange.create_order(symbol, kind, side, float(amount), price, {"hedged": True, **params})
        print(f"{side} {amount} {symbol} {kind} {price or ''} {params or ''}: {order['id']} {order['status']}", flush=True)

    def cancel(self, order):
        is_conditional = "algoId" in order["info"]
        self.exchange.cancel_order(order["id"], order["symbol"], {"trigger": True} if is_conditional else {})
        print(f"cancelled {order['id']}", flush=True)

    def end(self, *_):
        self.is_over = True


def with_patience(call, *arguments):
    """What the market overtook (a stop that would trigger at once, an order that is gone) is looked at again."""
    try:
        call(*arguments)
    except ccxt.BaseError as error:
        print(f"{type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    bot = Bot(sys.argv[1], sys.argv[2])
    signal.signal(signal.SIGTERM, bot.end)
    bot.run()
