"""An S3 server on loopback, for what cannot be had: as much of the protocol as clients ask for, and faults to order.

Path style (`http://127.0.0.1:PORT/BUCKET/KEY`), objects in memory, every request with any key is let in.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass
class Bucket:
    """What the server holds and was asked; a test reads it, and orders faults."""

    name: str
    port: int
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and key of each request."""
    keys: list[str] = field(default_factory=list)
    """The access keys that requests were signed with."""
    failures: int = 0
    """How many of the next writes are answered with 500."""
    refuses: bool = False
    """Whether every request is answered with 403 AccessDenied."""
    holds_from: int | None = None
    """Reads from this offset on are not answered, until `held` is set by whoever asked for that."""
    held: threading.Event = field(default_factory=threading.Event)
    ranges: list[int] = field(default_factory=list)
    """The offset of each read of a range."""
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to find it and be let in."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "test-key",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_REGION": "us-east-1",
        }

    def sent(self) -> list[str]:
        """The keys that were written, in order."""
        return [key for method, key in self.requests if method == "PUT"]


@contextmanager
def s3_server(bucket: str = "bucket") -> Iterator[Bucket]:
    """A server with one empty bucket."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    state = Bucket(bucket, server.server_address[1])
    server.bucket = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing: a test's output is not the place."""

    @property
    def state(self) -> Bucket:
        return self.server.bucket  # type: ignore[attr-defined,no-any-return]

    def _asked(self) -> tuple[str, dict[str, list[str]], bytes] | None:
        """Key, query and body, or None when a fault was answered."""
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        body = self._body()
        self.state.requests.append((self.command, key))
        if found := re.search(r"Credential=([^/]+)/", self.headers.get("Authorization") or ""):
            self.state.keys.append(found[1])
        if self.state.refuses:
            self._fault(403, "AccessDenied", "Access Denied")
        elif bucket != self.state.name:
            self._fault(404, "NoSuchBucket", "The specified bucket does not exist")
        elif self.state.failures and self.command in ("PUT", "POST"):
            self.state.failures -= 1
            self._fault(500, "InternalError", "We encountered an internal error. Please try again.")
        else:
            return key, parse_qs(url.query, keep_blank_values=True), body
        return None

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            raw = self._unchunked()
        else:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "X-Amz-Decoded-Content-Length" not in self.headers:
            return raw
        found = b""
        while raw:  # SIZE[;chunk-signature=…]\r\nBYTES\r\n … 0\r\n[trailers]
            head, _, raw = raw.partition(b"\r\n")
            size = int(head.partition(b";")[0] or b"0", 16)
            if not size:
                break
            found, raw = found + raw[:size], raw[size + 2 :]
        return found

    def _unchunked(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _xml(self, root: str, inner: str, code: int = 200) -> None:
        text = f'<?xml version="1.0" encoding="UTF-8"?><{root} xmlns="{_NAMESPACE}">{inner}</{root}>'
        self._answer(code, text.encode(), Content_Type="application/xml")

    def _fault(self, code: int, word: str, message: str) -> None:
        inner = f"<Code>{word}</Code><Message>{message}</Message><RequestId>1</RequestId>"
        text = f'<?xml version="1.0" encoding="UTF-8"?><Error>{inner}</Error>'
        self._answer(code, text.encode(), Content_Type="application/xml")

    def do_PUT(self) -> None:
        if (asked := self._asked()) is None:
            return
        key, query, body = asked
        if "uploadId" in query:
            self.state.parts[query["uploadId"][0]][int(query["partNumber"][0])] = body
        else:
            self.state.objects[key] = body
        self._answer(200, ETag=f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')

    def do_POST(self) -> None:
        if (asked := self._asked()) is None:
            return
        key, query, body = asked
        if "uploads" in query:
            name = f"upload-{len(self.state.parts)}"
            self.state.parts[name] = {}
            place = f"<Bucket>{self.state.name}</Bucket><Key>{escape(key)}</Key>"
            self._xml("InitiateMultipartUploadResult", f"{place}<UploadId>{name}</UploadId>")
        elif "uploadId" in query:
            parts = self.state.parts.pop(query["uploadId"][0])
            self.state.objects[key] = b"".join(parts[number] for number in sorted(parts))
            self._xml("CompleteMultipartUploadResult", f"<Key>{escape(key)}</Key><ETag>&quot;1&quot;</ETag>")
        else:  # delete, many at once
            for found in re.findall(rb"<Key>([^<]*)</Key>", body):
                self.state.objects.pop(found.decode(), None)
            self._xml("DeleteResult", "")

    def do_GET(self) -> None:
        if (asked := self._asked()) is None:
            return
        key, query, _ = asked
        if not key:
            self._list(query)
        elif (body := self.state.objects.get(key)) is None:
            self._fault(404, "NoSuchKey", "The specified key does not exist.")
        elif found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first, last = int(found[1]), min(int(found[2] or len(body)), len(body) - 1)
            self.state.ranges.append(first)
            if self.state.holds_from is not None and first >= self.state.holds_from:
                self.state.held.wait(60)
                self.close_connection = True
                return
            self._answer(206, body[first : last + 1], Content_Range=f"bytes {first}-{last}/{len(body)}")
        else:
            self._answer(200, body)

    def _list(self, query: dict[str, list[str]]) -> None:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        keys = sorted(key for key in self.state.objects if key.startswith(prefix))
        folders = sorted(
            {
                prefix + key[len(prefix) :].split(delimiter)[0] + delimiter
                for key in keys
                if delimiter in key[len(prefix) :]
            }
            if delimiter
            else ()
        )
        own = [key for key in keys if not any(key.startswith(folder) for folder in folders)]
        inner = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;1&quot;</ETag><Size>{len(self.state.objects[key])}</Size></Contents>"
            for key in own
        ) + "".join(f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in folders)
        count = len(own) + len(folders)
        self._xml("ListBucketResult", f"<KeyCount>{count}</KeyCount><IsTruncated>false</IsTruncated>{inner}")

    def do_HEAD(self) -> None:
        if (asked := self._asked()) is None:
            return
        key, _, _ = asked
        if not key:
            self._answer(200)
        elif (body := self.state.objects.get(key)) is None:
            self._answer(404)
        else:
            self._answer(200, body, Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT")

    def do_DELETE(self) -> None:
        if (asked := self._asked()) is None:
            return
        self.state.objects.pop(asked[0], None)
        self._answer(204)
