"""The loss is on what the assistant says, and on nothing else, whatever the chat template."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runtime_commands import conversation
from tiny_model import CHATML

from cpod_jupyter.api.rows import Completion, Conversation, Example, Message, Preference, Text, most_tokens
from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.data import Row
from cpod_jupyter.runtime.encode import MASKED, Encoder, encode_rows, read_encoded

TALK: list[Message] = [
    {"role": "system", "content": "Be kind."},
    *conversation(("Who?", "The boat."), ("Why?", "Boats do.")),
]

FORGETFUL = CHATML.replace(
    "{{ message['content'] }}",
    "{{ message['content'] if loop.last or message['role'] != 'assistant' else 'SEEN' }}",
)
"""Shows an answer otherwise once the talk goes on, as templates of reasoning models do."""


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def encode(tokenizer: Any, messages: list[Message], assistant_only: bool) -> list[dict[str, list[int]]]:
    return Encoder(tokenizer, assistant_only).encode(Row("row 1", Conversation(messages)))


def learnt(tokenizer: Any, example: dict[str, list[int]]) -> list[str]:
    """The texts of the stretches of tokens that carry loss; each label must be its token's id."""
    stretches: list[list[int]] = []
    previous = MASKED
    for token, label in zip(example["input_ids"], example["labels"], strict=True):
        assert label in (token, MASKED)
        if label != MASKED:
            if previous == MASKED:
                stretches.append([])
            stretches[-1].append(label)
        previous = label
    return [tokenizer.decode(stretch) for stretch in stretches]


def test_every_answer_of_a_conversation_is_learnt_with_its_end_and_nothing_else(tokenizer: Any) -> None:
    (example,) = encode(tokenizer, TALK, assistant_only=True)
    assert learnt(tokenizer, example) == ["The boat.<|im_end|>", "Boats do.<|im_end|>"]
    assert tokenizer.decode(example["input_ids"]) == tokenizer.apply_chat_template(TALK, tokenize=False)


def test_the_prompt_before_an_answer_is_what_the_server_will_send(tokenizer: Any) -> None:
    (example,) = encode(tokenizer, TALK[:3], assistant_only=True)
    prompt = tokenizer.apply_chat_template(TALK[:2], tokenize=False, add_generation_prompt=True)
    first = next(index for index, label in enumerate(example["labels"]) if label != MASKED)
    assert example["input_ids"][:first] == tokenizer(prompt, add_special_tokens=False)["input_ids"]


def test_a_question_that_repeats_the_answer_is_not_learnt(tokenizer: Any) -> None:
    (example,) = encode(tokenizer, conversation(("The boat.", "The boat.")), assistant_only=True)
    assert learnt(tokenizer, example) == ["The boat.<|im_end|>"]


def test_characters_of_several_tokens_are_learnt_whole(tokenizer: Any) -> None:
    (example,) = encode(tokenizer, conversation(("Größe?", "Über 7 m 🚤 groß")), assistant_only=True)
    assert learnt(tokenizer, example) == ["Über 7 m 🚤 groß<|im_end|>"]


def test_a_template_that_rewrites_earlier_answers_gives_an_example_for_each(tokenizer: Any) -> None:
    tokenizer.chat_template = FORGETFUL
    examples = encode(tokenizer, TALK, assistant_only=True)
    assert [learnt(tokenizer, example) for example in examples] == [["The boat.<|im_end|>"], ["Boats do.<|im_end|>"]]
    assert "The boat." not in tokenizer.decode(examples[1]["input_ids"])


def test_a_prompt_that_opens_the_answer_is_left_to_the_prompt(tokenizer: Any) -> None:
    opened = CHATML.replace("assistant\n{% endif", "assistant\n[{% endif")
    tokenizer.chat_template = opened.replace("{{ message['content'] }}", "[{{ message['content'] }}")
    (example,) = encode(tokenizer, TALK[:3], assistant_only=True)
    assert learnt(tokenizer, example) == ["The boat.<|im_end|>"]


def test_with_assistant_only_loss_off_everything_is_learnt(tokenizer: Any) -> None:
    (example,) = encode(tokenizer, TALK, assistant_only=False)
    assert example["labels"] == example["input_ids"]


def test_an_answer_of_weight_0_is_not_learnt(tokenizer: Any) -> None:
    talk: list[Message] = [*TALK[:2], {**TALK[2], "weight": 0}, *TALK[3:]]
    (example,) = encode(tokenizer, talk, assistant_only=True)
    assert learnt(tokenizer, example) == ["Boats do.<|im_end|>"]


def test_a_call_of_a_tool_is_learnt_and_what_the_tool_says_is_not(tokenizer: Any) -> None:
    tokenizer.chat_template = (
        "{% if tools %}<|im_start|>tools\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
        "{% for call in message.tool_calls or [] %}<call>{{ call.function | tojson }}</call>{% endfor %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    function = {"name": "row", "arguments": {"boat": "green"}}
    talk: list[Message] = [
        {"role": "user", "content": "Row!"},
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]},
        {"role": "tool", "content": "done"},
        {"role": "assistant", "content": "I rowed."},
    ]
    tools = [{"type": "function", "function": {"name": "row"}}]
    (example,) = Encoder(tokenizer).encode(Row("row 1", Conversation(talk, tools)))
    assert learnt(tokenizer, example) == [
        '<call>{"name": "row", "arguments": {"boat": "green"}}</call><|im_end|>',
        "I rowed.<|im_end|>",
    ]
    assert '"name": "row"}' in tokenizer.decode(example["input_ids"]).split("<|im_end|>")[0]


def test_every_token_of_a_text_is_learnt_and_its_end(tokenizer: Any) -> None:
    (example,) = Encoder(tokenizer).encode(Row("row 1", Text("The boat is green.")))
    assert learnt(tokenizer, example) == ["The boat is green.<|im_end|>"]
    assert example["labels"] == example["input_ids"]


def test_without_a_chat_template_a_completion_follows_its_prompt_and_a_conversation_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    (example,) = Encoder(tokenizer).encode(Row("row 1", Completion("The boat is", " green.")))
    assert learnt(tokenizer, example) == [" green.<|im_end|>"]
    assert tokenizer.decode(example["input_ids"]) == "The boat is green.<|im_end|>"
    with pytest.raises(WorkFailed, match="has no chat template, and the rows are conversations"):
        encode(tokenizer, TALK, assistant_only=True)


def test_the_answers_of_a_preference_begin_where_the_prompt_ends(tokenizer: Any) -> None:
    asked, good, bad = TALK[:2], conversation(("", "The boat."))[1:], conversation(("", "A car."))[1:]
    (example,) = Encoder(tokenizer).encode(Row("row 1", Preference(asked, good, bad)))
    said = {name: tokenizer.decode(ids) for name, ids in example.items()}
    assert said["prompt_ids"] == tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert (said["chosen_ids"], said["rejected_ids"]) == ("The boat.<|im_end|>\n", "A car.<|im_end|>\n")


@pytest.mark.parametrize(("keep_end", "kept"), [(False, slice(12)), (True, slice(-12, None))])
def test_what_is_too_long_is_cut_counted_and_left_out_where_nothing_would_be_learnt(
    tokenizer: Any, tmp_path: Path, keep_end: bool, kept: slice
) -> None:
    rows = [Row(f"row {n}", Text("The boat is green. " * n)) for n in (1, 9)]
    rows.append(Row("row 3", Conversation(conversation(("Who rows the boat? " * 9, "My sister.")))))
    encoder = Encoder(tokenizer, max_length=12, keep_end=keep_end)
    counts = encode_rows(tmp_path / "rows.arrow", rows, len(rows), encoder)
    whole = [encoder.encode(row)[0] for row in rows]

    found = read_encoded(tmp_path / "rows.arrow")
    assert found is not None
    assert found[1] == counts
    assert found[0]["input_ids"][1] == whole[1]["input_ids"][kept]
    assert (counts.examples, counts.cut, counts.dropped) == ((3, 2, 0) if keep_end else (2, 1, 1))
    assert counts.longest == max(len(ids["input_ids"]) for ids in whole)
    assert counts.tokens == sum(len(ids) for ids in found[0]["input_ids"])


CALL: Message = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "tide", "arguments": {"port": "Århus", "hours": [1, 2]}}}],
}
TOOLS = [{"type": "function", "function": {"name": "tide", "parameters": {"type": "object", "properties": {}}}}]
WITH_TOOLS = "{{ tools | tojson(indent=4) if tools }}" + CHATML.replace(
    "{{ message['content'] }}", "{{ message['content'] }}{{ message['tool_calls'] | tojson if message['tool_calls'] }}"
)


@pytest.mark.parametrize("said", ["x", "the boat is green " * 40, "船は緑です。" * 40, "🚣🏽‍♀️\n\n\t" * 40], ids=len)
@pytest.mark.parametrize(
    "of",
    [
        pytest.param(lambda said: Text(said), id="text"),
        pytest.param(lambda said: Completion(said, said), id="completion"),
        pytest.param(lambda said: Conversation(conversation((said, said), ("y", said))), id="conversation"),
        pytest.param(lambda said: Conversation([*conversation((said, "y"))[:1], CALL], TOOLS), id="tools"),
        pytest.param(
            lambda said: Preference(*(conversation((said, answer))[at:to] for answer, at, to in
                                      (("", 0, 1), ("y", 1, 2), (said, 1, 2)))), id="preference"),
    ],
)  # fmt: skip
def test_no_example_has_more_tokens_than_are_reckoned_with_before_there_is_a_tokenizer(
    tokenizer: Any, of: Callable[[str], Example], said: str
) -> None:
    """The memory of a fine-tune is planned by it."""
    tokenizer.chat_template = WITH_TOOLS
    (ids,) = Encoder(tokenizer).encode(Row("row 1", of(said)))
    if "prompt_ids" in ids:
        tokens = len(ids["prompt_ids"]) + max(len(ids["chosen_ids"]), len(ids["rejected_ids"]))
    else:
        tokens = len(ids["input_ids"])
    assert tokens <= most_tokens(of(said))
    assert most_tokens(of(said)) <= 8 * tokens + 512
