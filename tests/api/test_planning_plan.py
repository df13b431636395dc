"""Plans: what is chosen for which model on which GPUs, and the reason that a person is given.

Fault 5 (B16): the original took ZeRO-3 with everything offloaded whenever there was more than one GPU.
Fault 6 (B16): it computed in fp16 on every GPU. Fault 7 (B18): it started as many processes as there were workers.
B17: a FineTune with more GPUs than one node has could not run at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from cpod_jupyter.api.planning import ModelShape, Plan, PlanRequest, known_gpu, known_shape, make_plan

RTX_3090, A100_80, T4 = "NVIDIA-GeForce-RTX-3090", "NVIDIA-A100-SXM4-80GB", "Tesla-T4"


def plan_for(
    model: str, finetune_type: str, gpus: int, product: str, *, node: int = 0, host: int = 0, **config: str
) -> Plan:
    shape = known_shape(model) or ModelShape.from_name(model)
    assert shape is not None
    request = PlanRequest(
        shape,
        finetune_type,  # type: ignore[arg-type]
        gpus=gpus,
        gpu=known_gpu(product),
        gpus_per_node=node,
        host_memory_mib=host,
        config=config,
    )
    return make_plan(request)


@dataclass(frozen=True)
class Case:
    name: str
    model: str
    finetune_type: str
    gpus: int
    product: str
    sharding: str
    offload: str = "none"
    checkpointing: bool = False
    precision: str = "bf16"
    batch: tuple[int, int] = (4, 1)
    """Examples at once, times accumulated."""
    says: dict[str, str] = field(default_factory=dict)


CASES = [
    Case("7B LoRA on one 3090", "Llama-2-7b", "lora", 1, RTX_3090, "none", checkpointing=True,
         says={"checkpointing": "activations of all layers kept", "sharding": "one process has nothing to share"}),
    Case("7B LoRA on two 3090: no DeepSpeed is needed", "Llama-2-7b", "lora", 2, RTX_3090, "none", checkpointing=True,
         says={"sharding": "plain data parallel (DDP) without DeepSpeed"}),
    Case("7B LoRA on an A100: nothing is saved on", "Llama-2-7b", "lora", 1, A100_80, "none",
         says={"checkpointing": "Off: the activations of all layers fit"}),
    Case("7B full on eight A100", "Llama-2-7b", "full", 8, A100_80, "ZeRO-1",
         says={"sharding": "optimizer states are shared out among 8 GPUs"}),
    Case("7B full on eight 3090", "Llama-2-7b", "full", 8, RTX_3090, "ZeRO-3", checkpointing=True,
         says={"sharding": "because ZeRO-2 would need"}),
    Case("7B full on one 3090", "Llama-2-7b", "full", 1, RTX_3090, "ZeRO-2", "optimizer", checkpointing=True,
         says={"offload": "if it has that", "sharding": "which the offloading needs"}),
    Case("13B QLoRA on one 3090", "Ziya-LLaMA-13B", "qlora", 1, RTX_3090, "none", checkpointing=True),
    Case("13B QLoRA on two 3090 stays whole on each", "Ziya-LLaMA-13B", "qlora", 2, RTX_3090, "none",
         checkpointing=True, says={"sharding": "4-bit weights stay whole on each GPU"}),
    Case("13B LoRA on two 3090", "Ziya-LLaMA-13B", "lora", 2, RTX_3090, "ZeRO-3", checkpointing=True,
         says={"sharding": "because plain data parallel training would need"}),
    Case("Mixtral LoRA on eight A100", "Mixtral-8x7B-Instruct-v0.1", "lora", 8, A100_80, "ZeRO-3"),
    Case("1B LoRA on a T4", "Llama-3.2-1B-Instruct", "lora", 1, T4, "none", precision="fp16",
         says={"precision": "Tesla-T4 has no bf16"}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_least_costly_way_that_fits_is_chosen_and_the_reason_given(case: Case) -> None:
    """Fault 5 (B16), fault 6 (B16)."""
    plan = plan_for(case.model, case.finetune_type, case.gpus, case.product)
    assert plan.fits, plan.reasons
    assert (plan.sharding, plan.work.offload, plan.work.checkpointing, plan.work.precision) == (
        case.sharding,
        case.offload,
        case.checkpointing,
        case.precision,
    )
    assert (plan.work.batch, plan.work.accumulation) == case.batch
    for choice, words in case.says.items():
        assert words in plan.reasons[choice]
    assert plan.estimate.total <= plan.request.memory_mib


def test_what_does_not_fit_says_what_would() -> None:
    plan = plan_for("Ziya-LLaMA-13B", "lora", 1, RTX_3090, host=16000)
    assert not plan.fits
    assert "It does not fit" in plan.reasons["memory"]
    assert plan.advice == (
        "use 2 GPUs (gpuCount: 2)",
        "hold the base model in 4 bits (finetuneType: qlora)",
    )
    assert plan_for("Ziya-LLaMA-13B", "lora", 2, RTX_3090, host=16000).fits
    assert plan_for("Ziya-LLaMA-13B", "qlora", 1, RTX_3090, host=16000).fits


def test_qlora_without_a_gpu_is_refused_whatever_the_memory() -> None:
    plan = plan_for("SmolLM2-135M", "qlora", 0, "")
    assert (plan.fits, plan.reasons["memory"]) == (
        False,
        "QLoRA needs a GPU: bitsandbytes' 4-bit kernels are made for CUDA",
    )
    assert "finetuneType lora" in plan.advice[0]


def test_on_a_cpu_one_process_computes_in_fp32() -> None:
    """Fault 6 (B16)."""
    plan = plan_for("SmolLM2-135M", "lora", 0, "")
    assert (plan.processes, plan.work.precision, plan.sharding, plan.fits) == (1, "fp32", "none", True)
    assert plan.arguments["bf16"] == plan.arguments["fp16"] == "false"


@pytest.mark.parametrize(
    ("gpus", "node", "replicas", "each"), [(1, 8, 1, 1), (8, 8, 1, 8), (16, 8, 2, 8), (12, 8, 2, 6), (3, 2, 3, 1)]
)
def test_a_replica_starts_one_process_for_each_of_its_gpus(gpus: int, node: int, replicas: int, each: int) -> None:
    """Fault 7 (B18), and B17: more GPUs than a node has are spread over several pods."""
    plan = plan_for("Llama-3.2-1B-Instruct", "lora", gpus, A100_80, node=node)
    assert (plan.replicas, plan.processes_per_replica, plan.processes) == (replicas, each, gpus)


def test_the_batch_that_was_asked_for_stays_however_it_is_cut_up() -> None:
    whole = plan_for("Llama-2-7b", "lora", 2, A100_80)
    split = plan_for("Llama-3-8B-Instruct", "lora", 2, RTX_3090, max_length="4096")
    assert whole.effective_batch == split.effective_batch == 8
    assert split.work.accumulation > 1
    assert "times accumulated, because 4 at once would need" in split.reasons["batch"]


def test_what_the_users_config_sets_is_kept_and_not_set_again() -> None:
    config = {
        "per_device_train_batch_size": "2",
        "gradient_accumulation_steps": "8",
        "gradient_checkpointing": "false",
        "fp16": "true",
        "max_length": "512",
    }
    plan = plan_for("Llama-3.2-1B-Instruct", "lora", 1, A100_80, **config)
    assert (plan.work.batch, plan.work.accumulation, plan.work.checkpointing) == (2, 8, False)
    assert (plan.work.precision, plan.work.length) == ("fp16", 512)
    assert plan.arguments == {"bf16": "false"}
    assert plan.reasons["precision"] == "fp16, as config asks."


def test_a_setting_that_stands_in_the_way_is_named_in_the_advice() -> None:
    plan = plan_for("Llama-2-7b", "lora", 1, RTX_3090, gradient_checkpointing="false", max_length="8192")
    assert not plan.fits
    assert plan.advice[0] == "leave gradient_checkpointing out of config: the plan then chooses what fits"


def test_a_gpu_of_unknown_type_leaves_the_precision_to_the_trainer() -> None:
    plan = plan_for("Llama-3.2-1B-Instruct", "lora", 1, "NVIDIA-Z900")
    assert plan.fits
    assert "whose memory isn't known" in plan.reasons["memory"]
    assert not {"bf16", "fp16"} & set(plan.arguments)


def test_the_deepspeed_configuration_follows_the_plan_and_leaves_the_trainers_numbers_to_the_trainer() -> None:
    assert plan_for("Llama-2-7b", "lora", 2, RTX_3090).deepspeed is None
    plan = plan_for("Llama-2-7b", "full", 8, RTX_3090)
    config = plan.deepspeed
    assert config is not None
    assert plan.arguments["deepspeed"] == "/etc/cpod/deepspeed.json"
    assert config["zero_optimization"]["stage"] == 3
    assert config["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] is True
    assert config["train_batch_size"] == config["train_micro_batch_size_per_gpu"] == "auto"
    assert "offload_optimizer" not in config["zero_optimization"]
    alone = plan_for("Llama-2-7b", "full", 1, RTX_3090).deepspeed
    assert alone is not None
    assert alone["zero_optimization"]["offload_optimizer"] == {"device": "cpu", "pin_memory": True}


def test_a_plan_stands_on_the_object_as_a_person_reads_it() -> None:
    status = plan_for("Llama-2-7b", "full", 8, A100_80).to_status()
    assert (status["processes"], status["precision"], status["sharding"], status["offload"]) == (
        8,
        "bf16",
        "ZeRO-1",
        "none",
    )
    assert (status["device"], status["deviceMemoryMiB"], status["effectiveBatch"]) == (A100_80, 81920, 32)
    parts = status["memoryMiB"]
    assert parts["total"] == sum(
        parts[part] for part in ("weights", "gradients", "optimizer", "activations", "logits", "overhead")
    )
    assert set(status["reasons"]) == {
        "processes", "precision", "batch", "length", "checkpointing", "sharding", "offload", "memory",
    }  # fmt: skip


def test_a_guess_of_the_shape_is_said() -> None:
    assert "7.0 billion" in plan_for("somebody-7b", "lora", 1, A100_80).reasons["shape"]
    assert "about" in plan_for("somebody-7b", "lora", 1, A100_80).reasons["memory"]
