"""How many pods an InferenceService has: as many as it asks for, or none while nobody asks for it. Pure.

A service whose least number of replicas is 0 has one pod from a request on until it has been idle for a while, and one
at first, in each revision, to see that it gets ready (Knative's initial scale). Requests are those that came through
the engine: at the service's URL, or by the API server's proxy. Who receives them notes the time on the predictor's
Service (`engine.http.activation`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers.predictor import HASH_LABEL
from cpod_jupyter.engine.controllers.serving_runtimes import INVALID_PREDICTOR, Refused

LAST_REQUEST = "cpod.cpod/last-request"
"""On the predictor's Service: when a request last came, or was still being answered."""
IDLE_SECONDS = "cpod.cpod/scale-to-zero-seconds"
"""On the predictor's Service: after how many seconds without a request it has no pod any more."""
DEFAULT_IDLE_SECONDS = 300.0

_STOP = "serving.kserve.io/stop"
_RETENTION = "autoscaling.knative.dev/scale-to-zero-pod-retention-period"
_LEAST = ("autoscaling.knative.dev/min-scale", "autoscaling.knative.dev/minScale")
_INITIAL = "autoscaling.knative.dev/initial-scale"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Scale:
    """How many pods are wanted, and in how many seconds that may be another number."""

    wanted: int
    again: float | None = None


def is_stopped(service: Object) -> bool:
    annotations = service["metadata"].get("annotations") or {}
    return str(annotations.get(_STOP, "")).lower() == "true"


def least_replicas(service: Object) -> int:
    """minReplicas, or Knative's annotation, or 1. Raises Refused for an annotation that is no number."""
    given = service["spec"]["predictor"].get("minReplicas")
    if given is not None:
        return int(given)
    found = _annotation(service, *_LEAST)
    if not found:
        return 1
    if not found.isdecimal():
        raise Refused(INVALID_PREDICTOR, f"the annotation {_LEAST[0]} is {found!r}, which is no number of replicas")
    return int(found)


def idle_seconds(service: Object) -> float | None:
    """How long an idle pod is kept; None for a service that always has pods. Raises Refused."""
    if least_replicas(service) > 0:
        return None
    found = _annotation(service, _RETENTION)
    return duration(found) if found else DEFAULT_IDLE_SECONDS


def _annotation(service: Object, *names: str) -> str:
    """An annotation of the predictor, or else of the service."""
    places: Sequence[Mapping[str, str]] = (
        service["spec"]["predictor"].get("annotations") or {},
        service["metadata"].get("annotations") or {},
    )
    return next((str(place[name]).strip() for place in places for name in names if place.get(name)), "")


def duration(text: str) -> float:
    """Seconds of a duration as Go writes it, such as 1m30s. Raises Refused."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise Refused(
            INVALID_PREDICTOR, f"the annotation {_RETENTION} is {text!r}, which is no duration such as 90s or 5m"
        )
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def scale(service: Object, revision: str, pods: Sequence[Object], last_request: str, now: datetime) -> Scale:
    """How many pods of the present revision there should be, with those there are. Raises Refused."""
    if is_stopped(service):
        return Scale(0)
    idle = idle_seconds(service)
    if idle is None:
        return Scale(least_replicas(service))
    if not is_proven(service, revision):
        return Scale(1)
    moments = [_ready_since(pod) for pod in pods if podset.is_ready(pod)]
    latest = max((meta.parse_time(moment) for moment in (last_request, *moments) if moment), default=None)
    left = idle - (now - latest).total_seconds() if latest else 0.0
    return Scale(1, left) if left > 0 else Scale(0)


def is_proven(service: Object, revision: str) -> bool:
    """Whether a revision has been ready before, or is to be believed without."""
    component = ((service.get("status") or {}).get("components") or {}).get("predictor") or {}
    return component.get("latestReadyRevision") == revision or _annotation(service, _INITIAL) == "0"


def _ready_since(pod: Object) -> str:
    return str((meta.condition(pod, "Ready") or {}).get("lastTransitionTime") or "")


def of_revision(pods: Sequence[Object], revision: str) -> list[Object]:
    return [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(HASH_LABEL) == revision]
