"""What is happening to an object and what it waits for, in sentences; why it failed is for `sdk.diagnose` to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

DEPLOYMENTS = (INFERENCES, INFERENCESERVICES)


def explain(family: Family, nodes: Sequence[Object] = ()) -> Words:
    """The state of an object in words, from what its kind and the scheduler say; `nodes` tell what GPUs there are.

    Why its pods fail is told by a diagnosis (`sdk.diagnose.tell` puts both together). A deployment none of whose pods
    runs, since each crashes again and again or cannot start, has failed, whatever its own status says.
    """
    status = status_of(family.root, family.resource)
    if status.state is State.DELETED:
        return Words(status, "it is being deleted")
    if status.state is State.SUCCEEDED:
        return Words(status, _succeeded(family, status))
    if status.state is not State.FAILED and _is_down(family, status):
        status = Status(State.FAILED, "Failed", status.message)
    if status.state is State.READY:
        url = (family.root.get("status") or {}).get("url") or ""
        answers = f"it answers at {url}" if url else "it answers"
        return Words(status, f"{answers}; {status.message}" if status.message else answers)
    if status.state is State.FAILED:
        return Words(status, status.message or _last_warning(family) or "it failed, and nothing says why")
    return _waits_for_node(family, status, nodes) or _waiting(family, status)


def stuck_pods(family: Family) -> list[Object]:
    """Pods that will not come up by themselves: they crash again and again, or cannot start."""
    return [pod for pod in family.pods() if not meta.is_going(pod) and _is_stuck(pod)]


def _is_stuck(pod: Object) -> bool:
    for container in containers_of(pod):
        reason = ((container.get("state") or {}).get("waiting") or {}).get("reason")
        if reason in (*IMAGE_REASONS, *START_REASONS):
            return True
        if reason == "CrashLoopBackOff" and int(container.get("restartCount") or 0) > 1:
            return True
    return False


def _is_down(family: Family, status: Status) -> bool:
    """Whether a deployment has pods that are stuck; of one that says it is ready, whether no other pod is."""
    if family.resource not in DEPLOYMENTS or not stuck_pods(family):
        return False
    ready = (meta.is_true(pod, "Ready") and not meta.is_going(pod) for pod in family.pods())
    return status.state is not State.READY or not any(ready)


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
    return Words(status, _last_warning(family) or "waits for its pods")


def _last_warning(family: Family) -> str:
    told = family.told(warnings=True)
    return str(told[-1].get("message") or "") if told else ""


def _waits_for_node(family: Family, status: Status, nodes: Sequence[Object]) -> Words | None:
    """Of the first pod for which there is no node."""
    pods = family.pods()
    for pod in pods:
        if unscheduled(pod):
            reason, advice = no_room(pod, nodes)
            several = len(pods) > 1 and bool(role_of(pod)[0])
            return Words(status, f"{place_of(pod)}: {reason}" if several else reason, advice)
    return None


def no_room(pod: Object, nodes: Sequence[Object]) -> tuple[str, str]:
    """Why no node takes a pod, and what to do about it."""
    sentence = str((meta.condition(pod, "PodScheduled") or {}).get("message") or "no node takes it")
    never = bool(nodes) and scheduling.never_fits(pod["spec"], nodes) is not None
    begin = "no node could ever run it" if never else "waits for GPUs"
    asked = {name: amount for name, amount in scheduling.requests(pod["spec"]).items() if "gpu" in name}
    if not asked:
        if never:
            return f"{begin}: {sentence}", "ask for what a node has, or take another cluster (--context)"
        return f"waits for a node: {sentence}", "it starts by itself when there is room"
    wants = ", ".join(f"{amount:f} {name}" for name, amount in asked.items())
    advice = (
        "ask for fewer GPUs (%cpod gpus shows what the nodes have), or take another cluster (--context)"
        if never
        else "it starts by itself when they are free; %cpod ls shows what runs"
    )
    return f"{begin}: it asks for {wants}; {_gpus(nodes)}{sentence}", advice


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
