"""kubectl's commands on what runs: real pods, and the controllers that make them. exec and cp are in test_exec.py."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api.resources import DEPLOYMENTS, PODS, REPLICASETS

from .cluster import Cluster
from .controlled import cluster, kubeconfig

__all__ = ["cluster", "kubeconfig"]

SLEEPS = 'trap "exit 0" TERM; while :; do sleep 0.1; done'


def test_a_pod_is_run_followed_described_and_deleted(kubectl: Any, cluster: Cluster) -> None:
    script = 'echo one; while [ ! -e "$HOME/go" ]; do sleep 0.05; done; echo two; ' + SLEEPS
    assert "created" in kubectl("run", "p", "--image=busybox", "--command", "--", "sh", "-c", script)
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")
    lines = kubectl.start("logs", "-f", "p")
    assert next(lines) == "one\n"
    assert kubectl("exec", "p", "--", "sh", "-c", 'touch "$HOME/go"; echo $0 done') == "sh done\n"
    assert next(lines) == "two\n"
    assert kubectl("logs", "p", "--tail=1") == "two\n"
    assert kubectl("logs", "p", "--timestamps", "--limit-bytes=4").startswith("20")
    printed = kubectl("get", "pods", "-o", "wide").splitlines()
    assert printed[0].split()[:5] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert printed[1].split()[:4] == ["p", "1/1", "Running", "0"]
    described = kubectl("describe", "pod", "p")
    assert "Scheduled" in described
    assert "Started" in described
    assert "Started" in kubectl("events", "--for=pod/p")
    assert cluster_node(kubectl) in kubectl("describe", "node")
    assert "deleted" in kubectl("delete", "pod", "p", "--grace-period=5")
    assert cluster.find(PODS, "p") is None
    assert "not found" in kubectl("logs", "p", fails=True)


def cluster_node(kubectl: Any) -> str:
    return str(kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"))


def test_a_deployment_is_rolled_out_scaled_restarted_and_undone(kubectl: Any, cluster: Cluster) -> None:
    manifest = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {{name: main, image: busybox, command: [sh, -c, {SLEEPS!r}]}}
"""
    kubectl("apply", "-f", "-", text=manifest)
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
    assert kubectl("get", "deployment", "web", "--no-headers").split()[:4] == ["web", "1/1", "1", "1"]
    kubectl("scale", "deployment/web", "--replicas=2")
    kubectl("wait", "--for=jsonpath={.status.readyReplicas}=2", "deployment/web", "--timeout=60s")
    kubectl("scale", "deployment/web", "--replicas=1")
    kubectl("set", "env", "deployment/web", "COLOUR=red")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert "2" in kubectl("rollout", "history", "deployment/web")
    assert "rolled back" in kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    (container,) = cluster.get(DEPLOYMENTS, "web")["spec"]["template"]["spec"]["containers"]
    assert "env" not in container
    assert "restarted" in kubectl("rollout", "restart", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert "deployment.apps/web" in kubectl("get", "all")
    kubectl("delete", "deployment", "web", "--cascade=foreground")
    assert not cluster.api.list(REPLICASETS, "default").items
    assert not cluster.pods("app=web")


def test_a_job_is_awaited_and_its_log_read(kubectl: Any) -> None:
    kubectl("create", "job", "once", "--image=busybox", "--", "sh", "-c", "echo hello")
    kubectl("wait", "--for=condition=Complete", "job/once", "--timeout=60s")
    assert kubectl("logs", "job/once") == "hello\n"
    name, status, completions = kubectl("get", "job", "once", "--no-headers").split()[:3]
    assert (name, status, completions) == ("once", "Complete", "1/1")
    assert "Succeeded" in kubectl("describe", "job", "once")
    kubectl("delete", "job", "once")
