"""What is done in one-way mode."""

import decimal

from session import BTC, CHINESE, ETH, HOUR_MS, SOL, check


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


def net(session, symbol):
    """The signed quantity that is held."""
    rows = session.ccxt.fetch_positions([symbol])
    return sum((decimal.Decimal(row["info"]["positionAmt"]) for row in rows), decimal.Decimal(0))
