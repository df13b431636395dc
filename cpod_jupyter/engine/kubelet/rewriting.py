"""Mount paths in commands, arguments and environment, put in this machine's terms.

Without a container a pod has no file system of its own: `/data/model` is some directory of this
machine. A path that a program has built in, rather than been given, can't be translated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NOT_BEFORE = r"(?:(?<![\w.\-/~])|(?<=://))"
"""A path starts a word (`--dir=/data`, `a:/data`, `file:///data`); `x/data` and `host/data` are other paths."""
_NOT_AFTER = r"(?![\w.\-~+%@])"
"""`/data/model` ends at a path's boundary: `/data/models` and `/data/model-2` are other paths."""


class Rewriter:
    """Replaces mount paths by directories; the longest mount that matches wins."""

    def __init__(self, mounts: Iterable[tuple[str, str]]) -> None:
        self._outside = {inside.rstrip("/"): outside for inside, outside in mounts}
        longest_first = sorted(self._outside, key=len, reverse=True)
        alternatives = "|".join(re.escape(path) for path in longest_first)
        self._pattern = re.compile(f"{_NOT_BEFORE}({alternatives}){_NOT_AFTER}") if alternatives else None

    def __call__(self, text: str) -> str:
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self._outside[match[1]], text)
