"""The frames of port-forwarding."""

from __future__ import annotations

import struct
import zlib

import pytest

from cpod_jupyter.engine.http import spdy
from cpod_jupyter.errors import BadRequest


def syn_stream(deflate: zlib._Compress, stream: int, **headers: str) -> bytes:
    """A client's frame, by the specification."""
    words = b"".join(struct.pack(">I", len(word)) + word.encode() for pair in headers.items() for word in pair)
    block = deflate.compress(struct.pack(">I", len(headers)) + words) + deflate.flush(zlib.Z_SYNC_FLUSH)
    body = struct.pack(">IIH", stream, 0, 0) + block
    return struct.pack(">HHI", 0x8003, spdy.SYN_STREAM, len(body)) + body


def test_the_dictionary_is_the_specifications() -> None:
    assert (len(spdy.DICTIONARY), zlib.adler32(spdy.DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_frames_come_in_any_pieces_and_share_one_compression() -> None:
    deflate = zlib.compressobj(zdict=spdy.DICTIONARY)
    sent = syn_stream(deflate, 1, streamType="error", port="80") + syn_stream(deflate, 3, streamType="data", port="80")
    sent += spdy.Writer().data(3, b"words", fin=True)
    reader = spdy.Reader()
    frames = [frame for at in range(0, len(sent), 7) for frame in reader.feed(sent[at : at + 7])]
    assert [(frame.kind, frame.stream) for frame in frames] == [(spdy.SYN_STREAM, 1), (spdy.SYN_STREAM, 3), (0, 3)]
    assert frames[1].headers == {"streamtype": "data", "port": "80"}
    assert (frames[2].data, frames[2].flags) == (b"words", spdy.FIN)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(struct.pack(">HHI", 0x8002, 1, 0), id="another version"),
        pytest.param(struct.pack(">II", 1, 2**24 - 1), id="an endless frame"),
        pytest.param(struct.pack(">HHI", 0x8003, 1, 12) + b"x" * 12, id="headers that are none"),
    ],
)
def test_what_is_no_spdy_is_refused(sent: bytes) -> None:
    with pytest.raises(BadRequest):
        list(spdy.Reader().feed(sent))
