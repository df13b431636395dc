"""From a pod to its plan."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.engine.kubelet.builder import GPU, GPU_ANNOTATION, Builder, ignored
from cpod_jupyter.engine.kubelet.cgroups import Parents
from cpod_jupyter.engine.kubelet.images import Images
from cpod_jupyter.engine.kubelet.lookup import ConfigError, Lookup
from cpod_jupyter.engine.kubelet.plan import PodPlan
from cpod_jupyter.engine.local_api import LocalApi

Plan = Callable[..., PodPlan]


@pytest.fixture
def plan(api: LocalApi, tmp_path: Path) -> Plan:
    def make(*containers: dict[str, Any], gpus: tuple[str, ...] = (), granted: str = "", **spec: Any) -> PodPlan:
        metadata = {"name": "p", "namespace": "default", "uid": "u", "annotations": {GPU_ANNOTATION: granted}}
        pod = {"metadata": metadata, "spec": {"containers": list(containers), **spec}}
        pod_dir = tmp_path / "default_p_u"
        pod_dir.mkdir()
        return Builder(tmp_path, Images(), {"cpu": "4"}, gpus).plan(pod, pod_dir, "127.9.9.2", Lookup(api, "default"))

    return make


def container(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox", "command": ["run"], **fields}


def gpu(count: int) -> dict[str, Any]:
    return {"limits": {GPU: str(count)}}


def test_references_expand_before_mount_paths_are_rewritten(plan: Plan, tmp_path: Path) -> None:
    found = plan(
        container(
            args=["--out=$(OUT)/x", "$(NOPE)", "$$(OUT)"],
            env=[{"name": "OUT", "value": "/data"}],
            volumeMounts=[{"name": "v", "mountPath": "/data"}],
        ),
        volumes=[{"name": "v", "emptyDir": {}}],
    ).containers[0]
    directory = str(tmp_path / "scratch" / "default_p_u" / "volumes" / "v")
    assert found.argv == ["run", f"--out={directory}/x", "$(NOPE)", "$(OUT)"]
    assert found.env["OUT"] == directory


def test_each_container_gets_its_share_of_the_pods_gpus(plan: Plan) -> None:
    two, one = container("a", resources=gpu(2)), container("b", resources=gpu(1))
    found = plan(two, one, container("c"), gpus=("4", "5", "6", "7"), granted="0,2,3")
    assert [entry.env["CUDA_VISIBLE_DEVICES"] for entry in found.containers] == ["4,6", "7", ""]


def test_gpus_that_are_gone_are_spoken_of(plan: Plan) -> None:
    with pytest.raises(ConfigError, match="given the GPUs 1 of this node, which now offers 1"):
        plan(container(resources=gpu(1)), gpus=("0",), granted="1")


def test_without_gpus_cuda_is_not_spoken_of(plan: Plan) -> None:
    assert "CUDA_VISIBLE_DEVICES" not in plan(container()).containers[0].env


def test_a_container_has_the_name_path_and_scratch_directory_of_its_own(plan: Plan) -> None:
    found = plan(container()).containers[0]
    assert found.env["HOSTNAME"] == "p"
    assert found.env["PYTHONUNBUFFERED"] == "1"
    assert found.env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert found.cwd.endswith("/default_p_u/work/c")


def test_a_grace_period_of_zero_is_zero(plan: Plan) -> None:
    assert plan(container(), terminationGracePeriodSeconds=0).grace_seconds == 0


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        pytest.param({"mountPath": "/a/../../b"}, "mountPath", id="escaping mount path"),
        pytest.param({"mountPath": "/"}, "mountPath", id="root"),
        pytest.param({"mountPath": "/a", "subPath": "../b"}, "subPath", id="escaping subPath"),
        pytest.param({"mountPath": "/a", "subPath": "/b"}, "subPath", id="absolute subPath"),
        pytest.param({"mountPath": "/a", "name": "other"}, "names no volume", id="unknown volume"),
    ],
)
def test_mounts_that_go_astray_are_refused(plan: Plan, mount: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(container(volumeMounts=[{"name": "v", **mount}]), volumes=[{"name": "v", "emptyDir": {}}])


def test_shared_memory_is_the_machines(plan: Plan) -> None:
    volume = {"name": "shm", "emptyDir": {"medium": "Memory"}}
    found = plan(
        container(args=["/dev/shm"], volumeMounts=[{"name": "shm", "mountPath": "/dev/shm"}]), volumes=[volume]
    )
    assert found.containers[0].argv == ["run", "/dev/shm"]


def test_what_is_passed_over_is_named(plan: Plan) -> None:
    limited = container(resources={"limits": {"cpu": "1"}}, securityContext={"runAsUser": 1})
    assert ignored({"spec": {"containers": [limited]}}, plan(limited), Parents()) == [
        "the CPU limit of container c (no control group can be made here)",
        "securityContext.runAsUser of container c",
    ]


def test_hooks_become_commands_of_this_machine(plan: Plan) -> None:
    web = {"httpGet": {"path": "/stop", "port": "http", "httpHeaders": [{"name": "A", "value": "b"}]}}
    found = plan(
        container(
            ports=[{"name": "http", "containerPort": 8080}],
            lifecycle={"postStart": {"exec": {"command": ["touch", "/dev/termination-log"]}}, "preStop": web},
        )
    ).containers[0]
    assert found.post_start == ["touch", found.termination_log]
    assert found.pre_stop[-3:] == ["http://127.9.9.2:8080/stop", "A", "b"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"lifecycle": {"preStop": {"tcpSocket": {"port": 1}}}}, "not tcpSocket", id="hook"),
        pytest.param({"livenessProbe": {"grpc": {"port": 1}}}, "does not offer grpc", id="probe"),
    ],
)
def test_hooks_and_probes_that_are_not_offered_are_refused(plan: Plan, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(container(**fields))


def test_a_plan_is_read_as_it_was_written(plan: Plan, tmp_path: Path) -> None:
    made = plan(container(), initContainers=[container("i")], activeDeadlineSeconds=60)
    made.write(tmp_path)
    assert PodPlan.read(tmp_path) == made
