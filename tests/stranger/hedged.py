"""What is done in hedge mode."""

from session import CHINESE, ETH, ETH_USDC, HOUR_MS, check


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
