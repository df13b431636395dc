"""The subresource `scale`: how many replicas an object has and should have (autoscaling/v1, Scale)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.http.paths import Target
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.patches import patched
from cpod_jupyter.engine.selectors import selector_text
from cpod_jupyter.errors import BadRequest, Invalid, NotFound

_DETAILS = {"group": "autoscaling", "kind": "Scale"}
_KEPT = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def get_scale(objects: Objects, target: Target) -> Object:
    """Raises NotFound, also for a kind that has no scale."""
    return _scale(_paths(target), objects.get(target.kind, target.scope, str(target.name)))


def update_scale(objects: Objects, target: Target, scale: Any, *, dry_run: bool, manager: str) -> Object:
    """Replace the scale; with a resourceVersion only if the object is still of that. Raises ApiError."""
    paths = _paths(target)
    replicas, metadata = _checked(target, scale)
    with objects.store.lock:
        old = objects.get(target.kind, target.scope, str(target.name))
        new = _with(old, paths["specReplicasPath"], replicas)
        wanted = metadata.get("resourceVersion")
        new["metadata"] = {**new["metadata"], **({"resourceVersion": wanted} if wanted else {})}
        name = str(target.name)
        return _scale(paths, objects.update(target.kind, target.scope, name, new, dry_run=dry_run, manager=manager))


def patch_scale(
    objects: Objects, target: Target, content_type: str, patch: Any, *, dry_run: bool, manager: str
) -> Object:
    """Patch the scale, in the patch types of built-in kinds. Raises ApiError."""
    with objects.store.lock:
        before = get_scale(objects, target)
        after = patched(before, content_type, patch, schema={"type": "object"}, built_in=True)
        return update_scale(objects, target, after, dry_run=dry_run, manager=manager)


def _paths(target: Target) -> Mapping[str, str]:
    if not target.kind.scale:
        raise NotFound("the server could not find the requested resource")
    return target.kind.scale


def _checked(target: Target, scale: Any) -> tuple[int, Mapping[str, Any]]:
    if not isinstance(scale, dict) or scale.get("kind", "Scale") != "Scale":
        raise BadRequest("the body of the request must be a Scale")
    metadata, spec = scale.get("metadata") or {}, scale.get("spec") or {}
    if not isinstance(metadata, dict) or not isinstance(spec, dict):
        raise BadRequest("metadata and spec of a Scale must be objects")
    if metadata.get("name", target.name) != target.name:
        raise BadRequest(f"the name of the object ({metadata['name']}) does not match the URL ({target.name})")
    replicas = spec.get("replicas") or 0
    if isinstance(replicas, bool) or not isinstance(replicas, int) or not 0 <= replicas < 2**31:
        text = f"Invalid value: {replicas!r}: must be greater than or equal to 0"
        cause = {"reason": "FieldValueInvalid", "message": text, "field": "spec.replicas"}
        raise Invalid(
            f'Scale.autoscaling "{target.name}" is invalid: spec.replicas: {text}',
            {"name": target.name, **_DETAILS, "causes": [cause]},
        )
    return replicas, metadata


def _scale(paths: Mapping[str, str], obj: Object) -> Object:
    metadata = {key: obj["metadata"][key] for key in _KEPT if key in obj["metadata"]}
    status: dict[str, Any] = {"replicas": _at(obj, paths["statusReplicasPath"]) or 0}
    if selector := selector_text(_at(obj, paths.get("labelSelectorPath", ""))):
        status["selector"] = selector
    replicas = _at(obj, paths["specReplicasPath"])
    spec = {} if replicas is None else {"replicas": replicas}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}


def _at(obj: Any, path: str) -> Any:
    """The value at a path such as `.spec.replicas`."""
    for part in filter(None, path.split(".")):
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj if path else None


def _with(obj: Object, path: str, value: int) -> Object:
    new = copy.deepcopy(obj)
    place: Any = new
    *parents, last = filter(None, path.split("."))
    for part in parents:
        place = place.setdefault(part, {})
    if not isinstance(place, dict):
        raise Invalid(f"{meta.name_of(obj)} has no object where {path} should be")
    place[last] = value
    return new
