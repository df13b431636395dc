"""Controllers over a real API, in the process and over HTTPS."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CONFIGMAPS, EVENTS, FINETUNES
from cpod_jupyter.client.client import Client
from cpod_jupyter.control.controller import Controller, Key, Manager, Recorder, to_controller, to_itself
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.engine.objects import Objects
from cpod_jupyter.errors import ApiError, ApiUnreachable, NotFound


@pytest.fixture(params=["in the process", "over HTTPS"])
def kube(request: pytest.FixtureRequest, api: LocalApi) -> Any:
    return api if request.param == "in the process" else request.getfixturevalue("client")


def finetune(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"model": "m", "dataset": "d"}}


def test_a_reconciler_makes_what_is_missing_and_makes_it_again(kube: Any, eventually: Any) -> None:
    def reconcile(key: Key) -> None:
        try:
            owner = kube.get(FINETUNES, key.name, key.namespace)
            kube.get(CONFIGMAPS, f"{key.name}-child", key.namespace)
        except NotFound as error:
            if error.details.get("kind") != "configmaps":
                return
            metadata = {"name": f"{key.name}-child", "namespace": key.namespace}
            kube.create(CONFIGMAPS, {"metadata": {**metadata, "ownerReferences": [meta.owner_reference(owner)]}})

    sources = {FINETUNES: to_itself, CONFIGMAPS: to_controller("FineTune")}
    kube.create(FINETUNES, finetune("early"))
    manager = Manager(kube, [Controller("test", reconcile, sources)])
    manager.start()
    kube.create(FINETUNES, finetune("late"))

    def children() -> set[str]:
        return {meta.name_of(item) for item in kube.list(CONFIGMAPS).items}

    eventually(lambda: children() == {"early-child", "late-child"}, "both children")
    kube.delete(CONFIGMAPS, "early-child", "default")
    eventually(lambda: children() == {"early-child", "late-child"}, "the child is back")
    manager.stop()


def test_a_failing_reconciler_is_tried_again(api: LocalApi, eventually: Any) -> None:
    tries = threading.Semaphore(0)

    def reconcile(key: Key) -> None:
        tries.release()
        raise RuntimeError("not yet")

    manager = Manager(api, [Controller("test", reconcile, {FINETUNES: to_itself})])
    manager.start()
    api.create(FINETUNES, finetune("a"))
    assert all(tries.acquire(timeout=10) for _ in range(3))
    manager.stop()


def test_a_deletion_that_a_mapper_could_not_take_is_told_again(api: LocalApi, eventually: Any) -> None:
    """A mapper may ask the API, which may be away just then; nothing else would tell of what is gone."""
    there, gone, failures = threading.Event(), threading.Event(), iter([ApiUnreachable("away")])

    def mapper(obj: dict[str, Any]) -> list[Key]:
        exists = bool(api.list(CONFIGMAPS, "default", field_selector="metadata.name=watched").items)
        if meta.name_of(obj) == "watched" and not exists and (failure := next(failures, None)):
            raise failure
        return [Key("default", meta.name_of(obj))]

    def reconcile(key: Key) -> None:
        try:
            api.get(CONFIGMAPS, key.name, key.namespace)
            there.set()
        except NotFound:
            gone.set()

    api.create(CONFIGMAPS, {"metadata": {"name": "watched", "namespace": "default"}})
    manager = Manager(api, [Controller("test", reconcile, {CONFIGMAPS: mapper})])
    manager.start()
    eventually(there.is_set, "it is seen")
    gone.clear()
    api.delete(CONFIGMAPS, "watched", "default")
    eventually(gone.is_set, "its end is told, in spite of the failure")
    manager.stop()


def test_saying_the_same_again_counts_one_event(api: LocalApi) -> None:
    about = api.create(FINETUNES, finetune("a"))
    recorder = Recorder(api, "test", EVENTS)
    for _ in range(3):
        recorder.warning(about, "Failed", "no such model")
    (event,) = api.list(EVENTS).items
    assert (event["count"], event["type"], event["involvedObject"]["name"]) == (3, "Warning", "a")


def test_a_client_sees_what_the_engine_sees(client: Client, objects: Objects) -> None:
    client.create(FINETUNES, finetune("a"))
    assert objects.store.get(("cpod.cpod/finetunes", "default", "a"))


def test_a_name_that_looks_like_a_path_leads_to_no_other_object(client: Client) -> None:
    client.create(CONFIGMAPS, {"metadata": {"name": "secret", "namespace": "kube-system"}})
    for name in ("../../kube-system/configmaps/secret", "x/../../../kube-system/configmaps/secret", "secret?x=1"):
        with pytest.raises(ApiError):
            client.get(CONFIGMAPS, name, "default")
        with pytest.raises(ApiError):
            client.delete(CONFIGMAPS, name, "default")
    assert meta.name_of(client.get(CONFIGMAPS, "secret", "kube-system")) == "secret"
