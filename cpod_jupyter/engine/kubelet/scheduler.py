"""Gives pods a node, and GPUs by index, or says why there is none (kube-scheduler's words)."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from cpod_jupyter.api import meta, scheduling
from cpod_jupyter.api.resources import EVENTS, NODES, PODS, PVCS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder
from cpod_jupyter.engine.kubelet.builder import GPU, GPU_ANNOTATION
from cpod_jupyter.engine.kubelet.volumes import referenced_claims
from cpod_jupyter.errors import NotFound

_ENDED = ("Succeeded", "Failed")


class Scheduler:
    """One pod at a time, so that nothing is promised twice. Waiting pods are looked at again when anything
    that could help them changes: a pod, a node, a claim."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._events = Recorder(api, "default-scheduler", EVENTS)
        self._lock = threading.Lock()
        self._waiting: set[Key] = set()

    def controller(self) -> Controller:
        return Controller(
            "scheduler",
            self.reconcile,
            {PODS: self._pods_to_look_at, NODES: lambda _: self._all_waiting(), PVCS: lambda _: self._all_waiting()},
        )

    def _pods_to_look_at(self, pod: Object) -> Iterable[Key]:
        """An unbound pod itself; one that has ended or is going frees what others wait for."""
        if not pod["spec"].get("nodeName"):
            return [Key(meta.namespace_of(pod), meta.name_of(pod))]
        return self._all_waiting()

    def _all_waiting(self) -> list[Key]:
        with self._lock:
            return list(self._waiting)

    def reconcile(self, key: Key) -> float | None:
        try:
            pod = self._api.get(PODS, key.name, key.namespace)
        except NotFound:
            pod = None
        if pod is None or pod["spec"].get("nodeName") or pod["metadata"].get("deletionTimestamp"):
            with self._lock:
                self._waiting.discard(key)
            return None
        with self._lock:
            self._waiting.add(key)
        problem = self._place(pod)
        if problem is None:
            with self._lock:
                self._waiting.discard(key)
        else:
            self._say_unschedulable(pod, problem)
        return None

    def _place(self, pod: Object) -> str | None:
        """Bind the pod to the first node it fits on; else the scheduler's sentence."""
        nodes = self._api.list(NODES).items
        problem = self._missing_claim(pod)
        if problem is not None:
            return f"0/{len(nodes)} nodes are available: {problem}."
        pods = self._api.list(PODS).items
        reasons = {}
        for node in nodes:
            name = meta.name_of(node)
            reasons[name] = scheduling.misfits(pod["spec"], node, scheduling.used_on(name, pods))
            if not reasons[name] and _is_full(node, pods):
                reasons[name] = ["Too many pods"]
            if not reasons[name]:
                self._bind(pod, name, free_gpus(node, pods))
                return None
        return scheduling.verdict(reasons)

    def _missing_claim(self, pod: Object) -> str | None:
        for claim in referenced_claims(pod):
            try:
                found = self._api.get(PVCS, claim, meta.namespace_of(pod))
            except NotFound:
                return f'persistentvolumeclaim "{claim}" not found'
            if found["metadata"].get("deletionTimestamp"):
                return f'persistentvolumeclaim "{claim}" is being deleted'
            if (found.get("status") or {}).get("phase") != "Bound":
                return "pod has unbound immediate PersistentVolumeClaims"
        return None

    def _bind(self, pod: Object, node: str, gpus: list[int]) -> None:
        namespace, name = meta.namespace_of(pod), meta.name_of(pod)
        change: Object = {"metadata": {"uid": meta.uid_of(pod)}, "spec": {"nodeName": node}}
        asked = int(scheduling.requests(pod["spec"]).get(GPU, 0))
        if asked:
            change["metadata"]["annotations"] = {GPU_ANNOTATION: ",".join(str(index) for index in gpus[:asked])}
        bound = self._api.patch(PODS, name, change, namespace)
        self._set_scheduled(bound, True)
        self._events.normal(pod, "Scheduled", f"Successfully assigned {namespace}/{name} to {node}")

    def _say_unschedulable(self, pod: Object, problem: str) -> None:
        old = meta.condition(pod, "PodScheduled")
        if old is None or old.get("status") != "False" or old.get("message") != problem:
            self._set_scheduled(pod, False, "Unschedulable", problem)
            self._events.warning(pod, "FailedScheduling", problem)

    def _set_scheduled(self, pod: Object, status: bool, reason: str = "", message: str = "") -> None:
        old = (pod.get("status") or {}).get("conditions")
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
