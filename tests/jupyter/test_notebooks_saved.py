"""The notebooks as they are saved in the repository: documentation to be read before anything is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "notebooks").glob("*.ipynb"))
BARE = {"quickstart", "tour"}
"""Saved without outputs, or with those alone that are compared."""
_THIS_MACHINE = re.compile(r"(?<![\w.~])/(?:tmp|root|home|Users|var|opt|mnt|work)/[\w.-]+")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def read(path: Path) -> Any:
    found = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(found)
    return found


def texts(output: Any) -> list[str]:
    """All that an output has, whatever its form."""
    data = output.get("data", {})
    return [output.get("text", ""), *("".join(each) for each in data.values() if isinstance(each, (str, list)))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_notebook_has_stable_ids_and_links_that_lead_somewhere(path: Path) -> None:
    for cell in read(path).cells:
        assert re.fullmatch(r"[a-z-]+", cell.id), cell.id
        if cell.cell_type == "markdown":
            for link in _LINK.findall(cell.source):
                if "://" not in link:
                    assert (path.parent / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_saved_has_no_errors_no_warnings_and_names_no_folder_of_a_machine(path: Path) -> None:
    for cell in read(path).cells:
        for output in cell.get("outputs", []):
            wanted = "raises-exception" in cell.metadata.get("tags", [])
            assert wanted or output.output_type != "error", f"{cell.id}: {output.get('evalue')}"
            assert output.get("name") != "stderr", f"{cell.id}: {output.text}"
            for text in texts(output):
                assert not re.search(r"\w+Warning: ", text), f"{cell.id}: {text[:300]}"
                assert _THIS_MACHINE.findall(text) == [], cell.id


@pytest.mark.parametrize("path", [path for path in FILES if path.stem not in BARE], ids=lambda path: path.stem)
def test_a_notebook_to_be_read_was_run_from_its_first_cell_to_its_last(path: Path) -> None:
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell.outputs for cell in cells)


def test_make_notebooks_runs_all() -> None:
    made = re.findall(r"^NOTEBOOKS [:+]= (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for line in made for name in line.split()}
    assert named == {f"notebooks/{path.name}" for path in FILES}
