"""What every session with ccxt needs: its settings, and one account seen through it."""

import decimal
import sys

import ccxt

from talking import ask, check

BTC = "BTC/USDT:USDT"
ETH = "ETH/USDT:USDT"
ETH_USDC = "ETH/USDC:USDC"
SOL = "SOL/USDT:USDT"
CHINESE = "币安人生/USDT:USDT"
HOUR_MS = 3_600_000


def plain(value):
    """The value with floats as decimal text, so that nothing is rounded on the way."""
    if isinstance(value, float):
        return format(decimal.Decimal(repr(value)), "f")
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def settings(account):
    """What ccxt has to be told. The rest is as it comes."""
    return {
        "apiKey": account["api_key"],
        "secret": account["api_secret"],
        # The exchange's own limits are enforced by the exchange; waiting for them would only be slow.
        "enableRateLimit": False,
        "options": {
            "fetchCurrencies": False,
            "fetchMarkets": {"types": ["linear"]},
            "fetchOpenOrders": {"warnWithoutSymbol": False},
        },
    }


def base_urls(base_url):
    """Only the futures' interface. Without URLs for the others, nothing can go to the real exchange by mistake."""
    versions = {"": "v1", "V2": "v2", "V3": "v3"}
    return {
        f"fapi{audience}{name}": f"{base_url}/fapi/{version}"
        for audience in ("Public", "Private")
        for name, version in versions.items()
    }


class Session:
    """One account, seen through ccxt."""

    def __init__(self, name, account):
        self.name = name
        self.ccxt = ccxt.binanceusdm(settings(account))
        self.ccxt.urls["api"] = base_urls(account["base_url"])
        self.markets = self.ccxt.load_markets()

    def say(self, what):
        print(f"{self.name}: {what}", file=sys.stderr, flush=True)

    def refused(self, code, call):
        """The exchange says no, and ccxt understands why."""
        try:
            answer = call()
        except ccxt.BaseError as error:
            check(f'"code":{code},' in str(error).replace(" ", ""), f"refused with {code}", str(error))
            self.say(f"refused as it should be: {code} {type(error).__name__}")
            return
        check(False, f"refused with {code}", answer)

    # The market.

    def price(self, symbol):
        return decimal.Decimal(self.ccxt.fetch_mark_price(symbol)["info"]["markPrice"])

    def near(self, symbol, factor):
        """The price times a factor, as the exchange's price filter wants it."""
        return float(self.ccxt.price_to_precision(symbol, float(self.price(symbol) * decimal.Decimal(factor))))

    def move(self, symbol, price):
        ask({"ask": "price", "symbol": self.ccxt.market_id(symbol), "price": plain(price)})

    def limit_depth(self, symbol, qty):
        ask({"ask": "depth", "symbol": self.ccxt.market_id(symbol), "qty": qty})

    def set_clock(self):
        """As a user does whose clock is off: time passes on the exchange that did not pass here."""
        self.ccxt.load_time_difference()

    def pass_time(self, ms):
        ask({"ask": "time", "ms": ms})
        self.set_clock()

    # Orders.

    def place(self, symbol, kind, side, amount, price=None, **params):
        order = self.ccxt.create_order(symbol, kind, side, amount, price, params)
        check(order["symbol"] == symbol and order["side"] == side, "the order that was sent", order)
        self.say(f"{side} {amount} {symbol} {kind} {price or ''} {params or ''}: {order['id']} {order['status']}")
        return order

    def fill_resting(self, symbol, order, price):
        """Moves the price to where a resting order fills, as often as it takes: it may fill in parts."""
        statuses = []
        for _ in range(30):
            self.move(symbol, price)
            seen = self.ccxt.fetch_order(order["id"], symbol)
            statuses.append((seen["status"], seen["filled"]))
            if seen["status"] == "closed":
                return seen
        check(False, "a resting order fills when the price reaches it", statuses)

    def conditional(self, symbol, algo_id):
        return self.ccxt.fetch_order(algo_id, symbol, {"trigger": True})

    def triggered(self, symbol, algo_id):
        """A conditional order that was triggered, and the order that it became."""
        seen = self.conditional(symbol, algo_id)
        check(seen["status"] == "closed", "the conditional order was triggered", seen)
        order = self.ccxt.fetch_order(seen["info"]["actualOrderId"], symbol)
        check(order["id"] != algo_id, "a new order of its own", order)
        check(order["clientOrderId"] == seen["clientOrderId"], "with the same client order id", order, seen)
        return order
