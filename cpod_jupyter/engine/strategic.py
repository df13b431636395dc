"""Strategic merge patches, by the patch strategies and merge keys of the schema.

The rules are those of Kubernetes' "Strategic merge patch" (sig-api-machinery, and apimachinery's strategicpatch):
lists with the strategy `merge` merge by their key, others are replaced; directives in the patch say `$patch`
(replace, delete), `$retainKeys`, `$deleteFromPrimitiveList/FIELD` and `$setElementOrder/FIELD`.
"""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api.liststructure import PATCH_MERGE_KEY, PATCH_STRATEGY
from cpod_jupyter.api.schema import Schema
from cpod_jupyter.engine.fieldsets import child_schema
from cpod_jupyter.errors import BadRequest, Invalid

_ANY: Schema = {}
_PATCH = "$patch"
_RETAIN = "$retainKeys"
_DELETE = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def strategic_merge(schema: Schema, target: Any, patch: dict[str, Any]) -> Any:
    """The target with the patch merged into it; neither is changed. Raises BadRequest or Invalid for a bad patch."""
    directive = patch.get(_PATCH)
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != _PATCH}
    if directive == "delete":
        return {}
    if directive is not None:
        raise BadRequest(f"the patch's directive $patch: {directive} is not known; there are replace and delete")
    result = dict(target) if isinstance(target, dict) else {}
    if _RETAIN in patch:
        result = _retained(result, patch)
    for name, value in patch.items():
        if name.startswith(_DELETE):
            field = name.removeprefix(_DELETE)
            if not isinstance(value, list):
                raise BadRequest(f"the patch's {name} must be a list of values")
            result[field] = [item for item in result.get(field) or [] if item not in value]
        elif name.startswith("$"):
            continue
        elif value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(child_schema(schema, name), name, result.get(name), value)
    for name, order in patch.items():
        if name.startswith(_ORDER):
            field = name.removeprefix(_ORDER)
            before = target.get(field) if isinstance(target, dict) else None
            _set_order(child_schema(schema, field), result, field, order, before or [], patch.get(field) or [])
    return result


def _merged(schema: Schema, name: str, old: Any, value: Any) -> Any:
    if isinstance(value, dict):
        if "replace" in schema.get(PATCH_STRATEGY, ""):
            old = {}
        return strategic_merge(schema, old, value)
    if isinstance(value, list):
        return _merged_list(schema, name, old if isinstance(old, list) else [], value)
    return value


def _retained(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    kept = patch[_RETAIN]
    if not isinstance(kept, list):
        raise BadRequest("the patch's $retainKeys must be a list of field names")
    if unlisted := sorted(name for name in patch if not name.startswith("$") and name not in kept):
        raise Invalid(f"the patch sets {', '.join(unlisted)}, which its $retainKeys does not name")
    return {name: value for name, value in target.items() if name in kept}


def _merged_list(schema: Schema, name: str, old: list[Any], patch: list[Any]) -> list[Any]:
    plain = [item for item in patch if not (isinstance(item, dict) and _PATCH in item)]
    if "merge" not in schema.get(PATCH_STRATEGY, "") or _replaces(patch):
        return plain
    key = schema.get(PATCH_MERGE_KEY)
    if key is None:
        result = list(old)
        result.extend(item for item in patch if item not in result)
        return result
    item_schema = schema.get("items") or _ANY
    result = list(old)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise BadRequest(f"the patch's list {name!r} has an item without the merge key {key!r}")
        directive = item.get(_PATCH)
        if directive == "delete":
            result = [have for have in result if have.get(key) != item[key]]
        elif directive is not None:
            raise BadRequest(f"the patch's list {name!r} has the directive $patch: {directive}, which is not known")
        else:
            found = next((index for index, have in enumerate(result) if have.get(key) == item[key]), None)
            if found is None:
                result.append(strategic_merge(item_schema, {}, item))
            else:
                result[found] = strategic_merge(item_schema, result[found], item)
    return result


def _replaces(patch: list[Any]) -> bool:
    return any(isinstance(item, dict) and item.get(_PATCH) == "replace" for item in patch)


def _set_order(
    schema: Schema, result: dict[str, Any], field: str, order: Any, before: list[Any], patch: list[Any]
) -> None:
    """Put a merged list into the order that the patch wants; items that it does not name stay before those which they
    were before in the object."""
    items = result.get(field)
    if not isinstance(items, list) or _replaces(patch):
        return
    if not isinstance(order, list):
        raise BadRequest(f"the patch's $setElementOrder/{field} must be a list")
    key = schema.get(PATCH_MERGE_KEY)

    def identity(item: Any) -> str:
        return repr(item.get(key) if isinstance(item, dict) and key else item)

    ranks = {identity(item): rank for rank, item in enumerate(order)}
    for item in patch:
        if not (isinstance(item, dict) and _PATCH in item) and identity(item) not in ranks:
            raise BadRequest(f"the patch's list {field!r} has an item that its $setElementOrder/{field} does not name")
    places = {identity(item): place for place, item in enumerate(before)}
    named = sorted((item for item in items if identity(item) in ranks), key=lambda item: ranks[identity(item)])
    others = sorted(
        (item for item in items if identity(item) not in ranks),
        key=lambda item: places.get(identity(item), len(places)),
    )
    ordered: list[Any] = []
    for item in named:
        while others and identity(item) in places and places[identity(others[0])] < places[identity(item)]:
            ordered.append(others.pop(0))
        ordered.append(item)
    result[field] = ordered + others
