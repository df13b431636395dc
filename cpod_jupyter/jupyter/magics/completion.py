"""Completion on the magic line (commands, kinds, names) and in the body (fields, values, names)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from cpod_jupyter.errors import CpodError
from cpod_jupyter.jupyter.magics import grammar
from cpod_jupyter.sdk import shortforms
from cpod_jupyter.sdk.kinds import TRAININGS, WORDS
from cpod_jupyter.sdk.manifest import known_schema

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from cpod_jupyter.jupyter.magics.commands import CpodMagics

_NAMES = {
    "model": "model",
    "pretrainModelName": "model",
    "modelId": "model",
    "dataset": "dataset",
    "datasetName": "dataset",
}
"""Fields whose value is the name of an object, and the kind of it."""

_BARE = argparse.Namespace(command="complete", context=None, namespace=None)


def install(shell: InteractiveShell, magics: CpodMagics) -> None:
    """Hook into the shell's completer, in the place of an earlier installation."""

    @context_matcher(identifier="cpod")  # type: ignore[untyped-decorator]
    def matcher(context: CompletionContext) -> Any:
        lines = context.full_text.split("\n")[: context.cursor_line + 1]
        lines[-1] = lines[-1][: context.cursor_position]
        found = candidates(lines, lambda kind: _names(magics, kind))
        token = context.token
        matching = [SimpleCompletion(text, type="cpod") for text in found if text.startswith(token)]
        return {"completions": matching, "suppress": bool(matching), "matched_fragment": token}

    matchers = shell.Completer.custom_matchers
    matchers[:] = [old for old in matchers if getattr(old, "matcher_identifier", "") != "cpod"] + [matcher]


def candidates(lines: list[str], names: Any) -> Iterable[str]:
    """What can stand at the end of the last line of a cell; `names` gives the objects of a kind."""
    first = lines[0].lstrip()
    if not re.match(r"%%?cpod\b", first):
        return []
    words = first.split()
    if len(lines) == 1:
        return _on_the_line(words, first.startswith("%%"), first.endswith(" "), names)
    kind = WORDS.get(words[1]) if len(words) > 1 else None
    if kind is None:
        return []
    schema: Mapping[str, Any] = known_schema(kind)["properties"]["spec"]
    if kind in TRAININGS.values() and not _parents(lines[1:]):
        short = shortforms.schema_of(kind)["properties"] if shortforms.is_short(kind, {"image": ""}) else {}
        schema = {**schema, "properties": {**short, **(schema.get("properties") or {})}}
    for key in _parents(lines[1:]):
        schema = (schema.get("properties") or {}).get(key) or {}
    value = re.match(r"\s*(\w+):\s+\S*$", lines[-1])
    if value is None:
        return [f"{name}: " for name in schema.get("properties") or {}]
    field = (schema.get("properties") or {}).get(value[1]) or {}
    if value[1] in _NAMES:
        return list(names(_NAMES[value[1]]))
    return (
        ["true", "false"] if field.get("type") == "boolean" else [str(item) for item in field.get("enum") or [] if item]
    )


def _on_the_line(words: list[str], cell: bool, open_word: bool, names: Any) -> Iterable[str]:
    position = len(words) if open_word else len(words) - 1
    if position == 1:
        return grammar.CELLS if cell else grammar.LINES[1:]
    if position == 2 and words[1] == "ls":
        return WORDS
    if position == 2 and words[1] == "chat":
        return list(names("inference"))
    if position >= 2 and words[1] in ("status", "follow", "logs", "events", "yaml", "cancel", "resume", "delete"):
        return list(names(None))
    return []


def _parents(lines: list[str]) -> list[str]:
    """The keys above the last line, the outermost first, by indentation."""
    depth = len(lines[-1]) - len(lines[-1].lstrip())
    found: list[str] = []
    for line in reversed(lines[:-1]):
        indent = len(line) - len(line.lstrip())
        key = re.match(r"\s*(\w+):\s*$", line)
        if key and indent < depth:
            found.insert(0, key[1])
            depth = indent
    return found


def _names(magics: CpodMagics, kind: str | None) -> list[str]:
    """Names of objects; none when the API cannot be asked, for completion must never disturb."""
    try:
        return [obj["metadata"]["name"] for obj in magics.session(_BARE).ls(kind)] if magics.connected else []
    except CpodError:
        return []
