"""Streams of an API server: their lines as they come, read in one thread and ended from another."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import urllib3

from cpod_jupyter.errors import ApiUnreachable

_CHUNK = 2**16
LONGEST_LINE = 2**20
"""Bytes of a log's line that are held; of a longer one, parts come as lines."""
_STAMP_ALONE = re.compile(rb"\S+ ")
"""Before the first carriage return of a line that begins with one there is only its time stamp."""
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""A connection whose other end is gone is noticed after a minute (tcp(7)), however long a stream is silent."""


class Stop:
    """Says to readers that it is over. What one of them reads at that moment is shut, so that it ends at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._open: set[urllib3.BaseHTTPResponse] = set()

    def set(self) -> None:
        with self._lock:
            self._event.set()
            for response in self._open:
                _shut(response)

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until it is set; whether it is."""
        return self._event.wait(seconds)

    @contextlib.contextmanager
    def ends(self, response: urllib3.BaseHTTPResponse) -> Iterator[None]:
        """Shut a response when it is set while the response is read."""
        with self._lock:
            self._open.add(response)
            if self._event.is_set():
                _shut(response)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(response)


class LineStream:
    """The lines of a response in batches, as many as came at once; the last one even when it is not ended.

    With `returns`, a line in the making is handed out as far as its last carriage return; its further parts begin
    with that: the states of a progress bar, whose newline comes last. One longer than `longest` bytes comes in parts.
    Raises ApiUnreachable when the connection breaks, but ends quietly once `stop` is set. The connection is closed when
    the iteration is left.
    """

    def __init__(
        self,
        response: urllib3.BaseHTTPResponse,
        server: str,
        *,
        returns: bool = False,
        longest: int | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.unfinished = False
        """Whether the last line had no end: more of it may come where the stream is taken up again."""
        self._response = response
        self._server = server
        self._returns = returns
        self._longest = longest
        self._stop = stop or Stop()

    def __iter__(self) -> Iterator[list[str]]:
        pending = b""
        try:
            with self._stop.ends(self._response):
                for chunk in self._response.stream(amt=_CHUNK, decode_content=True):
                    pending += chunk
                    lines, pending = self._split(pending)
                    if lines:
                        yield lines
            if pending and not self._stop.is_set():
                self.unfinished = True
                yield [pending.decode(errors="replace")]
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if not self._stop.is_set():
                raise ApiUnreachable(f"the stream from {self._server} broke off: {error}") from error
        finally:
            self.close()

    def _split(self, data: bytes) -> tuple[list[str], bytes]:
        """The lines that can be handed out, and the rest."""
        end = data.rfind(b"\n")
        lines = data[:end].decode(errors="replace").split("\n") if end >= 0 else []
        rest = data[end + 1 :]
        if self._returns and (at := rest.rfind(b"\r")) > 0 and not _STAMP_ALONE.fullmatch(rest, 0, at):
            lines.append(rest[:at].decode(errors="replace"))
            rest = rest[at:]
        if self._longest is not None and len(rest) > self._longest:
            lines.append(rest.decode(errors="replace"))
            rest = b""
        return lines, rest

    def close(self) -> None:
        self._response.close()


def be_patient(response: urllib3.BaseHTTPResponse) -> None:
    """Let a stream that has begun be silent for any time, as long as the other end is there."""
    sock: Any = getattr(response.connection, "sock", None)
    if sock is None:
        return
    sock.settimeout(None)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _shut(response: urllib3.BaseHTTPResponse) -> None:
    """End the read that another thread is in. A response that is read to its end needs none."""
    with contextlib.suppress(ValueError, RuntimeError, OSError):
        response.shutdown()
