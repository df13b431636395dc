"""batch/v1 Jobs."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from kubelet.cluster import NAMESPACE, Cluster

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import JOBS, Object
from cpod_jupyter.engine.controllers.job import decide, job_pod, retry_delay, wanted_pods
from cpod_jupyter.engine.controllers.job_indexes import written


def run_job(cluster: Cluster, name: str, script: str, restart_policy: str = "Never", **spec: Any) -> Object:
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script]}
    pod_spec = {"containers": [container], "restartPolicy": restart_policy, "terminationGracePeriodSeconds": 1}
    return cluster.create(JOBS, name, spec={"template": {"spec": pod_spec}, **spec})


def wait_condition(cluster: Cluster, name: str, kind: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        job = cluster.get(JOBS, name)
        return meta.condition(job, kind) if meta.is_true(job, kind) else None

    return cluster.wait(found, f"{name} is {kind}; it is {cluster.get(JOBS, name).get('status')}") or {}


def test_a_job_completes_with_its_pod(cluster: Cluster) -> None:
    run_job(cluster, "once", "echo done")
    wait_condition(cluster, "once", "Complete")
    status = cluster.get(JOBS, "once")["status"]
    assert (status["succeeded"], status["failed"], status["active"]) == (1, 0, 0)
    assert status["startTime"] <= status["completionTime"]
    (pod,) = cluster.pods("batch.kubernetes.io/job-name=once")
    assert pod["metadata"]["labels"]["job-name"] == "once"
    cluster.wait(lambda: cluster.events("Completed") == ["Job completed"], "that is told of")


def test_a_job_past_its_backoff_limit_carries_the_pods_last_words(cluster: Cluster) -> None:
    run_job(cluster, "bad", "echo 'no such dataset' > /dev/termination-log; exit 3", backoffLimit=0)
    condition = wait_condition(cluster, "bad", "Failed")
    (pod,) = cluster.pods("job-name=bad")
    assert condition["reason"] == "BackoffLimitExceeded"
    assert condition["message"] == (
        f"Job has reached the specified backoff limit: pod {meta.name_of(pod)} exited with 3 (Error): no such dataset"
    )
    assert cluster.get(JOBS, "bad")["status"]["failed"] == 1


def test_a_failure_that_the_policy_calls_final_ends_the_job_at_once(cluster: Cluster) -> None:
    rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [65]}}]
    policy = {"podFailurePolicy": {"rules": rules}}
    run_job(cluster, "final", "echo 'row 3 is no JSON' > /dev/termination-log; exit 65", backoffLimit=4, **policy)
    condition = wait_condition(cluster, "final", "Failed")
    assert condition["reason"] == "PodFailurePolicy"
    assert "failed with exit code 65, matching FailJob rule at index 0" in condition["message"]
    assert condition["message"].endswith("row 3 is no JSON")
    assert len(cluster.pods("job-name=final")) == 1


def test_a_failure_that_the_policy_ignores_does_not_count(cluster: Cluster, tmp_path: Path) -> None:
    mark = tmp_path / "tried"
    rules = [{"action": "Ignore", "onExitCodes": {"operator": "NotIn", "values": [1]}}]
    script = f"test -e {mark} && exit 0; touch {mark}; exit 7"
    run_job(cluster, "spared", script, backoffLimit=0, podFailurePolicy={"rules": rules})
    wait_condition(cluster, "spared", "Complete")
    assert cluster.get(JOBS, "spared")["status"]["failed"] == 1


def test_on_failure_counts_restarts_of_the_container(cluster: Cluster) -> None:
    run_job(cluster, "loop", "exit 2", "OnFailure", backoffLimit=1)
    condition = wait_condition(cluster, "loop", "Failed")
    assert condition["reason"] == "BackoffLimitExceeded"
    assert "exited with 2" in condition["message"]
    cluster.wait(lambda: not cluster.pods("job-name=loop"), "its pod is ended")


def test_completions_run_in_parallel(cluster: Cluster) -> None:
    run_job(cluster, "many", "true", completions=3, parallelism=2)
    wait_condition(cluster, "many", "Complete")
    assert cluster.get(JOBS, "many")["status"]["succeeded"] == 3
    assert len(cluster.pods("job-name=many")) == 3


def test_the_deadline_fails_the_job_and_ends_its_pods(cluster: Cluster) -> None:
    run_job(cluster, "slow", "sleep 300", activeDeadlineSeconds=1)
    assert wait_condition(cluster, "slow", "Failed")["reason"] == "DeadlineExceeded"
    cluster.wait(lambda: not cluster.pods("job-name=slow"), "its pod is gone")


def test_a_suspended_job_has_no_pods_until_it_is_resumed(cluster: Cluster) -> None:
    run_job(cluster, "held", "true", suspend=True)
    assert wait_condition(cluster, "held", "Suspended")["reason"] == "JobSuspended"
    assert cluster.pods("job-name=held") == []
    cluster.api.patch(JOBS, "held", {"spec": {"suspend": False}}, NAMESPACE)
    wait_condition(cluster, "held", "Complete")
    assert meta.condition(cluster.get(JOBS, "held"), "Suspended")["status"] == "False"  # type: ignore[index]


def test_a_pod_that_is_asked_to_end_does_not_fail_its_job() -> None:
    job = {"spec": {"backoffLimit": 0, "completions": 1, "template": {"spec": {"restartPolicy": "Never"}}}}
    failed: Object = {"metadata": {"name": "p"}, "status": {"phase": "Failed"}}
    ending = {**failed, "metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    now = dt.datetime.now(dt.UTC)
    assert decide(job, [ending], now) is None
    outcome = decide(job, [failed], now)
    assert outcome is not None
    assert outcome.kind == "Failed"


def test_a_finished_job_is_deleted_after_its_time_to_live_with_its_pods(cluster: Cluster) -> None:
    run_job(cluster, "brief", "true", ttlSecondsAfterFinished=1)
    cluster.wait_gone(JOBS, "brief")
    cluster.wait(lambda: not cluster.pods("job-name=brief"), "its pods go with it")


def test_each_index_has_a_pod_that_knows_it(cluster: Cluster) -> None:
    script = 'echo "index $JOB_COMPLETION_INDEX"'
    run_job(cluster, "indexed", script, completionMode="Indexed", completions=3, parallelism=3)
    wait_condition(cluster, "indexed", "Complete")
    status = cluster.get(JOBS, "indexed")["status"]
    assert (status["succeeded"], status["completedIndexes"]) == (3, "0-2")
    pods = cluster.pods("job-name=indexed")
    assert sorted(cluster.output(pod) for pod in pods) == ["index 0\n", "index 1\n", "index 2\n"]
    assert sorted(pod["spec"]["hostname"] for pod in pods) == ["indexed-0", "indexed-1", "indexed-2"]
    assert {pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] for pod in pods} == {"0", "1", "2"}


def test_an_index_that_is_lost_does_not_stop_the_others(cluster: Cluster) -> None:
    script = 'test "$JOB_COMPLETION_INDEX" != 1'
    run_job(cluster, "partly", script, completionMode="Indexed", completions=3, parallelism=3, backoffLimitPerIndex=0)
    assert wait_condition(cluster, "partly", "Failed")["reason"] == "FailedIndexes"
    status = cluster.get(JOBS, "partly")["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2", "1")


def test_a_success_policy_ends_the_job_with_its_pods(cluster: Cluster) -> None:
    script = 'test "$JOB_COMPLETION_INDEX" = 0 || exec sleep 300'
    run_job(
        cluster, "leader", script, completionMode="Indexed", completions=2, parallelism=2,
        successPolicy={"rules": [{"succeededIndexes": "0"}]},
    )  # fmt: skip
    assert wait_condition(cluster, "leader", "Complete")["reason"] == "SuccessPolicy"
    assert cluster.get(JOBS, "leader")["status"]["completedIndexes"] == "0"


def test_a_job_that_another_controller_manages_is_left_alone(cluster: Cluster) -> None:
    run_job(cluster, "theirs", "true", managedBy="example.com/other")
    run_job(cluster, "ours", "true")
    wait_condition(cluster, "ours", "Complete")
    assert cluster.pods("job-name=theirs") == []


@pytest.mark.parametrize(
    ("indexes", "text"), [({0, 2, 3, 4, 7}, "0,2-4,7"), ({5, 6}, "5-6"), (set(), "")], ids=["mixed", "pair", "none"]
)
def test_indexes_are_written_as_intervals(indexes: set[int], text: str) -> None:
    assert written(indexes) == text


def job(**spec: Any) -> Object:
    template = {"spec": {"containers": [{"name": "c"}], "restartPolicy": "Never"}}
    metadata = {"name": "j", "namespace": NAMESPACE, "uid": "u"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template, **spec}}


@pytest.mark.parametrize(
    ("spec", "succeeded", "wanted"),
    [
        pytest.param({}, 0, 1, id="one by default"),
        pytest.param({}, 1, 0, id="one is enough"),
        pytest.param({"completions": 5, "parallelism": 2}, 0, 2, id="as many as in parallel"),
        pytest.param({"completions": 5, "parallelism": 2}, 4, 1, id="no more than are missing"),
        pytest.param({"parallelism": 3}, 0, 3, id="a work queue"),
        pytest.param({"parallelism": 3}, 1, 0, id="a work queue that has run out"),
        pytest.param({"parallelism": 0, "completions": 1}, 0, 0, id="held by parallelism"),
    ],
)
def test_how_many_pods_are_wanted(spec: dict[str, Any], succeeded: int, wanted: int) -> None:
    assert wanted_pods(job(**spec), succeeded) == wanted


def ended(phase: str, at: str) -> Object:
    state = {"terminated": {"exitCode": 1, "finishedAt": at}}
    return {"metadata": {"name": at}, "status": {"phase": phase, "containerStatuses": [{"state": state}]}}


@pytest.mark.parametrize(
    ("phases", "delay"),
    [
        pytest.param([], 0, id="first"),
        pytest.param(["Failed"], 9, id="after one failure"),
        pytest.param(["Failed", "Failed", "Failed"], 39, id="doubling"),
        pytest.param(["Failed", "Succeeded"], 0, id="after a success"),
        pytest.param(["Failed", "Succeeded", "Failed"], 9, id="only failures since the last success"),
    ],
)
def test_failures_delay_the_next_pod(phases: list[str], delay: float) -> None:
    pods = [ended(phase, f"2026-11-24T19:00:0{second}Z") for second, phase in enumerate(phases)]
    last = dt.datetime(2026, 11, 24, 19, 0, max(0, len(phases) - 1), tzinfo=dt.UTC)
    assert retry_delay(pods, last + dt.timedelta(seconds=1)) == delay


def test_a_pod_made_twice_has_the_same_name_and_a_new_one_another() -> None:
    first = job_pod(job(), [])
    assert job_pod(job(), []) == first
    assert meta.name_of(job_pod(job(), [first])) != meta.name_of(first)
