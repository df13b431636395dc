"""docs/cluster.md has every setting as it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_has_every_setting_with_its_default() -> None:
    place = importlib.util.spec_from_file_location("settings_table", ROOT / "tools" / "settings_table.py")
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    assert module.PAGE.read_text("utf-8") == module.page(), "python tools/settings_table.py --write"
