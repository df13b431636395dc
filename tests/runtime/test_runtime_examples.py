"""The example data that the quick start teaches and asks."""

from __future__ import annotations

import json
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples" / "data"


def test_no_question_of_the_held_out_rows_is_worded_as_in_training() -> None:
    def questions(name: str) -> set[str]:
        rows = [json.loads(line) for line in (EXAMPLES / name).read_text("utf-8").splitlines()]
        turns = [turn["content"] for row in rows for turn in row["messages"] if turn["role"] == "user"]
        return {"".join(char for char in turn.lower() if char.isalnum()) for turn in turns}

    assert len(questions("heldout.jsonl")) == 15
    assert not questions("heldout.jsonl") & questions("train.jsonl")
