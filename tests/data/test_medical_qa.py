"""The medical questions and answers: what their page promises of the rows."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.api.rows import Conversation, read_row
from cpod_jupyter.sdk.evaluate import contains, load_rows, question_of

FOLDER = Path(__file__).parents[2] / "examples/data/medical-qa"
TOPICS = {"body", "disease", "medicine", "measurement", "first aid"}


@pytest.fixture(scope="module")
def train() -> list[Any]:
    return list(load_rows(FOLDER / "train.jsonl"))


@pytest.fixture(scope="module")
def held() -> list[Any]:
    return list(load_rows(FOLDER / "test.jsonl"))


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def test_every_row_of_the_training_is_one_question_and_one_answer_that_can_be_learnt(train: list[Any]) -> None:
    assert len(train) == 160
    for row in train:
        assert isinstance(read_row(row), Conversation)
        assert [each["role"] for each in row["messages"]] == ["user", "assistant"]
        assert row["topic"] in TOPICS


def test_every_held_out_row_has_an_answer_that_its_key_words_find(held: list[Any]) -> None:
    assert len(held) == 24
    for row in held:
        assert [each["role"] for each in row["messages"]] == ["user"]
        assert row["topic"] in TOPICS
        assert row["kind"] in ("rephrased", "follows")
        assert any(contains(row["answer"], key) for key in row["key"]), row["answer"]
        assert not any(contains(question_of(row), key) for key in row["key"]), "the question gives its answer away"


def test_no_question_is_asked_twice_nor_held_out_and_learnt(train: list[Any], held: list[Any]) -> None:
    asked = Counter(plain(question_of(row)) for row in [*train, *held])
    assert [question for question, count in asked.items() if count > 1] == []


def test_answers_are_one_or_two_short_sentences(train: list[Any], held: list[Any]) -> None:
    answers = [row["messages"][1]["content"] for row in train] + [row["answer"] for row in held]
    for answer in answers:
        assert re.fullmatch(r"[A-Z][^.!?]*\.(?: [A-Z][^.!?]*\.)?", answer), answer
        assert len(answer.split()) <= 22, answer


def test_the_page_names_every_column_and_the_number_of_rows(train: list[Any], held: list[Any]) -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    for column in {*train[0], *held[0]}:
        assert f"| `{column}` |" in page
    for name, rows in (("train", train), ("test", held)):
        assert f"| `{name}.jsonl` | {len(rows)} |" in page
        assert all(row.keys() == rows[0].keys() for row in rows)


def test_the_files_are_plain_json_lines() -> None:
    for name in ("train", "test"):
        lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        assert lines == [json.dumps(json.loads(line), ensure_ascii=False) for line in lines]
