"""The book of one account, for the bot that trades it."""

from __future__ import annotations

import atexit
import dataclasses
import datetime
import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from types import TracebackType
from typing import Any

from . import lines
from .child import Answer, Child
from .command import Command
from .errors import BookError, BookUnavailable, Reason, Refused
from .signals import OpenSignals
from .spool import Spool

log = logging.getLogger("fillbook")

Time = datetime.datetime | int | str
"""A moment: a datetime with a zone, milliseconds since 1970, or RFC 3339 text."""

SPOOLED = "spooled"
"""The outcome of a line that waits in the spool file."""
_KEPT_TRIES_S = (0.25, 5.0)
_READING_S = 20.0


class Rows(list[dict[str, Any]]):
    """What the book lists."""

    behind: str | None
    """Why lines that were handed over before may not be in it; None when all are."""

    def __init__(self, rows: Iterable[dict[str, Any]] = (), behind: str | None = None) -> None:
        super().__init__(rows)
        self.behind = behind


@dataclasses.dataclass(frozen=True)
class Gate:
    """Whether a new entry may be made."""

    allowed: bool
    """Whether nothing speaks against it."""
    reasons: tuple[Reason, ...] = ()
    """What speaks against it."""


class Book:
    """A book of record, written by a `fillbook record` process that this object starts and owns.

    Every method may be called from any thread. What a method hands over is on disk when it returns: in the book, or,
    where that cannot be written now, in the spool file beside it (`outcome` is then `spooled`), from where it is
    recorded as soon as the book answers again. A method waits `patience` seconds at most for the book.

    Making a Book never fails because of the book: a bot that cannot record must still be able to close. `check` says
    whether it works, and entries are refused until it does.
    """

    def __init__(
        self,
        db: str | os.PathLike[str] = "fillbook.db",
        account: str = "main",
        *,
        client_ids: Iterable[str] = (),
        entry_events: str | os.PathLike[str] | None = None,
        state: str | os.PathLike[str] | None = None,
        venue: str = "binance-usdm",
        patience: float = 2.0,
        binary: str | None = None,
    ) -> None:
        """
        :param db: the book's file; made if it is not there
        :param account: the account in it; in a book that is there, `fillbook init --account` adds one
        :param client_ids: patterns of the bot's own client order ids, as in `bot_{engine}_{*}`
        :param entry_events: the bot's log of entries, followed as it grows
        :param state: the bot's state file, whose `meta.reason` tells which strategy a position came from
        :param venue: of a book that is made: `binance-usdm`, or `other`
        :param patience: seconds that a call waits for the book at most
        :param binary: the `fillbook` command, instead of the one that was installed with this package
        """
        self.db = Path(db)
        self.account = account
        self.patience = patience
        self.spool = Spool(self.db, account)
        self.signals = OpenSignals()
        self._command = Command(self.db, account, binary)
        self._venue = venue
        self._arguments: list[str] = []
        for pattern in client_ids:
            self._arguments += ["--client-ids", pattern]
        for flag, path in (("--entry-events", entry_events), ("--state", state)):
            if path is not None:
                self._arguments += [flag, os.fspath(path)]
        self._pid = os.getpid()
        self._closed = threading.Event()
        self._wake = threading.Event()
        self._memory: list[str] = []
        self._memory_lock = threading.Lock()
        self._child = Child(self._record_command)
        self._replayer = threading.Thread(target=self._replay, name="fillbook-spool", daemon=True)
        self._replayer.start()
        _ALIVE.add(self)

    # What a bot says.

    def signal(
        self,
        symbol: str,
        side: str,
        engine: str | None = None,
        reason: str | None = None,
        *,
        kind: str | None = None,
        time: Time | None = None,
        signal_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Answer:
        """A strategy decided something. The next orders of this symbol and side through `recorded` belong to it.

        :param side: of the order that is to follow: `buy` or `sell`, or `long` or `short` for an entry
        :param kind: `entry` (where it is absent), `auto_exit` or `manual_close`
        :param meta: anything that explains it
        :returns: the answer, with its `signal_id`
        :raises Refused: when a field is not what it should be
        """
        signal_id = signal_id or f"py-{_now_ms()}-{secrets.token_hex(4)}"
        self.signals.opened(symbol, side, signal_id, engine, kind or "entry")
        fields: dict[str, Any] = {"symbol": symbol, "side": side, "engine": engine, "reason": reason, "kind": kind}
        fields |= {"time": lines.time_ms(time) or _now_ms(), "signal_id": signal_id, "meta": meta}
        return {"signal_id": signal_id} | self.record("signal", **fields)

    def skip(
        self,
        symbol: str | None = None,
        side: str | None = None,
        engine: str | None = None,
        reason: str | None = None,
        *,
        why: str,
        kind: str | None = None,
        time: Time | None = None,
        signal_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Answer:
        """A strategy decided something, and no order follows: `why` says why. Either with symbol and side, or with the
        `signal_id` of a signal on record.

        :raises Refused: when a field is not what it should be
        """
        if signal_id is not None and symbol is None:
            self.signals.dropped(signal_id)
            return self.record("skip", signal_id=signal_id, why=why)
        signal_id = signal_id or f"py-{_now_ms()}-{secrets.token_hex(4)}"
        fields: dict[str, Any] = {"symbol": symbol, "side": side, "engine": engine, "reason": reason, "kind": kind}
        fields |= {"why": why, "time": lines.time_ms(time) or _now_ms(), "signal_id": signal_id, "meta": meta}
        return self.record("skip", **fields)

    def intent(self, symbol: str, side: str, role: str, type: str, amount: Any = None, **fields: Any) -> Answer:
        """An order is about to be sent. Only for bots that do not trade through `recorded`, which does it for them.

        :param role: `entry`, `dca`, `exit`, `take_profit` or `stop_loss`
        :param fields: `price`, `trigger_price`, `reduce_only`, `close_position`, `position_side`, `signal_id`, `engine`,
            `client_order_id`, `trade`
        :returns: the answer, with the `client_order_id` to send the order with
        :raises BookUnavailable: when the intent is not in the book: an entry must not be sent then
        """
        for name in ("price", "trigger_price"):
            fields[name] = lines.amount_text(fields.get(name))
        fields |= {"symbol": symbol, "side": side, "role": role, "type": type, "amount": lines.amount_text(amount)}
        return self.record_now("intent", **fields)

    def sent(
        self, client_order_id: str, symbol: str, result: str, *, error: str | None = None, order: Any = None
    ) -> Answer:
        """What became of an intent: `result` is `accepted`, `rejected` (it is certain that there is no order) or
        `unknown`."""
        return self.record(
            "sent", client_order_id=client_order_id, symbol=symbol, result=result, error=error, order=order
        )

    def order(self, order: Any, *, client_order_id: str | None = None) -> Answer:
        """An order as ccxt returned it."""
        return self.record("order", order=order, client_order_id=client_order_id)

    def trade(self, trade: Any) -> Answer:
        """A trade as ccxt returned it."""
        return self.record("trade", trade=trade)

    def cancel(
        self, order: Any = None, *, symbol: str | None = None, order_id: str | None = None, reason: str | None = None
    ) -> Answer:
        """An order was cancelled: the ccxt order, or symbol and id."""
        return self.record("cancel", order=order, symbol=symbol, order_id=order_id, reason=reason)

    def close_trade(
        self,
        symbol: str,
        side: str | None = None,
        reason: str | None = None,
        *,
        engine: str | None = None,
        order_id: str | None = None,
        time: Time | None = None,
    ) -> Answer:
        """The bot considers a trade closed.

        :param side: of the position: `long` or `short`
        :param reason: why it was closed: `take_profit` (`tp`), `stop_loss` (`sl`), `manual_close` (`manual`), `auto_exit`,
            `liquidation`, `adl`, `settlement`
        :returns: the answer, with what the book makes of the round trip
        """
        self.signals.closed(symbol, side)
        fields = {"symbol": symbol, "side": side, "reason": reason, "engine": engine, "order_id": order_id}
        return self.record("closed", time=lines.time_ms(time) or _now_ms(), **fields)

    def label(
        self,
        symbol: str,
        order_id: str | None = None,
        *,
        client_order_id: str | None = None,
        engine: str | None = None,
        reason: str | None = None,
    ) -> Answer:
        """Which strategy an order came from, and why."""
        fields = {"symbol": symbol, "order_id": order_id, "client_order_id": client_order_id}
        return self.record("label", engine=engine, reason=reason, **fields)

    def entry_event(self, entry: Mapping[str, Any]) -> Answer:
        """A line of the bot's own log of entries."""
        return self.record("entry_event", entry=entry)

    # What a bot asks.

    def gate(self, symbol: str, side: str | None = None) -> Gate:
        """Whether a new entry may be made now. A book that does not answer allows none."""
        if not self.spool.is_empty() or self._memory:
            reason = Reason("unreplayed_spool", f"lines wait in {self.spool.path} until the book takes them")
            return Gate(False, (reason,))
        try:
            answer = self._answered(lines.line("gate", {"symbol": symbol, "side": side}))
        except BookUnavailable as error:
            return Gate(False, (Reason("book_unavailable", str(error)),))
        return Gate(bool(answer.get("allowed")), tuple(_reason(each) for each in answer.get("reasons") or ()))

    def check(self) -> None:
        """Raises BookUnavailable when the book does not work."""
        self._answered(lines.line("gate", {"symbol": "BTCUSDT"}))

    def positions(self, *, symbol: str | None = None, all: bool = False, patience: float = _READING_S) -> Rows:
        """Positions, recomputed from the fills: objects of the schema `fillbook.list.position/1`, decimals as text.

        Every line that was handed over before is in them, notes included; where that could not be waited for, the answer
        says so: see `Rows.behind`.

        :param all: closed ones, too
        :param patience: seconds that it may take; for at most half of them it waits for lines
        """
        more = ["--all"] if all else []
        return self._list("positions", [*more, *_of_symbol(symbol)], patience)

    def trips(self, *, symbol: str | None = None) -> Rows:
        """Round trips: objects of the schema `fillbook.list.trip/1`, decimals as text. As `positions`, behind all lines."""
        return self._list("trips", _of_symbol(symbol), _READING_S)

    def flush(self, patience: float = 10.0) -> str | None:
        """Waits until every line that was handed over before is in the book, at most `patience` seconds. None when all are,
        else why not."""
        until = time.monotonic() + patience
        trouble = self._fork_trouble() or ("the book is closed" if self._closed.is_set() else None)
        if trouble:
            return trouble
        # What was noted and cannot be recorded goes to memory, and from there to the spool and the recorder.
        while True:
            try:
                asked = self._child.submit(lines.line("gate", {"symbol": "BTCUSDT"}))
                _checked(asked.result(max(0.0, until - time.monotonic())))
            except (FutureTimeout, TimeoutError):
                asked.cancel()
                return f"fillbook record has not answered for {self._child.oldest_s():.1f} s"
            except (BookError, CancelledError) as error:
                trouble = str(error)
            else:
                trouble = None
            # Answers come in the order of their lines, so whatever could not be recorded is kept by now.
            if not trouble and not self._memory and self._has_none_spooled():
                return None
            if self._closed.is_set() or time.monotonic() >= until:
                return trouble or f"lines wait in {self.spool.path}"
            self._wake.set()
            time.sleep(0.02)

    # For `recorded`, and for whoever writes lines of their own.

    def record(self, event: str, **fields: Any) -> Answer:
        """Hands over one event: in the book or in the spool when this returns.

        Raises Refused when the recorder does not accept it, and BookError when it can be kept nowhere (it is tried again
        from memory until the process ends).
        """
        line = lines.line(event, fields)
        if self.spool.is_empty() and not self._memory:
            try:
                return self._answered(line)
            except BookUnavailable as error:
                log.warning("%s waits in %s: %s", event, self.spool.path, error)
        self._keep([line])
        return {"outcome": SPOOLED}

    def record_now(self, event: str, *, late: Callable[[Answer], None] | None = None, **fields: Any) -> Answer:
        """The same, but raises BookUnavailable where the line is not in the book itself.

        :param late: told of the answer to a line that was recorded after it had been given up here; an intent is taken back
            where this is absent
        """
        if not self.spool.is_empty() or self._memory:
            raise BookUnavailable(f"lines wait in {self.spool.path}")
        return self._answered(lines.line(event, fields), late or (lambda answer: self._withdraw(answer, fields)))

    def note(self, event: str, **fields: Any) -> None:
        """Hands over one event without waiting, not for a disk either: what was read, and can be read again."""
        line = lines.line(event, fields)
        if self._fork_trouble() or not self.spool.is_empty() or self._memory or self._is_silent():
            self._keep_soon(line)
            return
        self._child.submit(line).add_done_callback(lambda future: self._noted(line, future))

    def close(self, patience: float = 10.0) -> None:
        """Hands over what waits, at most `patience` seconds, and ends the process. What is left waits in the spool."""
        if self._closed.is_set() or self._fork_trouble():
            return
        until = time.monotonic() + patience
        while not self.spool.is_empty() and time.monotonic() < until and not self._child.trouble:
            self._wake.set()
            time.sleep(0.02)
        self._closed.set()
        self._wake.set()
        self._child.close(max(0.1, until - time.monotonic()))
        self._replayer.join(1.0)
        try:
            self._spool_memory()
        except OSError as error:
            log.critical("%d lines are lost: %s", len(self._memory), error)

    def __enter__(self) -> Book:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # How it does it.

    def _has_none_spooled(self) -> bool:
        try:
            batch = self.spool.waiting() if not self.spool.is_empty() else None
        except OSError:
            return False
        # Lines of another account may stay there until its bot records them.
        return batch is None or not (batch.lines or batch.unreadable)

    def _list(self, command: str, more: Sequence[str], patience: float) -> Rows:
        until = time.monotonic() + patience
        # Of a recorder that is silent no line is waited for again.
        behind = self.flush(0.0 if self._is_silent() else patience / 2)
        if behind:
            log.warning("%s may lack what was handed over before: %s", command, behind)
        return Rows(self._command.list(command, more, max(patience / 2, until - time.monotonic())), behind)

    def _record_command(self) -> list[str]:
        self._command.make_book(self._venue)
        return self._command.words("record", *self._arguments)

    def _fork_trouble(self) -> str | None:
        if os.getpid() == self._pid:
            return None
        return f"this Book belongs to process {self._pid}, and this is process {os.getpid()}: make one in each process"

    def _after_fork(self) -> None:
        self.spool.forget_threads()
        self._memory_lock = threading.Lock()
        self._child.abandon()

    def _is_silent(self) -> bool:
        return self._child.oldest_s() > self.patience

    def _answered(self, line: str, late: Callable[[Answer], None] | None = None) -> Answer:
        """The recorder's answer; one that comes too late is handed to `late`.

        Raises Refused for a line that it does not accept, BookUnavailable when there is no answer or nothing was
        written.
        """
        trouble = self._fork_trouble()
        if trouble:
            raise BookUnavailable(trouble)
        if self._closed.is_set():
            raise BookUnavailable("the book is closed")
        if len(line.encode("utf-8")) > lines.LINE_BYTES_MAX:
            raise Refused(None, f"the line is longer than {lines.LINE_BYTES_MAX} bytes")
        if self._is_silent():
            # It was waited for before, and a close must not wait for each of its lines.
            raise BookUnavailable(f"fillbook record has not answered for {self._child.oldest_s():.1f} s")
        future = self._child.submit(line)
        try:
            answer = future.result(self.patience)
        except (FutureTimeout, TimeoutError):
            if not future.cancel() and late:
                future.add_done_callback(lambda future: _late(future, late))
            raise BookUnavailable(f"fillbook record has not answered for {self.patience:g} s") from None
        return _checked(answer)

    def _withdraw(self, answer: Answer, fields: Mapping[str, Any]) -> None:
        """An intent was given up because its answer was late, and it was recorded all the same: nothing was sent."""
        client_order_id = answer.get("client_order_id") or fields.get("client_order_id")
        told = "not sent: the book answered too late"
        self.note("sent", client_order_id=client_order_id, symbol=fields.get("symbol"), result="rejected", error=told)

    def _noted(self, line: str, future: Future[Answer]) -> None:
        try:
            _checked(future.result())
        except Refused as error:
            log.error("the recorder refuses a line: %s: %s", error, line[:500])
        except (BookUnavailable, CancelledError):
            self._keep_soon(line)

    def _keep(self, kept: Sequence[str]) -> None:
        try:
            self.spool.append(kept)
        except OSError as error:
            with self._memory_lock:
                self._memory += kept
            self._wake.set()
            raise BookError(f"{self.spool.path} cannot be written, so {len(kept)} lines are in memory only: {error}") from error
        self._wake.set()

    def _keep_soon(self, line: str) -> None:
        """Kept by the thread that replays, because whoever notes something must not wait for a disk."""
        with self._memory_lock:
            self._memory.append(line)
        self._wake.set()

    def _spool_memory(self) -> None:
        with self._memory_lock:
            if self._memory:
                self.spool.append(self._memory)
                self._memory = []

    def _replay(self) -> None:
        """Records what waits, until the book is closed."""
        delay = _KEPT_TRIES_S[0]
        while not self._closed.is_set():
            self._wake.wait(delay if self._memory or not self.spool.is_empty() else 1.0)
            self._wake.clear()
            try:
                self._replay_once()
                delay = _KEPT_TRIES_S[0]
            except (BookUnavailable, OSError) as error:
                log.debug("what waits in %s is tried again: %s", self.spool.path, error)
                # Not at once, whoever calls for it meanwhile.
                self._closed.wait(delay)
                delay = min(delay * 2, _KEPT_TRIES_S[1])

    def _replay_once(self) -> None:
        self._spool_memory()
        # Whether the book takes lines again is asked with the first alone: the next must not be taken where that was not.
        size = 1
        while not self.spool.is_empty() and not self._closed.is_set():
            batch = self.spool.waiting()
            waiting = batch.lines
            if not waiting and not batch.unreadable:
                # Lines of another account, whose bot records them.
                return
            futures = [self._child.submit(line) for line in waiting[:size]]
            done, refused, stopped = 0, [], None
            for line, future in zip(waiting, futures):
                try:
                    _checked(future.result(120.0))
                except Refused as error:
                    log.error("the recorder refuses a line of %s: %s: %s", self.spool.path, error, line[:500])
                    refused.append((line, str(error)))
                except (BookUnavailable, CancelledError, FutureTimeout, TimeoutError) as error:
                    stopped = BookUnavailable(str(error))
                    break
                done += 1
            if done or batch.unreadable:
                self.spool.settle(batch, done, refused)
            if stopped:
                raise stopped
            size = 256


_ALIVE: weakref.WeakSet[Book] = weakref.WeakSet()


def _close_all() -> None:
    for book in list(_ALIVE):
        book.close()


def _forget_all() -> None:
    for book in list(_ALIVE):
        book._after_fork()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)


def _checked(answer: Answer) -> Answer:
    outcome = answer.get("outcome")
    error = answer.get("error") or {}
    if outcome == "refused":
        raise Refused(error.get("field"), str(error.get("problem")), error.get("advice"))
    if outcome == "failed":
        told = error.get("problem") or error.get("message") or error
        raise BookUnavailable(f"the book cannot be written now ({error.get('class')}): {told}")
    return answer


def _late(future: Future[Answer], then: Callable[[Answer], None]) -> None:
    try:
        answer = _checked(future.result())
    except (BookError, CancelledError):
        return
    then(answer)


def _reason(told: Mapping[str, Any]) -> Reason:
    more = {name: told.get(name) for name in ("advice", "client_order_id", "intent_local", "discrepancy")}
    return Reason(str(told.get("kind")), str(told.get("text")), **more)


def _of_symbol(symbol: str | None) -> list[str]:
    return [] if symbol is None else ["--symbol", lines.contract(symbol)]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
