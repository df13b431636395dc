"""Discovery and OpenAPI: which kinds are served, with which verbs, and what they look like."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from cpod_jupyter.engine.kinds import Kinds, ServedKind
from cpod_jupyter.errors import NotFound

VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0+cpod",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "cpod-jupyter",
    "platform": "linux/amd64",
}
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def group_versions(kinds: Kinds) -> dict[str, list[str]]:
    """Group → versions, the preferred first."""
    found: dict[str, list[str]] = {}
    for kind in sorted(kinds.all(), key=lambda kind: (not kind.preferred, kind.resource.version)):
        versions = found.setdefault(kind.resource.group, [])
        if kind.resource.version not in versions:
            versions.append(kind.resource.version)
    return found


def group(name: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def api_versions() -> dict[str, Any]:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_list(kinds: Kinds) -> dict[str, Any]:
    groups = [group(name, versions) for name, versions in sorted(group_versions(kinds).items()) if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def one_group(kinds: Kinds, name: str) -> dict[str, Any]:
    versions = group_versions(kinds).get(name)
    if not name or not versions:
        raise NotFound("the server could not find the requested resource")
    return {"kind": "APIGroup", "apiVersion": "v1", **group(name, versions)}


def resource_list(kinds: Kinds, group_name: str, version: str) -> dict[str, Any]:
    found = _of(kinds, group_name, version)
    entries: list[dict[str, Any]] = []
    for kind in found:
        resource = kind.resource
        entry: dict[str, Any] = {
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": _VERBS,
        }
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        entries.append(entry)
        for subresource, verbs in _subresources(kind).items():
            entries.append(
                {
                    "name": f"{resource.plural}/{subresource}",
                    "singularName": "",
                    "namespaced": resource.namespaced,
                    "kind": resource.kind,
                    "verbs": verbs,
                }
            )
    name = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": entries}


def _of(kinds: Kinds, group_name: str, version: str) -> list[ServedKind]:
    found = [kind for kind in kinds.all() if (kind.resource.group, kind.resource.version) == (group_name, version)]
    if not found:
        raise NotFound("the server could not find the requested resource")
    return found


def _subresources(kind: ServedKind) -> dict[str, list[str]]:
    found = {"status": ["get", "patch", "update"]} if kind.has_status else {}
    if kind.key == "/pods":
        found["log"] = ["get"]
    if kind.key == "/services":
        found["proxy"] = ["create", "delete", "get", "patch", "update"]
    return found


def openapi_index(kinds: Kinds) -> dict[str, Any]:
    """/openapi/v3: a document for each group and version; its hash changes when a definition does."""
    paths = {}
    for name, versions in group_versions(kinds).items():
        for version in versions:
            path = f"apis/{name}/{version}" if name else f"api/{version}"
            digest = hashlib.sha256(f"{path} {kinds.generation}".encode()).hexdigest()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest[:32]}"}
    return {"paths": paths}


def openapi_document(kinds: Kinds, group_name: str, version: str) -> dict[str, Any]:
    """The OpenAPI v3 document of one group and version: paths with their kinds, and the kinds' schemas."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for kind in _of(kinds, group_name, version):
        resource = kind.resource
        gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        reversed_group = ".".join(reversed((resource.group or "core").split(".")))
        name = f"{reversed_group}.{resource.version}.{resource.kind}"
        schemas[name] = {**_whole(kind), "x-kubernetes-group-version-kind": [gvk]}
        namespace = "{namespace}" if resource.namespaced else None
        paths[resource.path(namespace)] = _operations(("get", "list"), ("post", "post"), gvk=gvk, name=name)
        paths[resource.path(namespace, "{name}")] = _operations(
            ("get", "get"), ("put", "put"), ("patch", "patch"), ("delete", "delete"), gvk=gvk, name=name
        )
    return {
        "openapi": "3.0.0",
        "info": {"title": "cpod-jupyter engine", "version": VERSION["gitVersion"]},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _whole(kind: ServedKind) -> dict[str, Any]:
    schema: Mapping[str, Any] = kind.schema
    return {key: value for key, value in schema.items() if key != "required"}


def _operations(*verbs: tuple[str, str], gvk: dict[str, str], name: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{name}"}
    operations: dict[str, Any] = {}
    for method, action in verbs:
        parameters = [{"name": query, "in": "query", "schema": {"type": "string"}} for query in _query(method)]
        operations[method] = {
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk,
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
        }
    return operations


def _query(method: str) -> tuple[str, ...]:
    if method == "get":
        return ("fieldSelector", "labelSelector")
    return ("dryRun", "fieldManager", "fieldValidation") if method != "delete" else ("dryRun",)
