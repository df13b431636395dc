"""Rows of data sets, judged one by one: what the trainer reads, and what a preflight foretells. Pure.

`examples` has what a row is read as: a conversation, a prompt with its completion, a text, or a preference.
`formats` has the forms in which people write such rows, and finds out which one a row has. `files` reads rows from
files, and knows which of a directory's files are to learn from and which to evaluate with.
"""

from cpod_jupyter.api.rows.examples import (
    BadRow,
    Completion,
    Conversation,
    Example,
    Message,
    Preference,
    Text,
    most_tokens,
)
from cpod_jupyter.api.rows.files import SUFFIXES, data_files, examples_of, numbered_lines, parse_line, rows_of, split_of
from cpod_jupyter.api.rows.formats import FORMATS, format_of, read_row

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "BadRow",
    "Completion",
    "Conversation",
    "Example",
    "Message",
    "Preference",
    "Text",
    "data_files",
    "examples_of",
    "format_of",
    "most_tokens",
    "numbered_lines",
    "parse_line",
    "read_row",
    "rows_of",
    "split_of",
]
