"""What ccxt.pro was told on Binance's stream, in the words of Binance's answers, which are those that the recorder reads.

Only names change, never values: both are decimal text of the exchange.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ORDER = {
    "s": "symbol", "i": "orderId", "c": "clientOrderId", "S": "side", "o": "type", "ot": "origType", "f": "timeInForce",
    "q": "origQty", "p": "price", "ap": "avgPrice", "sp": "stopPrice", "X": "status", "z": "executedQty", "R": "reduceOnly",
    "cp": "closePosition", "ps": "positionSide", "wt": "workingType", "T": "updateTime",
}  # fmt: skip
_TRADE = {
    "s": "symbol", "t": "id", "i": "orderId", "S": "side", "L": "price", "l": "qty", "rp": "realizedPnl", "n": "commission",
    "N": "commissionAsset", "T": "time", "ps": "positionSide", "m": "maker",
}  # fmt: skip
_UNDERSTOOD = {"s", "i", "X", "x", "S", "T"}
_TOLD_BY_STREAM = {"e", "x", "X", "at", "caid"}


def restated(each: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """An order or trade with `info` as Binance answers it; the same object where it is no stream's, and None where it is one
    that is not understood here (conditional orders, other venues): `fillbook sync` finds what it says."""
    info = each.get("info")
    if not isinstance(info, Mapping) or "symbol" in info or "orderId" in info or not _TOLD_BY_STREAM & info.keys():
        return each
    if not _UNDERSTOOD <= info.keys():
        return None
    if "takerOrMaker" in each and "remaining" not in each:
        # No fee stands in an event of an execution without one.
        renamed = _renamed(info, _TRADE) | {"buyer": info["S"] == "BUY"}
        return {**each, "info": renamed} if info["x"] == "TRADE" else None
    trades = [restated(trade) for trade in each.get("trades") or () if isinstance(trade, Mapping)]
    return {**each, "info": _renamed(info, _ORDER), "trades": [trade for trade in trades if trade is not None]}


def _renamed(info: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {name: info[letter] for letter, name in names.items() if letter in info}
