"""Answers kept on disk while a batch is on its way, so that calling again asks only what was not answered.

One SQLite file in a folder that the caller names, for its user alone. A batch that was answered whole is forgotten;
what is left of others goes after a month, and when the file is over 1 GB, the oldest first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cpod_jupyter.errors import CpodError

FILE = "answers.db"
_DAYS = 30
_MOST_BYTES = 10**9
_AT_ONCE = 500
_TABLES = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, at REAL NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_by_age ON answers (at);
"""


@dataclass(frozen=True)
class Answer:
    """What a model answered to one question. `error` says why there is none; `seconds` is from sending to the end."""

    answer: str = ""
    finish_reason: str = ""
    error: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None


class Kept:
    """The answers on disk. For one thread. Raises CpodError when the folder cannot be written."""

    def __init__(self, folder: Path, *, most_bytes: int = _MOST_BYTES, days: float = _DAYS) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(folder / FILE, isolation_level=None, timeout=30)
            self._db.executescript(_TABLES)
            self._prune(most_bytes, time.time() - days * 86_400)
        except (OSError, sqlite3.Error) as error:
            raise CpodError(f"answers cannot be kept in {folder}: {error}; set CPOD_HOME to another folder") from error

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def age(self, key: bytes) -> float | None:
        """Seconds since the answer was kept; None where there is none."""
        found = self._db.execute("SELECT at FROM answers WHERE key = ?", (key,)).fetchone()
        return time.time() - found[0] if found else None

    def keep(self, key: bytes, answer: Answer) -> None:
        """Write one down at once. Raises CpodError when the disk takes it not."""
        body = json.dumps(asdict(answer), ensure_ascii=False)
        try:
            self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (key, time.time(), body))
        except sqlite3.Error as error:
            raise CpodError(f"an answer cannot be kept: {error}") from error

    def read(self, keys: Iterable[bytes]) -> Iterator[Answer | None]:
        """The answers, one after the other."""
        for key in keys:
            found = self._db.execute("SELECT body FROM answers WHERE key = ?", (key,)).fetchone()
            yield Answer(**json.loads(found[0])) if found else None

    def forget(self, keys: Sequence[bytes]) -> None:
        """Of a batch that was answered whole, or is to be asked anew."""
        with contextlib.suppress(sqlite3.Error):  # another process writes: they go by their age
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("DELETE FROM answers WHERE key = ?", ((key,) for key in keys))
            self._db.execute("COMMIT")
            self._db.executescript("PRAGMA incremental_vacuum")  # a step a page: execute would free one

    def _prune(self, most_bytes: int, oldest: float) -> None:
        self._db.execute("DELETE FROM answers WHERE at < ?", (oldest,))
        while self._bytes() > most_bytes:
            gone = self._db.execute(
                "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY at LIMIT ?)", (_AT_ONCE,)
            )
            if not gone.rowcount:
                break
        self._db.executescript("PRAGMA incremental_vacuum")  # a step a page: execute would free one

    def _bytes(self) -> int:
        size, pages, free = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
        )
        return int(size * (pages - free))


class Keys:
    """The keys of a batch's rows: of the model, its parameters, and the messages. The same row twice has two, so that
    it is asked twice."""

    def __init__(self, identity: Any) -> None:
        self._prefix = _digest(identity)
        self._seen: Counter[bytes] = Counter()

    def of(self, messages: Any) -> bytes:
        """The key of the next row."""
        content = _digest([self._prefix.hex(), messages])
        self._seen[content] += 1
        return content if self._seen[content] == 1 else _digest([content.hex(), self._seen[content]])


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).digest()
