"""A real JupyterLab in a real browser, and what a person does there."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

SECONDS = 60.0
BUILT = Path(__file__).parents[2] / "cpod_jupyter" / "labextension"
"""The extension as it was built here, which need not be the one that is installed."""
_SETTINGS = {
    "apputils-extension/notification.jupyterlab-settings": {
        "checkForUpdates": False, "fetchNews": "false", "doNotDisturbMode": True
    },
}  # fmt: skip


class Lab:
    """A JupyterLab server on a folder, with the environment's engine. A context manager."""

    def __init__(self, folder: Path, environment: dict[str, str], theme: str = "JupyterLab Light") -> None:
        self.folder = folder
        self.first = ""
        settings = folder / "settings"
        wanted = {**_SETTINGS, "apputils-extension/themes.jupyterlab-settings": {"theme": theme}}
        for name, content in wanted.items():
            file = settings / "@jupyterlab" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(content))
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.token = "secret"
        self._environment = {
            **os.environ,
            **environment,
            "JUPYTERLAB_SETTINGS_DIR": str(settings),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "IPYTHONDIR": str(folder / "ipython"),
        }
        if BUILT.exists():
            share = folder / "share"
            (share / "labextensions").mkdir(parents=True, exist_ok=True)
            (share / "labextensions" / "cpod-jupyter").symlink_to(BUILT)
            self._environment["JUPYTER_PATH"] = str(share)

    def __enter__(self) -> Lab:
        self.start()
        return self

    def start(self) -> None:
        """Start the server, at the same address with the same token each time."""
        arguments = [
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={self.port}",
            "--ServerApp.port_retries=0",
        ]
        with (self.folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *arguments, f"--IdentityProvider.token={self.token}"],
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(self.url("api"), timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError(f"JupyterLab did not start:\n{(self.folder / 'log').read_text()}")

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(SECONDS)

    @property
    def pid(self) -> int:
        return self._process.pid

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}?token={self.token}"

    def write(self, name: str, *cells: str) -> None:
        """A notebook with these cells of code, after `first`."""
        found = [
            {
                "cell_type": "code",
                "id": f"c{number}",
                "metadata": {},
                "source": cell,
                "outputs": [],
                "execution_count": None,
            }
            for number, cell in enumerate((self.first, *cells))
        ]
        spec = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        content = {"cells": found, "metadata": spec, "nbformat": 4, "nbformat_minor": 5}
        (self.folder / name).write_text(json.dumps(content))

    def saved(self, name: str) -> list[dict[str, Any]]:
        """The data of the outputs of a notebook as it lies on the disk."""
        content = json.loads((self.folder / name).read_text())
        return [output["data"] for cell in content["cells"] for output in cell["outputs"] if "data" in output]

    def stop_kernels(self) -> None:
        """Shut down every kernel, as another tab may."""
        with urllib.request.urlopen(self.url("api/kernels"), timeout=SECONDS) as answer:
            kernels = json.load(answer)
        for kernel in kernels:
            request = urllib.request.Request(self.url(f"api/kernels/{kernel['id']}"), method="DELETE")
            urllib.request.urlopen(request, timeout=SECONDS).close()

    def open(self, page: Page, name: str) -> None:
        """Open a notebook and wait for its kernel; nothing else is open."""
        page.goto(self.url(f"lab/workspaces/{Path(name).stem}/tree/{name}"))
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=SECONDS * 1000)
        until = time.monotonic() + SECONDS
        while not self._connected(name):
            assert time.monotonic() < until, f"{name} has no kernel"
            page.wait_for_timeout(100)

    def _connected(self, name: str) -> bool:
        """Whether a notebook has a kernel that is idle, and a page that listens to it."""
        with urllib.request.urlopen(self.url("api/sessions"), timeout=SECONDS) as answer:
            kernels = [session["kernel"] for session in json.load(answer) if session["path"] == name]
        return any(kernel["execution_state"] == "idle" and kernel["connections"] for kernel in kernels)


def run(page: Page, number: int) -> None:
    """Run a cell of the notebook, as a person does."""
    cell = page.locator(".jp-CodeCell").nth(number)
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    expect(cell.locator(".jp-InputPrompt")).not_to_have_text("[ ]:", timeout=SECONDS * 1000)


def choose(page: Page, command: str) -> None:
    """Run a command of the palette, by keyboard."""
    active = page.locator(".lm-CommandPalette-item.lm-mod-active").filter(has_text=command)
    until = time.monotonic() + SECONDS
    while not active.is_visible():  # what was in front when a palette was closed may take the focus from the next one
        assert time.monotonic() < until, f"the palette does not offer {command}"
        page.keyboard.press("Control+Shift+c")
        expect(page.locator(".lm-CommandPalette-input")).to_be_focused()
        page.locator(".lm-CommandPalette-input").fill(command)
        with contextlib.suppress(AssertionError):
            expect(active).to_be_visible(timeout=1000)
    page.keyboard.press("Enter")


def save(page: Page) -> None:
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    page.wait_for_function("!document.querySelector('.jp-mod-dirty')", timeout=SECONDS * 1000)
