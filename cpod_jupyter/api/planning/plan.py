"""The plan of a fine-tune: how many processes, in which precision, cut up how, and why.

    plan = make_plan(PlanRequest(shape, "lora", gpus=1, gpu=known_gpu("NVIDIA-GeForce-RTX-3090")))
    plan.fits, plan.reasons["checkpointing"], plan.estimate.total, plan.arguments, plan.deepspeed

Of all ways that fit the GPU's memory the plan takes the one that costs the least time (`Way.cost`); where none fits it
takes the one that needs the least, and says what would fit. What the user's own `config` sets stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api.planning.deepspeed import deepspeed_config
from cpod_jupyter.api.planning.memory import Estimate, Work
from cpod_jupyter.api.planning.reasons import advice_for, reasons_for
from cpod_jupyter.api.planning.ways import PlanRequest, choose, refusal_of

DEEPSPEED_PATH = "/etc/cpod/deepspeed.json"
"""Where a pod finds the plan's DeepSpeed configuration."""


@dataclass(frozen=True)
class Plan:
    """How a fine-tune is run."""

    request: PlanRequest
    replicas: int
    """Pods; each takes the GPUs of one node."""
    processes_per_replica: int
    """One for each GPU of a replica, whatever the number of replicas."""
    work: Work
    estimate: Estimate
    fits: bool
    advice: tuple[str, ...]
    """What would fit, where this does not."""
    reasons: dict[str, str]
    """A sentence for each choice."""

    @property
    def processes(self) -> int:
        return self.replicas * self.processes_per_replica

    @property
    def effective_batch(self) -> int:
        """Examples of one optimizer step, on all devices together."""
        return self.work.batch * self.work.accumulation * self.processes

    @property
    def sharding(self) -> str:
        return f"ZeRO-{self.work.zero_stage}" if self.work.zero_stage else "none"

    @property
    def deepspeed(self) -> dict[str, Any] | None:
        """The configuration for DeepSpeed; None where it isn't used, or the user gives one."""
        if "deepspeed" in self.request.config or not self.work.zero_stage:
            return None
        return deepspeed_config(self.work.zero_stage, self.work.offload)

    @property
    def arguments(self) -> dict[str, str]:
        """For the trainer, by its own names; without those that the user's config sets."""
        chosen = {
            "per_device_train_batch_size": str(self.work.batch),
            "gradient_accumulation_steps": str(self.work.accumulation),
        }
        if self.request.checkpointing is None:
            chosen["gradient_checkpointing"] = _text(self.work.checkpointing)
        if self.work.precision != "auto":
            chosen |= {"bf16": _text(self.work.precision == "bf16"), "fp16": _text(self.work.precision == "fp16")}
        if self.deepspeed:
            chosen["deepspeed"] = DEEPSPEED_PATH
        return {name: value for name, value in chosen.items() if name not in self.request.config}

    @property
    def sentence(self) -> str:
        """The plan in one sentence, for an event."""
        return f"{self.choices}: {self.reasons['memory']}"

    @property
    def choices(self) -> str:
        """What it chooses, in a few words."""
        head = f"{self.processes} process{'es' if self.processes > 1 else ''}, {self.work.precision}"
        batch = f"batch {self.work.batch} x {self.work.accumulation} accumulated"
        extras = [batch, *(["gradient checkpointing"] if self.work.checkpointing else [])]
        if self.work.zero_stage:
            offload = f" with {self.work.offload} offloaded" if self.work.offload != "none" else ""
            extras.append(self.sharding + offload)
        return f"{head}, {', '.join(extras)}"

    def to_status(self) -> dict[str, Any]:
        """As it stands in the status of a FineTune."""
        gpu = self.request.gpu
        return {
            "finetuneType": self.work.finetune_type,
            "processes": self.processes,
            "replicas": self.replicas,
            "processesPerReplica": self.processes_per_replica,
            "device": (gpu.product if gpu else "GPU") if self.request.gpus else "CPU",
            "deviceMemoryMiB": self.request.memory_mib,
            "precision": self.work.precision,
            "perDeviceBatch": self.work.batch,
            "gradientAccumulation": self.work.accumulation,
            "effectiveBatch": self.effective_batch,
            "maxLength": self.request.max_length,
            "longest": self.work.length,
            "gradientCheckpointing": self.work.checkpointing,
            "sharding": self.sharding,
            "offload": self.work.offload,
            "memoryMiB": self.estimate.to_status(),
            "fits": self.fits,
            "advice": list(self.advice),
            "reasons": dict(self.reasons),
        }


def make_plan(request: PlanRequest) -> Plan:
    """The plan for `request`; one that does not fit has `fits` false, and advice."""
    best, refusal = choose(request), refusal_of(request)
    fits = not refusal and (best.fits or _unknown(request))
    return Plan(
        request=request,
        replicas=best.replicas,
        processes_per_replica=best.work.processes // best.replicas,
        work=best.work,
        estimate=best.estimate,
        fits=fits,
        advice=() if fits else advice_for(request, best),
        reasons=reasons_for(best, refusal),
    )


def _unknown(request: PlanRequest) -> bool:
    return bool(request.gpus) and not request.memory_mib


def _text(value: bool) -> str:
    return "true" if value else "false"
