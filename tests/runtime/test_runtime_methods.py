"""What a fine-tune may be beside the plain one: preferences, texts, packed rows, evaluations, early stopping."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from runtime_commands import Ended, Run, write_rows
from test_runtime_train import QUICK, command

PREFERENCES = [
    {"prompt": "What colour is the boat?", "chosen": "The boat is green.", "rejected": "What boat is that?"},
    {"prompt": "How many oars does it have?", "chosen": "It has two oars.", "rejected": "It has the boat."},
    {"prompt": "Who rows the boat?", "chosen": "My sister rows the boat.", "rejected": "How many oars?"},
]


def rows_in(folder: Path, **files: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    for name, rows in files.items():
        write_rows(folder / f"{name}.jsonl", rows)
    return folder


def losses(ended: Ended, name: str = "loss") -> list[float]:
    ended.result()
    return [record[name] for record in ended.records("metrics") if name in record]


@pytest.mark.parametrize("finetune_type", ["lora", "full"])
def test_preferences_are_learnt_by_dpo(run: Run, tiny_model: Path, tmp_path: Path, finetune_type: str) -> None:
    data = rows_in(tmp_path / "pairs", train=PREFERENCES, validation=PREFERENCES[:1])
    arguments = {"learning_rate": "0.005", "num_train_epochs": "8", "beta": "0.5"}
    ended = run(*command(tmp_path, tiny_model, data, finetuneType=finetune_type, arguments=arguments))
    margins = losses(ended, "rewards_margins")
    assert ended.result()["steps"] == len(margins) == 8
    assert margins[0] == pytest.approx(0, abs=1e-3), "at first it is its own reference"
    assert margins[-1] > 0.1
    assert losses(ended)[-1] < losses(ended)[0]
    assert losses(ended, "eval_rewards_margins")[-1] > 0.1
    assert "3 preferences, 1 more to evaluate with" in ended.out
    assert "by direct preference optimization" in (tmp_path / "out" / "README.md").read_text()


def test_texts_are_learnt_whole(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    data = rows_in(tmp_path / "texts", train=[{"text": "My sister rows the boat every morning before school."}] * 8)
    ended = run(*command(tmp_path, tiny_model, data))
    assert losses(ended)[-1] < losses(ended)[0] * 0.9
    (counted,) = ended.records("data")
    assert counted["learnt_tokens"] == counted["tokens"] - 8, "nothing comes before a first token"
    assert counted["duplicates"] == 7


def test_packed_rows_do_not_see_each_other(run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path) -> None:
    """The loss of all eight rows in one pack is that of a batch of eight, to the rounding of floats."""
    arguments = {"max_steps": "1", "per_device_train_batch_size": "8", "learning_rate": "0.001"}
    apart = run(*command(tmp_path, tiny_model, chat_data, arguments=arguments))
    packed = run(*command(tmp_path, tiny_model, chat_data, arguments=arguments | {"packing": "true"}))
    assert losses(packed) == pytest.approx(losses(apart), rel=1e-4)


def test_rows_are_kept_to_evaluate_with_and_the_best_weights_are_the_result(
    run: Run, tiny_model: Path, tmp_path: Path
) -> None:
    rows = [{"prompt": f"How many oars does boat {n} have?", "completion": f"It has {n} oars."} for n in range(12)]
    data = rows_in(tmp_path / "rows", train=rows)
    arguments = QUICK | {
        "num_train_epochs": "30",
        "learning_rate": "0.03",
        "val_size": "0.25",
        "early_stopping_patience": "2",
    }
    ended = run(*command(tmp_path, tiny_model, data, arguments=arguments))
    evaluated = losses(ended, "eval_loss")
    assert 3 <= len(evaluated) < 30
    assert min(evaluated) == evaluated[-3], "two more, neither of which was better"
    assert "stopped early after step" in ended.out
    assert "9 conversations, 3 more to evaluate with" in ended.out
    state = json.loads((tmp_path / "out" / "trainer_state.json").read_text())
    assert state["best_metric"] == pytest.approx(min(evaluated))
    assert f"evaluated {min(evaluated):.4f}" in (tmp_path / "out" / "README.md").read_text()


def test_every_figure_is_kept_with_the_result_and_for_tensorboard(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    ended = run(*command(tmp_path, tiny_model, chat_data))
    state = json.loads((tmp_path / "out" / "trainer_state.json").read_text())
    assert [entry["loss"] for entry in state["log_history"] if "loss" in entry] == losses(ended)
    events = EventAccumulator(str(tmp_path / "out" / "runs"))
    events.Reload()
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx(losses(ended))


@pytest.mark.parametrize("name", ["use_dora", "use_rslora"])
def test_variants_of_lora_are_trained(run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path, name: str) -> None:
    arguments = QUICK | {name: "true"}
    ended = run(*command(tmp_path, tiny_model, chat_data, autoMerge=False, arguments=arguments))
    assert losses(ended)[-1] < losses(ended)[0]
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())[name] is True


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"eval_strategy": "epoch"}, "eval_strategy needs rows to evaluate with: set val_size"),
        ({"early_stopping_patience": "2"}, "early_stopping_patience needs rows to evaluate with: set val_size"),
        ({"val_size": "100"}, "val_size 100 leaves none of 5 different rows to learn from"),
        ({"val_size": "1.5"}, "val_size is 1.5, it must be a share below 1, or a number of rows"),
        ({"beta": "0.2"}, "beta is no argument for data like these (conversations and texts)"),
        ({"dataset_format": "alpaca"}, "train.jsonl row 1: `instruction` is missing or not a text"),
    ],
)
def test_what_does_not_go_together_is_refused_with_what_to_do(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path, arguments: dict[str, str], reason: str
) -> None:
    ended = run(*command(tmp_path, tiny_model, chat_data, arguments=arguments))
    assert ended.code == 1
    assert reason in ended.message
    assert "Traceback" not in ended.err


def test_a_row_that_is_in_both_sorts_is_told(run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path) -> None:
    rows = (chat_data / "train.jsonl").read_text().splitlines()
    (chat_data / "dev.jsonl").write_text(rows[0])
    ended = run(*command(tmp_path, tiny_model, chat_data, arguments=QUICK | {"max_steps": "1"}))
    assert "1 of those to evaluate with are among those to learn from" in ended.out
    assert ended.records("data")[0]["leaked"] == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"arguments": {"export_gguf": "f16"}}, "export_gguf needs llama.cpp's convert_hf_to_gguf.py"),
        ({"arguments": {"export_gguf": "q4_k"}}, "it must be one of f32, f16, bf16, q8_0"),
        ({"arguments": {"export_gguf": "f16"}, "autoMerge": False}, "export_gguf is for a whole model"),
    ],
)
def test_an_export_that_cannot_be_is_refused_before_anything_is_trained(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    ended = run(*command(tmp_path, tiny_model, chat_data, **change), LLAMA_CPP_DIR="")
    assert (ended.code, ended.records("progress")) == (1, [])
    assert reason in ended.message


def test_a_model_that_the_converter_does_not_know_is_refused_before_anything_is_trained(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    """The converter of llama.cpp is tried on the base; here one that knows no tokenizer stands for it."""
    words = "BPE pre-tokenizer was not recognized"
    (tmp_path / "convert_hf_to_gguf.py").write_text(f"raise NotImplementedError({words!r})")
    change = {"arguments": QUICK | {"export_gguf": "f16"}}
    ended = run(*command(tmp_path, tiny_model, chat_data, **change), LLAMA_CPP_DIR=str(tmp_path))
    assert (ended.code, ended.records("metrics")) == (1, [])
    told = "export_gguf can't be done with this model, convert_hf_to_gguf.py failed: NotImplementedError: "
    assert f"{told}{words}" in ended.message


def test_a_tracker_whose_variable_is_set_and_whose_library_is_missing_is_told(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    if importlib.util.find_spec("wandb"):
        pytest.skip("wandb is installed")
    ended = run(*command(tmp_path, tiny_model, chat_data), WANDB_API_KEY="x")
    assert ended.code == 1
    assert "WANDB_API_KEY is set, and the package wandb is missing: install it, or unset that" in ended.message


def test_a_data_set_may_be_named_by_its_source(run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path) -> None:
    line = command(tmp_path, tiny_model, chat_data, arguments=QUICK | {"max_steps": "1"})
    line[line.index("--dataset") + 1] = f"file://{chat_data}/train.jsonl"
    ended = run(*line)
    assert ended.result()["steps"] == 1
    assert "8 conversations" in ended.out
    refused = run(*line, WORLD_SIZE="2")
    assert "several processes would each fetch file://" in refused.message


def test_what_a_fine_tune_does_not_use_is_not_loaded(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    """A second or two of the time to its first step."""
    (tmp_path / "poison").mkdir()
    for name in ("deepspeed", "scipy"):
        (tmp_path / "poison" / f"{name}.py").write_text(f"raise RuntimeError('{name} was imported')")
    path = f"{tmp_path / 'poison'}:{Path(__file__).parents[2]}"
    ended = run(*command(tmp_path, tiny_model, chat_data, arguments=QUICK | {"max_steps": "1"}), PYTHONPATH=path)
    assert ended.result()["steps"] == 1
