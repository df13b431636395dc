"""Regular expressions of schemas: Go's syntax (RE2), understood by Python's `re`.

What differs is rewritten: `$` and `\\z` mean the end of the text alone, classes such as `[[:alpha:]]`
are spelt out, `\\d`, `\\w` and `\\s` are of ASCII (RE2, "Syntax"). Unicode classes (`\\p{…}`) and `\\C`
have no counterpart in `re`: a definition with them is refused.
"""

from __future__ import annotations

import functools
import re

_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ", "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_LIMIT = 4096
"""Characters of a pattern; `re` takes time that grows with it."""


@functools.lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, to be used with `search`. Raises ValueError, with why, for one that cannot be used."""
    if len(pattern) > _LIMIT:
        raise ValueError(f"a pattern may have {_LIMIT} characters, not {len(pattern)}")
    try:
        return re.compile(_translated(pattern), re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{error}") from error


def _translated(pattern: str) -> str:
    multiline = re.match(r"\(\?[a-zA-Z]*m", pattern) is not None
    result: list[str] = []
    position, in_class = 0, False
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            text, position = _escape(pattern, position)
            result.append(text)
            continue
        if in_class:
            posix = re.match(r"\[:(\^?)([a-z]+):\]", pattern[position : position + 12])
            if posix and posix[2] in _POSIX and not posix[1]:
                result.append(_POSIX[posix[2]])
                position += posix.end()
                continue
            if char == "[":
                char = r"\["
            elif char == "]":
                in_class = False
        elif char == "[":
            in_class = True
            opening = re.match(r"\[\^?\]?", pattern[position:])
            assert opening is not None
            result.append(opening[0].replace("]", r"\]"))
            position += opening.end()
            continue
        elif char == "$" and not multiline:
            char = r"\Z"
        result.append(char)
        position += 1
    return "".join(result)


def _escape(pattern: str, position: int) -> tuple[str, int]:
    """One escape sequence in Python's spelling, and where the next character is."""
    following = pattern[position + 1 : position + 2]
    if following in ("p", "P", "C"):
        raise ValueError(rf"\{following} is not supported by this engine")
    if following == "z":
        return r"\Z", position + 2
    if following == "Q":
        end = pattern.find(r"\E", position)
        literal = pattern[position + 2 : end if end >= 0 else len(pattern)]
        return re.escape(literal), end + 2 if end >= 0 else len(pattern)
    if following == "x" and pattern[position + 2 : position + 3] == "{":
        end = pattern.index("}", position) if "}" in pattern[position:] else len(pattern)
        return re.escape(chr(int(pattern[position + 3 : end], 16))), end + 1
    return pattern[position : position + 2], position + 2
