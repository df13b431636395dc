"""The form for new objects in JupyterLab, in a real browser: filled in by keyboard, submitted, and put into a cell."""

from __future__ import annotations

import json
import re

from lab import SECONDS, Lab, choose, run, save
from playwright.sync_api import Locator, Page, expect

from cpod_jupyter.api.resources import CPODJOBS
from cpod_jupyter.sdk import Session

expect.set_options(timeout=SECONDS * 1000)

MOST_TABS = 80
"""Stops from one control of the form to another, at most."""


def form_of(page: Page) -> Locator:
    return page.locator(".cpodForm:visible")


def tab_to(page: Page, control: Locator) -> None:
    for _ in range(MOST_TABS):
        if control.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("the keyboard does not get there")


def write(page: Page, control: Locator, text: str) -> None:
    """Go to a control by keyboard and write into it."""
    tab_to(page, control)
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


def test_a_job_is_made_by_keyboard_alone_judged_and_submitted(lab: Lab, page: Page, namespace: str) -> None:
    lab.write("keyboard.ipynb")
    lab.open(page, "keyboard.ipynb")
    choose(page, "New CPodJob")
    form = form_of(page)
    expect(form.get_by_label("Kind")).to_be_focused()
    image = form.get_by_label("Image")
    expect(image).to_be_visible()
    write(page, form.get_by_label("Name", exact=False).first, "Not_A_Name")
    write(page, form.get_by_label("Namespace"), namespace)
    expect(form.get_by_role("status").first).to_have_text("2 faults")
    name = form.get_by_label("Name", exact=False).first
    expect(name).to_have_accessible_description(re.compile("Not_A_Name"))
    expect(image).to_have_attribute("aria-invalid", "true")
    expect(image).to_have_accessible_description("Container image. is required")
    page.keyboard.press("Shift+Tab")  # back to the context, and to the name
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type("by-keyboard")
    write(page, image, "python")
    for word in ("python", "-c", "print('made in', 'the form: #1')"):
        tab_to(page, form.get_by_role("button", name="Add to Command"))
        page.keyboard.press("Enter")
        page.keyboard.type(word)
    expect(form.get_by_role("status").first).to_have_text("Ready to be submitted")
    tab_to(page, form.get_by_role("button", name="Submit"))
    page.keyboard.press("Enter")
    expect(page.locator(".cpodForm-ends [role=status]")).to_have_text("job/by-keyboard: created")
    job = Session().get(CPODJOBS, "by-keyboard")
    job.wait(timeout=SECONDS)
    assert "made in the form: #1" in list(job.logs())


def test_a_form_becomes_a_cell_that_runs_and_a_cell_a_form(lab: Lab, page: Page, namespace: str) -> None:
    lab.write("cell.ipynb")
    lab.open(page, "cell.ipynb")
    run(page, 0)
    choose(page, "New CPodJob")
    form = form_of(page)
    form.get_by_label("Namespace").fill(namespace)
    form.get_by_label("Name", exact=False).first.fill("from-a-cell")
    form.get_by_label("Image").fill("python")
    for at, word in enumerate(("python", "-c", "print('yes')\nprint('no')"), start=1):
        form.get_by_role("button", name="Add to Command").click()
        form.get_by_label(f"Command {at}", exact=True).fill(word)
    expect(form.get_by_role("status").first).to_have_text("Ready to be submitted")
    form.get_by_role("button", name="Insert as cell").click()
    cell = page.locator(".jp-CodeCell").nth(1)
    expect(cell.locator(".cm-content")).to_contain_text("%%cpod job from-a-cell")
    run(page, 1)
    expect(page.locator(".cpodLab-block")).to_have_attribute("data-phase", "Succeeded")
    assert list(Session().get(CPODJOBS, "from-a-cell").logs()) == ["yes", "no"]
    cell.locator(".cm-content").click()
    choose(page, "Open the %%cpod cell in the form")
    reopened = form_of(page)
    expect(reopened.get_by_label("Image")).to_have_value("python")
    expect(reopened.get_by_label("Name", exact=False).first).to_have_value("from-a-cell")
    expect(reopened.get_by_label("Namespace")).to_have_value(namespace)
    expect(reopened.get_by_label("Command 3", exact=True)).to_have_value("print('yes')\nprint('no')")


def test_comments_of_a_cell_stay_when_it_goes_through_the_form(lab: Lab, page: Page, namespace: str) -> None:
    lab.write(
        "comments.ipynb", f"%%cpod job commented -n {namespace}\n# small\nimage: python  # 3.11\ncommand: [echo, one]"
    )
    lab.open(page, "comments.ipynb")
    page.locator(".jp-CodeCell .cm-content").last.click()
    choose(page, "Open the %%cpod cell in the form")
    form = form_of(page)
    form.get_by_label("Command 2", exact=True).fill("two")
    shown = "  # small\n  image: python # 3.11\n  command: [echo, two]\n"
    expect(form.locator(".cpodForm-manifest")).to_have_text(re.compile(re.escape(shown)))
    expect(form.get_by_role("status").first).to_have_text("Ready to be submitted")
    form.get_by_role("button", name="Insert as cell").click()
    expect(page.locator(".jp-CodeCell")).to_have_count(3)
    save(page)
    cells = json.loads((lab.folder / "comments.ipynb").read_text())["cells"]
    line, _, body = "".join(cells[2]["source"]).partition("\n")
    assert line.startswith("%%cpod job commented")
    assert body == "# small\nimage: python # 3.11\ncommand: [echo, two]\n"
