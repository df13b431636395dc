"""Manners for the libraries we run: silent, off the network unless we say so, their faults in plain words."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cpod_jupyter.api.planning.cpus import bf16_by_cpuinfo
from cpod_jupyter.errors import WorkFailed

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""


SELDOM_USED = ("deepspeed", "scipy")
"""Packages that Accelerate and transformers import where they are installed, for a second or so: DeepSpeed, which only
its own trainings need, and SciPy, which the losses of object detectors and 4-bit weights need."""


def prepare_libraries(*, offline: bool, unused: Iterable[str] = ()) -> None:
    """Silence progress bars, notices and warnings, and let threads wait with little work; call before torch is there.

    `offline` keeps them from asking the hub about a model that lies on disk (PEFT does when it saves). `unused` names
    packages that others import where they are installed, for what will not be done: they are as if they were not.
    """
    for name in unused:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    os.environ |= {
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TQDM_DISABLE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    # Threads that wait for each other spin for a tenth of the usual time, then sleep and leave the cores to other pods
    # of the machine (libgomp, GOMP_SPINCOUNT). With the cores to itself a LoRA step of SmolLM2-135M took 4.5 s so, as
    # with the usual 300,000, and 5.0 s where they slept at once. Read when torch loads.
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.simplefilter("ignore")

    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def keep_freed_memory() -> None:
    """Have malloc keep what is freed, in large pages, for a training asks for the same amounts again at each step.

    As it is, glibc gives blocks of more than 32 MiB back to the system and gets them anew, and the system clears each
    page of 4 KiB again: a fifth to a third of a step's time (SmolLM2-135M, LoRA, two cores). Call it before torch
    is there. What the environment says of malloc stays; without glibc nothing changes.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch asks for large pages where the system grants them
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def cpu_is_quick_in_bf16() -> bool:
    """Whether this machine's CPU is quicker in bf16 than in float32."""
    try:
        return bf16_by_cpuinfo(Path("/proc/cpuinfo").read_text())
    except OSError:  # not Linux
        return False


def require_model(directory: Path, called: str = "") -> None:
    """Raise WorkFailed unless `directory` holds a model in the format of transformers.

    `called` is the model's name in the message, where the directory's own would tell a person nothing.
    """
    name = called or str(directory)
    if not directory.is_dir():
        raise WorkFailed(f"the model {name} is not a directory")
    if not (directory / "config.json").is_file():
        raise WorkFailed(f"{name} has no config.json: it is not a model in the format of transformers")
    if not list(directory.glob("*.safetensors")):
        raise WorkFailed(f"{name} has no *.safetensors: the model's weights are missing")


def require_quantization() -> None:
    """Raise WorkFailed unless QLoRA can run here: bitsandbytes and a CUDA GPU for its 4-bit kernels."""
    import torch

    if not torch.cuda.is_available():
        raise WorkFailed("finetuneType qlora needs a GPU and there is none: use finetuneType lora on a CPU")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise WorkFailed(
            "finetuneType qlora needs the package bitsandbytes, which is missing: install cpod-jupyter[gpu], "
            "or use finetuneType lora"
        )


def require_deepspeed() -> None:
    """Raise WorkFailed unless DeepSpeed is installed."""
    if importlib.util.find_spec("deepspeed") is None:
        raise WorkFailed(
            "the argument deepspeed needs the package deepspeed, which is missing: install cpod-jupyter[gpu], "
            "or leave the argument out"
        )


@contextmanager
def plain_memory_errors(advice: str) -> Iterator[None]:
    """Turn a GPU's lack of memory into a sentence that ends with `advice`."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise WorkFailed(f"the GPU has not enough free memory: {advice}") from error


@contextmanager
def plain_load_errors(what: str) -> Iterator[None]:
    """Turn what goes wrong while `what` is read from disk into a sentence; a lack of memory passes."""
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise WorkFailed(f"can't load {what}: {error}") from error
