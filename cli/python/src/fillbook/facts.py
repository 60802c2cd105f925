"""Orders and trades that pass by: each state is recorded once."""

from __future__ import annotations

import collections
import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .book import Book
from .lines import encode
from .stream import restated

_REMEMBERED = 20_000
ENDED_WITHOUT = ("canceled", "cancelled", "rejected", "expired")
"""ccxt's words for orders that ended, perhaps before they were filled."""


class Facts:
    """Hands orders and trades to the book, and leaves out what it has already handed over unchanged: bots ask for the
    same open orders every few seconds."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._lock = threading.Lock()
        self._seen: collections.OrderedDict[tuple[str, str, str], bytes] = collections.OrderedDict()

    def read(self, found: Any) -> None:
        """Notes orders and trades in what a method returned."""
        for each in items(found):
            what = "trade" if is_trade(each) else "order" if is_order(each) else None
            if what and self._is_new(what, each):
                told = restated(each)
                if told is not None:
                    self._book.note(what, **{what: told})

    def known(self, order: Any) -> None:
        """This state of an order is recorded already."""
        if is_order(order):
            self._is_new("order", order)

    def _is_new(self, what: str, each: Mapping[str, Any]) -> bool:
        key = (what, str(each.get("symbol")), str(each["id"]))
        digest = hashlib.sha256(encode(each).encode("utf-8", "replace")).digest()
        with self._lock:
            is_new = self._seen.get(key) != digest
            self._seen[key] = digest
            self._seen.move_to_end(key)
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return is_new


def items(found: Any) -> Iterator[Mapping[str, Any]]:
    """The objects in an answer: itself, or those of a list."""
    if isinstance(found, Mapping):
        yield found
    elif isinstance(found, Iterable) and not isinstance(found, (str, bytes)):
        for each in list(found):
            if isinstance(each, Mapping):
                yield each


def is_order(each: Any) -> bool:
    """Whether something is an order of ccxt that the exchange has an id for."""
    return isinstance(each, Mapping) and bool(each.get("id")) and "status" in each and "remaining" in each


def is_trade(each: Any) -> bool:
    """Whether something is a trade of ccxt."""
    return isinstance(each, Mapping) and bool(each.get("id")) and "takerOrMaker" in each and "remaining" not in each
