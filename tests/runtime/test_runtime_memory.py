"""The plan's estimate of memory, beside what a real training holds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from runtime_commands import Run, write_rows
from test_runtime_train import command

from cpod_jupyter.api.planning import ModelShape, Work, estimate
from cpod_jupyter.runtime.shape import read_shape

MIB = 1 << 20


@pytest.fixture(scope="module")
def model_60m(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of 60 million parameters with random weights."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    directory = tmp_path_factory.mktemp("model-60m")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(directory)
    config = LlamaConfig(
        vocab_size=32000,
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=12,
        num_attention_heads=8,
        num_key_value_heads=8,
        tie_word_embeddings=True,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(directory)
    return directory


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("preferences", [False, True], ids=["texts", "preferences"])
@pytest.mark.parametrize("finetune_type", ["lora", "full"])
def test_the_estimate_is_within_15_percent_of_what_a_training_holds(
    run: Run, model_60m: Path, tmp_path: Path, finetune_type: Literal["lora", "full"], preferences: bool
) -> None:
    (tmp_path / "data").mkdir()
    rows = [
        {"prompt": f"boat {n}", "chosen": "oars " * 600, "rejected": "rows " * 600}
        if preferences
        else {"text": f"boat {n} " * 600}
        for n in range(8)
    ]
    write_rows(tmp_path / "data" / "rows.jsonl", rows)
    arguments = {"max_steps": "3", "per_device_train_batch_size": "2", "max_length": "512", "save_strategy": "no"}
    arguments["bf16"] = "false"
    line = command(
        tmp_path, model_60m, tmp_path / "data", finetuneType=finetune_type, autoMerge=False, arguments=arguments
    )
    ended = run(*line)
    measured = ended.records("metrics")[-1]["memory_bytes"] / MIB

    shape = ModelShape.from_status(read_shape(model_60m) or {})
    work = Work(finetune_type, "fp32", batch=2, length=512, preferences=preferences, on_gpu=False)
    assert estimate(shape, work).total == pytest.approx(measured, rel=0.15)
