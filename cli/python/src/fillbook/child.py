"""The `fillbook record` process: one line in, one answer out, in order.

A thread writes, another reads. When the process dies, it is started again, and what it had not answered is written
again first: the recorder notices what it has already recorded.
"""

from __future__ import annotations

import collections
import contextlib
import io
import json
import logging
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, cast

from .errors import BookUnavailable

log = logging.getLogger("fillbook")

PROTOCOL = 1
_GREETING_S = 35.0
"""How long the process may take until it greets. It waits 30 s for a lock."""
_HANGING_S = 45.0
"""After so long without an answer it is ended and started again. It waits 30 s for a lock by itself."""
_DEATHS_MAX = 3
"""So many deaths over the same line are the line's fault."""
_WAITING_MAX = 20_000
"""So many lines may wait for an answer; more are kept elsewhere."""
_BACKOFF_S = (0.25, 5.0)

Answer = dict[str, Any]


class _Waiting:
    __slots__ = ("deaths", "future", "line", "since")

    def __init__(self, line: str) -> None:
        self.line = line.encode("utf-8") + b"\n"
        self.future: Future[Answer] = Future()
        self.since = time.monotonic()
        self.deaths = 0


class _Process:
    """One life of the process."""

    def __init__(self, command: Sequence[str]) -> None:
        self.popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            # A Ctrl-C in the terminal is for the bot, which still has to close and to say so.
            start_new_session=True,
        )  # fmt: skip
        self.ended = threading.Event()
        self.complaint: collections.deque[str] = collections.deque(maxlen=20)
        assert self.popen.stdin is not None
        os.set_blocking(self.popen.stdin.fileno(), False)

    def write(self, data: bytes, give_up: Callable[[], bool]) -> None:
        """Writes all of it, unless the process ends, which `give_up` can demand."""
        assert self.popen.stdin is not None
        fd = self.popen.stdin.fileno()
        while data:
            try:
                data = data[os.write(fd, data) :]
            except BlockingIOError:
                select.select([], [fd], [], 0.2)
                if self.ended.is_set():
                    return
                if give_up():
                    # It has read a part of a line, so it must not read on.
                    self.popen.kill()
                    return
            except (BrokenPipeError, ValueError):
                return

    def close(self, patience: float) -> None:
        """Ends the input, waits, and ends the process if it does not end by itself."""
        with contextlib.suppress(OSError):
            assert self.popen.stdin is not None
            self.popen.stdin.close()
        try:
            self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()

    def forget(self) -> None:
        """Lets go of its pipes, where nobody reads them."""
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream:
                stream.close()

    def why(self) -> str:
        """What it said about its end."""
        told = " ".join(self.complaint).strip()
        code = self.popen.poll()
        return f"fillbook record ended with {code}" + (f": {told}" if told else "")


class Child:
    """Keeps the process alive and matches answers to lines."""

    def __init__(self, command: Callable[[], Sequence[str]]) -> None:
        self._command = command
        self._lock = threading.Condition()
        self._outbox: collections.deque[_Waiting] = collections.deque()
        self._written: collections.deque[_Waiting] = collections.deque()
        self._process: _Process | None = None
        self._trouble: str | None = None
        self._next_start = 0.0
        self._delay = _BACKOFF_S[0]
        self._closing = False
        self.greeting: Answer = {}
        self._thread = threading.Thread(target=self._run, name="fillbook-record", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str | None:
        """Why the process cannot be started, as of the last try; None while it runs."""
        return self._trouble

    def pids(self) -> list[int]:
        """The process, if it runs."""
        process = self._process
        return [process.popen.pid] if process and not process.ended.is_set() else []

    def oldest_s(self) -> float:
        """How long the oldest line has waited for its answer."""
        with self._lock:
            oldest = self._written[0] if self._written else self._outbox[0] if self._outbox else None
            return time.monotonic() - oldest.since if oldest else 0.0

    def submit(self, line: str) -> Future[Answer]:
        """Sends a line. The future has the answer, or BookUnavailable when there will be none.

        Cancelling the future takes the line back where it has not been written yet.
        """
        waiting = _Waiting(line)
        with self._lock:
            if self._closing:
                waiting.future.set_exception(BookUnavailable("the book is closed"))
            elif self._trouble and time.monotonic() < self._next_start:
                waiting.future.set_exception(BookUnavailable(self._trouble))
            elif len(self._outbox) + len(self._written) >= _WAITING_MAX:
                waiting.future.set_exception(BookUnavailable(f"{_WAITING_MAX} lines wait for an answer"))
            else:
                self._outbox.append(waiting)
                self._lock.notify_all()
        return waiting.future

    def close(self, patience: float) -> None:
        """Waits until everything is answered, at most `patience` seconds, then ends the process."""
        until = time.monotonic() + patience
        with self._lock:
            while (self._outbox or self._written) and time.monotonic() < until and not self._trouble:
                self._lock.wait(0.05)
            self._closing = True
            self._lock.notify_all()
        process = self._process
        if process:
            process.close(max(0.1, until - time.monotonic()))
        self._thread.join(1.0)
        self._fail_all(BookUnavailable("the book is closed"))

    def abandon(self) -> None:
        """After a fork: this process shares pipes that belong to the other one. It lets go of them."""
        process, self._process = self._process, None
        if process:
            for stream in (process.popen.stdin, process.popen.stdout, process.popen.stderr):
                with contextlib.suppress(OSError):
                    if stream:
                        stream.close()
            # It is not this process's child, so nobody is to wait for it here.
            process.popen.returncode = 0
        self._lock = threading.Condition()
        self._closing = True

    # Everything below runs in the two threads.

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._closing and not self._has_work():
                    self._lock.wait(0.5)
                if self._closing:
                    return
                process = self._process
                is_hanging = self._is_hanging()
            if process and is_hanging and not process.ended.is_set():
                log.error("fillbook record has not answered for %.0f s: it is started again", _HANGING_S)
                process.popen.kill()
                process.ended.wait(5.0)
            if process is None or process.ended.is_set():
                process = self._start()
                if process is None:
                    continue
            with self._lock:
                waiting = self._outbox.popleft() if self._outbox else None
                if waiting is None:
                    continue
                if not waiting.future.set_running_or_notify_cancel():
                    continue
                # First, because the answer may be here before writing has returned.
                waiting.since = time.monotonic()
                self._written.append(waiting)
            process.write(waiting.line, self._is_hanging)

    def _has_work(self) -> bool:
        process = self._process
        died = process is not None and process.ended.is_set()
        return bool(self._outbox) or (died and bool(self._written)) or self._is_hanging()

    def _is_hanging(self) -> bool:
        return bool(self._written) and time.monotonic() - self._written[0].since > _HANGING_S

    def _start(self) -> _Process | None:
        """Starts the process and writes again what the last one did not answer; None where it cannot be started."""
        wait = self._next_start - time.monotonic()
        if wait > 0:
            time.sleep(min(wait, 0.1))
            return None
        self._count_death()
        if self._process and self._process.popen.stdin:
            # By this thread, because no other writes.
            self._process.popen.stdin.close()
        process = None
        try:
            process = _Process(self._command())
            greeting = self._greet(process)
        except (OSError, BookUnavailable) as error:
            if process:
                process.popen.kill()
                process.popen.wait()
                process.forget()
            self._failed(f"fillbook record cannot be started: {error}")
            return None
        self.greeting = greeting
        with self._lock:
            if self._closing:
                process.close(1.0)
                process.forget()
                return None
            self._process, self._trouble, self._delay = process, None, _BACKOFF_S[0]
            again = list(self._written)
            for waiting in again:
                waiting.since = time.monotonic()
        threading.Thread(target=self._read, args=(process,), name="fillbook-answers", daemon=True).start()
        for waiting in again:
            process.write(waiting.line, self._is_hanging)
        return process

    def _greet(self, process: _Process) -> Answer:
        threading.Thread(target=self._listen, args=(process,), name="fillbook-remarks", daemon=True).start()
        assert process.popen.stdout is not None
        fd = process.popen.stdout.fileno()
        data, until = b"", time.monotonic() + _GREETING_S
        # Byte by byte: what comes after the greeting is the reading thread's.
        while not data.endswith(b"\n"):
            ready, _, _ = select.select([fd], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise BookUnavailable(f"no greeting after {_GREETING_S:.0f} s")
            byte = os.read(fd, 1)
            if not byte:
                process.popen.wait(5.0)
                time.sleep(0.05)
                raise BookUnavailable(process.why())
            data += byte
        try:
            greeting = json.loads(data)
            protocol = greeting["protocol"]
        except (ValueError, KeyError, TypeError):
            raise BookUnavailable(f"it greets with {data[:200]!r}: is it the fillbook command?") from None
        if protocol != PROTOCOL:
            raise BookUnavailable(
                f"it speaks protocol {protocol}, this package {PROTOCOL}: install package and command of one version"
            )
        return dict(greeting)

    def _read(self, process: _Process) -> None:
        assert process.popen.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            answers = io.BufferedReader(cast(io.RawIOBase, process.popen.stdout))
            for number, raw in enumerate(answers, 1):
                try:
                    answer = json.loads(raw)
                except ValueError:
                    # Cut off as it died, or no recorder at all.
                    break
                if answer.get("line", number) != number:
                    log.error("fillbook record answers line %s where %d is due", answer.get("line"), number)
                    break
                with self._lock:
                    if process is not self._process or not self._written:
                        break
                    waiting = self._written.popleft()
                    if self._written:
                        # It could not be looked at before.
                        self._written[0].since = time.monotonic()
                    self._lock.notify_all()
                waiting.future.set_result(answer)
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.wait()
        process.popen.stdout.close()
        process.ended.set()
        with self._lock:
            if not self._closing:
                log.warning("%s; it is started again", process.why())
            self._lock.notify_all()

    def _listen(self, process: _Process) -> None:
        assert process.popen.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            for raw in process.popen.stderr:
                text = raw.decode("utf-8", "replace").rstrip()
                process.complaint.append(text)
                log.info("fillbook record: %s", text)
        process.popen.stderr.close()

    def _count_death(self) -> None:
        with self._lock:
            if not self._written:
                return
            head = self._written[0]
            head.deaths += 1
            if head.deaths < _DEATHS_MAX:
                return
            self._written.popleft()
        head.future.set_exception(BookUnavailable(f"fillbook record died {_DEATHS_MAX} times over one line"))

    def _failed(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.error("%s", trouble)
        self._trouble = trouble
        self._next_start = time.monotonic() + self._delay
        self._delay = min(self._delay * 2, _BACKOFF_S[1])
        self._fail_all(BookUnavailable(trouble))

    def _fail_all(self, error: BookUnavailable) -> None:
        with self._lock:
            failed = [waiting.future for waiting in self._written]
            failed += [waiting.future for waiting in self._outbox if waiting.future.set_running_or_notify_cancel()]
            self._written.clear()
            self._outbox.clear()
            self._lock.notify_all()
        for future in failed:
            if not future.done():
                future.set_exception(error)
