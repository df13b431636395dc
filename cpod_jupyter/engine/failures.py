"""How a verb on objects is refused: the API server's errors, with its words and details."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api.schema import Problem
from cpod_jupyter.engine.kinds import ServedKind
from cpod_jupyter.errors import BadRequest, Conflict, Invalid, NotFound


def strict_error(kind: ServedKind, faults: list[str]) -> str:
    """What is answered when fields are validated strictly and some are unknown or there twice."""
    resource = kind.resource
    return (
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
        f"strict decoding error: {', '.join(faults)}"
    )


def details_of(kind: ServedKind, name: str) -> dict[str, Any]:
    details = {"name": name, "group": kind.resource.group, "kind": kind.resource.plural}
    return {key: value for key, value in details.items() if value}


def not_found(kind: ServedKind, name: str) -> NotFound:
    return NotFound(f'{kind.resource.qualified} "{name}" not found', details_of(kind, name))


_MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(kind: ServedKind, name: str, why: str = _MODIFIED) -> Conflict:
    text = f'Operation cannot be fulfilled on {kind.resource.qualified} "{name}": {why}'
    return Conflict(text, details_of(kind, name))


def undecodable(kind: ServedKind, found: list[Problem]) -> BadRequest | None:
    """A value of the wrong type in a built-in kind: a Go server fails to decode it, before it validates anything."""
    wrong = [item for item in found if item.reason == "FieldValueTypeInvalid"] if kind.built_in else []
    if not wrong:
        return None
    name, listed = kind.resource.kind, "; ".join(f"{item.field}: {item.cause}" for item in wrong)
    return BadRequest(f'{name} in version "{kind.resource.version}" cannot be handled as a {name}: {listed}')


def invalid(kind: ServedKind, name: str, found: list[Problem]) -> Invalid:
    texts = [f"{problem.field}: {problem.cause}" for problem in found]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    resource = kind.resource
    title = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    causes = [{"reason": item.reason, "message": item.cause, "field": item.field} for item in found]
    details = {"name": name, "group": resource.group, "kind": resource.kind, "causes": causes}
    return Invalid(f'{title} "{name}" is invalid: {listed}', {key: value for key, value in details.items() if value})
