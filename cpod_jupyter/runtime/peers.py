"""The processes that share a fine-tune: what they agree on, and how one of them comes by whole weights."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LONGEST_WAIT = datetime.timedelta(hours=24)
"""For the first process, which merges and saves alone: a large model takes hours on a slow disk."""


def join_deepspeed() -> None:
    """Let DeepSpeed use the process group that is there.

    The trainer does so itself on GPUs only, and ZeRO-3 has to know of the others before the weights are read.
    """
    import deepspeed

    deepspeed.init_distributed()


class Peers:
    """All processes of the run, or this one alone. To be made by each of them, once torch.distributed is up.

    They talk over gloo, on the CPU: NCCL ends a process that waits for ten minutes.
    """

    def __init__(self) -> None:
        import torch.distributed as dist

        several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        self._group = dist.new_group(backend="gloo", timeout=LONGEST_WAIT) if several else None

    def any(self, *flags: bool) -> list[bool]:
        """Of each flag whether it is set in one of them; each has to ask."""
        if self._group is None:
            return list(flags)
        import torch
        import torch.distributed as dist

        found = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(found, op=dist.ReduceOp.MAX, group=self._group)
        return [bool(flag) for flag in found.tolist()]

    def wait(self) -> None:
        """Until each of them has come here."""
        if self._group is not None:
            import torch.distributed as dist

            dist.barrier(group=self._group)


def whole_weights(
    model: torch.nn.Module, keep: bool, wanted: Callable[[torch.nn.Parameter], bool]
) -> dict[str, torch.Tensor] | None:
    """The parameters of a model of which ZeRO-3 has a share in each process, gathered one after the other.

    Each process has to call it; the one that is to `keep` them gets them, on the CPU. None where nothing is shared.
    """
    if not any(hasattr(parameter, "ds_id") for parameter in model.parameters()):
        return None
    from deepspeed import zero

    kept: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        if not wanted(parameter):
            continue
        with zero.GatheredParameters([parameter]):
            if keep:
                kept[name] = parameter.detach().cpu().clone()
    return kept
