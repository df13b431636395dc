"""A real IPython shell in this process, with the magics loaded, on a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faces_fixtures import engine_home, namespace
from IPython.core.interactiveshell import InteractiveShell
from jupyter_cells import Notebook

__all__ = ["engine_home", "namespace"]


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    """A shell with the extension loaded, in a folder of its own; it starts no engine by itself."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    found = Notebook(shell)
    assert found.run("%load_ext cpod_jupyter").success
    yield found
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()
