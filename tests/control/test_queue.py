"""The work queue: one worker a key, no key twice, failures later."""

from __future__ import annotations

import threading
from typing import Any

from cpod_jupyter.control.queue import WorkQueue


def test_a_key_added_twice_is_handled_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert [queue.take(), queue.take()] == ["a", "b"]


def test_a_key_added_while_it_is_handled_is_handled_again_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.add("b")
    assert queue.take() == "b"  # not "a": one worker a key
    queue.done("a")
    assert queue.take() == "a"


def test_a_failed_key_comes_back_after_a_delay_that_doubles() -> None:
    queue: WorkQueue[str] = WorkQueue(first_delay=0.01, longest_delay=0.03)
    assert [queue.retry("a") for _ in range(4)] == [0.01, 0.02, 0.03, 0.03]
    queue.forget("a")
    assert queue.retry("a") == 0.01
    assert queue.take() == "a"


def test_closing_wakes_every_worker() -> None:
    queue: WorkQueue[str] = WorkQueue()
    taken: list[Any] = []
    threads = [threading.Thread(target=lambda: taken.append(queue.take())) for _ in range(3)]
    for thread in threads:
        thread.start()
    queue.close()
    for thread in threads:
        thread.join(5)
    assert taken == [None, None, None]


def test_a_key_waits_once_and_for_its_earliest_time() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for seconds in (60.0, 0.01, 30.0):
        queue.add_after("a", seconds)
    assert queue.take() == "a"
    queue.done("a")
    queue.add_after("a", 0.01)
    assert queue.take() == "a"
    queue.close()
