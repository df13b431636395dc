"""The pod and the service of one replica: pure."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api import meta
from cpod_jupyter.api.resources import Object
from cpod_jupyter.engine.controllers import pods as podset
from cpod_jupyter.engine.controllers.training.addresses import Endpoints
from cpod_jupyter.engine.controllers.training.kind import Replica, TrainingJob
from cpod_jupyter.engine.kubelet.network import ADDRESS_ANNOTATION


def replica_pod(job: TrainingJob, replica: Replica, places: Endpoints) -> Object:
    """The pod of one replica, with the variables of its kind before its own, so that those can refer to them."""
    template = job.specs[replica.role].get("template") or {}
    policy = job.restart_policy(replica.role)
    pod = podset.from_template(
        template,
        job.obj,
        job.kind.pod_name(job, replica),
        job.kind.labels(job, replica),
        restartPolicy="Never" if policy == "ExitCode" else policy,
    )
    pod["metadata"]["annotations"][ADDRESS_ANNOTATION] = places[replica.key].address
    variables = job.kind.environment(job, replica, places)
    for container in [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]:
        own = list(container.get("env") or [])
        named = {entry["name"] for entry in own}
        container["env"] = [*(entry for entry in variables if entry["name"] not in named), *own]
    job.kind.decorate(job, replica, pod, places)
    return pod


def replica_service(job: TrainingJob, replica: Replica, places: Endpoints) -> Object:
    """The headless Service of one replica, named as its pod (training-operator, CreateNewService)."""
    labels = job.kind.labels(job, replica)
    port = {"name": job.kind.port_name, "port": job.endpoint(replica, places).port, "protocol": "TCP"}
    return owned_object(
        job,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": job.kind.pod_name(job, replica), "labels": labels},
            "spec": {"clusterIP": "None", "selector": labels, "ports": [port]},
        },
    )


def owned_object(job: TrainingJob, obj: dict[str, Any]) -> Object:
    """The object in the job's namespace, controlled by the job."""
    owner = {"namespace": job.namespace, "ownerReferences": [meta.owner_reference(job.obj)]}
    return {**obj, "metadata": {**obj["metadata"], **owner}}
