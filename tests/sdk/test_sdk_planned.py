"""The operator's plan before submission, on facts of a cluster with GPUs: by the operator's own builders."""

from __future__ import annotations

from typing import Any

from cpod_jupyter.api.resources import (
    CPODJOBS,
    FINETUNES,
    INFERENCES,
    MODELSTORAGES,
    NODES,
    PYTORCHJOBS,
    TRAINJOBS,
    Object,
    Resource,
)
from cpod_jupyter.errors import Invalid
from cpod_jupyter.sdk.preflight.facts import Facts
from cpod_jupyter.sdk.preflight.planned import planned

PRODUCT = "NVIDIA-GeForce-RTX-3090"
LLAMA_2_7B = {
    "parameters": 6_738_415_616, "layers": 32, "hiddenSize": 4096, "intermediateSize": 11008, "attentionHeads": 32,
    "kvHeads": 32, "headDim": 128, "vocabSize": 32000, "dtypeBytes": 2, "maxPositions": 4096, "modelType": "llama",
}  # fmt: skip
MODEL = {
    "apiVersion": MODELSTORAGES.api_version, "kind": MODELSTORAGES.kind, "metadata": {"name": "llama"},
    "spec": {"modelname": "hf://meta-llama/Llama-2-7b-hf"},
    "status": {"phase": "done", "model": LLAMA_2_7B, "size": 13_476_831_232, "pvc": "pvc-model-llama"},
}  # fmt: skip
NODE = {
    "kind": NODES.kind, "metadata": {"name": "a", "labels": {"nvidia.com/gpu.product": PRODUCT}}, "spec": {},
    "status": {"allocatable": {"cpu": "64", "memory": "512Gi", "nvidia.com/gpu": "4"}},
}  # fmt: skip


def obj_of(resource: Resource, **spec: Any) -> Object:
    metadata = {"name": "x", "namespace": "default"}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}


def plan_of(resource: Resource, **spec: Any) -> dict[str, tuple[str, str]]:
    """How and why, by what; of a plan that is shown as text and as HTML."""
    found = planned(Facts(resource=resource, obj=obj_of(resource, **spec), models=[MODEL], nodes=[NODE], pods=[]))
    assert found is not None
    shown = found._repr_mimebundle_()
    assert all(line[1] in shown["text/plain"] for line in found)
    assert shown["text/html"].count("<tr>") == len(found) + 1
    return {what: (how, why) for what, how, why in found}


def test_a_fine_tunes_plan_tells_processes_batch_stage_and_memory() -> None:
    plan = plan_of(FINETUNES, model="llama", dataset="d", finetuneType="full", gpuCount=4)
    assert plan["runs as"][0] == "CPodJob x-cpodjob, PyTorchJob x-cpodjob"
    assert "torchrun --standalone --nproc-per-node=4" in plan["runs as"][1]
    assert plan["method"] == ("full", "from the model llama")
    assert plan["processes"][0] == f"1 pod x 4 on {PRODUCT}"
    assert plan["DeepSpeed"][0] == "ZeRO-2, optimizer in the host's memory"
    assert "are shared out among 4 GPUs" in plan["DeepSpeed"][1]
    assert plan["memory"][0].endswith("of 24576 MiB")
    assert "optimizer" in plan["memory"][1] or "activations" in plan["memory"][1]
    assert plan["batch"][0].split(" = ")[1].endswith("a step")
    assert plan["result"][0] == "ModelStorage x-cpodjob-modelsavestorage"
    lora = plan_of(FINETUNES, model="llama", dataset="d", gpuCount=1)
    assert lora["method"][0] == "lora, merged into the base model"
    assert lora["DeepSpeed"][0] == "none"


def test_a_jobs_plan_tells_what_it_becomes() -> None:
    plan = plan_of(
        CPODJOBS, image="team/train:v1", jobType="mpi", command=["mpirun", "python", "train.py"], workerReplicas=2,
        gpuRequiredPerReplica=2, gpuType=PRODUCT, backoffLimit=0, duration=60, modelSavePath="/out",
    )  # fmt: skip
    assert plan["runs as"][0] == "MPIJob x"
    assert plan["launcher"] == ("1 pod, no GPU", "team/train:v1: mpirun python train.py")
    assert plan["worker"][0] == f"2 pods x 2 GPUs of type {PRODUCT}"
    assert plan["a failure"] == ("is final", "ended after 60 min")
    assert plan["result"] == ("ModelStorage x-modelsavestorage", "from /out")
    container = {"name": "pytorch", "image": "i", "command": ["torchrun", "t.py"]}
    role = {"replicas": 3, "template": {"spec": {"containers": [container]}}}
    own = plan_of(PYTORCHJOBS, pytorchReplicaSpecs={"Worker": role}, nprocPerNode="2")
    assert own["worker"] == ("3 pods, no GPU", "i: torchrun t.py")
    assert own["processes"][0] == "2 a pod"
    train = plan_of(TRAINJOBS, runtimeRef={"name": "torch-distributed"}, trainer={"numNodes": 2, "image": "i"})
    assert train["node"] == ("2 pods, no GPU", "i: as the runtime has it")


def test_an_inferences_plan_tells_the_server_and_its_command() -> None:
    plan = plan_of(INFERENCES, modelId="llama", params="{}")
    assert plan["runs as"][0] == "InferenceService x-is"
    assert "nodes offer GPUs" in plan["runs as"][1]
    assert plan["server"][0] == "vLLM"
    assert "vllm serve /mnt/models --served-model-name=x" in plan["server"][1]
    assert plan["replicas"][0] == "1 x 1 GPU"
    given = {"containers": [{"name": "kserve-container", "image": "team/server", "args": ["--fast"]}]}
    own = plan_of(INFERENCES, predictor=given)
    assert own["server"] == ("of your own", "team/server: --fast")
    assert plan_of(INFERENCES, modelId="llama", backend="ray")["server"][0] == "vLLM by Ray Serve"


def test_there_is_no_plan_for_what_is_refused_or_needs_none() -> None:
    job = obj_of(CPODJOBS, image="i", uploadModel=True)
    assert planned(Facts(resource=CPODJOBS, obj=job)) is None, "the operator refuses it: no modelSavePath"
    fine = obj_of(CPODJOBS, image="i")
    assert planned(Facts(resource=CPODJOBS, obj=fine, refusal=Invalid("no"))) is None
    assert planned(Facts(resource=MODELSTORAGES, obj=MODEL)) is None
