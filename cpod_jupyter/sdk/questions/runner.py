"""Asynchronous work run to its end from where it may not be awaited: a cell, whose thread has an event loop already."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_END = object()


def run(work: Callable[[Callable[[T], None]], Coroutine[Any, Any, R]], tell: Callable[[T], None]) -> R:
    """What the work returns, or raises. It runs on an event loop of its own, in a thread; what it tells is told here,
    in the caller's thread. An interrupt of the caller, and whatever `tell` raises, cancels it; it is over when this
    returns."""
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    results: list[R] = []
    raised: list[BaseException] = []
    runner = asyncio.Runner()
    stopped = threading.Event()
    task: asyncio.Task[R] | None = None

    async def whole() -> R:
        nonlocal task
        task = asyncio.current_task()
        if stopped.is_set():
            raise asyncio.CancelledError
        return await work(told.put)

    def in_thread() -> None:
        try:
            with runner:
                results.append(runner.run(whole()))
        except BaseException as error:
            raised.append(error)
        finally:
            told.put(_END)

    thread = threading.Thread(target=in_thread, name="cpod-ask", daemon=True)
    thread.start()
    try:
        while (event := told.get()) is not _END:
            tell(event)
    except BaseException:
        stopped.set()
        if task is not None:
            with contextlib.suppress(RuntimeError):  # it has ended, and its loop with it
                task.get_loop().call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    thread.join()
    if raised:
        raise raised[0]
    return results[0]


async def apart(work: Callable[[], R]) -> R:
    """What blocking work returns, or raises. Cancelled, it is left to end by itself: nobody waits for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[R] = loop.create_future()

    def settle(set_it: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            set_it(value)

    def in_thread() -> None:
        try:
            outcome: tuple[Callable[[Any], None], Any] = (future.set_result, work())
        except Exception as error:
            outcome = (future.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=in_thread, name="cpod-find", daemon=True).start()
    return await future
