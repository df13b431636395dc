"""What has become of an InferenceService: pure.

Ready is whether it answers; LatestDeploymentReady is whether it answers as its spec now says. While a new revision
does not get ready, or is refused, the pods of the one before go on, and the service is Ready with their answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers.predictor import Predictor, serving_container, serving_port
from cpod_jupyter.engine.controllers.scaling import of_revision
from cpod_jupyter.engine.controllers.serving_runtimes import Refused

_CRASHING = "CrashLoopBackOff"
_NOT_A_FAILURE = ("Unschedulable", "SchedulingGated")
"""Reasons for which a pod waits, and need not for ever."""


@dataclass(frozen=True)
class Observed:
    """What there is of a service: its pods, and what it asks for, or why that is refused."""

    pods: Sequence[Object]
    predictor: Predictor | None = None
    wanted: int = 0
    stopped: bool = False
    front: str = ""
    """Where the engine answers for a service that may have no pod."""
    proven: bool = False
    """Whether it may have no pod, and the present revision has been ready before: then a request is answered, if after
    a while."""
    refused: Refused | None = None

    @property
    def fresh(self) -> list[Object]:
        """The pods of the present revision."""
        return of_revision(self.pods, self.predictor.revision) if self.predictor else []

    @property
    def ready(self) -> list[Object]:
        """The pods that answer, those of the present revision first."""
        fresh = [meta.name_of(pod) for pod in self.fresh]
        found = [pod for pod in self.pods if podset.is_ready(pod)]
        return sorted(found, key=lambda pod: (meta.name_of(pod) not in fresh, meta.name_of(pod)))

    @property
    def stuck(self) -> tuple[str, str] | None:
        """Why a pod of the present revision doesn't run: reason and message."""
        return next((found for pod in self.fresh if (found := podset.trouble(pod)) is not None), None)


@dataclass(frozen=True)
class Verdict:
    """A condition to be: its status, reason and message."""

    status: bool
    reason: str
    message: str = ""


def service_status(service: Object, observed: Observed) -> dict[str, Any]:
    """The whole status."""
    old = service.get("status") or {}
    latest = _latest(observed)
    ready = _ready(observed, latest)
    conditions = [entry for entry in old.get("conditions") or [] if entry.get("type") != "Stopped"]
    for kind, verdict in (
        ("PredictorReady", ready), ("IngressReady", ready), ("LatestDeploymentReady", latest), ("Ready", ready),
    ):  # fmt: skip
        conditions = meta.with_condition(conditions, kind, verdict.status, verdict.reason, verdict.message)
    if observed.stopped:
        so_far = [entry for entry in old.get("conditions") or [] if entry.get("type") == "Stopped"]
        conditions += meta.with_condition(so_far, "Stopped", True, "Stopped", latest.message)
    status: dict[str, Any] = {
        "conditions": conditions,
        "observedGeneration": int(service["metadata"].get("generation") or 0),
        "deploymentMode": "Standard",
        "modelStatus": _model_status(observed, latest),
        "components": {"predictor": _component(old, observed, latest)},
    }
    runtime = observed.predictor.runtime if observed.predictor else None
    if runtime is not None:
        status["clusterServingRuntimeName" if runtime.of_cluster else "servingRuntimeName"] = runtime.name
    if url := _url(observed):
        status["url"] = url
        status["address"] = {"url": url}
        status["components"]["predictor"]["url"] = url
    return status


def _latest(observed: Observed) -> Verdict:
    """Whether the present spec is served."""
    if observed.refused is not None:
        return Verdict(False, observed.refused.reason, str(observed.refused))
    if observed.stopped:
        return Verdict(False, "Stopped", "the service is stopped")
    if observed.wanted == 0:
        return Verdict(True, "ScaledToZero", "nobody asks: no pod runs until a request comes")
    count = sum(podset.is_ready(pod) for pod in observed.fresh)
    if count >= observed.wanted:
        return Verdict(True, "MinimumReplicasAvailable")
    if observed.stuck is not None:
        return Verdict(False, *observed.stuck)
    if observed.proven:
        return Verdict(True, "Activating", "a request has come, and a pod is being started for it")
    unready = _unready(observed.fresh)
    return Verdict(
        False, "Deploying", f"{count} of {observed.wanted} pods are ready" + (f"; {unready}" if unready else "")
    )


def _ready(observed: Observed, latest: Verdict) -> Verdict:
    """Whether the service answers. A rollout does not interrupt it: enough ready pods of any revision will do."""
    if latest.status or observed.stopped or len(observed.ready) < max(observed.wanted, 1):
        return latest
    fresh = sum(podset.is_ready(pod) for pod in observed.fresh)
    if observed.refused is not None:
        return Verdict(True, "RollingOut", f"the revision before serves, the present spec is refused: {latest.message}")
    how = f"{fresh} of {observed.wanted} pods of the new revision are ready; the old ones serve"
    return Verdict(True, "RollingOut", how + (f": {observed.stuck[1]}" if observed.stuck else ""))


def _url(observed: Observed) -> str:
    if observed.stopped:
        return ""
    if observed.front:
        return observed.front
    if not observed.ready:
        return ""
    pod = observed.ready[0]
    # the port of a pod's own revision, which may be an older one than the spec's
    return f"http://{pod['status']['podIP']}:{serving_port(serving_container(pod['spec']) or {})}"


def _component(old: dict[str, Any], observed: Observed, latest: Verdict) -> dict[str, Any]:
    """KServe's names of revisions; the latest ready one is remembered while no pod runs."""
    before = (old.get("components") or {}).get("predictor") or {}
    if observed.predictor is None:
        return {key: before[key] for key in ("latestCreatedRevision", "latestReadyRevision") if before.get(key)}
    found = {"latestCreatedRevision": observed.predictor.revision}
    ready = observed.predictor.revision if latest.status and observed.wanted else before.get("latestReadyRevision")
    return {**found, "latestReadyRevision": ready} if ready else found


def _unready(pods: Sequence[Object]) -> str:
    """A pod that runs and is not ready yet, in words, with what its last run left to say."""
    for pod in pods:
        if podset.phase(pod) == podset.RUNNING and not podset.is_ready(pod):
            how = podset.last_failure(pod)
            if how is not None:
                return f"{how.sentence(meta.name_of(pod))}; restarted {podset.restarts(pod)} times"
            return f"{meta.name_of(pod)} runs and is not ready"
    return ""


def _model_status(observed: Observed, latest: Verdict) -> dict[str, Any]:
    """KServe's modelStatus: whether the model that is wanted is the one that serves."""
    asleep = "Standby" if latest.status else "Pending"
    states = {"activeModelState": "Loaded" if observed.ready else asleep, "targetModelState": "Pending"}
    status: dict[str, Any] = {"transitionStatus": "InProgress", "states": states}
    if latest.status:
        coming = "Loading" if observed.wanted else "Standby"
        states["targetModelState"] = "Loaded" if observed.ready and observed.wanted else coming
        status["transitionStatus"] = "UpToDate"
    elif observed.refused is not None:
        states["targetModelState"] = "FailedToLoad"
        status["transitionStatus"] = "InvalidSpec"
        status["lastFailureInfo"] = {"reason": latest.reason, "message": latest.message}
    elif observed.stuck is not None and observed.stuck[0] not in _NOT_A_FAILURE:
        states["targetModelState"] = "FailedToLoad"
        status["transitionStatus"] = "BlockedByFailedLoad"
        status["lastFailureInfo"] = _failure(observed)
    elif any(_has_begun(pod) for pod in observed.fresh):
        states["targetModelState"] = "Loading"
    failed = sum(podset.restarts(pod) > 0 and not podset.is_ready(pod) for pod in observed.pods)
    status["copies"] = {"failedCopies": failed, "totalCopies": len(observed.ready)}
    return status


def _failure(observed: Observed) -> dict[str, Any]:
    """Of the first pod that is in trouble: which one, how, and the exit code."""
    pod = next(pod for pod in observed.fresh if podset.trouble(pod) is not None)
    reason, message = podset.trouble(pod) or ("", "")
    how = podset.last_failure(pod)
    return {
        "location": meta.name_of(pod),
        "reason": "ModelLoadFailed" if reason == _CRASHING else "RuntimeUnhealthy",
        "message": message,
        "modelRevisionName": observed.predictor.revision if observed.predictor else "",
        "exitCode": how.exit_code if how else 0,
    }


def _has_begun(pod: Object) -> bool:
    """Whether a container of a pod runs: the one that fetches the model, or the one that loads it."""
    return any("running" in (entry.get("state") or {}) for entry in podset.statuses(pod))
