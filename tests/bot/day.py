"""A day of the bot on the simulator, without fillbook (`plain`), with the one line (`recorded`), or with the hooks as well (`hooked`).

Whoever started this moves the market when asked, as for `tests/stranger/trade.py`.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "stranger"))

import executor  # noqa: E402
from engine_runner import Runner  # noqa: E402
from session import BTC, ETH, SOL, Session  # noqa: E402
from talking import check  # noqa: E402


def day(session, hand, runner):
    """What happens: `session` looks and moves the market, `hand` is somebody with the exchange's own app."""
    # A long that reaches its target, after an addition.
    runner.enter("swing", BTC, "long", 0.01)
    session.move(BTC, session.near(BTC, "0.975"))
    runner._run_manage_cycle()
    check(runner.state[BTC]["dca"] == 1, "one addition", runner.state)
    session.move(BTC, session.near(BTC, "1.06"))
    runner._run_manage_cycle()
    check(runner.traded[-1] == (BTC, "long", "auto_exit_tp"), "the target", runner.traded)

    # A limit order that is given up, and another that fills; its stop is taken back when it is closed by hand.
    runner.enter("div15m", ETH, "short", 0.5, limit=session.near(ETH, "1.02"))
    executor.cancel_open_orders(ETH)
    at = session.near(ETH, "1.01")
    order = runner.enter("div15m", ETH, "short", 0.4, limit=at)
    session.fill_resting(ETH, order, at)
    runner._run_manage_cycle()
    check(runner.state[ETH]["in_pos"], "the limit order filled", runner.state)
    hand.create_order(ETH, "market", "buy", 0.4, None, {"reduceOnly": True})
    runner._run_manage_cycle()
    check(runner.traded[-1] == (ETH, "short", "manual_close"), "closed by hand", runner.traded)

    # A short that is added to twice and then given up.
    runner.enter("atr", SOL, "short", 10)
    for factor in ("1.025", "1.025", "1.05"):
        session.move(SOL, session.near(SOL, factor))
        runner._run_manage_cycle()
    check(runner.traded[-1] == (SOL, "short", "auto_exit_sl"), "the loss was taken", runner.traded)

    # What the exchange refuses, and a long that its own stop closes.
    runner.enter("swing", BTC, "long", 5000)
    # By the code alone: ccxt has no class for it here.
    check(runner.refused == [("swing", BTC, "ExchangeError")], "refused", runner.refused)
    runner.enter("swing", BTC, "long", 0.02)
    session.move(BTC, session.near(BTC, "0.8"))
    runner._run_manage_cycle()
    check(runner.traded[-1] == (BTC, "long", "auto_exit_sl"), "the stop closed it", runner.traded)

    # One that stays open.
    runner.enter("swing", SOL, "long", 5)
    runner._run_manage_cycle()


REASONS = {"auto_exit_tp": "take_profit", "auto_exit_sl": "stop_loss", "manual_close": "manual_close"}


def hooked(book, runner):
    """A signal where an entry is logged, and the end of a trade where it is closed: one line each."""
    log_trade_entry, close_trade = runner._log_trade_entry, runner._close_trade

    def _log_trade_entry(engine, symbol, side, amount):
        book.signal(symbol, side, engine, "breakout", meta={"amount": amount})
        log_trade_entry(engine, symbol, side, amount)

    def _close_trade(symbol, reason, order=None):
        side = runner.state[symbol]["side"]
        close_trade(symbol, reason, order)
        book.close_trade(symbol, side, REASONS[reason], order_id=order and order["id"])

    runner._log_trade_entry, runner._close_trade = _log_trade_entry, _close_trade


def main():
    how, folder = sys.argv[1:]
    account = json.loads(os.environ["STRANGER_ACCOUNTS"])["bot"]
    session, hand, own = (Session(name, account) for name in ("market", "hand", "bot"))
    runner = Runner(folder)
    if how == "plain":
        executor.use(own.ccxt)
        day(session, hand.ccxt, runner)
    else:
        import fillbook

        events, state = runner.entry_events, runner.state_file
        with fillbook.Book(os.path.join(folder, "fillbook.db"), "main", entry_events=events, state=state) as book:
            executor.use(fillbook.recorded(own.ccxt, book))
            if how == "hooked":
                hooked(book, runner)
            day(session, hand.ccxt, runner)
    print(json.dumps({"done": {"traded": runner.traded, "state": runner.state}}), flush=True)


if __name__ == "__main__":
    main()
