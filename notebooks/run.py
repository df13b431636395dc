"""Run a notebook without a browser, showing on the terminal what happens while it runs.

    python notebooks/run.py notebooks/quickstart.ipynb --output build

Writes the executed notebook and the same as a self-contained HTML page; with --in-place the outputs go into the
notebook itself too, without times, when every cell ran. Exit codes: 0 when every cell ran; 1 when one failed, with its
message; 130 when interrupted: jobs go on then.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import nbformat
from jupyter_core.utils import ensure_async
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from nbformat.sign import NotebookNotary
from traitlets.config import Config

from cpod_jupyter import local

_PLAIN_SECONDS = 5.0
_SCRIPTS = ("require_js_url", "jquery_url", "mathjax_url")
_LOADERS = re.compile(r'<script src="">\s*</script>|<script type="module">.*?</script>', re.DOTALL)
"""What nbconvert leaves of scripts that it would load: empty ones, and Mermaid's."""

RESULT_TAG = "result"
"""Cells with this tag have what is said at the end."""


class Screen(Protocol):
    """Where it is shown: a terminal that can be redrawn, or lines."""

    def heading(self, text: str) -> None:
        """A part of the notebook begins."""
        ...

    def now(self, text: str) -> None:
        """What a cell shows at the moment, in place of what it showed before."""
        ...

    def done(self, text: str) -> None:
        """What stays."""
        ...


class Lines:
    """One line after another, for a log: the changing state only every few seconds."""

    def __init__(self) -> None:
        self._at = float("-inf")

    def heading(self, text: str) -> None:
        print(f"\n{text}", flush=True)

    def now(self, text: str) -> None:
        if time.monotonic() - self._at >= _PLAIN_SECONDS:
            self._at = time.monotonic()
            lines = [line.strip() for line in text.splitlines()[:3]]
            print("  " + " · ".join(line for line in lines if not line.startswith("|")), flush=True)

    def done(self, text: str) -> None:
        self._at = time.monotonic()
        if text:
            print("\n".join(f"  {line}" for line in text.splitlines()), flush=True)


class Terminal:
    """The changing state redrawn in place, by rich."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)
        self._live: Any = None

    def heading(self, text: str) -> None:
        from rich.text import Text

        self._console.print()
        self._console.print(Text(text, style="bold"))

    def now(self, text: str) -> None:
        from rich.live import Live
        from rich.padding import Padding
        from rich.text import Text

        if self._live is None:
            self._live = Live(console=self._console, transient=True, refresh_per_second=8)
            self._live.start()
        self._live.update(Padding(Text(text), (0, 2)))

    def done(self, text: str) -> None:
        from rich.padding import Padding
        from rich.text import Text

        if self._live is not None:
            self._live.stop()
            self._live = None
        if text:
            self._console.print(Padding(Text(text), (0, 2)))


class Runner(NotebookClient):
    """nbclient that shows what the cells show, as they show it."""

    def __init__(self, notebook: NotebookNode, screen: Screen, folder: Path, sockets: str) -> None:
        super().__init__(
            notebook,
            timeout=None,
            kernel_name="python3",
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}}),  # for this user alone
            resources={"metadata": {"path": str(folder)}},
            on_cell_start=self._begin,
            on_cell_executed=self._end,
            on_cell_error=self._end,
        )
        self.screen = screen
        self.at = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> str:
        """Execute the notebook; why it failed, or nothing."""

        async def execute() -> None:
            self._loop = asyncio.get_running_loop()
            await self.async_execute()

        try:
            asyncio.run(execute())
        except CellExecutionError as error:
            first = self.nb.cells[self.at].source.splitlines()[0]
            return f"The cell `{first}` ended with {error.ename}:\n{error.evalue}"
        except DeadKernelError as error:
            return f"the kernel died: {error}"
        return ""

    def interrupt(self) -> None:
        """From another thread: interrupt the cell that runs, as the stop button of a browser does."""
        if self._loop is not None and self.km is not None:
            asyncio.run_coroutine_threadsafe(ensure_async(self.km.interrupt_kernel()), self._loop)

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        result = super().process_message(msg, cell, cell_index)
        content = msg["content"]
        if msg["msg_type"] in ("display_data", "update_display_data"):
            self.screen.now(_text(content["data"].get("text/plain", "")))
        elif msg["msg_type"] == "stream":
            self.screen.now(content["text"].rstrip())
        return result

    def _begin(self, cell: NotebookNode, cell_index: int) -> None:
        self.at = cell_index
        before = self.nb.cells[cell_index - 1] if cell_index else None
        if before is not None and before.cell_type == "markdown" and before.source.startswith("#"):
            self.screen.heading(before.source.splitlines()[0].lstrip("# "))
        if cell.cell_type == "code":
            self.screen.done(f"▸ {cell.source.splitlines()[0]}")

    def _end(self, cell: NotebookNode, cell_index: int, execute_reply: Any = None) -> None:
        self.screen.done(output_of(cell))


def output_of(cell: NotebookNode) -> str:
    """What a cell has shown in the end, as text; an error is not among it."""
    texts = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            texts.append(output.text.rstrip())
        elif output.output_type in ("display_data", "execute_result"):
            texts.append(_text(output.data.get("text/plain", "")))
    return "\n".join(text for text in texts if text)


def _text(text: str | list[str]) -> str:
    return "".join(text) if isinstance(text, list) else text


def write(notebook: NotebookNode, name: str, folder: Path) -> list[Path]:
    """The notebook with its outputs, and the same as a page that loads nothing from elsewhere."""
    from nbconvert import HTMLExporter

    folder.mkdir(parents=True, exist_ok=True)
    executed, page = folder / f"{name}.ipynb", folder / f"{name}.html"
    executed.write_text(nbformat.writes(notebook), encoding="utf-8")  # type: ignore[no-untyped-call]
    # This user has run it, so JupyterLab may show its outputs with their styles.
    NotebookNotary().sign(notebook)  # type: ignore[no-untyped-call]
    exporter = HTMLExporter(embed_images=True)  # type: ignore[no-untyped-call]
    for trait in _SCRIPTS:
        setattr(exporter, trait, "")
    html, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": name}})
    page.write_text(_LOADERS.sub("", html), encoding="utf-8")
    return [executed, page]


def save(notebook: NotebookNode, path: Path) -> None:
    """The notebook with its outputs where it came from, but not when, by which Python, and in which folders of this
    machine: the home's and the repository's stand for those of whoever reads it."""
    kept = copy.deepcopy(notebook)
    folders = {str(local.home()): "~/.local/share/cpod-jupyter", str(path.resolve().parents[1]): "~/cpod-jupyter"}
    for cell in kept.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [_elsewhere(output, folders) for output in cell.outputs]
    kept.metadata.language_info = {"name": "python"}
    path.write_text(nbformat.writes(kept) + "\n", encoding="utf-8")  # type: ignore[no-untyped-call]


def _elsewhere(value: Any, folders: Mapping[str, str]) -> Any:
    """The same with other names for folders, in every text of it."""
    if isinstance(value, str):
        for folder, name in folders.items():
            value = value.replace(folder, name)
        return value
    if isinstance(value, dict):
        return type(value)((key, _elsewhere(each, folders)) for key, each in value.items())
    return [_elsewhere(each, folders) for each in value] if isinstance(value, list) else value


def main(arguments: list[str] | None = None) -> int:
    """Run the notebook; the exit code."""
    parser = argparse.ArgumentParser(
        description="Run a notebook headless, showing what happens.",
        epilog="example:\n  python notebooks/run.py notebooks/quickstart.ipynb --output build",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("notebook", type=Path, help="the .ipynb file")
    parser.add_argument("--output", type=Path, default=Path("build"), help="folder for what is written")
    parser.add_argument("--in-place", action="store_true", help="write the outputs into the notebook itself too")
    options = parser.parse_args(arguments)
    try:
        notebook = nbformat.read(options.notebook, as_version=4)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        print(f"{options.notebook} cannot be read: {error}", file=sys.stderr)
        return 1
    screen: Screen = Terminal() if sys.stdout.isatty() else Lines()
    with tempfile.TemporaryDirectory(prefix="cpod-run-") as sockets:
        code = _run(Runner(notebook, screen, options.notebook.resolve().parent, sockets))
    for path in write(notebook, options.notebook.stem, options.output):
        print(f"wrote {path}")
    if code == 0:
        if options.in_place:
            save(notebook, options.notebook)
        tagged = [cell for cell in notebook.cells if RESULT_TAG in cell.metadata.get("tags", [])]
        print("\n" + "\n\n".join(output_of(cell) for cell in tagged))
    return code


def _run(runner: Runner) -> int:
    """Execute in a thread of its own, so that Ctrl-C is for us: the cell that runs is interrupted,
    ends as it would in a browser, and the kernel is shut down in good order."""
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        execution = pool.submit(runner.run)
        interrupted = False
        while True:
            try:
                failure = execution.result()
                break
            except KeyboardInterrupt:
                interrupted = True
                runner.interrupt()
    runner.screen.done("")
    if interrupted:
        print(f"\n{failure or 'interrupted'}", file=sys.stderr)
        return 130
    if failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    print(f"\n{time.monotonic() - began:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
