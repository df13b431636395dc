"""`params` of an Inference to arguments of the engine that serves. Pure.

A JSON object as text, as the original has it: its keys are the engine's own names. Everything becomes
an argument vector, never a line for a shell, so that a value cannot become another argument.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from cpod_jupyter.operator.lookup import nearest_first
from cpod_jupyter.operator.objects import Refused

Params = Mapping[str, Any]

_NAME = re.compile(r"[a-z][a-z0-9_-]*", re.IGNORECASE)
_DTYPES = ("auto", "float32", "bfloat16", "float16")

VLLM_OURS = frozenset(
    {
        "model",
        "host",
        "port",
        "uds",
        "served_model_name",
        "enable_lora",
        "lora_modules",
        "tensor_parallel_size",
        "config",
    }
)
"""What the operator itself tells vLLM: the model's place and name, the address, the GPUs and the adapter."""

_RUNTIME: dict[str, str] = {
    "max_model_len": "a whole number from 1: tokens of prompt and answer together",
    "max_tokens": "a whole number from 1: tokens of an answer for which the request sets no limit",
    "temperature": "a number from 0 to 2: for requests that set none; 0 is greedy",
    "dtype": f"one of {', '.join(_DTYPES)}: the weights' type in memory",
}
"""What the project's own server takes; the first and last are vLLM's names for the same."""

_LLAMA_FACTORY_OURS = frozenset({"model_name_or_path", "adapter_name_or_path"})


def parse(text: str | None) -> dict[str, Any]:
    """The object in `params`, empty when there is none. Raises Refused (BadParams) when it is no JSON object."""
    if not text or not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _bad(f'params is not JSON ({error}); write an object such as {{"max_model_len": 4096}}') from error
    if not isinstance(found, dict):
        raise _bad(f'params is a JSON {_kind(found)}; write an object such as {{"max_model_len": 4096}}')
    for name in found:
        if not _NAME.fullmatch(name):
            raise _bad(f"params: {name!r} cannot be the name of an argument; name it as the engine does: max_model_len")
    return found


def vllm(params: Params) -> list[str]:
    """vLLM's own arguments ("vllm serve" reference): `--max-model-len=4096`, `--enforce-eager`, `--no-…`."""
    named = {_underscored(name): value for name, value in params.items()}
    _refuse_ours(named, VLLM_OURS)
    return [word for name, value in named.items() for word in _flags(name.replace("_", "-"), value)]


def llama_factory(params: Params) -> list[str]:
    """LLaMA-Factory's arguments, which are fields of dataclasses: a boolean has a value there."""
    named = {_underscored(name): value for name, value in params.items()}
    _refuse_ours(named, _LLAMA_FACTORY_OURS)
    return [f"--{name}={_text(name, value)}" for name, value in named.items() if value is not None]


def runtime(params: Params) -> list[str]:
    """Arguments of the project's own server; a name that it does not have is refused with those it has."""
    words: list[str] = []
    for given, value in params.items():
        name = _underscored(given)
        if name not in _RUNTIME:
            known = ", ".join(nearest_first(name, _RUNTIME))
            raise _bad(
                f"params: the server for CPUs has no {given!r}; it has {known}. "
                "vLLM's others need a GPU: set gpuCount, or give a predictor of your own"
            )
        if not _is_right(name, value):
            raise _bad(f"params: {given} must be {_RUNTIME[name]}")
        words.append(f"--{name.replace('_', '-')}={value}")
    return words


def engine_kwargs(params: Params) -> dict[str, Any]:
    """For Ray Serve LLM, which hands vLLM's arguments on as a mapping."""
    named = {_underscored(name): value for name, value in params.items()}
    _refuse_ours(named, VLLM_OURS)
    return named


def _refuse_ours(named: Iterable[str], ours: frozenset[str]) -> None:
    for name in named:
        if name in ours:
            raise _bad(f"params: {name} is set by the operator, from the Inference's other fields; leave it out")


def _flags(flag: str, value: Any) -> list[str]:
    if value is None:
        return []
    if value is True:
        return [f"--{flag}"]
    if value is False:
        return [f"--no-{flag}"]
    if isinstance(value, list):
        words = [_text(flag, entry) for entry in value]
        if any(word.startswith("-") for word in words):
            raise _bad(f"params: an entry of {flag} begins with '-', which vLLM would take for an argument")
        return [f"--{flag}", *words]
    return [f"--{flag}={_text(flag, value)}"]


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        if "$(" in value:  # Kubernetes would put an environment variable in its place
            raise _bad(f"params: the value of {name} contains '$(', which Kubernetes would replace")
        return value
    return json.dumps(value)


def _is_right(name: str, value: Any) -> bool:
    if name == "dtype":
        return value in _DTYPES
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= 2 if name == "temperature" else isinstance(value, int) and value >= 1


def _underscored(name: str) -> str:
    return name.strip("-").replace("-", "_")


def _kind(value: Any) -> str:
    kinds: tuple[tuple[type, str], ...] = ((bool, "boolean"), (str, "string"), (list, "array"), (type(None), "null"))
    return next((word for kind, word in kinds if isinstance(value, kind)), "number")


def _bad(sentence: str) -> Refused:
    return Refused("BadParams", sentence)
