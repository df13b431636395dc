"""The short form of an Inference, `modelId` alone: which engine serves, on what, and its predictor. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api import meta, names, scheduling
from cpod_jupyter.api.inference import InferenceSpec
from cpod_jupyter.api.planning.gpus import Gpu, gpu_of_node, known_gpu
from cpod_jupyter.api.quantity import parse_quantity
from cpod_jupyter.api.resources import Object
from cpod_jupyter.operator.builders import inference as build
from cpod_jupyter.operator.builders import inference_engines as engines
from cpod_jupyter.operator.builders import inference_params
from cpod_jupyter.operator.builders.download import RUNTIME
from cpod_jupyter.operator.builders.inference_engines import MODEL_PATH, PORT, Container, Engine
from cpod_jupyter.operator.builders.workload import GPU, GPU_PRODUCT
from cpod_jupyter.operator.metadata import annotation, generation
from cpod_jupyter.operator.objects import Refused
from cpod_jupyter.operator.settings import Settings

MIB = 2**20
_HEADROOM = 1.25
"""Of a model's files, for activations and the cache of keys and values beside its weights."""
_POD_IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


LORA_RANK = 64
"""The largest rank of an adapter that vLLM makes room for, where params name none: its own default of 16 is small."""
HALF = "half"
ANSWER_SECONDS = 600
"""What an answer may take: KServe's minute would cut long ones off. Knative allows no more unless it is told to."""


@dataclass(frozen=True)
class Choice:
    """The engine, on how many GPUs, and why."""

    engine: Engine
    gpus: int
    why: str
    dtype: str = ""
    """For vLLM, where its own choice would not do."""


def choose(spec: InferenceSpec, model: Object, nodes: Sequence[Object], settings: Settings) -> Choice:
    """vLLM on GPUs, the project's own server on a CPU.

    GPUs are those asked for. Where none is asked for, a model that is too large for a CPU gets as many as
    it needs, on a cluster whose nodes have them; what is free at the moment does not count, so that the
    choice does not change with others' work.
    """
    offers = [offer for node in nodes if (offer := _offer(node, spec.gpu_type))]
    gpus, why = spec.gpu_count, f"gpuCount is {spec.gpu_count}"
    if not gpus:
        gpus, why = _wanted_gpus(model, offers, settings)
    if not (gpus and settings.vllm_image):
        return Choice(engines.RUNTIME_SERVER, gpus, why)
    known = [gpu for _, gpu in offers if gpu] or [gpu for gpu in [known_gpu(spec.gpu_type)] if gpu]
    if known and not any(gpu.bf16 for gpu in known):
        return Choice(engines.VLLM, gpus, f"{why}; in float16, for a {known[0].product} has no bfloat16", HALF)
    return Choice(engines.VLLM, gpus, why)


def remembered(inference: Object, service: Object | None, settings: Settings) -> Choice | None:
    """The choice made before for this very specification: it stays, whatever nodes have come or gone."""
    if service is None or annotation(service, names.ANNOTATION_ENGINE) == "":
        return None
    if annotation(service, names.ANNOTATION_OWNER_GENERATION) != str(generation(inference)):
        return None
    gpus = int(annotation(service, names.ANNOTATION_GPUS) or 0)
    if gpus and settings.vllm_image:
        return Choice(engines.VLLM, gpus, "", annotation(service, names.ANNOTATION_DTYPE))
    return Choice(engines.RUNTIME_SERVER, gpus, "")


Offer = tuple[int, Gpu | None]
"""GPUs of a node, and of which product, where that is known."""


def _wanted_gpus(model: Object, offers: Sequence[Offer], settings: Settings) -> tuple[int, str]:
    """How many GPUs a model is given that asks for none, and why."""
    size = int((model.get("status") or {}).get("size") or 0)
    words = f"the model has {size / 1e9:.1f} GB" if size else "the model's size is not known"
    if size <= int(parse_quantity(settings.largest_cpu_model)):
        return 0, f"gpuCount is 0, and {words}: a CPU serves models up to {settings.largest_cpu_model}"
    if not offers:
        return 0, f"{words}, for which a GPU would be better, and no node offers one"
    needed = min(_enough(size, count, gpu.memory_mib * MIB if gpu else 0) for count, gpu in offers)
    return needed, f"{words}, too many for a CPU, and nodes offer GPUs"


def _offer(node: Object, gpu_type: str) -> Offer | None:
    """None when the node has no GPU that would do."""
    labels = node["metadata"].get("labels") or {}
    if gpu_type and labels.get(GPU_PRODUCT) != gpu_type:
        return None
    count = int(scheduling.allocatable(node, GPU))
    return (count, gpu_of_node(labels)) if count else None


def _enough(size: int, count: int, memory: int) -> int:
    """GPUs for a model of that size: a power of two, for tensor parallelism divides the attention heads."""
    gpus = 1
    while memory and gpus * 2 <= count and gpus * memory < size * _HEADROOM:
        gpus *= 2
    return gpus


def own_predictor(
    inference: Object, choice: Choice, model: Object, model_claim: str, adapter_claim: str, settings: Settings
) -> build.Deployable:
    """The predictor of the short form, which serves OpenAI's protocol under the Inference's name."""
    spec, name = build.spec_of(inference), meta.name_of(inference)
    params = inference_params.parse(spec.params)
    if choice.engine is engines.VLLM:
        container = _vllm(name, choice, is_embedding(model), bool(adapter_claim), params, settings)
    else:
        container = _runtime(name, is_embedding(model), params, settings)
    container["env"] = [
        *([_POD_IP] if settings.shared_network else []),
        {"name": build.STORAGE_URI, "value": f"pvc://{model_claim}"},
    ]
    if secret := annotation(inference, names.ANNOTATION_API_KEY):
        engines.ask_for_key(choice.engine, container, secret)
    container["ports"] = [{"containerPort": PORT, "protocol": "TCP"}]
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    # A predictor may be given for where and how many, and leave open what: that is the operator's choice then.
    predictor: dict[str, Any] = {**(inference["spec"].get("predictor") or {}), "containers": [container]}
    result = build.Deployable(predictor, choice.engine, choice.gpus, choice.dtype)
    if choice.gpus:
        build.ask_for_gpus(container, choice.gpus)
    if choice.gpus > 1:
        build.share_memory(predictor, container, settings)
    if adapter_claim:
        build.mount_adapter(predictor, container, adapter_claim)
        if choice.engine.adapter_arguments is not None:
            engines.add_arguments(container, choice.engine.adapter_arguments(name))
    build.finish(result, spec, build.annotations_of(inference, settings), settings)
    predictor.setdefault("minReplicas", 1)
    predictor.setdefault("timeout", ANSWER_SECONDS)
    return result


def is_embedding(model: Object) -> bool:
    """By the category of its ModelStorage, or what an original operator annotated it with."""
    said = (str(model["spec"].get("category") or ""), annotation(model, names.ANNOTATION_CATEGORY))
    return any(category.lower() == "embedding" for category in said)


def _host(settings: Settings) -> str:
    """Not 127.0.0.1 alone: probes and requests come from outside. Knative's own proxy comes from there, though."""
    return "$(POD_IP)" if settings.shared_network else "0.0.0.0"


def _vllm(
    name: str, choice: Choice, embedding: bool, adapter: bool, params: inference_params.Params, settings: Settings
) -> Container:
    """vLLM ("vllm serve" reference). Requests call the adapter by the Inference's name where there is one."""
    served = f"{name}-base" if adapter else name
    words = [MODEL_PATH, f"--served-model-name={served}", f"--host={_host(settings)}", f"--port={PORT}"]
    if choice.gpus > 1:
        words.append(f"--tensor-parallel-size={choice.gpus}")
    ours = {**(POOLING if embedding else {}), **({"max_lora_rank": LORA_RANK} if adapter else {})}
    if choice.dtype:
        ours["dtype"] = choice.dtype
    words += inference_params.vllm({**ours, **params})
    container: Container = {"name": build.CONTAINER, "image": settings.vllm_image, "command": ["vllm", "serve"]}
    container["args"] = words
    container["readinessProbe"] = engines.ready_probe(engines.VLLM, PORT)
    if not engines.on_knative(settings):
        container["startupProbe"] = engines.startup(engines.VLLM, PORT)
    return container


POOLING = {"runner": "pooling", "convert": "embed"}
"""How vLLM is told to embed texts ("Pooling Models"), which older versions called `--task embed`."""


def _runtime(name: str, embedding: bool, params: inference_params.Params, settings: Settings) -> Container:
    if embedding:
        raise Refused(
            "NotSupported",
            "the model's category is Embedding, and the server for CPUs (transformers) has no /v1/embeddings: "
            "set gpuCount, so that vLLM serves it, or give a predictor of your own",
        )
    where = ["--host", _host(settings), "--port", str(PORT)]
    return {
        "name": build.CONTAINER,
        "image": settings.runtime_image,
        "command": list(RUNTIME),
        "args": ["serve", "--model", MODEL_PATH, "--name", name, *where, *inference_params.runtime(params)],
        "readinessProbe": engines.ready_probe(engines.RUNTIME_SERVER, PORT, period=1),
    }
