"""Answers kept while a comparison is on its way, so that calling again asks only what was not answered."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from cpod_jupyter import local


class Answers:
    """The answers of one model to questions, in a file under the home folder; gone once `finished`."""

    def __init__(self, identity: Any) -> None:
        self._path: Path = local.home() / "answers" / f"{_digest(identity)}.jsonl"
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        with suppress(OSError):  # none kept
            for line in self._path.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError, KeyError, TypeError):  # cut off when the kernel died
                    record = json.loads(line)
                    self._known[record["question"]] = str(record["answer"])

    def get(self, messages: Any) -> str | None:
        return self._known.get(_digest(messages))

    def keep(self, messages: Any, answer: str) -> None:
        """A home that cannot be written costs resumption, not the comparison."""
        line = json.dumps({"question": _digest(messages), "answer": answer}) + "\n"
        with self._lock, suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)

    def finished(self) -> None:
        """All was answered: the next comparison asks anew."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
