"""https:// sources: ranges, versions and hashes, against a server that breaks connections."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_files import Files, serving
from runtime_commands import Ended, Run, Start

ROWS = b"".join(
    json.dumps({"prompt": f"question {number} " + "x" * 1000, "completion": "yes"}).encode() + b"\n"
    for number in range(4000)
)
"""Four megabytes, so that a download can be caught in the middle."""


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    directory = tmp_path / "server"
    directory.mkdir()
    with serving(directory) as found:
        found.content["facts.jsonl"] = ROWS
        yield found


def arguments(files: Files, tmp_path: Path, name: str = "facts.jsonl") -> tuple[object, ...]:
    return ("download", "--kind", "dataset", "--source", f"{files.url}/{name}", "--destination", tmp_path / "d")


def fetched(run: Run, files: Files, tmp_path: Path, name: str = "facts.jsonl", **environment: str) -> Ended:
    return run(*arguments(files, tmp_path, name), REQUESTS_CA_BUNDLE=files.authority, **environment)


def test_a_connection_that_breaks_again_and_again_is_gone_on_with_by_ranges(
    run: Run, files: Files, tmp_path: Path
) -> None:
    files.break_after = 1_500_000
    ended = fetched(run, files, tmp_path)
    assert ended.result()["rows"] == 4000
    assert (tmp_path / "d" / "facts.jsonl").read_bytes() == ROWS
    offsets = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in files.asked if asked]
    assert offsets
    assert offsets == sorted(offsets)
    assert ended.records("progress")[0]["total"] == len(ROWS)


def test_a_download_that_was_killed_goes_on_where_it_stopped(
    start: Start, run: Run, files: Files, tmp_path: Path
) -> None:
    """Fault 14 (B22)."""
    files.break_after = 1_000_000
    started = start(*arguments(files, tmp_path), REQUESTS_CA_BUNDLE=files.authority)
    assert started.process.stdout is not None
    for line in started.process.stdout:
        if "broke off" in line:
            break
    started.process.send_signal(signal.SIGKILL)
    started.wait()
    files.break_after, files.asked[:] = 0, []
    ended = fetched(run, files, tmp_path)
    assert ended.result()["sha256"] == hashlib.sha256(hashlib.sha256(ROWS).hexdigest().encode()).hexdigest()
    assert any(asked and asked != "bytes=0-" for asked in files.asked)
    assert ended.records("progress")[0]["done"] > 0


def test_a_file_that_changed_meanwhile_comes_anew_and_is_not_joined(
    start: Start, run: Run, files: Files, tmp_path: Path
) -> None:
    files.break_after = 1_000_000
    started = start(*arguments(files, tmp_path), REQUESTS_CA_BUNDLE=files.authority)
    assert started.process.stdout is not None
    for line in started.process.stdout:
        if "broke off" in line:
            break
    new = ROWS.replace(b"yes", b"no!")
    files.content["facts.jsonl"], files.revision, files.break_after = new, 2, 0
    started.process.communicate()
    assert (tmp_path / "d" / "facts.jsonl").read_bytes() == new


def test_a_server_without_ranges_is_asked_for_the_whole_again(run: Run, files: Files, tmp_path: Path) -> None:
    files.ranges, files.break_after, files.breaks = False, 1_000_000, 1
    assert fetched(run, files, tmp_path).result()["rows"] == 4000


def test_a_checksum_in_the_address_is_verified(run: Run, files: Files, tmp_path: Path) -> None:
    right, wrong = hashlib.sha256(ROWS).hexdigest(), "0" * 64
    ended = fetched(run, files, tmp_path, f"facts.jsonl#sha256={wrong}")
    assert (ended.code, f"{wrong} was asked for" in ended.message) == (1, True)
    assert not (tmp_path / "d" / "facts.jsonl").exists()
    assert fetched(run, files, tmp_path, f"facts.jsonl#sha256={right}").code == 0
    other = run(*arguments(files, tmp_path), "--sha256", wrong, REQUESTS_CA_BUNDLE=files.authority)
    assert "was asked for" in other.message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("facts.txt", "is no file of rows; those end in .jsonl", id="format"),
        pytest.param("none.jsonl", "404", id="missing"),
        pytest.param("to-plain-http.jsonl", "that is not https", id="downgrade"),
    ],
)
def test_what_cannot_be_fetched_is_one_sentence(run: Run, files: Files, tmp_path: Path, name: str, words: str) -> None:
    files.content["facts.txt"] = b"a,b\n"
    ended = fetched(run, files, tmp_path, name)
    assert words in ended.message
    assert "Traceback" not in ended.err
