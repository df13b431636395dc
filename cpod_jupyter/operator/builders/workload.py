"""A CPodJob to the Job or PyTorchJob that runs it, and to the claims it writes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.cpodjob import CPodJobSpec
from cpod_jupyter.api.resources import JOBS, MODELSTORAGES, PYTORCHJOBS, Object, Resource
from cpod_jupyter.operator.builders.claims import claim, claim_volume
from cpod_jupyter.operator.metadata import child_metadata, generation
from cpod_jupyter.operator.pods import whole_number
from cpod_jupyter.operator.settings import Settings

GPU = "nvidia.com/gpu"
GPU_PRODUCT = "nvidia.com/gpu.product"
RDMA = "rdma/rdma_shared_device_a"
CONFIG_PATH = "/etc/cpod"
"""Where the ConfigMap of `spec.configMap` is mounted."""


@dataclass(frozen=True)
class Facts:
    """What was observed and shapes the pods."""

    model_claim: str = ""
    dataset_claim: str = ""
    rdma: bool = False
    """Whether at least two nodes offer RDMA, so that workers can talk through InfiniBand."""


def spec_of(cpodjob: Object) -> CPodJobSpec:
    return CPodJobSpec.model_validate(cpodjob["spec"])


def resource_of(spec: CPodJobSpec) -> Resource:
    """The kind of the job that runs a CPodJob."""
    return PYTORCHJOBS if spec.job_type == "pytorch" else JOBS


def not_supported(spec: CPodJobSpec) -> str:
    """What of a CPodJob this version does not do, as a sentence; empty when it does all of it."""
    asked = {
        f"jobType {spec.job_type}": spec.job_type in ("mpi", "tensorFlow"),
        "gitRepo": spec.git_repo is not None,
        "replicaSpecs": bool(spec.replica_specs),
        "uploadModel": spec.upload_model,
        "datasetIsPublic": spec.dataset_is_public,
        "pretrainModelIsPublic": spec.pretrain_model_is_public,
    }
    found = [name for name, given in asked.items() if given]
    return f"this version does not support {', '.join(found)} of a CPodJob yet; leave it out" if found else ""


def claims(cpodjob: Object, settings: Settings) -> list[Object]:
    """The claims for checkpoints and for the result, as far as the job has paths for them."""
    spec, name = spec_of(cpodjob), meta.name_of(cpodjob)
    wanted = (
        (spec.ckpt_path, names.checkpoint_claim(name), spec.ckpt_volume_size),
        (spec.model_save_path, names.result_claim(name), spec.model_save_volume_size),
    )
    return [
        claim(claim_name, cpodjob, f"{size or settings.result_volume_mib}Mi", settings)
        for path, claim_name, size in wanted
        if path
    ]


def workload(cpodjob: Object, facts: Facts, settings: Settings) -> Object:
    """The job of the CPodJob's own name that does its work."""
    spec = spec_of(cpodjob)
    build = _pytorch_job if resource_of(spec) is PYTORCHJOBS else _batch_job
    retries = settings.job_retries if spec.backoff_limit is None else spec.backoff_limit
    resource = resource_of(spec)
    mark = {names.ANNOTATION_OWNER_GENERATION: str(generation(cpodjob))}
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": child_metadata(meta.name_of(cpodjob), cpodjob, mark),
        "spec": build(cpodjob, spec, facts, settings, retries),
    }


def _batch_job(cpodjob: Object, spec: CPodJobSpec, facts: Facts, settings: Settings, retries: int) -> dict[str, Any]:
    template = pod_template(cpodjob, facts, settings)
    template["spec"]["restartPolicy"] = "Never"
    job: dict[str, Any] = {"backoffLimit": retries, "template": template}
    if spec.worker_replicas > 1:
        count = spec.worker_replicas
        job |= {"completions": count, "parallelism": count}
    if spec.duration:
        job["activeDeadlineSeconds"] = spec.duration * 60
    return job


def _pytorch_job(cpodjob: Object, spec: CPodJobSpec, facts: Facts, settings: Settings, retries: int) -> dict[str, Any]:
    workers = max(spec.worker_replicas, 1)
    policy: dict[str, Any] = {"cleanPodPolicy": "Running", "backoffLimit": retries}
    if spec.duration:
        policy["activeDeadlineSeconds"] = spec.duration * 60
    job: dict[str, Any] = {
        "runPolicy": policy,
        "nprocPerNode": str(max(spec.gpu_required_per_replica, 1)),
        "pytorchReplicaSpecs": {
            "Worker": {
                "replicas": workers,
                # Kubeflow counts restarts only once they happened and then deletes the pod with its last
                # words; where the first failure is final, the pod had better not restart at all.
                "restartPolicy": "OnFailure" if retries else "Never",
                "template": pod_template(cpodjob, facts, settings),
            }
        },
    }
    if workers > 1:
        job["elasticPolicy"] = {"rdzvBackend": "c10d", "minReplicas": workers, "maxReplicas": workers}
    return job


def pod_template(cpodjob: Object, facts: Facts, settings: Settings) -> dict[str, Any]:
    """The template of every replica."""
    spec = spec_of(cpodjob)
    volumes, mounts = _volumes(cpodjob, spec, facts)
    if spec.gpu_required_per_replica > 1:
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": settings.shared_memory}})
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    pod: dict[str, Any] = {"containers": [_container(spec, facts, mounts)], "volumes": volumes}
    if spec.gpu_type:
        pod["nodeSelector"] = {GPU_PRODUCT: spec.gpu_type}
    return {"metadata": {"labels": {names.LABEL_CPODJOB: meta.name_of(cpodjob)}}, "spec": pod}


def _container(spec: CPodJobSpec, facts: Facts, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "pytorch" if resource_of(spec) is PYTORCHJOBS else "general",
        "image": spec.image,
        "volumeMounts": mounts,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if spec.command:
        container["command"] = spec.command
    if spec.args:
        container["args"] = spec.args
    env = list(spec.env or [])
    amounts = {GPU: spec.gpu_required_per_replica} if spec.gpu_required_per_replica else {}
    if facts.rdma and spec.worker_replicas > 1 and resource_of(spec) is PYTORCHJOBS:
        amounts[RDMA] = 1
        # NCCL's names for the InfiniBand transport (NCCL documentation, "Environment Variables"); what
        # the user sets comes after and wins. Registered memory is locked memory: hence IPC_LOCK.
        env = [{"name": "NCCL_NET", "value": "IB"}, {"name": "NCCL_IB_DISABLE", "value": "0"}, *env]
        container["securityContext"] = {"capabilities": {"add": ["IPC_LOCK"]}}
    if amounts:
        texts = {name: str(amount) for name, amount in amounts.items()}
        container["resources"] = {"requests": texts, "limits": dict(texts)}
    if env:
        container["env"] = env
    return container


def _volumes(cpodjob: Object, spec: CPodJobSpec, facts: Facts) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Volumes and their mounts. Model and dataset belong to others too, so they are read-only."""
    name = meta.name_of(cpodjob)
    wanted = (
        ("pretrain-model", spec.pretrain_model_path, facts.model_claim, True),
        ("dataset", spec.dataset_path, facts.dataset_claim, True),
        ("ckpt", spec.ckpt_path, names.checkpoint_claim(name), False),
        ("modelsave", spec.model_save_path, names.result_claim(name), False),
    )
    volumes, mounts = [], []
    for volume, path, claim_name, read_only in wanted:
        if path and claim_name:
            volumes.append(claim_volume(volume, claim_name))
            mounts.append({"name": volume, "mountPath": path, **({"readOnly": True} if read_only else {})})
    if spec.config_map:
        volumes.append({"name": "config", "configMap": {"name": spec.config_map}})
        mounts.append({"name": "config", "mountPath": CONFIG_PATH, "readOnly": True})
    return volumes, mounts


def result_storage(cpodjob: Object, base: Object | None, outcome: dict[str, Any]) -> Object:
    """The ModelStorage of the saved model. Nothing owns it: it outlives the job.

    `outcome` is what the container left as its last message; `adapter` in it says that the files are
    an adapter for the base model and no model of their own.
    """
    name, spec = meta.name_of(cpodjob), spec_of(cpodjob)
    given = cpodjob["metadata"].get("annotations") or {}
    base_spec = base["spec"] if base else {}
    annotations = {
        names.ANNOTATION_MADE_BY: meta.uid_of(cpodjob),
        names.ANNOTATION_MODEL_SIZE: str(whole_number(outcome.get("size"))),
    }
    if spec.pretrain_model_name:
        annotations[names.ANNOTATION_BASE_MODEL] = spec.pretrain_model_name
    for key in (names.ANNOTATION_MODEL_NAME, names.ANNOTATION_FINETUNE):
        if key in given:
            annotations[key] = given[key]
    readable = given.get(names.ANNOTATION_MODEL_NAME) or name
    return {
        "apiVersion": MODELSTORAGES.api_version,
        "kind": MODELSTORAGES.kind,
        "metadata": {
            "name": names.result_storage(name),
            "namespace": meta.namespace_of(cpodjob),
            "labels": {names.LABEL_CPODJOB: name},
            "annotations": annotations,
        },
        "spec": {
            "modeltype": "trained",
            "modelname": readable,
            "pvc": names.result_claim(name),
            "template": str(base_spec.get("template") or ""),
            "category": str(base_spec.get("category") or ""),
            "isloraadapter": outcome.get("adapter") is True,
        },
    }
