"""freqtrade's own database beside the book: every order, every trade, every open position.

What differs and why is told in words. What nothing explains is a problem.
"""

import collections
import decimal
import json
import sqlite3
import subprocess

D = decimal.Decimal
LAST_DIGIT = D("0.00000001")
"""freqtrade keeps floats and rounds amounts of money to 8 decimals."""
MAYBE_OPEN = {"open": {"NEW", "PARTIALLY_FILLED"}, "closed": {"FILLED"}, "canceled": {"CANCELED", "EXPIRED"}}
MAYBE_OPEN["expired"] = MAYBE_OPEN["canceled"]


def number(value):
    """A float of the database as the decimal that it was made of, text of the book as it is."""
    return D(repr(value)) if isinstance(value, float) else D(value or 0)


class Compared:
    def __init__(self, binary, book, database, through_book):
        self.words = [binary, "--db", book, "--json", "--quiet"]
        self.through_book = through_book
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        try:
            self.trades = [dict(row) for row in connection.execute("SELECT * FROM trades ORDER BY id")]
            self.their_orders = [dict(row) for row in connection.execute("SELECT * FROM orders ORDER BY id")]
        finally:
            connection.close()
        self.orders = {(row["symbol"], row["order_id"]): row for row in self.listed("orders")}
        self.fills = collections.defaultdict(list)
        for row in self.listed("fills"):
            self.fills[row["symbol"], row["order_id"]].append(row)
        # A round trip is named by the fill that opened it.
        self.trips = {row["key"]: row for row in self.listed("trips")}
        self.positions = {row["symbol"]: row for row in self.listed("positions")}
        self.problems = []
        self.explained = collections.defaultdict(list)
        self.counted = collections.Counter()

    def listed(self, what):
        done = subprocess.run([*self.words, what], capture_output=True, text=True, check=True, timeout=300)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def expect(self, holds, what):
        if not holds:
            self.problems.append(what)

    # Orders.

    def compare_orders(self):
        known = set()
        for row in self.their_orders:
            key = (contract(row["ft_pair"]), row["order_id"])
            known.add(key)
            name = f"{row['ft_order_side']} order {row['order_id']} of {key[0]}"
            order = self.orders.get(key)
            if order is None:
                self.problems.append(f"{name} is not in the book")
                continue
            self.counted["orders"] += 1
            if self.through_book:
                own = (order["client_order_id"] or "").startswith("fb")
                self.expect(own, f"{name} did not pass through the book: {order['client_order_id']}")
            is_right = order["status"] in MAYBE_OPEN.get(row["status"], ())
            self.expect(is_right, f"{name}: {row['status']} with freqtrade, {order['status']} in the book")
            if order["order_class"] == "CONDITIONAL":
                self.counted["stops at the exchange"] += 1
                continue
            self.expect(
                number(row["filled"]) == number(order["executed_qty"]),
                f"{name}: {row['filled']} executed with freqtrade, {order['executed_qty']} in the book",
            )
            if number(row["filled"]):
                # The exchange says 8 decimals of an average.
                off = abs(number(row["average"]) - average(self.fills[key]))
                self.expect(off <= LAST_DIGIT, f"{name}: the average differs by {off}")
        for key, order in self.orders.items():
            if key in known:
                continue
            if not number(order["executed_qty"]):
                self.explained["freqtrade deletes a trade whose entry was not executed at all, with its orders"].append(
                    key[1]
                )
            else:
                self.problems.append(f"order {key} was executed, and freqtrade does not know it: {order}")

    # Trades.

    def compare_trades(self):
        seen = set()
        for trade in self.trades:
            symbol = contract(trade["pair"])
            mine = [row for row in self.their_orders if row["ft_trade_id"] == trade["id"] and number(row["filled"])]
            side_in = "sell" if trade["is_short"] else "buy"
            self.counted["additions"] += max(0, sum(row["ft_order_side"] == side_in for row in mine) - 1)
            entries = [
                fill for row in mine if row["ft_order_side"] == side_in for fill in self.fills[symbol, row["order_id"]]
            ]
            exits = [
                fill for row in mine if row["ft_order_side"] != side_in for fill in self.fills[symbol, row["order_id"]]
            ]
            name = f"trade {trade['id']} ({'short' if trade['is_short'] else 'long'} {symbol})"
            if trade["is_open"]:
                self.compare_open(trade, symbol, entries, name)
                continue
            first = min(entries, key=lambda fill: int(fill["fill_id"]))
            trip = self.trips.get(f"{symbol}|NET|{first['side']}-{first['fill_id']}")
            if trip is None:
                self.problems.append(f"{name} is no round trip of the book")
                continue
            seen.add(trip["key"])
            self.counted["closed trades"] += 1
            self.counted["closed in parts"] += len({fill["order_id"] for fill in exits}) > 1
            self.compare_closed(trade, symbol, trip, entries, exits, name)
        for key in self.trips.keys() - seen:
            self.problems.append(f"round trip {key} is no trade of freqtrade's")

    def compare_closed(self, trade, symbol, trip, entries, exits, name):
        for what, fills, qty in (("entered", entries, trip["entry_qty"]), ("closed", exits, trip["exit_qty"])):
            total = sum((D(fill["qty"]) for fill in fills), D(0))
            self.expect(total == D(qty), f"{name}: {total} {what} by its orders, {qty} in the book")
        self.rate(f"{name}: opened at", trade["open_rate"], D(trip["entry_price_avg"]), trade)
        last = max(exits, key=lambda fill: int(fill["fill_id"]))
        of_last = average(self.fills[symbol, last["order_id"]])
        self.rate(f"{name}: closed at", trade["close_rate"], of_last, trade)
        if abs(of_last - D(trip["exit_price_avg"])) > LAST_DIGIT:
            self.explained["freqtrade's close price is that of the last exit, the book's is the average of all"].append(
                name
            )
        funding = sum((D(amount["amount"]) for amount in trip["funding"].values()), D(0))
        self.expect(
            abs(number(trade["funding_fees"]) - funding) <= LAST_DIGIT,
            f"{name}: funding {trade['funding_fees']}, {funding} in the book",
        )
        self.profit(trade, trip, entries, exits, funding, name)

    def profit(self, trade, trip, entries, exits, funding, name):
        """freqtrade's profit is the gross one less one rate of fees for all entries, and one for all exits."""
        book, theirs = D(trip["net"]["USDT"]["amount"]), number(trade["close_profit_abs"])
        gross, fees = D(trip["gross"]["amount"]), D(trip["fees"]["USDT"]["amount"])
        self.expect(
            abs(book - (gross - fees + funding)) <= LAST_DIGIT, f"{name}: the book's net profit does not add up"
        )
        assumed = D(0)
        for fills, rate, cost, what in (
            (entries, trade["fee_open"], trade["fee_open_cost"], "entries"),
            (exits, trade["fee_close"], trade["fee_close_cost"], "exits"),
        ):
            assumed += value(fills) * number(rate)
            rates = {rate_of(fill) for fill in fills}
            low, high = min(rates), max(rates)
            slack = D("0.000001")
            if not low - slack <= number(rate) <= high + slack and cost is not None:
                self.problems.append(f"{name}: a fee of {rate} for its {what}, whose fills paid {sorted(rates)}")
        left = theirs - (gross - assumed + funding)
        slack = LAST_DIGIT * (3 + len(entries) + len(exits))
        self.expect(abs(left) <= slack, f"{name}: profit {theirs}, {book} in the book: {left} is not because of fees")
        self.counted["profit in the book"] += book
        self.counted["profit with freqtrade"] += theirs
        if abs(theirs - book) > slack:
            why = "freqtrade takes one rate of fees for all entries (exits), the exchange took maker's and taker's"
            self.explained[why].append(f"{name} by {theirs - book}")

    def compare_open(self, trade, symbol, entries, name):
        held = self.positions.get(symbol, {"qty": "0", "entry_price_avg": "0"})
        amount = number(trade["amount"]) * (-1 if trade["is_short"] else 1)
        if not entries:
            self.explained["freqtrade keeps a trade whose entry waits"].append(name)
            return
        self.counted["open trades"] += 1
        self.expect(amount == D(held["qty"]), f"{name} is open with {amount}, {held['qty']} in the book")
        self.rate(f"{name}: opened at", trade["open_rate"], D(held["entry_price_avg"]), trade)

    def rate(self, name, theirs, book, trade):
        """freqtrade rounds its rates to the step of prices."""
        off = abs(number(theirs) - book)
        self.expect(off <= number(trade["price_precision"]), f"{name} {theirs}, {book} in the book")
        if off > LAST_DIGIT:
            self.explained["freqtrade rounds rates to the contract's step"].append(f"{name} {theirs} for {book}")


def compare(binary, book, database, through_book):
    """Prints what was compared, and returns what nothing explains."""
    compared = Compared(binary, book, database, through_book)
    compared.compare_orders()
    compared.compare_trades()
    for what, count in compared.counted.items():
        print(f"{what}: {count}")
    for why, cases in compared.explained.items():
        print(f"explained, {len(cases)}: {why}")
        for case in cases:
            print(f"    {case}")
    for what in ("closed trades", "additions", "closed in parts", "stops at the exchange"):
        if not compared.counted[what]:
            compared.problems.append(f"nothing to compare: no {what}")
    return compared.problems


def contract(pair):
    return pair.partition(":")[0].replace("/", "")


def value(fills):
    return sum((D(fill["price"]) * D(fill["qty"]) for fill in fills), D(0))


def average(fills):
    return value(fills) / sum((D(fill["qty"]) for fill in fills), D(0))


def rate_of(fill):
    return D(fill["fee"]) / (D(fill["price"]) * D(fill["qty"]))
