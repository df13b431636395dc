"""What is wrong with a text of manifests while it is being written: its YAML, its fields, and what the server says."""

from __future__ import annotations

import re

from cpod_jupyter.api.schema import Path
from cpod_jupyter.errors import ApiError, BadRequest, Forbidden, Invalid, ManifestError, NotFound, PreflightFailed
from cpod_jupyter.sdk import yamltext
from cpod_jupyter.sdk.manifest import Origin
from cpod_jupyter.sdk.session import Session
from cpod_jupyter.sdk.yamltext import Document, Fault

_REFUSALS = (Invalid, BadRequest, Forbidden, NotFound)
_PART = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")


def faults_of(session: Session, text: str, origin: Origin | None = None) -> list[Fault]:
    """Every fault, with its place. What the text alone does not show is asked of the server, which stores nothing.

    Raises ApiUnreachable, and the server's own errors that are not about the text.
    """
    origin = origin or Origin()
    try:
        objects = session.load(text, origin=origin)
    except ManifestError as error:
        return list(error.faults)
    documents = [document for _, document in yamltext.read(text, origin.locate, [])]
    found = []
    for obj, document in zip(objects, documents, strict=True):
        try:
            session.validate(obj)
        except PreflightFailed as error:
            found += [Fault(document.place(("spec",)), problem) for problem in error.problems]
        except _REFUSALS as error:
            found += _told(error, document)
    return found


def _told(error: ApiError, document: Document) -> list[Fault]:
    """What the server refused, at the fields that it names."""
    causes = [cause for cause in error.details.get("causes") or [] if cause.get("field")]
    if not causes:
        return [Fault(document.place(()), str(error))]
    return [
        Fault(document.place(path_of(str(cause["field"]))), str(cause.get("message") or error), str(cause["field"]))
        for cause in causes
    ]


def path_of(field: str) -> Path:
    """`spec.args[0].name` in parts (API conventions, "field" of a StatusCause)."""
    parts = (name or index for name, index in _PART.findall(field))
    return tuple(int(part) if part.isdigit() else part for part in parts)
