"""Which strategy the next order of a symbol and side belongs to."""

from __future__ import annotations

import dataclasses
import threading
import time

from .lines import contract

_UNUSED_S = 600.0
"""A signal that no order has followed for so long is not the reason of an order that comes now."""


@dataclasses.dataclass
class OpenSignal:
    """A signal that orders may follow."""

    signal_id: str
    engine: str | None
    kind: str
    since: float
    is_used: bool = False


class OpenSignals:
    """The newest signal of each contract and side. A trade's own signal stays until the trade is closed, because its
    additions and exits belong to the same strategy."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str, bool], OpenSignal] = {}

    def opened(self, symbol: str, side: str, signal_id: str, engine: str | None, kind: str) -> None:
        """A signal was raised."""
        found = OpenSignal(signal_id, engine, kind, time.monotonic())
        with self._lock:
            self._open[contract(symbol), order_side(side, kind), kind == "entry"] = found

    def dropped(self, signal_id: str) -> None:
        """No order follows a signal."""
        with self._lock:
            self._open = {key: each for key, each in self._open.items() if each.signal_id != signal_id}

    def closed(self, symbol: str, side: str | None) -> None:
        """A trade was closed: `side` is the position's, None for both."""
        opening = order_side(side, "entry") if side else None
        with self._lock:
            for key in list(self._open):
                name, order, is_entry = key
                # What closes a long is a sell.
                if name == contract(symbol) and (opening is None or (order == opening) == is_entry):
                    del self._open[key]

    def of_order(self, symbol: str, side: str, is_closing: bool) -> tuple[str | None, str | None]:
        """Signal id and engine for an order.

        An order that closes belongs to the exit signal of its side; without one it has the engine of the trade that it
        closes, and no signal.
        """
        name, side = contract(symbol), side.lower()
        opposite = "sell" if side == "buy" else "buy"
        with self._lock:
            found = self._use(name, side, not is_closing)
            if found:
                engine = found.engine
                if engine is None and is_closing:
                    entry = self._use(name, opposite, True)
                    engine = entry.engine if entry else None
                return found.signal_id, engine
            entry = self._use(name, opposite, True) if is_closing else None
            return None, entry.engine if entry else None

    def _use(self, name: str, side: str, is_entry: bool) -> OpenSignal | None:
        found = self._open.get((name, side, is_entry))
        if found is None or (not found.is_used and time.monotonic() - found.since > _UNUSED_S):
            return None
        found.is_used = True
        return found


def order_side(side: str, kind: str) -> str:
    """`buy` or `sell` for a signal's side: a long is entered by a buy, and left by a sell."""
    side = side.lower()
    if side in ("long", "short"):
        return "buy" if (side == "long") == (kind == "entry") else "sell"
    return side
