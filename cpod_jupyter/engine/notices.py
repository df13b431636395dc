"""What a request is warned of: collected while it is served, sent as `Warning` headers.

As in the API server, whatever admits an object can warn without knowing of HTTP. What runs inside the
engine warns nobody (Kubernetes, "Warning: Helpful Warnings Ahead" and "Validation of fields").
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass, field

_LIMIT = 4096
"""Bytes of all the texts together; the API server cuts at the same."""


@dataclass
class Notices:
    """The texts for one request, in order. `field_validation` is the request's: Ignore, Warn or Strict."""

    field_validation: str = "Warn"
    texts: list[str] = field(default_factory=list)

    def headers(self) -> list[str]:
        """Values of `Warning` headers (RFC 7234, section 5.5): `299 - "text"`."""
        found, size = [], 0
        for text in dict.fromkeys(self.texts):
            line = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
            size += len(line)
            if size > _LIMIT:
                break
            found.append(f'299 - "{line}"')
        return found


_current: contextvars.ContextVar[Notices | None] = contextvars.ContextVar("notices", default=None)


@contextlib.contextmanager
def collected(field_validation: str) -> Iterator[Notices]:
    """Collect the warnings of what runs inside the block, in this thread or task."""
    notices = Notices(field_validation or "Warn")
    token = _current.set(notices)
    try:
        yield notices
    finally:
        _current.reset(token)


def warn(text: str) -> None:
    """Tell whoever made the request, if somebody did."""
    if (notices := _current.get()) is not None:
        notices.texts.append(text)


def wants_unknown_fields() -> bool:
    """Whether somebody is to be warned of fields that the schema does not name."""
    notices = _current.get()
    return notices is not None and notices.field_validation == "Warn"


def wants_strict_fields() -> bool:
    """Whether fields that are unknown or there twice are to be refused."""
    notices = _current.get()
    return notices is not None and notices.field_validation == "Strict"
