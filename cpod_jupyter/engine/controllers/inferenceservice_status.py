"""What has become of an InferenceService: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers.predictor import (
    HASH_LABEL,
    claim_of,
    is_stopped,
    revision,
    serving_container,
    serving_port,
    storage_uri,
    wanted_replicas,
)

_ENDED = (podset.SUCCEEDED, podset.FAILED)
_STARTING = "Deploying"


@dataclass(frozen=True)
class Refusal:
    """Why the engine can't serve it as it is written."""

    reason: str
    message: str


def refusal(service: Object) -> Refusal | None:
    """What the service asks for that only a cluster with KServe has."""
    predictor = service["spec"]["predictor"]
    if predictor.get("model"):
        model = predictor["model"]
        wanted = model.get("runtime") or f"one for model format {(model.get('modelFormat') or {}).get('name')!r}"
        return Refusal(
            "RuntimeNotFound",
            f"the embedded engine has no serving runtime ({wanted}): give predictor.containers, which it runs, "
            "or use a cluster with KServe",
        )
    if serving_container(predictor) is None:
        return Refusal("NoContainer", "predictor.containers is empty: there is nothing to run")
    uri = storage_uri(service)
    if uri and claim_of(uri) is None:
        return Refusal(
            "StorageNotSupported",
            f"STORAGE_URI {uri}: the embedded engine mounts pvc://CLAIM[/path]; download others to a claim first",
        )
    return None


def service_status(service: Object, pods: Sequence[Object], refused: Refusal | None) -> dict[str, Any]:
    """The whole status."""
    old = service.get("status") or {}
    ready, reason, message, url = _predictor(service, pods, refused)
    conditions = old.get("conditions")
    for kind in ("PredictorReady", "IngressReady", "Ready"):
        conditions = meta.with_condition(conditions, kind, ready, reason, message)
    status: dict[str, Any] = {
        "conditions": conditions,
        "observedGeneration": int(service["metadata"].get("generation") or 0),
        "deploymentMode": "Standard",
        "modelStatus": _model_status(ready, reason, message, pods, refused),
        "components": {"predictor": {"latestCreatedRevision": "" if refused else revision(service)}},
    }
    if url:
        status["url"] = url
        status["address"] = {"url": url}
        status["components"]["predictor"]["url"] = url
    return status


def _predictor(service: Object, pods: Sequence[Object], refused: Refusal | None) -> tuple[bool, str, str, str | None]:
    """Whether the predictor is ready, why not in reason and words, and its URL.

    The service is ready while enough pods of any revision are: a rollout does not interrupt it.
    """
    if refused is not None:
        return False, refused.reason, refused.message, None
    wanted = wanted_replicas(service)
    if wanted == 0:
        if is_stopped(service):
            return False, "Stopped", "the service is stopped", None
        return True, "ScaledToZero", "minReplicas is 0: nothing runs", None
    current = revision(service)
    ready = [pod for pod in pods if podset.is_ready(pod)]
    ready.sort(key=lambda pod: (not _is_of(pod, current), meta.name_of(pod)))
    url = f"http://{ready[0]['status']['podIP']}:{_port(service, ready[0])}" if ready else None
    stuck = next(
        (found for pod in pods if _is_of(pod, current) and (found := podset.trouble(pod)) is not None),
        None,
    )
    if len(ready) >= wanted:
        fresh = sum(_is_of(pod, current) for pod in ready)
        if fresh >= wanted:
            return True, "MinimumReplicasAvailable", "", url
        rolling = f"{fresh} of {wanted} pods of the new revision are ready; the old ones serve"
        return True, "RollingOut", rolling + (f": {stuck[1]}" if stuck else ""), url
    if stuck is not None:
        return False, stuck[0], stuck[1], url
    unready = _unready(pods, current)
    return False, _STARTING, f"{len(ready)} of {wanted} pods are ready" + (f"; {unready}" if unready else ""), url


def _is_of(pod: Object, current: str) -> bool:
    return (pod["metadata"].get("labels") or {}).get(HASH_LABEL) == current


def _port(service: Object, pod: Object) -> int:
    """The serving port of a pod, which may be of an older revision than the service."""
    container = serving_container(pod["spec"]) or {}
    ports = container.get("ports") or []
    return int(ports[0]["containerPort"]) if ports else serving_port(service)


def _unready(pods: Sequence[Object], current: str) -> str:
    """A pod that runs and is not ready yet, in words, with what its last run left to say."""
    for pod in pods:
        if _is_of(pod, current) and podset.phase(pod) == podset.RUNNING and not podset.is_ready(pod):
            how = podset.last_failure(pod)
            if how is not None:
                return f"{how.sentence(meta.name_of(pod))}; restarted {podset.restarts(pod)} times"
            return f"{meta.name_of(pod)} runs and is not ready"
    return ""


def _model_status(
    ready: bool, reason: str, message: str, pods: Sequence[Object], refused: Refusal | None
) -> dict[str, Any]:
    """KServe's modelStatus: whether the model that is wanted is the one that serves."""
    states: dict[str, str] = {"targetModelState": "Loaded" if ready and reason != "RollingOut" else "Loading"}
    if ready:
        states["activeModelState"] = "Loaded"
    status: dict[str, Any] = {
        "transitionStatus": "UpToDate" if ready and reason != "RollingOut" else "InProgress",
        "states": states,
    }
    if refused is not None:
        states["targetModelState"] = "FailedToLoad"
        status["transitionStatus"] = "InvalidSpec"
        status["lastFailureInfo"] = {"reason": reason, "message": message}
    elif not ready and reason == "CrashLoopBackOff":
        states["targetModelState"] = "FailedToLoad"
        status["transitionStatus"] = "BlockedByFailedLoad"
        how = next((found for pod in pods if (found := podset.last_failure(pod)) is not None), None)
        failure = {"reason": "ModelLoadFailed", "message": message, "exitCode": how.exit_code if how else 0}
        status["lastFailureInfo"] = failure
    status["copies"] = {
        "failedCopies": sum(podset.restarts(pod) > 0 and not podset.is_ready(pod) for pod in pods),
        "totalCopies": sum(podset.is_ready(pod) for pod in pods),
    }
    return status
