"""The quick start as it lies in the repository, and the headless runner on small notebooks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def notebook(path: Path, *cells: str) -> Path:
    made = [new_markdown_cell("## A part"), *(new_code_cell(cell) for cell in cells)]
    made[-1].metadata["tags"] = ["result"]
    path.write_text(nbformat.writes(new_notebook(cells=made)))  # type: ignore[no-untyped-call]
    return path


def command(path: Path, *options: str) -> list[str]:
    return [sys.executable, str(NOTEBOOKS / "run.py"), str(path), "--output", str(path.parent / "build"), *options]


def run(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(path, *options), capture_output=True, text=True, timeout=120)


def test_the_quick_start_has_no_outputs_and_stable_ids() -> None:
    found = nbformat.read(NOTEBOOKS / "quickstart.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(found)
    for cell in found.cells:
        assert re.fullmatch(r"[a-z-]+", cell.id)
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


def test_a_notebook_is_run_shown_and_written(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "print('first')", "from pathlib import Path\nPath.cwd().name")
    done = run(path)
    assert done.returncode == 0, done.stderr
    for word in ("A part", "▸ print('first')", "  first", f"'{tmp_path.name}'"):
        assert word in done.stdout
    assert done.stdout.rstrip().endswith(f"'{tmp_path.name}'"), "the result stands at the end"
    executed = nbformat.read(tmp_path / "build" / "n.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    assert executed.cells[1].outputs[0].text == "first\n"
    page = (tmp_path / "build" / "n.html").read_text()
    assert re.findall(r'(?:src|href)="https?://[^"]*"|import\(|cdnjs', page) == []
    assert "<title>n</title>" in page


def test_outputs_go_into_the_notebook_itself_without_times_and_only_of_a_run_that_came_to_its_end(
    tmp_path: Path,
) -> None:
    path = notebook(tmp_path / "n.ipynb", "print('first')\nimport os\nos.getcwd()")
    before = path.read_text()
    assert run(path).returncode == 0
    assert path.read_text() == before
    assert run(path, "--in-place").returncode == 0
    saved = path.read_text()
    assert "first\\n" in saved
    assert "iopub" not in saved
    assert str(tmp_path.parent) not in saved
    assert f"~/cpod-jupyter/{tmp_path.name}" in saved
    assert run(path, "--in-place").returncode == 0
    assert path.read_text() == saved, "the same outputs are the same file"
    failing = notebook(tmp_path / "n.ipynb", "print('first')", "1 / 0").read_text()
    assert run(path, "--in-place").returncode == 1
    assert path.read_text() == failing


def test_a_cell_that_fails_is_named_with_its_message(tmp_path: Path) -> None:
    done = run(notebook(tmp_path / "n.ipynb", "%load_ext cpod_jupyter", "%cpod statsu x", "print('never')"))
    assert done.returncode == 1
    assert "The cell `%cpod statsu x` ended with MagicUsage:" in done.stderr
    assert 'unknown command "statsu"; did you mean "status"?' in done.stderr
    assert "Traceback" not in done.stderr
    assert "never" not in done.stdout
    assert (tmp_path / "build" / "n.html").exists()


def test_a_file_that_is_no_notebook_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "n.ipynb").write_text("{")
    done = run(tmp_path / "n.ipynb")
    assert done.returncode == 1
    assert "cannot be read" in done.stderr


def test_an_interrupt_ends_the_cell_and_the_run_in_good_order(tmp_path: Path) -> None:
    code = "import pathlib, time\nprint('begun', flush=True)\npathlib.Path('begun').touch()\ntime.sleep(60)"
    path = notebook(tmp_path / "n.ipynb", code)
    process = subprocess.Popen(command(path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert process.poll() is None, "it ended before the cell had begun"
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "KeyboardInterrupt" in err
    assert "Traceback" not in err
    assert "begun" in out
    assert (tmp_path / "build" / "n.ipynb").exists()
