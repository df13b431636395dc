"""What pods say about the work in them. Pure: from pods as the API has them, to words for a person."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object

_TERMINATED_FROM_OUTSIDE = 143
"""128 + SIGTERM: someone ended the container, so its last words are not the cause (POSIX shell, exit status)."""

TOO_SMALL = 3
"""How the runtime's download ends when its volume has no room for what it is to fetch."""

_BEING_STARTED = frozenset({"ContainerCreating", "PodInitializing"})
_CRASH_LOOP = "CrashLoopBackOff"


@dataclass(frozen=True)
class Ending:
    """One container that ended (ContainerStateTerminated), the last or the one before its restart."""

    pod: str
    container: str
    exit_code: int
    reason: str
    message: str
    finished_at: str

    @property
    def words(self) -> str:
        """Its termination message, or else what is known without one."""
        if self.message:
            return str(_object(self.message).get("message") or self.message)
        where = f"container {self.container} of pod {self.pod}"
        if self.reason == "OOMKilled":
            return f"{where} was killed because it needed more memory than it may have"
        because = "" if self.reason in ("", "Error") else f" ({self.reason})"
        return f"{where} ended with exit code {self.exit_code}{because}"


def _container_statuses(pod: Object) -> list[dict[str, Any]]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def endings(pods: Iterable[Object]) -> Iterator[Ending]:
    """Every container that ended, those ended before a restart included."""
    for pod in pods:
        for status in _container_statuses(pod):
            for state in (status.get("lastState") or {}, status.get("state") or {}):
                ended = state.get("terminated")
                if ended:
                    yield Ending(
                        meta.name_of(pod),
                        str(status.get("name", "")),
                        int(ended.get("exitCode") or 0),
                        str(ended.get("reason") or ""),
                        str(ended.get("message") or "").strip(),
                        str(ended.get("finishedAt") or ""),
                    )


def failure(pods: Iterable[Object]) -> str:
    """Why the work failed, from the container that failed last, or the pod itself; empty when none did."""
    pods = list(pods)
    failed = [end for end in endings(pods) if end.exit_code not in (0, _TERMINATED_FROM_OUTSIDE)]
    if failed:
        return max(failed, key=lambda end: end.finished_at).words
    for pod in pods:  # evicted and the like: the pod failed, its containers have nothing to say
        status = pod.get("status") or {}
        if status.get("phase") == "Failed" and status.get("message"):
            return f"pod {meta.name_of(pod)}: {status.get('reason') or 'Failed'}: {status['message']}"
    return ""


def needed_bytes(pods: Iterable[Object]) -> int:
    """What a download takes that found its volume too small, by the last one that ended so; 0 where none did."""
    small = [end for end in endings(pods) if end.exit_code == TOO_SMALL]
    last = max(small, key=lambda end: end.finished_at, default=None)
    return whole_number(_object(last.message).get("needed")) if last else 0


def _object(message: str) -> dict[str, Any]:
    """A message that is a JSON object; empty for a sentence."""
    if not message.startswith("{"):
        return {}
    try:
        found = json.loads(message)
    except ValueError:  # somebody else's message that only looks like ours
        return {}
    return found if isinstance(found, dict) else {}


def outcome(pods: Iterable[Object]) -> dict[str, Any]:
    """The JSON object that a successful container of our runtime left as its last message, or nothing."""
    for end in sorted(endings(pods), key=lambda end: (end.pod, end.finished_at)):
        if end.exit_code == 0 and (found := _object(end.message)):
            return found
    return {}


def whole_number(value: Any) -> int:
    """A count from an `outcome`, whose author may be any image: 0 when it is not one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def unschedulable(pods: Iterable[Object]) -> str:
    """The scheduler's sentence about the first pod that fits nowhere, or nothing."""
    for pod in pods:
        scheduled = meta.condition(pod, "PodScheduled")
        if scheduled and scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
            return str(scheduled.get("message") or "no node fits the pod")
    return ""


def held_up(pods: Iterable[Object]) -> str:
    """Why a container that should run does not: an image that can't be pulled, a missing Secret; or nothing."""
    for pod in pods:
        for status in _container_statuses(pod):
            waiting = (status.get("state") or {}).get("waiting") or {}
            reason = str(waiting.get("reason") or "")
            if reason and reason != _CRASH_LOOP and reason not in _BEING_STARTED:
                return f"{reason}: {waiting.get('message') or 'container ' + str(status.get('name'))}"
    return ""


def restarts(pods: Iterable[Object]) -> int:
    return sum(int(status.get("restartCount") or 0) for pod in pods for status in _container_statuses(pod))


def crash_looping(pods: Iterable[Object]) -> bool:
    """Whether a container ends again and again, so that it is only started after a delay."""
    states = (status.get("state") or {} for pod in pods for status in _container_statuses(pod))
    return any((state.get("waiting") or {}).get("reason") == _CRASH_LOOP for state in states)


def any_running(pods: Iterable[Object]) -> bool:
    return any((pod.get("status") or {}).get("phase") == "Running" for pod in pods)


def all_ended(pods: Sequence[Object]) -> bool:
    """Whether there are pods, and each has come to its end."""
    return bool(pods) and all(map(has_ended, pods))


def has_ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def any_failed(pods: Iterable[Object]) -> bool:
    """Whether a pod has failed for good; a Job makes another in its place, as long as it may."""
    return any((pod.get("status") or {}).get("phase") == "Failed" for pod in pods)


def any_ready(pods: Iterable[Object]) -> bool:
    return any(meta.is_true(pod, "Ready") for pod in pods)
