"""fillbook: the book of record for trading bots on crypto futures exchanges.

For a bot on ccxt, sync or async, one line:

    exchange = fillbook.recorded(ccxt.binanceusdm(...), fillbook.Book("fillbook.db", account="main"))

README.md beside this package's source tells the rest.
"""

from .book import SPOOLED, Book, Gate, Rows
from .errors import BookError, BookUnavailable, EntryRefused, Reason, Refused
from .recorded import recorded

__all__ = [
    "SPOOLED",
    "Book",
    "BookError",
    "BookUnavailable",
    "EntryRefused",
    "Gate",
    "Reason",
    "Refused",
    "Rows",
    "recorded",
]
