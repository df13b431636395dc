"""Fine-tunes that several processes share, started by torchrun: one writes, all agree, and ZeRO changes no result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from cpod_jupyter.api.planning.deepspeed import deepspeed_config
from cpod_jupyter.api.planning.memory import Offload
from cpod_jupyter.api.records import TERMINATION_LOG_ENV, parse_record
from cpod_jupyter.operator.builders.finetune import NEW_STORE, RESTARTS

QUICK = {"num_train_epochs": "6", "per_device_train_batch_size": "2", "learning_rate": "0.01"}


def torchrun(directory: Path, model: Path, data: Path, **config: Any) -> subprocess.Popen[str]:
    """A fine-tune of two processes, as the pod of two GPUs starts it, into `directory`/out."""
    restarts = f"--max-restarts={RESTARTS}"
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps({"arguments": QUICK, **config}))
    line = [
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", restarts),
        *("-m", "cpod_jupyter.runtime"),
        *("train", "--config", directory / "config.json", "--model", model, "--dataset", data),
        *("--output", directory / "out", "--checkpoints", directory / "ck"),
    ]
    told = {NEW_STORE["name"]: NEW_STORE["value"], TERMINATION_LOG_ENV: str(directory / "message")}
    return subprocess.Popen(
        [sys.executable, *map(str, line)],
        env=os.environ | told,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def records(output: str, kind: str) -> list[dict[str, Any]]:
    found = (parse_record(text) for text in output.splitlines())
    return [record for record in found if record and record["type"] == kind]


def weights(directory: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(directory / "out" / "model.safetensors"))


def test_two_processes_speak_once_stop_at_the_same_step_and_go_on_together(
    tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    """A SIGTERM reaches the processes at different moments; they agree, or the later one would wait for ever."""
    arguments = QUICK | {"num_train_epochs": "40", "save_strategy": "no"}
    started = torchrun(tmp_path / "run", tiny_model, chat_data, arguments=arguments)
    assert started.stdout is not None
    for text in started.stdout:
        if '"step":5,' in text:
            started.send_signal(signal.SIGTERM)
            break
    started.communicate(timeout=120)
    message = (tmp_path / "run" / "message").read_text()
    assert message.startswith("stopped by SIGTERM after step ")
    assert not (tmp_path / "run" / "out" / "config.json").exists()

    again = torchrun(tmp_path / "run", tiny_model, chat_data, arguments=arguments)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    steps = [record["step"] for record in records(output, "metrics")]
    assert steps == list(range(int(message.split()[5]) + 1, 81))
    assert (tmp_path / "run" / "out" / "model.safetensors").exists()
    assert not list((tmp_path / "run" / "ck").iterdir())


def test_when_one_process_is_killed_all_go_on_from_the_last_checkpoint(
    tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    arguments = QUICK | {"num_train_epochs": "12", "save_strategy": "steps", "save_steps": "4"}
    run = torchrun(tmp_path / "run", tiny_model, chat_data, arguments=arguments)
    assert run.stdout is not None
    seen = []
    for text in run.stdout:
        seen.append(text)
        if '"step":10,' in text:
            break
    [second] = [each for each in psutil.Process(run.pid).children() if each.environ().get("RANK") == "1"]
    second.kill()
    rest, _ = run.communicate(timeout=120)
    assert run.returncode == 0, rest
    assert "start 2: one of the processes was killed" in rest
    steps = [record["step"] for record in records(rest, "metrics")]
    again = steps.index(9)
    assert steps[again:] == list(range(9, 25)), "after the checkpoint of step 8"
    assert json.loads((tmp_path / "run" / "message").read_text())["steps"] == 24


def test_what_would_fail_again_is_not_begun_again(tiny_model: Path, chat_data: Path, tmp_path: Path) -> None:
    run = torchrun(tmp_path / "run", tiny_model, chat_data, arguments=QUICK | {"max_length": "2"})
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 1
    assert (tmp_path / "run" / "message").read_text().startswith("no answer begins within max_length 2 tokens")
    assert "start 2" not in output


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("finetune_type", "ways"),
    [
        ("full", [(1, "none"), (2, "none"), (3, "none"), (2, "optimizer"), (3, "optimizer+parameters")]),
        ("lora", [(3, "none"), (3, "optimizer+parameters")]),  # no plan shares out adapters, they are too small
    ],
    ids=["full", "lora"],
)
def test_the_result_under_zero_is_that_of_plain_data_parallel_training(
    tiny_model: Path, chat_data: Path, tmp_path: Path, finetune_type: str, ways: list[tuple[int, Offload]]
) -> None:
    """Fault 5 (B16): whichever way a plan takes, it is whole weights that are merged and saved, and the same.

    DeepSpeed compiles its communication over shared memory, and its Adam for the CPU, once: a minute or two.
    """
    import torch

    plainly: tuple[int, Offload] = (0, "none")
    for stage, offload in (plainly, *ways):
        name = f"zero{stage}-{offload}" if stage else "plain"
        arguments: dict[str, str] = QUICK | {"bf16": "false"}  # in bf16 they differ by its few bits
        if stage:
            (tmp_path / f"{name}.json").write_text(json.dumps(deepspeed_config(stage, offload)))
            arguments["deepspeed"] = str(tmp_path / f"{name}.json")
        run = torchrun(tmp_path / name, tiny_model, chat_data, finetuneType=finetune_type, arguments=arguments)
        output, _ = run.communicate(timeout=600)
        assert run.returncode == 0, output
        result = json.loads((tmp_path / name / "message").read_text())
        assert (result["steps"], result["adapter"], result["model"]["layers"]) == (12, False, 2)
        plain, found = weights(tmp_path / "plain"), weights(tmp_path / name)
        assert found.keys() == plain.keys()
        for key, weight in plain.items():
            torch.testing.assert_close(found[key], weight, rtol=0.02, atol=2e-3)
