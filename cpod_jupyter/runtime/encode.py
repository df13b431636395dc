"""Examples as token ids, with labels that say which tokens are learnt, in an Arrow file that is mapped, not held.

    conversation, completion   the answers are learnt, prompts are MASKED (unless assistant_only_loss is off)
    text                       every token is learnt, and an end-of-text token
    preference                 prompt, chosen and rejected answer apart, as TRL's DPO takes them

T stands for the tokens of an example.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api.rows import Completion, Conversation, Message, Preference, Text
from cpod_jupyter.errors import WorkFailed
from cpod_jupyter.runtime.data import Row
from cpod_jupyter.runtime.report import progress

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

MASKED = -100
"""The label of a token without loss (torch.nn.CrossEntropyLoss, `ignore_index`)."""

_EVERY = 1000
"""Rows between two records of progress."""

Ids = dict[str, list[int]]


@dataclass
class Counts:
    """What the tokens of a data set are."""

    examples: int = 0
    tokens: int = 0
    """As they are trained on, prompts too."""
    learnt_tokens: int = 0
    longest: int = 0
    """Tokens of the longest example, before it was cut."""
    cut: int = 0
    """Examples that are longer than max_length, and end there."""
    dropped: int = 0
    """Examples of which nothing would be learnt within max_length."""


@dataclass(frozen=True)
class Encoder:
    """How one model's tokenizer makes examples."""

    tokenizer: PreTrainedTokenizerFast
    assistant_only: bool = True
    max_length: int | None = None
    """None where nothing is cut: for packing, and preferences, which TRL cuts itself."""
    keep_end: bool = False
    """Cut the beginning of a long example, not its end."""

    def __post_init__(self) -> None:
        if not self.tokenizer.is_fast:
            raise WorkFailed("the model has only a slow tokenizer, which can't tell a token's place in the text")

    def encode(self, row: Row) -> list[Ids]:
        """The examples of a row, whole; mostly one. Raises WorkFailed."""
        from jinja2 import TemplateError

        example = row.example
        try:
            if isinstance(example, Text):
                return [self._plain("", example.text)]
            if isinstance(example, Completion) and not self.tokenizer.chat_template:
                return [self._plain(example.prompt, example.completion)]
            if not self.tokenizer.chat_template:
                raise WorkFailed(
                    "the model has no chat template, and the rows are conversations: fine-tune an instruct or chat "
                    "model, or give rows with `prompt` and `completion`, or `text`"
                )
            if isinstance(example, Preference):
                return [self._preference(example)]
            talk = example.conversation if isinstance(example, Completion) else example
            return self._conversation(talk)
        except TemplateError as error:
            raise WorkFailed(f"{row.place}: the model's chat template refuses the conversation: {error}") from error

    def cut(self, ids: Ids) -> Ids:
        """An example within max_length."""
        if self.max_length is None or len(ids["input_ids"]) <= self.max_length:
            return ids
        kept = slice(-self.max_length, None) if self.keep_end else slice(self.max_length)
        return {name: values[kept] for name, values in ids.items()}

    def _plain(self, prompt: str, text: str) -> Ids:
        """Ids and labels (T,) of a text that follows a prompt, without any template."""
        begin = list(self.tokenizer(prompt)["input_ids"]) if prompt else []
        rest = list(self.tokenizer(text, add_special_tokens=not prompt)["input_ids"])
        end = self.tokenizer.eos_token_id
        if end is not None and rest[-1:] != [end]:
            rest.append(end)
        masked = [MASKED] * len(begin) if self.assistant_only else begin
        return {"input_ids": begin + rest, "labels": masked + rest}

    def _conversation(self, talk: Conversation) -> list[Ids]:
        """A conversation of T tokens as `input_ids` (T,) and `labels` (T,).

        The labels repeat the ids where the assistant speaks, its end-of-turn token included, and are MASKED
        elsewhere. What the assistant says is found in the text the chat template makes: rendered up to a turn and
        beyond it, the two differ by the turn. So it needs no markers in the template, and no table of templates.

        Mostly one example. A template that shows an earlier answer otherwise once the talk goes on (reasoning
        models drop their thoughts) gives one for each answer, as the model sees it when it has to give it.
        """
        messages = talk.messages
        whole = self._render(messages, talk.tools)
        if not self.assistant_only:
            return [self._marked(whole, [(0, len(whole))])]
        answers: list[tuple[str, tuple[int, int]]] = []
        for index, message in enumerate(messages):
            if message["role"] == "assistant" and message.get("weight") != 0:
                before = self._render(messages[:index], talk.tools, prompt=True)
                text = self._render(messages[: index + 1], talk.tools)
                answers.append((text, _answer_span(before, text, self.tokenizer.eos_token)))
        if all(whole.startswith(text[:end]) for text, (_, end) in answers):
            return [self._marked(whole, [span for _, span in answers])]
        return [self._marked(text, [span]) for text, span in answers]

    def _render(self, turns: list[Message], tools: Any, *, prompt: bool = False) -> str:
        return str(self.tokenizer.apply_chat_template(turns, tools=tools, tokenize=False, add_generation_prompt=prompt))

    def _marked(self, text: str, spans: list[tuple[int, int]]) -> Ids:
        """Ids and labels of `text`; a token that ends within a span is learnt, also one that begins before it."""
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        labels = [
            token if any(start < last <= end for start, end in spans) else MASKED
            for token, (_, last) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        ]
        return {"input_ids": list(encoded["input_ids"]), "labels": labels}

    def _preference(self, example: Preference) -> Ids:
        """Ids of the prompt and of both answers; where the answers begin is where both leave the prompt."""
        prompt = self._render(example.prompt, example.tools, prompt=True)
        both = [self._render(example.prompt + answer, example.tools) for answer in (example.chosen, example.rejected)]
        asked, chosen, rejected = (
            list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (prompt, *both)
        )
        shared = min(_shared(asked, chosen), _shared(asked, rejected))
        return {"prompt_ids": asked[:shared], "chosen_ids": chosen[shared:], "rejected_ids": rejected[shared:]}


def _shared(one: list[int], other: list[int]) -> int:
    """Tokens that both begin with."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _answer_span(before: str, text: str, end_of_turn: str | None) -> tuple[int, int]:
    """Where the answer is in `text`, from its first character to behind its end-of-turn token."""
    pairs = enumerate(zip(before, text, strict=False))
    start = next((index for index, (one, other) in pairs if one != other), min(len(before), len(text)))
    end = text.rfind(end_of_turn, start) if end_of_turn else -1
    return start, end + len(end_of_turn or "") if end >= 0 else len(text)


# ---- a whole data set


def encode_rows(file: Path, rows: Iterable[Row], total: int, encoder: Encoder) -> Counts:
    """Write the examples of rows into an Arrow file, whole or not at all. Raises WorkFailed, OSError."""
    import pyarrow

    counts, partial, integers = Counts(), file.with_suffix(".partial"), pyarrow.list_(pyarrow.int32())
    file.parent.mkdir(parents=True, exist_ok=True)
    writer: Any = None
    with partial.open("wb") as stream:
        for batch in _batches(_examples(rows, total, encoder, counts)):
            table = pyarrow.table({name: pyarrow.array([ids[name] for ids in batch], integers) for name in batch[0]})
            writer = writer or pyarrow.ipc.new_stream(stream, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()
    progress("encode", total, total, "rows")
    file.with_suffix(".json").write_text(json.dumps(asdict(counts)))
    partial.replace(file)
    return counts


def read_encoded(file: Path) -> tuple[Dataset, Counts] | None:
    """What `encode_rows` wrote, mapped into memory; None where it did not come to its end."""
    from datasets import Dataset

    if not file.exists():
        return None
    counts = Counts(**json.loads(file.with_suffix(".json").read_text()))
    return (Dataset.from_file(str(file)) if counts.examples else Dataset.from_dict({})), counts


def _examples(rows: Iterable[Row], total: int, encoder: Encoder, counts: Counts) -> Iterator[Ids]:
    for number, row in enumerate(rows):
        if number % _EVERY == 0:
            progress("encode", number, total, "rows")
        for ids in encoder.encode(row):
            whole = _length(ids)
            counts.longest = max(counts.longest, whole)
            ids = encoder.cut(ids)
            learnt = _learnt(ids)
            if not learnt:
                counts.dropped += 1
                continue
            counts.examples += 1
            counts.cut += _length(ids) < whole
            counts.tokens += _length(ids)
            counts.learnt_tokens += learnt
            yield ids


def _length(ids: Mapping[str, list[int]]) -> int:
    return len(ids["input_ids"]) if "input_ids" in ids else sum(map(len, ids.values()))


def _learnt(ids: Mapping[str, list[int]]) -> int:
    if "labels" in ids:
        return sum(label != MASKED for label in ids["labels"][1:])  # nothing comes before the first token
    return len(ids["chosen_ids"]) + len(ids["rejected_ids"])


def _batches(examples: Iterable[Ids]) -> Iterator[list[Ids]]:
    batch: list[Ids] = []
    for ids in examples:
        batch.append(ids)
        if len(batch) == _EVERY:
            yield batch
            batch = []
    if batch:
        yield batch
