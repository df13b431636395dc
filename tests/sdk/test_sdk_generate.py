"""Batches: many prompts to a model over real HTTP, with what goes wrong on the way, and going on where one stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from chat_server import Reply, Serve, Served, refusal

from cpod_jupyter import Endpoint
from cpod_jupyter.errors import BatchStopped, CpodError
from cpod_jupyter.sdk.questions.failures import too_long
from cpod_jupyter.sdk.questions.generate import BatchInterrupted
from cpod_jupyter.sdk.questions.kept import FILE, Answer, Kept
from cpod_jupyter.sdk.questions.pace import Pace


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CPOD_HOME", str(tmp_path))
    return tmp_path / "answers"


def first(wanted: int, reply: Reply) -> Callable[[dict[str, Any], int], Reply | None]:
    """A question is refused as often as that, then answered."""
    return lambda asked, before: reply if before < wanted else None


FRAME = pd.DataFrame({"city": ["Oslo", "Rome", "Lima"], "n": [1, 2, 3]}, index=["a", "b", "c"])


def test_rows_of_a_frame_are_answered_in_their_order_beside_their_columns(serve: Serve) -> None:
    served = serve()
    found = Endpoint(served.url).generate(FRAME, template="Where is {city}, {n:02d}?", system="Be short.", top_k=5)
    assert list(found.columns) == [
        "city", "n", "answer", "finish_reason", "error", "prompt_tokens", "completion_tokens", "seconds",
    ]  # fmt: skip
    assert list(found.index) == ["a", "b", "c"]
    assert list(found["answer"]) == [
        f"You said: Where is {c}, 0{n}?" for c, n in zip(FRAME["city"], FRAME["n"], strict=True)
    ]
    assert list(found["finish_reason"]) == ["stop"] * 3
    assert list(found["completion_tokens"]) == [6] * 3
    assert (found["seconds"] > 0).all()
    assert found.attrs["batch"] == {"rows": 3, "answered": 3, "errors": 0, "cut": 0, "earlier": 0}
    assert served.model.bodies[0]["messages"][0] == {"role": "system", "content": "Be short."}
    assert served.model.bodies[0]["top_k"] == 5, "what OpenAI does not know goes to the server as it is"
    assert list(FRAME.columns) == ["city", "n"], "what was given stays as it is"


@pytest.mark.parametrize(
    ("data", "options", "asked"),
    [
        (["a", "b"], {}, ["a", "b"]),
        ((word for word in ("a", "b")), {}, ["a", "b"]),
        (pd.Series(["a", "b"]), {"template": "say {prompt}"}, ["say a", "say b"]),
        ([[{"role": "user", "content": "a"}]], {}, ["a"]),
        ([{"question": "a"}, {"prompt": "b"}], {}, ["a", "b"]),
        (
            [{"x": "a"}],
            {"template": [{"role": "user", "content": [{"type": "text", "text": "say {x}"}]}]},
            ["[{'type': 'text', 'text': 'say a'}]"],
        ),
    ],
    ids=["prompts", "an iterable", "a series", "conversations", "rows", "a template of messages"],
)
def test_prompts_come_in_many_forms(serve: Serve, data: Any, options: dict[str, Any], asked: list[str]) -> None:
    found = Endpoint(serve().url).generate(data, **options)
    assert list(found["answer"]) == [f"You said: {each}" for each in asked]


def test_a_column_that_is_called_answer_stays(serve: Serve) -> None:
    found = Endpoint(serve().url).generate(pd.DataFrame({"question": ["?"], "answer": ["right"]}))
    assert list(found["answer"]) == ["right"]
    assert list(found["generated_answer"]) == ["You said: ?"]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (FRAME, {"template": "{town}"}, 'field "town" is in no row; there are city, n'),
        (FRAME, {"template": "{citi}"}, 'field "citi" is in no row; did you mean "city"?'),
        (
            FRAME.assign(city=["Oslo", None, float("nan")]), {"template": "{city}"},
            'field "city" is missing in row 2 (index \'b\'), row 3 (index \'c\') (of 3 rows)\nnothing was asked',
        ),
        ([{"x": 1}, {"y": 1}], {"template": "{x}"}, 'field "x" is missing in row 2 (of 2 rows)'),
        (FRAME, {"template": '{"a": {city}}'}, "a brace that is meant as one is doubled"),
        (FRAME, {"template": "{}"}, 'must name a field, as in "{question}"'),
        (FRAME, {"template": "all the same"}, "names no field of the rows"),
        (FRAME, {"template": "{city:d}"}, "cannot be filled with row 1 (index 'a')"),
        (FRAME, {}, "how do rows become prompts? There is no column messages, prompt or question"),
        ([{"prompt": "a"}, "b"], {}, "give rows (dicts), or prompts and conversations, but not both"),
        (["a", None], {}, "row 2 must be a text, or a list of messages"),
        ([], {}, "there are no rows to ask"),
        ("hello", {}, "give a DataFrame or a list of prompts, not a str; chat() asks one question"),
        (["a"], {"n": 2}, "n cannot be given here"),
        (["a"], {"concurrency": 0}, 'concurrency is "auto" or a whole number from 1, not 0'),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_told_before_anything_is(
    serve: Serve, data: Any, options: dict[str, Any], message: str
) -> None:
    served = serve()
    with pytest.raises(CpodError) as told:
        Endpoint(served.url).generate(data, **options)
    assert message in str(told.value)
    assert not served.model.bodies


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_row_that_a_busy_server_refuses_is_asked_again(serve: Serve, code: int) -> None:
    served = serve(wrong=first(2, refusal(code, "too much to do", {"Retry-After": "0"})))
    found = Endpoint(served.url).generate(["a", "b"])
    assert list(found["answer"]) == ["You said: a", "You said: b"]
    assert served.model.asked == {"a": 3, "b": 3}


def test_a_row_waits_as_long_as_the_server_asks(serve: Serve) -> None:
    sent: list[float] = []

    def wrong(asked: dict[str, Any], before: int) -> Reply | None:
        sent.append(time.monotonic())
        return refusal(429, "slow down", {"Retry-After": "1"}) if not before else None

    Endpoint(serve(wrong=wrong).url).generate(["a"])
    assert sent[1] - sent[0] >= 1


def test_a_row_that_fails_in_the_end_is_marked_and_the_others_go_on(serve: Serve) -> None:
    served = serve(wrong=lambda asked, before: refusal(500, "no") if asked["messages"][0]["content"] == "b" else None)
    found = Endpoint(served.url).generate(["a", "b", "c"], retries=1)
    assert list(found["answer"]) == ["You said: a", "", "You said: c"]
    assert list(found["error"]) == ["", "HTTP 500: no (2 tries)", ""]
    assert found["completion_tokens"].isna().tolist() == [False, True, False]
    served.model.wrong = lambda asked, before: None
    again = Endpoint(served.url).generate(["a", "b", "c"], retries=1)
    assert list(again["answer"]) == ["You said: a", "You said: b", "You said: c"]
    assert again.attrs["batch"]["earlier"] == 2
    assert served.model.asked == {"a": 1, "b": 3, "c": 1}


def test_a_row_that_takes_too_long_is_marked(serve: Serve) -> None:
    served = serve(hold=lambda said: said == "b")
    found = Endpoint(served.url).generate(["a", "b"], timeout=0.5)
    assert list(found["error"]) == ["", "no answer within 0.5 s"]


def test_an_answer_that_was_cut_is_marked_and_counted(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    found = Endpoint(serve().url).generate(["a", "many more words"], max_tokens=3)
    assert list(found["finish_reason"]) == ["stop", "length"]
    assert found.attrs["batch"]["cut"] == 1
    assert "2 of 2 rows answered" in (told := capsys.readouterr().err)
    assert "1 cut by length" in told


LONG = {
    "vLLM, both": (
        "This model's maximum context length is 4096 tokens. However, you requested 5100 tokens (5000 in the messages, "
        "100 in the completion). Please reduce the length of the messages or completion.", (5000, 4096),
    ),
    "vLLM, input": (
        "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens. Please "
        "reduce the length of the input messages.", (5000, 4096),
    ),
    "vLLM, prompt": (
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that "
        "`max_model_len` is no smaller than the number of text tokens.", (5000, 4096),
    ),
    "vLLM, newest": (
        "You passed 5001 input tokens and requested 16 output tokens. However, the model's context length is only 4096 "
        "tokens, resulting in a maximum input length of 4080 tokens.", (5001, 4096),
    ),
    "OpenAI": (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please "
        "reduce the length of the messages.", (9000, 8192),
    ),
    "OpenAI, newest": (
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.",
        (300000, 272000),
    ),
    "llama.cpp": (
        "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it", (5000, 4096),
    ),
    "llama.cpp, as data": (
        "the request exceeds the available context size {'n_prompt_tokens': 5000, 'n_ctx': 4096}", (5000, 4096),
    ),
    "SGLang": ("The input (5000 tokens) is longer than the model's context length (4096 tokens).", (5000, 4096)),
    "TGI": (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and "
        "100 `max_new_tokens`", (5000, 4096),
    ),
    "our own": (
        "the prompt has 5000 tokens, which leaves nothing of the model's 4096 for an answer context_length_exceeded",
        (5000, 4096),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("said", "numbers"), LONG.values(), ids=LONG)
def test_a_prompt_over_the_context_is_told_with_its_tokens(said: str, numbers: tuple[int, int]) -> None:
    assert (
        too_long(said)
        == f"the prompt is over the context: {numbers[0]:,} tokens, of {numbers[1]:,} that the model takes"
    )


def test_a_long_prompt_with_a_long_answer_and_a_prompt_that_is_just_wrong_are_told_apart(serve: Serve) -> None:
    both = (
        "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 "
        "tokens and your request has 100 input tokens (5000 > 4096 - 100)."
    )
    replies = {
        "long": refusal(400, LONG["OpenAI"][0], code="context_length_exceeded"),
        "both": refusal(400, both),
        "uncounted": refusal(400, "the request exceeds the available context size"),
        "wrong": refusal(400, "temperature must be below 2"),
    }
    served = serve(wrong=lambda asked, before: replies.get(asked["messages"][-1]["content"]))
    found = Endpoint(served.url).generate(["long", "both", "uncounted", "wrong", "fine"])
    assert list(found["error"]) == [
        "the prompt is over the context: 9,000 tokens, of 8,192 that the model takes",
        "the prompt of 100 tokens and max_tokens together are over the context of 4,096 tokens",
        "the prompt is over the context: the request exceeds the available context size",
        "HTTP 400: temperature must be below 2",
        "",
    ]
    assert set(served.model.asked.values()) == {1}, "what can never go well is not tried again"


def test_a_row_that_no_request_can_hold_is_marked(serve: Serve) -> None:
    rows = [[{"role": "user", "content": "a"}], [{"role": "user", "content": object()}]]
    found = Endpoint(serve().url).generate(rows)
    assert list(found["answer"]) == ["You said: a", ""]
    assert found["error"][1].startswith("it cannot be asked: Object of type object is not JSON serializable")


def test_a_refused_key_ends_the_batch_at_once_and_is_not_shown(serve: Serve) -> None:
    served = serve(key="right")
    endpoint = Endpoint(served.url, api_key="right")
    assert endpoint.chat("hello").strip() == "You said: hello"
    served.model.key = "changed"
    with pytest.raises(BatchStopped, match=r"after 0 of 50 answers: the API key is refused \(HTTP 401\)") as told:
        endpoint.generate([f"question {at}" for at in range(50)])
    assert "right" not in str(told.value)
    assert len(told.value.frame) == 50
    assert "right" not in repr(endpoint)


def test_a_server_that_goes_away_keeps_what_it_answered_and_calling_again_goes_on(serve: Serve) -> None:
    served = serve()
    questions = [f"question {at}" for at in range(40)]

    def stop_later(done: int, total: int) -> None:
        if done == 10:
            served.stop()

    with pytest.raises(BatchStopped, match="the same call goes on where this one stopped") as told:
        Endpoint(served.url).generate(questions, concurrency=2, retries=1, tell=stop_later)
    partial = told.value.frame
    kept = int((partial["error"] == "").sum())
    assert 10 <= kept < 40
    assert list(partial["answer"][:kept]) == [f"You said: {each}" for each in questions[:kept]]
    served.start()
    found = Endpoint(served.url).generate(questions, concurrency=2)
    assert list(found["answer"]) == [f"You said: {each}" for each in questions]
    assert found.attrs["batch"]["earlier"] == kept
    assert all(served.model.asked[each] == 1 for each in questions[:kept])


def test_a_server_that_is_back_soon_is_waited_for(serve: Serve) -> None:
    served = serve()

    def restart(done: int, total: int) -> None:
        if done == 10:
            served.stop()
            threading.Timer(0.5, served.start).start()

    found = Endpoint(served.url).generate([f"question {at}" for at in range(40)], concurrency=2, tell=restart)
    assert (found["error"] == "").all()


def test_a_server_whose_api_has_moved_is_found_again(serve: Serve) -> None:
    served = serve()

    def move(done: int, total: int) -> None:
        if done == 10:
            served.stop()
            served.model.base = "/openai/v1"
            served.start()

    endpoint = Endpoint(served.url)
    found = endpoint.generate([f"question {at}" for at in range(40)], concurrency=2, tell=move)
    assert (found["error"] == "").all()
    assert endpoint.endpoint().url == f"{served.url}/openai/v1"


INTERRUPTED = """
import sys
from cpod_jupyter import Endpoint
questions = [f"question {at}" for at in range(20)] + ["hold"]
Endpoint(sys.argv[1]).generate(questions, concurrency=2, tell=lambda done, total: print(done, flush=True))
"""


def test_an_interrupt_keeps_what_was_answered_and_the_same_call_goes_on(serve: Serve) -> None:
    served = serve(hold=lambda said: said == "hold")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, served.url], text=True, **pipes)
    questions = [f"question {at}" for at in range(20)]
    assert served.model.held.wait(60)
    assert process.stdout is not None
    assert any(line == "20\n" for line in process.stdout), "it never has all answers but the one that is held"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "20 of 21 rows are answered and kept: run the same again to go on" in told
    served.model.hold = lambda said: False
    found = Endpoint(served.url).generate([*questions, "hold"], concurrency=2)
    assert list(found["answer"]) == [f"You said: {each}" for each in [*questions, "hold"]]
    assert all(served.model.asked[each] == 1 for each in questions)


def test_an_interrupt_where_an_event_loop_runs_ends_the_batch_alone(serve: Serve) -> None:
    """As in a notebook, whose cells run while the kernel's loop does."""
    served = serve()

    def interrupt(done: int, total: int) -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    async def cell() -> pd.DataFrame:
        with pytest.raises(BatchInterrupted, match="of 200 rows are answered and kept"):
            Endpoint(served.url).generate([f"{at}" for at in range(200)], concurrency=1, tell=interrupt)
        return Endpoint(served.url).generate([f"{at}" for at in range(200)])

    loop = asyncio.new_event_loop()  # not asyncio.run, which takes interrupts for itself, as a kernel does not
    found = loop.run_until_complete(cell())
    loop.close()
    assert list(found["answer"]) == [f"You said: {at}" for at in range(200)]
    assert found.attrs["batch"]["earlier"] >= 3
    assert set(served.model.asked.values()) <= {1, 2}


async def _cancelled(served: Served) -> pd.DataFrame:
    endpoint = Endpoint(served.url)
    task = asyncio.create_task(endpoint.agenerate(["a", "b", "hold"], concurrency=1))
    await asyncio.to_thread(served.model.held.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    served.model.hold = lambda said: False
    return await endpoint.agenerate(["a", "b", "hold"], concurrency=1)


def test_a_task_that_is_cancelled_keeps_what_was_answered(serve: Serve) -> None:
    served = serve(hold=lambda said: said == "hold")
    found = asyncio.run(_cancelled(served))
    assert list(found["answer"]) == ["You said: a", "You said: b", "You said: hold"]
    assert served.model.asked == {"a": 1, "b": 1, "hold": 2}


def test_what_was_answered_whole_is_asked_anew_and_so_is_what_is_told_to_be(serve: Serve) -> None:
    served = serve(wrong=lambda asked, before: refusal(400, "no") if asked["messages"][0]["content"] == "b" else None)
    endpoint = Endpoint(served.url)
    endpoint.generate(["a", "b"])
    endpoint.generate(["a", "b"], new=True)
    assert served.model.asked["a"] == 2
    endpoint.generate(["a", "b"], temperature=0.5)
    assert served.model.asked["a"] == 3, "with another parameter it is another batch"
    served.model.wrong = lambda asked, before: None
    endpoint.generate(["a", "b"])
    assert served.model.asked["a"] == 3
    endpoint.generate(["a", "b"])
    assert served.model.asked["a"] == 4


def test_the_same_prompt_twice_is_asked_twice(serve: Serve) -> None:
    served = serve()
    Endpoint(served.url).generate(["a", "a", "b"])
    assert served.model.asked == {"a": 2, "b": 1}


def test_answers_are_on_disk_for_their_user_alone_and_old_ones_go(home: Path) -> None:
    with Kept(home) as kept:
        assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600
        for at in range(100):
            kept.keep(bytes([at]) * 32, Answer("x" * 10_000))
    with sqlite3.connect(home / FILE) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        database.execute("UPDATE answers SET at = at - 86400 * 31 WHERE key = ?", (bytes(32),))
    database.close()
    with Kept(home) as kept:
        assert list(kept.read([bytes(32), b"\x01" * 32])) == [None, Answer("x" * 10_000)]
    with Kept(home, most_bytes=100_000) as kept:
        assert not any(kept.read(bytes([at]) * 32 for at in range(90)))
    assert (home / FILE).stat().st_size < 200_000


def test_the_number_at_a_time_grows_while_that_helps_and_halves_when_it_is_too_much() -> None:
    pace, now = Pace(), 0.0
    pace.begun(now)

    def window(rate: float) -> int:
        nonlocal now
        limit = pace.limit
        for _ in range(2 * limit):
            now += 1 / rate
            pace.answered(1, now)
        return pace.limit

    assert [window(rate) for rate in (4, 8, 16)] == [8, 16, 32]
    assert window(16) == 16, "no faster with 32: back to 16"
    assert [window(16) for _ in range(6)] == [16] * 6
    assert window(16) == 20, "tried again"
    pace.refused(now)
    pace.refused(now)
    assert pace.limit == 10, "those that were sent at once halve it once"
    assert Pace(3).limit == 3


def test_as_many_are_under_way_as_are_asked_for(serve: Serve) -> None:
    served = serve(together=lambda: 5)
    Endpoint(served.url).generate([f"{at}" for at in range(50)], concurrency=5)
    assert served.model.most_under_way == 5


@pytest.mark.slow
def test_ten_thousand_prompts_do_not_hold_the_memory() -> None:
    """Their answers take 90 MB; until the frame is made of them, the process grows by a fraction of that."""
    server, this = Path(__file__).parents[1] / "chat_server.py", psutil.Process()
    with subprocess.Popen([sys.executable, str(server)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        endpoint = Endpoint(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        used: list[int] = []

        def look(done: int, total: int) -> None:
            if done % 500 == 0:
                used.append(this.memory_info().rss)

        found = endpoint.generate([f"question {at:05d}" for at in range(10_000)], tell=look)
        process.kill()
    assert found["answer"].str.len().sum() > 90_000_000
    assert max(used) - used[0] < 30_000_000
