"""From an object that changed to the objects that wait for it, and from a job to its pods."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME
from cpod_jupyter.api.resources import JOBS, MPIJOBS_V2BETA1, PODS, Object, Resource
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Key, Mapper, to_itself


def label_to(label: str) -> Mapper:
    """Maps an object to the primary that its label names."""

    def mapper(obj: Object) -> Iterable[Key]:
        name = (obj["metadata"].get("labels") or {}).get(label)
        if name:
            yield Key(meta.namespace_of(obj), str(name))

    return mapper


def to_waiting(api: KubeApi, resource: Resource, waits_for: Callable[[Object, Object], bool]) -> Mapper:
    """Maps an object to those of the kind that wait for it: in its namespace, or in all when it has none."""

    def mapper(obj: Object) -> Iterable[Key]:
        for waiting in api.list(resource, meta.namespace_of(obj) or None).items:
            if waits_for(waiting, obj):
                yield from to_itself(waiting)

    return mapper


def pods_of(api: KubeApi, job: Object) -> list[Object]:
    """The pods of a Job or a training job; not those of an earlier one with its name.

    mpi-operator starts the launcher through a batch Job of the MPIJob's, which then controls the pod.
    """
    label = names.LABEL_JOB if job["kind"] == JOBS.kind else LABEL_JOB_NAME
    selector = f"{label}={meta.name_of(job)}"
    pods = api.list(PODS, meta.namespace_of(job), label_selector=selector).items
    owners = [job]
    if job["kind"] == MPIJOBS_V2BETA1.kind:
        launchers = api.list(JOBS, meta.namespace_of(job), label_selector=selector).items
        owners += [launcher for launcher in launchers if meta.is_controlled_by(launcher, job)]
    return [pod for pod in pods if any(meta.is_controlled_by(pod, owner) for owner in owners)]
