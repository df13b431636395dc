"""Pods that still run when their elastic job has ended.

An elastic PyTorchJob has succeeded when any of its workers has (training-operator, PyTorchJob controller). Under the
policy `Running` the others are deleted in that moment: the first worker too, with its log and what it is still saving,
though it would have ended by itself a second later. So the job is made with the policy `None`, and the pods that are
left are deleted from here: at once where the job failed, and where it succeeded when they have had time to end.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CPODJOBS, PODS, PYTORCHJOBS, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.control.controller import Controller, Key, to_itself
from cpod_jupyter.operator import pods as words
from cpod_jupyter.operator.conditions import ended
from cpod_jupyter.operator.objects import find_live
from cpod_jupyter.operator.wakers import pods_of

SECONDS_TO_END = 600
"""How long the others may go on after a success. torchrun's agents wait for each other for 300 s at most (PyTorch,
`LocalElasticAgent`, exit_barrier_timeout)."""


class Leftovers:
    def __init__(self, api: KubeApi) -> None:
        self.api = api

    def reconcile(self, key: Key) -> float | None:
        """Delete what is left of an elastic job that has ended; seconds until that is due."""
        job = find_live(self.api, PYTORCHJOBS, key.name, key.namespace)
        if job is None or not _is_ours(job) or not ended(job):
            return None
        left = [pod for pod in pods_of(self.api, job) if not meta.is_going(pod) and not words.has_ended(pod)]
        wait = _seconds_left(job) if ended(job) == "Succeeded" else 0
        if left and wait > 0:
            return wait
        for pod in left:
            self.api.delete(PODS, meta.name_of(pod), key.namespace, uid=meta.uid_of(pod))
        return None


def _is_ours(job: Object) -> bool:
    owner = meta.controller_of(job)
    policy: dict[str, Any] = job["spec"].get("runPolicy") or {}
    return bool(owner and owner.get("kind") == CPODJOBS.kind) and policy.get("cleanPodPolicy") == "None"


def _seconds_left(job: Object) -> float:
    since = (meta.condition(job, "Succeeded") or {}).get("lastTransitionTime") or job["status"].get("completionTime")
    if not since:  # a controller that tells no time is not waited for
        return 0
    return SECONDS_TO_END - (dt.datetime.now(dt.UTC) - meta.parse_time(str(since))).total_seconds()


def controller(api: KubeApi) -> Controller:
    return Controller("leftovers", Leftovers(api).reconcile, {PYTORCHJOBS: to_itself})
