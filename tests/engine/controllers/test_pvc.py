"""PersistentVolumeClaims."""

from __future__ import annotations

from pathlib import Path

from kubelet.cluster import NAMESPACE, Cluster

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import PVCS


def directories(cluster: Cluster) -> list[Path]:
    return sorted((cluster.home / "volumes").glob("*/*"))


def test_a_claim_is_bound_at_once_to_a_directory(cluster: Cluster) -> None:
    uid = meta.uid_of(cluster.create_claim("data"))
    cluster.wait(lambda: (cluster.get(PVCS, "data").get("status") or {}).get("phase") == "Bound", "it is bound")
    claim = cluster.get(PVCS, "data")
    assert claim["spec"]["volumeName"] == f"pvc-{uid}"
    assert claim["status"]["capacity"] == {"storage": "1Gi"}
    assert claim["status"]["accessModes"] == ["ReadWriteOnce"]
    assert directories(cluster) == [cluster.home / "volumes" / NAMESPACE / f"data-{uid[:8]}"]


def test_the_files_go_with_the_claim_and_a_new_one_starts_empty(cluster: Cluster) -> None:
    cluster.create_claim("data")
    (first,) = cluster.wait(lambda: directories(cluster), "its directory is there")
    cluster.api.delete(PVCS, "data", NAMESPACE)
    cluster.wait(lambda: not first.exists(), "its directory is gone")
    cluster.create_claim("data")
    assert cluster.wait(lambda: directories(cluster), "a new directory is there") != [first]


def test_a_claim_deleted_while_no_engine_ran_loses_its_files_at_the_start(cluster: Cluster) -> None:
    cluster.create_claim("data")
    (first,) = cluster.wait(lambda: directories(cluster), "its directory is there")
    cluster._manager.stop()
    cluster.api.delete(PVCS, "data", NAMESPACE)
    cluster.stop()
    cluster.start()
    cluster.wait(lambda: not first.exists(), "its directory is gone")


def test_files_stay_while_a_pod_that_runs_has_them_mounted(cluster: Cluster) -> None:
    cluster.create_claim("data")
    cluster.run(
        "user", "sh", "-c", "until test -f /data/stop; do sleep 0.05; done",
        container={"volumeMounts": [{"name": "d", "mountPath": "/data"}]},
        volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}],
    )  # fmt: skip
    cluster.wait_phase("user", "Running")
    (first,) = directories(cluster)
    cluster.api.delete(PVCS, "data", NAMESPACE)
    cluster.create_claim("other")
    cluster.wait(lambda: len(directories(cluster)) == 2, "the controller has gone on")
    assert first.exists()
    (first / "stop").touch()
    cluster.wait(lambda: not first.exists(), "its directory is gone once the pod has ended")
