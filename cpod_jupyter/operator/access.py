"""What the operator may do on a cluster: the verbs that its code uses on each resource, and no other.

The tests hold the operator to this table in both directions: code that uses a verb which is not here fails them,
and so does a verb here that no code uses. Secrets are not in it: pods name them, and the operator reads none.
"""

from __future__ import annotations

from dataclasses import dataclass

from cpod_jupyter.api.resources import (
    CONFIGMAPS,
    CPODJOBS,
    DATASETSTORAGES,
    DEPLOYMENTS,
    EVENTS,
    FINETUNES,
    INFERENCES,
    INFERENCESERVICES,
    INGRESSES,
    JOBS,
    LEASES,
    MODELSTORAGES,
    MPIJOBS_V2BETA1,
    NODES,
    PERSISTENTVOLUMES,
    PODS,
    PVCS,
    PYTORCHJOBS,
    RAYSERVICES,
    SERVICES,
    TFJOBS,
    Object,
    Resource,
)

READ = ("get", "list", "watch")
FOLLOW = ("list", "watch")


@dataclass(frozen=True)
class Grant:
    """Verbs on a resource, or on a subresource of it."""

    resource: Resource
    verbs: tuple[str, ...]
    subresource: str = ""

    @property
    def name(self) -> str:
        """As rules write it: `jobs`, `cpodjobs/status`."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


GRANTS = (
    Grant(MODELSTORAGES, (*READ, "create", "delete")),
    Grant(MODELSTORAGES, ("update",), "status"),
    Grant(DATASETSTORAGES, (*READ, "create", "delete")),
    Grant(DATASETSTORAGES, ("update",), "status"),
    Grant(FINETUNES, READ),
    Grant(FINETUNES, ("update",), "status"),
    Grant(CPODJOBS, (*READ, "create", "delete")),
    Grant(CPODJOBS, ("update",), "status"),
    Grant(INFERENCES, READ),
    Grant(INFERENCES, ("update",), "status"),
    Grant(JOBS, (*READ, "create", "delete")),
    Grant(PYTORCHJOBS, (*READ, "create", "delete")),
    Grant(MPIJOBS_V2BETA1, (*READ, "create", "delete")),
    Grant(TFJOBS, (*READ, "create", "delete")),
    Grant(INFERENCESERVICES, (*READ, "create", "update")),
    Grant(RAYSERVICES, (*READ, "create", "update")),
    Grant(INGRESSES, (*READ, "create", "update", "delete")),
    Grant(DEPLOYMENTS, (*READ, "create", "update", "delete")),
    Grant(SERVICES, (*READ, "create", "delete")),
    Grant(PVCS, (*READ, "create", "update", "delete")),
    Grant(PERSISTENTVOLUMES, (*READ, "create", "delete")),
    Grant(CONFIGMAPS, (*READ, "create", "update")),
    Grant(PODS, (*FOLLOW, "delete")),
    Grant(PODS, ("get",), "log"),
    Grant(NODES, FOLLOW),
    Grant(EVENTS, ("get", "create", "patch")),
)
"""On every namespace, and on the cluster's own objects."""

OWNERS = (MODELSTORAGES, DATASETSTORAGES, FINETUNES, CPODJOBS, INFERENCES)
"""Whose `finalizers` may be updated: a cluster that checks who may hold up a deletion (admission plug-in
OwnerReferencesPermissionEnforcement, as OpenShift has it on) asks that of whoever makes a child that its owner waits
for (`blockOwnerDeletion`)."""

RELEASED = Grant(PVCS, ("delete",))
"""The same plug-in asks for `delete` on whatever has its owner changed, as a result's claim has: it is to outlive its
job. No code deletes claims."""

LEASE_VERBS = ("get", "update")
"""On the operator's own lease, by name; to make it, `create` on leases of its namespace."""


def cluster_rules() -> list[Object]:
    """The rules of the ClusterRole (rbac.authorization.k8s.io/v1 PolicyRule), one for each grant."""
    rules = [_rule(grant.resource.group, [grant.name], grant.verbs) for grant in GRANTS]
    finalizers = _rule(OWNERS[0].group, [f"{owner.plural}/finalizers" for owner in OWNERS], ("update",))
    return [*rules, finalizers, _rule(RELEASED.resource.group, [RELEASED.name], RELEASED.verbs)]


def lease_rules(name: str) -> list[Object]:
    """The rules of the Role in the operator's own namespace."""
    create = _rule(LEASES.group, [LEASES.plural], ("create",))
    return [{**_rule(LEASES.group, [LEASES.plural], LEASE_VERBS), "resourceNames": [name]}, create]


def _rule(group: str, resources: list[str], verbs: tuple[str, ...]) -> Object:
    return {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}
