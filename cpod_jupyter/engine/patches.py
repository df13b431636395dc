"""The patch types: JSON Patch (RFC 6902), merge patch (RFC 7396), and Kubernetes' strategic merge patch."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import jsonpointer

from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Schema
from cpod_jupyter.engine.strategic import strategic_merge
from cpod_jupyter.errors import BadRequest, Invalid, UnsupportedMediaType

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_NO_SCHEMA: Schema = {}


def patched(obj: Object, content_type: str, patch: Any, *, built_in: bool, schema: Schema = _NO_SCHEMA) -> Object:
    """The object with a patch applied; the object itself stays as it was.

    Raises BadRequest, Invalid or UnsupportedMediaType, as the API server answers.
    """
    if content_type == JSON_PATCH:
        return _json_patched(obj, patch)
    if content_type not in (MERGE_PATCH, STRATEGIC_PATCH) or (content_type == STRATEGIC_PATCH and not built_in):
        accepted = [JSON_PATCH, MERGE_PATCH, *([STRATEGIC_PATCH] if built_in else []), APPLY_PATCH]
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
        )
    if not isinstance(patch, dict):
        raise BadRequest(f"a patch of type {content_type} must be a JSON object, not {type(patch).__name__}")
    merged = merge(obj, patch) if content_type == MERGE_PATCH else strategic_merge(schema, obj, patch)
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
