"""FineTune: no-code fine-tuning from a base model, a dataset and hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from cpod_jupyter.api.model import Column, KubeModel, crd, fixed_spec
from cpod_jupyter.api.resources import FINETUNES, Object
from cpod_jupyter.api.schema import Problem, nearest


class FineTunePhase(StrEnum):
    """The original's four phases, and Pending before them while no node could run the work."""

    PENDING = "Pending"
    DATA_PREPARING = "DataPreparing"
    RUNNING = "Running"
    FAILED = "Failed"
    SUCCEEDED = "Succeeded"


class FineTuneSpec(KubeModel):
    """Fine-tune a model on a dataset."""

    model: str = Field(min_length=1, description="A ModelStorage in this namespace, or a model of the catalogue.")
    dataset: str = Field(min_length=1, description="A DataSetStorage in this namespace.")
    dataset_is_public: bool = Field(default=False, description="The dataset is in the namespace `public`.")
    hyper_parameters: dict[str, str] = Field(
        default_factory=dict,
        description="n_epochs, batch_size, learning_rate, learning_rate_multiplier (a factor of the usual rate, or "
        'below 0.01 a rate itself); each may be "auto".',
    )
    config: dict[str, str] = Field(
        default_factory=dict, description="Arguments of the trainer by its own names, such as lora_rank or max_length."
    )
    upload: bool = Field(default=False, description="Upload the result to the object store.")
    gpu_count: int = Field(default=0, ge=0, description="GPUs; 0 for one where the cluster has GPUs, else the CPU.")
    gpu_product: str = Field(default="", description="GPU type, as the node label nvidia.com/gpu.product has it.")
    auto_merge: bool = Field(default=True, description="Merge the adapter into the base model.")
    finetune_type: Literal["", "lora", "qlora", "pt", "full"] = Field(
        default="lora",
        description="lora; qlora, with the base model in 4 bits, on GPUs; or pt (the same as full): all weights.",
    )


class PlannedMemory(KubeModel):
    """MiB that the plan reckons with at the peak, on each device; `host` on a node besides."""

    total: int = 0
    weights: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0
    logits: int = 0
    overhead: int = 0
    host: int = 0


class FineTunePlan(KubeModel):
    """How the fine-tune is run, and why."""

    finetune_type: str = Field(default="", description="lora, qlora or full.")
    processes: int = Field(default=0, description="In all; one for each GPU.")
    replicas: int = Field(default=0, description="Pods.")
    processes_per_replica: int = 0
    device: str = Field(default="", description="The type of GPU, or CPU.")
    device_memory: int = Field(default=0, alias="deviceMemoryMiB", description="Of one GPU or of the machine, MiB.")
    precision: str = Field(default="", description="bf16, fp16, fp32, or auto where the type of GPU isn't known.")
    per_device_batch: int = Field(default=0, description="Examples at once on each device.")
    gradient_accumulation: int = 0
    effective_batch: int = Field(default=0, description="Examples of one optimizer step.")
    max_length: int = Field(default=0, description="Tokens of an example, of which the trainer cuts off what is more.")
    longest: int = Field(default=0, description="Tokens of the longest example, as memory is reckoned with it.")
    gradient_checkpointing: bool = False
    sharding: str = Field(default="", description="ZeRO-1, ZeRO-2 or ZeRO-3 of DeepSpeed, or none.")
    offload: str = Field(default="", description="What lies in the host's memory: none, optimizer, or both.")
    memory: PlannedMemory | None = Field(default=None, alias="memoryMiB")
    fits: bool = Field(default=False, description="Whether the estimate stays within the device's memory.")
    advice: list[str] = Field(default_factory=list, description="What would fit, where this does not.")
    reasons: dict[str, str] = Field(default_factory=dict, description="A sentence for each choice.")


class FineTuneStatus(KubeModel):
    phase: str = Field(default="", description="Pending, DataPreparing, Running, Failed or Succeeded.")
    failure_message: str = Field(default="", description="Why the phase is Failed, or what it waits for.")
    plan: FineTunePlan | None = Field(default=None, description="How it is run, and why.")
    model_storage: str = Field(default="", description="The ModelStorage that holds the result.")
    observed_generation: int = Field(default=0, json_schema_extra={"format": "int64"})


HYPER_PARAMETERS = ("n_epochs", "batch_size", "learning_rate_multiplier", "learning_rate")

FineTuneType = Literal["lora", "qlora", "full"]


def finetune_type(given: str) -> FineTuneType:
    """What `finetuneType` stands for; `pt` is the original's word for full, and nothing for lora."""
    if given in ("", "lora"):
        return "lora"
    return "qlora" if given == "qlora" else "full"


BASE_LEARNING_RATE: dict[FineTuneType, float] = {"lora": 2e-4, "qlora": 2e-4, "full": 2e-5}
"""What `learning_rate_multiplier: 1` means, by fine-tune type."""

_ABSOLUTE_BELOW = 0.01


def hyper_parameter_problems(hyper_parameters: Mapping[str, Any]) -> list[Problem]:
    """The faults of a FineTune's hyperParameters: unknown names, and values that are not numbers."""
    found = []
    for name, value in hyper_parameters.items():
        path = ("spec", "hyperParameters", name)
        if name not in HYPER_PARAMETERS:
            hint = nearest(name, HYPER_PARAMETERS) or f"; known are {', '.join(HYPER_PARAMETERS)}"
            found.append(Problem(path, "FieldValueUnknown", f"unknown hyperparameter{hint}"))
        elif str(value) != "auto" and not _positive(str(value)):
            found.append(Problem(path, "FieldValueInvalid", f'must be a number above 0 or "auto", not {value!r}'))
        elif name == "batch_size" and str(value) != "auto" and float(value) != int(float(value)):
            found.append(Problem(path, "FieldValueInvalid", f"must be a whole number, not {value!r}"))
    if {"learning_rate", "learning_rate_multiplier"} <= set(hyper_parameters):
        path = ("spec", "hyperParameters", "learning_rate_multiplier")
        found.append(Problem(path, "FieldValueInvalid", "and learning_rate are both given; keep one of them"))
    return found


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False


def trainer_arguments(hyper_parameters: Mapping[str, str], kind: FineTuneType) -> dict[str, Any]:
    """The trainer's arguments that a FineTune's hyperParameters stand for.

    `learning_rate_multiplier` is read in both senses that are in use: OpenAI's, a factor of the
    default rate (0.1 to 10), and that of the original's samples, which give a rate such as `5e-5`
    under this name. Whatever lies below 0.01 is taken as a rate, which no sensible factor is.
    """
    arguments: dict[str, Any] = {}
    for name, text in hyper_parameters.items():
        if text == "auto":
            continue
        value = float(text)
        if name == "n_epochs":
            arguments["num_train_epochs"] = value
        elif name == "batch_size":
            arguments["per_device_train_batch_size"] = int(value)
        elif name == "learning_rate" or value < _ABSOLUTE_BELOW:
            arguments["learning_rate"] = value
        else:
            arguments["learning_rate"] = value * BASE_LEARNING_RATE[kind]
    return arguments


FIXED = fixed_spec(
    unless="!has(oldSelf.status) || !has(oldSelf.status.phase) || oldSelf.status.phase in ['', 'Pending', 'Failed']",
    message="the fine-tune has begun, so its spec is fixed until it fails; to train otherwise, apply it under another "
    "name, or delete this FineTune first",
)
"""What a FineTune does may be changed while it is Pending, and after it Failed: it then begins anew."""


def finetune_crd() -> Object:
    columns = (
        Column("Model", ".spec.model"),
        Column("Dataset", ".spec.dataset"),
        Column("Phase", ".status.phase"),
        Column("Age", ".metadata.creationTimestamp", "date"),
    )
    return crd(FINETUNES, FineTuneSpec, FineTuneStatus, columns, (FIXED,))
