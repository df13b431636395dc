"""The sidebar's section about where one works, the settings and the launcher's cards, in a real browser."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import SECONDS, Lab, choose
from playwright.sync_api import Locator, Page, expect

from cpod_jupyter import local
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CPODJOBS, NODES, PODS
from cpod_jupyter.client.client import Client
from cpod_jupyter.errors import NotFound
from cpod_jupyter.sdk import Session

expect.set_options(timeout=SECONDS * 1000)

WAITS = "import pathlib, time\nwhile not pathlib.Path({go!r}).exists(): time.sleep(0.05)\nprint('it goes on')"
GPU = "nvidia.com/gpu"


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A JupyterLab with an engine of its own, which does not run yet; both are gone afterwards."""
    home = tmp_path_factory.mktemp("home")
    environment = {"CPOD_HOME": str(home), "CPOD_CONTEXT": "engine", "CPOD_NAMESPACE": "default"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    try:
        with Lab(tmp_path_factory.mktemp("lab"), environment) as found:
            yield found
        _emptied(Client.from_kubeconfig(local.ensure().kubeconfig))
    finally:
        local.stop()


def _emptied(client: Client) -> None:
    """Leave nothing running: a pod outlives its engine."""
    for resource in (CPODJOBS, PODS):
        for obj in client.list(resource).items:
            with contextlib.suppress(NotFound):  # it went with what was deleted before
                client.delete(resource, meta.name_of(obj), meta.namespace_of(obj), grace_seconds=0)
    client.close()


def sidebar_of(lab: Lab, page: Page, workspace: str) -> Locator:
    """The sidebar, opened by its shortcut; nothing else is open in its workspace."""
    page.goto(lab.url(f"lab/workspaces/{workspace}"))
    expect(page.get_by_role("tab", name=re.compile("cpod"))).to_be_visible()
    expect(page.locator(".jp-Launcher")).to_be_focused()  # JupyterLab has finished to put the keys where they begin
    page.keyboard.press("Alt+Shift+P")
    found = page.locator("#cpod-sidebar")
    expect(page.locator("#cpod-sidebar:focus-within")).to_be_visible()
    return found


def cluster_of(page: Page, sidebar: Locator) -> Locator:
    """The section, opened by the palette."""
    choose(page, "Show the cluster")
    found = sidebar.locator(".cpodCluster")
    expect(found).to_be_visible()
    return found


def tab_to(page: Page, control: Locator) -> None:
    for _ in range(30):
        if control.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("the keyboard does not get there")


def test_the_engine_is_started_and_stopped_by_keyboard_and_its_jobs_go_on(own: Lab, page: Page, tmp_path: Path) -> None:
    sidebar = sidebar_of(own, page, "engine")
    jobs = sidebar.get_by_role("region", name="Jobs", exact=True)
    expect(jobs).to_contain_text("does not run")
    cluster = cluster_of(page, sidebar)
    expect(cluster.get_by_role("radio", name="engine")).to_be_checked()
    expect(cluster.get_by_role("region", name="GPUs")).to_contain_text("does not run")
    engine = cluster.get_by_role("region", name="Engine")
    expect(engine.get_by_role("status").first).to_have_text("does not run")
    expect(engine.get_by_role("button", name="Stop")).to_be_disabled()
    tab_to(page, engine.get_by_role("button", name="Start"))
    page.keyboard.press("Enter")
    expect(engine.get_by_role("status").first).to_contain_text("runshttp")
    expect(engine).to_contain_text("started the engine at http")
    expect(cluster.get_by_role("region", name="GPUs")).to_contain_text("No node of engine has GPUs")
    expect(jobs.get_by_role("button", name="Start the engine")).to_have_count(0)
    expect(jobs.get_by_role("status").first).to_have_text("none yet")

    go = tmp_path / "go"
    Session().job("facts", image="python", command=["python", "-c", WAITS.format(go=str(go))])
    row = sidebar.locator('[data-key="job/facts"]')
    expect(row).to_have_attribute("data-phase", "Running")
    tab_to(page, engine.get_by_role("button", name="Stop"))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("These run now: job facts (default)")
    expect(dialog).to_contain_text("Their pods go on, and the next start takes them up")
    dialog.get_by_role("button", name="Let it run").click()
    assert local.find() is not None
    engine.get_by_role("button", name="Stop").click()
    dialog.get_by_role("button", name="Stop it").click()
    expect(engine.get_by_role("status").first).to_have_text("does not run")
    expect(engine).to_contain_text("stopped the engine; without it goes on: facts-")
    assert local.find() is None
    expect(row).to_be_visible()  # as it was seen last

    jobs.get_by_role("button", name="Start the engine").click()
    expect(jobs.get_by_role("button", name="Start the engine")).to_have_count(0)
    expect(engine.get_by_role("status").first).to_contain_text("runshttp")
    expect(row).to_have_attribute("data-phase", "Running")
    go.touch()
    expect(row).to_have_attribute("data-phase", "Succeeded")
    assert list(Session().get(CPODJOBS, "facts").logs()) == ["it goes on"]


def test_a_stop_from_a_terminal_is_seen_and_the_start_too(own: Lab, page: Page) -> None:
    local.ensure()
    sidebar = sidebar_of(own, page, "elsewhere")
    jobs = sidebar.get_by_role("region", name="Jobs", exact=True)
    expect(jobs.get_by_role("status").first).to_have_text("none yet")
    local.stop()
    expect(jobs.get_by_role("button", name="Start the engine")).to_be_visible()
    expect(sidebar.get_by_role("region", name="Where cpod works").get_by_role("alert")).to_have_count(0)
    local.ensure()
    expect(jobs.get_by_role("button", name="Start the engine")).to_have_count(0)


def test_gpus_by_node_and_what_the_doctor_finds(lab: Lab, page: Page, namespace: str) -> None:
    client = Session().client
    name = f"gpus-{namespace}"
    client.create(NODES, {"metadata": {"name": name, "labels": {"nvidia.com/gpu.product": "H100"}}})
    try:
        client.patch(NODES, name, {"status": {"allocatable": {GPU: "8"}}}, subresource="status")
        sidebar = sidebar_of(lab, page, namespace)
        cluster = cluster_of(page, sidebar)
        row = cluster.get_by_role("row", name=name)
        expect(row.get_by_role("cell")).to_have_text(["8 of 8"])
        examine = cluster.get_by_role("button", name="Examine engine")
        tab_to(page, examine)
        page.keyboard.press("Enter")
        findings = cluster.get_by_role("list", name="Findings").get_by_role("listitem")
        server = findings.filter(has_text="server: Kubernetes")
        expect(server).to_contain_text("good")
        expect(server.locator("svg")).to_have_attribute("data-tone", "good")
        expect(cluster.get_by_role("region", name="Doctor").get_by_role("status")).to_contain_text("problem")
    finally:
        client.delete(NODES, name)


def test_a_setting_takes_effect_at_once_and_in_the_next_page(own: Lab, page: Page) -> None:
    local.ensure()
    sidebar = sidebar_of(own, page, "settings")
    models = sidebar.get_by_role("grid", name="Models")
    expect(models).to_be_hidden()
    expect(sidebar.get_by_label("Order of Jobs")).to_have_value("age")
    choose(page, "Settings of cpod")
    page.locator('select[name$="core_order"]').select_option(label="by name")
    expect(sidebar.get_by_label("Order of Jobs")).to_have_value("name")
    page.locator('input[id$="core_namespace"]').fill("elsewhere")
    expect(sidebar.get_by_label("Namespace")).to_have_value("elsewhere")
    kept = own.folder / "settings" / "cpod-jupyter" / "core.jupyterlab-settings"
    until = 50
    while not kept.exists() or "elsewhere" not in kept.read_text():
        until -= 1
        assert until, "the setting is not saved"
        page.wait_for_timeout(200)
    sections = {"jobs": False, "models": True, "cluster": True}
    kept.write_text(json.dumps({"sections": sections, "namespace": "third", "order": "phase"}))
    sidebar = sidebar_of(own, page, "settings-again")
    expect(sidebar.get_by_role("grid", name="Models")).to_be_visible()
    expect(sidebar.locator(".cpodCluster")).to_be_visible()
    expect(sidebar.get_by_role("grid", name="Jobs")).to_be_hidden()
    expect(sidebar.get_by_label("Namespace")).to_have_value("third")
    page.reload()  # the workspace is as it was left
    expect(sidebar.get_by_label("Namespace")).to_have_value("third")


@pytest.mark.parametrize(
    ("card", "kind"), [("Fine-tune", "finetune"), ("Job", "job"), ("Deployment", "inference")], ids=str
)
def test_a_card_of_the_launcher_opens_its_form(lab: Lab, page: Page, namespace: str, card: str, kind: str) -> None:
    page.goto(lab.url(f"lab/workspaces/{namespace}"))
    found = page.locator('.jp-LauncherCard[data-category="cpod"]').filter(has=page.get_by_text(card, exact=True))
    expect(found.locator("svg path")).to_have_count(1)
    found.click()
    expect(page.locator(".cpodForm:visible").get_by_label("Kind")).to_have_value(kind)


def test_two_versions_are_told_with_what_to_do(lab: Lab, page: Page, namespace: str) -> None:
    """Another version is not installed beside this one: the server's answer is replaced on its way to the page."""
    page.route(re.compile("/cpod/version"), lambda route: route.fulfill(json={"version": "9.8.7"}))
    page.goto(lab.url(f"lab/workspaces/{namespace}"))
    expect(page.get_by_role("tab", name=re.compile("cpod"))).to_be_visible()
    page.locator(".jp-Notification-Status").get_by_role("button").click()
    expect(page.get_by_text(re.compile("9.8.7 in Jupyter's server. Reload the page"))).to_be_visible()
