"""How quick a notebook is: a real kernel, spoken to as a front end does, on an engine that runs already.

    make bench              # appends to benchmarks/RESULTS.md
    python benchmarks/notebook.py

What a person waits for: from running a cell to the first thing it shows, in a kernel that has just started and later;
from a line that a pod writes to the display that has it; and what a job of a million lines does to all that.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from harness import engine, percentile
from jupyter_client.manager import KernelManager

KERNELS, AGAIN = 3, 5
BEATS = 60
MILLION = 1_000_000
SECONDS = 300.0
ROW = {"messages": [{"role": "user", "content": "a question"}, {"role": "assistant", "content": "an answer"}]}
HEADING = "\n## In a notebook\n"
STORAGES = """%%cpod dataset facts
datasetname: facts.jsonl
---
%%cpod model tiny
modelname: random://llama
"""
CELLS = {
    "%cpod": "%cpod",
    "%%cpod job": "%%cpod job {name} --detach\nimage: python:3.12\ncommand: [python, -V]",
    "%%cpod finetune": "%%cpod finetune {name} --detach\nmodel: tiny\ndataset: facts\n"
    "hyperParameters: {{n_epochs: 1, batch_size: 1}}",
}
BEAT = """
import random, time
random.seed(1)
for n in range({count}):
    time.sleep(random.uniform(0.2, 0.5))
    print(f"beat {{n}} {{time.time():.6f}}", flush=True)
"""
FLOOD = """
import sys
for n in range({count}):
    sys.stdout.write(f"{{n:010}} " + "x" * 188 + "\\n")
"""


@dataclass
class Shown:
    """What a cell sent: when each message came (seconds, monotonic and of the clock), its kind, its content."""

    begun: float
    messages: list[tuple[float, float, str, dict[str, Any]]] = field(default_factory=list)

    @property
    def first_ms(self) -> float:
        """Milliseconds from running the cell to the first thing to be seen."""
        return (self.messages[0][0] - self.begun) * 1000

    @property
    def updates(self) -> list[float]:
        return [at for at, _, kind, _ in self.messages if kind.endswith("display_data")]

    def busiest_second(self) -> int:
        """Updates in the second that had most."""
        times = self.updates
        return max((sum(1 for at in times if begin <= at < begin + 1) for begin in times), default=0)

    def saved_bytes(self) -> int:
        """What of it a saved notebook holds: each display as it was last, and all that was printed."""
        last: dict[str, Any] = {}
        for number, (_, _, kind, content) in enumerate(self.messages):
            key = (content.get("transient") or {}).get("display_id") or str(number)
            last[key if kind.endswith("display_data") else str(number)] = content
        return len(json.dumps(list(last.values())).encode())


class Kernel:
    """A kernel of its own, with the magics loaded."""

    def __init__(self, home: Path, folder: Path) -> None:
        environment = {
            **os.environ, "CPOD_HOME": str(home), "CPOD_CONTEXT": "engine", "CPOD_NAMESPACE": "default",
            "IPYTHONDIR": str(folder / "ipython"),
        }  # fmt: skip
        self._manager = KernelManager()
        self._manager.start_kernel(env=environment, cwd=str(folder))
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=SECONDS)
        self.run("%load_ext cpod_jupyter")

    def run(self, code: str, *, fails: bool = False) -> Shown:
        """Run a cell to its end. Raises RuntimeError when it fails."""
        shown = Shown(time.perf_counter())
        cell = self._client.execute(code, allow_stdin=False)
        while True:
            message = self._client.get_iopub_msg(timeout=SECONDS)
            now, clock = time.perf_counter(), time.time()
            if message["parent_header"].get("msg_id") != cell:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "error" and not fails:
                raise RuntimeError("\n".join(content["traceback"]))
            if kind in ("stream", "display_data", "update_display_data", "execute_result", "error"):
                shown.messages.append((now, clock, kind, content))
            elif kind == "status" and content["execution_state"] == "idle":
                return shown

    def resident_mib(self) -> float:
        return float(psutil.Process(self._manager.provisioner.pid).memory_info().rss) / 2**20

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@contextlib.contextmanager
def kernel(home: Path, folder: Path) -> Iterator[Kernel]:
    found = Kernel(home, folder)
    try:
        yield found
    finally:
        found.close()


def job(name: str, program: str) -> str:
    """A cell that runs a program and follows it."""
    lines = "".join(f"  {line}\n" for line in program.strip().splitlines())
    return f"%%cpod job {name}\nimage: python:3.12\ncommand:\n- {sys.executable}\n- -c\n- |\n{lines}"


def first_outputs(home: Path, folder: Path) -> dict[str, tuple[list[float], list[float]]]:
    """By cell, the milliseconds to its first output: as the first cell of kernels, and afterwards in one."""
    found: dict[str, tuple[list[float], list[float]]] = {word: ([], []) for word in CELLS}
    for word, cell in CELLS.items():
        tag = re.sub(r"\W", "", word)
        for number in range(KERNELS):
            with kernel(home, folder) as fresh:
                found[word][0].append(fresh.run(cell.format(name=f"{tag}-{number}")).first_ms)
                if number == 0:
                    names = [f"{tag}-again-{again}" for again in range(AGAIN)]
                    found[word][1].extend(fresh.run(cell.format(name=name)).first_ms for name in names)
    return found


def latencies(found: Kernel) -> list[float]:
    """Milliseconds from before a line is written to the arrival of the display that has it."""
    arrived: dict[int, float] = {}
    for _, clock, _, content in found.run(job("beat", BEAT.format(count=BEATS))).messages:
        for number, written in re.findall(r"beat (\d+) (\d+\.\d+)", str(content.get("data", {}).get("text/plain"))):
            arrived.setdefault(int(number), (clock - float(written)) * 1000)
    if len(arrived) < BEATS // 2:
        raise RuntimeError(f"only {len(arrived)} of {BEATS} lines were shown one by one")
    return list(arrived.values())


def flood(found: Kernel) -> list[str]:
    """What a job of a million lines comes to."""
    before = found.resident_mib()
    began = time.perf_counter()
    shown = found.run(job("flood", FLOOD.format(count=MILLION)))
    seconds = time.perf_counter() - began
    grown = found.resident_mib() - before
    return [
        f"a job of {MILLION:,} lines (200 MB) at full speed, followed: {MILLION / seconds:,.0f} lines a second; "
        f"the kernel grows by {grown:.0f} MiB (150 at most)",
        f"meanwhile at most {shown.busiest_second()} updates a second (10); the saved notebook grows by "
        f"{shown.saved_bytes() / 2**10:.0f} KiB (1024)",
    ]


def report(outputs: dict[str, tuple[list[float], list[float]]], beats: list[float], facts: list[str]) -> str:
    rows = []
    for word, (fresh, later) in outputs.items():
        for when, samples in (("first in its kernel", fresh), ("later", later)):
            what = f"`{word}` to its first output, {when}"
            rows.append(f"| {what} | {percentile(samples, 50):.0f} | {max(samples):.0f} | 300 |")
    rows.append(f"| line written to display | {percentile(beats, 50):.0f} | {percentile(beats, 95):.0f} (p95) | 250 |")
    return "\n".join(
        [
            HEADING,
            "`benchmarks/notebook.py`, in the same run: real kernels over their protocol, on an engine that runs.",
            "",
            "| what | p50, ms | most, ms | wanted, ms |",
            "|---|---:|---:|---:|",
            *rows,
            "",
            *(f"- {fact}" for fact in facts),
            "",
        ]
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "facts.jsonl").write_text((json.dumps(ROW) + "\n") * 100)
        with engine(folder / "home"):
            home = folder / "home"
            with kernel(home, folder) as found:
                for cell in STORAGES.split("---\n"):
                    found.run(cell)
                beats = latencies(found)
                facts = flood(found)
            section = report(first_outputs(home, folder), beats, facts)
    print(section)
    results = Path(__file__).parent / "RESULTS.md"
    results.write_text(results.read_text().partition(HEADING)[0] + section)


if __name__ == "__main__":
    main()
