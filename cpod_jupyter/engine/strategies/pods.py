"""Pods and pod templates: defaults, faults, and what of a pod may change (core/v1 defaults and validation)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cpod_jupyter.api.quantity import format_quantity, parse_quantity
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.schema import Path, Problem
from cpod_jupyter.engine.strategies import faults

_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")
_ENV_NAME = re.compile(r"[ -<>-~]+")
"""Printable ASCII but `=` (Kubernetes 1.30 and later)."""
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


# ---- defaults


def pod_defaults(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    spec_defaults(spec)
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("enableServiceLinks", True)


def new_pod(pod: Object) -> None:
    pod["status"] = {"phase": "Pending", "qosClass": qos_class(pod["spec"])}


def spec_defaults(spec: dict[str, Any]) -> None:
    """Defaults of a pod's spec (core/v1 defaults)."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for volume in spec.get("volumes") or []:
        if not _sources(volume):
            volume["emptyDir"] = {}
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        _container_defaults(container)


def _container_defaults(container: dict[str, Any]) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("imagePullPolicy", "IfNotPresent")
    resources = container.setdefault("resources", {})
    for side in ("limits", "requests"):
        if resources.get(side):
            resources[side] = {name: _as_text(amount) for name, amount in resources[side].items()}
    if resources.get("limits"):
        resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or []:
        if reference := (variable.get("valueFrom") or {}).get("fieldRef"):
            reference.setdefault("apiVersion", "v1")
    for name in _PROBES:
        if probe := container.get(name):
            for field, value in (
                ("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3),
            ):  # fmt: skip
                probe.setdefault(field, value)
            if request := probe.get("httpGet"):
                request.setdefault("path", "/")
                request.setdefault("scheme", "HTTP")


def _as_text(amount: Any) -> Any:
    """A quantity that was given as a number, as text: so it is read back from a server, and clients count on it."""
    number = isinstance(amount, (int, float)) and not isinstance(amount, bool)
    return format_quantity(parse_quantity(amount)) if number else amount


def qos_class(spec: Mapping[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort (Kubernetes, "Pod Quality of Service Classes")."""
    asked, guaranteed = False, True
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        for name in ("cpu", "memory"):
            request, limit = _amount(requests.get(name)), _amount(limits.get(name))
            asked = asked or bool(request or limit)
            guaranteed = guaranteed and bool(limit) and request == limit
    if not asked:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amount(value: Any) -> Any:
    try:
        return parse_quantity(value) if value is not None else None
    except ValueError:
        return None


# ---- faults


def pod_faults(pod: Object) -> Iterator[Problem]:
    yield from spec_faults(pod["spec"], ("spec",))


def template_faults(template: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Faults of a PodTemplateSpec."""
    metadata = template.get("metadata") or {}
    yield from faults.labels((*path, "metadata", "labels"), metadata.get("labels"))
    yield from faults.annotation_map((*path, "metadata", "annotations"), metadata.get("annotations"))
    yield from spec_faults(template.get("spec") or {}, (*path, "spec"))


def spec_faults(spec: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """The part of upstream's ValidatePodSpec that people meet."""
    volumes: set[Any] = set()
    for index, volume in enumerate(spec.get("volumes") or []):
        yield from _volume(volume, volumes, (*path, "volumes", index))
        volumes.add(volume.get("name"))
    if not spec.get("containers"):
        yield faults.required((*path, "containers"))
    names: set[str] = set()
    host_ports: set[tuple[Any, ...]] = set()
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or []):
            at: Path = (*path, field, index)
            yield from faults.dns_label((*at, "name"), container.get("name"))
            if container.get("name") in names:
                yield faults.duplicate((*at, "name"), container["name"])
            names.add(container.get("name"))
            yield from _container(container, volumes, host_ports, at)
    for name in ("activeDeadlineSeconds",):
        if spec.get(name) is not None and not 1 <= spec[name] <= 2**31 - 1:
            yield faults.invalid((*path, name), spec[name], "must be between 1 and 2147483647, inclusive")
    yield from faults.not_negative((*path, "terminationGracePeriodSeconds"), spec.get("terminationGracePeriodSeconds"))
    yield from faults.one_of((*path, "restartPolicy"), spec.get("restartPolicy"), _RESTART_POLICIES)
    yield from faults.one_of((*path, "dnsPolicy"), spec.get("dnsPolicy"), _DNS_POLICIES)
    yield from faults.labels((*path, "nodeSelector"), spec.get("nodeSelector"))
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            yield from faults.dns_label((*path, field), spec[field])


def _sources(volume: Mapping[str, Any]) -> list[str]:
    return [name for name, value in volume.items() if name != "name" and value is not None]


def _volume(volume: Mapping[str, Any], before: set[Any], path: Path) -> Iterator[Problem]:
    yield from faults.dns_label((*path, "name"), volume.get("name"))
    if volume.get("name") in before:
        yield faults.duplicate((*path, "name"), volume["name"])
    sources = _sources(volume)
    if not sources:
        yield faults.required(path, "must specify a volume type")
    for name in sources[1:]:
        yield faults.forbidden((*path, name), "may not specify more than 1 volume type")
    needed = {"persistentVolumeClaim": "claimName", "secret": "secretName", "configMap": "name", "hostPath": "path"}
    for name in sources[:1]:
        if name in needed and not (volume[name] or {}).get(needed[name]):
            yield faults.required((*path, name, needed[name]))


def _container(
    container: Mapping[str, Any], volumes: set[Any], host_ports: set[tuple[Any, ...]], path: Path
) -> Iterator[Problem]:
    if not container.get("image"):
        yield faults.required((*path, "image"))
    yield from faults.one_of((*path, "imagePullPolicy"), container.get("imagePullPolicy"), _PULL_POLICIES)
    yield from _ports(container.get("ports") or [], host_ports, (*path, "ports"))
    yield from _environment(container, path)
    paths: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or []):
        at: Path = (*path, "volumeMounts", index)
        if not mount.get("name"):
            yield faults.required((*at, "name"))
        elif mount["name"] not in volumes:
            yield faults.missing((*at, "name"), mount["name"])
        if not mount.get("mountPath"):
            yield faults.required((*at, "mountPath"))
        elif mount["mountPath"] in paths:
            yield faults.invalid((*at, "mountPath"), mount["mountPath"], "must be unique")
        paths.add(str(mount.get("mountPath")))
        for field in ("subPath", "subPathExpr"):
            if (inside := str(mount.get(field) or "")) and (inside.startswith("/") or ".." in inside.split("/")):
                yield faults.invalid((*at, field), inside, "must be a relative path without '..'")
    yield from _resources(container.get("resources") or {}, (*path, "resources"))
    for name in _PROBES:
        if (probe := container.get(name)) is not None:
            yield from _probe(probe, name, (*path, name))


def _ports(ports: list[Any], host_ports: set[tuple[Any, ...]], path: Path) -> Iterator[Problem]:
    names: set[str] = set()
    for index, port in enumerate(ports):
        at: Path = (*path, index)
        if name := port.get("name"):
            if not _PORT_NAME.fullmatch(name) or "--" in name:
                yield faults.invalid(
                    (*at, "name"), name, "must be at most 15 lower-case letters, digits and '-', with a letter"
                )
            if name in names:
                yield faults.duplicate((*at, "name"), name)
            names.add(name)
        yield from port_number((*at, "containerPort"), port.get("containerPort"))
        yield from faults.one_of((*at, "protocol"), port.get("protocol"), _PROTOCOLS)
        if host := port.get("hostPort"):
            yield from port_number((*at, "hostPort"), host)
            key = (port.get("protocol"), port.get("hostIP"), host)
            if key in host_ports:
                yield faults.duplicate((*at, "hostPort"), f"{key[0]}/{key[1] or ''}/{host}")
            host_ports.add(key)


def port_number(path: Path, value: Any) -> Iterator[Problem]:
    if not value:
        yield faults.required(path)
    elif not 1 <= value <= 65535:
        yield faults.invalid(path, value, "must be between 1 and 65535, inclusive")


def _environment(container: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for index, variable in enumerate(container.get("env") or []):
        at: Path = (*path, "env", index)
        name, source = variable.get("name"), variable.get("valueFrom")
        if not name:
            yield faults.required((*at, "name"))
        elif not _ENV_NAME.fullmatch(name):
            yield faults.invalid((*at, "name"), name, "must be printable ASCII characters other than '='")
        if source is None:
            continue
        if variable.get("value"):
            yield faults.invalid((*at, "valueFrom"), "", "may not be specified when `value` is not empty")
        kinds = [kind for kind, value in source.items() if value is not None]
        if len(kinds) != 1:
            words = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            yield faults.invalid((*at, "valueFrom"), "", words)
        for kind in kinds:
            if kind in ("configMapKeyRef", "secretKeyRef") and not source[kind].get("key"):
                yield faults.required((*at, "valueFrom", kind, "key"))
            if kind == "fieldRef" and not source[kind].get("fieldPath"):
                yield faults.required((*at, "valueFrom", kind, "fieldPath"))


def _resources(resources: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    amounts: dict[str, dict[str, Any]] = {"limits": {}, "requests": {}}
    for side, found in amounts.items():
        for name, value in (resources.get(side) or {}).items():
            bad = list(faults.quantity((*path, side, name), value))
            yield from bad
            if not bad:
                found[name] = parse_quantity(value)
                if "/" in name and found[name] % 1:
                    yield faults.invalid((*path, side, name), value, "must be an integer")
            if not faults.is_qualified(name):
                yield faults.invalid((*path, side), name, "must be a standard resource type or fully qualified")
    for name, request in amounts["requests"].items():
        limit = amounts["limits"].get(name)
        extended = "/" in name or name.startswith("hugepages-")
        if limit is None:
            if extended:
                yield faults.required((*path, "limits"), "Limit must be set for non overcommitable resources")
        elif extended and request != limit:
            text = f"must be equal to {name} limit of {resources['limits'][name]}"
            yield faults.invalid((*path, "requests"), str(resources["requests"][name]), text)
        elif request > limit:
            text = f"must be less than or equal to {name} limit of {resources['limits'][name]}"
            yield faults.invalid((*path, "requests"), str(resources["requests"][name]), text)


def _probe(probe: Mapping[str, Any], name: str, path: Path) -> Iterator[Problem]:
    handlers = [handler for handler in _HANDLERS if probe.get(handler) is not None]
    if not handlers:
        yield faults.required(path, "must specify a handler type")
    for handler in handlers[1:]:
        yield faults.forbidden((*path, handler), "may not specify more than 1 handler type")
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        yield from faults.not_negative((*path, field), probe.get(field))
    if name != "readinessProbe" and probe.get("successThreshold") not in (None, 1):
        yield faults.invalid((*path, "successThreshold"), probe["successThreshold"], "must be 1")


# ---- changes

_MUTABLE = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")


def pod_change(old: Object, new: Object) -> Iterator[Problem]:
    def fixed(spec: dict[str, Any]) -> dict[str, Any]:
        rest = {key: value for key, value in spec.items() if key not in _MUTABLE}
        rest["containers"] = [{**item, "image": ""} for item in spec.get("containers") or []]
        rest["initContainers"] = [{**item, "image": ""} for item in spec.get("initContainers") or []]
        if not old["spec"].get("nodeName"):
            rest.pop("nodeName", None)  # binding sets it once
        return rest

    if fixed(old["spec"]) != fixed(new["spec"]):
        yield faults.forbidden(
            ("spec",), "pod updates may not change fields other than the images, activeDeadlineSeconds and tolerations"
        )
