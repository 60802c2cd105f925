"""What is recorded when a method of the exchange is called."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .book import Book
from .errors import BookError, BookUnavailable, EntryRefused, Reason, Refused
from .facts import ENDED_WITHOUT, Facts, is_order, items
from .methods import Kind
from .order_call import OWN_PARAMS, OrderCall, client_order_id, read_call, sides_held
from .outcome import ACCEPTED, REJECTED, UNKNOWN, outcome
from .steps import AtExchange, Flow, InBook

log = logging.getLogger("fillbook")

Method = Callable[..., Any]
_NO_BOOK = ("unreplayed_spool", "book_unavailable", "book_not_readable", "unknown_account")
"""Reasons for which nothing can be recorded."""
UNDECIDED = "undecided_intent"
"""The gate's word for an order whose outcome is not known."""
_TOO_LATE = "not sent: the book answered too late"
"""What is said of an intent that a slow book records after the order was refused."""
_CONFIRMED_MAX = 20
"""So many orders are looked at again after a cancel of all."""


class _Sending:
    """An order on its way."""

    def __init__(self, call: OrderCall, client_order_id: str, is_closing: bool, role: str) -> None:
        self.call = call
        self.client_order_id = client_order_id
        self.is_closing = is_closing
        self.role = role
        # Said with the intent: a line may reach the book twice, by the spool and by a recorder that was given up, and is one fact.
        self.created_ms = time.time_ns() // 1_000_000
        self.is_recorded = False
        self.withdrawn: str | None = None
        """Why it is not sent."""


class Recorder:
    """The flows of one exchange."""

    def __init__(self, exchange: Any, book: Book, gate: str) -> None:
        self._exchange = exchange
        self._book = book
        self._gate = gate
        self._facts = Facts(book)
        self._lock = threading.Lock()
        self._undecided: dict[str, OrderCall] = {}
        self._in_flight: set[str] = set()
        self._asking: list[set[str]] = []

    def flow(self, kind: Kind, method: Method, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Flow:
        """What a call of a method does."""
        try:
            bound = inspect.signature(method).bind(*args, **kwargs)
        except TypeError:
            # ccxt says so in its own words.
            return _only(method, args, kwargs)
        arguments = bound.arguments
        if kind is Kind.CREATE:
            return self._create(method, arguments)
        if kind is Kind.CREATE_MANY:
            return self._create_many(method, arguments)
        if kind is Kind.CANCEL:
            return self._cancel(method, arguments)
        if kind is Kind.CANCEL_MANY:
            return self._cancel_many(method, arguments)
        if kind is Kind.CANCEL_ALL:
            return self._cancel_all(method, arguments)
        return self._read(method, arguments)

    def composed(
        self, name: str, method: Method, args: Sequence[Any], kwargs: Mapping[str, Any], was_recorded: Callable[[], bool]
    ) -> Flow:
        """A method that is made of others, which record themselves."""
        found = yield AtExchange(lambda: method(*args, **kwargs))
        if not was_recorded():
            if name.startswith("create"):
                log.warning("%s placed an order without create_order, so that it is recorded only now", name)
            self._facts.read(found)
        return found

    # One order.

    def _create(self, method: Method, arguments: dict[str, Any]) -> Flow:
        sending = yield from self._prepare(read_call(self._exchange, arguments))
        params = self._without_repeats(sending.call.params)
        sent = {**arguments, "params": params}
        order = yield from self._send(AtExchange(lambda: method(**sent)), params, [sending])
        yield InBook(lambda: self._end(sending, ACCEPTED, None, order))
        return order

    def _send(self, request: AtExchange, params: Mapping[str, Any], sendings: Sequence[_Sending]) -> Flow:
        """Sends orders. An exception is recorded with what it says about them, and raised."""
        try:
            return (yield request)
        except GeneratorExit:
            for sending in sendings:
                self._note_end(sending, UNKNOWN, "the call was given up")
            raise
        except BaseException as error:
            result = outcome(error, is_sent_again=_is_sent_again(self._exchange, params))
            told = f"{type(error).__name__}: {error}"
            for sending in sendings:
                yield InBook(functools.partial(self._end, sending, result, told))
            raise

    # A list of orders.

    def _create_many(self, method: Method, arguments: dict[str, Any]) -> Flow:
        asked = list(arguments.get("orders") or ())
        sendings: dict[int, _Sending] = {}
        refusals: dict[int, EntryRefused] = {}
        for at, each in enumerate(asked):
            try:
                sendings[at] = yield from self._prepare(read_call(self._exchange, each))
            except EntryRefused as error:
                refusals[at] = error
        if refusals and not any(sending.is_closing for sending in sendings.values()):
            # Nothing is lost by sending none of them, and one exception says so.
            for sending in sendings.values():
                yield InBook(functools.partial(self._end, sending, REJECTED, "not sent: another order was refused"))
            raise next(iter(refusals.values()))
        params = self._without_repeats(dict(arguments.get("params") or {}))
        orders = [{**asked[at], "params": sending.call.params} for at, sending in sendings.items()]
        sent = {**arguments, "orders": orders, "params": params}
        found = yield from self._send(AtExchange(lambda: method(**sent)), params, list(sendings.values()))
        answers = dict(zip(sendings, found if isinstance(found, list) else []))
        for at, sending in sendings.items():
            result, told = _batch_result(answers.get(at))
            yield InBook(functools.partial(self._end, sending, result, told, answers.get(at)))
        if not refusals:
            return found
        # Exits were among them, so they went. The others are answered as ccxt answers what an exchange refuses.
        merged = {at: _refused_order(asked[at], error) for at, error in refusals.items()} | answers
        return [merged.get(at) for at in range(len(asked))]

    def _prepare(self, call: OrderCall) -> Flow:
        """Decides what the order is for, and records the intent. Raises EntryRefused."""
        same, opposite = False, True
        if call.closes is not True:
            same, opposite = yield InBook(lambda: self._held(call))
        is_closing = opposite if call.closes is None else call.closes
        reasons: list[Reason] = []
        if not is_closing:
            reasons = yield InBook(lambda: self._against(call))
            if any(reason.kind == UNDECIDED for reason in reasons):
                reasons = yield from self._ask_undecided(call, reasons)
        sending = self._sending(call, is_closing, same)
        if not reasons:
            try:
                yield InBook(lambda: self._intend(sending))
            except Refused as error:
                reasons = [Reason("refused", str(error))]
            except BookUnavailable as error:
                reasons = [Reason("book_unavailable", str(error))]
            except BaseException:
                self._withdraw(sending, "not sent: the call was given up")
                raise
        if reasons and not is_closing:
            if call.closes is not None or not (yield from self._closes_at_exchange(call, reasons)):
                self._withdraw(sending, _TOO_LATE)
                raise EntryRefused(call.symbol, call.side, reasons)
            opening, sending = sending, self._sending(call, True, False)
            if sending.client_order_id != opening.client_order_id:
                self._withdraw(opening, _TOO_LATE)
        if reasons:
            yield InBook(lambda: self._keep_intent(sending))
        return sending

    def _sending(self, call: OrderCall, is_closing: bool, holds_same_side: bool) -> _Sending:
        """The order with its strategy and its client order id: the bot's own, else a new one."""
        role = call.role(is_closing, holds_same_side)
        signal_id, engine = self._label(call, is_closing)
        params, own_id = dict(call.params), call.client_order_id
        if own_id is None:
            key, own_id = client_order_id(str(getattr(self._exchange, "id", "")), engine, role)
            if key:
                params[key] = own_id
        own = {**call.own, "signal_id": signal_id, "engine": engine}
        return _Sending(dataclasses.replace(call, own=own, params=params), own_id, is_closing, role)

    def _held(self, call: OrderCall) -> tuple[bool, bool]:
        try:
            held = self._book.positions(symbol=call.symbol, patience=self._book.patience)
            if held.behind:
                # One that was closed meanwhile may still be in it.
                raise BookUnavailable(held.behind)
            return sides_held(held, call)
        except BookError as error:
            log.info("the book's position in %s is not known: %s", call.symbol, error)
            return False, False

    def _against(self, call: OrderCall) -> list[Reason]:
        """What speaks against an entry."""
        with self._lock:
            # Those that begin while the gate is asked are noted here, too.
            in_flight = set(self._in_flight)
            self._asking.append(in_flight)
        gate = self._book.gate(call.symbol, call.side)
        with self._lock:
            self._asking = [asking for asking in self._asking if asking is not in_flight]
            in_flight -= self._undecided.keys()
        always = (*_NO_BOOK, *((UNDECIDED,) if self._gate != "off" else ()))
        return [
            reason
            for reason in gate.reasons
            if (self._gate == "all" or reason.kind in always)
            # Orders of this process on their way are no retries of each other.
            and not (reason.kind == UNDECIDED and reason.client_order_id in in_flight)
        ]

    def _ask_undecided(self, call: OrderCall, reasons: list[Reason]) -> Flow:
        """Asks the exchange for orders of this process whose outcome is not known. What is found refuses this one entry,
        because the bot believes that there is none; what is not found decides nothing."""
        with self._lock:
            asked = {key: each for key, each in self._undecided.items() if each.symbol == call.symbol}
        for client_id, sent in asked.items():
            params = {"clientAlgoId": client_id, "trigger": True} if sent.conditional else {"origClientOrderId": client_id}
            if not str(getattr(self._exchange, "id", "")).startswith("binance"):
                params = {"clientOrderId": client_id}
            try:
                order = yield AtExchange(functools.partial(self._exchange.fetch_order, "", call.symbol, params))
            except Exception as error:  # noqa: BLE001  it stays undecided
                log.info("%s is still undecided: %s", client_id, error)
                continue
            with self._lock:
                self._undecided.pop(client_id, None)
            sending = _Sending(sent, client_id, False, "entry")
            yield InBook(functools.partial(self._end, sending, ACCEPTED, None, order))
            text = f"order {client_id}, which got no answer, is at the exchange as {order.get('id')}: {order.get('status')}"
            return [Reason("sent_before", text)]
        return reasons

    def _closes_at_exchange(self, call: OrderCall, reasons: list[Reason]) -> Flow:
        """Whether the exchange holds a position that the order would reduce. The book does not say so, but it may be the
        one that is wrong, and a close must not be refused."""
        try:
            rows = yield AtExchange(lambda: self._exchange.fetch_positions([call.symbol]))
        except Exception as error:  # noqa: BLE001  then it stays refused
            reasons.append(Reason("position_unknown", f"the exchange does not tell the position ({error}); reduceOnly closes always go"))
            return False
        return sides_held(rows, call)[1]

    def _label(self, call: OrderCall, is_closing: bool) -> tuple[str | None, str | None]:
        """Signal and strategy: as the bot says with the order, else as the open signal of symbol and side says."""
        signal_id, engine = call.own.get("signal_id"), call.own.get("engine")
        if signal_id or engine:
            return signal_id, engine
        return self._book.signals.of_order(call.symbol, call.side, is_closing)

    def _intend(self, sending: _Sending) -> None:
        with self._lock:
            for known in (self._in_flight, *self._asking):
                known.add(sending.client_order_id)
        try:
            # One that is given up for being late may still go: a close does. So what becomes of it is not said here.
            self._book.record_now("intent", late=lambda answer: self._intended(sending), **_intent(sending))
        except BookError:
            with self._lock:
                self._in_flight.discard(sending.client_order_id)
            raise
        self._intended(sending)

    def _intended(self, sending: _Sending) -> None:
        """An intent is in the book, sooner or later."""
        with self._lock:
            sending.is_recorded = True
            withdrawn = sending.withdrawn
        if withdrawn:
            self._note_end(sending, REJECTED, withdrawn)

    def _withdraw(self, sending: _Sending, why: str) -> None:
        """An order is not sent. Its intent may be in the book, or another thread may still be recording it."""
        with self._lock:
            sending.withdrawn = why
            is_recorded = sending.is_recorded
        if is_recorded:
            self._note_end(sending, REJECTED, why)

    def _keep_intent(self, sending: _Sending) -> None:
        try:
            self._book.record("intent", **_intent(sending))
        except BookError as error:
            log.critical("a closing order goes to the exchange without a record: %s", error)

    def _end(self, sending: _Sending, result: str, error: str | None, order: Any = None) -> None:
        """Records what became of an order. Raises nothing: the order is sent."""
        try:
            fields = self._ended(sending, result, error, order)
            if is_order(order) and (order.get("clientOrderId") or sending.client_order_id) != sending.client_order_id:
                # The venue has an id of its own for it, so the order cannot be recorded as that of the intent.
                self._book.record("sent", **{**fields, "order": None})
                self._book.record("order", order=order)
                if sending.call.own.get("engine"):
                    self._book.label(sending.call.symbol, order["id"], engine=sending.call.own["engine"])
            else:
                self._book.record("sent", **fields)
        except Exception as trouble:  # noqa: BLE001  what ccxt returned or raised must reach the bot
            log.critical("what became of an order is not recorded: %s", trouble)

    def _note_end(self, sending: _Sending, result: str, error: str) -> None:
        self._book.note("sent", **self._ended(sending, result, error, None))

    def _ended(self, sending: _Sending, result: str, error: str | None, order: Any) -> dict[str, Any]:
        client_id = sending.client_order_id
        with self._lock:
            self._in_flight.discard(client_id)
            if result == UNKNOWN:
                self._undecided[client_id] = sending.call
        if is_order(order):
            self._facts.known(order)
        return {
            "client_order_id": client_id,
            "symbol": sending.call.symbol,
            "result": result,
            "error": error,
            "order": order if is_order(order) else None,
        }

    def _without_repeats(self, params: dict[str, Any]) -> dict[str, Any]:
        """ccxt may be told to send failed requests again, orders among them. An order whose answer was lost would be sent
        twice, and a client order id protects only while the first one is open."""
        options = getattr(self._exchange, "options", None) or {}
        if options.get("maxRetriesOnFailure") and "maxRetriesOnFailure" not in params:
            return {**params, "maxRetriesOnFailure": 0}
        return params

    # Cancels.

    def _cancel(self, method: Method, arguments: dict[str, Any]) -> Flow:
        reason, sent = _own_reason(arguments)
        order = yield AtExchange(lambda: method(**sent))
        yield InBook(lambda: self._cancelled(order, sent.get("symbol"), sent.get("id"), reason))
        return order

    def _cancel_many(self, method: Method, arguments: dict[str, Any]) -> Flow:
        reason, sent = _own_reason(arguments)
        found = yield AtExchange(lambda: method(**sent))
        for each in items(found):
            if is_order(each):
                yield InBook(functools.partial(self._cancelled, each, sent.get("symbol"), None, reason))
        return found

    def _cancel_all(self, method: Method, arguments: dict[str, Any]) -> Flow:
        """The exchange does not say what it cancelled, so what was open before is looked at again afterwards."""
        reason, sent = _own_reason(arguments)
        symbol, params = sent.get("symbol"), dict(sent.get("params") or {})
        opened: list[Any] = []
        try:
            opened = list((yield AtExchange(lambda: self._exchange.fetch_open_orders(symbol, None, None, dict(params)))))
        except Exception as error:  # noqa: BLE001  the cancel itself must go on
            log.info("what %s has open is not known: %s", symbol, error)
        found = yield AtExchange(lambda: method(**sent))
        for each in opened[:_CONFIRMED_MAX]:
            try:
                order = yield AtExchange(
                    functools.partial(self._exchange.fetch_order, each["id"], each["symbol"], dict(params))
                )
            except Exception as error:  # noqa: BLE001  `fillbook sync` finds it
                log.info("what became of order %s is not known: %s", each.get("id"), error)
                continue
            if order.get("status") in ENDED_WITHOUT:
                yield InBook(functools.partial(self._cancelled, order, symbol, None, reason))
            else:
                self._facts.read(order)
        return found

    def _cancelled(self, order: Any, symbol: Any, order_id: Any, reason: str | None) -> None:
        try:
            if is_order(order) and order.get("symbol"):
                self._facts.known(order)
                self._book.record("cancel", order=order, reason=reason)
            elif symbol and order_id:
                self._book.record("cancel", symbol=symbol, order_id=str(order_id), reason=reason)
        except BookError as error:
            log.error("a cancel is not recorded: %s", error)

    # Reading.

    def _read(self, method: Method, arguments: dict[str, Any]) -> Flow:
        found = yield AtExchange(lambda: method(**arguments))
        # At once: ccxt.pro tells of nothing that happens while nobody listens, and changes its orders where they are.
        self._facts.read(found)
        return found


def _only(method: Method, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Flow:
    return (yield AtExchange(lambda: method(*args, **kwargs)))


def _intent(sending: _Sending) -> dict[str, Any]:
    call = sending.call
    return {
        "symbol": call.symbol,
        "side": call.side,
        "role": sending.role,
        "type": call.kind,
        "amount": None if call.close_position else call.amount,
        "price": call.price,
        "trigger_price": call.trigger_price,
        "reduce_only": call.reduce_only or None,
        "close_position": call.close_position or None,
        "position_side": call.position_side,
        "signal_id": call.own.get("signal_id"),
        "engine": call.own.get("engine"),
        "client_order_id": sending.client_order_id,
        "trade": call.own.get("trade"),
        "time": sending.created_ms,
    }


def _own_reason(arguments: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The reason that the bot gives for the book, and the arguments without it."""
    params = dict(arguments.get("params") or {})
    own = params.pop(OWN_PARAMS, None)
    if own is None:
        return None, dict(arguments)
    return own.get("reason") if isinstance(own, Mapping) else None, {**arguments, "params": params}


def _batch_result(answer: Any) -> tuple[str, str | None]:
    """What a batch says about one of its orders."""
    if is_order(answer) and answer.get("status") != "rejected":
        return ACCEPTED, None
    if isinstance(answer, Mapping) and answer.get("status") == "rejected":
        return REJECTED, str(answer.get("info"))
    return UNKNOWN, "the batch was answered without this order"


def _refused_order(asked: Mapping[str, Any], error: EntryRefused) -> dict[str, Any]:
    names = ("symbol", "type", "side", "amount", "price")
    return {"id": None, "status": "rejected", **{name: asked.get(name) for name in names}, "info": {"msg": str(error)}}


def _is_sent_again(exchange: Any, params: Mapping[str, Any]) -> bool:
    """Whether ccxt would send a failed request again by itself."""
    options = getattr(exchange, "options", None) or {}
    return bool(params.get("maxRetriesOnFailure", options.get("maxRetriesOnFailure")))
