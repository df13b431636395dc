"""Fixtures of the runtime's tests: the command line as a process, and a model that trains in seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime_commands import Run, Start, Started
from tiny_model import chat_rows, tiny_model

from cpod_jupyter.api.records import TERMINATION_LOG_ENV

__all__ = ["tiny_model"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `python -m cpod_jupyter.runtime` with arguments, and environment variables by keyword."""
    started: list[Started] = []

    def start_command(*arguments: object, **environment: str) -> Started:
        message_file = tmp_path / f"termination-{len(started)}"
        command = [sys.executable, "-m", "cpod_jupyter.runtime", *map(str, arguments)]
        environment = {TERMINATION_LOG_ENV: str(message_file), **environment}
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(Started(process, message_file))
        return started[-1]

    yield start_command
    for command in started:
        if command.process.poll() is None:
            command.process.kill()
        command.process.communicate()


@pytest.fixture
def run(start: Start) -> Run:
    """Run a command to its end."""
    return lambda *arguments, **environment: start(*arguments, **environment).wait()


@pytest.fixture
def chat_data(tmp_path: Path) -> Path:
    """A directory with eight conversations in one file, one of them of two questions."""
    return chat_rows(tmp_path / "data")
