"""Pods, from their creation to their end, as real processes under a whole engine."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import cpod_jupyter
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import CONFIGMAPS, NODES, PODS, SECRETS, Object
from cpod_jupyter.engine.kubelet.plan import PodReport
from cpod_jupyter.errors import BadRequest

from .cluster import NAMESPACE, NODE, Cluster

SERVER = "import http.server as h; h.HTTPServer(('$(POD_IP)', 8080), h.SimpleHTTPRequestHandler).serve_forever()"
POD_IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


def run_server(cluster: Cluster, name: str, **probes: Any) -> None:
    cluster.run(name, sys.executable, "-c", SERVER, container={"env": [POD_IP], **probes})


def wait_ready(cluster: Cluster, name: str) -> Object:
    cluster.wait(lambda: meta.is_true(cluster.get(PODS, name), "Ready"), f"{name} is ready")
    return cluster.get(PODS, name)


def test_a_pod_runs_to_its_end_and_its_status_says_so(cluster: Cluster) -> None:
    cluster.run("hello", "sh", "-c", "echo $HOSTNAME; echo done > /dev/termination-log")
    pod = cluster.wait_phase("hello", "Succeeded")
    assert cluster.output(pod) == "hello\n"
    status = pod["status"]
    container = status["containerStatuses"][0]
    assert container["state"]["terminated"]["message"] == "done\n"
    assert (container["image"], container["imageID"], container["restartCount"]) == ("busybox", "busybox", 0)
    assert (status["hostIP"], status["podIPs"]) == ("127.0.0.1", [{"ip": status["podIP"]}])
    conditions = {entry["type"]: entry["status"] for entry in status["conditions"]}
    assert conditions == {"PodScheduled": "True", "Initialized": "True", "ContainersReady": "False", "Ready": "False"}
    cluster.wait(lambda: cluster.events("Started"), "the start is told of")
    assert cluster.events("Scheduled") == [f"Successfully assigned {NAMESPACE}/hello to {NODE}"]
    assert cluster.events("Created") == ["Created container: main"]


def test_a_failed_pod_says_how(cluster: Cluster) -> None:
    cluster.run("bad", "sh", "-c", "echo broken > $CPOD_TERMINATION_LOG; exit 9")
    ended = cluster.wait_phase("bad", "Failed")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (9, "Error", "broken\n")


def test_claims_config_and_scratch_are_directories_behind_the_mount_paths(cluster: Cluster) -> None:
    cluster.create_claim("data")
    cluster.create(CONFIGMAPS, "settings", data={"a.txt": "alpha", "b.txt": "beta"})
    cluster.create(SECRETS, "keys", data={"token": base64.b64encode(b"s3").decode()})
    script = (
        "cat /etc/settings/renamed /etc/keys/token; stat -L -c %a /etc/keys/token; echo kept > /data/out; ls $SCRATCH"
    )
    cluster.run(
        "mounts", "sh", "-c", script,
        container={
            "env": [{"name": "SCRATCH", "value": "/scratch"}],
            "volumeMounts": [
                {"name": "data", "mountPath": "/data", "subPath": "run/1"},
                {"name": "settings", "mountPath": "/etc/settings"},
                {"name": "keys", "mountPath": "/etc/keys"},
                {"name": "scratch", "mountPath": "/scratch"},
            ],
        },
        volumes=[
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "a.txt", "path": "renamed"}]}},
            {"name": "keys", "secret": {"secretName": "keys"}},
            {"name": "scratch", "emptyDir": {"medium": "Memory"}},
        ],
    )  # fmt: skip
    pod = cluster.wait_phase("mounts", "Succeeded")
    assert cluster.output(pod) == "alphas3600\n"
    assert [path.read_text() for path in (cluster.home / "volumes").glob("default/data-*/run/1/out")] == ["kept\n"]


def test_a_pod_waits_for_its_configuration_by_name_and_starts_when_it_is_there(cluster: Cluster) -> None:
    cluster.run("late", "sh", "-c", "echo $A", container={"envFrom": [{"configMapRef": {"name": "soon"}}]})
    assert cluster.wait_waiting("late", "CreateContainerConfigError") == 'configmap "soon" not found'
    cluster.create(CONFIGMAPS, "soon", data={"A": "here"})
    assert cluster.output(cluster.wait_phase("late", "Succeeded")) == "here\n"


def test_an_image_without_a_command_waits_with_advice(cluster: Cluster) -> None:
    spec = {"containers": [{"name": "main", "image": "nginx:1.27"}]}
    cluster.create(PODS, "web", spec=spec)
    assert "Give the container a command" in cluster.wait_waiting("web", "ErrImagePull")


def test_a_volume_that_is_not_offered_is_refused_in_words(cluster: Cluster) -> None:
    cluster.run("odd", "true", volumes=[{"name": "v", "csi": {"driver": "d"}}])
    assert "does not offer csi volumes" in cluster.wait_waiting("odd", "CreateContainerConfigError")


def test_deleting_a_pod_ends_its_process_and_leaves_nothing(cluster: Cluster) -> None:
    cluster.run("long", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done")
    pod = cluster.wait_phase("long", "Running")
    report = PodReport.read(cluster.directory(pod))
    assert report is not None
    cluster.api.delete(PODS, "long", NAMESPACE)
    cluster.wait_gone(PODS, "long")
    cluster.wait(lambda: not cluster.directory(pod).exists(), "its directory is gone")
    cluster.wait(lambda: not cluster.scratch(pod).exists(), "its scratch space is gone")
    with pytest.raises(ProcessLookupError):
        os.kill(report.containers[0].pid, 0)
    assert cluster.events("Killing") == ["Stopping container main"]


def test_deleting_by_force_ends_the_process_too(cluster: Cluster) -> None:
    cluster.run("stubborn", "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    pod = cluster.wait_phase("stubborn", "Running")
    cluster.api.delete(PODS, "stubborn", NAMESPACE, grace_seconds=0)
    cluster.wait(lambda: not cluster.directory(pod).exists(), "its directory is gone")


def test_an_engine_that_starts_again_finds_a_running_pod_and_the_end_of_another(cluster: Cluster) -> None:
    cluster.run("short", "sh", "-c", "sleep 1; exit 3")
    cluster.run("long", "sleep", "60")
    first = cluster.wait_phase("long", "Running")
    cluster.wait_phase("short", "Running")
    pod = cluster.get(PODS, "short")
    cluster.stop()

    def has_ended() -> bool:
        report = PodReport.read(cluster.directory(pod))
        return report is not None and report.ended

    cluster.wait(has_ended, "it ends meanwhile")
    cluster.start()
    ended = cluster.wait_phase("short", "Failed")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 3
    again = cluster.wait_phase("long", "Running")
    assert again["status"]["containerStatuses"] == first["status"]["containerStatuses"]


ENGINE = """
import sys, time
from pathlib import Path
from kubelet.cluster import Cluster
cluster = Cluster(Path(sys.argv[1]))
cluster.start()
cluster.run("survivor", "sh", "-c", "sleep 1; echo still here")
cluster.wait_phase("survivor", "Running")
print("running", flush=True)
time.sleep(300)
"""


def test_a_pod_outlives_an_engine_that_is_killed(tmp_path: Path) -> None:
    roots = [*map(str, Path(__file__).parents[1:3]), str(Path(cpod_jupyter.__file__).parents[1])]
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(tmp_path / "home")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(roots)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert engine.stdout is not None
    assert engine.stdout.readline() == "running\n"
    engine.kill()
    engine.wait()
    engine.stdout.close()
    cluster = Cluster(tmp_path / "home")
    cluster.start()
    try:
        assert cluster.output(cluster.wait_phase("survivor", "Succeeded")) == "still here\n"
    finally:
        cluster.stop()
        cluster.remove_pods()


def test_a_pod_deleted_while_no_engine_ran_is_ended_at_the_start(cluster: Cluster) -> None:
    cluster.run("orphan", "sleep", "300")
    pod = cluster.wait_phase("orphan", "Running")
    cluster.kubelet.stop()
    cluster._manager.stop()
    cluster.api.delete(PODS, "orphan", NAMESPACE, grace_seconds=0)
    cluster.stop()
    cluster.start()
    cluster.wait(lambda: not cluster.directory(pod).exists(), "it is ended and removed")


def test_a_pod_whose_supervisor_was_killed_has_failed(cluster: Cluster) -> None:
    cluster.run("lost", "sleep", "300")
    cluster.kill_supervisor(cluster.wait_phase("lost", "Running"))
    status = cluster.wait_phase("lost", "Failed")["status"]
    assert status["reason"] == "SupervisorLost"
    assert status["containerStatuses"][0]["state"]["terminated"]["reason"] == "ContainerStatusUnknown"


def test_two_pods_listen_on_one_port_at_addresses_of_their_own(cluster: Cluster) -> None:
    probe = {"httpGet": {"path": "/", "port": 8080}}
    for name in ("one", "two"):
        run_server(cluster, name, readinessProbe=probe)
    addresses = [wait_ready(cluster, name)["status"]["podIP"] for name in ("one", "two")]
    for address in addresses:
        socket.create_connection((address, 8080), timeout=5).close()
    if sys.platform == "linux":
        assert len(set(addresses)) == 2


def test_a_pod_is_ready_only_once_its_probe_succeeds(cluster: Cluster) -> None:
    probe = {"exec": {"command": ["test", "-f", "/flag/up"]}, "periodSeconds": 30}
    cluster.run(
        "probed", "sleep", "300",
        container={"readinessProbe": probe, "volumeMounts": [{"name": "flag", "mountPath": "/flag"}]},
        volumes=[{"name": "flag", "emptyDir": {}}],
    )  # fmt: skip
    pod = cluster.wait_phase("probed", "Running")
    cluster.wait(lambda: cluster.events("Unhealthy"), "an unhealthy answer is told of")
    assert not meta.is_true(cluster.get(PODS, "probed"), "Ready")
    (cluster.scratch(pod) / "volumes" / "flag" / "up").touch()
    began = time.monotonic()
    wait_ready(cluster, "probed")
    assert time.monotonic() - began < 5


def test_a_container_that_fails_its_liveness_probe_is_restarted(cluster: Cluster) -> None:
    probe = {"exec": {"command": ["sh", "-c", "echo wedged; exit 1"]}, "periodSeconds": 1, "failureThreshold": 1}
    cluster.run("wedged", "sleep", "300", container={"livenessProbe": probe}, restartPolicy="Always")

    def restarted() -> bool:
        statuses = (cluster.get(PODS, "wedged").get("status") or {}).get("containerStatuses") or [{}]
        return int(statuses[0].get("restartCount", 0)) >= 1

    cluster.wait(restarted, "it is restarted")
    assert "Liveness probe failed: wedged" in cluster.events("Unhealthy")
    assert "Container main failed liveness probe, will be restarted" in cluster.events("Killing")


def test_a_log_is_followed_to_its_end(cluster: Cluster) -> None:
    cluster.run("talk", "sh", "-c", "for n in 1 2 3; do echo $n; sleep 0.2; done; printf end")
    pod = cluster.wait_phase("talk", "Running")
    where = (NAMESPACE, "talk", meta.uid_of(pod), "main")

    async def follow() -> list[bytes]:
        return [piece async for piece in cluster.kubelet.access.log(*where, follow=True)]

    pieces = asyncio.run(asyncio.wait_for(follow(), 20))
    assert pieces[0] == b""
    assert b"".join(pieces) == b"1\n2\n3\nend"
    assert len(pieces) > 2


def test_the_log_of_a_pod_that_is_deleted_ends(cluster: Cluster) -> None:
    cluster.run("brief", "sh", "-c", "echo up; exec sleep 300")
    pod = cluster.wait_phase("brief", "Running")
    where = (NAMESPACE, "brief", meta.uid_of(pod), "main")

    async def follow() -> bytes:
        said = b""
        async for piece in cluster.kubelet.access.log(*where, follow=True):
            said += piece
            if said == b"up\n":
                cluster.api.delete(PODS, "brief", NAMESPACE, grace_seconds=0)
        return said

    assert asyncio.run(asyncio.wait_for(follow(), 30)) == b"up\n"


def test_a_container_that_waits_has_no_log_yet(cluster: Cluster) -> None:
    cluster.run("late", "true", container={"envFrom": [{"secretRef": {"name": "gone"}}]})
    cluster.wait_waiting("late", "CreateContainerConfigError")
    uid = meta.uid_of(cluster.get(PODS, "late"))
    with pytest.raises(BadRequest, match='container "main" in pod "late" is waiting to start'):
        cluster.kubelet.access.log(NAMESPACE, "late", uid, "main")


def test_the_node_says_what_the_machine_has(cluster: Cluster) -> None:
    node = cluster.api.get(NODES, NODE)
    assert meta.is_true(node, "Ready")
    assert set(node["status"]["capacity"]) >= {"cpu", "memory", "pods"}
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == NODE
    assert all(
        key in node["status"]["nodeInfo"] for key in ("architecture", "kernelVersion", "kubeletVersion", "osImage")
    )


def test_the_statuses_satisfy_the_strict_official_client(cluster: Cluster) -> None:
    from kubernetes import client

    cluster.run("strict", "true", initContainers=[{"name": "init", "image": "busybox", "command": ["true"]}])
    pod = cluster.wait_phase("strict", "Succeeded")
    parsed = client.ApiClient()._ApiClient__deserialize(pod, "V1Pod")  # type: ignore[attr-defined]
    assert parsed.status.init_container_statuses[0].state.terminated.exit_code == 0
    node = client.ApiClient()._ApiClient__deserialize(cluster.api.get(NODES, NODE), "V1Node")  # type: ignore[attr-defined]
    assert node.status.node_info.operating_system == sys.platform
