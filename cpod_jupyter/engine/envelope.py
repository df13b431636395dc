"""What every object has: type, name, namespace and the metadata that is the server's (API conventions, "Metadata")."""

from __future__ import annotations

import random
import re
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Problem
from cpod_jupyter.engine.failures import details_of, invalid
from cpod_jupyter.engine.kinds import ServedKind
from cpod_jupyter.errors import BadRequest, Conflict

_LABEL_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_NAMED = {"/namespaces", "/services"}
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


def generated_name(metadata: dict[str, Any]) -> str:
    return str(metadata["generateName"]) + "".join(random.choices(_SUFFIX, k=5))


def content(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key not in ("metadata", "status", "apiVersion")}


def checked_envelope(kind: ServedKind, obj: Object, namespace: str) -> Object:
    """The object with apiVersion, kind, metadata and namespace as the URL has them, or a refusal."""
    if not isinstance(obj, dict):
        raise BadRequest("the body of the request must be a JSON object")
    resource = kind.resource
    for field, wanted in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        if obj.get(field) and obj[field] != wanted:
            raise BadRequest(f"the {field} in the data ({obj[field]}) does not match the expected {field} ({wanted})")
    metadata = obj.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise BadRequest("metadata must be an object")
    metadata = {name: value for name, value in (metadata or {}).items() if value is not None}
    if resource.namespaced:
        if metadata.get("namespace") and metadata["namespace"] != namespace:
            raise BadRequest(
                f"the namespace of the provided object does not match the namespace sent on the request "
                f"({metadata['namespace']} and {namespace})"
            )
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    for field in ("resourceVersion", "uid"):
        if metadata.get(field) == "":
            del metadata[field]
    rest = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind", "metadata")}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **rest}


def check_name(kind: ServedKind, name: str | None) -> None:
    path = ("metadata", "name")
    if not name:
        raise invalid(kind, "", [Problem(path, "FieldValueRequired", "name or generateName is required")])
    pattern, limit, what = meta.NAME_PATTERN, 253, "a lowercase RFC 1123 subdomain"
    if kind.key in _LABEL_NAMED:
        pattern, limit, what = _LABEL_NAME, 63, "a lowercase RFC 1123 label"
    if kind.key.startswith("rbac.authorization.k8s.io/"):
        return
    if not pattern.fullmatch(name) or len(name) > limit:
        text = f"must be {what}: lower-case letters, digits and '-', at most {limit} characters; {name!r} is not"
        raise invalid(kind, name, [Problem(path, "FieldValueInvalid", text)])


def kept_metadata(kind: ServedKind, old: Object, metadata: dict[str, Any]) -> dict[str, Any]:
    """The new metadata with what a client may not change put back."""
    before = old["metadata"]
    result = {name: value for name, value in metadata.items() if value is not None}
    if result.get("uid") and result["uid"] != before["uid"]:
        raise Conflict(
            f"Precondition failed: UID in precondition: {result['uid']}, UID in object meta: {before['uid']}",
            details_of(kind, meta.name_of(old)),
        )
    for field in (
        "uid", "name", "namespace", "creationTimestamp", "generation", "resourceVersion", "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ):  # fmt: skip
        if field in before:
            result[field] = before[field]
        else:
            result.pop(field, None)
    if before.get("deletionTimestamp"):
        added = set(result.get("finalizers") or []) - set(before.get("finalizers") or [])
        if added:
            text = f"no new finalizers can be added if the object is being deleted, found {sorted(added)}"
            raise invalid(kind, meta.name_of(old), [Problem(("metadata", "finalizers"), "FieldValueForbidden", text)])
    return result
