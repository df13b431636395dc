"""The model card of a result, and what of the base's own documents comes along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cpod_jupyter.runtime.card import Outcome, write_model_card
from cpod_jupyter.runtime.data import read_data
from cpod_jupyter.runtime.encode import Counts

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of the trainer's libraries, which a run silences


def card_of(directory: Path, base: Path, chat_data: Path) -> str:
    from trl import SFTConfig

    directory.mkdir()
    arguments = SFTConfig(output_dir=str(directory / "none"), bf16=False, use_cpu=True, report_to="none")
    outcome = Outcome(0.5, 12, 3.0)
    write_model_card(directory, base, read_data(chat_data), Counts(8, 300), "full", arguments, None, outcome)
    return (directory / "README.md").read_text()


def test_the_bases_card_licence_and_source_stay_with_what_is_made_of_it(tmp_path: Path, chat_data: Path) -> None:
    """FACTS A9: the original copied *.md beside the merged model, when the copy went well."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "README.md").write_text(
        "---\nlicense: llama2\nlibrary_name: other\nlanguage: [en]\n---\n# Llama\nIts words.\n"
    )
    (base / "LICENSE.txt").write_text("the licence")
    (base / "USE_POLICY.md").write_text("the policy")
    (base / ".cpod-source.json").write_text(json.dumps({"source": "hf://meta-llama/Llama-2-7b-hf"}))

    first = card_of(tmp_path / "first", base, chat_data)
    assert first.startswith(
        "---\nlicense: llama2\nlanguage:\n- en\n---\n\n# Fine-tune of hf://meta-llama/Llama-2-7b-hf"
    )
    assert "Its words." in (tmp_path / "first" / "BASE_README.md").read_text()
    assert (tmp_path / "first" / "LICENSE.txt").read_text() == "the licence"
    assert (tmp_path / "first" / "USE_POLICY.md").read_text() == "the policy"

    second = card_of(tmp_path / "second", tmp_path / "first", chat_data)
    assert "license: llama2" in second
    line = (tmp_path / "second" / "BASE_README.md").read_text()
    assert line.index("# Fine-tune of hf://meta-llama") < line.index("Its words.")


def test_a_base_without_documents_gives_a_card_without_a_head(tmp_path: Path, chat_data: Path) -> None:
    base = tmp_path / "plain"
    base.mkdir()
    (base / "README.md").write_bytes(b"---\n: [broken\n---\n\xff")
    assert card_of(tmp_path / "one", base, chat_data).startswith("# Fine-tune of plain\n")
    (base / "README.md").unlink()
    assert card_of(tmp_path / "two", base, chat_data).startswith("# Fine-tune of plain\n")
    assert not (tmp_path / "two" / "BASE_README.md").exists()
