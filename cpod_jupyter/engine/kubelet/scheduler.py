"""Gives pods a node, and GPUs by index, or says why there is none (kube-scheduler's words)."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from cpod_jupyter.api import meta, placement, scheduling
from cpod_jupyter.api.resources import EVENTS, NODES, PODS, PVCS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder
from cpod_jupyter.engine.kubelet.builder import GPU, GPU_ANNOTATION
from cpod_jupyter.engine.kubelet.volumes import referenced_claims
from cpod_jupyter.errors import Conflict, NotFound

_ALL = Key("", "")
"""The one thing to look at: everything that waits."""
_NAME = "default-scheduler"
_ENDED = ("Succeeded", "Failed")


class Scheduler:
    """Looks at all pods that wait, in the order of their creation, whenever anything that could help one changes:
    a pod, a node, a claim. One that fits is bound; one that doesn't holds up nobody, and nobody is preempted."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._events = Recorder(api, _NAME, EVENTS)
        self._lock = threading.Lock()
        self._waiting: dict[Key, int] = {}
        """Pods without a node, with the order in which they were first seen."""
        self._seen = 0

    def controller(self) -> Controller:
        return Controller(
            "scheduler",
            self.reconcile,
            {PODS: self._on_pod, NODES: lambda _: self._if_any_waits(), PVCS: lambda _: self._if_any_waits()},
        )

    def _on_pod(self, pod: Object) -> Iterable[Key]:
        """An unbound pod joins those that wait; one that has ended or is going frees what they wait for."""
        key = Key(meta.namespace_of(pod), meta.name_of(pod))
        if not pod["spec"].get("nodeName"):
            with self._lock:
                self._seen += 1
                self._waiting.setdefault(key, self._seen)
        return self._if_any_waits()

    def _if_any_waits(self) -> list[Key]:
        with self._lock:
            return [_ALL] if self._waiting else []

    def reconcile(self, key: Key) -> float | None:
        """One look at all that wait."""
        del key
        with self._lock:
            order = dict(self._waiting)  # before the list: who comes in between is not in it, and must not be missed
        listed = self._api.list(PODS).items
        nodes = self._api.list(NODES).items
        pods = {Key(meta.namespace_of(pod), meta.name_of(pod)): pod for pod in listed}
        queue = []
        for waiting in order:
            pod = pods.get(waiting)
            if pod is None or pod["spec"].get("nodeName") or meta.is_going(pod):
                self._forget(waiting)
            elif str(pod["spec"].get("schedulerName") or _NAME) == _NAME:  # others wait for a scheduler of their own
                queue.append((str(pod["metadata"]["creationTimestamp"]), order[waiting], waiting))
        for _, _, waiting in sorted(queue, key=lambda entry: entry[:2]):
            try:
                self._look_at(waiting, pods, nodes)
            except (Conflict, NotFound):  # it changed meanwhile, and comes again
                continue
        return None

    def _look_at(self, key: Key, pods: dict[Key, Object], nodes: list[Object]) -> None:
        pod = pods[key]
        if pod["spec"].get("schedulingGates"):
            self._set_scheduled(
                pod, False, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates"
            )
            return
        found = self._place(pod, nodes, list(pods.values()))
        if isinstance(found, str):
            self._say_unschedulable(pod, found)
        else:
            pods[key] = found
            self._forget(key)

    def _forget(self, key: Key) -> None:
        with self._lock:
            self._waiting.pop(key, None)

    def _place(self, pod: Object, nodes: list[Object], pods: list[Object]) -> Object | str:
        """Bind the pod to the first node it fits on, and return it; else the scheduler's sentence."""
        problem = self._missing_claim(pod)
        if problem is not None:
            return f"0/{len(nodes)} nodes are available: {problem}."
        reasons = {}
        for node in nodes:
            name = meta.name_of(node)
            reasons[name] = scheduling.misfits(pod["spec"], node, scheduling.used_on(name, pods))
            if not reasons[name]:
                reasons[name] = placement.misaffiliated(pod, node, pods)
            if not reasons[name] and _is_full(node, pods):
                reasons[name] = ["Too many pods"]
            if not reasons[name]:
                return self._bind(pod, name, free_gpus(node, pods))
        return scheduling.verdict(reasons)

    def _missing_claim(self, pod: Object) -> str | None:
        for claim in referenced_claims(pod):
            try:
                found = self._api.get(PVCS, claim, meta.namespace_of(pod))
            except NotFound:
                return f'persistentvolumeclaim "{claim}" not found'
            if meta.is_going(found):
                return f'persistentvolumeclaim "{claim}" is being deleted'
            if (found.get("status") or {}).get("phase") != "Bound":
                return "pod has unbound immediate PersistentVolumeClaims"
        return None

    def _bind(self, pod: Object, node: str, gpus: list[int]) -> Object:
        namespace, name = meta.namespace_of(pod), meta.name_of(pod)
        change: Object = {"metadata": {"uid": meta.uid_of(pod)}, "spec": {"nodeName": node}}
        asked = int(scheduling.requests(pod["spec"]).get(GPU, 0))
        if asked:
            change["metadata"]["annotations"] = {GPU_ANNOTATION: ",".join(str(index) for index in gpus[:asked])}
        bound = self._api.patch(PODS, name, change, namespace)
        self._set_scheduled(bound, True)
        self._events.normal(pod, "Scheduled", f"Successfully assigned {namespace}/{name} to {node}")
        return bound

    def _say_unschedulable(self, pod: Object, problem: str) -> None:
        old = meta.condition(pod, "PodScheduled")
        if old is None or old.get("status") != "False" or old.get("message") != problem:
            self._set_scheduled(pod, False, "Unschedulable", problem)
            self._events.warning(pod, "FailedScheduling", problem)

    def _set_scheduled(self, pod: Object, status: bool, reason: str = "", message: str = "") -> None:
        old = (pod.get("status") or {}).get("conditions")
        before = meta.condition(pod, "PodScheduled") or {}
        if (before.get("reason"), before.get("message")) == (reason, message) and not status:
            return
        conditions = meta.with_condition(old, "PodScheduled", status, reason, message)
        for condition in conditions:
            for word in ("reason", "message"):
                if condition.get(word) == "":
                    del condition[word]
        change = {"status": {"phase": "Pending", "conditions": conditions}}
        self._api.patch(PODS, meta.name_of(pod), change, meta.namespace_of(pod), subresource="status")


def free_gpus(node: Object, pods: Iterable[Object]) -> list[int]:
    """The indices of a node's GPUs that no pod which still runs has."""
    count = int(((node.get("status") or {}).get("allocatable") or {}).get(GPU, 0))
    taken: set[int] = set()
    for pod in pods:
        if pod["spec"].get("nodeName") != meta.name_of(node) or (pod.get("status") or {}).get("phase") in _ENDED:
            continue
        kept = str((pod["metadata"].get("annotations") or {}).get(GPU_ANNOTATION, ""))
        taken.update(int(index) for index in kept.split(",") if index)
    return [index for index in range(count) if index not in taken]


def _is_full(node: Object, pods: Iterable[Object]) -> bool:
    limit = ((node.get("status") or {}).get("allocatable") or {}).get("pods")
    here = sum(
        pod["spec"].get("nodeName") == meta.name_of(node) and (pod.get("status") or {}).get("phase") not in _ENDED
        for pod in pods
    )
    return limit is not None and here >= int(limit)


def scheduler_controller(api: KubeApi) -> Controller:
    """The scheduler of the engine's one node."""
    return Scheduler(api).controller()
