"""What is observed of a Deployment's ReplicaSets, as its status: counters, Available and Progressing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.controllers.deployment_rollout import bounds, counted, replicas

Conditions = list[dict[str, Any]]


def counters(deployment: Object, new: Object | None, replicasets: Sequence[Object]) -> dict[str, int]:
    """Counters that are 0 are left out, as the API server writes them."""
    available = sum(counted(item, "availableReplicas") for item in replicasets)
    found = {
        "observedGeneration": int(deployment["metadata"]["generation"]),
        "replicas": sum(counted(item, "replicas") for item in replicasets),
        "updatedReplicas": counted(new, "replicas"),
        "readyReplicas": sum(counted(item, "readyReplicas") for item in replicasets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(map(replicas, replicasets)) - available),
        "collisionCount": int((deployment.get("status") or {}).get("collisionCount") or 0),
    }
    return {name: value for name, value in found.items() if value}


def is_complete(deployment: Object, status: dict[str, Any]) -> bool:
    """All pods are of the present template, and available."""
    wanted = int(deployment["spec"]["replicas"])
    return all(int(status.get(name, 0)) == wanted for name in ("updatedReplicas", "replicas", "availableReplicas"))


def deployment_status(
    deployment: Object, new: Object | None, replicasets: Sequence[Object], note: tuple[str, str] | None
) -> dict[str, Any]:
    """The whole status. `note` is the reason and message of Progressing for what was just done, if anything."""
    status: dict[str, Any] = {**counters(deployment, new, replicasets)}
    conditions: Conditions = list((deployment.get("status") or {}).get("conditions") or [])
    enough = status.get("availableReplicas", 0) >= int(deployment["spec"]["replicas"]) - bounds(deployment)[1]
    if enough:
        text = "Deployment has minimum availability."
        conditions = _set(conditions, "Available", "True", "MinimumReplicasAvailable", text)
    else:
        text = "Deployment does not have minimum availability."
        conditions = _set(conditions, "Available", "False", "MinimumReplicasUnavailable", text)
    failures = [entry for item in replicasets if (entry := meta.condition(item, "ReplicaFailure")) is not None]
    conditions = [entry for entry in conditions if entry["type"] != "ReplicaFailure"]
    for entry in failures[:1]:
        conditions = _set(conditions, "ReplicaFailure", "True", str(entry["reason"]), str(entry["message"]))
    status["conditions"] = _progress(deployment, new, status, conditions, note)
    return status


def _progress(
    deployment: Object, new: Object | None, status: dict[str, Any], conditions: Conditions, note: tuple[str, str] | None
) -> Conditions:
    paused = bool(deployment["spec"].get("paused"))
    present = _find(conditions, "Progressing")
    if paused or (present or {}).get("reason") == "DeploymentPaused":
        if paused:
            return _set(conditions, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
        conditions = _set(conditions, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
        present = _find(conditions, "Progressing")
    if note is not None:
        conditions = _set(conditions, "Progressing", "True", *note)
        present = _find(conditions, "Progressing")
    subject = f'ReplicaSet "{meta.name_of(new)}"' if new else f'Deployment "{meta.name_of(deployment)}"'
    done = (present or {}).get("reason") == "NewReplicaSetAvailable"
    if done and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        return conditions
    if is_complete(deployment, status) and note is None:
        text = f"{subject} has successfully progressed."
        return _set(conditions, "Progressing", "True", "NewReplicaSetAvailable", text)
    if _has_moved(deployment, status):
        text = f"{subject} is progressing."
        return _set(conditions, "Progressing", "True", "ReplicaSetUpdated", text, refreshed=True)
    if seconds_left(deployment, conditions) == 0:
        text = f"{subject} has timed out progressing."
        return _set(conditions, "Progressing", "False", "ProgressDeadlineExceeded", text)
    return conditions


def _has_moved(deployment: Object, status: dict[str, Any]) -> bool:
    old = deployment.get("status") or {}

    def more(name: str) -> bool:
        return int(status.get(name) or 0) > int(old.get(name) or 0)

    def left(found: dict[str, Any]) -> int:
        return int(found.get("replicas") or 0) - int(found.get("updatedReplicas") or 0)

    return more("updatedReplicas") or more("readyReplicas") or more("availableReplicas") or left(status) < left(old)


def seconds_left(deployment: Object, conditions: Conditions) -> float | None:
    """Until progressDeadlineSeconds have passed without progress; None when that does not matter now."""
    deadline, present = deployment["spec"].get("progressDeadlineSeconds"), _find(conditions, "Progressing")
    if deadline is None or present is None or deployment["spec"].get("paused"):
        return None
    if present.get("reason") == "ProgressDeadlineExceeded":
        return 0.0
    if present.get("reason") == "NewReplicaSetAvailable":
        return None
    since = dt.datetime.now(dt.UTC) - meta.parse_time(str(present["lastUpdateTime"]))
    return max(0.0, float(deadline) - since.total_seconds())


def _find(conditions: Conditions, kind: str) -> dict[str, Any] | None:
    return next((entry for entry in conditions if entry["type"] == kind), None)


def _set(
    conditions: Conditions, kind: str, status: str, reason: str, message: str, *, refreshed: bool = False
) -> Conditions:
    """The list with a DeploymentCondition set; `refreshed` moves lastUpdateTime although nothing else differs."""
    old, stamp = _find(conditions, kind), meta.now()
    entry = {"type": kind, "status": status, "reason": reason, "message": message}
    same = old is not None and old["status"] == status
    if old is not None and same and old["reason"] == reason and old["message"] == message and not refreshed:
        return conditions
    entry["lastUpdateTime"] = stamp
    entry["lastTransitionTime"] = str(old["lastTransitionTime"]) if old is not None and same else stamp
    if old is None:
        return [*conditions, entry]
    return [entry if item is old else item for item in conditions]
