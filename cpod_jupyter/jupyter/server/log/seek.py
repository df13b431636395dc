"""Looks for a text or a regular expression in a spooled log; a program of its own, which can be stopped.

An expression may take for ever (`(a+)+$`), and Python's `re` lets no other thread run meanwhile: in Jupyter's own
process it would stop everything. Standard library only, and nothing of ours, so that it starts in a few milliseconds:

    python -I -S seek.py '{"text": "loss", "regex": false, "case": false, "text_fd": 5, "index_fd": 6, …}'

writes the rows of the lines in which it is found, eight bytes each in the machine's order, to standard output.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from array import array
from typing import Any

MOST_SPANS = 100
"""Places that are marked in a line."""
_LINES = 4096
"""Lines that are read at a time."""
_ENTRY = 8
_PLACE_BITS = 16
_PLACE = 2**_PLACE_BITS - 1
_ALL = -1


def pattern_of(text: str, regex: bool, case: bool) -> re.Pattern[str]:
    """What is looked for. Raises re.error."""
    return re.compile(text if regex else re.escape(text), 0 if case else re.IGNORECASE)


def spans(pattern: re.Pattern[str], line: str) -> list[tuple[int, int]]:
    """From where to where it stands in a line; where it matches nothing at all there is nothing to show."""
    found = (match.span() for match in pattern.finditer(line))
    return list(itertools.islice((span for span in found if span[0] < span[1]), MOST_SPANS))


def rows_with(request: dict[str, Any]) -> array[int]:
    """The rows of a place (all lines for -1) in the lines from `line` to before `end`, the first of them being `row`.

    At most `most` of them.
    """
    pattern = pattern_of(request["text"], request["regex"], request["case"])
    found, row = array("Q"), request["row"]
    for start in range(request["line"], request["end"], _LINES):
        count = min(_LINES, request["end"] - start)
        entries = array("Q", os.pread(request["index_fd"], (count + 1) * _ENTRY, start * _ENTRY))
        begin = entries[0] >> _PLACE_BITS
        stop = entries[count] >> _PLACE_BITS if len(entries) > count else os.fstat(request["text_fd"]).st_size
        block = os.pread(request["text_fd"], stop - begin, begin).decode("utf-8", "replace")
        wanted = [request["place"] in (_ALL, entry & _PLACE) for entry in entries[:count]]
        if not request["regex"] and pattern.search(block) is None:
            row += sum(wanted)
            continue
        for line in itertools.compress(block.split("\n"), wanted):
            if spans(pattern, line):
                found.append(row)
                if len(found) >= request["most"]:
                    return found
            row += 1
    return found


if __name__ == "__main__":
    sys.stdout.buffer.write(rows_with(json.loads(sys.argv[1])).tobytes())
