"""How quick the page is: JupyterLab in Chromium, on an engine that runs already.

    make bench              # appends to benchmarks/RESULTS.md
    python benchmarks/page.py

From a line that a pod writes to the block's log on the screen; and whether the page still draws while a job writes a
million lines. Needs what the tests of the browser need: the package's extras `lab` and `test`, and Chromium.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from harness import engine, percentile
from notebook import BEAT, BEATS, FLOOD, MILLION, job
from playwright.sync_api import Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
from conftest import ARGUMENTS, CHROMIUM
from lab import Lab, run

HEADING = "\n## In the page\n"
MINUTES = 5 * 60_000.0
FIRST = "%load_ext cpod_jupyter"
WATCH = r"""() => {
  window.seen = {};
  const look = () => {
    for (const [, number, written] of document.body.innerText.matchAll(/beat (\d+) (\d+\.\d+)/g)) {
      window.seen[number] ??= Date.now() - 1000 * Number(written);
    }
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""
FRAMES = """() => {
  window.gaps = [];
  let last = performance.now();
  const frame = now => { window.gaps.push(now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""


def opened(lab: Lab, page: Page, name: str, cell: str) -> None:
    """Run a cell in a notebook of its own, and open the log of its block."""
    lab.first = FIRST
    lab.write(f"{name}.ipynb", cell)
    lab.open(page, f"{name}.ipynb")
    run(page, 0)
    run(page, 1)
    page.locator(".cpodLab-block").get_by_role("button", name="Logs").click()


def ended(page: Page) -> None:
    expect(page.locator(".cpodLab-block")).to_have_attribute("data-phase", "Succeeded", timeout=MINUTES)


def latencies(lab: Lab, page: Page) -> list[float]:
    """Milliseconds from before a line is written to its place in the document."""
    opened(lab, page, "beat", job("beat", BEAT.format(count=BEATS)))
    page.evaluate(WATCH)
    ended(page)
    seen = [float(found) for found in page.evaluate("() => Object.values(window.seen)")]
    if len(seen) < BEATS // 2:
        raise RuntimeError(f"only {len(seen)} of {BEATS} lines were seen")
    return seen[5:]  # the first ones were there before anybody looked


def frames(lab: Lab, page: Page) -> list[float]:
    """Milliseconds between the page's frames while a job of a million lines is followed."""
    opened(lab, page, "flood", job("flood", FLOOD.format(count=MILLION)))
    page.evaluate(FRAMES)
    ended(page)
    return [float(gap) for gap in page.evaluate("() => window.gaps")]


def report(beats: list[float], gaps: list[float]) -> str:
    return "\n".join(
        [
            HEADING,
            "`benchmarks/page.py`: JupyterLab with its extension in headless Chromium, the block's log open.",
            "",
            f"- a line written to its place on the screen: p50 {percentile(beats, 50):.0f} ms, "
            f"p95 {percentile(beats, 95):.0f} ms (250)",
            f"- while a job of {MILLION:,} lines is followed, the page draws a frame each "
            f"{percentile(gaps, 50):.0f} ms (p50), {percentile(gaps, 95):.0f} ms (p95), at most {max(gaps):.0f} ms",
            "",
        ]
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as text, sync_playwright() as playwright:
        folder = Path(text)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        with engine(folder / "home"):
            environment = {"CPOD_HOME": str(folder / "home"), "CPOD_CONTEXT": "engine"}
            (folder / "lab").mkdir()
            with Lab(folder / "lab", environment) as lab:
                page = browser.new_page(viewport={"width": 1200, "height": 900})
                section = report(latencies(lab, page), frames(lab, page))
        browser.close()
    print(section)
    results = Path(__file__).parent / "RESULTS.md"
    results.write_text(results.read_text().partition(HEADING)[0] + section)


if __name__ == "__main__":
    main()
