"""A recorded exchange of ccxt's async kind."""

import asyncio
import inspect
import threading
import unittest

import fake_ccxt
from support import WithBook

import fillbook

BTC = "BTC/USDT:USDT"
CLOSE = {"reduceOnly": True}


class RecordedAsync(WithBook):
    def trade(self, **more):
        self.exchange = fake_ccxt.AsyncExchange()
        self.the_book = self.book(**more)
        return fillbook.recorded(self.exchange, self.the_book)

    def test_the_same_is_recorded(self):
        proxy = self.trade()
        self.assertTrue(inspect.iscoroutinefunction(proxy.create_order))

        async def act():
            async with proxy as exchange:
                self.assertIs(exchange, proxy)
                order = await exchange.create_market_buy_order(BTC, 1)
                self.assertIs(order, self.exchange.orders["1"])
                await exchange.fetch_open_orders(BTC)
                await exchange.fetch_my_trades(BTC)
                await exchange.cancel_order("1", BTC)
                leg = {"symbol": BTC, "type": "limit", "side": "buy", "amount": 1, "price": 2.5}
                await exchange.create_orders([leg, leg])
                return exchange.fetch_ticker(BTC)["last"]

        self.assertEqual(asyncio.run(act()), 1.0)
        self.assertEqual(self.exchange.sent[-1], ("closed",))
        self.the_book.close()
        self.assertEqual([line["event"] for line in self.told() if line["event"] == "intent"], ["intent"] * 3)
        self.assertEqual([line["result"] for line in self.told("sent")], ["accepted"] * 3)
        self.assertEqual((len(self.told("cancel")), len(self.told("trade"))), (1, 1))

    def test_orders_at_once_have_an_intent_each(self):
        proxy = self.trade()

        async def act():
            await asyncio.gather(*(proxy.create_order(BTC, "market", "buy", 1) for _ in range(20)))

        asyncio.run(act())
        self.assertEqual(len({line["client_order_id"] for line in self.told("intent")}), 20)
        self.assertEqual([line["result"] for line in self.told("sent")], ["accepted"] * 20)

    def test_an_order_that_ends_unknown_while_another_asks_the_gate_holds_it_up(self):
        proxy = self.trade()
        gate, ended, asked = self.the_book.gate, threading.Event(), []

        def slow(symbol, side):
            found = gate(symbol, side)
            asked.append(found)
            if len(asked) == 2:
                ended.wait(60)
            return found

        self.the_book.gate = slow

        async def act():
            async def lost():
                while len(asked) < 2:
                    await asyncio.sleep(0.01)
                raise fake_ccxt.RequestTimeout("binanceusdm")

            self.exchange.delay = lost
            first = asyncio.create_task(proxy.create_order(BTC, "market", "buy", 1))
            while not self.exchange.sent:
                await asyncio.sleep(0.01)
            second = asyncio.create_task(proxy.create_order(BTC, "market", "buy", 1))
            with self.assertRaises(fake_ccxt.RequestTimeout):
                await first
            self.exchange.orders.clear()
            ended.set()
            with self.assertRaises(fillbook.EntryRefused):
                await second

        asyncio.run(act())
        self.assertEqual(len([sent for sent in self.exchange.sent if sent[0] == "create"]), 1)

    def test_a_task_cancelled_at_the_exchange_leaves_an_unknown_order(self):
        proxy = self.trade()

        async def act():
            self.exchange.delay = lambda: asyncio.sleep(600)
            task = asyncio.create_task(proxy.create_order(BTC, "market", "buy", 1))
            while not self.exchange.sent:
                await asyncio.sleep(0.01)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        asyncio.run(act())
        self.assertEqual([line["result"] for line in self.told("sent")], ["unknown"])

    def test_a_task_cancelled_before_it_was_sent_leaves_a_rejected_one(self):
        proxy = self.trade()
        recording, go = threading.Event(), threading.Event()
        record_now = self.the_book.record_now

        def held_up(event, **fields):
            recording.set()
            go.wait(60)
            return record_now(event, **fields)

        self.the_book.record_now = held_up

        async def act():
            task = asyncio.create_task(proxy.create_order(BTC, "market", "buy", 1))
            while not recording.is_set():
                await asyncio.sleep(0.01)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            go.set()

        asyncio.run(act())
        self.eventually(lambda: self.told("sent"), "it is said that nothing was sent")
        self.assertEqual(self.exchange.sent, [])
        self.assertEqual(self.told("sent")[0]["result"], "rejected")

    def test_the_loop_goes_on_while_the_book_is_waited_for(self):
        proxy = self.trade(patience=0.5)
        self.eventually(lambda: self.the_book.gate(BTC).allowed, "it runs")
        self.orders(hang_s=600)
        turns = 0

        async def act():
            nonlocal turns
            task = asyncio.create_task(proxy.create_order(BTC, "market", "sell", 1, None, dict(CLOSE)))
            while not task.done():
                turns += 1
                await asyncio.sleep(0.01)
            return task.result()

        self.assertEqual(asyncio.run(act())["id"], "1")
        self.assertGreater(turns, 5)
        self.orders()
        self.eventually(lambda: self.told("sent"), "it is recorded later")


if __name__ == "__main__":
    unittest.main()
