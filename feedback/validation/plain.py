"""Read a text as its reader would see it: no escapes, no invisible or look-alike characters."""

import html
import re
import unicodedata
from urllib.parse import unquote

_ESCAPE = re.compile(r"\\(?:x|u00)([0-9a-fA-F]{2})")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")


def unmask(text: str) -> str:
    """Resolve HTML, URL and JavaScript escapes, compatibility forms and hidden characters."""
    if "&" in text:
        text = html.unescape(text)
    if "%" in text:
        text = unquote(text)
    if "\\" in text:
        text = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)
    if not text.isascii():
        text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return text


def lexicon(words: str) -> frozenset[str]:
    """Return the words of a list that is written as prose."""
    return frozenset(words.split())
