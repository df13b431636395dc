"""The Endpoints and EndpointSlices of a Service and its pods. Pure (Kubernetes, "EndpointSlices")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.controllers import pods as podset

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
_HEADLESS = "service.kubernetes.io/headless"

Ports = tuple[tuple[str, int, str], ...]
"""Name, number and protocol of each port that a group of pods offers."""


def is_selected(pod: Object, selector: Mapping[str, str]) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in selector.items())


def port_of(pod: Object, target: Any) -> int | None:
    """The number of a target port in a pod; None when the pod has no port of that name."""
    if isinstance(target, int) or str(target).isdigit():
        return int(target)
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            if port.get("name") == target:
                return int(port["containerPort"])
    return None


def _ports(service: Object, pod: Object) -> Ports:
    found = []
    for port in service["spec"].get("ports") or []:
        number = port_of(pod, port.get("targetPort") or port["port"])
        if number is not None:
            found.append((str(port.get("name") or ""), number, str(port.get("protocol") or "TCP")))
    return tuple(found)


def grouped(service: Object, pods: Iterable[Object]) -> dict[Ports, list[Object]]:
    """The Service's pods that have an address and have not ended, by the ports they offer."""
    found: dict[Ports, list[Object]] = {}
    for pod in sorted(pods, key=meta.name_of):
        status = pod.get("status") or {}
        if not status.get("podIP") or podset.phase(pod) in (podset.SUCCEEDED, podset.FAILED):
            continue
        if is_selected(pod, service["spec"].get("selector") or {}):
            found.setdefault(_ports(service, pod), []).append(pod)
    return {ports: group for ports, group in found.items() if ports or not service["spec"].get("ports")}


def _target(pod: Object) -> dict[str, Any]:
    return {
        "kind": "Pod", "name": meta.name_of(pod), "namespace": meta.namespace_of(pod), "uid": meta.uid_of(pod),
    }  # fmt: skip


def counts_as_ready(service: Object, pod: Object) -> bool:
    return bool(service["spec"].get("publishNotReadyAddresses")) or podset.is_ready(pod)


def endpoints(service: Object, groups: Mapping[Ports, Sequence[Object]]) -> Object:
    """core/v1 Endpoints: addresses of pods that are ready, and apart from them of those that are not yet."""
    subsets = []
    for ports, pods in groups.items():
        subset: dict[str, Any] = {}
        for pod in pods:
            ready = counts_as_ready(service, pod)
            if meta.is_going(pod) and not ready:
                continue
            address = {"ip": pod["status"]["podIP"], "targetRef": _target(pod)}
            if pod["spec"].get("nodeName"):
                address["nodeName"] = pod["spec"]["nodeName"]
            if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == meta.name_of(service):
                address["hostname"] = pod["spec"]["hostname"]
            subset.setdefault("addresses" if ready else "notReadyAddresses", []).append(address)
        if subset:
            if ports:
                subset["ports"] = [_port(port) for port in ports]
            subsets.append(subset)
    labels = dict(service["metadata"].get("labels") or {})
    if service["spec"].get("clusterIP") == "None":
        labels[_HEADLESS] = ""
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": meta.name_of(service), "namespace": meta.namespace_of(service), "labels": labels},
        "subsets": subsets,
    }


def _port(port: tuple[str, int, str]) -> dict[str, Any]:
    name, number, protocol = port
    return {**({"name": name} if name else {}), "port": number, "protocol": protocol}


def slices(service: Object, groups: Mapping[Ports, Sequence[Object]]) -> list[Object]:
    """discovery/v1 EndpointSlices, one for each set of ports; one without endpoints when there are no pods."""
    found = [
        _slice(service, ports, [_endpoint(service, pod) for pod in pods]) for ports, pods in groups.items()
    ]  # fmt: skip
    return found or [_slice(service, (), [])]


def _slice(service: Object, ports: Ports, members: list[dict[str, Any]]) -> Object:
    labels = dict(service["metadata"].get("labels") or {})
    if service["spec"].get("clusterIP") == "None":
        labels[_HEADLESS] = ""
    labels |= {SERVICE_NAME: meta.name_of(service), MANAGED_BY: CONTROLLER}
    digest = meta.spec_hash([meta.uid_of(service), ports])[:5]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{meta.name_of(service)}-{digest}",
            "namespace": meta.namespace_of(service),
            "labels": labels,
            "ownerReferences": [meta.owner_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": members,
        "ports": [{**_port(port), "name": port[0]} for port in ports],
    }


def _endpoint(service: Object, pod: Object) -> dict[str, Any]:
    ready, ending = podset.is_ready(pod), meta.is_going(pod)
    serving = meta.is_true(pod, "Ready")
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    found = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready or always, "serving": serving or always, "terminating": ending},
        "targetRef": _target(pod),
    }
    if pod["spec"].get("nodeName"):
        found["nodeName"] = pod["spec"]["nodeName"]
    return found
