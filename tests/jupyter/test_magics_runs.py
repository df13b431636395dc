"""What users of the peers complained of, in a real kernel: logs twice, runs that vanish, faults found late."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kernels import Kernel

from cpod_jupyter import local

GOOD = json.dumps({"prompt": "Who rows?", "completion": "My sister rows."})


@pytest.fixture(scope="module")
def kernel(engine_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel whose engine is that of the tests around."""
    folder = tmp_path_factory.mktemp("runs")
    environment = {"CPOD_HOME": str(engine_home), "CPOD_CONTEXT": "engine", "CPOD_NAMESPACE": "default"}
    found = Kernel({**environment, "IPYTHONDIR": str(folder / "ipython")}, str(folder))
    assert found.run("%load_ext cpod_jupyter").status == "ok"
    (folder / "bad.jsonl").write_text(f'{GOOD}\n{{"prompt": "only"}}\n{GOOD}\nno json\n')
    (folder / "good.jsonl").write_text(f"{GOOD}\n" * 4)
    yield found
    found.close()


def program(text: str) -> str:
    lines = "\n".join(f"  {line}" for line in text.splitlines())
    return f"image: python:3.12\ncommand:\n- {sys.executable}\n- -c\n- |\n{lines}"


def test_a_followed_log_has_each_line_once_though_its_engine_is_killed_meanwhile(
    kernel: Kernel,
    engine_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., object],
) -> None:
    flag = tmp_path / "go on"
    text = f"""import os, time
for number in range(200):
    print("line", number, flush=True)
    while number == 99 and not os.path.exists("{flag}"):
        time.sleep(0.05)
"""
    assert kernel.run(f"%%cpod job lines --detach --new\n{program(text)}").status == "ok"
    cell = kernel.begin("%cpod logs lines -f -o kept")
    kernel.until_shown(cell, "line 99")  # it is streamed: the program still waits
    monkeypatch.setenv("CPOD_HOME", str(engine_home))
    found = local.find()
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    eventually(lambda: local.find() is None, "the engine is gone")
    local.start(int(found.url.rpartition(":")[2]))
    flag.touch()
    assert kernel.end(cell).status == "ok"
    assert kernel.run("print(kept == [f'line {n}' for n in range(200)], len(kept))").printed == "True 200\n"


def test_a_run_whose_cell_and_kernel_are_gone_is_found_followed_and_run_again(kernel: Kernel, tmp_path: Path) -> None:
    flag = tmp_path / "go on"
    text = f"""import os, time
for step in (1, 2, 3):
    print('@cpod {{"type": "metrics", "step": %d, "loss": 0.5}}' % step, flush=True)
    while step == 2 and not os.path.exists("{flag}"):
        time.sleep(0.05)
"""
    cell = kernel.begin(f"%%cpod job lost --new\n{program(text)}")
    kernel.until_shown(cell, "loss 0.500")
    kernel.manager.restart_kernel(now=True)
    kernel.client.wait_for_ready(timeout=60)
    assert kernel.run("%load_ext cpod_jupyter").status == "ok"
    kernel.run("%cpod ls jobs -o listing")
    assert kernel.run("print('lost' in set(listing.to_df().name))").printed == "True\n"
    flag.touch()
    followed = kernel.run("%cpod follow lost -o lost")
    assert "job/lost  Succeeded" in followed.text
    assert kernel.run("print(list(lost.metrics.index))").printed == "[1, 2, 3]\n", "the curve from the start"
    assert "job/lost-2  Succeeded" in kernel.run("%cpod rerun lost -o again").text
    assert kernel.run("print(list(again.metrics.index))").printed == "[1, 2, 3]\n"
    assert kernel.run("%cpod delete job lost").status == "ok"
    assert "job/lost-3  Succeeded" in kernel.run("%cpod rerun lost-2").text, "one of its reruns is enough"


def test_bad_rows_and_too_little_memory_are_found_before_anything_is_submitted(kernel: Kernel) -> None:
    bad = kernel.run("%%cpod finetune late\nmodel: google/gemma-2b-it\ndataset: ./bad.jsonl")
    assert bad.status == "error"
    assert "PreflightFailed" in bad.error
    assert "row 2: `completion` is missing or not a text" in bad.error
    assert "row 4: invalid JSON" in bad.error
    large = kernel.run(
        "%%cpod finetune late\nmodel: mistralai/Mixtral-8x7B-Instruct-v0.1\ndataset: ./good.jsonl\nfinetuneType: full"
    )
    assert "PreflightFailed" in large.error
    assert "memory: it takes about " in large.error
    assert "nothing was submitted" in large.text
    assert "NotFound" in kernel.run("%cpod status finetune/late").error
    assert "late" not in kernel.run("%cpod ls finetunes").text


def test_the_cause_of_a_failure_stands_where_the_cell_ends(kernel: Kernel) -> None:
    ran = kernel.run(f"%%cpod job hungry --new\nbackoffLimit: 0\n{program('raise MemoryError(1)')}")
    assert ran.status == "error"
    assert "job/hungry failed: the machine ran out of memory" in ran.error
    assert "| MemoryError: 1" in ran.error


def test_what_can_never_run_is_refused_and_what_waits_says_for_what(kernel: Kernel) -> None:
    greedy = f"gpuRequiredPerReplica: 64\n{program('print(1)')}"
    ran = kernel.run(f"%%cpod job greedy\n{greedy}")
    assert ran.status == "error"
    assert "64" in ran.error
    assert "GPU" in ran.error
    assert "greedy" not in kernel.run("%cpod ls job").text
    cell = kernel.begin(f"%%cpod job greedy --force --new\n{greedy}")
    kernel.until_shown(cell, "Insufficient nvidia.com/gpu")
    kernel.interrupt()
    assert kernel.end(cell).status == "error"
    kernel.run("%cpod cancel greedy")
