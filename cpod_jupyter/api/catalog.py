"""The catalogue of base models: what a FineTune may name that is not a ModelStorage yet.

The built-in entries are those of `cpodoperator`. A ConfigMap extends them, and overrides them by name: the key
`models` of `support-models` in the namespace of public storages holds a JSON list of entries, with the names of
`cpodoperator`'s own type (NascentCore/3k, pkg/finetune/model.go) or ours, in any case:

    [{"Name": "Qwen/Qwen2.5-7B-Instruct", "LoRATarget": "q_proj,v_proj", "Targetmodelsize": 30720}]
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.api.names import hub_model_storage
from cpod_jupyter.api.problem import nearest
from cpod_jupyter.api.sources import source_uri

CONFIG_MAP, KEY = "support-models", "models"
"""Where a cluster's own entries are: a ConfigMap in the namespace of public storages, and the key in it."""


@dataclass(frozen=True)
class BaseModel:
    """A model that a FineTune can start from by name alone."""

    name: str
    """As the catalogue of `cpodoperator` spells it; the name of its ModelStorage is derived from this."""
    source: str = ""
    """Where it is fetched from: the repository whose files transformers reads. Empty when `storage` is there."""
    template: str = ""
    """Chat template of the ModelStorage."""
    volume_mib: int = 30720
    """Size of the claims for the model and for the result, MiB."""
    aliases: tuple[str, ...] = ()
    """Other names that people use, besides the last part of the name."""
    lora_target: str = ""
    """Modules that LoRA adapts where the user names none, with commas between; empty for all linear layers."""
    gpu_product: str = ""
    """The GPU type it is meant for: taken where the user names none and a node has it."""
    parameters: int = 0
    """How many it has, where its shape isn't known otherwise; 0 when unknown."""
    storage: str = ""
    """The name of its ModelStorage, when that is not the derived one."""
    licence: str = ""
    """Under which its weights are given, in its publisher's words; empty where it isn't known."""
    image: str = ""
    """An image to train it in that `cpodoperator` would use; this project trains in its own runtime image."""

    @property
    def storage_name(self) -> str:
        return self.storage or hub_model_storage(self.name)


_QV = "q_proj,v_proj"
_APACHE = "Apache-2.0"
CATALOG = (
    BaseModel(
        "ZhipuAI/chatglm3-6b",
        "hf://THUDM/chatglm3-6b",
        "alpaca",
        aliases=("ChatGLM3", "THUDM/chatglm3-6b"),
        lora_target="query_key_value",
        licence="ChatGLM3-6B Model License",
    ),
    BaseModel(
        "meta-llama/Llama-2-7b",
        "hf://meta-llama/Llama-2-7b-hf",
        "alpaca",
        aliases=("LLaMA-2-7B", "LLaMA2-7B", "meta-llama/Llama-2-7b-hf"),
        lora_target=_QV,
        licence="Llama 2 Community License",
    ),
    BaseModel(
        "baichuan-inc/Baichuan2-7B-Chat",
        "hf://baichuan-inc/Baichuan2-7B-Chat",
        "alpaca",
        lora_target="W_pack",
        licence="Baichuan 2 Community License",
    ),
    BaseModel(
        "IDEA-CCNL/Ziya-LLaMA-13B-v1",
        "hf://IDEA-CCNL/Ziya-LLaMA-13B-v1",
        "alpaca",
        aliases=("Ziya-LLaMA-13B",),
        lora_target=_QV,
        licence="GPL-3.0",
    ),
    BaseModel("google/gemma-2b-it", "hf://google/gemma-2b-it", "gemma", lora_target=_QV, licence="Gemma Terms of Use"),
    BaseModel(
        "mistralai/Mistral-7B-v0.1",
        "hf://mistralai/Mistral-7B-v0.1",
        "mistral",
        lora_target=_QV,
        licence=_APACHE,
    ),
    BaseModel(
        "mistralai/Mistral-7B-Instruct-v0.1",
        "hf://mistralai/Mistral-7B-Instruct-v0.1",
        "mistral",
        lora_target=_QV,
        licence=_APACHE,
    ),
    BaseModel(
        "mistralai/Mixtral-8x7B-Instruct-v0.1",
        "hf://mistralai/Mixtral-8x7B-Instruct-v0.1",
        "mistral",
        102400,
        lora_target=_QV,
        licence=_APACHE,
    ),
    BaseModel(
        "meta-llama/Meta-Llama-3-8B-Instruct",
        "hf://meta-llama/Meta-Llama-3-8B-Instruct",
        "llama3",
        102400,
        aliases=("Llama-3-8B-Instruct",),
        lora_target=_QV,
        licence="Llama 3 Community License",
    ),
    BaseModel(
        "LLM-Research/Llama-3.2-1B-Instruct",
        "hf://meta-llama/Llama-3.2-1B-Instruct",
        "llama3",
        aliases=("meta-llama/Llama-3.2-1B-Instruct",),
        lora_target=_QV,
        licence="Llama 3.2 Community License",
    ),
)
"""The base models of `cpodoperator`, with its names, templates, LoRA targets and volume sizes."""


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())


def find_model(name: str, models: Iterable[BaseModel] = CATALOG) -> BaseModel | None:
    """The catalogue's model of that name: whole, its last part or an alias, in any case, hyphens or none."""
    wanted = _plain(name)
    for model in models:
        names = (model.name, model.name.rsplit("/", 1)[-1], *model.aliases)
        if wanted in map(_plain, names):
            return model
    return None


def read_models(text: str) -> tuple[tuple[BaseModel, ...], list[str]]:
    """The whole catalogue with the entries of a ConfigMap, which come first, and what is wrong with those.

    An entry with a fault is left out, and the others hold. One that has the name of a built-in entry changes what it
    says and keeps the rest.
    """
    try:
        entries = json.loads(text)
    except ValueError as error:
        return CATALOG, [f"the key {KEY} is not JSON: {error}"]
    if not isinstance(entries, list):
        return CATALOG, [f"the key {KEY} is not a JSON list of models"]
    own: dict[str, BaseModel] = {}
    problems = []
    for number, entry in enumerate(entries, 1):
        try:
            model = _read_entry(entry)
            if _plain(model.name) in own:
                raise ValueError(f"the name {model.name!r} is in the list twice")
        except ValueError as error:
            problems.append(f"entry {number} of {KEY} is left out: {error}")
        else:
            own[_plain(model.name)] = model
    return (*own.values(), *(model for model in CATALOG if _plain(model.name) not in own)), problems


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value.strip()


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError("must be a whole number above 0")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(part) for part in (value if isinstance(value, list) else str(value).split(",")))


def _modules(value: Any) -> str:
    modules = ",".join(_texts(value))
    return "all-linear" if modules == "all" else modules


_FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "name": ("name", _text),
    "modelstoragename": ("storage", _text),
    "storage": ("storage", _text),
    "source": ("source", _text),
    "modelname": ("source", _text),
    "image": ("image", _text),
    "template": ("template", _text),
    "loratarget": ("lora_target", _modules),
    "targets": ("lora_target", _modules),
    "targetmodelsize": ("volume_mib", _size),
    "size": ("volume_mib", _size),
    "requiregputype": ("gpu_product", _text),
    "gpuproduct": ("gpu_product", _text),
    "aliases": ("aliases", _texts),
    "parameters": ("parameters", _size),
    "licence": ("licence", _text),
    "license": ("licence", _text),
}
"""What an entry may say, in lower case: our field, and how its value is read."""


def _read_entry(entry: Any) -> BaseModel:
    """A model from one entry of the list; raises ValueError with what is wrong with it."""
    if not isinstance(entry, Mapping):
        raise ValueError("it is not a JSON object")
    values: dict[str, Any] = {}
    for key, value in entry.items():
        if (known := _FIELDS.get(_plain(key))) is None:
            raise ValueError(f"{key!r} is not a field of a model{nearest(_plain(key), _FIELDS)}")
        field, read = known
        try:
            values[field] = read(value)
        except ValueError as error:
            raise ValueError(f"{key} is {json.dumps(value)}, it {error}") from error
    if not values.get("name"):
        raise ValueError("it has no name")
    builtin = {_plain(model.name): model for model in CATALOG}.get(_plain(values["name"]))
    if builtin is not None:
        values["name"] = builtin.name
    model = dataclasses.replace(builtin, **values) if builtin else BaseModel(**values)
    if model.source:
        source_uri("", model.source)  # raises when it names none
    elif not model.storage:
        return dataclasses.replace(model, source=_hub(model.name))
    return model


def _hub(name: str) -> str:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ValueError(f"{name!r} is no name on the hub (ORG/NAME), so it needs a source or a ModelStorageName")
    return f"hf://{name}"
