"""freqtrade trades on the simulator for a while, through fillbook; then its own database is held against the book.

    run.py SECONDS [plain|watched]

`plain`: it trades beside the book, which learns of it by `fillbook sync` alone. `watched`: it does, while `fillbook watch`
records. The command is `FILLBOOK_BINARY`. A session that fails leaves its folder.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ccxt
from comparing import compare

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, "..", "ccxt_bot"), os.path.join(HERE, "..", "stranger")]

import beside  # noqa: E402
from beside import BINARY, CREDENTIALS, KEY, SECRET  # noqa: E402

STARTS_S = 120
ENDS_S = 120


def config(base_url, folder):
    """Only what tells freqtrade where the exchange is, and to trade for real there."""
    # Every interface of the venue, so that nothing can go to the real exchange by mistake.
    urls = {name: f"{base_url}/not-there" for name in ccxt.binance().urls["api"] if name != "ws"}
    versions = {"": "v1", "V2": "v2", "V3": "v3"}
    urls |= {
        f"fapi{audience}{name}": f"{base_url}/fapi/{version}"
        for audience in ("Public", "Private")
        for name, version in versions.items()
    }
    options = {"fetchCurrencies": False, "fetchMarkets": {"types": ["linear"]}}
    own = {"urls": {"api": urls}, "options": options, "enableRateLimit": False}
    return {
        "dry_run": False,
        "initial_state": "running",
        "trading_mode": "futures",
        "margin_mode": "isolated",
        "stake_currency": "USDT",
        "stake_amount": 200,
        "max_open_trades": 6,
        "cancel_open_orders_on_exit": True,
        "db_url": f"sqlite:///{folder}/freqtrade.sqlite",
        "unfilledtimeout": {"entry": 10, "exit": 10, "unit": "seconds"},
        "entry_pricing": {"price_side": "other", "use_order_book": True},
        "exit_pricing": {"price_side": "other", "use_order_book": True},
        "exchange": {
            "name": "binance",
            "key": KEY,
            "secret": SECRET,
            "enable_ws": False,
            "ccxt_config": own,
            "ccxt_async_config": own,
            "pair_whitelist": ["BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"],
        },
        "pairlists": [{"method": "StaticPairList"}],
        "internals": {"process_throttle_secs": 1},
    }


def session(seconds, how, folder):
    with beside.simulator("--seed", "7") as base_url:
        path = os.path.join(folder, "config.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config(base_url, folder), file)
        book = os.path.join(folder, "fillbook.db")
        arguments = [book if how == "recorded" else "-", "trade", "--config", path, "--strategy", "Often"]
        arguments += ["--strategy-path", HERE, "--userdir", folder]
        if how == "watched":
            return watched(seconds, folder, arguments, book, base_url)
        trade(seconds, folder, arguments)
        # The exchange lists what it executed half a second later.
        time.sleep(1)
        for _ in range(2):
            done = subprocess.run([BINARY, "--db", book, "sync", "--base-url", base_url], env=CREDENTIALS, check=False)
            if done.returncode:
                raise SystemExit(f"sync ended with {done.returncode}")
        return compare(BINARY, book, os.path.join(folder, "freqtrade.sqlite"), how == "recorded")


def watched(seconds, folder, arguments, path, base_url):
    """What `watch` recorded is all of it, before a sync looks."""
    watch = beside.Watch(path, base_url)
    try:
        watch.until("compared with the exchange")
        trade(seconds, folder, arguments)
        time.sleep(1)
        problems = watch.end()
    finally:
        watch.process.kill()
    book = beside.Book(path)
    problems += watch.noise()
    problems += beside.compare(beside.Exchange(base_url), book)
    problems += compare(BINARY, path, os.path.join(folder, "freqtrade.sqlite"), False)
    return problems + beside.settle(book, base_url)


def trade(seconds, folder, arguments):
    """freqtrade, until it is interrupted as by Ctrl-C."""
    log = os.path.join(folder, "freqtrade.log")
    with open(log, "wb") as file:
        bot = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "trading.py"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    until = time.monotonic() + STARTS_S
    try:
        while "state='RUNNING'" not in Path(log).read_text(encoding="utf-8", errors="replace"):
            if bot.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"freqtrade does not start; {log} says why")
            time.sleep(0.2)
        time.sleep(seconds)
        bot.send_signal(signal.SIGINT)
        bot.wait(ENDS_S)
    finally:
        bot.kill()


def main():
    seconds, how = int(sys.argv[1]), (sys.argv[2:] or ["recorded"])[0]
    folder = tempfile.mkdtemp(prefix="fillbook-freqtrade-")
    print(f"in {folder}", flush=True)
    problems = session(seconds, how, folder)
    if problems:
        raise SystemExit("\n".join(problems))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
