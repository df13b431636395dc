"""The official Python client, whose models are strict, in the ways that programs use it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml
from kubernetes.client import ApiClient, ApiException, CoreV1Api
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError, ResourceNotFoundError
from kubernetes.informer import ADDED, DELETED, MODIFIED, SharedInformer
from kubernetes.stream import stream
from kubernetes.watch import Watch

BUSYBOX = "busybox"


def pod(name: str, script: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", script]}
    whole = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": whole}


def wait_phase(core: CoreV1Api, namespace: str, name: str, phase: str, eventually: Any) -> Any:
    eventually(lambda: core.read_namespaced_pod(name, namespace).status.phase == phase, f"{name} is {phase}")
    return core.read_namespaced_pod(name, namespace)


# ---- typed calls


@pytest.mark.parametrize(
    ("group", "call"),
    [
        ("CoreV1Api", "list_namespace"),
        ("CoreV1Api", "list_node"),
        ("CoreV1Api", "list_pod_for_all_namespaces"),
        ("CoreV1Api", "list_config_map_for_all_namespaces"),
        ("CoreV1Api", "list_secret_for_all_namespaces"),
        ("CoreV1Api", "list_service_for_all_namespaces"),
        ("CoreV1Api", "list_service_account_for_all_namespaces"),
        ("CoreV1Api", "list_endpoints_for_all_namespaces"),
        ("CoreV1Api", "list_event_for_all_namespaces"),
        ("CoreV1Api", "list_persistent_volume"),
        ("CoreV1Api", "list_persistent_volume_claim_for_all_namespaces"),
        ("CoreV1Api", "list_resource_quota_for_all_namespaces"),
        ("AppsV1Api", "list_deployment_for_all_namespaces"),
        ("AppsV1Api", "list_replica_set_for_all_namespaces"),
        ("BatchV1Api", "list_job_for_all_namespaces"),
        ("CoordinationV1Api", "list_lease_for_all_namespaces"),
        ("RbacAuthorizationV1Api", "list_role_for_all_namespaces"),
        ("RbacAuthorizationV1Api", "list_cluster_role"),
        ("ApiextensionsV1Api", "list_custom_resource_definition"),
        ("DiscoveryV1Api", "list_endpoint_slice_for_all_namespaces"),
        ("EventsV1Api", "list_event_for_all_namespaces"),
        ("VersionApi", "get_code"),
        ("ApisApi", "get_api_versions"),
        ("CoreApi", "get_api_versions"),
    ],
)
def test_what_is_listed_fits_the_strict_models(api_client: ApiClient, group: str, call: str) -> None:
    found = getattr(getattr(kubernetes.client, group)(api_client), call)()
    if call.startswith("list_"):
        assert found.metadata.resource_version.isdigit()
        assert found.items is not None


def test_a_pod_lives_through_typed_calls(core: CoreV1Api, namespace: str, eventually: Any) -> None:
    created = core.create_namespaced_pod(namespace, pod("p", "echo hello; sleep 1"))
    assert (created.metadata.name, created.status.phase) == ("p", "Pending")
    wait_phase(core, namespace, "p", "Running", eventually)
    ended = wait_phase(core, namespace, "p", "Succeeded", eventually)
    assert ended.status.container_statuses[0].state.terminated.exit_code == 0
    assert core.read_namespaced_pod_log("p", namespace) == "hello\n"
    assert core.read_namespaced_pod_log("p", namespace, _preload_content=False).data == b"hello\n"
    events = core.list_namespaced_event(namespace, field_selector="involvedObject.name=p").items
    assert {"Scheduled", "Started"} <= {event.reason for event in events}
    deleted = core.delete_namespaced_pod("p", namespace, grace_period_seconds=0)
    assert deleted.metadata.name == "p"
    with pytest.raises(ApiException) as caught:
        core.read_namespaced_pod("p", namespace)
    assert (caught.value.status, caught.value.reason) == (404, "Not Found")


def test_a_patch_is_strategic_by_default(core: CoreV1Api, namespace: str, eventually: Any) -> None:
    core.create_namespaced_pod(namespace, pod("p", "sleep 30"))
    wait_phase(core, namespace, "p", "Running", eventually)
    changed = core.patch_namespaced_pod("p", namespace, {"metadata": {"labels": {"a": "b"}}})
    assert changed.metadata.labels == {"a": "b"}
    deadline = core.patch_namespaced_pod("p", namespace, {"spec": {"activeDeadlineSeconds": 60}})
    assert deadline.spec.active_deadline_seconds == 60
    assert deadline.spec.containers[0].image == BUSYBOX


def test_a_job_lives_through_typed_calls(
    api_client: ApiClient, core: CoreV1Api, namespace: str, eventually: Any
) -> None:
    jobs = kubernetes.client.BatchV1Api(api_client)
    spec = {"template": {"spec": pod("", "echo done")["spec"]}, "backoffLimit": 1}
    jobs.create_namespaced_job(namespace, {"metadata": {"name": "j"}, "spec": spec})
    eventually(lambda: jobs.read_namespaced_job_status("j", namespace).status.succeeded == 1, "the job succeeds")
    pods = core.list_namespaced_pod(namespace, label_selector="batch.kubernetes.io/job-name=j").items
    assert [found.status.phase for found in pods] == ["Succeeded"]
    jobs.delete_namespaced_job("j", namespace, propagation_policy="Background")
    eventually(lambda: not core.list_namespaced_pod(namespace).items, "its pod follows")


def test_a_deployment_is_scaled_and_its_pods_follow(
    api_client: ApiClient, core: CoreV1Api, namespace: str, eventually: Any
) -> None:
    apps = kubernetes.client.AppsV1Api(api_client)
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod("", "sleep 60", restartPolicy="Always")["spec"]}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    apps.create_namespaced_deployment(namespace, {"metadata": {"name": "web"}, "spec": spec})
    eventually(lambda: apps.read_namespaced_deployment("web", namespace).status.available_replicas == 1, "one is there")
    scale = apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 2}})
    assert scale.spec.replicas == 2
    eventually(
        lambda: apps.read_namespaced_deployment("web", namespace).status.available_replicas == 2, "two are there"
    )
    assert apps.read_namespaced_deployment_scale("web", namespace).status.replicas == 2
    apps.delete_namespaced_deployment("web", namespace)
    eventually(lambda: not core.list_namespaced_pod(namespace).items, "its pods follow")


def test_custom_objects_are_created_patched_and_deleted(api_client: ApiClient, namespace: str) -> None:
    api = kubernetes.client.CustomObjectsApi(api_client)
    where = ("cpod.cpod", "v1", namespace, "modelstorages")
    body = {
        "apiVersion": "cpod.cpod/v1",
        "kind": "ModelStorage",
        "metadata": {"name": "m"},
        "spec": {"modeltype": "huggingface", "modelname": "sshleifer/tiny-gpt2"},
    }
    created = api.create_namespaced_custom_object(*where, body)
    assert created["metadata"]["uid"]
    assert [item["metadata"]["name"] for item in api.list_namespaced_custom_object(*where)["items"]] == ["m"]
    patch = {"metadata": {"labels": {"a": "b"}}}
    merged = api.patch_namespaced_custom_object(*where, "m", patch, _content_type="application/merge-patch+json")
    assert merged["metadata"]["labels"] == {"a": "b"}
    operations = [{"op": "add", "path": "/metadata/annotations", "value": {"c": "d"}}]
    patched = api.patch_namespaced_custom_object(*where, "m", operations, _content_type="application/json-patch+json")
    assert patched["metadata"]["annotations"]["c"] == "d"
    with pytest.raises(ApiException) as caught:
        api.patch_namespaced_custom_object(*where, "m", operations, _content_type="application/merge-patch+json")
    assert caught.value.status == 400
    assert api.delete_namespaced_custom_object(*where, "m")["status"] in ("Success", created.get("status"))


def test_a_commands_output_comes_over_a_websocket(core: CoreV1Api, namespace: str, eventually: Any) -> None:
    core.create_namespaced_pod(namespace, pod("p", "sleep 60"))
    wait_phase(core, namespace, "p", "Running", eventually)
    call = core.connect_get_namespaced_pod_exec
    options = {"stderr": True, "stdin": False, "stdout": True, "tty": False}
    assert stream(call, "p", namespace, command=["sh", "-c", "echo $((1 + 2))"], **options) == "3\n"
    running = stream(call, "p", namespace, command=["sh", "-c", "exit 3"], _preload_content=False, **options)
    running.run_forever(timeout=20)
    assert running.returncode == 3


# ---- watches and logs


def test_a_watch_follows_typed_objects_and_ends_in_time(core: CoreV1Api, namespace: str) -> None:
    version = core.list_namespaced_config_map(namespace).metadata.resource_version
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})
    core.patch_namespaced_config_map("a", namespace, {"data": {"x": "1"}})
    core.delete_namespaced_config_map("a", namespace)
    told = [
        (event["type"], event["object"].metadata.name)
        for event in Watch().stream(
            core.list_namespaced_config_map, namespace, resource_version=version, timeout_seconds=1
        )
    ]
    assert told == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_a_watch_is_stopped_from_within(core: CoreV1Api, namespace: str) -> None:
    for name in "abc":
        core.create_namespaced_config_map(namespace, {"metadata": {"name": name}})
    watch, seen = Watch(), []
    for event in watch.stream(core.list_namespaced_config_map, namespace, timeout_seconds=20):
        seen.append(event["object"].metadata.name)
        if len(seen) == 2:
            watch.stop()
    assert len(seen) == 2
    assert int(watch.resource_version)


def test_a_log_is_followed_line_by_line(core: CoreV1Api, namespace: str, eventually: Any) -> None:
    core.create_namespaced_pod(namespace, pod("p", r"echo one; sleep 0.5; printf '\303\244\377\n'; echo three"))
    eventually(lambda: core.read_namespaced_pod("p", namespace).status.phase != "Pending", "the pod runs")
    lines = list(Watch().stream(core.read_namespaced_pod_log, "p", namespace))
    assert lines == ["one", "ä\ufffd", "three"]


# ---- informer


def test_an_informer_keeps_its_cache_up_to_date(core: CoreV1Api, namespace: str, eventually: Any) -> None:
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "before", "labels": {"set": "x"}}})
    told: list[tuple[str, str]] = []

    def note(kind: str) -> Callable[[Any], None]:
        return lambda obj: told.append((kind, obj.metadata.name))

    informer = SharedInformer(core.list_namespaced_config_map, namespace=namespace, label_selector="set=x")
    for kind in (ADDED, MODIFIED, DELETED):
        informer.add_event_handler(kind, note(kind))
    informer.start()
    try:
        eventually(lambda: informer.cache.get_by_key(f"{namespace}/before"), "what was there is cached")
        core.create_namespaced_config_map(namespace, {"metadata": {"name": "a", "labels": {"set": "x"}}})
        eventually(lambda: (ADDED, "a") in told, "the new one is told of")
        core.patch_namespaced_config_map("a", namespace, {"data": {"k": "new"}})
        eventually(lambda: (MODIFIED, "a") in told, "the change is told of")
        assert informer.cache.get_by_key(f"{namespace}/a").data == {"k": "new"}
        core.patch_namespaced_config_map("a", namespace, {"metadata": {"labels": {"set": "y"}}})
        eventually(lambda: (DELETED, "a") in told, "what leaves the selection is told of")
        core.delete_namespaced_config_map("before", namespace)
        eventually(lambda: not informer.cache.list(), "the cache is empty")
    finally:
        informer.stop()


def test_an_informer_lists_anew_in_its_time(core: CoreV1Api, namespace: str, eventually: Any) -> None:
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a", "labels": {"set": "x"}}})
    again = threading.Event()
    informer = SharedInformer(
        core.list_namespaced_config_map, namespace=namespace, label_selector="set=x", resync_period=1
    )
    informer.add_event_handler(MODIFIED, lambda _: again.set())
    informer.start()
    try:
        eventually(again.is_set, "the informer lists anew")
    finally:
        informer.stop()


# ---- dynamic


@pytest.fixture
def dynamic(api_client: ApiClient, tmp_path: Path) -> DynamicClient:
    return DynamicClient(api_client, cache_file=str(tmp_path / "discovery.json"))


def test_the_dynamic_client_finds_kinds_by_any_of_their_names(dynamic: DynamicClient) -> None:
    assert dynamic.resources.get(api_version="v1", kind="Pod").name == "pods"
    assert dynamic.resources.get(short_names=["ft"]).kind == "FineTune"
    assert (
        dynamic.resources.get(api_version="apps/v1", kind="Deployment").subresources["scale"].name
        == "deployments/scale"
    )
    with pytest.raises(ResourceNotFoundError):
        dynamic.resources.get(api_version="v1", kind="Nothing")


def test_the_dynamic_clients_cache_serves_another(
    api_client: ApiClient, dynamic: DynamicClient, tmp_path: Path
) -> None:
    found = dynamic.resources.get(api_version="v1", kind="Pod")
    dynamic.resources._write_cache()
    again = DynamicClient(api_client, cache_file=str(tmp_path / "discovery.json"))
    assert again.resources.get(api_version="v1", kind="Pod").to_dict() == found.to_dict()


def test_the_dynamic_client_writes_watches_and_applies(dynamic: DynamicClient, namespace: str) -> None:
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    created = maps.create(body=body, namespace=namespace)
    with pytest.raises(ConflictError):
        maps.create(body=body, namespace=namespace)
    version = created.metadata.resourceVersion
    patch = {"metadata": {"name": "a"}, "data": {"y": "2"}}
    maps.patch(body=patch, namespace=namespace, content_type="application/merge-patch+json")
    maps.delete(name="a", namespace=namespace)
    told = [
        (event["type"], event["object"].metadata.name)
        for event in maps.watch(namespace=namespace, resource_version=version, timeout=1)
    ]
    assert told == [("MODIFIED", "a"), ("DELETED", "a")]
    with pytest.raises(NotFoundError):
        maps.get(name="a", namespace=namespace)
    applied = maps.server_side_apply(body=body, namespace=namespace, field_manager="me")
    assert applied.metadata.managedFields[0].manager == "me"


def test_the_dynamic_client_works_on_new_kinds_and_their_status(dynamic: DynamicClient, namespace: str) -> None:
    kinds = dynamic.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
    }
    names = {"plural": "kites", "singular": "kite", "kind": "Kite", "shortNames": ["kt"]}
    name = "kites.dynamic.example.com"
    kinds.create(
        body={
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": name},
            "spec": {"group": "dynamic.example.com", "scope": "Namespaced", "names": names, "versions": [version]},
        }
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                kites = dynamic.resources.get(api_version="dynamic.example.com/v1", kind="Kite")
                break
            except ResourceNotFoundError:
                assert time.monotonic() < deadline
                dynamic.resources.invalidate_cache()
        body = {"apiVersion": "dynamic.example.com/v1", "kind": "Kite", "metadata": {"name": "k"}, "spec": {"x": 1}}
        kites.create(body=body, namespace=namespace)
        status = {"metadata": {"name": "k"}, "status": {"up": True}}
        changed = kites.status.patch(body=status, namespace=namespace, content_type="application/merge-patch+json")
        assert (changed.status.up, changed.spec.x) == (True, 1)
    finally:
        kinds.delete(name=name)


# ---- from files


def test_a_file_of_several_objects_is_created(api_client: ApiClient, namespace: str, tmp_path: Path) -> None:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod("", "sleep 60", restartPolicy="Always")["spec"]}
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "List",
            "items": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}],
        },
    ]
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    kubernetes.utils.create_from_yaml(api_client, str(file), namespace=namespace)
    core = CoreV1Api(api_client)
    assert core.read_namespaced_config_map("settings", namespace).data == {"a": "b"}
    assert core.read_namespaced_secret("s", namespace).data == {"a": "Yg=="}
    assert core.read_namespaced_service("web", namespace).spec.ports[0].port == 80
    assert kubernetes.client.AppsV1Api(api_client).read_namespaced_deployment("web", namespace).spec.replicas == 0
    with pytest.raises(kubernetes.utils.FailToCreateError) as caught:
        kubernetes.utils.create_from_yaml(api_client, str(file), namespace=namespace)
    assert {failure.status for failure in caught.value.api_exceptions} == {409}
