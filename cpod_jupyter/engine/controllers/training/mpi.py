"""MPIJob: a launcher that runs mpirun, and workers in whose pods the ranks run.

Source: training-operator v1.9 (package mpi) for `v1`, mpi-operator v0.7 for `v2beta1`. mpirun starts its daemons
with the program `/etc/mpi/kubexec.sh`, which runs them in the workers' pods, where a cluster has `kubectl exec` (v1)
or ssh (v2beta1). So workers need no sshd: where a worker would run one, it waits instead. The launcher is a pod; what
mpi-operator has its batch Job do, restarts and limits, the job's own controller does. All this is for pods that are
processes: kubexec.sh runs this machine's Python, which a real image does not have.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from cpod_jupyter.api import meta
from cpod_jupyter.api.kubeflow import LABEL_JOB_NAME, LABEL_OPERATOR, LABEL_ROLE
from cpod_jupyter.api.resources import CONFIGMAPS, MPIJOBS, MPIJOBS_V2BETA1, SECRETS, SERVICES, Object
from cpod_jupyter.control.api import KubeApi
from cpod_jupyter.engine.controllers.training import mpi_files
from cpod_jupyter.engine.controllers.training.addresses import Endpoints
from cpod_jupyter.engine.controllers.training.kind import (
    Companion,
    Replica,
    TrainingJob,
    TrainingKind,
    Variable,
    Words,
    value,
)
from cpod_jupyter.errors import NotFound

LAUNCHER, WORKER = "Launcher", "Worker"
OPEN_MPI, INTEL, MPICH = "OpenMPI", "Intel", "MPICH"
_CONFIG_PATH, _CONFIG_VOLUME = "/etc/mpi", "mpi-job-config"
_HOSTFILE, _KUBEXEC = f"{_CONFIG_PATH}/{mpi_files.HOSTFILE}", f"{_CONFIG_PATH}/{mpi_files.KUBEXEC}"
_WAIT = ("sleep", "31536000")
"""What a worker does: a year, as `sleep 365d`, which not every system's sleep takes."""
_SHARED = ("persistentVolumeClaim", "hostPath", "configMap", "secret")
"""Volumes that are the same files for every pod which has them."""


class MPI(TrainingKind):
    """What both versions have in common."""

    specs_field = "mpiReplicaSpecs"
    roles = (LAUNCHER, WORKER)
    container = ""
    port_name, port = "", 0
    default_replicas: ClassVar = {LAUNCHER: 1, WORKER: 0}
    with_services = False

    def __init__(self, home: Path) -> None:
        self._pods = home.resolve() / "pods"

    def lead_roles(self, job: TrainingJob) -> Sequence[str]:
        return (LAUNCHER,)

    def is_master(self, job: TrainingJob, replica: Replica) -> bool:
        return replica.role == LAUNCHER

    def succeeded(self, job: TrainingJob, done: set[tuple[str, int]]) -> bool:
        return (LAUNCHER, 0) in done

    def pod_name(self, job: TrainingJob, replica: Replica) -> str:
        return f"{job.name}-launcher" if replica.role == LAUNCHER else super().pod_name(job, replica)

    def faults(self, job: TrainingJob) -> Iterator[str]:
        if job.count(LAUNCHER) != 1:
            yield f"{self.specs_field}[{LAUNCHER}].replicas must be 1, not {job.count(LAUNCHER)}"

    def hosts(self, job: TrainingJob) -> list[Replica]:
        """The replicas in which ranks run."""
        return job.of_role(WORKER)

    def implementation(self, job: TrainingJob) -> str:
        return OPEN_MPI

    def companions(self, job: TrainingJob, places: Endpoints, pods: Sequence[Object]) -> list[Companion]:
        running = {job.replica_of(pod) for pod in pods if (pod.get("status") or {}).get("phase") == "Running"}
        hosts = self.hosts(job)
        up = [places[host.key].address for host in hosts if (host.role, host.index) in running]

        def config() -> Object:
            colons = self.implementation(job) != OPEN_MPI
            every = [places[host.key].address for host in hosts]
            data = {
                mpi_files.HOSTFILE: mpi_files.hostfile(every, slots(job), colons=colons),
                mpi_files.KUBEXEC: mpi_files.kubexec(
                    self._pods, job.namespace, str(job.spec.get("mainContainer") or "")
                ),
                mpi_files.DISCOVER: mpi_files.discover_hosts(up, self.discovered_slots(job)),
            }
            metadata = {"name": f"{job.name}-config", "labels": {"app": job.name}}
            return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

        return [Companion(CONFIGMAPS, f"{job.name}-config", config, follows=True)]

    def discovered_slots(self, job: TrainingJob) -> int | None:
        """The slots that discover_hosts.sh gives with each host."""
        return slots(job)

    def decorate(self, job: TrainingJob, replica: Replica, pod: Object, places: Endpoints) -> None:
        """The files at /etc/mpi; a worker that waits; a launcher that knows the workers' paths."""
        items = [
            {"key": mpi_files.HOSTFILE, "path": mpi_files.HOSTFILE, "mode": 0o444},
            {"key": mpi_files.KUBEXEC, "path": mpi_files.KUBEXEC, "mode": 0o555},
            {"key": mpi_files.DISCOVER, "path": mpi_files.DISCOVER, "mode": 0o555},
        ]
        add_volume(pod, _CONFIG_VOLUME, {"configMap": {"name": f"{job.name}-config", "items": items}}, _CONFIG_PATH)
        if replica.role == WORKER:
            wait_instead_of_sshd(pod["spec"]["containers"][0])
        elif job.has(WORKER):
            share_paths((job.specs[WORKER].get("template") or {}).get("spec") or {}, pod)


def slots(job: TrainingJob) -> int:
    """Ranks that a worker holds."""
    return int(job.spec.get("slotsPerWorker") or 1)


class MPIv1(MPI):
    """training-operator's version."""

    resource = MPIJOBS
    operator = "mpijob-controller"
    restart_policy = "Never"

    def owns(self, api: KubeApi, obj: Object) -> bool:
        """Not the objects of v2beta1, which shares the CRD where the engine's own serves both: its defaults tell."""
        return "mpiImplementation" not in obj["spec"]

    def run_policy(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        policy = spec.get("runPolicy") or {}
        return {"cleanPodPolicy": spec.get("cleanPodPolicy"), **policy} if spec.get("cleanPodPolicy") else policy

    def environment(self, job: TrainingJob, replica: Replica, places: Endpoints) -> list[Variable]:
        if replica.role == WORKER:
            return []
        intel = [
            value("I_MPI_HYDRA_BOOTSTRAP", "rsh"),
            value("I_MPI_HYDRA_BOOTSTRAP_EXEC", _KUBEXEC),
            value("I_MPI_HYDRA_HOST_FILE", _HOSTFILE),
        ]
        return [*open_mpi(), *intel, *_without_gpus()]


class MPIv2(MPI):
    """mpi-operator's version."""

    resource = MPIJOBS_V2BETA1
    operator = "mpi-operator"
    restart_policies: ClassVar = {LAUNCHER: "OnFailure", WORKER: "Never"}
    words = Words(
        created="{place} is created.", running="{place} is running.", succeeded="{place} successfully completed."
    )

    def owns(self, api: KubeApi, obj: Object) -> bool:
        """The objects that were made as v2beta1; all, where only v2beta1 is served."""
        try:
            seen = api.get(MPIJOBS, meta.name_of(obj), meta.namespace_of(obj))
        except NotFound:
            return True
        return "mpiImplementation" in seen["spec"]

    def labels(self, job: TrainingJob, replica: Replica) -> dict[str, str]:
        return {**super().labels(job, replica), LABEL_ROLE: replica.role.lower()}

    def is_running(self, job: TrainingJob, running: set[tuple[str, int]]) -> bool:
        """With the launcher, every worker runs."""
        return {(replica.role, replica.index) for replica in job.replicas} <= running

    def tolerates(self, job: TrainingJob, role: str) -> bool:
        """A worker's failure is mpirun's to notice."""
        return role == WORKER

    def may_start(self, job: TrainingJob, replica: Replica, pods: Sequence[Object]) -> bool:
        if replica.role == WORKER or job.spec.get("launcherCreationPolicy") != "WaitForWorkersReady":
            return True
        ready = {job.replica_of(pod) for pod in pods if meta.is_true(pod, "Ready")}
        return all((worker.role, worker.index) in ready for worker in job.of_role(WORKER))

    def faults(self, job: TrainingJob) -> Iterator[str]:
        yield from super().faults(job)
        for role in job.specs:
            if job.restart_policy(role) not in ("Never", "OnFailure"):
                yield f"{self.specs_field}[{role}].restartPolicy must be Never or OnFailure"

    def implementation(self, job: TrainingJob) -> str:
        return str(job.spec.get("mpiImplementation") or OPEN_MPI)

    def hosts(self, job: TrainingJob) -> list[Replica]:
        launcher = job.of_role(LAUNCHER) if job.spec.get("runLauncherAsWorker") else []
        return [*launcher, *job.of_role(WORKER)]

    def discovered_slots(self, job: TrainingJob) -> int | None:
        return None

    def companions(self, job: TrainingJob, places: Endpoints, pods: Sequence[Object]) -> list[Companion]:
        def service() -> Object:
            selector = {LABEL_OPERATOR: self.operator, LABEL_JOB_NAME: job.name}
            metadata = {"name": job.name, "labels": {"app": job.name}}
            spec = {"clusterIP": "None", "selector": selector}
            return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}

        keys = f"{job.name}-ssh"
        return [
            *super().companions(job, places, pods),
            Companion(SERVICES, job.name, service),
            Companion(SECRETS, keys, lambda: mpi_files.ssh_keys(keys)),
        ]

    def environment(self, job: TrainingJob, replica: Replica, places: Endpoints) -> list[Variable]:
        role = value("K_MPI_JOB_ROLE", replica.role.lower())
        if replica.role == WORKER:
            return [role]
        count, attempts = slots(job), "-o ConnectionAttempts=10"
        per_implementation = {
            OPEN_MPI: [
                value("OMPI_MCA_orte_keep_fqdn_hostnames", "true"),
                value("OMPI_MCA_plm_rsh_args", attempts),
                *open_mpi(),
                value("OMPI_MCA_orte_set_default_slots", count),
            ],
            INTEL: [
                value("I_MPI_HYDRA_HOST_FILE", _HOSTFILE),
                value("I_MPI_HYDRA_BOOTSTRAP", "ssh"),
                value("I_MPI_HYDRA_BOOTSTRAP_EXEC", _KUBEXEC),
                value("I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS", attempts),
                value("I_MPI_PERHOST", count),
            ],
            MPICH: [
                value("HYDRA_HOST_FILE", _HOSTFILE),
                value("HYDRA_LAUNCHER", "ssh"),
                value("HYDRA_LAUNCHER_EXEC", _KUBEXEC),
                value("HYDRA_LAUNCH_EXTRA_ARGS", attempts),
            ],
        }
        gpus = [] if job.spec.get("runLauncherAsWorker") else _without_gpus()
        return [role, *per_implementation[self.implementation(job)], *gpus]

    def decorate(self, job: TrainingJob, replica: Replica, pod: Object, places: Endpoints) -> None:
        super().decorate(job, replica, pod, places)
        pod["spec"]["hostname"] = self.pod_name(job, replica)
        pod["spec"]["subdomain"] = job.name
        secret = {"secretName": f"{job.name}-ssh", "items": mpi_files.KEY_ITEMS, "defaultMode": 0o600}
        add_volume(pod, "ssh-auth", {"secret": secret}, str(job.spec.get("sshAuthMountPath") or "/root/.ssh"))


def open_mpi() -> list[Variable]:
    """Open MPI's parameters; from version 5 on its launcher is PRRTE, with names of its own.

    Its networks leave loopback out, where all pods of a machine are; some of its collectives take hosts of one name
    for one node, and fail; and it won't run as root unless told that this is meant, as in a container it is.
    """
    loopback = next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), "lo")
    return [
        value("OMPI_MCA_plm_rsh_agent", _KUBEXEC),
        value("OMPI_MCA_orte_default_hostfile", _HOSTFILE),
        value("OMPI_MCA_oob_tcp_if_include", loopback),
        value("OMPI_MCA_btl_tcp_if_include", loopback),
        value("OMPI_MCA_coll", "^han,xhc,sm"),
        value("OMPI_ALLOW_RUN_AS_ROOT", 1),
        value("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", 1),
        value("PRTE_MCA_plm_ssh_agent", _KUBEXEC),
        value("PRTE_MCA_prte_default_hostfile", _HOSTFILE),
        value("PRTE_ALLOW_RUN_AS_ROOT", 1),
        value("PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", 1),
    ]


def _without_gpus() -> list[Variable]:
    return [value("NVIDIA_VISIBLE_DEVICES", ""), value("NVIDIA_DRIVER_CAPABILITIES", "")]


def add_volume(pod: Object, name: str, source: dict[str, Any], path: str) -> None:
    """A volume of a pod, mounted in all its containers."""
    pod["spec"]["volumes"] = [*(pod["spec"].get("volumes") or []), {"name": name, **source}]
    for container in pod["spec"]["containers"]:
        container["volumeMounts"] = [*(container.get("volumeMounts") or []), {"name": name, "mountPath": path}]


def wait_instead_of_sshd(container: dict[str, Any]) -> None:
    """Have a worker's container wait where it would run sshd, which nobody calls here; probes of it go as well."""
    command = [*(container.get("command") or []), *(container.get("args") or [])]
    if not command or any(Path(word).name == "sshd" for word in " ".join(command).split()):
        container["command"], container["args"] = list(_WAIT), []
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            container.pop(probe, None)


def share_paths(worker: Mapping[str, Any], launcher: Object) -> None:
    """Mount in the launcher what only workers (of that pod spec) mount: a rank's command line is the launcher's, and
    paths in it can be put in this machine's terms only where they are mounted. Scratch volumes are each pod's own."""
    sources = {volume["name"]: volume for volume in worker.get("volumes") or []}
    main = launcher["spec"]["containers"][0]
    mounted = {mount["mountPath"] for mount in main.get("volumeMounts") or []}
    for mount in (worker.get("containers") or [{}])[0].get("volumeMounts") or []:
        source = sources.get(mount["name"])
        if source is None or mount["mountPath"] in mounted or not any(key in source for key in _SHARED):
            continue
        name = f"worker-{mount['name']}"
        if name not in {volume["name"] for volume in launcher["spec"]["volumes"]}:
            launcher["spec"]["volumes"].append({**source, "name": name})
        main["volumeMounts"].append({**mount, "name": name})
