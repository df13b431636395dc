"""`%cpod lm-eval` in a real kernel, with the harness itself and task files that lie in a folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from chat_server import Model, Served
from kernels import Kernel

TASKS = Path(__file__).parents[2] / "examples" / "lm-eval"

pytestmark = pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="needs the extra lm-eval")


@pytest.fixture
def served() -> Iterator[Served]:
    found = Served(Model(answer=lambda said: "It is Paris." if "France" in said else "I do not know."))
    yield found
    found.stop()


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    """With no engine: nothing here needs one."""
    found = Kernel({"CPOD_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ipython")}, str(tmp_path))
    assert found.run("%load_ext cpod_jupyter").status == "ok"
    yield found
    found.close()


def test_a_line_puts_tasks_to_a_model_and_shows_how_far_it_is_and_what_came_of_it(
    kernel: Kernel, served: Served
) -> None:
    ran = kernel.run(f"%cpod lm-eval {served.url} --tasks capitals --include {TASKS} --limit 4 -o found")
    assert ran.status == "ok", ran.error
    texts = [shown["text/plain"] for shown in ran.shown]
    assert texts[0] == f"{served.url}: lm-eval starts"
    assert f"{served.url}: 4 of 4 answers" in texts
    assert "<td>0.2500</td>" in ran.shown[-1]["text/html"]
    assert not ran.printed
    assert kernel.run("found.rows()[0]['value']").shown[0]["text/plain"] == "0.25"


def test_stop_ends_the_harness_in_words(kernel: Kernel, served: Served, tmp_path: Path) -> None:
    served.model.hold = lambda said: "Kenya" in said
    cell = kernel.begin(f"%cpod lm-eval {served.url} --tasks capitals --include {TASKS} --folder {tmp_path / 'kept'}")
    assert served.model.held.wait(60)
    assert harnesses(tmp_path), "it runs"
    kernel.interrupt()
    ran = kernel.end(cell)
    assert ran.error == f"{served.url}: interrupted; lm-eval was ended, and has no results"
    assert not harnesses(tmp_path)


def test_what_is_missing_is_one_message(kernel: Kernel, served: Served) -> None:
    kernel.run("import sys; sys.modules['lm_eval'] = None")  # as where it is not installed
    absent = kernel.run(f"%cpod lm-eval {served.url} --tasks capitals --include {TASKS}").error
    assert absent.startswith("CpodError: lm-eval is not installed: pip install 'cpod-jupyter[lm-eval]'")
    missing = kernel.run(f"%cpod lm-eval {served.url} --tasks capitals --include nowhere").error
    assert "there is no folder" in missing


def harnesses(folder: Path) -> list[psutil.Process]:
    """Those whose results would lie below a folder."""
    found = psutil.process_iter(["cmdline"])
    return [each for each in found if any(str(folder / "kept") in word for word in each.info["cmdline"] or ())]
