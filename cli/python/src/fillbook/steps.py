"""One flow for sync and async: what has to happen is a generator of steps, and who runs it decides how it waits.

A flow yields `InBook` for what the book does (it waits for another process, so an event loop has it done in a thread) and
`AtExchange` for a call of ccxt, and is sent the result, or thrown the exception.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any


@dataclasses.dataclass(frozen=True)
class InBook:
    """Something that the book does."""

    run: Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class AtExchange:
    """A call of ccxt; what it returns may have to be awaited."""

    call: Callable[[], Any]


Flow = Generator[InBook | AtExchange, Any, Any]


def run(flow: Flow) -> Any:
    """Runs a flow in this thread."""
    result, error = None, None
    while True:
        try:
            step = flow.send(result) if error is None else flow.throw(error)
        except StopIteration as end:
            return end.value
        result, error = None, None
        try:
            result = step.run() if isinstance(step, InBook) else step.call()
        except BaseException as raised:  # noqa: BLE001  the flow decides
            error = raised


async def run_async(flow: Flow, threads: ThreadPoolExecutor | None) -> Any:
    """Runs a flow in the event loop. The book's part runs in `threads`, so that nothing else of the loop waits for it."""
    loop = asyncio.get_running_loop()
    result, error = None, None
    while True:
        try:
            step = flow.send(result) if error is None else flow.throw(error)
        except StopIteration as end:
            return end.value
        result, error = None, None
        try:
            if isinstance(step, InBook):
                result = await loop.run_in_executor(threads, step.run)
            else:
                result = await step.call()
        except GeneratorExit:
            # The task was thrown away while it waited: nothing can be awaited any more.
            flow.close()
            raise
        except BaseException as raised:  # noqa: BLE001  the flow decides
            error = raised
