"""A stranger's session: what a user of ccxt does on an exchange, done on the simulator with ccxt as it was published.

Only documented settings are changed: base URLs, linear markets, no currency list (another API of the exchange). The
process that started this script answers its questions, one line of JSON each way on standard output and input:

    {"ask": "price", "symbol": "BTCUSDT", "price": "65000.1"}   the market moves
    {"ask": "depth", "symbol": "BTCUSDT", "qty": "0.01"}        no more is executed at once; null: as at first
    {"ask": "time", "ms": 28800000}                             time passes
    {"ask": "deposit", "asset": "USDT", "amount": "1"}          the account that listens is given something
    {"watched": {...}}                                          what was told on a stream so far, for comparing
    {"report": {...}}                                           everything that was read, for comparing

Each step checks what ccxt answered. That what was read is what the exchange knows is for whoever started this.
"""

import asyncio
import json
import os

from hedged import hedged
from one_way import one_way
from reading import history, read, read_at_once
from session import BTC, CHINESE, ETH, ETH_USDC, HOUR_MS, Session, check, plain
from watching import watch


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


def main():
    accounts = json.loads(os.environ["STRANGER_ACCOUNTS"])
    refused_at_the_door(accounts["one_way"])
    # Before anything else: time is about to pass faster than a listen key is kept.
    print(json.dumps({"watched": plain(asyncio.run(watch(accounts.pop("watched"))))}), flush=True)
    sessions = {name: Session(name, account) for name, account in accounts.items()}
    symbols = {}
    for name, trade in (("one_way", one_way), ("hedged", hedged)):
        sessions[name].set_clock()
        market_data(sessions[name])
        symbols[name] = trade(sessions[name])
    report = {}
    for name, session in sessions.items():
        session.set_clock()
        report[name] = read(session, symbols[name])
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
