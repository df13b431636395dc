"""Lists in pieces: each of one consistent version, whatever is written meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from cpod_jupyter.api.resources import CONFIGMAPS
from cpod_jupyter.client.client import Client
from cpod_jupyter.engine.store import Store
from cpod_jupyter.errors import Expired

PATH = "/api/v1/namespaces/default/configmaps"
Ask = Callable[[str], Any]


@pytest.fixture
def ask(kubeconfig: Path) -> Iterator[Ask]:
    """`ask(path)` → the answer of a GET."""
    config = yaml.safe_load(kubeconfig.read_text())
    pool = urllib3.PoolManager(ca_certs=str(kubeconfig.parent / "pki" / "ca.crt"))
    server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]
    yield lambda path: pool.request("GET", server + path, headers={"Authorization": f"Bearer {token}"})
    pool.clear()


def make(client: Client, *names: str) -> None:
    for name in names:
        client.create(CONFIGMAPS, {"metadata": {"name": name, "namespace": "default", "labels": {"app": name[0]}}})


def names(answer: Any) -> list[str]:
    return [item["metadata"]["name"] for item in answer.json()["items"]]


def test_a_list_comes_in_pieces_of_one_version(client: Client, ask: Ask) -> None:
    make(client, "a", "b", "c", "d", "e")
    first = ask(f"{PATH}?limit=2")
    assert names(first) == ["a", "b"]
    assert first.json()["metadata"]["remainingItemCount"] == 3
    client.delete(CONFIGMAPS, "c", "default")
    client.patch(CONFIGMAPS, "d", {"data": {"new": "yes"}}, "default")
    make(client, "bb")
    second = ask(f"{PATH}?limit=2&continue={first.json()['metadata']['continue']}")
    assert names(second) == ["c", "d"]
    assert "data" not in second.json()["items"][1]
    assert second.json()["metadata"]["resourceVersion"] == first.json()["metadata"]["resourceVersion"]
    last = ask(f"{PATH}?limit=2&continue={second.json()['metadata']['continue']}")
    assert names(last) == ["e"]
    assert "continue" not in last.json()["metadata"]


def test_the_remaining_count_is_left_out_where_something_was_selected(client: Client, ask: Ask) -> None:
    make(client, "a1", "a2", "a3", "b1")
    answer = ask(f"{PATH}?limit=1&labelSelector=app%3Da")
    assert "remainingItemCount" not in answer.json()["metadata"]
    rest = ask(f"{PATH}?labelSelector=app%3Da&continue={answer.json()['metadata']['continue']}")
    assert names(rest) == ["a2", "a3"]


def test_a_list_can_be_of_an_exact_version(client: Client, ask: Ask) -> None:
    make(client, "a")
    version = client.list(CONFIGMAPS).resource_version
    make(client, "b")
    assert names(ask(f"{PATH}?resourceVersion={version}&resourceVersionMatch=Exact")) == ["a"]
    assert names(ask(f"{PATH}?resourceVersion={version}&resourceVersionMatch=NotOlderThan")) == ["a", "b"]


@pytest.mark.parametrize(
    ("query", "code", "reason"),
    [
        pytest.param("resourceVersionMatch=Exact", 422, "Invalid", id="a match without a version"),
        pytest.param("resourceVersion=abc", 400, "BadRequest", id="no version"),
        pytest.param("resourceVersion=99999999", 504, "Timeout", id="a version to come"),
        pytest.param("continue=%21%21", 400, "BadRequest", id="no token"),
        pytest.param("limit=many", 400, "BadRequest", id="no number"),
    ],
)
def test_what_makes_no_sense_is_refused(ask: Ask, query: str, code: int, reason: str) -> None:
    answer = ask(f"{PATH}?{query}")
    assert answer.status == code
    assert answer.json()["reason"] == reason


def test_a_version_that_is_no_longer_kept_is_expired(tmp_path: Path) -> None:
    store = Store(tmp_path / "objects.db", history=10)
    for number in range(2000):
        store.put(
            ("/configmaps", "default", "a"), {"metadata": {"namespace": "default", "name": "a", "number": number}}
        )
    assert store.list_at("/configmaps", "default", 1999)[0]["metadata"]["number"] == 1998
    with pytest.raises(Expired):
        store.list_at("/configmaps", "default", 5)
    store.close()
