"""Commands in containers, as the official clients and kubectl run them."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kubernetes import client as kube
from kubernetes import config
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward, stream
from kubernetes.stream.ws_client import ERROR_CHANNEL, RESIZE_CHANNEL, STDIN_CHANNEL

from cpod_jupyter.api.resources import PODS

from .cluster import NAMESPACE, Cluster
from .served import served

KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")

Eventually = Callable[..., Any]


@pytest.fixture
def kubeconfig(cluster: Cluster) -> Iterator[Path]:
    with served(cluster) as path:
        yield path


@pytest.fixture
def core(kubeconfig: Path) -> Iterator[kube.CoreV1Api]:
    with config.new_client_from_config(str(kubeconfig)) as api:
        yield kube.CoreV1Api(api)


def sleeper(cluster: Cluster, name: str = "box", **fields: Any) -> dict[str, Any]:
    """A pod that waits, with a volume at /data."""
    container = {
        "volumeMounts": [{"name": "files", "mountPath": "/data"}],
        "env": [{"name": "GREETING", "value": "hello"}],
        **fields.pop("container", {}),
    }
    cluster.run(name, "sleep", "600", container=container, volumes=[{"name": "files", "emptyDir": {}}], **fields)
    return cluster.wait_phase(name, "Running")


def run(core: kube.CoreV1Api, *command: str, name: str = "box", **options: Any) -> Any:
    """A command's stream, with its end read."""
    wanted = {"stdin": False, "stdout": True, "stderr": True, "tty": False, **options}
    talk = stream(
        core.connect_get_namespaced_pod_exec, name, NAMESPACE, command=list(command), _preload_content=False, **wanted
    )
    talk.run_forever(timeout=30)
    return talk


def open_stream(core: kube.CoreV1Api, *command: str, tty: bool = False) -> Any:
    return stream(
        core.connect_get_namespaced_pod_exec,
        "box",
        NAMESPACE,
        command=list(command),
        stdin=True,
        stdout=True,
        stderr=True,
        tty=tty,
        _preload_content=False,
    )


def pids_with(word: str) -> list[int]:
    """The processes that have a word among their arguments."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if word in (process.info["cmdline"] or []) and process.pid != os.getpid():
            found.append(process.pid)
    return found


def test_a_command_runs_in_the_containers_environment(cluster: Cluster, core: kube.CoreV1Api) -> None:
    pod = sleeper(cluster)
    talk = run(core, "sh", "-c", "echo $GREETING; pwd; echo in the volume > /data/file; echo oh >&2; exit 3")
    directory = cluster.scratch(pod)
    assert talk.read_stdout() == f"hello\n{directory / 'work' / 'main'}\n"
    assert talk.read_stderr() == "oh\n"
    assert talk.returncode == 3
    assert (directory / "volumes" / "files" / "file").read_text() == "in the volume\n"
    assert run(core, "true").returncode == 0


def test_an_exit_code_comes_as_a_status_with_its_cause(cluster: Cluster, core: kube.CoreV1Api) -> None:
    sleeper(cluster)
    status = json.loads(run(core, "sh", "-c", "exit 7").read_channel(ERROR_CHANNEL))
    assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]
    killed = json.loads(run(core, "sh", "-c", "kill -9 $$").read_channel(ERROR_CHANNEL))
    assert killed["details"]["causes"] == [{"reason": "ExitCode", "message": "137"}]


def test_a_program_that_is_not_there_is_an_error_in_the_runtimes_words(cluster: Cluster, core: kube.CoreV1Api) -> None:
    sleeper(cluster)
    status = json.loads(run(core, "no-such-program").read_channel(ERROR_CHANNEL))
    assert status["reason"] == "InternalError"
    assert 'exec: "no-such-program": executable file not found in $PATH' in status["message"]


def test_input_goes_to_the_command_until_the_client_closes_it(cluster: Cluster, core: kube.CoreV1Api) -> None:
    sleeper(cluster)
    talk = open_stream(core, "wc", "-c")
    block = "x" * 100_000
    for _ in range(30):  # more than pipes hold
        talk.write_stdin(block)
    talk.close_channel(STDIN_CHANNEL)
    talk.run_forever(timeout=30)
    assert talk.read_stdout().strip() == "3000000"
    assert talk.returncode == 0


def test_a_terminal_has_a_size_and_its_end_of_file(
    cluster: Cluster, core: kube.CoreV1Api, eventually: Eventually
) -> None:
    sleeper(cluster)
    talk = open_stream(core, "sh", "-c", "read line; stty size; tty; echo $TERM", tty=True)
    talk.write_channel(RESIZE_CHANNEL, json.dumps({"Width": 101, "Height": 37}))
    talk.write_stdin("go\n")
    talk.run_forever(timeout=30)
    said = talk.read_stdout()
    assert "37 101" in said
    assert "/dev/pts/" in said
    assert "xterm" in said
    reader = open_stream(core, "cat", tty=True)
    reader.write_stdin("")
    reader.close_channel(STDIN_CHANNEL)
    reader.run_forever(timeout=30)
    assert reader.returncode == 0


def test_interrupting_a_terminal_interrupts_its_command(cluster: Cluster, core: kube.CoreV1Api) -> None:
    sleeper(cluster)
    talk = open_stream(core, "sh", "-c", "echo ready; exec sleep 300", tty=True)
    while "ready" not in talk.readline_stdout(timeout=30):
        pass
    talk.write_stdin("\x03")
    talk.run_forever(timeout=30)
    assert talk.returncode == 130


def test_a_client_that_goes_ends_its_command(cluster: Cluster, core: kube.CoreV1Api, eventually: Eventually) -> None:
    sleeper(cluster)
    word = f"cpod-test-{os.getpid()}-gone"
    talk = open_stream(core, "sh", "-c", "sleep 300 & echo ready; wait", word)
    assert talk.readline_stdout(timeout=30) == "ready"
    assert pids_with(word)
    talk.close()
    eventually(lambda: not pids_with(word), "the command of a client that went has ended")


def test_a_command_that_ignores_its_hang_up_is_killed(
    cluster: Cluster, core: kube.CoreV1Api, eventually: Eventually
) -> None:
    sleeper(cluster)
    word = f"cpod-test-{os.getpid()}-stubborn"
    talk = open_stream(core, "sh", "-c", "trap '' TERM HUP; echo ready; while :; do sleep 0.1; done", word)
    assert talk.readline_stdout(timeout=30) == "ready"
    talk.close()
    eventually(lambda: not pids_with(word), "a command that ignores signals has ended")


def test_no_command_outlives_its_pod(cluster: Cluster, core: kube.CoreV1Api, eventually: Eventually) -> None:
    sleeper(cluster)
    word = f"cpod-test-{os.getpid()}-left"
    background = run(core, "sh", "-c", "setsid sh -c 'sleep 300; :' $0 >/dev/null 2>&1 & echo started", word)
    assert background.read_stdout() == "started\n"
    assert background.returncode == 0
    assert pids_with(word), "what a command leaves in the background goes on"
    talk = open_stream(core, "sh", "-c", "echo ready; sleep 301; :")
    assert talk.readline_stdout(timeout=30) == "ready"
    core.delete_namespaced_pod("box", NAMESPACE, grace_period_seconds=0)
    talk.run_forever(timeout=30)
    assert talk.returncode == 137
    eventually(lambda: not pids_with(word), "the background process has ended with its pod")


def test_a_command_dies_with_its_keeper(cluster: Cluster, core: kube.CoreV1Api, eventually: Eventually) -> None:
    sleeper(cluster)
    word = f"cpod-test-{os.getpid()}-kept"
    talk = open_stream(core, "sh", "-c", "echo ready; sleep 300; :", word)
    assert talk.readline_stdout(timeout=30) == "ready"
    keeper = psutil.Process(pids_with(word)[0]).parent()
    assert keeper is not None
    keeper.kill()
    talk.run_forever(timeout=30)
    assert talk.returncode == 137
    eventually(lambda: not pids_with(word), "the command has ended with its keeper")


def test_the_async_client_runs_commands(cluster: Cluster, kubeconfig: Path) -> None:
    from kubernetes.aio import client as aio_client
    from kubernetes.aio import config as aio_config
    from kubernetes.aio.stream import WsApiClient

    sleeper(cluster)

    async def talk() -> str:
        settings = aio_client.Configuration()
        await aio_config.load_kube_config(str(kubeconfig), client_configuration=settings)
        async with WsApiClient(settings) as api:
            answer = aio_client.CoreV1Api(api).connect_get_namespaced_pod_exec(
                "box", NAMESPACE, command=["sh", "-c", "echo $GREETING"], stdout=True, stderr=True
            )
            return str(await answer)

    assert asyncio.run(talk()) == "hello\n"


def test_what_cannot_be_run_is_refused_before_the_connection(cluster: Cluster, core: kube.CoreV1Api) -> None:
    cluster.run("done", "true")
    cluster.wait_phase("done", "Succeeded")
    extra = {"name": "second", "image": "busybox", "command": ["sleep", "600"]}
    first = {"name": "main", "image": "busybox", "command": ["sleep", "600"]}
    cluster.create(PODS, "two", spec={"containers": [first, extra], "terminationGracePeriodSeconds": 1})
    cluster.wait_phase("two", "Running")

    def refusal(name: str, **options: Any) -> tuple[int, str]:
        with pytest.raises(ApiException) as raised:
            stream(core.connect_get_namespaced_pod_exec, name, NAMESPACE, command=["true"], stdout=True, **options)
        return raised.value.status, str(raised.value)

    code, message = refusal("done")
    assert "404" in message
    assert 'container not found (\\"main\\")' in message or 'container not found ("main")' in message
    assert "choose one of: [main second]" in refusal("two")[1]
    assert "container third is not valid for pod two" in refusal("two", container="third")[1]
    assert "404" in refusal("nobody")[1]
    assert code == 0  # the client's own word for a handshake that failed


def test_the_default_container_is_the_annotated_one(cluster: Cluster, core: kube.CoreV1Api) -> None:
    containers = [
        {"name": name, "image": "busybox", "command": ["sleep", "600"], "env": [{"name": "ME", "value": name}]}
        for name in ("one", "two")
    ]
    metadata = {"annotations": {"kubectl.kubernetes.io/default-container": "two"}}
    spec = {"containers": containers, "terminationGracePeriodSeconds": 1}
    cluster.create(PODS, "box", metadata=metadata, spec=spec)
    cluster.wait_phase("box", "Running")
    assert run(core, "sh", "-c", "echo $ME").read_stdout() == "two\n"
    assert run(core, "sh", "-c", "echo $ME", container="one").read_stdout() == "one\n"


def test_a_server_that_stops_ends_its_commands(cluster: Cluster, eventually: Eventually) -> None:
    sleeper(cluster)
    word = f"cpod-test-{os.getpid()}-stopped"
    with served(cluster) as path, config.new_client_from_config(str(path)) as api:
        talk = open_stream(kube.CoreV1Api(api), "sh", "-c", "echo ready; sleep 300; :", word)
        assert talk.readline_stdout(timeout=30) == "ready"
    eventually(lambda: not pids_with(word), "the command of a server that stopped has ended")


# ---- attach and port-forward


def test_attaching_shows_the_output_from_now_to_the_end(cluster: Cluster, core: kube.CoreV1Api) -> None:
    script = "echo before; while [ ! -e /data/go ]; do sleep 0.02; done; echo after"
    mounts = {"volumeMounts": [{"name": "files", "mountPath": "/data"}]}
    pod = cluster.run("box", "sh", "-c", script, container=mounts, volumes=[{"name": "files", "emptyDir": {}}])
    cluster.wait(lambda: cluster.output(pod) == "before\n", "the container has begun")
    talk = stream(
        core.connect_get_namespaced_pod_attach, "box", NAMESPACE, stdout=True, stderr=True, _preload_content=False
    )
    (cluster.scratch(pod) / "volumes" / "files" / "go").touch()
    talk.run_forever(timeout=30)
    assert talk.read_stdout() == "after\n"
    with pytest.raises(ApiException, match="attaches to output alone"):
        stream(core.connect_get_namespaced_pod_attach, "box", NAMESPACE, stdin=True, stdout=True)


_SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())
    def log_message(self, *args): pass
http.server.HTTPServer((os.environ["IP"], 8080), Handler).serve_forever()
"""


def serve_pod(cluster: Cluster, script: str = _SERVER) -> None:
    """A pod `box` with a web server on port 8080, which is ready when it answers."""
    container = {
        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"name": "web", "containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    cluster.run("box", sys.executable, "-c", script, container=container)

    def ready() -> bool:
        conditions = (cluster.get(PODS, "box").get("status") or {}).get("conditions") or []
        return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)

    cluster.wait(ready, "the server is ready")


def test_the_python_client_forwards_ports(cluster: Cluster, core: kube.CoreV1Api) -> None:
    serve_pod(cluster)
    forward = portforward(core.connect_get_namespaced_pod_portforward, "box", NAMESPACE, ports="8080,9")
    connection = http.client.HTTPConnection("box")
    connection.sock = forward.socket(8080)
    connection.request("GET", "/over/the/socket", headers={"Connection": "close"})
    assert connection.getresponse().read() == b"/over/the/socket"
    connection.close()
    forward.socket(9).settimeout(20)
    assert forward.socket(9).recv(10) == b""
    assert "nothing can be reached at" in forward.error(9)
    forward.close()


# ---- kubectl


def kubectl(kubeconfig: Path, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    assert KUBECTL is not None
    options = {"capture_output": True, "text": True, "timeout": 60, "check": False, **options}
    return subprocess.run([KUBECTL, "--kubeconfig", str(kubeconfig), *words], **options)


@needs_kubectl
def test_kubectl_runs_commands(cluster: Cluster, kubeconfig: Path, tmp_path: Path) -> None:
    sleeper(cluster)
    done = kubectl(kubeconfig, "exec", "box", "--", "sh", "-c", "echo $GREETING; exit 3")
    assert (done.returncode, done.stdout) == (3, "hello\n")
    assert "command terminated with exit code 3" in done.stderr
    text = "a line\n" * 20_000
    assert kubectl(kubeconfig, "exec", "-i", "box", "--", "cat", input=text).stdout == text
    assert "container not found" not in done.stderr
    wrong = kubectl(kubeconfig, "exec", "box", "-c", "other", "--", "true")
    assert "container other is not valid for pod box" in wrong.stderr


@needs_kubectl
def test_kubectl_has_a_terminal(cluster: Cluster, kubeconfig: Path) -> None:
    sleeper(cluster)
    master, slave = pty.openpty()
    command = [str(KUBECTL), "--kubeconfig", str(kubeconfig), "exec", "-it", "box", "--", "sh"]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    try:
        _expect(master, b"$ ", b"# ")
        os.write(master, b"echo $((6*7)) $GREETING\n")
        _expect(master, b"42 hello")
        os.write(master, b"sleep 300\n")
        time.sleep(0.2)  # whether the interrupt comes before or after sleep has begun, the shell goes on
        os.write(master, b"\x03")
        os.write(master, b"exit 5\n")
        assert process.wait(30) == 5
    finally:
        os.close(master)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _expect(descriptor: int, *wanted: bytes) -> bytes:
    """Read a terminal until it shows one of these."""
    seen, until = b"", time.monotonic() + 30
    while not any(word in seen for word in wanted):
        if not select.select([descriptor], [], [], max(0.0, until - time.monotonic()))[0]:
            pytest.fail(f"the terminal showed {seen!r}, none of {wanted!r}")
        seen += os.read(descriptor, 4096)
    return seen


@needs_kubectl
def test_kubectl_copies_both_ways(cluster: Cluster, kubeconfig: Path, tmp_path: Path) -> None:
    pod = sleeper(cluster)
    folder, odd = tmp_path / "folder", "an odd, [long] & *name*"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "file").write_text("text")
    done = kubectl(kubeconfig, "cp", str(folder), f"box:/data/{odd}")
    assert done.returncode == 0, done.stderr
    assert (cluster.scratch(pod) / "volumes" / "files" / odd / "below" / "file").read_text() == "text"
    done = kubectl(kubeconfig, "cp", f"box:/data/{odd}", str(tmp_path / "back"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back" / "below" / "file").read_text() == "text"
    done = kubectl(kubeconfig, "cp", f"box:/data/{odd}/below/file", str(tmp_path / "single"))
    assert (tmp_path / "single").read_text() == "text", done.stderr


@needs_kubectl
def test_kubectl_forwards_ports(cluster: Cluster, kubeconfig: Path) -> None:
    serve_pod(cluster)
    command = [str(KUBECTL), "--kubeconfig", str(kubeconfig), "port-forward", "box", ":8080", ":9"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            ports: dict[str, int] = {}
            while len(ports) < 2:
                said = process.stdout.readline()
                assert said, process.stderr.read()
                if said.startswith("Forwarding from 127.0.0.1:"):
                    here, _, there = said.removeprefix("Forwarding from 127.0.0.1:").partition(" -> ")
                    ports[there.strip()] = int(here)
            for path in ("/one", "/two/" + "x" * 20_000):
                connection = http.client.HTTPConnection("127.0.0.1", ports["8080"], timeout=30)
                connection.request("GET", path)
                assert connection.getresponse().read() == path.encode()
                connection.close()
            connection = http.client.HTTPConnection("127.0.0.1", ports["9"], timeout=30)
            connection.request("GET", "/")
            with pytest.raises((http.client.HTTPException, ConnectionError)):
                connection.getresponse()
            connection.close()
            while "nothing can be reached at" not in (said := process.stderr.readline()):
                assert said
        finally:
            process.terminate()
