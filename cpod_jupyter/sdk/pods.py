"""An object and what was made for it: by owner references, down to the pods and their events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME, LABEL_REPLICA_INDEX, LABEL_REPLICA_TYPE, LABEL_ROLE
from cpod_jupyter.api.names import LABEL_UPLOAD
from cpod_jupyter.api.resources import (
    CPODJOBS,
    DATASETSTORAGES,
    EVENTS,
    FINETUNES,
    INFERENCES,
    INFERENCESERVICES,
    JOBS,
    MODELSTORAGES,
    MPIJOBS_V2BETA1,
    PODS,
    PYTORCHJOBS,
    TFJOBS,
    TRAINING_KINDS,
    TRAINJOBS,
    Object,
    Resource,
)
from cpod_jupyter.api.trainjob import LABEL_REPLICATED_JOB
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.errors import Forbidden, NotFound

_WORK = (PYTORCHJOBS, TFJOBS, MPIJOBS_V2BETA1, JOBS)
"""What the operator makes of a CPodJob."""

BELOW: dict[Resource, tuple[Resource, ...]] = {
    MODELSTORAGES: (JOBS, PODS),
    DATASETSTORAGES: (JOBS, PODS),
    FINETUNES: (CPODJOBS, *_WORK, PODS, MODELSTORAGES, DATASETSTORAGES),
    CPODJOBS: (*_WORK, PODS, MODELSTORAGES, DATASETSTORAGES),
    **dict.fromkeys(TRAINING_KINDS, (PODS,)),
    MPIJOBS_V2BETA1: (JOBS, PODS),  # mpi-operator starts the launcher through a Job
    TRAINJOBS: (JOBS, PODS),
    JOBS: (PODS,),
    INFERENCES: (INFERENCESERVICES, PODS, MODELSTORAGES),
    INFERENCESERVICES: (PODS,),
    PODS: (),
}
"""The kinds that are read to know how an object of a kind is getting on: its children, and what it needs."""

_BY_LABEL = {
    "serving.kserve.io/inferenceservice": ("InferenceService",),
    LABEL_JOB_NAME: (*{resource.kind for resource in TRAINING_KINDS}, "CPodJob"),
    "job-name": ("Job", "CPodJob", "ElasticDLJob", "MarsJob"),
    "jobset.sigs.k8s.io/jobset-name": ("TrainJob",),
}
"""Labels that name a pod's parent, where kinds we don't read (a ReplicaSet, a JobSet) lie between."""

_ROLE_LABELS = (LABEL_REPLICA_TYPE, "replica-type", LABEL_REPLICATED_JOB, LABEL_ROLE)
"""Where a pod says what it is in its job: Kubeflow's, KubeDL's, JobSet's, mpi-operator's."""
_INDEX_LABELS = (LABEL_REPLICA_INDEX, "replica-index", "batch.kubernetes.io/job-completion-index")

_LEADS, _WORKS, _LAST = 0, 1, 9
_RANKS = {
    **dict.fromkeys(("launcher", "chief", "master", "scheduler"), _LEADS),
    "ps": 2,
    "evaluator": 3,
    "webservice": 4,
    "dataset-initializer": 5,
    "model-initializer": 5,
}
"""Who speaks for a job; any other role works. What only serves the work, or came before it, comes last."""


@dataclass
class Family:
    """An object, and everything read beside it. Not for several threads at once."""

    resource: Resource
    root: Object
    members: dict[str, Object] = field(default_factory=dict)
    events: dict[str, Object] = field(default_factory=dict)

    @classmethod
    def read(cls, api: KubeApi, resource: Resource, name: str, namespace: str) -> Family:
        """The family as it is now. Raises NotFound when the object is not there."""
        family = cls(resource, whole(api.get(resource, name, namespace), resource))
        for kind in (*BELOW.get(resource, ()), EVENTS):
            try:
                items = api.list(kind, namespace).items
            except (NotFound, Forbidden):
                continue  # a cluster without this kind, say without Kubeflow; or one may not look
            for item in items:
                family.add(kind, item)
        return family

    def add(self, resource: Resource, obj: Object) -> None:
        """Take in an object as it is now."""
        obj = whole(obj, resource)
        if resource == EVENTS:
            self.events[meta.name_of(obj)] = obj
            return
        if resource == self.resource and meta.name_of(obj) == meta.name_of(self.root):
            self.root = obj
        self.members[meta.uid_of(obj)] = obj

    def remove(self, resource: Resource, obj: Object) -> None:
        """Take in that an object is gone; its events stay, for they say why."""
        if resource != EVENTS:
            self.members.pop(meta.uid_of(obj), None)

    def descendants(self) -> list[Object]:
        """What was made for the object, at any depth."""
        found: dict[str, Object] = {}
        wave = [self.root]
        while wave:
            uids = {meta.uid_of(obj) for obj in wave}
            names = {(obj["kind"], meta.name_of(obj)) for obj in wave}
            wave = [
                obj
                for uid, obj in self.members.items()
                if uid not in found and uid != meta.uid_of(self.root) and _is_child(obj, uids, names)
            ]
            found.update((meta.uid_of(obj), obj) for obj in wave)
        return list(found.values())

    def pods(self) -> list[Object]:
        """The object's pods, the one that speaks for it first: leaders before workers, newest first."""
        if self.resource == PODS:
            return [self.root]
        pods = [obj for obj in self.descendants() if obj["kind"] == "Pod"]
        pods.sort(key=lambda pod: pod["metadata"].get("creationTimestamp") or "", reverse=True)
        return sorted(pods, key=lambda pod: (meta.is_going(pod), rank(pod)))

    def culprit(self) -> Object | None:
        """The pod that failed first: of a job that failed, the one that shows why."""
        failed = [(at, pod) for pod in self.pods() if (at := failed_at(pod)) is not None]
        return min(failed, key=lambda pair: pair[0])[1] if failed else None

    def needs(self) -> list[Object]:
        """The model and the dataset that the object names in its spec, where they are in its namespace."""
        spec = self.root.get("spec") or {}
        names = {
            "ModelStorage": [spec.get(key) for key in ("model", "pretrainModelName", "modelId")],
            "DataSetStorage": [spec.get(key) for key in ("dataset", "datasetName")],
        }
        return [obj for obj in self.members.values() if meta.name_of(obj) in names.get(obj["kind"], ())]

    def told(self, *, warnings: bool = False) -> list[Object]:
        """Events about the object and its descendants, the oldest first."""
        uids = {meta.uid_of(self.root), *(meta.uid_of(obj) for obj in self.descendants())}
        named = {(self.root["kind"], meta.name_of(self.root))}
        found = [
            event
            for event in self.events.values()
            if _about(event, uids, named) and (not warnings or event.get("type") == "Warning")
        ]
        return sorted(found, key=lambda event: (event_time(event), _version(event)))


def whole(obj: Object, resource: Resource) -> Object:
    """Items of a list may lack their type."""
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


def event_time(event: Object) -> str:
    """When an event was last seen; whichever of the three fields its writer filled."""
    stamp = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return str(stamp or "")


def _version(obj: Object) -> int:
    """Orders what happened within one second; 0 for a server whose versions are no numbers."""
    text = str(obj["metadata"].get("resourceVersion") or "")
    return int(text) if text.isdigit() else 0


def containers_of(pod: Object) -> list[dict[str, Any]]:
    """The statuses of a pod's containers, init containers first."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def has_started(pod: Object) -> bool:
    """Whether the pod's containers have run, so that there is a log."""
    for container in (pod.get("status") or {}).get("containerStatuses") or []:
        state = container.get("state") or {}
        if "running" in state or "terminated" in state or container.get("restartCount"):
            return True
    return False


def main_container(pod: Object) -> str:
    """The container that does the work, by kubectl's annotation or by being the first."""
    chosen = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    return str(chosen or pod["spec"]["containers"][0]["name"])


def restarts(pod: Object, container: str) -> int:
    """How often a container was started again."""
    return sum(int(item.get("restartCount") or 0) for item in containers_of(pod) if item.get("name") == container)


def finished_at(pod: Object) -> str:
    """When the last of an ended pod's containers ended; empty while it has not ended."""
    if not ended(pod):
        return ""
    ends = [(container.get("state") or {}).get("terminated") or {} for container in containers_of(pod)]
    return max((str(end.get("finishedAt") or "") for end in ends), default="")


def unscheduled(pod: Object) -> bool:
    """Whether the scheduler has found no node for a pod."""
    scheduled = meta.condition(pod, "PodScheduled")
    return scheduled is not None and scheduled.get("status") == "False" and not ended(pod)


def rank(pod: Object) -> tuple[int, int]:
    """Which pod of a job speaks for it: the lowest, a master before workers, worker 0 before worker 1.

    One that uploads the result comes last: it has nothing to say about the work.
    """
    role, index = role_of(pod)
    if LABEL_UPLOAD in (pod["metadata"].get("labels") or {}):
        return _LAST, index
    return _RANKS.get(role, _WORKS), index


def role_of(pod: Object) -> tuple[str, int]:
    """What a pod is in its job, in lower case, and its index: `worker`, 1. The role is empty where there is none."""
    labels = pod["metadata"].get("labels") or {}
    role = next((str(labels[label]).lower() for label in _ROLE_LABELS if labels.get(label)), "")
    index = next((str(labels[label]) for label in _INDEX_LABELS if labels.get(label)), "0")
    return role, int(index) if index.isdigit() else 0


def is_at(pod: Object, wanted: str) -> bool:
    """Whether a pod is the one that a person means: `worker-1`, `worker/1`, or its name."""
    return wanted.lower() in (place_of(pod), place_of(pod).replace("-", "/"), meta.name_of(pod))


def place_of(pod: Object) -> str:
    """`worker-1`; of a pod that has no role, its name."""
    role, index = role_of(pod)
    return f"{role}-{index}" if role else meta.name_of(pod)


def failed_at(pod: Object) -> tuple[str, bool] | None:
    """When the first of a pod's containers failed, to order failures by; None when none has.

    Of two at the same time, the one that was ended by a signal may be the other's consequence.
    """
    ends = [(container.get("state") or {}).get("terminated") or {} for container in containers_of(pod)]
    failed = [(str(end.get("finishedAt") or ""), int(end["exitCode"]) > 128) for end in ends if end.get("exitCode")]
    return min(failed, default=None)


def _is_child(obj: Object, uids: Iterable[str], names: Iterable[tuple[str, str]]) -> bool:
    references = obj["metadata"].get("ownerReferences") or []
    if any(reference.get("uid") in uids for reference in references):
        return True
    if obj["kind"] != "Pod":
        return False
    labels = obj["metadata"].get("labels") or {}
    return any(
        label in labels and (kind, labels[label]) in names for label, kinds in _BY_LABEL.items() for kind in kinds
    )


def _about(event: Object, uids: Iterable[str], named: Iterable[tuple[Any, Any]]) -> bool:
    about = event.get("involvedObject") or {}
    if about.get("uid"):
        return about["uid"] in uids
    return (about.get("kind"), about.get("name")) in named
