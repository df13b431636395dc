"""A CPodJob to the job that runs it: a Job, PyTorchJob, MPIJob or TFJob of its own name."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.cpodjob import CPodJobSpec
from cpod_jupyter.api.quantity import is_quantity, parse_quantity
from cpod_jupyter.api.resources import JOBS, MPIJOBS_V2BETA1, PYTORCHJOBS, TFJOBS, Object, Resource
from cpod_jupyter.api.schema import nearest
from cpod_jupyter.operator.builders.workload import GPU, Facts, clash, given_template, labels, pod_template, spec_of
from cpod_jupyter.operator.metadata import annotation, child_metadata, generation
from cpod_jupyter.operator.settings import Settings


@dataclass(frozen=True)
class JobKind:
    """How a job type is run. `container` is the name that the kind looks for; batch Jobs have no roles."""

    resource: Resource
    container: str
    specs_field: str = ""
    roles: tuple[str, ...] = ()


KINDS = {
    "general": JobKind(JOBS, "general"),
    "pytorch": JobKind(PYTORCHJOBS, "pytorch", "pytorchReplicaSpecs", ("Master", "Worker")),
    "mpi": JobKind(MPIJOBS_V2BETA1, "worker", "mpiReplicaSpecs", ("Launcher", "Worker")),
    "tensorFlow": JobKind(
        TFJOBS, "tensorflow", "tfReplicaSpecs", ("Chief", "Master", "Worker", "PS", "Evaluator")
    ),
}  # fmt: skip
RESOURCES = tuple(kind.resource for kind in KINDS.values())


def kind_of(spec: CPodJobSpec) -> JobKind:
    return KINDS[spec.job_type]


def contradiction(spec: CPodJobSpec) -> str:
    """What of a CPodJob does not go together, as a sentence; else empty."""
    if spec.git_repo is not None and not spec.code_path:
        return "gitRepo without codePath: say where the repository is to be cloned to, such as /workspace"
    if spec.upload_model and not spec.model_save_path:
        return "uploadModel without modelSavePath: say where the program saves the model that is to be uploaded"
    for field, path in spec.paths().items():
        if not path.startswith("/"):
            return f"{field} is {path!r}: it has to be an absolute path, for something is mounted there"
    for (first, path), (second, other) in itertools.combinations(spec.paths().items(), 2):
        if path == other:
            return f"{first} and {second} are both {path}: nothing can be mounted over something else"
    return _wrong_replicas(spec)


def _wrong_replicas(spec: CPodJobSpec) -> str:
    roles = kind_of(spec).roles
    for role, given in spec.replica_specs.items():
        if not roles:
            return "replicaSpecs: a job of type general has no replica types; use pytorch, mpi or tensorFlow"
        if role not in roles:
            return f"replicaSpecs: {role} is none of {', '.join(roles)} of a {spec.job_type} job{nearest(role, roles)}"
        if not ((given.template or {}).get("spec") or {}).get("containers"):
            return f"replicaSpecs.{role}: template.spec.containers is required"
        if sentence := clash(spec, (given.template or {})["spec"]):
            return f"replicaSpecs.{role}: {sentence}"
    return ""


def workload(cpodjob: Object, facts: Facts, settings: Settings) -> Object:
    """The job of the CPodJob's own name that does its work."""
    spec = spec_of(cpodjob)
    kind = kind_of(spec)
    retries = settings.job_retries if spec.backoff_limit is None else spec.backoff_limit
    mark = {names.ANNOTATION_OWNER_GENERATION: str(generation(cpodjob))}
    build = _training_job if kind.roles else _batch_job
    return {
        "apiVersion": kind.resource.api_version,
        "kind": kind.resource.kind,
        "metadata": child_metadata(meta.name_of(cpodjob), cpodjob, mark),
        "spec": build(cpodjob, spec, facts, settings, retries),
    }


def _batch_job(cpodjob: Object, spec: CPodJobSpec, facts: Facts, settings: Settings, retries: int) -> dict[str, Any]:
    template = pod_template(cpodjob, facts, settings, kind_of(spec).container)
    template["spec"]["restartPolicy"] = "Never"
    job: dict[str, Any] = {"backoffLimit": retries, "template": template}
    if spec.worker_replicas > 1:
        count = spec.worker_replicas
        job |= {"completions": count, "parallelism": count}
    if spec.duration:
        job["activeDeadlineSeconds"] = spec.duration * 60
    return job


def _training_job(cpodjob: Object, spec: CPodJobSpec, facts: Facts, settings: Settings, retries: int) -> dict[str, Any]:
    kind = kind_of(spec)
    workers = _workers(spec)
    elastic = spec.job_type == "pytorch" and workers > 1
    # Of an elastic job the operator takes away what is left (`operator.leftovers`).
    policy: dict[str, Any] = {"cleanPodPolicy": "None" if elastic else "Running", "backoffLimit": retries}
    if spec.duration:
        policy["activeDeadlineSeconds"] = spec.duration * 60
    job: dict[str, Any] = {"runPolicy": policy}
    if spec.job_type == "pytorch":
        job["nprocPerNode"] = str(_processes(spec))
    elif spec.job_type == "mpi":
        job["slotsPerWorker"] = _processes(spec)
    if elastic:
        job["elasticPolicy"] = {"rdzvBackend": "c10d", "minReplicas": workers, "maxReplicas": workers}
    if spec.replica_specs:
        return {**job, kind.specs_field: _given(cpodjob, spec, facts, settings)}
    restart = _restart_policy(cpodjob, retries)
    template = pod_template(cpodjob, facts, settings, kind.container)
    specs = {"Worker": {"replicas": workers, "restartPolicy": restart, "template": template}}
    if spec.job_type == "mpi":
        specs = {"Launcher": _launcher(cpodjob, spec, template, restart), **specs}
        worker = template["spec"]["containers"][0]
        for field in ("command", "args"):
            worker.pop(field, None)  # a worker runs what mpirun starts in it
    return {**job, kind.specs_field: specs}


def _restart_policy(cpodjob: Object, retries: int) -> str:
    """What becomes of a pod that fails.

    Kubeflow counts restarts only once they happened and then deletes the pod with its last words; where the first
    failure is final, the pod had better not restart at all. Our trainer's own failures are final (its exit codes are
    below 128), and what was killed goes on from its last checkpoint; it gives up by itself (`runtime.tries`).
    """
    if annotation(cpodjob, names.ANNOTATION_FINETUNE):
        return "ExitCode"
    return "OnFailure" if retries else "Never"


def _processes(spec: CPodJobSpec) -> int:
    """Processes of a replica: one for each of its GPUs, and one where it has none."""
    given = spec.replica_specs.get("Worker") or spec.replica_specs.get("Master")
    containers = ((given.template or {}).get("spec") or {}).get("containers") or [] if given else []
    amounts = [((container.get("resources") or {}).get("limits") or {}).get(GPU, 0) for container in containers]
    counts = [int(parse_quantity(amount)) for amount in amounts if is_quantity(amount)]
    return max(spec.gpu_required_per_replica, *counts, 1)


def _workers(spec: CPodJobSpec) -> int:
    """Workers that have to find each other; those with a master meet there."""
    if not spec.replica_specs:
        return max(spec.worker_replicas, 1)
    worker = spec.replica_specs.get("Worker")
    return 1 if worker is None or "Master" in spec.replica_specs or worker.replicas is None else worker.replicas


def _launcher(cpodjob: Object, spec: CPodJobSpec, worker: dict[str, Any], restart: str) -> dict[str, Any]:
    """The pod that runs the command, which is an mpirun: it works on no GPU itself.

    Not in the host's IPC namespace, as the original has it: MPI's ranks are in the workers, and a namespace that keeps
    Kubernetes' baseline (Pod Security Standards) refuses such a pod. Who needs it sets `hostIPC` in `replicaSpecs`.
    """
    like = worker["spec"]["containers"][0]
    kept = ("image", "command", "args", "volumeMounts", "terminationMessagePolicy")
    container = {"name": "launcher", **{field: copy.deepcopy(like[field]) for field in kept if field in like}}
    if spec.env:
        container["env"] = copy.deepcopy(spec.env)
    fields = [field for field in ("initContainers", "volumes") if field in worker["spec"]]
    shared = {field: copy.deepcopy(worker["spec"][field]) for field in fields}
    template = {"metadata": {"labels": labels(cpodjob)}, "spec": {"containers": [container], **shared}}
    return {"replicas": 1, "restartPolicy": restart, "template": template}


def _given(cpodjob: Object, spec: CPodJobSpec, facts: Facts, settings: Settings) -> dict[str, Any]:
    """The replica specs as they were given; their pods are known as this job's, and have its data at hand."""
    found: dict[str, Any] = {}
    for role, given in spec.replica_specs.items():
        template = given_template(cpodjob, given.template or {}, facts, settings)
        found[role] = {"replicas": 1 if given.replicas is None else given.replicas, "template": template}
        if given.restart_policy:
            found[role]["restartPolicy"] = given.restart_policy
    return found
