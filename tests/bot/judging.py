"""What the exchange says at the end, held against what a killed bot decided, what it heard, and what its book says."""

import collections
import decimal
import json
import os
import re
import sqlite3
import subprocess

_ACTION = re.compile(r"^\S+ (kill|kill_record|stop_record|lock_book|fill_disk|refuse_connection|lose_answer) at ")


def number(value):
    """An amount, so that 0.010 and 0.01 are one."""
    return decimal.Decimal(str(value)).normalize()


def _contract(symbol):
    """The venue's name of a contract."""
    return symbol.partition(":")[0].replace("/", "")


def judge(story, exchange, decisions, journal):
    """Raises AssertionError for the first thing that is not as it should be."""
    book = _Listed(story)
    known = {symbol: _Known(exchange, symbol) for symbol in {decision["symbol"] for decision in decisions}}
    _each_decision_once(decisions, known, journal)
    # Before a sync, which would restore what was lost.
    _heard(story, book, decisions, journal)
    environment = {**os.environ, "FILLBOOK_API_KEY": exchange.apiKey, "FILLBOOK_API_SECRET": exchange.secret}
    for _ in range(2):
        # What the first look found is no discrepancy any more in the second.
        told = book.run(["sync", "--base-url", story.base_url], environment)
        assert told.returncode == 0, told.stdout + told.stderr
    _book_is_the_exchanges(book, known)
    _trips(book, decisions, journal)
    told = book.run(["verify"])
    assert told.returncode == 0, told.stdout + told.stderr
    assert book.list("discrepancies") == []
    for symbol in known:
        told = book.run(["gate", symbol])
        assert told.returncode == 0, told.stdout
    _count(story, journal, known)


class _Listed:
    """The book, read with the command."""

    def __init__(self, story):
        self._words = [story.binary, "--db", story.db, "--account", "main"]
        self.db = story.db

    def run(self, words, environment=None):
        words = [*self._words, *words]
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False, env=environment
        )

    def list(self, what):
        told = self.run(["--json", "--quiet", what])
        assert told.returncode in (0, 3), told.stderr
        return [json.loads(line) for line in told.stdout.splitlines()]


class _Known:
    """What the exchange knows of a contract."""

    def __init__(self, exchange, symbol):
        self.id = exchange.market_id(symbol)
        self.orders = {
            str(row["orderId"]): row for row in exchange.fapiPrivateGetAllOrders({"symbol": self.id, "limit": 1000})
        }
        self.open = exchange.fetch_open_orders(symbol)
        self.trades = exchange.fapiPrivateGetUserTrades({"symbol": self.id, "limit": 1000})
        self.held = [row for row in exchange.fetch_positions([symbol]) if row["contracts"]]

    def entries(self, decision):
        """The orders of a decision: its amount is no other's."""
        return [
            row for row in self.orders.values()
            if str(row["reduceOnly"]).lower() == "false" and number(row["origQty"]) == number(decision["amount"])
        ]  # fmt: skip


def _each_decision_once(decisions, known, journal):
    """No entry is doubled, none that was not given up is missing, and what had to be closed is."""
    entries = 0
    for at, decision in enumerate(decisions):
        found = known[decision["symbol"]].entries(decision)
        wanted = 0 if decision["kind"] == "too_big" else 1
        assert len(found) == wanted, f"decision {at} has {len(found)} entries: {found}"
        assert journal.has("entered" if wanted else "given_up", at), (
            f"the bot does not know what became of decision {at}"
        )
        for line in journal.of("entered", at):
            assert line["order"] == str(found[0]["orderId"]), (
                f"decision {at}: the bot takes another order for its own: {line}"
            )
        if wanted and decision["kind"] == "resting":
            assert found[0]["status"] == "CANCELED", f"decision {at} was not taken back: {found}"
        entries += wanted
    for each in known.values():
        assert (each.held, each.open) == ([], []), f"{each.id} is not left: {each.held} {each.open}"
    all_entries = [
        row for each in known.values() for row in each.orders.values() if str(row["reduceOnly"]).lower() == "false"
    ]
    assert len(all_entries) == entries, f"orders of no decision: {all_entries}"


def _heard(story, book, decisions, journal):
    """Each line that was acknowledged is in the book, without a look at the exchange."""
    spool = f"{story.db}.spool"
    assert not os.path.exists(spool) or os.path.getsize(spool) == 0, "lines still wait"
    assert not os.path.exists(f"{spool}.refused"), "the recorder refused lines"
    # The orders of two contracts may have one id.
    orders = {(row["symbol"], row["order_id"]): row for row in book.list("orders")}
    signals = {row["signal_id"]: row for row in book.list("signals")}
    cancels = {(row["symbol"], row["order_id"]): row for row in book.list("cancels")}
    connection = sqlite3.connect(f"file:{story.db}?mode=ro", uri=True)
    try:
        words = "SELECT client_order_id, signal_id, role, outcome FROM order_intents"
        intents = {row[0]: row for row in connection.execute(words)}
    finally:
        connection.close()
    for line in journal.said:
        at, what = line["number"], line["what"]
        decision = decisions[at]
        key = (_contract(decision["symbol"]), line.get("order"))
        if what == "signalled":
            told = signals[f"d-{at}"]
            assert (told["engine"], told["reason"]) == (decision["engine"], "breakout"), told
        elif what in ("entered", "exited"):
            told, intent = orders[key], intents[line["client"]]
            assert told["client_order_id"] == line["client"] and intent[3] == "accepted", (line, told, intent)
            if what == "entered":
                assert (told["engine"], told["signal_id"]) == (decision["engine"], f"d-{at}"), (line, told)
        elif what == "given_up":
            refused = [row for row in intents.values() if row[1] == f"d-{at}" and row[3] == "rejected"]
            assert refused, f"decision {at} was refused, and no intent says so: {intents}"
        elif what == "cancelled":
            assert cancels[key]["reason"] == "too far", cancels
    undecided = [row for row in intents.values() if row[3] not in ("accepted", "rejected")]
    assert not undecided, f"nobody has asked for {undecided}"


def _book_is_the_exchanges(book, known):
    """Orders and fills, row by row."""
    seen = {
        (row["symbol"], row["order_id"]): (
            row["side"],
            row["status"],
            number(row["executed_qty"]),
            number(row["filled_qty"]),
        )
        for row in book.list("orders")
    }
    told = {
        (each.id, str(row["orderId"])): (
            row["side"],
            row["status"],
            number(row["executedQty"]),
            number(row["executedQty"]),
        )
        for each in known.values()
        for row in each.orders.values()
    }
    assert seen == told, f"orders: {seen} in the book, {told} at the exchange"
    fields = ("order_id", "side", "qty", "price", "fee", "exchange_realized_pnl")
    seen = sorted((row["symbol"], row["fill_id"], *(str(row[name]) for name in fields)) for row in book.list("fills"))
    own = ("orderId", "side", "qty", "price", "commission", "realizedPnl")
    told = sorted(
        (each.id, str(row["id"]), *(str(row[name]) for name in own)) for each in known.values() for row in each.trades
    )
    plain = [
        [[text if at < 4 else number(text) for at, text in enumerate(row)] for row in rows] for rows in (seen, told)
    ]
    assert plain[0] == plain[1], f"fills: {seen} in the book, {told} at the exchange"


def _trips(book, decisions, journal):
    """Each position that was opened is one round trip, with its strategy and with why it was closed."""
    wanted = collections.Counter()
    for at, decision in enumerate(decisions):
        if decision["kind"] == "market":
            assert journal.has("closed", at)
            wanted[_contract(decision["symbol"]), decision["engine"], decision["why"]] += 1
    found = collections.Counter((row["symbol"], row["engine"], row["exit_reason"]) for row in book.list("trips"))
    assert found == wanted, f"round trips: {found} in the book, {wanted} decided"


def _count(story, journal, known):
    """What the seed was about, so that a campaign in which nothing happens is seen to be one."""
    with open(story.log_path, encoding="utf-8") as file:
        actions = [found[1] for found in map(_ACTION.match, file) if found]
    story.tally.update(action for action in actions if action != "kill")
    story.tally["orders"] += sum(len(each.orders) for each in known.values())
    story.tally["fills"] += sum(len(each.trades) for each in known.values())
    story.tally["acknowledged lines"] += len(journal.said)
    story.tally["orders found by asking"] += sum(line.get("by") == "asked" for line in journal.said)
