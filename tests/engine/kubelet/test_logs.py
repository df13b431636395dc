"""Reading logs: what is left out, joined, followed."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.engine.kubelet.crilog import LogWriter, rotated
from cpod_jupyter.engine.kubelet.logs import LogRequest, read_log
from cpod_jupyter.engine.kubelet.watcher import PodWatcher
from cpod_jupyter.errors import BadRequest


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[PodWatcher]:
    found = PodWatcher(tmp_path / "pods", lambda _: None)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def pod_dir(watcher: PodWatcher, tmp_path: Path) -> Path:
    path = tmp_path / "pods" / "ns_p_uid"
    path.mkdir()
    return path


def write(pod_dir: Path, *output: tuple[str, str], run: int = 0, rotate_bytes: int = 10**6) -> None:
    writer = LogWriter(pod_dir / "c" / f"{run}.log", rotate_bytes)
    for stream, text in output:
        writer.feed(stream, text.encode())
        if not text.endswith("\n"):
            writer.end(stream)
    writer.close()


def read(pod_dir: Path, watcher: PodWatcher, **options: Any) -> str:
    async def all_pieces() -> bytes:
        pieces = read_log(pod_dir, LogRequest("c", **options), watcher, lambda: True)
        return b"".join([piece async for piece in pieces])

    return asyncio.run(all_pieces()).decode()


def test_both_streams_are_one_text_in_order(pod_dir: Path, watcher: PodWatcher) -> None:
    write(pod_dir, ("stdout", "a\n"), ("stderr", "b\n"), ("stdout", "c"))
    assert read(pod_dir, watcher) == "a\nb\nc"


def test_a_line_of_one_stream_never_joins_a_line_of_the_other(pod_dir: Path, watcher: PodWatcher) -> None:
    write(pod_dir, ("stderr", "progress 10%"), ("stdout", "@cpod {}\n"), ("stderr", "progress 20%"))
    assert read(pod_dir, watcher) == "progress 10%\n@cpod {}\nprogress 20%"


def test_parts_of_a_line_are_joined(pod_dir: Path, watcher: PodWatcher) -> None:
    write(pod_dir, ("stdout", "x" * 20000 + "\n"))
    assert read(pod_dir, watcher) == "x" * 20000 + "\n"
    assert read(pod_dir, watcher, timestamps=True).count("Z ") == 1


@pytest.mark.parametrize(
    ("lines", "expected"),
    [(0, ""), (1, "4"), (2, "3\n4"), (9, "0\n1\n2\n3\n4")],
)
def test_the_tail_is_the_last_lines(pod_dir: Path, watcher: PodWatcher, lines: int, expected: str) -> None:
    write(pod_dir, *[("stdout", f"{n}\n") for n in range(4)], ("stdout", "4"))
    assert read(pod_dir, watcher, tail_lines=lines) == expected


def test_the_tail_reaches_back_over_a_rotation(pod_dir: Path, watcher: PodWatcher) -> None:
    write(pod_dir, *[("stdout", f"{n}\n") for n in range(30)], rotate_bytes=900)
    assert rotated(pod_dir / "c" / "0.log")
    assert read(pod_dir, watcher, tail_lines=25) == "".join(f"{n}\n" for n in range(5, 30))


def test_a_log_of_several_files_is_read_whole_and_from_a_moment_on(pod_dir: Path, watcher: PodWatcher) -> None:
    write(pod_dir, *[("stdout", f"{n}\n") for n in range(100)], rotate_bytes=1200)
    assert len(rotated(pod_dir / "c" / "0.log")) > 2
    assert read(pod_dir, watcher) == "".join(f"{n}\n" for n in range(100))
    stamped = read(pod_dir, watcher, timestamps=True).splitlines()
    for first in range(100):
        moment = dt.datetime.fromisoformat(stamped[first].split()[0][:26] + "+00:00")
        later = read(pod_dir, watcher, timestamps=True, since=moment).splitlines()
        assert later == [line for line in stamped if line >= moment.strftime("%Y-%m-%dT%H:%M:%S.%f")]
        assert stamped[first] in later


def test_a_follower_that_is_slower_than_the_log_moves_aside_misses_nothing(pod_dir: Path, watcher: PodWatcher) -> None:
    write(pod_dir, ("stdout", "0\n"))
    finished: list[bool] = []

    async def follow() -> str:
        text = ""
        async for piece in read_log(pod_dir, LogRequest("c", follow=True), watcher, lambda: bool(finished)):
            text += piece.decode()
            if text == "0\n":
                finished.append(True)
                write(pod_dir, *[("stdout", f"{n}\n") for n in range(1, 60)], rotate_bytes=700)
                assert len(rotated(pod_dir / "c" / "0.log")) > 2, "more than once while it looked away"
        return text

    assert asyncio.run(asyncio.wait_for(follow(), 30)) == "".join(f"{n}\n" for n in range(60))


def test_a_limit_cuts_the_text(pod_dir: Path, watcher: PodWatcher) -> None:
    write(pod_dir, ("stdout", "0123456789\n"))
    assert read(pod_dir, watcher, limit_bytes=4) == "0123"


def test_bytes_that_are_no_text_come_as_they_were_written(pod_dir: Path, watcher: PodWatcher) -> None:
    writer = LogWriter(pod_dir / "c" / "0.log")
    writer.feed("stdout", b"caf\xe9 \xff\x00\n50%\r100%\n")
    writer.close()

    async def all_pieces() -> bytes:
        return b"".join([piece async for piece in read_log(pod_dir, LogRequest("c"), watcher, lambda: True)])

    assert asyncio.run(all_pieces()) == b"caf\xe9 \xff\x00\n50%\r100%\n"


def test_a_follower_may_begin_with_the_last_lines(pod_dir: Path, watcher: PodWatcher) -> None:
    write(pod_dir, *[("stdout", f"{n}\n") for n in range(4)])
    finished: list[bool] = []

    async def follow() -> str:
        text = ""
        request = LogRequest("c", follow=True, tail_lines=1)
        async for piece in read_log(pod_dir, request, watcher, lambda: bool(finished)):
            text += piece.decode()
            if text == "3\n":
                write(pod_dir, ("stdout", "4\n"))
                finished.append(True)
        return text

    assert asyncio.run(asyncio.wait_for(follow(), 30)) == "3\n4\n"


def test_older_lines_than_asked_for_are_left_out(pod_dir: Path, watcher: PodWatcher) -> None:
    write(pod_dir, ("stdout", "old\n"))
    now = dt.datetime.now(dt.UTC)
    assert read(pod_dir, watcher, since=now) == ""
    assert read(pod_dir, watcher, since=now - dt.timedelta(minutes=1)) == "old\n"


def test_the_previous_run_has_a_log_of_its_own(pod_dir: Path, watcher: PodWatcher) -> None:
    write(pod_dir, ("stdout", "first\n"), run=0)
    with pytest.raises(BadRequest, match='previous terminated container "c" in pod "p" not found'):
        read(pod_dir, watcher, previous=True)
    write(pod_dir, ("stdout", "second\n"), run=1)
    assert read(pod_dir, watcher, previous=True) == "first\n"
    assert read(pod_dir, watcher) == "second\n"


def test_a_follower_sees_lines_as_they_are_written_and_over_a_rotation(pod_dir: Path, watcher: PodWatcher) -> None:
    write(pod_dir, ("stdout", "0\n"))
    finished: list[bool] = []

    async def follow() -> str:
        text = ""
        writer = LogWriter(pod_dir / "c" / "0.log", rotate_bytes=400)
        async for piece in read_log(pod_dir, LogRequest("c", follow=True), watcher, lambda: bool(finished)):
            text += piece.decode()
            if text.endswith("\n"):
                number = int(text.split("\n")[-2]) + 1
                writer.feed("stdout", f"{number}\n".encode())
                if number == 30:
                    finished.append(True)
        writer.close()
        return text

    assert asyncio.run(asyncio.wait_for(follow(), 30)) == "".join(f"{n}\n" for n in range(31))
