"""The shape in which an answer is asked for: the object, a Table, or its metadata alone (API concepts,
"Alternate representations of resources")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.http.tables import partial, table
from cpod_jupyter.engine.kinds import ServedKind

_TYPE = ("kind", "apiVersion")


def asked_shape(request: web.Request) -> str:
    """What the Accept header asks for: Table, PartialObjectMetadata(List), or nothing."""
    for choice in request.headers.get("Accept", "").split(","):
        parameters = dict(part.strip().split("=", 1) for part in choice.split(";")[1:] if "=" in part)
        if parameters.get("g") == "meta.k8s.io" and parameters.get("v") == "v1" and "as" in parameters:
            return parameters["as"]
        if choice.split(";")[0].strip() in ("application/json", "*/*"):
            return ""
    return ""


def shown(request: web.Request, kind: ServedKind, obj: Object, *, head: bool = True) -> Object:
    """One object in the shape asked for; `head` is whether a Table defines its columns."""
    shape = asked_shape(request)
    if shape == "Table":
        include = request.query.get("includeObject", "Metadata")
        return table(kind, [obj], {"resourceVersion": obj["metadata"]["resourceVersion"]}, include, head=head)
    return partial(obj) if shape == "PartialObjectMetadata" else obj


def shown_list(request: web.Request, kind: ServedKind, items: Iterable[Object], metadata: dict[str, Any]) -> Object:
    """A list in the shape asked for."""
    shape = asked_shape(request)
    if shape == "Table":
        return table(kind, items, metadata, request.query.get("includeObject", "Metadata"), head=True)
    if shape == "PartialObjectMetadataList":
        partials = [partial(obj) for obj in items]
        return {"kind": shape, "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": partials}
    resource = kind.resource
    if kind.built_in:  # Go leaves the type of a typed list's items out
        items = [{name: value for name, value in obj.items() if name not in _TYPE} for obj in items]
    return {
        "kind": resource.list_kind,
        "apiVersion": resource.api_version,
        "metadata": metadata,
        "items": list(items),
    }
