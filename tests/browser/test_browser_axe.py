"""axe-core finds no serious fault at any page of ours, in light, dark and high contrast."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from acts import form_of, press, row_of, waiting
from answering import answering
from axe import LIGHT, THEMES, faults, faults_in_every_theme, wear
from lab import SECONDS, Lab, choose, run
from playwright.sync_api import Locator, Page, expect
from test_browser_block import BROKEN, begun, block_of
from test_browser_panels import PANELS
from tiny_model import rows

from cpod_jupyter.sdk import Session

expect.set_options(timeout=SECONDS * 1000)


@pytest.fixture(autouse=True)
def light(page: Page) -> Iterator[None]:
    """The theme is the server's setting: the next test begins with the light one too."""
    yield
    if page.locator("body[data-jp-theme-name]").count():
        wear(page, LIGHT)


def test_the_sidebar_and_the_pages_of_objects(page: Page, sidebar: Locator, tmp_path: Path) -> None:
    session = Session()
    found = [faults_in_every_theme(page, "#cpod-sidebar")]  # with nothing in it
    waiting("runs", tmp_path / "go")
    session.job("failed", image="python", command=["pythn"], backoffLimit=0)
    session.dataset("boat", datasetname=str(rows(tmp_path / "boat.jsonl")))
    for section in ("Models", "Datasets", "Cluster"):
        sidebar.get_by_role("heading", name=section).click()
    for title, phase in {"job/runs": "Running", "job/failed": "Failed", "dataset/boat": "done"}.items():
        expect(row_of(sidebar, title)).to_have_attribute("data-phase", phase)
    row_of(sidebar, "job/runs").click()
    found.append(faults_in_every_theme(page, "#cpod-sidebar"))
    for name in ("runs", "failed"):
        press(row_of(sidebar, f"job/{name}"), "Open")
        opened = page.locator(".cpodLab-page:visible")
        expect(opened.get_by_role("tabpanel")).to_contain_text(name)
        for tab in opened.get_by_role("tab").all():
            tab.click()
            expect(opened.get_by_role("tabpanel")).not_to_be_empty()
            found.append(faults_in_every_theme(page, ".cpodLab-page"))
    assert "\n".join(filter(None, found)) == ""


def test_the_dialogs(page: Page, sidebar: Locator, tmp_path: Path) -> None:
    waiting("runs", tmp_path / "go")
    found = []
    for theme in THEMES:
        wear(page, theme)
        for action in ("Cancel", "Delete"):
            press(row_of(sidebar, "job/runs"), action)
            expect(page.locator(".jp-Dialog")).to_be_visible()
            found += faults(page, ".jp-Dialog-content")
            page.keyboard.press("Escape")
    assert found == []


@pytest.mark.parametrize("kind", ["FineTune", "CPodJob", "Inference"])
def test_the_form(page: Page, sidebar: Locator, kind: str) -> None:
    choose(page, f"New {kind}")
    form = form_of(page)
    form.get_by_role("textbox", name="Name").fill("Not_A_Name")
    form.get_by_text("More", exact=True).last.click()
    expect(form.get_by_role("status").first).to_contain_text("fault")
    assert faults_in_every_theme(page, ".cpodForm-widget") == ""


def test_a_deployments_page(page: Page, sidebar: Locator) -> None:
    with answering("base", "tuned"):
        press(row_of(sidebar, "inference/tuned"), "Chat")
        deployment = page.get_by_role("region", name="Deployment tuned")
        deployment.get_by_text("curl", exact=True).click()
        message = deployment.get_by_label("Message")
        message.fill("hello")
        message.press("Enter")
        expect(deployment.get_by_role("log")).to_contain_text("[1")
        assert faults_in_every_theme(page, ".cpodDeployment-widget") == ""
        deployment.get_by_label("Side by side with").select_option("base")
        message.fill("break")
        message.press("Enter")
        expect(deployment.get_by_role("log").first).to_contain_text("out of memory")
        assert faults_in_every_theme(page, ".cpodDeployment-widget") == "", "side by side"


def test_the_blocks_in_a_notebook(lab: Lab, page: Page, tmp_path: Path) -> None:
    block = begun(lab, page, tmp_path / "go")
    block.get_by_role("button", name="Logs").click()
    block.get_by_role("button", name="YAML").click()
    expect(block.locator(".cpodLab-yaml")).to_contain_text("kind")
    assert faults_in_every_theme(page, ".cpodLab-block") == ""


def test_the_panels_in_a_notebook(lab: Lab, page: Page, namespace: str, tmp_path: Path) -> None:
    waiting("runs", tmp_path / "go")
    head = PANELS.format(namespace=namespace)
    chats = ('chat("tuned", session)', 'compare("base", "tuned", session)')
    shown = ("jobs(session)", 'job("runs", session)', "launcher(session)", *chats)
    with answering("base", "tuned"):
        lab.write("axe-panels.ipynb", *(f"{head}panels.{each}" for each in shown))
        lab.open(page, "axe-panels.ipynb")
        for number in range(len(shown) + 1):
            run(page, number)
        outputs = page.locator(".jp-OutputArea.jp-Cell-outputArea")
        expect(outputs.nth(1).get_by_role("row").filter(has_text="runs")).to_contain_text("Running")
        expect(outputs.nth(5).get_by_role("button").first).to_be_visible()
        assert faults_in_every_theme(page, ".jp-OutputArea-output .jupyter-widgets") == ""


def test_the_block_of_a_failure_in_a_notebook(lab: Lab, page: Page) -> None:
    lab.write("axe-broken.ipynb", BROKEN)
    lab.open(page, "axe-broken.ipynb")
    run(page, 0)
    run(page, 1)
    expect(block_of(page)).to_have_attribute("data-phase", "Failed")
    block_of(page).get_by_text("A cell that mends it").click()
    assert faults_in_every_theme(page, ".cpodLab-block") == ""
