"""A whole engine but its HTTP server, for tests: store, API, kubelet, controllers, in a home of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import stores

from cpod_jupyter.api.resources import EVENTS, PODS, PVCS, Object, Resource
from cpod_jupyter.control.controller import Controller, Manager
from cpod_jupyter.engine.collector import Collector
from cpod_jupyter.engine.controllers.pvc import pvc_controller
from cpod_jupyter.engine.imagemap import ImageMap
from cpod_jupyter.engine.kinds import Kinds
from cpod_jupyter.engine.kubelet.kubelet import Kubelet
from cpod_jupyter.engine.kubelet.plan import PodReport
from cpod_jupyter.engine.kubelet.runtime import ProcessRuntime
from cpod_jupyter.engine.kubelet.volumes import remove_scratch, scratch_directories, scratch_directory
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.engine.store import Store
from cpod_jupyter.errors import NotFound

T = TypeVar("T")
NAMESPACE = "default"
NODE = "test-node"

Extra = Callable[[LocalApi], list[Controller]]


class Cluster:
    """`stop` and `start` again is an engine that restarts: the store, and pods, are those of before."""

    def __init__(self, home: Path, extra: Extra = lambda _: [], tool: str = "") -> None:
        self.home = home
        self._extra = extra
        self.tool = tool
        home.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        database = self.home / "objects.db"
        if not database.exists():
            stores.defined(database)
        self.store = Store(database)
        self.objects = Objects(self.store, Kinds())
        self.api = LocalApi(self.objects)
        self._collector = Collector(self.objects)
        self._collector.start()
        self.kubelet = Kubelet(self.api, self.home, NODE, environments=ImageMap(self.home), tool=self.tool)
        self.kubelet.start()
        controllers = [*self.kubelet.controllers(), pvc_controller(self.api, self.home), *self._extra(self.api)]
        self._manager = Manager(self.api, controllers)
        self._manager.start()

    def stop(self) -> None:
        self._manager.stop()
        self.kubelet.stop()
        self._collector.stop()
        self.store.close()

    def remove_pods(self) -> None:
        """End every process that the home has."""
        for directory in (self.home / "pods").iterdir():
            ProcessRuntime().remove(directory.resolve())
        for scratch in scratch_directories(self.home):
            remove_scratch(scratch)

    # ---- objects

    def get(self, resource: Resource, name: str) -> Object:
        return self.api.get(resource, name, NAMESPACE)

    def find(self, resource: Resource, name: str) -> Object | None:
        try:
            return self.get(resource, name)
        except NotFound:
            return None

    def pods(self, selector: str = "") -> list[Object]:
        return self.api.list(PODS, NAMESPACE, label_selector=selector).items

    def create(self, resource: Resource, name: str, **fields: Any) -> Object:
        metadata = {"name": name, "namespace": NAMESPACE, **fields.pop("metadata", {})}
        return self.api.create(
            resource, {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **fields}
        )

    def create_claim(self, name: str) -> Object:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        return self.create(PVCS, name, spec=spec)

    def run(self, name: str, *command: str, **spec: Any) -> Object:
        """A pod of one container `main`; `container` fields go to it, others to the pod."""
        container = {"name": "main", "image": "busybox", "command": list(command), **spec.pop("container", {})}
        spec.setdefault("restartPolicy", "Never")
        spec.setdefault("terminationGracePeriodSeconds", 5)
        fields = {"metadata": spec.pop("metadata")} if "metadata" in spec else {}
        return self.create(PODS, name, spec={"containers": [container], **spec}, **fields)

    # ---- waiting

    def wait(self, condition: Callable[[], T], wanted: str, seconds: float = 30) -> T:
        """The condition's value, once it is true."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds:g} s: {wanted}")
            time.sleep(0.02)
        return value

    def wait_phase(self, name: str, phase: str) -> Object:
        self.wait(lambda: self.phase(name) == phase, f"{name} is {phase}; it is {self.find(PODS, name)}")
        return self.get(PODS, name)

    def phase(self, name: str) -> str:
        pod = self.find(PODS, name)
        return str(((pod or {}).get("status") or {}).get("phase", ""))

    def wait_gone(self, resource: Resource, name: str) -> None:
        self.wait(lambda: self.find(resource, name) is None, f"{resource.kind} {name} is gone")

    def wait_waiting(self, name: str, reason: str) -> str:
        """The message of a container that waits for that reason."""

        def message() -> str | None:
            for entry in (self.get(PODS, name).get("status") or {}).get("containerStatuses") or []:
                waiting = (entry["state"] or {}).get("waiting") or {}
                if waiting.get("reason") == reason:
                    return str(waiting.get("message"))
            return None

        return str(self.wait(message, f"{name} waits with {reason}; it is {self.get(PODS, name).get('status')}"))

    # ---- what pods leave

    def kill_supervisor(self, pod: Object) -> None:
        """Take a pod's supervisor away without warning."""
        report = PodReport.read(self.directory(pod))
        assert report is not None
        os.kill(report.supervisor_pid, signal.SIGKILL)

    def directory(self, pod: Object) -> Path:
        return self.kubelet.pod_directory(NAMESPACE, pod["metadata"]["name"], pod["metadata"]["uid"])

    def scratch(self, pod: Object) -> Path:
        """The pod's own volumes and working directories."""
        return scratch_directory(self.home, self.directory(pod))

    def output(self, pod: Object, container: str = "main", run: int = 0) -> str:
        """What a container has written, without the log's own words."""
        path = self.directory(pod) / container / f"{run}.log"
        lines = [line.split(" ", 3) for line in path.read_text().splitlines()] if path.exists() else []
        return "".join(text + ("\n" if tag == "F" else "") for _, _, tag, text in lines)

    def events(self, reason: str) -> list[str]:
        return [event["message"] for event in self.api.list(EVENTS, NAMESPACE).items if event["reason"] == reason]
