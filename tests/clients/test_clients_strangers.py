"""kopf, kr8s, lightkube, Kubeflow's client for training, and the official client's asyncio half and leader election, as
real programs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest

PROGRAMS = Path(__file__).with_name("programs")
GROUP = "clients.example.com"


def test_a_script_on_kr8s_does_its_work(program: Callable[..., list[str]], namespace: str) -> None:
    assert program("kr8s_tour.py", namespace) == [
        "version 1",
        "whoami cpod",
        "resources Pod Deployment FineTune",
        "configmap {'a': '1', 'b': '2'} {'team': 'blue'} seen",
        "selected ['settings']",
        "watched True",
        "ready True",
        "logs one two",
        "phase Succeeded",
        "exists False",
        "lease me",
        "missing NotFoundError",
    ]


@pytest.mark.timeout(300)
def test_kubeflows_own_client_trains_a_function_on_two_nodes(program: Callable[..., list[str]], namespace: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra `runtime`), and torchrun starts the function")
    assert program("kubeflow_train.py", namespace) == [
        "runtimes jax-distributed mpi-distributed torch-distributed torch-initialized xgboost-distributed",
        "status Complete",
        "steps node-0 Succeeded node-1 Succeeded",
        "logs hello 0 of 2",
        "jobs True",
        "events True",
        "left []",
    ]


def test_kr8s_runs_commands_in_pods(
    program: Callable[..., list[str]], core: kubernetes.client.CoreV1Api, namespace: str, eventually: Any
) -> None:
    container = {"name": "main", "image": "busybox", "command": ["sleep", "60"]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    core.create_namespaced_pod(namespace, {"metadata": {"name": "p"}, "spec": spec})
    eventually(lambda: core.read_namespaced_pod("p", namespace).status.phase == "Running", "the pod runs")
    assert program("kr8s_exec.py", namespace, "p") == ["out err 3"]


def test_a_charm_on_lightkube_does_its_work(program: Callable[..., list[str]], namespace: str) -> None:
    assert program("lightkube_tour.py", namespace) == [
        "applied {'a': '1', 'b': '2'}",
        "again {'a': '1'}",
        "conflict 409 Conflict",
        "forced {'a': 'other'}",
        "patched {'a': 'other', 'c': '3'}",
        "listed ['settings']",
        "watched ADDED settings",
        "missing NotFound missing",
        "logs hello",
        "custom general",
        "status Succeeded",
        "left []",
    ]


def test_the_official_asyncio_client_does_its_work(program: Callable[..., list[str]], namespace: str) -> None:
    assert program("official_aio.py", namespace) == [
        "created a",
        "patched {'x': '1', 'y': '2'}",
        "missing 404 Not Found",
        "watched ADDED b DELETED b",
        r"log 'one\ntwo\n'",
        "dynamic general",
        "leads me",
    ]


def test_one_of_two_candidates_leads_and_the_other_takes_over(
    background: Callable[..., Any], namespace: str, eventually: Any
) -> None:
    first, first_log = background(str(PROGRAMS / "candidate.py"), namespace, "first")
    eventually(lambda: "first leads" in first_log.read_text(), "the first one leads")
    _, second_log = background(str(PROGRAMS / "candidate.py"), namespace, "second")
    first.kill()
    eventually(lambda: "second leads" in second_log.read_text(), "the second one takes over")


# ---- kopf


@pytest.fixture
def ponds(api_client: kubernetes.client.ApiClient, namespace: str) -> Iterator[kubernetes.client.CustomObjectsApi]:
    """The kind that the operator works on."""
    definitions = kubernetes.client.ApiextensionsV1Api(api_client)
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = {"type": "object", "properties": {"fish": {"type": "integer"}}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": anything}}},
    }
    names = {"plural": "ponds", "singular": "pond", "kind": "Pond"}
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"ponds.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    definitions.create_custom_resource_definition(body)
    yield kubernetes.client.CustomObjectsApi(api_client)
    definitions.delete_custom_resource_definition(f"ponds.{GROUP}")


def test_an_operator_on_kopf_does_its_work(
    background: Callable[..., Any],
    ponds: kubernetes.client.CustomObjectsApi,
    core: kubernetes.client.CoreV1Api,
    namespace: str,
    eventually: Any,
) -> None:
    where = (GROUP, "v1", namespace, "ponds")
    command = ("-m", "kopf", "run", "--standalone", "--namespace", namespace, str(PROGRAMS / "ponds.py"))
    operator, log = background(*command)

    def pond() -> Any:
        return ponds.get_namespaced_custom_object(*where, "lake")

    def status(field: str) -> Any:
        return (pond().get("status") or {}).get(field)

    def fish() -> str:
        return str(core.read_namespaced_config_map("lake-fish", namespace).data["fish"])

    body = {"apiVersion": f"{GROUP}/v1", "kind": "Pond", "metadata": {"name": "lake"}, "spec": {"fish": 2}}
    ponds.create_namespaced_custom_object(*where, body)
    eventually(lambda: status("phase") == "Filled", "the creation is handled")
    assert pond()["metadata"]["finalizers"] == [f"{GROUP}/drain"]
    child = core.read_namespaced_config_map("lake-fish", namespace)
    assert child.metadata.owner_references[0].uid == pond()["metadata"]["uid"]

    ponds.patch_namespaced_custom_object(
        *where, "lake", {"spec": {"fish": 5}}, _content_type="application/merge-patch+json"
    )
    eventually(lambda: status("change") == "2 to 5", "the change is handled")
    assert fish() == "5"
    eventually(lambda: (status("ticks") or 0) >= 3, "the timer ticks")

    core.create_namespaced_config_map(namespace, {"metadata": {"name": "c", "labels": {"watched": "yes"}}})
    eventually(lambda: "seen ADDED c" in log.read_text(), "the event is seen")
    eventually(
        lambda: [
            event for event in core.list_namespaced_event(namespace).items if event.involved_object.name == "lake"
        ],
        "kopf posts its events",
    )

    operator.send_signal(signal.SIGTERM)
    assert operator.wait(30) == 0
    ponds.patch_namespaced_custom_object(
        *where, "lake", {"spec": {"fish": 7}}, _content_type="application/merge-patch+json"
    )
    ponds.delete_namespaced_custom_object(*where, "lake")
    assert pond()["metadata"]["deletionTimestamp"]  # nobody is there to drain it

    operator, log = background(*command)

    def gone() -> bool:
        left = ponds.list_namespaced_custom_object(*where)["items"]
        return not left

    eventually(gone, "the deletion is handled after a restart")
    assert core.read_namespaced_config_map("lake-drained", namespace)
    selected = {"field_selector": "metadata.name=lake-fish"}
    eventually(lambda: not core.list_namespaced_config_map(namespace, **selected).items, "its config map is collected")
    operator.send_signal(signal.SIGTERM)
    assert operator.wait(30) == 0
    assert "Traceback" not in log.read_text()
