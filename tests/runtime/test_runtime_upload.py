"""Uploads: whole or not at all, on from where they were, and what a store refuses, in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime_commands import Run
from s3_server import Bucket, s3_server

pytest.importorskip("fsspec")

MANIFEST = "models/me/cpod-manifest.json"


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    pytest.importorskip("pyarrow")
    with s3_server() as found:
        yield found


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "deep" / "weights.bin").write_bytes(bytes(range(256)) * 100)
    (folder / ".cpod-source.json").write_text("of the download, and no part of the model")
    return folder


def test_a_model_is_in_the_bucket_with_a_manifest_that_came_last(run: Run, bucket: Bucket, model: Path) -> None:
    ended = run("upload", "--source", model, "--destination", "s3://bucket/models/me", **bucket.environment)
    result = ended.result()
    assert (result["files"], result["size"], result["sent"]) == (2, 25602, 25602)
    assert bucket.objects["models/me/deep/weights.bin"] == (model / "deep" / "weights.bin").read_bytes()
    assert {key for key in bucket.objects if not key.endswith("/")} == {
        "models/me/config.json", "models/me/deep/weights.bin", MANIFEST,
    }  # fmt: skip
    manifest = json.loads(bucket.objects[MANIFEST])
    assert manifest["sha256"] == result["sha256"]
    assert [key for key in bucket.sent() if "cpod-upload" not in key and not key.endswith("/")][-1] == MANIFEST
    assert set(bucket.keys) == {"test-key"}
    last = ended.records("progress")[-1]
    assert (last["phase"], last["done"], last["total"]) == ("upload", 25602, 25602)


def test_what_is_there_is_not_sent_again_and_what_is_gone_is_removed(run: Run, bucket: Bucket, model: Path) -> None:
    command = ("upload", "--source", model, "--destination", "s3://bucket/models/me")
    run(*command, **bucket.environment)
    (model / "config.json").write_text('{"new": 1}')
    (model / "deep" / "more.bin").write_text("more")
    assert run(*command, **bucket.environment).result()["sent"] == len('{"new": 1}') + 4
    (model / "deep" / "more.bin").unlink()
    assert run(*command, **bucket.environment).result()["sent"] == 0
    assert "models/me/deep/more.bin" not in bucket.objects
    bucket.requests.clear()
    assert run(*command, **bucket.environment).result()["sent"] == 0
    assert not bucket.sent()


def test_a_server_that_fails_twice_is_asked_again(run: Run, bucket: Bucket, model: Path) -> None:
    bucket.failures = 2
    ended = run("upload", "--source", model, "--destination", "s3://bucket/models/me", **bucket.environment)
    assert ended.result()["files"] == 2
    assert bucket.failures == 0


@pytest.mark.parametrize(
    ("destination", "code", "said"),
    [
        pytest.param("s3://other/models/me", 1, "NO_SUCH_BUCKET", id="no such bucket"),
        pytest.param("s3://bucket/models/me", 1, "ACCESS_DENIED", id="refused"),
        pytest.param("ftp://host/me", 1, "not an object store", id="no store"),
    ],
)
def test_what_a_store_refuses_is_final_and_said(
    run: Run, bucket: Bucket, model: Path, destination: str, code: int, said: str
) -> None:
    bucket.refuses = said == "ACCESS_DENIED"
    ended = run("upload", "--source", model, "--destination", destination, **bucket.environment)
    assert ended.code == code, ended.out
    assert said in ended.message
    assert "test-secret" not in ended.out + ended.err + ended.message


def test_a_store_that_does_not_answer_may_be_there_at_another_time(run: Run, bucket: Bucket, model: Path) -> None:
    gone = {**bucket.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    ended = run("upload", "--source", model, "--destination", "s3://bucket/models/me", **gone)
    assert ended.code == 75


def test_an_upload_that_was_broken_off_goes_on_where_it_was(run: Run, tmp_path: Path, model: Path) -> None:
    destination = tmp_path / "store" / "me"
    destination.mkdir(parents=True)
    (destination / "deep").touch()  # where a folder has to be
    command = ("upload", "--source", model, "--destination", destination.as_uri())
    broken = run(*command)
    assert broken.code != 0
    assert not (destination / "cpod-manifest.json").exists()
    (destination / "deep").unlink()
    assert run(*command).result()["sent"] == 25600
    assert json.loads((destination / "cpod-manifest.json").read_text())["files"].keys() == {
        "config.json", "deep/weights.bin",
    }  # fmt: skip
    assert not (destination / ".cpod-upload.json").exists()


def test_nothing_is_no_model(run: Run, tmp_path: Path) -> None:
    ended = run("upload", "--source", tmp_path / "none", "--destination", (tmp_path / "store").as_uri())
    assert ended.code == 1
    assert "nothing to upload" in ended.message
