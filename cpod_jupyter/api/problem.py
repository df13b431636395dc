"""One fault of an object: where it is, and how it is said.

It is said twice. `message` is for a person at a notebook, before anything is sent. `cause` is what the
API server answers, in upstream's words (apimachinery, `util/validation/field`, and the schema validator of
kube-openapi), so that clients and people who know a real cluster read the same text here.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]

_TITLES = {
    "FieldValueRequired": "Required value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueNotFound": "Not found",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "InternalError": "Internal error",
}


@dataclass(frozen=True)
class Problem:
    """One fault. `reason` is a StatusCause's: FieldValueRequired, FieldValueInvalid,
    FieldValueTypeInvalid, FieldValueNotSupported, FieldValueUnknown, …

    `detail` is the server's text after its title, when that differs from `message`.
    """

    path: Path
    reason: str
    message: str
    detail: str | None = None

    @property
    def field(self) -> str:
        """The place in the API's notation: `spec.containers[0].image`."""
        return dotted(self.path) or "<root>"

    @property
    def cause(self) -> str:
        """The text of a StatusCause: `Invalid value: 0: spec.count in body should be …`."""
        title = _TITLES.get(self.reason, "Invalid value")
        detail = self.message if self.detail is None else self.detail
        return f"{title}: {detail}" if detail else title


def dotted(path: Path) -> str:
    """A path in the API's notation; empty for the root."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def quoted(value: Any) -> str:
    """A value as the server shows it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def shown(value: Any) -> str:
    """A value as a person is told of it: `the string 'two'`."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    words = {bool: "the boolean", str: "the string", int: "the number", float: "the number"}
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"{words.get(type(value), 'the value')} {text[:80]}"


def nearest(word: str, choices: Any) -> str:
    """`; did you mean "x"?` for the choice most like the word, or nothing."""
    lowered = {str(choice).lower(): str(choice) for choice in choices}
    found = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return f'; did you mean "{lowered[found[0]]}"?' if found else ""
