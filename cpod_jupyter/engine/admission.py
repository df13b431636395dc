"""Whether an object may be stored, and as what: its schema, its kind's strategy, its rules."""

from __future__ import annotations

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import faults, unknown_fields
from cpod_jupyter.engine import notices, strategies
from cpod_jupyter.engine.failures import details_of, invalid, strict_error, undecodable
from cpod_jupyter.engine.kinds import ServedKind
from cpod_jupyter.errors import BadRequest


def admitted(kind: ServedKind, new: Object, strict: bool, old: Object | None = None, part: str = "") -> Object:
    """The object as it may be stored. With `part`, a field of the object, nothing else has changed."""
    name, node, whole = meta.name_of(new), kind.node, new
    new = {part: new[part]} if part else new
    known = node.pruned(new, root=True)
    if known is not new and (strict or notices.wants_unknown_fields()):
        unknown = [
            problem.message.replace("unknown field", f'unknown field "{problem.field}"')
            for problem in unknown_fields(node, new)
        ]
        if unknown and strict:
            raise BadRequest(strict_error(kind, unknown), details_of(kind, name))
        for text in unknown:
            notices.warn(text)
    new = node.defaulted(known)
    child = node.field(part) if part else None
    found = list(faults(child, new[part], ((), part)) if child else faults(node, new))
    if kind.built_in:  # upstream takes some lists with an item twice (env, ports); strategies know which not
        found = [problem for problem in found if problem.reason != "FieldValueDuplicate"]
    if found:
        raise undecodable(kind, found) or invalid(kind, name, found)
    new = {**whole, part: new[part]} if part else new
    if old is None and kind.built_in and kind.has_status:
        new.setdefault("status", {})  # Go writes a struct that is empty, and clients rely on its being there
    strategies.prepare(kind.key, new, old)
    if found := strategies.faults_of(kind.key, new, old) or kind.broken_rules(new, old):
        raise invalid(kind, name, found)
    return new
