"""The catalogue of base models: what a FineTune may name that is not a ModelStorage yet."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cpod_jupyter.api.names import hub_model_storage


@dataclass(frozen=True)
class BaseModel:
    """A model that a FineTune can start from by name alone."""

    name: str
    """As the catalogue of `cpodoperator` spells it; the name of its ModelStorage is derived from this."""
    source: str
    """Where it is fetched from: the repository whose files transformers reads."""
    template: str
    """Chat template of the ModelStorage."""
    volume_mib: int = 30720
    """Size of the claims for the model and for the result, MiB."""
    aliases: tuple[str, ...] = ()
    """Other names that people use, besides the last part of the name."""

    @property
    def storage_name(self) -> str:
        return hub_model_storage(self.name)


CATALOG = (
    BaseModel("ZhipuAI/chatglm3-6b", "hf://THUDM/chatglm3-6b", "alpaca", aliases=("ChatGLM3", "THUDM/chatglm3-6b")),
    BaseModel(
        "meta-llama/Llama-2-7b",
        "hf://meta-llama/Llama-2-7b-hf",
        "alpaca",
        aliases=("LLaMA-2-7B", "LLaMA2-7B", "meta-llama/Llama-2-7b-hf"),
    ),
    BaseModel("baichuan-inc/Baichuan2-7B-Chat", "hf://baichuan-inc/Baichuan2-7B-Chat", "alpaca"),
    BaseModel("IDEA-CCNL/Ziya-LLaMA-13B-v1", "hf://IDEA-CCNL/Ziya-LLaMA-13B-v1", "alpaca", aliases=("Ziya-LLaMA-13B",)),
    BaseModel("google/gemma-2b-it", "hf://google/gemma-2b-it", "gemma"),
    BaseModel("mistralai/Mistral-7B-v0.1", "hf://mistralai/Mistral-7B-v0.1", "mistral"),
    BaseModel("mistralai/Mistral-7B-Instruct-v0.1", "hf://mistralai/Mistral-7B-Instruct-v0.1", "mistral"),
    BaseModel("mistralai/Mixtral-8x7B-Instruct-v0.1", "hf://mistralai/Mixtral-8x7B-Instruct-v0.1", "mistral", 102400),
    BaseModel(
        "meta-llama/Meta-Llama-3-8B-Instruct",
        "hf://meta-llama/Meta-Llama-3-8B-Instruct",
        "llama3",
        102400,
        aliases=("Llama-3-8B-Instruct",),
    ),
    BaseModel(
        "LLM-Research/Llama-3.2-1B-Instruct",
        "hf://meta-llama/Llama-3.2-1B-Instruct",
        "llama3",
        aliases=("meta-llama/Llama-3.2-1B-Instruct",),
    ),
)
"""The base models of `cpodoperator`, with its names, templates and volume sizes."""


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())


def find_model(name: str) -> BaseModel | None:
    """The catalogue's model of that name: whole, its last part or an alias, in any case, hyphens or none."""
    wanted = _plain(name)
    for model in CATALOG:
        names = (model.name, model.name.rsplit("/", 1)[-1], *model.aliases)
        if wanted in map(_plain, names):
            return model
    return None
