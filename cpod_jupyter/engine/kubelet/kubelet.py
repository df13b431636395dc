"""The kubelet: brings the pods bound to this node to life, and their life into their status."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CONFIGMAPS, EVENTS, PODS, PVCS, SECRETS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder
from cpod_jupyter.engine.kubelet import eviction, node, pulling, status
from cpod_jupyter.engine.kubelet.access import PodAccess, directory_name, report_of
from cpod_jupyter.engine.kubelet.builder import DEFAULT_GRACE_SECONDS, Builder, ignored
from cpod_jupyter.engine.kubelet.cgroups import find_parents
from cpod_jupyter.engine.kubelet.gpus import inventory
from cpod_jupyter.engine.kubelet.heartbeat import Heartbeat
from cpod_jupyter.engine.kubelet.images import Images
from cpod_jupyter.engine.kubelet.lookup import ConfigError, Lookup
from cpod_jupyter.engine.kubelet.network import ADDRESS_ANNOTATION, PodNetwork
from cpod_jupyter.engine.kubelet.payload import has_downward_files, references
from cpod_jupyter.engine.kubelet.plan import PodPlan, PodReport, write_started
from cpod_jupyter.engine.kubelet.pod_probes import PodProbes
from cpod_jupyter.engine.kubelet.runtime import PodRuntime, ProcessRuntime
from cpod_jupyter.engine.kubelet.scheduler import scheduler_controller
from cpod_jupyter.engine.kubelet.telling import say_what_happened
from cpod_jupyter.engine.kubelet.volumes import remove_scratch, scratch_directories, scratch_directory
from cpod_jupyter.engine.kubelet.watcher import PodWatcher
from cpod_jupyter.errors import EngineError, NotFound

log = logging.getLogger(__name__)

_LIVENESS_SECONDS = 1.0
_STORAGE_SECONDS = 5.0
"""How often the files of pods with limits on them are counted."""
_EVICTION_GRACE_SECONDS = 1.0
_MACHINE_RETRY_SECONDS = 5.0
"""After the machine refused a pod's directory or process (a full disk), which nothing tells the end of."""


class Kubelet:
    """One node's pods: plans, reports and logs in HOME/pods, which is watched; their files in HOME/scratch.

        kubelet = Kubelet(api, home)                        # its Node is named as this host
        kubelet.start()                                     # the Node, the watch, the pods of before
        Manager(api, [*kubelet.controllers(), …]).start()
        kubelet.stop()                                      # pods go on; the next engine finds them

    `environments` maps an image's repository to a virtual environment that stands for it; `tool`, podman or
    docker, runs the other images, which without it are processes too.
    """

    def __init__(
        self,
        api: KubeApi,
        home: Path,
        node_name: str | None = None,
        *,
        runtime: PodRuntime | None = None,
        environments: Mapping[str, Path] | None = None,
        tool: str = "",
    ) -> None:
        self.node_name = node_name or node.default_node_name()
        self._api = api
        self._home = home.resolve()
        self._pods = self._home / "pods"
        self._runtime = runtime or ProcessRuntime()
        found = node.node_object(self.node_name, home)["status"]["allocatable"]
        gpus = [gpu.cuda_name for gpu in inventory().gpus]
        images = Images({} if environments is None else environments)
        self._builder = Builder(self._home, images, found, gpus, tool)
        self._real_images = pulling.Images(tool) if tool else None
        self._cgroups = find_parents()
        self._heartbeat = Heartbeat(api, self.node_name, self._home)
        self._network = PodNetwork(home)
        self._events = Recorder(api, "kubelet", EVENTS)
        self._probes = PodProbes(self._events, self._look_at)
        self._watcher = PodWatcher(self._pods, self._look_at_directory)
        self.access = PodAccess(self._pods, self._observe, self._watcher)
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._seen: dict[str, PodReport | None] = {}
        """Reports by pod directory, as last handled; what differs from it is news."""
        self._unconfigured: set[Key] = set()
        self._mounted: dict[Key, frozenset[tuple[str, str]]] = {}
        """The ConfigMaps and Secrets whose files pods here have mounted."""
        self._limited: set[Key] = set()
        """Pods with limits on their files."""
        self._stale: set[Key] = set()
        """Pods whose mounted files may have changed."""
        self._ending: dict[str, float] = {}
        """Grace seconds by directory, of pods that were asked to end."""
        self._stopped = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="kubelet-liveness", daemon=True)
        self._controller = Controller(
            "kubelet",
            self._reconcile,
            {
                PODS: self._own_pods,
                CONFIGMAPS: self._waiting_for_configuration,
                SECRETS: self._waiting_for_configuration,
                PVCS: self._waiting_for_configuration,
            },
            workers=4,
        )

    def controllers(self) -> list[Controller]:
        """What a Manager runs: the kubelet itself and the scheduler."""
        return [self._controller, scheduler_controller(self._api)]

    def start(self) -> None:
        """Register the Node, watch the pods' directories, and look at every pod that is there already."""
        node.register(self._api, self.node_name, self._home)
        self._watcher.start()
        self._ticker.start()
        for directory in self._pods.iterdir():
            self._look_at_directory(directory.name)
        for left in scratch_directories(self._home):
            if not (self._pods / left.name).exists():  # an engine was killed between the two removals
                remove_scratch(left)

    def stop(self) -> None:
        """Stop watching and probing. Pods go on."""
        self._stopped.set()
        self._probes.stop()
        self._watcher.stop()
        self._ticker.join(timeout=5)

    def pod_directory(self, namespace: str, name: str, uid: str) -> Path:
        return self._pods / directory_name(namespace, name, uid)

    # ---- what wakes the reconciler

    def _own_pods(self, pod: Object) -> Iterable[Key]:
        if pod["spec"].get("nodeName") == self.node_name:
            key, mounted = Key(meta.namespace_of(pod), meta.name_of(pod)), references(pod)
            with self._lock:
                if mounted and self._mounted.get(key) != mounted:
                    self._mounted[key] = mounted
                    self._stale.add(key)
                if eviction.has_limits(pod):
                    self._limited.add(key)
                if has_downward_files(pod):
                    self._stale.add(key)
            yield key

    def _waiting_for_configuration(self, obj: Object) -> Iterable[Key]:
        """Pods that can't be started without it, and those that have it mounted."""
        namespace, changed = meta.namespace_of(obj), (str(obj.get("kind")), meta.name_of(obj))
        with self._lock:
            mounting = {key for key, found in self._mounted.items() if key.namespace == namespace and changed in found}
            self._stale |= mounting
            return mounting | {key for key in self._unconfigured if key.namespace == namespace}

    def _look_at(self, key: Key) -> None:
        self._controller.queue.add(key)

    def _look_at_directory(self, directory: str) -> None:
        parts = directory.split("_")
        if len(parts) == 3:
            self._look_at(Key(parts[0], parts[1]))

    def _tick(self) -> None:
        """Notice supervisors that died, and any report that the watch did not tell of."""
        storage_due = time.monotonic() + _STORAGE_SECONDS
        while not self._stopped.wait(_LIVENESS_SECONDS):
            try:
                self._heartbeat.beat()
            except (EngineError, OSError) as error:
                log.warning("the node's lease was not renewed: %s", error)
            if time.monotonic() >= storage_due:
                self._evict()
                storage_due = time.monotonic() + _STORAGE_SECONDS
            with self._lock:
                active = [(name, seen) for name, seen in self._seen.items() if seen is None or not seen.ended]
            for name, seen in active:
                with contextlib.suppress(OSError, ValueError):
                    if self._observe(self._pods / name) != seen:
                        self._look_at_directory(name)

    def _evict(self) -> None:
        """End the pods that use more of the disk than they may."""
        with self._lock:
            limited = list(self._limited)
        for key in limited:
            with contextlib.suppress(NotFound, OSError):
                pod = self._api.get(PODS, key.name, key.namespace)
                pod_dir = self.pod_directory(key.namespace, key.name, meta.uid_of(pod))
                report = self._observe(pod_dir)
                if report is None or report.ended or report.reason:
                    continue
                message = eviction.excess(pod, pod_dir, scratch_directory(self._home, pod_dir))
                if message is not None:
                    eviction.mark(pod_dir, message)
                    self._runtime.stop(pod_dir, _EVICTION_GRACE_SECONDS)
                    self._look_at(key)

    def _observe(self, pod_dir: Path) -> PodReport | None:
        """A pod as its runtime has it; one that is ended for its use of the machine says so."""
        report = self._runtime.observe(pod_dir)
        if report is not None and (message := eviction.why(pod_dir)) is not None:
            report.reason, report.message = "Evicted", message
        return report

    # ---- the reconciler

    def _reconcile(self, key: Key) -> float | None:
        try:
            pod = self._api.get(PODS, key.name, key.namespace)
        except NotFound:
            pod = None
        if pod is not None and pod["spec"].get("nodeName") != self.node_name:
            pod = None
        current = self.pod_directory(key.namespace, key.name, meta.uid_of(pod)) if pod else None
        for directory in self._pods.glob(f"{key.namespace}_{key.name}_*"):
            if directory != current:
                self._remove(directory)
        if pod is None or current is None:
            with self._lock:
                self._unconfigured.discard(key)
                self._mounted.pop(key, None)
                self._stale.discard(key)
                self._limited.discard(key)
            return None
        report = self._observe(current)
        if meta.is_going(pod):
            return self._end(pod, current, report)
        if report is None:
            return self._begin(pod, current)
        self._report(pod, current, report)
        return None

    def _begin(self, pod: Object, pod_dir: Path) -> float | None:
        """Start a pod that was never started here."""
        old = pod.get("status") or {}
        if old.get("phase") in ("Succeeded", "Failed"):
            return None
        if any("waiting" not in (c.get("state") or {}) for c in old.get("containerStatuses") or []):
            self._write_status(pod, status.lost_status(pod))
            return None
        key = Key(meta.namespace_of(pod), meta.name_of(pod))
        pod_dir.mkdir(parents=True, exist_ok=True)
        pod_dir.chmod(0o700)
        with self._lock:
            self._unconfigured.add(key)  # before the look: what appears after it wakes the pod
        try:
            self._need_images(pod)
            with self._starting:  # an address is taken once its plan is written
                asked = str((pod["metadata"].get("annotations") or {}).get(ADDRESS_ANNOTATION) or "")
                address = self._network.address(self._used_addresses(), asked)
                plan = self._builder.plan(pod, pod_dir, address, Lookup(self._api, key.namespace))
                self._runtime.start(pod_dir, plan)
        except (EngineError, OSError) as error:
            reason = error.reason if isinstance(error, ConfigError) else "CreateContainerError"
            if self._write_status(pod, status.waiting_status(pod, reason, str(error))):
                if isinstance(error, pulling.Pulling):
                    self._events.normal(pod, "Pulling", str(error))
                else:
                    self._events.warning(pod, "Failed", f"Error: {error}")
            return error.retry_seconds if isinstance(error, ConfigError) else _MACHINE_RETRY_SECONDS
        with self._lock:
            self._unconfigured.discard(key)
            self._seen[pod_dir.name] = None
        if passed_over := ignored(pod, plan, self._cgroups, self._builder.is_real):
            self._events.warning(pod, "Ignored", f"the embedded engine passes over {', '.join(passed_over)}")
        return None

    def _need_images(self, pod: Object) -> None:
        """Have the images that are pulled. Raises ConfigError while one is not here."""
        if self._real_images is not None:
            containers = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
            self._real_images.need(pod, [entry for entry in containers if self._builder.is_real(entry)])

    def _report(self, pod: Object, pod_dir: Path, report: PodReport) -> None:
        """Bring what runs into the pod's status, and say what happened in events."""
        self._notice(pod, pod_dir, report)
        plan = PodPlan.read(pod_dir)
        assert plan is not None
        self._refresh(pod, pod_dir, plan.pod_ip)
        probes = self._probes.follow(pod, plan, report)
        for container in report.init_containers:
            if container.sidecar and container.running and container.name in probes and probes[container.name].started:
                write_started(pod_dir, container.name, container.restart_count)
        new = status.pod_status(pod, status.Observed(report, plan.pod_ip, probes))
        if self._write_status(pod, new):
            say_what_happened(self._events, pod, new)

    def _end(self, pod: Object, pod_dir: Path, report: PodReport | None) -> float | None:
        """Stop a pod that is being deleted; take its object away once nothing runs."""
        self._probes.forget(meta.uid_of(pod))
        if report is not None and not report.ended:
            grace = pod["metadata"].get("deletionGracePeriodSeconds")
            seconds = DEFAULT_GRACE_SECONDS if grace is None else float(grace)
            self._write_ending(pod, pod_dir, report)
            if self._ending.get(pod_dir.name) != seconds:
                self._ending[pod_dir.name] = seconds
                self._runtime.stop(pod_dir, seconds)
                for container in report.all_containers():
                    if container.running:
                        self._events.normal(pod, "Killing", f"Stopping container {container.name}")
            return None
        if report is not None:
            self._write_ending(pod, pod_dir, report)
        with contextlib.suppress(NotFound):
            self._api.delete(PODS, meta.name_of(pod), meta.namespace_of(pod), grace_seconds=0, uid=meta.uid_of(pod))
        self._remove(pod_dir)
        return None

    def _write_ending(self, pod: Object, pod_dir: Path, report: PodReport) -> None:
        self._notice(pod, pod_dir, report)
        plan = PodPlan.read(pod_dir)
        assert plan is not None
        unready = {container.name: status.ProbeState(ready=False) for container in report.all_containers()}
        self._write_status(pod, status.pod_status(pod, status.Observed(report, plan.pod_ip, unready)))

    def _refresh(self, pod: Object, pod_dir: Path, pod_ip: str) -> None:
        """Bring mounted files up to date, when what they are made from may have changed."""
        key = Key(meta.namespace_of(pod), meta.name_of(pod))
        with self._lock:
            if key not in self._stale:
                return
            self._stale.discard(key)
        self._builder.refresh(pod, pod_dir, pod_ip, Lookup(self._api, key.namespace))

    def _notice(self, pod: Object, pod_dir: Path, report: PodReport) -> None:
        """Remember a report, and tell of hooks that have failed since the last one."""
        with self._lock:
            known, before = pod_dir.name in self._seen, self._seen.get(pod_dir.name)
            self._seen[pod_dir.name] = report
        for container in report.all_containers():
            old = report_of(before, container.name)
            if known and container.hook_failure and container.hook_failure != (old.hook_failure if old else ""):
                reason, _, said = container.hook_failure.partition(": ")
                self._events.warning(pod, reason, f"{reason.removeprefix('Failed')} of {container.name} failed: {said}")

    def _remove(self, pod_dir: Path) -> None:
        self._probes.forget(pod_dir.name.rpartition("_")[2])
        self._runtime.remove(pod_dir)
        remove_scratch(scratch_directory(self._home, pod_dir))
        with self._lock:
            self._seen.pop(pod_dir.name, None)
        self._ending.pop(pod_dir.name, None)

    def _used_addresses(self) -> set[str]:
        """The addresses of the pods here that have not ended."""
        used = set()
        for directory in self._pods.iterdir():
            plan = PodPlan.read(directory)
            report = PodReport.read(directory)
            if plan is not None and (report is None or not report.ended):
                used.add(plan.pod_ip)
        return used

    def _write_status(self, pod: Object, new: status.Status) -> bool:
        """Store a status if it differs from the pod's; whether it did. Raises Conflict when the pod changed."""
        if new == pod.get("status"):
            return False
        self._api.replace(PODS, {**pod, "status": new}, subresource="status")
        return True
