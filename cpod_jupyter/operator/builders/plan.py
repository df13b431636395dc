"""A FineTune, and what is known of its model and the nodes, to the plan of its training. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from cpod_jupyter.api import scheduling
from cpod_jupyter.api.catalog import BaseModel
from cpod_jupyter.api.finetune import FineTuneSpec, finetune_type
from cpod_jupyter.api.planning import Gpu, ModelShape, Plan, PlanRequest, gpu_of_node, known_gpu, known_shape, make_plan
from cpod_jupyter.api.planning.cpus import bf16_by_labels
from cpod_jupyter.api.planning.ways import replicas_of
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.rows import Preference
from cpod_jupyter.api.trainer import trainer_config
from cpod_jupyter.operator.builders.claims import MIB
from cpod_jupyter.operator.builders.workload import GPU, GPU_PRODUCT
from cpod_jupyter.operator.settings import Settings

CLEARLY_TOO_MUCH = 1.5
"""A plan that needs more than so many times the memory there is can't work; below, the estimate may be wrong."""
CLEARLY_TOO_MUCH_GUESSED = 2.5
"""The same for a model whose shape is a guess."""


@dataclass(frozen=True)
class PlanFacts:
    """What a plan depends on beside the FineTune."""

    shape: ModelShape | None = None
    """None when nothing tells how large the model is."""
    gpus: int = 0
    gpu: Gpu | None = None
    """None for the CPU, and where the type of GPU isn't known."""
    gpus_per_node: int = 0
    """The most that a node has; 0 where there is none with GPUs of that type."""
    host_memory_mib: int = 0
    cpu_bf16: bool = False
    """Whether the CPUs are quicker in bf16 than in fp32."""
    preferences: bool = False
    """Whether the dataset is known to have preferences."""
    longest: int = 0
    """Tokens of the dataset's longest example at most; 0 where it isn't known."""

    @property
    def replicas(self) -> int:
        """Pods, as few as the nodes allow, each with the same number of GPUs."""
        return replicas_of(self.gpus, self.gpus_per_node)


@dataclass(frozen=True)
class Device:
    """What a FineTune computes on."""

    gpus: int
    """In all; 0 for the CPU."""
    product: str = ""
    """The type of GPU that its pods ask for; empty for any."""


def device_of(spec: FineTuneSpec, model: BaseModel | None, nodes: Sequence[Object], settings: Settings) -> Device:
    """The GPUs of a FineTune: what it names; else one of the type that the catalogue names, of any type, or none."""
    product, preferred = spec.gpu_product, model.gpu_product if model else ""
    if not product and preferred and _nodes_with(nodes, preferred):
        product = preferred
    gpus = spec.gpu_count
    if gpus == 0 and (spec.gpu_product or _nodes_with(nodes, "")):
        gpus = settings.default_gpu_count
    return Device(gpus, product if gpus else "")


def facts_for(
    device: Device, nodes: Sequence[Object], shape: ModelShape | None, dataset: Object | None = None
) -> PlanFacts:
    """`dataset` is the DataSetStorage that is trained on, where there is one yet."""
    known = (dataset or {}).get("status") or {}
    rows: dict[str, Any] = {
        "preferences": known.get("examples") == Preference.kind,
        "longest": int(known.get("longest") or 0),
    }
    if device.gpus == 0:
        memory = max(map(_memory_mib, nodes), default=0)
        quick = bool(nodes) and all(bf16_by_labels(_labels(node)) for node in nodes)
        return PlanFacts(shape, host_memory_mib=memory, cpu_bf16=quick, **rows)
    fitting = _nodes_with(nodes, device.product)
    return PlanFacts(
        shape,
        device.gpus,
        _weakest(fitting) or (known_gpu(device.product) if device.product else None),
        max(map(_gpus_of, fitting), default=0),
        min(map(_memory_mib, fitting), default=0),
        **rows,
    )


def shape_of(storage: Object | None, model: BaseModel | None) -> ModelShape | None:
    """The model's shape: as its files tell, as the catalogue has it, or a guess from its size or name."""
    status = (storage or {}).get("status") or {}
    if status.get("model"):
        return ModelShape.from_status(status["model"])
    if model is not None:
        if known := known_shape(model.name):
            return known
        if model.parameters:
            return ModelShape.from_size(model.parameters)
    names = [str((storage or {}).get("spec", {}).get("modelname") or ""), model.name if model else ""]
    named = next((shape for name in names if (shape := ModelShape.from_name(name)) is not None), None)
    return named or (ModelShape.from_bytes(int(status["size"])) if status.get("size") else None)


def plan_of(finetune: Object, facts: PlanFacts) -> Plan | None:
    """The plan of a FineTune without faults; None when nothing tells how large its model is."""
    if facts.shape is None:
        return None
    spec = FineTuneSpec.model_validate(finetune["spec"])
    batch = spec.hyper_parameters.get("batch_size", "auto")
    config = trainer_config(spec.config)
    format = config.get("dataset_format", "")
    wanted = {} if batch == "auto" else {"batch_size": int(float(batch))}
    return make_plan(
        PlanRequest(
            shape=facts.shape,
            finetune_type=finetune_type(spec.finetune_type),
            gpus=facts.gpus,
            gpu=facts.gpu,
            gpus_per_node=facts.gpus_per_node,
            host_memory_mib=facts.host_memory_mib,
            cpu_bf16=facts.cpu_bf16,
            config=config,
            longest=facts.longest,
            preferences=facts.preferences if format in ("", "auto") else format == "preference",
            **wanted,
        )
    )


def plan_status(plan: Plan | None, spec: FineTuneSpec) -> dict[str, Any] | None:
    """The plan as it stands in a FineTune's status, with what the user's `config` decided."""
    if plan is None:
        return None
    status = plan.to_status()
    if spec.config:
        kept = ", ".join(sorted(trainer_config(spec.config)))
        status["reasons"] = {**status["reasons"], "config": f"What config sets is kept before all else: {kept}."}
    return status


def plan_text(status: Mapping[str, Any]) -> str:
    """The plan as YAML for a person to read."""
    head = "# How this fine-tune is run, and why. Made by the operator; what the FineTune's config sets is kept.\n"
    return head + yaml.safe_dump(dict(status), sort_keys=False, allow_unicode=True, width=100)


def excess(plan: Plan) -> float:
    """How many times the memory there is the plan needs, of the device or of its host; 0 where that isn't known."""
    request = plan.request
    shares = [plan.estimate.total / request.memory_mib if request.memory_mib else 0.0]
    if plan.work.offload != "none" and request.host_memory_mib:
        shares.append(plan.estimate.host / request.host_memory_mib)
    return max(shares)


def clearly_too_much(plan: Plan) -> bool:
    limit = CLEARLY_TOO_MUCH_GUESSED if plan.request.shape.approximate else CLEARLY_TOO_MUCH
    return not plan.fits and excess(plan) > limit


def _nodes_with(nodes: Sequence[Object], product: str) -> list[Object]:
    """The nodes that offer GPUs of the type; of any when it is empty."""
    return [node for node in nodes if _gpus_of(node) and (not product or _labels(node).get(GPU_PRODUCT) == product)]


def _weakest(nodes: Sequence[Object]) -> Gpu | None:
    """The GPU with the least memory among nodes of which any may be taken; None when one of them isn't known."""
    gpus = [gpu_of_node(_labels(node)) for node in nodes]
    known = [gpu for gpu in gpus if gpu is not None]
    if not known or len(known) < len(gpus):
        return None
    return min(known, key=lambda gpu: (gpu.memory_mib, gpu.bf16))


def _labels(node: Object) -> dict[str, str]:
    return dict(node["metadata"].get("labels") or {})


def _gpus_of(node: Object) -> int:
    return int(scheduling.allocatable(node, GPU))


def _memory_mib(node: Object) -> int:
    return int(scheduling.allocatable(node, "memory")) // MIB
