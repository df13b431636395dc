"""Why a plan is as it is, and what to do where it does not fit: sentences for a person."""

from __future__ import annotations

import dataclasses

from cpod_jupyter.api.planning.memory import estimate
from cpod_jupyter.api.planning.ways import (
    ASSUMED_MEMORY_MIB,
    MOST_GPUS,
    PlanRequest,
    Way,
    choose,
    refusal_of,
    with_config,
)

SHORTEST = 256
"""Tokens below which no shorter max_length is advised."""


def reasons_for(way: Way, refusal: str) -> dict[str, str]:
    """A sentence for each choice of `way`."""
    reasons = {
        "processes": _processes(way),
        "precision": _precision(way),
        "batch": _batch(way),
        "length": _length(way.request),
        "checkpointing": _checkpointing(way),
        "sharding": _sharding(way),
        "offload": _offload(way),
        "memory": refusal or _memory(way),
    }
    if way.work.preferences:
        reference = "a frozen copy of the model" if way.work.has_reference else "the base model, as it is there"
        reasons["preferences"] = f"DPO takes both answers of an example at once, and as its reference {reference}."
    if way.request.shape.approximate:
        size = _billions(way.request.shape.parameters)
        reasons["shape"] = f"The model's shape isn't known; it is taken for what is usual at {size} parameters."
    return reasons


def _processes(way: Way) -> str:
    request = way.request
    if not request.gpus:
        return "One process, for there is no GPU; it uses all cores it is given."
    if way.replicas > 1:
        each = request.gpus // way.replicas
        return (
            f"One process for each of {request.gpus} GPUs, in {way.replicas} pods of {each}, because a node has "
            f"{request.gpus_per_node} GPUs at most."
        )
    if request.gpus == 1:
        return "One process for the one GPU."
    return f"One process for each of the {request.gpus} GPUs of the pod."


def _precision(way: Way) -> str:
    request, precision = way.request, way.work.precision
    if {"bf16", "fp16"} & set(request.config):
        return f"{precision}, as config asks."
    if precision == "fp32":
        return "fp32, because the CPU is not known to compute faster in half precision (it would with AMX)."
    if precision == "auto":
        return "The trainer looks at the GPU when it starts (bf16 where it has it, else fp16): its type isn't known."
    if not request.gpus:
        return "bf16, which the CPU has a matrix unit for (AMX): it is quicker than fp32 and takes less memory."
    product = request.gpu.product if request.gpu else "the GPU"
    if precision == "bf16":
        return f"bf16, which {product} computes in hardware and which needs no scaling of the loss."
    return f"fp16, because {product} has no bf16 (it is older than Ampere)."


def _batch(way: Way) -> str:
    request, work = way.request, way.work
    together = f"{work.batch * work.accumulation * work.processes} examples an optimizer step"
    if work.batch == request.wanted_batch:
        return f"{work.batch} examples at once on each device, as asked: {together}."
    more = _relaxed(way, batch=request.wanted_batch, accumulation=request.accumulation)
    return (
        f"{work.batch} at once, {work.accumulation} times accumulated, because {request.wanted_batch} at once would "
        f"need {more} MiB; it stays at {together}."
    )


def _length(request: PlanRequest) -> str:
    limit = f"max_length, {request.max_length} tokens"
    if request.packs:
        return f"Several examples are packed into each of {limit}."
    if not request.longest:
        return f"How long the examples are isn't known; memory is reckoned with {limit}."
    if request.length < request.max_length:
        return f"The longest example has {request.length} tokens at most, by its bytes, and memory is reckoned with it."
    return f"Memory is reckoned with {limit}; the longest example may have as many."


def _checkpointing(way: Way) -> str:
    if way.request.checkpointing is not None:
        return f"{'On' if way.work.checkpointing else 'Off'}, as config asks."
    if not way.work.checkpointing:
        return "Off: the activations of all layers fit, so none are computed twice."
    more = _relaxed(way, checkpointing=False)
    return f"On: with the activations of all layers kept, {more} MiB would be needed. It costs about a third in time."


def _sharding(way: Way) -> str:
    request, work = way.request, way.work
    if "deepspeed" in request.config:
        return "As the DeepSpeed configuration in config says."
    if not work.zero_stage:
        if work.finetune_type == "qlora" and request.gpus > 1:
            return "None, plain data parallel (DDP): the 4-bit weights stay whole on each GPU."
        if request.gpus > 1:
            return "None, plain data parallel (DDP) without DeepSpeed: everything fits on each GPU."
        return "None: one process has nothing to share out, so DeepSpeed isn't used."
    if request.gpus == 1:
        return f"ZeRO-{work.zero_stage} of DeepSpeed, which the offloading needs."
    what = {1: "optimizer states", 2: "optimizer states and gradients", 3: "optimizer states, gradients and weights"}
    lower = 0 if work.finetune_type == "lora" else work.zero_stage - 1
    name = f"ZeRO-{lower}" if lower else "plain data parallel training"
    more = _relaxed(way, zero_stage=lower, offload="optimizer" if lower and work.offload != "none" else "none")
    return (
        f"ZeRO-{work.zero_stage}: {what[work.zero_stage]} are shared out among {request.gpus} GPUs, because {name} "
        f"would need {more} MiB on each."
    )


def _offload(way: Way) -> str:
    work, request = way.work, way.request
    if work.offload == "none":
        return "None: nothing has to move to the host's memory." if request.gpus else "None: all is on the host."
    if request.gpus == 1:
        more = _relaxed(way, offload="none", zero_stage=0)
    else:
        both = work.offload == "optimizer+parameters" and work.finetune_type == "full"
        more = _relaxed(way, offload="optimizer" if both else "none")
    what = "optimizer states and weights lie" if work.offload == "optimizer+parameters" else "optimizer states lie"
    host = "" if request.host_memory_mib else ", if it has that (its memory isn't known)"
    return (
        f"The {what} in the host's memory, {way.estimate.host} MiB on a node{host}, because otherwise the GPU would "
        f"need {more} MiB; it is slow."
    )


def _memory(way: Way) -> str:
    need, known = way.estimate.total, way.request.memory_mib
    place = "each GPU" if way.request.gpus > 1 else "the GPU" if way.request.gpus else "the machine"
    about = "about " if way.request.shape.approximate else ""
    if not known:
        if not way.request.gpus:
            return f"It needs {about}{need} MiB of memory; how much the machine has isn't known."
        return (
            f"It needs {about}{need} MiB on {place}, whose memory isn't known; {ASSUMED_MEMORY_MIB} MiB were "
            "reckoned with."
        )
    if way.fits:
        return f"It needs {about}{need} of the {known} MiB of {place}."
    if not way.fits_host:
        return (
            f"It does not fit: it needs {about}{way.estimate.host} MiB of a node's memory, which has "
            f"{way.request.host_memory_mib} MiB."
        )
    return f"It does not fit: it needs {about}{need} MiB, and {place} has {known} MiB."


def _relaxed(way: Way, **changes: object) -> int:
    """MiB on each device with one choice as it would be without need, and the others as they are."""
    work = dataclasses.replace(way.work, **changes)  # type: ignore[arg-type]
    return estimate(way.request.shape, work).total


def _billions(parameters: int) -> str:
    return f"{parameters / 1e9:.1f} billion" if parameters >= 10**9 else f"{parameters / 1e6:.0f} million"


# ---- advice


def advice_for(request: PlanRequest, way: Way) -> tuple[str, ...]:
    """What would fit, each tried out before it is said; the nearest to what was asked first."""
    if refusal_of(request):
        return ("use finetuneType lora, or give it a GPU (gpuCount: 1)",)
    found = [
        *_other_settings(request),
        *_more_gpus(request),
        *_shorter(request),
        *_other_types(request),
    ]
    if not found and request.gpus:
        found = [f"use GPUs with more memory: {way.estimate.total} MiB are needed on each"]
    return tuple(found) or (f"use a machine with more memory: {way.estimate.total} MiB are needed",)


def _fits(request: PlanRequest) -> bool:
    return choose(request).fits


def _other_settings(request: PlanRequest) -> list[str]:
    """Without what config fixes, where that is in the way."""
    for names in (
        ("gradient_checkpointing", "activation_checkpointing"),
        ("per_device_train_batch_size", "gradient_accumulation_steps"),
    ):
        fixed = [name for name in names if name in request.config]
        config = {name: value for name, value in request.config.items() if name not in fixed}
        if fixed and _fits(dataclasses.replace(request, config=config)):
            return [f"leave {' and '.join(fixed)} out of config: the plan then chooses what fits"]
    return []


def _more_gpus(request: PlanRequest) -> list[str]:
    if not request.gpus:
        return []
    count = 2 * request.gpus
    while count <= MOST_GPUS:
        if _fits(dataclasses.replace(request, gpus=count)):
            return [f"use {count} GPUs (gpuCount: {count})"]
        count *= 2
    return []


def _shorter(request: PlanRequest) -> list[str]:
    length = request.length // 2
    while length >= SHORTEST:
        if _fits(with_config(request, max_length=str(length))):
            return [f"shorten the examples (config: max_length: {length})"]
        length //= 2
    return []


def _other_types(request: PlanRequest) -> list[str]:
    """A type of fine-tuning that needs less."""
    config = {name: value for name, value in request.config.items() if name not in ("deepspeed",)}
    if request.finetune_type == "full" and _fits(dataclasses.replace(request, finetune_type="lora", config=config)):
        return ["train an adapter instead of all weights (finetuneType: lora)"]
    quantized = dataclasses.replace(request, finetune_type="qlora", config=config)
    if request.finetune_type != "qlora" and request.gpus and _fits(quantized):
        return ["hold the base model in 4 bits (finetuneType: qlora)"]
    return []
