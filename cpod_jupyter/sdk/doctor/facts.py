"""What `cpod doctor` looks at. Everything that could not be looked at is None, with the reason in `hidden`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cpod_jupyter.api.resources import (
    CPOD_KINDS,
    EVENTS,
    INFERENCESERVICES,
    MPIJOBS_V2BETA1,
    PODS,
    PVCS,
    PYTORCHJOBS,
    SERVICES,
    TFJOBS,
    Object,
    Resource,
)
from cpod_jupyter.operator.settings import Settings

STORAGE_CLASSES = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
FORMER_LEASE = "2ca7307e.cpod"
"""The lease of cpodoperator, the Go operator for the same kinds."""

Right = tuple[str, Resource, str]
"""Verb, resource, subresource."""

RIGHTS: tuple[Right, ...] = (
    *((verb, resource, "") for resource in CPOD_KINDS for verb in ("get", "list", "create", "patch", "delete")),
    ("list", PODS, ""),
    ("get", PODS, "log"),
    ("list", EVENTS, ""),
    ("list", PVCS, ""),
    ("get", SERVICES, "proxy"),
    ("create", SERVICES, "proxy"),
)
"""What a notebook does in its namespace."""

CHILD_KINDS = {
    PYTORCHJOBS: ("CPodJobs of type pytorch, and FineTunes", "Kubeflow's training-operator (v1)"),
    TFJOBS: ("CPodJobs of type tensorFlow", "Kubeflow's training-operator (v1)"),
    MPIJOBS_V2BETA1: ("CPodJobs of type mpi", "mpi-operator, with its v2beta1"),
    INFERENCESERVICES: ("Inferences", "KServe"),
}
"""Kinds that others bring: what needs them, and where they are from."""


@dataclass(frozen=True)
class Machine:
    """The engine's own machine."""

    home: str
    disk_free: int
    """Bytes where the home is."""
    memory: int
    """Bytes in all."""
    runtime: str
    programs: Mapping[str, bool]
    modules: Mapping[str, bool]


@dataclass(frozen=True)
class Facts:
    server: str
    context: str
    namespace: str
    version: str
    user: str = ""
    chosen: str = ""
    """Where the context and the namespace were chosen, in words."""
    machine: Machine | None = None
    definitions: Mapping[str, Object] | None = None
    """By name, as `pytorchjobs.kubeflow.org`."""
    lease: Object | None = None
    lease_age: float | None = None
    """Seconds since it was renewed, by this machine's clock."""
    former_age: float | None = None
    """The same of cpodoperator's lease; None where there is none."""
    serving_runtimes: int | None = None
    storage_classes: Sequence[Object] | None = None
    nodes: Sequence[Object] | None = None
    quotas: Sequence[Object] | None = None
    secrets: Mapping[str, bool] = field(default_factory=dict)
    """Those that the settings name, and whether they are in the namespace."""
    refused: Sequence[Right] = ()
    """Rights of RIGHTS that the user lacks."""
    settings: Settings = field(default_factory=Settings)
    hidden: Mapping[str, str] = field(default_factory=dict)
    """What could not be looked at, and why."""
