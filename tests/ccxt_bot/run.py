"""A bot on ccxt trades on the simulator while `fillbook watch` records; each is killed once and started again.

    run.py SECONDS [SEED]

The command is `FILLBOOK_BINARY`. A session that fails leaves its folder, with `bot.log` and the book.
"""

import collections
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
STRANGER = os.path.join(HERE, "..", "stranger")
sys.path.insert(0, STRANGER)

from beside import KILLED_MS, SAYS_S, Book, Exchange, Watch, compare, settle, simulator  # noqa: E402

DEAD_S = 5
"""How long bot and watcher are not started again."""


class Bot:
    def __init__(self, base_url, seed, log):
        environment = {**os.environ, "PYTHONPATH": STRANGER, "PYTHONDONTWRITEBYTECODE": "1"}
        with open(log, "ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, os.path.join(HERE, "bot.py"), base_url, seed],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment,
            )  # fmt: skip
        self.log = log

    def trade(self, seconds):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        raise SystemExit(f"the bot ended with {code}; {self.log} says why")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.terminate()
        if self.process.wait(SAYS_S):
            raise SystemExit(f"the bot ended with {self.process.returncode}; {self.log} says why")


def session(seconds, seed, folder):
    path, log = os.path.join(folder, "fillbook.db"), os.path.join(folder, "bot.log")
    third = seconds / 3
    with simulator("--seed", seed, "--bnb-fees") as base_url:
        watch, bot = Watch(path, base_url), None
        try:
            watch.until("compared with the exchange")
            bot = Bot(base_url, seed, log)
            bot.trade(third)
            bot.kill()
            print("the bot was killed", flush=True)
            time.sleep(DEAD_S)
            bot = Bot(base_url, f"{seed}-again", log)
            bot.trade(third)
            killed = watch.kill()
            print("watch was killed", flush=True)
            problems = list(watch.noise())
            bot.trade(DEAD_S)
            watch = Watch(path, base_url)
            stands = watch.until("the stream stands since")
            bot.trade(third)
            bot.end()
            # The exchange lists what it executed half a second later.
            time.sleep(1)
            problems += watch.end()
        finally:
            watch.process.kill()
            if bot:
                bot.kill()
        gap = (killed - KILLED_MS, stands)
        # What happened without a watcher is missing, and is restored.
        problems += watch.noise(also=("repairs: ", "1 repair: "))
        exchange, book = Exchange(base_url), Book(path)
        problems += compare(exchange, book, [gap])
        problems += count(exchange, gap)
        return problems + settle(book, base_url)


def count(exchange, gap):
    """What there is to compare. A session that did little would prove little."""
    counted = collections.Counter()
    fills, orders = exchange.fills(), exchange.orders()
    for fill in fills.values():
        counted["fills as maker" if fill["maker"] else "fills as taker"] += 1
        counted[f"fills of a {fill['position_side']} position"] += 1
        counted["fills without a watcher"] += gap[0] + KILLED_MS < fill["ts"] < gap[1]
    of_orders = collections.Counter((symbol, fill["order_id"]) for (symbol, _), fill in fills.items())
    counted["orders executed in parts"] = sum(parts > 1 for parts in of_orders.values())
    for (_, kind, _), (status, _) in orders.items():
        counted[f"{kind.lower()} orders {status}"] += 1
    counted["cancelled when executed in part"] = sum(status == "CANCELED" and bool(qty) for status, qty in orders.values())
    counted["open positions"] = len(exchange.positions())
    for what, times in sorted(counted.items()):
        print(f"{what}: {times}")
    wanted = (
        "fills as maker", "fills as taker", "fills of a LONG position", "fills of a SHORT position", "fills without a watcher",
        "orders executed in parts", "regular orders FILLED", "regular orders CANCELED", "conditional orders FINISHED",
        "conditional orders CANCELED",
    )  # fmt: skip
    return [f"nothing to compare: no {what}" for what in wanted if not counted[what]]


def main():
    seconds, seed = int(sys.argv[1]), (sys.argv[2:] or ["7"])[0]
    folder = tempfile.mkdtemp(prefix="fillbook-ccxt-bot-")
    print(f"in {folder}, seed {seed}", flush=True)
    problems = session(seconds, seed, folder)
    if problems:
        raise SystemExit("\n".join(problems))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
