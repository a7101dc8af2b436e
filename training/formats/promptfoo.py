"""Test cases of promptfoo ("Test case configuration", 0.121), one a line.

A prompt of `{{input}}` asks each case. promptfoo takes variables and expected values for templates
of Nunjucks, reads files that they name and runs packages; a list would become many cases. So what
could act is written as a template of itself, and what is no string is JSON text.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from training.formats import jsonl
from training.formats.base import About, Row, notes_of

# The first character of a tag, the end of a comment, a name of a file or package at the start; and
# the last line end, which promptfoo takes off. A brace before that would run into the tag that
# stands for it.
_ACTING = re.compile(r"\{(?=[{%#]|\n\Z)|#(?=\})|\Af(?=ile:)|\Ap(?=ackage:)|\n\Z")


def write(rows: Iterable[Row], about: About) -> Iterator[bytes]:
    return jsonl.lines(map(_case, rows))


def _case(row: Row) -> Row:
    return {
        "description": row["case"] or "example",
        "vars": {"input": _inert(row["input"])},
        "assert": [{"type": "equals", "value": _inert(row["output"])}],
        "metadata": notes_of(row),
    }


def _inert(value: Any) -> str:
    """Return text that renders to the value, and of which nothing else acts."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return _ACTING.sub(lambda found: "{{" + repr(found.group()) + "}}", text)
