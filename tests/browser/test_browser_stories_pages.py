"""What goes on around a page: another tab, a Jupyter that is started anew, an engine that was away."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from acts import press, row_of, waiting, waiting_batch
from answering import answering
from lab import SECONDS, Lab
from playwright.sync_api import Browser, Locator, Page, expect
from whole_engine import whole_engine

from cpod_jupyter import local
from cpod_jupyter.api.resources import CPODJOBS
from cpod_jupyter.sdk import Session

expect.set_options(timeout=SECONDS * 1000)


def open_sidebar(lab: Lab, page: Page, workspace: str, namespace: str) -> Locator:
    page.goto(lab.url(f"lab/workspaces/{workspace}"))
    expect(page.get_by_role("tab", name="Launcher")).to_be_visible()
    page.get_by_role("tab", name=re.compile("cpod")).click()
    found = page.locator("#cpod-sidebar")
    found.get_by_label("Context").select_option("engine")
    found.get_by_label("Namespace").select_option(namespace)
    return found


def connections(lab: Lab, port: int) -> int:
    """From Jupyter's server to the engine's."""
    found = psutil.Process(lab.pid).net_connections("tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED and each.raddr.port == port for each in found)


def test_what_one_tab_does_another_shows_and_the_cluster_is_not_watched_twice(
    lab: Lab, browser: Browser, page: Page, sidebar: Locator, namespace: str, tmp_path: Path
) -> None:
    waiting_batch("facts", tmp_path / "go")
    expect(row_of(sidebar, "batchjob/facts")).to_have_attribute("data-phase", "Running")
    engine = local.find()
    assert engine is not None
    port = int(engine.url.rsplit(":", 1)[1])
    alone = connections(lab, port)
    assert alone > 5, "one for each kind of job, at least"
    second = browser.new_page()
    other = open_sidebar(lab, second, f"{namespace}-other", namespace)
    expect(row_of(other, "batchjob/facts")).to_have_attribute("data-phase", "Running")
    assert connections(lab, port) < alone + 5, "watches are shared"
    press(row_of(other, "batchjob/facts"), "Open")
    press(row_of(sidebar, "batchjob/facts"), "Cancel")
    page.get_by_role("button", name="Cancel it").click()
    for each in (sidebar, other):
        expect(row_of(each, "batchjob/facts")).to_have_attribute("data-phase", "Suspended")
    opened = second.get_by_role("region", name="batchjob/facts")
    expect(opened.locator(".cpodLab-block")).to_have_attribute("data-phase", "Suspended")
    press(row_of(other, "batchjob/facts"), "Delete")
    second.get_by_role("button", name="Delete it").click()
    expect(row_of(sidebar, "batchjob/facts")).to_have_count(0)
    second.close()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A JupyterLab and an engine that a test may stop."""
    home = tmp_path / "home"
    for key, value in {"CPOD_HOME": str(home), "CPOD_CONTEXT": "engine", "CPOD_NAMESPACE": "default"}.items():
        monkeypatch.setenv(key, value)
    with whole_engine(home), Lab(tmp_path, dict(os.environ)) as found:
        yield found


def test_a_list_and_a_page_heal_when_jupyter_and_then_the_engine_are_started_anew(
    own: Lab, page: Page, tmp_path: Path
) -> None:
    waiting("facts", tmp_path / "go")
    sidebar = open_sidebar(own, page, "heals", "default")
    row = row_of(sidebar, "job/facts")
    expect(row).to_have_attribute("data-phase", "Running")
    press(row, "Open")
    opened = page.get_by_role("region", name="job/facts")
    expect(opened.locator(".cpodLab-block")).to_have_attribute("data-phase", "Running")

    # JupyterLab says so too, in a dialog, when it happens to ask while nobody answers; whoever sees it closes it.
    lost = page.get_by_role("dialog", name=re.compile("Server Connection Error"))
    page.add_locator_handler(lost, lambda: lost.get_by_role("button", name="Close", exact=True).click())
    own.stop()
    expect(sidebar.get_by_text("Jupyter does not answer")).not_to_have_count(0)
    Session().job("meanwhile", image="python", command=["true"]).wait(SECONDS)
    own.start()
    expect(row_of(sidebar, "job/meanwhile")).to_have_attribute("data-phase", "Succeeded")
    expect(page.get_by_text("Jupyter does not answer")).to_have_count(0)

    local.stop()
    start = sidebar.get_by_role("button", name="Start the engine")
    expect(start.first).to_be_visible()
    (tmp_path / "go").touch()
    start.first.click()
    expect(row).to_have_attribute("data-phase", "Succeeded")
    expect(opened.locator(".cpodLab-block")).to_have_attribute("data-phase", "Succeeded")
    expect(sidebar.locator(".cpodLab-trouble")).to_have_count(0)
    expect(start).to_have_count(0)
    assert Session().get(CPODJOBS, "facts").status.phase == "Succeeded"


def test_a_deployment_is_chatted_with_from_its_row_and_a_job_run_again(page: Page, sidebar: Locator) -> None:
    with answering("tuned"):
        press(row_of(sidebar, "inference/tuned"), "Chat")
        chat = page.get_by_role("region", name="Deployment tuned")
        chat.get_by_label("Message").fill("hello")
        chat.get_by_role("button", name="Send").click()
        expect(chat.get_by_role("log")).to_contain_text("begun [1")
        expect(chat.locator(".cpodDeployment-url")).to_contain_text("http")
    expect(row_of(sidebar, "inference/tuned")).to_have_count(0)
