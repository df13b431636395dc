"""Settings from YAML: a file, or the key `operator.yaml` of the ConfigMap that a cluster's operator mounts.

Names are in camel case, as in Kubernetes' own configuration files. What is not named keeps its default.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pydantic
import yaml
from pydantic.alias_generators import to_camel

from cpod_jupyter.api.quantity import is_quantity
from cpod_jupyter.errors import CpodError
from cpod_jupyter.operator.settings import Settings

FILE_NAME = "operator.yaml"
"""In the engine's home, and the key in the ConfigMap."""

_LIMIT = 1 << 20
_QUANTITIES = ("model_volume", "dataset_volume", "shared_memory", "largest_cpu_model")

NAMES = {to_camel(field.name): field.name for field in fields(Settings)}
"""From a setting's name in a file to its name in Python."""


def load_settings(path: Path) -> Settings:
    """The settings of a file. Raises CpodError with everything that is wrong in it."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LIMIT + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise CpodError(f"the operator's settings {path} cannot be read: {why}") from error
    if len(text) > _LIMIT:
        raise CpodError(f"the operator's settings {path} are longer than 1 MiB: this is no file of settings")
    return parse_settings(text, str(path))


def settings_of_home(home: Path) -> Settings:
    """The settings of the engine with that home: its `operator.yaml`, or the defaults where there is none."""
    path = home / FILE_NAME
    return load_settings(path) if path.exists() else Settings()


def parse_settings(text: str, origin: str) -> Settings:
    """The settings of a YAML text from `origin`. Raises CpodError with everything that is wrong in it."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CpodError(f"the operator's settings {origin} are no YAML: {error}") from error
    if document is None:
        return Settings()
    if not isinstance(document, Mapping):
        raise CpodError(f"the operator's settings {origin} are no map of names to values")
    problems = [*_unknown(document), *_mistaken(document)]
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise CpodError(f"the operator's settings {origin} are wrong:\n{listed}")
    return _typed({NAMES[name]: value for name, value in document.items()})


def _unknown(document: Mapping[Any, Any]) -> list[str]:
    problems = []
    for name in document:
        if name in NAMES:
            continue
        nearest = difflib.get_close_matches(to_camel(str(name)), NAMES, n=1, cutoff=0.5)
        meant = f"; {nearest[0]} is there" if nearest else f"; there are: {', '.join(sorted(NAMES))}"
        problems.append(f"{name}: there is no such setting{meant}")
    return problems


def _mistaken(document: Mapping[Any, Any]) -> list[str]:
    known = {NAMES[name]: value for name, value in document.items() if name in NAMES}
    try:
        _typed(known)
    except pydantic.ValidationError as error:
        return [_sentence(entry) for entry in error.errors()]
    except (TypeError, ValueError) as error:  # YAML has more than JSON: dates, sets
        return [str(error)]
    return [
        f"{to_camel(name)}: {known[name]!r} is not a quantity such as 50Gi"
        for name in _QUANTITIES
        if name in known and not is_quantity(known[name])
    ]


def _typed(values: Mapping[str, Any]) -> Settings:
    return pydantic.TypeAdapter(Settings).validate_json(json.dumps(values), strict=True)


def _sentence(entry: Any) -> str:
    name, *rest = entry["loc"]
    where = "".join(f"[{part!r}]" for part in rest)
    return f"{to_camel(str(name))}{where}: {str(entry['msg']).removeprefix('Input ')}, not {entry['input']!r}"
