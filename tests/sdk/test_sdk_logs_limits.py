"""Logs at their limits: while the API server goes and comes back, and at a million lines."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from whole_engine import whole_engine

from cpod_jupyter import local
from cpod_jupyter.sdk import Job, Session, Snapshot, State
from cpod_jupyter.sdk.history import HEAD_LINES, TAIL_LINES

LINES = """
import pathlib, sys, time
for n in range({first}):
    print(f"{{n:08}}", "x" * 190)
print("in the middle", end="\\r", flush=True)
while not pathlib.Path({go!r}).exists():
    time.sleep(0.02)
print("in the middle of a bar")
for n in range({first}, {count}):
    print(f"{{n:08}}", "x" * 190)
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[local.Engine]:
    """An engine of the test's own, for it is killed, or kept very busy."""
    home = tmp_path / "home"
    for name, value in {"CPOD_HOME": str(home), "CPOD_CONTEXT": "engine", "CPOD_NAMESPACE": "default"}.items():
        monkeypatch.setenv(name, value)
    with whole_engine(home) as found:
        yield found


def writer(session: Session, go: Path, count: int, first: int) -> Job:
    """A job that writes so many numbered lines; after the first ones, and half a line, it waits for a file."""
    code = LINES.format(first=first, count=count, go=str(go))
    return session.job("writer", image="x", command=[sys.executable, "-c", code])


def left_out(snapshot: Snapshot) -> str:
    return snapshot.log[HEAD_LINES].text


def wrong(lines: Iterable[str]) -> tuple[int, list[str]]:
    """How many numbered lines there are, and those that are not the next one; held one at a time."""
    number, found = 0, []
    for line in lines:
        if line[8:9] != " ":
            found.append(line)
        elif line[:8] == f"{number:08}":
            number += 1
        else:
            found.append(line[:20])
    return number, found[:10]


def test_lines_that_are_written_while_the_engine_is_killed_and_started_again_come_each_once(
    engine: local.Engine, tmp_path: Path, eventually: Any
) -> None:
    session, go = Session(), tmp_path / "go"
    job = writer(session, go, 20_000, 10_000)
    seen: list[Snapshot] = []
    display = threading.Thread(target=lambda: seen.extend(job.follow(100)))
    display.start()
    lines = job.logs(follow=True)

    def with_a_kill() -> Iterator[str]:
        for _ in range(100):
            yield next(lines)
        os.kill(engine.pid, signal.SIGKILL)
        eventually(lambda: local.find() is None, "the engine is gone")
        go.touch()  # the other half is written while nobody serves it
        local.start(int(engine.url.rsplit(":", 1)[1]))
        yield from lines

    assert wrong(with_a_kill()) == (20_000, ["in the middle\rin the middle of a bar"])
    display.join(60)
    last = seen[-1]
    assert last.state is State.SUCCEEDED
    assert left_out(last) == f"… {20_001 - HEAD_LINES - TAIL_LINES} lines left out …", "nor did the display miss any"
    assert any(not snapshot.connected for snapshot in seen)
    session.client.close()


@pytest.mark.slow
def test_a_million_lines_are_followed_whole_in_little_memory(engine: local.Engine, tmp_path: Path) -> None:
    session, go, count = Session(), tmp_path / "go", 1_000_000
    go.touch()
    before = psutil.Process().memory_info().rss
    job = writer(session, go, count, count // 2)
    found: list[Any] = []
    follower = threading.Thread(target=lambda: found.append(wrong(job.logs(follow=True))))
    follower.start()
    most, last = 0, None
    for last in job.follow(250):
        most = max(most, psutil.Process().memory_info().rss)
        assert len(last.log) <= HEAD_LINES + TAIL_LINES + 1
    follower.join(120)
    middle = ["in the middle\rin the middle of a bar"]
    assert found == [(count, middle)], "followed as it was written"
    assert wrong(job.logs()) == (count, middle), "and the engine has all of it"
    assert last is not None
    assert last.log[-1].text.startswith(f"{count - 1:08} ")
    assert left_out(last) == f"… {count + 1 - HEAD_LINES - TAIL_LINES} lines left out …"
    assert max(most, psutil.Process().memory_info().rss) - before < 150 * 2**20
    session.client.close()
