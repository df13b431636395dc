"""A KubeApi that lets through what the operator's role on a cluster allows, and remembers what was used of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cpod_jupyter.api.resources import PODS, Object, Resource
from cpod_jupyter.control.api import KubeApi, ObjectList, Propagation, WatchEvent
from cpod_jupyter.control.passing import PassingApi
from cpod_jupyter.operator.access import GRANTS

Use = tuple[str, str, str]
"""Verb, API group, resource or resource/subresource."""

GRANTED: frozenset[Use] = frozenset(
    (verb, grant.resource.group, grant.name) for grant in GRANTS for verb in grant.verbs
)


class AuthorizedApi(PassingApi):
    """What is not granted fails the test at once, whatever the operator would make of a refusal."""

    def __init__(self, api: KubeApi) -> None:
        super().__init__(api)
        self.used: set[Use] = set()

    def _use(self, verb: str, resource: Resource, subresource: str = "") -> None:
        name = f"{resource.plural}/{subresource}" if subresource else resource.plural
        use = (verb, resource.group, name)
        if use not in GRANTED:
            pytest.fail(
                f"the operator uses {verb} on {name} ({resource.api_version}), which its role on a cluster does not "
                "allow: add it to GRANTS in cpod_jupyter/operator/access.py, or do without it"
            )
        self.used.add(use)

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        self._use("get", resource)
        return super().get(resource, name, namespace)

    def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        self._use("list", resource)
        return super().list(resource, namespace, label_selector=label_selector, field_selector=field_selector)

    def create(self, resource: Resource, obj: Object) -> Object:
        self._use("create", resource)
        return super().create(resource, obj)

    def replace(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        self._use("update", resource, subresource)
        return super().replace(resource, obj, subresource=subresource)

    def patch(
        self,
        resource: Resource,
        name: str,
        patch: dict[str, Any],
        namespace: str | None = None,
        *,
        subresource: str = "",
    ) -> Object:
        self._use("patch", resource, subresource)
        return super().patch(resource, name, patch, namespace, subresource=subresource)

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
        self._use("delete", resource)
        super().delete(resource, name, namespace, propagation=propagation, grace_seconds=grace_seconds, uid=uid)

    def log_tail(self, pod: str, namespace: str, lines: int) -> tuple[str, ...]:
        self._use("get", PODS, "log")
        return super().log_tail(pod, namespace, lines)

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
        self._use("watch", resource)
        return super().watch(
            resource,
            namespace,
            resource_version=resource_version,
            label_selector=label_selector,
            field_selector=field_selector,
            timeout_seconds=timeout_seconds,
        )
