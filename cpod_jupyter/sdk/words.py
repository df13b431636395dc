"""What is happening to an object, why it waits or why it failed, and what to do: in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cpod_jupyter.api import meta, scheduling
from cpod_jupyter.api.resources import INFERENCES, INFERENCESERVICES, Object
from cpod_jupyter.sdk.kinds import word_of
from cpod_jupyter.sdk.pods import Family, containers_of, place_of, role_of, unscheduled
from cpod_jupyter.sdk.states import State, Status, result_of, status_of


@dataclass(frozen=True)
class Words:
    """`reason` says what is happening or what is wrong, `advice` what a person can do about it.

    Each is a sentence or empty; `evidence` are the lines that show it.
    """

    status: Status
    reason: str = ""
    advice: str = ""
    evidence: tuple[str, ...] = ()


START_REASONS = ("CreateContainerConfigError", "RunContainerError", "CreateContainerError")
IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")

_CAUSES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"CUDA out of memory|torch\.OutOfMemoryError|CUDA error: out of memory"),
        "the GPU ran out of memory",
        "halve hyperParameters.batch_size, or config.max_length; or ask for more GPUs with gpuCount",
    ),
    (
        re.compile(r"DefaultCPUAllocator: can't allocate|MemoryError|std::bad_alloc"),
        "the machine ran out of memory",
        "halve hyperParameters.batch_size, or take a smaller model",
    ),
    (
        re.compile(r"No space left on device"),
        "the disk is full",
        "delete models and datasets that are no longer needed (%cpod ls), or make the volume larger",
    ),
    (
        re.compile(r"NCCL.*(timeout|timed out)|Watchdog caught collective operation timeout", re.IGNORECASE),
        "the GPUs lost each other (NCCL timed out)",
        "look for the first worker that failed: its log has the cause",
    ),
    (
        re.compile(r"ModuleNotFoundError: (No module named .*)"),
        "a Python module is missing",
        "use an image that has it",
    ),
)
"""Log lines that name a cause (the first that matches wins), the cause, and the mend."""


def explain(family: Family, nodes: Sequence[Object] = (), log: Iterable[str] = ()) -> Words:
    """The state of an object in words. `nodes` tell what GPUs there are; `log` are its last lines."""
    status = status_of(family.root, family.resource)
    if status.state is State.DELETED:
        return Words(status, "it is being deleted")
    if status.state is State.SUCCEEDED:
        return Words(status, _succeeded(family, status))
    if status.state is State.READY:
        url = (family.root.get("status") or {}).get("url") or ""
        answers = f"it answers at {url}" if url else "it answers"
        return Words(status, f"{answers}; {status.message}" if status.message else answers)
    trouble = _pods_trouble(family, nodes)
    if status.state is State.FAILED:
        return _failed(family, status, trouble, log)
    if family.resource in (INFERENCES, INFERENCESERVICES) and trouble is not None and trouble.fatal:
        return _failed(family, Status(State.FAILED, "Failed", status.message), trouble, log)
    if trouble is not None:
        return Words(status, trouble.said, trouble.advice)
    return _waiting(family, status)


def _succeeded(family: Family, status: Status) -> str:
    result = result_of(family.root)
    if result:
        return f"the result is the model {result}"
    size = (family.root.get("status") or {}).get("size")
    rows = (family.root.get("status") or {}).get("rows")
    parts = [f"{rows} rows"] if rows else []
    parts += [amount(size)] if size else []
    return ", ".join(parts) or status.message


def _waiting(family: Family, status: Status) -> Words:
    """Nothing is wrong with the pods: it runs, or something has still to happen."""
    if status.state is State.RUNNING and (family.pods() or status.message):
        return Words(status, status.message)
    for need in family.needs():
        there = status_of(need)
        word = "model" if need["kind"] == "ModelStorage" else "dataset"
        name = meta.name_of(need)
        if there.state is State.FAILED:
            return Words(
                status,
                f"the {word} {name} failed: {there.message}",
                f"delete the {word}, mend its cell and run it again",
            )
        if not there.state.good:
            return Words(status, f"waits for the {word} {name} ({there.phase})")
    if status.message:
        return Words(status, status.message)
    if not family.root.get("status"):
        return Words(status, "submitted; the operator has not looked at it yet")
    if family.pods():
        return Words(status)
    told = family.told(warnings=True)
    return Words(status, str(told[-1].get("message") or "") if told else "waits for its pods")


def _failed(family: Family, status: Status, trouble: _Trouble | None, log: Iterable[str]) -> Words:
    lines = [line for line in log if line.strip()]
    for pattern, cause, advice in _CAUSES:
        for line in reversed(lines):
            if found := pattern.search(line):
                detail = f": {found[1]}" if found.groups() and "module" in cause else ""
                return Words(status, cause + detail, advice, (line.strip()[:400],))
    advice = trouble.advice if trouble else ""
    reason = status.message or (trouble.said if trouble else "")
    if trouble and trouble.reason and trouble.reason not in reason and status.message in ("", trouble.reason):
        reason = trouble.said
    elif trouble and trouble.decisive and trouble.reason not in reason:
        reason = f"{trouble.said} ({reason})" if reason else trouble.said
    if not reason:
        told = family.told(warnings=True)
        reason = str(told[-1].get("message") or "") if told else "it failed, and nothing says why"
    return Words(status, reason, advice, tuple(line.rstrip()[:400] for line in lines[-5:]))


@dataclass(frozen=True)
class _Trouble:
    """What ails a pod. `fatal`: it will not mend itself; `decisive`: it explains more than the status.

    `who`: which of a job's several pods it is, `worker-1`.
    """

    reason: str
    advice: str = ""
    fatal: bool = False
    decisive: bool = False
    who: str = ""

    @property
    def said(self) -> str:
        return f"{self.who}: {self.reason}" if self.who else self.reason


def _pods_trouble(family: Family, nodes: Sequence[Object]) -> _Trouble | None:
    """Of the pod that failed first; else of the first that has any trouble."""
    pods, culprit = family.pods(), family.culprit()
    for pod in [culprit, *pods] if culprit is not None else pods:
        trouble = _unscheduled(pod, nodes) or _container_trouble(pod, family)
        if trouble is not None:
            several = len(pods) > 1 and bool(role_of(pod)[0])
            return replace(trouble, who=place_of(pod)) if several else trouble
    return None


def _unscheduled(pod: Object, nodes: Sequence[Object]) -> _Trouble | None:
    if not unscheduled(pod):
        return None
    sentence = str((meta.condition(pod, "PodScheduled") or {}).get("message") or "no node takes it")
    asked = {name: amount for name, amount in scheduling.requests(pod["spec"]).items() if "gpu" in name}
    if not asked:
        return _Trouble(f"waits for a node: {sentence}", "it starts by itself when there is room")
    wants = ", ".join(f"{amount:f} {name}" for name, amount in asked.items())
    have = _gpus(nodes)
    never = bool(nodes) and scheduling.never_fits(pod["spec"], nodes) is not None
    advice = (
        "no node has that many, so it would wait for ever: ask for fewer GPUs, or another cluster (--context)"
        if never
        else "it starts by itself when they are free; %cpod ls shows what runs"
    )
    return _Trouble(f"waits for GPUs: it asks for {wants}; {have}{sentence}", advice)


def _gpus(nodes: Sequence[Object]) -> str:
    """What GPUs the nodes have, in words; empty when the nodes are not known."""
    if not nodes:
        return ""
    counts = []
    for node in nodes:
        offered = (node.get("status") or {}).get("allocatable") or {}
        gpus = {name: value for name, value in offered.items() if "gpu" in name and str(value) != "0"}
        counts.append(f"{meta.name_of(node)} has {', '.join(f'{v} {n}' for n, v in gpus.items()) or 'none'}")
    shown = counts[:4] + ([f"and {len(counts) - 4} more nodes"] if len(counts) > 4 else [])
    return "; ".join(shown) + "; "


def _container_trouble(pod: Object, family: Family) -> _Trouble | None:
    for container in containers_of(pod):
        state: dict[str, Any] = container.get("state") or {}
        last = (container.get("lastState") or {}).get("terminated")
        waiting, over = state.get("waiting"), state.get("terminated")
        image = container.get("image", "")
        if waiting and waiting.get("reason") in IMAGE_REASONS:
            said = waiting.get("message") or waiting["reason"]
            return _Trouble(f"the image {image} cannot be had: {said}", "check spec.image for a typo", fatal=True)
        if waiting and waiting.get("reason") in START_REASONS:
            return _Trouble(f"the container cannot start: {waiting.get('message') or waiting['reason']}", fatal=True)
        if waiting and waiting.get("reason") == "CrashLoopBackOff":
            why = _exit(container, last or {})
            count = container.get("restartCount", 0)
            advice = f"read its log: %cpod logs {meta.name_of(family.root)}"
            return _Trouble(f"it crashes again and again ({count} restarts): {why.reason}", advice, count > 1)
        if over and over.get("exitCode"):
            return _exit(container, over)
    return None


def _exit(container: dict[str, Any], over: dict[str, Any]) -> _Trouble:
    code, said = over.get("exitCode"), str(over.get("message") or "").strip()
    if over.get("reason") == "OOMKilled":
        return _Trouble(
            "it ran out of memory and was killed (OOMKilled)",
            "give it more memory, or make hyperParameters.batch_size smaller",
            decisive=True,
        )
    name = container.get("name", "its container")
    return _Trouble(said or f"{name} ended with exit code {code}", decisive=bool(said))


def amount(size: float) -> str:
    """Bytes as a person says them: 92.9 MB."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def span(seconds: float) -> str:
    """A length of time as a person says it: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d"


def title_of(family: Family) -> str:
    return f"{word_of(family.resource)}/{meta.name_of(family.root)}"
