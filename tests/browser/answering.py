"""A deployment that answers at once: a small program that speaks OpenAI's protocol for a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lab import SECONDS
from parrot import predictor

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
"""It says `begun `, then waits for the file that the last message names, if it names one, and says how it was asked;
`break` makes it fail in the middle."""


@contextmanager
def answering(*names: str) -> Iterator[None]:
    """Deployments of the session's namespace that are ready, and gone afterwards."""
    made = [Session().inference(name, predictor=predictor(MODEL)) for name in names]
    try:
        for each in made:
            each.wait(SECONDS)
        yield
    finally:
        for each in made:
            each.delete()
