"""CSV by RFC 4180, in UTF-8, that a spreadsheet opens without running what people wrote.

What looks like a formula (OWASP, "CSV Injection") gets one apostrophe before it, and so does what
already begins with apostrophes and then looks like one: a reader that takes one off from each cell
that FORMULA matches and that begins with one has the content back as it was.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

from training.formats.base import CONTENT, About, Row
from training.formats.flat import columns_of, flat_groups

FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def write(rows: Iterable[Row], about: About) -> Iterator[bytes]:
    """Yield the file; booleans are `true` and `false`, and null is empty."""
    names = columns_of(about.purpose)
    text = io.StringIO(newline="")
    # All words are quoted: another separator than ours would make cells of their parts.
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(names)
    for group in flat_groups(rows):
        writer.writerows([_cell(name, row[name]) for name in names] for row in group)
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if name in CONTENT and value is not None and FORMULA.match(value):
        return f"'{value}"
    return value
