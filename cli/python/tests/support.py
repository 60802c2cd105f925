"""What the tests share."""

import json
import os
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

FAKE = Path(__file__).with_name("fake_record.py")


class WithBook(unittest.TestCase):
    """A folder with a book that the test double keeps."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="fillbook-python-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.db = self.folder / "book.db"
        self.binary = self.folder / "fillbook"
        self.binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{FAKE}" "$@"\n')
        self.binary.chmod(0o700)

    def book(self, **more):
        # Imported here, so that a test that needs none of it runs without.
        from fillbook import Book

        book = Book(self.db, binary=str(self.binary), **{"patience": 20.0, **more})
        self.addCleanup(book.close, 0.5)
        return book

    def soon(self, seconds):
        """After that time the double behaves as it should."""
        timer = threading.Timer(seconds, self.orders)
        timer.start()
        self.addCleanup(timer.join)
        return timer

    def orders(self, **behave):
        """How the double behaves from now on; nothing: as it should."""
        path = Path(f"{self.db}.orders")
        beside = Path(f"{path}.new")
        beside.write_text(json.dumps(behave))
        beside.replace(path)

    def told(self, event=None):
        """What the double has recorded, in order."""
        path = Path(f"{self.db}.told")
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if event in (None, line["event"])]

    def spooled(self):
        """The lines that wait."""
        path = Path(f"{self.db}.spool")
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["line"] for line in lines if line.endswith("}}")]

    def eventually(self, condition, what):
        """Waits for something that another thread or process does."""
        until = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), until, what)
            time.sleep(0.01)

    def in_fork(self, act):
        """What a function returns in a forked process."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(write, json.dumps(act()).encode())
            except BaseException as error:  # noqa: BLE001
                os.write(write, json.dumps(f"{type(error).__name__}: {error}").encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as file:
            said = file.read()
        os.waitpid(pid, 0)
        return json.loads(said)
