"""With the command itself, which `FILLBOOK_BINARY` names: what was acknowledged is in the book, whatever is killed."""

import json
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

import fake_ccxt

import fillbook

BTC = "BTC/USDT:USDT"
BINARY = os.environ.get("FILLBOOK_BINARY")


class Exchange(fake_ccxt.Exchange):
    """One whose orders say what Binance's say."""

    def _place(self, symbol, type, side, amount, price, params):
        order = super()._place(symbol, type, side, amount, price, params)
        now = time.time_ns() // 1_000_000
        order |= {"timestamp": now, "datetime": None, "timeInForce": "GTC", "reduceOnly": False, "trades": [], "fees": []}
        order["info"] = {
            "orderId": order["id"], "clientOrderId": order["clientOrderId"], "symbol": "BTCUSDT", "status": "NEW",
            "side": side.upper(), "type": type.upper(), "origQty": str(amount), "executedQty": "0", "avgPrice": "0",
            "price": str(price), "reduceOnly": False, "positionSide": "BOTH", "time": now, "updateTime": now,
            "timeInForce": "GTC",
        }  # fmt: skip
        return order

    def _cancel(self, id, symbol):
        order = super()._cancel(id, symbol)
        order["info"] = {**order["info"], "status": "CANCELED"}
        return order


@unittest.skipUnless(BINARY, "FILLBOOK_BINARY names no command")
class WithTheCommand(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="fillbook-python-")
        self.addCleanup(folder.cleanup)
        self.db = Path(folder.name) / "book.db"

    def listed(self, what):
        words = [BINARY, "--db", str(self.db), "--account", "main", "--json", what]
        said = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=120).stdout
        return [json.loads(line) for line in said.splitlines()]

    def test_what_a_bot_says_and_asks(self):
        with fillbook.Book(self.db, patience=60) as book:
            signal_id = book.signal(BTC, "buy", "swing", "breakout", meta={"rsi": 28.5})["signal_id"]
            book.skip("ETHUSDT", "sell", "swing", why="spread")
            exchange = fillbook.recorded(Exchange(), book)
            order = exchange.create_order(BTC, "limit", "buy", 0.1, 65000.0)
            exchange.cancel_order(order["id"], BTC, {"fillbook": {"reason": "too far"}})
            self.assertEqual(book.gate(BTC, "buy").reasons, ())
            self.assertEqual((book.positions(), book.trips()), ([], []))
            with self.assertRaises(fillbook.Refused) as caught:
                book.label(BTC, "1", reason="because")
            self.assertEqual(caught.exception.field, "reason")
            book.close_trade(BTC, "long", "manual_close")
        (found,) = self.listed("orders")
        self.assertEqual((found["engine"], found["signal_id"], found["status"]), ("swing", signal_id, "CANCELED"))
        self.assertEqual([cancel["reason"] for cancel in self.listed("cancels")], ["too far"])
        self.assertEqual({row["symbol"] for row in self.listed("signals")}, {"BTCUSDT", "ETHUSDT"})

    def test_positions_are_read_behind_every_line_before(self):
        now = time.time_ns() // 1_000_000

        def trade(number, side):
            info = {
                "id": number, "orderId": number, "symbol": "BTCUSDT", "side": side.upper(), "positionSide": "BOTH",
                "price": "100", "qty": "1", "commission": "0", "commissionAsset": "USDT", "maker": False,
                "time": now + number,
            }  # fmt: skip
            return {"symbol": BTC, "id": str(number), "side": side, "price": 100, "amount": 1, "info": info}

        with fillbook.Book(self.db, patience=60) as book:
            book.check()
            for number in range(1, 301):
                book.note("trade", trade=trade(number, "buy" if number % 2 else "sell"))
                if number % 100 in (49, 50, 99, 0):
                    held = book.positions(patience=120)
                    self.assertIsNone(held.behind)
                    self.assertEqual([row["qty"] for row in held if row["qty"] != "0"], ["1"] if number % 2 else [], number)
            trips = book.trips()
            self.assertEqual((len(trips), trips.behind), (150, None))
            # A recorder that does not answer is not waited for beyond the patience, and the answer says so.
            (pid,) = book._child.pids()
            os.kill(pid, signal.SIGSTOP)
            try:
                book.note("trade", trade=trade(301, "buy"))
                since = time.monotonic()
                held = book.positions(patience=2)
                self.assertLess(time.monotonic() - since, 4)
                self.assertIn("has not answered", held.behind)
            finally:
                os.kill(pid, signal.SIGCONT)
            self.assertIsNone(book.flush(60))
            self.assertEqual([row["qty"] for row in book.positions() if row["qty"] != "0"], ["1"])

    def test_killed_while_it_makes_the_book_a_bot_makes_it_at_its_next_start(self):
        binary = self.db.with_name("fillbook")
        # The first time it leaves what `init` has left at half of its way: a file that is no book yet.
        once = f'mkdir "{binary}.once" 2>/dev/null && case "$*" in *" init "*) : >"$2"; kill -KILL $$;; esac'
        binary.write_text(f'#!/bin/sh\n{once}\nexec "{BINARY}" "$@"\n')
        binary.chmod(0o700)
        with self.assertRaisesRegex(fillbook.BookUnavailable, "init"), fillbook.Book(self.db, binary=str(binary)) as book:
            book.check()
        with fillbook.Book(self.db, binary=str(binary), patience=60) as book:
            book.check()
            book.signal(BTC, "buy", "swing")
        self.assertEqual([row["engine"] for row in self.listed("signals")], ["swing"])
        kept = {path.name for path in self.db.parent.iterdir()}
        self.assertEqual({name for name in kept if not name.startswith("fillbook")} - {"book.db", "book.db.spool.lock"}, set())

    def test_killed_at_random_moments_every_order_is_in_the_book_once(self):
        seed = int(os.environ.get("FILLBOOK_PYTHON_SEED", "7"))
        chance = random.Random(seed)
        raw = Exchange()
        with fillbook.Book(self.db, patience=60) as book:
            exchange = fillbook.recorded(raw, book)
            book.check()
            over = threading.Event()

            def kill():
                while not over.wait(chance.uniform(0.05, 1.0)):
                    for pid in book._child.pids():
                        try:
                            os.kill(pid, signal.SIGKILL)
                        except ProcessLookupError:
                            pass

            killer = threading.Thread(target=kill)
            killer.start()
            try:
                for number in range(40):
                    params = {"reduceOnly": True} if number % 2 else {}
                    try:
                        exchange.create_order(BTC, "limit", "sell" if number % 2 else "buy", 1, 65000.0, params)
                    except fillbook.EntryRefused:
                        # The process died too often over it, or is being started again: nothing was sent.
                        continue
            finally:
                over.set()
                killer.join()
        self.assertTrue(book.spool.is_empty(), f"seed {seed}")
        self.assertFalse(Path(f"{self.db}.spool.refused").exists(), f"seed {seed}")
        known = sorted((order["id"], order["clientOrderId"]) for order in raw.orders.values())
        found = sorted((row["order_id"], row["client_order_id"]) for row in self.listed("orders"))
        self.assertEqual(found, known, f"seed {seed}")
        self.assertGreaterEqual(len(found), 20, f"seed {seed}")


if __name__ == "__main__":
    unittest.main()
