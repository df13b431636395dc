"""A fine-tune that is broken off goes on as if it had not been."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from runtime_commands import Run, Start
from test_runtime_train import QUICK, command

from cpod_jupyter.api.records import parse_record
from cpod_jupyter.runtime.tries import Tries

ARGUMENTS = QUICK | {
    "num_train_epochs": "12",
    "lora_dropout": "0.2",
    "save_strategy": "steps",
    "save_steps": "5",
}
"""24 steps, each with its own dice for dropout."""


def curve(output: str) -> dict[int, tuple[float, float, int]]:
    """Loss, norm of the gradient and tokens so far, by step."""
    found = (parse_record(line) or {} for line in output.splitlines())
    return {
        record["step"]: (record["loss"], record["grad_norm"], record["tokens"])
        for record in found
        if record.get("type") == "metrics" and "loss" in record
    }


def test_a_run_that_was_killed_ends_as_an_unbroken_one_to_the_bit(
    start: Start, run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    line = command(tmp_path, tiny_model, chat_data, arguments=ARGUMENTS)
    unbroken = run(*line)
    unbroken.result()
    (tmp_path / "out").rename(tmp_path / "unbroken")

    started = start(*line)
    assert started.process.stdout is not None
    seen = []
    for text in started.process.stdout:
        seen.append(text)
        if '"step":13,' in text:
            break
    started.process.kill()
    started.wait()
    again = run(*line)
    again.result()

    assert "going on from " in again.out
    whole, first, rest = curve(unbroken.out), curve("".join(seen)), curve(again.out)
    assert min(rest) == 11, "after the checkpoint of step 10"
    assert {**first, **rest} == whole
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()
    kept = [json.loads((tmp_path / name / "trainer_state.json").read_text()) for name in ("unbroken", "out")]
    losses = [[entry["loss"] for entry in state["log_history"] if "loss" in entry] for state in kept]
    assert losses[0] == losses[1], "the record is of the whole run"


def test_a_run_that_is_killed_again_and_again_at_the_same_step_gives_up_and_says_so(
    start: Start, run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    line = command(tmp_path, tiny_model, chat_data, arguments=QUICK | {"save_strategy": "no"})
    started = start(*line)
    assert started.process.stdout is not None
    assert any('"phase":"encode"' in text for text in started.process.stdout)
    started.process.kill()
    started.wait()
    [run_folder] = (tmp_path / "ck").glob("run-*")
    for _ in range(2):
        Tries(run_folder, 0, "").__enter__()  # and it never ends
    refused = run(*line)
    assert refused.code == 1
    assert "it was killed 3 times in a row after step 0" in refused.message
    assert "lower per_device_train_batch_size (4)" in refused.message
    run(*line).result()


def test_a_checkpoint_is_saved_after_some_minutes_whatever_the_strategy(
    start: Start, run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    arguments = QUICK | {"num_train_epochs": "500", "save_strategy": "no", "checkpoint_minutes": "0.005"}
    line = command(tmp_path, tiny_model, chat_data, arguments=arguments)
    started = start(*line)
    assert started.process.stdout is not None
    for _ in started.process.stdout:
        if list((tmp_path / "ck").glob("run-*/checkpoint-*/trainer_state.json")):
            break
    started.process.kill()
    started.wait()
    again = start(*line)
    assert again.process.stdout is not None
    assert any("going on from " in text for text in again.process.stdout)
    again.process.send_signal(signal.SIGTERM)
    assert again.wait().code == 143


FULL_DISK = """
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x00020000) == 0 and libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None) == 0  # NEWNS; PRIVATE
assert libc.mount(b"tmpfs", sys.argv[1].encode(), b"tmpfs", 0, b"size=" + sys.argv[2].encode()) == 0
sys.stderr.write("mounted\\n")
os.execv(sys.executable, [sys.executable, "-c", sys.argv[3], *sys.argv[4:]])
"""


def test_a_full_disk_is_one_sentence_and_the_last_good_checkpoint_stays(
    tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    """On a file system of two megabytes, in a mount namespace: the first checkpoint fits, the second does not."""
    (tmp_path / "ck").mkdir()
    arguments = {name: value for name, value in ARGUMENTS.items() if name != "lora_dropout"}
    line = command(tmp_path, tiny_model, chat_data, finetuneType="full", arguments=arguments)
    inside = textwrap.dedent(
        """
        import pathlib, subprocess, sys
        code = subprocess.run([sys.executable, "-m", "cpod_jupyter.runtime", *sys.argv[2:]]).returncode
        for file in pathlib.Path(sys.argv[1]).glob("run-*/checkpoint-*/trainer_state.json"):
            print("kept", file.parent.name)
        sys.exit(code)
        """
    )
    ended = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path / "ck", "2m", inside, tmp_path / "ck", *map(str, line)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "mounted" not in ended.stderr:
        pytest.skip("no file system can be mounted here")
    assert ended.returncode == 1
    assert f"error: saving a checkpoint failed: the disk of {tmp_path / 'ck'}/run-" in ended.stderr
    assert ended.stderr.strip().endswith(" is full")
    assert "Traceback" not in ended.stderr
    assert "kept checkpoint-" in ended.stdout
