"""The lines of a list, as the panels show them: filtered, in an order, and what can be done with each. Pure.

`labextension/src/sidebar/rows.ts` does the same for the sidebar.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.sdk.view.listrow import Row
from cpod_jupyter.sdk.words import span

COLUMNS = ("kind", "name", "phase", "GPUs", "about", "age")
ORDERS = ("newest first", "by name", "by status")
FORMS = ("finetune", "job", "inference")
"""The kinds that the form makes."""
ACTIONS = ("Open", "Logs", "Chat", "Cancel", "Run again", "Clone", "Deploy", "Delete")

_TONES = ("bad", "busy", "wait", "good")
"""What needs a look first."""
_FIELDS = ("kind", "name", "phase", "gpus", "detail", "reason")


def title_of(row: Row) -> str:
    return f"{row['kind']}/{row['name']}"


def filtered(rows: Sequence[Row], text: str) -> list[Row]:
    """Those in which every word of a text stands, whatever its case."""
    words = text.lower().split()
    texts = ["\n".join(str(row[field]) for field in _FIELDS).lower() for row in rows]  # type: ignore[literal-required]
    return [row for row, whole in zip(rows, texts, strict=True) if all(word in whole for word in words)]


def ordered(rows: Sequence[Row], order: str) -> list[Row]:
    """The newest first, by name, or what needs a look first; then by name, numbers in it by their size."""
    found = sorted(rows, key=lambda row: (_natural(row["name"]), row["kind"]))
    if order == "newest first":
        return sorted(found, key=lambda row: row["created"], reverse=True)
    if order == "by status":
        return sorted(found, key=lambda row: (_TONES.index(row["tone"]), row["phase"]))
    return found


def _natural(name: str) -> list[Any]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]


def cells_of(row: Row) -> tuple[str, ...]:
    """As the table has them."""
    created = row["created"]
    age = span((dt.datetime.now(dt.UTC) - meta.parse_time(created)).total_seconds()) if created else ""
    return row["kind"], row["name"], row["phase"], row["gpus"], row["reason"] or row["detail"], age


def actions_for(row: Row) -> list[str]:
    """What can be done with an object as it is now."""
    kind, final = row["kind"], row["final"]
    deployment, storage = kind in ("inference", "inferenceservice"), kind in ("model", "dataset")
    job = not deployment and not storage
    made = row["tone"] == "good" and (kind == "model" or (kind == "finetune" and final))
    can = {
        "Chat": kind == "inference",
        "Cancel": job and not final,
        "Run again": job,
        "Clone": kind in FORMS,
        "Deploy": made,
    }
    return [action for action in ACTIONS if can.get(action, True)]
