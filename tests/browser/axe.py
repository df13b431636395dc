"""What axe-core finds at a page in each theme, and the way to a theme."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lab import choose
from playwright.sync_api import Page, expect

AXE = Path(__file__).parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
LIGHT = "JupyterLab Light"
THEMES = (LIGHT, "JupyterLab Dark", "JupyterLab Dark High Contrast")
_RUN = """async selectors => {
  const ours = { include: selectors.map(each => [each]), exclude: [['jp-button']] };  // JupyterLab's own toolbars
  const found = await axe.run(ours, { resultTypes: ['violations'] });
  return found.violations;
}"""


def wear(page: Page, theme: str) -> None:
    """Choose a theme in the palette, which does not offer the one that is worn."""
    if page.locator("body").get_attribute("data-jp-theme-name") == theme:
        return
    choose(page, f"Use Theme: {theme}")
    expect(page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
    expect(page.locator(".lm-CommandPalette")).not_to_be_visible()


def faults(page: Page, *selectors: str) -> list[str]:
    """The violations of impact serious or critical in the elements that are selected, of which each must be there."""
    if not AXE.exists():
        pytest.skip("needs axe-core (in labextension: jlpm install --immutable)")
    for selector in selectors:
        assert page.locator(selector).count(), f"there is no {selector}"
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text() + "; 0")
    found: list[dict[str, Any]] = page.evaluate(_RUN, list(selectors))
    return [
        f"{violation['impact']} {violation['id']}: {' '.join(map(str, node['target']))} {node['html'][:160]}\n"
        f"    {node['failureSummary']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def faults_in_every_theme(page: Page, *selectors: str) -> str:
    """The same in light, dark and high contrast, each fault with its theme; empty where there is none."""
    found = []
    for theme in (*THEMES[1:], LIGHT):  # it ends as it began
        wear(page, theme)
        found += [f"{theme}: {fault}" for fault in faults(page, *selectors)]
    return "\n".join(found)
