"""The HTTP application of `serve`: one model behind OpenAI's protocol. Imports the serving libraries.

The answers are the work of the handlers behind `transformers serve`. The application around them is our own,
since that command serves whatever model a request names, under its path, and unloads it at anyone's request.
Here is one model, known by the name it was given. Errors have OpenAI's form,
`{"error": {"message": …, "type": …, "param": …, "code": …}}` (OpenAI API reference, "Error codes").
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from jinja2 import TemplateError
from starlette.exceptions import HTTPException
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.cli.serving.chat_completion import ChatCompletionHandler
from transformers.cli.serving.completion import CompletionHandler
from transformers.cli.serving.model_manager import ModelManager
from transformers.cli.serving.utils import GenerationState, Modality

from cpod_jupyter.runtime.serve import Limits

DEFAULT_MAX_TOKENS = 1024
"""Of an answer, where neither the request nor the command line says."""

RANGES = {"temperature": (0.0, 2.0), "top_p": (0.0, 1.0), "frequency_penalty": (-2.0, 2.0)}
"""What OpenAI's API reference allows."""

KSERVE = "/openai"
"""Where KServe's servers have OpenAI's paths; they are answered there as well."""

Body = dict[str, Any]


class RequestError(Exception):
    """A request that can't be answered, as OpenAI's clients understand it."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status

    def response(self) -> JSONResponse:
        """The HTTP answer."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return JSONResponse({"error": error}, self.status)


class PinnedModel(ModelManager):  # type: ignore[misc]
    """The one model, where transformers' handlers expect a manager that loads and unloads any."""

    def __init__(
        self, name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, context: int | None
    ) -> None:
        super().__init__()
        self.name, self.model, self.tokenizer, self.context = name, model, tokenizer, context

    @staticmethod
    def process_model_name(model_id: str) -> str:
        """The name itself; upstream adds a revision of the hub."""
        return model_id

    def load_model_and_processor(
        self, model_id_and_revision: str, *_: Any, **__: Any
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
        """The model, whatever happens: the routes have compared the name."""
        return self.model, self.tokenizer

    def list_models(self, cache_dir: str | None = None) -> list[dict[str, Any]]:
        """The model as OpenAI's model object."""
        limit = self.context
        return [{"id": self.name, "object": "model", "created": 0, "owned_by": "cpod", "max_model_len": limit}]


def context_length(model: PreTrainedModel) -> int | None:
    """Tokens of prompt and answer together that the model was made for, or None where its config doesn't say."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def build_app(
    name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, limits: Limits, key: str = ""
) -> FastAPI:
    """The routes over `model`, which requests call `name`. With a `key` all but /health must bring it."""
    context, answer = limits.context or context_length(model), limits.answer or DEFAULT_MAX_TOKENS
    pinned, state = PinnedModel(name, model, tokenizer, context), GenerationState()
    chat, text = ChatCompletionHandler(pinned, state), CompletionHandler(pinned, state)
    # A model whose own configuration doesn't sample answers greedily unless a request asks for a temperature;
    # transformers would ignore the temperature then, so from here on it is what decides.
    config = model.generation_config
    temperature = (config.temperature or 1.0) if config.do_sample else 0.0
    if limits.temperature is not None:
        temperature = limits.temperature
    config.do_sample = True

    checks = [Depends(_asks_for(key))]
    app = FastAPI(title=name, docs_url=None, redoc_url=None, openapi_url=None, dependencies=checks)
    _answer_errors(app)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    @app.get(KSERVE + "/v1/models")
    def list_models() -> dict[str, Any]:
        return {"object": "list", "data": pinned.list_models()}

    @app.get("/v1/models/{model_id:path}")
    @app.get(KSERVE + "/v1/models/{model_id:path}")
    def get_model(model_id: str) -> dict[str, Any]:
        _require_name(model_id, name)
        return pinned.list_models()[0]

    @app.post("/v1/chat/completions")
    @app.post(KSERVE + "/v1/chat/completions")
    async def chat_completions(request: Request, body: Body) -> Response:
        _prepare(body, name, temperature)
        prompt = _render_chat(tokenizer, body)
        asked = body.pop("max_tokens", None)
        asked = asked if body.get("max_completion_tokens") is None else body["max_completion_tokens"]
        body["max_completion_tokens"] = _answer_length(tokenizer, prompt, asked, answer, context)
        return _with_done(await chat.handle_request(body, _request_id(request)))

    @app.post("/v1/completions")
    @app.post(KSERVE + "/v1/completions")
    async def completions(request: Request, body: Body) -> Response:
        _prepare(body, name, temperature)
        prompt = body.get("prompt")
        if not isinstance(prompt, str) or not prompt:
            raise RequestError("prompt must be a text that isn't empty", param="prompt")
        body["max_tokens"] = _answer_length(tokenizer, prompt, body.get("max_tokens"), answer, context)
        return _with_done(await text.handle_request(body, _request_id(request)))

    return app


# ---- requests


def _prepare(body: Body, name: str, temperature: float) -> None:
    """Check what both kinds of completion have in common, and fill in the temperature."""
    _require_name(body.get("model"), name)
    for param, (low, high) in RANGES.items():
        value = body.get(param)
        if value is not None and not (_is_number(value) and low <= value <= high):
            raise RequestError(f"{param} must be a number from {low:g} to {high:g}", param=param)
    if body.get("n") not in (None, 1):
        raise RequestError("n must be 1, this server gives one answer to a request", param="n")
    if body.get("temperature") is None:
        body["temperature"] = temperature


def _require_name(requested: Any, name: str) -> None:
    if not isinstance(requested, str) or not requested:
        raise RequestError("you must name a model", param="model")
    if requested != name:
        raise RequestError(
            f"The model `{requested}` does not exist, this server has `{name}`",
            param="model",
            code="model_not_found",
            status=404,
        )


def _render_chat(tokenizer: PreTrainedTokenizerFast, body: Body) -> str:
    """The prompt the chat template makes of `messages`, which are checked first."""
    if not tokenizer.chat_template:
        raise RequestError("the model has no chat template, use /v1/completions")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RequestError("messages must be a list that isn't empty", param="messages")
    for index, message in enumerate(messages):
        fault = _fault_in_message(message)
        if fault:
            raise RequestError(f"messages[{index}]: {fault}", param=f"messages[{index}]")
    try:
        turns = ChatCompletionHandler.get_processor_inputs_from_messages(messages, Modality.LLM)
        kwargs = body.get("chat_template_kwargs") or {}
        return str(
            tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True, tools=body.get("tools"), **kwargs
            )
        )
    except (TemplateError, KeyError, TypeError, ValueError) as error:
        raise RequestError(f"the model's chat template refuses the messages: {error}", param="messages") from error


def _fault_in_message(message: Any) -> str | None:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        return "it must be an object with a role"
    content = message.get("content")
    if isinstance(content, list):
        if not all(
            isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
            for part in content
        ):
            return "this model reads text only"
    elif not isinstance(content, str) and not message.get("tool_calls"):
        return "its content must be a text"
    return None


def _answer_length(tokenizer: PreTrainedTokenizerFast, prompt: str, asked: Any, default: int, limit: int | None) -> int:
    """How many tokens the answer may have: what is asked for, as far as the context of `limit` tokens reaches."""
    if asked is not None and not (isinstance(asked, int) and not isinstance(asked, bool) and asked >= 1):
        raise RequestError("max_tokens must be a whole number from 1", param="max_tokens")
    wanted = default if asked is None else asked
    if limit is None:
        return wanted
    length = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    if length >= limit:
        message = f"the prompt has {length} tokens, which leaves nothing of the model's {limit} for an answer"
        raise RequestError(message, code="context_length_exceeded")
    return min(wanted, limit - length)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _request_id(request: Request) -> str:
    return request.headers.get("x-request-id") or f"chatcmpl-{uuid.uuid4().hex}"


# ---- answers


def _with_done(response: Response) -> Response:
    """A stream with the `data: [DONE]` at its end that OpenAI's protocol has and upstream leaves out."""
    if not isinstance(response, StreamingResponse):
        return response
    chunks = response.body_iterator

    async def all_chunks() -> AsyncIterator[Any]:
        async for chunk in chunks:
            yield chunk
        yield "data: [DONE]\n\n"

    response.body_iterator = all_chunks()
    return response


def _asks_for(key: str) -> Callable[[Request], None]:
    """Refuses requests without the key, as OpenAI's API does (HTTP authentication, scheme Bearer)."""
    expected = f"Bearer {key}".encode()

    def check(request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if key and request.url.path != "/health" and not hmac.compare_digest(given, expected):
            raise RequestError("the API key is wrong or missing", code="invalid_api_key", status=401)

    return check


def _answer_errors(app: FastAPI) -> None:
    """Every failure in OpenAI's form, whoever found it: we, the handlers, or the framework."""

    @app.exception_handler(RequestError)
    async def request_error(_: Request, error: RequestError) -> JSONResponse:
        return error.response()

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        return RequestError(str(error.detail), status=error.status_code).response()

    @app.exception_handler(RequestValidationError)
    async def invalid_body(_: Request, error: RequestValidationError) -> JSONResponse:
        reasons = "; ".join(str(fault["msg"]) for fault in error.errors())
        return RequestError(f"the body must be a JSON object: {reasons}").response()

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return RequestError(f"{type(error).__name__}: {error}", status=500).response()
