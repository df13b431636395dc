"""A CPodJob to the pods that do its work, and to the claims they write to."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.cpodjob import CPodJobSpec, GitRepo
from cpod_jupyter.api.resources import MODELSTORAGES, Object
from cpod_jupyter.operator.builders.claims import MIB, claim, claim_volume, with_headroom
from cpod_jupyter.operator.builders.download import RUNTIME
from cpod_jupyter.operator.pods import whole_number
from cpod_jupyter.operator.settings import Settings

GPU = "nvidia.com/gpu"
GPU_PRODUCT = "nvidia.com/gpu.product"
RDMA = "rdma/rdma_shared_device_a"
CONFIG_PATH = "/etc/cpod"
"""Where the ConfigMap of `spec.configMap` is mounted."""
_VOLUMES = {
    "pretrainModelPath": "pretrain-model",
    "datasetPath": "dataset",
    "ckptPath": "ckpt",
    "modelSavePath": "modelsave",
    "codePath": "code",
}
"""The name of the volume that is mounted at the path of a field."""
LOGS_PATH = "/logs"
"""Where the claim for TensorBoard's logs is mounted, in a namespace that has one."""


@dataclass(frozen=True)
class Facts:
    """What was observed and shapes the pods."""

    model_claim: str = ""
    model_size: int = 0
    """Bytes of the base model; 0 when that is not known."""
    dataset_claim: str = ""
    logs_claim: str = ""
    rdma: bool = False
    """Whether at least two nodes that the workers may run on offer RDMA, so that they can talk by InfiniBand."""


def spec_of(cpodjob: Object) -> CPodJobSpec:
    return CPodJobSpec.model_validate(cpodjob["spec"])


def claims(cpodjob: Object, facts: Facts, settings: Settings) -> list[Object]:
    """The claims for checkpoints and for the result, as far as the job has paths for them.

    One that the job gives no size holds the base model at least, and a fifth more.
    """
    spec, name = spec_of(cpodjob), meta.name_of(cpodjob)
    wanted = (
        (spec.ckpt_path, names.checkpoint_claim(name), spec.ckpt_volume_size),
        (spec.model_save_path, names.result_claim(name), spec.model_save_volume_size),
    )
    least = settings.result_volume_mib
    default = with_headroom(facts.model_size) if facts.model_size * 6 // 5 > least * MIB else f"{least}Mi"
    return [
        claim(claim_name, cpodjob, f"{size}Mi" if size else default, settings)
        for path, claim_name, size in wanted
        if path
    ]


def too_small(spec: CPodJobSpec, facts: Facts) -> str:
    """That the claim for the result could not hold a model as large as the base, as a sentence; else empty.

    No reason to refuse the job: what it saves may be an adapter, or have fewer or smaller weights.
    """
    size = spec.model_save_volume_size
    if not (spec.model_save_path and size and facts.model_size > size * MIB):
        return ""
    needed = with_headroom(facts.model_size).removesuffix("Mi")
    return (
        f"modelSaveVolumeSize is {size} MiB, and the base model alone has {-(-facts.model_size // MIB)} MiB: a whole "
        f"model will not fit, an adapter may; ask for {needed} to be safe"
    )


def pod_template(cpodjob: Object, facts: Facts, settings: Settings, container: str) -> dict[str, Any]:
    """The template of a replica that works; `container` is the name that the job's kind wants."""
    spec = spec_of(cpodjob)
    volumes, mounts = _volumes(cpodjob, spec, facts)
    if spec.gpu_required_per_replica > 1:
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": settings.shared_memory}})
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    pod: dict[str, Any] = {"containers": [_container(spec, facts, mounts, container)], "volumes": volumes}
    if spec.git_repo is not None:
        pod["initContainers"] = [_clone(spec.git_repo, spec.code_path, settings)]
    if spec.gpu_type:
        pod["nodeSelector"] = {GPU_PRODUCT: spec.gpu_type}
    return {"metadata": {"labels": labels(cpodjob)}, "spec": pod}


def given_template(cpodjob: Object, given: dict[str, Any], facts: Facts, settings: Settings) -> dict[str, Any]:
    """A template of `replicaSpecs`, with what the CPodJob gives to every container of it: `env`, and what is to be
    mounted at the paths it names. A container without an image gets the CPodJob's; what it has itself stays.
    """
    spec = spec_of(cpodjob)
    template = copy.deepcopy(given)
    template.setdefault("metadata", {}).setdefault("labels", {}).update(labels(cpodjob))
    pod = template["spec"]
    volumes, mounts = _volumes(cpodjob, spec, replace(facts, logs_claim="") if _has_logs(pod) else facts)
    for container in pod["containers"]:
        container.setdefault("image", spec.image)
        if mounts:
            container["volumeMounts"] = [*(container.get("volumeMounts") or []), *copy.deepcopy(mounts)]
        own = container.get("env") or []
        shared = [entry for entry in spec.env or [] if entry["name"] not in {known["name"] for known in own}]
        if shared:
            container["env"] = [*copy.deepcopy(shared), *own]
    if volumes:
        pod["volumes"] = [*(pod.get("volumes") or []), *volumes]
    if spec.git_repo is not None:
        clone = _clone(spec.git_repo, spec.code_path, settings)
        pod["initContainers"] = [clone, *(pod.get("initContainers") or [])]
    return template


def clash(spec: CPodJobSpec, pod: dict[str, Any]) -> str:
    """What a pod of `replicaSpecs` mounts itself where the CPodJob's own is mounted, as a sentence; else empty."""
    paths = {path: field for field, path in spec.paths().items()}
    for container in pod["containers"]:
        for mount in container.get("volumeMounts") or []:
            field = paths.get(str(mount.get("mountPath")).rstrip("/"))
            if field:
                return f"container {container['name']} mounts {mount['mountPath']} itself, which is {field} too"
    ours = {_VOLUMES[field] for field in paths.values()} | ({"config"} if spec.config_map else set())
    taken = sorted({str(volume.get("name")) for volume in pod.get("volumes") or []} & ours)
    return f"the volume name {taken[0]} is the operator's; choose another" if taken else ""


def _has_logs(pod: dict[str, Any]) -> bool:
    """Whether a given pod mounts something where TensorBoard's logs would be, or has a volume of that name."""
    mounts = (mount for container in pod["containers"] for mount in container.get("volumeMounts") or [])
    return any(str(mount.get("mountPath")).rstrip("/") == LOGS_PATH for mount in mounts) or any(
        volume.get("name") == "logs" for volume in pod.get("volumes") or []
    )


def _clone(repo: GitRepo, path: str, settings: Settings) -> dict[str, Any]:
    """The container that brings the code before the work begins."""
    revision = ["--revision", repo.revision] if repo.revision else []
    return {
        "name": "clone",
        "image": settings.runtime_image,
        "command": list(RUNTIME),
        "args": ["clone", "--repository", repo.repository, *revision, "--destination", path],
        "volumeMounts": [{"name": "code", "mountPath": path}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def labels(cpodjob: Object) -> dict[str, str]:
    """What every pod of a CPodJob carries, so that its news find their way."""
    return {names.LABEL_CPODJOB: meta.name_of(cpodjob)}


def _container(spec: CPodJobSpec, facts: Facts, mounts: list[dict[str, Any]], name: str) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": name,
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
    if facts.rdma and spec.worker_replicas > 1 and spec.job_type in ("pytorch", "mpi"):
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
    logs_path = "" if LOGS_PATH in spec.paths().values() else LOGS_PATH
    wanted = (
        ("pretrain-model", spec.pretrain_model_path, facts.model_claim, True),
        ("dataset", spec.dataset_path, facts.dataset_claim, True),
        ("ckpt", spec.ckpt_path, names.checkpoint_claim(name), False),
        ("modelsave", spec.model_save_path, names.result_claim(name), False),
        ("logs", logs_path, facts.logs_claim, False),
    )
    volumes, mounts = [], []
    for volume, path, claim_name, read_only in wanted:
        if path and claim_name:
            volumes.append(claim_volume(volume, claim_name))
            mounts.append({"name": volume, "mountPath": path, **({"readOnly": True} if read_only else {})})
    if spec.config_map:
        volumes.append({"name": "config", "configMap": {"name": spec.config_map}})
        mounts.append({"name": "config", "mountPath": CONFIG_PATH, "readOnly": True})
    if spec.git_repo is not None:
        volumes.append({"name": "code", "emptyDir": {}})
        mounts.append({"name": "code", "mountPath": spec.code_path})
    return volumes, mounts


def base_of(cpodjob: Object) -> str:
    """The ModelStorage of the model it starts from, in its own namespace; empty where it names none."""
    spec = spec_of(cpodjob)
    return names.public_copy(spec.pretrain_model_name) if spec.pretrain_model_is_public else spec.pretrain_model_name


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
        annotations[names.ANNOTATION_BASE_MODEL] = base_of(cpodjob)
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
