"""Server-side apply: what an object is after a configuration is applied to it, who owns what, and what conflicts.

The steps are those of structured-merge-diff (merge/update.go) and of apimachinery's util/managedfields; by what a
schema merges is said in merging.py.
"""

from __future__ import annotations

import json
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Schema
from cpod_jupyter.engine import merging
from cpod_jupyter.engine.fieldsets import Fields, compare, difference, fields_of, intersection, paths, shared, union
from cpod_jupyter.engine.managers import (
    APPLY,
    UPDATE,
    Entry,
    Writer,
    differences,
    entries_of,
    in_order,
    owned_part,
    without_metadata_itself,
)
from cpod_jupyter.errors import ApiError, BadRequest, Conflict

BEFORE_FIRST_APPLY = "before-first-apply"
"""Who owns what an object had when it was applied to and nobody owned anything."""
_KUBECTL = "kubectl"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_ITSELF: Fields = {"f:metadata": {".": {}, "f:name": {}}}
"""What every configuration sets, though nobody owns it."""


def applied(
    schema: Schema, live: Object | None, config: Object, writer: Writer, has_status: bool, force: bool
) -> tuple[Object, list[Entry]]:
    """The object with the configuration applied, and its entries; `live` is None when it is to be created.

    Raises BadRequest for a configuration that may not be applied, Conflict when it would change what others own and
    `force` is not given, ApiError when it does not fit the schema.
    """
    _check_fits(schema, config, writer)
    base = live or {name: config[name] for name in ("apiVersion", "kind")}
    part = owned_part(schema, config, writer.subresource, has_status)
    fields = without_metadata_itself(fields_of(schema, part))
    entries = entries_of(live)
    if live is not None and not entries and fields:
        found = differences(schema, {}, live, "", False)[0]
        entries = [Writer(BEFORE_FIRST_APPLY, writer.api_version).entry(UPDATE, found, meta.now())]
    last: Fields = next((entry["fieldsV1"] for entry in entries if writer.owns(entry, APPLY)), {})
    others = [entry for entry in entries if not writer.owns(entry, APPLY)]
    new = {**base, **merging.merged(schema, {name: value for name, value in base.items() if name in part}, part)}
    owned = union(fields, _ITSELF)
    for entry in others:
        owned = union(owned, entry["fieldsV1"])
    if difference(last, fields):
        new = merging.pruned_by_owner(schema, new, last, owned)
        pruned = {name: value for name, value in new.items() if name in part}
        new = {**new, **merging.merged(schema, pruned, part)}  # what lost its parts and is applied as empty
    if live is None:
        new["metadata"] = {**new.get("metadata", {}), **config["metadata"]}
    changed, removed = differences(schema, base, new, writer.subresource, has_status)
    kept: list[Entry] = []
    conflicts: list[tuple[Entry, Fields]] = []
    for entry in others:
        if conflict := intersection(entry["fieldsV1"], changed):
            conflicts.append((entry, conflict))
        left = difference(difference(entry["fieldsV1"], conflict), removed)
        if left:
            kept.append(entry if left == entry["fieldsV1"] else {**entry, "fieldsV1": shared(left)})
    if conflicts and not force:
        _refuse(schema, live or {}, conflicts, writer)
    if fields:
        kept.append(writer.entry(APPLY, fields, meta.now()))
    return _with_last_applied(new, config, live, writer), in_order(kept)


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
    if found := merging.faults(schema, config):
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
    part = owned_part(schema, last, "", False)
    changed, removed = compare(schema, part, owned_part(schema, live, "", False))
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
