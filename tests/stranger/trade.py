"""A stranger's session: what a user of ccxt does on an exchange, done on the simulator with ccxt as it was published.

Only documented settings are changed: base URLs, linear markets, no currency list (another API of the exchange). The
process that started this script answers its questions, one line of JSON each way on standard output and input:

    {"ask": "price", "symbol": "BTCUSDT", "price": "65000.1"}   the market moves
    {"ask": "depth", "symbol": "BTCUSDT", "qty": "0.01"}        no more is executed at once; null: as at first
    {"ask": "time", "ms": 28800000}                             time passes
    {"report": {...}}                                           everything that was read, for comparing

Each step checks what ccxt answered. That what was read is what the exchange knows is for whoever started this.
"""

import asyncio
import decimal
import json
import os
import sys

import ccxt
import ccxt.async_support

BTC = "BTC/USDT:USDT"
ETH = "ETH/USDT:USDT"
ETH_USDC = "ETH/USDC:USDC"
SOL = "SOL/USDT:USDT"
CHINESE = "币安人生/USDT:USDT"
HOUR_MS = 3_600_000


def ask(question):
    """Asks the process that started this one, and waits until it is done."""
    print(json.dumps(question), flush=True)
    answer = json.loads(sys.stdin.readline())
    check(answer == {"done": True}, "the question was answered", question, answer)


def check(condition, what, *seen):
    """Stops the session when something is not as it should be."""
    if not condition:
        raise SystemExit(f"expected: {what}; seen: {seen}")


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

    # Reading.

    def read(self, symbols):
        """Everything about the account that a user can ask for."""
        exchange = self.ccxt
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
                reading["conditional_by_id"].append(self.conditional(symbol, order["id"]))
        return reading


def one_way(session):
    """An account in one-way mode: one net position a symbol."""
    exchange = session.ccxt
    check(not exchange.fetch_position_mode()["hedged"], "one-way mode at first")
    session.refused(-4059, lambda: exchange.set_position_mode(False))
    session.refused(-4046, lambda: exchange.set_margin_mode("cross", BTC))
    check(int(exchange.set_leverage(10, BTC)["leverage"]) == 10, "leverage 10")
    exchange.set_leverage(5, ETH)
    leverages = {symbol: leverage["longLeverage"] for symbol, leverage in exchange.fetch_leverages([BTC, ETH]).items()}
    check(leverages == {BTC: 10, ETH: 5}, "leverage as it was set", leverages)

    # In at the market, an entry that is amended and then given up, out by a reduce-only limit.
    entry = session.place(BTC, "market", "buy", 0.05, clientOrderId="stranger:entry:1")
    check(entry["status"] == "closed" and entry["filled"] == 0.05, "a market order fills at once", entry)
    resting = session.place(BTC, "limit", "buy", 0.02, session.near(BTC, "0.98"), clientOrderId="stranger:dca:1")
    check(resting["status"] == "open", "a limit order below the market rests", resting)
    better = session.near(BTC, "0.985")
    amended = exchange.edit_order(resting["id"], BTC, "limit", "buy", 0.03, better)
    check(amended["id"] == resting["id"] and amended["amount"] == 0.03 and amended["price"] == better, "amended", amended)
    check(exchange.fetch_open_order(resting["id"], BTC)["price"] == better, "and it stays amended")
    session.refused(-4116, lambda: session.place(BTC, "limit", "buy", 0.02, better, clientOrderId="stranger:dca:1"))
    check(exchange.cancel_order(resting["id"], BTC)["status"] == "canceled", "cancelled")
    session.refused(-2011, lambda: exchange.cancel_order(resting["id"], BTC))
    session.refused(-2013, lambda: exchange.fetch_order("1", BTC))

    out_at = session.near(BTC, "1.01")
    out = session.place(BTC, "limit", "sell", 0.02, out_at, reduceOnly=True)
    check(out["reduceOnly"] is True, "reduce-only", out)
    out = session.fill_resting(BTC, out, out_at)
    check(out["filled"] == 0.02 and out["average"] == out_at, "filled at its own price, as a maker", out)
    session.refused(-2022, lambda: session.place(BTC, "market", "buy", 0.01, reduceOnly=True))

    # Other ways to say how long a limit order lives.
    ioc = session.place(BTC, "limit", "buy", 0.01, session.near(BTC, "0.99"), timeInForce="IOC")
    check(exchange.fetch_order(ioc["id"], BTC)["status"] == "expired", "nothing to take: expired", ioc)
    taking = session.place(BTC, "limit", "buy", 0.01, session.near(BTC, "1.005"), timeInForce="FOK")
    check(taking["status"] == "closed", "filled or killed: filled", taking)
    killed = {"timeInForce": "FOK"}
    session.refused(-5021, lambda: session.place(BTC, "limit", "buy", 0.01, session.near(BTC, "0.99"), **killed))
    session.refused(-5022, lambda: session.place(BTC, "limit", "buy", 0.01, session.near(BTC, "1.01"), postOnly=True))
    posted = session.place(BTC, "limit", "buy", 0.01, session.near(BTC, "0.97"), postOnly=True)
    check(posted["postOnly"] is True and posted["status"] == "open", "post-only rests", posted)

    filled_in_part(session)
    conditional_orders(session)
    batches(session)
    liquidation(session)

    # Through zero: a long of what is left becomes a short.
    held = net(session, BTC)
    check(held > 0, "still long", held)
    session.place(BTC, "market", "sell", float(held + decimal.Decimal("0.02")))
    check(net(session, BTC) == decimal.Decimal("-0.02"), "now short", net(session, BTC))
    session.refused(-2019, lambda: session.place(BTC, "market", "sell", 50))
    trial = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.01"}
    exchange.fapiPrivatePostOrderTest(trial)
    session.refused(-2019, lambda: exchange.fapiPrivatePostOrderTest({**trial, "quantity": "50"}))
    check(net(session, BTC) == decimal.Decimal("-0.02"), "an order on trial is none", net(session, BTC))

    # What is left open for the reading at the end, over a funding.
    session.place(ETH, "market", "sell", 1.5)
    session.place(ETH, "limit", "buy", 0.5, session.near(ETH, "0.9"), reduceOnly=True, clientOrderId="stranger:out:1")
    session.place(ETH, "market", "buy", 1.5, stopLossPrice=session.near(ETH, "1.1"), reduceOnly=True)
    session.place(BTC, "market", "buy", None, stopLossPrice=session.near(BTC, "1.1"), closePosition=True)
    session.place(CHINESE, "market", "buy", 200)
    session.pass_time(8 * HOUR_MS + 60_000)
    funding = exchange.fetch_funding_history()
    check({row["symbol"] for row in funding} >= {BTC, ETH, CHINESE}, "funding for each position", funding)
    rates = exchange.fetch_funding_rate_history(BTC)
    paid = [row["timestamp"] for row in funding if row["symbol"] == BTC]
    check([rate["timestamp"] for rate in rates] == paid, "a rate for each payment", rates, paid)
    mine = {trade["id"] for trade in exchange.fetch_my_trades(BTC)}
    check(mine and mine <= {trade["id"] for trade in exchange.fetch_trades(BTC)}, "everybody sees the trades", mine)
    return [BTC, ETH, CHINESE, SOL]


def filled_in_part(session):
    """A resting order of which the market takes only some."""
    exchange = session.ccxt
    at = session.near(BTC, "1.005")
    resting = session.place(BTC, "limit", "sell", 0.02, at)
    session.limit_depth(BTC, "0.008")
    session.move(BTC, at)
    session.limit_depth(BTC, None)
    seen = exchange.fetch_open_order(resting["id"], BTC)
    check(seen["info"]["status"] == "PARTIALLY_FILLED" and seen["filled"] == 0.008, "filled in part", seen)
    check(seen["remaining"] == 0.012, "the rest waits", seen)
    # No more than what was executed: nothing is left to wait for.
    ended = exchange.edit_order(resting["id"], BTC, "limit", "sell", 0.008, at)
    check(ended["status"] == "canceled" and ended["filled"] == 0.008, "amended to its end", ended)


def liquidation(session):
    """A position with margin of its own that is too little."""
    exchange = session.ccxt
    exchange.set_margin_mode("isolated", SOL)
    exchange.set_leverage(50, SOL)
    session.place(SOL, "market", "buy", 20)
    (position,) = exchange.fetch_positions([SOL])
    check(position["marginMode"] == "isolated" and position["liquidationPrice"] > 0, "isolated", position)
    session.refused(-4048, lambda: exchange.set_margin_mode("cross", SOL))
    check(exchange.fetch_my_liquidations(SOL) == [], "none was liquidated so far")
    session.move(SOL, session.near(SOL, "0.97"))
    check(exchange.fetch_positions([SOL]) == [], "the position is gone")
    (liquidated,) = exchange.fetch_my_liquidations(SOL)
    check(liquidated["info"]["clientOrderId"].startswith("autoclose-"), "liquidated by the exchange", liquidated)
    session.place(SOL, "market", "buy", 3)


def conditional_orders(session):
    """Orders that wait for a price, each of the kinds, and each of the ways that they end."""
    exchange = session.ccxt
    stop = session.place(BTC, "market", "sell", 0.01, stopLossPrice=session.near(BTC, "0.9"), reduceOnly=True)
    take_at = session.near(BTC, "1.03")
    take = session.place(BTC, "market", "sell", 0.01, takeProfitPrice=take_at, reduceOnly=True)
    limit_at = session.near(BTC, "0.91")
    stop_limit = session.place(BTC, "limit", "sell", 0.01, limit_at, triggerPrice=session.near(BTC, "0.92"))
    trail_from = session.near(BTC, "1.02")
    trail = session.place(
        BTC, "market", "sell", 0.005, trailingPercent=1, trailingTriggerPrice=trail_from, reduceOnly=True
    )
    placed = [stop, take, stop_limit, trail]
    kinds = [order["info"]["orderType"] for order in placed]
    check(kinds == ["STOP_MARKET", "TAKE_PROFIT_MARKET", "STOP", "TRAILING_STOP_MARKET"], "four kinds", kinds)
    opened = exchange.fetch_open_orders(BTC, None, None, {"trigger": True})
    check({order["id"] for order in opened} == {order["id"] for order in placed}, "all are open", opened)
    check(not {order["id"] for order in exchange.fetch_open_orders(BTC)} & {order["id"] for order in placed}, "apart")

    session.refused(-2021, lambda: session.place(BTC, "market", "sell", 0.01, stopLossPrice=session.near(BTC, "1.05")))
    # The endpoint for ordinary orders no longer takes them.
    request = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "stopPrice": "1000", "quantity": "0.01"}
    session.refused(-4120, lambda: exchange.fapiPrivatePostOrder(request))

    session.move(BTC, take_at)
    order = session.triggered(BTC, take["id"])
    check(order["status"] == "closed" and order["filled"] == 0.01, "the take profit took", order)
    session.move(BTC, session.near(BTC, "0.985"))
    order = session.triggered(BTC, trail["id"])
    check(order["filled"] == 0.005, "the trailing stop followed and sold", order)

    cancelled = exchange.cancel_order(stop["id"], BTC, {"trigger": True})
    check(cancelled["id"] == stop["id"], "cancelled by its id", cancelled)
    check(session.conditional(BTC, stop["id"])["status"] == "canceled", "and it stays cancelled")
    exchange.cancel_all_orders(BTC, {"trigger": True})
    check(session.conditional(BTC, stop_limit["id"])["status"] == "canceled", "cancelled with all others")
    check(exchange.fetch_open_orders(BTC, None, None, {"trigger": True}) == [], "none is left")
    check(exchange.fetch_open_orders(BTC) != [], "ordinary orders are left alone")


def batches(session):
    """Several orders in one request, and all of a symbol cancelled in one."""
    exchange = session.ccxt
    low = session.near(BTC, "0.9")
    leg = {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.01, "price": low}
    placed = exchange.create_orders([leg, {**leg, "price": 0.1, "amount": 0.001}, leg])
    refused = [order for order in placed if order["status"] == "rejected"]
    check([order["info"]["code"] for order in refused] == [-4164], "one was refused, alone", placed)
    first, second = (order for order in placed if order["status"] == "open")
    cancelled = exchange.cancel_orders([first["id"]], BTC)
    check([order["status"] for order in cancelled] == ["canceled"], "one cancelled in a batch", cancelled)
    exchange.cancel_all_orders(BTC)
    check(exchange.fetch_open_orders(BTC) == [], "none is left open")
    check(exchange.fetch_order(second["id"], BTC)["status"] == "canceled", "all were cancelled")


def hedged(session):
    """An account in hedge mode: a long and a short of the same symbol, side by side."""
    exchange = session.ccxt
    exchange.set_position_mode(True)
    check(exchange.fetch_position_mode()["hedged"], "hedge mode")
    session.refused(-4061, lambda: session.place(ETH, "market", "buy", 0.1))
    session.place(ETH, "market", "buy", 2, hedged=True)
    session.place(ETH, "market", "sell", 1.2, hedged=True)
    session.refused(-4068, lambda: exchange.set_position_mode(False))
    sides = {position["side"]: position["contracts"] for position in exchange.fetch_positions([ETH])}
    check(sides == {"long": 2, "short": 1.2}, "a long and a short", sides)

    # Half of the long, by a limit order: ccxt turns reduce-only into the position's side.
    out_at = session.near(ETH, "1.02")
    out = session.place(ETH, "limit", "sell", 1, out_at, hedged=True, reduceOnly=True)
    check(out["info"]["positionSide"] == "LONG", "it closes the long", out)
    out = session.fill_resting(ETH, out, out_at)
    check(out["filled"] == 1, "filled", out)
    resting = session.place(ETH, "limit", "buy", 0.3, session.near(ETH, "0.95"), hedged=True, reduceOnly=True)
    lower = session.near(ETH, "0.96")
    amended = exchange.edit_order(resting["id"], ETH, "limit", "buy", 0.4, lower)
    check(amended["amount"] == 0.4 and amended["info"]["positionSide"] == "SHORT", "amended", amended)

    # A stop for each side. The short's is triggered, the long's stays.
    long_stop = session.place(
        ETH, "market", "sell", 1, stopLossPrice=session.near(ETH, "0.93"), hedged=True, reduceOnly=True
    )
    stop_at = session.near(ETH, "1.03")
    short_stop = session.place(ETH, "market", "buy", 0.6, stopLossPrice=stop_at, hedged=True, reduceOnly=True)
    session.move(ETH, stop_at)
    order = session.triggered(ETH, short_stop["id"])
    check(order["info"]["positionSide"] == "SHORT" and order["filled"] == 0.6, "half of the short is out", order)
    check(session.conditional(ETH, long_stop["id"])["status"] == "open", "the long's stop still waits")

    session.place(ETH_USDC, "market", "buy", 0.5, hedged=True)
    session.place(CHINESE, "limit", "sell", 300, session.near(CHINESE, "1.05"), hedged=True)
    at = session.near(ETH_USDC, "0.99")
    session.place(ETH_USDC, "limit", "buy", 0.2, at, hedged=True)
    session.limit_depth(ETH_USDC, "0.05")
    session.move(ETH_USDC, at)
    (waiting,) = exchange.fetch_open_orders(ETH_USDC)
    check(waiting["filled"] == 0.05 and waiting["status"] == "open", "filled in part, and still waiting", waiting)
    session.pass_time(8 * HOUR_MS + 60_000)
    return [ETH, ETH_USDC, CHINESE]


def net(session, symbol):
    """The signed quantity that is held."""
    rows = session.ccxt.fetch_positions([symbol])
    return sum((decimal.Decimal(row["info"]["positionAmt"]) for row in rows), decimal.Decimal(0))


def refused_at_the_door(account):
    """Who cannot sign, or whose clock is off, is told so."""
    wrong_secret = Session("wrong secret", {**account, "api_secret": "not the secret"})
    wrong_secret.set_clock()
    wrong_secret.refused(-1022, wrong_secret.ccxt.fetch_balance)
    unknown = Session("unknown key", {**account, "api_key": "nobody"})
    unknown.set_clock()
    unknown.refused(-2015, unknown.ccxt.fetch_balance)
    late = Session("late clock", account)
    late.set_clock()
    late.ccxt.options["timeDifference"] += 5 * 60_000
    late.refused(-1021, late.ccxt.fetch_balance)


def market_data(session):
    """What everybody may ask."""
    exchange = session.ccxt
    check(set(session.markets) >= {BTC, ETH, ETH_USDC, CHINESE}, "the markets", list(session.markets))
    ticker, book = exchange.fetch_ticker(BTC), exchange.fetch_order_book(BTC, 5)
    check(book["bids"][0][0] < book["asks"][0][0], "bids below asks", book)
    check(book["bids"][0][0] <= ticker["last"] <= book["asks"][0][0], "the last price lies between", ticker, book)
    check(exchange.fetch_bids_asks([BTC])[BTC]["bid"] == book["bids"][0][0], "the best bid")
    candles = exchange.fetch_ohlcv(BTC, "1h", None, 100)
    check(len(candles) == 100 and candles[-1][4] == ticker["last"], "a hundred hours up to now", candles)
    check(all(later[0] - candle[0] == HOUR_MS for candle, later in zip(candles, candles[1:])), "hour by hour", candles)
    check(all(low <= close <= high for _, _, high, low, close, _ in candles), "candles", candles)
    check(candles[0][5] > 0, "others trade as well", candles[0])
    check(exchange.fetch_mark_ohlcv(BTC, "1h", None, 1)[0][4] == ticker["last"], "the mark price's candle")
    tiers = exchange.fetch_leverage_tiers([BTC])[BTC]
    check(tiers[0]["maxLeverage"] >= 20, "leverage tiers", tiers)
    rate = exchange.fetch_funding_rate(BTC)
    check(rate["fundingTimestamp"] > exchange.fetch_time(), "the next funding is yet to come", rate)
    fee = exchange.fetch_trading_fee(BTC)
    check(0 < fee["maker"] < fee["taker"], "fees", fee)


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


def main():
    accounts = json.loads(os.environ["STRANGER_ACCOUNTS"])
    refused_at_the_door(accounts["one_way"])
    sessions = {name: Session(name, account) for name, account in accounts.items()}
    symbols = {}
    for name, trade in (("one_way", one_way), ("hedged", hedged)):
        sessions[name].set_clock()
        market_data(sessions[name])
        symbols[name] = trade(sessions[name])
    report = {}
    for name, session in sessions.items():
        session.set_clock()
        report[name] = session.read(symbols[name])
        at_once = asyncio.run(read_at_once(accounts[name], symbols[name]))
        for what, rows in at_once.items():
            check(rows == report[name][what], "the same, asked for otherwise", name, what, rows, report[name][what])
    print(json.dumps({"report": plain(report)}), flush=True)
    sessions["one_way"].pass_time(10 * 24 * HOUR_MS)
    for name, session in sessions.items():
        session.set_clock()
        history(session, report[name], symbols[name])


if __name__ == "__main__":
    main()
