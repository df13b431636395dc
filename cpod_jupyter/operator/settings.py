"""What whoever runs the operator may choose."""

from __future__ import annotations

from dataclasses import dataclass

from cpod_jupyter.version import VERSION


@dataclass(frozen=True)
class Settings:
    """Sizes are Kubernetes quantities unless a unit is named."""

    runtime_image: str = f"cpod-jupyter/runtime:{VERSION}"
    """Image with `python -m cpod_jupyter.runtime`: it downloads, trains and serves."""
    storage_class: str = ""
    """Storage class of the claims, which must offer ReadWriteMany; empty for the cluster's default."""
    model_volume: str = "50Gi"
    """Size of a model's claim when its size is not known before the download."""
    dataset_volume: str = "5Gi"
    """Size of a dataset's claim when its size is not known before the download."""
    result_volume_mib: int = 30720
    """Least size of the claims for a result and its checkpoints where the job names none, MiB."""
    shared_memory: str = "5Gi"
    """Size of /dev/shm for replicas with several GPUs, where NCCL and data loaders exchange data."""
    default_gpu_count: int = 1
    """GPUs of a FineTune that names no number, on a cluster that has GPUs."""
    download_retries: int = 2
    """How often a failed download is tried again."""
    job_retries: int = 2
    """How often a CPodJob that sets no backoffLimit is tried again."""
    hub_token_secret: str = "huggingface"
    """Secret, with the key `token`, for models and datasets of the hub that need an account; may be absent."""
    vllm_image: str = "vllm/vllm-openai:v0.18.0"
    """Image of vLLM, which serves models on GPUs; empty to have the runtime image do it there too."""
    largest_cpu_model: str = "8G"
    """Bytes of a model's files up to which an Inference that asks for no GPU is served by a CPU."""
    ray_image: str = "rayproject/ray-llm:2.52.0-py311-cu128"
    """Image of Ray with Ray Serve LLM and vLLM, for Inferences with backend ray; the tag begins with Ray's version."""
    kserve_deployment_mode: str = ""
    """KServe's mode for InferenceServices: Standard or Knative (before 0.16 RawDeployment and Serverless); empty for
    the default of the cluster's KServe."""

    @property
    def on_knative(self) -> bool:
        """Whether it is known that Knative runs the predictors."""
        return self.kserve_deployment_mode in ("Knative", "Serverless")
