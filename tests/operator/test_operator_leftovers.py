"""What still runs when an elastic job has ended."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from operator_cluster import NAMESPACE, RUNNING, Cluster, terminated

from cpod_jupyter.api import meta
from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME
from cpod_jupyter.api.resources import CPODJOBS, PODS, PYTORCHJOBS
from cpod_jupyter.control.controller import Key
from cpod_jupyter.operator.leftovers import SECONDS_TO_END, Leftovers

TWO = {"jobType": "pytorch", "image": "me/train", "workerReplicas": 2}


def ended_job(cluster: Cluster, kind: str, seconds_ago: float, spec: dict[str, Any] = TWO) -> None:
    """A job of two workers that ended so: the second has ended, and the first still runs."""
    cluster.apply(CPODJOBS, "t", spec)
    job = cluster.get(PYTORCHJOBS, "t")
    cluster.pod(job, LABEL_JOB_NAME, RUNNING, "t-worker-0")
    cluster.pod(job, LABEL_JOB_NAME, terminated("", 0 if kind == "Succeeded" else 1), "t-worker-1")
    at = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": at}
    cluster.set_status(PYTORCHJOBS, "t", {"conditions": [condition], "completionTime": at})


def left(cluster: Cluster) -> list[str]:
    """The pods that are there and not about to go."""
    pods = cluster.api.list(PODS, NAMESPACE).items
    return sorted(meta.name_of(pod) for pod in pods if not pod["metadata"].get("deletionTimestamp"))


def test_after_a_success_the_other_workers_have_time_to_end(cluster: Cluster) -> None:
    """The first worker has the log that a person reads, and may still be saving."""
    ended_job(cluster, "Succeeded", seconds_ago=5)
    assert left(cluster) == ["t-worker-0", "t-worker-1"]
    again = Leftovers(cluster.operator_api).reconcile(Key(NAMESPACE, "t"))
    assert again is not None
    assert 0 < again <= SECONDS_TO_END - 5 + 1


def test_a_worker_that_does_not_end_after_a_success_is_taken_away(cluster: Cluster) -> None:
    ended_job(cluster, "Succeeded", seconds_ago=SECONDS_TO_END + 5)
    assert left(cluster) == ["t-worker-1"], "what has ended stays, for its log"


def test_after_a_failure_nothing_goes_on(cluster: Cluster) -> None:
    """Whoever waits for a worker that is gone holds GPUs for nothing."""
    ended_job(cluster, "Failed", seconds_ago=0)
    assert left(cluster) == ["t-worker-1"]


@pytest.mark.parametrize("kind", ["Succeeded", "Failed"])
def test_a_job_with_another_policy_is_cleaned_by_its_own_controller(cluster: Cluster, kind: str) -> None:
    ended_job(cluster, kind, seconds_ago=SECONDS_TO_END + 5, spec={"jobType": "pytorch", "image": "me/train"})
    assert cluster.get(PYTORCHJOBS, "t")["spec"]["runPolicy"]["cleanPodPolicy"] == "Running"
    assert left(cluster) == ["t-worker-0", "t-worker-1"]
