"""The kinds that the engine serves: the built-in ones, and those of CustomResourceDefinitions."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cpod_jupyter.api import resources
from cpod_jupyter.api.model import built_in_schema, kubernetes_schema
from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.api.schema import Node
from cpod_jupyter.engine.events import EVENTS_V1
from cpod_jupyter.errors import Invalid, NotFound

_WITH_STATUS = {
    "namespaces",
    "nodes",
    "pods",
    "services",
    "persistentvolumeclaims",
    "persistentvolumes",
    "resourcequotas",
    "jobs",
    "deployments",
    "replicasets",
    "customresourcedefinitions",
}
_SCALED = {"deployments", "replicasets"}
_SCALE = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".spec.selector",
}
_UNCHECKED = {"CustomResourceDefinition": "its schema is recursive; `check_crd` looks at what matters"}


@dataclass(frozen=True)
class ServedKind:
    """One kind in one version, with what is needed to admit and to print its objects."""

    resource: Resource
    storage_version: str
    has_status: bool
    built_in: bool
    columns: tuple[Mapping[str, Any], ...] = ()
    own_schema: Mapping[str, Any] | None = None
    preferred: bool = True
    scale: Mapping[str, str] | None = None
    """Where the replicas are (CustomResourceSubresourceScale), of a kind that has the subresource."""
    stored_as: Resource | None = None
    """The kind in whose form the objects are kept, where that is another one."""

    @property
    def key(self) -> str:
        """The kind key of the store, the same for all versions."""
        stored = self.stored_as or self.resource
        return f"{stored.group}/{stored.plural}"

    @functools.cached_property
    def schema(self) -> Mapping[str, Any]:
        """The structural schema; of a built-in kind, by the official client's model of it."""
        if self.own_schema is not None:
            own = self.own_schema
            always = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
            metadata = {"metadata": kubernetes_schema("V1ObjectMeta")}
            return {**own, "properties": {**(own.get("properties") or {}), **always, **metadata}}
        if self.resource.kind in _UNCHECKED:
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        if self.resource == EVENTS_V1:
            return kubernetes_schema("EventsV1Event")
        return built_in_schema(self.resource.kind)

    @functools.cached_property
    def node(self) -> Node:
        """The schema ready for use; what it works out is kept as long as the kind is served so."""
        return Node(self.schema)


@dataclass
class Kinds:
    """All served kinds, looked up by group, version and plural."""

    _kinds: dict[tuple[str, str, str], ServedKind] = field(default_factory=dict)
    generation: int = 0

    def __post_init__(self) -> None:
        for resource in resources.BUILT_IN:
            status = resource.plural in _WITH_STATUS
            scale = _SCALE if resource.plural in _SCALED else None
            self._add(ServedKind(resource, resource.version, status, built_in=True, scale=scale))
        self._add(ServedKind(EVENTS_V1, "", has_status=False, built_in=True, stored_as=resources.EVENTS))

    def _add(self, kind: ServedKind) -> None:
        self._kinds[kind.resource.group, kind.resource.version, kind.resource.plural] = kind
        self.generation += 1

    def all(self) -> list[ServedKind]:
        return list(self._kinds.values())

    def find(self, group: str, version: str, plural: str) -> ServedKind:
        """Raises NotFound, as for any path that the server does not know."""
        kind = self._kinds.get((group, version, plural))
        if kind is None:
            raise NotFound("the server could not find the requested resource", {"group": group, "kind": plural})
        return kind

    def stored(self, kind: ServedKind) -> ServedKind:
        """The kind in whose form the objects of a kind are kept: nearly always itself."""
        return self.of(kind.stored_as) if kind.stored_as else kind

    def of(self, resource: Resource) -> ServedKind:
        return self.find(resource.group, resource.version, resource.plural)

    def of_object(self, api_version: str, kind: str) -> ServedKind | None:
        """The served kind of an object or an owner reference."""
        for served in self._kinds.values():
            if served.resource.kind == kind and served.resource.api_version == api_version:
                return served
        return None

    def by_key(self, key: str) -> ServedKind | None:
        """The storage version of a kind key."""
        group, plural = key.split("/", 1)
        for served in self._kinds.values():
            resource = served.resource
            if (resource.group, resource.plural) == (group, plural) and resource.version == served.storage_version:
                return served
        return None

    def install(self, definition: Object) -> None:
        """Serve the versions of a CustomResourceDefinition, instead of what it defined before."""
        self.remove(definition)
        spec = definition["spec"]
        storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
        for version in spec["versions"]:
            if version.get("served"):
                self._add(_served(spec, version, storage))

    def remove(self, definition: Object) -> None:
        group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
        for key in [key for key in self._kinds if (key[0], key[2]) == (group, plural)]:
            del self._kinds[key]
        self.generation += 1


def _served(spec: Mapping[str, Any], version: Mapping[str, Any], storage: str) -> ServedKind:
    names = spec["names"]
    resource = Resource(
        spec["group"],
        version["name"],
        names["plural"],
        names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
    )
    return ServedKind(
        resource,
        storage,
        has_status="status" in (version.get("subresources") or {}),
        built_in=False,
        columns=tuple(version.get("additionalPrinterColumns") or ()),
        own_schema=(version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"},
        preferred=version["name"] == storage,
        scale=(version.get("subresources") or {}).get("scale"),
    )


def check_crd(definition: Object) -> None:
    """What a CustomResourceDefinition must have to be served. Raises Invalid."""
    name = definition["metadata"].get("name", "")
    spec = definition.get("spec") or {}
    names, versions = spec.get("names") or {}, spec.get("versions") or []
    faults = []
    if name != f"{names.get('plural')}.{spec.get('group')}":
        faults.append(("metadata.name", 'must be spec.names.plural+"."+spec.group'))
    if not names.get("kind"):
        faults.append(("spec.names.kind", "Required value"))
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        faults.append(("spec.scope", 'supported values: "Cluster", "Namespaced"'))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        faults.append(("spec.versions", "must have exactly one version marked as storage version"))
    for index, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            faults.append((f"spec.versions[{index}].schema.openAPIV3Schema", "Required value: schemas are required"))
    if faults:
        causes = [{"reason": "FieldValueInvalid", "message": text, "field": place} for place, text in faults]
        listed = ", ".join(f"{place}: {text}" for place, text in faults)
        raise Invalid(
            f'CustomResourceDefinition.apiextensions.k8s.io "{name}" is invalid: {listed}',
            {"name": name, "group": "apiextensions.k8s.io", "kind": "CustomResourceDefinition", "causes": causes},
        )
