"""The store on disk: what a restart finds, what compaction keeps, and a store of an earlier format."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.engine.store import ObjectKey, Store
from cpod_jupyter.errors import Expired

KIND = "/configmaps"


def key(name: str) -> ObjectKey:
    return (KIND, "default", name)


def thing(name: str, value: int = 0) -> dict[str, Any]:
    return {"metadata": {"namespace": "default", "name": name}, "value": value}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the same store anew, closing it first if it is open."""
    stores: list[Store] = []

    def reopen() -> Store:
        for store in stores:
            store.close()
        stores.append(Store(tmp_path / "objects.db", history=10))
        return stores[-1]

    yield reopen
    stores[-1].close()


def test_objects_history_and_revision_survive_a_restart(opened: Callable[[], Store]) -> None:
    store = opened()
    store.put(key("a"), thing("a", 1))
    store.put(key("a"), thing("a", 2))
    store.put(key("b"), thing("b"))
    store.remove(key("b"))
    store = opened()
    assert store.revision == 4
    assert [obj["value"] for obj in store.list(KIND)] == [2]
    changes = store.changes(KIND, 0)
    assert [(change.type, change.revision) for change in changes] == [
        ("ADDED", 1), ("MODIFIED", 2), ("ADDED", 3), ("DELETED", 4),
    ]  # fmt: skip
    assert [change.previous and change.previous["value"] for change in changes] == [None, 1, None, 0]


def test_compaction_keeps_what_later_changes_start_from(opened: Callable[[], Store]) -> None:
    store = opened()
    store.put(key("old"), thing("old", 7))
    for number in range(1500):
        store.put(key("busy"), thing("busy", number))
    store.put(key("old"), thing("old", 8))
    for _ in range(2):
        assert store.changes(KIND, store.revision - 1)[0].previous == {
            "metadata": {"namespace": "default", "name": "old", "resourceVersion": "1"}, "value": 7,
        }  # fmt: skip
        assert [obj["value"] for obj in store.list_at(KIND, "default", 1001)] == [999, 7]
        with pytest.raises(Expired):
            store.changes(KIND, 980)
        store = opened()


def test_a_store_without_changes_left_goes_on_counting(opened: Callable[[], Store]) -> None:
    store = opened()
    for number in range(2000):
        store.put(key("a"), thing("a", number))
    store = opened()
    assert store.put(key("a"), thing("a"))["metadata"]["resourceVersion"] == "2001"


def test_a_store_of_an_earlier_format_keeps_its_objects(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE objects (kind, namespace, name, body, PRIMARY KEY (kind, namespace, name))")
    old.execute("CREATE TABLE changes (revision INTEGER PRIMARY KEY, type, kind, body, previous)")
    body = json.dumps({"metadata": {"namespace": "default", "name": "a", "resourceVersion": "41"}})
    old.execute("INSERT INTO objects VALUES (?, ?, ?, ?)", (KIND, "default", "a", body))
    old.execute("INSERT INTO changes VALUES (41, 'ADDED', ?, ?, NULL)", (KIND, body))
    old.commit()
    old.close()
    store = Store(path)
    assert store.get(key("a"))
    with pytest.raises(Expired):
        store.changes(KIND, 40)
    changed = store.put(key("a"), thing("a", 1))
    assert changed["metadata"]["resourceVersion"] == "42"
    assert store.changes(KIND, 41)[0].type == "MODIFIED"
    store.close()


def test_definitions_share_what_is_equal_and_differ_where_they_must(tmp_path: Path) -> None:
    store = Store(tmp_path / "objects.db")
    crds = "apiextensions.k8s.io/customresourcedefinitions"
    template = {"type": "object", "properties": {"x": {"type": "string"}}, "flags": [True, 1, "1", 1.5, None]}
    for name, value in (("a", True), ("b", 1)):
        schema = {"template": template, "default": value, "list": [value]}
        store.put((crds, "", name), {"metadata": {"name": name}, "spec": json.loads(json.dumps(schema))})
    first, second = (obj["spec"] for obj in store.list(crds))
    assert first["template"] is second["template"]
    assert first["template"] == template
    assert [first["default"] is True, second["default"] is True, second["list"] == [1]] == [True, False, True]
    assert json.dumps([first["list"], second["list"]]) == "[[true], [1]]"
    store.close()
