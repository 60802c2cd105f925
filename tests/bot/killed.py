"""Kills a careful bot at each point between deciding and hearing, and its recorder, and takes its book away for a while.

    killed.py SEED...        these, or with `1-200` all from 1 to 200

Each seed has an exchange of its own (`fillbook simulator`, the command is `FILLBOOK_BINARY`). A bot is killed a few times, goes on
each time, and is left alone at the end. Then the exchange's own answers are held against the book (`judging.py`): no entry is
doubled, no exit is missing, and nothing that the bot heard is lost. A seed that fails leaves its folder, with `bot.log`.
"""

import collections
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "stranger"))

import fillbook  # noqa: E402
from careful import RECEIVE_WINDOW_MS, Bot, Journal  # noqa: E402
from judging import judge  # noqa: E402
from points import Book, Exchange, Points  # noqa: E402
from session import BTC, ETH, base_urls, settings  # noqa: E402

BINARY = os.environ["FILLBOOK_BINARY"]
KEY, SECRET = "fillbook-simulator-test-key", "fillbook-simulator-test-secret"
LIFE_S = 120
"""A life takes one or two seconds where nothing else runs. This only ends one that hangs."""
WORKERS = 2

KILLED_AT = (
    "decided", "before.signal", "after.signal", "signalled", "before.entry.intent", "after.entry.intent", "entry.before_send",
    "entry.after_send", "before.sent", "after.sent", "heard", "close_decided", "before.exit.intent", "after.exit.intent",
    "exit.before_send", "exit.after_send", "heard_exit", "cancelling", "before.cancel", "after.cancel", "closing",
    "before.closed", "after.closed", "closed",
)  # fmt: skip
TROUBLED_AT = (
    "decided", "signalled", "after.entry.intent", "entry.before_send", "entry.after_send", "exit.before_send",
    "exit.after_send", "close_decided", "closing", "cancelling",
)  # fmt: skip
TROUBLES = ("kill_record", "stop_record", "lock_book", "fill_disk")
LOSSES = (
    ("entry.before_send", "refuse_connection"), ("entry.after_send", "lose_answer"),
    ("exit.before_send", "refuse_connection"), ("exit.after_send", "lose_answer"),
)  # fmt: skip


def decisions_of(chance, exchange):
    """What the bot decides. No two entries of a contract have one amount, so that an order tells whose it is."""
    decisions = []
    for number in range(chance.randint(2, 4)):
        symbol = chance.choice((BTC, ETH))
        kind = chance.choices(("market", "resting", "too_big"), (6, 2, 2))[0]
        amount = 0.01 + 0.001 * number if symbol == BTC else 0.2 + 0.01 * number
        amount = 50_000 + number if kind == "too_big" else float(exchange.amount_to_precision(symbol, amount))
        side = chance.choice(("buy", "sell"))
        near = exchange.fetch_ticker(symbol)["last"] * (0.93 if side == "buy" else 1.07)
        decisions.append({
            "symbol": symbol, "side": side, "kind": kind, "amount": amount,
            "price": float(exchange.price_to_precision(symbol, near)), "engine": chance.choice(("swing", "atr")),
            "why": chance.choice(("take_profit", "stop_loss", "manual_close")),
        })  # fmt: skip
    return decisions


def plan_of(chance, is_last):
    """What happens in one life, and when it is killed at whatever it does, if no point kills it."""
    plan, killed_after = [], None
    if not is_last and chance.random() < 0.75:
        plan.append((chance.choice(KILLED_AT), chance.randint(1, 2), "kill", 0))
    elif not is_last:
        # Soon, too: while it makes its book.
        killed_after = chance.uniform(0, chance.choice((0.2, 1.5)))
    if chance.random() < 0.6:
        seconds = round(chance.uniform(0.1, 1.5), 2)
        plan.append((chance.choice(TROUBLED_AT), chance.randint(1, 2), chance.choice(TROUBLES), seconds))
    if chance.random() < 0.4:
        point, action = chance.choice(LOSSES)
        plan.append((point, chance.randint(1, 2), action, 0))
    return plan, killed_after


class Story:
    """One seed."""

    def __init__(self, seed, folder):
        self.seed, self.folder = seed, folder
        self.chance = random.Random(seed)
        self.named = bool(self.chance.randrange(2))
        self.db = os.path.join(folder, "fillbook.db")
        self.log_path = os.path.join(folder, "bot.log")
        self.tally = collections.Counter(seeds=1)
        self.binary = os.path.join(folder, "fillbook")
        ignored = "trap '' XFSZ\n" if self.chance.randrange(2) else ""
        with open(self.binary, "w", encoding="utf-8") as file:
            # A recorder that may not write more is ended by the system, or told so.
            file.write(f'#!/bin/sh\n{ignored}exec "{BINARY}" "$@"\n')
        os.chmod(self.binary, 0o755)

    def run(self):
        words = [BINARY, "simulator", "--listen", "127.0.0.1:0", "--seed", str(self.seed), "--settle-lag", "100"]
        simulator = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            self.base_url = simulator.stdout.readline().strip().partition("=")[2]
            asking = self.exchange(Points([], self.log))
            decisions = decisions_of(self.chance, asking)
            self.log(f"seed {self.seed}: named {self.named}: {json.dumps(decisions)}")
            for _ in range(self.chance.randint(1, 3)):
                self.live(decisions, *plan_of(self.chance, is_last=False))
            self.live(decisions, *plan_of(self.chance, is_last=True))
            self.wait_for_orphans()
            # What a recorder that outlived its bot wrote late is asked for, too.
            self.live([], [], None, [decision["symbol"] for decision in decisions])
            journal = Journal(os.path.join(self.folder, "journal.jsonl"))
            judge(self, asking, decisions, journal)
        finally:
            simulator.kill()
            simulator.wait()
        return self.tally

    def exchange(self, points):
        account = {"api_key": KEY, "api_secret": SECRET}
        exchange = Exchange(settings(account) | {"timeout": 20_000})
        exchange.options["recvWindow"] = RECEIVE_WINDOW_MS
        exchange.urls["api"] = base_urls(self.base_url)
        exchange.points = points
        exchange.load_markets()
        return exchange

    def log(self, text):
        with open(self.log_path, "a", encoding="utf-8") as file:
            file.write(f"{time.time():.3f} {text}\n")

    def live(self, decisions, plan, killed_after, settled=()):
        """One life, in a process of its own."""
        self.log(f"a life with {plan}, killed after {killed_after}")
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                self.be_the_bot(decisions, plan, settled)
                code = 0
            except BaseException:  # noqa: BLE001  told in the log, for the parent has no other way to hear of it
                self.log(traceback.format_exc())
            finally:
                os._exit(code)
        begun = time.monotonic()
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            passed = time.monotonic() - begun
            if killed_after is not None and passed > killed_after:
                os.kill(pid, signal.SIGKILL)
                killed_after = None
            if passed > LIFE_S:
                os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"a life is not over after {LIFE_S} s")
            time.sleep(0.01)
        was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        self.log("it was killed" if was_killed else f"it ended with {status}")
        assert was_killed or status == 0, f"the bot failed: {status}"
        self.tally["killed"] += was_killed
        if not was_killed:
            self.tally["lives that were left alone"] += 1
        elif self.chance.randrange(2):
            # As when the machine goes down.
            self.log("with all that it started")
            self.tally["killed with all that it started"] += 1
            for started in self.started():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(started, signal.SIGKILL)

    def be_the_bot(self, decisions, plan, settled):
        points = Points(plan, self.log)
        journal = Journal(os.path.join(self.folder, "journal.jsonl"))
        with Book(points, self.db, "main", binary=self.binary, patience=0.7) as book:
            exchange = fillbook.recorded(self.exchange(points), book)
            bot = Bot(exchange, book, journal, points, self.log, self.named)
            bot.run(decisions)
            for symbol in sorted(set(settled)):
                bot._settle(symbol)

    def wait_for_orphans(self):
        """A recorder whose bot was killed ends with its input; one that was stopped is woken before."""
        until = time.monotonic() + 60
        while self.started():
            assert time.monotonic() < until, "a recorder outlives its bot"
            time.sleep(0.05)

    def started(self):
        """What the bots have started of the command and still runs."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if words[0] == BINARY.encode() and self.folder.encode() in b" ".join(words):
                found.append(int(pid))
        return found


def seeds_of(words):
    for word in words:
        first, _, last = word.partition("-")
        yield from range(int(first), int(last or first) + 1)


def tell(seeds):
    """Runs seeds one after the other; answers what was counted, and the seeds that failed."""
    counts, failed = collections.Counter(), []
    for seed in seeds:
        folder = tempfile.mkdtemp(prefix=f"fillbook-killed-{seed}-")
        story = Story(seed, folder)
        try:
            counts += story.run()
        except Exception:  # noqa: BLE001  the other seeds are told of as well
            print(f"seed {seed} fails; {folder} has its story:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
            failed.append(seed)
        else:
            shutil.rmtree(folder)
    return counts, failed


def main():
    seeds = list(seeds_of(sys.argv[1:]))
    told = []
    for worker in range(WORKERS):
        reading, writing = os.pipe()
        if os.fork() == 0:
            counts, failed = tell(seeds[worker::WORKERS])
            os.write(writing, json.dumps([counts, failed]).encode())
            os._exit(0)
        os.close(writing)
        told.append(reading)
    counts, failed = collections.Counter(), []
    for reading in told:
        with open(reading, encoding="utf-8") as file:
            its_counts, its_failed = json.loads(file.read() or '[{}, ["a worker died"]]')
        counts += collections.Counter(its_counts)
        failed += its_failed
    print(json.dumps({"done": counts, "failed": failed}), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
