"""PersistentVolumes: made for claims or by hand, bound, released, retained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kubelet.cluster import NAMESPACE, Cluster

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import PERSISTENTVOLUMES, PVCS, Object


def by_hand(cluster: Cluster, name: str, size: str, directory: Path, **spec: Any) -> None:
    directory.mkdir(exist_ok=True)
    source = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": str(directory)}}
    cluster.api.create(PERSISTENTVOLUMES, {"metadata": {"name": name}, "spec": {**source, **spec}})


def claim(cluster: Cluster, name: str, **spec: Any) -> Object:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return cluster.create(PVCS, name, spec=wanted)


def volume(cluster: Cluster, name: str, phase: str) -> Object:
    def found() -> Object | None:
        for item in cluster.api.list(PERSISTENTVOLUMES).items:
            if meta.name_of(item) == name and (item.get("status") or {}).get("phase") == phase:
                return item
        return None

    return cluster.wait(found, f"{name} is {phase}") or {}


def wait_claim(cluster: Cluster, name: str, phase: str) -> Object:
    cluster.wait(lambda: (cluster.get(PVCS, name).get("status") or {}).get("phase") == phase, f"{name} is {phase}")
    return cluster.get(PVCS, name)


def test_a_claim_has_a_volume_made_for_it_that_goes_with_it(cluster: Cluster) -> None:
    made = f"pvc-{meta.uid_of(claim(cluster, 'data'))}"
    found = volume(cluster, made, "Bound")
    assert found["spec"]["claimRef"]["name"] == "data"
    assert found["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    assert Path(found["spec"]["hostPath"]["path"]).is_dir()
    cluster.api.delete(PVCS, "data", NAMESPACE)
    cluster.wait(lambda: not cluster.api.list(PERSISTENTVOLUMES).items, "the volume is gone")
    assert not Path(found["spec"]["hostPath"]["path"]).exists()


def test_what_is_retained_stays_with_its_files(cluster: Cluster) -> None:
    made = f"pvc-{meta.uid_of(claim(cluster, 'data'))}"
    directory = Path(volume(cluster, made, "Bound")["spec"]["hostPath"]["path"])
    (directory / "kept").touch()
    cluster.api.patch(PERSISTENTVOLUMES, made, {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
    cluster.api.delete(PVCS, "data", NAMESPACE)
    volume(cluster, made, "Released")
    cluster.api.delete(PERSISTENTVOLUMES, made)
    claim(cluster, "data")
    wait_claim(cluster, "data", "Bound")
    assert (directory / "kept").exists()


def test_a_claim_takes_the_smallest_volume_made_by_hand_that_fits_and_pods_see_its_files(
    cluster: Cluster, tmp_path: Path
) -> None:
    for name, size in (("large", "10Gi"), ("small", "1Mi"), ("middle", "2Gi")):
        by_hand(cluster, name, size, tmp_path / name, storageClassName="mine")
        volume(cluster, name, "Available")
    (tmp_path / "middle" / "hello").write_text("from the middle")
    claim(cluster, "data", storageClassName="mine")
    found = wait_claim(cluster, "data", "Bound")
    assert found["spec"]["volumeName"] == "middle"
    assert found["status"]["capacity"] == {"storage": "2Gi"}
    cluster.run(
        "reader", "grep", "from the middle", "/data/hello",
        container={"volumeMounts": [{"name": "d", "mountPath": "/data"}]},
        volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}],
    )  # fmt: skip
    cluster.wait_phase("reader", "Succeeded")
    cluster.api.delete(PVCS, "data", NAMESPACE)
    volume(cluster, "middle", "Released")
    assert (tmp_path / "middle" / "hello").exists()


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param({"storageClassName": ""}, id="no class"),
        pytest.param({"volumeName": "later"}, id="by name"),
        pytest.param({"selector": {"matchLabels": {"tier": "gold"}}}, id="by label"),
    ],
)
def test_a_claim_that_takes_only_a_volume_made_by_hand_waits_for_it(
    cluster: Cluster, tmp_path: Path, wish: dict[str, Any]
) -> None:
    claim(cluster, "data", **wish)
    cluster.wait(lambda: cluster.events("FailedBinding"), "it is told why it waits")
    assert wait_claim(cluster, "data", "Pending")
    by_hand(cluster, "later", "1Gi", tmp_path / "later")
    cluster.api.patch(PERSISTENTVOLUMES, "later", {"metadata": {"labels": {"tier": "gold"}}})
    assert wait_claim(cluster, "data", "Bound")["spec"]["volumeName"] == "later"


def test_files_of_a_volume_made_by_hand_are_not_deleted(cluster: Cluster, tmp_path: Path) -> None:
    by_hand(cluster, "mine", "1Gi", tmp_path / "mine", persistentVolumeReclaimPolicy="Delete")
    (tmp_path / "mine" / "kept").touch()
    claim(cluster, "data", volumeName="mine")
    wait_claim(cluster, "data", "Bound")
    cluster.api.delete(PVCS, "data", NAMESPACE)
    assert "made by hand" in volume(cluster, "mine", "Failed")["status"]["message"]
    assert (tmp_path / "mine" / "kept").exists()
