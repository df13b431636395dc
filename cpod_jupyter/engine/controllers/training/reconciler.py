"""The generic controller of training jobs: what training-operator's common engine does, for every kind."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Sequence

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import EVENTS, PODS, SERVICES, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_controller, to_itself
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers.training import addresses
from cpod_jupyter.engine.controllers.training.addresses import ENDPOINTS_ANNOTATION, Endpoints
from cpod_jupyter.engine.controllers.training.children import owned_object, replica_pod, replica_service
from cpod_jupyter.engine.controllers.training.kind import Companion, Replica, TrainingJob, TrainingKind
from cpod_jupyter.engine.controllers.training.status import (
    Verdict,
    invalid,
    is_unchanged,
    job_status,
    judge,
    suspended,
)
from cpod_jupyter.errors import AlreadyExists, NotFound

RESTARTS_ANNOTATION = "cpod.cpod/recreated-pods"
"""How many failed pods were replaced; they count against backoffLimit, as container restarts do."""
OWN_MANAGER = "kubeflow.org/training-operator"
"""runPolicy.managedBy of the jobs that are this controller's; others are left alone (MultiKueue's)."""

_FIRST_DELAY, _LONGEST_DELAY = 10.0, 300.0


class TrainingReconciler:
    """Brings the jobs of one kind about.

    What is not done: gang scheduling. runPolicy.schedulingPolicy is accepted, and its pods are scheduled one by one,
    as they are by an operator that is run without a gang scheduler.
    """

    def __init__(self, api: KubeApi, kind: TrainingKind) -> None:
        self._api = api
        self._kind = kind
        self._events = Recorder(api, kind.operator, EVENTS)

    def reconcile(self, key: Key) -> float | None:
        try:
            obj = self._api.get(self._kind.resource, key.name, key.namespace)
        except NotFound:
            return None
        job = TrainingJob(self._kind, obj)
        if not self._kind.owns(self._api, obj):
            return None
        if meta.is_going(obj) or job.policy.get("managedBy") not in (None, "", OWN_MANAGER):
            return None
        pods = podset.owned(self._api, obj)
        if job.is_finished:
            self._remove(job, self._to_clean(job, pods))
            return self._expire(job)
        faults = job.faults()
        if faults:
            self._write_status(job, pods, invalid(job, faults))
            return None
        if job.is_suspended:
            self._remove(job, pods)
            self._write_status(job, [], suspended(job))
            return None
        verdict = judge(job, pods, self._recreated(job), dt.datetime.now(dt.UTC))
        self._write_status(job, pods, verdict)  # what is seen is said before it is changed
        if verdict.limit:  # whatever cleanPodPolicy says; pods that have ended stay for their logs
            self._remove(job, [pod for pod in pods if podset.is_active(pod)])
        return None if verdict.ends else self._next_look(job, self._run(job, pods))

    @staticmethod
    def _to_clean(job: TrainingJob, pods: list[Object]) -> list[Object]:
        """The pods of a finished job that cleanPodPolicy takes away."""
        if job.clean_pod_policy == "All":
            return pods
        return [pod for pod in pods if podset.is_active(pod)] if job.clean_pod_policy == "Running" else []

    def _remove(self, job: TrainingJob, pods: Sequence[Object]) -> None:
        """Delete pods, and the services of their names."""
        for pod in pods:
            if meta.is_going(pod):
                continue
            podset.delete(self._api, [pod])
            if self._kind.with_services:
                with contextlib.suppress(NotFound):
                    self._api.delete(SERVICES, meta.name_of(pod), job.namespace)

    @staticmethod
    def _recreated(job: TrainingJob) -> int:
        return int((job.obj["metadata"].get("annotations") or {}).get(RESTARTS_ANNOTATION, 0))

    # ---- pods

    def _run(self, job: TrainingJob, pods: list[Object]) -> float | None:
        """Replace what failed and may be tried again, take away what is too many, and make what is missing.

        Seconds until a failed pod's delay is over, if one waits.
        """
        job, places = self._endpoints(job)
        for companion in self._kind.companions(job, places, pods):
            self._bring(job, companion)
        present = {job.replica_of(pod): pod for pod in pods}
        wanted = {(replica.role, replica.index) for replica in job.replicas}
        self._remove(job, [pod for place, pod in present.items() if place not in wanted])
        again: float | None = None
        for replica in job.replicas:
            pod = present.get((replica.role, replica.index))
            if pod is not None and self._is_to_replace(job, pod):
                wait = self._recreate_delay(job, pod)
                if wait > 0:
                    again = wait if again is None else min(again, wait)
                    continue
                job = self._count_recreated(job)
                podset.delete(self._api, [pod])
                if self._exists(job, replica):
                    continue  # it ends first; that is told of
                pod = None
            if pod is None and self._kind.may_start(job, replica, pods):
                self._create(job, replica, places)
        return again

    def _bring(self, job: TrainingJob, companion: Companion) -> None:
        """Make an object that goes with the pods, or bring its data up to date."""
        try:
            there = self._api.get(companion.resource, companion.name, job.namespace)
        except NotFound:
            self._api.create(companion.resource, owned_object(job, companion.build()))
            return
        data = companion.build().get("data") if companion.follows else None
        if data is not None and data != there.get("data") and meta.is_controlled_by(there, job.obj):
            self._api.patch(companion.resource, companion.name, {"data": data}, job.namespace)

    @staticmethod
    def _is_to_replace(job: TrainingJob, pod: Object) -> bool:
        return podset.phase(pod) == podset.FAILED and not meta.is_going(pod) and job.may_retry(pod)

    def _exists(self, job: TrainingJob, replica: Replica) -> bool:
        try:
            self._api.get(PODS, self._kind.pod_name(job, replica), job.namespace)
        except NotFound:
            return False
        return True

    def _create(self, job: TrainingJob, replica: Replica, places: Endpoints) -> None:
        try:
            pod = self._api.create(PODS, replica_pod(job, replica, places))
        except AlreadyExists:
            self._tell_whose(job, self._kind.pod_name(job, replica))
            raise  # it is tried again, after a while
        self._events.normal(job.obj, "SuccessfulCreatePod", f"Created pod: {meta.name_of(pod)}")
        if not self._kind.with_services:
            return
        with contextlib.suppress(AlreadyExists):
            service = self._api.create(SERVICES, replica_service(job, replica, places))
            self._events.normal(job.obj, "SuccessfulCreateService", f"Created service: {meta.name_of(service)}")

    def _tell_whose(self, job: TrainingJob, name: str) -> None:
        """An event when a pod of the name that is wanted is another object's, as of a job of another kind with this
        job's name; what is left of an earlier job of this name goes by itself."""
        with contextlib.suppress(NotFound):
            there = self._api.get(PODS, name, job.namespace)
            owner = meta.controller_of(there) or {}
            if (owner.get("kind"), owner.get("name")) != (self._kind.resource.kind, job.name):
                whose = f"belongs to {owner['kind']} {owner['name']}" if owner else "belongs to nobody"
                message = f"there is a pod {name} already, which {whose}: delete that, or give this job another name"
                self._events.warning(job.obj, "FailedCreatePod", message)

    def _endpoints(self, job: TrainingJob) -> tuple[TrainingJob, Endpoints]:
        """Where the replicas listen: what the job keeps, with what is missing drawn and kept first."""
        kept = job.places
        places = addresses.extended(kept, [replica.key for replica in job.replicas])
        if places == kept:
            return job, places
        return self._annotate(job, ENDPOINTS_ANNOTATION, addresses.render(places)), places

    def _annotate(self, job: TrainingJob, key: str, value: str) -> TrainingJob:
        change = {"metadata": {"annotations": {key: value}}}
        return TrainingJob(self._kind, self._api.patch(self._kind.resource, job.name, change, job.namespace))

    def _count_recreated(self, job: TrainingJob) -> TrainingJob:
        return self._annotate(job, RESTARTS_ANNOTATION, str(self._recreated(job) + 1))

    def _recreate_delay(self, job: TrainingJob, pod: Object) -> float:
        """Seconds until a failed pod is replaced: the first at once, later ones after a growing delay."""
        done = self._recreated(job)
        ended = podset.finished_at(pod)
        if not done or not ended:
            return 0.0
        delay: float = min(_FIRST_DELAY * 2.0 ** (done - 1), _LONGEST_DELAY)
        return delay - (dt.datetime.now(dt.UTC) - meta.parse_time(ended)).total_seconds()

    # ---- the job

    def _write_status(self, job: TrainingJob, pods: list[Object], verdict: Verdict) -> None:
        status = job_status(job, pods, verdict)
        if is_unchanged(status, job.status):
            return
        status["lastReconcileTime"] = meta.now()
        self._api.replace(self._kind.resource, {**job.obj, "status": status}, subresource="status")
        before = {entry["type"]: entry["status"] for entry in job.status.get("conditions") or []}
        for condition in status["conditions"]:
            if condition["status"] == "True" and before.get(condition["type"]) != "True":
                say = self._events.warning if condition["type"] in ("Failed", "Restarting") else self._events.normal
                say(job.obj, condition["reason"], condition["message"])

    @staticmethod
    def _next_look(job: TrainingJob, again: float | None) -> float | None:
        deadline = job.policy.get("activeDeadlineSeconds")
        if deadline is None:
            return again
        started = job.status.get("startTime")
        gone = (dt.datetime.now(dt.UTC) - meta.parse_time(started)).total_seconds() if started else 0.0
        left = max(0.05, float(deadline) - gone)
        return left if again is None else min(again, left)

    def _expire(self, job: TrainingJob) -> float | None:
        """Delete a finished job when its time to live is over; else the seconds until then."""
        ttl = job.policy.get("ttlSecondsAfterFinished")
        ended = job.status.get("completionTime")
        if ttl is None or ended is None:
            return None
        left = float(ttl) - (dt.datetime.now(dt.UTC) - meta.parse_time(ended)).total_seconds()
        if left > 0:
            return left
        self._api.delete(self._kind.resource, job.name, job.namespace, uid=meta.uid_of(job.obj))
        return None


def training_controller(api: KubeApi, kind: TrainingKind) -> Controller:
    """Runs the jobs of one kind."""
    name = f"{kind.resource.singular}-{kind.resource.version}"
    sources = {kind.resource: to_itself, PODS: to_controller(kind.resource.kind)}
    return Controller(name, TrainingReconciler(api, kind).reconcile, sources)
