"""A submission in another form: as a manifest, as a Python program, or for the command line. Pure."""

from __future__ import annotations

import keyword
import pprint
import shlex
from collections.abc import Sequence
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import (
    CPODJOBS,
    DATASETSTORAGES,
    FINETUNES,
    INFERENCES,
    MODELSTORAGES,
    Object,
    of_object,
)
from cpod_jupyter.sdk.handles import to_yaml

FORMS = ("yaml", "python", "cli")

_METHODS = {
    MODELSTORAGES: "model",
    DATASETSTORAGES: "dataset",
    FINETUNES: "finetune",
    CPODJOBS: "job",
    INFERENCES: "inference",
}
"""Kinds with a method of their own on a Session."""
_WIDTH = 100


def export(form: str, objects: Sequence[Object], *, context: str = "", namespace: str = "") -> str:
    """The objects in one of `FORMS`; `context` and `namespace` are where they are submitted, when not the default."""
    if form == "yaml":
        return as_yaml(objects)
    written = as_python if form == "python" else as_cli
    return written(objects, context=context, namespace=namespace)


def as_yaml(objects: Sequence[Object]) -> str:
    """Manifests, separated by `---`, for kubectl or `cpod apply -f`."""
    return "---\n".join(map(to_yaml, objects))


def as_python(objects: Sequence[Object], *, context: str = "", namespace: str = "") -> str:
    """A program that submits the same and waits for each."""
    where = ", ".join(f"{name}={value!r}" for name, value in (("context", context), ("namespace", namespace)) if value)
    lines = ["from cpod_jupyter import Session", "", f"session = Session({where})"]
    for obj in objects:
        lines += ["", *_submission(obj)]
    return "\n".join(lines) + "\n"


def as_cli(objects: Sequence[Object], *, context: str = "", namespace: str = "") -> str:
    """A shell's command that submits the same."""
    text = as_yaml(objects)
    end = "YAML"
    while end in text.splitlines():
        end += "_"
    words = ["cpod", "apply", "-f", "-"]
    words += ["--context", context] if context else []
    words += ["--namespace", namespace] if namespace else []
    return f"{shlex.join(words)} <<'{end}'\n{text}{end}\n"


def _submission(obj: Object) -> list[str]:
    resource = of_object(obj)
    method = _METHODS.get(resource) if resource else None
    spec, metadata = obj.get("spec") or {}, obj["metadata"]
    bare = metadata.keys() <= {"name", "namespace"} and obj.keys() <= {"apiVersion", "kind", "metadata", "spec"}
    if method is None or not bare or not all(map(_is_name, spec)):
        kept = {key: value for key, value in obj.items() if key != "status"}
        return [f"[handle] = session.apply({_value(kept, 0)})", "print(handle.name)"]
    fields = "".join(f"    {key}={_value(value, len(key) + 5)},\n" for key, value in spec.items())
    return [f"handle = session.{method}(\n    {meta.name_of(obj)!r},\n{fields})", "handle.wait()"]


def _is_name(key: str) -> bool:
    return key.isidentifier() and not keyword.iskeyword(key) and key not in ("new", "name", "self")


def _value(value: Any, column: int) -> str:
    """A Python literal whose further lines are indented to stand below the first."""
    return pprint.pformat(value, width=_WIDTH, sort_dicts=False).replace("\n", "\n" + " " * column)
