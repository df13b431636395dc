"""Public storages: copied into a user's namespace as a second volume of the same data."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from operator_cluster import NAMESPACE, Cluster

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.resources import (
    CPODJOBS,
    DATASETSTORAGES,
    FINETUNES,
    INFERENCES,
    INFERENCESERVICES,
    JOBS,
    MODELSTORAGES,
    NAMESPACES,
    PERSISTENTVOLUMES,
    PVCS,
    Object,
    Resource,
)
from cpod_jupyter.errors import AlreadyExists
from cpod_jupyter.operator.builders import publiccopy
from cpod_jupyter.operator.storage_kinds import MODEL

JOB = {"image": "busybox", "jobType": "general", "pretrainModelName": "shared", "pretrainModelIsPublic": True}


def public(cluster: Cluster, resource: Resource, name: str, spec: dict[str, Any], **extra: Any) -> Object:
    """Made in the public namespace, as that one's administrator does."""
    with contextlib.suppress(AlreadyExists):
        cluster.api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "public"}})
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name, "namespace": "public"}}
    made = cluster.api.create(resource, {**obj, "spec": spec, **extra})
    cluster.settle()
    return made


def volume(cluster: Cluster, name: str, source: dict[str, Any]) -> None:
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {"namespace": "public", "name": "held", "uid": "u"}, **source}  # fmt: skip
    metadata = {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": "somebody"}}
    cluster.api.create(
        PERSISTENTVOLUMES, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}
    )


def bound_original(cluster: Cluster, kind: Resource = MODELSTORAGES, name: str = "shared") -> None:
    """A public storage that is done, whose claim is bound to a volume of NFS."""
    held = f"held-{kind.singular}"
    volume(cluster, f"pv-{held}", {"nfs": {"server": "store", "path": "/models"}})
    claim = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1Gi"}},
        "volumeName": f"pv-{held}",
    }
    public(cluster, PVCS, held, claim)
    public(cluster, kind, name, {"pvc": held, **({"template": "llama3"} if kind == MODELSTORAGES else {})})


def copy_made(cluster: Cluster, kind: Resource = MODELSTORAGES) -> dict[str, Any]:
    """A job asks for the storage; the copy's status."""
    field = "pretrainModel" if kind == MODELSTORAGES else "dataset"
    spec = {"image": "busybox", "jobType": "general", f"{field}Name": "shared", f"{field}IsPublic": True}
    cluster.apply(CPODJOBS, f"asks-{kind.singular}", {**spec, f"{field}Path": "/data/x", "command": ["true"]})
    return cluster.status(kind, "shared-public")


def tidied(cluster: Cluster) -> list[str]:
    """The volumes there are, after each has woken those whom it concerns."""
    for controller in cluster.controllers:
        if PERSISTENTVOLUMES in controller.sources:
            for obj in cluster.api.list(PERSISTENTVOLUMES).items:
                for key in controller.sources[PERSISTENTVOLUMES](obj):
                    controller.reconcile(key)
    return [meta.name_of(obj) for obj in cluster.api.list(PERSISTENTVOLUMES).items]


@pytest.mark.parametrize("kind", [MODELSTORAGES, DATASETSTORAGES], ids=lambda kind: kind.singular)
def test_a_public_storage_appears_in_the_namespace_as_a_copy_of_the_same_data(cluster: Cluster, kind: Resource) -> None:
    """B24: any volume source, not CSI alone; nothing of the other binding; the data stay when the copy goes."""
    bound_original(cluster, kind)
    status = copy_made(cluster, kind)
    held = f"held-{kind.singular}"
    assert (status["phase"], status["pvc"]) == ("done", f"{held}-public")
    copy = cluster.get(kind, "shared-public")
    assert copy["metadata"]["labels"] == {"cpod.cpod/storage-copy": "true"}
    claim = cluster.get(PVCS, f"{held}-public")
    assert claim["spec"]["volumeName"] == f"pv-{held}-default"
    found = cluster.api.get(PERSISTENTVOLUMES, f"pv-{held}-default")
    assert found["spec"]["nfs"] == {"server": "store", "path": "/models", "readOnly": True}
    assert found["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert found["spec"]["claimRef"]["name"] == f"{held}-public"
    assert "uid" not in found["spec"]["claimRef"]
    assert "pv.kubernetes.io/provisioned-by" not in found["metadata"]["annotations"]
    pod = cluster.get(JOBS, f"asks-{kind.singular}")["spec"]["template"]["spec"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == f"{held}-public"
    assert [event for event in cluster.events("shared-public") if event[1] == "Copied"]


def test_the_download_is_done_in_the_public_namespace_first(cluster: Cluster) -> None:
    public(cluster, MODELSTORAGES, "shared", {"modelname": "pypi://one"})
    cluster.apply(CPODJOBS, "asks", {**JOB, "pretrainModelPath": "/m"})
    status = cluster.status(MODELSTORAGES, "shared-public")
    assert status["phase"] == "downloading"
    assert "waiting for the public ModelStorage 'shared' (downloading)" in status["failureMessage"]
    assert cluster.names(JOBS) == []
    assert [meta.name_of(job) for job in cluster.api.list(JOBS, "public").items] == ["model-shared"]


def test_a_public_storage_that_failed_or_is_not_there_is_said(cluster: Cluster) -> None:
    public(cluster, MODELSTORAGES, "broken", {"modelname": "gopher://hole"})
    cluster.apply(CPODJOBS, "one", {**JOB, "pretrainModelName": "broken"})
    cluster.apply(CPODJOBS, "two", {**JOB, "pretrainModelName": "brken"})
    one, two = (meta.condition(cluster.get(CPODJOBS, name), "Failed") or {} for name in ("one", "two"))
    assert "gopher" in one["message"]
    assert "no ModelStorage 'brken' in namespace 'public'; there are: broken" in two["message"]
    assert cluster.names(MODELSTORAGES) == []


def test_a_copy_goes_with_the_public_storage_and_its_volume_with_it(cluster: Cluster) -> None:
    bound_original(cluster)
    copy_made(cluster)
    cluster.api.delete(MODELSTORAGES, "shared", "public")

    cluster.until(lambda: tidied(cluster) == ["pv-held-modelstorage"])
    assert not cluster.exists(MODELSTORAGES, "shared-public")
    assert not cluster.exists(PVCS, "held-modelstorage-public")


def test_a_copy_that_a_user_deletes_comes_again_and_the_public_one_stays(cluster: Cluster) -> None:
    bound_original(cluster)
    copy_made(cluster)
    cluster.api.delete(MODELSTORAGES, "shared-public", NAMESPACE)
    cluster.until(lambda: not cluster.exists(PVCS, "held-modelstorage-public"))
    cluster.apply(CPODJOBS, "later", {**JOB, "pretrainModelPath": "/m"})
    cluster.until(lambda: cluster.status(MODELSTORAGES, "shared-public").get("phase") == "done")
    assert cluster.api.get(MODELSTORAGES, "shared", "public")["status"]["phase"] == "done"


def test_an_inference_and_its_adapter_may_be_public(cluster: Cluster) -> None:
    bound_original(cluster)
    spec = {"modelId": "shared-public", "modelIsPublic": True}
    cluster.apply(INFERENCES, "serve", spec)
    predictor = str(cluster.get(INFERENCESERVICES, "serve-is")["spec"]["predictor"])
    assert "held-modelstorage-public" in predictor


def test_a_finetune_may_take_a_public_dataset(cluster: Cluster) -> None:
    bound_original(cluster, DATASETSTORAGES)
    cluster.claim("base")
    cluster.apply(MODELSTORAGES, "base", {"pvc": "base"})
    cluster.apply(FINETUNES, "ft", {"model": "base", "dataset": "shared", "datasetIsPublic": True})
    assert cluster.get(CPODJOBS, "ft-cpodjob")["spec"]["datasetIsPublic"] is True
    assert cluster.status(DATASETSTORAGES, "shared-public")["phase"] == "done"


def test_a_fine_tune_may_name_a_public_model_by_its_copys_name(cluster: Cluster) -> None:
    bound_original(cluster)
    cluster.claim("data")
    cluster.apply(DATASETSTORAGES, "data", {"pvc": "data"})
    cluster.apply(FINETUNES, "ft", {"model": "shared-public", "dataset": "data"})
    cluster.apply(FINETUNES, "none", {"model": "other-public", "dataset": "data"})
    assert cluster.get(CPODJOBS, "ft-cpodjob")["spec"]["pretrainModelName"] == "shared-public"
    assert cluster.status(MODELSTORAGES, "shared-public")["phase"] == "done"
    assert cluster.status(FINETUNES, "none")["phase"] == "Failed"


@pytest.mark.parametrize(
    ("source", "read_only"),
    [
        pytest.param({"csi": {"driver": "d", "volumeHandle": "h", "volumeAttributes": {"a": "b"}}}, True, id="csi"),
        pytest.param({"hostPath": {"path": "/x"}}, False, id="hostPath"),
        pytest.param({"local": {"path": "/x"}}, False, id="local"),
    ],
)
def test_the_second_volume_is_of_the_same_source(source: dict[str, Any], read_only: bool) -> None:
    """B24: the volume handle is the first one's."""
    spec = {"capacity": {"storage": "1Gi"}, "mountOptions": ["x"], "nodeAffinity": {"required": {}}, **source}
    of = {"metadata": {"name": "shared-public", "namespace": "user"}}
    made = publiccopy.volume(MODEL, {"metadata": {"name": "pv"}, "spec": spec}, of, "claim")
    (kind, wanted), *_ = source.items()
    assert made["spec"][kind] == {**wanted, **({"readOnly": True} if read_only else {})}
    assert made["spec"]["nodeAffinity"] == {"required": {}}
    assert "readOnly" not in source[kind]


def test_the_name_of_a_copied_volume_keeps_to_the_limit_and_stays_its_own() -> None:
    long = [names.copied_volume("pvc-" + "0" * 36, "n" * 40 + letter) for letter in "ab"]
    assert names.copied_volume("pv", "user") == "pv-user"
    assert [len(name) <= 63 for name in long] == [True, True]
    assert long[0] != long[1]
