"""InferenceServices for the tests, with small servers for models."""

from __future__ import annotations

import sys
import urllib.request
from typing import Any

from kubelet.cluster import Cluster

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import INFERENCESERVICES

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(os.environ[sys.argv[1]].encode())
    def log_message(self, *_): pass
http.server.HTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
"""
POD_IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


def server(answer: str, variable: str = "ANSWER") -> dict[str, Any]:
    """A container that answers with a variable of its environment."""
    env = [POD_IP, {"name": "ANSWER", "value": answer}]
    return {
        "name": "kserve-container",
        "image": "server",
        "command": [sys.executable, "-c", SERVER, variable],
        "env": env,
    }


def serve(cluster: Cluster, name: str, annotations: dict[str, str] | None = None, **predictor: Any) -> None:
    spec = {"predictor": {"terminationGracePeriodSeconds": 1, **predictor}}
    cluster.create(INFERENCESERVICES, name, metadata={"annotations": annotations or {}}, spec=spec)


def wait_reason(cluster: Cluster, name: str, reason: str, kind: str = "PredictorReady") -> dict[str, Any]:
    """The condition, once it has that reason."""

    def condition() -> dict[str, Any]:
        return meta.condition(cluster.get(INFERENCESERVICES, name), kind) or {}

    cluster.wait(lambda: condition().get("reason") == reason, f"{name}: {kind} {reason}; it is {condition()}")
    return condition()


def ask(url: str, seconds: float = 5) -> str:
    with urllib.request.urlopen(url, timeout=seconds) as answer:
        return str(answer.read().decode())
