"""freqtrade as it is, with one line of fillbook's: what places its orders is `fillbook.recorded`.

trading.py BOOK ARGUMENTS...        arguments of freqtrade; without a book (`-`) it trades as it always does
"""

import functools
import sys

from freqtrade.exchange import Exchange
from freqtrade.main import main

import fillbook


def record_in(book):
    """freqtrade makes the exchanges itself, one that trades and one that reads candles. The first one is recorded."""
    init = Exchange._init_ccxt

    @functools.wraps(init)
    def recorded(self, exchange_config, sync, ccxt_kwargs):
        made = init(self, exchange_config, sync, ccxt_kwargs)
        return fillbook.recorded(made, book) if sync else made

    Exchange._init_ccxt = recorded


if __name__ == "__main__":
    path, *arguments = sys.argv[1:]
    if path == "-":
        main(arguments)
    with fillbook.Book(path, "main") as kept:
        record_in(kept)
        main(arguments)
