"""Cells run in a shell in this process."""

from __future__ import annotations

from typing import Any

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell


class Notebook:
    """Cells run one after the other in one shell, as a notebook's kernel runs them.

    `outputs` are the MIME bundles that the last cell displayed, updates in place included.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.publisher = CapturingDisplayPublisher(parent=shell)
        shell.display_pub = self.publisher
        shell.kernel = object()  # type: ignore[attr-defined]  # what tells a notebook's shell from a terminal's

    def run(self, cell: str) -> ExecutionResult:
        self.publisher.outputs.clear()
        return self.shell.run_cell(cell)

    @property
    def outputs(self) -> list[dict[str, Any]]:
        return [output["data"] for output in self.publisher.outputs]

    @property
    def variables(self) -> dict[str, Any]:
        return dict(self.shell.user_ns)
