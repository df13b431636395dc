"""The sidebar of cpod and the pages that it opens, in a real browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from acts import row_of, until_kept, waiting, waiting_batch
from lab import SECONDS, Lab
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from cpod_jupyter.api.resources import JOBS
from cpod_jupyter.errors import NotFound
from cpod_jupyter.sdk import Session

expect.set_options(timeout=SECONDS * 1000)

MANY = 10_000


def test_a_job_of_somebody_else_is_seen_live_opened_by_keys_and_its_page_outlives_a_reload(
    lab: Lab, page: Page, sidebar: Locator, namespace: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    jobs = sidebar.get_by_role("grid", name="Jobs")
    expect(jobs).to_have_attribute("aria-rowcount", "0")
    waiting("facts", go)
    waiting("other", go)
    row = row_of(sidebar, "job/facts")
    expect(row).to_have_attribute("data-phase", "Running")
    expect(row.locator(".cpodLab-status svg")).to_have_attribute("data-tone", "busy")
    expect(page.get_by_role("tab", name="cpod: 2 jobs run")).to_be_visible()
    sidebar.get_by_label("Filter Jobs by text").fill("FACTS")
    expect(jobs).to_have_attribute("aria-rowcount", "1")
    jobs.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    block = page.locator(".cpodLab-page .cpodLab-block")
    expect(block).to_have_attribute("data-phase", "Running")
    until_kept(page, lab, namespace, "cpod-page")

    page.reload()
    expect(block).to_have_attribute("data-phase", "Running")
    opened = page.locator(".cpodLab-page")
    opened.get_by_role("tab", name="Log").click()
    expect(opened.get_by_role("log")).to_contain_text("it waits")
    opened.get_by_role("tab", name="YAML").click()
    expect(opened.locator(".cpodLab-yaml")).to_contain_text("kind: CPodJob")
    opened.get_by_role("tab", name="Events").click()
    expect(opened.get_by_role("table")).to_contain_text("facts")
    opened.get_by_role("tab", name="Overview").click()
    expect(row).to_have_attribute("data-phase", "Running")  # the sidebar is where it was
    go.touch()
    expect(block).to_have_attribute("data-phase", "Succeeded")
    expect(row).to_have_attribute("data-phase", "Succeeded")
    page.locator(".jp-Notification-Status").get_by_role("button").click()
    expect(page.get_by_text("job facts: Succeeded")).to_be_visible()


def test_a_job_is_cancelled_run_again_and_deleted_from_the_list(page: Page, sidebar: Locator, tmp_path: Path) -> None:
    waiting_batch("facts", tmp_path / "go")
    row = row_of(sidebar, "batchjob/facts")
    expect(row).to_have_attribute("data-phase", "Running")
    row.click(button="right")
    page.get_by_role("menuitem", name="Cancel").click()
    page.get_by_role("button", name="Let it run").click()
    assert Session().get(JOBS, "facts").status.phase == "Running"
    row.hover()
    row.get_by_role("button", name="Cancel: facts").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(row).to_have_attribute("data-phase", "Suspended")

    row.get_by_role("button", name="Run again: facts").click()
    jobs = sidebar.get_by_role("grid", name="Jobs")
    expect(jobs).to_have_attribute("aria-rowcount", "2")
    expect(page.locator(".cpodLab-page .cpodLab-block")).to_have_attribute("data-phase", "Running")

    row.click()
    jobs.focus()
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Delete it").click()
    expect(row).to_have_count(0)
    expect(jobs).to_have_attribute("aria-rowcount", "1")
    with pytest.raises(NotFound):
        Session().get(JOBS, "facts")


def test_ten_thousand_jobs_are_scrolled_filtered_and_reached_by_keys(lab: Lab, page: Page) -> None:
    """A cluster with as many jobs is not at hand: what it would send is put into the page's socket."""
    page.route_web_socket(re.compile("/cpod/stream"), crowded)
    page.goto(lab.url("lab/workspaces/crowd"))
    page.get_by_role("tab", name=re.compile("cpod")).click()
    jobs = page.locator("#cpod-sidebar").get_by_role("grid", name="Jobs")
    expect(jobs).to_have_attribute("aria-rowcount", str(MANY))
    drawn = jobs.get_by_role("row")
    assert drawn.count() < 60
    jobs.hover()
    page.mouse.wheel(0, 46 * 5000)
    expect(jobs.locator('[aria-rowindex="5001"]')).to_be_visible()
    assert drawn.count() < 60
    jobs.focus()
    page.keyboard.press("End")
    expect(jobs.locator('[aria-selected="true"]')).to_have_attribute("aria-rowindex", str(MANY))
    page.get_by_label("Filter Jobs by text").fill("job-77 ")
    expect(jobs).to_have_attribute("aria-rowcount", "111")  # 77, 77x, 77xx
    expect(drawn.first).to_be_visible()


def crowded(route: WebSocketRoute) -> None:
    """Answers as the server does for a namespace with very many jobs."""

    def heard(text: str | bytes) -> None:
        message = json.loads(text)
        if "list" in message:
            rows = [line(number) for number in range(MANY)] if message["list"]["kind"] == "jobs" else []
            route.send(json.dumps({"id": message["subscribe"], "rows": rows, "trouble": ""}))

    route.on_message(heard)


def line(number: int) -> dict[str, Any]:
    return {
        "kind": "job",
        "name": f"job-{number}",
        "namespace": "default",
        "phase": "Running" if number % 3 else "Failed",
        "tone": "busy" if number % 3 else "bad",
        "final": not number % 3,
        "created": f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z",
        "gpus": "8 A100" if number % 2 else "",
        "detail": "general, python",
        "reason": "",
    }


def test_sections_that_are_closed_and_opened_in_any_order_have_room(page: Page, sidebar: Locator) -> None:
    """A section that comes back had the height of a line or none, for the others had taken it."""
    page.set_viewport_size({"width": 1200, "height": 760})
    for name in ("Jobs", "Deployments", "Cluster", "Jobs", "Deployments", "Cluster"):
        sidebar.locator(".jp-AccordionPanel-title", has_text=name).click()
    for name in ("Jobs", "Deployments"):
        shown = sidebar.get_by_role("grid", name=name)
        expect(shown).to_be_visible()
        box = shown.bounding_box()
        assert box is not None
        assert box["height"] > 40, f"{name} has no room for a row"
