"""The server, asked with OpenAI's own client."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from runtime_commands import Run, Start, Started, ready

from cpod_jupyter import Endpoint

QUESTION: Any = [{"role": "user", "content": "What colour is the boat?"}]


@pytest.fixture
def served(start: Start, tiny_model: Path) -> Iterator[tuple[Started, openai.OpenAI]]:
    """The tiny model as `boats`, and a client for it."""
    started = start("serve", "--model", tiny_model, "--name", "boats", "--port", 0)
    client = openai.OpenAI(base_url=ready(started), api_key="none", max_retries=0)
    with client:
        yield started, client


def test_one_model_is_listed_and_answers_by_its_name_the_same_streamed_or_not(
    served: tuple[Started, openai.OpenAI],
) -> None:
    _, client = served
    with urllib.request.urlopen(str(client.base_url).replace("/v1/", "/health")) as health:
        assert (health.status, json.load(health)) == (200, {"status": "ok"})
    assert [model.id for model in client.models.list()] == ["boats"]
    assert client.models.retrieve("boats").id == "boats"

    asked: dict[str, Any] = {"model": "boats", "messages": QUESTION, "max_tokens": 12, "temperature": 0}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))

    assert (whole.model, whole.choices[0].message.role) == ("boats", "assistant")
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 12
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + 12
    assert whole.choices[0].finish_reason == "length"
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert streamed == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert len(chunks) > 3


@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_a_model_in_half_precision_computes_in_bf16_where_the_cpu_is_quick_in_it(
    start: Start, tiny_model: Path, dtype: str
) -> None:
    started = start("serve", "--model", tiny_model, "--name", "boats", "--port", 0, "--dtype", dtype)
    assert started.process.stdout is not None
    said = next(line for line in started.process.stdout if "computes in" in line)
    quick = dtype == "auto" and "amx_bf16" in Path("/proc/cpuinfo").read_text()
    assert said.split()[-1] == ("bfloat16" if quick else "float32")


def test_temperature_0_is_greedy_and_so_is_none_while_a_higher_one_samples(
    served: tuple[Started, openai.OpenAI],
) -> None:
    _, client = served

    def answer(**options: Any) -> str | None:
        done = client.chat.completions.create(model="boats", messages=QUESTION, max_tokens=10, **options)
        content: str | None = done.choices[0].message.content
        return content

    assert answer(temperature=0) == answer(temperature=0) == answer()
    assert len({answer(temperature=1.5, seed=seed) for seed in range(4)}) > 1
    assert answer(temperature=1.5, seed=3) == answer(temperature=1.5, seed=3)


def test_a_text_completion_is_answered_too(served: tuple[Started, openai.OpenAI]) -> None:
    _, client = served
    done = client.completions.create(model="boats", prompt="The boat", max_tokens=4)
    assert done.usage is not None
    assert done.usage.completion_tokens == 4


def test_requests_that_cannot_be_answered_are_openai_s_errors(served: tuple[Started, openai.OpenAI]) -> None:
    _, client = served

    def refused(kind: type[openai.APIStatusError], **change: Any) -> openai.APIStatusError:
        with pytest.raises(kind) as caught:
            client.chat.completions.create(**{"model": "boats", "messages": QUESTION, **change})
        return caught.value

    unknown = refused(openai.NotFoundError, model="ships")
    assert (unknown.code, unknown.param) == ("model_not_found", "model")
    assert "`ships` does not exist, this server has `boats`" in unknown.message
    long: Any = [{"role": "user", "content": "boat " * 300}]
    assert refused(openai.BadRequestError, messages=long).code == "context_length_exceeded"
    picture: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    assert refused(openai.BadRequestError, messages=picture).param == "messages[0]"
    assert refused(openai.BadRequestError, messages=[]).param == "messages"
    assert refused(openai.BadRequestError, temperature=3).param == "temperature"
    assert refused(openai.BadRequestError, max_tokens=0).param == "max_tokens"
    assert refused(openai.BadRequestError, n=2).param == "n"
    assert "banana" in refused(openai.UnprocessableEntityError, extra_body={"banana": 1}).message


def test_an_answer_ends_where_the_context_of_the_model_does(served: tuple[Started, openai.OpenAI]) -> None:
    _, client = served
    messages: Any = [{"role": "user", "content": "x" * 200}]
    done = client.chat.completions.create(model="boats", messages=messages, max_tokens=10_000, temperature=0)
    assert done.usage is not None
    assert done.usage.total_tokens <= 256


def test_sigterm_ends_it_and_gives_a_stream_in_progress_a_few_seconds(
    served: tuple[Started, openai.OpenAI],
) -> None:
    started, client = served
    stream = client.chat.completions.create(model="boats", messages=QUESTION, max_tokens=40, stream=True)
    first = next(iter(stream))
    started.process.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    rest = list(stream)
    assert first.choices[0].delta.role == "assistant"
    assert rest[-1].choices[0].finish_reason in ("stop", "length")
    assert started.wait().code == 143
    assert time.monotonic() - begin < 12


def test_an_adapter_is_served_with_its_base(
    start: Start, run: Run, tiny_model: Path, chat_data: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    arguments = {"max_steps": 12, "learning_rate": 0.02, "per_device_train_batch_size": 4}
    config.write_text(json.dumps({"autoMerge": False, "arguments": arguments}))
    places = ("--model", tiny_model, "--dataset", chat_data, "--output", tmp_path / "out")
    run("train", "--config", config, *places, "--checkpoints", tmp_path / "ck").result()
    answers = []
    for adapter in ((), ("--adapter", tmp_path / "out")):
        started = start("serve", "--model", tiny_model, *adapter, "--name", "boats", "--port", 0)
        with openai.OpenAI(base_url=ready(started), api_key="none") as client:
            done = client.chat.completions.create(model="boats", messages=QUESTION, max_tokens=12)
        answers.append(done.choices[0].message.content)
    assert answers[0] != answers[1]


def test_a_port_that_is_taken_is_said_before_the_model_loads(run: Run, tiny_model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run("serve", "--model", tiny_model, "--name", "boats", "--port", taken.getsockname()[1])
    assert ended.code == 1
    assert ended.message.endswith("another process has it")
    assert not ended.records("progress")


def test_a_directory_without_a_model_is_refused(run: Run, tmp_path: Path) -> None:
    ended = run("serve", "--model", tmp_path, "--name", "boats")
    assert ended.code == 1
    assert "has no config.json" in ended.message


def test_limits_hold_for_requests_that_set_none(start: Start, tiny_model: Path) -> None:
    limits = ("--max-model-len", 64, "--max-tokens", 3, "--temperature", 1.5, "--dtype", "bfloat16")
    started = start("serve", "--model", tiny_model, "--name", "boats", "--port", 0, *limits)
    with openai.OpenAI(base_url=ready(started), api_key="none", max_retries=0) as client:
        short = client.chat.completions.create(model="boats", messages=QUESTION)
        longer = client.chat.completions.create(model="boats", messages=QUESTION, max_tokens=5, temperature=0)
        endless: Any = [{"role": "user", "content": "What colour is the boat? " * 40}]
        with pytest.raises(openai.BadRequestError, match="nothing of the model's 64"):
            client.chat.completions.create(model="boats", messages=endless)
        assert getattr(client.models.retrieve("boats"), "max_model_len") == 64  # noqa: B009
    assert short.usage is not None
    assert longer.usage is not None
    assert short.usage.completion_tokens <= 3
    assert longer.usage.completion_tokens == 5


def test_it_bears_a_batch_and_a_load(
    start: Start, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CPOD_HOME", str(tmp_path))
    started = start("serve", "--model", tiny_model, "--name", "boats", "--port", 0, "--max-model-len", 64)
    endpoint = Endpoint(ready(started).removesuffix("/v1"))
    found = endpoint.generate(["What colour is the boat?", "boat " * 80, "Who?"], max_tokens=5, temperature=0)
    assert list(found["finish_reason"].isin(["length", "stop"])) == [True, False, True]
    assert found["completion_tokens"][0] == 5
    assert re.fullmatch(r"the prompt is over the context: \d+ tokens, of 64 that the model takes", found["error"][1])
    (level,) = endpoint.bench([2], ["Who?"], requests=4, max_tokens=5).levels
    assert (level.requests, level.errors) == (4, 0)
    assert level.ttft_p50 > 0
    assert level.tokens_per_second > level.requests_per_second


def test_a_context_beyond_the_models_own_is_refused(run: Run, tiny_model: Path) -> None:
    ended = run("serve", "--model", tiny_model, "--name", "boats", "--port", 0, "--max-model-len", 512)
    assert ended.code == 1
    assert "the model was made for 256 tokens" in ended.message


def test_a_key_in_the_environment_must_come_with_every_request_but_a_probe(start: Start, tiny_model: Path) -> None:
    """B31: no authentication anywhere."""
    started = start("serve", "--model", tiny_model, "--name", "boats", "--port", 0, CPOD_API_KEY="secret")
    base = ready(started)
    with openai.OpenAI(base_url=base, api_key="wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError, match="the API key is wrong or missing"):
            stranger.models.list()
        with pytest.raises(openai.AuthenticationError):
            stranger.chat.completions.create(model="boats", messages=QUESTION)
    with openai.OpenAI(base_url=base, api_key="secret", max_retries=0) as friend:
        assert [model.id for model in friend.models.list()] == ["boats"]
    with urllib.request.urlopen(base.replace("/v1", "/health")) as health:
        assert health.status == 200
