"""A ccxt exchange whose orders are recorded as they pass."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar, cast

from . import steps
from .book import Book
from .methods import Kind, kind_of, snake
from .recorder import Recorder

log = logging.getLogger("fillbook")

Exchange = TypeVar("Exchange")


def recorded(exchange: Exchange, book: Book, *, gate: Literal["undecided", "all", "off"] = "undecided") -> Exchange:
    """The exchange, with the same methods, whose orders are recorded in the book.

    Works with ccxt, its `async_support` and ccxt.pro. What a method returns is what ccxt returned, the same object, and
    what it raises is the exception that ccxt raised. In addition, an order that opens or adds to a position raises
    EntryRefused, and is not sent, when it cannot be recorded first. An order that closes is never refused.

    :param exchange: a ccxt exchange, ready to be used
    :param book: where its orders go
    :param gate: which of the book's reasons refuse an entry beside that: `undecided` (an order was sent and its outcome is
        not known), `all` that `Book.gate` knows, for example positions that differ from the exchange's, or none (`off`)
    """
    if isinstance(getattr(type(exchange), "_fillbook", None), property):
        raise ValueError("this exchange is recorded already")
    recorder = Recorder(exchange, book, gate)
    create = getattr(exchange, "create_order", None)
    proxy = _AsyncProxy if inspect.iscoroutinefunction(create) else _Proxy
    return cast(Exchange, proxy(exchange, recorder))


class _Proxy:
    """Passes everything on to the exchange, and records what has to do with orders."""

    __slots__ = ("_exchange", "_recorder", "_threads", "_warned")

    _exchange: Any
    _recorder: Recorder
    _threads: ThreadPoolExecutor | None
    _warned: set[str]

    def __init__(self, exchange: Any, recorder: Recorder) -> None:
        for name, value in (("_exchange", exchange), ("_recorder", recorder), ("_warned", set()), ("_threads", None)):
            object.__setattr__(self, name, value)

    @property
    def _fillbook(self) -> bool:
        return True

    # So that `isinstance(exchange, ccxt.Exchange)` says what it said before.
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._exchange)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._exchange, name)
        kind = kind_of(name)
        if kind is Kind.PLAIN or not callable(found):
            return found
        if kind is Kind.RAW:
            self._warn(name)
            return found
        return self._wrap(name, found, kind)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._exchange, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._exchange, name)

    def __dir__(self) -> list[str]:
        return dir(self._exchange)

    def __repr__(self) -> str:
        return f"fillbook.recorded({self._exchange!r})"

    def __str__(self) -> str:
        return str(self._exchange)

    def _wrap(self, name: str, method: Callable[..., Any], kind: Kind) -> Callable[..., Any]:
        @functools.wraps(method)
        def called(*args: Any, **kwargs: Any) -> Any:
            return steps.run(self._flow(name, method, kind, args, kwargs))

        return called

    def _flow(self, name: str, method: Callable[..., Any], kind: Kind, args: Any, kwargs: Any) -> steps.Flow:
        if kind is not Kind.COMPOSED:
            return self._recorder.flow(kind, method, args, kwargs)
        parts = _Parts(self)
        # The method as the class has it, but what it calls on the exchange goes through here. Nothing else of ccxt's
        # inner calls does, so nothing is recorded twice.
        function = getattr(type(self._exchange), name, None)
        if inspect.isfunction(function):
            method = functools.partial(function, parts)
        return self._recorder.composed(snake(name), method, args, kwargs, lambda: parts._was_used)

    def _warn(self, name: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            log.warning(
                "%s is the exchange's own interface, which is not recorded as it is called: "
                "`fillbook sync` finds what it did",
                name,
            )


class _AsyncProxy(_Proxy):
    """The same for an exchange whose methods are coroutines."""

    __slots__ = ()

    def __init__(self, exchange: Any, recorder: Recorder) -> None:
        super().__init__(exchange, recorder)
        # Of its own, because a bot may keep the loop's threads busy, and a close must not wait for them.
        threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="fillbook-proxy")
        object.__setattr__(self, "_threads", threads)

    def _wrap(self, name: str, method: Callable[..., Any], kind: Kind) -> Callable[..., Any]:
        if not inspect.iscoroutinefunction(method):
            return method

        @functools.wraps(method)
        async def called(*args: Any, **kwargs: Any) -> Any:
            return await steps.run_async(self._flow(name, method, kind, args, kwargs), self._threads)

        return called

    async def __aenter__(self) -> Any:
        await self._exchange.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._exchange.__aexit__(*error)


class _Parts:
    """The exchange as a composed method sees it: what places and cancels orders is recorded, all else is ccxt's own."""

    __slots__ = ("_proxy", "_was_used")

    def __init__(self, proxy: _Proxy) -> None:
        object.__setattr__(self, "_proxy", proxy)
        object.__setattr__(self, "_was_used", False)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._proxy._exchange)

    def __getattr__(self, name: str) -> Any:
        kind = kind_of(name)
        if kind in (Kind.PLAIN, Kind.RAW):
            return getattr(self._proxy._exchange, name)
        if kind is not Kind.COMPOSED:
            object.__setattr__(self, "_was_used", True)
            return getattr(self._proxy, name)
        # Composed of composed: what it is made of is noticed here, too.
        function = getattr(type(self._proxy._exchange), name, None)
        return functools.partial(function, self) if inspect.isfunction(function) else getattr(self._proxy, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._proxy._exchange, name, value)
