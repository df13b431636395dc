"""What whoever runs the operator may choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    upload_destination: str = ""
    """URI that `uploadModel` uploads results under, such as s3://BUCKET/PREFIX: models/NAMESPACE/NAME and
    adapters/NAMESPACE/NAME are made there; empty for none."""
    upload_retries: int = 4
    """How often a failed upload is tried again; what was sent is not sent again."""
    upload_minutes: int = 24 * 60
    """How long an upload may take with all its tries."""
    pods_share_files: bool = False
    """Whether pods see the files of this machine, so that one can upload to file://; on the embedded engine, whose
    pods are processes, they do, whatever is said here."""
    shared_network: bool = False
    """Whether pods share one network, each with an address of its own in it: a server then listens on its pod's
    address only, and elsewhere on all, which Knative needs; on the embedded engine they do, whatever is said here."""
    hub_token_secret: str = "huggingface"
    """Secret, with the key `token`, for models and datasets of the hub that need an account; may be absent."""
    object_store_secret: str = "object-store"
    """Secret whose keys are environment variables for object stores (AWS_ACCESS_KEY_ID, …); may be absent."""
    modelscope_token_secret: str = "modelscope"
    """Secret, with the key `token`, for what needs an account of the ModelScope hub; may be absent."""
    progress_seconds: float = 5.0
    """Time between two looks at how far a download is."""
    public_namespace: str = "public"
    """Namespace of the storages that everybody may use (`datasetIsPublic`, `modelIsPublic`, …), and of the catalogue's
    ConfigMap `support-models`."""
    vllm_image: str = "vllm/vllm-openai:v0.18.0"
    """Image of vLLM, which serves models on GPUs; empty to have the runtime image do it there too."""
    largest_cpu_model: str = "8G"
    """Bytes of a model's files up to which an Inference that asks for no GPU is served by a CPU."""
    ray_image: str = "rayproject/ray-llm:2.52.0-py311-cu128"
    """Image of Ray with Ray Serve LLM and vLLM, for Inferences with backend ray; the tag begins with Ray's version."""
    kserve_deployment_mode: Literal["", "Standard", "Knative", "RawDeployment", "Serverless"] = ""
    """KServe's mode for InferenceServices: Standard or Knative, before KServe 0.16 RawDeployment or Serverless; empty
    for the default of the cluster's KServe."""
    ingress: bool = False
    """Whether each Inference gets an Ingress."""
    ingress_class: str = "nginx"
    """Class of the Ingresses; paths are rewritten by the annotations of ingress-nginx."""
    ingress_domain: str = ""
    """Domain under which the Ingresses answer; empty for any host name."""
    ingress_tls_secret: str = ""
    """Secret with the domain's certificate, in the Inference's namespace; empty for plain HTTP."""
    inference_prefix: str = "/inference/api"
    """Path before an Inference's name. Empty to give each a host name instead, NAME-NAMESPACE.DOMAIN."""
    web_ui: bool = False
    """Whether each Inference that can chat gets a web page to chat on."""
    web_ui_image: str = ""
    """Image of that page: it listens on port 8000, and is told where the model answers by API_URL."""
    web_ui_prefix: str = "/inference"
    """Path before an Inference's name, for the web page."""
