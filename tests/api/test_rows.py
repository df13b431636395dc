"""Rows of every known format become examples; a row that cannot says why."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cpod_jupyter.api.rows import BadRow, Completion, Conversation, Preference, Text, data_files, read_row, rows_of
from cpod_jupyter.api.rows.files import split_of

USER, ANSWER = {"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}
OTHER = {"role": "assistant", "content": "You."}
TALK = Conversation([USER, ANSWER])  # type: ignore[list-item]
CALL = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("row", "example"),
    [
        pytest.param({"messages": [USER, ANSWER], "id": 3}, TALK, id="messages"),
        pytest.param({"messages": json.dumps([USER, ANSWER])}, TALK, id="messages in a field of a CSV file"),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Who?"}]}, ANSWER]}, TALK, id="parts"
        ),
        pytest.param(
            {"messages": [{"role": "developer", "content": "Be kind."}, USER, ANSWER]},
            Conversation([{"role": "system", "content": "Be kind."}, USER, ANSWER]),  # type: ignore[list-item]
            id="developer",
        ),
        pytest.param(
            {"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Me."}]},
            TALK,
            id="sharegpt",
        ),
        pytest.param({"conversations": [USER, ANSWER]}, TALK, id="sharegpt with OpenAI's turns"),
        pytest.param({"instruction": "Who?", "input": "", "output": "Me."}, TALK, id="alpaca"),
        pytest.param(
            {"instruction": "Who", "input": "rows?", "output": "Me.", "system": "Be kind.", "history": [["a", "b"]]},
            Conversation(
                [
                    {"role": "system", "content": "Be kind."},
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                    {"role": "user", "content": "Who\nrows?"},
                    {"role": "assistant", "content": "Me."},
                ]
            ),
            id="alpaca with all fields",
        ),
        pytest.param({"prompt": "Who?", "completion": "Me."}, Completion("Who?", "Me."), id="prompt and completion"),
        pytest.param({"prompt": [USER], "completion": [ANSWER]}, TALK, id="prompt and completion as messages"),
        pytest.param({"text": "It was a dark night."}, Text("It was a dark night."), id="text"),
    ],
)  # fmt: skip
def test_a_row_is_read_by_its_fields(row: dict[str, Any], example: Any) -> None:
    assert read_row(row) == example


def test_tools_and_their_calls_are_read_in_openais_form_and_sharegpts() -> None:
    theirs = {
        "messages": [
            USER,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "7"},
            ANSWER,
        ],
        "tools": [TOOL],
    }
    found = read_row(theirs)
    assert isinstance(found, Conversation)
    assert found.messages[1].get("tool_calls") == [{"id": "c1", **CALL}]
    assert found.tools == [TOOL]

    shared = {
        "conversations": [
            {"from": "human", "value": "Who?"},
            {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
            {"from": "observation", "value": "7"},
            {"from": "gpt", "value": "Me."},
        ],
        "tools": json.dumps([TOOL["function"]]),
    }
    again = read_row(shared)
    assert isinstance(again, Conversation)
    assert again.messages[1].get("tool_calls") == [CALL]
    assert again.tools == [TOOL]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Who?", "chosen": "Me.", "rejected": "You."},
        {"prompt": [USER], "chosen": [ANSWER], "rejected": [OTHER]},
        {"chosen": [USER, ANSWER], "rejected": [USER, OTHER]},
        {"input": {"messages": [USER]}, "preferred_output": [ANSWER], "non_preferred_output": [OTHER]},
        {
            "conversations": [{"from": "human", "value": "Who?"}],
            "chosen": {"from": "gpt", "value": "Me."},
            "rejected": {"from": "gpt", "value": "You."},
        },
        {"instruction": "Who?", "input": "", "chosen": "Me.", "rejected": "You."},
    ],
    ids=["texts", "messages", "implicit prompt", "OpenAI", "ShareGPT", "Alpaca"],
)
def test_preferences_are_read_in_every_form(row: dict[str, Any]) -> None:
    assert read_row(row) == Preference([USER], [ANSWER], [OTHER])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"question": "Who?"}, "its fields (`question`) are of no known format"),
        ([1], "the row is not a JSON object"),
        ({"conversations": [{"from": "alien", "value": "x"}]}, "message 1 is from 'alien', known are human, "),
        ({"instruction": "Who?"}, "`output` is missing or not a text"),
        ({"instruction": "Who?", "output": "x", "history": ["a"]}, "`history` is not a list of pairs"),
        ({"text": "  "}, "`text` is empty"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, ANSWER]}, "a part of type image_url"),
        ({"messages": [USER, {**ANSWER, "weight": 2}]}, "message 2 has the weight 2, it must be 0 or 1"),
        ({"messages": [USER, {**ANSWER, "weight": 0}]}, "every assistant turn has weight 0"),
        ({"messages": [USER, {"role": "assistant", "function_call": {"name": "f"}}]}, "write it as `tool_calls`"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [{}]}]}, "a tool call without the name"),
        (
            {"messages": [USER, {"role": "assistant", "tool_calls": [{"name": "f", "arguments": "x"}]}]},
            "calls f with arguments that are not a JSON object",
        ),
        ({"messages": [USER, ANSWER], "tools": "none"}, "`tools` is not a list"),
        ({"prompt": "Who?", "chosen": "Me.", "rejected": "Me."}, "`chosen` and `rejected` are the same"),
        ({"prompt": "Who?", "chosen": "Me.", "rejected": ""}, "`rejected` is empty"),
        ({"prompt": [USER, ANSWER], "chosen": [OTHER], "rejected": [ANSWER]}, "the prompt ends with an assistant turn"),
        ({"chosen": [ANSWER], "rejected": [OTHER]}, "there is no `prompt`"),
    ],
)
def test_a_row_that_cannot_be_read_says_why(row: Any, fault: str) -> None:
    with pytest.raises(BadRow) as caught:
        read_row(row)
    assert fault in str(caught.value)


def test_a_format_that_is_named_is_the_only_one_that_counts() -> None:
    row = {"messages": [USER, ANSWER], "text": "Who? Me."}
    assert read_row(row, "text") == Text("Who? Me.")
    with pytest.raises(BadRow, match="`instruction` is missing"):
        read_row({**row, "output": "x"}, "alpaca")


ROWS = [{"prompt": "Größe?", "completion": "7 m"}, {"prompt": 'a "b",\nc', "completion": "d"}]


def _write(file: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    if file.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), file)
    elif file.suffix == ".arrow":
        table = pyarrow.Table.from_pylist(ROWS)
        with file.open("wb") as stream, pyarrow.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
    elif file.name.startswith("lines"):
        file.write_text(lines)
    elif file.suffix == ".json":
        file.write_text(json.dumps({"data": ROWS} if file.name.startswith("object") else ROWS))
    elif file.suffix == ".csv":
        file.write_text('prompt,completion\nGröße?,7 m\n"a ""b"",\nc",d\n', encoding="utf-8-sig")
    elif file.suffix == ".tsv":
        file.write_text('prompt\tcompletion\nGröße?\t7 m\n"a ""b"",\nc"\td\n')
    elif file.suffix == ".gz":
        file.write_bytes(gzip.compress(lines.encode()))
    else:
        file.write_text(lines)


@pytest.mark.parametrize(
    "name",
    ["a.jsonl", "a.ndjson", "list.json", "object.json", "lines.json", "a.csv", "a.tsv", "a.parquet", "a.arrow",
     "a.jsonl.gz"],
)  # fmt: skip
def test_the_same_rows_are_read_from_every_kind_of_file(tmp_path: Path, name: str) -> None:
    _write(tmp_path / name)
    assert data_files(tmp_path) == [tmp_path / name]
    assert list(rows_of(tmp_path / name)) == [(1, ROWS[0]), (2, ROWS[1])]


def test_what_datasets_saves_is_read_without_its_own_files(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the trainer's libraries are not installed")
    splits = {"train": datasets.Dataset.from_list(ROWS), "validation": datasets.Dataset.from_list(ROWS[:1])}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    files = data_files(tmp_path / "saved")
    assert [split_of(file.relative_to(tmp_path)) for file in files] == ["train", "eval"]
    assert [dict(row) for file in files for _, row in rows_of(file)] == [*ROWS, ROWS[0]]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("rows.jsonl", "train"),
        ("train-00000-of-00002.parquet", "train"),
        ("latest.jsonl", "train"),
        ("data/validation/0000.parquet", "eval"),
        ("facts-dev.csv", "eval"),
        ("test.jsonl", "test"),
        ("test/train.jsonl", "train"),
    ],
)
def test_a_file_is_for_what_its_name_says(name: str, split: str) -> None:
    assert split_of(Path(name)) == split
