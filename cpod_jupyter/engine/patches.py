"""The patch types: JSON Patch (RFC 6902), merge patch (RFC 7396), strategic merge patch (Kubernetes)."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import jsonpointer

from cpod_jupyter.api.resources import Object
from cpod_jupyter.errors import BadRequest, Invalid, UnsupportedMediaType

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

_MERGE_KEYS = {
    "containers": "name", "initContainers": "name", "ephemeralContainers": "name", "env": "name",
    "volumes": "name", "volumeMounts": "mountPath", "volumeDevices": "devicePath", "imagePullSecrets": "name",
    "ports": "port", "conditions": "type", "addresses": "type", "ownerReferences": "uid", "hostAliases": "ip",
    "secrets": "name", "taints": "key", "topologySpreadConstraints": "topologyKey", "podIPs": "ip",
}  # fmt: skip
"""Lists of the built-in types that merge by a key (their `x-kubernetes-patch-merge-key`)."""
_PRIMITIVE_MERGED = {"finalizers"}


def patched(obj: Object, content_type: str, patch: Any, *, built_in: bool) -> Object:
    """The object with a patch applied; the object itself stays as it was.

    Raises BadRequest, Invalid or UnsupportedMediaType, as the API server answers.
    """
    if content_type == JSON_PATCH:
        return _json_patched(obj, patch)
    accepted = [JSON_PATCH, MERGE_PATCH, *([STRATEGIC_PATCH] if built_in else [])]
    if content_type not in accepted:
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
        )
    if not isinstance(patch, dict):
        raise BadRequest(f"a patch of type {content_type} must be a JSON object, not {type(patch).__name__}")
    merged = merge(obj, patch) if content_type == MERGE_PATCH else _strategic(obj, patch)
    assert isinstance(merged, dict)
    return merged


def _json_patched(obj: Object, patch: Any) -> Object:
    if not isinstance(patch, list):
        raise BadRequest("a JSON patch must be a list of operations")
    try:
        result = jsonpatch.apply_patch(obj, patch, in_place=False)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise Invalid(f"the server rejected our request due to an error in our request: {error}") from error
    except (TypeError, KeyError, AttributeError) as error:
        raise BadRequest(f"the JSON patch is malformed: {error!r}") from error
    if not isinstance(result, dict):
        raise Invalid("the JSON patch leaves something that is not an object")
    return result


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def _strategic(target: Any, patch: dict[str, Any]) -> Any:
    """Kubernetes' strategic merge patch, with its directives."""
    directive = patch.get("$patch")
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != "$patch"}
    if directive == "delete":
        return {}
    result = dict(target) if isinstance(target, dict) else {}
    kept = patch.get("$retainKeys")
    if isinstance(kept, list):
        result = {name: value for name, value in result.items() if name in kept}
    for name, value in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            field = name.split("/", 1)[1]
            result[field] = [item for item in result.get(field) or [] if item not in value]
        elif name.startswith("$"):
            continue
        elif value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = _strategic(result.get(name), value)
        elif isinstance(value, list):
            result[name] = _strategic_list(name, result.get(name), value)
        else:
            result[name] = value
    for name, order in patch.items():
        if name.startswith("$setElementOrder/") and isinstance(order, list):
            _reorder(result, name.split("/", 1)[1], order)
    return result


def _merge_key(name: str, items: list[Any]) -> str | None:
    if name == "ports" and any(isinstance(item, dict) and "containerPort" in item for item in items):
        return "containerPort"
    return _MERGE_KEYS.get(name)


def _strategic_list(name: str, old: Any, patch: list[Any]) -> list[Any]:
    current = list(old) if isinstance(old, list) else []
    if name in _PRIMITIVE_MERGED:
        return [*current, *(item for item in patch if item not in current)]
    key = _merge_key(name, [*current, *patch])
    if key is None or any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if not (isinstance(item, dict) and "$patch" in item)]
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise BadRequest(f"the patch's list {name!r} has an item without the merge key {key!r}")
        found = next((index for index, have in enumerate(current) if have.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            current = [have for have in current if have.get(key) != item[key]]
        elif found is None:
            current.append(_strategic({}, item))
        else:
            current[found] = _strategic(current[found], item)
    return current


def _reorder(result: dict[str, Any], name: str, order: list[Any]) -> None:
    items = result.get(name)
    if not isinstance(items, list):
        return
    key = _merge_key(name, items)
    wanted = [item.get(key) if isinstance(item, dict) and key else item for item in order]
    ranks = {repr(value): index for index, value in enumerate(wanted)}
    items.sort(key=lambda item: ranks.get(repr(item.get(key) if isinstance(item, dict) and key else item), len(ranks)))
