"""A request's body as JSON values, and the keys that are in it twice.

JSON and YAML both let a key appear twice; the last one counts. The API server warns of it, or refuses
it where fields are validated strictly (Kubernetes API concepts, "Validation for unrecognized or
duplicate fields").
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from typing import Any, ClassVar

import yaml

from cpod_jupyter.api.problem import Path, dotted
from cpod_jupyter.engine import notices
from cpod_jupyter.errors import BadRequest

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_LIMIT = 1_000_000
"""Values in a YAML text with its aliases written out, against a small text that becomes a huge object."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as it becomes JSON: a time stays the text that it is."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def decoded(text: bytes, *, as_yaml: bool) -> Any:
    """The value. Raises BadRequest for a body that is not valid, or not strictly so when that is asked."""
    try:
        value, twice = _from_yaml(text) if as_yaml else _from_json(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise BadRequest(f"the body of the request is not valid: {error}") from error
    if twice:
        listed = [f'duplicate field "{field}"' for field in twice]
        if notices.wants_strict_fields():
            raise BadRequest(f"strict decoding error: {', '.join(listed)}")
        if notices.wants_unknown_fields():
            for line in listed:
                notices.warn(line)
    return value


class _Twice(dict[str, Any]):
    """An object in whose text some keys are there more than once."""

    keys_twice: tuple[str, ...] = ()


def _from_json(text: bytes) -> tuple[Any, list[str]]:
    some = False

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal some
        result = dict(pairs)
        if len(result) == len(pairs):
            return result
        some = True
        marked = _Twice(pairs)
        names = [name for name, _ in pairs]
        marked.keys_twice = tuple(dict.fromkeys(name for name in names if names.count(name) > 1))
        return marked

    value = json.loads(text, object_pairs_hook=build)
    return (_plain(value), _places(value)) if some else (value, [])


def _places(value: Any, path: Path = ()) -> list[str]:
    found: list[str] = []
    if isinstance(value, dict):
        found = [dotted((*path, name)) for name in getattr(value, "keys_twice", ())]
        for name, item in value.items():
            found += _places(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += _places(item, (*path, index))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _from_yaml(text: bytes) -> tuple[Any, list[str]]:
    if text.lstrip()[:1] == b"{":  # patches that are called YAML are mostly JSON
        with contextlib.suppress(ValueError):
            return _from_json(text)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}, []
        twice: list[str] = []
        _look(node, (), twice, itertools.count(1))
        return loader.construct_document(node), twice
    finally:
        loader.dispose()


def _look(node: yaml.Node, path: Path, twice: list[str], steps: Iterator[int]) -> None:
    """Note keys that are there twice, and make every key the text that it is in JSON."""
    if next(steps) > _LIMIT:
        raise ValueError(f"it has more than {_LIMIT} values, with its aliases written out")
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _look(item, (*path, index), twice, steps)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, item in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                key.tag = _TEXT
                place = (*path, str(key.value))
                if key.value in seen:
                    twice.append(dotted(place))
                seen.add(key.value)
                _look(item, place, twice, steps)
            else:
                _look(item, path, twice, steps)
