"""apps/v1 ReplicaSets: as many pods of a template as are wanted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import EVENTS, PODS, REPLICASETS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_itself
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers.ownership import claimed
from cpod_jupyter.engine.strategies.faults import selects
from cpod_jupyter.errors import Forbidden, Invalid, NotFound

KEPT_FAILURES = 5
"""Failed pods that are kept, the newest, for a person to look at; Kubernetes keeps them until its collector comes."""
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 300.0
_CREATE_RETRY_SECONDS = 5.0


def replicaset_pod(replicaset: Object) -> Object:
    """A new pod of the template; the API completes its name."""
    prefix = f"{meta.name_of(replicaset)[:57]}-"
    pod = podset.from_template(replicaset["spec"]["template"], replicaset, prefix, {})
    del pod["metadata"]["name"]
    pod["metadata"]["generateName"] = prefix
    return pod


def first_to_go(pods: Iterable[Object]) -> list[Object]:
    """Pods in the order in which they are given up when there are too many: unassigned, pending, not ready and
    cheap ones first, then those that became ready last (ReplicaSet, "Scaling down a ReplicaSet")."""

    def rank(pod: Object) -> tuple[Any, ...]:
        annotations = pod["metadata"].get("annotations") or {}
        cost = str(annotations.get("controller.kubernetes.io/pod-deletion-cost", "0"))
        ready = meta.condition(pod, "Ready") or {}
        return (
            bool(pod["spec"].get("nodeName")),
            podset.phase(pod) == podset.RUNNING,
            podset.is_ready(pod),
            int(cost) if cost.lstrip("-").isdigit() else 0,
            _newest_first(ready.get("lastTransitionTime")),
            -podset.restarts(pod),
            _newest_first(pod["metadata"].get("creationTimestamp")),
        )

    return sorted(pods, key=rank)


def _newest_first(stamp: Any) -> float:
    return -meta.parse_time(str(stamp)).timestamp() if stamp else 0.0


def available_in(pod: Object, min_ready_seconds: float, now: dt.datetime) -> float | None:
    """Seconds until a pod counts as available, 0 when it does; None while it is not ready."""
    if not podset.is_ready(pod):
        return None
    ready = meta.condition(pod, "Ready") or {}
    if not min_ready_seconds or not ready.get("lastTransitionTime"):
        return 0.0
    age = (now - meta.parse_time(str(ready["lastTransitionTime"]))).total_seconds()
    return max(0.0, min_ready_seconds - age)


def failure_delay(pods: Sequence[Object], now: dt.datetime) -> float:
    """Seconds to wait before a failed pod is replaced: longer the more have failed, so that what fails at once
    does not fill the machine."""
    failed = [pod for pod in pods if podset.phase(pod) == podset.FAILED]
    ended = max((podset.finished_at(pod) for pod in failed), default="")
    if not ended:
        return 0.0
    delay: float = min(_FIRST_DELAY * 3.0 ** (len(failed) - 1), _LONGEST_DELAY)
    return max(0.0, delay - (now - meta.parse_time(ended)).total_seconds())


def replicaset_status(
    replicaset: Object, active: Sequence[Object], failure: str | None, now: dt.datetime
) -> dict[str, Any]:
    """The status; counters that are 0 are left out, `replicas` excepted, as the API server writes them."""
    spec = replicaset["spec"]
    wanted = (spec["template"].get("metadata") or {}).get("labels") or {}
    delay = float(spec.get("minReadySeconds") or 0)
    labelled = sum(wanted.items() <= (pod["metadata"].get("labels") or {}).items() for pod in active)
    status: dict[str, Any] = {
        "replicas": len(active),
        "fullyLabeledReplicas": labelled,
        "readyReplicas": sum(podset.is_ready(pod) for pod in active),
        "availableReplicas": sum(available_in(pod, delay, now) == 0.0 for pod in active),
        "observedGeneration": int(replicaset["metadata"]["generation"]),
    }
    status = {name: value for name, value in status.items() if value or name == "replicas"}
    if failure is not None:
        old = (replicaset.get("status") or {}).get("conditions")
        status["conditions"] = meta.with_condition(old, "ReplicaFailure", True, "FailedCreate", failure)
    return status


class ReplicaSetReconciler:
    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._events = Recorder(api, "replicaset-controller", EVENTS)

    def strays(self, pod: Object) -> Iterable[Key]:
        """The ReplicaSet that has a pod; of a pod that nobody has, those that could adopt it."""
        owner, namespace = meta.controller_of(pod), meta.namespace_of(pod)
        if owner is not None:
            return [Key(namespace, str(owner["name"]))] if owner.get("kind") == "ReplicaSet" else []
        labels = pod["metadata"].get("labels") or {}
        if not labels or meta.is_going(pod):
            return []
        sets = self._api.list(REPLICASETS, namespace).items
        return [Key(namespace, meta.name_of(item)) for item in sets if selects(item["spec"]["selector"], labels)]

    def reconcile(self, key: Key) -> float | None:
        try:
            replicaset = self._api.get(REPLICASETS, key.name, key.namespace)
        except NotFound:
            return None
        pods = claimed(self._api, PODS, replicaset)
        again, failure = None, None
        if not meta.is_going(replicaset):
            again, failure = self._scale(replicaset, pods)
            pods = claimed(self._api, PODS, replicaset)
        active = [pod for pod in pods if podset.is_active(pod)]
        now = dt.datetime.now(dt.UTC)
        status = replicaset_status(replicaset, active, failure, now)
        if status != replicaset.get("status"):
            self._api.replace(REPLICASETS, {**replicaset, "status": status}, subresource="status")
        delay = float(replicaset["spec"].get("minReadySeconds") or 0)
        waits = [wait for pod in active if (wait := available_in(pod, delay, now))]
        return min([*waits, *([again] if again is not None else [])], default=None)

    def _scale(self, replicaset: Object, pods: list[Object]) -> tuple[float | None, str | None]:
        """Make or end pods; the seconds until another look, and why pods could not be made."""
        active = [pod for pod in pods if podset.is_active(pod)]
        missing = int(replicaset["spec"]["replicas"]) - len(active)
        failed = sorted((pod for pod in pods if podset.phase(pod) == podset.FAILED), key=podset.finished_at)
        podset.delete(self._api, failed[:-KEPT_FAILURES])
        if missing < 0:
            for pod in first_to_go(active)[:-missing]:
                podset.delete(self._api, [pod])
                self._events.normal(replicaset, "SuccessfulDelete", f"Deleted pod: {meta.name_of(pod)}")
        elif missing > 0:
            delay = failure_delay(pods, dt.datetime.now(dt.UTC))
            if delay > 0:
                return delay, None
            return self._create(replicaset, missing)
        return None, None

    def _create(self, replicaset: Object, number: int) -> tuple[float | None, str | None]:
        for _ in range(number):
            try:
                pod = self._api.create(PODS, replicaset_pod(replicaset))
            except (Forbidden, Invalid) as error:
                self._events.warning(replicaset, "FailedCreate", f"Error creating: {error}")
                return _CREATE_RETRY_SECONDS, str(error)
            self._events.normal(replicaset, "SuccessfulCreate", f"Created pod: {meta.name_of(pod)}")
        return None, None


def replicaset_controller(api: KubeApi) -> Controller:
    """Keeps ReplicaSets at their number of pods."""
    reconciler = ReplicaSetReconciler(api)
    sources = {REPLICASETS: to_itself, PODS: reconciler.strays}
    return Controller("replicaset", reconciler.reconcile, sources, workers=2)
