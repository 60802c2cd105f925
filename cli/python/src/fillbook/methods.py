"""Which methods of ccxt are recorded, and how."""

from __future__ import annotations

import enum
import re


class Kind(enum.Enum):
    """How a method is treated."""

    CREATE = enum.auto()
    """Places one order; the arguments are those of `create_order`."""
    CREATE_MANY = enum.auto()
    """Places a list of orders."""
    CANCEL = enum.auto()
    """Cancels one order, by id."""
    CANCEL_MANY = enum.auto()
    """Cancels a list of orders."""
    CANCEL_ALL = enum.auto()
    """Cancels what is open, whatever it is."""
    COMPOSED = enum.auto()
    """Made of other methods (`create_market_buy_order` of `create_order`): these are recorded as they are called."""
    READ = enum.auto()
    """Returns orders or trades."""
    RAW = enum.auto()
    """A request of the exchange's own interface that places or cancels orders: it is not understood here."""
    PLAIN = enum.auto()
    """Has nothing to do with orders."""


_EXACT = {
    "create_order": Kind.CREATE,
    "create_order_ws": Kind.CREATE,
    "create_orders": Kind.CREATE_MANY,
    "create_orders_ws": Kind.CREATE_MANY,
    "cancel_order": Kind.CANCEL,
    "cancel_order_ws": Kind.CANCEL,
    "cancel_orders": Kind.CANCEL_MANY,
    "cancel_orders_ws": Kind.CANCEL_MANY,
    "cancel_orders_for_symbols": Kind.CANCEL_MANY,
    "cancel_all_orders": Kind.CANCEL_ALL,
    "cancel_all_orders_ws": Kind.CANCEL_ALL,
    # Answers with a word, and asks with `fetch_order`.
    "fetch_order_status": Kind.COMPOSED,
    # Sets a timer at the exchange.
    "cancel_all_orders_after": Kind.PLAIN,
}
_REQUEST = re.compile(r"_request$|order_book|orderbook|order_types|_order_id$")
_COMPOSED = re.compile(r"^(create|edit|cancel)_\w*orders?(_|$)")
_READ = re.compile(r"^(fetch|watch)_(\w*orders?|my_trades|my_trades_for_symbols|order_trades)(_ws|_for_symbols|_with_client_order_id)?$")
_READ_BY_STATUS = re.compile(r"^fetch_orders_by_(status|ids)\w*$")
_RAW = re.compile(r"private\w*_(post|put|delete)_\w*order", re.IGNORECASE)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake(name: str) -> str:
    """`createOrderWs` is `create_order_ws`."""
    return _HUMP.sub("_", name).lower()


def kind_of(name: str) -> Kind:
    """How the method of this name is treated, in either of ccxt's spellings."""
    name = snake(name)
    if name in _EXACT:
        return _EXACT[name]
    if name.startswith("_"):
        return Kind.PLAIN
    if _RAW.search(name):
        return Kind.RAW
    if _REQUEST.search(name) and not name.endswith("_with_client_order_id"):
        return Kind.PLAIN
    if _COMPOSED.match(name):
        return Kind.COMPOSED
    if _READ.match(name) or _READ_BY_STATUS.match(name):
        return Kind.READ
    return Kind.PLAIN
