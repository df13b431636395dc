"""The admission webhook: what cannot work is refused when it is submitted (Kubernetes, "Dynamic Admission Control").

It answers in every replica, leading or not, and asks nobody: only what is wrong with an object by itself is judged
(`admission.check`). The API server calls it over TLS, with a certificate from a folder that a Secret fills; a renewed
one is taken up with the next connection.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cpod_jupyter.api.resources import CPOD_KINDS, Object
from cpod_jupyter.errors import CpodError
from cpod_jupyter.operator import admission
from cpod_jupyter.operator.objects import Refused
from cpod_jupyter.operator.serving import IDLE_SECONDS, Serving

PATH = "/validate"
CERTIFICATE, KEY = "tls.crt", "tls.key"
"""Names in a Secret of type kubernetes.io/tls."""

_LARGEST = 8 << 20
"""Bytes of a request: it has the object twice, and etcd takes 1.5 MiB of each."""
_VERSIONS = {(resource.kind, resource.api_version) for resource in CPOD_KINDS}


def review(asked: Object) -> Object:
    """The AdmissionReview that answers one. Raises ValueError for what is none."""
    request = asked.get("request")
    if asked.get("kind") != "AdmissionReview" or not isinstance(request, dict) or not request.get("uid"):
        raise ValueError("the body is no AdmissionReview with a request and its uid")
    response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
    if sentence := _fault(request):
        status = {"status": "Failure", "code": 422, "reason": "Invalid", "message": sentence}
        response = {**response, "allowed": False, "status": status}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def _fault(request: Object) -> str:
    """What is wrong with the object that is to be written; empty for what may pass.

    What only others write (status, finalizers, an object on its way out) is nobody's mistake, and a version that is not
    known here is another operator's to judge.
    """
    new, old = request.get("object") or {}, request.get("oldObject") or {}
    metadata = new.get("metadata") or {}
    if request.get("operation") not in ("CREATE", "UPDATE") or request.get("subResource"):
        return ""
    if (new.get("kind"), new.get("apiVersion")) not in _VERSIONS or "spec" not in new:
        return ""
    if metadata.get("deletionTimestamp") or (old and old.get("spec") == new.get("spec")):
        return ""
    if not metadata.get("name"):
        new = {**new, "metadata": {**metadata, "name": metadata.get("generateName") or "x"}}
    try:
        admission.check(new)
    except Refused as refusal:
        return str(refusal)
    except (ValidationError, KeyError, TypeError, AttributeError):  # of a wrong form: the schema says it better
        return ""
    return ""


class WebhookServer(Serving):
    """Raises CpodError without port or certificate."""

    def __init__(self, address: str, port: int, certificates: Path) -> None:
        self._files = (certificates / CERTIFICATE, certificates / KEY)
        self._loaded: tuple[int, ...] = ()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._renew()
            super().__init__(_Server((address, port), self._wrap), "webhook")
        except (OSError, ssl.SSLError) as error:
            raise CpodError(f"the webhook cannot serve on {address}:{port} with {certificates}: {error}") from error

    def _renew(self) -> None:
        changed = tuple(path.stat().st_mtime_ns for path in self._files)
        if changed != self._loaded:
            self._context.load_cert_chain(*self._files)
            self._loaded = changed

    def _wrap(self, connection: socket.socket) -> socket.socket:
        """TLS for a connection; the handshake is its own thread's, so that a slow one holds up nobody."""
        with contextlib.suppress(OSError, ssl.SSLError):  # in the middle of an exchange: the one that is loaded serves
            self._renew()
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)


class _Server(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], wrap: Any) -> None:
        self._wrap = wrap
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, peer = super().get_request()
        connection.settimeout(IDLE_SECONDS)
        return self._wrap(connection), peer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks, or speaks no TLS, is its client's affair."""


class _Handler(BaseHTTPRequestHandler):
    timeout = IDLE_SECONDS

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length") or ""
        if self.path.partition("?")[0] != PATH:
            return self._answer(404, {"error": f"there is {PATH} alone"})
        if not length.isdecimal() or int(length) > _LARGEST:
            return self._answer(413, {"error": f"a body of known length, and at most {_LARGEST} bytes, is wanted"})
        try:
            answer = review(json.loads(self.rfile.read(int(length))))
        except (ValueError, AttributeError) as error:
            return self._answer(400, {"error": str(error)})
        return self._answer(200, answer)

    def _answer(self, code: int, body: Object) -> None:
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Every submission comes here: nothing to tell."""
