"""The Ingress and the web page of an Inference: made, changed and removed by the operator's settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from operator_cluster import RUNNING, Cluster

from cpod_jupyter.api.names import LABEL_INFERENCE_SERVICE
from cpod_jupyter.api.resources import (
    DEPLOYMENTS,
    INFERENCES,
    INFERENCESERVICES,
    INGRESSES,
    MODELSTORAGES,
    SERVICES,
    Object,
)
from cpod_jupyter.operator.settings import Settings

ENABLED: dict[str, Any] = {
    "ingress": True,
    "ingress_domain": "llm.example",
    "web_ui": True,
    "web_ui_image": "chat-ui:v1",
}


def with_settings(cluster: Cluster, **changes: Any) -> Cluster:
    """The same cluster, its operator started anew with other settings."""
    return Cluster(cluster.api, cluster.store, replace(Settings(runtime_image="runtime:test"), **changes))


@pytest.fixture(autouse=True)
def models(cluster: Cluster) -> None:
    cluster.claim("smol-files")
    cluster.apply(MODELSTORAGES, "smol", {"pvc": "smol-files"})


def rule(ingress: Object) -> dict[str, Any]:
    return dict(ingress["spec"]["rules"][0])


def status(cluster: Cluster) -> dict[str, Any]:
    return cluster.status(INFERENCES, "chat")


def test_by_default_nothing_is_exposed(cluster: Cluster) -> None:
    cluster.apply(INFERENCES, "chat", {"modelId": "smol"})
    assert cluster.names(INGRESSES) == cluster.names(DEPLOYMENTS) == []
    assert "Exposed" not in [entry["type"] for entry in status(cluster)["conditions"]]


def test_the_ingress_answers_where_the_status_says(cluster: Cluster) -> None:
    """B28: status.url is an address that an Ingress has, with a scheme."""
    exposed = with_settings(cluster, ingress=True, ingress_domain="llm.example")
    exposed.apply(INFERENCES, "chat", {"modelId": "smol"})
    ingress = exposed.get(INGRESSES, "chat-ingress")
    (path,) = rule(ingress)["http"]["paths"]
    assert (rule(ingress)["host"], path["path"]) == ("llm.example", "/inference/api/chat(/|$)(.*)")
    assert path["backend"] == {"service": {"name": "chat-is-predictor", "port": {"number": 80}}}
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/rewrite-target"] == "/$2"
    assert ingress["spec"]["ingressClassName"] == "nginx"

    service = exposed.get(INFERENCESERVICES, "chat-is")
    exposed.set_status(INFERENCESERVICES, "chat-is", {"conditions": [{"type": "Ready", "status": "True"}]})
    exposed.pod(service, LABEL_INFERENCE_SERVICE, RUNNING)
    assert (status(exposed)["ready"], status(exposed)["url"]) == (True, "http://llm.example/inference/api/chat")


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        pytest.param({"inference_prefix": ""}, "http://chat-default.llm.example", id="a host of its own"),
        pytest.param({"ingress_tls_secret": "cert"}, "https://llm.example/inference/api/chat", id="TLS"),
        pytest.param({"ingress_domain": ""}, "http://203.0.113.7/inference/api/chat", id="the balancer's address"),
    ],
)
def test_the_url_follows_the_settings(cluster: Cluster, changes: dict[str, Any], url: str) -> None:
    exposed = with_settings(cluster, **{**ENABLED, **changes})
    exposed.apply(INFERENCES, "chat", {"modelId": "smol"})
    balancer = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    exposed.set_status(INGRESSES, "chat-ingress", balancer)
    assert status(exposed)["url"] == url


def test_the_web_page_knows_where_the_model_answers_and_nothing_secret(cluster: Cluster) -> None:
    exposed = with_settings(cluster, **ENABLED)
    exposed.apply(INFERENCES, "chat", {"modelId": "smol"})
    (container,) = exposed.get(DEPLOYMENTS, "chat-web-ui")["spec"]["template"]["spec"]["containers"]
    env = {entry["name"]: entry["value"] for entry in container["env"]}
    assert env["API_URL"] == "http://chat-is-predictor.default.svc.cluster.local/v1/chat/completions"
    assert env["ENV_BASE_URL"] == "/inference/chat/"
    assert exposed.get(SERVICES, "chat-web-ui")["spec"]["ports"][0]["port"] == 8000
    (path,) = rule(exposed.get(INGRESSES, "chat-web-ui-ingress"))["http"]["paths"]
    assert path["path"] == "/inference/chat(/|$)(.*)"
    assert "Exposed" in [reason for _, reason, _ in exposed.events("chat")]


def test_there_is_no_page_to_chat_with_embeddings_or_with_whom_nobody_knows(cluster: Cluster) -> None:
    """B30."""
    exposed = with_settings(cluster, **ENABLED)
    exposed.apply(MODELSTORAGES, "bge", {"pvc": "smol-files", "category": "Embedding"})
    exposed.apply(INFERENCES, "embed", {"modelId": "bge", "gpuCount": 1})
    own = {"containers": [{"name": "kserve-container", "image": "mine", "command": ["python", "-m", "mine"]}]}
    exposed.apply(INFERENCES, "own", {"predictor": own})
    assert sorted(exposed.names(INGRESSES)) == ["embed-ingress", "own-ingress"]
    assert exposed.names(DEPLOYMENTS) == []


def test_what_is_no_longer_wanted_goes(cluster: Cluster) -> None:
    exposed = with_settings(cluster, **ENABLED)
    exposed.apply(INFERENCES, "chat", {"modelId": "smol"})
    assert len(exposed.names(INGRESSES)) == 2
    hidden = with_settings(cluster, ingress=True, ingress_domain="other.example")
    hidden.settle()
    assert hidden.names(INGRESSES) == ["chat-ingress"]
    assert rule(hidden.get(INGRESSES, "chat-ingress"))["host"] == "other.example"
    assert hidden.names(DEPLOYMENTS) == []
    cluster.settle()
    assert cluster.names(INGRESSES) == []
    assert status(cluster)["conditions"][-1]["reason"] == "NotEnabled"


def test_a_name_that_another_has_is_said_and_the_model_is_served_all_the_same(cluster: Cluster) -> None:
    taken = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "chat-ingress", "namespace": "default"},
        "spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 80}}}},
    }
    cluster.api.create(INGRESSES, taken)
    exposed = with_settings(cluster, **ENABLED)
    exposed.apply(INFERENCES, "chat", {"modelId": "smol"})
    assert exposed.names(INFERENCESERVICES) == ["chat-is"]
    assert "'chat-ingress' is already there" in status(exposed)["failureMessage"]
