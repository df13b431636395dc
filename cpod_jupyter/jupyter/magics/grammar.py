"""The words of the magic line: commands, options, help."""

from __future__ import annotations

import argparse
import shlex
from typing import Any, NoReturn

from cpod_jupyter.api.schema import nearest
from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.kinds import TRAININGS, WORDS

SUBMITTED = ("model", "dataset", "finetune", "job", "inference", *TRAININGS, "apply")
"""Commands with a YAML body."""

CELLS = (*SUBMITTED, "chat")

HELP = """Fine-tune, deploy and question language models, on this machine or on a cluster.

  %cpod                     where you are, and what runs
  %cpod up, %cpod down      start or stop the engine on this machine
  %cpod ls [KIND]           what there is; %cpod models, %cpod datasets
  %cpod status NAME         what is happening, why it waits, what to do
  %cpod follow NAME         follow it again: progress, curve, log
  %cpod logs NAME           its log (-f to follow, --tail N, --grep TEXT)
  %cpod events NAME         what happened to it
  %cpod yaml NAME           the manifest that makes it again
  %cpod cancel NAME         stop a job; %cpod resume NAME lets one run on that was suspended
  %cpod delete NAME...      remove it with all that was made for it
  %cpod accuracy NAME... --rows FILE   ask deployments held-out questions, and compare
  %cpod doctor              what is missing or wrong with the cluster or the engine
  %cpod help COMMAND        the options of a command

  %%cpod model NAME         have a model           the body is YAML, the spec of that kind,
  %%cpod dataset NAME       have a dataset         with {{ expressions }} of Python
  %%cpod finetune NAME      fine-tune a model
  %%cpod job NAME           run an image of your own
  %%cpod inference NAME     deploy a model
  %%cpod pytorchjob NAME    a job of a training operator: its spec, or image, command, workers and gpus; so too
                            mpijob, tfjob, xgboostjob, paddlejob, jaxjob, trainjob, elasticdljob, marsjob
  %%cpod apply              whole manifests, several separated by ---
  %%cpod chat NAME          ask a deployed model   the body is the question

For example:

  %%cpod finetune facts -o job
  model: smollm2
  dataset: facts
  hyperParameters: {n_epochs: 3, batch_size: 4}

then  job.result, job.metrics, job.logs(), job.deploy().
"""


class MagicUsage(CpodError):
    """A magic line that cannot be understood."""


class HelpWanted(CpodError):
    """`--help` was given; the message is the help."""


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of leaving, and names no program."""

    def error(self, message: str) -> NoReturn:
        raise MagicUsage(f"{self.prog}: {message}\n  {self.format_usage().strip()}\n  %cpod help shows everything")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise HelpWanted(message or "")

    def print_help(self, file: Any = None) -> None:
        raise HelpWanted(self.format_help().strip())


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-n", "--namespace", help="the namespace, instead of the session's")
    common.add_argument("--context", help="a context of the kubeconfig, or engine for the one on this machine")
    return common


def _cell_parser(command: str, common: argparse.ArgumentParser) -> _Parser:
    parser = _Parser(prog=f"%%cpod {command}", parents=[common], allow_abbrev=False)
    if command == "apply":
        parser.set_defaults(name=None)
    else:
        parser.add_argument("name", metavar="NAME", nargs=None if command == "chat" else "?")
    parser.add_argument("-o", "--output", metavar="VAR", help="the variable that gets the handle (chat: the answer)")
    if command == "chat":
        parser.add_argument("--system", help="the system message")
        parser.add_argument("--temperature", type=float, help="0 for always the likeliest word")
        parser.add_argument("--max-tokens", type=int, help="the longest answer")
        return parser
    parser.add_argument("--dry-run", action="store_true", help="check and show what would be submitted")
    parser.add_argument("--detach", action="store_true", help="don't wait for it")
    parser.add_argument("--new", action="store_true", help="delete what has this name, with its result, and run again")
    parser.add_argument("--timeout", type=float, metavar="S", help="seconds to follow at most; it goes on after them")
    return parser


def _line_parser(command: str, common: argparse.ArgumentParser) -> _Parser:
    parser = _Parser(prog=f"%cpod {command}".strip(), parents=[common], allow_abbrev=False)
    if command in ("status", "follow", "logs", "events", "yaml", "cancel", "resume"):
        wanted = "?" if command == "status" else None
        parser.add_argument("name", metavar="NAME", nargs=wanted, help="its name, or KIND/NAME")
    if command == "delete":
        parser.add_argument("name", metavar="[KIND] NAME", nargs="+", help="names, KIND/NAME, or a kind and names")
    if command == "ls":
        parser.add_argument("kind", metavar="KIND", nargs="?", help=", ".join(WORDS))
    if command == "up":
        parser.add_argument("--port", type=int, help="a port of 127.0.0.1; a free one when left out")
    if command == "follow":
        parser.add_argument("--timeout", type=float, metavar="S", help="seconds to follow at most")
    if command == "logs":
        parser.add_argument("-f", "--follow", action="store_true", help="go on until it ends")
        parser.add_argument("--tail", type=int, metavar="N", help="only the last lines")
        parser.add_argument("--grep", metavar="TEXT", help="only lines with this text")
        parser.add_argument("--pod", metavar="POD", default="", help="of this pod: master-0, worker-1, or its name")
    if command == "accuracy":
        parser.add_argument("name", metavar="NAME", nargs="+", help="deployments")
        parser.add_argument("--rows", metavar="FILE", required=True, help="JSONL: messages (the question) and answer")
        parser.add_argument("--max-tokens", type=int, default=64, help="the longest answer")
        parser.add_argument("-o", "--output", metavar="VAR", help="the variable that gets the comparison")
    if command == "help":
        parser.add_argument("topic", metavar="COMMAND", nargs="?")
    return parser


LINES = (
    "", "up", "down", "ls", "models", "datasets", "status", "follow", "logs", "events", "yaml", "cancel", "resume",
    "delete", "accuracy", "doctor", "help",
)  # fmt: skip
_COMMON = _common()
_PARSERS = {
    **{command: _line_parser(command, _COMMON) for command in LINES},
    **{command: _cell_parser(command, _COMMON) for command in CELLS},
}


def parse(line: str, *, cell: bool) -> argparse.Namespace:
    """The command and its options. Raises MagicUsage, HelpWanted."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise MagicUsage(f"the magic line cannot be read: {error}") from error
    command = "" if not words or words[0].startswith("-") else words.pop(0)
    if command not in _PARSERS:
        hint = nearest(command, CELLS if cell else LINES) or f"; there are {', '.join(CELLS if cell else LINES[1:])}"
        raise MagicUsage(f'unknown command "{command}"{hint}')
    options = _PARSERS[command].parse_args(words)
    if command in CELLS and not cell:
        raise MagicUsage(f"{command} needs a body: %%cpod {line.strip()} as the first line of a cell")
    if cell and command not in CELLS:
        raise MagicUsage(f"{command or 'this'} takes no body: write %cpod {line.strip()}".strip())
    options.command = command
    return options


def help_of(topic: str | None) -> str:
    """The help of everything, or of one command."""
    if not topic:
        return HELP
    if topic not in _PARSERS:
        raise MagicUsage(f'unknown command "{topic}"{nearest(topic, _PARSERS)}')
    return _PARSERS[topic].format_help().strip()
