"""Manners for the libraries we run: silent, off the network unless we say so, their faults in plain words."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cpod_jupyter.errors import WorkFailed


def prepare_libraries(*, offline: bool) -> None:
    """Silence progress bars, notices and warnings, and let threads wait without work; call before torch is imported.

    `offline` keeps them from asking the hub about a model that lies on disk (PEFT does when it saves).
    """
    os.environ |= {
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TQDM_DISABLE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    # Threads that wait for each other sleep rather than spin, which takes the cores from other pods of the machine:
    # ten LoRA steps of SmolLM2-135M on two busy cores used 25 s of CPU time, not 80 to 105. With the cores to itself
    # the run took 22 s instead of 19. Read when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.simplefilter("ignore")

    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


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
