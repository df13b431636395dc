"""What must hold of any sequence of server-side applies, tried on configurations made at random (with a fixed seed)."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from cpod_jupyter.api.resources import CRDS
from cpod_jupyter.engine.kinds import ServedKind
from cpod_jupyter.engine.objects import Objects

Json = dict[str, Any]
_INT = {"type": "integer"}
_KEYED = {"type": "array", "x-kubernetes-list-type": "map"}
_INNER = {"type": "object", "properties": {"n": {"type": "string"}, "v": _INT}, "required": ["n"]}
_OUTER = {
    "type": "object",
    "required": ["n"],
    "properties": {
        "n": {"type": "string"},
        "p": {"type": "string", "default": "T"},
        "v": _INT,
        "inner": {**_KEYED, "x-kubernetes-list-map-keys": ["n"], "items": _INNER},
    },
}
_SPEC = {
    "number": _INT,
    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "atomic": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
    "list": {"type": "array", "items": {"type": "string"}},
    "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
    "map": {
        "type": "object",
        "additionalProperties": {"type": "object", "properties": {"x": _INT, "y": _INT}},
    },
    "outer": {**_KEYED, "x-kubernetes-list-map-keys": ["n", "p"], "items": _OUTER},
}
_DEFINITION = {
    "metadata": {"name": "things.test.example"},
    "spec": {
        "group": "test.example",
        "scope": "Namespaced",
        "names": {"plural": "things", "kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "properties": _SPEC}},
                    }
                },
            }
        ],
    },
}


class Made:
    """Configurations made at random."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def _some(self, choices: str) -> list[str]:
        return [choice for choice in choices if self._random.random() < 0.5]

    def _digit(self) -> int:
        return self._random.randint(0, 2)

    def _outer(self) -> list[Json]:
        keys = [(name, port) for name in self._some("abcd") for port in self._some("TU")]
        self._random.shuffle(keys)
        items = []
        for name, port in keys:
            item: Json = {"n": name, "p": port}
            if self._random.random() < 0.6:
                item["v"] = self._digit()
            if inner := [{"n": key, "v": self._digit()} for key in self._some("xyz")]:
                item["inner"] = inner
            items.append(item)
        return items

    def config(self) -> Json:
        free = {key: self._random.choice([1, [1, 2], {"z": self._digit()}]) for key in self._some("pq")}
        spec = {
            "number": self._digit(),
            "free": free,
            "atomic": {key: str(self._digit()) for key in self._some("ab")},
            "list": self._some("abc"),
            "set": self._some("abc"),
            "map": {key: {part: self._digit() for part in self._some("xy")} for key in self._some("uvw")},
            "outer": self._outer(),
        }
        spec = {name: value for name, value in spec.items() if value not in ({}, []) and self._random.random() < 0.7}
        return {
            "apiVersion": "test.example/v1",
            "kind": "Thing",
            "metadata": {"name": "t"},
            "spec": spec or {"number": 1},
        }


@pytest.fixture
def kind(objects: Objects) -> ServedKind:
    objects.create(objects.kinds.of(CRDS), "", copy.deepcopy(_DEFINITION))
    return objects.kinds.find("test.example", "v1", "things")


def test_applies_in_any_order_hold_together(objects: Objects, kind: ServedKind) -> None:
    made = Made(1)

    def apply(config: Json, manager: str, *, force: bool = False) -> Json:
        return objects.apply(kind, "default", "t", copy.deepcopy(config), manager, force=force)[0]

    nothing = {"apiVersion": "test.example/v1", "kind": "Thing", "metadata": {"name": "t"}}
    for _ in range(150):
        first, second = made.config(), made.config()
        assert apply(first, "one")["spec"] == first["spec"], "what is applied is there"
        assert apply(second, "one")["spec"] == second["spec"], "and nothing of what was applied before"
        assert apply(second, "two")["spec"] == second["spec"], "sharing changes nothing"
        both = apply(first, "two", force=True)
        assert apply(first, "two") == both, "who has forced its fields has them, and again is no change"
        apply(nothing, "two")
        left = apply(nothing, "one")
        assert "spec" not in left, "what nobody owns is gone"
        assert "managedFields" not in left["metadata"]
        objects.delete(kind, "default", "t")
