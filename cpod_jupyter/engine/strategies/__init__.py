"""What the API server adds to and asks of the built-in kinds beyond their schemas.

Each kind's strategy fills defaults, checks the object, and checks a change, as the strategies of
Kubernetes' registry do; one module a family of kinds, with what the families share in `faults`.
`prepare` and `faults_of` are what `objects` calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Problem
from cpod_jupyter.engine import definitions
from cpod_jupyter.engine.strategies import config, faults, ingresses, jobs, pods, services, storage, workloads

__all__ = ["faults_of", "prepare"]

Fill = Callable[[Object], None]
Check = Callable[[Object], Iterable[Problem]]
Change = Callable[[Object, Object], Iterable[Problem]]

_RBAC = "rbac.authorization.k8s.io"

_DEFAULTS: dict[str, Fill] = {
    "/pods": pods.pod_defaults,
    "/services": services.service_defaults,
    "/endpoints": services.endpoints_defaults,
    "/secrets": config.secret_defaults,
    "/namespaces": config.namespace_defaults,
    "/persistentvolumeclaims": storage.claim_defaults,
    "/persistentvolumes": storage.volume_defaults,
    "apps/replicasets": workloads.replicaset_defaults,
    "apps/deployments": workloads.deployment_defaults,
    "batch/jobs": jobs.job_defaults,
    "networking.k8s.io/ingressclasses": ingresses.class_defaults,
    f"{_RBAC}/rolebindings": config.binding_defaults,
    f"{_RBAC}/clusterrolebindings": config.binding_defaults,
    "apiextensions.k8s.io/customresourcedefinitions": definitions.defaults,
}
"""Defaults, filled in at every write, so that a PUT that leaves them out means them."""

_NEW: dict[str, Fill] = {
    "/pods": pods.new_pod,
    "/services": services.new_service,
    "/namespaces": config.new_namespace,
    "/persistentvolumeclaims": storage.new_claim,
    "/persistentvolumes": storage.new_volume,
    "batch/jobs": jobs.new_job,
    "networking.k8s.io/ingresses": ingresses.new_ingress,
}
"""What a new object gets besides."""

_CHECKS: dict[str, Check] = {
    "/pods": pods.pod_faults,
    "/services": services.service_faults,
    "/endpoints": services.endpoints_faults,
    "/configmaps": config.configmap_faults,
    "/secrets": config.secret_faults,
    "/events": config.event_faults,
    "/persistentvolumeclaims": storage.claim_faults,
    "/persistentvolumes": storage.volume_faults,
    "/resourcequotas": storage.quota_faults,
    "apps/replicasets": workloads.replicaset_faults,
    "apps/deployments": workloads.deployment_faults,
    "batch/jobs": jobs.job_faults,
    "discovery.k8s.io/endpointslices": services.endpointslice_faults,
    "networking.k8s.io/ingresses": ingresses.ingress_faults,
    "networking.k8s.io/ingressclasses": ingresses.class_faults,
    "coordination.k8s.io/leases": config.lease_faults,
    f"{_RBAC}/roles": config.role_faults,
    f"{_RBAC}/clusterroles": config.role_faults,
    f"{_RBAC}/rolebindings": config.binding_faults,
    f"{_RBAC}/clusterrolebindings": config.binding_faults,
    "apiextensions.k8s.io/customresourcedefinitions": definitions.definition_faults,
}
_CHANGES: dict[str, Change] = {
    "/pods": pods.pod_change,
    "/services": services.service_change,
    "/configmaps": config.configmap_change,
    "/secrets": config.secret_change,
    "/persistentvolumeclaims": storage.claim_change,
    "/persistentvolumes": storage.volume_change,
    "/resourcequotas": storage.quota_change,
    "apps/replicasets": workloads.selector_change,
    "apps/deployments": workloads.selector_change,
    "batch/jobs": jobs.job_change,
    "discovery.k8s.io/endpointslices": services.endpointslice_change,
    "networking.k8s.io/ingressclasses": ingresses.class_change,
    f"{_RBAC}/rolebindings": config.binding_change,
    f"{_RBAC}/clusterrolebindings": config.binding_change,
    "apiextensions.k8s.io/customresourcedefinitions": definitions.definition_change,
}


def prepare(kind: str, new: Object, before: Object | None) -> None:
    """Fill in what the object leaves out; may change it. `before` is None for a new one.

    An object of which only metadata or status change has its defaults, and shares its parts with the stored one.
    """
    if before is not None and _same(before, new):
        return
    if (fill := _DEFAULTS.get(kind)) is not None:
        fill(new)
    if before is None and (begin := _NEW.get(kind)) is not None:
        begin(new)


def faults_of(kind: str, new: Object, before: Object | None) -> list[Problem]:
    """Faults of an object and, with `before`, of the change. What did not change is not checked again, so
    that an object stored by an older version can still be touched."""
    found: list[Problem] = []
    if before is None or _metadata(before) != _metadata(new):
        found += faults.metadata(new["metadata"])
    if before is not None and _same(before, new):
        return found
    if (check := _CHECKS.get(kind)) is not None:
        found += check(new)
    if before is not None and (change := _CHANGES.get(kind)) is not None:
        found += change(before, new)
    return found


def _metadata(obj: Object) -> dict[str, Any]:
    return {name: value for name, value in obj["metadata"].items() if name != "managedFields"}


def _same(before: Object, new: Object) -> bool:
    """Whether nothing changed but metadata and status."""
    names = (set(before) | set(new)) - {"metadata", "status", "apiVersion", "kind"}
    return all(before.get(name) == new.get(name) for name in names)
