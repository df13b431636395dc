"""KServe's InferenceService with custom containers."""

from __future__ import annotations

import sys
import urllib.request
from typing import Any

import pytest
from kubelet.cluster import NAMESPACE, Cluster

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import INFERENCESERVICES, SERVICES, Object
from cpod_jupyter.engine.controllers.inferenceservice_status import refusal
from cpod_jupyter.engine.controllers.predictor import pod_spec, revision

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(os.environ["ANSWER"].encode())
    def log_message(self, *_): pass
http.server.HTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
"""


def server(answer: str) -> dict[str, Any]:
    env = [
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "ANSWER", "value": answer},
    ]
    return {"name": "kserve-container", "image": "server", "command": [sys.executable, "-c", SERVER], "env": env}


def serve(cluster: Cluster, name: str, container: dict[str, Any], **predictor: Any) -> None:
    spec = {"predictor": {"containers": [container], "terminationGracePeriodSeconds": 1, **predictor}}
    cluster.create(INFERENCESERVICES, name, spec=spec)


def predictor(cluster: Cluster, name: str) -> dict[str, Any]:
    return meta.condition(cluster.get(INFERENCESERVICES, name), "PredictorReady") or {}


def wait_reason(cluster: Cluster, name: str, reason: str) -> dict[str, Any]:
    cluster.wait(lambda: predictor(cluster, name).get("reason") == reason, f"{name}: {reason}")
    return predictor(cluster, name)


def ask(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def test_a_service_is_ready_with_a_url_that_answers(cluster: Cluster) -> None:
    serve(cluster, "llm", server("one"))
    wait_reason(cluster, "llm", "MinimumReplicasAvailable")
    service = cluster.get(INFERENCESERVICES, "llm")
    assert meta.is_true(service, "Ready")
    status = service["status"]
    assert ask(status["url"]) == "one"
    assert status["address"]["url"] == status["components"]["predictor"]["url"] == status["url"]
    assert status["modelStatus"]["states"] == {"activeModelState": "Loaded", "targetModelState": "Loaded"}
    assert status["observedGeneration"] == service["metadata"]["generation"]
    ports = cluster.get(SERVICES, "llm-predictor")["spec"]["ports"]
    assert [(port["port"], port["targetPort"]) for port in ports] == [(80, 8080)]


def test_a_changed_service_is_replaced_without_a_gap(cluster: Cluster) -> None:
    serve(cluster, "llm", server("one"))
    wait_reason(cluster, "llm", "MinimumReplicasAvailable")
    (old,) = cluster.pods()
    change = {"spec": {"predictor": {"containers": [server("two")]}}}
    cluster.api.patch(INFERENCESERVICES, "llm", change, NAMESPACE)

    def answer() -> str:
        service = cluster.get(INFERENCESERVICES, "llm")
        assert meta.is_true(service, "Ready")
        return ask(service["status"]["url"])

    cluster.wait(lambda: meta.name_of(old) not in [meta.name_of(pod) for pod in cluster.pods()], "the old pod goes")
    assert answer() == "two"
    assert len(cluster.pods()) == 1


def test_a_server_that_crashes_is_restarted_and_its_trouble_is_said(cluster: Cluster) -> None:
    crash = {**server(""), "command": ["sh", "-c", "echo 'no model at /mnt/models' > /dev/termination-log; exit 1"]}
    serve(cluster, "bad", crash)
    condition = wait_reason(cluster, "bad", "CrashLoopBackOff")
    assert "exited with 1 (Error): no model at /mnt/models" in condition["message"]
    status = cluster.get(INFERENCESERVICES, "bad")["status"]
    assert status["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    assert status["modelStatus"]["lastFailureInfo"]["exitCode"] == 1
    assert "url" not in status


def test_a_service_that_fits_nowhere_says_so_in_the_schedulers_words(cluster: Cluster) -> None:
    serve(cluster, "big", {**server(""), "resources": {"limits": {"nvidia.com/gpu": "8"}}})
    condition = wait_reason(cluster, "big", "Unschedulable")
    assert condition["message"] == "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."


def test_a_model_in_a_claim_is_where_storage_uri_says(cluster: Cluster) -> None:
    claim = cluster.create_claim("weights")
    directory = cluster.home / "volumes" / NAMESPACE / f"weights-{meta.uid_of(claim)[:8]}" / "smol"
    container = server("")
    container["env"] += [{"name": "STORAGE_URI", "value": "pvc://weights/smol"}]
    container["command"][2] = SERVER.replace('"ANSWER"', '"STORAGE_URI"')
    serve(cluster, "stored", container)
    wait_reason(cluster, "stored", "MinimumReplicasAvailable")
    assert ask(cluster.get(INFERENCESERVICES, "stored")["status"]["url"]) == str(directory.resolve())


def test_no_replicas_are_allowed(cluster: Cluster) -> None:
    serve(cluster, "idle", server(""), minReplicas=0)
    wait_reason(cluster, "idle", "ScaledToZero")
    assert cluster.pods() == []


def service(**predictor: Any) -> Object:
    metadata = {"name": "s", "namespace": NAMESPACE, "uid": "u"}
    return {"apiVersion": "v1", "kind": "X", "metadata": metadata, "spec": {"predictor": predictor}}


@pytest.mark.parametrize(
    ("asked", "reason", "words"),
    [
        pytest.param({"model": {"modelFormat": {"name": "sklearn"}}}, "RuntimeNotFound", "'sklearn'", id="format"),
        pytest.param({"model": {"runtime": "kserve-vllm"}}, "RuntimeNotFound", "kserve-vllm", id="runtime"),
        pytest.param({"containers": []}, "NoContainer", "nothing to run", id="nothing"),
        pytest.param(
            {"containers": [{"name": "c", "env": [{"name": "STORAGE_URI", "value": "s3://b/m"}]}]},
            "StorageNotSupported", "s3://b/m", id="storage",
        ),
    ],
)  # fmt: skip
def test_what_only_a_cluster_has_is_refused_by_name(asked: dict[str, Any], reason: str, words: str) -> None:
    found = refusal(service(**asked))
    assert found is not None
    assert found.reason == reason
    assert words in found.message


def test_the_number_of_replicas_is_no_new_revision() -> None:
    container = {"name": "c", "image": "i"}
    assert revision(service(containers=[container], minReplicas=2)) == revision(service(containers=[container]))
    assert revision(service(containers=[{**container, "image": "j"}])) != revision(service(containers=[container]))


def test_a_pod_keeps_its_own_readiness_probe_and_gets_one_otherwise() -> None:
    own = {"httpGet": {"path": "/health", "port": 9000}}
    given = {"name": "c", "readinessProbe": own}
    assert pod_spec(service(containers=[given]))["containers"][0]["readinessProbe"] == own
    made = pod_spec(service(containers=[{"name": "c", "ports": [{"containerPort": 9000}]}]))
    assert made["containers"][0]["readinessProbe"]["tcpSocket"] == {"port": 9000}
    assert made["restartPolicy"] == "Always"


def test_a_pod_that_was_lost_is_replaced(cluster: Cluster) -> None:
    serve(cluster, "llm", server("one"))
    wait_reason(cluster, "llm", "MinimumReplicasAvailable")
    (old,) = cluster.pods()
    cluster.kill_supervisor(old)
    cluster.wait(lambda: [meta.uid_of(pod) for pod in cluster.pods()] != [meta.uid_of(old)], "the pod is replaced")

    def served_by_the_new_one() -> bool:
        ready = [pod for pod in cluster.pods() if meta.is_true(pod, "Ready") and meta.uid_of(pod) != meta.uid_of(old)]
        url = cluster.get(INFERENCESERVICES, "llm")["status"].get("url", "")
        return any(str(pod["status"]["podIP"]) in url for pod in ready)

    cluster.wait(served_by_the_new_one, "the new pod serves")
    wait_reason(cluster, "llm", "MinimumReplicasAvailable")
    assert ask(cluster.get(INFERENCESERVICES, "llm")["status"]["url"]) == "one"


def test_a_stopped_service_has_no_pods_and_says_so(cluster: Cluster) -> None:
    serve(cluster, "llm", server("one"))
    wait_reason(cluster, "llm", "MinimumReplicasAvailable")
    change = {"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}}
    cluster.api.patch(INFERENCESERVICES, "llm", change, NAMESPACE)
    wait_reason(cluster, "llm", "Stopped")
    cluster.wait(lambda: not cluster.pods(), "its pods are gone")
    assert "url" not in cluster.get(INFERENCESERVICES, "llm")["status"]
