"""A TrainJob and the runtime that it refers to, put together: the jobs that it consists of. Pure.

Source: Kubeflow Trainer v2.3, its packages runtime/core and runtime/framework/plugins/jobset; the JobSet API v1alpha2.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api.model import kubernetes_schema
from cpod_jupyter.api.problem import nearest
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.trainjob import (
    DATASET_INITIALIZER,
    LABEL_ANCESTOR,
    LAUNCHER,
    MODEL_INITIALIZER,
    NODE,
    TRAINER,
)
from cpod_jupyter.engine.kubelet.images import is_runtime
from cpod_jupyter.engine.strategic import strategic_merge

INITIALIZERS = {"dataset": DATASET_INITIALIZER, "model": MODEL_INITIALIZER}
"""By the field of `spec.initializer`: the job and container that does it."""
_LONGEST_NAME = 63
"""Of a pod's host name (RFC 1123), which is made of the TrainJob's name, the job's and the index."""


@dataclass
class Step:
    """One job of the runtime, as this TrainJob has it. `needs`: the jobs that come before, and in which state."""

    name: str
    ancestor: str
    count: int
    needs: tuple[tuple[str, str], ...]
    template: dict[str, Any]

    @property
    def pod_template(self) -> dict[str, Any]:
        found: dict[str, Any] = self.template["spec"]["template"]
        return found

    @property
    def pod(self) -> dict[str, Any]:
        found: dict[str, Any] = self.pod_template["spec"]
        return found

    @property
    def containers(self) -> list[dict[str, Any]]:
        return list(self.pod.get("containers") or [])

    def container(self, name: str) -> dict[str, Any] | None:
        return next((entry for entry in self.containers if entry.get("name") == name), None)


def jobset_of(runtime: Object) -> Mapping[str, Any]:
    """The spec of the JobSet that a runtime describes."""
    found: Mapping[str, Any] = (runtime["spec"].get("template") or {}).get("spec") or {}
    return found


def ml_policy(runtime: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = runtime["spec"].get("mlPolicy") or {}
    return found


def trainer_of(job: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = job["spec"].get("trainer") or {}
    return found


def steps(job: Object, runtime: Object) -> list[Step]:
    """The jobs of the runtime with what the TrainJob and its patches say, in the order of the runtime."""
    jobset = jobset_of(runtime)
    in_order = (jobset.get("startupPolicy") or {}).get("startupPolicyOrder") == "InOrder"
    found: list[Step] = []
    for entry in jobset.get("replicatedJobs") or []:
        template = _patched(job, entry["name"], copy.deepcopy(entry["template"]))
        needs = [(str(one["name"]), str(one["status"])) for one in entry.get("dependsOn") or []]
        if in_order and found:
            needs.append((found[-1].name, "Ready"))
        step = Step(entry["name"], _ancestor(template), _count(template), tuple(needs), template)
        _initialize(job, step)
        if _is_node(step, runtime):
            _train(job, step, runtime)
        if not _is_idle(step):
            found.append(step)
    there = {step.name for step in found}
    for step in found:
        step.needs = tuple(need for need in step.needs if need[0] in there)
    return found


def _is_idle(step: Step) -> bool:
    """Whether a step is a download of this project's own that is told of nothing to fetch."""
    container = step.container(step.ancestor) if step.ancestor in INITIALIZERS.values() else None
    if container is None or not is_runtime(str(container.get("image") or "")):
        return False
    return not any(entry["name"] == "STORAGE_URI" for entry in container.get("env") or [])


def nodes(job: Object, runtime: Object) -> int:
    """How many nodes train."""
    asked = trainer_of(job).get("numNodes") or ml_policy(runtime).get("numNodes")
    return max(1, int(asked or 1))


def _ancestor(template: Mapping[str, Any]) -> str:
    pod = template["spec"]["template"]
    for part in (template, pod):
        label = ((part.get("metadata") or {}).get("labels") or {}).get(LABEL_ANCESTOR)
        if label:
            return str(label)
    return ""


def _count(template: Mapping[str, Any]) -> int:
    return int(template["spec"].get("parallelism") or 1)


def _is_node(step: Step, runtime: Object) -> bool:
    """The trainer's job; of MPI's, the one with the nodes as well."""
    return step.ancestor == TRAINER or ("mpi" in ml_policy(runtime) and step.name in (NODE, LAUNCHER))


def _initialize(job: Object, step: Step) -> None:
    """What `spec.initializer` says of its job's container."""
    for field, name in INITIALIZERS.items():
        part = (job["spec"].get("initializer") or {}).get(field)
        container = step.container(name)
        if step.ancestor != name or part is None or container is None:
            continue
        if part.get("storageUri"):
            set_env(container, [{"name": "STORAGE_URI", "value": part["storageUri"]}])
        set_env(container, part.get("env") or [])
        if part.get("secretRef"):
            source = {"secretRef": {"name": part["secretRef"]["name"]}}
            container["envFrom"] = [*(container.get("envFrom") or []), source]


def _train(job: Object, step: Step, runtime: Object) -> None:
    """What `spec.trainer` says of the nodes. An MPI launcher that is no node has only the trainer's command."""
    trainer, mpi = trainer_of(job), ml_policy(runtime).get("mpi")
    is_launcher = mpi is not None and step.name == LAUNCHER
    launches_alone = is_launcher and not (mpi or {}).get("runLauncherAsNode")
    if is_launcher:
        step.count = 1
    elif mpi is not None and (mpi or {}).get("runLauncherAsNode"):
        step.count = max(nodes(job, runtime) - 1, 1)
    else:
        step.count = nodes(job, runtime)
    runs_it = is_launcher or mpi is None
    for container in step.containers:
        if container["name"] not in (NODE, LAUNCHER):
            continue
        if trainer.get("image"):
            container["image"] = trainer["image"]
        for field in ("command", "args"):
            if runs_it and trainer.get(field) is not None:
                container[field] = list(trainer[field])
        if trainer.get("resourcesPerNode") and not launches_alone:
            container["resources"] = copy.deepcopy(trainer["resourcesPerNode"])
        set_env(container, trainer.get("env") or [])


def set_env(container: dict[str, Any], variables: Sequence[Mapping[str, Any]]) -> None:
    """Put variables into a container, in the place of those of their names; what is new comes first, so that the
    container's own may refer to it."""
    named = {str(entry["name"]): dict(entry) for entry in variables}
    there = [named.pop(entry["name"], entry) for entry in container.get("env") or []]
    if named or there:
        container["env"] = [*named.values(), *there]


# ---- patches


@functools.cache
def _pod_template_schema() -> dict[str, Any]:
    return kubernetes_schema("V1PodTemplateSpec")


def _patches(job: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each patch of one job of the runtime, with that job's name."""
    for patch in job["spec"].get("runtimePatches") or []:
        spec = ((patch.get("trainingRuntimeSpec") or {}).get("template") or {}).get("spec") or {}
        for entry in spec.get("replicatedJobs") or []:
            yield str(entry["name"]), entry.get("template") or {}


def _patched(job: Object, name: str, template: dict[str, Any]) -> dict[str, Any]:
    """The template with the patches of the job of that name, as strategic merge patches of its parts."""
    for patched, patch in _patches(job):
        if patched != name:
            continue
        for field, more in (patch.get("metadata") or {}).items():
            if isinstance(more, dict):
                metadata = template.setdefault("metadata", {})
                metadata[field] = {**(metadata.get(field) or {}), **more}
        change = (patch.get("spec") or {}).get("template") or {}
        template["spec"]["template"] = strategic_merge(
            _pod_template_schema(), template["spec"]["template"], dict(change)
        )
    return template


# ---- what cannot be done


def faults(job: Object, runtime: Object) -> list[str]:
    """Why the TrainJob can't be carried out with this runtime, in words."""
    entries = {entry["name"]: entry for entry in jobset_of(runtime).get("replicatedJobs") or []}
    if not entries:
        return ["the runtime has no replicatedJobs"]
    found = [*_runtime_faults(runtime, entries), *_patch_faults(job, entries)]
    if not found:
        found += _job_faults(job, runtime)
    return found


def _runtime_faults(runtime: Object, entries: Mapping[str, Any]) -> Iterator[str]:
    jobset, policy = jobset_of(runtime), ml_policy(runtime)
    for name, entry in entries.items():
        if int(entry.get("replicas", 1)) != 1:
            yield f"replicatedJobs[{name}].replicas must be 1: the number of pods is the job's parallelism"
        for need in entry.get("dependsOn") or []:
            if need["name"] not in entries:
                yield f'replicatedJobs[{name}] depends on "{need["name"]}", which is no job of the runtime'
    sources = [name for name in ("torch", "mpi", "jax", "xgboost", "flux") if name in policy]
    if len(sources) > 1:
        yield f"mlPolicy has {' and '.join(sources)}, and one at most is allowed"
    if "flux" in policy:
        yield "mlPolicy.flux is not offered by the embedded engine; mlPolicy.mpi starts ranks with mpirun"
    if (jobset.get("failurePolicy") or {}).get("rules"):
        yield "failurePolicy.rules are not offered by the embedded engine; failurePolicy.maxRestarts is"
    if "mpi" in policy and not {NODE, LAUNCHER} <= entries.keys():
        yield f"mlPolicy.mpi needs jobs named {LAUNCHER} and {NODE}"


def _patch_faults(job: Object, entries: Mapping[str, Any]) -> Iterator[str]:
    reserved = (DATASET_INITIALIZER, MODEL_INITIALIZER, NODE)
    for name, patch in _patches(job):
        if name not in entries:
            yield f'runtimePatches names the job "{name}", which the runtime lacks{nearest(name, entries)}'
            continue
        pod = entries[name]["template"]["spec"]["template"]["spec"]
        change = ((patch.get("spec") or {}).get("template") or {}).get("spec") or {}
        for field in ("containers", "initContainers"):
            there = [str(container["name"]) for container in pod.get(field) or []]
            for container in change.get(field) or []:
                if container["name"] not in there:
                    hint = nearest(container["name"], there)
                    yield f'runtimePatches names the container "{container["name"]}", which {name} lacks{hint}'
                elif container.get("env") and container["name"] in reserved:
                    yield f"runtimePatches sets env of {container['name']}: say it in spec.trainer or spec.initializer"


def _job_faults(job: Object, runtime: Object) -> Iterator[str]:
    found = steps(job, runtime)
    for field, name in INITIALIZERS.items():
        wanted = (job["spec"].get("initializer") or {}).get(field) is not None
        if wanted and not any(step.ancestor == name and step.container(name) for step in found):
            yield f"initializer.{field} needs a runtime with a job and a container named {name}"
    trainers = [step for step in found if step.ancestor == TRAINER]
    if job["spec"].get("trainer") and not trainers:
        yield f"spec.trainer needs a runtime with a job that is labelled {LABEL_ANCESTOR}: {TRAINER}"
    for step in found:
        last = f"{job['metadata']['name']}-{step.name}-0-{step.count - 1}"
        if len(last) > _LONGEST_NAME:
            yield f"the name is too long: its pod {last} would have more than {_LONGEST_NAME} characters"
    command = list(trainer_of(job).get("command") or [])
    if not command and trainers:
        command = list((trainers[0].container(NODE) or {}).get("command") or [])
    if command[:2] == ["tune", "run"]:
        yield "torchtune (tune run) is not offered by the embedded engine: give trainer.command"
