"""Scorers: from the model's answer and the right one to a number."""

from __future__ import annotations

import re
from collections.abc import Callable

from cpod_jupyter.api.schema import nearest
from cpod_jupyter.errors import CpodError

Scorer = Callable[[str, str], float]
"""From the model's answer and the right one to a score, usually between 0 and 1; higher is better."""


def contains(given: str, right: str) -> float:
    """1 when the right answer stands in the given one as words of its own, whatever the case."""
    pattern = r"(?<!\w)" + re.escape(_plain(right)) + r"(?!\w)"
    return float(re.search(pattern, _plain(given)) is not None)


def exact(given: str, right: str) -> float:
    """1 when the answers are the same but for case, spaces and a final stop."""
    return float(_plain(given) == _plain(right))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .!")


NAMED: dict[str, Scorer] = {"contains": contains, "exact": exact}


def scorer_of(wanted: str | Scorer) -> Scorer:
    """A scorer by its name, or as it is. Raises CpodError with the names there are."""
    if callable(wanted):
        return wanted
    if wanted not in NAMED:
        hint = nearest(wanted, list(NAMED)) or f"; there are {', '.join(NAMED)}"
        raise CpodError(f'there is no scorer "{wanted}"{hint}, or give a function of the answer and the right one')
    return NAMED[wanted]
