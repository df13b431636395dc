"""Turn a GGUF file into a model in the format of transformers, which trains and serves on any machine."""

from __future__ import annotations

from pathlib import Path

from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.libraries import prepare_libraries
from cpod_jupyter.runtime.report import log, progress


def convert_gguf(file: Path, directory: Path) -> None:
    """Write the model of `file` into `directory`: safetensors, tokenizer, chat template, generation config.

    The quantized weights are expanded to float32 and stored as bfloat16: half the size, and finer than any
    GGUF quantization of 4 or 5 bits that a model is shipped in.

    Raises:
        WorkFailed: transformers can't read this file, or its architecture isn't a language model's.
    """
    prepare_libraries(offline=True)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    log(f"converting {file.name} ({file.stat().st_size / 1e6:.0f} MB)")
    progress("convert", 0, 3, "steps")
    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    try:
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
