"""Helpers of the runtime's tests: a command that runs or has ended, and conversations."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cpod_jupyter.api.records import parse_record
from cpod_jupyter.api.rows import Message


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str
    message: str
    """The termination message."""

    def records(self, kind: str) -> list[dict[str, Any]]:
        """The records of type `kind`, in order."""
        found = (parse_record(line) for line in self.out.splitlines())
        return [record for record in found if record and record["type"] == kind]

    def result(self) -> dict[str, Any]:
        """The termination message of a success."""
        assert self.code == 0, self.err
        result = json.loads(self.message)
        assert isinstance(result, dict)
        return result


@dataclass(frozen=True)
class Started:
    """A command that is running."""

    process: subprocess.Popen[str]
    message_file: Path

    def wait(self, timeout: float = 120) -> Ended:
        """Its end."""
        out, err = self.process.communicate(timeout=timeout)
        message = self.message_file.read_text("utf-8") if self.message_file.exists() else ""
        return Ended(self.process.returncode, out, err, message)


Start = Callable[..., Started]
Run = Callable[..., Ended]


def conversation(*pairs: tuple[str, str]) -> list[Message]:
    """Questions and answers as messages."""
    turns: list[Message] = []
    for question, answer in pairs:
        turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return turns


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    """JSON Lines."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def ready(started: Started) -> str:
    """The base URL of a server, once it says that it answers."""
    assert started.process.stdout is not None
    for line in started.process.stdout:
        if found := re.search(r"answers on (http://\S+)", line):
            return found[1]
    raise AssertionError(started.wait().err)
