"""Who owns which fields: the entries of `metadata.managedFields`, kept up to date on every write.

The rules are those of Kubernetes' field management ("Server-Side Apply", "Field management"; apimachinery,
util/managedfields): a write that is no apply makes its manager the owner of what it changed and nobody else; an apply
makes its manager the owner of all that it sets, and fails when it would change what another owns.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Schema
from cpod_jupyter.engine.fieldsets import (
    Fields,
    compare,
    difference,
    shared,
    union,
)

Entry = dict[str, Any]
"""A ManagedFieldsEntry as the API has it; never changed once made, so entries are shared between versions."""

APPLY, UPDATE = "Apply", "Update"
_ANCIENT = "ancient-changes"
MANAGER_LENGTH = 128
_UPDATE_MANAGERS = 10
"""Managers of updates that are kept apart; the oldest beyond are joined."""
_NOBODYS = {
    "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
    "resourceVersion",
}  # fmt: skip
"""Metadata that has no owner (managedfields/internal/stripmeta.go)."""


@dataclass(frozen=True)
class Writer:
    """Who writes, and through what: the manager's name, the version of the request and the subresource."""

    manager: str
    api_version: str
    subresource: str = ""

    def owns(self, entry: Entry, operation: str) -> bool:
        """Whether an entry is this writer's; an applier keeps its entry from version to version."""
        return (
            entry["manager"] == self.manager
            and entry["operation"] == operation
            and entry.get("subresource", "") == self.subresource
            and (operation == APPLY or entry["apiVersion"] == self.api_version)
        )

    def entry(self, operation: str, fields: Fields, time: str) -> Entry:
        result = {
            "manager": self.manager,
            "operation": operation,
            "apiVersion": self.api_version,
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": shared(fields),
        }
        if self.subresource:
            result["subresource"] = self.subresource
        return result


def entries_of(obj: Object | None) -> list[Entry]:
    """The entries of a stored object, which are valid."""
    return list(((obj or {}).get("metadata") or {}).get("managedFields") or [])


def with_shared_sets(obj: Object) -> Object:
    """An object as it was read from a file, which nobody else has yet, with its sets shared with others."""
    for entry in entries_of(obj):
        entry["fieldsV1"] = shared(entry["fieldsV1"])
    return obj


def _valid(entries: Any) -> list[Entry]:
    """The entries that a request brings; none when one of them is not valid, as upstream takes them."""
    if not isinstance(entries, list):
        return []
    for entry in entries:
        if not (
            isinstance(entry, dict)
            and isinstance(entry.setdefault("manager", ""), str)
            and entry.get("operation") in (APPLY, UPDATE)
            and isinstance(entry.get("apiVersion"), str)
            and entry["apiVersion"]
            and entry.get("fieldsType") == "FieldsV1"
            and _is_tree(entry.setdefault("fieldsV1", {}))
        ):
            return []
    return entries


def _is_tree(fields: Any) -> bool:
    return isinstance(fields, dict) and all(
        (key == "." or key[:2] in ("f:", "k:", "v:", "i:")) and _is_tree(inner) for key, inner in fields.items()
    )


def _is_reset(entries: Any) -> bool:
    return entries in ([], [{}])


# ---- what belongs to a write


def owned_part(schema: Schema, obj: Mapping[str, Any], subresource: str, has_status: bool) -> Object:
    """The object without what this write cannot own, so that it need not be looked at."""
    if subresource:
        return {name: obj[name] for name in (subresource,) if name in obj}
    result = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind", "metadata")}
    if has_status:
        result.pop("status", None)
    if metadata := {name: value for name, value in (obj.get("metadata") or {}).items() if name not in _NOBODYS}:
        result["metadata"] = metadata
    return result


def differences(
    schema: Schema, old: Mapping[str, Any], new: Mapping[str, Any], subresource: str, has_status: bool
) -> tuple[Fields, Fields]:
    """The fields that a write changed or added, and those that it removed."""
    before = owned_part(schema, old, subresource, has_status)
    after = owned_part(schema, new, subresource, has_status)
    changed, removed = compare(schema, before, after)
    return without_metadata_itself(changed or {}), without_metadata_itself(removed or {})


def without_metadata_itself(fields: Fields) -> Fields:
    inner = fields.get("f:metadata")
    if not inner or "." not in inner:
        return {name: value for name, value in fields.items() if name != "f:metadata"} if inner == {} else fields
    return {**fields, "f:metadata": {name: value for name, value in inner.items() if name != "."}}


# ---- writes that are no apply


def tracked(
    schema: Schema, old: Object | None, new: Object, writer: Writer, has_status: bool, asked: Any = None
) -> list[Entry]:
    """The entries after a write from `old` (None: it was created) to `new`.

    `asked` is what the request had as managedFields: `[]` and `[{}]` forget all owners, valid entries replace those of
    before, anything else leaves them. An object without entries is not tracked until it is applied to.
    """
    if old is not None and not writer.subresource and _is_reset(asked):
        return []
    entries = entries_of(old)
    if asked is not None and asked != entries and not writer.subresource:
        entries = _valid(asked) or entries
    if old is not None and not entries:
        return []
    changed, removed = differences(schema, old or {}, new, writer.subresource, has_status)
    if not changed and not removed:
        return in_order(entries)
    own: Fields = {}
    kept = []
    for entry in entries:
        fields = difference(difference(entry["fieldsV1"], changed), removed)
        if writer.owns(entry, UPDATE) and changed:
            own = fields
        elif fields:
            kept.append(entry if fields == entry["fieldsV1"] else {**entry, "fieldsV1": shared(fields)})
    if changed:
        kept.append(writer.entry(UPDATE, union(own, changed), meta.now()))
    return in_order(_capped(kept))


def _seconds(entry: Entry) -> str:
    return str(entry.get("time") or "")


def in_order(entries: list[Entry]) -> list[Entry]:
    """Upstream's order (managedfields.go): appliers first, then by time, name, version, subresource."""
    return sorted(
        entries,
        key=lambda entry: (
            entry["operation"], _seconds(entry), entry["manager"], entry["apiVersion"], entry.get("subresource", ""),
        ),
    )  # fmt: skip


def _capped(entries: list[Entry]) -> list[Entry]:
    """With too many managers of updates, the oldest of a version become one (capmanagers.go)."""
    updates = [entry for entry in entries if entry["operation"] == UPDATE]
    excess = len(updates) - _UPDATE_MANAGERS
    buckets: dict[str, list[Entry]] = {}
    for entry in sorted(updates, key=lambda entry: (_seconds(entry), entry["manager"])) if excess > 0 else []:
        bucket = buckets.setdefault(entry["apiVersion"], [])
        excess -= bool(bucket)
        bucket.append(entry)
        if not excess:
            break
    for version, bucket in buckets.items():
        if len(bucket) > 1:
            fields: Fields = {}
            for entry in bucket:
                fields = union(fields, entry["fieldsV1"])
            entries = [entry for entry in entries if not any(entry is old for old in bucket)]
            entries.append(Writer(_ANCIENT, version).entry(UPDATE, fields, _seconds(bucket[-1])))
    return entries


def copied(obj: Object) -> Object:
    """A copy that may be changed; only the entries, which never change, are shared with the original."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return copy.deepcopy(obj)
    rest = {name: value for name, value in metadata.items() if name != "managedFields"}
    result = copy.deepcopy({**obj, "metadata": rest})
    result["metadata"]["managedFields"] = metadata["managedFields"]
    return result


def settle(
    schema: Schema,
    has_status: bool,
    old: Object | None,
    new: Object,
    writer: Writer | None,
    asked: Any,
    applied: list[Entry] | None = None,
) -> None:
    """Set the entries of an object about to be stored: those that an apply made, else those that the change from `old`
    makes, else, without a writer, those of before."""
    entries = entries_of(old)
    if applied is not None:
        if not (same_but_for_times(entries, applied) and _same(old, new)):
            entries = applied
    elif writer is not None:
        entries = tracked(schema, old, new, writer, has_status, asked)
    if entries:
        new["metadata"]["managedFields"] = entries


def _same(old: Object | None, new: Object) -> bool:
    """Whether two objects differ in nothing but their entries."""
    if old is None:
        return False
    metadata = {name: value for name, value in old["metadata"].items() if name != "managedFields"}
    return {**old, "metadata": metadata} == new


def same_but_for_times(first: list[Entry], second: list[Entry]) -> bool:
    """Whether two lists of entries differ in nothing but when they were written."""
    if len(first) != len(second):
        return False
    return all(
        one is other or {**one, "time": ""} == {**other, "time": ""} for one, other in zip(first, second, strict=True)
    )


def manager_of(field_manager: str, user_agent: str) -> str:
    """The manager of a request: the one it names, else the first word of its User-Agent."""
    prefix = user_agent.split("/", 1)[0]
    return field_manager or "".join(letter for letter in prefix if letter.isprintable())[:MANAGER_LENGTH] or "unknown"
