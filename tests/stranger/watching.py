"""What somebody does who is told: ccxt.pro, on the stream that the exchange tells an account on."""

import asyncio
import time

import ccxt.pro

from session import BTC, ETH, SOL, ask, base_urls, check, plain, settings

PATIENCE_S = 20


class Watcher:
    """Trades, and keeps what it is told meanwhile by each of ccxt's four ways to listen to an account."""

    def __init__(self, account):
        self.ccxt = ccxt.pro.binanceusdm(settings(account))
        # ccxt itself makes of it the path under which the exchange tells accounts what is theirs.
        self.ccxt.urls["api"] = {**base_urls(account["base_url"]), "ws": {"linear": account["stream_url"] + "/ws"}}
        # Positions from the stream alone, from none on.
        self.ccxt.options["watchPositions"] = {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False}
        self.orders, self.trades, self.watched = {}, {}, set()
        self.statuses = {}
        self.told = asyncio.Event()

    async def each(self, watch, keep):
        """Keeps whatever is told, until it is cancelled."""
        while True:
            keep(await watch())
            self.told.set()

    def keep_orders(self, orders):
        for order in orders:
            self.orders[order["id"]] = order
            self.statuses.setdefault(order["id"], []).append(order["status"])

    def keep_trades(self, trades):
        for trade in trades:
            key = (trade["symbol"], trade["id"])
            check(key not in self.trades, "a trade is told once", trade)
            self.trades[key] = trade

    def keep_positions(self, positions):
        self.watched |= {position["symbol"] for position in positions}

    # What ccxt keeps of positions, the latest last, and of balances: what comes while nobody waits for it is kept, and
    # wakes nobody.

    @property
    def positions(self):
        return {position["symbol"]: position for position in (self.ccxt.positions or {}).get("linear", [])}

    @property
    def balance(self):
        return self.ccxt.balance.get("linear", {}).get("total", {})

    def keep_balance(self, balance):
        self.watched |= balance["total"].keys()

    async def until(self, what, happened):
        """Waits until something has been told."""
        deadline = time.monotonic() + PATIENCE_S
        while not happened():
            self.told.clear()
            left = min(deadline - time.monotonic(), 0.1)
            check(left > 0, f"told in {PATIENCE_S} s: {what}", plain(self.orders), plain(self.positions))
            try:
                await asyncio.wait_for(self.told.wait(), left)
            except asyncio.TimeoutError:
                pass

    async def closed(self, order):
        identity = order["id"]
        await self.until(f"{identity} is closed", lambda: self.orders.get(identity, {}).get("status") == "closed")
        return self.orders[identity]

    def trades_of(self, order):
        return [trade for trade in self.trades.values() if trade["order"] == order["id"]]


async def trade(watcher):
    """Little of everything that is told in a way of its own."""
    client = watcher.ccxt
    # Whatever happens before it listens it is not told: a deposit that it hears of proves that it does.
    while not watcher.balance:
        ask({"ask": "deposit", "asset": "USDT", "amount": "1"})
        await asyncio.sleep(0.05)
    price = (await client.fetch_ticker(BTC))["last"]

    def near(factor):
        return float(client.price_to_precision(BTC, price * factor))

    entry = await client.create_order(BTC, "market", "buy", 0.05)
    await watcher.closed(entry)
    await watcher.until("all of its trades", lambda: sum(t["amount"] for t in watcher.trades_of(entry)) > 0.049)
    check(watcher.statuses[entry["id"]][0] == "open", "it was told from its beginning", watcher.statuses)

    resting = await client.create_order(BTC, "limit", "sell", 0.02, near(1.01))
    amended = await client.edit_order(resting["id"], BTC, "limit", "sell", 0.03, near(1.02))
    await watcher.until("the amendment", lambda: watcher.orders.get(amended["id"], {}).get("amount") == 0.03)
    given_up = await client.create_order(BTC, "limit", "buy", 0.01, near(0.98))
    await client.cancel_order(given_up["id"], BTC)
    await watcher.until("the cancel", lambda: watcher.orders.get(given_up["id"], {}).get("status") == "canceled")
    for _ in range(30):
        # It may fill in parts, one at a time.
        ask({"ask": "price", "symbol": "BTCUSDT", "price": plain(near(1.02))})
        if (await client.fetch_order(resting["id"], BTC))["status"] == "closed":
            break
    check((await watcher.closed(resting))["filled"] == 0.03, "a resting order fills", watcher.orders[resting["id"]])

    # Conditional orders have ids of their own; the order behind one comes with the same client id.
    stop = await client.create_order(BTC, "market", "sell", 0.01, None, {"stopLossPrice": near(0.95), "reduceOnly": True})
    await watcher.until("the stop", lambda: stop["id"] in watcher.orders)
    ask({"ask": "price", "symbol": "BTCUSDT", "price": plain(near(0.95))})
    became = [stop["id"]]

    def has_become():
        became[:] = [o["id"] for o in watcher.orders.values() if o["clientOrderId"] == stop["clientOrderId"]]
        return len(became) == 2 and all(watcher.orders[i]["status"] == "closed" for i in became)

    await watcher.until("the stop has become an order", has_become)

    # Forced out of one position; a second one stays.
    await client.set_margin_mode("isolated", SOL)
    await client.set_leverage(50, SOL)
    await client.create_order(SOL, "market", "buy", 20)
    await client.create_order(ETH, "market", "sell", 1.5)
    await watcher.until("both positions", lambda: {SOL, ETH} <= set(watcher.positions))
    await watcher.until("all of the position", lambda: watcher.positions[SOL]["contracts"] == 20)
    fallen = client.price_to_precision(SOL, 0.97 * (await client.fetch_ticker(SOL))["last"])
    ask({"ask": "price", "symbol": "SOLUSDT", "price": fallen})
    await watcher.until("the liquidation", lambda: watcher.positions[SOL]["contracts"] == 0)
    forced = [o for o in watcher.orders.values() if o["clientOrderId"].startswith("autoclose-")]
    check(len(forced) == 1 and forced[0]["status"] == "closed", "and whose order it was", forced)
    last = await client.create_order(BTC, "market", "buy", 0.01)
    await watcher.closed(last)

    def is_even():
        signed = [t["amount"] * (1 if t["side"] == "buy" else -1) for t in watcher.trades.values() if t["symbol"] == BTC]
        return bool(watcher.trades_of(last)) and abs(watcher.positions[BTC]["contracts"] - sum(signed)) < 1e-9

    await watcher.until("the last position", is_even)


async def watch(account):
    """Trades and listens; what was heard."""
    watcher = Watcher(account)
    client = watcher.ccxt
    try:
        await client.load_markets()
        await client.load_time_difference()
        listening = [
            asyncio.create_task(watcher.each(client.watch_orders, watcher.keep_orders)),
            asyncio.create_task(watcher.each(client.watch_my_trades, watcher.keep_trades)),
            asyncio.create_task(watcher.each(client.watch_positions, watcher.keep_positions)),
            asyncio.create_task(watcher.each(client.watch_balance, watcher.keep_balance)),
        ]
        trading = asyncio.create_task(trade(watcher))
        done, _ = await asyncio.wait([*listening, trading], timeout=60, return_when=asyncio.FIRST_COMPLETED)
        check(done == {trading}, "trading is over first", [task.exception() for task in done])
        trading.result()
        check({BTC, "USDT"} <= watcher.watched, "who watches positions and balances is told of them", watcher.watched)
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
        return {
            "orders": list(watcher.orders.values()),
            "trades": list(watcher.trades.values()),
            "positions": list(watcher.positions.values()),
            "balance": watcher.balance,
        }
    finally:
        await client.close()
