"""`%%cpod chat` in a real kernel, with a deployment that streams over HTTP."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kernels import Kernel, Ran
from talking import talking

from cpod_jupyter.sdk import Session

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("talking") / "log.jsonl"


@pytest.fixture(scope="module")
def kernel(engine_home: Path, log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("chats")
    environment = {"CPOD_HOME": str(engine_home), "CPOD_CONTEXT": "engine", "CPOD_NAMESPACE": "default"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        session = Session()
        deployment = session.inference("talking", predictor=talking(str(log))).wait(60)
        found = Kernel({**environment, "IPYTHONDIR": str(folder / "ipython")}, str(folder))
        assert found.run("%load_ext cpod_jupyter").status == "ok"
        yield found
        found.close()
        deployment.delete()
        session.client.close()


@pytest.fixture
def chat(kernel: Kernel) -> Callable[..., Ran]:
    """Say something, in a conversation that begins with it unless `options` say otherwise."""

    def say(body: str, options: str = "--new") -> Ran:
        return kernel.run(f"%%cpod chat talking {options}\n{body}")

    return say


def asked(log: Path) -> dict[str, Any]:
    """The last request that the server got."""
    noted = [json.loads(line) for line in log.read_text().splitlines()]
    last: dict[str, Any] = [each["asked"] for each in noted if "asked" in each][-1]
    return last


def last(ran: Ran, kind: str = "text/markdown") -> str:
    assert ran.status == "ok", ran.text
    return str(ran.shown[-1][kind])


def test_an_answer_streams_in_one_place_with_what_it_took_beneath(kernel: Kernel, chat: Callable[..., Ran]) -> None:
    kernel.run("boat = 'a **red** boat'")
    cell = kernel.begin("%%cpod chat talking --new -o answer\n{{ boat }} " + "and more " * 40)
    ran = kernel.end(cell)
    assert last(ran).startswith("You said: a **red** boat and more")
    assert "<sub>7 tokens of prompt, 85 of answer · the first after 0." in last(ran)
    assert " tokens/s</sub>" in last(ran)
    assert "[7 tokens of prompt, 85 of answer" in last(ran, "text/plain")
    assert len(ran.shown) > 3, "it is shown while it is written"
    assert len(ran.shown[1]["text/markdown"]) > len(ran.shown[0]["text/markdown"])
    assert kernel.run("print(answer[:12])").printed == "You said: a \n"


def test_an_interrupt_stops_the_server_and_keeps_what_came(
    kernel: Kernel, chat: Callable[..., Ran], log: Path, eventually: Callable[..., object]
) -> None:
    cell = kernel.begin("%%cpod chat talking --history said --new -o part\nslowly")
    after = kernel.begin("print('ran on')")
    kernel.until_shown(cell, "word3")
    kernel.interrupt()
    ran = kernel.end(cell)
    assert ran.status == "error"
    assert "the answer of inference/talking was stopped; what came of it is kept" in ran.error
    assert "<sub>stopped · " in ran.shown[-1]["text/markdown"]
    assert "pieces of answer, for the server counted no tokens" in ran.shown[-1]["text/markdown"]
    assert kernel.reply(after)["status"] == "aborted", "cells that wait do not run on"
    eventually(lambda: '"closed"' in log.read_text(), "the server sees its connection close")
    printed = kernel.run("print([m['role'] for m in said], part.startswith('word0 word1 word2'))").printed
    assert printed == "['user', 'assistant'] True\n"
    assert "assistant: word0 word1" in last(chat("history", "--history said")), "the conversation goes on from there"


def test_the_conversation_goes_on_across_cells_until_new(chat: Callable[..., Ran]) -> None:
    chat("one", "--new --system 'Be brief.'")
    second = last(chat("history", ""))
    assert second.startswith("system: Be brief. / user: one / assistant: You said: one  / user: history")
    assert "question 2 of a conversation (--new begins again)" in second
    assert last(chat("history")).startswith("user: history\n")


def test_a_history_in_a_variable_is_taken_and_put(kernel: Kernel, chat: Callable[..., Ran]) -> None:
    kernel.run("talk = [{'role': 'user', 'content': 'mine'}, {'role': 'assistant', 'content': 'yours'}]")
    assert last(chat("history", "--history talk")).startswith("user: mine / assistant: yours / user: history")
    assert kernel.run("print(len(talk), talk[-1]['role'])").printed == "4 assistant\n"
    chat("fresh", "--history made")
    assert kernel.run("print([m['role'] for m in made])").printed == "['user', 'assistant']\n"
    kernel.run("wrong = [{'role': 'robot'}]")
    assert "message 0 of the history: role must be one of" in chat("x", "--history wrong").error


def test_a_refusal_is_told_in_the_servers_words_and_the_question_taken_back(
    kernel: Kernel, chat: Callable[..., Ran]
) -> None:
    chat("one", "--history kept --new")
    ran = chat("refuse", "--history kept")
    assert "inference/talking refused the question: HTTP 400: context of 10 tokens exceeded" in ran.error
    assert "--new begins again" in ran.error
    assert kernel.run("print(len(kept))").printed == "2\n"


def test_options_reach_the_server_and_those_left_out_do_not(chat: Callable[..., Ran], log: Path) -> None:
    chat("x", "--new --temperature 0 --top-p 0.5 --max-tokens 9 --stop END --stop '##' --seed 3 --model other")
    sent = asked(log)
    assert {key: sent[key] for key in ("temperature", "top_p", "max_tokens", "stop", "seed", "model")} == {
        "temperature": 0, "top_p": 0.5, "max_tokens": 9, "stop": ["END", "##"], "seed": 3, "model": "other",
    }  # fmt: skip
    chat("x")
    assert set(asked(log)) == {"model", "messages", "stream", "stream_options"}


def test_a_server_that_counts_no_tokens_is_asked_without_and_pieces_are_counted(chat: Callable[..., Ran]) -> None:
    said = last(chat("plainly spoken"))
    assert said.startswith("You said: plainly spoken")
    assert "4 pieces of answer, for the server counted no tokens" in said


def test_an_answer_that_is_cut_off_is_marked_and_a_thought_and_an_open_fence_stand_apart(
    chat: Callable[..., Ran],
) -> None:
    assert "cut off: the longest answer is reached (--max-tokens)" in last(chat("cut here"))
    assert last(chat("think")).startswith("> Hm, yes.\n\nSo it is.\n\n<sub>")
    assert "```python\nprint(1)\n```\n\n<sub>" in last(chat("fence"))


def test_json_is_asked_for_shown_as_such_and_bound(kernel: Kernel, chat: Callable[..., Ran], log: Path) -> None:
    assert last(chat("json", "--new --json -o found")).startswith('```json\n{"answer": 42}\n```')
    assert asked(log)["response_format"] == {"type": "json_object"}
    assert kernel.run("print(found['answer'])").printed == "42\n"
    assert "the answer is no JSON" in chat("words", "--new --json").error


def test_pictures_go_with_the_question_and_a_server_that_takes_none_says_so(
    kernel: Kernel, chat: Callable[..., Ran], log: Path, tmp_path: Path
) -> None:
    kernel.run(f"import base64\npixel = base64.b64decode('{PIXEL}')")
    (tmp_path / "pixel.png").write_bytes(base64.b64decode(PIXEL))
    last(chat("look here", f"--new --image pixel --image {tmp_path}/pixel.png --image https://example.org/a.png"))
    text, *pictures = asked(log)["messages"][-1]["content"]
    assert text == {"type": "text", "text": "look here"}
    urls = [picture["image_url"]["url"] for picture in pictures]
    assert urls == [f"data:image/png;base64,{PIXEL}"] * 2 + ["https://example.org/a.png"]
    refused = chat("hello", "--new --image pixel")
    assert "HTTP 400: this model takes text only (its model may not take pictures)" in refused.error
    assert "nowhere.png is no URL, and no file that can be read" in chat("look", "--new --image nowhere.png").error
    kernel.run("text = b'no picture'")
    assert "the bytes is no picture: PNG, JPEG, GIF or WebP is wanted" in chat("look", "--new --image text").error


def test_a_stream_that_breaks_off_before_a_picture_is_answered_is_asked_for_whole(
    kernel: Kernel, chat: Callable[..., Ran]
) -> None:
    kernel.run(f"import base64\npixel = base64.b64decode('{PIXEL}')")
    assert last(chat("break now", "--new --image pixel")).startswith("all at once\n\n<sub>1 piece of answer")
    assert "inference/talking did not answer: Connection error." in chat("break now").error


def test_a_stream_without_anything_is_asked_for_whole_to_hear_why(chat: Callable[..., Ran]) -> None:
    """As llama-cpp-python has it of a prompt over the context."""
    said = chat("nothing now", "--new").error
    assert "inference/talking refused the question: HTTP 400: context of 10 tokens exceeded" in said


TOOLS = '''
def weather(city: str, days: int = 1) -> dict:
    """The weather of a city.

    Args:
        city: its name
        days: how many, from today on
    """
    if city == "Nowhere":
        raise LookupError("no such city")
    return {"city": city, "degrees": 20 + days}
described = {"type": "function", "function": {"name": "far", "parameters": {"type": "object"}}}
tools = [weather, described]
'''


def test_functions_are_described_called_and_answered(kernel: Kernel, chat: Callable[..., Ran], log: Path) -> None:
    assert kernel.run(TOOLS).status == "ok"
    said = last(chat('call weather {"city": "Oslo", "days": "2"}', "--history calls --new --tools tools"))
    call = """> `weather(city='Oslo', days='2')` → `{"city": "Oslo", "degrees": 22}`"""
    assert said.startswith(f'{call}\n\nThe tool said: {{"city": "Oslo", "degrees": 22}}')
    function = asked(log)["tools"][0]["function"]
    assert (function["name"], function["description"]) == ("weather", "The weather of a city.")
    assert function["parameters"]["properties"]["city"] == {"type": "string", "description": "its name"}
    assert function["parameters"]["required"] == ["city"]
    roles = kernel.run("print([m['role'] for m in calls])").printed
    assert roles == "['user', 'assistant', 'tool', 'assistant']\n"


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        pytest.param('weather {"city": "Nowhere"}', "Error: LookupError: no such city", id="a function that raises"),
        pytest.param('weather {"days": "x"}', "Error: city: Missing required argument; days: ", id="wrong arguments"),
        pytest.param("weather {oops", "Error: JSONDecodeError", id="arguments that are no JSON"),
        pytest.param("sun {}", "Error: there is no tool sun; there are weather, far", id="a tool that is not there"),
    ],
)
def test_a_call_that_fails_is_told_to_the_model(
    kernel: Kernel, chat: Callable[..., Ran], call: str, wanted: str
) -> None:
    kernel.run(TOOLS)
    assert f"The tool said: {wanted}" in last(chat(f"call {call}", "--new --tools tools"))


def test_a_tool_that_is_only_described_ends_the_turn_and_rounds_are_bounded(
    kernel: Kernel, chat: Callable[..., Ran], log: Path
) -> None:
    kernel.run(TOOLS)
    said = last(chat("call far {}", "--history open --new --tools tools"))
    assert said.startswith("> `far()` → `not answered`")
    assert "far: only described here; answer with a message of the role tool in --history" in said
    assert kernel.run("print(open[-1]['tool_calls'][0]['function']['name'])").printed == "far\n"
    assert last(chat("call weather {}", "--new --tools tools --tool-rounds 0")).startswith("no more calls")
    assert asked(log)["tool_choice"] == "none"
    assert "there is no variable nothing" in chat("x", "--new --tools nothing").error


def test_a_model_at_a_url_is_talked_to_as_well(kernel: Kernel) -> None:
    url = kernel.run(
        "import cpod_jupyter; print(cpod_jupyter.Session().get('inference', 'talking').url)"
    ).printed.strip()
    assert last(kernel.run(f"%%cpod chat {url} --new\nhello")).startswith("You said: hello")
    assert "user: hello / assistant: You said: hello" in last(kernel.run(f"%%cpod chat {url}\nhistory"))
    refused = kernel.run("%%cpod chat http://127.0.0.1:9/v1\nhello")
    assert refused.status == "error"
    assert "127.0.0.1:9" in refused.error


def test_a_wrong_expression_is_told_with_its_place_before_anything_is_asked(chat: Callable[..., Ran]) -> None:
    ran = chat("a line\nand {{ missing }}")
    assert "line 3, column 5: {{ missing }}: name 'missing' is not defined" in ran.error


def test_a_terminal_gets_the_answer_as_it_comes(kernel: Kernel, engine_home: Path, tmp_path: Path) -> None:
    (tmp_path / "cell.ipy").write_text(
        "%load_ext cpod_jupyter\nget_ipython().run_cell_magic('cpod', 'chat talking', 'hi')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", str(tmp_path / "cell.ipy")],
        env={**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("You said: hi \n\n[7 tokens of prompt, 3 of answer · the first after "), done.stderr
