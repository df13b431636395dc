"""The loss is on what the assistant says, and on nothing else, whatever the chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runtime_commands import conversation
from tiny_model import CHATML

from cpod_jupyter.api.chatrows import Message
from cpod_jupyter.runtime.train import MASKED, encode

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
