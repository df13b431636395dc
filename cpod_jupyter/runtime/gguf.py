"""GGUF: a file of it as a model in the format of transformers, which trains and serves on any machine, and back."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.libraries import SELDOM_USED, prepare_libraries
from cpod_jupyter.runtime.report import log, progress


def convert_gguf(file: Path, directory: Path) -> None:
    """Write the model of `file` into `directory`: safetensors, tokenizer, chat template, generation config.

    The quantized weights are expanded to float32 and stored as bfloat16: half the size, and finer than any
    GGUF quantization of 4 or 5 bits that a model is shipped in.

    Raises:
        WorkFailed: transformers can't read this file, or its architecture isn't a language model's.
    """
    prepare_libraries(offline=True, unused=SELDOM_USED)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    log(f"converting {file.name} ({file.stat().st_size / 1e6:.0f} MB)")
    progress("convert", 0, 3, "steps")
    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    try:
        with _read_once():
            tokenizer = AutoTokenizer.from_pretrained(**source)
            quantized = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    except (ValueError, KeyError, OSError, NotImplementedError) as error:
        raise WorkFailed(f"{file.name} can't be read as a model: {error}") from error
    progress("convert", 1, 3, "steps")
    # A model read from GGUF keeps a quantization config and refuses to be saved; its weights are plain by now.
    config = type(quantized.config).from_dict(
        {key: value for key, value in quantized.config.to_dict().items() if key != "quantization_config"}
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(quantized.state_dict())
    model.tie_weights()
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
    )
    progress("convert", 2, 3, "steps")
    model.to(torch.bfloat16).save_pretrained(directory)
    tokenizer.model_max_length = config.max_position_embeddings
    tokenizer.save_pretrained(directory)
    progress("convert", 3, 3, "steps")


@contextmanager
def _read_once() -> Iterator[None]:
    """Have transformers read a file once, not anew for the config, the tokenizer and the weights, and make the names of
    its tensors once, not for each module: more than half of what a small model takes."""
    import gguf

    own = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
    for name, made in own.items():
        setattr(gguf, name, functools.cache(made))
    try:
        yield
    finally:
        for name, made in own.items():
            setattr(gguf, name, made)


CONVERTER = "convert_hf_to_gguf.py"
"""Of llama.cpp, which knows each architecture's tensors; on PATH, or in the directory LLAMA_CPP_DIR."""


def converter() -> Path:
    """Where llama.cpp's converter is. Raises WorkFailed where it is not."""
    folder = os.environ.get("LLAMA_CPP_DIR")
    found = shutil.which(CONVERTER, mode=os.F_OK) or shutil.which(CONVERTER, mode=os.F_OK, path=folder or os.devnull)
    if found is None:
        raise WorkFailed(
            f"export_gguf needs llama.cpp's {CONVERTER}, which is neither on PATH nor in LLAMA_CPP_DIR: "
            "have it there (it is part of llama.cpp's source), or leave export_gguf out"
        )
    return Path(found)


def check_export(model: Path) -> None:
    """Raise WorkFailed, with the converter's last words, where it will not convert what becomes of a model: it does not
    know the architecture or the tokenizer, or something that it loads is not installed."""
    with tempfile.TemporaryDirectory() as folder:
        _convert(model, Path(folder) / "tokenizer.gguf", "--vocab-only")


def export_gguf(model: Path, outtype: str) -> Path:
    """Write the model of a directory as a GGUF file beside it. Raises WorkFailed with the converter's last words."""
    target = model / f"model-{outtype}.gguf"
    progress("export", 0, 1, "files")
    _convert(model, target, "--outtype", outtype)
    log(f"exported {target.name} ({target.stat().st_size / 1e6:.0f} MB)")
    progress("export", 1, 1, "files")
    return target


def _convert(model: Path, target: Path, *options: str) -> None:
    # The converter reads files of the model's own tokenizer only; code that comes with a model is not run.
    command = [sys.executable, str(converter()), str(model), "--outfile", str(target), *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0 or not target.exists():
        words = (ended.stderr or ended.stdout).strip().splitlines()
        said = words[-1] if words else f"exit code {ended.returncode}"
        raise WorkFailed(f"export_gguf can't be done with this model, {CONVERTER} failed: {said}")
