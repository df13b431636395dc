"""Fine-tunes of the tiny model, from the command line to a model that loads."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from runtime_commands import Run, Start, conversation

QUICK = {"num_train_epochs": "6", "per_device_train_batch_size": "4", "learning_rate": "0.01"}


def command(tmp_path: Path, model: Path, data: Path, **config: Any) -> list[object]:
    """The arguments of a fine-tune into tmp_path/out."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"arguments": QUICK, **config}))
    places = ("--model", model, "--dataset", data, "--output", tmp_path / "out", "--checkpoints", tmp_path / "ck")
    return ["train", "--config", file, *places]


def test_a_random_model_of_an_architecture_trains_on_the_first_rows(run: Run, chat_data: Path, tmp_path: Path) -> None:
    """What a smoke run does where the real model cannot be had."""
    fetched = run("download", "--kind", "model", "--source", "random://qwen3", "--destination", tmp_path / "model")
    assert fetched.result()["model"]["modelType"] == "qwen3"
    ended = run(*command(tmp_path, tmp_path / "model", chat_data, rows=3, arguments={"max_steps": "2"}))
    assert [record["step"] for record in ended.records("metrics")] == [1, 2]
    assert "3 conversations" in ended.out + ended.err
    assert ended.result()["steps"] == 2


def test_lora_merged_is_a_model_that_has_learnt(run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path) -> None:
    """Fault 4 (B2): what is merged is the adapter that was trained, wherever checkpoints are."""
    ended = run(*command(tmp_path, tiny_model, chat_data, finetuneType="lora", autoMerge=True))
    result, metrics = ended.result(), ended.records("metrics")

    assert (result["steps"], result["adapter"]) == (12, False)
    assert result["size"] == sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert [record["step"] for record in metrics] == list(range(1, 13))
    assert result["loss"] < metrics[0]["loss"] * 0.9
    assert metrics[-1] | {"total_steps": 12, "total_epochs": 6, "epoch": 6.0, "eta_seconds": 0.0} == metrics[-1]
    assert metrics[-1]["tokens"] > metrics[0]["tokens"] > 0
    assert metrics[-1]["memory_bytes"] > 100e6
    assert all(record[name] > 0 for record in metrics for name in ("grad_norm", "tokens_per_second"))
    phases = [record["phase"] for record in ended.records("progress")]
    assert list(dict.fromkeys(phases)) == ["validate", "encode", "load", "train", "merge", "save"]

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base, tuned = (AutoModelForCausalLM.from_pretrained(path) for path in (tiny_model, tmp_path / "out"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer.apply_chat_template(
        conversation(("What colour is the boat?", "The boat is green.")), return_tensors="pt", return_dict=True
    )["input_ids"]  # (1, T)
    with torch.no_grad():
        before, after = (model(ids, labels=ids).loss.item() for model in (base, tuned))
    assert after < before
    assert tuned.dtype == torch.bfloat16, "the model's own dtype"
    assert not list((tmp_path / "out").glob("adapter*"))
    assert not list((tmp_path / "ck").iterdir()), "checkpoints are for a run that has not ended"
    card = (tmp_path / "out" / "README.md").read_text()
    assert all(
        text in card
        for text in (
            "8 conversations; 3 are the same as an earlier one, ",
            "| lora_target | all-linear |",
            "| seed | 42 |",
        )
    )
    assert result["model"]["parameters"] == sum(parameter.numel() for parameter in tuned.parameters())
    assert (result["model"]["hiddenSize"], result["model"]["layers"], result["model"]["dtypeBytes"]) == (64, 2, 2)


def test_without_auto_merge_the_output_is_the_adapter_alone(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    arguments = QUICK | {"lora_rank": "4", "lora_alpha": 8, "lora_target": "q_proj,v_proj", "max_steps": "1"}
    result = run(*command(tmp_path, tiny_model, chat_data, autoMerge=False, arguments=arguments)).result()
    adapter = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert result["adapter"] is True
    assert result["steps"] == 1
    assert result["model"]["layers"] == 2, "the shape of the base, which the adapter is for"
    assert (adapter["r"], adapter["lora_alpha"]) == (4, 8)
    assert set(adapter["target_modules"]) == {"q_proj", "v_proj"}
    assert (tmp_path / "out" / "adapter_model.safetensors").exists()
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_a_full_fine_tune_writes_all_weights_in_the_model_s_dtype(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    ended = run(*command(tmp_path, tiny_model, chat_data, finetuneType="full"))
    metrics = ended.records("metrics")
    assert ended.result()["loss"] < metrics[0]["loss"]
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    weights = (tmp_path / "out" / "model.safetensors").stat().st_size
    assert weights == pytest.approx((tiny_model / "model.safetensors").stat().st_size, rel=0.05)


def test_sigterm_saves_a_checkpoint_that_the_next_start_of_the_same_run_goes_on_from(
    start: Start, run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    arguments = QUICK | {"num_train_epochs": "40", "save_strategy": "no"}
    line = command(tmp_path, tiny_model, chat_data, arguments=arguments)
    started = start(*line)
    assert started.process.stdout is not None
    for text in started.process.stdout:
        if '"step":5,' in text:
            break
    started.process.send_signal(signal.SIGTERM)
    ended = started.wait()
    assert ended.code == 143
    assert ended.message.startswith("stopped by SIGTERM after step ")
    assert not (tmp_path / "out" / "config.json").exists()
    (directory,) = (tmp_path / "ck").glob("run-*")
    (directory / "checkpoint-70").mkdir()  # what a kill leaves, no state file in it

    again = run(*line)
    assert again.result()["steps"] == 80
    assert again.records("metrics")[0]["step"] == int(ended.message.split()[5]) + 1


def test_a_checkpoint_of_other_data_is_not_gone_on_from(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "ck" / "run-0123456789ab" / "checkpoint-3"
    kept.mkdir(parents=True)
    (kept / "trainer_state.json").write_text("{}")
    ended = run(*command(tmp_path, tiny_model, chat_data, arguments=QUICK | {"max_steps": "2"}))
    assert ended.result()["steps"] == 2
    assert ended.records("metrics")[0]["step"] == 1
    assert kept.exists(), "it may be another run's"


def test_every_bad_row_is_reported_with_its_reason_before_torch_is_loaded(
    run: Run, tiny_model: Path, tmp_path: Path
) -> None:
    good = json.dumps({"messages": conversation(("Why?", "Because."))})
    user, assistant = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}
    rows = {
        "{not json": "invalid JSON: ",
        "[1]": "the row is not a JSON object",
        "{}": "its fields (none) are of no known format",
        json.dumps({"messages": {}}): "`messages` is not a list",
        json.dumps({"messages": []}): "`messages` is empty",
        json.dumps({"messages": ["hi"]}): "message 1 is not an object",
        json.dumps({"messages": [user, assistant | {"role": "bot"}]}): 'message 2 has an unknown role "bot"',
        json.dumps({"messages": [user, {"role": "assistant"}]}): "message 2 has no `content` that is a text",
        json.dumps({"messages": [user, assistant | {"content": "  "}]}): "message 2 (assistant) has an empty `content`",
        json.dumps({"messages": [user, {"role": "system", "content": "Be kind."}]}): "message 2 has the role system",
        json.dumps({"messages": [user]}): "there is no assistant turn",
        json.dumps({"messages": [user, assistant, user]}): "the last turn is the user's",
        json.dumps({"prompt": "Why?"}): "`completion` is missing",
        json.dumps({"prompt": "", "completion": "x"}): "`prompt` is empty",
    }
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.jsonl").write_text("\n".join([good, "", *rows]) + "\n")
    (data / "b.jsonl").write_bytes(b'{"messages": "\xff"}\n')
    # A torch that can't be imported shows that it isn't.
    (tmp_path / "poison").mkdir()
    (tmp_path / "poison" / "torch.py").write_text("raise RuntimeError('torch was imported')")
    ended = run(*command(tmp_path, tiny_model, data), PYTHONPATH=f"{tmp_path / 'poison'}:{Path(__file__).parents[2]}")

    assert ended.code == 1
    lines = ended.message.splitlines()
    assert lines[0].startswith(f"15 of 16 rows of the data set {data} are wrong")
    for number, (line, reason) in enumerate(zip(lines[1:], rows.values(), strict=False), start=3):
        assert line.startswith(f"  a.jsonl row {number}: {reason}")
    assert lines[-1] == "  b.jsonl row 1: the line is not UTF-8"
    assert ended.err.strip() == f"error: {ended.message}"


def test_a_message_longer_than_kubernetes_keeps_is_cut_and_the_log_has_it_all(
    run: Run, tiny_model: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "ä.jsonl").write_text("{}\n" * 500)
    ended = run(*command(tmp_path, tiny_model, data))
    assert 4000 < len(ended.message.encode()) <= 4096
    assert ended.message.endswith("[cut: the log has the rest]")
    assert "row 500" in ended.err


def test_arguments_that_cannot_be_are_refused_together_with_the_nearest_name(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    arguments = {
        "learning_rte": "1",
        "num_train_epochs": "three",
        "lr_scheduler_type": "banana",
        "output_dir": "/x",
        "lora_rnk": 2,
    }
    ended = run(*command(tmp_path, tiny_model, chat_data, arguments=arguments))
    assert ended.code == 1
    assert 'learning_rte is not an argument of the trainer; did you mean "learning_rate"?' in ended.message
    assert 'lora_rnk is not an argument of the trainer; did you mean "lora_rank"?' in ended.message
    assert 'num_train_epochs is "three", it must be a number' in ended.message
    assert 'lr_scheduler_type is "banana", it must be one of linear, cosine' in ended.message
    assert "output_dir can't be set: the output goes where --output says" in ended.message
    assert '"phase":"load"' not in ended.out


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"finetuneType": "slora"}, 'finetuneType is "slora", it must be lora, qlora or full'),
        ({"finetuneType": "qlora"}, "finetuneType qlora needs a GPU and there is none: use finetuneType lora on a CPU"),
        ({"arguments": {"deepspeed": "/nowhere.json"}}, "the configuration of DeepSpeed /nowhere.json can't be read"),
        ({"finetunetype": "lora"}, 'unknown key `finetunetype`; did you mean "finetuneType"?'),
        ({"autoMerge": "yes"}, "autoMerge must"),
        ({"finetuneType": "full", "arguments": {"lora_rank": "4"}}, "lora_rank is for finetuneType lora"),
        ({"arguments": {"max_length": "4"}}, "no answer begins within max_length 4 tokens"),
    ],
    ids=["type", "qlora", "deepspeed", "key", "merge", "lora-of-full", "length"],
)
def test_a_wrong_configuration_is_one_clear_sentence(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    ended = run(*command(tmp_path, tiny_model, chat_data, **change))
    assert ended.code == 1
    assert reason.replace("autoMerge must", 'autoMerge is "yes", it must be true or false') in ended.message
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("missing", ["model", "data", "rows"])
def test_what_is_not_there_is_one_clear_sentence(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path, missing: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    model = empty if missing == "model" else tiny_model
    data = {"model": chat_data, "data": tmp_path / "nowhere", "rows": empty}[missing]
    ended = run(*command(tmp_path, model, data))
    reason = {"model": "has no config.json", "data": "is not a directory", "rows": "has no file that ends in .jsonl"}[
        missing
    ]
    assert ended.code == 1
    assert reason in ended.message
    assert "Traceback" not in ended.err


def test_a_training_that_diverges_is_ended_with_advice(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    ended = run(*command(tmp_path, tiny_model, chat_data, arguments=QUICK | {"learning_rate": "1e30"}))
    assert ended.code == 1
    assert ended.message.startswith("the training diverged: the loss of step ")
    assert "Traceback" not in ended.err


def test_a_model_with_broken_weights_is_one_clear_sentence(
    run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    (broken / "model.safetensors").write_bytes(b"half a file")
    ended = run(*command(tmp_path, broken, chat_data))
    assert ended.code == 1
    assert ended.message.startswith(f"can't load the model {broken}: ")
    assert "Traceback" not in ended.err
