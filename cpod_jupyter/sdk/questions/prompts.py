"""From data in hand to messages: rows of a DataFrame, prompts or conversations, through a template if one is given."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cpod_jupyter.api.schema import nearest
from cpod_jupyter.errors import CpodError

if TYPE_CHECKING:
    import pandas as pd

Message = Mapping[str, Any]
Template = str | Sequence[Message]
"""A text with fields as `str.format` has them, or messages with such texts."""

_ASKED = ("messages", "prompt", "question")
"""Fields that hold what is asked, where there is no template."""
_NAMED = 5
"""Rows that an error names."""


class Prompts:
    """The conversations of a batch, made one by one while they are asked, so that they are never all in memory.

    Raises CpodError when there is none, the template cannot be read, or a row has not what the template asks for.
    """

    def __init__(self, data: Any, template: Template | None = None, system: str | None = None) -> None:
        if isinstance(data, (str, bytes, Mapping)) or not isinstance(data, Iterable):
            raise CpodError(
                f"give a DataFrame or a list of prompts, not a {type(data).__name__}; chat() asks one question"
            )
        self._frame: pd.DataFrame | None = _frame_of(data)
        self._rows: Sequence[Any] = [] if self._frame is not None else list(data)
        if len({isinstance(row, Mapping) for row in self._rows}) > 1:
            raise CpodError("give rows (dicts), or prompts and conversations, but not both")
        self._template: Template = template or ""
        self._system = system
        if not len(self):
            raise CpodError("there are no rows to ask")
        self._fields = _fields_of(template) if template else self._asked()
        self._check()

    def __len__(self) -> int:
        return len(self._rows) if self._frame is None else len(self._frame)

    def __iter__(self) -> Iterator[list[Message]]:
        for row in self._values():
            messages = self._messages(row)
            yield [{"role": "system", "content": self._system}, *messages] if self._system else messages

    def frame(self) -> pd.DataFrame:
        """What was given, as the columns that the answers stand beside."""
        import pandas as pd

        if self._frame is not None:
            return self._frame.copy()
        if isinstance(self._rows[0], Mapping):
            return pd.DataFrame(list(self._rows))
        column = "prompt" if isinstance(self._rows[0], str) else "messages"
        return pd.DataFrame({column: pd.Series(list(self._rows), dtype=None if column == "prompt" else object)})

    # ---- inner

    def _values(self) -> Iterator[Mapping[str, Any]]:
        """Of each row the fields that are asked for, one row at a time."""
        if self._frame is not None:
            columns = [self._frame[field] for field in self._fields if field in self._frame]
            names = [field for field in self._fields if field in self._frame]
            for values in zip(*columns, strict=True) if columns else ((),) * len(self):
                yield dict(zip(names, values, strict=True))
            return
        for row in self._rows:
            if isinstance(row, Mapping):
                yield row
            else:
                yield {"prompt": row} if isinstance(row, str) else {"messages": row}

    def _messages(self, row: Mapping[str, Any]) -> list[Message]:
        if not self._template:
            for field in _ASKED:
                value: Any = row.get(field)
                if _there(value):
                    return [{"role": "user", "content": value}] if isinstance(value, str) else list(value)
            return []
        if isinstance(self._template, str):
            return [{"role": "user", "content": self._template.format_map(row)}]
        return [_filled(message, row) for message in self._template]

    def _asked(self) -> list[str]:
        """Without a template: the columns that hold what is asked."""
        if self._frame is None:
            return list(_ASKED)
        found = [field for field in _ASKED if field in self._frame]
        if not found:
            columns = ", ".join(map(str, self._frame.columns[:20]))
            raise CpodError(
                f"how do rows become prompts? There is no column messages, prompt or question; say it with "
                f'template="… {{{self._frame.columns[0] if len(self._frame.columns) else "column"}}} …"; '
                f"columns: {columns}"
            )
        return found

    def _check(self) -> None:
        """Before anything is asked: every row has what it takes."""
        missing: dict[str, list[int]] = {}
        for at, row in enumerate(self._values()):
            if not self._template:
                self._check_asked(at, row)
            for field in self._fields if self._template else ():
                if not _there(row.get(field)):
                    missing.setdefault(field, []).append(at)
        if missing:
            raise CpodError("\n".join(map(self._told, missing.items())) + "\nnothing was asked")
        if self._template:
            self._try()

    def _check_asked(self, at: int, row: Mapping[str, Any]) -> None:
        value = next((row[field] for field in _ASKED if _there(row.get(field))), None)
        if isinstance(value, str) and value.strip():
            return
        if value is None or isinstance(value, (str, Mapping)) or not _is_conversation(value):
            raise CpodError(f"{self._label(at)} must be a text, or a list of messages with role and content")

    def _told(self, missing: tuple[str, list[int]]) -> str:
        field, rows = missing
        if len(rows) == len(self):
            names = [str(name) for name in (self._frame.columns if self._frame is not None else next(self._values()))]
            hint = nearest(field, names)
            there = hint or f"; there are {', '.join(names)}"
            return f'the template\'s field "{field}" is in no row{there}'
        labels = ", ".join(map(self._label, rows[:_NAMED]))
        labels += f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
        return f'the template\'s field "{field}" is missing in {labels} (of {len(self)} rows)'

    def _label(self, at: int) -> str:
        label = at if self._frame is None else self._frame.index[at]
        return f"row {at + 1}" if label == at else f"row {at + 1} (index {label!r})"

    def _try(self) -> None:
        try:
            next(iter(self))
        except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
            raise CpodError(f"the template cannot be filled with {self._label(0)}: {error}") from error


def _frame_of(data: Any) -> pd.DataFrame | None:
    """A DataFrame, or a Series as one; recognised without importing pandas."""
    if hasattr(data, "iloc") and hasattr(data, "to_frame"):
        return data.to_frame("prompt")  # type: ignore[no-any-return]
    return data if hasattr(data, "iloc") and hasattr(data, "columns") else None


def _fields_of(template: Template) -> list[str]:
    """The names of its fields. Raises CpodError for one that cannot be read, or has none."""
    texts = [template] if isinstance(template, str) else [text for each in template for text in _texts(each)]
    found: dict[str, None] = {}
    for text in texts:
        try:
            parsed = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
        except ValueError as error:
            raise CpodError(f"the template cannot be read: {error}; a brace that is meant as one is doubled") from error
        for name in parsed:
            field = re.split(r"[.\[]", name)[0]
            if not field or field.isdigit():
                raise CpodError(f'the template\'s "{{{name}}}" must name a field, as in "{{question}}"')
            if not field.isidentifier() and not re.fullmatch(r"[\w \-]+", field):
                raise CpodError(f'"{field}" cannot be a field of the template; a brace that is meant as one is doubled')
            found[field] = None
    if not found:
        raise CpodError('the template names no field of the rows, as in "Translate: {text}"')
    return list(found)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from _texts(each)


def _filled(value: Any, row: Mapping[str, Any]) -> Any:
    """A message with its texts filled in, also those of its parts."""
    if isinstance(value, str):
        return value.format_map(row)
    if isinstance(value, Mapping):
        return {key: _filled(each, row) for key, each in value.items()}
    return [_filled(each, row) for each in value] if isinstance(value, Sequence) else value


def _is_conversation(value: Any) -> bool:
    try:
        messages = list(value)
    except TypeError:
        return False
    return bool(messages) and all(isinstance(each, Mapping) and each.get("role") for each in messages)


def _there(value: Any) -> bool:
    """Whether a field has a value: pandas writes NaN or NA where a row has none."""
    if value is None or (isinstance(value, float) and value != value):
        return False
    return type(value).__name__ not in ("NAType", "NaTType")
