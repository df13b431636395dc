"""Discovery: which groups, kinds and subresources are served, in the plain form and in the aggregated one
(Kubernetes API concepts, "API discovery")."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from typing import Any

from cpod_jupyter.api.resources import Resource
from cpod_jupyter.engine.http.reviews import REVIEWS
from cpod_jupyter.engine.http.usage import METRICS
from cpod_jupyter.engine.kinds import Kinds, ServedKind
from cpod_jupyter.errors import NotFound
from cpod_jupyter.version import KUBERNETES

_MAJOR, _MINOR = re.findall(r"\d+", KUBERNETES)[:2]
VERSION = {
    "major": _MAJOR,
    "minor": _MINOR,
    "gitVersion": KUBERNETES,
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "cpod-jupyter",
    "platform": f"{platform.system().lower()}/{'arm64' if platform.machine() == 'aarch64' else 'amd64'}",
}
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
_VERSIONS, _LIST = ("v2", "v2beta1"), "APIGroupDiscoveryList"
_CONVERSATION = ["create", "get"]
_CHANGED = ["get", "patch", "update"]
_PROXIED = ["create", "delete", "get", "patch", "update"]

Entry = dict[str, Any]
"""An APIResource."""


def version_priority(version: str) -> tuple[int, int, int]:
    """For sorting versions, the preferred first: v2, v1, v1beta2, v1beta1, v1alpha1
    (Kubernetes, "Versions in CustomResourceDefinitions", "Version priority")."""
    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if match is None:
        return (3, 0, 0)
    stability = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (stability, -int(match[1]), -int(match[3] or 0))


def group_versions(kinds: Kinds) -> dict[str, list[str]]:
    """Group → versions, the preferred first; Kubernetes' own groups before those of definitions."""
    found: dict[str, set[str]] = {resource.group: {resource.version} for resource in (*REVIEWS, *METRICS)}
    own = {resource.group for resource in (*REVIEWS, *METRICS)} | {
        kind.resource.group for kind in kinds.all() if kind.built_in
    }
    for kind in kinds.all():
        found.setdefault(kind.resource.group, set()).add(kind.resource.version)
    ordered = sorted(found, key=lambda name: (name not in own, name))
    return {name: sorted(found[name], key=version_priority) for name in ordered}


def serves(kinds: Kinds, group_name: str, resource: str) -> bool:
    """Whether a group serves a resource or subresource (`deployments/scale`), in any version."""
    versions = group_versions(kinds).get(group_name, [])
    return any(entry["name"] == resource for version in versions for entry in _entries(kinds, group_name, version))


# ---- the plain form


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def api_versions() -> dict[str, Any]:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_list(kinds: Kinds) -> dict[str, Any]:
    groups = [_group(name, versions) for name, versions in group_versions(kinds).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def one_group(kinds: Kinds, name: str) -> dict[str, Any]:
    """Raises NotFound for a group that is not served."""
    versions = group_versions(kinds).get(name)
    if not name or not versions:
        raise NotFound("the server could not find the requested resource")
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def resource_list(kinds: Kinds, group_name: str, version: str) -> dict[str, Any]:
    """Raises NotFound for a version that is not served."""
    entries = _entries(kinds, group_name, version)
    if not entries:
        raise NotFound("the server could not find the requested resource")
    name = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": entries}


def _entries(kinds: Kinds, group_name: str, version: str) -> list[Entry]:
    here = (group_name, version)
    entries = [_entry(item, ["create"]) for item in REVIEWS if (item.group, item.version) == here]
    entries += [_entry(item, ["get", "list"]) for item in METRICS if (item.group, item.version) == here]
    for kind in kinds.all():
        if (kind.resource.group, kind.resource.version) == here:
            entries += [_entry(kind.resource, _VERBS), *_subresources(kind)]
    return entries


def _entry(resource: Resource, verbs: list[str]) -> Entry:
    entry: Entry = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": verbs,
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _subresources(kind: ServedKind) -> list[Entry]:
    found: dict[str, Entry] = {"status": {"verbs": _CHANGED}} if kind.has_status else {}
    if kind.scale:
        found["scale"] = {"group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": _CHANGED}
    if kind.key == "/pods":
        found["log"] = {"verbs": ["get"]}
        found["exec"] = {"kind": "PodExecOptions", "verbs": _CONVERSATION}
        found["attach"] = {"kind": "PodAttachOptions", "verbs": _CONVERSATION}
        found["portforward"] = {"kind": "PodPortForwardOptions", "verbs": _CONVERSATION}
        found["proxy"] = {"kind": "PodProxyOptions", "verbs": _PROXIED}
    if kind.key == "/services":
        found["proxy"] = {"kind": "ServiceProxyOptions", "verbs": _PROXIED}
    plain = {"singularName": "", "namespaced": kind.resource.namespaced, "kind": kind.resource.kind}
    return [{"name": f"{kind.resource.plural}/{name}", **plain, **entry} for name, entry in found.items()]


# ---- the aggregated form


def asked_version(accept: str) -> str:
    """The version of the aggregated form that an Accept header prefers to the plain form; else "".

    A client lists its choices in order, and expects the content type to say which one it got.
    """
    for choice in accept.split(","):
        media, *parameters = (part.strip() for part in choice.split(";"))
        asked = dict(part.split("=", 1) for part in parameters if "=" in part)
        if media == "application/json" and asked.get("as") is None:
            return ""
        named = (media, asked.get("g"), asked.get("as"))
        if (
            named == ("application/json", "apidiscovery.k8s.io", "APIGroupDiscoveryList")
            and asked.get("v") in _VERSIONS
        ):
            return asked["v"]
    return ""


def aggregated(kinds: Kinds, version: str, *, core: bool) -> tuple[str, str]:
    """The APIGroupDiscoveryList of the core group, or of all the others, as JSON, and its content type."""
    items = []
    for name, versions in group_versions(kinds).items():
        if core != (name == ""):
            continue
        listed = [
            {"version": each, "freshness": "Current", "resources": _discovered(kinds, name, each)} for each in versions
        ]
        items.append({"metadata": {"name": name, "creationTimestamp": None} if name else {}, "versions": listed})
    document = {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }
    return json.dumps(document, separators=(",", ":")) + "\n", _AGGREGATED.format(version)


def _discovered(kinds: Kinds, group_name: str, version: str) -> list[Entry]:
    found: dict[str, Entry] = {}
    for entry in _entries(kinds, group_name, version):
        name, _, subresource = entry["name"].partition("/")
        response = {
            "group": entry.get("group", group_name),
            "version": entry.get("version", version),
            "kind": entry["kind"],
        }
        if subresource:
            part = {"subresource": subresource, "responseKind": response, "verbs": entry["verbs"]}
            found[name].setdefault("subresources", []).append(part)
            continue
        found[name] = {
            "resource": name,
            "responseKind": response,
            "scope": "Namespaced" if entry["namespaced"] else "Cluster",
            "singularResource": entry["singularName"],
            "verbs": entry["verbs"],
            **{key: entry[key] for key in ("shortNames", "categories") if key in entry},
        }
    return list(found.values())


def tag(text: str) -> str:
    """The ETag of a document."""
    return hashlib.sha256(text.encode()).hexdigest()[:32].upper()
