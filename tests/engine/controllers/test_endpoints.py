"""Endpoints and EndpointSlices of Services."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kubelet.cluster import NAMESPACE, Cluster

from controllers.workloads import LABELS, template
from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import ENDPOINTS, ENDPOINTSLICES, PODS, SERVICES, Object


def serve(cluster: Cluster, **spec: Any) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    return cluster.create(SERVICES, "web", spec={"ports": ports, **spec})


def run(cluster: Cluster, name: str, port: int, gate: Path) -> Object:
    """A pod that is ready once a file is there."""
    probe = {"exec": {"command": ["test", "-e", str(gate)]}, "periodSeconds": 1}
    ports = [{"name": "web", "containerPort": port}]
    spec = template(readinessProbe=probe, ports=ports)["spec"]
    return cluster.create(PODS, name, metadata={"name": name, "labels": LABELS}, spec=spec)


def subsets(cluster: Cluster) -> list[Any]:
    found = cluster.find(ENDPOINTS, "web") or {}
    return [
        (
            [item["targetRef"]["name"] for item in subset.get("addresses") or []],
            [item["targetRef"]["name"] for item in subset.get("notReadyAddresses") or []],
            [(port["name"], port["port"]) for port in subset["ports"]],
        )
        for subset in found.get("subsets") or []
    ]


def slices(cluster: Cluster) -> list[Object]:
    return cluster.api.list(ENDPOINTSLICES, NAMESPACE, label_selector="kubernetes.io/service-name=web").items


def test_a_services_endpoints_follow_the_readiness_of_its_pods(cluster: Cluster, tmp_path: Path) -> None:
    gate = tmp_path / "open"
    serve(cluster, selector=LABELS)
    cluster.wait(lambda: slices(cluster), "a slice is there without any pod")
    run(cluster, "a", 8080, gate)
    cluster.wait(lambda: subsets(cluster) == [([], ["a"], [("http", 8080)])], "the pod is known, and not ready")
    gate.touch()
    cluster.wait(lambda: subsets(cluster) == [(["a"], [], [("http", 8080)])], "the pod is ready")
    (found,) = cluster.wait(lambda: [item for item in slices(cluster) if item["endpoints"]], "its slice is there")
    (endpoint,) = found["endpoints"]
    assert endpoint["addresses"] == [cluster.get(PODS, "a")["status"]["podIP"]]
    assert endpoint["conditions"] == {"ready": True, "serving": True, "terminating": False}
    assert endpoint["targetRef"]["uid"] == meta.uid_of(cluster.get(PODS, "a"))
    assert found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    cluster.api.patch(PODS, "a", {"metadata": {"labels": {"app": "debug"}}}, NAMESPACE)
    cluster.wait(lambda: subsets(cluster) == [], "a pod that is no longer selected is taken out")
    cluster.api.delete(SERVICES, "web", NAMESPACE)
    cluster.wait_gone(ENDPOINTS, "web")
    cluster.wait(lambda: not slices(cluster), "the slices go with the Service")


def test_pods_with_different_ports_of_one_name_are_grouped_by_port(cluster: Cluster, tmp_path: Path) -> None:
    serve(cluster, selector=LABELS, publishNotReadyAddresses=True)
    for name, port in (("a", 8080), ("b", 9090)):
        run(cluster, name, port, tmp_path / "never")
    wanted = [(["a"], [], [("http", 8080)]), (["b"], [], [("http", 9090)])]
    cluster.wait(lambda: sorted(subsets(cluster)) == wanted, "each port has its own subset")
    cluster.wait(lambda: len(slices(cluster)) == 2, "and its own slice")


def test_endpoints_made_by_hand_stay_as_they_are(cluster: Cluster) -> None:
    serve(cluster)
    by_hand = [{"addresses": [{"ip": "127.0.0.9"}], "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}]}]
    cluster.create(ENDPOINTS, "web", subsets=by_hand)
    cluster.create(SERVICES, "other", spec={"ports": [{"port": 1}], "selector": {"app": "none"}})
    cluster.wait(lambda: cluster.find(ENDPOINTS, "other"), "the controller has gone on")
    assert cluster.get(ENDPOINTS, "web")["subsets"] == by_hand
    cluster.api.delete(SERVICES, "web", NAMESPACE)
    cluster.api.delete(SERVICES, "other", NAMESPACE)
    cluster.wait_gone(ENDPOINTS, "other")
    assert cluster.get(ENDPOINTS, "web")["subsets"] == by_hand
