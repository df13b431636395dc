"""The forms in which people write rows, each with what it is read as.

    messages           OpenAI's fine-tuning: {"messages": [{"role", "content"}, …], "tools": […]}
    sharegpt           {"conversations": [{"from": "human", "value": "…"}, …], "system": "…", "tools": "…"}
    alpaca             {"instruction": "…", "input": "…", "output": "…", "system": "…", "history": [["…", "…"], …]}
    prompt_completion  TRL's: {"prompt": "…", "completion": "…"}, texts or lists of messages
    text               {"text": "…"}
    preference         TRL's {"prompt", "chosen", "rejected"}, texts or lists of messages; OpenAI's {"input",
                       "preferred_output", "non_preferred_output"}; and chosen and rejected beside ShareGPT's
                       conversations or Alpaca's instruction, as LLaMA-Factory has them

Other fields of a row are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cpod_jupyter.api.rows.examples import (
    BadRow,
    Completion,
    Conversation,
    Example,
    Message,
    Preference,
    Text,
    as_json,
    conversation,
    read_messages,
    read_tools,
    text_in,
)

Row = Mapping[str, Any]

_SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}
"""ShareGPT's names of who speaks."""
_CALLS = ("function_call", "tool_call")
"""Its names of a turn in which the assistant calls a tool."""


def format_of(row: Row) -> str:
    """The format that a row is in, by its fields. Raises BadRow."""
    if {"chosen", "rejected"} <= row.keys() or {"preferred_output", "non_preferred_output"} <= row.keys():
        return "preference"
    if "messages" in row:
        return "messages"
    if "conversations" in row or "conversation" in row:
        return "sharegpt"
    if "instruction" in row:
        return "alpaca"
    if "prompt" in row or "completion" in row:
        return "prompt_completion"
    if "text" in row:
        return "text"
    fields = ", ".join(f"`{field}`" for field in list(row)[:8]) or "none"
    raise BadRow(
        f"its fields ({fields}) are of no known format; `messages`, or `prompt` and `completion`, would be one"
    )


def read_row(row: object, format: str = "auto") -> Example:
    """What a row is read as, in a format or in the one that it seems to have. Raises BadRow."""
    if not isinstance(row, Mapping):
        raise BadRow("the row is not a JSON object")
    there = {key: value for key, value in row.items() if value is not None}
    return FORMATS[format_of(there) if format == "auto" else format](there)


def _messages(row: Row) -> Conversation:
    if "messages" not in row:
        raise BadRow("`messages` is missing")
    return conversation(as_json(row["messages"]), row.get("tools"))


def _sharegpt(row: Row) -> Conversation:
    called = "conversation" if "conversation" in row else "conversations"
    if called not in row:
        raise BadRow("`conversations` is missing")
    return conversation(_turns(row, called), row.get("tools"), called=called)


def _turns(row: Row, called: str) -> object:
    """ShareGPT's turns as messages, the row's system prompt before them."""
    turns = as_json(row[called])
    if not isinstance(turns, list):
        return turns
    system = row.get("system")
    first = [{"role": "system", "content": system}] if isinstance(system, str) and system.strip() else []
    return [*first, *(_spoken(turn, index) for index, turn in enumerate(turns))]


def _spoken(turn: object, index: int = 0) -> object:
    """A turn of ShareGPT as a message; one that is a message already as it is. Raises BadRow."""
    if not isinstance(turn, Mapping) or "from" not in turn:
        return turn
    speaker, value = str(turn["from"]), turn.get("value")
    if speaker in _CALLS:
        calls = as_json(value)
        return {"role": "assistant", "content": "", "tool_calls": calls if isinstance(calls, list) else [calls]}
    if speaker not in _SPEAKERS:
        known = ", ".join((*_SPEAKERS, *_CALLS))
        raise BadRow(f"message {index + 1} is from {speaker!r}, known are {known}")
    return {"role": _SPEAKERS[speaker], "content": value, "weight": turn.get("weight")}


def _alpaca(row: Row) -> Conversation:
    return conversation([*_asked(row), {"role": "assistant", "content": text_in(row, "output")}])


def _asked(row: Row) -> list[dict[str, Any]]:
    """Alpaca's turns up to the question: system, history, instruction with its input on the next line."""
    system, more = row.get("system"), row.get("input")
    turns: list[dict[str, Any]] = []
    if isinstance(system, str) and system.strip():
        turns.append({"role": "system", "content": system})
    history = as_json(row.get("history") or [])
    if not isinstance(history, list) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in history):
        raise BadRow("`history` is not a list of pairs of a question and its answer")
    for question, answer in history:
        turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    question = text_in(row, "instruction")
    if more is not None and not isinstance(more, str):
        raise BadRow("`input` is not a text")
    turns.append({"role": "user", "content": f"{question}\n{more}" if more and more.strip() else question})
    return turns


def _prompt_completion(row: Row) -> Conversation | Completion:
    prompt, completion = as_turns(row.get("prompt")), as_turns(row.get("completion"))
    if isinstance(prompt, list) and isinstance(completion, list):
        return conversation([*prompt, *completion], row.get("tools"), called="prompt")
    return Completion(text_in(row, "prompt"), text_in(row, "completion"))


def _text(row: Row) -> Text:
    return Text(text_in(row, "text"))


def _preference(row: Row) -> Preference:
    if "preferred_output" in row:
        asked = row.get("input")
        if not isinstance(asked, Mapping):
            raise BadRow("`input` is not an object with `messages`")
        prompt, tools = read_messages(asked.get("messages"), "input.messages"), asked.get("tools")
        chosen, rejected = (read_messages(row.get(key), key) for key in ("preferred_output", "non_preferred_output"))
        return _preferred(prompt, chosen, rejected, tools)
    for field in ("chosen", "rejected"):
        if field not in row:
            raise BadRow(f"`{field}` is missing")
    chosen, rejected = _answers(row["chosen"], "chosen"), _answers(row["rejected"], "rejected")
    if "prompt" in row:
        given = as_turns(row["prompt"])
        turns = given if isinstance(given, list) else [{"role": "user", "content": text_in(row, "prompt")}]
        prompt = read_messages(turns, "prompt")
    elif "conversations" in row:
        prompt = read_messages(_turns(row, "conversations"), "conversations")
    elif "instruction" in row:
        prompt = read_messages(_asked(row), "instruction")
    else:
        prompt, chosen, rejected = _without_prompt(chosen, rejected)
    return _preferred(prompt, chosen, rejected, row.get("tools"))


def _answers(given: object, called: str) -> list[Message]:
    """A text, a message, or a list of messages as the turns of an answer. Raises BadRow."""
    found = as_turns(given)
    if isinstance(found, str):
        found = [{"role": "assistant", "content": text_in({called: found}, called)}]
    turns = [_spoken(turn) for turn in found] if isinstance(found, list) else [_spoken(found)]
    return read_messages(turns, called)


def _without_prompt(chosen: list[Message], rejected: list[Message]) -> tuple[list[Message], ...]:
    """The turns that both begin with are the prompt (TRL, "Dataset formats", implicit prompt). Raises BadRow."""
    shared = 0
    for one, other in zip(chosen, rejected, strict=False):
        if one != other:
            break
        shared += 1
    if not shared:
        raise BadRow("there is no `prompt`, and `chosen` and `rejected` have no turns in common that could be one")
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _preferred(prompt: list[Message], chosen: list[Message], rejected: list[Message], tools: object) -> Preference:
    """Raises BadRow where the answers are none, or the same."""
    if prompt[-1]["role"] == "assistant":
        raise BadRow("the prompt ends with an assistant turn, so there is nothing to answer")
    for called, answer in (("chosen", chosen), ("rejected", rejected)):
        if not answer or answer[-1]["role"] != "assistant":
            raise BadRow(f"`{called}` does not end with an assistant turn")
    if chosen == rejected:
        raise BadRow("`chosen` and `rejected` are the same")
    return Preference(prompt, chosen, rejected, read_tools(tools))


def as_turns(given: object) -> object:
    """A list of messages that is written as a text of JSON (a field of a CSV file) as one; anything else as it is."""
    if isinstance(given, str) and given.lstrip().startswith("[{"):
        return as_json(given)
    return given


FORMATS: dict[str, Callable[[Row], Example]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "prompt_completion": _prompt_completion,
    "text": _text,
    "preference": _preference,
}
"""Every format by its name, and how a row in it is read."""
