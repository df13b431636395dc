"""KubeDL's ElasticDLJob and MarsJob, in their present group and in those of before its version 0.3.

Source: KubeDL v0.5, controllers/elasticdl and controllers/mars, and its defaults.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from cpod_jupyter.api.kubeflow import LABEL_ROLE
from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import Object, Resource
from cpod_jupyter.engine.controllers.training.addresses import Endpoints
from cpod_jupyter.engine.controllers.training.kind import (
    Replica,
    TrainingJob,
    TrainingKind,
    Variable,
    Words,
    value,
)

MASTER = "Master"
SCHEDULER, WORKER, WEB_SERVICE = "Scheduler", "Worker", "WebService"
_SHARED_MEMORY = "/dev/shm"


class KubeDL(TrainingKind):
    """What is common to KubeDL's kinds: the run policy in the spec itself, labels of its own beside the usual ones."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    def run_policy(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        return spec

    def reason(self, condition: str) -> str:
        return f"Job{condition}"

    def labels(self, job: TrainingJob, replica: Replica) -> dict[str, str]:
        common = super().labels(job, replica)
        own = {
            "group-name": self.resource.group,
            "job-name": job.name,
            "replica-type": replica.role.lower(),
            "replica-index": str(replica.index),
            **({"job-role": "master"} if LABEL_ROLE in common else {}),
        }
        return {**common, **own}

    def faults(self, job: TrainingJob) -> Iterator[str]:
        if job.spec.get("cronPolicy"):
            yield "cronPolicy is not offered by the embedded engine: submit the job when it is to run"


class ElasticDL(KubeDL):
    """One Master, which makes its workers and parameter servers itself, through the API.

    Its container may have any name: KubeDL looks for `elasticdl` only to add a port.
    """

    specs_field = "elasticdlReplicaSpecs"
    roles = (MASTER,)
    container = ""
    port_name, port = "elasticdl-port", 11111
    operator = "ElasticDLController"
    restart_policy = "Never"

    def __init__(self, resource: Resource, kubeconfig: Path) -> None:
        super().__init__(resource)
        self._kubeconfig = kubeconfig

    def lead_roles(self, job: TrainingJob) -> Sequence[str]:
        return (MASTER,)

    def is_master(self, job: TrainingJob, replica: Replica) -> bool:
        return True

    def succeeded(self, job: TrainingJob, done: set[tuple[str, int]]) -> bool:
        return 0 < job.count(MASTER) <= len(done)

    def environment(self, job: TrainingJob, replica: Replica, places: Endpoints) -> list[Variable]:
        """Nothing of KubeDL's. In a cluster the master's service account lets it in; here, the engine's kubeconfig."""
        return [value("KUBECONFIG", self._kubeconfig)]


class Mars(KubeDL):
    """Schedulers, workers and web services. The job is over when the schedulers are."""

    specs_field = "marsReplicaSpecs"
    roles = (SCHEDULER, WORKER, WEB_SERVICE)
    container = "mars"
    port_name, port = "mars-port", 11111
    operator = "MarsController"
    restart_policies: ClassVar = {SCHEDULER: "Never", WORKER: "ExitCode", WEB_SERVICE: "Always"}
    words = Words(
        succeeded="{job} has successfully completed.",
        failed="{job} is failed because {count} {role} replica(s) failed",
    )

    def reason(self, condition: str) -> str:
        return f"MarsJob{condition}" if condition in ("Failed", "Restarting") else super().reason(condition)

    def lead_roles(self, job: TrainingJob) -> Sequence[str]:
        return (WORKER,)

    def succeeded(self, job: TrainingJob, done: set[tuple[str, int]]) -> bool:
        return 0 < job.count(SCHEDULER) <= sum(role == SCHEDULER for role, _ in done)

    def tolerates(self, job: TrainingJob, role: str) -> bool:
        """Only a scheduler's failure is the job's."""
        return role != SCHEDULER

    def may_start(self, job: TrainingJob, replica: Replica, pods: Sequence[Object]) -> bool:
        """Workers and web services come when a scheduler runs (KubeDL's DAG scheduling)."""
        if replica.role == SCHEDULER or not job.has(SCHEDULER):
            return True
        running = [job.replica_of(pod) for pod in pods if (pod.get("status") or {}).get("phase") == "Running"]
        return sum(role == SCHEDULER for role, _ in running) == job.count(SCHEDULER)

    def extra_status(self, job: TrainingJob) -> dict[str, Any]:
        """Where the web services listen; KubeDL gives the paths of an ingress."""
        places = job.places
        known = [replica for replica in job.of_role(WEB_SERVICE) if replica.key in places]
        return {"webServiceAddresses": [f"http://{job.endpoint(replica, places)}" for replica in known]}

    def environment(self, job: TrainingJob, replica: Replica, places: Endpoints) -> list[Variable]:
        resources = _main_container(job, replica.role, self.container).get("resources") or {}
        found = [
            value("MARS_CPU_TOTAL", _amount(resources, "cpu")),
            value("MARS_MEMORY_TOTAL", _amount(resources, "memory")),
            value("MARS_CPU_USE_PROCESS_STAT", 1),
            value("MARS_MEM_USE_CGROUP_STAT", 1),
            value("MARS_BIND_PORT", job.endpoint(replica, places).port),
            value("MARS_K8S_GROUP_LABELS", "job-name"),
            _field("MARS_CONTAINER_IP", "status.podIP"),
            _field("MARS_K8S_POD_NAME", "metadata.name"),
            _field("MARS_K8S_POD_NAMESPACE", "metadata.namespace"),
            value("MARS_CLUSTER_DETAIL", json.dumps(cluster_detail(job, replica, places, resources))),
        ]
        return found + (_memory_tuning(job, _amount(resources, "memory")) if replica.role == WORKER else [])

    def decorate(self, job: TrainingJob, replica: Replica, pod: Object, places: Endpoints) -> None:
        """Scratch volumes at a worker's spill directories."""
        tuning = job.spec.get("workerMemoryTuningPolicy") or {}
        if replica.role != WORKER:
            return
        for number, path in enumerate(tuning.get("spillDirs") or []):
            name = f"mars-empty-dir-{number}"
            pod["spec"].setdefault("volumes", []).append({"name": name, "emptyDir": {}})
            for container in pod["spec"]["containers"]:
                if container["name"] == self.container:
                    container.setdefault("volumeMounts", []).append({"name": name, "mountPath": path})


def cluster_detail(
    job: TrainingJob, replica: Replica, places: Endpoints, resources: Mapping[str, Any]
) -> dict[str, Any]:
    """Where all pods listen, and which this one is; a worker is told what it may use (mars-project/mars#1458)."""
    cluster = {role.lower(): [str(job.endpoint(peer, places)) for peer in job.of_role(role)] for role in job.specs}
    task: dict[str, Any] = {"type": replica.role.lower(), "index": replica.index}
    if replica.role == WORKER:
        task["resources"] = {"cpu_procs": _amount(resources, "cpu"), "phy_mem": _amount(resources, "memory") >> 20}
    return {"cluster": cluster, "task": task}


def _memory_tuning(job: TrainingJob, memory: int) -> list[Variable]:
    tuning = job.spec.get("workerMemoryTuningPolicy") or {}
    lock_free = tuning.get("lockFreeFileIO")
    found = [
        value("MARS_PLASMA_DIRS", tuning.get("plasmaStore") or _SHARED_MEMORY),
        value("MARS_LOCK_FREE_FILEIO", int(lock_free is None or bool(lock_free))),
    ]
    if tuning.get("spillDirs"):
        found.append(value("MARS_SPILL_DIRS", ",".join(tuning["spillDirs"])))
    if tuning.get("workerCacheSize") is not None:
        cache = int(parse_quantity(tuning["workerCacheSize"]))
    else:
        cache = memory * min(int(tuning.get("workerCachePercentage") or 0), 100) // 100
    return [*found, value("MARS_CACHE_MEM_SIZE", cache)] if cache > 0 else found


def _main_container(job: TrainingJob, role: str, name: str) -> Mapping[str, Any]:
    template = job.specs[role].get("template") or {}
    found = [entry for entry in (template.get("spec") or {}).get("containers") or [] if entry.get("name") == name]
    return found[0] if found else {}


def _amount(resources: Mapping[str, Any], name: str) -> int:
    """What a container asks for, else its limit; whole CPUs or bytes, 0 without either."""
    for kind in ("requests", "limits"):
        asked = (resources.get(kind) or {}).get(name)
        if asked is not None:
            return math.ceil(parse_quantity(asked))
    return 0


def _field(name: str, path: str) -> Variable:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
