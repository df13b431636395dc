"""The block of a followed job in JupyterLab, in a real browser."""

from __future__ import annotations

from pathlib import Path

from lab import SECONDS, Lab, run, save
from playwright.sync_api import Locator, Page, expect

from cpod_jupyter.api.resources import PYTORCHJOBS
from cpod_jupyter.sdk import Session
from cpod_jupyter.sdk.view.state import MIME

expect.set_options(timeout=SECONDS * 1000)

TRAINING = """\
import os, pathlib, time
rank = os.environ.get("RANK", "0")
for step in range(1, 31):
    loss = 2.4 * 0.93 ** step + 0.1
    print(f"rank {rank} has done step {step} of 30", flush=True)
    if rank == "0":
        bar = f"{step / 30:4.0%}|{'#' * (step // 3):<10}| {step}/30"
        print(f"{bar} [00:{step:02d}<00:{30 - step:02d}, 1.00it/s]", flush=True)
        print({"loss": round(loss, 4), "learning_rate": 2e-4 * (1 - step / 31), "epoch": step / 10}, flush=True)
    if step % 10 == 0 and rank == "0":
        print({"eval_loss": round(loss * 1.1, 4), "epoch": step / 10}, flush=True)
while not pathlib.Path(os.environ["GO"]).exists():
    time.sleep(0.05)
"""


BROKEN = """\
%%cpod job broken
image: python
command: [pythn, -c, print(1)]
backoffLimit: 0
"""


def training(go: Path) -> str:
    """A cell with a job of two pods, which report at once and end when a file is there."""
    (go.parent / "training.py").write_text(TRAINING)
    pod = f"""\
    restartPolicy: Never
    template:
      spec:
        containers:
        - name: pytorch
          image: python
          command: [python, -u, {go.parent}/training.py]
          env: [{{name: GO, value: {go}}}]
"""
    return (
        "%%cpod pytorchjob facts\npytorchReplicaSpecs:\n  Master:\n    replicas: 1\n"
        f"{pod}  Worker:\n    replicas: 1\n{pod}"
    )


def block_of(page: Page) -> Locator:
    return page.locator(".cpodLab-block")


def test_a_followed_job_shows_pods_curve_and_log_of_all_ranks(lab: Lab, page: Page, tmp_path: Path) -> None:
    go = tmp_path / "go"
    block = begun(lab, page, go)
    expect(block).to_have_attribute("data-phase", "Running")
    expect(block.locator(".cpodLab-pods li")).to_have_count(2)
    expect(block.locator(".cpodLab-curve")).to_be_visible()
    block.get_by_role("button", name="Logs").click()
    log = block.get_by_role("log")
    expect(log).to_contain_text("rank 0 has done step 30")
    expect(log).to_contain_text("rank 1 has done step 30")
    block.get_by_label("Rank", exact=True).select_option("worker-0")
    block.get_by_label("Filter the log by text").fill("STEP 7 ")
    expect(log.locator("div")).to_have_count(1)
    expect(log).to_contain_text("rank 1 has done step 7 of 30")
    go.touch()
    expect(block).to_have_attribute("data-phase", "Succeeded")
    expect(log.locator("div")).to_have_count(1)  # the filter is as it was set
    save(page)
    assert_kept(lab, go, "Succeeded")


def notebook_of(go: Path) -> str:
    return f"{go.parent.name}.ipynb"


def assert_kept(lab: Lab, go: Path, phase: str) -> None:
    """The saved notebook has the block's last state as text, as HTML and as a picture."""
    (data,) = [data for data in lab.saved(notebook_of(go)) if MIME in data]
    assert data[MIME]["phase"] == phase
    assert f"facts  {phase}" in "".join(data["text/plain"])
    assert phase in "".join(data["text/html"])
    assert "<svg" in "".join(data["image/svg+xml"])


def begun(lab: Lab, page: Page, go: Path) -> Locator:
    """The block of a training that has told all it has to tell, and waits for its file."""
    name = notebook_of(go)
    lab.write(name, training(go))
    lab.open(page, name)
    run(page, 0)
    run(page, 1)
    block = block_of(page)
    expect(block.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    return block


def test_the_block_goes_on_after_a_reload_in_the_middle_and_the_notebook_keeps_the_end(
    lab: Lab, page: Page, tmp_path: Path
) -> None:
    begun(lab, page, tmp_path / "go")
    save(page)
    page.reload()
    block = block_of(page)
    expect(block).to_have_attribute("data-phase", "Running")  # what was saved
    (tmp_path / "go").touch()  # the kernel is still in the cell, and its word no longer reaches this page
    expect(block).to_have_attribute("data-phase", "Succeeded")
    save(page)
    assert_kept(lab, tmp_path / "go", "Succeeded")


def test_the_block_goes_on_when_its_kernel_is_gone(lab: Lab, page: Page, tmp_path: Path) -> None:
    block = begun(lab, page, tmp_path / "go")
    lab.stop_kernels()
    (tmp_path / "go").touch()
    expect(block).to_have_attribute("data-phase", "Succeeded")


def test_detach_ends_the_cell_and_the_block_goes_on(lab: Lab, page: Page, tmp_path: Path) -> None:
    block = begun(lab, page, tmp_path / "go")
    block.get_by_role("button", name="Detach").click()
    expect(page.locator(".jp-OutputArea").nth(1)).to_contain_text("it goes on without this cell")
    assert Session().get(PYTORCHJOBS, "facts").status.phase == "Running"
    expect(block.get_by_role("button", name="Detach")).to_have_count(0)
    (tmp_path / "go").touch()
    expect(block).to_have_attribute("data-phase", "Succeeded")


def test_cancel_asks_first_and_then_stops_the_job(lab: Lab, page: Page, tmp_path: Path) -> None:
    block = begun(lab, page, tmp_path / "go")
    block.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Let it run").click()
    block.get_by_role("button", name="YAML").click()
    expect(block.locator(".cpodLab-yaml")).to_contain_text("kind: PyTorchJob")
    assert Session().get(PYTORCHJOBS, "facts").status.phase == "Running"
    block.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(block).to_have_attribute("data-phase", "Suspended")


def test_a_failure_offers_the_cell_that_mends_it(lab: Lab, page: Page) -> None:
    lab.write("broken.ipynb", BROKEN)
    lab.open(page, "broken.ipynb")
    run(page, 0)
    run(page, 1)
    block = block_of(page)
    expect(block).to_have_attribute("data-phase", "Failed")
    expect(block.locator(".cpodLab-cause")).to_contain_text("command")
    block.get_by_role("button", name="Insert the cell that mends it").click()
    mended = page.locator(".jp-CodeCell").nth(2)
    expect(mended.locator(".cm-content")).to_contain_text("%%cpod job broken")
    run(page, 2)
    expect(block_of(page).nth(1)).to_have_attribute("data-phase", "Succeeded")
