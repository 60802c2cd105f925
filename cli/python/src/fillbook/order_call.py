"""What a call of `create_order` asks for, and what for."""

from __future__ import annotations

import dataclasses
import decimal
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any

from .lines import amount_text, contract

OWN_PARAMS = "fillbook"
"""The key in `params` that is for the book, and is not sent."""
_CLIENT_ID_KEYS = (
    "clientOrderId", "newClientOrderId", "clientAlgoId", "clOrdId", "algoClOrdId", "orderLinkId", "clientOid", "client_order_id", "client_oid", "cliOrdId",
)  # fmt: skip
_TRIGGERS = ("triggerPrice", "stopPrice", "stopLossPrice", "takeProfitPrice", "trailingTriggerPrice", "activationPrice")
_ROLES = {"entry": "e", "dca": "d", "exit": "x", "take_profit": "t", "stop_loss": "s"}
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclasses.dataclass
class OrderCall:
    """One order as the bot asks for it. Roles are decided later, because they can depend on the position."""

    symbol: str
    side: str
    kind: str
    """The type: the venue's word where the parameters decide it."""
    amount: str | None
    price: str | None
    trigger_price: str | None
    reduce_only: bool
    close_position: bool
    position_side: str | None
    """`LONG` or `SHORT` in hedge mode, else None."""
    client_order_id: str | None
    """The bot's own."""
    own: Mapping[str, Any]
    """What the bot says for the book."""
    params: dict[str, Any]
    """What is sent."""

    @property
    def closes(self) -> bool | None:
        """Whether it can only close (True), can only open (False), or depends on the position (None)."""
        if self.reduce_only or self.close_position:
            return True
        if self.position_side:
            return (self.position_side == "LONG") == (self.side == "sell")
        return None

    @property
    def conditional(self) -> bool:
        """Whether it waits for a price."""
        return "STOP" in self.kind or "TAKE_PROFIT" in self.kind or self.trigger_price is not None

    def role(self, is_closing: bool, holds_same_side: bool) -> str:
        """What it is for: a word of the protocol."""
        named = self.own.get("role")
        if named in _ROLES:
            return str(named)
        if not is_closing:
            return "dca" if holds_same_side else "entry"
        if "TAKE_PROFIT" in self.kind:
            return "take_profit"
        return "stop_loss" if self.conditional else "exit"


def read_call(exchange: Any, arguments: Mapping[str, Any]) -> OrderCall:
    """Reads the arguments of `create_order`. Nothing of them is judged: that is for ccxt and for the exchange."""
    params = dict(arguments.get("params") or {})
    own = params.pop(OWN_PARAMS, None)
    side = str(arguments.get("side") or "").lower()
    reduce_only = _is_true(params.get("reduceOnly"))
    symbol = str(arguments.get("symbol"))
    return OrderCall(
        symbol=symbol,
        side=side,
        kind=_kind(str(arguments.get("type") or ""), params),
        amount=_amount(exchange, symbol, arguments.get("amount")),
        price=_rounded(exchange, "price_to_precision", symbol, arguments.get("price")),
        trigger_price=amount_text(next((params[key] for key in _TRIGGERS if params.get(key) is not None), None)),
        reduce_only=reduce_only,
        close_position=_is_true(params.get("closePosition")),
        position_side=_position_side(side, reduce_only, params),
        client_order_id=next((str(params[key]) for key in _CLIENT_ID_KEYS if params.get(key)), None),
        own=own if isinstance(own, Mapping) else {},
        params=params,
    )


def client_order_id(exchange_id: str, engine: str | None, role: str) -> tuple[str | None, str]:
    """A new client order id, after the parameter that carries it; None where the venue's rules for ids are not known here,
    so that only the book knows the order by it.

    At Binance it is `fb:<engine>:<role>:<unique>`, which fillbook reads back; an engine that does not fit is left out, because
    half of its name would be another engine's.
    """
    unique = _unique()
    code = _ROLES[role]
    if exchange_id.startswith("binance"):
        text = f"fb:{engine}:{code}:{unique}"
        fits = engine and len(text) <= 36 and all(letter.isascii() and (letter.isalnum() or letter in "._-") for letter in engine)
        return "newClientOrderId", text if fits else f"fb.{code}.{unique}"
    if exchange_id in ("bybit", "okx", "myokx", "okxus"):
        # Letters and digits only, 32 at most.
        return "clientOrderId", f"fb{code}{unique}"
    return None, f"fb.{code}.{unique}"


def sides_held(rows: Iterable[Mapping[str, Any]], call: OrderCall) -> tuple[bool, bool]:
    """Whether a position is held that the order would add to, and one that it would reduce.

    :param rows: positions of the book (`fillbook.list.position/1`) or of ccxt
    """
    same = opposite = False
    for row in rows:
        if contract(str(row.get("symbol"))) != contract(call.symbol):
            continue
        qty = _signed_quantity(row)
        if qty:
            adds = (qty > 0) == (call.side == "buy")
            same, opposite = same or adds, opposite or not adds
    return same, opposite


def _signed_quantity(row: Mapping[str, Any]) -> decimal.Decimal:
    value = row.get("qty") if "qty" in row else row.get("contracts")
    try:
        qty = decimal.Decimal(str(value if value is not None else 0))
    except decimal.InvalidOperation:
        return decimal.Decimal(0)
    if str(row.get("side") or row.get("position_side") or "").lower() == "short":
        return -abs(qty)
    return qty


def _kind(kind: str, params: Mapping[str, Any]) -> str:
    """The type as Binance words it, where ccxt makes it from the parameters; else as the bot gave it."""
    plain = kind.lower()
    if plain not in ("market", "limit"):
        return kind
    suffix = "_MARKET" if plain == "market" else ""
    if params.get("trailingPercent") is not None or params.get("trailingAmount") is not None:
        return "TRAILING_STOP_MARKET"
    if params.get("takeProfitPrice") is not None:
        return f"TAKE_PROFIT{suffix}"
    if any(params.get(key) is not None for key in ("stopLossPrice", "triggerPrice", "stopPrice")):
        return f"STOP{suffix}"
    return kind


def _position_side(side: str, reduce_only: bool, params: Mapping[str, Any]) -> str | None:
    named = params.get("positionSide") or params.get("posSide")
    if named:
        named = str(named).upper()
        return named if named in ("LONG", "SHORT") else None
    if str(params.get("positionIdx")) in ("1", "2"):
        return "LONG" if str(params["positionIdx"]) == "1" else "SHORT"
    if _is_true(params.get("hedged")):
        return "LONG" if (side == "buy") != reduce_only else "SHORT"
    return None


def _amount(exchange: Any, symbol: str, amount: Any) -> str | None:
    """The amount as it will be sent, in coins: ccxt's amounts are contracts, which some venues make of many coins."""
    text = _rounded(exchange, "amount_to_precision", symbol, amount)
    market = (getattr(exchange, "markets", None) or {}).get(symbol) or {}
    size = market.get("contractSize")
    if text is None or not market.get("linear") or size in (None, 1):
        return text
    try:
        return amount_text(decimal.Decimal(text) * decimal.Decimal(str(size)))
    except decimal.InvalidOperation:
        return text


def _rounded(exchange: Any, method: str, symbol: str, value: Any) -> str | None:
    """As ccxt will round it; as it is where ccxt cannot say so now."""
    if value is None:
        return None
    try:
        if (getattr(exchange, "markets", None) or {}).get(symbol):
            return amount_text(getattr(exchange, method)(symbol, value))
    except Exception:  # noqa: BLE001  whatever it is, ccxt is about to raise it where it belongs
        pass
    return amount_text(value)


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _unique() -> str:
    """13 letters and digits: the time, so that ids sort by it, and chance."""
    number = (time.time_ns() // 1_000_000) * 36**4 + secrets.randbelow(36**4)
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text
