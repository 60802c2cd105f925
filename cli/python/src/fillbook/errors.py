"""What a book can refuse, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


class BookError(Exception):
    """Something about the book went wrong. The base of all exceptions here."""


class Refused(BookError):
    """The recorder does not accept a line: a field is missing, misspelled, or not what it should be.

    Nothing of the line is recorded. It is a mistake in the call, so trying again does not help.
    """

    def __init__(self, field: str | None, problem: str, advice: str | None = None) -> None:
        self.field = field
        """The field that is at fault, as the recorder names it; None where the whole line is."""
        self.problem = problem
        """What is wrong with it."""
        self.advice = advice
        """What to do, if the recorder knows."""
        super().__init__(": ".join(part for part in (field, problem, advice) if part))


class BookUnavailable(BookError):
    """The recorder cannot be started, has died, does not answer in time, or cannot write the book at this moment."""


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why no entry may be made."""

    kind: str
    """A word for programs, such as `unreplayed_spool`, `book_unavailable`, or a kind of `fillbook gate`."""
    text: str
    """The same for people."""
    advice: str | None = None
    """What to do next."""
    client_order_id: str | None = None
    """Of `undecided_intent`: the order that nobody heard of."""
    intent_local: int | None = None
    """Of `undecided_intent`: when that order was written down, in milliseconds since 1970 by the bot's clock."""
    discrepancy: int | None = None
    """Of `open_discrepancy`: its number."""


class EntryRefused(BookError):
    """An order that opens or adds to a position was not sent. Nothing reached the exchange.

    Orders that close are never refused.
    """

    def __init__(self, symbol: str, side: str, reasons: Sequence[Reason]) -> None:
        self.symbol = symbol
        """The contract, as the bot named it."""
        self.side = side
        """`buy` or `sell`."""
        self.reasons = tuple(reasons)
        """Why, at least one."""
        told = "; ".join(f"{reason.text} ({reason.kind})" for reason in self.reasons)
        super().__init__(f"{side} {symbol} was not sent: {told}")
