"""What an Inference's status says, from what serves it and its pods. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.operator import pods as words
from cpod_jupyter.operator.conditions import Conditions

DATA_READY, UP_TO_DATE, READY = "DataReady", "UpToDate", "Ready"
"""Conditions of our own; what serves adds its own beside them."""
EXPOSED = "Exposed"
"""Ours too, where the settings want or wanted an Ingress or a web page."""
RAY_SERVE = "Ray Serve"
SCALED_TO_ZERO = "ScaledToZero"

_GIVE_UP_FIRST = (
    "if it holds the GPUs that the new one needs, set predictor.deploymentStrategy.type to Recreate: it then ends first"
)
_REVISION_LABELS = ("pod-template-hash", "serving.knative.dev/revision", "ray.io/cluster")
"""Tell pods of an older specification from those of the present one: Deployment, Knative, KubeRay."""


@dataclass(frozen=True)
class Observed:
    """What serves an Inference, as it is: an InferenceService or a RayService."""

    accepting: bool
    """It says that requests are answered, by whichever revision."""
    rolling: bool
    """It has not yet brought what was asked for last."""
    url: str = ""
    current: str = ""
    """The revision that was asked for last, where it says so."""
    may_be_empty: bool = False
    """It may have scaled to zero, and answers without a pod."""
    failure: str = ""
    """Its own account of why it can't."""
    waits: str = ""
    """What it says of itself while it is not ready, which need not be a failure."""
    stopped: bool = False
    """Someone wants it stopped."""
    engine: str = ""
    conditions: Conditions = field(default_factory=list)


@dataclass(frozen=True)
class Said:
    """One condition: whether it holds, the reason as one word, the message as a sentence."""

    holds: bool
    reason: str
    message: str


@dataclass(frozen=True)
class Deployed:
    """What became of the attempt to bring a deployment to what its Inference wants."""

    data: Said
    """Whether the models are there."""
    refusal: Said | None = None
    """Why it can't be deployed as it is written."""
    exposed: Said | None = None
    """Ingress and web page."""


def unserved(inference: Object, deployed: Deployed) -> dict[str, Any]:
    """The status while nothing is deployed."""
    data, refusal = deployed.data, deployed.refusal
    why = refusal or (data if not data.holds else Said(False, "Starting", "the deployment is being made"))
    conditions = _conditions(inference, {DATA_READY: data, UP_TO_DATE: why, READY: why}, deployed.exposed)
    return {
        "dataReady": data.holds,
        "ready": False,
        "url": None,
        "engine": None,
        "failureMessage": refusal.message if refusal else "",
        "conditions": conditions,
    }


def served(
    inference: Object, observed: Observed, pods: Sequence[Object], deployed: Deployed, url: str = ""
) -> dict[str, Any]:
    """The status of an Inference of which something is deployed.

    Ready needs the word of what serves, and a revision of its pods of which one is ready and none
    crash-loops: a service may stay Ready while its only pod does. While a new revision is on its way, the
    old one makes it ready, and `failureMessage` says what holds up the new one.
    """
    data, refusal = deployed.data, deployed.refusal
    alive = [pod for pod in pods if not meta.is_going(pod)]
    revisions = _by_revision(alive)
    stands = {name: words.any_ready(some) and not words.crash_looping(some) for name, some in revisions.items()}
    empty = observed.may_be_empty and not alive
    # Of a service that comes from nothing, a request is held until the pod that it woke is ready.
    wakes = observed.may_be_empty and not words.crash_looping(alive) and not _trouble(alive)
    ready = observed.accepting and (empty or wakes or any(stands.values()))
    current = _current(observed, revisions)
    rolling = not data.holds or refusal is not None or observed.rolling or len(revisions) > 1
    trouble = refusal.message if refusal else ""
    if not trouble and not stands.get(current):
        trouble = _trouble(revisions.get(current) or [])
    if not trouble and (rolling or not ready):
        trouble = observed.failure
    newest = _standing(ready, rolling, empty, trouble)
    if newest.reason == "Starting":
        newest = _not_yet(observed)
    whole = Said(True, "ScaledToZero" if empty else "Serving", "") if ready else newest
    ours = _conditions(inference, {DATA_READY: data, UP_TO_DATE: newest, READY: whole}, deployed.exposed)
    others = [
        entry for entry in observed.conditions if entry.get("type") not in (DATA_READY, UP_TO_DATE, READY, EXPOSED)
    ]
    return {
        "dataReady": data.holds,
        "ready": ready,
        "url": with_scheme(url or observed.url),
        "engine": observed.engine or None,
        "failureMessage": newest.message if trouble else "",
        "conditions": [*ours, *others],
    }


def _standing(ready: bool, rolling: bool, empty: bool, trouble: str) -> Said:
    """UpToDate: whether what answers is what is wanted now."""
    if not ready:
        return Said(False, "NotReady", trouble) if trouble else Said(False, "Starting", "the pods are being started")
    if rolling and trouble:
        hint = f"; {_GIVE_UP_FIRST}" if "Insufficient nvidia.com/gpu" in trouble else ""
        return Said(False, "RolloutHeldUp", f"{trouble} (what was deployed before goes on answering{hint})")
    if rolling:
        message = "the new specification is being rolled out; the one before it answers until it is ready"
        return Said(False, "RollingOut", message)
    return Said(True, SCALED_TO_ZERO, "nothing runs until a request comes") if empty else Said(True, "Serving", "")


def _not_yet(observed: Observed) -> Said:
    """UpToDate of what neither answers nor has failed."""
    if observed.stopped:
        return Said(False, "Stopped", "the annotation serving.kserve.io/stop keeps it stopped; remove it to start")
    return Said(False, "Starting", observed.waits or "the pods are being started")


def _by_revision(pods: Sequence[Object]) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        revision = next((str(labels[label]) for label in _REVISION_LABELS if label in labels), "")
        found.setdefault(revision, []).append(pod)
    return found


def _current(observed: Observed, revisions: dict[str, list[Object]]) -> str:
    """The newest revision that has pods, unless it is known which is wanted."""
    if observed.current in revisions:
        return observed.current

    def newest(revision: str) -> str:
        return max(str(pod["metadata"].get("creationTimestamp") or "") for pod in revisions[revision])

    return max(revisions, key=newest, default="")


def _trouble(pods: Sequence[Object]) -> str:
    """What keeps pods from becoming ready, in words; empty when they are merely starting."""
    waiting = words.unschedulable(pods) or words.held_up(pods)
    if words.crash_looping(pods) or words.restarts(pods):
        return words.failure(pods) or waiting or "the server ends again and again, and leaves no word why"
    return waiting


def _conditions(inference: Object, wanted: Mapping[str, Said], exposed: Said | None) -> Conditions:
    """Our conditions, each with the time since when it holds; Exposed as it was, where nothing was tried."""
    found = (meta.condition(inference, kind) for kind in (*wanted, EXPOSED))
    conditions: Conditions = [entry for entry in found if entry is not None]
    for kind, said in {**wanted, **({EXPOSED: exposed} if exposed else {})}.items():
        conditions = meta.with_condition(conditions, kind, said.holds, said.reason, said.message)
    return conditions


def from_inference_service(service: Object, engine: str) -> Observed:
    """KServe's word (v1beta1 InferenceServiceStatus)."""
    status = service.get("status") or {}
    model = status.get("modelStatus") or {}
    seen = _has_seen(service)
    rolling = not seen or model.get("transitionStatus") in ("InProgress", "BlockedByFailedLoad", "InvalidSpec")
    rolling = rolling or (meta.condition(service, "LatestDeploymentReady") or {}).get("status") == "False"
    # On Knative the service is not Ready while its latest revision can't start; the one before it has the route.
    routed = rolling and meta.is_true(service, "IngressReady")
    failure = model.get("lastFailureInfo") or {}
    return Observed(
        accepting=meta.is_true(service, READY) or routed,
        rolling=rolling,
        url=str(status.get("url") or ""),
        current=str(((status.get("components") or {}).get("predictor") or {}).get("latestCreatedRevision") or ""),
        may_be_empty=service["spec"]["predictor"].get("minReplicas") == 0,
        failure=str(failure.get("message") or failure.get("reason") or ""),
        waits=str((meta.condition(service, READY) or {}).get("message") or ""),
        stopped=meta.is_true(service, "Stopped"),
        engine=engine,
        conditions=list(status.get("conditions") or []),
    )


def _has_seen(service: Object) -> bool:
    """Whether its controller has looked at the present specification; one that never says so is believed."""
    observed = (service.get("status") or {}).get("observedGeneration")
    return observed is None or int(observed) >= int(service["metadata"].get("generation") or 0)


def from_ray_service(service: Object, url: str) -> Observed:
    """KubeRay's word (ray.io/v1 RayServiceStatuses): conditions since its version 1.3, `serviceStatus` before."""
    status = service.get("status") or {}
    running = str(status.get("serviceStatus") or "") == "Running"
    accepting = meta.is_true(service, READY) if meta.condition(service, READY) else running
    seen = _has_seen(service)
    active, pending = status.get("activeServiceStatus") or {}, status.get("pendingServiceStatus") or {}
    return Observed(
        accepting=accepting,
        rolling=not seen or meta.is_true(service, "UpgradeInProgress") or bool(pending.get("rayClusterName")),
        url=url,
        current=str(pending.get("rayClusterName") or active.get("rayClusterName") or ""),
        failure=_application_failure(active, pending),
        waits=str((meta.condition(service, READY) or {}).get("message") or ""),
        engine=RAY_SERVE,
        conditions=list(status.get("conditions") or []),
    )


def _application_failure(*clusters: dict[str, Any]) -> str:
    """What Ray Serve says of an application that it could not deploy (applicationStatuses)."""
    for cluster in clusters:
        for name, application in (cluster.get("applicationStatuses") or {}).items():
            if application.get("status") in ("DEPLOY_FAILED", "UNHEALTHY"):
                said = application.get("message") or "Ray Serve gives no reason"
                return f"application {name} is {application['status']}: {said}"
    return ""


def with_scheme(url: Any) -> str | None:
    """A URL that a client can open: KServe's has a scheme, other controllers' may be a host only."""
    text = str(url or "")
    return None if not text else text if "://" in text else f"http://{text}"
