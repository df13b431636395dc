"""What differs between the training kinds, and a job seen through it: pure.

Source of the common part: training-operator v1.9, package common; defaults from its API package.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cpod_jupyter.api import meta
from cpod_jupyter.api.kubeflow import (
    LABEL_JOB_NAME,
    LABEL_OPERATOR,
    LABEL_REPLICA_INDEX,
    LABEL_REPLICA_TYPE,
    LABEL_ROLE,
)
from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers.training import addresses
from cpod_jupyter.engine.controllers.training.addresses import Endpoint, Endpoints

Variable = dict[str, Any]
"""One entry of a container's `env`."""

RETRYABLE_FROM = 128
"""restartPolicy ExitCode: 1 to 127 are permanent failures, 128 and more (signals) are tried again."""


@dataclass(frozen=True)
class Replica:
    """One pod's place: its role, its index in the role, its rank among all pods in the kind's order of roles."""

    role: str
    index: int
    rank: int

    @property
    def key(self) -> str:
        return f"{self.role}-{self.index}"


@dataclass(frozen=True)
class Words:
    """Messages of the conditions, as upstream's controller of the kind has them.

    `{job}` is `KIND NAME`, `{place}` is `KIND NAMESPACE/NAME`.
    """

    created: str = "{job} is created."
    running: str = "{job} is running."
    succeeded: str = "{job} is successfully completed."
    failed: str = "{job} is failed because {count} {role} replica(s) failed"
    restarting: str = "{job} is restarting because {count} {role} replica(s) failed"


@dataclass(frozen=True)
class Companion:
    """An object that goes with a job's pods. `build` makes it; with `follows`, its `data` is kept as that has it."""

    resource: Resource
    name: str
    build: Callable[[], Object]
    follows: bool = False


class TrainingKind:
    """The per-kind part of the generic job controller. Subclasses set the fields and override what differs."""

    resource: Resource
    specs_field: str
    """The field of `spec` that holds the replica specs by role."""
    roles: tuple[str, ...]
    """All replica types, in the order of ranks."""
    container: str
    """The container that must be there, whose ports count; empty where any will do."""
    port_name: str
    port: int
    """Upstream's default port; here each replica has a free one of its own, unless its container declares one."""
    operator: str
    """Label `operator-name` of the pods."""
    restart_policies: ClassVar[Mapping[str, str]] = {}
    """Default restart policies by role; the others have `restart_policy`."""
    restart_policy = "OnFailure"
    default_replicas: ClassVar[Mapping[str, int]] = {}
    clean_pod_policy = "None"
    words = Words()
    with_services = True

    # ---- what subclasses override

    def environment(self, job: TrainingJob, replica: Replica, places: Endpoints) -> list[Variable]:
        """The variables by which a pod finds its peers and its own place."""
        raise NotImplementedError

    def owns(self, api: KubeApi, obj: Object) -> bool:
        """Whether an object of the resource is this kind's, where two kinds share one."""
        return True

    def lead_roles(self, job: TrainingJob) -> Sequence[str]:
        """The roles of which one pod that runs makes the job Running."""
        raise NotImplementedError

    def is_running(self, job: TrainingJob, running: set[tuple[str, int]]) -> bool:
        """Whether the job is, by the (role, index) of the pods that are."""
        return any(role in self.lead_roles(job) for role, _ in running)

    def succeeded(self, job: TrainingJob, done: set[tuple[str, int]]) -> bool:
        """Whether the job has, by the (role, index) of the pods that have."""
        raise NotImplementedError

    def is_master(self, job: TrainingJob, replica: Replica) -> bool:
        """Whether the pod carries the label `job-role: master`."""
        return False

    def tolerates(self, job: TrainingJob, role: str) -> bool:
        """Whether pods of a role may fail for good without the job failing."""
        return False

    def faults(self, job: TrainingJob) -> Iterator[str]:
        """What of the job the kind does not allow, besides what `TrainingJob.faults` finds for all."""
        yield from ()

    def decorate(self, job: TrainingJob, replica: Replica, pod: Object, places: Endpoints) -> None:
        """Change a new pod further: volumes, commands."""

    def companions(self, job: TrainingJob, places: Endpoints, pods: Sequence[Object]) -> list[Companion]:
        """Objects, owned by the job, that must be there before its pods."""
        return []

    def extra_status(self, job: TrainingJob) -> dict[str, Any]:
        """Fields of the status that only this kind has."""
        return {}

    def may_start(self, job: TrainingJob, replica: Replica, pods: Sequence[Object]) -> bool:
        """Whether a pod may be made now, given those that are there."""
        return True

    def pod_name(self, job: TrainingJob, replica: Replica) -> str:
        return f"{job.name}-{replica.role.lower()}-{replica.index}"

    def labels(self, job: TrainingJob, replica: Replica) -> dict[str, str]:
        """Labels of a replica's pod and service."""
        role = {LABEL_ROLE: "master"} if self.is_master(job, replica) else {}
        return {
            LABEL_OPERATOR: self.operator,
            LABEL_JOB_NAME: job.name,
            LABEL_REPLICA_TYPE: replica.role.lower(),
            LABEL_REPLICA_INDEX: str(replica.index),
            **role,
        }

    def reason(self, condition: str) -> str:
        """The reason of a condition: `PyTorchJobRunning`."""
        return f"{self.resource.kind}{condition}"

    def run_policy(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        """The run policy of a job's spec."""
        return spec.get("runPolicy") or {}


class TrainingJob:
    """A job object seen through its kind. Replica types are matched in any case, as upstream's defaults do."""

    def __init__(self, kind: TrainingKind, obj: Object) -> None:
        self.kind = kind
        self.obj = obj
        self.name = meta.name_of(obj)
        self.namespace = meta.namespace_of(obj)
        self.spec: dict[str, Any] = obj["spec"]
        self.status: dict[str, Any] = obj.get("status") or {}
        self.policy = kind.run_policy(self.spec)

    @functools.cached_property
    def specs(self) -> dict[str, dict[str, Any]]:
        """Replica specs by role, in the kind's order; roles that the kind does not know are left out."""
        given = {key.lower(): spec for key, spec in (self.spec.get(self.kind.specs_field) or {}).items() if spec}
        return {role: given[role.lower()] for role in self.kind.roles if role.lower() in given}

    def has(self, role: str) -> bool:
        return role in self.specs

    def count(self, role: str) -> int:
        """How many pods of a role are wanted; 0 when the job lacks it."""
        if role not in self.specs:
            return 0
        wanted = self.specs[role].get("replicas")
        return self.kind.default_replicas.get(role, 1) if wanted is None else int(wanted)

    @functools.cached_property
    def replicas(self) -> list[Replica]:
        """All pods of the job in the order of their ranks."""
        found: list[Replica] = []
        for role in self.specs:
            found += [Replica(role, index, len(found) + index) for index in range(self.count(role))]
        return found

    def of_role(self, role: str) -> list[Replica]:
        return [replica for replica in self.replicas if replica.role == role]

    def restart_policy(self, role: str) -> str:
        """Always, OnFailure, Never or ExitCode, of a role's replicas."""
        asked = self.specs.get(role, {}).get("restartPolicy")
        return str(asked or self.kind.restart_policies.get(role, self.kind.restart_policy))

    def declared_port(self, role: str) -> int | None:
        """The port that a role's container declares under the kind's port name."""
        for container in self._containers(role):
            if container.get("name") == self.kind.container:
                for port in container.get("ports") or []:
                    if port.get("name") == self.kind.port_name:
                        return int(port["containerPort"])
        return None

    def endpoint(self, replica: Replica, places: Endpoints) -> Endpoint:
        """Where a replica that others call listens: at the port that its container declares, else at its own."""
        place = places[replica.key]
        return Endpoint(place.address, self.declared_port(replica.role) or place.port)

    def _containers(self, role: str) -> list[dict[str, Any]]:
        template = self.specs[role].get("template") or {}
        return list((template.get("spec") or {}).get("containers") or [])

    def replica_of(self, pod: Object) -> tuple[str, int]:
        """The role and index that a pod's labels give; the role is empty when the kind does not know it."""
        labels = pod["metadata"].get("labels") or {}
        found = str(labels.get(LABEL_REPLICA_TYPE))
        role = next((role for role in self.kind.roles if role.lower() == found), "")
        return role, int(labels.get(LABEL_REPLICA_INDEX, 0))

    def may_retry(self, pod: Object) -> bool:
        """Whether a failed pod is to be replaced."""
        policy = self.restart_policy(self.replica_of(pod)[0])
        if policy == "ExitCode":
            return podset.failure(pod).exit_code >= RETRYABLE_FROM
        return policy in ("Always", "OnFailure")

    @property
    def places(self) -> Endpoints:
        """Where the replicas listen, as far as it has been drawn."""
        return addresses.parse((self.obj["metadata"].get("annotations") or {}).get(addresses.ENDPOINTS_ANNOTATION))

    @property
    def is_finished(self) -> bool:
        return meta.is_true(self.obj, "Succeeded") or meta.is_true(self.obj, "Failed")

    @property
    def is_suspended(self) -> bool:
        return bool(self.policy.get("suspend"))

    @property
    def clean_pod_policy(self) -> str:
        return str(self.policy.get("cleanPodPolicy") or self.kind.clean_pod_policy)

    def faults(self) -> list[str]:
        """Why the job can't be run, as upstream's validating webhook would have refused it."""
        field, given = self.kind.specs_field, self.spec.get(self.kind.specs_field) or {}
        kind, known = self.kind.resource.kind, {role.lower() for role in self.kind.roles}
        found = [
            f"{field}[{role}] is not a replica type of {kind}: there are {', '.join(self.kind.roles)}"
            for role in given
            if role.lower() not in known
        ]
        if not self.specs:
            found.append(f"{field} has no replica type")
        for role in self.specs:
            names = [str(container.get("name")) for container in self._containers(role)]
            wanted = self.kind.container
            if not names:
                found.append(f"{field}[{role}].template has no container")
            elif wanted and wanted not in names:
                found.append(f"{field}[{role}].template has no container named {wanted}, only {', '.join(names)}")
        return [*found, *self.kind.faults(self)]


def value(name: str, content: object) -> Variable:
    return {"name": name, "value": str(content)}
