"""Chat data sets: JSON Lines, read and judged row by row. No torch here: a bad row is reported in a second.

A row is either a conversation

    {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}

or `{"prompt": "…", "completion": "…"}`, which is read as one question and one answer of such a conversation.
Other keys of a row are ignored, blank lines are skipped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, cast

from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.report import progress

ROLES = ("system", "user", "assistant")

REPORTED_ROWS = 1000
"""More bad rows than a person would read are only counted."""


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Row:
    """A conversation and its place, `train.jsonl row 3` (1-based line)."""

    place: str
    messages: list[Message]


@dataclass(frozen=True)
class ChatData:
    """A whole data set: at least one row, every row sound."""

    rows: list[Row]
    sha256: str
    """Over the files' bytes, in the order of their names."""


def read_chat_data(directory: Path, called: str = "") -> ChatData:
    """All rows of every `*.jsonl` under `directory`; `called` is its name in messages.

    Raises:
        WorkFailed: there is no such directory, no file or no row in it, or rows are wrong; the message then
            names each of them with its file, line and fault.
    """
    name = called or str(directory)
    if not directory.is_dir():
        raise WorkFailed(f"the data set {name} is not a directory")
    files = _data_files(directory)
    if not files:
        raise WorkFailed(f"the data set {name} has no *.jsonl file")
    rows: list[Row] = []
    faults: list[str] = []
    digest = hashlib.sha256()
    for done, file in enumerate(files):
        progress("validate", done, len(files), "files")
        for number, line in _lines(file, digest):
            place = f"{file.relative_to(directory)} row {number}"
            messages = _parse(line)
            if isinstance(messages, str):
                faults.append(f"{place}: {messages}")
            else:
                rows.append(Row(place, messages))
    progress("validate", len(files), len(files), "files")
    if faults:
        raise WorkFailed(_fault_report(name, faults, len(rows) + len(faults)))
    if not rows:
        raise WorkFailed(f"the data set {name} has no rows: its files are empty")
    return ChatData(rows, digest.hexdigest())


def _data_files(directory: Path) -> list[Path]:
    """The `*.jsonl` files in the order of their names, hidden ones (a download in the making) left out."""
    found = (path for path in directory.rglob("*.jsonl") if path.is_file())
    visible = (path for path in found if not any(part.startswith(".") for part in path.relative_to(directory).parts))
    return sorted(visible)


def _lines(file: Path, digest: hashlib._Hash) -> Iterator[tuple[int, bytes]]:
    """Each line that isn't blank, with its number; every byte goes through `digest`."""
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            digest.update(line)
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")  # the byte order mark of some editors
            if line.strip():
                yield number, line


def _parse(line: bytes) -> list[Message] | str:
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


def _fault_report(name: str, faults: list[str], rows: int) -> str:
    lines = [f"{len(faults)} of {rows} rows of the data set {name} are wrong, correct them and start again:"]
    lines += [f"  {fault}" for fault in faults[:REPORTED_ROWS]]
    if len(faults) > REPORTED_ROWS:
        lines.append(f"  and {len(faults) - REPORTED_ROWS} more")
    return "\n".join(lines)
