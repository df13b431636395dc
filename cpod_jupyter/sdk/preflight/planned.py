"""What the operator will make of an object, by the operator's own builders: a short table. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import (
    CPODJOBS,
    FINETUNES,
    INFERENCES,
    JOBS,
    TRAINING_KINDS,
    TRAINJOBS,
    Object,
    Resource,
)
from cpod_jupyter.operator import admission
from cpod_jupyter.operator.builders import finetune, inference, inference_ray, inference_short, jobs
from cpod_jupyter.operator.builders import plan as planning
from cpod_jupyter.operator.builders.workload import Facts as NothingYet
from cpod_jupyter.operator.builders.workload import spec_of
from cpod_jupyter.operator.objects import Refused
from cpod_jupyter.operator.storage_kinds import claim_of
from cpod_jupyter.sdk.kinds import word_of
from cpod_jupyter.sdk.preflight.asks import PRODUCT, Pods, named_storages, pods_of
from cpod_jupyter.sdk.preflight.facts import Facts
from cpod_jupyter.sdk.preflight.storages import base_of, plan_facts, storage_of
from cpod_jupyter.sdk.view import table
from cpod_jupyter.sdk.view.plan import Line, rows_of
from cpod_jupyter.sdk.view.rows import Rows

_LONGEST = 160
"""Characters of a command that are shown."""


class Planned(Rows[Line]):
    """The operator's plan for one object."""

    columns = ("what", "how", "why")

    def __init__(self, title: str, lines: list[Line]) -> None:
        super().__init__(lines)
        self.title = title

    def rows(self) -> list[tuple[str, ...]]:
        return list(self)

    def to_dicts(self) -> list[dict[str, str]]:
        """The same for programs."""
        return [dict(zip(self.columns, line, strict=True)) for line in self]

    def __repr__(self) -> str:
        return f"the operator's plan for {self.title}:\n{super().__repr__()}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        html = table.note(f"the operator's plan for {self.title}") + table.html(self.columns, self.rows())
        return {"text/plain": repr(self), "text/html": html}


def planned(facts: Facts) -> Planned | None:
    """The plan; None for a kind that needs none, and for an object that the server or the operator refuses."""
    make = _PLANS.get(facts.resource)
    if make is None or facts.refusal is not None:
        return None
    metadata = {"uid": "", "generation": 1, **facts.obj["metadata"]}
    obj = {**facts.obj, "metadata": metadata}
    try:
        admission.check(obj)
        lines = make(facts, obj)
    except Refused:  # the verdict says it
        return None
    title = f"{word_of(facts.resource)}/{meta.name_of(obj)}"
    return Planned(title, lines) if lines else None


# ---- FineTune


def _finetune(facts: Facts, obj: Object) -> list[Line]:
    storage, model = base_of(facts)
    if facts.nodes is None or (storage is None and model is None):
        return []
    spec = finetune.spec_of(obj)
    device = planning.device_of(spec, model, facts.nodes, facts.settings)
    known = plan_facts(facts, device, facts.nodes, storage, model)
    plan = planning.plan_of(obj, known)
    base = meta.name_of(storage) if storage else model.storage_name if model else ""
    size = int(((storage or {}).get("status") or {}).get("size") or 0)
    job = finetune.cpodjob(obj, finetune.need_of(obj, base, device, known, plan, size, facts.settings), facts.settings)
    name = meta.name_of(job)
    kind = plan.work.finetune_type if plan else spec.finetune_type or "lora"
    merged = (
        "" if kind == "full" else ", merged into the base model" if spec.auto_merge else ", the adapter is the result"
    )
    lines = [
        ("runs as", f"CPodJob {name}, PyTorchJob {name}", _command(job["spec"]["command"], job["spec"]["args"])),
        ("method", kind + merged, f"from the model {base}"),
    ]
    lines += (
        rows_of(plan.to_status())
        if plan
        else [("plan", "the trainer's own defaults", "nothing tells how large the model is")]
    )
    lines.append(("result", f"ModelStorage {names.result_storage(name)}", "uploaded too" if spec.upload else ""))
    return lines


# ---- what runs an image


def _cpodjob(facts: Facts, obj: Object) -> list[Line]:
    spec = spec_of(obj)
    built = jobs.workload(obj, NothingYet(), facts.settings)
    kind = jobs.kind_of(spec).resource
    lines = [("runs as", f"{kind.kind} {meta.name_of(obj)}", f"jobType {spec.job_type}"), *_pods(pods_of(kind, built))]
    elastic = built["spec"].get("elasticPolicy")
    lines += [("rendezvous", str(elastic["rdzvBackend"]), "the workers find each other by it")] if elastic else []
    mounts = [f"{name} at {path}" for name, path in (
        (spec.pretrain_model_name, spec.pretrain_model_path), (spec.dataset_name, spec.dataset_path),
        (spec.git_repo.repository if spec.git_repo else "", spec.code_path)) if name]  # fmt: skip
    lines += [("data", ", ".join(mounts), "")] if mounts else []
    retries = facts.settings.job_retries if spec.backoff_limit is None else spec.backoff_limit
    limit = f"ended after {spec.duration} min" if spec.duration else ""
    lines.append(("a failure", f"is tried again {retries} times" if retries else "is final", limit))
    if spec.model_save_path:
        result = f"ModelStorage {names.result_storage(meta.name_of(obj))}"
        lines.append(("result", result, f"from {spec.model_save_path}{', uploaded too' if spec.upload_model else ''}"))
    return lines


def _training(facts: Facts, obj: Object) -> list[Line]:
    lines = [("runs as", f"{facts.resource.kind} {meta.name_of(obj)}", "as it is, by the training operator")]
    spec = obj["spec"]
    each = spec.get("nprocPerNode") or spec.get("slotsPerWorker")
    lines += _pods(pods_of(facts.resource, obj))
    return [*lines, ("processes", f"{each} a pod", "")] if each else lines


def _train_job(facts: Facts, obj: Object) -> list[Line]:
    spec = obj["spec"]
    trainer, runtime = spec.get("trainer") or {}, spec["runtimeRef"]
    [node] = pods_of(TRAINJOBS, obj)
    image = trainer.get("image") or "the runtime's image"
    told = f"{image}: {_command(trainer.get('command'), trainer.get('args')) or 'as the runtime has it'}"
    return [
        ("runs as", f"TrainJob {meta.name_of(obj)}", f"by the runtime {runtime.get('name')}"),
        ("node", _amount(node), told),
        ("processes", f"{trainer.get('numProcPerNode') or 'the runtime says how many'} a pod", ""),
    ]


def _pods(groups: list[Pods]) -> list[Line]:
    lines = []
    for group in groups:
        container = (group.spec.get("containers") or [{}])[0]
        command = _command(container.get("command"), container.get("args")) or "the image's own command"
        lines.append((group.role, _amount(group), f"{container.get('image', '')}: {command}"))
    return lines


def _amount(group: Pods) -> str:
    product = (group.spec.get("nodeSelector") or {}).get(PRODUCT, "")
    gpus = f" x {group.gpus} GPU{'s' if group.gpus > 1 else ''}" if group.gpus else ", no GPU"
    return f"{group.replicas} pod{'s' if group.replicas != 1 else ''}{gpus}{f' of type {product}' if product else ''}"


def _command(command: Any, args: Any) -> str:
    text = shlex.join(str(word) for word in [*(command or []), *(args or [])]).replace("\n", " ")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


# ---- Inference


class _Claims(dict[str, str]):
    """The claims of models by their names; of one that is not known, the name that the operator would give it."""

    def __missing__(self, name: str) -> str:
        return names.storage_claim("model", name)


def _inference(facts: Facts, obj: Object) -> list[Line]:
    spec = inference.spec_of(obj)
    named = next(iter(named_storages(INFERENCES, obj)), None)
    storage = storage_of(facts, named) if named else None
    claims = _Claims({meta.name_of(item): claim_of(item) for item in facts.models or () if claim_of(item)})
    if spec.backend == "ray":
        low, high = inference_ray.replicas(obj)
        how = f"{low} to {high} replicas x {inference_ray.gpus_of(spec)} GPUs" if high > low else f"{low} replicas"
        return [
            ("runs as", f"RayService {meta.name_of(obj)}", "backend ray"),
            ("server", "vLLM by Ray Serve", facts.settings.ray_image),
            ("replicas", how, ""),
        ]
    service = f"InferenceService {names.inference_service(meta.name_of(obj))}"
    if inference.implementations(obj["spec"].get("predictor") or {}):
        return [
            ("runs as", service, "the predictor that is given"),
            *_served(inference.given_predictor(obj, claims, facts.settings)),
        ]
    if facts.nodes is None:
        return [("runs as", service, "")]
    model = storage or {"metadata": {"name": spec.model_id}, "spec": {}}
    choice = inference_short.choose(spec, model, facts.nodes, facts.settings)
    made = inference_short.own_predictor(obj, choice, model, claims[spec.model_id], "", facts.settings)
    return [("runs as", service, choice.why), *_served(made)]


def _served(made: inference.Deployable) -> list[Line]:
    predictor: Mapping[str, Any] = made.predictor
    container = (predictor.get("containers") or [None])[0] or predictor.get("model") or {}
    command = _command(container.get("command"), container.get("args"))
    runtime = container.get("runtime") or (container.get("modelFormat") or {}).get("name") or ""
    server = made.engine.name if made.engine else f"KServe's runtime {runtime}".strip() if runtime else "of your own"
    low, high = predictor.get("minReplicas", 1), predictor.get("maxReplicas")
    gpus = f"{made.gpus} GPU{'s' if made.gpus > 1 else ''}" if made.gpus else "no GPU"
    return [
        ("server", server, f"{container.get('image') or ''}: {command}".strip(": ")),
        ("replicas", f"{low}{f' to {high}' if high and high != low else ''} x {gpus}", ""),
    ]


_PLANS: dict[Resource, Callable[[Facts, Object], list[Line]]] = {
    FINETUNES: _finetune,
    CPODJOBS: _cpodjob,
    INFERENCES: _inference,
    TRAINJOBS: _train_job,
    JOBS: _training,
    **dict.fromkeys(TRAINING_KINDS, _training),
}
PLANNED = tuple(_PLANS)
"""The kinds of which there is something to plan."""
