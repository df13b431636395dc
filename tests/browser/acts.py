"""What a person does in the sidebar, and what is there to be looked at."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from lab import SECONDS, Lab
from playwright.sync_api import Locator, Page

from cpod_jupyter.sdk import Session

WAITS = "import pathlib, time\nprint('it waits', flush=True)\nwhile not pathlib.Path({go!r}).exists(): time.sleep(0.05)"


def waiting(name: str, go: Path) -> None:
    """A job, submitted by somebody else than the page, that runs until a file is there."""
    Session().job(name, image="python", command=["python", "-c", WAITS.format(go=str(go))])


def waiting_batch(name: str, go: Path) -> None:
    """The same as one of Kubernetes' own jobs, which can be suspended."""
    command = ["python", "-c", WAITS.format(go=str(go))]
    container = {"name": "main", "image": "python", "command": command}
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    Session().apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})


def row_of(sidebar: Locator, title: str) -> Locator:
    return sidebar.locator(f'[data-key="{title}"]')


def press(row: Locator, action: str) -> None:
    """One of the buttons that a row has while it is pointed at."""
    row.hover()
    row.get_by_role("button", name=f"{action}: ").click()


def form_of(page: Page) -> Locator:
    return page.locator(".cpodForm:visible")


def kept(lab: Lab, workspace: str, text: str) -> bool:
    """Whether a layout is saved that has something in it."""
    with urllib.request.urlopen(lab.url(f"lab/api/workspaces/{workspace}"), timeout=SECONDS) as answer:
        return text in json.dumps(json.load(answer))


def until_kept(page: Page, lab: Lab, workspace: str, text: str) -> None:
    """JupyterLab saves its layout a moment after it has changed."""
    for _ in range(50):
        if kept(lab, workspace, text):
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"the layout is not saved with {text}")
