"""What was found in a spooled log, kept and gone on with while the log grows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from array import array
from collections import OrderedDict
from dataclasses import dataclass, field

from cpod_jupyter.errors import BadRequest, Timeout
from cpod_jupyter.jupyter.server.log import seek
from cpod_jupyter.jupyter.server.log.spool import Spool

MOST = 1_000_000
"""Lines that are found; those further on are not."""
SECONDS = 45.0
"""For so long a search may take."""
_QUERIES = 4


@dataclass(frozen=True)
class Query:
    """What is looked for, in the lines of a place ("" for all)."""

    text: str
    regex: bool = False
    case: bool = False
    place: str = ""

    def pattern(self) -> re.Pattern[str]:
        """Raises BadRequest for what is no regular expression, in words."""
        try:
            return seek.pattern_of(self.text, self.regex, self.case)
        except re.error as error:
            raise BadRequest(f"this is no regular expression: {error}") from error


@dataclass
class Found:
    """The rows in which a query was found so far."""

    rows: array[int] = field(default_factory=lambda: array("Q"))
    lines: int = 0
    """Lines of the log that were looked at."""
    seen: int = 0
    """Lines of the query's place among them."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def more(self) -> bool:
        """Whether there may be more of them further on."""
        return len(self.rows) >= MOST


class Searches:
    """What was looked for last in a log."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._found: OrderedDict[Query, Found] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, query: Query) -> Found:
        """All that is found in the log as it is now. Raises BadRequest, Timeout for an expression that takes too long,
        Expired."""
        query.pattern()
        with self._lock:
            found = self._found.setdefault(query, Found())
            self._found.move_to_end(query)
            while len(self._found) > _QUERIES:
                self._found.popitem(last=False)
        with found.lock:
            end, seen = self._spool.count(), self._spool.count(query.place)
            if found.lines < end and not found.more:
                found.rows += self._look(query, found, end)
                found.lines, found.seen = end, seen
        return found

    def _look(self, query: Query, found: Found, end: int) -> array[int]:
        places = self._spool.places
        if query.place and query.place not in places:
            return array("Q")
        text, index = self._spool.duplicates()
        request = {
            "text": query.text,
            "regex": query.regex,
            "case": query.case,
            "text_fd": text,
            "index_fd": index,
            "place": places.index(query.place) if query.place else -1,
            "line": found.lines,
            "end": end,
            "row": found.seen,
            "most": MOST - len(found.rows),
        }
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", seek.__file__, json.dumps(request)],
                pass_fds=(text, index),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                check=True,
            )
        except subprocess.TimeoutExpired as error:
            raise Timeout(
                f"the search took longer than {SECONDS:g} s: say more of the text, or make the expression simpler"
            ) from error
        finally:
            os.close(text)
            os.close(index)
        return array("Q", done.stdout)
