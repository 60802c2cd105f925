"""`fillbook watch` beside somebody who trades and knows nothing of it, and what its book has to be in the end.

What is true is what the exchange answers to ccxt. The command is `FILLBOOK_BINARY`.
"""

import contextlib
import decimal
import json
import os
import re
import signal
import sqlite3
import subprocess
import threading
import time

import ccxt
from session import base_urls, settings

BINARY = os.environ["FILLBOOK_BINARY"]
KEY, SECRET = "fillbook-simulator-test-key", "fillbook-simulator-test-secret"
CREDENTIALS = {**os.environ, "FILLBOOK_API_KEY": KEY, "FILLBOOK_API_SECRET": SECRET}
SAYS_S = 120
"""However slow the machine: what is not said in that is never said."""
ENDS_S = 5
"""How soon `watch` ends when it is asked to."""
EXPECTED = ("watching ", "the stream stands since ", "compared with the exchange: ", "watched no longer")
"""All that there is to say while nothing goes wrong."""
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} main: (.*)")
ROWS_MAX = 1000
KILLED_MS = 2000
"""What happened so shortly before a watcher was killed, it may not have recorded."""


def now_ms():
    return time.time_ns() // 1_000_000


@contextlib.contextmanager
def simulator(*options):
    """A simulated exchange, and where it answers."""
    words = [BINARY, "simulator", "--listen", "127.0.0.1:0", *options]
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process.stdout.readline().strip().partition("=")[2]
    finally:
        process.kill()
        process.wait()


class Watch:
    """The process. What it says is printed as it comes."""

    def __init__(self, book, base_url):
        self.said = []
        self.process = subprocess.Popen(
            [BINARY, "--db", book, "watch", "--base-url", base_url],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=CREDENTIALS,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.said.append((now_ms(), line.rstrip("\n")))
            print(f"    {line}", end="", flush=True)

    def until(self, words):
        """Waits until it says so; when that was."""
        until = time.monotonic() + SAYS_S
        while time.monotonic() < until and self.process.poll() is None:
            for at, line in list(self.said):
                if words in line:
                    return at
            time.sleep(0.05)
        raise SystemExit(f"watch does not say `{words}`; it ended with {self.process.poll()}")

    def kill(self):
        """As when the machine runs out of memory; when that was."""
        at = now_ms()
        self._end(signal.SIGKILL)
        return at

    def end(self):
        """As a service manager ends it; what is wrong with that."""
        took = self._end(signal.SIGTERM)
        code = self.process.returncode
        print(f"watch ended {took:.2f} s after SIGTERM with {code}", flush=True)
        return [] if took < ENDS_S and code == 0 else [f"watch ended after {took:.2f} s with {code}"]

    def _end(self, how):
        begun = time.monotonic()
        self.process.send_signal(how)
        try:
            self.process.wait(SAYS_S)
        finally:
            self.process.kill()
        took = time.monotonic() - begun
        self._reader.join()
        return took

    def noise(self, also=()):
        """What it said without anything having gone wrong but what is expected (`also`), and what is no line at all."""
        for _, line in self.said:
            shape = LINE.fullmatch(line)
            if not shape or not (shape[1].startswith(EXPECTED) or any(words in shape[1] for words in also)):
                yield f"watch said: {line}"


def number(value):
    """An amount, so that 0.010 and 0.01 are one."""
    return None if value in (None, "") else decimal.Decimal(str(value)).normalize() + 0


class Exchange:
    """What the exchange answers about its account, by ccxt."""

    def __init__(self, base_url):
        self.ccxt = ccxt.binanceusdm(settings({"api_key": KEY, "api_secret": SECRET}))
        self.ccxt.urls["api"] = base_urls(base_url)
        self.symbols = list(self.ccxt.load_markets())

    def all(self, ask):
        """Of each contract everything, which is less than the exchange lists at once."""
        for symbol in self.symbols:
            rows = ask(symbol)
            if len(rows) >= ROWS_MAX:
                raise SystemExit(f"more of {symbol} than can be asked for at once: trade for a shorter time")
            yield from rows

    def of_contract(self, ask):
        return self.all(lambda symbol: ask({"symbol": self.ccxt.market_id(symbol), "limit": ROWS_MAX}))

    def fills(self):
        return {
            (row["symbol"], str(row["id"])): {
                "order_id": str(row["orderId"]), "side": row["side"], "position_side": position_side(row),
                "price": number(row["price"]), "qty": number(row["qty"]), "fee": number(row["commission"]),
                "fee_asset": row["commissionAsset"], "exchange_realized_pnl": number(row["realizedPnl"]),
                "maker": str(row["maker"]).lower() == "true", "ts": int(row["time"]),
            }
            for row in self.of_contract(self.ccxt.fapiPrivateGetUserTrades)
        }  # fmt: skip

    def orders(self):
        found = {
            (row["symbol"], "REGULAR", str(row["orderId"])): (row["status"], number(row["executedQty"]))
            for row in self.of_contract(self.ccxt.fapiPrivateGetAllOrders)
        }
        conditional = self.all(lambda symbol: self.ccxt.fetch_orders(symbol, None, ROWS_MAX, {"trigger": True}))
        for row in (order["info"] for order in conditional):
            found[row["symbol"], "CONDITIONAL", str(row["algoId"])] = (row["algoStatus"], None)
        return found

    def positions(self):
        rows = (position["info"] for position in self.ccxt.fetch_positions())
        held = {(row["symbol"], position_side(row)): number(row["positionAmt"]) for row in rows}
        return {key: qty for key, qty in held.items() if qty}


class Book:
    """The same of the book, by the command."""

    def __init__(self, path):
        self.path = path

    def run(self, *words, **more):
        done = subprocess.run(
            [BINARY, "--db", self.path, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
            check=False, **more,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def listed(self, what):
        code, told = self.run("--json", "--quiet", what)
        if code not in (0, 3):
            raise SystemExit(f"`fillbook {what}` ended with {code}: {told}")
        return [json.loads(line) for line in told.splitlines()]

    def fills(self):
        names = ("order_id", "side", "position_side", "fee_asset", "maker", "ts")
        amounts = ("price", "qty", "fee", "exchange_realized_pnl")
        return {
            (row["symbol"], row["fill_id"]): {name: row[name] for name in names} | {name: number(row[name]) for name in amounts}
            for row in self.listed("fills")
        }

    def orders(self):
        return {
            (row["symbol"], row["order_class"], row["order_id"]): (
                row["status"], number(row["executed_qty"]) if row["order_class"] == "REGULAR" else None,
            )
            for row in self.listed("orders")
        }  # fmt: skip

    def positions(self):
        return {(row["symbol"], row["position_side"]): number(row["qty"]) for row in self.listed("positions")}

    def told(self):
        """Of each fill that the stream told: when it was on record, by the local clock."""
        connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        try:
            words = (
                "SELECT symbol, fill_id, min(recorded_local_ms) FROM fact_sources JOIN fills"
                " ON fact_key = symbol || '|' || side || '|' || fill_id WHERE kind = 'fill' AND fact_sources.source = 'stream' GROUP BY 1, 2"
            )
            return {(symbol, fill_id): at for symbol, fill_id, at in connection.execute(words)}
        finally:
            connection.close()


def position_side(row):
    return "NET" if row["positionSide"] == "BOTH" else row["positionSide"]


def differences(what, there, here):
    for key in sorted(there.keys() | here.keys()):
        if there.get(key) != here.get(key):
            yield f"{what} {key}: {there.get(key)} at the exchange, {here.get(key)} in the book"


def compare(exchange, book, gaps=()):
    """The book as `watch` left it. The stream told each fill, but for those that fell into `gaps`, from and to in ms."""
    fills = exchange.fills()
    problems = [
        *differences("fill", fills, book.fills()),
        *differences("order", exchange.orders(), book.orders()),
        *differences("position", exchange.positions(), book.positions()),
    ]
    told = book.told()
    delays = sorted(at - fills[key]["ts"] for key, at in told.items() if key in fills)
    for key, fill in fills.items():
        if key not in told and not any(since <= fill["ts"] <= until for since, until in gaps):
            problems.append(f"fill {key}: the stream did not tell it: {fill}")
    if not delays or 2 * len(delays) < len(fills):
        problems.append(f"the stream told {len(delays)} of {len(fills)} fills")
    else:
        print(
            f"fills: {len(fills)}, told by the stream: {len(delays)}, on record after {delays[len(delays) // 2]} ms"
            f" (median), {delays[len(delays) * 99 // 100]} ms (99 of 100), {delays[-1]} ms (last)"
        )
    return problems


def settle(book, base_url):
    """A sync finds nothing to repair in what `watch` left, and the book balances before and after it. Whoever knows nothing of
    fillbook records no signals: these a cycle restores from the orders, and ends with what the exchange says of them."""
    problems = []
    before = len(book.listed("repairs"))
    # What the first look found is no discrepancy any more in the second.
    for words in (["verify"], ["sync", "--base-url", base_url], ["sync", "--base-url", base_url], ["verify"]):
        code, told = book.run(*words, env=CREDENTIALS)
        if code:
            problems.append(f"`fillbook {words[0]}` ended with {code}: {told}")
    print(f"repairs by watch: {before}; the last verify:\n{told}", end="")
    repairs = book.listed("repairs")[before:]
    print(f"signals restored by sync: {sum(row['kind'] == 'restore_signal' for row in repairs)}")
    problems += [f"sync repaired: {row}" for row in repairs if row["kind"] != "restore_signal"]
    problems += [f"left: {row}" for row in book.listed("discrepancies")]
    problems += [f"unfinished: {row}" for row in book.listed("runs") if row["status"] == "running"]
    return problems
