"""What there is, as a table: `ls`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object, of_object
from cpod_jupyter.api.sources import split_checksum
from cpod_jupyter.sdk.kinds import word_of
from cpod_jupyter.sdk.pods import event_time
from cpod_jupyter.sdk.states import result_of, status_of
from cpod_jupyter.sdk.view import table
from cpod_jupyter.sdk.view.rows import Rows
from cpod_jupyter.sdk.words import amount, span

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("kind", "name", "phase", "about", "age")
EVENT_COLUMNS = ("when", "type", "reason", "about", "message")


class Listing(Rows[Object]):
    """Objects in a namespace. Shown as a table; `to_df()` for pandas."""

    columns = COLUMNS

    def __init__(self, objects: Sequence[Object], namespace: str, unread: Sequence[str] = ()) -> None:
        super().__init__(objects)
        self.namespace = namespace
        self.empty = f"nothing in namespace {namespace} yet"
        self.unread = tuple(unread)
        """Kinds that could not be listed, each with the reason."""

    def rows(self) -> list[tuple[str, ...]]:
        return [row_of(obj) for obj in self]

    def to_df(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=list(COLUMNS))

    def __repr__(self) -> str:
        return "\n".join([super().__repr__(), *self.notes()])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        html = table.html(COLUMNS, self.rows(), pills=(2,)) if self else table.note(self.empty)
        html += "".join(table.note(note) for note in self.notes())
        return {"text/plain": repr(self), "text/html": html}

    def notes(self) -> list[str]:
        """What is to be said below the table: kinds that could not be listed."""
        return [f"not listed: {reason}" for reason in self.unread]


def row_of(obj: Object) -> tuple[str, ...]:
    """One line of the table: kind, name, phase, what it is about, age."""
    resource = of_object(obj)
    word = word_of(resource) if resource else str(obj.get("kind", "")).lower()
    created = obj["metadata"].get("creationTimestamp")
    age = span((dt.datetime.now(dt.UTC) - meta.parse_time(created)).total_seconds()) if created else ""
    return word, meta.name_of(obj), status_of(obj, resource).phase, about(obj), age


def event_rows(events: Sequence[Object]) -> list[tuple[str, ...]]:
    """When, type, reason, about what, and the message of each event: of several lines, as the last of a log, the first
    and how many more there are."""
    rows: list[tuple[str, ...]] = []
    for event in events:
        about = event.get("involvedObject") or {}
        count = f" (×{event['count']})" if (event.get("count") or 1) > 1 else ""  # noqa: RUF001
        rows.append(
            (
                event_time(event).replace("T", " ").removesuffix("Z"),
                str(event.get("type", "")),
                str(event.get("reason", "")),
                f"{about.get('kind', '')}/{about.get('name', '')}",
                f"{_first_line(str(event.get('message', '')))}{count}",
            )
        )
    return rows


def _first_line(text: str) -> str:
    first, *more = text.strip().splitlines() or [""]
    return f"{first} … ({len(more)} more {'line' if len(more) == 1 else 'lines'})" if more else first


def about(obj: Object) -> str:
    """What an object is, in a few words: its source and size, its model and dataset, its URL."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    kind = obj.get("kind")
    if kind in ("ModelStorage", "DataSetStorage"):
        named = source_of(obj)
        rows = f"{status['rows']} rows" if status.get("rows") else ""
        size = amount(status["size"]) if status.get("size") else ""
        return ", ".join(part for part in (_short(named), rows, size) if part)
    if kind == "FineTune":
        result = f" → {result_of(obj)}" if result_of(obj) else ""
        return f"{spec.get('model', '')} on {spec.get('dataset', '')}{result}"
    if kind == "Inference":
        return " at ".join(part for part in (str(spec.get("modelId") or ""), str(status.get("url") or "")) if part)
    if kind == "CPodJob":
        return f"{spec.get('jobType', 'general')}, {spec.get('image', '')}"
    if kind == "TrainJob":
        trainer = spec.get("trainer") or {}
        nodes = f"{trainer['numNodes']} nodes" if (trainer.get("numNodes") or 1) > 1 else ""
        runtime = str((spec.get("runtimeRef") or {}).get("name") or "")
        return ", ".join(filter(None, (runtime, nodes, str(trainer.get("image") or ""))))
    if kind == "InferenceService":
        return str(status.get("url") or "")
    if kind == "Job":
        return _images([spec.get("template") or {}])
    return _replicas(spec)


def source_of(storage: Object) -> str:
    """Where a model or a dataset is from: a URI, or a claim's name; without a checksum."""
    prefix, spec = "model" if storage.get("kind") == "ModelStorage" else "dataset", storage.get("spec") or {}
    source, name = spec.get(f"{prefix}type") or "", str(spec.get(f"{prefix}name") or spec.get("pvc") or "")
    return split_checksum(name if "://" in name or not source else f"{source}://{name}")[0]


def _replicas(spec: Mapping[str, Any]) -> str:
    """`1 master, 2 workers, IMAGE` of a training job; empty for what has no replica specs."""
    field = next((name for name in spec if name.endswith("ReplicaSpecs")), "")
    roles = {role: entry for role, entry in (spec.get(field) or {}).items() if entry} if field else {}
    counts = [(entry.get("replicas"), role.lower()) for role, entry in roles.items()]
    counts = [(1 if count is None else count, role) for count, role in counts]
    named = [f"{count} {role}{'s' if count != 1 and role != 'ps' else ''}" for count, role in counts]
    image = _images([entry.get("template") or {} for entry in roles.values()])
    return ", ".join(filter(None, [*named, image]))


def _images(templates: Sequence[Mapping[str, Any]]) -> str:
    """The images of the templates' first containers, each once."""
    containers = [((template.get("spec") or {}).get("containers") or [{}])[0] for template in templates]
    return ", ".join(dict.fromkeys(_short(str(entry["image"])) for entry in containers if entry.get("image")))


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[:20]}…{text[-(limit - 21) :]}"
