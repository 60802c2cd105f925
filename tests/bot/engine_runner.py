"""Runs strategies and manages what they opened: the runner of a trading bot that knows nothing of fillbook.

Its state is a JSON file, and its log of entries a file that is appended to. What it calls a trade's reason is the strategy.
"""

import json
import os
import sys
import time

import ccxt
import executor

TAKE_PROFIT = 0.03
STOP_LOSS = 0.03
STOP_AT_EXCHANGE = 0.15


class Runner:
    def __init__(self, folder):
        self.entry_events = os.path.join(folder, "entry_events.jsonl")
        self.state_file = os.path.join(folder, "state.json")
        self.state = {}
        self.traded = []
        self.refused = []

    # Signals.

    def enter(self, engine, symbol, side, amount, limit=None):
        """A strategy is ready to enter."""
        self._log_trade_entry(engine, symbol, side, amount)
        try:
            if limit is not None:
                order = executor.short_limit(symbol, amount, limit)
            elif side == "short":
                order = executor.short_market(symbol, amount)
            else:
                order = executor.long_market(symbol, amount)
        except ccxt.BaseError as error:
            print(f"[refused] {error}", file=sys.stderr)
            self.refused.append((engine, symbol, type(error).__name__))
            return None
        self._append_entry_event(engine, symbol, side, order)
        price = limit or executor.price_of(symbol)
        self.state[symbol] = {
            "in_pos": limit is None, "side": side, "amount": amount, "dca": 0, "last_entry": price, "first_entry": price,
            "order": order["id"], "stop": None, "meta": {"reason": engine},
        }  # fmt: skip
        self._save_state()
        if limit is None:
            self.protect(symbol)
        return order

    def protect(self, symbol):
        state = self.state[symbol]
        away = -STOP_AT_EXCHANGE if state["side"] == "long" else STOP_AT_EXCHANGE
        trigger = executor.exchange.price_to_precision(symbol, state["first_entry"] * (1 + away))
        state["stop"] = executor.protect(symbol, state["side"], float(trigger))["id"]
        self._save_state()

    def _log_trade_entry(self, engine, symbol, side, amount):
        print(f"[entry] {engine} {symbol} {side} {amount}", file=sys.stderr)

    def _append_entry_event(self, engine, symbol, side, order):
        event = {
            "ts": int(time.time() * 1000), "symbol": symbol, "side": side, "engine": engine, "reason": "breakout",
            "order_id": order["id"],
        }  # fmt: skip
        with open(self.entry_events, "a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def _close_trade(self, symbol, reason, order=None):
        state = self.state.pop(symbol)
        print(f"[exit] {symbol} {state['side']} {reason}", file=sys.stderr)
        self.traded.append((symbol, state["side"], reason))
        self._save_state()

    # Management.

    def _run_manage_cycle(self):
        for symbol, state in list(self.state.items()):
            held = executor.position(symbol)
            if not state["in_pos"]:
                # A limit order that waits, until it is filled.
                state["in_pos"] = executor.exchange.fetch_order(state["order"], symbol)["status"] == "closed"
                if state["in_pos"]:
                    self.protect(symbol)
                continue
            self._backfill(symbol)
            if held is None:
                # The stop at the exchange closed it, or somebody by hand.
                executor.cancel_stop_orders(symbol)
                stopped = self._stop(symbol, state)["status"] == "closed"
                self._close_trade(symbol, "auto_exit_sl" if stopped else "manual_close")
                continue
            price = executor.price_of(symbol)
            gain = price / held["entryPrice"] - 1
            if state["side"] == "short":
                gain = -gain
            if gain >= TAKE_PROFIT:
                self._leave(symbol, state, "auto_exit_tp")
            elif gain <= -STOP_LOSS and state["dca"] >= executor.MAX_DCA:
                self._leave(symbol, state, "auto_exit_sl")
            else:
                self._dca(symbol, state, price)

    def _leave(self, symbol, state, reason):
        if state["side"] == "short":
            order = executor.close_short_market(symbol)
        else:
            order = executor.close_long_market(symbol)
        executor.cancel_conditional_by_side(symbol, state["side"])
        self._stop(symbol, state)
        self._backfill(symbol)
        self._close_trade(symbol, reason, order)

    def _stop(self, symbol, state):
        """What became of the stop at the exchange."""
        return executor.exchange.fetch_order(state["stop"], symbol, {"trigger": True})

    def _dca(self, symbol, state, price):
        add = executor.dca_short_if_needed if state["side"] == "short" else executor.dca_long_if_needed
        if add(symbol, state, price):
            state["dca"] += 1
            state["last_entry"] = price
            self._save_state()

    def _backfill(self, symbol):
        """What was executed, asked for, because nothing tells it."""
        return executor.exchange.fetch_my_trades(symbol)

    def _save_state(self):
        beside = self.state_file + ".new"
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(self.state, file)
        os.replace(beside, self.state_file)
