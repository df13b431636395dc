"""As much of SPDY/3.1 as port-forwarding is made of: frames, and the compression of their headers.

"SPDY Protocol - Draft 3.1" (the Chromium projects), sections 2.2 (frames) and 2.6.10 (name/value blocks). There is
no flow control here, as there is none in the library that Kubernetes uses: the connection below has its own.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from cpod_jupyter.errors import BadRequest

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN = 0x01
CANCEL = 5

_VERSION = 3
_FRAME_LIMIT = 2**22
_HEADERS_LIMIT = 2**16

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_MORE_NAMES = ["200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
_REST = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
    "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 "
    "Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec "
    "00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset="
    "iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(struct.pack(">I", len(name)) + name.encode() for name in [*_WORDS.split(), *_MORE_NAMES]) + _REST.encode()
)
"""What both ends take as compressed before (section 2.6.10.1); its Adler-32 is 0xe3c6a7c2."""


@dataclass(frozen=True)
class Frame:
    """One frame. `kind` is 0 for data; `headers` are a SYN_STREAM's, names in lower case."""

    kind: int
    stream: int
    flags: int = 0
    data: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Reader:
    """Makes frames of the bytes of one connection."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete. Raises BadRequest for what is no SPDY."""
        self._rest += data
        while len(self._rest) >= 8:
            head, tail = struct.unpack_from(">II", self._rest)
            size = tail & 0xFFFFFF
            if size > _FRAME_LIMIT:
                raise BadRequest(f"a SPDY frame of {size} bytes is too large")
            if len(self._rest) < 8 + size:
                return
            body = bytes(self._rest[8 : 8 + size])
            del self._rest[: 8 + size]
            if not head >> 31:
                yield Frame(0, head, tail >> 24, body)
            elif (head >> 16) & 0x7FFF != _VERSION:
                raise BadRequest("this is no SPDY/3.1")
            else:
                yield self._control(head & 0xFFFF, tail >> 24, body)

    def _control(self, kind: int, flags: int, body: bytes) -> Frame:
        stream = struct.unpack_from(">I", body)[0] & 0x7FFFFFFF if len(body) >= 4 else 0
        if kind == SYN_STREAM:
            return Frame(kind, stream, flags, headers=self._headers(body[10:]))
        return Frame(kind, stream, flags, body)

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, _HEADERS_LIMIT)
            count, at = struct.unpack_from(">I", plain)[0], 4
            words = []
            for _ in range(2 * count):
                size = struct.unpack_from(">I", plain, at)[0]
                words.append(plain[at + 4 : at + 4 + size].decode())
                at += 4 + size
        except (zlib.error, struct.error, UnicodeDecodeError) as error:
            raise BadRequest(f"the headers of a SPDY stream cannot be read: {error}") from error
        return {name.lower(): value for name, value in zip(words[::2], words[1::2], strict=True)}


class Writer:
    """Makes the bytes of one connection's frames."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def reply(self, stream: int) -> bytes:
        """A stream is accepted, without headers."""
        block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control(SYN_REPLY, 0, struct.pack(">I", stream) + block)

    def data(self, stream: int, data: bytes, *, fin: bool = False) -> bytes:
        """Data of a stream; with `fin`, the last."""
        return struct.pack(">II", stream, (FIN if fin else 0) << 24 | len(data)) + data

    def reset(self, stream: int, why: int = CANCEL) -> bytes:
        return _control(RST_STREAM, 0, struct.pack(">II", stream, why))

    def pong(self, ping: Frame) -> bytes:
        return _control(PING, 0, ping.data)


def _control(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack(">HHI", 0x8000 | _VERSION, kind, flags << 24 | len(body)) + body
