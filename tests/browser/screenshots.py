"""Pictures of the live block for the documentation: `python tests/browser/screenshots.py` writes docs/images/.

Look at them before they are committed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from cpod_jupyter import local

sys.path[1:1] = [str(Path(__file__).parents[1])]  # what all tests share
from conftest import ARGUMENTS, CHROMIUM  # noqa: E402
from lab import SECONDS, Lab, run  # noqa: E402
from test_browser_block import BROKEN, block_of, training  # noqa: E402

IMAGES = Path(__file__).parents[2] / "docs" / "images"
FIRST = "%load_ext cpod_jupyter"


def followed(lab: Lab, page: Page, folder: Path, shade: str) -> None:
    """A job in the middle of its work, with its log open; and one that failed."""
    lab.first = FIRST
    lab.write(f"{shade}.ipynb", training(folder / f"go-{shade}"), BROKEN)
    lab.open(page, f"{shade}.ipynb")
    run(page, 0)
    run(page, 1)
    block = block_of(page)
    expect(block.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100", timeout=SECONDS * 1000)
    block.get_by_role("button", name="Logs").click()
    expect(block.get_by_role("log")).to_contain_text("rank 1 has done step 30")
    block.screenshot(path=IMAGES / f"block-{shade}.png")
    (folder / f"go-{shade}").touch()
    expect(block).to_have_attribute("data-phase", "Succeeded", timeout=SECONDS * 1000)
    run(page, 2)
    failed = block_of(page).nth(1)
    expect(failed).to_have_attribute("data-phase", "Failed", timeout=SECONDS * 1000)
    failed.get_by_text("A cell that mends it").click()
    failed.screenshot(path=IMAGES / f"failure-{shade}.png")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    for shade in ("light", "dark"):
        with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
            folder = Path(place)
            environment = {"CPOD_HOME": str(folder / "engine"), "CPOD_CONTEXT": "engine"}
            os.environ.update(environment)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1000, "height": 1200}, device_scale_factor=2)
            try:
                with Lab(folder, environment, f"JupyterLab {shade.title()}") as lab:
                    followed(lab, page, folder, shade)
            finally:
                browser.close()
                local.stop()


if __name__ == "__main__":
    main()
