"""The DeepSpeed configuration of a plan. What `auto` stands in, the Hugging Face integration fills in."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api.planning.memory import BUCKET, Offload


def deepspeed_config(stage: int, offload: Offload) -> dict[str, Any]:
    """A configuration for ZeRO `stage` (DeepSpeed, "Configuration JSON"; transformers, "DeepSpeed").

    The batch sizes, the precision and the clipping stay `auto`, so that they can't contradict the trainer's.
    """
    zero: dict[str, Any] = {
        "stage": stage,
        "overlap_comm": True,
        "contiguous_gradients": True,
        "reduce_bucket_size": "auto",
    }
    if stage < 3:
        zero |= {"allgather_partitions": True, "allgather_bucket_size": BUCKET, "reduce_scatter": True}
    else:
        zero |= {
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            # A saved model must be whole, not one process's share of it.
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    if offload != "none":
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    if offload == "optimizer+parameters":
        zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    return {
        "bf16": {"enabled": "auto"},
        "fp16": {"enabled": "auto"},
        "zero_optimization": zero,
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
    }
