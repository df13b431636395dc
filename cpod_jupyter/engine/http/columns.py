"""The columns of the built-in kinds, as the API server prints them (kubernetes/pkg/printers/internalversion)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.http.cells import (
    AGE,
    CREATED,
    NAME,
    NONE,
    UNKNOWN,
    UNSET,
    Cell,
    Column,
    age,
    column,
    count,
    human,
    joined,
    number,
    selector,
    since,
    value,
)  # fmt: skip
from cpod_jupyter.engine.http.pod_cells import POD_COLUMNS

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_SHOWN = 3
"""Endpoints or ports in one cell, before what more there is is only counted."""


def _containers(what: str) -> Callable[[Object], Cell]:
    """Names or images of a template's containers."""

    def read(obj: Object) -> Cell:
        template = (obj["spec"].get("template") or {}).get("spec") or {}
        return joined(item.get(what) for item in template.get("containers") or [])

    return read


def _workload(path: str) -> tuple[Column, ...]:
    return (
        column("Containers", _containers("name"), wide=True),
        column("Images", _containers("image"), wide=True),
        column("Selector", selector(path), wide=True),
    )


def _few(parts: Iterable[str]) -> str:
    found = list(parts)
    more = f" + {len(found) - _SHOWN} more..." if len(found) > _SHOWN else ""
    return (",".join(found[:_SHOWN]) + more) or NONE


# ---- workloads


def _deployment_ready(deployment: Object) -> Cell:
    return f"{(deployment.get('status') or {}).get('readyReplicas') or 0}/{deployment['spec'].get('replicas', 1)}"


def _job_status(job: Object) -> Cell:
    for condition, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if meta.is_true(job, condition):
            return word
    if meta.is_going(job):
        return "Terminating"
    for condition in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if meta.is_true(job, condition):
            return condition
    return "Running"


def _completions(job: Object) -> Cell:
    done, spec = (job.get("status") or {}).get("succeeded") or 0, job["spec"]
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallel = spec.get("parallelism") or 0
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _job_duration(job: Object) -> Cell:
    status = job.get("status") or {}
    if not (start := status.get("startTime")):
        return ""
    failed = [item for item in status.get("conditions") or [] if (item["type"], item["status"]) == ("Failed", "True")]
    end = status.get("completionTime") or (failed[0].get("lastTransitionTime") if failed else None)
    return human((meta.parse_time(end) if end else dt.datetime.now(dt.UTC)) - meta.parse_time(start))


# ---- network


def _external(service: Object) -> Cell:
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName") or NONE)
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    found = [item.get("ip") or item.get("hostname") for item in ingress] + list(spec.get("externalIPs") or [])
    return joined(found, "<pending>" if spec.get("type") == "LoadBalancer" else NONE)


def _service_port(port: dict[str, Any]) -> str:
    node = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}"


def _endpoints(endpoints: Object) -> Cell:
    found: list[str] = []
    for subset in endpoints.get("subsets") or []:
        addresses = [str(item.get("ip")) for item in subset.get("addresses") or []]
        ports = [port.get("port") for port in subset.get("ports") or []]
        found += [f"{address}:{port}" for port in ports for address in addresses] if ports else addresses
    return _few(found)


def _slice_endpoints(endpoint_slice: Object) -> Cell:
    return _few(item for each in endpoint_slice.get("endpoints") or [] for item in each.get("addresses") or [])


def _hosts(ingress: Object) -> Cell:
    hosts = [rule.get("host") for rule in ingress["spec"].get("rules") or []]
    found = [host for host in hosts if host]
    return _few(found) if found else "*"


def _ingress_address(ingress: Object) -> Cell:
    found = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return joined((item.get("ip") or item.get("hostname") for item in found), "")


def _class_parameters(ingress_class: Object) -> Cell:
    found = (ingress_class.get("spec") or {}).get("parameters")
    if not found:
        return NONE
    group = f".{found['apiGroup']}" if found.get("apiGroup") else ""
    return f"{found.get('kind')}{group}/{found.get('name')}"


# ---- nodes and storage


def _node_status(node: Object) -> Cell:
    condition = meta.condition(node, "Ready") or {}
    ready = {"True": "Ready", "False": "NotReady"}.get(str(condition.get("status")), "Unknown")
    return f"{ready},SchedulingDisabled" if (node.get("spec") or {}).get("unschedulable") else ready


def _node_roles(node: Object) -> Cell:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    return joined(sorted(label.removeprefix(prefix) for label in labels if label.startswith(prefix)))


def _node_address(kind: str) -> Callable[[Object], Cell]:
    def read(node: Object) -> Cell:
        found = (node.get("status") or {}).get("addresses") or []
        return joined([item.get("address") for item in found if item.get("type") == kind][:1])

    return read


def _modes(path: tuple[str, ...]) -> Callable[[Object], Cell]:
    def read(obj: Object) -> Cell:
        found: Any = obj
        for part in path:
            found = (found or {}).get(part)
        return joined((_MODES.get(mode, mode) for mode in found or []), "")

    return read


def _terminating(path: str) -> Callable[[Object], Cell]:
    phase = value(path, "")
    return lambda obj: "Terminating" if meta.is_going(obj) else phase(obj)


def _volume_claim(volume: Object) -> Cell:
    claim = volume["spec"].get("claimRef") or {}
    return f"{claim.get('namespace')}/{claim.get('name')}" if claim else ""


def _quota(*, limits: bool) -> Callable[[Object], Cell]:
    """What a quota has used of what it has, of the limits or of all else."""

    def read(quota: Object) -> Cell:
        status = quota.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}
        names = sorted(name for name in hard if name.startswith("limits.") is limits)
        return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in names)

    return read


# ---- events and roles


def _event_seen(event: Object) -> Cell:
    series, first = event.get("series") or {}, event.get("firstTimestamp") or event.get("eventTime")
    last = series.get("lastObservedTime") or event.get("lastTimestamp") or first
    times = series.get("count") or event.get("count") or 1
    return f"{age(last)} (x{times} over {age(first)})" if times > 1 else age(last)


def _event_object(event: Object) -> Cell:
    about = event.get("involvedObject") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _event_source(event: Object) -> Cell:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent")
    return joined([component, source.get("host") or event.get("reportingInstance")], "")


def _role(binding: Object) -> Cell:
    return f"{binding['roleRef'].get('kind')}/{binding['roleRef'].get('name')}"


def _subjects(kind: str) -> Callable[[Object], Cell]:
    def read(binding: Object) -> Cell:
        found = [subject for subject in binding.get("subjects") or [] if subject.get("kind") == kind]
        return ", ".join("/".join(filter(None, (each.get("namespace"), each.get("name")))) for each in found)

    return read


_BINDING = (
    NAME,
    column("Role", _role),
    AGE,
    column("Users", _subjects("User"), wide=True),
    column("Groups", _subjects("Group"), wide=True),
    column("ServiceAccounts", _subjects("ServiceAccount"), wide=True),
)
_ROLE = (NAME, CREATED)
_RBAC = "rbac.authorization.k8s.io/"

COLUMNS: dict[str, tuple[Column, ...]] = {
    "/pods": POD_COLUMNS,
    "apps/deployments": (
        NAME,
        column("Ready", _deployment_ready),
        column("Up-to-date", number(".status.updatedReplicas"), type_="integer"),
        column("Available", number(".status.availableReplicas"), type_="integer"),
        AGE,
        *_workload(".spec.selector"),
    ),
    "apps/replicasets": (
        NAME,
        column("Desired", value(".spec.replicas", 1), type_="integer"),
        column("Current", number(".status.replicas"), type_="integer"),
        column("Ready", number(".status.readyReplicas"), type_="integer"),
        AGE,
        *_workload(".spec.selector"),
    ),
    "batch/jobs": (
        NAME,
        column("Status", _job_status),
        column("Completions", _completions),
        column("Duration", _job_duration),
        AGE,
        *_workload(".spec.selector"),
    ),
    "/services": (
        NAME,
        column("Type", value(".spec.type")),
        column("Cluster-IP", value(".spec.clusterIP", NONE)),
        column("External-IP", _external),
        column("Port(s)", lambda obj: joined(map(_service_port, obj["spec"].get("ports") or []))),
        AGE,
        column("Selector", selector(".spec.selector"), wide=True),
    ),
    "/endpoints": (NAME, column("Endpoints", _endpoints), AGE),
    "discovery.k8s.io/endpointslices": (
        NAME,
        column("AddressType", value(".addressType")),
        column("Ports", lambda obj: _few(str(port.get("port", "*")) for port in obj.get("ports") or []) or UNSET),
        column("Endpoints", _slice_endpoints),
        AGE,
    ),
    "networking.k8s.io/ingresses": (
        NAME,
        column("Class", value(".spec.ingressClassName", NONE)),
        column("Hosts", _hosts),
        column("Address", _ingress_address),
        column("Ports", lambda ingress: "80, 443" if ingress["spec"].get("tls") else "80"),
        AGE,
    ),
    "networking.k8s.io/ingressclasses": (
        NAME,
        column("Controller", value(".spec.controller", "")),
        column("Parameters", _class_parameters),
        AGE,
    ),
    "/nodes": (
        NAME,
        column("Status", _node_status),
        column("Roles", _node_roles),
        AGE,
        column("Version", value(".status.nodeInfo.kubeletVersion")),
        column("Internal-IP", _node_address("InternalIP"), wide=True),
        column("External-IP", _node_address("ExternalIP"), wide=True),
        column("OS-Image", value(".status.nodeInfo.osImage", UNKNOWN), wide=True),
        column("Kernel-Version", value(".status.nodeInfo.kernelVersion", UNKNOWN), wide=True),
        column("Container-Runtime", value(".status.nodeInfo.containerRuntimeVersion", UNKNOWN), wide=True),
    ),
    "/namespaces": (NAME, column("Status", value(".status.phase")), AGE),
    "/persistentvolumes": (
        NAME,
        column("Capacity", value(".spec.capacity.storage", "")),
        column("Access Modes", _modes(("spec", "accessModes"))),
        column("Reclaim Policy", value(".spec.persistentVolumeReclaimPolicy", "")),
        column("Status", _terminating(".status.phase")),
        column("Claim", _volume_claim),
        column("StorageClass", value(".spec.storageClassName", "")),
        column("VolumeAttributesClass", value(".spec.volumeAttributesClassName", UNSET)),
        column("Reason", value(".status.reason", "")),
        AGE,
        column("VolumeMode", value(".spec.volumeMode", UNSET), wide=True),
    ),
    "/persistentvolumeclaims": (
        NAME,
        column("Status", _terminating(".status.phase")),
        column("Volume", value(".spec.volumeName", "")),
        column("Capacity", value(".status.capacity.storage", "")),
        column("Access Modes", _modes(("status", "accessModes"))),
        column("StorageClass", value(".spec.storageClassName", "")),
        column("VolumeAttributesClass", value(".spec.volumeAttributesClassName", UNSET)),
        AGE,
        column("VolumeMode", value(".spec.volumeMode", UNSET), wide=True),
    ),
    "/configmaps": (
        NAME,
        column("Data", lambda obj: len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), type_="integer"),
        AGE,
    ),
    "/secrets": (NAME, column("Type", value(".type")), column("Data", count(".data"), type_="integer"), AGE),
    "/serviceaccounts": (NAME, column("Secrets", count(".secrets"), type_="integer"), AGE),
    "/resourcequotas": (
        NAME,
        column("Request", _quota(limits=False)),
        column("Limit", _quota(limits=True)),
        AGE,
    ),
    "/events": (
        column("Last Seen", _event_seen),
        column("Type", value(".type")),
        column("Reason", value(".reason")),
        column("Object", _event_object),
        column("Subobject", value(".involvedObject.fieldPath", ""), wide=True),
        column("Source", _event_source, wide=True),
        column("Message", lambda obj: str(obj.get("message") or "").strip()),
        column("First Seen", since(".firstTimestamp"), wide=True),
        column("Count", value(".count", 1), type_="integer", wide=True),
        column("Name", value(".metadata.name"), wide=True),
    ),
    "coordination.k8s.io/leases": (NAME, column("Holder", value(".spec.holderIdentity", "")), AGE),
    f"{_RBAC}roles": _ROLE,
    f"{_RBAC}clusterroles": _ROLE,
    f"{_RBAC}rolebindings": _BINDING,
    f"{_RBAC}clusterrolebindings": _BINDING,
    "apiextensions.k8s.io/customresourcedefinitions": (NAME, CREATED),
}
