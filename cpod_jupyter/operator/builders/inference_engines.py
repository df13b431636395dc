"""The servers that the operator knows: how each is recognised, and what it takes. Pure.

A container given by the user is adapted only as far as the operator knows what is in it: arguments are
never added to a command of something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cpod_jupyter.operator.builders import inference_params as params_of
from cpod_jupyter.operator.builders.download import RUNTIME
from cpod_jupyter.operator.settings import Settings

Container = dict[str, Any]

MODEL_PATH, ADAPTER_PATH = "/mnt/models", "/mnt/adapter"
PORT = 8080
"""Where what the operator starts itself listens, which is KServe's own default."""

_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh"})


@dataclass(frozen=True)
class Engine:
    """One server: names and places are upstream's own."""

    name: str
    image: re.Pattern[str] | None
    """Matches the image's repository, without tag."""
    program: tuple[re.Pattern[str], ...]
    """Match words of the command, in this order."""
    command: tuple[str, ...]
    """Starts it in that image."""
    model_arguments: tuple[str, ...]
    """Tell it where the model is."""
    port: int
    """Its own default."""
    port_flag: str
    port_variable: str
    """In its environment; empty when it reads none."""
    ready_path: str
    adapter_arguments: Callable[[str], list[str]] | None
    """From the name that requests call the adapter by; None when it takes no adapter as an argument."""
    params: Callable[[params_of.Params], list[str]] | None
    """From `params` to arguments; None when it has none that the operator knows."""
    chats: bool
    """Whether it answers /v1/chat/completions."""


def _words(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern) for pattern in patterns)


VLLM = Engine(
    name="vLLM",
    image=re.compile(r"(^|/)vllm(-(openai|cpu|rocm|tpu|hpu)[^/]*)?$"),
    program=_words(r"(^|/)vllm$", r"serve"),
    command=("vllm", "serve"),
    model_arguments=(MODEL_PATH,),
    port=8000,
    port_flag="--port",
    port_variable="",
    ready_path="/health",
    adapter_arguments=lambda name: ["--enable-lora", "--lora-modules", f"{name}={ADAPTER_PATH}"],
    params=params_of.vllm,
    chats=True,
)
_VLLM_MODULE = _words(r"vllm\.entrypoints\.openai\.api_server")
"""How vLLM is started without its command line tool."""

RUNTIME_SERVER = Engine(
    name="transformers",
    image=None,
    program=_words(r"cpod_jupyter\.runtime", r"serve"),
    command=(*RUNTIME, "serve"),
    model_arguments=("--model", MODEL_PATH),
    port=8080,
    port_flag="--port",
    port_variable="",
    ready_path="/health",
    adapter_arguments=lambda _: ["--adapter", ADAPTER_PATH],
    params=params_of.runtime,
    chats=True,
)
"""The project's runtime, on what is underneath `transformers serve`."""

LLAMA_FACTORY = Engine(
    name="LLaMA-Factory",
    image=re.compile(r"(^|/)llama-?factory[^/]*$", re.IGNORECASE),
    program=_words(r"(^|/)llamafactory-cli$", r"api"),
    command=("llamafactory-cli", "api"),
    model_arguments=(f"--model_name_or_path={MODEL_PATH}",),
    port=8000,
    port_flag="",
    port_variable="API_PORT",
    ready_path="/v1/models",
    adapter_arguments=lambda _: ["--adapter_name_or_path", ADAPTER_PATH],
    params=params_of.llama_factory,
    chats=True,
)
_LLAMA_FACTORY_SCRIPT = _words(r"(^|/)src/api(_demo)?\.py$")
"""How its API is started from a checkout, in its older versions."""

TRITON = Engine(
    name="Triton",
    image=re.compile(r"(^|/)tritonserver[^/]*$"),
    program=_words(r"(^|/)tritonserver$"),
    command=("tritonserver",),
    model_arguments=(f"--model-repository={MODEL_PATH}",),
    port=8000,
    port_flag="--http-port",
    port_variable="",
    ready_path="/v2/health/ready",
    adapter_arguments=None,
    params=None,
    chats=False,
)

_BY_PROGRAM = (
    *((engine.program, engine) for engine in (VLLM, RUNTIME_SERVER, LLAMA_FACTORY, TRITON)),
    (_VLLM_MODULE, VLLM),
    (_LLAMA_FACTORY_SCRIPT, LLAMA_FACTORY),
)


def engine_of(container: Container, settings: Settings) -> Engine | None:
    """The server in a container, or None when it is not one that the operator knows.

    The command says it, where there is one, and else the image. A line for a shell is not looked into:
    nothing could be added to it.
    """
    words = words_of(container)
    if words and words[0].rpartition("/")[2] in _SHELLS:
        return None
    found = next((engine for program, engine in _BY_PROGRAM if _begins(program, words)), None)
    if found is not None or container.get("command"):
        return found
    repository = _repository(str(container.get("image") or ""))
    if repository and repository == _repository(settings.runtime_image):
        return RUNTIME_SERVER if words[:1] == ["serve"] else None
    # vLLM's image starts the server itself, so that arguments alone are the server's; the others start what
    # the arguments name.
    known = (VLLM,) if words else (VLLM, TRITON, LLAMA_FACTORY)
    return next((engine for engine in known if engine.image and engine.image.search(repository)), None)


def words_of(container: Container) -> list[str]:
    """The command and its arguments, as Kubernetes joins them."""
    return [str(word) for word in [*(container.get("command") or []), *(container.get("args") or [])]]


def _begins(program: Sequence[re.Pattern[str]], words: list[str]) -> bool:
    """Whether the words have those of the program, in their order."""
    rest = iter(words)
    return all(any(pattern.fullmatch(word) or _is_path(pattern, word) for word in rest) for pattern in program)


def _is_path(pattern: re.Pattern[str], word: str) -> bool:
    return pattern.pattern.startswith("(^|/)") and pattern.search(word) is not None


def _repository(image: str) -> str:
    """An image's name without tag and digest."""
    head, slash, last = image.split("@", 1)[0].rpartition("/")
    return head + slash + last.split(":", 1)[0]


def has_argument(container: Container, flag: str) -> bool:
    """Whether the container's words give the flag, with the value after a space or an equals sign."""
    spellings = {flag, flag.replace("-", "_").replace("__", "--", 1)}
    return any(word.partition("=")[0] in spellings for word in words_of(container))


def argument(container: Container, flag: str) -> str:
    """The value that the container's words give the flag; empty when they don't."""
    words = words_of(container)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == flag:
            return value if equals else following
    return ""


def add_arguments(container: Container, words: Sequence[str]) -> None:
    """At the end of `args`, which Kubernetes puts after the command."""
    if words:
        container["args"] = [*(container.get("args") or []), *words]


def port_of(engine: Engine, container: Container) -> int:
    """Where the server in a given container listens: by its port, its arguments, its environment, or its default."""
    ports = container.get("ports") or []
    if ports:
        return int(ports[0]["containerPort"])
    told = argument(container, engine.port_flag) if engine.port_flag else ""
    for variable in container.get("env") or []:
        if engine.port_variable and variable.get("name") == engine.port_variable:
            told = str(variable.get("value") or "")
    return int(told) if told.isdecimal() else engine.port


def fill_in(engine: Engine, container: Container, startup_probe: bool) -> None:
    """What a container of that engine leaves out: the command and the model, port, and probes."""
    if not container.get("command") and not container.get("args"):
        container["command"] = list(engine.command)
        container["args"] = list(engine.model_arguments)
    port = port_of(engine, container)
    container.setdefault("ports", [{"containerPort": port, "protocol": "TCP"}])
    if not container.get("readinessProbe"):
        container["readinessProbe"] = ready_probe(engine.ready_path, port)
        if startup_probe and not container.get("startupProbe"):
            container["startupProbe"] = startup(engine.ready_path, port)


def ready_probe(path: str, port: int, period: int = 5) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port}, "periodSeconds": period}


def startup(path: str, port: int) -> dict[str, Any]:
    """An hour: the weights of a large model come over a network, and compiling takes minutes after that."""
    return {"httpGet": {"path": path, "port": port}, "periodSeconds": 10, "failureThreshold": 360}


def on_knative(settings: Settings) -> bool:
    """Whether it is known that Knative runs the predictors."""
    return settings.kserve_deployment_mode in ("Knative", "Serverless")
