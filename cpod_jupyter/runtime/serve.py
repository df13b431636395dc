"""Serve one model over the OpenAI protocol: chat and text completions, streamed or not.

    python -m cpod_jupyter.runtime serve --model DIR --name my-model --port 8080

The model is loaded before the port opens: a connection is refused until then, and /health is 200 from then on.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.files import size_of
from cpod_jupyter.runtime.libraries import (
    cpu_is_quick_in_bf16,
    plain_load_errors,
    plain_memory_errors,
    prepare_libraries,
    require_model,
)
from cpod_jupyter.runtime.report import log, progress

if TYPE_CHECKING:
    import torch
    from fastapi import FastAPI
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

KEY_VARIABLE = "CPOD_API_KEY"
"""In the environment, and never in arguments, which others see: the key that requests must bring; empty for none."""
GRACE_SECONDS = 5
"""What answers in progress are given after SIGTERM."""


@dataclass(frozen=True)
class Limits:
    """What answers may be, where a request doesn't say; 0 and None for the model's own."""

    context: int = 0
    """Tokens of prompt and answer together, at most."""
    answer: int = 0
    """Tokens of an answer for which the request sets no limit."""
    temperature: float | None = None
    """For requests that set none; 0 takes the likeliest token each time."""


def serve(
    model_dir: Path, adapter: Path | None, name: str, host: str, port: int, limits: Limits, dtype: str = "auto"
) -> None:
    """Load the model, then answer on `host`:`port` until a signal; the process ends here.

    Raises:
        WorkFailed: the address can't be had, the model or adapter isn't one, or memory is short.
    """
    require_model(model_dir)
    if adapter is not None and not (adapter / "adapter_config.json").is_file():
        raise WorkFailed(f"{adapter} has no adapter_config.json: it is not an adapter in the format of PEFT")
    prepare_libraries(offline=True, unused=["deepspeed"])
    with bind(host, port) as sock:
        with plain_memory_errors("serve a smaller model, or free the GPU"):
            model, tokenizer = load(model_dir, adapter, dtype)
        from cpod_jupyter.runtime.app import build_app, context_length

        known = context_length(model)
        if known is not None and limits.context > known:
            raise WorkFailed(f"--max-model-len is {limits.context}, and the model was made for {known} tokens at most")
        app = build_app(name, model, tokenizer, limits, os.environ.get(KEY_VARIABLE, ""))
        log(f"{name} computes in {str(model.dtype).removeprefix('torch.')}")
        run_until_signal(app, sock, f"{name} answers on http://{host}:{sock.getsockname()[1]}/v1")


def bind(host: str, port: int) -> socket.socket:
    """A socket that is bound and not yet listening: a taken port is found before the model is loaded."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "another process has it" if taken else str(error)
        raise WorkFailed(f"can't listen on {host}:{port}: {reason}") from error
    return sock


def load(model_dir: Path, adapter: Path | None, dtype: str = "auto") -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The model with its adapter merged into it, in float32 where it is on a CPU.

    `dtype` auto is the model's own on a GPU. On a CPU it is float32, or bfloat16 for a model in half precision where
    that is quicker.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    size = size_of(model_dir) + (size_of(adapter) if adapter else 0)
    progress("load", 0, size, "B")
    gpu = torch.cuda.is_available()
    with plain_load_errors(f"the model {model_dir}"):
        tokenizer = AutoTokenizer.from_pretrained(model_dir)
        wanted = _dtype(model_dir, dtype, gpu)
        first = torch.float32 if adapter is not None and not gpu else wanted
        model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=first)
    if not tokenizer.chat_template:
        log("the model has no chat template: only /v1/completions can answer")
    if adapter is not None:
        from peft import PeftModel

        with plain_load_errors(f"the adapter {adapter} onto the model {model_dir}"):
            model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    model = model.to("cuda" if gpu else "cpu", dtype=None if first == wanted else wanted).eval()
    progress("load", size, size, "B")
    return model, tokenizer


def _dtype(model_dir: Path, dtype: str, gpu: bool) -> torch.dtype | Literal["auto"]:
    """What to hold the weights in; `auto` is what the model's own files say."""
    import torch
    from transformers import AutoConfig

    if dtype != "auto":
        return getattr(torch, dtype)
    if gpu:
        return "auto"
    half = AutoConfig.from_pretrained(model_dir).dtype in (torch.bfloat16, torch.float16)
    return torch.bfloat16 if half and cpu_is_quick_in_bf16() else torch.float32


def run_until_signal(app: FastAPI, sock: socket.socket, greeting: str) -> NoReturn:
    """Serve until SIGTERM or SIGINT, let answers in progress end, and end the process.

    `greeting` goes to the log when connections are accepted.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            log(greeting)

    access = logging.getLogger("uvicorn.access")
    access.propagate = False
    access.addHandler(logging.StreamHandler(sys.stdout))
    access.setLevel(logging.INFO)
    access.addFilter(lambda record: "/health" not in record.getMessage())  # a probe every few seconds
    server = Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=GRACE_SECONDS))
    code = 1
    try:
        server.run(sockets=[sock])
    except SystemExit as ended:  # uvicorn raises the signal again, for the handler that was there before
        code = ended.code if isinstance(ended.code, int) else 1
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    sys.stdout.flush()
    sys.stderr.flush()
    # A cut-off answer may still be computed on the handlers' daemon thread, which an orderly exit of the
    # interpreter can crash or wait for.
    os._exit(code)
