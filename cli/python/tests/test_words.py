"""Words: ccxt's methods and exceptions, decimals, times, contracts."""

import datetime
import decimal
import inspect
import json
import unittest

from fillbook import lines
from fillbook.command import _in_words
from fillbook.methods import Kind, kind_of
from fillbook.order_call import client_order_id
from fillbook.outcome import REJECTED, UNKNOWN, outcome
from fillbook.stream import restated

try:
    import ccxt
    import ccxt.pro
except ImportError:
    ccxt = None


class Complaints(unittest.TestCase):
    def test_errors_are_told_in_words(self):
        error = {"schema": "fillbook.error/1", "message": "there is no book at b.db", "because": ["no such file"], "hints": ["fillbook init"]}
        for complaint, told in [
            (json.dumps(error), "there is no book at b.db: no such file"),
            ("warning: old\n" + json.dumps({**error, "because": None}) + "\n", "warning: old there is no book at b.db"),
            ("7\n[]\n", "7 []"),
        ]:
            self.assertEqual(_in_words(complaint), told)


class Lines(unittest.TestCase):
    def test_amounts_keep_their_digits(self):
        for value, text in [
            (0.1, "0.1"), (1e-7, "0.0000001"), (12345678901234567890, "12345678901234567890"), ("0.10", "0.10"),
            (decimal.Decimal("1E+3"), "1000"), ("1e-3", "0.001"), (None, None), ("", None), ("much", "much"),
        ]:  # fmt: skip
            self.assertEqual(lines.amount_text(value), text)

    def test_what_json_has_no_word_for_is_no_reason_to_lose_the_rest(self):
        odd = {"a": float("nan"), "b": decimal.Decimal("0.10"), "c": {1, }, "d": object, 3: b"x", "e": "\ud800", "f": (1, 2)}
        read = json.loads(lines.encode(odd))
        self.assertEqual((read["a"], read["b"], read["c"], read["3"], read["f"]), (None, "0.10", [1], "x", [1, 2]))
        self.assertNotIn("\n", lines.encode({"a": "x\ny"}))

    def test_times(self):
        zone = datetime.timezone(datetime.timedelta(hours=9))
        self.assertEqual(lines.time_ms(datetime.datetime(1970, 1, 1, 9, 0, 0, 1500, zone)), 1)
        self.assertEqual(lines.time_ms("2026-03-03T00:00:00Z"), "2026-03-03T00:00:00Z")

    def test_contracts(self):
        for name, contract in [("BTC/USDT:USDT", "BTCUSDT"), ("BTCUSDT", "BTCUSDT"), ("BTC/USDT:USDT-260626", "BTCUSDT_260626")]:
            self.assertEqual(lines.contract(name), contract)


class Streams(unittest.TestCase):
    """An event as Binance documents it, beside its answer about the same trade."""

    TRADE = {
        "s": "BTCUSDT", "c": "mine", "S": "SELL", "o": "MARKET", "x": "TRADE", "X": "FILLED", "i": 8886774, "l": "0.10",
        "z": "0.30", "q": "0.30", "L": "65000.10", "ap": "65000", "N": "USDT", "n": "2.60", "T": 1568879465651, "t": 12,
        "m": False, "R": True, "ps": "BOTH", "rp": "-1.20",
    }  # fmt: skip

    def test_a_trade_and_an_order_are_told_in_the_words_of_answers(self):
        trade = {"id": "12", "takerOrMaker": "taker", "info": self.TRADE}
        self.assertEqual(
            restated(trade)["info"],
            {
                "symbol": "BTCUSDT", "id": 12, "orderId": 8886774, "side": "SELL", "price": "65000.10", "qty": "0.10",
                "realizedPnl": "-1.20", "commission": "2.60", "commissionAsset": "USDT", "time": 1568879465651,
                "positionSide": "BOTH", "maker": False, "buyer": False,
            },
        )  # fmt: skip
        order = restated({"id": "8886774", "status": "closed", "remaining": 0.0, "info": self.TRADE, "trades": [trade]})
        told = {key: order["info"][key] for key in ("orderId", "executedQty", "origQty", "status", "updateTime")}
        known = {"orderId": 8886774, "executedQty": "0.30", "origQty": "0.30", "status": "FILLED", "updateTime": 1568879465651}
        self.assertEqual(told, known)
        self.assertEqual(order["trades"][0]["info"]["qty"], "0.10")

    def test_what_is_no_event_stays_and_what_is_not_understood_is_left_out(self):
        for info in ({"orderId": 1, "symbol": "BTCUSDT"}, {}, None):
            order = {"id": "1", "remaining": 1, "info": info}
            self.assertIs(restated(order), order)
        self.assertIsNone(restated({"id": "1", "remaining": 1, "info": {"caid": "x", "aid": 7, "X": "NEW"}}))
        self.assertIsNone(restated({"id": "1", "takerOrMaker": "taker", "info": {**self.TRADE, "x": "NEW"}}))


class ClientIds(unittest.TestCase):
    def test_they_are_what_the_venue_takes(self):
        for engine in ("swing", "a-very-long-name-of-a-strategy-indeed", "빠른", "a:b", None):
            key, text = client_order_id("binanceusdm", engine, "entry")
            self.assertEqual(key, "newClientOrderId")
            self.assertRegex(text, r"^[\.A-Z\:/a-z0-9_-]{1,36}$")
            self.assertEqual(text.startswith("fb:"), engine == "swing")
        self.assertRegex(client_order_id("okx", "swing", "exit")[1], r"^[A-Za-z0-9]{1,32}$")
        self.assertIsNone(client_order_id("elsewhere", "swing", "exit")[0])
        self.assertEqual(len({client_order_id("okx", None, "exit") for _ in range(100)}), 100)


@unittest.skipUnless(ccxt, "ccxt is not installed")
class AgainstCcxt(unittest.TestCase):
    def test_every_exception_of_ccxt_is_sorted(self):
        rejected = {
            "InvalidOrder", "OrderImmediatelyFillable", "OrderNotFillable", "ContractUnavailable", "InsufficientFunds",
            "BadRequest", "BadSymbol", "ArgumentsRequired", "NotSupported", "InvalidAddress", "AddressPending",
            "InvalidProxySettings", "AuthenticationError", "PermissionDenied", "AccountNotEnabled", "AccountSuspended",
            "OperationRejected", "NoChange", "MarginModeAlreadySet", "MarketClosed", "ManualInteractionNeeded",
            "RestrictedLocation", "ExchangeClosedByUser", "RateLimitExceeded", "InvalidNonce", "ChecksumError",
        }  # fmt: skip
        classes = {name: cls for name, cls in vars(ccxt).items() if isinstance(cls, type) and issubclass(cls, ccxt.BaseError)}
        self.assertGreater(len(classes), 40)
        for name, cls in classes.items():
            self.assertEqual(outcome(cls("binanceusdm something")), REJECTED if name in rejected else UNKNOWN, name)

    def test_words_of_binance_beside_the_class(self):
        for error, said in [
            (ccxt.ExchangeError('binanceusdm {"code":-4131,"msg":"PERCENT_PRICE"}'), REJECTED),
            (ccxt.ExchangeError('binanceusdm {"code":-1001,"msg":"Internal error"}'), UNKNOWN),
            (ccxt.ExchangeError('elsewhere {"code":-4131}'), UNKNOWN),
            (ccxt.OperationFailed('binanceusdm {"code":-2019,"msg":"Margin is insufficient."}'), REJECTED),
            (ccxt.OperationFailed('binanceusdm {"code":-1008,"msg":"Server is busy"}'), UNKNOWN),
            (ccxt.OrderNotFound('binanceusdm {"code":-2013,"msg":"Order does not exist."}'), UNKNOWN),
            (ccxt.InvalidOrder('binanceusdm {"code":-4116,"msg":"ClientOrderId is duplicated."}'), UNKNOWN),
        ]:
            self.assertEqual(outcome(error), said, error)
        self.assertEqual(outcome(ccxt.InsufficientFunds("binanceusdm"), is_sent_again=True), UNKNOWN)

    def test_every_method_of_ccxt_that_places_or_cancels_is_recorded(self):
        plain = {
            "cancel_all_orders_after", "create_order_request", "create_spot_order_request", "edit_contract_order_request",
            "edit_spot_order_request",
        }  # fmt: skip
        for module in (ccxt, ccxt.pro):
            cls = module.binanceusdm
            names = [name for name in dir(cls) if name.split("_")[0] in ("create", "edit", "cancel") and "order" in name]
            self.assertGreater(len(names), 40)
            for name in names:
                wanted = name not in plain and not name.endswith("_request")
                self.assertEqual(kind_of(name) is not Kind.PLAIN, wanted, name)
                camel = name.split("_")[0] + "".join(part.capitalize() for part in name.split("_")[1:])
                self.assertIs(kind_of(camel), kind_of(name))

    def test_what_places_an_order_does_so_by_a_recorded_method(self):
        """Else its intent would not be recorded before it is sent."""
        # Asked for by nobody but `create_order` and its like.
        inner = {"create_contract_orders", "create_spot_orders", "edit_contract_order", "edit_spot_order", "create_twap_order"}
        for name in dir(ccxt.binanceusdm):
            if not name.startswith("create_") or kind_of(name) is not Kind.COMPOSED or name in inner:
                continue
            source = inspect.getsource(getattr(ccxt.binanceusdm, name))
            calls = ("self.create_", "self.createOrder", "self.createLimit", "self.createMarket", "NotSupported")
            self.assertTrue(any(call in source for call in calls), name)

    def test_what_reads_orders_and_trades_is_recorded(self):
        for name in ("fetch_order", "fetchOrder", "fetch_open_orders", "fetch_my_trades", "watch_my_trades", "watch_orders",
                     "fetch_order_trades", "fetch_closed_orders_ws", "fetch_order_with_client_order_id",
                     "watch_orders_for_symbols", "fetch_canceled_and_closed_orders", "fetchOpenOrder"):  # fmt: skip
            self.assertIs(kind_of(name), Kind.READ, name)
        for name in ("fetch_order_book", "fetch_order_books", "watch_order_book", "fetch_ticker", "fetch_trades", "parse_order",
                     "safe_order", "fetch_positions", "load_markets", "fetch_l2_order_book", "watch_order_book_for_symbols"):  # fmt: skip
            self.assertIs(kind_of(name), Kind.PLAIN, name)
        self.assertIs(kind_of("fapiPrivatePostOrder"), Kind.RAW)
        self.assertIs(kind_of("fapiPrivateDeleteAllOpenOrders"), Kind.RAW)
        self.assertIs(kind_of("fapiPrivateGetOpenOrders"), Kind.PLAIN)


if __name__ == "__main__":
    unittest.main()
