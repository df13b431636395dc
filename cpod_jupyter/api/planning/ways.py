"""Every way to do a fine-tune that a request leaves open, with what it needs and costs, and the choice among them."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from cpod_jupyter.api.planning.gpus import Gpu
from cpod_jupyter.api.planning.memory import Estimate, FineTuneType, Offload, Precision, Work, estimate
from cpod_jupyter.api.planning.shapes import ModelShape

DEFAULT_BATCH_SIZE, DEFAULT_MAX_LENGTH, DEFAULT_LORA_RANK = 4, 1024, 16

ASSUMED_MEMORY_MIB = 16384
"""What is reckoned with where a GPU's memory isn't known: the least that is common in training."""
MOST_GPUS = 256
"""Beyond so many GPUs none are advised."""


@dataclass(frozen=True)
class PlanRequest:
    """What a plan is made for."""

    shape: ModelShape
    finetune_type: FineTuneType = "lora"
    gpus: int = 0
    """In all; 0 for the CPU."""
    gpu: Gpu | None = None
    """None where its product isn't known, or for the CPU."""
    gpus_per_node: int = 0
    """The most that one node has; 0 where it isn't known."""
    host_memory_mib: int = 0
    """Of one node, for what is offloaded and for the CPU; 0 where it isn't known."""
    batch_size: int = DEFAULT_BATCH_SIZE
    """Examples for each device and optimizer step, as in the original: the effective batch is this times `gpus`
    (times an accumulation that `config` sets). The plan may cut it into smaller ones that it accumulates."""
    cpu_bf16: bool = False
    """Whether the CPU is quicker in bf16 than in fp32."""
    preferences: bool = False
    """Whether the examples are preferences, which take two answers at once and a reference model."""
    longest: int = 0
    """Tokens of the longest example at most; 0 where it isn't known."""
    config: Mapping[str, str] = field(default_factory=dict)
    """The trainer's arguments that the user sets, by their own names: the plan keeps to them."""

    @property
    def max_length(self) -> int:
        """Tokens; without a limit in `config`, as many as the model can look at."""
        text = self.config.get("max_length")
        if text is not None and text.strip().lower() in ("none", "null", ""):
            return self.shape.max_positions or DEFAULT_MAX_LENGTH
        return _whole(text) or DEFAULT_MAX_LENGTH

    @property
    def packs(self) -> bool:
        return bool(_flag(self.config.get("packing")))

    @property
    def length(self) -> int:
        """Tokens of an example that memory is reckoned with: `max_length`, unless no example is so long."""
        return min(self.max_length, self.longest) if self.longest and not self.packs else self.max_length

    @property
    def wanted_batch(self) -> int:
        """Examples for each device before `gradient_accumulation_steps` of `config`."""
        return _whole(self.config.get("per_device_train_batch_size")) or max(1, self.batch_size)

    @property
    def accumulation(self) -> int:
        return _whole(self.config.get("gradient_accumulation_steps")) or 1

    @property
    def checkpointing(self) -> bool | None:
        """What `config` says of it; transformers 5 has a second name for it, which goes before the first."""
        old, new = (self.config.get(f"{name}_checkpointing") for name in ("gradient", "activation"))
        return _flag(new if new is not None else old)

    @property
    def lora_rank(self) -> int:
        return _whole(self.config.get("lora_rank")) or DEFAULT_LORA_RANK

    @property
    def memory_mib(self) -> int:
        """Of the device that is computed on; 0 where it isn't known."""
        return (self.gpu.memory_mib if self.gpu else 0) if self.gpus else self.host_memory_mib


@dataclass(frozen=True)
class Way:
    """One way to do the work, with what it needs and what it costs."""

    request: PlanRequest
    work: Work
    replicas: int

    @cached_property
    def estimate(self) -> Estimate:
        return estimate(self.request.shape, self.work, self.work.processes // self.replicas)

    @property
    def fits_device(self) -> bool:
        if not self.work.on_gpu:
            return not self.request.memory_mib or self.estimate.total <= self.request.memory_mib
        return self.estimate.total <= (self.request.memory_mib or ASSUMED_MEMORY_MIB)

    @property
    def fits_host(self) -> bool:
        """Whether what is offloaded fits the node's memory, where that is known."""
        known = self.request.host_memory_mib
        return self.work.offload == "none" or not known or self.estimate.host <= known

    @property
    def fits(self) -> bool:
        return self.fits_device and self.fits_host

    @property
    def cost(self) -> float:
        """Time of a step beside the quickest way, about.

        Checkpointing repeats the forward pass, a third of the work (Korthikanti et al. 2022, section 1: 30 to
        40 %). Stage 3 sends half as much again as data parallel training does, the stages before it as much
        (Rajbhandari et al. 2020, section 7). Offloading moves states over PCIe in each step (Ren et al. 2021,
        "ZeRO-Offload", section 6.2; parameters in each pass, Rajbhandari et al. 2021, "ZeRO-Infinity", section 4).
        Small micro-batches keep a GPU less busy: a quarter of the batch at once is reckoned dearer than checkpointing,
        half of it cheaper.
        """
        splits = max(1, self.request.wanted_batch // self.work.batch)
        stage = {0: 1.0, 1: 1.02, 2: 1.04, 3: 1.25}[self.work.zero_stage]
        offload = {"none": 1.0, "optimizer": 1.6, "optimizer+parameters": 2.5}[self.work.offload]
        checkpointing = 4 / 3 if self.work.checkpointing else 1.0
        return checkpointing * float(splits**0.25) * stage * offload


def choose(request: PlanRequest) -> Way:
    """The least costly way that fits, or the one that needs the least memory where none does."""
    ways = list(ways_of(request))
    fitting = [way for way in ways if way.fits]
    if fitting:
        return min(fitting, key=lambda way: (way.cost, way.estimate.total))
    possible = [way for way in ways if way.fits_host] or ways
    return min(possible, key=lambda way: (way.estimate.total, way.cost))


def refusal_of(request: PlanRequest) -> str:
    """Why the work can't be done at all, whatever the memory; empty when it can."""
    if request.finetune_type == "qlora" and not request.gpus:
        return "QLoRA needs a GPU: bitsandbytes' 4-bit kernels are made for CUDA"
    return ""


def ways_of(request: PlanRequest) -> Iterator[Way]:
    """Every way that the request and the user's own arguments leave open."""
    replicas = replicas_of(request.gpus, request.gpus_per_node)
    for (batch, accumulation), checkpointing, (stage, offload) in itertools.product(
        _batches(request), _checkpointing(request), _shardings(request)
    ):
        work = Work(
            finetune_type=request.finetune_type,
            precision=precision_of(request),
            batch=batch,
            length=request.length,
            accumulation=accumulation,
            processes=max(1, request.gpus),
            checkpointing=checkpointing,
            zero_stage=stage,
            offload=offload,
            lora_rank=request.lora_rank,
            preferences=request.preferences,
            on_gpu=request.gpus > 0,
        )
        yield Way(request, work, replicas)


def replicas_of(gpus: int, gpus_per_node: int) -> int:
    """Pods, as few as the nodes allow, each with the same number of GPUs; 0 for `gpus_per_node` when it isn't known."""
    if not gpus_per_node or gpus <= gpus_per_node:
        return 1
    return next(count for count in range(1, gpus + 1) if gpus % count == 0 and gpus // count <= gpus_per_node)


def precision_of(request: PlanRequest) -> Precision:
    """bf16 where the GPU has it, or the CPU is quicker so; fp16 on an older GPU, fp32 on another CPU. The user's own
    choice goes before all."""
    bf16, fp16 = _flag(request.config.get("bf16")), _flag(request.config.get("fp16"))
    if fp16:
        return "fp16"
    if bf16:
        return "bf16"
    if not request.gpus:
        return "bf16" if request.cpu_bf16 and bf16 is None else "fp32"
    if bf16 is False and fp16 is False:
        return "fp32"
    if request.gpu is None:
        return "auto" if bf16 is None else "fp16"
    return "bf16" if request.gpu.bf16 and bf16 is None else "fp16" if fp16 is None else "fp32"


def _batches(request: PlanRequest) -> list[tuple[int, int]]:
    """Micro-batch and accumulation, whose product is always the batch that is asked for."""
    whole, times = request.wanted_batch, request.accumulation
    if {"per_device_train_batch_size", "gradient_accumulation_steps"} & set(request.config):
        return [(whole, times)]
    return [(part, whole // part) for part in range(whole, 0, -1) if whole % part == 0]


def _checkpointing(request: PlanRequest) -> list[bool]:
    return [False, True] if request.checkpointing is None else [request.checkpointing]


def _shardings(request: PlanRequest) -> list[tuple[int, Offload]]:
    """ZeRO stages and what is offloaded.

    Stages 1 and 2 share out what trainable parameters need; LoRA has hardly any, so only stage 3 helps it. The
    4-bit weights of QLoRA stay whole on each GPU: DeepSpeed can't offload them. On one GPU there is nothing to
    share, but states can go to the host.
    """
    if "deepspeed" in request.config:
        return [_given_sharding(request.config["deepspeed"])]
    if not request.gpus or request.finetune_type == "qlora":
        return [(0, "none")]
    several = request.gpus > 1
    if request.finetune_type == "lora":
        shared: list[tuple[int, Offload]] = [(3, "none")] if several else []
        return [(0, "none"), *shared, (3, "optimizer+parameters")]
    shared = [(1, "none"), (2, "none"), (3, "none")] if several else []
    offloaded: list[tuple[int, Offload]] = [(2, "optimizer"), (3, "optimizer"), (3, "optimizer+parameters")]
    return [(0, "none"), *shared, *(entry for entry in offloaded if several or entry != (3, "optimizer"))]


def _given_sharding(text: str) -> tuple[int, Offload]:
    """Stage and offload of a DeepSpeed configuration that the user gives; none where it has no such thing."""
    try:
        zero = json.loads(text)["zero_optimization"]
        stage = int(zero.get("stage") or 0)
        devices = {
            name: (zero.get(name) or {}).get("device") == "cpu" for name in ("offload_optimizer", "offload_param")
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0, "none"
    both = stage == 3 and devices["offload_param"]
    optimizer = stage > 0 and devices["offload_optimizer"]
    return min(max(stage, 0), 3), "optimizer+parameters" if both else "optimizer" if optimizer else "none"


def _flag(text: str | None) -> bool | None:
    return None if text is None else str(text).strip().lower() in ("true", "1", "yes")


def _whole(text: str | None) -> int:
    """The number in an argument; 0 where there is none, or what the trainer will refuse."""
    try:
        return max(0, int(float(text))) if text else 0
    except (ValueError, OverflowError):
        return 0


def with_config(request: PlanRequest, **changes: str) -> PlanRequest:
    """The request with arguments of its config changed, for what advice tries out."""
    return dataclasses.replace(request, config={**request.config, **changes})
