"""Who may do what: the operator's account and roles, and the roles of the people in namespaces. Pure."""

from __future__ import annotations

from cpod_jupyter.api.resources import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    CPOD_KINDS,
    GROUP,
    ROLEBINDINGS,
    ROLES,
    SERVICEACCOUNTS,
    Object,
    Resource,
)
from cpod_jupyter.operator.access import cluster_rules, lease_rules
from cpod_jupyter.operator.running import LEASE_NAME

NAME = "cpod-operator"
_RBAC = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]


def operator_roles(namespace: str) -> list[Object]:
    """The operator's ServiceAccount, with what its code uses and nothing more."""
    subject = {"kind": SERVICEACCOUNTS.kind, "name": NAME, "namespace": namespace}
    return [
        {**_head(SERVICEACCOUNTS, NAME, namespace), "automountServiceAccountToken": True},
        {**_head(CLUSTERROLES, NAME), "rules": cluster_rules()},
        {**_head(CLUSTERROLEBINDINGS, NAME), "roleRef": _ref(CLUSTERROLES), "subjects": [subject]},
        {**_head(ROLES, NAME, namespace), "rules": lease_rules(LEASE_NAME)},
        {**_head(ROLEBINDINGS, NAME, namespace), "roleRef": _ref(ROLES), "subjects": [subject]},
    ]


def user_roles() -> list[Object]:
    """What view, edit and admin of a namespace mean for the project's kinds.

    They are aggregated into the cluster's own roles (Kubernetes, "Using RBAC Authorization", Aggregated
    ClusterRoles): whoever may view or edit a namespace may so with these kinds too, and needs no more than that.
    """
    plurals = [resource.plural for resource in CPOD_KINDS]
    view = {
        "apiGroups": [GROUP],
        "resources": [*plurals, *(f"{plural}/status" for plural in plurals)],
        "verbs": _READ,
    }
    edit = {"apiGroups": [GROUP], "resources": plurals, "verbs": _WRITE}
    return [
        _aggregated("cpod-view", ["view", "edit", "admin"], [view]),
        _aggregated("cpod-edit", ["edit", "admin"], [edit]),
    ]


def _aggregated(name: str, into: list[str], rules: list[Object]) -> Object:
    role = _head(CLUSTERROLES, name)
    role["metadata"]["labels"] = {f"{_RBAC}/aggregate-to-{target}": "true" for target in into}
    return {**role, "rules": rules}


def _head(resource: Resource, name: str, namespace: str = "") -> Object:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def _ref(resource: Resource) -> Object:
    return {"apiGroup": _RBAC, "kind": resource.kind, "name": NAME}
