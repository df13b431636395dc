"""How much memory a fine-tune takes on each GPU, part by part: formulas, with where they come from.

Symbols: P parameters, T trainable ones, L layers, h hidden size, i size of the MLP, a of all query heads, v of all
key heads, n tokens of a micro-batch, N processes. Bytes of a weight: 4 in float32, 2 in half precision.

Weights, gradients and optimizer states (Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward Training Trillion
Parameter Models", sections 3.1 and 5; Micikevicius et al. 2018, "Mixed Precision Training", section 3.1):

    all weights, no ZeRO     4 P + 4 P + 8 P: float32 under autocast; it keeps 2 P of copies until the backward pass
    all weights, ZeRO        2 P + 2 P + 12 P in half precision with a float32 copy, of which stage 1 shares the last
                             term among N, stage 2 the gradients too, stage 3 the weights too; 4 P / N more at the step
    LoRA (Hu et al. 2021)    2 P for the frozen base, and 16 T for the adapters, which PEFT keeps in float32
    QLoRA                    0.516 P of the linear layers: 4 bits, and 0.127 for the constants after double quantization
                             (Dettmers et al. 2023, "QLoRA", section 3); embeddings, output layer and the fused experts
                             of a mixture stay in 16 bits
    data parallel            4 T more: the buckets in which DDP sums gradients (Li et al. 2020, "PyTorch Distributed",
                             section 4.2)

Preferences (Rafailov et al. 2023, "Direct Preference Optimization", section 4) are learnt with the chosen and the
rejected answer at once, which are 2 n tokens, and beside a frozen reference: with all weights a second model, of 4 P,
or under ZeRO of 2 P, which stage 3 shares too; with an adapter it is the base model, which is there.

Activations are what autograd saves for a layer, counted term by term as Korthikanti et al. 2022 do ("Reducing
Activation Recomputation in Large Transformer Models", section 4), but of the layers that transformers 5 has: RMSNorm in
float32, gated MLP, attention that keeps no scores (Dao et al. 2022, "FlashAttention", section 3.1). `_layer_bytes` has
the terms, which were read off with torch.autograd.graph.saved_tensors_hooks. With gradient checkpointing each layer
leaves its input only, and one layer at a time is computed anew (Chen et al. 2016, "Training Deep Nets with Sublinear
Memory Cost").

Logits never exist whole: TRL 1.16 computes the loss in tiles of 4096 tokens times 32768 words.

The peak is either where the backward pass begins (activations, no gradients yet) or where it ends (gradients, no
activations); the estimate has the parts of the larger one.

Measured on a CPU (tests/api/test_planning_memory.py has the runs, in float32 and bf16, preferences among them): the
estimate was 7 % below to 5 % above the peaks with all weights, and 11 % below to 11 % above with LoRA, for which it has
what malloc keeps of what was freed (HEAP). Several processes and GPUs are reckoned, not measured.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from cpod_jupyter.api.planning.shapes import ModelShape

FineTuneType = Literal["lora", "qlora", "full"]
Precision = Literal["bf16", "fp16", "fp32", "auto"]
Offload = Literal["none", "optimizer", "optimizer+parameters"]

MIB = 1 << 20
TILE_TOKENS, TILE_WORDS = 4096, 32768
"""The tile of logits in TRL's loss."""
BUCKET = 200_000_000
"""Elements of DeepSpeed's allgather bucket in our configuration."""
NF4_BYTES = (4 + 0.127) / 8
GPU_CONTEXT_MIB = 600
"""CUDA context, kernels and cuBLAS's workspace."""
NCCL_MIB = 400
"""Channels of NCCL, where several GPUs talk."""
FRAGMENTATION = 0.05
"""Share of what comes and goes that the allocator can't use again."""
HEAP = 0.18
"""Of a LoRA run on the CPU, beside the rest: the holes that malloc leaves between activations that come and go, as the
runtime sets it (`runtime/libraries.keep_freed_memory`; measured). A run of all weights has its gradients there."""
PROCESS_MIB = 540
"""Of the host's memory: Python, torch, transformers, datasets and TRL, before any weight (measured)."""
CPU_TILES = 9.25
"""Tiles of logits in float32 that the backward pass of TRL's loss holds at once where there is no Triton: the tile,
seven results of its size on the way to the gradient, and a mask of one byte (measured: 9.2 with 2048 tokens)."""
LOADING_MIB = 2048
"""Of the host's memory, for a process that loads shard by shard onto its GPU."""


@dataclass(frozen=True)
class Work:
    """What is done, as far as memory depends on it."""

    finetune_type: FineTuneType
    precision: Precision
    batch: int
    """Examples of a micro-batch on one device."""
    length: int
    """Tokens of the longest example."""
    accumulation: int = 1
    processes: int = 1
    checkpointing: bool = False
    zero_stage: int = 0
    offload: Offload = "none"
    lora_rank: int = 16
    preferences: bool = False
    """Whether the examples are preferences, of two answers each, which DPO learns."""
    on_gpu: bool = True

    @property
    def sequences(self) -> int:
        """Of a micro-batch on one device."""
        return self.batch * (2 if self.preferences else 1)

    @property
    def tokens(self) -> int:
        return self.sequences * self.length

    @property
    def has_reference(self) -> bool:
        """Whether a frozen second model is held beside the one that learns: DPO's, unless an adapter's base is it."""
        return self.preferences and self.finetune_type == "full"

    @property
    def half(self) -> bool:
        return self.precision != "fp32"

    @property
    def compute_bytes(self) -> int:
        return 2 if self.half else 4


@dataclass(frozen=True)
class Estimate:
    """MiB on each device at the peak, by part, and what is held in the memory of the host."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    overhead: int
    host: int = 0
    """Of all processes of one node together: what is offloaded, and what a process takes anyway."""

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits + self.overhead

    def to_status(self) -> dict[str, Any]:
        return {"total": self.total, **dataclasses.asdict(self)}


def estimate(shape: ModelShape, work: Work, processes_per_node: int = 0) -> Estimate:
    """The memory of `work` on a model of `shape`."""
    local = processes_per_node or work.processes
    states = _states(shape, work)
    layer, stored = _layer_bytes(shape, work), shape.hidden_size * _residual_bytes(work) * work.tokens
    kept = shape.layers * (stored if work.checkpointing else layer)
    once = (layer if work.checkpointing else 0) + _passing_bytes(shape, work)
    logits = _logits_bytes(shape, work)
    accumulated = work.accumulation > 1
    begins = _Moment(states.weights + states.copies, states.held(accumulated), kept + max(0, once - logits), logits)
    ends = _Moment(states.weights, states.held(True), once, 0)
    peak = max(begins, ends, key=lambda moment: moment.total)
    fixed = (GPU_CONTEXT_MIB + (NCCL_MIB if work.processes > 1 else 0)) * MIB if work.on_gpu else PROCESS_MIB * MIB
    overhead = fixed + states.buffers + FRAGMENTATION * (peak.activations + peak.logits + peak.gradients)
    if not work.on_gpu and work.finetune_type != "full":
        overhead += HEAP * (peak.total + states.optimizer + overhead)
    host = states.offloaded * local / work.processes + (LOADING_MIB if work.on_gpu else 0) * MIB * local
    amounts = (peak.weights, peak.gradients, states.optimizer, peak.activations, peak.logits, overhead, host)
    return Estimate(*(math.ceil(amount / MIB) for amount in amounts))


@dataclass(frozen=True)
class _Moment:
    """Bytes that differ between the beginning and the end of the backward pass."""

    weights: float
    gradients: float
    activations: float
    logits: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.activations + self.logits


@dataclass(frozen=True)
class _States:
    """Bytes of the model's states on one device."""

    weights: float
    copies: float
    """Half-precision copies that autocast keeps until the backward pass."""
    gradients: float
    standing: float
    """Gradient memory that is there between steps too: DDP's buckets."""
    optimizer: float
    buffers: float
    offloaded: float
    """On the hosts, of all processes together."""

    def held(self, accumulated: bool) -> float:
        return self.standing + (self.gradients if accumulated else 0)


def _states(shape: ModelShape, work: Work) -> _States:
    size = work.compute_bytes
    if work.finetune_type == "full":
        frozen, trained = 0.0, shape.parameters
    else:
        frozen, trained = float(size * shape.parameters), shape.lora_parameters(work.lora_rank)
    if work.finetune_type == "qlora":
        frozen = _quantized_bytes(shape)
    if work.zero_stage:
        return _zero_states(shape, work, frozen, trained)
    copies = 2 * trained if work.half else 0
    buckets = 4 * trained if work.processes > 1 else 0
    if work.has_reference:
        frozen += 4 * shape.parameters
    return _States(frozen + 4 * trained, copies, 4 * trained, buckets, 8 * trained, 0, 0)


def _zero_states(shape: ModelShape, work: Work, frozen: float, trained: int) -> _States:
    """Under DeepSpeed, which holds weights and gradients in half precision and a float32 copy beside the optimizer's.

    Stage 3 gathers a layer before it computes, and the next one meanwhile; the largest thing gathered is often the
    embedding.
    """
    size, shared, stage = work.compute_bytes, work.processes, work.zero_stage
    weights = frozen + size * trained
    gradients = size * trained / (shared if stage >= 2 else 1)
    optimizer = 16 * trained / shared
    offloaded = 0.0
    bucket: float = 2 * size * shape.hidden_size**2 + (size * min(BUCKET, trained) if stage < 3 else 0)
    if stage == 3:
        layer = (shape.parameters - shape.embedding_parameters) / shape.layers
        bucket += size * max(2 * layer, shape.vocab_size * shape.hidden_size)
        if work.offload == "optimizer+parameters":
            offloaded += weights
            weights = 0
        else:
            weights /= shared
    if work.offload != "none":
        offloaded += 16 * trained
        gradients, optimizer = 0, 0
    if work.has_reference:
        weights += size * shape.parameters / (shared if stage == 3 else 1)
    return _States(weights, 0, gradients, 0, optimizer, bucket, offloaded)


def _quantized_bytes(shape: ModelShape) -> float:
    """A model whose linear layers are in NF4; one of them at a time is unpacked to compute."""
    whole = shape.embedding_parameters + shape.expert_parameters
    unpacked = shape.hidden_size * max(shape.intermediate_size, shape.attention_size)
    return 2 * whole + NF4_BYTES * max(0, shape.parameters - whole) + 2 * unpacked


def _residual_bytes(work: Work) -> int:
    """Bytes of an element of the stream between the layers: float32 where the weights are."""
    return 2 if work.half and (work.finetune_type != "full" or work.zero_stage) else 4


def _layer_bytes(shape: ModelShape, work: Work) -> float:
    """What autograd saves for one layer.

    Per token: of the MLP the outputs of its two matrices, of the activation and of their product (4 i); queries and
    the attention's output (2 a), keys and values (2 v, or 2 a where padding has them repeated for each query head);
    the input of each norm in float32, its output and the inputs of the linear layers (h); 4 bytes a head for the
    softmax's sum. Under autocast on float32 weights each linear layer casts an input of its own, and LoRA's A takes
    one beside each frozen matrix.
    """
    h, a = shape.hidden_size, shape.attention_size
    v = a if work.sequences > 1 else shape.kv_size
    i = shape.intermediate_size * max(1, shape.experts_per_token)
    mlp = (4 if shape.gated_mlp else 2) * i
    routed = 2 * h * shape.experts_per_token
    size, full = work.compute_bytes, work.finetune_type == "full"
    if not work.half:
        elements = 4 * (mlp + routed + (6 if full else 4) * h + 2 * a + 2 * v)
    elif full and not work.zero_stage:
        elements = 2 * (mlp + routed + 2 * a + 2 * v) + 26 * h
    elif full:
        elements = 2 * (mlp + routed + 2 * a + 2 * v) + 16 * h
    else:
        elements = 2 * (mlp + routed + 3 * a + 2 * v) + 18 * h
    adapters = 0 if full else 7 * size * work.lora_rank
    return float(work.tokens * (elements + adapters + 4 * shape.attention_heads))


def _passing_bytes(shape: ModelShape, work: Work) -> float:
    """Gradients of one layer's activations, on their way through it: of the MLP's three inner tensors, and of h."""
    inner = shape.intermediate_size * max(1, shape.experts_per_token)
    return float(work.tokens * work.compute_bytes * (3 * inner + 4 * shape.hidden_size))


def _logits_bytes(shape: ModelShape, work: Work) -> float:
    """The loss: a tile of logits, the float32 gradient of the last hidden states and of the output layer if trained.

    Without Triton, on the CPU, the tile has others beside it, and a tile's share of the output layer's gradient is made
    before it is added.
    """
    tile = min(work.tokens, TILE_TOKENS) * min(shape.vocab_size, TILE_WORDS)
    words = tile * (work.compute_bytes if work.on_gpu else 4 * CPU_TILES)
    columns = shape.vocab_size + (0 if work.on_gpu else min(shape.vocab_size, TILE_WORDS))
    weight = 4 * columns * shape.hidden_size if work.finetune_type == "full" else 0
    return float(words + 4 * work.tokens * shape.hidden_size + weight)
