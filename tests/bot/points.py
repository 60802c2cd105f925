"""Moments in a bot's life at which something goes wrong: what a campaign planned, one misfortune a moment.

A bot passes named points (`entry.after_intent`, `exit.after_send`, `decided`), and a plan says what happens when it passes one for
the nth time. The exchange and the book here are the real ones; they only pass points on the way.
"""

import collections
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import ccxt

import fillbook

# Somebody else's transaction, for some time.
_LOCK = """
import sqlite3, sys, time
book = sqlite3.connect(sys.argv[1], timeout=5, isolation_level=None)
book.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
book.execute("ROLLBACK")
"""


class Points:
    """What a plan makes of the points that are passed: `[point, nth, action, seconds]`."""

    def __init__(self, plan, log):
        self._plan = {(point, nth): (action, seconds) for point, nth, action, seconds in plan}
        self._passed = collections.Counter()
        self._lock = threading.Lock()
        self._log = log
        self.book = None

    def passed(self, point):
        with self._lock:
            self._passed[point] += 1
            action, seconds = self._plan.pop((point, self._passed[point]), (None, None))
        if action:
            # The log tells a failing seed's story.
            self._log(f"{action} at {point}")
            getattr(self, f"_{action}")(seconds)

    def _kill(self, seconds):
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    def _records(self):
        return self.book._child.pids() if self.book else []

    def _kill_record(self, seconds):
        for pid in self._records():
            os.kill(pid, signal.SIGKILL)

    def _stop_record(self, seconds):
        """It hangs for a while. Somebody else wakes it, because this process may not live that long."""
        for pid in self._records():
            os.kill(pid, signal.SIGSTOP)
            wake = f"sleep {seconds}; kill -CONT {pid}"
            subprocess.Popen(["sh", "-c", wake], start_new_session=True, stdin=subprocess.DEVNULL)

    def _lock_book(self, seconds):
        """Another process writes to the book for a while."""
        if self.book and self.book.db.exists():
            words = [sys.executable, "-c", _LOCK, str(self.book.db), str(seconds)]
            other = subprocess.Popen(words, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            other.stdout.readline()

    def _fill_disk(self, seconds):
        """The book's files cannot grow for a while: the recorder's writes fail, or end it."""
        for pid in self._records():
            limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, limits[1]))

            def empty(pid=pid, limits=limits):
                try:
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
                except ProcessLookupError:
                    pass

            timer = threading.Timer(seconds, empty)
            timer.daemon = True
            timer.start()

    def _refuse_connection(self, seconds):
        raise ccxt.ExchangeNotAvailable("no connection: the campaign says so")

    def _lose_answer(self, seconds):
        raise ccxt.RequestTimeout("no answer: the campaign says so")


class Exchange(ccxt.binanceusdm):
    """ccxt's exchange, which passes points where an order leaves and where its answer has come."""

    points = None

    def fetch(self, url, method="GET", headers=None, body=None):
        is_order = method == "POST" and url.partition("?")[0].rstrip("/").endswith(("/order", "/algoOrder"))
        if not is_order:
            return super().fetch(url, method, headers, body)
        kind = "exit" if "reduceOnly=true" in f"{url}{body}" or "closePosition=true" in f"{url}{body}" else "entry"
        self.points.passed(f"{kind}.before_send")
        answer = super().fetch(url, method, headers, body)
        self.points.passed(f"{kind}.after_send")
        return answer


class Book(fillbook.Book):
    """The book, which passes points before and after it records what a bot is about to send, and what became of it."""

    def __init__(self, points, *args, **kwargs):
        self._points = points
        super().__init__(*args, **kwargs)
        points.book = self

    def record_now(self, event, **fields):
        return self._between(event, fields, super().record_now)

    def record(self, event, **fields):
        return self._between(event, fields, super().record)

    def _between(self, event, fields, record):
        kind = "exit" if fields.get("role") in ("exit", "stop_loss", "take_profit") else "entry"
        point = f"{kind}.{event}" if event == "intent" else event
        self._points.passed(f"before.{point}")
        answer = record(event, **fields)
        self._points.passed(f"after.{point}")
        return answer
