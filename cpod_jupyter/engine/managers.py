"""Who owns which fields: the entries of `metadata.managedFields`, kept up to date on every write.

The rules are those of Kubernetes' field management ("Server-Side Apply", "Field management"; apimachinery,
util/managedfields): a write that is no apply makes its manager the owner of what it changed and nobody else; an apply
makes its manager the owner of all that it sets, and fails when it would change what another owns.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Schema
from cpod_jupyter.engine import apply
from cpod_jupyter.engine.fieldsets import (
    Fields,
    compare,
    difference,
    fields_of,
    intersection,
    paths,
    union,
)
from cpod_jupyter.errors import ApiError, BadRequest, Conflict

Entry = dict[str, Any]
"""A ManagedFieldsEntry as the API has it; never changed once made, so entries are shared between versions."""

APPLY, UPDATE = "Apply", "Update"
BEFORE_FIRST_APPLY = "before-first-apply"
_ANCIENT = "ancient-changes"
MANAGER_LENGTH = 128
_UPDATE_MANAGERS = 10
"""Managers of updates that are kept apart; the oldest beyond are joined."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KUBECTL = "kubectl"
_NOBODYS = {
    "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
    "resourceVersion",
}  # fmt: skip
"""Metadata that has no owner (managedfields/internal/stripmeta.go)."""
_ITSELF: Fields = {"f:metadata": {".": {}, "f:name": {}}}
"""What every configuration sets, though nobody owns it."""


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
            "fieldsV1": fields,
        }
        if self.subresource:
            result["subresource"] = self.subresource
        return result


def entries_of(obj: Object | None) -> list[Entry]:
    """The entries of a stored object, which are valid."""
    return list(((obj or {}).get("metadata") or {}).get("managedFields") or [])


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


def _owned_part(schema: Schema, obj: Mapping[str, Any], subresource: str, has_status: bool) -> Object:
    """The object without what this write cannot own, so that it need not be looked at."""
    if subresource:
        return {name: obj[name] for name in (subresource,) if name in obj}
    result = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind", "metadata")}
    if has_status:
        result.pop("status", None)
    if metadata := {name: value for name, value in (obj.get("metadata") or {}).items() if name not in _NOBODYS}:
        result["metadata"] = metadata
    return result


def _differences(
    schema: Schema, old: Mapping[str, Any], new: Mapping[str, Any], subresource: str, has_status: bool
) -> tuple[Fields, Fields]:
    """The fields that a write changed or added, and those that it removed."""
    before = _owned_part(schema, old, subresource, has_status)
    after = _owned_part(schema, new, subresource, has_status)
    changed, removed = compare(schema, before, after)
    return _without_metadata_itself(changed or {}), _without_metadata_itself(removed or {})


def _without_metadata_itself(fields: Fields) -> Fields:
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
    changed, removed = _differences(schema, old or {}, new, writer.subresource, has_status)
    if not changed and not removed:
        return entries
    own: Fields = {}
    kept = []
    for entry in entries:
        fields = difference(difference(entry["fieldsV1"], changed), removed)
        if writer.owns(entry, UPDATE) and changed:
            own = fields
        elif fields:
            kept.append(entry if fields == entry["fieldsV1"] else {**entry, "fieldsV1": fields})
    if changed:
        kept.append(writer.entry(UPDATE, union(own, changed), meta.now()))
    return _sorted(_capped(kept))


def _seconds(entry: Entry) -> str:
    return str(entry.get("time") or "")


def _sorted(entries: list[Entry]) -> list[Entry]:
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


# ---- apply


def applied(
    schema: Schema, live: Object | None, config: Object, writer: Writer, has_status: bool, force: bool
) -> tuple[Object, list[Entry]]:
    """The object with the configuration applied, and its entries; `live` is None when it is to be created.

    Raises BadRequest for a configuration that may not be applied, Conflict when it would change what others own and
    `force` is not given, ApiError when it does not fit the schema.
    """
    _check_fits(schema, config, writer)
    base = live or {name: config[name] for name in ("apiVersion", "kind")}
    part = _owned_part(schema, config, writer.subresource, has_status)
    entries = entries_of(live)
    if live is not None and not entries:
        found = _differences(schema, {}, live, "", False)[0]
        entries = [Writer(BEFORE_FIRST_APPLY, writer.api_version).entry(UPDATE, found, meta.now())]
    last: Fields = next((entry["fieldsV1"] for entry in entries if writer.owns(entry, APPLY)), {})
    fields = _without_metadata_itself(fields_of(schema, part))
    others = [entry for entry in entries if not writer.owns(entry, APPLY)]
    new = {**base, **apply.merged(schema, {name: value for name, value in base.items() if name in part}, part)}
    owned = union(fields, _ITSELF)
    for entry in others:
        owned = union(owned, entry["fieldsV1"])
    new = apply.pruned_by_owner(schema, new, last, owned)
    if live is None:
        new["metadata"] = {**new.get("metadata", {}), **config["metadata"]}
    changed, removed = _differences(schema, base, new, writer.subresource, has_status)
    kept, conflicts = [], []
    for entry in others:
        if conflict := intersection(entry["fieldsV1"], changed):
            conflicts.append((entry, conflict))
        left = difference(difference(entry["fieldsV1"], conflict), removed)
        if left:
            kept.append(entry if left == entry["fieldsV1"] else {**entry, "fieldsV1": left})
    if conflicts and not force:
        _refuse(schema, live or {}, conflicts, writer)
    if fields:
        kept.append(writer.entry(APPLY, fields, meta.now()))
    return _with_last_applied(new, config, live, writer), _sorted(kept)


def checked_config(config: Any, writer: Writer, name: str) -> Object:
    """The body of an apply, which must be an object of the URL's version and name. Raises BadRequest."""
    if not isinstance(config, dict):
        raise BadRequest("the body of an apply must be an object")
    if config.get("apiVersion") != writer.api_version:
        raise BadRequest(
            "Incorrect version specified in apply patch. "
            f"Specified patch version: {config.get('apiVersion', '')}, expected: {writer.api_version}"
        )
    metadata = config.get("metadata") or {}
    if isinstance(metadata, dict) and metadata.get("name", name) != name:
        raise BadRequest(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )  # fmt: skip
    if isinstance(metadata, dict) and metadata.get("managedFields") is not None:
        raise BadRequest("metadata.managedFields must be nil")
    return {**config, "metadata": {**metadata, "name": name}} if isinstance(metadata, dict) else config


def _check_fits(schema: Schema, config: Object, writer: Writer) -> None:
    metadata = config["metadata"]
    if found := apply.faults(schema, config):
        name = f"{metadata.get('namespace', '')}/{metadata['name']}; {writer.api_version}, Kind={config['kind']}"
        listed = found[0] if len(found) == 1 else "errors:\n" + "\n".join(f"  {fault}" for fault in found)
        raise TypedPatchError(f"failed to create typed patch object ({name}): {listed}")


class TypedPatchError(ApiError):
    """A configuration that does not fit the schema; upstream answers 500 and gives no reason."""

    code, reason = 500, ""


def _refuse(schema: Schema, live: Object, conflicts: list[tuple[Entry, Fields]], writer: Writer) -> None:
    """Raise Conflict, unless all of it is what kubectl itself set by a client-side apply (lastappliedmanager.go)."""
    if writer.manager == _KUBECTL and (allowed := _by_client_side_apply(schema, live)) is not None:
        left = [(entry, difference(fields, allowed)) for entry, fields in conflicts]
        conflicts = [(entry, fields) for entry, fields in left if fields]
        if not conflicts:
            return
    conflicts.sort(key=lambda found: (found[0]["manager"], found[0]["operation"]))
    found = [(_shown(entry), list(paths(fields))) for entry, fields in conflicts]
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
        for manager, places in found
        for path in places
    ]
    if len(causes) == 1:
        text = f"1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines = [line for manager, places in found for line in (f"conflicts with {manager}:", *_bullets(places))]
        text = f"{len(causes)} conflicts: " + "\n".join(lines)
    raise Conflict(f"Apply failed with {text}", {"causes": causes})


def _bullets(places: list[str]) -> list[str]:
    return [f"- {place}" for place in places]


def _shown(entry: Entry) -> str:
    text = json.dumps(entry["manager"], ensure_ascii=False)
    if entry.get("subresource"):
        text += f' with subresource "{entry["subresource"]}"'
    return f"{text} using {entry['apiVersion']}" if entry["operation"] == UPDATE else text


def _by_client_side_apply(schema: Schema, live: Object) -> Fields | None:
    """The fields that the last client-side apply set and that are still so, or None when there was none."""
    text = (live["metadata"].get("annotations") or {}).get(_LAST_APPLIED)
    try:
        last = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(last, dict) or last.get("apiVersion") != live.get("apiVersion"):
        return None
    part = _owned_part(schema, last, "", False)
    changed, removed = compare(schema, part, _owned_part(schema, live, "", False))
    return difference(difference(fields_of(schema, part), changed or {}), removed or {})


def _with_last_applied(new: Object, config: Object, live: Object | None, writer: Writer) -> Object:
    """kubectl's annotation kept up to date, where there is one, so that a client-side apply may follow."""
    annotations = new.get("metadata", {}).get("annotations") or {}
    if writer.manager != _KUBECTL or live is None or not annotations.get(_LAST_APPLIED):
        return new
    metadata = dict(config.get("metadata") or {})
    kept = {name: value for name, value in (metadata.get("annotations") or {}).items() if name != _LAST_APPLIED}
    metadata["annotations"] = kept
    text = (
        json.dumps({**config, "metadata": metadata}, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    )
    return {**new, "metadata": {**new["metadata"], "annotations": {**annotations, _LAST_APPLIED: text}}}


def copied(obj: Object) -> Object:
    """A copy that may be changed; only the entries, which never change, are shared with the original."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return copy.deepcopy(obj)
    rest = {name: value for name, value in metadata.items() if name != "managedFields"}
    result = copy.deepcopy({**obj, "metadata": rest})
    result["metadata"]["managedFields"] = metadata["managedFields"]
    return result


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
