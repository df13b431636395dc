"""A real API in this process, with the operator's reconcilers over it; the tests play the cluster's part."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from authorized import AuthorizedApi

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import EVENTS, NODES, PODS, PVCS, Object, Resource
from cpod_jupyter.control.controller import to_itself
from cpod_jupyter.control.passing import PassingApi
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.store import Store
from cpod_jupyter.errors import Conflict, NotFound
from cpod_jupyter.operator.manager import controllers
from cpod_jupyter.operator.settings import Settings

NAMESPACE = "default"


class _Kubelet(PassingApi):
    """Has the logs of pods that nobody runs."""

    def __init__(self, api: LocalApi, logs: dict[str, tuple[str, ...]]) -> None:
        super().__init__(api)
        self._logs = logs

    def log_tail(self, pod: str, namespace: str, lines: int) -> tuple[str, ...]:
        return self._logs.get(pod, ())[-lines:]


@dataclass
class Cluster:
    """What a test does as a user (`apply`, `edit`), and as the cluster (`set_status`, `pod`, `node`)."""

    api: LocalApi
    store: Store
    settings: Settings

    logs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What the pods have written, by their names."""

    def __post_init__(self) -> None:
        self.operator_api = AuthorizedApi(_Kubelet(self.api, self.logs))
        self.controllers = controllers(self.operator_api, self.settings)

    def settle(self) -> None:
        """Reconcile every object until nothing changes any more."""
        for _ in range(20):
            before = self.store.revision
            for controller in self.controllers:
                for obj in self._all(next(iter(controller.sources))):
                    for key in to_itself(obj):
                        try:
                            controller.reconcile(key)
                        except Conflict:
                            continue  # as the controller does: look again
            if self.store.revision == before:
                return
        pytest.fail("the reconcilers never come to rest")

    def _all(self, resource: Resource) -> list[Object]:
        try:
            return self.api.list(resource).items
        except NotFound:  # the kind is not installed; a reflector waits for that
            return []

    def until(self, reached: Callable[[], bool]) -> None:
        """Settle again and again, while the garbage collector does its part, and we a kubelet's."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for pod in self.api.list(PODS, NAMESPACE).items:
                if pod["metadata"].get("deletionTimestamp"):
                    with contextlib.suppress(NotFound):  # the garbage collector was quicker
                        self.api.delete(PODS, meta.name_of(pod), NAMESPACE, grace_seconds=0)
            self.settle()
            if reached():
                return
            time.sleep(0.02)
        pytest.fail("it never came to that")

    def apply(
        self,
        resource: Resource,
        name: str,
        spec: dict[str, Any],
        annotations: dict[str, str] | None = None,
    ) -> Object:
        """Create an object and let the operator do what it does about it."""
        metadata: dict[str, Any] = {"name": name, "namespace": NAMESPACE}
        if annotations:
            metadata["annotations"] = annotations
        self.api.create(
            resource,
            {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec},
        )
        self.settle()
        return self.get(resource, name)

    def edit(self, resource: Resource, name: str, spec: dict[str, Any]) -> Object:
        self.api.patch(resource, name, {"spec": spec}, NAMESPACE)
        self.settle()
        return self.get(resource, name)

    def get(self, resource: Resource, name: str) -> Object:
        return self.api.get(resource, name, NAMESPACE)

    def exists(self, resource: Resource, name: str) -> bool:
        try:
            self.get(resource, name)
        except NotFound:
            return False
        return True

    def names(self, resource: Resource) -> list[str]:
        return [meta.name_of(obj) for obj in self.api.list(resource, NAMESPACE).items]

    def status(self, resource: Resource, name: str) -> dict[str, Any]:
        return dict(self.get(resource, name).get("status") or {})

    def set_status(self, resource: Resource, name: str, status: dict[str, Any]) -> None:
        self.api.patch(resource, name, {"status": status}, NAMESPACE, subresource="status")
        self.settle()

    def end(self, resource: Resource, name: str, kind: str, message: str = "", reason: str = "") -> None:
        """Give a job or service its condition `kind`, true."""
        condition = {"type": kind, "status": "True", "reason": reason or kind, "message": message}
        self.set_status(resource, name, {"conditions": [condition]})

    def claim(self, name: str) -> None:
        spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
        self.apply(PVCS, name, spec)

    def pod(self, job: Object, label: str, status: dict[str, Any], name: str = "") -> str:
        """A pod of that job or service, as its controller would make one, in the state given."""
        spec = job["spec"]
        workers = (spec.get("pytorchReplicaSpecs") or {}).get("Worker") or {}
        template = spec.get("template") or workers.get("template") or {}
        labels = (template.get("metadata") or {}).get("labels") or {}
        name = name or f"{meta.name_of(job)}-0"
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": {**labels, label: meta.name_of(job)},
                "ownerReferences": [meta.owner_reference(job)],
            },
            "spec": {"containers": [{"name": "main", "image": "image"}]},
        }
        self.api.create(PODS, pod)
        self.set_status(PODS, name, status)
        return name

    def node(self, name: str, allocatable: dict[str, str], labels: dict[str, str] | None = None) -> None:
        self.api.create(
            NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels or {}}, "spec": {}}
        )
        self.api.patch(NODES, name, {"status": {"allocatable": allocatable}}, subresource="status")
        self.settle()

    def nodes(self) -> list[Object]:
        return self.api.list(NODES).items

    def events(self, name: str) -> list[tuple[str, str, str]]:
        """Type, reason and message of the events about an object."""
        found = self.api.list(EVENTS, NAMESPACE).items
        return [
            (event["type"], event["reason"], event["message"])
            for event in found
            if event["involvedObject"]["name"] == name
        ]


def terminated(message: str, exit_code: int, container: str = "main") -> dict[str, Any]:
    """The status of a pod whose only container ended."""
    state = {
        "exitCode": exit_code,
        "reason": "Error" if exit_code else "Completed",
        "message": message,
        "finishedAt": "2026-01-01T00:00:00Z",
    }
    entry = {
        "name": container,
        "image": "image",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": state},
    }
    return {"phase": "Failed" if exit_code else "Succeeded", "containerStatuses": [entry]}


def unschedulable(sentence: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": sentence}
    return {"phase": "Pending", "conditions": [condition]}


RUNNING = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
