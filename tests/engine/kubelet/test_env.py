"""What a container's environment is made of."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from cpod_jupyter.api.resources import CONFIGMAPS, SECRETS
from cpod_jupyter.engine.kubelet.env import PodFacts, declared, expand_references, inherited
from cpod_jupyter.engine.kubelet.lookup import ConfigError, Lookup
from cpod_jupyter.engine.local_api import LocalApi

POD = {
    "metadata": {
        "name": "p",
        "namespace": "default",
        "uid": "u-1",
        "labels": {"app": "x"},
        "annotations": {"a/b": "note"},
    },
    "spec": {
        "nodeName": "n",
        "containers": [{"name": "c", "resources": {"limits": {"cpu": "1500m", "memory": "2Gi"}}}],
    },
}
FACTS = PodFacts(POD, "127.9.9.2", "127.0.0.1", {"cpu": "8", "memory": "16Gi"})


@pytest.fixture
def lookup(api: LocalApi) -> Lookup:
    api.create(CONFIGMAPS, {"metadata": {"name": "cm", "namespace": "default"}, "data": {"A": "1", "lower.key": "2"}})
    secret = {"metadata": {"name": "sec", "namespace": "default"}, "data": {"TOKEN": base64.b64encode(b"s3").decode()}}
    api.create(SECRETS, secret)
    return Lookup(api, "default")


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        pytest.param("$(A)-$(B)", "1-2", id="references"),
        pytest.param("$$(A)", "$(A)", id="escaped"),
        pytest.param("$$$$", "$$", id="two dollars"),
        pytest.param("$$$(A)", "$1", id="a dollar and a reference"),
        pytest.param("$(NOPE)", "$(NOPE)", id="unknown"),
        pytest.param("$A ${A} $(", "$A ${A} $(", id="other forms"),
        pytest.param("$(A", "$(A", id="unclosed"),
    ],
)
def test_references_expand_as_kubernetes_does(text: str, expanded: str) -> None:
    assert expand_references(text, {"A": "1", "B": "2"}) == expanded


def field(path: str) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}


def ref(kind: str, name: str, key: str, **more: bool) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {kind: {"name": name, "key": key, **more}}}


def resource(name: str, divisor: str = "0") -> dict[str, Any]:
    return {"name": "X", "valueFrom": {"resourceFieldRef": {"resource": name, "divisor": divisor}}}


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        pytest.param({"name": "X", "value": "plain"}, "plain", id="value"),
        pytest.param({"name": "X"}, "", id="no value"),
        pytest.param(field("metadata.name"), "p", id="name"),
        pytest.param(field("metadata.namespace"), "default", id="namespace"),
        pytest.param(field("metadata.uid"), "u-1", id="uid"),
        pytest.param(field("metadata.labels['app']"), "x", id="label"),
        pytest.param(field("metadata.annotations['a/b']"), "note", id="annotation"),
        pytest.param(field("spec.nodeName"), "n", id="node"),
        pytest.param(field("status.podIP"), "127.9.9.2", id="pod IP"),
        pytest.param(field("status.hostIP"), "127.0.0.1", id="host IP"),
        pytest.param(ref("configMapKeyRef", "cm", "A"), "1", id="ConfigMap"),
        pytest.param(ref("secretKeyRef", "sec", "TOKEN"), "s3", id="Secret"),
        pytest.param(ref("configMapKeyRef", "gone", "A", optional=True), None, id="optional, missing"),
        pytest.param(ref("secretKeyRef", "sec", "NOPE", optional=True), None, id="optional, missing key"),
        pytest.param(resource("limits.cpu"), "2", id="CPUs, rounded up"),
        pytest.param(resource("limits.cpu", "1m"), "1500", id="millicores"),
        pytest.param(resource("limits.memory", "1Mi"), "2048", id="memory"),
    ],
)
def test_each_source_of_a_variable_is_read(lookup: Lookup, entry: dict[str, Any], value: str | None) -> None:
    assert declared({"name": "c", "env": [entry]}, FACTS, lookup).get("X") == value


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param(ref("configMapKeyRef", "gone", "A"), 'configmap "gone" not found', id="ConfigMap"),
        pytest.param(ref("secretKeyRef", "gone", "A"), 'secret "gone" not found', id="Secret"),
        pytest.param(ref("configMapKeyRef", "cm", "B"), 'couldn\'t find key B in configMap "cm"', id="key"),
        pytest.param(field("status.phase"), "is not offered", id="field"),
    ],
)
def test_what_is_missing_is_named(lookup: Lookup, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        declared({"name": "c", "env": [entry]}, FACTS, lookup)


def test_later_variables_see_earlier_ones_and_win(lookup: Lookup) -> None:
    container = {
        "name": "c",
        "envFrom": [{"configMapRef": {"name": "cm"}}, {"prefix": "S_", "secretRef": {"name": "sec"}}],
        "env": [
            {"name": "A", "value": "own"},
            {"name": "B", "value": "$(A) $(S_TOKEN) $(C)"},
            {"name": "C", "value": "late"},
        ],
    }
    found = declared(container, FACTS, lookup)
    assert found == {"A": "own", "lower.key": "2", "S_TOKEN": "s3", "B": "own s3 $(C)", "C": "late"}


def test_pods_inherit_the_machine_and_not_the_users_secrets() -> None:
    environ = {
        "HOME": "/h",
        "https_proxy": "p",
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "2",
        "LLAMA_CPP_DIR": "/l",
        "HF_TOKEN": "t",
        "AWS_SECRET_ACCESS_KEY": "k",
    }
    assert set(inherited(environ)) == {"HOME", "https_proxy", "LC_ALL", "OMP_NUM_THREADS", "LLAMA_CPP_DIR"}
