"""The story: somebody who has never seen a manifest fine-tunes, follows, deploys and chats, from the sidebar alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from acts import form_of, press, row_of
from lab import SECONDS
from playwright.sync_api import Locator, Page, expect
from tiny_model import WORDS, rows, tiny_model

from cpod_jupyter.sdk import Session

__all__ = ["tiny_model"]

expect.set_options(timeout=SECONDS * 1000)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_newcomer_fine_tunes_follows_deploys_and_chats_from_the_sidebar_alone(
    page: Page, sidebar: Locator, tiny_model: Path, tmp_path: Path
) -> None:
    Session().model("boat-base", modelname=tiny_model.as_uri())
    Session().dataset("boat", datasetname=str(rows(tmp_path / "boat.jsonl")))
    sidebar.get_by_role("button", name="Fine-tune a model").click()
    form = form_of(page)
    pick(page, form.get_by_role("combobox", name="Model"), "boat-base")
    pick(page, form.get_by_role("combobox", name="Dataset"), "boat")
    form.get_by_role("textbox", name="Name").fill("boat-tune")
    form.get_by_label("Finetune type").select_option("full")
    form.get_by_label("Epochs").fill("400")
    form.get_by_label("Batch size").fill("6")
    form.get_by_label("Learning rate", exact=True).fill("0.003")
    verdict = form.get_by_role("region", name="Verdict")
    expect(verdict.get_by_role("status").first).to_have_text("Ready to be submitted")
    expect(verdict.get_by_role("table")).to_contain_text("ModelStorage boat-tune")
    form.get_by_role("button", name="Submit").click()

    row = row_of(sidebar, "finetune/boat-tune")
    expect(row).to_be_visible()
    job = page.get_by_role("region", name="finetune/boat-tune")
    expect(job.locator(".cpodLab-block")).to_have_attribute("data-phase", "Running")
    expect(job.locator(".cpodLab-curve")).to_be_visible()
    expect(job.locator(".cpodLab-block")).to_have_attribute("data-phase", "Succeeded", timeout=200_000)
    expect(row).to_have_attribute("data-phase", "Succeeded")
    job.get_by_role("button", name="Deploy").click()

    deployments = sidebar.get_by_role("grid", name="Deployments")
    deployed = deployments.get_by_role("row").first
    expect(deployed).to_have_attribute("data-phase", "Ready", timeout=120_000)
    press(deployed, "Chat")
    chat = page.get_by_role("region", name="Chat")
    chat.get_by_label("Temperature").fill("0")
    chat.get_by_label("Message").fill(WORDS[0])
    chat.get_by_role("button", name="Send").click()
    expect(chat.get_by_role("log")).to_contain_text(WORDS[1])


def pick(page: Page, control: Locator, name: str) -> None:
    """Take what the list that a field drops down has; the browser draws that list where no test can press."""
    options = page.locator(f"datalist[id='{control.get_attribute('list')}'] option")
    expect(options.and_(page.locator(f"[value='{name}']"))).to_be_attached()
    control.fill(name)
