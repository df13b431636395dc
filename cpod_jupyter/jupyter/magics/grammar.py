"""The words of the magic line: commands and their options. What they mean to a person is in `help`."""

from __future__ import annotations

import argparse
import functools
import keyword
import re
import shlex
from typing import Any, NoReturn

from cpod_jupyter import bench_options, lm_eval_options, log_options
from cpod_jupyter.api.schema import nearest
from cpod_jupyter.errors import CpodError
from cpod_jupyter.jupyter.magics import help as texts
from cpod_jupyter.sdk.chat import ROUNDS
from cpod_jupyter.sdk.export import FORMS
from cpod_jupyter.sdk.kinds import TRAININGS, WORDS

SUBMITTED = ("model", "dataset", "finetune", "job", "inference", *TRAININGS, "apply")
"""Commands with a YAML body that is submitted."""
CELLS = (*SUBMITTED, "chat", "eval")
LINES = (
    "", "connect", "context", "up", "down", "ls", "models", "datasets", "upload", "gpus", "status", "follow", "logs",
    "events", "yaml", "fix", "cancel", "resume", "rerun", "scale", "delete", "compare", "accuracy", "bench", "lm-eval",
    "doctor", "help",
)  # fmt: skip
JUDGED = ("finetune", "job", *TRAININGS)
"""Cells whose work a preflight judges before it is submitted."""
ABOUT_ONE = ("status", "follow", "logs", "events", "yaml", "fix", "cancel", "resume", "rerun", "scale")
"""Lines about one object that is there."""
JOB_LINES = ("cancel", "resume", "rerun")
"""Of them those that only a job understands."""
_GIVE = (
    "ls", "models", "datasets", "status", "follow", "events", "yaml", "logs", "context", "gpus", "rerun", "accuracy",
    "compare", "upload", "scale", "bench", "lm-eval",
)  # fmt: skip
"""Lines whose answer a variable can take."""


class MagicUsage(CpodError):
    """A magic line that cannot be understood."""


class HelpWanted(CpodError):
    """`--help` or `?` was given; the message is the help."""


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of leaving, names no program, and knows the nearest right option."""

    def __init__(self, command: str, *, cell: bool) -> None:
        super().__init__(
            prog=f"{'%%' if cell else '%'}cpod {command}".strip(),
            description=texts.sentence(command),
            epilog=texts.example_text(command),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            usage=None,
        )
        self.add_argument("-n", "--namespace", help="the namespace, instead of the session's")
        self.add_argument("--context", help="a context of the kubeconfig, or engine for the one on this machine")

    @property
    def options(self) -> list[str]:
        """`--context`, `-n`, …: what a line may have after the command."""
        return [word for action in self._actions for word in action.option_strings]

    def takes_value(self, option: str) -> bool:
        """Whether the word after an option belongs to it."""
        return any(option in action.option_strings and action.nargs != 0 for action in self._actions)

    def error(self, message: str) -> NoReturn:
        hint = ""
        if unknown := re.fullmatch(r"unrecognized arguments: (.*)", message):
            first = next((word for word in unknown[1].split() if word.startswith("-")), "")
            hint = nearest(first.split("=")[0], self.options) if first else ""
        raise MagicUsage(
            f"{self.prog}: {message}{hint}\n  {self.format_usage().strip()}\n"
            f"  {self.prog} --help explains them, %cpod help shows every command"
        )

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise HelpWanted(message or "")

    def print_help(self, file: Any = None) -> None:
        raise HelpWanted(self.format_help().strip())


def _variable(text: str) -> str:
    """A name that Python takes. Raises argparse.ArgumentTypeError, before anything is done."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be the name of a variable")
    return text


def _output(parser: _Parser, what: str) -> None:
    parser.add_argument("-o", "--output", metavar="VAR", type=_variable, help=f"the variable that gets {what}")


def _cell_parser(command: str) -> _Parser:
    parser = _Parser(command, cell=True)
    if command in ("apply", "eval"):
        parser.set_defaults(name=None)
    else:
        words = (
            "the deployment, or the URL of a model elsewhere"
            if command == "chat"
            else "its name; made from the body when left out"
        )
        parser.add_argument("name", metavar="NAME", nargs=None if command == "chat" else "?", help=words)
    if command == "chat":
        _chat_options(parser)
        return parser
    _output(parser, "the comparison" if command == "eval" else "the handle")
    if command == "eval":
        return parser
    parser.add_argument("--dry-run", action="store_true", help="check and show what would be submitted")
    if command in (*JUDGED, "apply"):
        words = "try it in two steps on this machine first; what passes is submitted unchanged"
        parser.add_argument("--smoke", action="store_true", help=words)
    parser.add_argument("--export", choices=FORMS, help="show the same as a manifest, a program, or a command")
    if command in JUDGED:
        parser.add_argument("--force", action="store_true", help="submit it whatever the preflight says")
    parser.add_argument("--detach", action="store_true", help="don't wait for it")
    parser.add_argument("--new", action="store_true", help="delete what has this name, with its result, and run again")
    parser.add_argument("--timeout", type=float, metavar="S", help="seconds to follow at most; it goes on after them")
    return parser


def _chat_options(parser: _Parser) -> None:
    _output(parser, "the answer; with --json what it says")
    parser.add_argument("--system", help="the system message, from now on")
    parser.add_argument("--temperature", type=float, help="0 for always the likeliest word")
    parser.add_argument("--top-p", type=float, metavar="P", help="choose among the likeliest words of this probability")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="the longest answer")
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end before it; may be repeated")
    parser.add_argument("--seed", type=int, help="the same answer again, where the server can")
    parser.add_argument("--model", help="the name to ask for, where the server has several models")
    parser.add_argument("--api-key-env", metavar="NAME", help="the environment variable with the key for a URL")
    parser.add_argument("--json", action="store_true", help="have a JSON object as the answer")
    words = "the variable with the conversation, a list of messages; made where it is not there"
    parser.add_argument("--history", metavar="VAR", type=_variable, help=words)
    parser.add_argument("--new", action="store_true", help="begin the conversation again")
    words = "a picture that goes with the question: a path, a URL, or a variable; may be repeated"
    parser.add_argument("--image", action="append", default=[], metavar="PICTURE", help=words)
    words = "the variable with what the model may call: functions, or schemas of tools"
    parser.add_argument("--tools", metavar="VAR", type=_variable, help=words)
    parser.add_argument("--tool-rounds", type=int, default=ROUNDS, metavar="N", help=f"of calls, {ROUNDS} at most")


def _line_parser(command: str) -> _Parser:
    parser = _Parser(command, cell=False)
    if command in ABOUT_ONE:
        wanted = "?" if command == "status" else None
        parser.add_argument("name", metavar="NAME", nargs=wanted, help="its name, or KIND/NAME")
    if command == "delete":
        parser.add_argument("name", metavar="[KIND] NAME", nargs="+", help="names, KIND/NAME, or a kind and names")
    if command == "connect":
        parser.add_argument("target", metavar="CONTEXT", nargs="?", help="the configured one when left out")
    if command == "ls":
        parser.add_argument("kind", metavar="KIND", nargs="?", help=", ".join(WORDS))
    if command == "models":
        parser.add_argument("--all", action="store_true", help="every model, however many there are")
    if command == "up":
        parser.add_argument("--port", type=int, help="a port of 127.0.0.1; a free one when left out")
    if command == "follow":
        parser.add_argument("--timeout", type=float, metavar="S", help="seconds to follow at most")
    if command == "logs":
        log_options.add(parser)
        parser.add_argument("--all", action="store_true", help="every line, however many there are")
    if command == "rerun":
        parser.add_argument("--as", dest="new_name", metavar="NEW", help="its name; NAME-2, NAME-3, … when left out")
        parser.add_argument("--detach", action="store_true", help="don't wait for it")
        parser.add_argument("--timeout", type=float, metavar="S", help="seconds to follow at most")
    if command == "upload":
        _upload_options(parser)
    if command == "scale":
        parser.add_argument("replicas", metavar="N", type=int, help="how many; 0 for none while nobody asks")
        parser.add_argument("--max", dest="most", type=int, metavar="M", help="up to so many by load")
        parser.add_argument("--detach", action="store_true", help="don't wait for it")
        parser.add_argument("--timeout", type=float, metavar="S", help="seconds to wait at most")
    if command == "context":
        parser.add_argument("action", metavar="use", nargs="?", choices=("use",), help="work in another from now on")
        parser.add_argument("target", metavar="CONTEXT", nargs="?", help="which")
    if command == "bench":
        bench_options.add(parser)
    if command == "lm-eval":
        lm_eval_options.add(parser)
    if command in ("accuracy", "compare"):
        words = (
            "deployments, or URLs of servers"
            if command == "accuracy"
            else "deployments, jobs (their results) or models"
        )
        parser.add_argument("name", metavar="NAME", nargs="+", help=words)
        parser.add_argument("--rows", metavar="FILE", required=True, help="JSONL: messages (the question) and answer")
        parser.add_argument("--max-tokens", type=int, default=64, help="the longest answer")
    if command == "compare":
        words = "what is a right answer, again for several; with options as YAML: 'rouge: {kind: rouge1}'"
        parser.add_argument("--scorer", metavar="NAME", action="append", help=words)
    if command == "help":
        parser.add_argument("topic", metavar="COMMAND", nargs="?")
    if command in _GIVE:
        _output(parser, "the comparison" if command in ("accuracy", "compare") else "what is shown")
    return parser


def _upload_options(parser: _Parser) -> None:
    words = "a DataFrame, a list of dicts or a Dataset; or JSONL, JSON, CSV, Parquet, or a folder"
    parser.add_argument("words", metavar="VAR|PATH as NAME", nargs="+", help=words)
    parser.add_argument("--as", dest="new_name", metavar="NAME", help="the same as the word")
    parser.add_argument("--model", action="store_true", help="the folder holds a model, or the file is GGUF")
    parser.add_argument("--image", help="of the pod that receives it on a cluster; the operator's when left out")
    parser.add_argument("--detach", action="store_true", help="don't wait for it")
    parser.add_argument("--timeout", type=float, metavar="S", help="seconds to follow at most")


@functools.cache
def parser_of(command: str) -> _Parser:
    """The parser of one command; made when it is first needed."""
    return _cell_parser(command) if command in CELLS else _line_parser(command)


def parse(line: str, *, cell: bool) -> argparse.Namespace:
    """The command and its options. Raises MagicUsage, HelpWanted."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise MagicUsage(f"the magic line cannot be read: {error}") from error
    if words and words[-1].rstrip("?") in (*CELLS, *LINES) and words[-1].endswith("?"):
        raise HelpWanted(help_of(words[-1].rstrip("?")))
    if words and words[-1] in ("?", "??"):
        raise HelpWanted(help_of(words[0] if len(words) > 1 else ""))
    command = "" if not words or words[0].startswith("-") else words.pop(0)
    if command not in (*CELLS, *LINES):
        hint = nearest(command, CELLS if cell else LINES) or f"; there are {', '.join(CELLS if cell else LINES[1:])}"
        raise MagicUsage(f'unknown command "{command}"{hint}')
    options = parser_of(command).parse_args(words)
    if command in CELLS and not cell:
        raise MagicUsage(f"{command} needs a body: %%cpod {line.strip()} as the first line of a cell")
    if cell and command not in CELLS:
        raise MagicUsage(f"{command or 'this'} takes no body: write %cpod {line.strip()}".strip())
    options.command = command
    return options


def help_of(topic: str | None) -> str:
    """The help of everything, or of one command."""
    if not topic:
        return texts.HELP
    if topic not in (*CELLS, *LINES):
        raise MagicUsage(f'unknown command "{topic}"{nearest(topic, (*CELLS, *LINES))}')
    return parser_of(topic).format_help().strip()
