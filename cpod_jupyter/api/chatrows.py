"""Rows of chat data sets, judged one by one: what the trainer reads, and what a preflight foretells. Pure.

A row is either a conversation

    {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}

or `{"prompt": "…", "completion": "…"}`, which is read as one question and one answer of such a conversation.
Other keys of a row are ignored, blank lines are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TypedDict, cast

ROLES = ("system", "user", "assistant")


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


def data_files(directory: Path) -> list[Path]:
    """The `*.jsonl` files in the order of their names, hidden ones (a download in the making) left out."""
    found = (path for path in directory.rglob("*.jsonl") if path.is_file())
    visible = (path for path in found if not any(part.startswith(".") for part in path.relative_to(directory).parts))
    return sorted(visible)


def numbered_rows(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each line that isn't blank, with its number from 1, without the byte order mark of some editors."""
    for number, line in enumerate(lines, start=1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, line


def parse_row(line: bytes) -> list[Message] | str:
    """The conversation of a row, or what is wrong with it."""
    try:
        row = json.loads(line)
    except UnicodeDecodeError:
        return "the line is not UTF-8"
    except ValueError as error:
        return f"invalid JSON: {error}"
    if not isinstance(row, dict):
        return "the row is not a JSON object"
    if "messages" not in row and ("prompt" in row or "completion" in row):
        turns: object = [
            {"role": "user", "content": row.get("prompt")},
            {"role": "assistant", "content": row.get("completion")},
        ]
        fault = _fault_in(turns, names=("prompt", "completion"))
    else:
        turns = row.get("messages")
        fault = "`messages` is missing" if turns is None else _fault_in(turns)
    return fault or [{"role": turn["role"], "content": turn["content"]} for turn in cast(list[Message], turns)]


def _fault_in(turns: object, names: tuple[str, ...] = ()) -> str | None:
    """What is wrong with a conversation, or None. `names` is what the row calls its turns."""
    if not isinstance(turns, list):
        return "`messages` is not a list"
    if not turns:
        return "`messages` is empty"
    for index, turn in enumerate(turns):
        name = f"`{names[index]}`" if names else f"message {index + 1}"
        if not isinstance(turn, dict):
            return f"{name} is not an object with `role` and `content`"
        if turn.get("role") not in ROLES:
            return f"{name} has an unknown role {json.dumps(turn.get('role'))}, known are {', '.join(ROLES)}"
        if not isinstance(turn.get("content"), str):
            return f"{name} is missing or not a text" if names else f"{name} has no `content` that is a text"
        if not turn["content"].strip():
            return f"{name} is empty" if names else f"{name} ({turn['role']}) has an empty `content`"
        if turn["role"] == "system" and index > 0:
            return f"{name} has the role system, which only the first may have"
    roles = [turn["role"] for turn in turns]
    if "assistant" not in roles:
        return "there is no assistant turn to learn from"
    if roles[-1] != "assistant":
        return f"the last turn is the {roles[-1]}'s, it must be the assistant's"
    return None
