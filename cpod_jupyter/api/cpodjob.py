"""CPodJob: work with its own image and command, on one or several replicas."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from cpod_jupyter.api.model import Column, KubeModel, crd, fixed_spec, kubernetes_type
from cpod_jupyter.api.resources import CPODJOBS, Object


class CPodJobCondition(StrEnum):
    """Types of a CPodJob's conditions; DataPreparing is True once the data are ready, as in the original."""

    CREATED = "Created"
    DATA_PREPARING = "DataPreparing"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    MODEL_UPLOADING = "ModelUploading"
    MODEL_UPLOADED = "ModelUploaded"


class GitRepo(KubeModel):
    repository: str = Field(description="URL of the repository.")
    revision: str = Field(default="", description="Branch, tag or commit.")


class ReplicaSpec(KubeModel):
    """How many pods of one role, made from which template (Kubeflow common ReplicaSpec)."""

    replicas: int | None = Field(default=None, ge=0, description="Pods of this role; 1 when left out.")
    restart_policy: Literal["Always", "OnFailure", "Never", "ExitCode"] | None = Field(default=None)
    template: dict[str, Any] | None = kubernetes_type("V1PodTemplateSpec", "The pod that each replica is.")


class CPodJobSpec(KubeModel):
    """Run an image, distributed if wanted, with a dataset and a model at hand and the result kept."""

    job_type: Literal["pytorch", "mpi", "tensorFlow", "general"] = Field(
        default="general", description="pytorch: PyTorchJob; mpi: MPIJob; tensorFlow: TFJob; general: Job."
    )
    image: str = Field(description="Container image.")
    command: list[str] = Field(default_factory=list, description="Command, instead of the image's entrypoint.")
    args: list[str] = Field(default_factory=list, description="Arguments of the command.")
    env: list[dict[str, Any]] | None = kubernetes_type(
        "V1EnvVar", "Environment variables, as a container has them.", many=True
    )
    worker_replicas: int = Field(default=1, ge=0, description="Workers; 0 means 1.")
    gpu_required_per_replica: int = Field(default=0, ge=0, description="GPUs that each worker asks for.")
    gpu_type: str = Field(default="", description="GPU type, as the node label nvidia.com/gpu.product has it.")
    replica_specs: dict[str, ReplicaSpec] = Field(
        default_factory=dict,
        description="Kubeflow replica specs by replica type, taken over as they are; their containers get env, the "
        "mounts of the paths named here, and the image where they name none.",
    )
    dataset_name: str = Field(default="", description="DataSetStorage to mount.")
    dataset_path: str = Field(default="", description="Where the dataset is mounted.")
    dataset_is_public: bool = Field(default=False, description="The dataset is in the namespace `public`.")
    pretrain_model_name: str = Field(default="", description="ModelStorage to mount.")
    pretrain_model_path: str = Field(default="", description="Where the model is mounted.")
    pretrain_model_is_public: bool = Field(default=False, description="The model is in the namespace `public`.")
    code_path: str = Field(default="", description="Where gitRepo is cloned to.")
    git_repo: GitRepo | None = Field(default=None, description="A repository that is cloned to codePath first.")
    ckpt_path: str = Field(default="", description="Where the claim for checkpoints is mounted.")
    ckpt_volume_size: int = Field(default=0, ge=0, description="Size of the claim for checkpoints, MiB.")
    model_save_path: str = Field(default="", description="Where the claim for the result is mounted.")
    model_save_volume_size: int = Field(default=0, ge=0, description="Size of the claim for the result, MiB.")
    upload_model: bool = Field(default=False, description="Upload the result once the job has succeeded.")
    duration: int = Field(default=0, ge=0, description="Minutes that the job may run; 0 for no limit.")
    backoff_limit: int | None = Field(default=None, ge=0, description="Restarts before the job counts as failed.")
    config_map: str = Field(default="", description="A ConfigMap that is mounted read-only at /etc/cpod.")

    def paths(self) -> dict[str, str]:
        """Where something of the job's is mounted, by the field that says so; without an ending slash."""
        fields = {
            "pretrainModelPath": self.pretrain_model_path if self.pretrain_model_name else "",
            "datasetPath": self.dataset_path if self.dataset_name else "",
            "ckptPath": self.ckpt_path,
            "modelSavePath": self.model_save_path,
            "codePath": self.code_path if self.git_repo else "",
        }
        return {field: path.rstrip("/") or path for field, path in fields.items() if path}


class Condition(KubeModel):
    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str = ""
    message: str = ""
    last_update_time: str | None = None
    last_transition_time: str | None = None


class CPodJobStatus(KubeModel):
    conditions: list[Condition] = Field(default_factory=list, max_length=32)
    start_time: str | None = None
    completion_time: str | None = None
    last_reconcile_time: str | None = None
    model_storage: str = Field(default="", description="The ModelStorage made from the saved model.")
    observed_generation: int = Field(default=0, json_schema_extra={"format": "int64"})


def _held(kind: CPodJobCondition) -> str:
    """In CEL: whether the condition held before the change."""
    return f"oldSelf.status.conditions.exists(c, c.type == '{kind}' && c.status == 'True')"


FIXED = fixed_spec(
    unless="!has(oldSelf.status) || !has(oldSelf.status.conditions)"
    f" || !{_held(CPodJobCondition.DATA_PREPARING)} || {_held(CPodJobCondition.FAILED)}",
    message="the job has begun, so its spec is fixed until it fails; "
    "to run another spec, apply it under another name, or delete this CPodJob first",
)
"""What a job does may be changed while it waits for its data (DataPreparing is not True yet), and after it failed."""


def cpodjob_crd() -> Object:
    columns = (
        Column("Type", ".spec.jobType"),
        Column("State", ".status.conditions[-1:].type"),
        Column("Age", ".metadata.creationTimestamp", "date"),
    )
    return crd(CPODJOBS, CPodJobSpec, CPodJobStatus, columns, (FIXED,))
