"""Indexed Jobs: which index a pod works on, which are done or lost, and when the Job has succeeded (Jobs,
"Completion mode", "Backoff limit per index", "Success policy"). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.controllers import job_policy
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.kubelet.network import ADDRESS_ANNOTATION
from cpod_jupyter.engine.strategies.jobs import parsed_indexes

INDEX = "batch.kubernetes.io/job-completion-index"
"""Annotation and label of a pod, with its index."""
ADDRESSES_ANNOTATION = "cpod.cpod/pod-ips"
"""On the pod template of an Indexed Job, in the engine: the loopback addresses of its pods, by index, with commas."""
_VARIABLE = "JOB_COMPLETION_INDEX"


def is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def index_of(pod: Object) -> int | None:
    text = str((pod["metadata"].get("annotations") or {}).get(INDEX, ""))
    return int(text) if text.isdigit() else None


def written(indexes: Iterable[int]) -> str:
    """Indexes as a status has them: `0,2-4`."""
    parts: list[list[int]] = []
    for index in sorted(indexes):
        if parts and index == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], index]
        else:
            parts.append([index])
    return ",".join("-".join(map(str, part)) for part in parts)


def _before(job: Object, field: str) -> set[int]:
    return parsed_indexes(str((job.get("status") or {}).get(field) or "")) or set()


def completed(job: Object, pods: Iterable[Object]) -> set[int]:
    """Indexes of which a pod has succeeded; what the status says already stays so, though the pod be gone."""
    found = {index_of(pod) for pod in pods if podset.phase(pod) == podset.SUCCEEDED}
    most = int(job["spec"]["completions"])
    return {index for index in found | _before(job, "completedIndexes") if index is not None and index < most}


def failed(job: Object, pods: Sequence[Object]) -> set[int]:
    """Indexes that are given up: too many failures of their own, or one that the policy calls final."""
    limit = job["spec"].get("backoffLimitPerIndex")
    if limit is None:
        return set()
    dead = [pod for pod in pods if podset.phase(pod) == podset.FAILED and not meta.is_going(pod)]
    lost = {index_of(pod) for pod in job_policy.fatal_to_index(job, dead)}
    counts: dict[int | None, int] = {}
    for pod in job_policy.counted(job, dead):
        counts[index_of(pod)] = counts.get(index_of(pod), 0) + 1
    lost |= {index for index, count in counts.items() if count > int(limit)}
    done = completed(job, pods)
    return {index for index in lost | _before(job, "failedIndexes") if index is not None and index not in done}


def open_indexes(job: Object, pods: Sequence[Object], occupied: Iterable[Object]) -> list[int]:
    """Indexes that need a pod, the lowest first."""
    settled = completed(job, pods) | failed(job, pods) | {index_of(pod) for pod in occupied}
    return [index for index in range(int(job["spec"]["completions"])) if index not in settled]


def success_rule(job: Object, done: set[int]) -> int | None:
    """The number of the first rule of the success policy that is met."""
    for number, rule in enumerate((job["spec"].get("successPolicy") or {}).get("rules") or []):
        text, count = rule.get("succeededIndexes"), rule.get("succeededCount")
        wanted = parsed_indexes(str(text)) if text is not None else None
        met = done if wanted is None else done & wanted
        if (count is not None and len(met) >= int(count)) or (count is None and wanted is not None and met == wanted):
            return number
    return None


def verdict(job: Object, pods: Sequence[Object]) -> tuple[str, str, str] | None:
    """How an Indexed Job ends, as condition, reason and message; None while it is under way."""
    spec, done, lost = job["spec"], completed(job, pods), failed(job, pods)
    if (rule := success_rule(job, done)) is not None:
        return "Complete", "SuccessPolicy", f"Matched rules at index {rule}"
    most = spec.get("maxFailedIndexes")
    if most is not None and len(lost) > int(most):
        text = "Job has exceeded the specified maximal number of failed indexes"
        return "Failed", "MaxFailedIndexesExceeded", text
    if len(done) + len(lost) < int(spec["completions"]):
        return None
    if lost:
        return "Failed", "FailedIndexes", "Job has failed indexes"
    return "Complete", "CompletionsReached", "Reached expected number of succeeded pods"


def indexed_pod(job: Object, index: int, existing: Sequence[Object]) -> Object:
    """The next pod of an index: made twice, it is the same. It knows its index by annotation, label, host name
    and environment."""
    taken, attempt = {meta.name_of(pod) for pod in existing}, 0
    prefix = f"{meta.name_of(job)[:50]}-{index}"
    while (name := f"{prefix}-{meta.spec_hash([meta.uid_of(job), index, attempt])[:5]}") in taken:
        attempt += 1
    pod = podset.from_template(job["spec"]["template"], job, name, {INDEX: str(index)})
    pod["metadata"]["annotations"][INDEX] = str(index)
    pod["spec"]["hostname"] = prefix
    addresses = str(pod["metadata"]["annotations"].pop(ADDRESSES_ANNOTATION, "")).split(",")
    if index < len(addresses) and addresses[index]:
        pod["metadata"]["annotations"][ADDRESS_ANNOTATION] = addresses[index]
    source: dict[str, Any] = {"fieldRef": {"fieldPath": f"metadata.annotations['{INDEX}']"}}
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        names = {item.get("name") for item in container.get("env") or []}
        if _VARIABLE not in names:
            container["env"] = [*(container.get("env") or []), {"name": _VARIABLE, "valueFrom": source}]
    return pod
