"""Lines that the book could not take yet, on disk beside it.

A line is in the file, synced, before it counts as kept. Several processes may keep lines for one book: each append, and
each removal of what was replayed, holds a lock. A file that is not empty holds up entries of every account of the book
(`fillbook gate` sees it, too), because what waits in it may be an order.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .lines import encode


class Spool:
    """The file `<db>.spool`, for the lines of one account.

    Its lines are `{"account": ..., "line": {...}}`. What the recorder refuses when it is replayed moves to
    `<db>.spool.refused` with the reason: it is not lost, and it does not hold up what comes after it.
    """

    def __init__(self, book: Path, account: str) -> None:
        self.path = Path(f"{book}.spool")
        self.refused_path = Path(f"{book}.spool.refused")
        self._lock_path = Path(f"{book}.spool.lock")
        self._account = account
        self._thread_lock = threading.Lock()

    def is_empty(self) -> bool:
        """Whether nothing waits, of any account. What cannot be looked at counts as waiting."""
        try:
            return self.path.stat().st_size == 0
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def append(self, lines: Sequence[str]) -> None:
        """Keeps lines, in order, behind those that wait. They are on disk when this returns.

        Raises OSError when the file cannot be written or synced.
        """
        text = "".join(f"{encode_entry(self._account, line)}\n" for line in lines)
        with self._locked():
            _append(self.path, text)

    def waiting(self) -> Batch:
        """What waits, up to now."""
        with self._locked():
            try:
                content = self.path.read_bytes()
            except FileNotFoundError:
                content = b""
        return Batch(content, self._account)

    def settle(self, batch: Batch, done: int, refused: Sequence[tuple[str, Any]]) -> None:
        """Removes the first `done` lines of this account in a batch, of which some were refused.

        Raises OSError; then all of them still wait, and replaying them again changes nothing.
        """
        with self._locked():
            content = self.path.read_bytes() if self.path.exists() else b""
            if not content.startswith(batch.content):
                # Another process of this account has replayed and removed them.
                return
            told = [f'{{"error":{encode(error)},{encode_entry(self._account, line)[1:]}' for line, error in refused]
            told += [encode({"error": "unreadable", "text": text}) for text in batch.unreadable]
            if told:
                _append(self.refused_path, "".join(f"{line}\n" for line in told))
            rest = batch.without(done) + content[len(batch.content) :]
            beside = Path(f"{self.path}.new")
            with open(beside, "wb") as file:
                file.write(rest)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
            _sync_folder(self.path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._thread_lock:
            # Beside the file, because settling replaces the file.
            lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)

    def forget_threads(self) -> None:
        """After a fork: a thread that held the lock does not exist here."""
        self._thread_lock = threading.Lock()


class Batch:
    """The file's content at one moment."""

    def __init__(self, content: bytes, account: str) -> None:
        # A last line without an end was interrupted while it was written: nobody was told that it is kept.
        self.content = content
        self._entries: list[tuple[bytes, str | None]] = []
        self.unreadable: list[str] = []
        for raw in content.splitlines(keepends=True):
            text = raw.decode("utf-8", "replace").strip()
            if not text:
                continue
            try:
                line = _kept(text, account)
            except ValueError:
                self.unreadable.append(text)
                continue
            self._entries.append((text.encode("utf-8") + b"\n", line))

    @property
    def lines(self) -> list[str]:
        """The account's lines, oldest first."""
        return [line for _, line in self._entries if line is not None]

    def without(self, done: int) -> bytes:
        """The content without the account's first lines."""
        kept = []
        for raw, line in self._entries:
            if line is not None and done > 0:
                done -= 1
            else:
                kept.append(raw)
        return b"".join(kept)


def encode_entry(account: str, line: str) -> str:
    """A line as it stands in the file. The line itself is put in as it is, so that no digit of it changes."""
    return f"{_before(account)}{line}}}"


def _before(account: str) -> str:
    return f'{{"account":{encode(account)},"line":'


def _kept(raw: str, account: str) -> str | None:
    """The account's line in an entry, as it was written; None for an entry of another account.

    Raises ValueError for what is no entry.
    """
    entry = json.loads(raw)
    if not isinstance(entry, dict) or not isinstance(entry.get("line"), dict):
        raise ValueError("no entry")
    if entry.get("account") != account:
        return None
    before = _before(account)
    if raw.startswith(before) and raw.endswith("}"):
        return raw[len(before) : -1]
    # Somebody has edited the file.
    return encode(entry["line"])


def _append(path: Path, text: str) -> None:
    is_new = not path.exists()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            # Somebody was interrupted in a line. The next one must not be glued to it.
            text = "\n" + text
        data = text.encode("utf-8")
        try:
            while data:
                data = data[os.write(file, data) :]
            os.fsync(file)
        except OSError:
            # What is not kept as a whole is not kept.
            with contextlib.suppress(OSError):
                os.ftruncate(file, size)
            raise
    finally:
        os.close(file)
    if is_new:
        _sync_folder(path)


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
