"""/healthz, /readyz and /metrics over HTTP, as Kubernetes' probes and Prometheus ask for them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cpod_jupyter.control.metrics import CONTENT_TYPE
from cpod_jupyter.errors import CpodError
from cpod_jupyter.operator.running import Operator
from cpod_jupyter.operator.serving import IDLE_SECONDS, Serving

Answer = tuple[int, str, str]
"""Status, content type, text."""


def answer(operator: Operator, path: str) -> Answer:
    """What is said at a path."""
    if path == "/healthz":
        return _verdict(operator.alive, "the thread that stands for the lease has ended")
    if path == "/readyz":
        return _verdict(operator.ready, "the API server does not answer")
    if path == "/metrics":
        return 200, CONTENT_TYPE, operator.measures.text()
    return 404, "text/plain", "there are /healthz, /readyz and /metrics\n"


def _verdict(good: bool, otherwise: str) -> Answer:
    return (200, "text/plain", "ok\n") if good else (503, "text/plain", otherwise + "\n")


class _ServerOf6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


class HealthServer(Serving):
    """Raises CpodError when the port cannot be had."""

    def __init__(self, operator: Operator, address: str, port: int) -> None:
        try:
            handler = _handler(lambda path: answer(operator, path))
            server = _ServerOf6 if ":" in address else ThreadingHTTPServer
            super().__init__(server((address, port), handler), "health")
        except OSError as error:
            raise CpodError(f"port {port} of {address} cannot be used for --health-port: {error.strerror}") from error


def _handler(answer_to: Callable[[str], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = IDLE_SECONDS

        def do_GET(self) -> None:
            status, content_type, text = answer_to(self.path.partition("?")[0])
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Probes come every few seconds: nothing to tell."""

    return Handler
