"""The kinds that the engine serves: the built-in ones, and those of CustomResourceDefinitions."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cpod_jupyter.api import meta, resources
from cpod_jupyter.api.model import built_in_schema, kubernetes_schema
from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.api.schema import ENVELOPE, Node, Problem
from cpod_jupyter.engine.events import EVENTS_V1
from cpod_jupyter.engine.rules import RuleNode, broken_rules, rules_of
from cpod_jupyter.engine.structural import schema_of_schemas
from cpod_jupyter.errors import NotFound

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
    "ingresses",
    "customresourcedefinitions",
}
_WITH_GENERATION = {
    "pods", "jobs", "deployments", "replicasets", "endpointslices", "ingresses", "ingressclasses",
    "customresourcedefinitions",
}  # fmt: skip
"""Built-in kinds whose strategies count generations; custom kinds all do."""
_DEFINITION = "CustomResourceDefinition"
_SCALED = {"deployments", "replicasets"}
_SCALE = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".spec.selector",
}


@dataclass(frozen=True)
class ServedKind:
    """One kind in one version, with what is needed to admit and to print its objects."""

    resource: Resource
    storage_version: str
    has_status: bool
    built_in: bool
    columns: tuple[Mapping[str, Any], ...] = ()
    own_schema: Mapping[str, Any] | None = None
    scale: Mapping[str, str] | None = None
    """Where the replicas are (CustomResourceSubresourceScale), of a kind that has the subresource."""
    selectable: tuple[str, ...] = ()
    """Fields of a custom kind that a field selector may name, such as `spec.color`."""
    deprecation: str = ""
    """What whoever uses a deprecated version is warned of."""
    terminating: bool = False
    """Whether the kind's definition is being deleted, so that nothing new is taken."""
    stored_as: Resource | None = None
    """The kind in whose form the objects are kept, where that is another one."""

    @property
    def key(self) -> str:
        """The kind key of the store, the same for all versions."""
        stored = self.stored_as or self.resource
        return f"{stored.group}/{stored.plural}"

    @property
    def counts_generations(self) -> bool:
        """Whether metadata.generation counts the changes of what is wanted."""
        return not self.built_in or self.resource.plural in _WITH_GENERATION

    @property
    def storage_api_version(self) -> str:
        """The apiVersion that objects are stored with."""
        return dataclasses.replace(self.resource, version=self.storage_version).api_version

    @functools.cached_property
    def schema(self) -> Mapping[str, Any]:
        """The structural schema; of a built-in kind, by the official client's model of it."""
        if self.own_schema is None:
            if self.resource == EVENTS_V1:
                return kubernetes_schema("EventsV1Event")
            return built_in_schema(self.resource.kind)
        properties = self.own_schema.get("properties") or {}
        always = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _metadata(properties)}
        return {**self.own_schema, "properties": {**properties, **always}}

    @functools.cached_property
    def node(self) -> Node:
        """The schema ready for use; what it works out is kept as long as the kind is served so."""
        if self.resource.kind == _DEFINITION and self.built_in:
            return Node(_with_recursion(self.schema))
        return Node(self.schema)

    def decoded(self, obj: Object) -> Object:
        """A stored object of a custom kind as it is read: what the schema does not name is gone, its defaults are
        there. The metadata stays as it is, so that no built-in type's schema has to be made for it."""
        return self._stored_node.decoded(obj)

    @functools.cached_property
    def _stored_node(self) -> Node:
        schema = self.own_schema or {}
        properties = {name: child for name, child in (schema.get("properties") or {}).items() if name not in ENVELOPE}
        return Node({**schema, "properties": properties})

    @functools.cached_property
    def rules(self) -> RuleNode | None:
        """The validation rules of a custom kind."""
        return rules_of(self.own_schema) if self.own_schema is not None else None

    def broken_rules(self, new: Object, old: Object | None) -> list[Problem]:
        """The validation rules that an object breaks, or that its change does."""
        return broken_rules(self.rules, new, old) if self.rules is not None else []


def _metadata(properties: Mapping[str, Any]) -> dict[str, Any]:
    """ObjectMeta with what a definition's schema demands of the names."""
    schema = kubernetes_schema("V1ObjectMeta")
    own = (properties.get("metadata") or {}).get("properties") or {}
    for name in ("name", "generateName"):
        if name in own:
            schema["properties"][name] = {**schema["properties"][name], **own[name]}
    return schema


def _with_recursion(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of definitions with that of schemas in its place, which holds itself."""
    result = copy.deepcopy(dict(schema))
    version = result["properties"]["spec"]["properties"]["versions"]["items"]["properties"]
    version["schema"]["properties"]["openAPIV3Schema"] = schema_of_schemas()
    return result


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

    def install(self, definition: Object) -> list[ServedKind]:
        """Serve the versions of a CustomResourceDefinition, instead of what it defined before.

        Returns the kinds whose schema is another one now.
        """
        before = self._versions(definition)
        for key in before:
            del self._kinds[key]
        changed = []
        for kind in _served_kinds(definition):
            old = before.get((kind.resource.group, kind.resource.version, kind.resource.plural))
            if old is not None and old.own_schema == kind.own_schema:
                if old == kind:
                    kind = old  # keeps what it has worked out
            else:
                changed.append(kind)
            self._add(kind)
        self.generation += 1
        return changed

    def remove(self, definition: Object) -> None:
        """Serve a definition's kinds no longer."""
        for key in self._versions(definition):
            del self._kinds[key]
        self.generation += 1

    def _versions(self, definition: Object) -> dict[tuple[str, str, str], ServedKind]:
        group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
        return {
            key: kind for key, kind in self._kinds.items() if (key[0], key[2]) == (group, plural) and not kind.built_in
        }

    def built_in_names(self, group: str) -> list[dict[str, Any]]:
        """The names that built-in kinds have in a group, in the form of a definition's `names`."""
        return [
            {
                "plural": resource.plural,
                "singular": resource.singular,
                "kind": resource.kind,
                "listKind": resource.list_kind,
                "shortNames": list(resource.short_names),
            }
            for resource in resources.BUILT_IN
            if resource.group == group
        ]


def _served_kinds(definition: Object) -> list[ServedKind]:
    spec, accepted = definition["spec"], (definition.get("status") or {}).get("acceptedNames") or {}
    names = {**spec["names"], **accepted}
    served = [version for version in spec["versions"] if version.get("served")]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    terminating = meta.is_going(definition)
    return [_served(spec, names, version, storage, terminating) for version in served]


def _served(
    spec: Mapping[str, Any],
    names: Mapping[str, Any],
    version: Mapping[str, Any],
    storage: str,
    terminating: bool,
) -> ServedKind:
    kind, singular, list_kind = names["kind"], names.get("singular") or "", names.get("listKind") or ""
    resource = Resource(
        spec["group"],
        version["name"],
        names["plural"],
        kind,
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        singular_name="" if singular == kind.lower() else singular,
        list_name="" if list_kind == f"{kind}List" else list_kind,
    )
    subresources = version.get("subresources") or {}
    warning = version.get("deprecationWarning") or f"{resource.api_version} {kind} is deprecated"
    return ServedKind(
        resource,
        storage,
        has_status=subresources.get("status") is not None,
        built_in=False,
        columns=tuple(version.get("additionalPrinterColumns") or ()),
        own_schema=(version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"},
        scale=subresources.get("scale"),
        selectable=tuple(item["jsonPath"].lstrip(".") for item in version.get("selectableFields") or ()),
        deprecation=warning if version.get("deprecated") else "",
        terminating=terminating,
    )
