"""A deployment's server in a few lines: it speaks OpenAI's protocol and says what it was told."""

from __future__ import annotations

import sys
from typing import Any

SERVER = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/v1/models":
            models = [{"id": "parrot", "object": "model"}]
            self.answer("application/json", json.dumps({"object": "list", "data": models}))
        else:
            self.answer("text/plain", "ok", 200 if self.path in ("/", "/health") else 404)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = asked["messages"][-1]["content"]
        words = f"You said: {said}"
        if not asked.get("stream"):
            message = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
            whole = {"id": "1", "object": "chat.completion", "choices": [message]}
            return self.answer("application/json", json.dumps(whole))
        lines = ""
        for word in words.split(" "):
            delta = {"index": 0, "delta": {"content": word + " "}}
            chunk = {"id": "1", "object": "chat.completion.chunk", "choices": [delta]}
            lines += "data: " + json.dumps(chunk) + "\\n\\n"
        self.answer("text/event-stream", lines + "data: [DONE]\\n\\n")

    def answer(self, kind, text, code=200):
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Model).serve_forever()
"""


def predictor(program: str = SERVER, **fields: Any) -> dict[str, Any]:
    """A predictor that runs a server's program, which HOST and PORT tell where to listen."""
    container = {
        "name": "kserve-container",
        "image": "python:3.11",
        "command": [sys.executable, "-c", program],
        "env": [
            {"name": "PORT", "value": "8080"},
            {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/v1/models", "port": 8080}, "periodSeconds": 1},
    }
    return {"containers": [container], "terminationGracePeriodSeconds": 1, **fields}
