"""A browser for each module here, and a page for each test; without Chromium they are skipped, and say so."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from faces_fixtures import engine_home, namespace
from lab import BUILT, Lab
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

__all__ = ["engine_home", "namespace"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of one module, for as long as it is open its thread has an event loop, and other tests could have none."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    if not (BUILT / "package.json").exists():
        pytest.skip("needs the JupyterLab extension (make extension, with Node)")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, engine_home: Path) -> Iterator[Lab]:
    """A JupyterLab whose cells mean the engine of all tests."""
    environment = {"CPOD_HOME": str(engine_home), "CPOD_CONTEXT": "engine"}
    with Lab(tmp_path_factory.mktemp("lab"), environment) as found:
        yield found


@pytest.fixture
def lab(server: Lab, namespace: str) -> Iterator[Lab]:
    """The same for one test: its notebooks' first cell loads the magics, for the test's namespace."""
    server.first = f'%load_ext cpod_jupyter\n%config CpodMagics.namespace = "{namespace}"'
    yield server
    server.stop_kernels()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    found = browser.new_page(viewport={"width": 1200, "height": 900})
    yield found
    found.close()


@pytest.fixture
def sidebar(lab: Lab, page: Page, namespace: str) -> Locator:
    """The sidebar, open, at the test's namespace; nothing else is open in its workspace."""
    page.goto(lab.url(f"lab/workspaces/{namespace}"))
    expect(page.get_by_role("tab", name="Launcher")).to_be_visible()  # which comes last, and takes the focus
    page.get_by_role("tab", name=re.compile("cpod")).click()
    found = page.locator("#cpod-sidebar")
    found.get_by_label("Context").select_option("engine")
    found.get_by_label("Namespace").select_option(namespace)
    return found
