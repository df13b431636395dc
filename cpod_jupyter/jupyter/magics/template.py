"""`{{ expression }}` in the body of a cell: evaluated before the YAML is read.

What is put in never shifts a message: `Rendered.locate` maps every place in the rendered text back
to where it stands in the cell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cpod_jupyter.errors import CpodError, ManifestError, PreflightFailed
from cpod_jupyter.sdk import Handle
from cpod_jupyter.sdk.attach import value_at
from cpod_jupyter.sdk.content import Content, dataset_content, is_data, is_table

BODY_LINE = 2
"""Line 1 of a cell is the magic itself."""

EXPRESSION = re.compile(r"\{\{(.+?)\}\}")
_WHOLE_BEFORE = re.compile(r"(^|[:\[,]|\s-)\s*$|^\s*-?\s*$")
_WHOLE_AFTER = re.compile(r"^\s*($|[,\]}]|\s#)")


@dataclass(frozen=True)
class _Piece:
    """A replaced expression on a line: columns from 0, ends exclusive."""

    start: int
    end: int
    was_start: int
    was_end: int


@dataclass(frozen=True)
class Rendered:
    """The text with its expressions replaced."""

    text: str
    pieces: Mapping[int, list[_Piece]]
    data: dict[str, Content] = field(default_factory=dict)
    """Data that stand where a dataset is named, by the name that they have in the text."""
    rows: dict[str, Any] = field(default_factory=dict)
    """Rows that stand where rows are wanted, by what stands for them in the text."""

    def locate(self, line: int, column: int) -> tuple[int, int]:
        """From a place in the text (from 0) to line and column of the cell (from 1)."""
        shift = 0
        for piece in self.pieces.get(line, []):
            if piece.start <= column < piece.end:
                return line + BODY_LINE, piece.was_start + 1
            if column >= piece.end:
                shift = piece.was_end - piece.end
        return line + BODY_LINE, column + shift + 1


def render(body: str, names: Mapping[str, Any], rows_field: str = "") -> Rendered:
    """Replace every expression by its value. Raises ManifestError that names the line of each that fails.

    An expression that is a whole YAML value becomes that value, lists and mappings too; inside text
    it becomes text. Data where a dataset is named become the name that they are to be uploaded under. Rows (a table, or
    a list of mappings) that are the value of `rows_field` are kept beside the text, which they may be too many for.
    """
    faults: list[str] = []
    lines, pieces, data, rows = [], {}, dict[str, Content](), dict[str, Any]()
    takes_rows = re.compile(rf"^\s*{re.escape(rows_field)}:\s*$") if rows_field else None
    for number, line in enumerate(body.split("\n")):
        rendered, found = _line(line, number, names, faults, data, takes_rows, rows)
        lines.append(rendered)
        if found:
            pieces[number] = found
    if faults:
        raise ManifestError(faults, "cell")
    return Rendered("\n".join(lines), pieces, data, rows)


def text(body: str, names: Mapping[str, Any]) -> str:
    """The same where the body is no YAML but text: every value as `str` has it. Raises ManifestError."""
    faults: list[str] = []

    def value(found: re.Match[str]) -> str:
        try:
            return str(_evaluate(found[1].strip(), names))
        except CpodError as error:
            line = body.count("\n", 0, found.start())
            column = found.start() - (body.rfind("\n", 0, found.start()) + 1)
            faults.append(f"line {line + BODY_LINE}, column {column + 1}: {found[0]}: {error}")
            return ""

    filled = EXPRESSION.sub(value, body)
    if faults:
        raise ManifestError(faults, "cell")
    return filled


def _line(
    line: str, number: int, names: Mapping[str, Any], faults: list[str], data: dict[str, Content],
    takes_rows: re.Pattern[str] | None, rows: dict[str, Any],
) -> tuple[str, list[_Piece]]:  # fmt: skip
    text, position, pieces = "", 0, []
    if line.lstrip().startswith("#"):
        return line, []
    for found in EXPRESSION.finditer(line):
        text += line[position : found.start()]
        position = found.end()
        try:
            value = _evaluate(found[1].strip(), names)
            if value_at(line[: found.start()], value):
                content = dataset_content(value)
                data[content.name] = content
                value = content.name
            elif takes_rows and takes_rows.match(line[: found.start()]) and is_data(value):
                rows[found[0]] = value
                value = found[0]
            shown = _written(value, line[: found.start()], line[found.end() :])
        except PreflightFailed as refused:
            place = f"line {number + BODY_LINE}, column {found.start() + 1}: {found[0]}"
            faults += [f"{place}: {problem}" for problem in refused.problems]
            continue
        except CpodError as error:
            faults.append(f"line {number + BODY_LINE}, column {found.start() + 1}: {found[0]}: {error}")
            continue
        pieces.append(_Piece(len(text), len(text) + len(shown), found.start(), found.end()))
        text += shown
    return text + line[position:], pieces


def _evaluate(expression: str, names: Mapping[str, Any]) -> Any:
    try:
        return eval(compile(expression, "<cell>", "eval"), dict(names))
    except CpodError:
        raise
    except NameError as error:
        raise CpodError(f"{error}; is the cell that defines it run?") from error
    except Exception as error:  # the user's expression may raise anything: it becomes their message
        raise CpodError(f"{type(error).__name__}: {error}") from error


def _written(value: Any, before: str, after: str) -> str:
    """The value as YAML, by where it stands."""
    if isinstance(value, Handle):
        value = value.name
    if _WHOLE_BEFORE.search(before) and _WHOLE_AFTER.search(after):
        try:
            return json.dumps(value, ensure_ascii=False)
        except TypeError as error:
            hint = "; it can where a dataset is named, or %cpod upload it" if is_table(value) else ""
            raise CpodError(f"a {type(value).__name__} cannot stand in YAML{hint}") from error
    text = str(value)
    if before.count('"') % 2:
        return json.dumps(text, ensure_ascii=False)[1:-1]
    if before.count("'") % 2:
        text = text.replace("'", "''")
    if "\n" in text:
        raise CpodError("the value has several lines; let it be the whole value of its field")
    return text
