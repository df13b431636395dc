"""Conversations over the server extension, with a small program that speaks OpenAI's protocol for a model."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import SECONDS, Lab
from pages import address_of, asked, sentence

from cpod_jupyter.sdk import Session

MODEL = """
import json, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Model(BaseHTTPRequestHandler):
    def do_GET(self):
        self.begin("application/json")
        self.wfile.write(json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode())

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.begin("text/event-stream")
        self.say("begun ")
        gate = asked["messages"][-1]["content"]
        if gate == "break":
            self.wfile.write(b'data: {"error": {"message": "out of memory"}}\\n\\n')
            return
        while gate.startswith("/") and not os.path.exists(gate):
            time.sleep(0.02)
        self.say(json.dumps([len(asked["messages"]), asked.get("temperature"), asked.get("max_tokens")]))
        self.wfile.write(b"data: [DONE]\\n\\n")

    def begin(self, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def say(self, text):
        chunk = {"id": "1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\\n\\n")
        self.wfile.flush()

ThreadingHTTPServer((os.environ["HOST"], 8080), Model).serve_forever()
"""


@pytest.fixture
def model(lab: Lab, namespace: str) -> Iterator[dict[str, str]]:
    container = {
        "name": "kserve-container",
        "image": "python",
        "command": [sys.executable, "-c", MODEL],
        "env": [{"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/v1/models", "port": 8080}, "periodSeconds": 1},
    }
    made = Session().inference("m", predictor={"containers": [container], "terminationGracePeriodSeconds": 1})
    made.wait(SECONDS)
    yield address_of(namespace, "m", "inference")
    made.delete()


def question(content: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}], **more}


def test_an_answer_comes_while_it_is_written(lab: Lab, model: dict[str, str], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    body = json.dumps({**model, **question(str(gate), temperature=0, max_tokens=7)}).encode()
    request = urllib.request.Request(lab.url("cpod/chat"), body, {"Authorization": f"token {lab.token}"})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        assert answer.read1() == b"begun ", "the model waits for the gate"
        gate.touch()
        assert answer.read() == b"[2, 0, 7]\0"
    status, text, _ = asked(lab, "chat", post=True, **model, **question("break"))
    said, _, trouble = text.partition("\0")
    assert (status, said, "out of memory" in trouble) == (200, "begun ", True)
    assert "inference/m did not answer" in trouble


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"messages": []}, 422, "1 to 500 messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, 422, "role must be one of"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, 422, "content must be text"),
        ({"messages": [{"role": "user", "content": "x" * 600_000}] * 2}, 413, "longer than 1,000,000"),
        ({"temperature": 3}, 422, "temperature must be"),
        ({"temperature": True}, 422, "temperature must be"),
        ({"max_tokens": 1.5}, 422, "max_tokens must be"),
        ({"name": "missing"}, 404, '"missing" not found'),
        ({"kind": "job", "name": "plain"}, 422, "it is no deployment"),
    ],
    ids=("none", "role", "content", "length", "temperature", "truth", "tokens", "missing", "job"),
)
def test_what_cannot_be_asked_is_said_in_a_sentence(
    lab: Lab, namespace: str, changes: dict[str, Any], status: int, words: str
) -> None:
    if changes.get("name") == "plain":
        Session().job("plain", image="python", command=["true"])
    asks = {**address_of(namespace, "m", "inference"), **question("Who?"), **changes}
    found, text, _ = asked(lab, "chat", post=True, **asks)
    assert (found, words in sentence(text)) == (status, True), text
