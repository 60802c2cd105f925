"""The `fillbook` command, for one account of one book."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .binary import find_binary
from .errors import BookUnavailable

_MAKING_S = 35.0
"""How long making a book may take. The command waits 30 s for a lock."""


class Command:
    """How the command is called."""

    def __init__(self, db: Path, account: str, binary: str | None) -> None:
        self._db = db
        self._account = account
        self._binary = binary

    def words(self, *more: str, db: Path | None = None) -> list[str]:
        """A command line. Raises BookUnavailable when there is no command."""
        return [self._binary or find_binary(), "--db", str(db or self._db), "--account", self._account, *more]

    def make_book(self, venue: str) -> None:
        """Makes the book where there is none. Raises BookUnavailable."""
        if self._db.exists():
            return
        # Beside its place: of one that is killed while it makes a book, half a book would stay, which nobody completes.
        try:
            with tempfile.TemporaryDirectory(prefix=f".{self._db.name}-", dir=self._db.parent) as folder:
                made = Path(folder) / self._db.name
                self._run(["--quiet", "init", "--venue", venue], _MAKING_S, db=made)
                _put_in_place(made, self._db)
        except OSError as error:
            raise BookUnavailable(f"{self._db} cannot be made: {error}") from error

    def list(self, command: str, more: Sequence[str], patience: float) -> list[dict[str, Any]]:
        """What a command lists. Raises BookUnavailable when it lists nothing because of an error."""
        return [json.loads(line) for line in self._run(["--json", "--quiet", command, *more], patience).splitlines()]

    def _run(self, more: Sequence[str], patience: float, db: Path | None = None) -> str:
        words = self.words(*more, db=db)
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BookUnavailable(f"the fillbook command does not work: {error}") from error
        if done.returncode != 0 and not done.stdout:
            told = _in_words(done.stderr.decode("utf-8", "replace"))
            raise BookUnavailable(f"`fillbook {' '.join(more)}` ended with {done.returncode}: {told}")
        return done.stdout.decode("utf-8", "replace")


def _in_words(complaint: str) -> str:
    """What the command complains of, for people: with --json, errors are objects."""
    told = []
    for line in complaint.splitlines():
        try:
            error = json.loads(line)
            told.append(": ".join([error["message"], *(error.get("because") or ())]))
        except (ValueError, KeyError, TypeError):
            told.append(line.strip())
    return " ".join(told)


def _put_in_place(made: Path, place: Path) -> None:
    """Moves a new book to its place, unless another process has put one there. Raises OSError."""
    try:
        os.link(made, place)
    except FileExistsError:
        return
    except OSError:
        # A file system without hard links.
        if not place.exists():
            os.rename(made, place)
