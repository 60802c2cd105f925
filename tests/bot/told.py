"""A bot on ccxt.pro, async, that asks for nothing: its orders and trades are told on the stream, and recorded as they are told."""

import asyncio
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "stranger"))

import ccxt.pro  # noqa: E402

import fillbook  # noqa: E402
from session import BTC, ETH  # noqa: E402
from talking import check  # noqa: E402
from watching import Watcher  # noqa: E402


async def trade(watcher):
    exchange = watcher.ccxt
    await exchange.load_markets()
    listening = [
        asyncio.create_task(watcher.each(exchange.watch_orders, watcher.keep_orders)),
        asyncio.create_task(watcher.each(exchange.watch_my_trades, watcher.keep_trades)),
    ]
    # What happens before the stream is open is not told. ccxt keeps something else beside its connections.
    while not any(url.startswith("ws") and client.connected.done() for url, client in exchange.clients.items()):
        check(not any(task.done() for task in listening), "it listens", listening)
        await asyncio.sleep(0.05)
    # Two at once, none of which is another try of the other.
    bought, sold = await asyncio.gather(
        exchange.create_market_buy_order(BTC, 0.02), exchange.create_order(ETH, "market", "sell", 1)
    )
    far = float(exchange.price_to_precision(BTC, (await exchange.fetch_ticker(BTC))["last"] * 0.9))
    resting = await exchange.create_limit_buy_order(BTC, 0.01, far)
    await exchange.edit_order(resting["id"], BTC, "limit", "buy", 0.02, far)
    await exchange.cancel_order(resting["id"], BTC)
    out = await exchange.create_order(BTC, "market", "sell", 0.02, None, {"reduceOnly": True})
    for order in (bought, sold, out):
        await watcher.closed(order)
    amounts = {order["id"]: float(order["amount"]) for order in (bought, sold, out)}

    def all_told():
        return all(
            abs(sum(float(trade["amount"]) for trade in watcher.trades_of({"id": identity})) - amount) < 1e-9
            for identity, amount in amounts.items()
        )

    check(not any(task.done() for task in listening), "it still listens", listening)
    await watcher.until("every trade", all_told)
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)


async def main():
    account = json.loads(os.environ["STRANGER_ACCOUNTS"])["bot"]
    watcher = Watcher(account)
    with fillbook.Book(os.path.join(sys.argv[1], "fillbook.db"), "main") as book:
        async with fillbook.recorded(watcher.ccxt, book) as exchange:
            check(isinstance(exchange, ccxt.pro.binanceusdm), "it is the exchange that it was", type(exchange))
            watcher.ccxt = exchange
            await trade(watcher)
    print(json.dumps({"done": sorted({trade["symbol"] for trade in watcher.trades.values()})}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
