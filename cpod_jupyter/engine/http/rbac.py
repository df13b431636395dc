"""What the stored roles and bindings would allow (Kubernetes, "Using RBAC Authorization").

The engine has one user, who may do everything. Roles are kept for the software that writes them, and answer the reviews
about others: a service account, a name given to `kubectl auth can-i --as`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES, Object
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.errors import NotFound

ADMINISTRATORS = "system:masters"
_ACCOUNT = "system:serviceaccount:"

Rule = dict[str, Any]
"""A PolicyRule."""


@dataclass(frozen=True)
class Subject:
    """Who asks, as the token or the review says."""

    name: str
    groups: tuple[str, ...]

    @classmethod
    def named(cls, name: str, groups: tuple[str, ...] = ()) -> Subject:
        """With the groups that everyone, and every service account, is in."""
        implied = ["system:authenticated"] if name else []
        if name.startswith(_ACCOUNT):
            namespace = name.removeprefix(_ACCOUNT).split(":")[0]
            implied += ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        return cls(name, tuple(dict.fromkeys([*groups, *implied])))

    def is_meant(self, subject: dict[str, Any], namespace: str) -> bool:
        """Whether a binding's subject is this one; `namespace` is the binding's."""
        kind, name = subject.get("kind"), str(subject.get("name"))
        if kind == "Group":
            return name in self.groups
        if kind == "ServiceAccount":
            name = f"{_ACCOUNT}{subject.get('namespace') or namespace}:{name}"
        return name == self.name


USER = Subject.named("cpod", (ADMINISTRATORS,))
"""The one user, whose token the kubeconfig has."""


def rules_of(objects: Objects, subject: Subject, namespace: str) -> Iterator[Rule]:
    """The rules that hold for a subject in a namespace; with "" only those that hold everywhere."""
    for binding in _all(objects, CLUSTERROLEBINDINGS, None):
        yield from _bound(objects, binding, subject)
    if namespace:
        for binding in _all(objects, ROLEBINDINGS, namespace):
            yield from _bound(objects, binding, subject)


def allows(rule: Rule, asked: dict[str, str]) -> bool:
    """Whether a rule allows ResourceAttributes."""
    name, resource = asked.get("name"), asked.get("resource", "")
    subresource = asked.get("subresource", "")
    full = f"{resource}/{subresource}" if subresource else resource
    resources = {"*", full, f"*/{subresource}"} if subresource else {"*", full}
    names = rule.get("resourceNames") or []
    return (
        bool({"*", asked.get("verb", "")} & set(rule.get("verbs") or []))
        and bool({"*", asked.get("group", "")} & set(rule.get("apiGroups") or []))
        and bool(resources & set(rule.get("resources") or []))
        and (not names or name in names)
    )


def allows_path(rule: Rule, asked: dict[str, str]) -> bool:
    """Whether a rule allows NonResourceAttributes."""
    path = asked.get("path", "")
    paths = [str(item) for item in rule.get("nonResourceURLs") or []]
    fits = any(item == path or (item.endswith("*") and path.startswith(item[:-1])) for item in paths)
    return fits and bool({"*", asked.get("verb", "")} & set(rule.get("verbs") or []))


def _all(objects: Objects, resource: Any, namespace: str | None) -> list[Object]:
    return objects.list(objects.kinds.of(resource), namespace)[0]


def _bound(objects: Objects, binding: Object, subject: Subject) -> list[Rule]:
    namespace = meta.namespace_of(binding)
    if not any(subject.is_meant(item, namespace) for item in binding.get("subjects") or []):
        return []
    role = binding["roleRef"]
    resource, place = (ROLES, namespace) if role.get("kind") == "Role" else (CLUSTERROLES, "")
    try:
        found = objects.get(objects.kinds.of(resource), place, str(role.get("name")))
    except NotFound:
        return []
    return list(found.get("rules") or [])
