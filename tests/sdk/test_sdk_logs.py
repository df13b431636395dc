"""Logs of jobs on a real engine: of all ranks, as they are written, over restarts, and let go of."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.history import LogLine
from cpod_jupyter.sdk.reading import LogQuery

RANKS = """
import os, pathlib, time
rank = int(os.environ["PROCESS_ID"])
print("rank", rank, "begins", flush=True)
while not pathlib.Path({go!r}).exists():
    time.sleep(0.02)
time.sleep(0.3 * rank)
print("rank", rank, "ends", flush=True)
"""


def pair(session: Session, go: Path, name: str = "pair") -> Any:
    """Two workers that say something, wait until a file is there, and say something else."""
    code = RANKS.format(go=str(go))
    return session.training("jaxjob", name, image="x", command=[sys.executable, "-c", code], workers=2)


def test_the_logs_of_all_ranks_come_as_they_are_written_and_stand_by_their_times(
    session: Session, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    job = pair(session, go)
    lines = job.logs(follow=True, all_ranks=True)
    assert sorted([next(lines), next(lines)]) == ["worker-0 | rank 0 begins", "worker-1 | rank 1 begins"]
    go.touch()
    ends = ["worker-0 | rank 0 ends", "worker-1 | rank 1 ends"]
    assert sorted(lines) == ends
    whole = list(job.logs(all_ranks=True))
    assert sorted(whole[:2]) == ["worker-0 | rank 0 begins", "worker-1 | rank 1 begins"]
    assert whole[2:] == ends, "in the order of their times, not one pod after the other"
    assert sorted(job.logs(all_ranks=True, tail=1)) == ends
    assert list(job.logs(follow=True, rank=1)) == ["rank 1 begins", "rank 1 ends"]


def test_letting_go_of_what_is_followed_leaves_no_thread(session: Session, tmp_path: Path) -> None:
    job = pair(session, tmp_path / "never", "held")

    def readers() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "cpod-follow-held"]

    followed: list[Iterator[Any]] = [job.logs(follow=True, all_ranks=True), job.follow()]
    for lines in followed:
        next(lines)
        assert readers()
        lines.close()  # type: ignore[attr-defined]
        for thread in readers():
            thread.join(10)  # what it reads is silent: only a shut connection ends it
        assert readers() == []
    job.delete()


class Enough(Exception):
    """A test has heard what it wanted."""


def test_while_the_pod_of_a_followed_log_is_pending_its_reason_is_told(session: Session) -> None:
    job = session.job("greedy", image="x", command=["true"], gpuRequiredPerReplica=64)

    def hear(sentence: str) -> None:
        if "it asks for 64 nvidia.com/gpu" in sentence:
            raise Enough

    with pytest.raises(Enough):
        list(job.log_batches(LogQuery(follow=True), hear))
    job.delete()


def test_a_followed_log_is_read_once_and_goes_on_over_restarts_of_its_container(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, go = tmp_path / "mark", tmp_path / "go"
    code = (
        f"import pathlib, sys, time\nmark, go = pathlib.Path({str(mark)!r}), pathlib.Path({str(go)!r})\n"
        "again = mark.exists(); mark.touch()\n"
        "for n in range(3): print('run', 1 + again, 'line', n, flush=True)\n"
        "while not go.exists(): time.sleep(0.02)\n"
        "print('the end', end=''); sys.exit(not again)"
    )
    container = {"name": "main", "image": "python:3.12", "command": [sys.executable, "-c", code]}
    template = {"spec": {"restartPolicy": "OnFailure", "containers": [container]}}
    [job] = session.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "again"}, "spec": {"template": template}}
    )
    opened: list[dict[str, Any]] = []
    real: Callable[..., Any] = session.client.log_stream

    def counted(*arguments: Any, **options: Any) -> Any:
        stream = real(*arguments, **options)
        opened.append(options)
        return stream

    monkeypatch.setattr(session.client, "log_stream", counted)
    lines = job.logs(follow=True)
    assert next(lines) == "run 1 line 0"
    assert len(opened) == 1
    go.touch()
    runs = [[f"run {run} line {n}" for n in range(3)] + ["the end"] for run in (1, 2)]
    assert ["run 1 line 0", *lines] == [*runs[0], *runs[1]]
    late = list(job.log_batches(LogQuery(follow=True)))
    assert [line.text for batch in late for line in batch] == [*runs[0], *runs[1]], (
        "the run before is there for who comes late"
    )
    place = {line.place for batch in late for line in batch}
    assert place == {next(iter(job.pods()))}
    assert isinstance(late[0][0], LogLine)
