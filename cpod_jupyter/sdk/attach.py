"""Data that stand in a spec where the name of a dataset is meant: `dataset: {{ df }}`, `dataset: ./rows.jsonl`.

They become a dataset whose name is made of their hash (`Content.name`), and that name stands in the spec. So unchanged
data give the same spec, and the same cell finds its job again; changed data make it another spec.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from cpod_jupyter.api.resources import CPODJOBS, FINETUNES, Object, of_object
from cpod_jupyter.errors import CpodError, ManifestError
from cpod_jupyter.sdk.content import SUFFIXES, Content, dataset_content, is_data

FIELDS = {FINETUNES: "dataset", CPODJOBS: "datasetName"}
"""Where a kind names its dataset."""


def taken(obj: Object) -> tuple[Object, Content | None]:
    """The object with a dataset's name in the place of data or a path, and those data checked; else as it is.

    Raises PreflightFailed that names each bad row, ManifestError for data that cannot be meant.
    """
    resource = of_object(obj)
    field = FIELDS.get(resource, "") if resource else ""
    spec = obj.get("spec")
    value = spec.get(field) if field and isinstance(spec, dict) else None
    if not is_data(value) and not (isinstance(value, str) and value.startswith("/")):
        return obj, None
    content = dataset_content(value)
    return with_dataset(obj, content.name), content


def with_dataset(obj: Object, name: str) -> Object:
    """The object with that dataset. Raises ManifestError when it asks for a public one."""
    resource = of_object(obj)
    field = FIELDS.get(resource, "") if resource else ""
    if obj["spec"].get("datasetIsPublic"):
        raise ManifestError([f"{field}: data that are uploaded are not public; leave datasetIsPublic out"])
    return {**obj, "spec": {**obj["spec"], field: name}}


@dataclasses.dataclass(frozen=True)
class Attached:
    """An object with the data that it needs uploaded first."""

    obj: Object
    content: Content | None = None


def attached(obj: Object, known: dict[str, Content]) -> Attached:
    """An object of a cell; `known` are the data whose names its template has put in."""
    resource = of_object(obj)
    name = (obj.get("spec") or {}).get(FIELDS.get(resource, "")) if resource else None
    if isinstance(name, str) and name in known:
        return Attached(with_dataset(obj, name), known[name])
    return Attached(*taken(obj))


def require_used(known: dict[str, Content], found: list[Attached]) -> None:
    """Raise ManifestError for data that a template has put where no dataset is named."""
    used = {each.content.name for each in found if each.content is not None}
    lost = [content.called for name, content in known.items() if name not in used]
    if lost:
        fields = " or ".join(f"`{field}` of a {resource.kind}" for resource, field in FIELDS.items())
        raise ManifestError([f"{called} can stand for {fields} alone; elsewhere: %cpod upload" for called in lost])


def as_path(text: str, directory: Path) -> Path | None:
    """The path that is meant by what stands where a dataset is named; None for a name. Raises CpodError."""
    path = directory / Path(text).expanduser()
    if "/" in text or text.startswith("~"):
        if not path.exists():
            raise CpodError(f"there is no file or folder {path.resolve()}; a dataset's name has no /")
        return path.resolve()
    return path.resolve() if text.endswith(SUFFIXES) and path.exists() else None


def value_at(before: str, value: Any) -> bool:
    """Whether a template's value is data that stand for a dataset: by the field before it, and what it is."""
    field = before.rstrip().removesuffix(":").rstrip().rsplit(None, 1)[-1:] or [""]
    named = field[0].strip("{,\"'") in FIELDS.values() and before.rstrip().endswith(":")
    return named and is_data(value)
