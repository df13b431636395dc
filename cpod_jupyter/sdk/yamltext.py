"""YAML as a tree of values that know where they were written.

Only reading: what the values must be is `manifest`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from cpod_jupyter.api.schema import Path

Place = tuple[int, int]
"""Line and column, both from 1, in the text that the person sees."""

Locate = Callable[[int, int], Place]
"""From line and column (from 0) in the parsed text to where that stands for the person."""

_TEXTUAL = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool")
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_MERGE = "tag:yaml.org,2002:merge"
_KNOWN_TAGS = (*_TEXTUAL, _TIMESTAMP, *(f"tag:yaml.org,2002:{tag}" for tag in ("null", "str", "map", "seq")))


@dataclass(frozen=True)
class Fault:
    """Something wrong at a place; `field` is empty when it is about the text as a whole."""

    place: Place
    message: str
    field: str = ""

    def __str__(self) -> str:
        line, column = self.place
        about = f"{self.field}: " if self.field else ""
        return f"line {line}, column {column}: {about}{self.message}"


@dataclass
class Document:
    """One YAML document: its value, and where each part of it was written."""

    value: Any
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Where a path was written; for one that was not, where its nearest parent was."""
        table = self.keys if key else self.values
        while path and path not in table:
            path = path[:-1]
        return table.get(path) or self.values.get(path, (1, 1))


def read(text: str, locate: Locate, faults: list[Fault]) -> list[tuple[Node, Document]]:
    """The non-empty documents of a text. Syntax errors and repeated keys go to `faults`."""
    try:
        nodes = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = locate(mark.line, mark.column) if mark else (1, 1)
        faults.append(Fault(place, f"not valid YAML: {_syntax(error)}"))
        return []
    except yaml.reader.ReaderError as error:
        faults.append(Fault((1, 1), f"not valid YAML: the character {chr(error.character)!r} is not allowed"))
        return []
    found = []
    for node in nodes:
        if isinstance(node, ScalarNode) and not node.value:
            continue  # only comments, or nothing
        builder = _Builder(locate, faults)
        found.append((node, Document(builder.build(node, ()), builder.keys, builder.values)))
    return found


def _syntax(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "it cannot be read"
    if "'\\t'" in problem:
        return "a tab; indent with spaces"
    if "mapping values are not allowed" in problem:
        return 'a second ": " on one line; quote the value if the colon belongs to it'
    return f"{problem} {error.context}" if error.context else problem


class _Builder:
    """Makes values from nodes, and notes where each stood."""

    def __init__(self, locate: Locate, faults: list[Fault]) -> None:
        self.locate = locate
        self.faults = faults
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self._open: set[int] = set()
        self._loader = yaml.SafeLoader("")

    def place(self, node: Node) -> Place:
        return self.locate(node.start_mark.line, node.start_mark.column)

    def build(self, node: Node, path: Path) -> Any:
        self.values[path] = self.place(node)
        if id(node) in self._open:
            self.faults.append(Fault(self.place(node), "refers to itself", dotted(path)))
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            if isinstance(node, SequenceNode):
                return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._scalar(node, path)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: Node, path: Path) -> Any:
        if node.tag == _TIMESTAMP:
            return node.value  # JSON has no times; the API takes their text
        if node.tag not in _KNOWN_TAGS:
            self.faults.append(Fault(self.place(node), f"the tag {node.tag} is not allowed", dotted(path)))
            return None
        try:
            return self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.faults.append(Fault(self.place(node), f"{node.value!r} cannot be read", dotted(path)))
            return None

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged.update(self._merge(value_node, path))
                continue
            if not isinstance(key_node, ScalarNode):
                self.faults.append(Fault(self.place(key_node), "a key must be text", dotted(path)))
                continue
            key = str(key_node.value)
            if key in result:
                line = self.keys[(*path, key)][0]
                self.faults.append(
                    Fault(self.place(key_node), f"given twice; first on line {line}", dotted((*path, key)))
                )
                continue
            self.keys[(*path, key)] = self.place(key_node)
            result[key] = self.build(value_node, (*path, key))
        return {**merged, **result}

    def _merge(self, node: Node, path: Path) -> dict[str, Any]:
        """`<<`: the entries of another mapping, or of several (YAML 1.1, "Merge Key")."""
        sources = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in reversed(sources):
            if isinstance(source, MappingNode):
                merged.update(self.build(source, path))
        return merged


def dotted(path: Path) -> str:
    """`containers[0].image`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def written_strings(node: Node, value: Any, schema: Mapping[str, Any]) -> Any:
    """The value, with the scalars of every map of strings as they were written.

    `n_epochs: 3` and `learning_rate: 5e-5` under a map of strings mean the text; the API would
    refuse the number. Elsewhere a number where text belongs stays a fault.
    """
    if isinstance(node, SequenceNode) and isinstance(value, list):
        items = schema.get("items") or {}
        return [written_strings(child, item, items) for child, item in zip(node.value, value, strict=True)]
    if not isinstance(node, MappingNode) or not isinstance(value, dict):
        return value
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    strings = isinstance(additional, Mapping) and additional.get("type") == "string"
    result = dict(value)
    for name, child in _entries(node):
        if name not in result:
            continue
        if name not in properties and strings and child.tag in _TEXTUAL:
            result[name] = child.value
        else:
            inner = properties.get(name) or (additional if isinstance(additional, Mapping) else {})
            result[name] = written_strings(child, result[name], inner)
    return result


def _entries(node: MappingNode) -> Iterator[tuple[str, Node]]:
    """First of each key, as the builder takes them."""
    seen: set[str] = set()
    for key_node, value_node in node.value:
        if isinstance(key_node, ScalarNode) and key_node.value not in seen:
            seen.add(key_node.value)
            yield key_node.value, value_node
