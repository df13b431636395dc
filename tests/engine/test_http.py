"""The API over HTTPS: who may call, how answers look, what kubectl and the official client make of it."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import urllib3
import yaml

from cpod_jupyter.api.resources import CLUSTERTRAININGRUNTIMES, CONFIGMAPS, CRDS, FINETUNES, PODS, PYTORCHJOBS
from cpod_jupyter.client.client import Client
from cpod_jupyter.engine.http.server import listen
from cpod_jupyter.engine.install import MADE_BY, install
from cpod_jupyter.engine.local_api import LocalApi
from cpod_jupyter.errors import EngineError, Expired, NotFound, Unauthorized

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")


@pytest.fixture
def raw(kubeconfig: Path) -> Any:
    """A plain HTTPS client: `raw(method, path, headers…)` → the response."""
    config = yaml.safe_load(kubeconfig.read_text())
    pool = urllib3.PoolManager(ca_certs=str(kubeconfig.parent / "pki" / "ca.crt"))
    server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]

    def request(method: str, path: str, body: Any = None, **headers: str) -> urllib3.BaseHTTPResponse:
        data = json.dumps(body) if body is not None else None
        headers = {"Authorization": f"Bearer {token}", **headers}
        return pool.request(method, server + path, body=data, headers=headers)

    yield request
    pool.clear()


def test_no_token_is_unauthorized(raw: Any) -> None:
    answer = raw("GET", "/api/v1/pods", Authorization="")
    assert answer.status == 401
    assert answer.json()["reason"] == "Unauthorized"


def test_a_wrong_token_is_unauthorized(kubeconfig: Path) -> None:
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"][0]["user"]["token"] = "wrong"
    kubeconfig.write_text(yaml.safe_dump(config))
    stranger = Client.from_kubeconfig(kubeconfig)
    with pytest.raises(Unauthorized):
        stranger.list(PODS)
    stranger.close()


def test_a_page_in_a_browser_is_refused(raw: Any) -> None:
    assert raw("GET", "/api/v1/pods", Origin="https://example.com").status == 403


def test_a_name_that_is_not_this_server_is_refused(raw: Any) -> None:
    assert raw("GET", "/api/v1/pods", Host="evil.example.com").status == 403


def test_credentials_are_the_users_alone(kubeconfig: Path) -> None:
    for path in [kubeconfig, *(kubeconfig.parent / "pki").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_the_content_type_is_exactly_json(raw: Any) -> None:
    assert raw("GET", "/api/v1/pods").headers["Content-Type"] == "application/json"


def test_what_is_not_served_says_so(raw: Any) -> None:
    assert raw("GET", "/apis/example.com/v1/things").json()["reason"] == "NotFound"
    assert raw("GET", "/nowhere").status == 404
    assert raw("POST", "/api/v1/namespaces/default/pods/x/exec").json()["reason"] == "MethodNotAllowed"


def test_a_body_that_is_no_json_is_a_bad_request(raw: Any, kubeconfig: Path) -> None:
    answer = raw("POST", "/api/v1/namespaces/default/configmaps", "not an object")
    assert answer.status == 400
    assert answer.json()["kind"] == "Status"


def test_a_body_in_an_unknown_form_is_refused_with_what_is_accepted(raw: Any) -> None:
    answer = raw("POST", "/api/v1/namespaces", {}, **{"Content-Type": "application/cbor"})
    assert answer.status == 415
    assert "application/json" in answer.json()["message"]


@pytest.mark.parametrize("selector", ["fieldSelector=spec.color=red", "labelSelector=a%3D%3D%3Db"])
def test_a_selector_that_means_nothing_is_a_bad_request(raw: Any, selector: str) -> None:
    assert raw("GET", f"/api/v1/pods?{selector}").status == 400


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        pytest.param("app=x", ["a", "b"], id="equal"),
        pytest.param("app!=x", ["c"], id="unequal"),
        pytest.param("tier in (one, two)", ["a", "b"], id="in"),
        pytest.param("tier notin (one)", ["b", "c"], id="notin"),
        pytest.param("tier", ["a", "b"], id="present"),
        pytest.param("!tier", ["c"], id="absent"),
        pytest.param("app=x,tier=two", ["b"], id="both"),
    ],
)
def test_label_selectors_choose(client: Client, selector: str, names: list[str]) -> None:
    labels = {"a": {"app": "x", "tier": "one"}, "b": {"app": "x", "tier": "two"}, "c": {}}
    for name, chosen in labels.items():
        client.create(CONFIGMAPS, {"metadata": {"name": name, "namespace": "default", "labels": chosen}})
    found = client.list(CONFIGMAPS, label_selector=selector).items
    assert [item["metadata"]["name"] for item in found] == names


def test_a_watch_streams_what_happens(client: Client) -> None:
    version = client.list(CONFIGMAPS).resource_version
    events = client.watch(CONFIGMAPS, resource_version=version, timeout_seconds=30)
    client.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "default"}})
    client.delete(CONFIGMAPS, "a", "default")
    assert [next(events).type for _ in range(2)] == ["ADDED", "DELETED"]


def test_a_watch_ends_at_its_time(client: Client) -> None:
    version = client.list(CONFIGMAPS).resource_version
    events = client.watch(CONFIGMAPS, resource_version=version, timeout_seconds=1)
    assert {event.type for event in events} <= {"BOOKMARK"}


def test_a_watch_from_a_version_to_come_is_expired(client: Client) -> None:
    with pytest.raises(Expired):
        next(client.watch(CONFIGMAPS, resource_version="999999", timeout_seconds=5))


def test_a_port_that_is_taken_is_said() -> None:
    first = listen(0)
    port = first.getsockname()[1]
    with pytest.raises(EngineError, match=f"port {port} cannot be used: Address already in use"):
        listen(port)
    first.close()


def test_the_definitions_are_brought_up_to_date_without_loss(api: LocalApi) -> None:
    api.create(FINETUNES, {"metadata": {"name": "t", "namespace": "default"}, "spec": {"model": "m", "dataset": "d"}})
    stale = {"metadata": {"annotations": {MADE_BY: f"earlier {_made_by(api.get(CRDS, FINETUNES.qualified))[1]}"}}}
    api.patch(CRDS, FINETUNES.qualified, stale)
    install(api)
    assert _made_by(api.get(CRDS, FINETUNES.qualified))[0] != "earlier"
    assert api.get(FINETUNES, "t", "default")


def test_a_definition_that_a_person_changed_stays_theirs(api: LocalApi) -> None:
    api.patch(CRDS, PYTORCHJOBS.qualified, {"spec": {"names": {"shortNames": ["mine"]}}})
    stale = {"metadata": {"annotations": {MADE_BY: f"earlier {_made_by(api.get(CRDS, PYTORCHJOBS.qualified))[1]}"}}}
    api.patch(CRDS, PYTORCHJOBS.qualified, stale)
    install(api)
    assert api.get(CRDS, PYTORCHJOBS.qualified)["spec"]["names"]["shortNames"] == ["mine"]


def test_the_runtimes_of_train_jobs_are_made_again_and_never_put_over_a_persons(api: LocalApi) -> None:
    mine = {"spec": {"mlPolicy": {"numNodes": 3}}}
    api.patch(CLUSTERTRAININGRUNTIMES, "jax-distributed", mine)
    api.delete(CLUSTERTRAININGRUNTIMES, "torch-distributed")
    earlier = api.get(CLUSTERTRAININGRUNTIMES, "mpi-distributed")["metadata"]["annotations"][MADE_BY].split(" ")[1]
    api.patch(CLUSTERTRAININGRUNTIMES, "mpi-distributed", {"metadata": {"annotations": {MADE_BY: f"old {earlier}"}}})
    install(api)
    assert api.get(CLUSTERTRAININGRUNTIMES, "jax-distributed")["spec"]["mlPolicy"]["numNodes"] == 3
    assert api.get(CLUSTERTRAININGRUNTIMES, "torch-distributed")["spec"]["mlPolicy"]["torch"] == {}
    stamped = api.get(CLUSTERTRAININGRUNTIMES, "mpi-distributed")["metadata"]["annotations"][MADE_BY]
    assert not stamped.startswith("old "), "one of ours that nobody changed follows the version"


def _made_by(definition: dict[str, Any]) -> list[str]:
    return str(definition["metadata"]["annotations"][MADE_BY]).split(" ")


# ---- people's own tools


def test_the_official_client_reads_and_writes(kubeconfig: Path) -> None:
    api_client = kubernetes.config.new_client_from_config(str(kubeconfig))
    core = kubernetes.client.CoreV1Api(api_client)
    body = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    core.create_namespaced_pod("default", body)
    assert core.read_namespaced_pod("p", "default").status.phase == "Pending"
    core.patch_namespaced_pod("p", "default", {"metadata": {"labels": {"a": "b"}}})
    assert [pod.metadata.name for pod in core.list_pod_for_all_namespaces(label_selector="a=b").items] == ["p"]
    custom = kubernetes.client.CustomObjectsApi(api_client)
    found = custom.list_namespaced_custom_object("cpod.cpod", "v1beta1", "default", "finetunes")
    assert found["items"] == []
    with pytest.raises(kubernetes.client.ApiException) as caught:
        core.read_namespaced_pod("q", "default")
    assert caught.value.status == 404
    api_client.rest_client.close()


@pytest.fixture
def kubectl(kubeconfig: Path, tmp_path: Path) -> Any:
    """`kubectl(arguments…)` → what it prints; a failure fails the test unless `fails` is given."""

    def run(*arguments: str, text: str | None = None, fails: bool = False) -> str:
        command = ["kubectl", "--kubeconfig", str(kubeconfig), "--cache-dir", str(tmp_path / "cache"), *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


MANIFEST = """
apiVersion: cpod.cpod/v1beta1
kind: FineTune
metadata: {name: tune}
spec: {model: m, dataset: d, hyperParameters: {n_epochs: "3"}}
"""


@needs_kubectl
def test_kubectl_applies_twice_gets_patches_and_deletes(kubectl: Any, client: Client) -> None:
    assert "created" in kubectl("apply", "-f", "-", text=MANIFEST)
    assert "unchanged" in kubectl("apply", "-f", "-", text=MANIFEST)
    assert "configured" in kubectl("apply", "-f", "-", text=MANIFEST.replace('"3"', '"4"'))
    assert client.get(FINETUNES, "tune", "default")["spec"]["hyperParameters"] == {"n_epochs": "4"}
    printed = kubectl("get", "finetunes,cpodjobs,pytorchjobs,pods").splitlines()
    assert printed[0].split() == ["NAME", "MODEL", "DATASET", "PHASE", "AGE"]
    assert printed[1].split()[:3] == ["finetune.cpod.cpod/tune", "m", "d"]
    kubectl("label", "ft", "tune", "team=a")
    assert "tune" in kubectl("get", "ft", "-l", "team=a", "-o", "name")
    assert "Fine-tune a model" in kubectl("explain", "finetune.spec")
    kubectl("delete", "ft", "tune")
    with pytest.raises(NotFound):
        client.get(FINETUNES, "tune", "default")


@needs_kubectl
def test_kubectl_is_told_of_a_misspelt_field(kubectl: Any) -> None:
    told = kubectl("create", "-f", "-", text=MANIFEST.replace("model:", "modle:"), fails=True)
    assert 'unknown field "spec.modle"' in told
