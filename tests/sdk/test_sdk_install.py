"""`cpod install`: manifests that a cluster takes as they are, with as little access as will do."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from whole_engine import at_home, run, whole_engine

from cpod_jupyter.api import meta
from cpod_jupyter.api.crds import cpod_crds
from cpod_jupyter.api.resources import CPODJOBS, DEPLOYMENTS, LEASES, PODS, Object, Resource
from cpod_jupyter.client.client import Client
from cpod_jupyter.errors import CpodError, WaitTimeout
from cpod_jupyter.local import Engine
from cpod_jupyter.operator.access import GRANTS
from cpod_jupyter.operator.settings import Settings
from cpod_jupyter.operator.settings_file import parse_settings
from cpod_jupyter.sdk.install import Choices, install, manifests
from cpod_jupyter.sdk.install.webhooks import certificate_for

ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes of an object's annotations (apimachinery, TotalAnnotationSizeLimitB)."""
REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)  # fmt: skip
OPERATOR = "system:serviceaccount:cpod-system:cpod-operator"
UNSERVED = ("PriorityClass", "PodDisruptionBudget")
"""What the engine has no use for."""


def found(kind: str, name: str = "", choices: Choices | None = None) -> Object:
    (one,) = [
        obj
        for obj in manifests(choices or Choices())
        if obj["kind"] == kind and (not name or meta.name_of(obj) == name)
    ]
    return one


def test_what_others_refer_to_comes_first() -> None:
    order = [obj["kind"] for obj in manifests(Choices())]
    for first, then in (
        ("Namespace", "ServiceAccount"),
        ("CustomResourceDefinition", "Deployment"),
        ("ClusterRole", "ClusterRoleBinding"),
        ("Role", "RoleBinding"),
        ("ConfigMap", "Deployment"),
        ("PriorityClass", "Deployment"),
    ):
        assert order.index(first) < order.index(then)


def test_each_manifest_fits_into_the_annotation_that_kubectl_keeps_it_in() -> None:
    assert max(len(json.dumps(obj)) for obj in manifests(Choices())) < ANNOTATIONS_LIMIT / 2
    described = found("CustomResourceDefinition", "cpodjobs.cpod.cpod")["spec"]["versions"][0]["schema"]
    spec = described["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert spec["image"]["description"], "what people write keeps its description"
    assert len(json.dumps(cpod_crds())) > ANNOTATIONS_LIMIT, "else nothing need be left out"


def test_the_definitions_differ_from_the_engines_in_descriptions_alone() -> None:
    lean = [obj for obj in manifests(Choices()) if obj["kind"] == "CustomResourceDefinition"]
    assert [_undescribed(obj["spec"]) for obj in lean] == [_undescribed(obj["spec"]) for obj in cpod_crds()]


def _undescribed(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _undescribed(value)
            for key, value in node.items()
            if key != "description" or not isinstance(value, str)
        }
    return [_undescribed(item) for item in node] if isinstance(node, list) else node


def test_no_role_is_wider_than_the_code_and_nobody_gets_cluster_admin() -> None:
    """Fault 18 (B32)."""
    roles = [obj for obj in manifests(Choices()) if obj["kind"] in ("ClusterRole", "Role")]
    said = yaml.safe_dump(roles)
    assert "*" not in said
    assert "secrets" not in said
    bindings = [obj for obj in manifests(Choices()) if obj["kind"].endswith("Binding")]
    assert {binding["roleRef"]["name"] for binding in bindings} == {"cpod-operator"}
    for binding in bindings:
        assert [(subject["kind"], subject["name"]) for subject in binding["subjects"]] == [
            ("ServiceAccount", "cpod-operator")
        ]


def test_the_pod_may_as_little_as_pod_security_restricted_asks() -> None:
    """Fault 18 (B32)."""
    pod = found("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"livenessProbe", "readinessProbe", "resources"} <= container.keys()
    assert not any(entry.get("valueFrom", {}).get("secretKeyRef") for entry in container["env"])
    namespace = found("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_choices_are_followed_and_new_settings_roll_the_deployment_out() -> None:
    given = Choices(namespace="ml", image="registry.example/cpod:1", replicas=3)
    placed = {obj["metadata"].get("namespace") for obj in manifests(given)}
    assert placed == {None, "ml"}
    assert found("Namespace", "ml", given)
    deployment = found("Deployment", choices=given)["spec"]
    assert (deployment["replicas"], deployment["template"]["spec"]["containers"][0]["image"]) == (3, given.image)
    text = found("ConfigMap", choices=given)["data"]["operator.yaml"]
    assert parse_settings(text, "the ConfigMap") == Settings(runtime_image="registry.example/cpod:1")
    other = found("Deployment", choices=Choices(namespace="ml", image=given.image, settings="jobRetries: 3\n"))
    mark = "cpod.cpod/settings"
    assert (
        deployment["template"]["metadata"]["annotations"][mark]
        != other["spec"]["template"]["metadata"]["annotations"][mark]
    )


def test_with_a_webhook_the_pods_serve_it_and_its_key_is_in_a_secret_alone() -> None:
    issued = certificate_for("ml")
    given = Choices(namespace="ml", webhook=issued)
    order = [obj["kind"] for obj in manifests(given)]
    assert order.index("Secret") < order.index("Deployment") < order.index("ValidatingWebhookConfiguration")
    secret, webhook = found("Secret", choices=given), found("ValidatingWebhookConfiguration", choices=given)
    assert base64.b64decode(secret["data"]["tls.key"]) == issued.key
    others = [json.dumps(obj) for obj in manifests(given) if obj["kind"] != "Secret"]
    assert not any(secret["data"]["tls.key"] in text for text in others)
    (registered,) = webhook["webhooks"]
    service = registered["clientConfig"]["service"]
    hosts = x509.load_pem_x509_certificate(issued.certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert f"{service['name']}.{service['namespace']}.svc" in hosts.value.get_values_for_type(x509.DNSName)
    assert base64.b64decode(registered["clientConfig"]["caBundle"]) == issued.ca
    assert (registered["failurePolicy"], registered["sideEffects"]) == ("Ignore", "None")
    pod = found("Deployment", choices=given)["spec"]["template"]["spec"]
    assert {"name": "webhook", "secret": {"secretName": meta.name_of(secret)}} in pod["volumes"]
    assert any(argument.startswith("--webhook-port=") for argument in pod["containers"][0]["args"])
    assert "Secret" not in [obj["kind"] for obj in manifests(Choices())]


# ---- on an API server


def served() -> list[Object]:
    return [obj for obj in manifests(Choices()) if obj["kind"] not in UNSERVED]


def may(client: Client, verb: str, resource: Resource, subresource: str = "", name: str = "", namespace: str = "team",
        user: str = OPERATOR) -> bool:  # fmt: skip
    attributes = {
        "verb": verb, "group": resource.group, "version": resource.version, "resource": resource.plural,
        "subresource": subresource, "name": name, "namespace": namespace if resource.namespaced else "",
    }  # fmt: skip
    review = {"metadata": {}, "spec": {"user": user, "resourceAttributes": attributes}}
    return bool(client.create(REVIEWS, review)["status"]["allowed"])


def test_it_applies_twice_and_the_account_may_what_the_code_uses(client: Client) -> None:
    """Fault 18 (B32)."""
    steps: list[str] = []
    for _ in range(2):
        install(client, Choices(), steps.append, wait=False, wanted=served())
    assert steps[0] == "namespace/cpod-system applied"
    assert len(steps) == 2 * len(served())
    for grant in GRANTS:
        assert all(may(client, verb, grant.resource, grant.subresource) for verb in grant.verbs)
    assert may(client, "update", LEASES, "", "cpod-operator", "cpod-system")
    assert may(client, "create", LEASES, "", "", "cpod-system")
    assert not may(client, "update", LEASES, "", "another", "cpod-system")
    secrets = Resource("", "v1", "secrets", "Secret")
    assert not any(may(client, verb, secrets) for verb in ("get", "list", "watch", "create"))
    assert not may(client, "delete", Resource("", "v1", "namespaces", "Namespace", namespaced=False))
    assert not may(client, "update", CPODJOBS)


def test_a_kind_that_the_cluster_lacks_is_left_out_or_said(client: Client) -> None:
    budget = [obj for obj in manifests(Choices()) if obj["kind"] == "PodDisruptionBudget"]
    done = install(client, Choices(), lambda step: None, wait=False, wanted=budget)
    assert (done.applied, done.left_out) == ([], ["poddisruptionbudget/cpod-operator"])
    priority = [obj for obj in manifests(Choices()) if obj["kind"] == "PriorityClass"]
    with pytest.raises(CpodError, match="priorityclass/cpod-operator cannot be applied"):
        install(client, Choices(), lambda step: None, wait=False, wanted=priority)


def test_an_operator_that_does_not_come_up_is_said(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cpod_jupyter.sdk.install.cluster._AVAILABLE_SECONDS", 0.1)
    with pytest.raises(WaitTimeout, match="the operator is not available: it has no pods; see `kubectl -n cpod-system"):
        install(client, Choices(), lambda step: None, wanted=served())


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with whole_engine(tmp_path_factory.mktemp("install"), with_operator=False) as running:
        yield running


def test_an_installation_comes_up_and_does_the_work(engine: Engine, eventually: Any) -> None:
    """On the engine the pods of the project's image are processes, and this one is told the way to its API."""
    client = Client.from_kubeconfig(engine.kubeconfig)
    objects = served()
    (deployment,) = [obj for obj in objects if obj["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    del pod["priorityClassName"]
    container = pod["containers"][0]
    del pod["volumes"][1], container["volumeMounts"][1]  # its /tmp would hide the engine's home, which is in /tmp
    with socket.create_server(("127.0.0.1", 0)) as probe:  # what else runs on this machine may have 8081 everywhere
        port = probe.getsockname()[1]
    container["args"] = [said.replace("8081", str(port)) for said in container["args"]]
    container["ports"][0]["containerPort"] = port
    container["env"].append({"name": "KUBECONFIG", "value": str(engine.kubeconfig)})
    steps: list[str] = []
    try:
        install(client, Choices(), steps.append, wanted=objects)
        assert steps[-2:] == ["the definitions are served", "deployment/cpod-operator is available"]
        spec = {"jobType": "general", "image": "python:3.11", "command": [sys.executable, "-c", "print('done')"]}
        client.create(CPODJOBS, {"metadata": {"name": "hello", "namespace": "default"}, "spec": spec})
        eventually(lambda: meta.is_true(client.get(CPODJOBS, "hello", "default"), "Succeeded"), "the job succeeds", 60)
    finally:
        take_away(client, eventually)


def take_away(client: Client, eventually: Any) -> None:
    """The Deployment with its pods, which would outlive the engine."""
    client.delete(DEPLOYMENTS, "cpod-operator", "cpod-system", propagation="Foreground")
    eventually(lambda: not client.list(PODS, "cpod-system").items, "the pods are gone")
    client.close()


def test_the_printed_manifests_pass_kubectl(engine: Engine, tmp_path: Path, eventually: Any) -> None:
    done = run(sys.executable, "-m", "cpod_jupyter.cli", "install", "--print")
    assert done.returncode == 0, done.stderr
    documents = [obj for obj in yaml.safe_load_all(done.stdout) if obj["kind"] not in UNSERVED]
    assert documents == served()
    path = tmp_path / "install.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    try:
        applied = run("kubectl", "--kubeconfig", str(engine.kubeconfig), "apply", "-f", str(path))
    except FileNotFoundError:
        pytest.skip("needs kubectl")
    take_away(Client.from_kubeconfig(engine.kubeconfig), eventually)
    assert applied.returncode == 0, applied.stderr
    assert "deployment.apps/cpod-operator" in applied.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--replicas", "0", "--print"], "at least one operator is needed", id="no replica"),
        pytest.param(["--config", "missing.yaml", "--print"], "cannot be read: No such file", id="no file"),
        pytest.param(["--context", "engine"], "the engine on this machine has the operator", id="engine"),
    ],
)
def test_what_cannot_be_installed_is_said(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    with at_home(tmp_path):
        command = [sys.executable, "-m", "cpod_jupyter.cli", "install", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert sentence in done.stderr
