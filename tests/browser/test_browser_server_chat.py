"""Conversations over the server extension."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from answering import answering
from lab import SECONDS, Lab
from pages import address_of, asked, sentence

from cpod_jupyter.sdk import Session


@pytest.fixture
def model(lab: Lab, namespace: str) -> Iterator[dict[str, str]]:
    with answering("m"):
        yield address_of(namespace, "m", "inference")


def question(content: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}], **more}


def test_an_answer_comes_while_it_is_written(lab: Lab, model: dict[str, str], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    body = json.dumps({**model, **question(str(gate), temperature=0, max_tokens=7)}).encode()
    request = urllib.request.Request(lab.url("cpod/chat"), body, {"Authorization": f"token {lab.token}"})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        assert answer.read1() == b"begun ", "the model waits for the gate"
        gate.touch()
        assert answer.read() == b"[2, 0, 7]\0"
    status, text, _ = asked(lab, "chat", post=True, **model, **question("break"))
    said, _, trouble = text.partition("\0")
    assert (status, said, "out of memory" in trouble) == (200, "begun ", True)
    assert "inference/m did not answer" in trouble


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"messages": []}, 422, "1 to 500 messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, 422, "role must be one of"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, 422, "content must be text"),
        ({"messages": [{"role": "user", "content": "x" * 600_000}] * 2}, 413, "longer than 1,000,000"),
        ({"temperature": 3}, 422, "temperature must be"),
        ({"temperature": True}, 422, "temperature must be"),
        ({"max_tokens": 1.5}, 422, "max_tokens must be"),
        ({"name": "missing"}, 404, '"missing" not found'),
        ({"kind": "job", "name": "plain"}, 422, "it is no deployment"),
    ],
    ids=("none", "role", "content", "length", "temperature", "truth", "tokens", "missing", "job"),
)
def test_what_cannot_be_asked_is_said_in_a_sentence(
    lab: Lab, namespace: str, changes: dict[str, Any], status: int, words: str
) -> None:
    if changes.get("name") == "plain":
        Session().job("plain", image="python", command=["true"])
    asks = {**address_of(namespace, "m", "inference"), **question("Who?"), **changes}
    found, text, _ = asked(lab, "chat", post=True, **asks)
    assert (found, words in sentence(text)) == (status, True), text
