"""The questions of an evaluation and what answers them rightly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.errors import CpodError

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
"""`messages` (OpenAI's form, the question) and `answer` (what is right)."""

_QUESTIONS = ("question", "prompt")
"""Fields that hold a question as text, where there are no `messages`."""


def rows_of(data: pd.DataFrame | str | Path | Sequence[Row]) -> list[Row]:
    """The rows of a DataFrame, of a JSONL file, or as given, all with `messages` and `answer`.

    Raises CpodError with the number of the row that has no question or no answer.
    """
    found: Sequence[Any]
    if isinstance(data, (str, Path)):
        found = load_rows(data)
    elif hasattr(data, "to_dict"):
        found = data.to_dict("records")
    else:
        found = data
    if not len(found):
        raise CpodError("there are no rows to ask")
    return [_whole(row, number) for number, row in enumerate(found, 1)]


def _whole(row: Any, number: int) -> Row:
    if isinstance(row, Mapping) and _there(row.get("answer")):
        # A column of a DataFrame may hold an array instead of a list.
        messages = row.get("messages")
        if _there(messages) and not isinstance(messages, str) and len(list(messages)):  # type: ignore[arg-type]
            return {**row, "messages": list(messages)}  # type: ignore[arg-type]
        for field in _QUESTIONS:
            if isinstance(row.get(field), str) and row[field].strip():
                return {**row, "messages": [{"role": "user", "content": row[field]}]}
    raise CpodError(f"row {number} must have messages (or question, or prompt) and answer (what is right)")


def _there(value: Any) -> bool:
    """Whether a field has a value: pandas writes NaN where a row has none."""
    return value is not None and not (isinstance(value, float) and value != value)


def load_rows(path: str | Path) -> list[Row]:
    """The rows of a JSONL file. Raises CpodError with the line that is wrong."""
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CpodError(f"{path} cannot be read: {error.strerror}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise CpodError(f"{path}, line {number}: not JSON: {error}") from error
    return rows


def question_of(row: Row) -> str:
    """The last thing the user says."""
    said = [message["content"] for message in row["messages"] if message.get("role") == "user"]
    return str(said[-1]) if said else ""
