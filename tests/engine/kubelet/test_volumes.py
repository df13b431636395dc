"""Volumes of every kind, as real programs see them."""

from __future__ import annotations

import base64
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.api.resources import CONFIGMAPS, PODS, SECRETS
from cpod_jupyter.engine.certs import write_private
from cpod_jupyter.engine.kubelet import readonly

from .cluster import NAMESPACE, Cluster


def mount(path: str = "/v", **fields: Any) -> dict[str, Any]:
    return {"volumeMounts": [{"name": "v", "mountPath": path, **fields}]}


def run(cluster: Cluster, script: str, volume: dict[str, Any], **fields: Any) -> str:
    """What a script says that has a volume `v` at /v."""
    metadata = fields.pop("metadata", {"name": "p", "namespace": NAMESPACE})
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script], **mount(), **fields}
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [{"name": "v", **volume}]}
    cluster.create(PODS, "p", metadata=metadata, spec=spec)
    return cluster.output(cluster.wait_phase("p", "Succeeded"))


def test_a_pod_may_read_about_itself_in_files(cluster: Cluster) -> None:
    items = [
        {"path": "notes", "fieldRef": {"fieldPath": "metadata.annotations"}},
        {"path": "deep/name", "fieldRef": {"fieldPath": "metadata.name"}},
        {"path": "mib", "resourceFieldRef": {"containerName": "main", "resource": "limits.memory", "divisor": "1Mi"}},
    ]
    said = run(
        cluster, "cat /v/notes; echo; cat /v/deep/name; echo; cat /v/mib", {"downwardAPI": {"items": items}},
        metadata={"name": "p", "annotations": {"b": 'say "hi"', "a": "1"}}, resources={"limits": {"memory": "512Mi"}},
    )  # fmt: skip
    assert said == 'a="1"\nb="say \\"hi\\""\np\n512'


def test_one_volume_may_hold_several_sources_and_the_engines_token(cluster: Cluster) -> None:
    cluster.create(CONFIGMAPS, "cm", data={"a": "alpha"}, binaryData={"raw": base64.b64encode(b"\0\1").decode()})
    cluster.create(SECRETS, "sec", data={"key": base64.b64encode(b"s3").decode()})
    (cluster.home / "pki").mkdir()
    write_private(cluster.home / "pki" / "token", b"t0ken\n")
    sources = [
        {"configMap": {"name": "cm", "items": [{"key": "a", "path": "conf/a", "mode": 0o640}]}},
        {"secret": {"name": "sec"}},
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "absent", "optional": True}},
    ]
    script = "cat /v/conf/a /v/key /v/token; stat -L -c ' %a' /v/conf/a /v/key /v/token"
    assert run(cluster, script, {"projected": {"sources": sources}}) == "alphas3t0ken 640\n 600\n 600\n"


def test_changes_of_mounted_configuration_reach_a_running_pod_as_a_whole(cluster: Cluster) -> None:
    cluster.create(CONFIGMAPS, "cm", data={"a": "1", "gone": "x"})
    cluster.create(SECRETS, "sec", data={"b": base64.b64encode(b"old").decode()})
    volumes = [{"name": "c", "configMap": {"name": "cm"}}, {"name": "s", "secret": {"secretName": "sec"}}]
    mounts = [{"name": "c", "mountPath": "/c"}, {"name": "s", "mountPath": "/s"}]
    script = 'until test "$(cat /c/a)$(cat /s/b)" = 2new; do sleep 0.02; done; ls /c'
    cluster.run("reader", "sh", "-c", script, container={"volumeMounts": mounts}, volumes=volumes)
    pod = cluster.wait_phase("reader", "Running")
    cluster.api.patch(CONFIGMAPS, "cm", {"data": {"a": "2", "gone": None, "more": "y"}}, NAMESPACE)
    cluster.api.patch(SECRETS, "sec", {"data": {"b": base64.b64encode(b"new").decode()}}, NAMESPACE)
    cluster.wait_phase("reader", "Succeeded")
    assert cluster.output(pod) == "a\nmore\n"
    assert stat.S_IMODE(cluster.scratch(pod).stat().st_mode) == 0o700


def test_scratch_space_in_memory_is_in_memory_and_goes_with_its_pod(cluster: Cluster) -> None:
    said = run(cluster, "cd /v && pwd -P && echo x > f", {"emptyDir": {"medium": "Memory"}})
    if sys.platform == "linux" and os.access("/dev/shm", os.W_OK):
        assert said.startswith("/dev/shm/cpod-volume-")
        assert Path(said.strip(), "f").exists()
    cluster.api.delete(PODS, "p", NAMESPACE)
    cluster.wait(lambda: not Path(said.strip()).exists(), "it is gone")


def test_a_pod_that_outgrows_its_scratch_space_is_evicted(cluster: Cluster) -> None:
    volumes = [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]
    script = "head -c 3000000 /dev/zero > /v/big; sleep 300"
    cluster.run("fat", "sh", "-c", script, container=mount(), volumes=volumes)
    status = cluster.wait_phase("fat", "Failed")["status"]
    assert (status["reason"], status["message"]) == (
        "Evicted",
        'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ',
    )


@pytest.mark.skipif(not readonly.is_possible(), reason="no mount name space can be made here")
def test_a_volume_mounted_for_reading_cannot_be_written(cluster: Cluster) -> None:
    cluster.create_claim("data")
    script = "cat /v/seed; touch /v/new || echo refused; touch /rw/new && echo written"
    mounts = [{"name": "v", "mountPath": "/v", "readOnly": True}, {"name": "rw", "mountPath": "/rw"}]
    seed = {"name": "seed", "image": "busybox", "command": ["sh", "-c", "echo seed > /v/seed"], **mount()}
    cluster.run(
        "reader", "sh", "-c", script, initContainers=[seed], container={"volumeMounts": mounts},
        volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "rw", "emptyDir": {}}],
    )  # fmt: skip
    said = cluster.output(cluster.wait_phase("reader", "Succeeded"))
    assert "seed\n" in said
    assert "refused\nwritten\n" in said


def test_a_sub_path_may_name_the_pod_and_is_made(cluster: Cluster) -> None:
    name = {"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    said = run(cluster, "cd /v && pwd -P", {"emptyDir": {}}, env=[name], **mount(subPathExpr="runs/$(WHO)"))
    assert said.endswith("/volumes/v/runs/p\n")


def test_a_link_that_leads_out_of_a_volume_is_no_sub_path(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "door").symlink_to(tmp_path)
    volumes = [{"name": "v", "hostPath": {"path": str(tmp_path / "volume")}}]
    cluster.run("burglar", "true", container=mount(subPath="door/home"), volumes=volumes)
    message = cluster.wait_waiting("burglar", "CreateContainerConfigError")
    assert 'leads out of the volume "v" by a symbolic link' in message


def test_a_host_path_of_another_type_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name, kind, path, problem in (
        ("a", "Directory", "file", "is not a directory"),
        ("b", "File", "absent", "is not a file"),
        ("c", "Socket", "file", "is not a socket"),
        ("d", "CharDevice", "file", "is not a character device"),
        ("e", "Cupboard", "file", "is no type of hostPath"),
        ("f", "", "../file", "must not contain '..'"),
    ):
        volumes = [{"name": "v", "hostPath": {"path": f"{tmp_path}/{path}", "type": kind}}]
        cluster.run(name, "true", container=mount(), volumes=volumes)
        assert problem in cluster.wait_waiting(name, "CreateContainerConfigError")


def test_a_host_file_is_made_when_that_is_asked_for(cluster: Cluster, tmp_path: Path) -> None:
    run(cluster, "echo kept > /v", {"hostPath": {"path": str(tmp_path / "made"), "type": "FileOrCreate"}})
    assert (tmp_path / "made").read_text() == "kept\n"


def test_volumes_that_are_not_offered_or_lead_astray_are_refused(cluster: Cluster) -> None:
    cluster.create(CONFIGMAPS, "cm", data={"a": "1"})
    for name, volume, problem in (
        ("a", {"nfs": {"server": "s", "path": "/"}}, "does not offer nfs volumes"),
        ("b", {"emptyDir": {"medium": "HugePages"}}, "medium HugePages"),
        ("c", {"configMap": {"name": "cm", "items": [{"key": "a", "path": "../x"}]}}, "'..'"),
        ("d", {"configMap": {"name": "cm", "items": [{"key": "a", "path": "..data/x"}]}}, "not offered as the name"),
        ("e", {"configMap": {"name": "cm", "items": [{"key": "b", "path": "b"}]}}, "no key 'b'"),
    ):
        cluster.run(name, "true", volumes=[{"name": "v", **volume}])
        assert problem in cluster.wait_waiting(name, "CreateContainerConfigError")
