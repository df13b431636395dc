"""An Inference with `backend: ray` to KubeRay's RayService (ray.io/v1). Pure.

The application is Ray Serve LLM's own, `ray.serve.llm:build_openai_app` (Ray documentation, "Serving LLMs"):
no code is fetched from anywhere, and the model is the one in the claim.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from cpod_jupyter.api import meta, names
from cpod_jupyter.api.inference import InferenceSpec
from cpod_jupyter.api.resources import RAYSERVICES, Object
from cpod_jupyter.operator.builders import inference as build
from cpod_jupyter.operator.builders import inference_params
from cpod_jupyter.operator.builders.claims import claim_volume
from cpod_jupyter.operator.builders.inference_engines import MODEL_PATH
from cpod_jupyter.operator.builders.inference_short import POOLING
from cpod_jupyter.operator.builders.workload import GPU_PRODUCT
from cpod_jupyter.operator.metadata import child_metadata, generation
from cpod_jupyter.operator.objects import Refused
from cpod_jupyter.operator.settings import Settings

PORT = 8000
"""Where Ray Serve answers."""
_HEAD = {"cpu": "2", "memory": "8Gi"}
_WORKER = {"cpu": "4", "memory": "30Gi"}
"""What the original asks for, beside the GPUs."""
_POD_FIELDS = (
    "nodeSelector", "tolerations", "affinity", "serviceAccountName", "imagePullSecrets", "priorityClassName",
    "runtimeClassName", "schedulerName",
)  # fmt: skip
"""Of a predictor that says where, and not what: they are the Ray pods' as well."""
_SCALING_FIELDS = ("minReplicas", "maxReplicas")


def check(inference: Object) -> None:
    """Raises Refused for what Ray Serve LLM cannot do, or this operator cannot ask it for."""
    spec = build.spec_of(inference)
    predictor = inference["spec"].get("predictor") or {}
    for key in predictor:
        if key not in (*_POD_FIELDS, *_SCALING_FIELDS):
            raise Refused(
                "NotSupported",
                f"backend ray serves the model of modelId, and predictor.{key} means nothing there; leave it out, or "
                f"take backend kserve (of a predictor it takes {', '.join((*_SCALING_FIELDS, *_POD_FIELDS))})",
            )
    inference_params.engine_kwargs(inference_params.parse(spec.params))
    replicas(inference)


def replicas(inference: Object) -> tuple[int, int]:
    """At least and at most. Raises Refused when they contradict each other."""
    bounds = dict(inference["spec"].get("predictor") or {})
    build.scale(bounds, build.spec_of(inference).autoscaler_options)
    low = bounds.get("minReplicas")
    low = 1 if low is None else int(low)
    return low, int(bounds.get("maxReplicas") or max(low, 1))


def gpus_of(spec: InferenceSpec) -> int:
    """GPUs of a replica: Ray Serve LLM runs vLLM, which wants at least one."""
    return max(spec.gpu_count, 1)


def ray_service(inference: Object, claim: str, embedding: bool, settings: Settings) -> Object:
    """The RayService.

    KubeRay makes a new cluster beside the old one when the cluster's specification changes, and switches
    over when that is ready; a change of the application alone it would make in the running cluster, where
    the old replica ends before the new one answers. So the cluster bears the hash of what is served.
    """
    spec = build.spec_of(inference)
    low, high = replicas(inference)
    served = _llm_config(meta.name_of(inference), spec, embedding)
    scaled = {**served, "deployment_config": {"autoscaling_config": {"min_replicas": low, "max_replicas": high}}}
    application = {
        "name": "llm",
        "route_prefix": "/",
        "import_path": "ray.serve.llm:build_openai_app",
        "args": {"llm_configs": [scaled]},
    }
    what = meta.spec_hash([served, claim])
    body = {
        "serveConfigV2": yaml.safe_dump({"applications": [application]}, sort_keys=False),
        "upgradeStrategy": {"type": "NewCluster"},
        "rayClusterConfig": _cluster(inference, spec, claim, what, (low, high), settings),
    }
    marks = {
        names.ANNOTATION_SPEC_HASH: meta.spec_hash(body),
        names.ANNOTATION_OWNER_GENERATION: str(generation(inference)),
        names.ANNOTATION_GPUS: str(gpus_of(spec)),
    }
    return {
        "apiVersion": RAYSERVICES.api_version,
        "kind": RAYSERVICES.kind,
        "metadata": child_metadata(meta.name_of(inference), inference, marks),
        "spec": body,
    }


def _llm_config(name: str, spec: InferenceSpec, embedding: bool) -> dict[str, Any]:
    """Ray Serve LLM's LLMConfig, without how many there are of it."""
    params = inference_params.engine_kwargs(inference_params.parse(spec.params))
    return {
        "model_loading_config": {"model_id": name, "model_source": MODEL_PATH},
        "engine_kwargs": {"tensor_parallel_size": gpus_of(spec), **(POOLING if embedding else {}), **params},
    }


def _cluster(
    inference: Object, spec: InferenceSpec, claim: str, what: str, bounds: tuple[int, int], settings: Settings
) -> dict[str, Any]:
    low, high = bounds
    head = _template(inference, "ray-head", claim, what, settings)
    head_container = head["spec"]["containers"][0]
    head_container["resources"] = {"requests": dict(_HEAD), "limits": dict(_HEAD)}
    head_container["ports"] = [
        {"name": name, "containerPort": port, "protocol": "TCP"}
        for name, port in (("gcs-server", 6379), ("dashboard", 8265), ("client", 10001), ("serve", PORT))
    ]
    worker = _template(inference, "ray-worker", claim, what, settings)
    worker_container = worker["spec"]["containers"][0]
    worker_container["resources"] = {"requests": dict(_WORKER), "limits": dict(_WORKER)}
    build.ask_for_gpus(worker_container, gpus_of(spec))
    build.share_memory(worker["spec"], worker_container, settings)
    if spec.gpu_type:
        worker["spec"]["nodeSelector"] = {GPU_PRODUCT: spec.gpu_type, **(worker["spec"].get("nodeSelector") or {})}
    cluster: dict[str, Any] = {
        "headGroupSpec": {"rayStartParams": {"dashboard-host": "0.0.0.0", "num-gpus": "0"}, "template": head},
        "workerGroupSpecs": [
            {
                "groupName": "gpu",
                "replicas": low,
                "minReplicas": low,
                "maxReplicas": high,
                "rayStartParams": {},
                "template": worker,
            }
        ],
    }
    if high > low:
        cluster["enableInTreeAutoscaling"] = True
    if version := re.search(r":(\d+\.\d+\.\d+)", settings.ray_image):
        cluster["rayVersion"] = version[1]
    return cluster


def _template(inference: Object, name: str, claim: str, what: str, settings: Settings) -> dict[str, Any]:
    """A pod of the Ray cluster, with the model in it."""
    predictor = inference["spec"].get("predictor") or {}
    container = {
        "name": name,
        "image": settings.ray_image,
        "volumeMounts": [{"name": "model", "mountPath": MODEL_PATH, "readOnly": True}],
    }
    where = {key: predictor[key] for key in _POD_FIELDS if predictor.get(key)}
    return {
        "metadata": {
            "labels": {names.LABEL_INFERENCE: meta.name_of(inference)},
            "annotations": {names.ANNOTATION_SPEC_HASH: what},
        },
        "spec": {**where, "containers": [container], "volumes": [claim_volume("model", claim)]},
    }
