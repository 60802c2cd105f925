"""What somebody does who uses the exchange's own SDK for Python: trades by it, and listens to the account and the market.

Only its base URLs are changed. It speaks to the process that started it like `trade.py`, whose other accounts are ccxt's:

    {"ask": "price", "symbol": "BTCUSDT", "price": "65000.1"}   the market moves
    {"heard": {...}}                                            what was told on each stream, for comparing
"""

import asyncio
import json
import os
import sys
import time

from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import DerivativesTradingUsdsFutures

from talking import ask, check

PATIENCE_S = 20
# How late a request may arrive on a machine that is busy.
LATE_MS = 60_000


class Heard:
    """What each of its streams told, as the SDK read it."""

    def __init__(self):
        self.told = {}

    def keep(self, name, handle):
        rows = self.told.setdefault(name, [])
        handle.on("message", lambda message: rows.append(self.plain(message)))

    @staticmethod
    def plain(message):
        """In the exchange's words again, and which event the SDK took it for. What it could not read is no model of its own."""
        instance = getattr(message, "actual_instance", message)
        check(hasattr(instance, "model_dump"), "an event that the SDK knows", message)
        return {"model": type(instance).__name__, **instance.model_dump(by_alias=True, exclude_none=True)}

    async def until(self, what, happened):
        deadline = time.monotonic() + PATIENCE_S
        while not happened():
            check(time.monotonic() < deadline, f"told in {PATIENCE_S} s: {what}", self.told)
            await asyncio.sleep(0.02)

    def order(self, client_id):
        """How an order stood when it was told last."""
        updates = [row["o"] for row in self.told["user"] if row["model"] == "OrderTradeUpdate"]
        return next((order["X"] for order in reversed(updates) if order["c"] == client_id), None)


async def main():
    account = json.loads(os.environ["STRANGER_ACCOUNTS"])["official"]
    keys = {"api_key": account["api_key"], "api_secret": account["api_secret"]}
    client = DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(base_path=account["base_url"], timeout=30_000, **keys),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=account["stream_url"]),
    )
    rest, streams, heard = client.rest_api, client.websocket_streams, Heard()
    # It opens all three kinds of addresses at once, and none of them if one fails.
    await streams.create_connection()
    opened = sorted(connection.url_path for connection in streams.connections)
    check(opened == ["market", "private", "public"], "three connections", opened)
    listen_key = (await asyncio.to_thread(rest.start_user_data_stream)).data().listen_key
    opening = {
        "user": streams.user_data(listen_key),
        "marks": streams.mark_price_stream("btcusdt", update_speed="1s"),
        "trades": streams.aggregate_trade_streams("btcusdt"),
        "candles": streams.kline_candlestick_streams("btcusdt", "1m"),
        "prices": streams.individual_symbol_book_ticker_streams("btcusdt"),
    }
    handles = await asyncio.gather(*opening.values())
    for name, handle in zip(opening, handles):
        heard.keep(name, handle)

    async def order(client_id, **wish):
        placed = await asyncio.to_thread(
            rest.new_order, symbol="BTCUSDT", new_client_order_id=client_id, recv_window=LATE_MS, **wish
        )
        return placed.data()

    await order("official:in", side="BUY", type="MARKET", quantity=0.05)
    await heard.until("the entry", lambda: heard.order("official:in") == "FILLED")
    out = {"side": "SELL", "type": "LIMIT", "time_in_force": "GTC", "quantity": 0.05, "reduce_only": "true"}
    resting = await order("official:target", price=80000, **out)
    check(resting.reduce_only is True and resting.status == "NEW", "a target", resting)
    ask({"ask": "price", "symbol": "BTCUSDT", "price": "64000"})
    await heard.until("the price", lambda: any(row["a"] == "64000.00" for row in heard.told["prices"]))
    await order("official:out", side="SELL", type="MARKET", quantity=0.05, reduce_only="true")
    # The target ends with the position.
    await heard.until("the end of the target", lambda: heard.order("official:target") == "EXPIRED")
    await heard.until("a mark at the new price", lambda: any(row["p"] == "64000.00000000" for row in heard.told["marks"]))
    for name in heard.told:
        await heard.until(f"something on {name}", lambda: heard.told[name])
    print(json.dumps({"heard": heard.told}), flush=True)
    await streams.close_connection()


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)
