"""A careful bot: it writes down what it decides before it acts, and what it heard as soon as it heard it. When it is started
again, it asks before it repeats anything.

Its decisions are given to it, so that a campaign can say what must have become of each. A `named` bot gives its orders client
ids of its own and asks the exchange for these; the other one knows of its orders only what the book says.
"""

import json
import os
import time

import ccxt

import fillbook

RECEIVE_WINDOW_MS = 1000
"""A request that is older is refused by the exchange. What is not there after that does not come any more."""


class Journal:
    """The bot's own memory: a line is on disk when `say` returns."""

    def __init__(self, path):
        self.said = []
        if os.path.exists(path):
            with open(path, "rb") as file:
                # Killed while it wrote a line, it had not said it.
                whole = file.read().rpartition(b"\n")[:2]
            os.truncate(path, sum(map(len, whole)))
            self.said = [json.loads(line) for line in whole[0].splitlines()]
        self._file = open(path, "a", encoding="utf-8")

    def say(self, what, number, **fields):
        line = {"what": what, "number": number, **fields}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.said.append(line)

    def has(self, what, number):
        return any(line["what"] == what and line["number"] == number for line in self.said)

    def of(self, what, number):
        return [line for line in self.said if line["what"] == what and line["number"] == number]


class Bot:
    def __init__(self, exchange, book, journal, points, log, named):
        self.exchange, self.book, self.journal, self.points = exchange, book, journal, points
        self.log, self.named = log, named
        self.begun = time.monotonic()

    def run(self, decisions):
        for number, decision in enumerate(decisions):
            if not self.journal.has("over", number):
                self._follow(number, decision)
        # Exits that were sent when this or an earlier process was killed.
        for symbol in sorted({decision["symbol"] for decision in decisions}):
            self._settle(symbol)

    def _follow(self, number, decision):
        symbol, side = decision["symbol"], decision["side"]
        if not self.journal.has("decided", number):
            self.journal.say("decided", number, time=int(time.time() * 1000))
            self.points.passed("decided")
        if not self.journal.has("signalled", number):
            at = self.journal.of("decided", number)[0]["time"]
            self.book.signal(symbol, side, decision["engine"], "breakout", signal_id=f"d-{number}", time=at)
            self.points.passed("signalled")
            self.journal.say("signalled", number)
        else:
            self._settle(symbol)
        if not self.journal.has("entered", number) and not self.journal.has("given_up", number):
            self._enter(number, decision)
        if self.journal.has("entered", number):
            if decision["kind"] == "resting":
                self._take_back(number, decision)
            else:
                self._close(number, decision)
        self.journal.say("over", number)

    # In.

    def _enter(self, number, decision):
        """At most one order, however often this is begun."""
        is_uncertain = True
        while not self.journal.has("entered", number) and not self.journal.has("given_up", number):
            if is_uncertain:
                order = self._find(number, decision)
                if order:
                    self.journal.say("entered", number, order=order["id"], client=order["clientOrderId"], by="asked")
                    return
                is_uncertain = False
            params = {"fillbook": {"engine": decision["engine"], "signal_id": f"d-{number}"}}
            if self.named:
                client = f"bot-{number}-{len(self.journal.of('try', number)) + 1}"
                self.journal.say("try", number, client=client)
                params["newClientOrderId"] = client
            kind, price = "market", None
            if decision["kind"] == "resting":
                kind, price = "limit", decision["price"]
            try:
                order = self.exchange.create_order(
                    decision["symbol"], kind, decision["side"], decision["amount"], price, params
                )
            except fillbook.EntryRefused as error:
                self.log(f"{number}: {error}")
                is_uncertain = any(reason.kind in ("undecided_intent", "sent_before") for reason in error.reasons)
                time.sleep(0.05)
            except (ccxt.InvalidOrder, ccxt.InsufficientFunds, ccxt.BadRequest) as error:
                self.log(f"{number}: {error}")
                self.points.passed("heard")
                self.journal.say("given_up", number, client=params.get("newClientOrderId"))
            except ccxt.BaseError as error:
                self.log(f"{number}: {type(error).__name__}: {error}")
                if '"code":-4' in str(error).replace(" ", "") or '"code":-2' in str(error).replace(" ", ""):
                    # By the code alone: ccxt has no class for some of them.
                    self.points.passed("heard")
                    self.journal.say("given_up", number, client=params.get("newClientOrderId"))
                is_uncertain = True
            else:
                self.points.passed("heard")
                self.journal.say("entered", number, order=order["id"], client=order["clientOrderId"], by="answer")

    def _find(self, number, decision):
        """The order of a decision, if there is one: nothing is sent before this has said that there is none."""
        if self.named:
            for line in self.journal.of("try", number):
                order = self._ask(decision["symbol"], line["client"])
                if order:
                    self._settle(decision["symbol"])
                    return order
        found = self._settle(decision["symbol"])
        for row in self._book_of(decision["symbol"]):
            if row["signal_id"] == f"d-{number}":
                found.append(self._ask(decision["symbol"], row["client_order_id"]))
        wanted = [order for order in found if order["amount"] == decision["amount"] and not order["reduceOnly"]]
        return wanted[0] if wanted else None

    def _book_of(self, symbol):
        """The book's orders, once it answers."""
        while True:
            try:
                return self.book._command.list("orders", ["--symbol", symbol.partition(":")[0].replace("/", "")], 20)
            except fillbook.BookError as error:
                self.log(f"asking the book again: {error}")
                time.sleep(0.1)

    def _settle(self, symbol):
        """Asks the exchange for every order of which the book does not know what became, and tells the book."""
        found, waited_for = [], None
        while True:
            reasons = self.book.gate(symbol).reasons
            undecided = [reason for reason in reasons if reason.kind == "undecided_intent"]
            if undecided:
                for reason in undecided:
                    client = reason.client_order_id
                    if client in self._heard():
                        raise AssertionError(f"the book has lost what was heard of {client}")
                    order = self._ask(symbol, client)
                    if order:
                        self.book.sent(client, symbol, "accepted", order=order)
                        found.append(order)
                    else:
                        self.book.sent(client, symbol, "rejected", error="not at the exchange")
            elif not any(
                reason.kind in ("book_unavailable", "unreplayed_spool", "book_not_readable") for reason in reasons
            ):
                return found
            elif reasons != waited_for:
                self.log(f"waiting for the book: {reasons}")
                waited_for = reasons
            time.sleep(0.05)

    def _heard(self):
        """The orders of which the bot knows what became. What it heard was in the book, or in its spool, before it heard it."""
        return {
            line["client"]
            for line in self.journal.said
            if line["what"] in ("entered", "exited", "given_up") and line["client"]
        }

    def _ask(self, symbol, client):
        """What the exchange has under a client order id. That it has nothing counts when no request can be on its way."""
        while True:
            is_too_early = time.monotonic() < self.begun + RECEIVE_WINDOW_MS / 1000
            try:
                return self.exchange.fetch_order("", symbol, {"origClientOrderId": client})
            except ccxt.OrderNotFound:
                if not is_too_early:
                    return None
                time.sleep(0.1)
            except ccxt.NetworkError as error:
                self.log(f"asking again: {error}")

    # Out.

    def _take_back(self, number, decision):
        symbol, order = decision["symbol"], self.journal.of("entered", number)[0]["order"]
        while self.exchange.fetch_order(order, symbol)["status"] == "open":
            self.points.passed("cancelling")
            self.exchange.cancel_order(order, symbol, {"fillbook": {"reason": "too far"}})
            self.journal.say("cancelled", number, order=order)

    def _close(self, number, decision):
        symbol = decision["symbol"]
        out = "sell" if decision["side"] == "buy" else "buy"
        if not self.journal.has("close_decided", number):
            self.journal.say("close_decided", number)
            self.points.passed("close_decided")
        while True:
            held = [row for row in self.exchange.fetch_positions([symbol]) if row["contracts"]]
            if not held:
                break
            try:
                order = self.exchange.create_order(
                    symbol, "market", out, held[0]["contracts"], None, {"reduceOnly": True}
                )
            except ccxt.BaseError as error:
                self.log(f"{number}: closing again: {error}")
                time.sleep(0.05)
            else:
                self.points.passed("heard_exit")
                self.journal.say("exited", number, order=order["id"], client=order["clientOrderId"])
        # Of an exit that got no answer the book has to know before it is told that the trade is over.
        self._settle(symbol)
        self.exchange.fetch_my_trades(symbol)
        self.points.passed("closing")
        side = "long" if decision["side"] == "buy" else "short"
        self.book.close_trade(symbol, side, decision["why"])
        self.points.passed("closed")
        self.journal.say("closed", number)
