"""Server-side apply and field ownership over HTTPS: plain requests, kubectl and the official client."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import urllib3
import yaml

from cpod_jupyter.api.resources import PODS
from cpod_jupyter.engine.local_api import LocalApi

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
FINETUNES = "/apis/cpod.cpod/v1beta1/namespaces/default/finetunes"
POD = {"containers": [{"name": "c", "image": "i"}]}
Send = Callable[..., urllib3.BaseHTTPResponse]


@pytest.fixture
def raw(kubeconfig: Path) -> Any:
    """`raw(method, path, body, type, agent)` → the response."""
    config = yaml.safe_load(kubeconfig.read_text())
    pool = urllib3.PoolManager(ca_certs=str(kubeconfig.parent / "pki" / "ca.crt"))
    server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]

    def request(
        method: str, path: str, body: Any = None, type: str = "application/json", agent: str = "test/1 (x)"
    ) -> urllib3.BaseHTTPResponse:
        data = body if isinstance(body, str) else json.dumps(body)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": type, "User-Agent": agent}
        return pool.request(method, server + path, body=data if body is not None else None, headers=headers)

    yield request
    pool.clear()


@pytest.fixture
def apply(raw: Send) -> Send:
    """`apply(path, body, manager, query)` → the response to a server-side apply."""

    def send(path: str, body: Any, manager: str = "m", query: str = "") -> urllib3.BaseHTTPResponse:
        url = f"{path}/{body['metadata']['name']}" if isinstance(body, dict) else path
        return raw("PATCH", f"{url}?fieldManager={manager}{query}", body, type="application/apply-patch+yaml")

    return send


def config_map(data: dict[str, Any] | None, **metadata: Any) -> dict[str, Any]:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **metadata}}
    return body if data is None else {**body, "data": data}


def deployment(**spec: Any) -> dict[str, Any]:
    containers = [{"name": "nginx", "image": "nginx:1"}]
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template, **spec},
    }


def entries(answer: urllib3.BaseHTTPResponse) -> dict[tuple[str, str], Any]:
    """The owned fields by manager and operation."""
    found = answer.json()["metadata"]["managedFields"]
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in found}


# ---- an apply


def test_an_apply_creates_and_says_who_owns_what(apply: Send) -> None:
    answer = apply(CONFIGMAPS, config_map({"k": "1"}, labels={"l": "x"}))
    assert answer.status == 201
    [entry] = answer.json()["metadata"]["managedFields"]
    assert {name: entry[name] for name in ("manager", "operation", "apiVersion", "fieldsType")} == {
        "manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
    }  # fmt: skip
    assert entry["fieldsV1"] == {"f:metadata": {"f:labels": {"f:l": {}}}, "f:data": {"f:k": {}}}
    assert entry["time"].endswith("Z")
    assert "subresource" not in entry


def test_the_same_apply_again_changes_nothing(apply: Send) -> None:
    first = apply(DEPLOYMENTS, deployment(replicas=2))
    again = apply(DEPLOYMENTS, deployment(replicas=2))
    assert (again.status, again.json()) == (200, first.json())


def test_an_apply_of_a_name_alone_changes_nothing_later(apply: Send) -> None:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "extra"}}
    first = apply("/api/v1/namespaces", space)
    assert first.status == 201
    assert apply("/api/v1/namespaces", space).json() == first.json()


def test_what_is_no_longer_applied_goes(apply: Send) -> None:
    apply(CONFIGMAPS, config_map({"k": "1", "gone": "2"}, labels={"l": "x"}))
    answer = apply(CONFIGMAPS, config_map({"k": "1"})).json()
    assert answer["data"] == {"k": "1"}
    assert "labels" not in answer["metadata"]
    empty = apply(CONFIGMAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}).json()
    assert "data" not in empty


def test_what_another_manager_owns_as_well_stays(apply: Send) -> None:
    apply(CONFIGMAPS, config_map({"k": "1", "shared": "2"}), "one")
    both = apply(CONFIGMAPS, config_map({"shared": "2"}), "two")
    assert entries(both).keys() == {("one", "Apply"), ("two", "Apply")}
    left = apply(CONFIGMAPS, config_map({"k": "1"}), "one")
    assert left.json()["data"] == {"k": "1", "shared": "2"}
    assert apply(CONFIGMAPS, config_map({}), "two").json()["data"] == {"k": "1"}


def test_a_conflict_names_the_managers_and_their_fields(raw: Send, apply: Send) -> None:
    apply(CONFIGMAPS, config_map({"k": "1", "l": "1"}), "one")
    raw("PATCH", f"{CONFIGMAPS}/a", {"data": {"u": "1"}}, type="application/merge-patch+json", agent="edit/2")
    answer = apply(CONFIGMAPS, config_map({"k": "2"}), "two")
    assert answer.status == 409
    status = answer.json()
    assert status["reason"] == "Conflict"
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "one": .data.k'
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.k"}
    assert status["details"] == {"causes": [cause]}
    several = apply(CONFIGMAPS, config_map({"k": "2", "l": "2", "u": "2"}), "two").json()
    assert several["message"] == (
        'Apply failed with 3 conflicts: conflicts with "edit" using v1:\n- .data.u\n'
        'conflicts with "one":\n- .data.k\n- .data.l'
    )


def test_force_takes_the_fields_over(apply: Send) -> None:
    apply(CONFIGMAPS, config_map({"k": "1", "l": "1"}), "one")
    answer = apply(CONFIGMAPS, config_map({"k": "2"}), "two", "&force=true")
    assert answer.json()["data"] == {"k": "2", "l": "1"}
    assert entries(answer) == {("one", "Apply"): {"f:data": {"f:l": {}}}, ("two", "Apply"): {"f:data": {"f:k": {}}}}


def test_a_controller_may_take_over_the_replicas(raw: Send, apply: Send) -> None:
    # "Transferring ownership between managers" of Kubernetes' page on server-side apply
    apply(DEPLOYMENTS, deployment(replicas=3), "user")
    scale = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": 3}}
    apply(DEPLOYMENTS, scale, "autoscaler")
    left = apply(DEPLOYMENTS, deployment(), "user").json()
    assert left["spec"]["replicas"] == 3
    scale["spec"]["replicas"] = 4
    assert apply(DEPLOYMENTS, scale, "autoscaler").json()["spec"]["replicas"] == 4


def test_lists_merge_by_the_keys_of_their_type(apply: Send) -> None:
    apply(DEPLOYMENTS, deployment(), "one")
    ports = [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]
    mine = deployment()
    mine["spec"]["template"]["spec"]["containers"] = [
        {"name": "first", "image": "i", "env": [{"name": "E", "value": "1"}]},
        {"name": "nginx", "ports": ports},
    ]
    answer = apply(DEPLOYMENTS, mine, "two").json()
    containers = answer["spec"]["template"]["spec"]["containers"]
    assert [item["name"] for item in containers] == ["first", "nginx"]
    assert containers[1]["image"] == "nginx:1"
    assert [item["protocol"] for item in containers[1]["ports"]] == ["TCP", "UDP"]
    mine["spec"]["template"]["spec"]["containers"] = [{"name": "nginx", "ports": ports[1:]}]
    left = apply(DEPLOYMENTS, mine, "two").json()["spec"]["template"]["spec"]["containers"]
    assert [item["name"] for item in left] == ["nginx"]
    assert left[0]["ports"] == [{"containerPort": 80, "protocol": "UDP"}]


def test_atomic_values_have_one_owner_as_a_whole(apply: Send) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"selector": {"a": "1"}, "ports": [{"port": 80}]},
    }
    path = "/api/v1/namespaces/default/services"
    assert apply(path, service, "one").status == 201
    other = {**service, "spec": {"selector": {"b": "1"}}}
    refused = apply(path, other, "two").json()
    assert refused["details"]["causes"][0]["field"] == ".spec.selector"
    assert apply(path, other, "two", "&force=true").json()["spec"]["selector"] == {"b": "1"}


def test_sets_merge_by_value(apply: Send) -> None:
    apply(CONFIGMAPS, config_map(None, finalizers=["x/one", "x/both"]), "one")
    both = apply(CONFIGMAPS, config_map(None, finalizers=["x/both", "x/two"]), "two")
    assert both.json()["metadata"]["finalizers"] == ["x/one", "x/both", "x/two"]
    assert entries(both)["two", "Apply"]["f:metadata"]["f:finalizers"] == {'v:"x/both"': {}, 'v:"x/two"': {}}
    left = apply(CONFIGMAPS, config_map(None), "one").json()
    assert left["metadata"]["finalizers"] == ["x/both", "x/two"]
    apply(CONFIGMAPS, config_map(None), "two")


def test_kinds_of_definitions_apply_by_their_own_schema(apply: Send) -> None:
    tune = {
        "apiVersion": "cpod.cpod/v1beta1",
        "kind": "FineTune",
        "metadata": {"name": "t"},
        "spec": {"model": "m", "dataset": "d", "hyperParameters": {"n_epochs": "3"}},
    }
    created = apply(FINETUNES, tune)
    assert created.status == 201, created.data
    assert "." not in entries(created)["m", "Apply"]["f:spec"]
    other = {**tune, "spec": {"hyperParameters": {"batch_size": "1"}}}
    merged = apply(FINETUNES, other, "two").json()
    assert merged["spec"]["hyperParameters"] == {"n_epochs": "3", "batch_size": "1"}
    unknown = apply(FINETUNES, {**tune, "spec": {**tune["spec"], "modle": "x"}})
    assert (unknown.status, "field not declared in schema" in unknown.json()["message"]) == (500, True)


def test_a_dry_run_stores_nothing(raw: Send, apply: Send) -> None:
    assert apply(CONFIGMAPS, config_map({"k": "1"}), query="&dryRun=All").status == 201
    assert raw("GET", f"{CONFIGMAPS}/a").status == 404
    apply(CONFIGMAPS, config_map({"k": "1"}))
    assert apply(CONFIGMAPS, config_map({"k": "2"}), query="&dryRun=All").json()["data"] == {"k": "2"}
    assert raw("GET", f"{CONFIGMAPS}/a").json()["data"] == {"k": "1"}


def test_the_status_has_its_own_owners(raw: Send, apply: Send) -> None:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    path = "/api/v1/namespaces/default/pods"
    spec = {"containers": [{"name": "c", "image": "i"}]}
    apply(path, {**body, "spec": spec, "status": {"message": "no"}})
    url = f"{path}/p/status?fieldManager=m"
    status = {**body, "status": {"message": "yes"}}
    answer = raw("PATCH", url, status, type="application/apply-patch+yaml")
    assert answer.json()["status"]["message"] == "yes"
    by_subresource = {entry.get("subresource"): entry for entry in answer.json()["metadata"]["managedFields"]}
    assert by_subresource["status"]["fieldsV1"] == {"f:status": {"f:message": {}}}
    assert "f:status" not in by_subresource[None]["fieldsV1"]
    missing = raw("PATCH", f"{path}/q/status?fieldManager=m", status, type="application/apply-patch+yaml")
    assert missing.status == 400
    assert raw("PATCH", url.replace("/p/", "/q/"), {**status, "metadata": {"name": "q"}},
               type="application/apply-patch+yaml").status == 404  # fmt: skip


def test_a_body_in_yaml_is_read_as_kubernetes_does(apply: Send) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  day: 2024-01-01\n"
    assert apply(f"{CONFIGMAPS}/a", text).json()["data"] == {"day": "2024-01-01"}


@pytest.mark.parametrize(
    ("change", "query", "code", "says"),
    [
        pytest.param({"metadata": {"name": "b"}}, "", 400, "does not match the name on the URL", id="name"),
        pytest.param({"metadata": {"name": "a", "namespace": "x"}}, "", 400, "namespace", id="namespace"),
        pytest.param({"apiVersion": "v2"}, "", 400, "Incorrect version specified in apply patch", id="version"),
        pytest.param({"metadata": {"managedFields": []}}, "", 400, "metadata.managedFields must be nil", id="managed"),
        pytest.param({"metadata": {"name": "a", "uid": "u"}}, "", 409, "uid mismatch", id="uid"),
        pytest.param({"spec": 1}, "", 500, ".spec: field not declared in schema", id="unknown"),
        pytest.param({}, "&force=x&fieldManager=", 422, "fieldManager: Required value", id="manager"),
        pytest.param({}, "&fieldManager=" + "x" * 129, 422, "Too long", id="long"),
    ],
)
def test_a_bad_apply_is_refused(raw: Send, change: Any, query: str, code: int, says: str) -> None:
    body = {**config_map({"k": "1"}), **change}
    manager = query.rpartition("fieldManager=")[2] if "fieldManager" in query else "m"
    url = f"{CONFIGMAPS}/a?fieldManager={manager}"
    answer = raw("PATCH", url, body, type="application/apply-patch+yaml")
    assert (answer.status, says in answer.json()["message"]) == (code, True), answer.data


def test_items_without_their_keys_or_twice_are_refused(apply: Send) -> None:
    body = deployment()
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "E", "value": "1"}, {"name": "E", "value": "2"}]
    assert 'duplicate entries for key [name="E"]' in apply(DEPLOYMENTS, body).json()["message"]
    container["env"] = [{"value": "1"}]
    assert 'omits key field "name"' in apply(DEPLOYMENTS, body).json()["message"]


def test_preconditions_hold(apply: Send) -> None:
    first = apply(CONFIGMAPS, config_map({"k": "1"})).json()["metadata"]
    apply(CONFIGMAPS, config_map({"k": "2"}))
    stale = apply(CONFIGMAPS, config_map({"k": "3"}, resourceVersion=first["resourceVersion"]))
    assert (stale.status, stale.json()["reason"]) == (409, "Conflict")
    assert apply(CONFIGMAPS, config_map({"k": "3"}, uid="other")).status == 409
    assert apply(CONFIGMAPS, config_map({"k": "3"}, uid=first["uid"])).status == 200


def test_other_encodings_and_misplaced_force_are_refused(raw: Send) -> None:
    raw("POST", CONFIGMAPS, config_map({}))
    cbor = raw("PATCH", f"{CONFIGMAPS}/a?fieldManager=m", {}, type="application/apply-patch+cbor")
    assert cbor.status == 415
    assert "application/apply-patch+yaml" in cbor.json()["message"]
    forced = raw("PATCH", f"{CONFIGMAPS}/a?force=true", {}, type="application/merge-patch+json")
    assert (forced.status, "may not be specified for non-apply patch" in forced.json()["message"]) == (422, True)


# ---- owners by other writes


def test_a_create_and_an_update_own_what_they_changed(raw: Send) -> None:
    created = raw("POST", CONFIGMAPS, config_map({"k": "1", "l": "1"}), agent="maker/1.0 (linux)")
    assert entries(created) == {("maker", "Update"): {"f:data": {".": {}, "f:k": {}, "f:l": {}}}}
    body = created.json()
    body["data"] = {"k": "1", "l": "2"}
    updated = raw("PUT", f"{CONFIGMAPS}/a?fieldManager=changer", body)
    assert entries(updated) == {
        ("changer", "Update"): {"f:data": {"f:l": {}}},
        ("maker", "Update"): {"f:data": {".": {}, "f:k": {}}},
    }
    del body["metadata"]["managedFields"], body["metadata"]["resourceVersion"]
    assert raw("PUT", f"{CONFIGMAPS}/a", body).json() == updated.json()


def test_owners_of_a_built_in_kind_look_as_upstreams_do(raw: Send) -> None:
    body = deployment(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}})
    spec = entries(raw("POST", f"{DEPLOYMENTS}?fieldManager=c", body))["c", "Update"]["f:spec"]
    assert "." not in spec
    assert spec["f:selector"] == {}
    strategy = {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}}
    assert spec["f:strategy"] == {"f:type": {}, "f:rollingUpdate": strategy}
    assert spec["f:template"]["f:metadata"] == {"f:labels": {".": {}, "f:app": {}}}
    [(key, container)] = spec["f:template"]["f:spec"]["f:containers"].items()
    assert key == 'k:{"name":"nginx"}'
    assert container.items() >= {".": {}, "f:image": {}, "f:name": {}}.items()


def test_a_write_without_effect_is_none(raw: Send) -> None:
    first = raw("POST", CONFIGMAPS, config_map({"k": "1"})).json()
    same = raw("PATCH", f"{CONFIGMAPS}/a", {"data": {"k": "1"}}, type="application/merge-patch+json", agent="other/1")
    assert same.json() == first


def test_a_reset_forgets_the_owners(raw: Send, apply: Send) -> None:
    apply(CONFIGMAPS, config_map({"k": "1"}), "one")
    for empty in ([], [{}]):
        patch = {"metadata": {"managedFields": empty}}
        answer = raw("PATCH", f"{CONFIGMAPS}/a", patch, type="application/merge-patch+json")
        assert "managedFields" not in answer.json()["metadata"]
    again = apply(CONFIGMAPS, config_map({"k": "2"}), "two").json()
    assert again["message"].endswith('conflict with "before-first-apply" using v1: .data.k')


def test_the_engines_own_writers_are_managers_too(raw: Send, api: LocalApi) -> None:
    api.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": POD})
    api.patch(PODS, "p", {"status": {"phase": "Running"}}, "default", subresource="status")
    found = raw("GET", "/api/v1/namespaces/default/pods/p").json()["metadata"]["managedFields"]
    assert [(entry["manager"], entry.get("subresource")) for entry in found] == [
        ("cpod-engine", None), ("cpod-engine", "status"),
    ]  # fmt: skip
    assert "managedFields" not in api.get(PODS, "p", "default")["metadata"]


def test_many_managers_become_one(raw: Send) -> None:
    raw("POST", CONFIGMAPS, config_map({"k": "1"}), agent="a/1")
    for index in range(12):
        patch = {"data": {f"k{index}": "1"}}
        url = f"{CONFIGMAPS}/a?fieldManager=m{index:02}"
        answer = raw("PATCH", url, patch, type="application/merge-patch+json")
    owned = entries(answer)
    assert len(owned) == 10
    assert "f:k" in owned["ancient-changes", "Update"]["f:data"]


# ---- people's own tools


@pytest.fixture
def kubectl(kubeconfig: Path, tmp_path: Path) -> Any:
    """`kubectl(arguments…, text=…, code=…)` → what it prints."""

    def run(*arguments: str, text: str | None = None, code: int = 0) -> str:
        command = ["kubectl", "--kubeconfig", str(kubeconfig), "--cache-dir", str(tmp_path / "cache"), *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {l: x}}
data: {k: "1", m: "1"}
"""


@needs_kubectl
def test_kubectl_applies_on_the_server(kubectl: Any) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    assert "configmap/a serverside-applied" in kubectl(*apply, text=MAP)
    version = kubectl("get", "cm", "a", "-o", "jsonpath={.metadata.resourceVersion}")
    kubectl(*apply, text=MAP)
    assert kubectl("get", "cm", "a", "-o", "jsonpath={.metadata.resourceVersion}") == version
    changed = MAP.replace(', m: "1"', "").replace('k: "1"', 'k: "2"')
    difference = kubectl("diff", "--server-side", "-f", "-", text=changed, code=1)
    assert {'-  k: "1"', '+  k: "2"', '-  m: "1"'} <= set(difference.splitlines())
    kubectl(*apply, text=changed)
    assert kubectl("get", "cm", "a", "-o", "jsonpath={.data}") == '{"k":"2"}'
    kubectl("diff", "--server-side", "-f", "-", text=changed)
    told = kubectl(*apply, "--field-manager=other", text=MAP, code=1)
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.k' in told
    kubectl(*apply, "--field-manager=other", "--force-conflicts", text=MAP)
    assert kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}") == "1"


@needs_kubectl
def test_kubectl_goes_from_client_side_to_server_side_apply_and_back(kubectl: Any) -> None:
    kubectl("apply", "-f", "-", text=MAP)
    kubectl("apply", "--server-side", "-f", "-", text=MAP.replace(', m: "1"', "").replace('k: "1"', 'k: "2"'))
    found = json.loads(kubectl("get", "cm", "a", "-o", "json", "--show-managed-fields"))
    assert found["data"] == {"k": "2"}
    managers = {entry["manager"] for entry in found["metadata"]["managedFields"]}
    assert managers == {"kubectl", "kubectl-last-applied"}
    last = json.loads(found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"])
    assert last["data"] == {"k": "2"}
    assert "configured" in kubectl("apply", "-f", "-", text=MAP)


def test_the_dynamic_client_applies(kubeconfig: Path) -> None:
    api_client = kubernetes.config.new_client_from_config(str(kubeconfig))
    maps = kubernetes.dynamic.DynamicClient(api_client).resources.get(api_version="v1", kind="ConfigMap")
    body = config_map({"k": "1"})
    done = maps.server_side_apply(namespace="default", body=body, field_manager="kubernetes-unittests", dry_run="All")
    assert done.metadata.managedFields[0].manager == "kubernetes-unittests"
    maps.server_side_apply(namespace="default", body=body, field_manager="one")
    with pytest.raises(kubernetes.dynamic.exceptions.ConflictError):
        maps.server_side_apply(namespace="default", body=config_map({"k": "2"}), field_manager="two")
    api_client.rest_client.close()
