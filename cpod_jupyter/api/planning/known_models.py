"""The shapes of the catalogue's models as numbers, so that a plan can be made before anything is fetched."""

from __future__ import annotations

from cpod_jupyter.api.catalog import find_model
from cpod_jupyter.api.planning.shapes import ModelShape

_LLAMA_2_7B = ModelShape(6_738_415_616, 32, 4096, 11008, 32, 32, 128, 32000, max_positions=4096, model_type="llama")
_MISTRAL_7B = ModelShape(7_241_732_096, 32, 4096, 14336, 32, 8, 128, 32000, max_positions=32768, model_type="mistral")

KNOWN: dict[str, ModelShape] = {
    "ZhipuAI/chatglm3-6b": ModelShape(
        6_243_584_000, 28, 4096, 13696, 32, 2, 128, 65024, max_positions=8192, model_type="chatglm"
    ),
    "meta-llama/Llama-2-7b": _LLAMA_2_7B,
    "baichuan-inc/Baichuan2-7B-Chat": ModelShape(
        7_505_973_248, 32, 4096, 11008, 32, 32, 128, 125696, max_positions=4096, model_type="baichuan"
    ),
    "IDEA-CCNL/Ziya-LLaMA-13B-v1": ModelShape(
        13_091_886_080, 40, 5120, 13824, 40, 40, 128, 39424, max_positions=2048, model_type="llama"
    ),
    "google/gemma-2b-it": ModelShape(
        2_506_172_416, 18, 2048, 16384, 8, 1, 256, 256000, True, max_positions=8192, model_type="gemma"
    ),
    "mistralai/Mistral-7B-v0.1": _MISTRAL_7B,
    "mistralai/Mistral-7B-Instruct-v0.1": _MISTRAL_7B,
    "mistralai/Mixtral-8x7B-Instruct-v0.1": ModelShape(
        46_702_792_704, 32, 4096, 14336, 32, 8, 128, 32000, False, 2, 32768, 8, 2, model_type="mixtral"
    ),
    "meta-llama/Meta-Llama-3-8B-Instruct": ModelShape(
        8_030_261_248, 32, 4096, 14336, 32, 8, 128, 128256, max_positions=8192, model_type="llama"
    ),
    "LLM-Research/Llama-3.2-1B-Instruct": ModelShape(
        1_235_814_400, 16, 2048, 8192, 32, 8, 64, 128256, True, max_positions=131072, model_type="llama"
    ),
}
"""By the catalogue's name, from the models' published config.json."""


def known_shape(name: str) -> ModelShape | None:
    """The shape of a model of the catalogue, by any name that the catalogue knows it by."""
    model = find_model(name)
    return KNOWN.get(model.name) if model else None
