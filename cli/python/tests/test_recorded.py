"""A recorded exchange: what is recorded, what reaches the exchange, and what the bot is answered."""

import os
import time
import unittest

import fake_ccxt
from support import WithBook

import fillbook

BTC = "BTC/USDT:USDT"
CLOSE = {"reduceOnly": True}


class Recorded(WithBook):
    """A recorded exchange, and a plain look at what is behind it."""

    def trade(self, exchange=None, gate="undecided", **more):
        self.exchange = exchange or fake_ccxt.Exchange()
        self.the_book = self.book(**more)
        return fillbook.recorded(self.exchange, self.the_book, gate=gate)

    def placed(self):
        return [sent for sent in self.exchange.sent if sent[0] == "create"]


class WhatPasses(Recorded):
    def test_the_intent_is_first_and_the_answer_is_ccxts_own(self):
        proxy = self.trade()
        self.the_book.signal(BTC, "buy", "swing", signal_id="s1")
        seen = []
        self.exchange._place = lambda *args: seen.append(self.told("intent")) or fake_ccxt.Exchange._place(self.exchange, *args)
        order = proxy.create_order(BTC, "market", "buy", 0.1234, None, {"fillbook": {"trade": "t1"}, "timeInForce": "GTC"})
        self.assertIs(order, self.exchange.orders["1"])
        (((intent,),),) = (seen,)
        self.assertEqual(
            {key: intent.get(key) for key in ("symbol", "side", "role", "type", "amount", "signal_id", "engine", "trade")},
            {"symbol": BTC, "side": "buy", "role": "entry", "type": "market", "amount": "0.123", "signal_id": "s1", "engine": "swing", "trade": "t1"},
        )  # fmt: skip
        (sent,) = self.placed()
        client_id = intent["client_order_id"]
        self.assertEqual(sent[-1], {"timeInForce": "GTC", "newClientOrderId": client_id})
        self.assertRegex(client_id, r"^fb:swing:e:[0-9a-z]+$")
        (said,) = self.told("sent")
        self.assertEqual((said["result"], said["client_order_id"], said["order"]["id"]), ("accepted", client_id, "1"))

    def test_each_way_to_place_an_order_is_recorded_once(self):
        proxy = self.trade()
        ways = [
            lambda: proxy.create_order(BTC, "limit", "buy", 1, 2.5),
            lambda: proxy.createOrder(symbol=BTC, type="market", side="buy", amount=1),
            lambda: proxy.create_market_order(BTC, "buy", 1),
            lambda: proxy.create_market_buy_order(BTC, 1),
            lambda: proxy.createMarketBuyOrder(BTC, 1),
            lambda: proxy.create_stop_loss_order(BTC, "market", "sell", 1, None, 2.0, CLOSE),
        ]
        for number, way in enumerate(ways, 1):
            order = way()
            self.assertIs(order, self.exchange.orders[str(number)])
            self.assertEqual((len(self.told("intent")), len(self.told("sent")), len(self.placed())), (number,) * 3)
        stop = self.told("intent")[-1]
        self.assertEqual((stop["role"], stop["type"], stop["trigger_price"]), ("stop_loss", "STOP_MARKET", "2.0"))

    def test_it_is_the_exchange_otherwise(self):
        proxy = self.trade()
        self.assertIsInstance(proxy, fake_ccxt.Exchange)
        self.assertEqual((proxy.id, proxy.fetch_ticker(BTC)["last"]), ("binanceusdm", 1.0))
        proxy.verbose = True
        self.assertTrue(self.exchange.verbose)
        self.assertIn("create_market_order", dir(proxy))
        with self.assertRaises(TypeError):
            proxy.create_order(BTC)
        with self.assertRaises(AttributeError):
            proxy.no_such_thing
        with self.assertRaises(ValueError):
            fillbook.recorded(proxy, self.the_book)

    def test_orders_and_trades_that_are_read_are_recorded_once_a_state(self):
        proxy = self.trade()
        order = proxy.create_order(BTC, "limit", "buy", 1, 2.5)
        for _ in range(3):
            self.assertIs(proxy.fetch_open_orders(BTC)[0], order)
            proxy.fetch_my_trades(BTC)
        self.exchange.orders["1"] = {**order, "status": "closed", "filled": 1.0}
        self.assertEqual(proxy.fetch_order_status("1", BTC), "closed")
        self.the_book.close()
        self.assertEqual([line["order"]["status"] for line in self.told("order")], ["closed"])
        self.assertEqual([line["trade"]["info"] for line in self.told("trade")], [{"qty": "0.100"}])

    def test_cancels_are_recorded_with_their_reason(self):
        proxy = self.trade()
        first = proxy.create_order(BTC, "limit", "buy", 1, 2.5)
        for _ in range(2):
            proxy.create_order(BTC, "limit", "buy", 1, 2.5)
        proxy.cancel_order(first["id"], BTC, {"fillbook": {"reason": "too far"}})
        self.assertIn(("params", {}), self.exchange.sent)
        with self.assertRaises(fake_ccxt.OrderNotFound):
            proxy.cancel_order(first["id"], BTC)
        proxy.cancel_all_orders(BTC)
        said = [(line["order"]["id"], line.get("reason")) for line in self.told("cancel")]
        self.assertEqual(said, [("1", "too far"), ("2", None), ("3", None)])

    def test_an_amendment_is_recorded_however_ccxt_does_it(self):
        proxy = self.trade()
        order = proxy.create_order(BTC, "limit", "buy", 1, 2.5)
        self.assertEqual(proxy.edit_order(order["id"], BTC, "limit", "buy", 2, 2.4)["amount"], 2)
        self.the_book.close()
        self.assertEqual([line["order"]["amount"] for line in self.told("order")], [2])

        proxy = self.trade(fake_ccxt.BaseEditing())
        order = proxy.create_order(BTC, "limit", "buy", 1, 2.5)
        proxy.edit_order(order["id"], BTC, "limit", "buy", 2, 2.4)
        self.assertEqual(len(self.told("cancel")), 1)
        self.assertEqual(len(self.told("intent")), 3)

    def test_a_list_of_orders_has_an_outcome_each(self):
        proxy = self.trade()
        self.exchange.fails = [fake_ccxt.InvalidOrder("binanceusdm too small")]
        leg = {"symbol": BTC, "type": "limit", "side": "buy", "amount": 1, "price": 2.5}
        found = proxy.create_orders([leg, leg])
        self.assertEqual([each["status"] for each in found], ["rejected", "open"])
        self.assertEqual([line["result"] for line in self.told("sent")], ["rejected", "accepted"])
        self.assertEqual(len({line["client_order_id"] for line in self.told("intent")}), 2)


class WhatGoesWrong(Recorded):
    def test_rejected_and_unknown_are_never_the_same(self):
        proxy = self.trade()
        errors = [
            (fake_ccxt.InsufficientFunds("binanceusdm margin"), "rejected"),
            (fake_ccxt.RequestTimeout("binanceusdm"), "unknown"),
            (fake_ccxt.OperationFailed("binanceusdm"), "unknown"),
            (fake_ccxt.ExchangeError("binanceusdm whatever"), "unknown"),
            (fake_ccxt.InvalidOrder('binanceusdm {"code":-4116,"msg":"ClientOrderId is duplicated."}'), "unknown"),
            (ConnectionResetError("peer"), "unknown"),
            (KeyboardInterrupt(), "unknown"),
        ]
        for error, result in errors:
            self.exchange.fails = [error]
            self.orders(gate=[])
            with self.assertRaises(type(error)) as caught:
                proxy.create_order(BTC, "market", "buy", 1)
            self.assertIs(caught.exception, error)
            said = self.told("sent")[-1]
            self.assertEqual((said["result"], type(error).__name__ in said["error"]), (result, True))

    def test_ccxt_does_not_send_an_order_twice_by_itself(self):
        proxy = self.trade()
        self.exchange.options["maxRetriesOnFailure"] = 3
        proxy.create_order(BTC, "market", "buy", 1)
        self.assertEqual(self.placed()[0][-1]["maxRetriesOnFailure"], 0)

    def test_an_undecided_entry_blocks_the_next_until_the_exchange_has_told(self):
        proxy = self.trade()
        self.exchange.fails = [fake_ccxt.RequestTimeout("binanceusdm")]
        with self.assertRaises(fake_ccxt.RequestTimeout):
            proxy.create_order(BTC, "market", "buy", 1)
        with self.assertRaises(fillbook.EntryRefused) as caught:
            proxy.create_order(BTC, "market", "buy", 1)
        self.assertEqual([reason.kind for reason in caught.exception.reasons], ["undecided_intent"])
        self.assertEqual(len(self.placed()), 1)
        # It arrived after all: the bot is told once.
        client_id = self.told("intent")[0]["client_order_id"]
        fake_ccxt.Exchange._place(self.exchange, BTC, "market", "buy", 1, None, {"newClientOrderId": client_id})
        with self.assertRaises(fillbook.EntryRefused) as caught:
            proxy.create_order(BTC, "market", "buy", 1)
        self.assertEqual([reason.kind for reason in caught.exception.reasons], ["sent_before"])
        self.assertEqual([line["result"] for line in self.told("sent")], ["unknown", "accepted"])
        proxy.create_order(BTC, "market", "buy", 1)

    def test_what_the_gate_says_counts_as_was_asked_for(self):
        reasons = [{"kind": "position_mismatch", "text": "the exchange holds more"}]
        for gate, is_sent in (("undecided", True), ("all", False), ("off", True)):
            proxy = self.trade(gate=gate)
            self.orders(gate=reasons)
            try:
                proxy.create_order(BTC, "market", "buy", 1)
            except fillbook.EntryRefused as error:
                self.assertIn("the exchange holds more", str(error))
            self.assertEqual(bool(self.placed()), is_sent, gate)


class WhenTheBookIsGone(Recorded):
    def test_entries_are_refused_and_exits_go_and_are_recorded_later(self):
        proxy = self.trade()
        proxy.create_order(BTC, "market", "buy", 1)
        self.orders(fail="locked")
        with self.assertRaises(fillbook.EntryRefused) as caught:
            proxy.create_order(BTC, "market", "buy", 1)
        self.assertEqual(caught.exception.reasons[0].kind, "book_unavailable")
        order = proxy.create_order(BTC, "market", "sell", 1, None, dict(CLOSE))
        self.assertEqual(order["id"], "2")
        self.assertEqual([line["event"] for line in self.spooled()], ["intent", "sent"])
        with self.assertRaises(fillbook.EntryRefused) as caught:
            proxy.create_order(BTC, "market", "buy", 1)
        self.assertEqual(caught.exception.reasons[0].kind, "unreplayed_spool")
        self.orders()
        self.eventually(self.the_book.spool.is_empty, "nothing waits")
        exit_id = self.placed()[-1][-1]["newClientOrderId"]
        self.assertEqual([line["client_order_id"] for line in self.told("intent")][-1], exit_id)
        self.assertRegex(exit_id, r":x:|^fb\.x\.")
        self.assertEqual(self.told("sent")[-1]["order"]["id"], "2")
        proxy.create_order(BTC, "market", "buy", 1)

    def test_an_exit_does_not_wait_for_a_book_that_hangs(self):
        proxy = self.trade(patience=0.5)
        self.eventually(lambda: self.the_book.gate(BTC).allowed, "it runs")
        self.orders(hang_s=600)
        begun = time.monotonic()
        proxy.create_order(BTC, "market", "sell", 1, None, dict(CLOSE))
        with self.assertRaises(fillbook.EntryRefused):
            proxy.create_order(BTC, "market", "buy", 1)
        self.assertLess(time.monotonic() - begun, 5.0)
        self.assertEqual(len(self.placed()), 1)
        self.orders()

    def test_an_exit_goes_where_nothing_can_be_written_at_all(self):
        proxy = self.trade()
        self.orders(fail="disk_full")
        os.mkdir(f"{self.db}.spool")
        self.assertEqual(proxy.create_order(BTC, "market", "sell", 1, None, dict(CLOSE))["id"], "1")
        os.rmdir(f"{self.db}.spool")
        self.orders()
        self.eventually(lambda: self.told("sent"), "it was kept in memory")

    def test_a_close_that_does_not_say_so_is_known_by_the_exchanges_position(self):
        proxy = self.trade()
        self.orders(fail="locked")
        self.exchange.held = [{"symbol": BTC, "side": "long", "contracts": 1.0}]
        self.assertEqual(proxy.create_order(BTC, "market", "sell", 1)["id"], "1")
        self.assertIn(self.spooled()[0]["role"], "exit")
        with self.assertRaises(fillbook.EntryRefused):
            proxy.create_order(BTC, "market", "buy", 1)
        # Who does not know refuses what may open.
        self.exchange.fails = [fake_ccxt.RequestTimeout("binanceusdm")]
        with self.assertRaises(fillbook.EntryRefused) as caught:
            proxy.create_order(BTC, "market", "sell", 1)
        self.assertEqual(caught.exception.reasons[-1].kind, "position_unknown")

    def test_what_is_said_of_an_intent_that_a_slow_book_records_late(self):
        proxy = self.trade(patience=0.5)
        self.eventually(lambda: self.the_book.gate(BTC).allowed, "it runs")
        self.orders(hang_s=600)
        # It went, whatever became of it.
        self.exchange.fails = [fake_ccxt.RequestTimeout("binanceusdm")]
        with self.assertRaises(fake_ccxt.RequestTimeout):
            proxy.create_order(BTC, "market", "sell", 1, None, dict(CLOSE))
        self.orders()
        self.eventually(lambda: self.the_book.spool.is_empty() and self.told("sent"), "it is recorded")
        # With all that was said of it since.
        self.the_book.close()
        (intent,) = self.told("intent")
        self.assertIsInstance(intent["time"], int)
        said = self.told("sent") + [line for line in self.spooled() if line["event"] == "sent"]
        self.assertEqual([(line["client_order_id"], line["result"]) for line in said], [(intent["client_order_id"], "unknown")])

    def test_an_entry_that_was_refused_for_a_slow_book_is_said_to_be_unsent(self):
        proxy = self.trade(patience=0.5)
        self.eventually(lambda: self.the_book.gate(BTC).allowed, "it runs")
        # The gate answers, and the intent is late.
        answered = self.the_book.gate(BTC)
        self.the_book.gate = lambda *args: answered
        self.orders(hang_s=600)
        with self.assertRaises(fillbook.EntryRefused):
            proxy.create_order(BTC, "market", "buy", 1, None, {"positionSide": "LONG"})
        self.assertEqual(self.placed(), [])
        self.orders()
        self.eventually(lambda: self.told("sent"), "it is taken back")
        (intent,), (said,) = self.told("intent"), self.told("sent")
        self.assertEqual((said["client_order_id"], said["result"]), (intent["client_order_id"], "rejected"))

    def test_a_batch_with_an_exit_goes_without_its_entries(self):
        proxy = self.trade()
        self.orders(fail="locked")
        entry = {"symbol": BTC, "type": "market", "side": "buy", "amount": 1}
        leave = {"symbol": BTC, "type": "market", "side": "sell", "amount": 1, "params": dict(CLOSE)}
        found = proxy.create_orders([entry, leave])
        self.assertEqual([each["status"] for each in found], ["rejected", "open"])
        self.assertEqual([sent[3] for sent in self.placed()], ["sell"])
        with self.assertRaises(fillbook.EntryRefused):
            proxy.create_orders([entry, entry])
        self.assertEqual(len(self.placed()), 1)

    def test_killed_between_any_two_steps_nothing_is_sent_twice(self):
        for event in ("gate", "intent", "sent"):
            for when in ("die_at", "die_after"):
                proxy = self.trade()
                # It dies over the event, and its next life is well.
                self.orders(**{when: event})
                well = self.soon(0.3)
                try:
                    proxy.create_order(BTC, "market", "buy", 1)
                except fillbook.EntryRefused:
                    pass
                well.join()
                self.eventually(self.the_book.spool.is_empty, "nothing waits")
                self.the_book.close()
                ids = [sent[-1]["newClientOrderId"] for sent in self.placed()]
                told = [line["client_order_id"] for line in self.told("intent")]
                self.assertLessEqual(len(ids), 1)
                for client_id in ids:
                    self.assertEqual(told.count(client_id), 1, (event, when))
                    outcomes = [line["result"] for line in self.told("sent") if line["client_order_id"] == client_id]
                    self.assertEqual(outcomes, ["accepted"], (event, when))

    def test_a_fork_sends_no_entry_and_does_not_stop_an_exit(self):
        proxy = self.trade()
        proxy.create_order(BTC, "market", "buy", 1)

        def forked():
            try:
                proxy.create_order(BTC, "market", "buy", 1)
            except fillbook.EntryRefused as error:
                return [error.reasons[0].kind, proxy.create_order(BTC, "market", "sell", 1, None, dict(CLOSE))["id"]]

        self.assertEqual(self.in_fork(forked), ["book_unavailable", "2"])
        self.eventually(lambda: len(self.told("sent")) == 2, "the exit is recorded")


class WhatAnOrderIsFor(Recorded):
    def test_role_and_engine(self):
        long, short = {"symbol": "BTCUSDT", "qty": "1"}, {"symbol": "BTCUSDT", "qty": "-1"}
        cases = [
            (None, "market", "buy", {}, "entry", "swing"),
            (long, "market", "buy", {}, "dca", "swing"),
            (long, "market", "sell", {}, "exit", "swing"),
            (short, "market", "buy", {}, "exit", None),
            (None, "market", "sell", {"reduceOnly": "true"}, "exit", "swing"),
            (None, "limit", "sell", {"takeProfitPrice": 3, "reduceOnly": True}, "take_profit", "swing"),
            (None, "STOP_MARKET", "sell", {"stopPrice": 3, "closePosition": True}, "stop_loss", "swing"),
            (None, "market", "sell", {"trailingPercent": 1, "reduceOnly": True}, "stop_loss", "swing"),
            (None, "market", "sell", {"positionSide": "LONG"}, "exit", "swing"),
            (None, "market", "sell", {"positionSide": "SHORT"}, "entry", None),
            (None, "market", "sell", {"hedged": True, "reduceOnly": True}, "exit", "swing"),
            (None, "market", "buy", {"fillbook": {"engine": "grid", "role": "dca"}}, "dca", "grid"),
        ]
        proxy = self.trade()
        self.the_book.signal("BTCUSDT", "long", "swing", signal_id="s")
        for held, kind, side, params, role, engine in cases:
            self.orders(positions=[held] if held else [])
            proxy.create_order(BTC, kind, side, 1, 3.0, params)
            said = self.told("intent")[-1]
            self.assertEqual((said["role"], said.get("engine")), (role, engine), (kind, side, params))
            self.assertNotIn("fillbook", self.placed()[-1][-1])

    def test_a_closed_trades_signal_is_over(self):
        proxy = self.trade()
        self.the_book.signal(BTC, "buy", "swing")
        proxy.create_order(BTC, "market", "buy", 1)
        self.the_book.signal(BTC, "sell", "swing", "target", kind="auto_exit", signal_id="out")
        proxy.create_order(BTC, "market", "sell", 1, None, dict(CLOSE))
        self.assertEqual(self.told("intent")[-1]["signal_id"], "out")
        self.the_book.close_trade(BTC, "long", "target")
        proxy.create_order(BTC, "market", "buy", 1)
        self.assertNotIn("engine", self.told("intent")[-1])

    def test_the_bots_own_client_order_id_stays(self):
        proxy = self.trade()
        proxy.create_order(BTC, "market", "buy", 1, None, {"clientOrderId": "mine-1"})
        self.assertEqual(self.placed()[0][-1], {"clientOrderId": "mine-1"})
        self.assertEqual(self.told("intent")[0]["client_order_id"], "mine-1")

    def test_contracts_become_coins_and_unknown_venues_get_no_id(self):
        exchange = fake_ccxt.Exchange()
        exchange.id = "somewhere"
        exchange.markets = {BTC: {"linear": True, "contractSize": 0.01}}
        proxy = self.trade(exchange)
        proxy.create_order(BTC, "market", "buy", 5)
        self.assertEqual(self.told("intent")[0]["amount"], "0.05000")
        self.assertEqual(self.placed()[0][-1], {})
        self.assertEqual(self.told("sent")[0]["order"]["id"], "1")
        # One that the venue has an id of its own for.
        place = exchange._place
        exchange._place = lambda *args: {**place(*args), "clientOrderId": "theirs"}
        proxy.create_order(BTC, "market", "buy", 5, None, {"fillbook": {"engine": "swing"}})
        self.assertEqual([line["event"] for line in self.told()][-4:], ["intent", "sent", "order", "label"])
        self.assertNotIn("order", self.told("sent")[1])
        self.assertEqual((self.told("label")[0]["order_id"], self.told("label")[0]["engine"]), ("2", "swing"))


if __name__ == "__main__":
    unittest.main()
