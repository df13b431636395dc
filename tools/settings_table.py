"""The table of the operator's settings in docs/cluster.md, from their docstrings.

python tools/settings_table.py            # print it
python tools/settings_table.py --write    # put it into docs/cluster.md
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import sys
from dataclasses import fields
from pathlib import Path

from cpod_jupyter.operator import settings
from cpod_jupyter.operator.settings_file import NAMES

PAGE = Path(__file__).parents[1] / "docs" / "cluster.md"
BEGIN, END = "<!-- settings -->", "<!-- /settings -->"


def table() -> str:
    """One row a setting: its name in files, its default as YAML has it, and what it is."""
    said = _docstrings()
    defaults = {field.name: field.default for field in fields(settings.Settings)}
    rows = ["| setting | default | |", "|---|---|---|"]
    for name, field in NAMES.items():
        default = defaults[field]
        shown = f"`{json.dumps(default)}`" if default != "" else "none"
        rows.append(f"| `{name}` | {shown} | {said[field].replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def _docstrings() -> dict[str, str]:
    tree = ast.parse(inspect.getsource(settings))
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings"]
    found = {}
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


def page() -> str:
    """The page with the table in it."""
    head, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(), "utf-8")
    else:
        print(table())
