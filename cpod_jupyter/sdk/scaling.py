"""How many replicas a deployment has: the change of its Inference that asks for another number, and waiting for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import CPODJOBS, FINETUNES, INFERENCESERVICES, Object
from cpod_jupyter.errors import CpodError, WaitTimeout, WorkFailed
from cpod_jupyter.operator import pods as words
from cpod_jupyter.operator.inference_status import UP_TO_DATE
from cpod_jupyter.sdk.states import is_behind
from cpod_jupyter.sdk.words import explain

if TYPE_CHECKING:
    from cpod_jupyter.sdk.deployment import Deployment
    from cpod_jupyter.sdk.handles import Handle

Say = Callable[[str], None]
_LEAST, _MOST = "minReplicas", "maxReplicas"
_ON_ITS_WAY = ("Starting", "NotReady", "RollingOut", "RolloutHeldUp", "Stopped")
"""Reasons of UpToDate that are not the operator's refusal of the specification."""


def deployment_of(handle: Handle) -> Deployment:
    """The handle as a deployment. Raises CpodError that says what to do with something else."""
    from cpod_jupyter.sdk.deployment import Deployment

    if isinstance(handle, Deployment):
        return handle
    if handle.resource == INFERENCESERVICES:
        advice = f"scale the inference that made it, or edit {_LEAST} of its predictor"
    elif handle.resource in (CPODJOBS, FINETUNES):
        field = "workerReplicas" if handle.resource == CPODJOBS else "gpuCount"
        advice = f"to run it again on more: session.find({handle.name!r}).rerun({field}=2)"
    else:
        advice = "%cpod ls inference shows the deployments"
    raise CpodError(f"{handle.title} is no deployment, and has no replicas to scale; {advice}")


def bounds_of(spec: Mapping[str, Any]) -> tuple[int, int | None]:
    """At least and at most, as the operator reads them; None where nothing bounds them above."""
    found: dict[str, Any] = {}
    for place in (spec.get("predictor") or {}, spec.get("autoscalerOptions") or {}):
        found |= {key: place[key] for key in (_LEAST, _MOST) if place.get(key) is not None}
    return int(found.get(_LEAST, 1)), int(found[_MOST]) if found.get(_MOST) else None


def scaled(spec: Mapping[str, Any], replicas: int, most: int | None = None) -> dict[str, Any]:
    """The merge patch of a spec: at least so many replicas, and at most `most`.

    Without `most`, what had a fixed number has a fixed number afterwards, and what had a range keeps its upper end,
    raised where it is too low. Each bound is written where the spec has it; `autoscalerOptions` else. Raises CpodError.
    """
    if replicas < 0:
        raise CpodError(f"{replicas} replicas cannot be: say 0 to have none while nobody asks, or more")
    if most is not None and (most < 1 or most < replicas):
        raise CpodError(f"at most {most} replicas cannot be: the upper bound is 1 or more, and not below {replicas}")
    low, high = bounds_of(spec)
    if most is None and high is not None:
        most = max(replicas, 1) if high == max(low, 1) else max(replicas, high)
    patch: dict[str, Any] = {}
    for key, value in ((_LEAST, replicas), (_MOST, most)):
        places = [name for name in ("predictor", "autoscalerOptions") if (spec.get(name) or {}).get(key) is not None]
        for place in places or ["autoscalerOptions"]:
            if value is not None:
                patch.setdefault(place, {})[key] = value
    return patch


def wait_scaled(deployment: Deployment, timeout: float | None, say: Say | None) -> None:
    """Return when as many replicas are ready as are asked for, no more than may be, and the deployment says so.

    Of 0 replicas it returns when the operator has taken that in: they go once nobody has asked for a while. Raises
    WorkFailed when the operator refuses the number, WaitTimeout, and Detached when interrupted; it goes on then.
    """
    until = time.monotonic() + timeout if timeout is not None else None
    told = ""
    with contextlib.closing(deployment.families()) as families:
        for family in families:
            done, now = _standing(family.root, family.pods())
            if say is not None and now != told:
                told = now
                say(now)
            if done and (bounds_of(family.root["spec"])[0] == 0 or explain(family).status.state.good):
                return
            if until is not None and time.monotonic() > until:
                raise WaitTimeout(f"{deployment.title} after {timeout:g} s: {now}; it goes on")


def _standing(inference: Object, pods: list[Object]) -> tuple[bool, str]:
    """Whether it has come to what is asked for, and how far it is. Raises WorkFailed."""
    if is_behind(inference):
        return False, "the operator has not seen it yet"
    low, high = bounds_of(inference["spec"])
    newest = meta.condition(inference, UP_TO_DATE) or {}
    held = str((inference.get("status") or {}).get("failureMessage") or "")
    if newest.get("status") == "False" and newest.get("reason") not in _ON_ITS_WAY and held:
        raise WorkFailed(f"inference/{meta.name_of(inference)} cannot be scaled: {held}")
    if low == 0:
        return True, "it has no pod while nobody asks"
    if inference["spec"].get("backend") == "ray":  # its pods are KubeRay's, and hold several replicas each
        return newest.get("status") == "True", "Ray Serve brings its replicas to that number"
    serving = [
        pod
        for pod in pods
        if not meta.is_going(pod) and names.LABEL_INFERENCE_SERVICE in (pod["metadata"].get("labels") or {})
    ]
    ready = sum(meta.is_true(pod, "Ready") for pod in serving)
    fits = len(serving) <= max(low, high or low)
    why = words.unschedulable(serving) or words.held_up(serving) or held
    now = f"{ready} of {low} replicas are ready" + (f", and {len(serving)} pods there" if not fits else "")
    return ready >= low and fits, f"{now}: {why}" if why else now
