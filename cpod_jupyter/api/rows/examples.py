"""What a row of data is read as, and what is wrong with one that cannot be.

A conversation is that of OpenAI's fine-tuning ("Supervised fine-tuning", "Fine-tuning with function calling"): turns
with the roles system (or developer), user, assistant and tool; `tools` are described by their JSON schema, an assistant
calls them in `tool_calls`, and `weight` 0 keeps an answer from being learnt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Required, TypedDict

ROLES = ("system", "user", "assistant", "tool")
_ALSO = {"developer": "system"}
"""Roles that mean another one."""


class BadRow(ValueError):
    """A row that nothing can be learnt from; its text says why."""


class Message(TypedDict, total=False):
    """One turn of a conversation, as a chat template takes it."""

    role: Required[str]
    content: Required[str]
    tool_calls: list[dict[str, Any]]
    """Of an assistant; each one's `arguments` are an object, not a text."""
    tool_call_id: str
    name: str
    weight: int
    """0 where an answer is not to be learnt."""


@dataclass(frozen=True)
class Conversation:
    """Turns, the last of which is the assistant's."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None
    kind: ClassVar[str] = "conversations"

    @property
    def texts(self) -> Iterator[str]:
        """All that is said in it."""
        return (message["content"] for message in self.messages)


@dataclass(frozen=True)
class Completion:
    """A prompt and how it goes on: a conversation of two turns for a model with a chat template, else plain text."""

    prompt: str
    completion: str
    kind: ClassVar[str] = "conversations"

    @property
    def conversation(self) -> Conversation:
        return Conversation(
            [{"role": "user", "content": self.prompt}, {"role": "assistant", "content": self.completion}]
        )

    @property
    def texts(self) -> Iterator[str]:
        return iter((self.prompt, self.completion))


@dataclass(frozen=True)
class Text:
    """A text of which every token is learnt."""

    text: str
    kind: ClassVar[str] = "texts"

    @property
    def texts(self) -> Iterator[str]:
        return iter((self.text,))


@dataclass(frozen=True)
class Preference:
    """Two answers to one prompt, of which the first is the better one (Rafailov et al. 2023, "Direct Preference
    Optimization")."""

    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    tools: list[dict[str, Any]] | None = None
    kind: ClassVar[str] = "preferences"

    @property
    def texts(self) -> Iterator[str]:
        return (message["content"] for message in (*self.prompt, *self.chosen, *self.rejected))


Example = Conversation | Completion | Text | Preference


_MARKS_OF_A_TURN = 16
"""Tokens by which chat templates mark a turn, at most (those of ChatML, Llama and Gemma take 4 to 8)."""
_BEFORE_THE_TURNS = 64
"""Tokens that chat templates put first by themselves, such as a system prompt of their own (up to 45 of Llama's)."""


def most_tokens(example: Example) -> int:
    """So many tokens an example has at most, whatever the tokenizer: one for each byte of UTF-8, which byte-level BPE
    and byte fallback can fall back to (Radford et al. 2019, section 2.2; Kudo and Richardson 2018), and what a chat
    template adds. Of a preference those of the prompt with the longer answer.
    """
    if isinstance(example, Text):
        return len(example.text.encode()) + 1
    if isinstance(example, Completion):
        example = example.conversation
    if isinstance(example, Conversation):
        return _BEFORE_THE_TURNS + _bytes_of(example.tools) + sum(map(_turn, example.messages))
    answers = max(sum(map(_turn, example.chosen)), sum(map(_turn, example.rejected)))
    return _BEFORE_THE_TURNS + _bytes_of(example.tools) + sum(map(_turn, example.prompt)) + answers


def _turn(message: Message) -> int:
    return _MARKS_OF_A_TURN + len(message["content"].encode()) + _bytes_of(message.get("tool_calls"))


def _bytes_of(given: object) -> int:
    """Of a value as chat templates write it; 0 for none."""
    return len(json.dumps(given, ensure_ascii=False, indent=4).encode()) if given else 0


def text_in(row: Mapping[str, Any], field: str) -> str:
    """A field that must be a text. Raises BadRow."""
    found = row.get(field)
    if not isinstance(found, str):
        raise BadRow(f"`{field}` is missing or not a text")
    if not found.strip():
        raise BadRow(f"`{field}` is empty")
    return found


def conversation(turns: object, tools: object = None, *, called: str = "messages") -> Conversation:
    """The conversation of those turns. Raises BadRow."""
    messages = read_messages(turns, called)
    answers = [message for message in messages if message["role"] == "assistant"]
    if not answers:
        raise BadRow("there is no assistant turn to learn from")
    if messages[-1]["role"] != "assistant":
        raise BadRow(f"the last turn is the {messages[-1]['role']}'s, it must be the assistant's")
    if all(message.get("weight") == 0 for message in answers):
        raise BadRow("every assistant turn has weight 0, so there is nothing to learn from")
    return Conversation(messages, read_tools(tools))


def read_messages(turns: object, called: str) -> list[Message]:
    """Turns in the order that is possible; `called` is their field. Raises BadRow."""
    if not isinstance(turns, Sequence) or isinstance(turns, str | bytes):
        raise BadRow(f"`{called}` is not a list")
    if not turns:
        raise BadRow(f"`{called}` is empty")
    return [_message(turn, index) for index, turn in enumerate(turns)]


def _message(turn: object, index: int) -> Message:
    name = f"message {index + 1}"
    if not isinstance(turn, Mapping):
        raise BadRow(f"{name} is not an object with `role` and `content`")
    role = _ALSO.get(str(turn.get("role")), turn.get("role"))
    if role not in ROLES:
        raise BadRow(f"{name} has an unknown role {json.dumps(role, default=str)}, known are {', '.join(ROLES)}")
    if role == "system" and index > 0:
        raise BadRow(f"{name} has the role system, which only the first may have")
    if turn.get("function_call"):
        raise BadRow(f"{name} has `function_call`, an older form of OpenAI's; write it as `tool_calls`")
    calls = _tool_calls(turn.get("tool_calls"), name) if role == "assistant" else []
    if turn.get("content") is None and not calls:
        raise BadRow(f"{name} has no `content` that is a text")
    content = _content(turn.get("content"), name)
    if not content.strip() and not calls and role != "tool":
        raise BadRow(f"{name} ({role}) has an empty `content`")
    message: Message = {"role": role, "content": content}
    if calls:
        message["tool_calls"] = calls
    if role == "tool" and turn.get("tool_call_id"):
        message["tool_call_id"] = str(turn["tool_call_id"])
    if turn.get("name"):
        message["name"] = str(turn["name"])
    if turn.get("weight") is not None:
        message["weight"] = _weight(turn["weight"], name)
    return message


def _content(given: object, name: str) -> str:
    """A text, or the parts of one. Raises BadRow."""
    if given is None:
        return ""
    if isinstance(given, str):
        return given
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        raise BadRow(f"{name} has no `content` that is a text")
    texts = []
    for part in given:
        if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise BadRow(f"{name} has a part of type {kind} in its `content`; this trainer reads text only")
        texts.append(part["text"])
    return "".join(texts)


def _weight(given: object, name: str) -> int:
    if given not in (0, 1):
        raise BadRow(f"{name} has the weight {json.dumps(given, default=str)}, it must be 0 or 1")
    return 1 if given else 0


def _tool_calls(given: object, name: str) -> list[dict[str, Any]]:
    """An assistant's calls, their arguments as objects, which chat templates write as JSON. Raises BadRow."""
    if not given:
        return []
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise BadRow(f"{name} has `tool_calls` that are not a list")
    return [_tool_call(call, name) for call in given]


def _tool_call(call: object, name: str) -> dict[str, Any]:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise BadRow(f"{name} has a tool call without the name of its function")
    arguments = as_json(function.get("arguments") or {})
    if not isinstance(arguments, Mapping):
        raise BadRow(f"{name} calls {function['name']} with arguments that are not a JSON object")
    identity = {"id": str(call["id"])} if call.get("id") else {}
    return {**identity, "type": "function", "function": {"name": function["name"], "arguments": _dense(arguments)}}


def read_tools(given: object) -> list[dict[str, Any]] | None:
    """The tools that a conversation may call, also as a text of JSON. Raises BadRow."""
    found = as_json(given)
    if not found:
        return None
    if (
        not isinstance(found, Sequence)
        or isinstance(found, str | bytes)
        or not all(isinstance(tool, Mapping) for tool in found)
    ):
        raise BadRow("`tools` is not a list of objects")
    tools = [dict(_dense(tool)) for tool in found]
    return [tool if "function" in tool else {"type": "function", "function": tool} for tool in tools]


def as_json(given: object) -> object:
    """What a text of JSON stands for; anything else as it is, also a text that is none."""
    if isinstance(given, str):
        try:
            return json.loads(given)
        except ValueError:
            return given
    return given


def _dense(value: Any) -> Any:
    """Without fields that are None: Parquet and Arrow give each row all fields that any row has."""
    if isinstance(value, Mapping):
        return {key: _dense(item) for key, item in value.items() if item is not None}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_dense(item) for item in value]
    return value
