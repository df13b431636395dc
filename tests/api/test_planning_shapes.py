"""Model shapes from config.json as the families write it, against the published numbers of parameters."""

from __future__ import annotations

from typing import Any

import pytest

from cpod_jupyter.api.catalog import CATALOG
from cpod_jupyter.api.planning import ModelShape, known_shape
from cpod_jupyter.api.planning.known_models import KNOWN
from cpod_jupyter.api.storage import model_storage_crd


def llama(kind: str, hidden: int, inner: int, layers: int, heads: int, kv_heads: int, vocab: int, **more: Any) -> Any:
    return {
        "model_type": kind,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocab,
        **more,
    }


CHATGLM3 = {
    "model_type": "chatglm", "hidden_size": 4096, "ffn_hidden_size": 13696, "num_layers": 28,
    "num_attention_heads": 32, "kv_channels": 128, "multi_query_attention": True, "multi_query_group_num": 2,
    "padded_vocab_size": 65024, "seq_length": 8192, "add_qkv_bias": True, "tie_word_embeddings": False,
    "torch_dtype": "float16",
}  # fmt: skip
BAICHUAN2 = {
    "model_type": "baichuan", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "vocab_size": 125696, "model_max_length": 4096, "tie_word_embeddings": False,
}  # fmt: skip
GPT2 = {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257, "n_positions": 1024}
PYTHIA = {
    "model_type": "gpt_neox", "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6,
    "num_attention_heads": 8, "vocab_size": 50304, "tie_word_embeddings": False,
}  # fmt: skip

PUBLISHED = {
    "Llama-2-7B": (llama("llama", 4096, 11008, 32, 32, 32, 32000), 6_738_415_616),
    "Llama-2-70B": (llama("llama", 8192, 28672, 80, 64, 8, 32000), 68_976_648_192),
    "Llama-3-8B": (llama("llama", 4096, 14336, 32, 32, 8, 128256), 8_030_261_248),
    "Llama-3.2-1B": (llama("llama", 2048, 8192, 16, 32, 8, 128256, tie_word_embeddings=True), 1_235_814_400),
    "SmolLM2-135M": (llama("llama", 576, 1536, 30, 9, 3, 49152, tie_word_embeddings=True), 134_515_008),
    "Mistral-7B": (llama("mistral", 4096, 14336, 32, 32, 8, 32000), 7_241_732_096),
    "Mixtral-8x7B": (
        llama("mixtral", 4096, 14336, 32, 32, 8, 32000, num_local_experts=8, num_experts_per_tok=2),
        46_702_792_704,
    ),
    "Gemma-2B": (llama("gemma", 2048, 16384, 18, 8, 1, 256000, head_dim=256), 2_506_172_416),
    "Gemma-2-2B": (llama("gemma2", 2304, 9216, 26, 8, 4, 256000, head_dim=256), 2_614_341_888),
    "Qwen2.5-0.5B": (llama("qwen2", 896, 4864, 24, 14, 2, 151936, tie_word_embeddings=True), 494_032_768),
    "Qwen2.5-7B": (llama("qwen2", 3584, 18944, 28, 28, 4, 152064), 7_615_616_512),
    "Qwen3-8B": (llama("qwen3", 4096, 12288, 36, 32, 8, 151936, head_dim=128), 8_190_735_360),
    "ChatGLM3-6B": (CHATGLM3, 6_243_584_000),
    "Baichuan2-7B": (BAICHUAN2, 7_505_973_248),
    "GPT-2": (GPT2, 124_439_808),
    "Pythia-70M": (PYTHIA, 70_426_624),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_parameters_counted_from_a_config_are_the_published_ones(name: str) -> None:
    config, published = PUBLISHED[name]
    shape = ModelShape.from_config(config)
    assert shape.parameters == published
    assert not shape.approximate


def test_a_count_of_the_files_wins_and_an_unknown_family_is_marked_as_counted_by_another_ones_rule() -> None:
    config = llama("newcomer", 1024, 4096, 4, 8, 8, 1000)
    assert ModelShape.from_config(config).approximate
    counted = ModelShape.from_config(config, parameters=77_000_000)
    assert (counted.parameters, counted.approximate) == (77_000_000, False)


def test_the_names_of_each_family_are_read() -> None:
    glm = ModelShape.from_config(CHATGLM3)
    assert (glm.layers, glm.intermediate_size, glm.kv_heads, glm.head_dim, glm.max_positions) == (
        28,
        13696,
        2,
        128,
        8192,
    )
    assert ModelShape.from_config(GPT2).gated_mlp is False
    inside = ModelShape.from_config({"model_type": "gemma3", "text_config": PUBLISHED["Gemma-2B"][0]})
    assert inside.hidden_size == 2048
    assert ModelShape.from_config({**GPT2, "dtype": "float32"}).dtype_bytes == 4


def test_a_config_of_something_else_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(ValueError, match="no num_hidden_layers and no num_attention_heads"):
        ModelShape.from_config({"model_type": "resnet", "hidden_size": 5})


def test_a_shape_survives_the_status_of_an_object() -> None:
    shape = ModelShape.from_config(PUBLISHED["Mixtral-8x7B"][0])
    status = shape.to_status()
    assert (status["hiddenSize"], status["expertsPerToken"], status["tiedEmbeddings"]) == (4096, 2, False)
    assert ModelShape.from_status(status) == shape
    with pytest.raises(ValueError, match="no hiddenSize"):
        ModelShape.from_status({"parameters": 1, "layers": 1})


def test_the_definition_of_model_storages_has_each_field_of_a_shape() -> None:
    status = model_storage_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    shape = ModelShape.from_config(PUBLISHED["Llama-3-8B"][0])
    assert set(status["properties"]["model"]["properties"]) == set(shape.to_status())


def test_every_model_of_the_catalogue_has_its_shape_before_it_is_fetched() -> None:
    assert set(KNOWN) == {model.name for model in CATALOG}
    for published, name in (
        ("Llama-2-7B", "LLaMA-2-7B"), ("Mixtral-8x7B", "mixtral-8x7b-instruct-v0.1"), ("Gemma-2B", "gemma-2b-it"),
        ("ChatGLM3-6B", "chatglm3-6b"), ("Baichuan2-7B", "Baichuan2-7B-Chat"), ("Llama-3-8B", "Llama-3-8B-Instruct"),
    ):  # fmt: skip
        shape = known_shape(name)
        assert shape is not None
        assert shape.parameters == PUBLISHED[published][1]
    assert known_shape("nobody/none") is None


@pytest.mark.parametrize(
    ("name", "billions"),
    [("Qwen2.5-7B-Instruct", 7.0), ("llama_13b", 13.0), ("SmolLM2-135M", 0.135), ("Mixtral-8x7B-v0.1", 46.5)],
)
def test_a_size_in_a_name_gives_a_shape_that_says_it_is_a_guess(name: str, billions: float) -> None:
    shape = ModelShape.from_name(name)
    assert shape is not None
    assert shape.approximate
    assert shape.parameters / 1e9 == pytest.approx(billions, rel=0.01)


def test_the_guess_of_a_shape_is_near_the_real_one() -> None:
    guess, real = ModelShape.from_bytes(2 * 6_738_415_616), KNOWN["meta-llama/Llama-2-7b"]
    assert abs(guess.layers - real.layers) <= 2
    assert guess.hidden_size == pytest.approx(real.hidden_size, rel=0.1)
    assert ModelShape.from_name("my-model") is None
