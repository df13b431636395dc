"""A Job's podFailurePolicy: which failures end it at once, and which do not count (Jobs, "Pod failure policy").

Rules are on exit codes or on the pod's conditions; their actions FailJob, FailIndex, Ignore and Count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object


def fatal(job: Object, failed: Sequence[Object]) -> tuple[Object, str] | None:
    """The first failed pod that ends the Job by its policy, and the words for the condition."""
    for pod in failed:
        rule, index, how = _match(job, pod)
        if rule is not None and rule["action"] == "FailJob":
            return pod, f"Pod {meta.name_of(pod)} {how}, matching FailJob rule at index {index}"
    return None


def fatal_to_index(job: Object, failed: Iterable[Object]) -> list[Object]:
    """The failed pods whose index the policy gives up."""
    matches = [(pod, _match(job, pod)[0]) for pod in failed]
    return [pod for pod, rule in matches if rule is not None and rule["action"] == "FailIndex"]


def counted(job: Object, failed: Iterable[Object]) -> list[Object]:
    """The failures that count against the backoff limit."""
    matches = [(pod, _match(job, pod)[0]) for pod in failed]
    return [pod for pod, rule in matches if rule is None or rule["action"] != "Ignore"]


def _match(job: Object, pod: Object) -> tuple[Mapping[str, Any] | None, int, str]:
    """The first rule that a failed pod matches, its index, and what of the pod did."""
    policy = job["spec"].get("podFailurePolicy") or {}
    for index, rule in enumerate(policy.get("rules") or []):
        for wanted in rule.get("onPodConditions") or []:
            found = meta.condition(pod, str(wanted["type"]))
            if found is not None and found.get("status") == wanted.get("status", "True"):
                return rule, index, f"has condition {wanted['type']}"
        codes = rule.get("onExitCodes")
        for name, code in _exit_codes(pod) if codes else ():
            if codes.get("containerName") not in (None, name):
                continue
            if (code in codes.get("values", [])) == (codes.get("operator", "In") == "In"):
                return rule, index, f"failed with exit code {code}"
    return None, -1, ""


def _exit_codes(pod: Object) -> Iterable[tuple[str, int]]:
    """Containers that failed, with their exit codes; those that ended well match no rule."""
    status = pod.get("status") or {}
    for entry in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        ended = (entry.get("state") or {}).get("terminated")
        if ended and ended.get("exitCode"):
            yield str(entry["name"]), int(ended["exitCode"])
