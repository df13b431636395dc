"""A Job's podFailurePolicy: which failures end it at once, and which do not count (Jobs, "Pod failure policy").

Offered are rules on exit codes with the actions FailJob, Ignore and Count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object

_ACTIONS = ("FailJob", "Ignore", "Count")


def not_offered(policy: Mapping[str, Any]) -> str | None:
    """The part of a policy that the engine cannot follow, if there is one."""
    for rule in policy.get("rules") or []:
        if rule.get("onPodConditions"):
            return "podFailurePolicy with onPodConditions"
        if rule.get("action") not in _ACTIONS:
            return f"podFailurePolicy with the action {rule.get('action')}"
    return None


def fatal(job: Object, failed: Sequence[Object]) -> tuple[Object, str] | None:
    """The first failed pod that ends the Job by its policy, and the words for the condition."""
    for pod in failed:
        rule, index, code = _match(job, pod)
        if rule is not None and rule["action"] == "FailJob":
            name = meta.name_of(pod)
            return pod, f"Pod {name} failed with exit code {code}, matching FailJob rule at index {index}"
    return None


def counted(job: Object, failed: Iterable[Object]) -> list[Object]:
    """The failures that count against the backoff limit."""
    matches = [(pod, _match(job, pod)[0]) for pod in failed]
    return [pod for pod, rule in matches if rule is None or rule["action"] != "Ignore"]


def _match(job: Object, pod: Object) -> tuple[Mapping[str, Any] | None, int, int]:
    """The first rule that a failed pod matches, its index, and the exit code that did."""
    policy = job["spec"].get("podFailurePolicy") or {}
    for index, rule in enumerate(policy.get("rules") or []):
        wanted = rule.get("onExitCodes") or {}
        for name, code in _exit_codes(pod):
            if wanted.get("containerName") not in (None, name):
                continue
            if (code in wanted.get("values", [])) == (wanted.get("operator", "In") == "In"):
                return rule, index, code
    return None, -1, 0


def _exit_codes(pod: Object) -> Iterable[tuple[str, int]]:
    """Containers that failed, with their exit codes; those that ended well match no rule."""
    status = pod.get("status") or {}
    for entry in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        ended = (entry.get("state") or {}).get("terminated")
        if ended and ended.get("exitCode"):
            yield str(entry["name"]), int(ended["exitCode"])
