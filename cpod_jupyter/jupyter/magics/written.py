"""A `%%cpod` cell as text: written for manifests, and read back into them without a kernel. No expression of it is
evaluated here."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object, of_object
from cpod_jupyter.errors import ManifestError
from cpod_jupyter.jupyter.magics import grammar
from cpod_jupyter.jupyter.magics.bodies import top_level
from cpod_jupyter.jupyter.magics.template import BODY_LINE, EXPRESSION
from cpod_jupyter.sdk import config, manifest
from cpod_jupyter.sdk.export import as_yaml
from cpod_jupyter.sdk.kinds import WORDS, word_of
from cpod_jupyter.sdk.manifest import Origin

MAGIC = "%%cpod"
_BRACE = '{{ "{" }}'
"""An expression whose value is a brace: with it, braces that are meant as they stand are none."""


def cell_of(objects: Sequence[Object], *, context: str = "", namespace: str = "") -> str:
    """The cell that submits these objects. `context` and `namespace` are written on its line where they are given; an
    object that is more than its spec is written whole, and has its namespace itself."""
    options = ["--context", context] if context else []
    one = objects[0] if len(objects) == 1 else None
    resource = of_object(one) if one is not None else None
    if one is not None and resource is not None and resource in WORDS.values() and _is_bare(one):
        word = word_of(resource)
        if word in grammar.SUBMITTED:
            options += ["--namespace", namespace] if namespace else []
            line = shlex.join([MAGIC, word, meta.name_of(one), *options])
            return f"{line}\n{_escaped(yaml.safe_dump(one.get('spec') or {}, sort_keys=False, allow_unicode=True))}"
    return f"{shlex.join([MAGIC, 'apply', *options])}\n{_escaped(as_yaml(objects))}"


def _is_bare(obj: Object) -> bool:
    whole = obj.keys() <= {"apiVersion", "kind", "metadata", "spec"}
    return whole and obj["metadata"].keys() <= {"name", "namespace"} and bool(obj["metadata"].get("name"))


def _escaped(body: str) -> str:
    return EXPRESSION.sub(lambda found: f"{_BRACE}{found[0][1:]}", body)


def manifest_of(cell: str) -> str:
    """The manifests that a cell would submit, as YAML.

    Raises MagicUsage for a line that cannot be understood, ManifestError with every fault of the body, each with its
    line in the cell; an expression that only a kernel could evaluate is one.
    """
    line, _, body = cell.lstrip("\n").partition("\n")
    words = line.split(None, 1)
    if not words or words[0] != MAGIC:
        raise grammar.MagicUsage(f"this is no {MAGIC} cell: its first line is {line[:60]!r}")
    options = grammar.parse(words[1] if len(words) > 1 else "", cell=True)
    if options.command not in grammar.SUBMITTED:
        raise grammar.MagicUsage(f"a cell of {MAGIC} {options.command} submits nothing: there is no manifest of it")
    _refuse_expressions(body.replace(_BRACE, ""))
    body = body.replace(_BRACE, "{")
    kind = WORDS.get(options.command)
    whole = bool(top_level(body.split("\n"), "apiVersion"))
    named = options.name or kind is None or whole
    origin = Origin("cell", Path.cwd(), lambda number, column: (number + BODY_LINE, column + 1))
    objects = manifest.load(body, kind=kind, name=options.name if named else options.command, origin=origin)
    if kind is not None and not whole:
        defaults = config.load()
        objects = [config.with_defaults(obj, defaults) for obj in objects]
    if not named:
        objects = [named_by_content(obj, options.command) for obj in objects]
    if options.namespace:
        objects = [{**obj, "metadata": {**obj["metadata"], "namespace": options.namespace}} for obj in objects]
    return as_yaml(objects)


def _refuse_expressions(body: str) -> None:
    faults = [
        f"line {number}, column {found.start() + 1}: {found[0]} is evaluated by a kernel when the cell runs; write its "
        "value in its place"
        for number, line in enumerate(body.split("\n"), BODY_LINE)
        if not line.lstrip().startswith("#")
        for found in EXPRESSION.finditer(line)
    ]
    if faults:
        raise ManifestError(faults, "cell")


def named_by_content(obj: Object, word: str) -> Object:
    """The object under a name that its content alone decides, so that the same cell finds it again."""
    content = {key: value for key, value in obj.items() if key != "metadata"}
    return {**obj, "metadata": {**obj["metadata"], "name": f"{word}-{meta.spec_hash(content)}"}}
