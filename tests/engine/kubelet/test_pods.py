"""Pods, from their creation to their end, as real processes."""

from __future__ import annotations

import time

from .cluster import Cluster


def test_a_pod_runs_to_its_end_and_its_status_says_so(cluster: Cluster) -> None:
    began = time.time()
    cluster.run("hello", "sh", "-c", "date +%s.%N; exit 0")
    pod = cluster.wait_phase("hello", "Succeeded")
    print("TIMES", float(cluster.output(pod)) - began, time.time() - began)
    status = pod["status"]
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert status["podIP"].startswith("127.")
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "PodScheduled": "True",
        "Initialized": "True",
        "ContainersReady": "False",
        "Ready": "False",
    }
