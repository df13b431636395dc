"""Pictures as a message has them (OpenAI, "Images and vision": parts of type `image_url`)."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from cpod_jupyter.errors import CpodError

_MOST_BYTES = 20_000_000
_MAGIC = {b"\x89PNG\r\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}
"""How a file of a type begins."""


def image_url(picture: Any) -> str:
    """The URL of a picture: of the web as it is, which the server fetches; else a `data:` URL with its bytes.

    `picture` is a URL, a path, bytes, a PIL image, or a figure of matplotlib. Raises CpodError for what is none.
    """
    if isinstance(picture, str) and picture.startswith(("http://", "https://", "data:image/")):
        return picture
    data = _bytes_of(picture)
    kind = next((kind for begin, kind in _MAGIC.items() if data.startswith(begin)), "")
    if not kind:
        raise CpodError(f"{_called(picture)} is no picture: PNG, JPEG, GIF or WebP is wanted")
    if len(data) > _MOST_BYTES:
        raise CpodError(f"{_called(picture)} has {len(data):,} bytes; {_MOST_BYTES:,} are the most")
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _bytes_of(picture: Any) -> bytes:
    if isinstance(picture, (bytes, bytearray)):
        return bytes(picture)
    if isinstance(picture, (str, Path)):
        try:
            return Path(picture).expanduser().read_bytes()
        except OSError as error:
            raise CpodError(f"{picture} is no URL, and no file that can be read: {error.strerror}") from error
    held = io.BytesIO()
    if hasattr(picture, "savefig"):  # a figure of matplotlib
        picture.savefig(held, format="png")
    elif hasattr(picture, "save") and hasattr(picture, "getbands"):  # a PIL image
        picture.save(held, format="PNG")
    else:
        raise CpodError(f"a {type(picture).__name__} is no picture: give a path, a URL, bytes, or a PIL image")
    return held.getvalue()


def _called(picture: Any) -> str:
    return str(picture) if isinstance(picture, (str, Path)) else f"the {type(picture).__name__}"
