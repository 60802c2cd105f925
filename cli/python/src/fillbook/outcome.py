"""What an exception of ccxt says about an order that was being placed: certainly none, or perhaps one.

By the names of the classes, so that ccxt need not be installed here, and so that classes which a later ccxt adds below
these are sorted as well. What is not listed is unknown: an order that may exist is not forgotten.
"""

from __future__ import annotations

import re

ACCEPTED = "accepted"
"""There is an order."""
REJECTED = "rejected"
"""The exchange has refused the order, or the request never left: there is no order."""
UNKNOWN = "unknown"
"""There may be an order."""

_UNKNOWN_FIRST = {
    # An order of this client order id exists: a request was sent twice, and the first one was accepted.
    "DuplicateOrderId": UNKNOWN,
    # No answer to placing an order, so it proves nothing about this one.
    "OrderNotFound": UNKNOWN,
    "OrderNotCached": UNKNOWN,
}
_BY_NAME = _UNKNOWN_FIRST | {
    # The exchange names what it does not accept, or ccxt did before anything was sent.
    "InvalidOrder": REJECTED,
    "InsufficientFunds": REJECTED,
    "BadRequest": REJECTED,
    "BadSymbol": REJECTED,
    "ArgumentsRequired": REJECTED,
    "NotSupported": REJECTED,
    "InvalidAddress": REJECTED,
    "InvalidProxySettings": REJECTED,
    "AuthenticationError": REJECTED,
    "PermissionDenied": REJECTED,
    "AccountSuspended": REJECTED,
    "OperationRejected": REJECTED,
    "ExchangeClosedByUser": REJECTED,
    # Refused at the door: by the exchange's limit, by ccxt's own queue, or because of the clock.
    "RateLimitExceeded": REJECTED,
    "InvalidNonce": REJECTED,
    # The request may have reached the exchange, or the answer says that it does not know itself. A gateway's 403, 418, 429,
    # 5xx and "maintenance" do not tell on which side of the matching engine they were made.
    "RequestTimeout": UNKNOWN,
    "OnMaintenance": UNKNOWN,
    "ExchangeNotAvailable": UNKNOWN,
    "DDoSProtection": UNKNOWN,
    "NetworkError": UNKNOWN,
    "BadResponse": UNKNOWN,
    "NullResponse": UNKNOWN,
    "CancelPending": UNKNOWN,
    # ccxt's word for "failed, try again", under which it files "execution status unknown", too.
    "OperationFailed": UNKNOWN,
}
_EXISTS = re.compile(r'"code"\s*:\s*"?-4116\b|duplicate', re.IGNORECASE)
"""Binance's word for a client order id that is in use, which ccxt files under InvalidOrder."""
_CODE = re.compile(r'"code"\s*:\s*"?-(\d{4})\b')


def outcome(error: BaseException, *, is_sent_again: bool = False) -> str:
    """`rejected` or `unknown`.

    :param is_sent_again: ccxt was told to send a failed request again by itself (`maxRetriesOnFailure`), so what is
        raised is about the last request only, and an earlier one may have been accepted
    """
    text = str(error)
    names = [cls.__name__ for cls in type(error).__mro__]
    if not any(name == "BaseError" for name in names):
        # No exception of ccxt: a connection, a cancelled task, a bug while the answer was read.
        return UNKNOWN
    if is_sent_again or _EXISTS.search(text):
        return UNKNOWN
    if _is_binance_refusal(text):
        return REJECTED
    return next((_BY_NAME[name] for name in names if name in _BY_NAME), UNKNOWN)


def _is_binance_refusal(text: str) -> bool:
    """Whether an error carries a code of Binance with which it refuses a request: its form (-11xx), the order (-20xx, but for
    -2013, "no such order"), filters and the contract's rules (-40xx to -50xx). ccxt has no class for some of them, and files
    -2019, "margin is insufficient", under OperationFailed where it does not recognise the address."""
    if not text.startswith("binance"):
        return False
    found = _CODE.search(text)
    code = int(found[1]) if found else 0
    return 1100 <= code < 1200 or (2010 <= code < 2100 and code != 2013) or 4000 <= code < 5100
