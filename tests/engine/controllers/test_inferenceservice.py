"""KServe's InferenceService: what it runs, how it goes on through changes, and what its status says."""

from __future__ import annotations

from typing import Any

import pytest
from kubelet.cluster import NAMESPACE, Cluster

from controllers.serving import ask, serve, server, wait_reason
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import ENDPOINTS, EVENTS, INFERENCESERVICES, SERVICES


def test_a_service_is_ready_with_a_url_that_answers(cluster: Cluster) -> None:
    serve(cluster, "llm", containers=[server("one")])
    wait_reason(cluster, "llm", "MinimumReplicasAvailable")
    service = cluster.get(INFERENCESERVICES, "llm")
    assert meta.is_true(service, "Ready")
    assert meta.is_true(service, "LatestDeploymentReady")
    status = service["status"]
    assert ask(status["url"]) == "one"
    assert status["address"]["url"] == status["components"]["predictor"]["url"] == status["url"]
    assert status["modelStatus"]["states"] == {"activeModelState": "Loaded", "targetModelState": "Loaded"}
    assert status["observedGeneration"] == service["metadata"]["generation"]
    ports = cluster.get(SERVICES, "llm-predictor")["spec"]["ports"]
    assert [(port["port"], port["targetPort"]) for port in ports] == [(80, 8080)]


def test_a_changed_service_is_replaced_without_a_gap(cluster: Cluster) -> None:
    serve(cluster, "llm", containers=[server("one")])
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


def test_where_the_strategy_is_recreate_the_old_pod_goes_before_the_new_one_comes(cluster: Cluster) -> None:
    serve(cluster, "llm", containers=[server("one")], deploymentStrategy={"type": "Recreate"})
    wait_reason(cluster, "llm", "MinimumReplicasAvailable")
    most = 0

    def alone() -> bool:
        nonlocal most
        pods = cluster.pods()
        most = max(most, len(pods))
        service = cluster.get(INFERENCESERVICES, "llm")
        return meta.is_true(service, "Ready") and ask(service["status"]["url"]) == "two"

    change = {"spec": {"predictor": {"containers": [server("two")]}}}
    cluster.api.patch(INFERENCESERVICES, "llm", change, NAMESPACE)
    cluster.wait(lambda: not meta.is_true(cluster.get(INFERENCESERVICES, "llm"), "Ready"), "the old one goes")
    cluster.wait(alone, "the new one answers")
    assert most == 1


def endpoints(cluster: Cluster) -> list[str]:
    """The addresses behind the Service, of pods that are ready."""
    subsets = cluster.get(ENDPOINTS, "llm-predictor").get("subsets") or []
    return [entry["ip"] for subset in subsets for entry in subset.get("addresses") or []]


def test_a_new_revision_that_never_gets_ready_leaves_the_old_one_serving_and_says_why(cluster: Cluster) -> None:
    serve(cluster, "llm", containers=[server("one")])
    wait_reason(cluster, "llm", "MinimumReplicasAvailable")
    before = cluster.get(INFERENCESERVICES, "llm")["status"]
    crash = {**server("two"), "command": ["sh", "-c", "echo 'no such model' > /dev/termination-log; exit 3"]}
    change = {"spec": {"predictor": {"containers": [crash]}}}
    cluster.api.patch(INFERENCESERVICES, "llm", change, NAMESPACE)
    latest = wait_reason(cluster, "llm", "CrashLoopBackOff", "LatestDeploymentReady")
    assert "exited with 3 (Error): no such model" in latest["message"]
    service = cluster.get(INFERENCESERVICES, "llm")
    assert meta.is_true(service, "Ready")
    assert "no such model" in meta.condition(service, "PredictorReady")["message"]  # type: ignore[index]
    status = service["status"]
    assert ask(status["url"]) == "one"
    assert status["url"] == before["url"]
    assert status["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    assert status["modelStatus"]["states"] == {"activeModelState": "Loaded", "targetModelState": "FailedToLoad"}
    revisions = status["components"]["predictor"]
    assert revisions["latestReadyRevision"] == before["components"]["predictor"]["latestReadyRevision"]
    assert revisions["latestCreatedRevision"] != revisions["latestReadyRevision"]
    assert [f"http://{address}:8080" for address in endpoints(cluster)] == [status["url"]]
    reasons = {event["reason"] for event in cluster.api.list(EVENTS, NAMESPACE).items if event["type"] == "Warning"}
    assert "CrashLoopBackOff" in reasons


def test_a_change_that_is_refused_leaves_the_old_revision_serving(cluster: Cluster) -> None:
    serve(cluster, "llm", containers=[server("one")])
    wait_reason(cluster, "llm", "MinimumReplicasAvailable")
    cluster.api.patch(INFERENCESERVICES, "llm", {"spec": {"predictor": {"canaryTrafficPercent": 10}}}, NAMESPACE)
    refused = wait_reason(cluster, "llm", "InvalidPredictorSpec", "LatestDeploymentReady")
    assert "canaryTrafficPercent" in refused["message"]
    service = cluster.get(INFERENCESERVICES, "llm")
    assert meta.is_true(service, "Ready")
    assert ask(service["status"]["url"]) == "one"
    assert service["status"]["modelStatus"]["transitionStatus"] == "InvalidSpec"


def test_a_server_that_crashes_is_restarted_and_its_trouble_is_said(cluster: Cluster) -> None:
    crash = {**server(""), "command": ["sh", "-c", "echo 'no model at /mnt/models' > /dev/termination-log; exit 1"]}
    serve(cluster, "bad", containers=[crash])
    condition = wait_reason(cluster, "bad", "CrashLoopBackOff")
    assert "exited with 1 (Error): no model at /mnt/models" in condition["message"]
    status = cluster.get(INFERENCESERVICES, "bad")["status"]
    assert status["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    failure = status["modelStatus"]["lastFailureInfo"]
    assert (failure["reason"], failure["exitCode"]) == ("ModelLoadFailed", 1)
    assert "url" not in status


def test_a_service_that_fits_nowhere_says_so_in_the_schedulers_words(cluster: Cluster) -> None:
    serve(cluster, "big", containers=[{**server(""), "resources": {"limits": {"nvidia.com/gpu": "8"}}}])
    condition = wait_reason(cluster, "big", "Unschedulable")
    assert condition["message"] == "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    assert "lastFailureInfo" not in cluster.get(INFERENCESERVICES, "big")["status"]["modelStatus"]


def test_a_model_in_a_claim_is_where_storage_uri_says(cluster: Cluster) -> None:
    claim = cluster.create_claim("weights")
    directory = cluster.home / "volumes" / NAMESPACE / f"weights-{meta.uid_of(claim)[:8]}" / "smol"
    container = server("", variable="STORAGE_URI")
    container["env"] += [{"name": "STORAGE_URI", "value": "pvc://weights/smol"}]
    serve(cluster, "stored", containers=[container])
    wait_reason(cluster, "stored", "MinimumReplicasAvailable")
    assert ask(cluster.get(INFERENCESERVICES, "stored")["status"]["url"]) == str(directory.resolve())


def test_a_pod_that_was_lost_is_replaced(cluster: Cluster) -> None:
    serve(cluster, "llm", containers=[server("one")])
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


def test_a_stopped_service_has_no_pods_and_says_so_and_a_deleted_one_leaves_nothing(cluster: Cluster) -> None:
    serve(cluster, "llm", containers=[server("one")])
    wait_reason(cluster, "llm", "MinimumReplicasAvailable")
    change: dict[str, Any] = {"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}}
    cluster.api.patch(INFERENCESERVICES, "llm", change, NAMESPACE)
    wait_reason(cluster, "llm", "Stopped")
    cluster.wait(lambda: not cluster.pods(), "its pods are gone")
    service = cluster.get(INFERENCESERVICES, "llm")
    assert "url" not in service["status"]
    assert meta.is_true(service, "Stopped")
    change["metadata"]["annotations"]["serving.kserve.io/stop"] = None
    cluster.api.patch(INFERENCESERVICES, "llm", change, NAMESPACE)
    wait_reason(cluster, "llm", "MinimumReplicasAvailable")
    assert meta.condition(cluster.get(INFERENCESERVICES, "llm"), "Stopped") is None
    cluster.api.delete(INFERENCESERVICES, "llm", NAMESPACE)
    cluster.wait(lambda: not cluster.pods() and not cluster.find(SERVICES, "llm-predictor"), "its children are gone")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        pytest.param({"workerSpec": {"pipelineParallelSize": 2}}, "workerSpec", id="several nodes"),
        pytest.param({"logger": {"mode": "all"}}, "logger", id="logger"),
        pytest.param({"autoScaling": {"metrics": []}}, "autoScaling", id="autoscaling"),
    ],
)
def test_what_only_a_cluster_does_is_taken_and_refused_on_the_object(
    cluster: Cluster, asked: dict[str, Any], words: str
) -> None:
    serve(cluster, "llm", containers=[server("one")], **asked)
    assert words in wait_reason(cluster, "llm", "InvalidPredictorSpec")["message"]
    assert cluster.pods() == []
