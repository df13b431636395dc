"""Keeps the status of ResourceQuotas: what is used of what is limited."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from decimal import Decimal

from cpod_jupyter.api import meta, resources
from cpod_jupyter.api.resources import (
    CONFIGMAPS,
    CRDS,
    DEPLOYMENTS,
    JOBS,
    PODS,
    PVCS,
    REPLICASETS,
    RESOURCEQUOTAS,
    SECRETS,
    SERVICES,
    Object,
    Resource,
)
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key
from cpod_jupyter.engine import quota as quotas
from cpod_jupyter.errors import NotFound

_WATCHED = (PODS, SERVICES, CONFIGMAPS, SECRETS, PVCS, JOBS, DEPLOYMENTS, REPLICASETS)
_RECOUNT_SECONDS = 5.0
"""Between two counts of kinds that are not watched."""


class QuotaReconciler:
    """Remembers where quotas are, so that nothing is counted where there is none."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._known: set[Key] = set()

    def of_quota(self, quota: Object) -> Iterable[Key]:
        key = Key(meta.namespace_of(quota), meta.name_of(quota))
        with self._lock:
            self._known.add(key)
        return [key]

    def of_object(self, obj: Object) -> Iterable[Key]:
        namespace = meta.namespace_of(obj)
        with self._lock:
            return [key for key in self._known if key.namespace == namespace]

    def reconcile(self, key: Key) -> float | None:
        try:
            quota = self._api.get(RESOURCEQUOTAS, key.name, key.namespace)
        except NotFound:
            with self._lock:
                self._known.discard(key)
            return None
        limits = quotas.hard(quota)
        total = dict.fromkeys(limits, Decimal(0))
        polled = False
        for resource in self._counted(limits):
            polled = polled or resource not in _WATCHED
            kind = f"{resource.group}/{resource.plural}"
            for name, amount in quotas.used(quota, kind, self._api.list(resource, key.namespace).items).items():
                total[name] += amount
        status = {
            "hard": dict((quota.get("spec") or {}).get("hard") or {}),
            "used": {name: quotas.shown(name, amount) for name, amount in total.items()},
        }
        if status != quota.get("status"):
            self._api.replace(RESOURCEQUOTAS, {**quota, "status": status}, subresource="status")
        return _RECOUNT_SECONDS if polled else None

    def _counted(self, limits: Iterable[str]) -> list[Resource]:
        """The kinds that a quota's limits speak of."""
        found = {PODS, SERVICES, PVCS}
        for name in limits:
            qualified = name.removeprefix("count/")
            resource = resources.find(qualified)
            if resource is None and name.startswith("count/"):
                resource = self._defined(qualified)
            if resource is not None and resource.namespaced and resource.qualified == qualified:
                found.add(resource)
        return sorted(found, key=lambda item: item.qualified)

    def _defined(self, qualified: str) -> Resource | None:
        """A kind of a CustomResourceDefinition."""
        try:
            spec = self._api.get(CRDS, qualified)["spec"]
        except NotFound:
            return None
        version = next(item["name"] for item in spec["versions"] if item.get("storage"))
        names = spec["names"]
        return Resource(
            spec["group"], version, names["plural"], names["kind"], namespaced=spec["scope"] == "Namespaced"
        )


def quota_controller(api: KubeApi) -> Controller:
    """Counts what ResourceQuotas limit."""
    reconciler = QuotaReconciler(api)
    sources = {RESOURCEQUOTAS: reconciler.of_quota, **dict.fromkeys(_WATCHED, reconciler.of_object)}
    return Controller("resourcequota", reconciler.reconcile, sources)
