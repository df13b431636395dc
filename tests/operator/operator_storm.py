"""A cluster in which anything may happen at any time: for tests that the end is always the same.

The operator's reconcilers run here as its manager runs them, woken by changes through their mappers and by nothing
else, but one at a time and in an order that the test chooses; so does the cluster around them. Any call of theirs to
the API can fail, before it had its effect or after.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME
from cpod_jupyter.api.names import LABEL_INFERENCE_SERVICE, LABEL_JOB
from cpod_jupyter.api.resources import (
    EVENTS,
    INFERENCESERVICES,
    JOBS,
    NAMESPACES,
    PODS,
    PYTORCHJOBS,
    Object,
    Resource,
    of_object,
)
from cpod_jupyter.control.controller import Controller, Key
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.store import Change, Store
from cpod_jupyter.errors import ApiUnreachable, Conflict, CpodError, NotFound, ServerError
from cpod_jupyter.operator.manager import controllers
from cpod_jupyter.operator.settings import Settings

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Fault(StrEnum):
    """What happens to a call."""

    LOST = "lost on its way to the server"
    UNANSWERED = "done, but the answer is lost"
    CONFLICT = "refused, since the object changed"
    BROKEN = "answered with an error of the server"


class FlakyApi:
    """The API as the operator sees it; the n-th call meets the fault given for n."""

    def __init__(self, api: LocalApi, faults: Mapping[int, Fault]) -> None:
        self._api = api
        self._faults = faults
        self.calls = 0

    def __getattr__(self, verb: str) -> Any:
        call = getattr(self._api, verb)

        def made(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            fault = self._faults.get(self.calls)
            if fault is Fault.LOST:
                raise ApiUnreachable("the connection is refused")
            if fault is Fault.BROKEN:
                raise ServerError("the server has a bad moment")
            if fault is Fault.CONFLICT and verb in ("replace", "patch", "delete"):
                raise Conflict("the object has been modified")
            result = call(*arguments, **options)
            if fault is Fault.UNANSWERED:
                raise ApiUnreachable("the connection was reset")
            return result

        return made


@dataclass
class Storm:
    """One namespace, an operator, and the order in which things happen in it."""

    api: LocalApi
    store: Store
    namespace: str
    settings: Settings
    faults: Mapping[int, Fault]
    outcomes: Mapping[str, dict[str, Any] | str]
    """How the work of each name ends: what it leaves as its last message, a failure where it is a text."""
    there: dict[tuple[Resource, str], Object] = field(default_factory=dict)
    untold: list[tuple[Resource, Object]] = field(default_factory=list)
    pending: list[tuple[Controller, Key]] = field(default_factory=list)
    later: list[tuple[Controller, Key]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.flaky = FlakyApi(self.api, self.faults)
        self.end = self.store.subscribe(None, self._changed)
        self.api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        self.restart()

    def _changed(self, change: Change) -> None:
        resource = of_object(change.object)
        if resource is None or meta.namespace_of(change.object) != self.namespace:
            return
        if change.type == "DELETED":
            self.there.pop((resource, meta.name_of(change.object)), None)
        else:
            self.there[resource, meta.name_of(change.object)] = change.object
        self.untold.append((resource, change.object))

    def restart(self) -> None:
        """End the operator and start another: it knows nothing but what it lists."""
        self.controllers = controllers(self.flaky, self.settings)  # type: ignore[arg-type]
        self.pending, self.later = [], []
        self.untold = [(resource, obj) for (resource, _), obj in self.there.items()]
        self.notice()

    def notice(self) -> None:
        """What the watches tell: every object that changed, mapped to the keys that it matters to."""
        untold, self.untold = self.untold, []
        for resource, obj in untold:
            try:
                self._tell(resource, copy.deepcopy(obj))
            except CpodError:
                self.untold.append((resource, obj))  # as a reflector does: it lists, and tells again

    def _tell(self, resource: Resource, obj: Object) -> None:
        for one in self.controllers:
            mapper = one.sources.get(resource)
            for key in mapper(obj) if mapper else ():
                if (one, key) not in self.pending:
                    self.pending.append((one, key))

    def _list(self, resource: Resource) -> list[Object]:
        return [copy.deepcopy(obj) for (kind, _), obj in self.there.items() if kind is resource]

    # ---- what can happen next

    def reconcile(self, index: int) -> None:
        """One key that waits, as a controller's worker does it."""
        controller, key = self.pending.pop(index % len(self.pending))
        try:
            again = controller.reconcile(key)
        except CpodError:
            self.pending.append((controller, key))
        else:
            if again is not None and (controller, key) not in self.later:
                self.later.append((controller, key))
        self.notice()

    def steps_of_the_world(self) -> list[Callable[[], None]]:
        """What the cluster's own controllers and kubelets could do next."""
        return list(
            itertools.chain(
                self._steps(JOBS, LABEL_JOB, "Complete"),
                self._steps(PYTORCHJOBS, LABEL_JOB_NAME, "Succeeded"),
                self._serving_steps(),
                self._collecting_steps(),
            )
        )

    def _steps(self, resource: Resource, label: str, good: str) -> Iterator[Callable[[], None]]:
        """A job's: a pod that runs, the pod's end, the job's condition."""
        for job in self._list(resource):
            if meta.is_true(job, good) or meta.is_true(job, "Failed"):
                continue
            pod = self._pod(meta.name_of(job))
            outcome = self.outcomes.get(meta.name_of(job), {})
            if pod is None:
                yield partial(self._start, job, label)
            elif (pod.get("status") or {}).get("phase") == "Running":
                yield partial(self._end, pod, outcome)
            else:
                kind = "Failed" if isinstance(outcome, str) else good
                yield partial(self._condition, resource, job, kind)

    def _serving_steps(self) -> Iterator[Callable[[], None]]:
        for service in self._list(INFERENCESERVICES):
            if self._pod(meta.name_of(service)) is None:
                yield partial(self._start, service, LABEL_INFERENCE_SERVICE)
            elif (service.get("status") or {}).get("observedGeneration") != service["metadata"]["generation"]:
                yield partial(self._condition, INFERENCESERVICES, service, "Ready")

    def _collecting_steps(self) -> Iterator[Callable[[], None]]:
        """The garbage collector's: what belongs to somebody who is gone."""
        uids = {meta.uid_of(obj) for obj in self.there.values()}
        for (resource, name), obj in list(self.there.items()):
            owner = meta.controller_of(obj)
            if owner is not None and owner["uid"] not in uids:
                yield partial(self.delete, resource, name)

    def delete(self, resource: Resource, name: str) -> None:
        """At once, as a pod goes whose kubelet has ended it."""
        with suppress(NotFound):
            self.api.delete(resource, name, self.namespace, grace_seconds=0)
        self.notice()

    def _pod(self, job: str) -> Object | None:
        return next((pod for pod in self._list(PODS) if meta.name_of(pod) == f"{job}-0"), None)

    def _start(self, job: Object, label: str) -> None:
        labels = {label: meta.name_of(job)}
        for source in (job["spec"], (job["spec"].get("pytorchReplicaSpecs") or {}).get("Worker") or {}):
            labels |= ((source.get("template") or {}).get("metadata") or {}).get("labels") or {}
        pod: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{meta.name_of(job)}-0",
                "namespace": self.namespace,
                "labels": labels,
                "ownerReferences": [meta.owner_reference(job)],
            },
            "spec": {"containers": [{"name": "main", "image": "image"}]},
        }
        self.api.create(PODS, pod)
        running = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        self._status(PODS, pod, running)
        if job["kind"] == PYTORCHJOBS.kind:
            self._condition(PYTORCHJOBS, job, "Running")

    def _end(self, pod: Object, outcome: dict[str, Any] | str) -> None:
        failed = isinstance(outcome, str)
        ended = {
            "exitCode": int(failed),
            "reason": "Error" if failed else "Completed",
            "message": outcome if failed else json.dumps(outcome),
            "finishedAt": "2026-01-01T00:00:00Z",
        }
        entry = {"name": "main", "image": "image", "imageID": "", "ready": False, "restartCount": 0}
        phase = "Failed" if failed else "Succeeded"
        self._status(PODS, pod, {"phase": phase, "containerStatuses": [{**entry, "state": {"terminated": ended}}]})

    def _condition(self, resource: Resource, obj: Object, kind: str) -> None:
        conditions = [{"type": kind, "status": "True", "reason": kind, "message": ""}]
        status: dict[str, Any] = {"conditions": conditions}
        if resource is INFERENCESERVICES:
            generation = obj["metadata"]["generation"]
            status |= {"url": f"http://{meta.name_of(obj)}.example", "observedGeneration": generation}
        self._status(resource, obj, status)

    def _status(self, resource: Resource, obj: Object, status: dict[str, Any]) -> None:
        try:
            self.api.patch(resource, meta.name_of(obj), {"status": status}, self.namespace, subresource="status")
        except NotFound:
            return  # deleted meanwhile
        self.notice()

    # ---- the end

    def come_to_rest(self) -> None:
        """Go on, in a plain order, until nothing is left to do."""
        for _ in range(1000):
            self.notice()
            if self.pending:
                self.reconcile(0)
            elif self.untold:
                continue
            elif steps := self.steps_of_the_world():
                steps[0]()
            elif self.later:
                before = self.store.revision
                self.pending, self.later = self.later, []
                while self.pending:
                    self.reconcile(0)
                if before == self.store.revision:
                    return
            else:
                return
        raise AssertionError("the operator never comes to rest")

    def end_state(self) -> dict[str, Any]:
        """What there is in the end, without what no two runs have in common."""
        return {
            f"{resource.kind}/{name}": self._timeless(obj)
            for (resource, name), obj in sorted(self.there.items(), key=lambda item: (item[0][0].kind, item[0][1]))
            if resource not in (EVENTS, PODS)
        }

    def _timeless(self, obj: Object) -> dict[str, Any]:
        metadata = obj["metadata"]
        owners = [(owner["kind"], owner["name"]) for owner in metadata.get("ownerReferences") or []]
        status = {key: value for key, value in (obj.get("status") or {}).items() if not key.endswith("Time")}
        if "conditions" in status:
            status["conditions"] = sorted(
                (entry["type"], entry["status"], entry.get("reason")) for entry in status["conditions"]
            )
        kept = {key: metadata.get(key) for key in ("labels", "annotations")}
        text = json.dumps(
            {"owners": owners, **kept, "spec": obj.get("spec"), "data": obj.get("data"), "status": status}
        )
        return dict(json.loads(_UID.sub("UID", text).replace(self.namespace, "NAMESPACE")))

    def said_twice(self) -> list[str]:
        """Events that were recorded more than once."""
        events = self.api.list(EVENTS, self.namespace).items
        return [f"{event['reason']}: {event['message']}" for event in events if int(event.get("count") or 1) > 1]
