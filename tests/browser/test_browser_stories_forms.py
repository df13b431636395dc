"""The form over a reload, and between a cell, a row and the cluster; from the palette to a job by keys alone."""

from __future__ import annotations

import json
import re

from acts import form_of, press, row_of, until_kept
from lab import SECONDS, Lab, choose, run, save
from playwright.sync_api import Locator, Page, expect

from cpod_jupyter.api.resources import CPODJOBS
from cpod_jupyter.sdk import Session

expect.set_options(timeout=SECONDS * 1000)


def test_what_is_typed_into_a_form_is_there_after_each_reload_once(
    lab: Lab, page: Page, sidebar: Locator, namespace: str
) -> None:
    choose(page, "New CPodJob")
    form_of(page).get_by_role("textbox", name="Name").fill("typed-before")
    form_of(page).get_by_label("Image").fill("python")
    choose(page, "New Inference")  # of which nothing is filled in
    expect(page.get_by_role("tab", name="New Inference")).to_be_visible()
    until_kept(page, lab, namespace, "typed-before")
    until_kept(page, lab, namespace, "inference")
    for word in ("once", "twice"):
        page.reload()
        page.get_by_role("tab", name="New CPodJob").click()
        form = form_of(page)
        expect(form.get_by_role("textbox", name="Name")).to_have_value(re.compile("typed"))
        expect(form.get_by_label("Image")).to_have_value("python")
        expect(page.get_by_role("tab", name=re.compile("New (CPodJob|Inference)"))).to_have_count(2)
        page.get_by_role("tab", name="New Inference").click()
        expect(form_of(page).get_by_role("status").first).to_have_text("Fields with a * are needed.")
        page.get_by_role("tab", name="New CPodJob").click()
        form.get_by_role("textbox", name="Name").fill(f"typed-{word}")
        until_kept(page, lab, namespace, f"typed-{word}")


def test_a_form_that_comes_back_while_jupyters_cluster_is_away_keeps_what_was_typed(
    lab: Lab, page: Page, sidebar: Locator, namespace: str
) -> None:
    choose(page, "New CPodJob")
    form_of(page).get_by_role("textbox", name="Name").fill("typed-before")
    until_kept(page, lab, namespace, "typed-before")
    page.route(re.compile("/cpod/schema"), lambda route: route.abort())
    page.reload()
    expect(form_of(page).get_by_role("alert")).to_be_visible()
    page.unroute(re.compile("/cpod/schema"))
    page.reload()
    expect(form_of(page).get_by_role("textbox", name="Name")).to_have_value("typed-before")


def test_a_cell_is_opened_in_the_form_changed_and_put_back_where_it_was(lab: Lab, page: Page, namespace: str) -> None:
    lab.write("back.ipynb", "%%cpod job there\nimage: python\ncommand: [echo, one]  # what it says", "print('after')")
    lab.open(page, "back.ipynb")
    run(page, 0)
    page.locator(".jp-CodeCell .cm-content").nth(1).click()
    choose(page, "Open the %%cpod cell in the form")
    form = form_of(page)
    form.get_by_label("Command 2", exact=True).fill("two")
    expect(form.get_by_role("status").first).to_have_text("Ready to be submitted")
    form.get_by_role("button", name="Put back into the cell").click()
    cell = page.locator(".jp-CodeCell").nth(1)
    expect(cell.locator(".cm-content")).to_contain_text("two")
    run(page, 1)
    expect(page.locator(".cpodLab-block")).to_have_attribute("data-phase", "Succeeded")
    assert list(Session().get(CPODJOBS, "there").logs()) == ["two"]
    save(page)
    cells = json.loads((lab.folder / "back.ipynb").read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    assert sources[2:] == ["print('after')"]
    assert "# what it says" in sources[1]


def test_a_job_is_cloned_into_the_form_from_its_row_and_submitted_under_another_name(
    page: Page, sidebar: Locator
) -> None:
    Session().job("first", image="python", command=["echo", "one"]).wait(SECONDS)
    press(row_of(sidebar, "job/first"), "Clone into the form")
    form = form_of(page)
    expect(form.get_by_label("Command 2", exact=True)).to_have_value("one")
    form.get_by_label("Command 2", exact=True).fill("two")
    form.get_by_role("textbox", name="Name").fill("second")
    expect(form.get_by_role("status").first).to_have_text("Ready to be submitted")
    form.get_by_role("button", name="Submit").click()
    expect(row_of(sidebar, "job/second")).to_have_attribute("data-phase", "Succeeded")
    assert list(Session().get(CPODJOBS, "second").logs()) == ["two"]


def test_from_the_palette_to_a_running_job_and_its_page_without_a_mouse(lab: Lab, page: Page, namespace: str) -> None:
    page.goto(lab.url(f"lab/workspaces/{namespace}"))
    expect(page.get_by_role("tab", name="Launcher")).to_be_visible()
    choose(page, "Show jobs")
    sidebar = page.locator("#cpod-sidebar")
    expect(sidebar.get_by_role("grid", name="Jobs")).to_be_focused()
    back_to(page, sidebar.get_by_label("Namespace"))
    page.keyboard.type(namespace)
    expect(sidebar.get_by_label("Namespace")).to_have_value(namespace)
    choose(page, "New CPodJob")
    form = form_of(page)
    expect(form.get_by_label("Namespace")).to_have_value(namespace)
    on_to(page, form.get_by_role("textbox", name="Name"))
    page.keyboard.type("by-keys")
    on_to(page, form.get_by_label("Image"))
    page.keyboard.type("python")
    for word in ("echo", "by keys"):
        on_to(page, form.get_by_role("button", name="Add to Command"))
        page.keyboard.press("Enter")
        page.keyboard.type(word)
    expect(form.get_by_role("status").first).to_have_text("Ready to be submitted")
    on_to(page, form.get_by_role("button", name="Submit"))
    page.keyboard.press("Enter")
    opened = page.get_by_role("region", name="job/by-keys")
    expect(opened.locator(".cpodLab-block")).to_have_attribute("data-phase", "Succeeded")
    choose(page, "Show jobs")
    page.keyboard.press("ArrowDown")
    expect(row_of(sidebar, "job/by-keys")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Delete")
    expect(page.get_by_role("button", name="Delete it")).to_be_visible()
    on_to(page, page.get_by_role("button", name="Delete it"))
    page.keyboard.press("Enter")
    expect(row_of(sidebar, "job/by-keys")).to_have_count(0)


def on_to(page: Page, control: Locator, key: str = "Tab") -> None:
    """Go to a control as somebody without a mouse does."""
    for _ in range(80):
        if control.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press(key)
    raise AssertionError("the keyboard does not get there")


def back_to(page: Page, control: Locator) -> None:
    on_to(page, control, "Shift+Tab")
