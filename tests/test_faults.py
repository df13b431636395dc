"""Each fault of the original is shown absent by a test that names it.

The faults are counted as the project's design documents do: 1 to 18 those that decided the design, B1 to B34 the whole
list of what was found in the Go operator's code. A test says which it is about in its docstring.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent

ELSEWHERE = {
    "B33": "the portal's synchronizer, which this project does not have",
    "B34": "its tests do not compile; these run",
}
"""Faults of parts that have no counterpart here."""


def named() -> Iterator[str]:
    """The faults that docstrings of tests name, as `7` or `B18`."""
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                said = ast.get_docstring(node) or ""
                yield from re.findall(r"\bB\d{1,2}\b", said)
                for found in re.findall(r"[Ff]aults? (\d[\d, and]*)", said):
                    yield from re.findall(r"\d+", found)


def test_every_fault_of_the_original_has_a_test_that_names_it() -> None:
    wanted = {str(number) for number in range(1, 19)} | {f"B{number}" for number in range(1, 35)}
    missing = wanted - set(named()) - ELSEWHERE.keys()
    assert sorted(missing) == []
