"""Downloads from an object store: whole, with hashes, and what a store refuses in one sentence."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime_commands import Run, Start
from s3_server import Bucket, s3_server

pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with s3_server() as found:
        yield found


def fetch(kind: str, source: str, destination: Path) -> tuple[str, ...]:
    return ("download", "--kind", kind, "--source", source, "--destination", str(destination))


def test_all_below_a_prefix_is_a_model_and_is_fetched_once(
    run: Run, bucket: Bucket, tiny_model: Path, tmp_path: Path
) -> None:
    for file in tiny_model.iterdir():
        bucket.objects[f"models/tiny/{file.name}"] = file.read_bytes()
    bucket.objects["models/tiny-too/config.json"] = b"another model"
    command = fetch("model", "s3://bucket/models/tiny", tmp_path / "out")
    ended = run(*command, **bucket.environment)
    result = ended.result()
    assert result["files"] == len(list(tiny_model.iterdir()))
    assert result["model"]["layers"] == 2
    for file in tiny_model.iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
    assert set(bucket.keys) == {"test-key"}
    last = [record for record in ended.records("progress") if record["phase"] == "download"][-1]
    assert last["done"] == last["total"] == result["size"]

    bucket.requests.clear()
    assert run(*command, **bucket.environment).result() == result
    assert [key for method, key in bucket.requests if method == "GET" and key.endswith(".safetensors")] == []


def test_one_object_is_a_dataset_and_must_have_the_hash_that_is_demanded(
    run: Run, bucket: Bucket, chat_data: Path, tmp_path: Path
) -> None:
    (file,) = chat_data.glob("*.jsonl")
    bucket.objects["rows.jsonl"] = file.read_bytes()
    right, wrong = hashlib.sha256(file.read_bytes()).hexdigest(), "0" * 64
    ended = run(*fetch("dataset", f"s3://bucket/rows.jsonl#sha256={wrong}", tmp_path / "no"), **bucket.environment)
    assert ended.code == 1
    assert wrong in ended.message
    assert right in ended.message
    assert not list((tmp_path / "no").glob("*.jsonl")), "what is not what was wanted is never used"
    result = run(*fetch("dataset", f"s3://bucket/rows.jsonl#sha256={right}", tmp_path / "yes"), **bucket.environment)
    assert result.result()["rows"] > 0


def test_what_is_not_there_and_what_is_refused_is_one_sentence(run: Run, bucket: Bucket, tmp_path: Path) -> None:
    missing = run(*fetch("model", "s3://bucket/no/such/thing", tmp_path / "a"), **bucket.environment)
    assert (missing.code, "s3://bucket/no/such/thing" in missing.message) == (1, True)
    bucket.objects["there"] = b"x"
    bucket.refuses = True
    refused = run(*fetch("dataset", "s3://bucket/there", tmp_path / "b"), **bucket.environment)
    assert (refused.code, "keys from the Secret" in refused.message) == (1, True)
    assert "\n" not in refused.message.strip()


def test_a_download_that_was_killed_goes_on_where_it_stopped(
    start: Start, run: Run, bucket: Bucket, tmp_path: Path
) -> None:
    """Fault 14 (B22)."""
    rows = b"".join(
        b'{"messages": [{"role": "user", "content": "%07d"}, {"role": "assistant", "content": "yes"}]}\n' % number
        for number in range(120_000)
    )
    bucket.objects["rows.jsonl"] = rows
    bucket.holds_from = len(rows) // 2
    command = fetch("dataset", "s3://bucket/rows.jsonl", tmp_path / "d")
    started = start(*command, **bucket.environment)
    deadline = time.monotonic() + 60
    while not any(first >= bucket.holds_from for first in bucket.ranges):
        assert time.monotonic() < deadline, bucket.requests
        time.sleep(0.05)
    started.process.send_signal(signal.SIGKILL)
    started.wait()
    bucket.holds_from = None
    bucket.held.set()
    bucket.ranges.clear()
    ended = run(*command, **bucket.environment)
    assert ended.result()["rows"] == 120_000
    assert (tmp_path / "d" / "rows.jsonl").read_bytes() == rows
    assert min(bucket.ranges) > 0, "what was there is not fetched again"
    assert ended.records("progress")[0]["done"] > 0


@pytest.mark.parametrize("refuses", [False, True], ids=["missing", "refused"])
def test_a_bucket_that_is_not_there_or_not_ours_is_final_and_named(
    run: Run, bucket: Bucket, tmp_path: Path, refuses: bool
) -> None:
    bucket.refuses = refuses
    source = "s3://bucket/a/model" if refuses else "s3://nobucket/a/model"
    ended = run(*fetch("model", source, tmp_path / "m"), **bucket.environment)
    assert ended.code == 1
    assert source in ended.message
