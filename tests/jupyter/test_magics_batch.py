"""Batches and load in a real kernel: what a cell shows on the way, and what ■ does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import Model, Reply, Served, refusal
from kernels import Kernel


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """With no engine: nothing here needs one."""
    folder = tmp_path_factory.mktemp("batches")
    found = Kernel({"CPOD_HOME": str(folder / "home"), "IPYTHONDIR": str(folder / "ipython")}, str(folder))
    assert found.run("%load_ext cpod_jupyter\nfrom cpod_jupyter import Endpoint").status == "ok"
    yield found
    assert not Path(folder / "home" / "engine.lock").exists()
    found.close()


@pytest.fixture
def served() -> Iterator[Served]:
    found = Served(Model())
    yield found
    found.stop()


def test_a_quick_batch_shows_its_frame_and_nothing_else(kernel: Kernel, served: Served) -> None:
    ran = kernel.run(f'Endpoint("{served.url}").generate(["a", "b"])')
    assert ran.status == "ok", ran.error
    assert len(ran.shown) == 1
    assert "You said: b" in ran.shown[0]["text/html"]
    assert not ran.printed


def test_a_longer_batch_tells_how_far_it_is_in_one_place(kernel: Kernel, served: Served) -> None:
    def slow(asked: dict[str, Any], before: int) -> Reply | None:
        number = int(asked["messages"][0]["content"])
        if number == 7 and before:
            return refusal(400, "not this one")
        return refusal(429, "slow down", {"Retry-After": "2.5" if number % 2 else "3"}) if not before else None

    served.model.wrong = slow
    ran = kernel.run(f'found = Endpoint("{served.url}").generate([str(n) for n in range(8)], concurrency=8)')
    assert ran.status == "ok", ran.error
    told = [shown["text/plain"] for shown in ran.shown]
    assert any(" of 8 rows" in text and "8 at a time" in text for text in told[:-1])
    assert told[-1].startswith(f"{served.url}: 7 of 8 rows answered in ")
    assert told[-1].endswith("; 1 error, the first: HTTP 400: not this one")
    assert not ran.printed


def test_a_longer_comparison_tells_how_many_answers_there_are_in_one_place(kernel: Kernel, served: Served) -> None:
    rows = [{"question": str(number), "answer": "You said"} for number in range(4)]
    late = refusal(429, "slow down", {"Retry-After": "2.5"})
    served.model.wrong = lambda asked, before: late if asked["messages"][0]["content"] != "0" and not before else None
    code = f'from cpod_jupyter import compare\nfound = compare([Endpoint("{served.url}")], {rows}, parallel=2)'
    ran = kernel.run(code)
    assert ran.status == "ok", ran.error
    told = [shown["text/plain"] for shown in ran.shown]
    assert told[-1].startswith("4 answers in ")
    assert all(text.endswith(" of 4 answers") for text in told[:-1])
    assert not ran.printed


def test_stop_ends_a_batch_in_words_and_the_same_cell_goes_on(kernel: Kernel, served: Served) -> None:
    served.model.hold = lambda said: said == "hold"
    code = f'Endpoint("{served.url}").generate(["a", "b", "hold", "c"], concurrency=1)'
    cell = kernel.begin(code)
    assert served.model.held.wait(60)
    kernel.interrupt()
    ran = kernel.end(cell)
    assert ran.error == f"{served.url}: interrupted; 2 of 4 rows are answered and kept: run the same again to go on"
    served.model.hold = lambda said: False
    again = kernel.run(code)
    assert "4 of 4 rows answered" in again.text
    assert "2 of them by an earlier call" in again.text
    assert served.model.asked == {"a": 1, "b": 1, "hold": 2, "c": 1}


def test_a_batch_is_awaited_in_a_cell(kernel: Kernel, served: Served) -> None:
    ran = kernel.run(f'(await Endpoint("{served.url}").agenerate(["a"]))["answer"][0]')
    assert ran.shown[0]["text/plain"] == "'You said: a'"


def test_a_line_measures_load(kernel: Kernel, served: Served) -> None:
    ran = kernel.run(f"%cpod bench {served.url} --concurrency 1,2 --requests 4 -o load")
    assert ran.status == "ok", ran.error
    assert ran.shown[0]["text/plain"] == f"{served.url}: 1 at a time (1 of 2)"
    assert ran.shown[-1]["text/html"].count("<img") == 2
    assert kernel.run("[each.requests for each in load.levels]").shown[0]["text/plain"] == "[4, 4]"
    assert "no list of whole numbers" in kernel.run(f"%cpod bench {served.url} --concurrency all").error
