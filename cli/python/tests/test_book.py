"""The book: what is handed over is recorded or kept, whatever happens to the process."""

import datetime
import json
import os
import signal
import threading
import time
import unittest
from pathlib import Path

from support import WithBook

import fillbook
from fillbook.spool import Spool


class WhatABotSays(WithBook):
    def test_every_method_is_a_line_of_the_protocol(self):
        book = self.book()
        at = datetime.datetime(2026, 3, 3, tzinfo=datetime.timezone.utc)
        signal_id = book.signal("BTC/USDT:USDT", "buy", "swing", "breakout", time=at, meta={"rsi": 28.5})["signal_id"]
        book.skip(signal_id=signal_id, why="no margin")
        book.skip("ETHUSDT", "sell", "swing", why="spread", time=at, signal_id="s2")
        answer = book.intent("BTCUSDT", "buy", "entry", "market", 0.1, engine="swing", price=1e-7)
        book.sent(answer["client_order_id"], "BTCUSDT", "unknown", error="timeout")
        book.order({"id": "1", "info": {}})
        book.trade({"id": "2", "info": {}})
        book.cancel(symbol="BTCUSDT", order_id="1", reason="too late")
        book.close_trade("BTCUSDT", "long", "take profit", time=1772496000000)
        book.label("BTCUSDT", "1", engine="swing")
        book.entry_event({"symbol": "BTCUSDT"})
        said = [{key: value for key, value in line.items() if key not in ("account", "event")} for line in self.told()]
        self.assertEqual(
            [line["event"] for line in self.told()],
            ["signal", "skip", "skip", "intent", "sent", "order", "trade", "cancel", "closed", "label", "entry_event"],
        )
        self.assertEqual(said[0]["time"], 1772496000000)
        self.assertEqual(said[0]["meta"], {"rsi": 28.5})
        self.assertEqual(said[1], {"signal_id": signal_id, "why": "no margin"})
        self.assertEqual((said[3]["amount"], said[3]["price"]), ("0.1", "0.0000001"))
        self.assertEqual(said[4], {"client_order_id": "composed:1", "symbol": "BTCUSDT", "result": "unknown", "error": "timeout"})
        self.assertEqual(said[8], {"symbol": "BTCUSDT", "side": "long", "reason": "take profit", "time": 1772496000000})

    def test_a_refused_line_names_its_field(self):
        book = self.book()
        self.orders(refuse="signal")
        with self.assertRaises(fillbook.Refused) as caught:
            book.signal("BTCUSDT", "by", "swing")
        self.assertEqual((caught.exception.field, caught.exception.problem), ("event", "unknown"))
        self.assertEqual(self.spooled(), [])

    def test_a_time_without_a_zone_is_refused(self):
        with self.assertRaises(ValueError):
            self.book().signal("BTCUSDT", "buy", time=datetime.datetime(2026, 3, 3))  # noqa: DTZ001

    def test_positions_and_the_gate_are_asked_for(self):
        book = self.book()
        self.orders(positions=[{"symbol": "BTCUSDT", "qty": "0.1"}], gate=[{"kind": "k", "text": "t"}])
        self.assertEqual(book.positions()[0]["qty"], "0.1")
        self.assertEqual(book.gate("BTCUSDT"), fillbook.Gate(False, (fillbook.Reason("k", "t"),)))
        self.orders(gate=[{"kind": "k", "text": "t", "advice": "a", "client_order_id": "c", "intent_local": 5, "discrepancy": 7}])
        self.assertEqual(book.gate("BTCUSDT").reasons, (fillbook.Reason("k", "t", "a", "c", 5, 7),))
        self.orders()
        self.assertTrue(book.gate("BTCUSDT").allowed)

    def test_a_book_that_is_not_there_is_made(self):
        self.assertFalse(self.db.exists())
        self.book().check()
        self.assertTrue(self.db.exists())

    def test_leaving_the_context_hands_over_what_waits_and_ends_the_process(self):
        with self.book() as book:
            for number in range(200):
                book.note("order", order={"id": str(number)})
        self.assertEqual(len(self.told("order")), 200)
        pid = int(Path(f"{self.db}.pids").read_text())
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)
        # What is said after the end is kept for the next one.
        book.label("BTCUSDT", "1")
        self.assertEqual([line["event"] for line in self.spooled()], ["label"])


class WhenTheProcessDies(WithBook):
    def test_what_was_not_answered_is_said_again_and_not_recorded_twice(self):
        book = self.book()
        self.orders(die_after="label")
        self.assertEqual(book.label("BTCUSDT", "1")["outcome"], "already_recorded")
        self.assertEqual(len(self.told("label")), 1)
        self.orders(die_at="label")
        self.soon(0.2)
        self.assertIn(book.label("BTCUSDT", "2")["outcome"], ("recorded", fillbook.SPOOLED))
        self.eventually(lambda: len(self.told("label")) == 2, "it is recorded")
        self.eventually(book.spool.is_empty, "nothing waits")

    def test_killed_at_random_nothing_is_lost(self):
        book = self.book()
        book.check()
        stop = threading.Event()

        def kill():
            while not stop.wait(0.15):
                for pid in book._child.pids():
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            for number in range(60):
                book.label("BTCUSDT", str(number))
                time.sleep(0.01)
        finally:
            stop.set()
            killer.join()
        self.eventually(book.spool.is_empty, "nothing waits")
        self.assertEqual(sorted(int(line["order_id"]) for line in self.told("label")), list(range(60)))

    def test_a_line_that_kills_it_does_not_hold_up_the_others(self):
        book = self.book(patience=120.0)
        self.orders(die_at="signal")
        begun = time.monotonic()
        self.assertEqual(book.signal("BTCUSDT", "buy", signal_id="poison")["outcome"], fillbook.SPOOLED)
        self.assertLess(time.monotonic() - begun, 60.0, "it was waited for until the end")


class WhenTheBookCannotBeWritten(WithBook):
    def test_lines_wait_on_disk_and_are_recorded_in_order(self):
        book = self.book()
        self.orders(fail="locked")
        self.assertEqual(book.label("BTCUSDT", "1")["outcome"], fillbook.SPOOLED)
        self.assertEqual(book.label("BTCUSDT", "2")["outcome"], fillbook.SPOOLED)
        self.assertEqual([line["order_id"] for line in self.spooled()], ["1", "2"])
        self.assertEqual(book.gate("BTCUSDT").reasons[0].kind, "unreplayed_spool")
        with self.assertRaises(fillbook.BookUnavailable):
            book.intent("BTCUSDT", "buy", "entry", "market", 1)
        self.orders()
        self.eventually(book.spool.is_empty, "nothing waits")
        self.assertEqual([line["order_id"] for line in self.told("label")], ["1", "2"])
        self.assertTrue(book.gate("BTCUSDT").allowed)

    def test_a_process_that_cannot_be_started_stops_nothing(self):
        self.orders(start="no")
        book = self.book()
        self.assertEqual(book.label("BTCUSDT", "1")["outcome"], fillbook.SPOOLED)
        reason = book.gate("BTCUSDT").reasons[0]
        self.assertEqual(reason.kind, "unreplayed_spool")
        with self.assertRaisesRegex(fillbook.BookUnavailable, "the book is damaged"):
            book.check()
        self.orders()
        self.eventually(book.spool.is_empty, "nothing waits")

    def test_another_protocol_is_not_spoken(self):
        self.orders(protocol=2)
        with self.assertRaisesRegex(fillbook.BookUnavailable, "protocol 2"):
            self.book().check()

    def test_without_the_command_it_is_told_where_it_was_looked_for(self):
        book = fillbook.Book(self.db, binary=str(self.folder / "nothing"))
        self.addCleanup(book.close, 0.5)
        with self.assertRaisesRegex(fillbook.BookUnavailable, "nothing"):
            book.check()

    def test_a_process_that_hangs_is_waited_for_once(self):
        book = self.book(patience=0.5)
        self.eventually(lambda: book.gate("BTCUSDT").allowed, "it runs")
        self.orders(hang_s=600)
        begun = time.monotonic()
        for number in range(10):
            self.assertEqual(book.label("BTCUSDT", str(number))["outcome"], fillbook.SPOOLED)
        self.assertLess(time.monotonic() - begun, 5.0, "each of them waited")
        self.orders()
        self.eventually(book.spool.is_empty, "nothing waits")
        # The first was given up here, and recorded there all the same: once.
        self.assertEqual(sorted(line["order_id"] for line in self.told("label")), [str(number) for number in range(10)])

    def test_questions_to_a_process_that_hangs_are_not_waited_for_either(self):
        book = self.book(patience=0.5)
        self.eventually(lambda: book.gate("BTCUSDT").allowed, "it runs")
        self.orders(hang_s=600)
        begun = time.monotonic()
        for _ in range(40):
            self.assertFalse(book.gate("BTCUSDT").allowed)
        self.assertLess(time.monotonic() - begun, 10.0, "each of them waited")
        self.orders()
        self.eventually(lambda: book.gate("BTCUSDT").allowed, "it answers again")

    def test_an_intent_that_is_answered_too_late_is_taken_back(self):
        book = self.book(patience=0.5)
        self.eventually(lambda: book.gate("BTCUSDT").allowed, "it runs")
        self.orders(hang_s=600)
        with self.assertRaises(fillbook.BookUnavailable):
            book.intent("BTCUSDT", "buy", "entry", "market", 1, client_order_id="late")
        self.orders()
        self.eventually(lambda: self.told("sent"), "it is said that nothing was sent")
        self.assertEqual(self.told("sent")[0]["result"], "rejected")

    def test_what_the_spool_held_when_the_bot_died_is_recorded_by_the_next(self):
        Path(f"{self.db}.spool").write_text(
            '{"account":"main","line":{"event":"label","symbol":"BTCUSDT","order_id":"1","x":0.10}}\n'
            '{"account":"other","line":{"event":"label","symbol":"BTCUSDT","order_id":"7"}}\n'
            'scribble\n'
            '{"account":"main","line":{"event":"label","symbol":"BTCUSDT","order_id":"2"}}\n'
            '{"account":"main","line":{"event":"la'
        )
        self.book()
        self.eventually(lambda: len(self.told("label")) == 2, "both are recorded")
        self.eventually(lambda: len(self.spooled()) == 1, "the other account's waits for its own bot")
        self.assertEqual(self.spooled()[0]["order_id"], "7")
        left = [json.loads(line) for line in Path(f"{self.db}.spool.refused").read_text().splitlines()]
        self.assertEqual([line["text"] for line in left], ["scribble", '{"account":"main","line":{"event":"la'])

    def test_a_line_that_was_cut_off_does_not_take_the_next_with_it(self):
        spool = Spool(self.db, "main")
        spool.append(['{"event":"label","order_id":"1"}'])
        with open(spool.path, "ab") as file:
            file.write(b'{"account":"main","line":{"event":"la')
        spool.append(['{"event":"label","order_id":"2"}'])
        batch = spool.waiting()
        self.assertEqual(batch.lines, ['{"event":"label","order_id":"1"}', '{"event":"label","order_id":"2"}'])
        self.assertEqual(len(batch.unreadable), 1)
        # What is appended while a batch is given again stays.
        spool.append(['{"event":"label","order_id":"3"}'])
        spool.settle(batch, 1, [])
        self.assertEqual([line["order_id"] for line in self.spooled()], ["2", "3"])

    def test_what_the_recorder_refuses_later_moves_aside(self):
        book = self.book()
        self.orders(fail="disk_full")
        book.label("BTCUSDT", "1")
        self.orders(refuse="label")
        self.eventually(book.spool.is_empty, "it does not hold up entries for ever")
        (left,) = Path(f"{self.db}.spool.refused").read_text().splitlines()
        self.assertEqual(json.loads(left)["line"]["order_id"], "1")

    def test_where_the_spool_cannot_be_written_either_it_is_said(self):
        book = self.book()
        self.orders(fail="disk_full")
        os.mkdir(f"{self.db}.spool")
        with self.assertRaises(fillbook.BookError):
            book.label("BTCUSDT", "1")
        self.assertFalse(book.gate("BTCUSDT").allowed)
        os.rmdir(f"{self.db}.spool")
        self.orders()
        self.eventually(lambda: self.told("label"), "it was kept in memory")


class ManyAtOnce(WithBook):
    def test_threads_share_a_book(self):
        book = self.book()

        def work(worker):
            for number in range(25):
                book.label("BTCUSDT", f"{worker}-{number}")

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len({line["order_id"] for line in self.told("label")}), 200)

    def test_a_fork_is_noticed_and_disturbs_nothing(self):
        book = self.book()
        book.label("BTCUSDT", "1")

        def forked():
            gate = book.gate("BTCUSDT")
            return [gate.allowed, gate.reasons[0].text, book.label("BTCUSDT", "2")["outcome"]]

        # Another thread keeps a line at this very moment.
        with book.spool._thread_lock:
            allowed, text, outcome = self.in_fork(forked)
        self.assertFalse(allowed)
        self.assertIn("make one in each process", text)
        self.assertEqual(outcome, fillbook.SPOOLED)
        self.assertEqual(book.label("BTCUSDT", "3")["outcome"] in ("recorded", fillbook.SPOOLED), True)
        self.eventually(lambda: {line["order_id"] for line in self.told("label")} == {"1", "2", "3"}, "all of them")
        self.assertEqual(len(Path(f"{self.db}.pids").read_text().splitlines()), 1, "the process was disturbed")


if __name__ == "__main__":
    unittest.main()
