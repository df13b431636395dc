"""OpenAPI: what the served kinds look like, as version 3 documents for each group and version, and as one of version 2.

kubectl explains kinds from these, and finds in them that the server checks fields (`fieldValidation`).
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from cpod_jupyter.api.model import kubernetes_schema
from cpod_jupyter.api.resources import Resource
from cpod_jupyter.api.usage import POD_METRICS
from cpod_jupyter.engine.http.discovery import VERSION, group_versions
from cpod_jupyter.engine.http.reviews import REVIEWS
from cpod_jupyter.engine.kinds import Kinds, ServedKind
from cpod_jupyter.errors import NotFound

_GVK = "x-kubernetes-group-version-kind"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_CRD_PACKAGE = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions"
_INFO = {"title": "cpod-jupyter engine", "version": VERSION["gitVersion"]}
_WRITES = ("dryRun", "fieldManager", "fieldValidation")
_QUERIES = {
    "get": ("pretty",),
    "list": ("continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "timeoutSeconds", "watch"),
    "post": _WRITES,
    "put": _WRITES,
    "patch": (*_WRITES, "force"),
    "delete": ("dryRun", "gracePeriodSeconds", "propagationPolicy"),
}

Document = dict[str, Any]


def index(kinds: Kinds) -> Document:
    """/openapi/v3: a document for each group and version; its hash changes when a definition does."""
    paths = {}
    for name, versions in group_versions(kinds).items():
        if name == POD_METRICS.group:
            continue  # only read: nobody writes it from a schema
        for version in versions:
            path = f"apis/{name}/{version}" if name else f"api/{version}"
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest(kinds, path)}"}
    return {"paths": paths}


def digest(kinds: Kinds, path: str) -> str:
    """What changes when a document does: kubectl keeps documents by it."""
    parts = path.split("/")
    group_name = parts[1] if parts[0] == "apis" else ""
    own = any(kind.built_in for kind in kinds.all() if kind.resource.group == group_name)
    changes = 0 if own else kinds.generation
    return hashlib.sha256(f"{VERSION['gitVersion']} {path} {changes}".encode()).hexdigest()[:32].upper()


def version3(kinds: Kinds, group_name: str, version: str) -> Document:
    """The OpenAPI v3 document of one group and version. Raises NotFound."""
    chosen = [kind for kind in kinds.all() if (kind.resource.group, kind.resource.version) == (group_name, version)]
    reviews = [item for item in REVIEWS if (item.group, item.version) == (group_name, version)]
    if not chosen and not reviews:
        raise NotFound("the server could not find the requested resource")
    names = _Names("#/components/schemas/")
    paths, schemas = _contents(chosen, reviews, names)
    for path in paths.values():
        for method, operation in path.items():
            if method == "parameters":
                path[method] = [_parameter(item) for item in operation]
            else:
                _as_version3(operation)
    return {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": {"schemas": schemas}}


def version2(kinds: Kinds) -> Document:
    """The one OpenAPI v2 (swagger) document of everything."""
    names = _Names("#/definitions/")
    paths, schemas = _contents(kinds.all(), list(REVIEWS), names)
    return {"swagger": "2.0", "info": _INFO, "paths": paths, "definitions": schemas}


class _Names:
    """The schemas' names, as upstream has them, and references to them."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def of(self, resource: Resource, *, built_in: bool) -> str:
        group, version, kind = resource.group, resource.version, resource.kind
        if not built_in:
            return f"{'.'.join(reversed(group.split('.')))}.{version}.{kind}"
        package = _CRD_PACKAGE if group == "apiextensions.k8s.io" else f"io.k8s.api.{group.split('.')[0] or 'core'}"
        return f"{package}.{version}.{kind}"

    def reference(self, name: str) -> dict[str, str]:
        return {"$ref": self._prefix + name}


def _contents(kinds: list[ServedKind], reviews: list[Resource], names: _Names) -> tuple[Document, Document]:
    paths: Document = {}
    schemas: Document = {}
    versions = sorted({(kind.resource.group, kind.resource.version) for kind in kinds})
    for kind in kinds:
        name = names.of(kind.resource, built_in=kind.built_in)
        gvk = _gvk(kind.resource)
        schemas[name] = {**_whole(kind), _GVK: [gvk]}
        schemas[f"{name}List"] = _list_schema(kind.resource, names.reference(name), names)
        paths.update(_paths(kind.resource, names.reference(name), names.reference(f"{name}List"), gvk))
        if kind.has_status:
            path = kind.resource.path("{namespace}", "{name}", "status")
            paths[path] = _operations(path, names.reference(name), gvk, ("get", "put", "patch"))
    for resource in reviews:
        name = names.of(resource, built_in=True)
        schemas[name] = {**kubernetes_schema(f"V1{resource.kind}"), _GVK: [_gvk(resource)]}
        path = resource.path("{namespace}")
        paths[path] = _operations(path, names.reference(name), _gvk(resource), ("post",))
    schemas.update(_meta_schemas(versions))
    return paths, _public(schemas)


def _public(value: Any) -> Any:
    """Schemas without this project's own marks in them."""
    if isinstance(value, Mapping):
        return {key: _public(item) for key, item in value.items() if not str(key).startswith("x-cpod-")}
    return [_public(item) for item in value] if isinstance(value, list) else value


def _gvk(resource: Resource, suffix: str = "") -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind + suffix}


def _whole(kind: ServedKind) -> Document:
    schema: Mapping[str, Any] = kind.schema
    return {key: value for key, value in schema.items() if key != "required"}


def _list_schema(resource: Resource, item: dict[str, str], names: _Names) -> Document:
    return {
        "type": "object",
        "description": f"{resource.kind}List is a list of {resource.kind}.",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": names.reference(f"{_META}ListMeta"),
            "items": {"type": "array", "items": item},
        },
        _GVK: [_gvk(resource, "List")],
    }


@functools.cache
def _meta_schema(name: str) -> Document:
    return kubernetes_schema(name)


def _meta_schemas(versions: list[tuple[str, str]]) -> Document:
    """What every group has besides its kinds: the options of a delete, and the answer that is no object."""
    options = [{"group": group, "version": version, "kind": "DeleteOptions"} for group, version in versions]
    return {
        f"{_META}DeleteOptions": {**_meta_schema("V1DeleteOptions"), _GVK: options},
        f"{_META}ListMeta": _meta_schema("V1ListMeta"),
        f"{_META}Status": {**_meta_schema("V1Status"), _GVK: [{"group": "", "version": "v1", "kind": "Status"}]},
    }


def _paths(resource: Resource, one: Document, many: Document, gvk: dict[str, str]) -> Document:
    all_, name = resource.path("{namespace}"), resource.path("{namespace}", "{name}")
    paths = {
        all_: {**_operations(all_, many, gvk, ("list",)), **_operations(all_, one, gvk, ("post",))},
        name: _operations(name, one, gvk, ("get", "put", "patch", "delete")),
    }
    for path in paths:
        found = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        parameters = [{"name": part, "in": "path", "required": True, "type": "string"} for part in found]
        paths[path] = {**paths[path], "parameters": parameters}
    if resource.namespaced:
        paths[resource.path()] = _operations(resource.path(), many, gvk, ("list",))
    return paths


def _operations(path: str, result: Document, gvk: dict[str, str], actions: tuple[str, ...]) -> Document:
    """The operations of one path in the form of version 2."""
    operations: Document = {}
    for action in actions:
        parameters: list[Document] = [{"name": each, "in": "query", "type": "string"} for each in _QUERIES[action]]
        if action in ("post", "put", "patch"):
            parameters.append({"name": "body", "in": "body", "required": True, "schema": result})
        operations["get" if action == "list" else action] = {
            "x-kubernetes-action": action,
            _GVK: gvk,
            "operationId": action + re.sub(r"[/{}]+", "-", path).rstrip("-"),
            "consumes": ["application/json"],
            "produces": ["application/json"],
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "schema": result}},
        }
    return operations


def _as_version3(operation: Document) -> None:
    """Turn an operation of version 2 into one of version 3, in place."""
    parameters = operation["parameters"]
    del operation["consumes"], operation["produces"]
    operation["parameters"] = [_parameter(item) for item in parameters if item["in"] != "body"]
    for item in parameters:
        if item["in"] == "body":
            operation["requestBody"] = {"content": {"application/json": {"schema": item["schema"]}}, "required": True}
    for response in operation["responses"].values():
        response["content"] = {"application/json": {"schema": response.pop("schema")}}


def _parameter(item: Document) -> Document:
    return {**{key: value for key, value in item.items() if key != "type"}, "schema": {"type": item["type"]}}
