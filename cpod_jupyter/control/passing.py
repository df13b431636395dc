"""A `KubeApi` that passes everything on to another: the base of those that change one thing about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.control.api import KubeApi, ObjectList, Propagation, WatchEvent


class PassingApi:
    """See `KubeApi` for what the verbs mean and raise."""

    def __init__(self, api: KubeApi) -> None:
        self.inner = api

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return self.inner.get(resource, name, namespace)

    def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        return self.inner.list(resource, namespace, label_selector=label_selector, field_selector=field_selector)

    def create(self, resource: Resource, obj: Object) -> Object:
        return self.inner.create(resource, obj)

    def replace(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        return self.inner.replace(resource, obj, subresource=subresource)

    def patch(
        self,
        resource: Resource,
        name: str,
        patch: dict[str, Any],
        namespace: str | None = None,
        *,
        subresource: str = "",
    ) -> Object:
        return self.inner.patch(resource, name, patch, namespace, subresource=subresource)

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
        uid: str | None = None,
    ) -> None:
        self.inner.delete(resource, name, namespace, propagation=propagation, grace_seconds=grace_seconds, uid=uid)

    def log_tail(self, pod: str, namespace: str, lines: int) -> tuple[str, ...]:
        return self.inner.log_tail(pod, namespace, lines)

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 300,
    ) -> Iterator[WatchEvent]:
        return self.inner.watch(
            resource,
            namespace,
            resource_version=resource_version,
            label_selector=label_selector,
            field_selector=field_selector,
            timeout_seconds=timeout_seconds,
        )


class NamespacedApi(PassingApi):
    """What asks for the objects of every namespace gets those of one."""

    def __init__(self, api: KubeApi, namespace: str) -> None:
        super().__init__(api)
        self._namespace = namespace

    def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        narrowed = self._narrowed(resource, namespace)
        return self.inner.list(resource, narrowed, label_selector=label_selector, field_selector=field_selector)

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 300,
    ) -> Iterator[WatchEvent]:
        return super().watch(
            resource,
            self._narrowed(resource, namespace),
            resource_version=resource_version,
            label_selector=label_selector,
            field_selector=field_selector,
            timeout_seconds=timeout_seconds,
        )

    def _narrowed(self, resource: Resource, namespace: str | None) -> str | None:
        return (namespace or self._namespace) if resource.namespaced else namespace
