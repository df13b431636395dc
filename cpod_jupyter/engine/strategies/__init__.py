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
from cpod_jupyter.engine.strategies import faults, old, pods, workloads

__all__ = ["faults_of", "prepare"]

Fill = Callable[[Object], None]
Check = Callable[[Object], Iterable[Problem]]
Change = Callable[[Object, Object], Iterable[Problem]]

_DEFAULTS: dict[str, Fill] = {
    "/pods": pods.pod_defaults,
    "apps/replicasets": workloads.replicaset_defaults,
    "apps/deployments": workloads.deployment_defaults,
    "/secrets": old._secret,
    "apiextensions.k8s.io/customresourcedefinitions": definitions.defaults,
}
"""Defaults, filled in at every write, so that a PUT that leaves them out means them."""

_NEW: dict[str, Fill] = {
    "/pods": pods.new_pod,
    "batch/jobs": old._job,
    "/services": old._service,
    "/namespaces": old._namespace,
    "/persistentvolumeclaims": old._claim,
}
"""What a new object gets besides."""

_CHECKS: dict[str, Check] = {
    "/pods": pods.pod_faults,
    "apps/replicasets": workloads.replicaset_faults,
    "apps/deployments": workloads.deployment_faults,
    "apiextensions.k8s.io/customresourcedefinitions": definitions.definition_faults,
}
_CHANGES: dict[str, Change] = {
    "/pods": pods.pod_change,
    "apps/replicasets": workloads.selector_change,
    "apps/deployments": workloads.selector_change,
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
