"""The shape of a language model: what its memory depends on, read from its config.json, or guessed from a size.

The number of parameters is computed from the shape where nobody counted them. For the architectures in EXACT
the computed number is the published one to the last parameter (the tests have the table).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EXACT = (
    "llama", "mistral", "mixtral", "gemma", "gemma2", "gemma3_text", "qwen2", "qwen3", "qwen2_moe", "qwen3_moe",
    "chatglm", "baichuan", "gpt2", "gpt_neox", "phi3", "smollm3",
)  # fmt: skip
"""Values of `model_type` whose parameters are counted exactly."""

_TIED_BY_DEFAULT = ("gemma", "gemma2", "gemma3_text", "gemma3", "gpt2", "opt", "bloom", "falcon", "smollm3")
"""Architectures whose config.json leaves `tie_word_embeddings` out when it is true."""
_PLAIN_MLP = ("gpt2", "gpt_neox", "opt", "bloom", "falcon", "phi", "gpt_bigcode", "starcoder2", "mpt", "gptj")
"""Two matrices in the MLP, not the three of a gated one; and LayerNorm with a bias, not RMSNorm."""
_LEARNED_POSITIONS = ("gpt2", "opt", "gpt_bigcode")
_FOUR_NORMS = ("gemma2", "gemma3", "gemma3_text")
_QUERY_KEY_NORMS = ("gemma3", "gemma3_text", "qwen3", "qwen3_moe")
_QUERY_KEY_VALUE_BIAS = ("qwen2", "qwen2_moe", "qwen")

_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "int8": 1, "uint8": 1}


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a decoder-only transformer."""

    parameters: int
    layers: int
    hidden_size: int
    intermediate_size: int
    """Of the MLP; of one expert in a mixture."""
    attention_heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    tied_embeddings: bool = False
    """The output layer's matrix is that of the input embedding."""
    dtype_bytes: int = 2
    """Of a weight as it lies on disk."""
    max_positions: int = 0
    """Tokens that the model can look at; 0 where it isn't known."""
    experts: int = 0
    """Experts of a layer; 0 for a dense model."""
    experts_per_token: int = 0
    gated_mlp: bool = True
    model_type: str = ""
    approximate: bool = False
    """The shape is a guess from the model's size, or its parameters are counted by the rule of another family."""

    @property
    def attention_size(self) -> int:
        """Elements of all query heads together."""
        return self.attention_heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Elements of all key heads together, or all value heads."""
        return self.kv_heads * self.head_dim

    @property
    def embedding_parameters(self) -> int:
        """The input embedding and the output layer."""
        return self.vocab_size * self.hidden_size * (1 if self.tied_embeddings else 2)

    @property
    def expert_parameters(self) -> int:
        """All experts of all layers; 0 for a dense model."""
        return self.layers * self.experts * 3 * self.hidden_size * self.intermediate_size

    def lora_parameters(self, rank: int) -> int:
        """Trainable parameters of LoRA on every linear layer but the output layer (PEFT's `all-linear`).

        A matrix of d_in x d_out gets rank * (d_in + d_out) (Hu et al. 2021, section 4.1). The experts of a
        mixture are one tensor in transformers 5, not linear layers, so only the attention gets adapters there.
        """
        h, a, kv, i = self.hidden_size, self.attention_size, self.kv_size, self.intermediate_size
        ends = (h + a) + 2 * (h + kv) + (a + h)
        if not self.experts:
            ends += (3 if self.gated_mlp else 2) * (h + i)
        return self.layers * rank * ends

    def to_status(self) -> dict[str, Any]:
        """As it stands in the status of a ModelStorage: names in camel case."""
        return {_camel(field.name): getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_status(cls, status: Mapping[str, Any]) -> ModelShape:
        """The shape that `to_status` wrote; raises ValueError where it is not whole."""
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            if (value := status.get(_camel(field.name))) is not None:
                values[field.name] = value
            elif field.default is dataclasses.MISSING:
                raise ValueError(f"the model's shape has no {_camel(field.name)}")
        return cls(**values)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], parameters: int = 0) -> ModelShape:
        """The shape in a model's config.json, with the number of its parameters where that is known.

        Raises ValueError, with a sentence, when the configuration is not that of a language model.
        """
        if "hidden_size" not in config and isinstance(config.get("text_config"), Mapping):
            outer = config
            config = {"torch_dtype": outer.get("torch_dtype") or outer.get("dtype"), **config["text_config"]}
        shape = _read(config)
        if parameters:
            return dataclasses.replace(shape, parameters=parameters)
        return dataclasses.replace(
            shape, parameters=count_parameters(shape, config), approximate=shape.model_type not in EXACT
        )

    @classmethod
    def from_size(cls, parameters: int, dtype_bytes: int = 2) -> ModelShape:
        """A shape that is usual for a dense model of so many parameters: a guess, and marked as one.

        About 12 L h^2 parameters lie in L layers (Kaplan et al. 2020, "Scaling Laws for Neural Language Models",
        section 2.1), and h is about 128 L from 1 to 70 billion parameters.
        """
        layers = max(2, round((parameters / (12 * 128 * 128)) ** (1 / 3)))
        hidden = 128 * layers
        return cls(
            parameters=parameters,
            layers=layers,
            hidden_size=hidden,
            intermediate_size=-(-8 * hidden // 3 // 256) * 256,
            attention_heads=layers,
            kv_heads=layers,
            head_dim=128,
            vocab_size=64000,
            dtype_bytes=dtype_bytes,
            approximate=True,
        )

    @classmethod
    def from_bytes(cls, size: int, dtype_bytes: int = 2) -> ModelShape:
        """A guess from the size of the model's files, which are mostly its weights."""
        return cls.from_size(max(1, size // dtype_bytes), dtype_bytes)

    @classmethod
    def from_name(cls, name: str) -> ModelShape | None:
        """A guess from a size in the name, as in `Qwen2.5-7B-Instruct`; None where there is none.

        `8x7B` names eight experts that share their attention, about 0.83 of eight whole models.
        """
        found = re.search(r"(?<![\w.])(?:(\d+)x)?(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", name.lower().replace("_", "-"))
        if found is None:
            return None
        times, number, unit = int(found[1] or 0), float(found[2]), 10**9 if found[3] == "b" else 10**6
        return cls.from_size(round(number * unit * (0.83 * times if times else 1)))


def count_parameters(shape: ModelShape, config: Mapping[str, Any]) -> int:
    """Parameters of a model of this shape, tied embeddings once."""
    kind, h, kv = shape.model_type, shape.hidden_size, shape.kv_size
    plain = not shape.gated_mlp
    norm = 2 * h if plain else h
    attention = h * shape.attention_size * 2 + h * kv * 2
    if kind in _QUERY_KEY_VALUE_BIAS or config.get("add_qkv_bias") or config.get("attention_bias") or plain:
        attention += shape.attention_size + 2 * kv
    if plain or (config.get("attention_bias") and kind not in _QUERY_KEY_VALUE_BIAS):
        attention += h
    if kind in _QUERY_KEY_NORMS:
        attention += 2 * shape.head_dim
    matrices = 3 if shape.gated_mlp else 2
    mlp = matrices * h * shape.intermediate_size
    if shape.experts:
        shared = int(config.get("shared_expert_intermediate_size") or 0)
        mlp = mlp * shape.experts + h * shape.experts + (matrices * h * shared + h if shared else 0)
    elif plain:
        mlp += shape.intermediate_size + h
    elif config.get("mlp_bias"):
        mlp += 2 * shape.intermediate_size + h
    layer = attention + mlp + (4 if kind in _FOUR_NORMS else 2) * norm
    positions = shape.max_positions * h if kind in _LEARNED_POSITIONS else 0
    return shape.embedding_parameters + positions + shape.layers * layer + norm


def _read(config: Mapping[str, Any]) -> ModelShape:
    """The shape without its parameters. Families call the same thing by different names."""

    def number(*names: str, default: int = 0) -> int:
        return next((int(config[name]) for name in names if config.get(name) is not None), default)

    kind = str(config.get("model_type") or "")
    hidden = number("hidden_size", "n_embd", "d_model")
    layers = number("num_hidden_layers", "num_layers", "n_layer", "n_layers")
    heads = number("num_attention_heads", "n_head", "n_heads", "num_heads")
    vocab = number("padded_vocab_size", "vocab_size")
    missing = [
        name
        for name, value in (("hidden_size", hidden), ("num_hidden_layers", layers), ("num_attention_heads", heads))
        if not value
    ]
    if missing:
        raise ValueError(f"config.json has no {' and no '.join(missing)}: it is not that of a language model")
    kv_heads = number("num_key_value_heads", "num_kv_heads", "n_head_kv", default=heads)
    if config.get("multi_query_attention"):
        kv_heads = number("multi_query_group_num")
    experts = number("num_local_experts", "num_experts", "n_routed_experts")
    intermediate = number("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", default=4 * hidden)
    if experts:
        intermediate = number("moe_intermediate_size", default=intermediate)
    tied = config.get("tie_word_embeddings")
    dtype = str(config.get("dtype") or config.get("torch_dtype") or "").removeprefix("torch.")
    return ModelShape(
        parameters=0,
        layers=layers,
        hidden_size=hidden,
        intermediate_size=intermediate,
        attention_heads=heads,
        kv_heads=kv_heads,
        head_dim=number("head_dim", "kv_channels", default=hidden // heads),
        vocab_size=vocab,
        tied_embeddings=kind in _TIED_BY_DEFAULT if tied is None else bool(tied),
        dtype_bytes=_BYTES.get(dtype, 2),
        max_positions=number("max_position_embeddings", "n_positions", "seq_length", "model_max_length"),
        experts=experts,
        experts_per_token=number("num_experts_per_tok", "moe_topk", default=2) if experts else 0,
        gated_mlp=kind not in _PLAIN_MLP,
        model_type=kind,
    )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
