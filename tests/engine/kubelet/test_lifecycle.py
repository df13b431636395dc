"""Sidecars, lifecycle hooks and limits of whole pods, as real processes under a whole engine."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import PODS

from .cluster import NAMESPACE, Cluster

MOUNT: dict[str, Any] = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
SHARED: dict[str, Any] = {"volumes": [{"name": "shared", "emptyDir": {}}]}
WAIT = "while :; do sleep 0.02; done"


def shell(name: str, script: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox", "command": ["sh", "-c", script], **MOUNT, **fields}


def run(cluster: Cluster, name: str, *containers: dict[str, Any], **spec: Any) -> None:
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 10, **SHARED, **spec}
    cluster.create(PODS, name, spec={"containers": list(containers), **spec})


def shared(cluster: Cluster, name: str, file: str) -> str:
    path = cluster.scratch(cluster.get(PODS, name)) / "volumes" / "shared" / file
    return path.read_text() if path.exists() else ""


def test_sidecars_start_in_order_serve_the_containers_and_end_after_them_in_reverse(cluster: Cluster) -> None:
    def sidecar(name: str) -> dict[str, Any]:
        script = f"trap 'echo {name} ends >> /shared/order; exit 3' TERM; echo {name} >> /shared/order; {WAIT}"
        started = {"exec": {"command": ["grep", "-q", name, "/shared/order"]}, "periodSeconds": 1}
        return shell(name, script, restartPolicy="Always", startupProbe=started)

    main = shell("main", "echo main >> /shared/order")
    init = shell("init", "echo init >> /shared/order")
    run(cluster, "served", main, initContainers=[sidecar("one"), init, sidecar("two")])
    pod = cluster.wait_phase("served", "Succeeded")
    assert shared(cluster, "served", "order").split("\n") == ["one", "init", "two", "main", "two ends", "one ends", ""]
    statuses = {entry["name"]: entry for entry in pod["status"]["initContainerStatuses"]}
    assert statuses["one"]["state"]["terminated"]["exitCode"] == 3
    assert meta.is_true(pod, "Initialized")


def test_a_sidecar_that_fails_is_restarted_whatever_the_pods_policy(cluster: Cluster) -> None:
    script = f"echo run >> /shared/runs; test $(wc -l < /shared/runs) -gt 1 || exit 1; {WAIT}"
    main = shell("main", 'until test "$(wc -l < /shared/runs)" = 2; do sleep 0.02; done')
    run(cluster, "stubborn", main, initContainers=[shell("side", script, restartPolicy="Always")])
    pod = cluster.wait_phase("stubborn", "Succeeded")
    assert pod["status"]["initContainerStatuses"][0]["restartCount"] == 1


def test_a_deleted_pods_sidecar_outlives_its_containers(cluster: Cluster, tmp_path: Any) -> None:
    out = tmp_path / "order"
    side = shell("side", f"trap 'echo side >> {out}; exit 0' TERM; {WAIT}", restartPolicy="Always")
    main = shell("main", f"trap 'sleep 0.5; echo main >> {out}; exit 0' TERM; echo up; {WAIT}")
    run(cluster, "pair", main, initContainers=[side])
    pod = cluster.wait_phase("pair", "Running")
    cluster.wait(lambda: meta.is_true(cluster.get(PODS, "pair"), "Ready"), "it is ready")
    cluster.wait(lambda: cluster.output(pod), "the container has set its trap")
    cluster.api.delete(PODS, "pair", NAMESPACE)
    cluster.wait_gone(PODS, "pair")
    assert out.read_text() == "main\nside\n"


def test_hooks_run_after_the_start_and_before_the_end(cluster: Cluster, tmp_path: Any) -> None:
    out = tmp_path / "order"
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", f"echo started >> {out}; touch /shared/go"]}},
        "preStop": {"exec": {"command": ["sh", "-c", f"sleep 0.3; echo stopping >> {out}"]}},
    }
    script = f"trap 'echo term >> {out}; exit 0' TERM; {WAIT}"
    second = shell("second", f"test -f /shared/go && echo second >> {out}; {WAIT}")
    run(cluster, "hooked", shell("main", script, lifecycle=hooks), second)
    cluster.wait(lambda: meta.is_true(cluster.get(PODS, "hooked"), "Ready"), "it is ready")
    cluster.wait(lambda: "second" in out.read_text(), "the second container has begun")
    cluster.api.delete(PODS, "hooked", NAMESPACE)
    cluster.wait_gone(PODS, "hooked")
    assert out.read_text().split() == ["started", "second", "stopping", "term"]


def test_a_hook_may_ask_a_server_or_sleep(cluster: Cluster) -> None:
    server = (
        "import http.server as h\n"
        "class S(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        open('/shared/asked', 'w').write(self.path + ' ' + str(self.headers['X-Why']))\n"
        "        self.send_response(200)\n"
        "        self.end_headers()\n"
        "h.HTTPServer(('$(IP)', 8080), S).serve_forever()\n"
    )
    ask = {"path": "/quiet?now=1", "port": "web", "httpHeaders": [{"name": "X-Why", "value": "stop"}]}
    main = {
        "name": "main", "image": "busybox", "command": [sys.executable, "-c", server], **MOUNT,
        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"name": "web", "containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": "web"}},
        "lifecycle": {"postStart": {"sleep": {"seconds": 0}}, "preStop": {"httpGet": ask}},
    }  # fmt: skip
    run(cluster, "web", main, volumes=[{"name": "shared", "hostPath": {"path": str(cluster.home)}}])
    cluster.wait(lambda: meta.is_true(cluster.get(PODS, "web"), "Ready"), "it is ready")
    cluster.api.delete(PODS, "web", NAMESPACE)
    cluster.wait_gone(PODS, "web")
    assert (cluster.home / "asked").read_text() == "/quiet?now=1 stop"


def test_a_post_start_hook_that_fails_ends_the_container_and_is_told_of(cluster: Cluster) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo no luck; exit 4"]}}}
    run(cluster, "unlucky", shell("main", "sleep 300", lifecycle=hook))
    cluster.wait_phase("unlucky", "Failed")
    assert cluster.events("FailedPostStartHook") == ["PostStartHook of main failed: no luck"]


def test_a_pre_stop_hook_has_the_grace_period_at_most(cluster: Cluster) -> None:
    hook = {"preStop": {"exec": {"command": ["sleep", "300"]}}}
    run(cluster, "slow", shell("main", "exec sleep 300", lifecycle=hook), terminationGracePeriodSeconds=1)
    cluster.wait_phase("slow", "Running")
    cluster.api.delete(PODS, "slow", NAMESPACE)
    cluster.wait_gone(PODS, "slow")
    assert cluster.events("FailedPreStopHook")


@pytest.mark.skipif(sys.platform != "linux", reason="limits are held on Linux")
def test_a_pod_over_its_memory_limit_says_oom_killed(cluster: Cluster) -> None:
    eat = "kept = bytearray(b'x' * 200 * 2**20); import time; time.sleep(5)"
    limits = {"resources": {"limits": {"memory": "64Mi"}}}
    cluster.run("greedy", sys.executable, "-c", eat, container=limits)
    ended = cluster.wait_phase("greedy", "Failed")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
