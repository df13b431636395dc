"""Services and Endpoints.

A Service has no address of its own here: nothing on one machine stands between it and its pods, which have
addresses of the loopback network. So every Service is what Kubernetes calls headless, `clusterIP: None`: clients
take the addresses of its Endpoints, or go through the API server's proxy. An address that nobody listens on
would be a lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Path, Problem
from cpod_jupyter.engine.strategies import faults
from cpod_jupyter.engine.strategies.pods import port_number

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_AFFINITIES = ("ClientIP", "None")
_PROTOCOLS = ("SCTP", "TCP", "UDP")


def service_defaults(service: Object) -> None:
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["type"] != "ExternalName":
        if not spec.get("clusterIP"):
            spec["clusterIP"] = "None"
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        spec.setdefault("internalTrafficPolicy", "Cluster")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, "", 0):
            port["targetPort"] = port.get("port")


def new_service(service: Object) -> None:
    service["status"] = {"loadBalancer": {}}


def service_faults(service: Object) -> Iterator[Problem]:
    spec, here = service["spec"], ("spec",)
    yield from faults.one_of((*here, "type"), spec["type"], _TYPES)
    yield from faults.one_of((*here, "sessionAffinity"), spec["sessionAffinity"], _AFFINITIES)
    yield from faults.labels((*here, "selector"), spec.get("selector"))
    if spec["type"] == "ExternalName":
        name = spec.get("externalName")
        if not name:
            yield faults.required((*here, "externalName"))
        elif not faults.is_subdomain(str(name).rstrip(".").lower()):
            yield faults.invalid((*here, "externalName"), name, "must be a DNS name")
        if spec.get("clusterIP"):
            yield faults.forbidden((*here, "clusterIPs"), "may not be set for ExternalName services")
    elif spec["clusterIP"] != "None":
        text = (
            "failed to allocate IP: the embedded engine has no range of service addresses; leave clusterIP out, or "
            "say None, and use the addresses of the Endpoints"
        )
        yield faults.invalid((*here, "clusterIPs"), [spec["clusterIP"]], text)
    yield from _ports(spec.get("ports") or [], (*here, "ports"))


def _ports(ports: list[dict[str, Any]], path: Path) -> Iterator[Problem]:
    names: set[str] = set()
    numbers: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        at: Path = (*path, index)
        name, number = port.get("name") or "", (port.get("protocol"), port.get("port"))
        if name or len(ports) > 1:
            yield from faults.dns_label((*at, "name"), name)
        if name and name in names:
            yield faults.duplicate((*at, "name"), name)
        names.add(name)
        yield from port_number((*at, "port"), port.get("port"))
        yield from faults.one_of((*at, "protocol"), port.get("protocol"), _PROTOCOLS)
        target = port.get("targetPort")
        if isinstance(target, int):
            yield from port_number((*at, "targetPort"), target)
        elif not faults.is_label_name(target) or len(str(target)) > 15:
            yield faults.invalid((*at, "targetPort"), target, "must be a port number or the name of a port")
        if number in numbers:
            yield faults.duplicate(at, {"protocol": number[0], "port": number[1]})
        numbers.add(number)


def service_change(old: Object, new: Object) -> Iterator[Problem]:
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    if before and after and before != after:
        yield faults.invalid(("spec", "clusterIPs[0]"), [after], "may not change once set")


def endpoints_faults(endpoints: Object) -> Iterator[Problem]:
    for index, subset in enumerate(endpoints.get("subsets") or []):
        at: Path = ("subsets", index)
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield faults.required(at, "must specify `addresses` or `notReadyAddresses`")
        for field in ("addresses", "notReadyAddresses"):
            for number, address in enumerate(subset.get(field) or []):
                if not address.get("ip"):
                    yield faults.invalid((*at, field, number, "ip"), "", "must be a valid IP address")
        for number, port in enumerate(subset.get("ports") or []):
            yield from port_number((*at, "ports", number, "port"), port.get("port"))


def endpoints_defaults(endpoints: Object) -> None:
    for subset in endpoints.get("subsets") or []:
        for port in subset.get("ports") or []:
            port.setdefault("protocol", "TCP")


def endpointslice_faults(found: Object) -> Iterator[Problem]:
    yield from faults.one_of(("addressType",), found.get("addressType"), ("FQDN", "IPv4", "IPv6"))
    for index, endpoint in enumerate(found.get("endpoints") or []):
        if not endpoint.get("addresses"):
            yield faults.required(("endpoints", index, "addresses"), "must contain at least 1 address")


def endpointslice_change(old: Object, new: Object) -> Iterator[Problem]:
    if old.get("addressType") != new.get("addressType"):
        yield faults.immutable(("addressType",), new.get("addressType"))
