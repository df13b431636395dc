"""`%%cpod chat`: the body is said to a deployment, and its answer shown as it is written."""

from __future__ import annotations

import argparse
import json
import re
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api.resources import INFERENCES
from cpod_jupyter.errors import CpodError, Interrupted
from cpod_jupyter.jupyter.magics import grammar, template
from cpod_jupyter.jupyter.magics.live import Live
from cpod_jupyter.sdk import Deployment
from cpod_jupyter.sdk.chat import Call, Conversation, Tools, Turn
from cpod_jupyter.sdk.questions.endpoint import Endpoint
from cpod_jupyter.sdk.questions.questioned import Questioned

if TYPE_CHECKING:
    from cpod_jupyter.jupyter.magics.commands import CpodMagics

_UPDATE_SECONDS = 0.1
"""Between updates of an answer that is being written."""
_RESULT_LETTERS = 300
"""Of what a tool answered, that are shown; the model gets all of it."""
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)


class Conversations:
    """What was said to each deployment in this kernel, by where it is and its name."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], list[dict[str, Any]]] = {}

    def of(self, deployment: Questioned, *, new: bool = False) -> list[dict[str, Any]]:
        """The messages, to be added to."""
        where = (deployment.context, deployment.namespace) if isinstance(deployment, Deployment) else ("", "")
        key = (*where, deployment.name if isinstance(deployment, Deployment) else deployment.title)
        if new:
            self._kept.pop(key, None)
        return self._kept.setdefault(key, [])


def run_chat(magics: CpodMagics, options: argparse.Namespace, body: str) -> None:
    """Say the body to a deployment. Raises CpodError, and Interrupted when the answer was stopped."""
    names = magics.ip.user_ns
    question = template.text(body, names).strip()
    if not question:
        raise grammar.MagicUsage("the body of the cell is the question, and it is empty")
    deployment = _asked(magics, options)
    conversation = Conversation(deployment, _messages(magics, options, deployment))
    asked = conversation.ask(
        question,
        system=options.system,
        images=[names[each] if each.isidentifier() and each in names else each for each in options.image],
        tools=Tools(_variable(names, options.tools, "tools")) if options.tools else None,
        rounds=max(0, options.tool_rounds),
        model=options.model,
        temperature=options.temperature,
        top_p=options.top_p,
        max_tokens=options.max_tokens,
        stop=options.stop,
        seed=options.seed,
        response_format={"type": "json_object"} if options.json else None,
    )
    shown, turn = _Shown(magics, options.json), Turn()
    try:
        with closing(asked):  # type: ignore[type-var]
            for turn in asked:
                shown.update(turn)
    except KeyboardInterrupt:
        turn.stopped = True
        raise Interrupted(f"the answer of {deployment.title} was stopped; what came of it is kept") from None
    except CpodError:
        turn.stopped = bool(turn.parts)
        raise
    finally:
        shown.end(turn, conversation.turns)
        magics.bind(options, turn.text)
    if options.json:
        magics.bind(options, _parsed(turn.text))


def _asked(magics: CpodMagics, options: argparse.Namespace) -> Questioned:
    """The deployment of the name, or what answers at the URL."""
    if options.name.startswith(("http://", "https://")):
        return Endpoint(options.name, options.model or "", api_key_env=options.api_key_env)
    found = magics.session(options).get(INFERENCES, options.name)
    assert isinstance(found, Deployment), "an Inference is a deployment"
    return found


def _messages(magics: CpodMagics, options: argparse.Namespace, deployment: Questioned) -> list[dict[str, Any]]:
    """The conversation that goes on: the variable's of `--history`, else the one kept for the deployment."""
    if not options.history:
        return magics.conversations.of(deployment, new=options.new)
    held = magics.ip.user_ns.get(options.history)
    if held is None or options.new:
        held = magics.ip.user_ns[options.history] = []
    if not isinstance(held, list):
        raise CpodError(f"--history {options.history}: a list of messages is wanted, not a {type(held).__name__}")
    return held


def _variable(names: dict[str, Any], name: str, option: str) -> Any:
    if name not in names:
        raise CpodError(f"--{option} {name}: there is no variable {name}; is the cell that defines it run?")
    return names[name]


def _parsed(text: str) -> Any:
    """What an answer in JSON says, also one in a fence. Raises CpodError."""
    fenced = re.fullmatch(r"\s*```(?:json)?\s*\n(.*?)```\s*", text, re.DOTALL)
    try:
        return json.loads(fenced[1] if fenced else text)
    except ValueError as error:
        raise CpodError(f"the answer is no JSON ({error}): the server may not know response_format") from error


class _Shown:
    """A turn in one place. A plain terminal cannot update: there, what comes is written on."""

    def __init__(self, magics: CpodMagics, as_json: bool) -> None:
        self._notebook = hasattr(magics.ip, "kernel")
        self._live = Live(magics.ip)
        self._json = as_json
        self._due = 0.0
        self._printed = 0

    def update(self, turn: Turn) -> None:
        if not self._notebook:
            self._print(plain(turn))
        elif time.monotonic() >= self._due:
            self._due = time.monotonic() + _UPDATE_SECONDS
            self._live.show({"text/plain": plain(turn), "text/markdown": markdown(turn, as_json=self._json)})

    def end(self, turn: Turn, number: int) -> None:
        """The whole of it, with what it took beneath; nothing where nothing came."""
        if not turn.parts:
            return
        below = figures(turn, number)
        text = (plain(turn) or "(no answer)") + f"\n\n[{' · '.join(below)}]"
        if not self._notebook:
            self._print(text + "\n")
            return
        answer = markdown(turn, as_json=self._json) or "*(no answer)*"
        self._live.show({"text/plain": text, "text/markdown": f"{answer}\n\n<sub>{' · '.join(below)}</sub>"})

    def _print(self, text: str) -> None:
        print(text[self._printed :], end="", flush=True)
        self._printed = len(text)


def plain(turn: Turn) -> str:
    """A turn as text: what comes later only adds to it."""
    parts = []
    for part in turn.parts:
        if isinstance(part, Call):
            parts.append(f"[{part.name}({_arguments(part)}) → {_result(part)}]")
            continue
        thought = f"(thinking) {part.reasoning.strip()}" if part.reasoning.strip() else ""
        parts += [text for text in (thought, part.text) if text]
    return "\n\n".join(parts)


def markdown(turn: Turn, *, as_json: bool = False) -> str:
    """The same as Markdown; a fence that is still open is closed, for what stands beneath is not of the answer."""
    parts = []
    for part in turn.parts:
        if isinstance(part, Call):
            parts.append(f"> {_code(f'{part.name}({_arguments(part)})')} → {_code(_result(part))}")
            continue
        if part.reasoning.strip():
            parts.append("\n".join(f"> {line}" for line in part.reasoning.strip().split("\n")))
        if part.text.strip():
            fenced = as_json and not _FENCE.search(part.text)
            parts.append(_closed(f"```json\n{part.text.strip()}" if fenced else part.text))
    return "\n\n".join(parts)


def figures(turn: Turn, number: int) -> list[str]:
    """What stands beneath an answer: how it ended, what it took, and that the conversation goes on."""
    prompts, tokens, counted = turn.tokens()
    said = []
    if turn.stopped:
        said.append("stopped")
    elif turn.answers and turn.answers[-1].cut:
        said.append("cut off: the longest answer is reached (--max-tokens)")
    if turn.unanswered:
        names = ", ".join(call.name for call in turn.unanswered)
        said.append(f"{names}: only described here; answer with a message of the role tool in --history")
    if counted:
        said.append(f"{prompts:,} tokens of prompt, {tokens:,} of answer")
    else:
        said.append(f"{tokens:,} {'piece' if tokens == 1 else 'pieces'} of answer, for the server counted no tokens")
    if turn.first_seconds is not None:
        said.append(f"the first after {turn.first_seconds:.2f} s")
    if turn.tokens_per_second is not None:
        said.append(f"{turn.tokens_per_second:.1f} {'tokens' if counted else 'pieces'}/s")
    if number > 1:
        said.append(f"question {number} of a conversation (--new begins again)")
    return said


def _arguments(call: Call) -> str:
    try:
        given = json.loads(call.arguments or "{}")
        return ", ".join(f"{key}={value!r}" for key, value in given.items())
    except (ValueError, AttributeError):
        return call.arguments


def _result(call: Call) -> str:
    if call.result is None:
        return "not answered"
    text = " ".join(call.result.split())
    return text if len(text) <= _RESULT_LETTERS else f"{text[:_RESULT_LETTERS]}…"


def _code(text: str) -> str:
    """Inline code, whatever backticks are in it (CommonMark, "Code spans")."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"`{text}`"


def _closed(text: str) -> str:
    """The text with a fence that was opened and not closed ended (CommonMark, "Fenced code blocks")."""
    fence = ""
    for found in _FENCE.finditer(text):
        if not fence:
            fence = found[1]
        elif found[1].startswith(fence):
            fence = ""
    return f"{text}\n{fence}" if fence else text
