"""The controller of TrainJobs."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path

from cpod_jupyter.api import meta
from cpod_jupyter.api.problem import nearest
from cpod_jupyter.api.resources import (
    CLUSTERTRAININGRUNTIMES,
    CONFIGMAPS,
    EVENTS,
    JOBS,
    PVCS,
    SECRETS,
    SERVICES,
    TRAININGRUNTIMES,
    TRAINJOBS,
    Object,
    Resource,
)
from cpod_jupyter.api.trainjob import LABEL_RESTART_ATTEMPT, MANAGER
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, Recorder, to_controller, to_itself
from cpod_jupyter.engine.controllers.trainer import mpi, policies
from cpod_jupyter.engine.controllers.trainer.jobs import (
    Part,
    batch_job,
    claims,
    headless_service,
    job_name,
    owned,
    patches_digest,
)
from cpod_jupyter.engine.controllers.trainer.status import (
    FAILED,
    SUSPENDED,
    WAITING,
    Verdict,
    is_finished,
    judge,
    may_run,
    new_status,
    seconds_left,
    step_of,
)
from cpod_jupyter.engine.controllers.trainer.steps import faults, jobset_of, steps
from cpod_jupyter.engine.controllers.training import addresses
from cpod_jupyter.engine.controllers.training.addresses import ENDPOINTS_ANNOTATION, Endpoints
from cpod_jupyter.errors import AlreadyExists, NotFound

RESTARTS_ANNOTATION = "cpod.cpod/restarts"
"""How often all jobs of a TrainJob were begun again (failurePolicy.maxRestarts of its runtime)."""

_NAME_TAKEN = "NameTaken"
_LOOK_AGAIN = 10.0
"""Seconds until a Job of another's is looked for again, whose end is not told of here."""

_RUNTIMES = {"TrainingRuntime": TRAININGRUNTIMES, "ClusterTrainingRuntime": CLUSTERTRAININGRUNTIMES}


class TrainJobReconciler:
    """Brings TrainJobs about. Gang scheduling is not done: podGroupPolicy is accepted, and pods are scheduled one by
    one, as they are where no gang scheduler runs."""

    def __init__(self, api: KubeApi, home: Path) -> None:
        self._api = api
        self._pods = home.resolve() / "pods"
        self._events = Recorder(api, "trainjob-controller", EVENTS)

    def reconcile(self, key: Key) -> float | None:
        try:
            train_job = self._api.get(TRAINJOBS, key.name, key.namespace)
        except NotFound:
            return None
        if meta.is_going(train_job) or train_job["spec"].get("managedBy", MANAGER) != MANAGER:
            return None
        jobs = self._jobs(train_job)
        if is_finished(train_job):
            self._rest(jobs)
            return self._expire(train_job, jobs)
        train_job, jobs, verdict = self._brought(train_job, jobs)
        if verdict is None:
            now = dt.datetime.now(dt.UTC)
            verdict = judge(train_job, jobs, now)
            if verdict.reason == "FailedJobs" and self._restart(train_job, verdict):
                return None  # the change of its annotation brings it here again
        self._write_status(train_job, jobs, verdict)
        if verdict.ends or verdict.kind in (SUSPENDED, WAITING):
            self._rest(jobs, anew=patches_digest(train_job) if verdict.kind == SUSPENDED else "")
            return _LOOK_AGAIN if verdict.reason == _NAME_TAKEN else None
        self._go_on(jobs)
        return seconds_left(train_job, dt.datetime.now(dt.UTC))

    def _jobs(self, train_job: Object) -> list[Object]:
        """The Jobs of this attempt; those of an earlier one are sent away."""
        found = []
        for job in self._api.list(JOBS, meta.namespace_of(train_job)).items:
            if not meta.is_controlled_by(job, train_job) or meta.is_going(job):
                continue
            if (job["metadata"].get("labels") or {}).get(LABEL_RESTART_ATTEMPT) == str(_attempt(train_job)):
                found.append(job)
            else:
                self._delete(job)
        return sorted(found, key=meta.name_of)

    # ---- making

    def _brought(self, train_job: Object, jobs: list[Object]) -> tuple[Object, list[Object], Verdict | None]:
        """Make the Jobs that are missing; a verdict where that is not to be, or can't be."""
        if jobs and len(jobs) >= Part.of_job(jobs[0]).of:
            return train_job, jobs, None  # whatever became of the runtime since
        if train_job["spec"].get("suspend"):
            return train_job, jobs, None
        runtime, missing = self._runtime(train_job)
        if runtime is None:
            return train_job, jobs, missing
        wrong = [*faults(train_job, runtime), *policies.policy_faults(train_job, runtime)]
        if wrong:
            name = train_job["spec"]["runtimeRef"]["name"]
            message = f"the TrainJob cannot be carried out with the runtime {name}: {'; '.join(wrong)}"
            return train_job, jobs, Verdict(FAILED, "TrainJobRuntimeNotSupported", message)
        found = steps(train_job, runtime)
        keys = [policies.place_key(step, index) for step in found for index in range(step.count)]
        train_job, places = self._places(train_job, keys)
        policies.inject(train_job, runtime, found, places)
        mpi.inject(train_job, runtime, found)
        self._bring(SERVICES, headless_service(train_job, runtime))
        for claim in claims(train_job, runtime):
            self._bring(PVCS, claim)
        for obj in mpi.companions(train_job, runtime, found, places, self._pods):
            self._bring(SECRETS if obj["kind"] == "Secret" else CONFIGMAPS, owned(train_job, obj))
        there = {step_of(job) for job in jobs}
        for step in found:
            if step.name in there:
                continue
            name = job_name(train_job, step.name)
            try:
                wanted = batch_job(train_job, runtime, found, step, places, _attempt(train_job))
                jobs = [*jobs, self._api.create(JOBS, wanted)]
            except AlreadyExists:
                if self._is_anothers(train_job, name):
                    whose = f"there is a Job {name} already, which is not this TrainJob's"
                    message = f"{whose}: delete that, or take another name"
                    return train_job, jobs, Verdict(WAITING, _NAME_TAKEN, message)
                continue  # one of an earlier attempt, which is ending; that is told of
            self._events.normal(train_job, "SuccessfulCreate", f"Created job: {name}")
        return train_job, jobs, None

    def _is_anothers(self, train_job: Object, name: str) -> bool:
        """Whether a Job is not this TrainJob's, nor one of its name that was deleted, whose Jobs go by themselves."""
        try:
            owner = meta.controller_of(self._api.get(JOBS, name, meta.namespace_of(train_job))) or {}
        except NotFound:
            return False
        return (owner.get("kind"), owner.get("name")) != (TRAINJOBS.kind, meta.name_of(train_job))

    def _runtime(self, train_job: Object) -> tuple[Object | None, Verdict | None]:
        """The runtime that the TrainJob refers to; else why it waits, or can't run."""
        reference = train_job["spec"]["runtimeRef"]
        kind, name = reference.get("kind", "ClusterTrainingRuntime"), str(reference["name"])
        resource = _RUNTIMES.get(kind)
        if resource is None or reference.get("apiGroup", resource.group) != resource.group:
            message = f"unsupported runtime: {kind}.{reference.get('apiGroup')}; there are {' and '.join(_RUNTIMES)}"
            return None, Verdict(FAILED, "TrainJobRuntimeNotSupported", message)
        namespace = meta.namespace_of(train_job) if resource.namespaced else None
        try:
            return self._api.get(resource, name, namespace), None
        except NotFound:
            names = [meta.name_of(item) for item in self._api.list(resource, namespace).items]
        hint = nearest(name, names) or (f"; there are {', '.join(sorted(names))}" if names else "; there is none")
        return None, Verdict(WAITING, "RuntimeNotFound", f'there is no {kind} "{name}"{hint}')

    def _places(self, train_job: Object, keys: Sequence[str]) -> tuple[Object, Endpoints]:
        """Where the pods listen: what the TrainJob keeps, with what is missing drawn and kept first."""
        kept = addresses.parse((train_job["metadata"].get("annotations") or {}).get(ENDPOINTS_ANNOTATION))
        places = addresses.extended(kept, keys)
        if places == kept:
            return train_job, places
        return self._annotate(train_job, ENDPOINTS_ANNOTATION, addresses.render(places)), places

    def _annotate(self, train_job: Object, key: str, value: str) -> Object:
        change = {"metadata": {"annotations": {key: value}}}
        return self._api.patch(TRAINJOBS, meta.name_of(train_job), change, meta.namespace_of(train_job))

    def _bring(self, resource: Resource, obj: Object) -> None:
        with contextlib.suppress(AlreadyExists):
            self._api.create(resource, obj)

    # ---- running

    def _go_on(self, jobs: Sequence[Object]) -> None:
        """Let those Jobs run whose turn it is."""
        by_step = {step_of(job): job for job in jobs}
        for job in jobs:
            if job["spec"].get("suspend") and may_run(job, by_step):
                self._suspend(job, False)

    def _rest(self, jobs: Sequence[Object], anew: str = "") -> None:
        """Hold the Jobs that are not over. `anew`: those that were made with other patches go, to be made again."""
        for job in jobs:
            if meta.is_true(job, "Complete") or meta.is_true(job, "Failed"):
                continue
            if anew and Part.of_job(job).patches != anew:
                self._delete(job)
            elif not job["spec"].get("suspend"):
                self._suspend(job, True)

    def _suspend(self, job: Object, suspend: bool) -> None:
        with contextlib.suppress(NotFound):
            self._api.patch(JOBS, meta.name_of(job), {"spec": {"suspend": suspend}}, meta.namespace_of(job))

    def _delete(self, job: Object) -> None:
        """With its pods before it, so that the next one's find their addresses free."""
        with contextlib.suppress(NotFound):
            self._api.delete(
                JOBS, meta.name_of(job), meta.namespace_of(job), propagation="Foreground", uid=meta.uid_of(job)
            )

    def _restart(self, train_job: Object, verdict: Verdict) -> bool:
        """Begin all jobs again, where the runtime allows one more time."""
        runtime, _ = self._runtime(train_job)
        policy = (jobset_of(runtime).get("failurePolicy") or {}) if runtime is not None else {}
        attempt = _attempt(train_job)
        if attempt >= int(policy.get("maxRestarts") or 0):
            return False
        self._annotate(train_job, RESTARTS_ANNOTATION, str(attempt + 1))
        message = f"all jobs begin again ({attempt + 1} of {policy['maxRestarts']} times): {verdict.message}"
        self._events.warning(train_job, "Restarting", message)
        return True

    # ---- the TrainJob

    def _write_status(self, train_job: Object, jobs: Sequence[Object], verdict: Verdict) -> None:
        status = new_status(train_job, jobs, verdict)
        if status == (train_job.get("status") or {}):
            return
        self._api.replace(TRAINJOBS, {**train_job, "status": status}, subresource="status")
        before = {entry["type"]: entry for entry in (train_job.get("status") or {}).get("conditions") or []}
        for condition in status.get("conditions") or []:
            old = before.get(condition["type"]) or {}
            if all(old.get(key) == condition[key] for key in ("status", "reason", "message")):
                continue
            bad = condition["type"] in (FAILED, WAITING)
            (self._events.warning if bad else self._events.normal)(train_job, condition["reason"], condition["message"])

    def _expire(self, train_job: Object, jobs: Sequence[Object]) -> float | None:
        """Delete the Jobs when the runtime's ttlSecondsAfterFinished are over; the TrainJob itself stays."""
        if not jobs:
            return None
        runtime, _ = self._runtime(train_job)
        ttl = jobset_of(runtime).get("ttlSecondsAfterFinished") if runtime is not None else None
        end = meta.condition(train_job, "Complete") or meta.condition(train_job, FAILED)
        if ttl is None or end is None:
            return None
        left = float(ttl) - (dt.datetime.now(dt.UTC) - meta.parse_time(end["lastTransitionTime"])).total_seconds()
        if left > 0:
            return left
        for job in jobs:
            self._delete(job)
        return None


def _attempt(train_job: Object) -> int:
    return int((train_job["metadata"].get("annotations") or {}).get(RESTARTS_ANNOTATION, 0))


def trainer_controller(api: KubeApi, home: Path) -> Controller:
    """Runs TrainJobs; the engine's files are below `home`."""

    def to_waiting(runtime: Object) -> Iterable[Key]:
        """The TrainJobs that refer to a runtime and are not over."""
        for train_job in api.list(TRAINJOBS, meta.namespace_of(runtime) or None).items:
            reference = train_job["spec"]["runtimeRef"]
            same = (reference.get("kind"), reference["name"]) == (runtime["kind"], meta.name_of(runtime))
            if same and not is_finished(train_job):
                yield from to_itself(train_job)

    sources = {
        TRAINJOBS: to_itself,
        JOBS: to_controller("TrainJob"),
        TRAININGRUNTIMES: to_waiting,
        CLUSTERTRAININGRUNTIMES: to_waiting,
    }
    return Controller("trainjob", TrainJobReconciler(api, home).reconcile, sources)
