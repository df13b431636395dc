"""Keeps the Endpoints and EndpointSlices of Services with a selector; those made by hand stay as they are."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import ENDPOINTS, ENDPOINTSLICES, PODS, SERVICES, Object, Resource
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, to_itself
from cpod_jupyter.engine.controllers import endpoint_builder as builder
from cpod_jupyter.errors import NotFound

_OWNED_BY = "endpoints.kubernetes.io/managed-by"
_CONTROLLER = "endpoint-controller"


class EndpointsReconciler:
    """Remembers the selectors, so that a pod's change wakes only the Services that it concerns."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._selectors: dict[Key, dict[str, str]] = {}
        self._members: dict[Key, set[str]] = {}
        """Names of the pods behind each Service when it was last looked at."""

    def of_pod(self, pod: Object) -> Iterable[Key]:
        """The Services that select a pod, or did."""
        namespace, name = meta.namespace_of(pod), meta.name_of(pod)
        with self._lock:
            return [
                key
                for key, selector in self._selectors.items()
                if key.namespace == namespace
                and (name in self._members.get(key, ()) or builder.is_selected(pod, selector))
            ]

    def of_slice(self, found: Object) -> Iterable[Key]:
        """The Service of a slice that this controller keeps."""
        labels = found["metadata"].get("labels") or {}
        if labels.get(builder.MANAGED_BY) == builder.CONTROLLER and labels.get(builder.SERVICE_NAME):
            yield Key(meta.namespace_of(found), labels[builder.SERVICE_NAME])

    def reconcile(self, key: Key) -> float | None:
        try:
            service = self._api.get(SERVICES, key.name, key.namespace)
        except NotFound:
            with self._lock:
                self._selectors.pop(key, None)
                self._members.pop(key, None)
            self._remove(key)
            return None
        selector = service["spec"].get("selector") or {}
        if not selector or service["spec"].get("type") == "ExternalName":
            with self._lock:
                self._selectors.pop(key, None)
            return None
        with self._lock:
            self._selectors[key] = dict(selector)  # before the look, so that no pod is missed between
        groups = builder.grouped(service, self._api.list(PODS, key.namespace).items)
        with self._lock:
            self._members[key] = {meta.name_of(pod) for pods in groups.values() for pod in pods}
        self._put(ENDPOINTS, self._marked(builder.endpoints(service, groups)))
        wanted = builder.slices(service, groups)
        for item in wanted:
            self._put(ENDPOINTSLICES, item)
        self._drop_slices(key, {meta.name_of(item) for item in wanted})
        return None

    @staticmethod
    def _marked(endpoints: Object) -> Object:
        labels = {**endpoints["metadata"]["labels"], _OWNED_BY: _CONTROLLER}
        return {**endpoints, "metadata": {**endpoints["metadata"], "labels": labels}}

    def _put(self, resource: Resource, wanted: Object) -> None:
        """Create, or replace when something differs."""
        name, namespace = meta.name_of(wanted), meta.namespace_of(wanted)
        try:
            old = self._api.get(resource, name, namespace)
        except NotFound:
            self._api.create(resource, wanted)
            return
        new = {**old, **wanted, "metadata": {**old["metadata"], **wanted["metadata"]}}
        if new != old:
            self._api.replace(resource, new)

    def _drop_slices(self, key: Key, kept: set[str]) -> None:
        selector = f"{builder.SERVICE_NAME}={key.name},{builder.MANAGED_BY}={builder.CONTROLLER}"
        for item in self._api.list(ENDPOINTSLICES, key.namespace, label_selector=selector).items:
            if meta.name_of(item) not in kept and not meta.is_going(item):
                self._api.delete(ENDPOINTSLICES, meta.name_of(item), key.namespace, uid=meta.uid_of(item))

    def _remove(self, key: Key) -> None:
        """A Service's Endpoints go with it, its slices by their owner; what was made by hand stays."""
        try:
            found = self._api.get(ENDPOINTS, key.name, key.namespace)
            if (found["metadata"].get("labels") or {}).get(_OWNED_BY) == _CONTROLLER:
                self._api.delete(ENDPOINTS, key.name, key.namespace, uid=meta.uid_of(found))
        except NotFound:
            return


def endpoints_controller(api: KubeApi) -> Controller:
    """Keeps Endpoints and EndpointSlices."""
    reconciler = EndpointsReconciler(api)
    sources = {
        SERVICES: to_itself,
        PODS: reconciler.of_pod,
        ENDPOINTS: to_itself,
        ENDPOINTSLICES: reconciler.of_slice,
    }
    return Controller("endpoints", reconciler.reconcile, sources)
