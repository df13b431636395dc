"""Pods of real images, by podman and docker: the same semantics as pods of processes.

They run where the tool does; a probe container tells, and its words are the reason where they are skipped.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kubernetes import client as kube
from kubernetes import config
from kubernetes.stream import stream

from cpod_jupyter.api.resources import CONFIGMAPS, PODS, SECRETS
from cpod_jupyter.cli import main
from cpod_jupyter.engine.kubelet.realimages import real_container

from .cluster import NAMESPACE, Cluster
from .served import served

IMAGE = f"localhost/cpod-jupyter-test:{os.getpid()}"
_PROGRAMS = [
    "sh",
    "cat",
    "sleep",
    "echo",
    "env",
    "pwd",
    "ls",
    "kill",
    "test",
    "true",
    "false",
    "dd",
    "httpd",
    "head",
    "id",
    "touch",
]


def call(tool: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool, *words], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="session", params=["podman", "docker"])
def tool(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tool that has an image of nothing but busybox and runs it, by its settings or by others that fit a sandbox."""
    tool, busybox = str(request.param), shutil.which("busybox")
    if shutil.which(tool) is None or busybox is None:
        pytest.skip(f"{tool} or busybox is not installed (apt install podman runc busybox-static)")
    folder = tmp_path_factory.mktemp("image")
    archive = folder / "root.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(Path(busybox).resolve(), "bin/busybox")
        for name in _PROGRAMS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("tmp", "data", "dev", "proc", "sys", "etc"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
    changes = ["ENV OF_THE_IMAGE=yes", 'ENTRYPOINT ["/bin/echo","the entrypoint says"]', 'CMD ["the default"]']
    done = call(tool, "import", *(f"--change={change}" for change in changes), str(archive), IMAGE)
    if done.returncode:
        pytest.skip(f"{tool} cannot import an image here: {done.stderr.strip()[-300:]}")
    with pytest.MonkeyPatch.context() as patch:
        problems = []
        for settings in ("", *(_sandbox_settings(name) for name in ("runc", "crun") if shutil.which(name))):
            if settings:
                (folder / "containers.conf").write_text(settings)
                patch.setenv("CONTAINERS_CONF", str(folder / "containers.conf"))
            tried = call(tool, "run", "--rm", "--network=host", "--memory=32m", IMAGE)
            if tried.returncode == 0:
                break
            problems.append(tried.stderr.strip()[-200:])
        else:
            call(tool, "rmi", "--force", IMAGE)
            pytest.skip(f"{tool} cannot run a container here: {problems}")
        yield tool
        call(tool, "rmi", "--force", IMAGE)


def _sandbox_settings(runtime: str) -> str:
    """Limits that a process without CAP_SYS_RESOURCE may set, and a runtime for the control groups that there are."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return f"""
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc=1000:1000"]
[engine]
runtime = "{runtime}"
"""


@pytest.fixture
def real(tmp_path: Path, tool: str) -> Iterator[Cluster]:
    """A cluster whose pods are containers; at the end there are none left of it."""
    found = Cluster(tmp_path / "home", tool=tool)
    found.start()
    yield found
    found.stop()
    found.remove_pods()
    assert not containers(tool), "containers are left of the test"


def run(real: Cluster, name: str, *command: str, **fields: Any) -> dict[str, Any]:
    container = {"image": IMAGE, **fields.pop("container", {})}
    if not command:
        container["command"] = []
    return real.run(name, *command, container=container, **fields)


def ended(real: Cluster, name: str) -> dict[str, Any]:
    state: dict[str, Any] = real.get(PODS, name)["status"]["containerStatuses"][0]["state"]["terminated"]
    return state


def containers(tool: str) -> list[str]:
    return call(tool, "ps", "--all", "--quiet", "--filter", f"ancestor={IMAGE}").stdout.split()


def test_a_container_has_its_images_program_the_pods_variables_and_its_volumes(real: Cluster) -> None:
    own = run(real, "own")
    args = run(real, "args", container={"args": ["$(WHO)"], "env": [{"name": "WHO", "value": "argument"}]})
    real.create(CONFIGMAPS, "settings", data={"file": "from the map"})
    real.create(SECRETS, "hidden", data={"word": "dHdvCmxpbmVz"}, type="Opaque")
    script = """
    echo "$OF_THE_IMAGE $GREETING $HOME"; echo "$WORD"; pwd; cat /config/file; echo
    echo written > /data/out
    (echo no > /config/file) 2>/dev/null || echo read-only
    echo last words > /dev/termination-log; echo oh >&2; exit 3
    """
    container = {
        "env": [
            {"name": "GREETING", "value": "hello"},
            {"name": "HOME", "value": "/data"},
            {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "word"}}},
        ],
        "workingDir": "/data",
        "volumeMounts": [{"name": "files", "mountPath": "/data"}, {"name": "config", "mountPath": "/config"}],
    }
    volumes = [{"name": "files", "emptyDir": {}}, {"name": "config", "configMap": {"name": "settings"}}]
    pod = run(real, "box", "sh", "-c", script, container=container, volumes=volumes)
    real.wait_phase("box", "Failed")
    said = real.output(pod).splitlines()
    assert [line for line in said if line != "oh"] == [
        "yes hello /data", "two", "lines", "/data", "from the map", "read-only",
    ]  # fmt: skip
    assert "oh" in said
    assert (real.scratch(pod) / "volumes" / "files" / "out").read_text() == "written\n"
    assert (ended(real, "box")["exitCode"], ended(real, "box")["message"]) == (3, "last words\n")
    real.wait_phase("own", "Succeeded")
    real.wait_phase("args", "Succeeded")
    assert real.output(own) == "the entrypoint says the default\n"
    assert real.output(args) == "the entrypoint says argument\n"
    assert not containers(real.tool)


def test_a_program_that_is_not_in_the_image_cannot_be_started(real: Cluster) -> None:
    run(real, "box", "no-such-program")
    real.wait_phase("box", "Failed")
    assert (ended(real, "box")["exitCode"], ended(real, "box")["reason"]) == (128, "StartError")
    assert "no-such-program" in ended(real, "box")["message"]


def test_memory_over_the_limit_is_oomkilled(real: Cluster) -> None:
    hog = "exec dd if=/dev/zero of=/dev/null bs=200000000 count=1"
    run(real, "hog", "sh", "-c", hog, container={"resources": {"limits": {"memory": "32Mi"}}})
    real.wait_phase("hog", "Failed")
    assert (ended(real, "hog")["reason"], ended(real, "hog")["exitCode"]) == ("OOMKilled", 137)


def test_a_container_is_restarted_and_its_last_run_is_known(real: Cluster) -> None:
    script = "test -e /data/again && exec sleep 600; touch /data/again; exit 7"
    mounts = {"volumeMounts": [{"name": "files", "mountPath": "/data"}]}
    volumes = [{"name": "files", "emptyDir": {}}]
    run(real, "box", "sh", "-c", script, container=mounts, volumes=volumes, restartPolicy="OnFailure")

    def second_run() -> dict[str, Any] | None:
        entry = real.get(PODS, "box").get("status", {}).get("containerStatuses", [{}])[0]
        return entry if entry.get("restartCount") == 1 and "running" in entry["state"] else None

    entry = real.wait(second_run, "the container runs again")
    assert entry["lastState"]["terminated"]["exitCode"] == 7


def test_term_reaches_the_program_and_kill_what_ignores_it(real: Cluster) -> None:
    tidy = run(real, "tidy", "sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done")
    run(real, "deaf", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", terminationGracePeriodSeconds=1)
    real.wait_phase("tidy", "Running")
    real.wait_phase("deaf", "Running")
    real.wait(lambda: "up" in real.output(tidy), "the trap is set")
    with (real.directory(tidy) / "main" / "0.log").open() as log:
        for name in ("tidy", "deaf"):
            real.api.delete(PODS, name, NAMESPACE)
        for name in ("tidy", "deaf"):
            real.wait_gone(PODS, name)
        assert "bye" in log.read()
    assert not containers(real.tool)


def test_commands_run_in_a_container_and_end_with_their_client(
    real: Cluster, eventually: Callable[..., object]
) -> None:
    run(real, "box", "sleep", "600", container={"env": [{"name": "GREETING", "value": "hello"}]})
    real.wait_phase("box", "Running")
    word = f"{os.getpid()}.5"

    def sleeping() -> list[int]:
        return [p.pid for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", word]]

    with served(real) as path, config.new_client_from_config(str(path)) as api:
        call = kube.CoreV1Api(api).connect_get_namespaced_pod_exec
        streams = {"stdin": True, "stdout": True, "stderr": True, "tty": False, "_preload_content": False}
        talk = stream(call, "box", NAMESPACE, command=["sh", "-c", "read x; echo $GREETING $x; exit 5"], **streams)
        talk.write_stdin("there\n")
        talk.run_forever(timeout=60)
        assert (talk.read_stdout(), talk.returncode) == ("hello there\n", 5)
        terminal = stream(call, "box", NAMESPACE, command=["test", "-t", "0"], **{**streams, "tty": True})
        terminal.run_forever(timeout=60)
        assert terminal.returncode == 0
        gone = stream(call, "box", NAMESPACE, command=["sh", "-c", f"sleep {word} & echo ready; wait"], **streams)
        assert gone.readline_stdout(timeout=60) == "ready"
        eventually(sleeping, "the shell has become the program")  # it says that it is ready when it has forked
        gone.close()
        eventually(lambda: not sleeping(), "what a command started in the container has ended with its client")


def test_probes_reach_a_container_at_its_pods_address(real: Cluster) -> None:
    container = {
        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "readinessProbe": {"httpGet": {"path": "/file", "port": 8080}, "periodSeconds": 1},
        "lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", "echo hooked > /tmp/file"]}}},
        "startupProbe": {"exec": {"command": ["test", "-e", "/tmp/file"]}, "periodSeconds": 1, "timeoutSeconds": 10},
    }
    script = "exec httpd -f -p $IP:8080 -h /tmp"
    run(real, "box", "sh", "-c", script, container=container)

    def ready() -> bool:
        return any(entry.get("ready") for entry in real.get(PODS, "box")["status"].get("containerStatuses") or [])

    real.wait(ready, f"the pod is ready; it is {real.get(PODS, 'box').get('status')}")


def test_a_container_outlives_its_engine_and_not_its_supervisor(real: Cluster) -> None:
    pod = run(real, "box", "sh", "-c", "echo up; exec sleep 600")
    real.wait_phase("box", "Running")
    before = containers(real.tool)
    real.stop()
    assert containers(real.tool) == before
    real.start()
    real.wait_phase("box", "Running")
    assert containers(real.tool) == before
    real.kill_supervisor(pod)
    real.wait_phase("box", "Failed")
    assert not containers(real.tool)


def test_an_image_that_cannot_be_had_is_waited_for(real: Cluster) -> None:
    run(real, "never", "true", container={"image": "localhost/not-here:1", "imagePullPolicy": "Never"})
    assert "pull policy of Never" in real.wait_waiting("never", "ErrImageNeverPull")
    run(real, "pulled", "true", container={"image": "localhost:9/not/here:1"})
    message = real.wait_waiting("pulled", "ImagePullBackOff")
    assert "localhost:9/not/here:1" in message
    assert "connection refused" in message
    assert any("failed to pull image" in said for said in real.events("Failed"))


# ---- without podman


def _plan(tool: str, container: dict[str, Any], gpus: tuple[str, ...] = ()) -> list[str]:
    pod = {"metadata": {"name": "box", "namespace": "default", "uid": "u-1"}, "spec": {"containers": [container]}}
    own = {"TOKEN": "secret", "PATH": "/bin"}
    plan = real_container(
        tool, pod, container, own, [("/a,b", "/home/a,b")], ("/dev/termination-log", "/log"), gpus, "127.0.0.1"
    )
    assert plan.env["TOKEN"] == "secret"
    assert plan.env["PATH"] == os.environ["PATH"], "the tool's own"
    return plan.argv


def test_variables_are_not_seen_among_the_arguments() -> None:
    words = _plan("podman", {"name": "main", "image": "i"})
    assert "--env=TOKEN" in words
    assert "--env=PATH=/bin" in words
    assert not any("secret" in word for word in words)
    assert '--mount=type=bind,"source=/home/a,b","target=/a,b"' in words


def test_limits_gpus_and_security_are_the_tools_options() -> None:
    container = {
        "name": "main",
        "image": "i",
        "resources": {"limits": {"memory": "1Gi", "cpu": "1500m"}},
        "securityContext": {"runAsUser": 7, "runAsGroup": 8, "readOnlyRootFilesystem": True},
    }
    words = _plan("podman", container, ("0", "2"))
    assert {"--memory=1073741824b", "--memory-swap=1073741824b", "--cpus=1.5", "--user=7:8", "--read-only"} <= {*words}
    assert {"--device=nvidia.com/gpu=0", "--device=nvidia.com/gpu=2"} <= {*words}
    assert '--gpus="device=0,2"' in _plan("docker", container, ("0", "2"))


def test_a_tool_that_is_not_there_is_refused_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CPOD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["up", "--runtime", "podman"]) == 1
    assert "podman is not installed: install it (Debian, Ubuntu: apt install podman" in capsys.readouterr().err
    broken = tmp_path / "docker"
    broken.write_text("#!/bin/sh\necho 'the daemon is not running' >&2\nexit 1\n")
    broken.chmod(0o755)
    assert main(["up", "--runtime", "docker"]) == 1
    assert "docker cannot be used: the daemon is not running" in capsys.readouterr().err
