"""The page of a job, in a real browser: curves of several runs, a log of a million lines, and both after a reload."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from acts import row_of
from lab import SECONDS, Lab
from playwright.sync_api import Locator, Page, expect
from test_browser_block import training

from cpod_jupyter.jupyter.magics.written import manifest_of
from cpod_jupyter.sdk import Session

expect.set_options(timeout=SECONDS * 1000)

LEARNS = """
import json, pathlib, sys, time
rate, go = float(sys.argv[1]), pathlib.Path(sys.argv[2])
for step in range(1, 201):
    if step == 151:
        sys.stdout.flush()
        while not go.exists(): time.sleep(0.05)
    record = {"type": "metrics", "step": step, "total_steps": 200, "epoch": step / 100, "loss": 4 * rate ** step + 0.2,
              "learning_rate": 1e-4 * (1 - step / 201), "tokens_per_second": 900 + step % 7}
    if step % 20 == 0:
        record["eval_loss"] = record["loss"] * 1.2
    print("@cpod " + json.dumps(record))
"""
MANY = 1_000_000
WRITES = f"""
import sys
pad = "x" * 100
for start in range(0, {MANY}, 1000):
    sys.stdout.write("".join(
        f"step {{n}} of {MANY}: loss {{1 / (n + 1):.6f}} {{'NaN found' if n == 654321 else pad}}\\n"
        for n in range(start, start + 1000)))
"""


def learning(name: str, rate: float, go: Path) -> None:
    Session().job(name, image="python", command=["python", "-c", LEARNS, str(rate), str(go)])


def opened(page: Page, sidebar: Locator, title: str, tab: str) -> Locator:
    """The page of a job, opened from the list, at a tab."""
    row_of(sidebar, title).click()
    expect(row_of(sidebar, title)).to_have_attribute("aria-selected", "true")
    sidebar.get_by_role("grid", name="Jobs").press("Enter")
    found = page.locator(".cpodLab-page:visible")
    found.get_by_role("tab", name=tab).click()
    return found


def layout(lab: Lab, workspace: str) -> dict[str, Any]:
    """What is kept of the pages of a workspace, by their keys."""
    with urllib.request.urlopen(lab.url(f"lab/api/workspaces/{workspace}"), timeout=SECONDS) as answer:
        data = json.load(answer)["data"]
    return {key: value["data"] for key, value in data.items() if key.startswith("cpod-page:")}


def kept(lab: Lab, page: Page, workspace: str, **view: Any) -> None:
    """Waits until a page is kept that looks at its metrics in this way."""
    until = 100
    while not any(
        view.items() <= entry.get("kept", {}).get("metrics", {}).items() for entry in layout(lab, workspace).values()
    ):
        until -= 1
        assert until, f"the layout is not saved: {layout(lab, workspace)}"
        page.wait_for_timeout(200)


def test_runs_are_compared_zoomed_into_and_there_again_after_a_reload(
    lab: Lab, page: Page, sidebar: Locator, namespace: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    learning("facts", 0.98, go)
    learning("other", 0.95, go)
    learning("third", 0.97, go)
    opened_page = opened(page, sidebar, "job/facts", "Metrics")
    plot = opened_page.get_by_role("img")
    values = opened_page.get_by_role("table", name="Values by run")
    expect(plot).to_have_accessible_name(
        "Loss and evaluation loss by Step. facts, Loss: first 4.12 (Step 1), last 0.3932 (Step 150), lowest 0.3932 "
        "(Step 150). facts, Evaluation loss: first 3.445 (Step 20), last 0.5237 (Step 140), lowest 0.5237 (Step 140)."
    )
    opened_page.get_by_role("combobox", name="Metric").select_option("loss")
    opened_page.get_by_label("Compare with").select_option("job/other")
    opened_page.get_by_label("Compare with").select_option("job/third")
    other = values.locator('[data-run="job/other"]')
    expect(other).to_contain_text("0.2018 (step 150)")
    expect(values.locator('[data-run="job/third"]')).to_contain_text("(step 150)")
    expect(values.locator("tbody tr")).to_have_count(3)
    expect(plot).to_have_accessible_name(re.compile("other: first 4 .* third: first"))
    dashes = values.locator("svg line").evaluate_all(
        "found => found.map(each => each.getAttribute('stroke-dasharray'))"
    )
    assert len(set(dashes)) == 3

    box = plot.locator(".u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    expect(values.get_by_role("columnheader", name=re.compile("^Step 7[56]$"))).to_be_visible()
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 80, steps=5)
    page.mouse.up()
    whole = opened_page.get_by_role("button", name="Whole curve")
    expect(whole).to_be_enabled()
    page.mouse.move(box["x"] + 1, box["y"] + 60)
    expect(values.get_by_role("columnheader", name=re.compile("^Step 7[5-7]$"))).to_be_visible()  # what is leftmost now
    opened_page.get_by_label("Log scale").check()
    opened_page.get_by_role("button", name="Remove job/third").click()
    kept(lab, page, namespace, metric="loss", log=True, runs=[{"kind": "job", "name": "other"}])

    page.reload()
    expect(opened_page.get_by_role("tab", name="Metrics")).to_have_attribute("aria-selected", "true")
    expect(values.locator("tbody tr")).to_have_count(2)
    expect(other).to_contain_text("0.2018 (step 150)")
    expect(opened_page.get_by_label("Log scale")).to_be_checked()
    expect(opened_page.get_by_role("combobox", name="Metric")).to_have_value("loss")
    expect(whole).to_be_enabled()
    go.touch()  # and it goes on
    expect(other).to_contain_text("(step 200)")
    plot.locator(".u-over").dblclick()
    expect(whole).to_be_disabled()


@pytest.mark.slow
def test_a_log_of_a_million_lines_is_scrolled_searched_and_followed(
    lab: Lab, page: Page, sidebar: Locator, namespace: str
) -> None:
    Session().job("facts", image="python", command=["python", "-c", WRITES]).wait(timeout=3 * SECONDS)
    found = opened(page, sidebar, "job/facts", "Log")
    log = found.get_by_role("log")
    expect(found.locator(".cpodLog")).to_contain_text("1,000,000 lines", timeout=2 * SECONDS * 1000)
    lines = log.locator(".cpodLog-line")

    def drawn(number: int) -> Locator:
        assert lines.count() < 200
        return log.locator(f'[data-number="{number}"]')

    expect(drawn(MANY)).to_be_in_viewport()  # it follows
    expect(drawn(MANY)).to_contain_text("step 999999 of 1000000")
    log.evaluate("box => { box.scrollTop = (box.scrollHeight - box.clientHeight) / 2 }")
    expect(lines.first).to_have_attribute("data-number", re.compile("^(499|500)"))
    expect(found.get_by_role("button", name="Follow the end")).to_have_attribute("aria-pressed", "false")
    before = int(lines.first.get_attribute("data-number") or 0)
    log.hover()
    page.mouse.wheel(0, 180)
    expect(lines.first).to_have_attribute("data-number", str(before + 10))

    log.focus()
    page.keyboard.press("Control+f")
    expect(found.get_by_label("Find in the log")).to_be_focused()
    page.keyboard.type("nan FOUND")
    expect(drawn(654_322)).to_be_in_viewport()
    expect(drawn(654_322).locator("mark")).to_have_text("NaN found")
    expect(found.get_by_role("search")).to_contain_text("1 of 1 matching lines")
    found.get_by_role("button", name="Regular expression").click()
    found.get_by_label("Find in the log").fill(r"step \d*777 of")
    expect(found.get_by_role("search")).to_contain_text("of 1,000 matching lines")
    expect(drawn(654_778)).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(drawn(655_778)).to_be_in_viewport()
    page.keyboard.press("Shift+Enter")
    expect(drawn(654_778)).to_have_attribute("aria-current", "true")
    found.get_by_label("Find in the log").fill("step (")
    expect(found.get_by_role("search")).to_contain_text("no regular expression")

    log.focus()
    page.keyboard.press("End")
    expect(drawn(MANY)).to_be_in_viewport()
    expect(found.get_by_role("button", name="Follow the end")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("PageUp")
    expect(found.get_by_role("button", name="Follow the end")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Home")
    expect(drawn(1)).to_be_in_viewport()
    begin, end = (drawn(number).locator(".cpodLog-text").bounding_box() for number in (1, 2))
    assert begin is not None
    assert end is not None
    page.mouse.move(begin["x"] + 1, begin["y"] + 9)
    page.mouse.down()
    page.mouse.move(end["x"] + 300, end["y"] + 9, steps=5)
    page.mouse.up()
    copied = page.evaluate("getSelection().toString()").split("\n")
    assert [line[:6] for line in copied] == ["step 0", "step 1"]
    assert log.get_attribute("aria-live") == "off"


def test_the_log_of_one_rank_is_looked_at_alone(
    lab: Lab, page: Page, sidebar: Locator, namespace: str, tmp_path: Path
) -> None:
    Session().apply(manifest_of(training(tmp_path / "go")))
    found = opened(page, sidebar, "pytorchjob/facts", "Log")
    log = found.get_by_role("log")
    expect(found.locator(".cpodLog")).to_contain_text("123 lines so far")  # whichever rank's came last
    found.get_by_label("Rank").select_option("worker-0")
    expect(log.locator(".cpodLog-line")).to_have_count(30)
    expect(log).not_to_contain_text("rank 0")
    with page.expect_download() as saved:
        found.get_by_role("button", name="Download the log of worker-0").click()
    assert Path(saved.value.path()).read_text().count("rank 1 has done") == 30
    (tmp_path / "go").touch()
    expect(found.locator(".cpodLog")).not_to_contain_text("so far")
