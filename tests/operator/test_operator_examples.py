"""The manifests in examples/, on a machine without GPUs: all accepted, nothing downloaded, all of them wait."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from operator_cluster import Cluster, unschedulable

from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME
from cpod_jupyter.api.names import LABEL_INFERENCE_SERVICE
from cpod_jupyter.api.resources import (
    CPODJOBS,
    FINETUNES,
    INFERENCES,
    INFERENCESERVICES,
    JOBS,
    MODELSTORAGES,
    PYTORCHJOBS,
    Object,
    of_object,
)
from cpod_jupyter.api.scheduling import never_fits

EXAMPLES = Path(__file__).parents[2] / "examples"
NO_GPU = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
NO_SUCH_GPU = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."


@pytest.fixture(autouse=True)
def node(cluster: Cluster) -> None:
    cluster.node("here", {"cpu": "4", "memory": "16Gi"})


def apply(cluster: Cluster, name: str) -> None:
    """As kubectl does: one object after the other, unknown fields refused."""
    for document in yaml.safe_load_all((EXAMPLES / name).read_text()):
        resource = of_object(document)
        assert resource is not None
        created = cluster.api.create(resource, document)
        assert document["spec"].keys() <= created["spec"].keys(), "nothing is pruned"
        cluster.settle()


def worker(cluster: Cluster, job: str) -> Object:
    spec = cluster.get(PYTORCHJOBS, job)["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]
    return dict(spec)


def test_the_cpodjob_waits_for_eight_a100s(cluster: Cluster) -> None:
    apply(cluster, "cpodjob-8xa100.yaml")
    pod = worker(cluster, "gpt-8xa100")
    assert pod["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "8"}
    sentence = never_fits(pod, cluster.nodes())
    assert sentence == NO_SUCH_GPU

    cluster.pod(cluster.get(PYTORCHJOBS, "gpt-8xa100"), LABEL_JOB_NAME, unschedulable(sentence))
    conditions = {entry["type"]: entry for entry in cluster.status(CPODJOBS, "gpt-8xa100")["conditions"]}
    assert (conditions["Running"]["status"], conditions["Running"]["message"]) == ("False", NO_SUCH_GPU)
    assert "Failed" not in conditions


def test_the_fine_tune_is_pending_and_fetches_no_llama(cluster: Cluster) -> None:
    apply(cluster, "finetune-llama2-7b.yaml")
    status = cluster.status(FINETUNES, "llama2-7b")
    assert (status["phase"], status["failureMessage"]) == ("Pending", NO_SUCH_GPU)
    assert cluster.names(JOBS) == cluster.names(MODELSTORAGES) == []


def test_the_pytorchjob_waits_for_gpus(cluster: Cluster) -> None:
    apply(cluster, "pytorchjob-pvc.yaml")
    assert never_fits(worker(cluster, "ddp"), cluster.nodes()) == NO_GPU


def test_the_inference_waits_for_a_gpu(cluster: Cluster) -> None:
    apply(cluster, "inference-api-demo.yaml")
    predictor = cluster.get(INFERENCESERVICES, "api-demo-is")["spec"]["predictor"]
    assert never_fits(predictor, cluster.nodes()) == NO_GPU
    assert predictor["containers"][0]["env"][0] == {"name": "STORAGE_URI", "value": "pvc://gemma-2b-it"}
    assert predictor["containers"][0]["command"][:2] == ["python", "src/api_demo.py"]

    service = cluster.get(INFERENCESERVICES, "api-demo-is")
    cluster.pod(service, LABEL_INFERENCE_SERVICE, unschedulable(NO_GPU))
    status = cluster.status(INFERENCES, "api-demo")
    assert (status["dataReady"], status["ready"], status["failureMessage"]) == (True, False, NO_GPU)
    assert cluster.names(JOBS) == []
