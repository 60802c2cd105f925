"""Lines of JSON as the recorder reads them."""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Mapping
from typing import Any

LINE_BYTES_MAX = 1024 * 1024
"""The longest line that the recorder reads."""


def amount_text(value: Any) -> str | None:
    """An amount or price as decimal text, without an exponent; None stays None.

    A float is written with the digits that Python shows, which are the shortest that give the same float: what the bot
    wrote, unless it calculated.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        value = decimal.Decimal(repr(value))
    elif isinstance(value, str):
        try:
            value = decimal.Decimal(value)
        except decimal.InvalidOperation:
            # The recorder says what is wrong with it.
            return str(value)
    if isinstance(value, decimal.Decimal):
        return format(value, "f") if value.is_finite() else str(value)
    return str(value)


def time_ms(value: datetime.datetime | int | str | None) -> int | str | None:
    """A moment as the recorder reads it: milliseconds since 1970, or RFC 3339 text.

    Raises ValueError for a datetime without a zone: two clocks would read it differently.
    """
    if not isinstance(value, datetime.datetime):
        return value
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone: use datetime.now(timezone.utc), or milliseconds since 1970")
    since = value - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return since // datetime.timedelta(milliseconds=1)


def line(event: str, fields: Mapping[str, Any]) -> str:
    """One event as a line without its end. Fields that are None are left out."""
    present = {"event": event} | {name: value for name, value in fields.items() if value is not None}
    return encode(present)


def encode(value: Any) -> str:
    """JSON on one line: no exponents are invented, no NaN is written, and what JSON has no word for becomes text."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_foreign)
        text.encode("utf-8")
    except (TypeError, ValueError):
        # NaN, a key that is no text, half of a surrogate pair: rare, and no reason to lose the rest.
        text = json.dumps(_plain(value), ensure_ascii=True, separators=(",", ":"))
    return text


def _foreign(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return amount_text(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return _foreign(value)


def contract(symbol: str) -> str:
    """The venue's name of a contract: `BTC/USDT:USDT` and `BTCUSDT` are one. Only for comparing names in memory."""
    if "/" not in symbol:
        return symbol
    pair, _, settle = symbol.partition(":")
    expiry = settle.partition("-")[2]
    return pair.replace("/", "") + (f"_{expiry}" if expiry else "")
