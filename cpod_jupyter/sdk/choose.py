"""Work somewhere from now on, for the command line: the choice is written into the project's `cpod.toml`."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk import config

_CHOICE = re.compile(r"""\s*["']?(context|namespace)["']?\s*=""")
_HEADER = re.compile(r"\s*\[")


def choose(context: str, namespace: str) -> Path:
    """Write a context and a namespace, empty for its own, into the file that counts here, or a new one in this folder.

    Raises CpodError when the file has a fault or cannot be written.
    """
    path = config.find() or Path.cwd() / config.FILE
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        after = with_choice(before, context, namespace)
        config.parse(after, path)
        draft = tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".cpod-", delete=False, encoding="utf-8")  # noqa: SIM115
        with draft:
            draft.write(after)
        Path(draft.name).chmod(0o644)
        os.replace(draft.name, path)
    except (OSError, UnicodeDecodeError) as error:
        raise CpodError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error
    return path


def with_choice(text: str, context: str, namespace: str) -> str:
    """A file's text with that choice; everything else in it stays as it is. Pure."""
    lines = text.splitlines(keepends=True)
    end = next((number for number, line in enumerate(lines) if _HEADER.match(line)), len(lines))
    kept = [line for number, line in enumerate(lines) if number >= end or not _CHOICE.match(line)]
    chosen = [f"context = {json.dumps(context)}\n"] if context else []
    chosen += [f"namespace = {json.dumps(namespace)}\n"] if namespace else []
    return "".join([*chosen, *kept])
