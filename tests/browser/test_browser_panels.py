"""The panels in JupyterLab, in a real browser."""

from __future__ import annotations

from pathlib import Path

from lab import Lab, run
from playwright.sync_api import Page, expect
from test_browser_block import training

from cpod_jupyter.sdk import Session

PANELS = "from cpod_jupyter import Session, panels\nsession = Session(namespace={namespace!r})\n"


def test_the_list_the_job_and_the_form_work_in_a_notebook(lab: Lab, page: Page, namespace: str, tmp_path: Path) -> None:
    head = PANELS.format(namespace=namespace)
    detached = training(tmp_path / "go").replace("facts\n", "facts --detach\n", 1)
    name = f"{tmp_path.name}.ipynb"
    lab.write(name, detached, f"{head}panels.jobs(session)", 'panels.job("facts", session)', "panels.launcher(session)")
    lab.open(page, name)
    for number in range(5):
        run(page, number)
    outputs = page.locator(".jp-OutputArea.jp-Cell-outputArea")
    listing, job, form = outputs.nth(2), outputs.nth(3), outputs.nth(4)
    expect(listing.get_by_role("row").filter(has_text="facts")).to_contain_text("Running")
    expect(job.get_by_role("status")).to_contain_text("Running")
    job.get_by_role("button", name="Logs").click()
    expect(job.get_by_role("log")).to_contain_text("rank 1 has done step 30")
    job.get_by_placeholder("Filter the log").fill("step 7 ")
    expect(job.get_by_role("log")).not_to_contain_text("step 30")
    (tmp_path / "go").touch()
    expect(job.get_by_role("status")).to_contain_text("Succeeded")
    expect(listing.get_by_role("row").filter(has_text="facts")).to_contain_text("Succeeded")
    listing.get_by_label("Object").select_option("pytorchjob/facts")
    listing.get_by_role("button", name="Logs").click()
    expect(listing.get_by_role("log")).to_contain_text("has done step")
    form.get_by_label("Kind").select_option("job")
    form.get_by_label("Name").fill("formed")
    form.get_by_label("image", exact=True).fill("python")
    form.get_by_label("command", exact=True).fill("[python, -c, print(1)]")
    form.get_by_role("button", name="Check").click()
    expect(form).to_contain_text("checked; nothing was submitted")
    form.get_by_role("button", name="Submit").click()
    expect(form.get_by_role("status")).to_contain_text("Succeeded")
    assert list(Session().get("job", "formed").logs()) == ["1"]
