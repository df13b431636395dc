"""Kubeflow's PyTorchJob (training-operator v1.9) on one machine."""

from __future__ import annotations

import datetime as dt

from cpod_jupyter.api import meta
from cpod_jupyter.api.kubeflow import (
    LABEL_JOB_NAME,
    LABEL_OPERATOR,
    LABEL_REPLICA_INDEX,
    LABEL_REPLICA_TYPE,
    LABEL_ROLE,
)
from cpod_jupyter.api.resources import EVENTS, PODS, PYTORCHJOBS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_controller, to_itself
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers import torch_env
from cpod_jupyter.engine.controllers.pytorchjob_status import (
    Verdict,
    is_finished,
    job_status,
    judge,
    replica_of,
    restart_policy,
)
from cpod_jupyter.engine.controllers.torch_env import Replica
from cpod_jupyter.errors import NotFound

PORT_ANNOTATION = "cpod.cpod/rendezvous-port"
"""The port at which the job's pods meet, chosen once."""
RESTARTS_ANNOTATION = "cpod.cpod/recreated-pods"
"""How many failed pods were replaced; they count against backoffLimit, as container restarts do."""

_FIRST_DELAY, _LONGEST_DELAY = 10.0, 300.0


def replica_pod(job: Object, replica: Replica, port: int, address: str | None) -> Object:
    """The pod of one replica. `address` is the leading pod's IP, None for the leading pod itself."""
    role = replica.role.lower()
    template = job["spec"]["pytorchReplicaSpecs"][replica.role]["template"]
    policy = restart_policy(job, replica.role)
    labels = {
        LABEL_OPERATOR: "pytorchjob-controller",
        LABEL_JOB_NAME: meta.name_of(job),
        LABEL_REPLICA_TYPE: role,
        LABEL_REPLICA_INDEX: str(replica.index),
        **({LABEL_ROLE: "master"} if replica.role == torch_env.MASTER else {}),
    }
    name = f"{meta.name_of(job)}-{role}-{replica.index}"
    pod = podset.from_template(template, job, name, labels, restartPolicy="Never" if policy == "ExitCode" else policy)
    variables = torch_env.environment(job, replica, port, address)
    for container in [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]:
        own = list(container.get("env") or [])
        named = {entry["name"] for entry in own}
        container["env"] = [*(entry for entry in variables if entry["name"] not in named), *own]
    return pod


def to_clean(job: Object, pods: list[Object]) -> list[Object]:
    """The pods of a finished job that cleanPodPolicy takes away; the kind's default is None of them."""
    policy = (job["spec"].get("runPolicy") or {}).get("cleanPodPolicy") or "None"
    if policy == "All":
        return pods
    return [pod for pod in pods if podset.is_active(pod)] if policy == "Running" else []


class PyTorchJobReconciler:
    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._events = Recorder(api, "pytorchjob-controller", EVENTS)

    def reconcile(self, key: Key) -> float | None:
        try:
            job = self._api.get(PYTORCHJOBS, key.name, key.namespace)
        except NotFound:
            return None
        if job["metadata"].get("deletionTimestamp"):
            return None
        pods = podset.owned(self._api, job)
        if is_finished(job):
            podset.delete(self._api, to_clean(job, pods))
            return self._expire(job)
        if (job["spec"].get("runPolicy") or {}).get("suspend"):
            podset.delete(self._api, pods)
            message = f"PyTorchJob {key.name} is suspended."
            self._write_status(job, [], Verdict("Suspended", "PyTorchJobSuspended", message))
            return None
        verdict = judge(job, pods, self._recreated(job), dt.datetime.now(dt.UTC))
        self._write_status(job, pods, verdict)  # what is seen is said before it is changed
        return None if verdict.ends else self._next_look(job, self._run(job, pods))

    @staticmethod
    def _recreated(job: Object) -> int:
        return int((job["metadata"].get("annotations") or {}).get(RESTARTS_ANNOTATION, 0))

    def _run(self, job: Object, pods: list[Object]) -> float | None:
        """Replace what failed and may be tried again, and make what is missing.

        Seconds until a failed pod's delay is over, if one waits.
        """
        job, port = self._port(job)
        present = {replica_of(pod): pod for pod in pods}
        again: float | None = None
        for place in torch_env.replicas(job):
            pod = present.get((place.role, place.index))
            if pod is not None and podset.phase(pod) == podset.FAILED and not podset.is_ending(pod):
                wait = self._recreate_delay(job, pod)
                if wait > 0:
                    again = wait if again is None else min(again, wait)
                    continue
                job = self._count_recreated(job)
                podset.delete(self._api, [pod])
                pod = None
                present.pop((place.role, place.index))
                if self._exists(job, place):
                    continue
            if pod is not None:
                continue
            address = self._leader_address(job, present) if not torch_env.leads(place) else None
            if address == "":
                continue  # the leading pod has no address yet; its status will be told of
            self._create(job, place, port, address)
        return again

    def _exists(self, job: Object, place: Replica) -> bool:
        try:
            self._api.get(PODS, f"{meta.name_of(job)}-{place.role.lower()}-{place.index}", meta.namespace_of(job))
        except NotFound:
            return False
        return True

    @staticmethod
    def _leader_address(job: Object, present: dict[tuple[str, int], Object]) -> str | None:
        """The IP of the pod that the others meet at: empty while it has none, None when they don't meet."""
        if not torch_env.meets(job):
            return None
        first = torch_env.replicas(job)[0]
        leader = present.get((first.role, first.index))
        return str(((leader or {}).get("status") or {}).get("podIP") or "")

    def _create(self, job: Object, place: Replica, port: int, address: str | None) -> None:
        pod = self._api.create(PODS, replica_pod(job, place, port, address))
        self._events.normal(job, "SuccessfulCreatePod", f"Created pod: {meta.name_of(pod)}")

    def _port(self, job: Object) -> tuple[Object, int]:
        """The port at which the pods meet: the job's own, or a free one that is then kept."""
        asked = (job["spec"].get("elasticPolicy") or {}).get("rdzvPort")
        kept = (job["metadata"].get("annotations") or {}).get(PORT_ANNOTATION)
        if asked or kept:
            return job, int(asked or kept or 0)
        port = torch_env.free_port()
        return self._annotate(job, PORT_ANNOTATION, str(port)), port

    def _annotate(self, job: Object, key: str, value: str) -> Object:
        change = {"metadata": {"annotations": {key: value}}}
        return self._api.patch(PYTORCHJOBS, meta.name_of(job), change, meta.namespace_of(job))

    def _count_recreated(self, job: Object) -> Object:
        return self._annotate(job, RESTARTS_ANNOTATION, str(self._recreated(job) + 1))

    def _recreate_delay(self, job: Object, pod: Object) -> float:
        """Seconds until a failed pod is replaced: the first at once, later ones after a growing delay."""
        done = self._recreated(job)
        ended = podset.finished_at(pod)
        if not done or not ended:
            return 0.0
        delay: float = min(_FIRST_DELAY * 2.0 ** (done - 1), _LONGEST_DELAY)
        return delay - (dt.datetime.now(dt.UTC) - meta.parse_time(ended)).total_seconds()

    def _write_status(self, job: Object, pods: list[Object], verdict: Verdict) -> None:
        status = job_status(job, pods, verdict)
        if status == job.get("status"):
            return
        status["lastReconcileTime"] = meta.now()
        self._api.replace(PYTORCHJOBS, {**job, "status": status}, subresource="status")
        before = {c["type"]: c["status"] for c in (job.get("status") or {}).get("conditions") or []}
        for condition in status["conditions"]:
            if condition["status"] == "True" and before.get(condition["type"]) != "True":
                say = self._events.warning if condition["type"] == "Failed" else self._events.normal
                say(job, condition["reason"], condition["message"])

    @staticmethod
    def _next_look(job: Object, again: float | None) -> float | None:
        deadline = (job["spec"].get("runPolicy") or {}).get("activeDeadlineSeconds")
        if deadline is None:
            return again
        started = (job.get("status") or {}).get("startTime")
        gone = (dt.datetime.now(dt.UTC) - meta.parse_time(started)).total_seconds() if started else 0.0
        left = max(0.05, float(deadline) - gone)
        return left if again is None else min(again, left)

    def _expire(self, job: Object) -> float | None:
        """Delete a finished job when its time to live is over; else the seconds until then."""
        ttl = (job["spec"].get("runPolicy") or {}).get("ttlSecondsAfterFinished")
        if ttl is None:
            return None
        end = meta.condition(job, "Succeeded") if meta.is_true(job, "Succeeded") else meta.condition(job, "Failed")
        assert end is not None
        left = float(ttl) - (dt.datetime.now(dt.UTC) - meta.parse_time(end["lastTransitionTime"])).total_seconds()
        if left > 0:
            return left
        self._api.delete(PYTORCHJOBS, meta.name_of(job), meta.namespace_of(job), uid=meta.uid_of(job))
        return None


def pytorchjob_controller(api: KubeApi) -> Controller:
    """Runs PyTorchJobs."""
    reconcile = PyTorchJobReconciler(api).reconcile
    return Controller("pytorchjob", reconcile, {PYTORCHJOBS: to_itself, PODS: to_controller("PyTorchJob")}, workers=2)
