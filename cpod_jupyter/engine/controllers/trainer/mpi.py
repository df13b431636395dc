"""TrainJobs by MPI: a launcher that runs mpirun, and nodes in whose pods the ranks run.

Source: Kubeflow Trainer v2.3, runtime/framework/plugins/mpi. As with MPIJob here, mpirun starts its daemons through
`/etc/mpi/kubexec.sh`, so that a node which would run sshd waits instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.api.trainjob import LAUNCHER, NODE
from cpod_jupyter.engine.controllers.trainer.policies import gpus_of, place_key
from cpod_jupyter.engine.controllers.trainer.steps import Step, ml_policy, set_env, trainer_of
from cpod_jupyter.engine.controllers.training import mpi_files
from cpod_jupyter.engine.controllers.training.addresses import Endpoints
from cpod_jupyter.engine.controllers.training.kind import value
from cpod_jupyter.engine.controllers.training.mpi import add_volume, open_mpi, share_paths, wait_instead_of_sshd

_PATH, _VOLUME = "/etc/mpi", "mpi-hostfile"


def inject(job: Object, runtime: Object, found: Sequence[Step]) -> None:
    """The files at /etc/mpi, the keys, Open MPI's variables; nodes that wait."""
    policy = ml_policy(runtime).get("mpi")
    if policy is None:
        return
    name = meta.name_of(job)
    by_name = {step.name: step for step in found}
    for step in (by_name[NODE], by_name[LAUNCHER]):
        keys = {"secretName": keys_name(name), "defaultMode": 0o600, "items": mpi_files.KEY_ITEMS}
        add_volume(
            step.pod_template, "mpi-ssh-auth", {"secret": keys}, str(policy.get("sshAuthMountPath") or "/root/.ssh")
        )
    for container in by_name[NODE].containers:
        wait_instead_of_sshd(container)
    launcher = by_name[LAUNCHER]
    items = [
        {"key": mpi_files.HOSTFILE, "path": mpi_files.HOSTFILE, "mode": 0o444},
        {"key": mpi_files.KUBEXEC, "path": mpi_files.KUBEXEC, "mode": 0o555},
    ]
    add_volume(launcher.pod_template, _VOLUME, {"configMap": {"name": hostfile_name(name), "items": items}}, _PATH)
    share_paths(by_name[NODE].pod, launcher.pod_template)
    for container in launcher.containers:
        slots = slots_of(job, policy, by_name[NODE])
        own = [value("OMPI_MCA_orte_keep_fqdn_hostnames", "true"), value("OMPI_MCA_orte_set_default_slots", slots)]
        set_env(container, [*own, *open_mpi()])


def slots_of(job: Object, policy: Mapping[str, Any], node: Step) -> int:
    """Ranks of a node: the trainer's number, else the policy's, else a rank for each GPU."""
    asked = int(trainer_of(job).get("numProcPerNode") or policy.get("numProcPerNode") or 1)
    if asked == 1 and not trainer_of(job).get("numProcPerNode"):
        return max(1, gpus_of((node.container(NODE) or {}).get("resources")))
    return asked


def companions(job: Object, runtime: Object, found: Sequence[Step], places: Endpoints, pods: Path) -> list[Object]:
    """The ConfigMap with the hosts, and the Secret with the keys; made once."""
    policy = ml_policy(runtime).get("mpi")
    if policy is None:
        return []
    name = meta.name_of(job)
    by_name = {step.name: step for step in found}
    as_node = [by_name[LAUNCHER]] if policy.get("runLauncherAsNode") else []
    hosts = [
        places[place_key(step, index)].address for step in [*as_node, by_name[NODE]] for index in range(step.count)
    ]
    data = {
        mpi_files.HOSTFILE: mpi_files.hostfile(hosts, slots_of(job, policy, by_name[NODE]), colons=False),
        mpi_files.KUBEXEC: mpi_files.kubexec(pods, meta.namespace_of(job), ""),
    }
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": hostfile_name(name)}, "data": data}
    return [config, mpi_files.ssh_keys(keys_name(name))]


def hostfile_name(job: str) -> str:
    return f"{job}-mpi-hostfile"


def keys_name(job: str) -> str:
    return f"{job}-mpi-ssh-auth"
