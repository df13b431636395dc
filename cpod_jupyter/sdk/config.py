"""What a project chooses once: `cpod.toml`, and which of the choices counts.

    context = "lab"                    # of the kubeconfig, or "engine"
    namespace = "team"

    [defaults]                         # of fine-tunes and jobs that do not say themselves
    gpus = 2                           # of a FineTune, and of each worker of a CPodJob
    gpu_type = "NVIDIA-H100-80GB-HBM3"

The file is looked for in the working directory and above it, up to the home folder or the root. Arguments come before
the environment (CPOD_CONTEXT, CPOD_NAMESPACE), that before the file, and the file before what is the default else. A
file's namespace belongs to its context: where another context is chosen, it does not count.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CPODJOBS, FINETUNES, Object, of_object
from cpod_jupyter.api.schema import nearest
from cpod_jupyter.errors import CpodError

FILE = "cpod.toml"
CONTEXT, NAMESPACE = "CPOD_CONTEXT", "CPOD_NAMESPACE"
_LONGEST = 1 << 20
_SECTION = re.compile(r"\s*\[\s*([\w.\"' -]+?)\s*\]\s*(#.*)?$")


@dataclass(frozen=True)
class Config:
    """What a file says; empty and None stand for what it leaves out."""

    path: Path | None = None
    context: str = ""
    namespace: str = ""
    gpus: int | None = None
    gpu_type: str = ""


@dataclass(frozen=True)
class Choice:
    """A value, and in words where it came from; both are empty where nothing was chosen."""

    value: str = ""
    source: str = ""


@dataclass(frozen=True)
class Chosen:
    """The context and the namespace that count, with the file that was looked at."""

    context: Choice
    namespace: Choice
    config: Config

    @property
    def words(self) -> str:
        """`context from CPOD_CONTEXT, namespace from /home/ada/project/cpod.toml`; empty where nothing was chosen."""
        both = (("context", self.context), ("namespace", self.namespace))
        return ", ".join(f"{name} from {choice.source}" for name, choice in both if choice.source)


def chosen(context: str | None = None, namespace: str | None = None) -> Chosen:
    """What counts of these arguments, the environment and the file. Raises CpodError for a file with a fault."""
    config = load()
    where = _choice(context, CONTEXT, config.context, config)
    owned = not config.context or where.value == config.context
    return Chosen(where, _choice(namespace, NAMESPACE, config.namespace if owned else "", config), config)


def _choice(argument: str | None, variable: str, written: str, config: Config) -> Choice:
    if argument:
        return Choice(argument, "the argument")
    if given := os.environ.get(variable):
        return Choice(given, variable)
    return Choice(written, str(config.path)) if written else Choice()


def find(start: Path | None = None) -> Path | None:
    """The file that counts in a folder, the working directory when left out; None where there is none."""
    try:
        folder = (start or Path.cwd()).resolve()
    except FileNotFoundError:  # the working directory was deleted
        return None
    home = Path.home().resolve()
    for place in (folder, *folder.parents):
        if (place / FILE).is_file():
            return place / FILE
        if place == home:
            return None
    return None


def load(start: Path | None = None) -> Config:
    """What the file says that counts in a folder. Raises CpodError with its line when it has a fault."""
    path = find(start)
    if path is None:
        return Config()
    try:
        about = path.stat()
        if about.st_uid not in (os.getuid(), 0):
            raise CpodError(
                f"{path} belongs to another user, who would choose the cluster that you work on; make a {FILE} of your "
                "own below it, an empty one for none"
            )
        if about.st_size > _LONGEST:
            raise CpodError(f"{path} is larger than {_LONGEST:,} bytes: it is no {FILE}")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CpodError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """What a text says. Raises CpodError with every fault, each with its line."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CpodError(f"{path}: {error}") from error
    faults: list[str] = []
    values = _checked(found, "", _KEYS, text, faults)
    if isinstance(inner := found.get("defaults", {}), dict):
        values |= _checked(inner, "defaults", _DEFAULTS, text, faults)
    if faults:
        raise CpodError("\n".join(f"{path}, {fault}" for fault in faults))
    values.pop("defaults", None)
    return Config(path=path, **values)


def _checked(
    found: Mapping[str, Any], table: str, known: Mapping[str, _Check], text: str, faults: list[str]
) -> dict[str, Any]:
    """The values of a table that are as they must be; the others become faults."""
    values = {}
    for key, value in found.items():
        dotted = f"{table}.{key}" if table else key
        place = f"line {_line_of(text, table, key)}: {dotted}"
        if key not in known:
            listed = nearest(key, known) or f"; there are {', '.join(known)}"
            faults.append(f"{place}: unknown key{listed}")
        elif wrong := known[key](value):
            faults.append(f"{place} must be {wrong}, and is {value!r}")
        else:
            values[key] = value
    return values


_Check = Callable[[Any], str]
"""What a value must be, when it is not that; else empty."""


def _text(value: Any) -> str:
    return "" if isinstance(value, str) and value.strip() else "a text that is not empty"


def _name(value: Any) -> str:
    good = isinstance(value, str) and len(value) <= 63 and meta.NAME_PATTERN.fullmatch(value) and "." not in value
    return "" if good else "the name of a namespace"


def _count(value: Any) -> str:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return "" if good else "a whole number of 0 or more"


def _table(value: Any) -> str:
    return "" if isinstance(value, dict) else "a table: [defaults]"


_KEYS: dict[str, _Check] = {"context": _text, "namespace": _name, "defaults": _table}
_DEFAULTS: dict[str, _Check] = {"gpus": _count, "gpu_type": _text}


def _line_of(text: str, table: str, key: str) -> int:
    """The line on which a key of a table stands, or else the table's own."""
    section, at, name = "", 1, re.escape(key)
    for number, line in enumerate(text.splitlines(), 1):
        if header := _SECTION.match(line):
            section = header[1]
            at = number if section == (table or key) else at
        prefix = rf"{re.escape(table)}\s*\.\s*" if table and section != table else ""
        if section in (table, "") and re.match(rf"""\s*{prefix}["']?{name}["']?\s*[=.]""", line):
            return number
    return at


# ---- what it does to a spec

_FIELDS = {FINETUNES: ("gpuCount", "gpuProduct"), CPODJOBS: ("gpuRequiredPerReplica", "gpuType")}


def with_defaults(obj: Object, config: Config) -> Object:
    """A fine-tune or a job with the file's defaults for what its spec does not say."""
    resource = of_object(obj)
    if resource not in _FIELDS or not isinstance(obj.get("spec"), dict):
        return obj
    count, product = _FIELDS[resource]
    spec = dict(obj["spec"])
    if config.gpus is not None and not spec.get("replicaSpecs"):
        spec.setdefault(count, config.gpus)
    asks = spec.get(count) != 0 if resource == FINETUNES else bool(spec.get(count))
    if config.gpu_type and asks:
        spec.setdefault(product, config.gpu_type)
    return {**obj, "spec": spec}
