"""From facts to findings: what is good, what may be missed, what is wrong, and what to do. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.crds import cpod_crds
from cpod_jupyter.api.quantity import is_quantity, parse_quantity
from cpod_jupyter.api.resources import CPOD_KINDS, Object
from cpod_jupyter.sdk.doctor.facts import CHILD_KINDS, Facts, Machine
from cpod_jupyter.sdk.gpus import gpus_of

_OLDEST = (1, 25)
"""Kubernetes from which on the definitions' CEL rules hold (they came into use by default in 1.25)."""
_SILENT_SECONDS = 60.0
_DRIVER = "nvidia.com/cuda.driver.major"
_DISK = 10 * 2**30
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_SHARED = re.compile(
    r"nfs|cephfs|juicefs|efs|azurefile|file\.csi\.azure|filestore|gluster|lustre|beegfs|weka|longhorn|smb"
)
_SINGLE = re.compile(r"ebs|pd\.csi|gce-pd|disk\.csi|azure-disk|local-path|hostpath|rbd|cinder|topolvm|no-provisioner")
"""Provisioners by the access modes that their documentation names: ReadWriteMany, or ReadWriteOnce alone."""


class Level(enum.StrEnum):
    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    level: Level
    about: str
    message: str
    advice: str = ""


def findings(facts: Facts) -> list[Finding]:
    """All of them, in the order in which a person would look."""
    found = [finding for check in _CHECKS for finding in check(facts)]
    return [*found, *(Finding(Level.NOTE, about, f"not looked at: {why}") for about, why in facts.hidden.items())]


def _server(facts: Facts) -> Iterator[Finding]:
    who = f" as {facts.user}" if facts.user else ""
    where = f"Kubernetes {facts.version} at {facts.server}, context {facts.context}{who}"
    number = re.match(r"v?(\d+)\.(\d+)", facts.version)
    if number and (int(number[1]), int(number[2])) < _OLDEST:
        yield Finding(
            Level.NOTE, "server", f"{where}: older than 1.25, so immutable fields are not guarded by the API server",
            "upgrade the cluster",
        )  # fmt: skip
    else:
        yield Finding(Level.OK, "server", where)
    if facts.chosen:
        yield Finding(Level.OK, "chosen", facts.chosen)


def _definitions(facts: Facts) -> Iterator[Finding]:
    if facts.definitions is None:
        return
    missing = [kind.kind for kind in CPOD_KINDS if kind.qualified not in facts.definitions]
    if missing:
        yield Finding(Level.PROBLEM, "kinds", f"not installed: {', '.join(missing)}", "cpod install")
        return
    different = [
        wanted["spec"]["names"]["kind"]
        for wanted in cpod_crds()
        if not _has_versions(facts.definitions[meta.name_of(wanted)], wanted)
    ]
    if different:
        yield Finding(
            Level.NOTE, "kinds", f"installed with another schema than this version's: {', '.join(different)}",
            "cpod install brings them up to it",
        )  # fmt: skip
    else:
        yield Finding(Level.OK, "kinds", "installed, as this version has them")


def _has_versions(found: Object, wanted: Object) -> bool:
    there = {version["name"]: version for version in found["spec"]["versions"]}
    return all(
        version["name"] in there
        and undescribed(there[version["name"]].get("schema")) == undescribed(version.get("schema"))
        for version in wanted["spec"]["versions"]
    )


def undescribed(node: Any) -> Any:
    """A schema without its descriptions, which say nothing to a program."""
    if isinstance(node, dict):
        kept = {key: value for key, value in node.items() if key != "description" or not isinstance(value, str)}
        return {key: undescribed(value) for key, value in kept.items()}
    return [undescribed(item) for item in node] if isinstance(node, list) else node


def _operator(facts: Facts) -> Iterator[Finding]:
    if "operator" in facts.hidden:
        return
    advice = "cpod install puts it there; kubectl -n cpod-system logs deployment/cpod-operator says how it is"
    holder = ((facts.lease or {}).get("spec") or {}).get("holderIdentity")
    if facts.lease is None or not holder:
        yield Finding(Level.PROBLEM, "operator", "no operator acts: nobody holds its lease", advice)
    elif facts.lease_age is None or facts.lease_age > _SILENT_SECONDS:
        since = "never" if facts.lease_age is None else f"{facts.lease_age:.0f} s ago"
        yield Finding(Level.PROBLEM, "operator", f"{holder} last renewed its lease {since}: it is gone", advice)
    else:
        yield Finding(Level.OK, "operator", f"{holder} acts")


def _former(facts: Facts) -> Iterator[Finding]:
    if facts.former_age is not None and facts.former_age < _SILENT_SECONDS:
        yield Finding(
            Level.PROBLEM, "cpodoperator", "the Go operator acts on the same kinds: both would start each job",
            "scale its Deployment to 0 (docs/cluster.md, Upgrading from cpodoperator)",
        )  # fmt: skip


def _children(facts: Facts) -> Iterator[Finding]:
    if facts.definitions is None:
        return
    for resource, (needed_by, source) in CHILD_KINDS.items():
        definition = facts.definitions.get(resource.qualified)
        served = [v["name"] for v in definition["spec"]["versions"] if v.get("served")] if definition else []
        if resource.version in served:
            yield Finding(Level.OK, resource.kind, f"{resource.api_version} is served")
        elif served:
            yield Finding(
                Level.NOTE, resource.kind,
                f"served as {', '.join(served)}, and {needed_by} need {resource.api_version}", f"install {source}",
            )  # fmt: skip
        else:
            yield Finding(Level.NOTE, resource.kind, f"not served; {needed_by} need it", f"install {source}")
    if facts.serving_runtimes == 0 and facts.machine is None:
        yield Finding(
            Level.NOTE, "ClusterServingRuntimes", "there are none: an Inference with predictor.model finds no runtime",
            "install KServe's runtimes (kserve-cluster-resources)",
        )  # fmt: skip


def _storage(facts: Facts) -> Iterator[Finding]:
    if facts.storage_classes is None or facts.machine is not None:
        return
    named = facts.settings.storage_class
    chosen = [
        item
        for item in facts.storage_classes
        if (meta.name_of(item) == named if named else _annotations(item).get(_DEFAULT_CLASS) == "true")
    ]
    if not chosen:
        what = f"there is no storage class {named!r}, which the settings name" if named else "there is no default class"
        yield Finding(Level.PROBLEM, "storage", f"{what}: claims stay Pending",
                      "mark one as default, or name one as storageClass in the operator's settings")  # fmt: skip
        return
    name, provisioner = meta.name_of(chosen[0]), str(chosen[0].get("provisioner"))
    if _SINGLE.search(provisioner):
        yield Finding(
            Level.PROBLEM, "storage", f"class {name} ({provisioner}) offers ReadWriteOnce alone, and models are shared",
            "name a class with ReadWriteMany (NFS, CephFS, JuiceFS, …) as storageClass in the operator's settings",
        )  # fmt: skip
    elif _SHARED.search(provisioner):
        yield Finding(Level.OK, "storage", f"class {name} ({provisioner})")
    else:
        yield Finding(Level.NOTE, "storage", f"class {name} ({provisioner}): whether it offers ReadWriteMany cannot be "
                      "told from here", "see its documentation")  # fmt: skip


def _annotations(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def _gpus(facts: Facts) -> Iterator[Finding]:
    if facts.nodes is None:
        return
    gpus = gpus_of(facts.nodes, []).totals()
    if not gpus:
        advice = "" if facts.machine else "install NVIDIA's GPU operator where nodes have some"
        yield Finding(Level.NOTE, "GPUs", "no node offers any: training and serving run on CPUs", advice)
        return
    labels = [node["metadata"].get("labels") or {} for node in facts.nodes]
    drivers = sorted({str(item[_DRIVER]) for item in labels if _DRIVER in item})
    yield Finding(Level.OK, "GPUs", gpus + (f", driver {', '.join(drivers)}" if drivers else ""))
    if not any("nvidia.com/gpu.product" in item for item in labels):
        yield Finding(Level.NOTE, "GPUs", "the nodes do not say which product they have: gpuType finds none",
                      "run NVIDIA's GPU feature discovery")  # fmt: skip


def _secrets(facts: Facts) -> Iterator[Finding]:
    for name, there in facts.secrets.items():
        if there:
            yield Finding(Level.OK, "secrets", f"Secret {name} is there")
        else:
            yield Finding(Level.NOTE, "secrets", f"no Secret {name} in namespace {facts.namespace}: what needs an "
                          "account or keys cannot be fetched", f"kubectl create secret generic {name}")  # fmt: skip


def _quota(facts: Facts) -> Iterator[Finding]:
    for quota in facts.quotas or ():
        status = quota.get("status") or {}
        used, hard = status.get("used") or {}, status.get("hard") or {}
        full = [name for name in hard if _is_full(used.get(name, 0), hard[name])]
        if full:
            yield Finding(Level.NOTE, "quota", f"ResourceQuota {meta.name_of(quota)} is used up: {', '.join(full)}",
                          "delete what is not needed any more, or ask for more")  # fmt: skip


def _is_full(used: Any, hard: Any) -> bool:
    return is_quantity(used) and is_quantity(hard) and parse_quantity(used) >= parse_quantity(hard)


def _rights(facts: Facts) -> Iterator[Finding]:
    if "rights" in facts.hidden:
        return
    if not facts.refused:
        yield Finding(Level.OK, "rights", f"everything that a notebook does in namespace {facts.namespace}")
        return
    said = ", ".join(f"{verb} {resource.plural}{'/' + sub if sub else ''}" for verb, resource, sub in facts.refused)
    yield Finding(Level.PROBLEM, "rights", f"in namespace {facts.namespace} you may not: {said}",
                  "have somebody bind you the role `edit` there (cpod install adds the kinds to it)")  # fmt: skip


def _machine(facts: Facts) -> Iterator[Finding]:
    machine = facts.machine
    if machine is None:
        return
    about = f"{machine.home}, pods are {machine.runtime}, {_gib(machine.memory)} of memory"
    if machine.disk_free < _DISK:
        yield Finding(Level.PROBLEM, "engine", f"{about}; only {_gib(machine.disk_free)} of disk free",
                      "delete models that are not needed, or set CPOD_HOME to a larger disk")  # fmt: skip
    else:
        yield Finding(Level.OK, "engine", f"{about}, {_gib(machine.disk_free)} of disk free")
    yield from _software(machine)


_MODULES = {"torch": "training and serving", "transformers": "training and serving", "trl": "fine-tuning"}
_PROGRAMS = {"mpirun": "MPIJobs", "podman": "pods of real images", "git": "gitRepo of a CPodJob"}


def _software(machine: Machine) -> Iterator[Finding]:
    lacking = [name for name in _MODULES if not machine.modules.get(name)]
    if lacking:
        yield Finding(Level.PROBLEM, "software", f"Python lacks {', '.join(lacking)}: no {_MODULES[lacking[0]]}",
                      "pip install 'cpod-jupyter[runtime]'")  # fmt: skip
    for name, use in _PROGRAMS.items():
        if not machine.programs.get(name):
            yield Finding(Level.NOTE, "software", f"{name} is not on PATH: no {use}", f"install {name}")


def _gib(size: int) -> str:
    return f"{size / 2**30:.0f} GiB"


_CHECKS = (
    _server, _definitions, _operator, _former, _children, _storage, _gpus, _secrets, _quota, _rights, _machine,
)  # fmt: skip
_MARKS = {Level.OK: "ok  ", Level.NOTE: "note", Level.PROBLEM: "BAD "}


def text(found: Sequence[Finding]) -> str:
    """For a person: a line for each, and one more for what to do."""
    width = max((len(finding.about) for finding in found), default=0)
    lines = []
    for finding in found:
        lines.append(f"{_MARKS[finding.level]}  {finding.about:<{width}}  {finding.message}")
        if finding.advice:
            lines.append(f"{'':{6 + width}}  → {finding.advice}")
    return "\n".join(lines)


def is_healthy(found: Sequence[Finding]) -> bool:
    return all(finding.level is not Level.PROBLEM for finding in found)
