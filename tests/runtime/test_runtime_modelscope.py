"""Downloads from the ModelScope hub, by its own client, from a server on loopback that has its routes for files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from runtime_commands import Run

pytest.importorskip("modelscope_hub")

REPOSITORY = "/api/v1/models/me/tiny/repo"


class Hub(ThreadingHTTPServer):
    """Has the files of one repository; whoever has the token `key` may read it, where one is wanted."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes], token: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.token = files, token
        self.stated = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        self.asked: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        return {"MODELSCOPE_ENDPOINT": f"http://127.0.0.1:{self.server_address[1]}"}


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        wanted = parse_qs(url.query).get("FilePath", [""])[0]
        self.server.asked.append(wanted or url.path)
        if self.server.token and self.server.token not in str(self.headers):
            return self._answer(401, {"Code": 401, "Success": False, "Message": "login is wanted"})
        if url.path == f"{REPOSITORY}/files":
            return self._answer(200, {"Code": 200, "Success": True, "Data": {"Files": self._listed()}})
        if url.path == REPOSITORY and wanted in self.server.files:
            return self._send(200, "application/octet-stream", self.server.files[wanted])
        return self._answer(404, {"Code": 404, "Success": False, "Message": "there is no such thing"})

    def _listed(self) -> list[dict[str, Any]]:
        return [
            {"Path": name, "Name": name, "Size": len(content), "Sha256": self.server.stated[name], "Type": "blob"}
            for name, content in self.server.files.items()
        ]

    def _answer(self, code: int, body: dict[str, Any]) -> None:
        self._send(code, "application/json", json.dumps(body).encode())

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """The test reads `asked`."""


@pytest.fixture
def hub(tiny_model: Path) -> Iterator[Hub]:
    server = Hub({file.name: file.read_bytes() for file in tiny_model.iterdir()})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(run: Run, hub: Hub, destination: Path, source: str = "modelscope://me/tiny", **env: str) -> Any:
    command = ("download", "--kind", "model", "--source", source, "--destination", str(destination))
    return run(*command, **hub.environment, **env)


def test_a_repository_is_a_model_without_weights_in_other_formats(
    run: Run, hub: Hub, tiny_model: Path, tmp_path: Path
) -> None:
    hub.files["pytorch_model.bin"] = b"code that runs when it is read"
    hub.stated["pytorch_model.bin"] = "00"
    result = fetch(run, hub, tmp_path / "out").result()
    assert result["files"] == len(list(tiny_model.iterdir()))
    for file in tiny_model.iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
    assert "pytorch_model.bin" not in hub.asked


def test_a_file_that_is_not_what_the_hub_states_is_never_used(run: Run, hub: Hub, tmp_path: Path) -> None:
    hub.stated["config.json"] = "0" * 64
    ended = fetch(run, hub, tmp_path / "out")
    assert ended.code == 75, "it may go well at another time"
    assert not (tmp_path / "out" / "config.json").exists()


def test_what_is_not_there_or_wants_an_account_is_one_sentence(run: Run, hub: Hub, tmp_path: Path) -> None:
    missing = fetch(run, hub, tmp_path / "a", "modelscope://me/other")
    assert (missing.code, "no such repository" in missing.message) == (1, True)
    hub.token = "key-of-mine"
    refused = fetch(run, hub, tmp_path / "b")
    assert (refused.code, "MODELSCOPE_API_TOKEN" in refused.message) == (1, True)
    assert fetch(run, hub, tmp_path / "c", MODELSCOPE_API_TOKEN="key-of-mine").result()["files"] > 0
