"""An HTTPS server on loopback for the tests of downloads: ranges, ETags, and connections that break."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Files:
    """What the server has, and how it misbehaves. A file's ETag is its revision."""

    content: dict[str, bytes] = field(default_factory=dict)
    revision: int = 1
    ranges: bool = True
    break_after: int = 0
    """Each answer breaks off after so many bytes, and the connection with it; 0 for never."""
    breaks: int = 10**9
    """How many answers break off before they don't any more."""
    asked: list[str] = field(default_factory=list)
    """The Range of each request, empty where it asked for the whole."""
    url: str = ""
    authority: str = ""
    """The file with the CA to trust."""


@contextmanager
def serving(directory: Path) -> Iterator[Files]:
    """An HTTPS server on loopback, with a certificate of its own."""
    files = Files()
    certificate, key = _certificate(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(files))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    files.url, files.authority = f"https://127.0.0.1:{server.server_port}", str(certificate)
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(files: Files) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.partition("?")[0].lstrip("/")
            wanted = self.headers.get("Range", "")
            files.asked.append(wanted)
            if name.startswith("to-plain-http"):
                self._head(302, {"Location": "http://127.0.0.1:9/x.jsonl"}, 0)
                return
            if name not in files.content:
                self._head(404, {}, 0)
                return
            body, tag = files.content[name], f'"{files.revision}"'
            headers = {"ETag": tag}
            match = re.fullmatch(r"bytes=(\d+)-", wanted) if files.ranges else None
            status = 200
            if match and self.headers.get("If-Range", tag) == tag:
                start = int(match[1])
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                body, status = body[start:], 206
            self._head(status, headers, len(body))
            if files.break_after and files.breaks > 0 and len(body) > files.break_after:
                files.breaks -= 1
                self.wfile.write(body[: files.break_after])
                self.close_connection = True
                return
            self.wfile.write(body)

        def _head(self, status: int, headers: dict[str, str], length: int) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(length)}.items():
                self.send_header(name, value)
            self.end_headers()

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                return  # the client has gone, as it may

        def log_message(self, *_: object) -> None:
            """Nothing: the tests' output is for the tests."""

    return Handler


def _certificate(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    certificate, private = directory / "loopback.pem", directory / "loopback.key"
    certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private
