"""Find what is no language: one key held down, keys mashed, encoded blobs.

Only letters between A and Z are held to what languages do; other scripts pass for language.
"""

import re
import string
from collections.abc import Sequence
from itertools import pairwise

MIN_RUN = 12  # of one letter alone: screams and snores are shorter
MIN_BLOB = 40
DIGESTS = {40, 48, 56, 64, 96, 128}  # hexadecimal digits of a hash, which people do correct
MIN_BITS = 1
MAX_JUDGED = 200
LAYOUTS = {"qwerty", "qwertz", "azerty"}

_SIGNS = [" " if chr(code).isspace() else chr(code).lower() for code in range(256)]
_WORDS = bytes(b" x"[sign != " "] for sign in _SIGNS)
_KINDS = bytes(b"-cv"[(sign in "bcdfghjklmnpqrstvwxz") + 2 * (sign in "aeiouy")] for sign in _SIGNS)
_HINTS = ("asd", "sdf", "qwe", "jkl", "lkj", "zxc", "фыв", "йцу", "олд")
_BLOB = re.compile(rf"[A-Za-z0-9+/_-]{{{MIN_BLOB},}}={{0,2}}")
_TURN = re.compile(r"(?<=[a-z])[A-Z0-9]|(?<=[A-Z])[a-z0-9]|(?<=[0-9])[A-Za-z]")
_REPEATED = re.compile(r"(..?)\1+")


def _stretches(rows: str, shortest: int) -> set[str]:
    return {
        row[start:end]
        for keys in rows.split()
        for row in (keys, keys[::-1])
        for start in range(len(row))
        for end in range(start + shortest, len(row) + 1)
    }


# Shorter stretches of the upper row are words (power, point, Wert), and so is the middle of Afghan.
_KEYS = re.compile(
    "|".join(
        sorted(
            _stretches("qwertyuiop qwertzuiop azertyuiop йцукенгшщз фывапролджэ ячсмитьбю", 4)
            | _stretches("asdfghjkl qsdfghjklm zxcvbnm yxcvbnm wxcvbn qwe", 3) - {"fgh"},
            key=lambda keys: (-len(keys), keys),
        )
    )
)

# How many bits letter b (column) after letter a (row) says for chance and against language, plus 4:
# log2 of even odds over the share of the pair in one of the languages most fond of it, counted
# over the words of open-source programs in 56 languages.
_TABLE = """
    12002322011110324010112422 25561651156274279346274747 16362690132355159242289929
    15621652154453049334353633 02111313131110334001233222 26552363277363269443397949
    16441632223353259333252729 07741787244354279352254959 12110323211110123101323322
    17960986386664279834379997 05461564142354047322043926 14530544124132149533153726
    12550652145334229635267757 04211303013431147510245513 32212323121110125112113553
    16451653265365126033376758 39997979599699869997297999 04320434033333147322244622
    15151432121343236520244732 05340551053343149122144623 22432334221121237112244543
    16681798255373269456469935 18662766297774399446599727 36653674497967549673599369
    25342446234422239333444776 14651954184444359643345954
"""
_BITS = {
    a + b: int(bits) - 4
    for a, row in zip(string.ascii_lowercase, _TABLE.split(), strict=True)
    for b, bits in zip(string.ascii_lowercase, row, strict=True)
}


def share(text: str, given: Sequence[str]) -> float:
    """Return which share of the characters a person brought is no language, from 0 to 1.

    Words that stand in `given`, the input and the output, were there before.
    """
    if not _is_suspect(text):
        return 0.0
    known = {word for other in given for word in other.split()}
    own = [word for word in text.split() if word not in known]
    wrong = sum(len(word) for word in own if is_mashed(word))
    return wrong / sum(map(len, own)) if wrong else 0.0


def _is_suspect(text: str) -> bool:
    """Look for what no mashed word lacks and few texts have; cheap."""
    signs = text.encode("ascii", "replace")
    kinds = signs.translate(_KINDS)
    return (
        b"c" * 5 in kinds
        or b"v" * MIN_RUN in kinds
        or b"x" * MIN_BLOB in signs.translate(_WORDS)
        or any(map(text.lower().__contains__, _HINTS))
    )


def is_mashed(word: str) -> bool:
    """Say whether a word is one key held down, keys side by side, a chance row, or a blob."""
    if len(word) >= MIN_BLOB and _is_blob(word):
        return True
    word = word.strip(string.punctuation)
    folded = word[:MAX_JUDGED].lower()
    if not word.isalpha() or not _is_suspect(word) or folded in LAYOUTS:
        return False
    if len(word) >= MIN_RUN and len(set(folded)) == 1:
        return True
    if len(word) >= 4 and sum(map(len, _KEYS.findall(folded))) >= 0.8 * len(folded):
        return True
    if not word.isascii() or (word.isupper() and len(word) < 10):  # acronyms
        return False
    folded = _REPEATED.sub(r"\1", folded)  # sounds and laughter
    bits = sum(_BITS[a + b] for a, b in pairwise(folded))
    return len(folded) >= 6 and bits >= MIN_BITS


def _is_blob(word: str) -> bool:
    found = None if "://" in word else _BLOB.search(word)
    if found is None or 2 * len(found[0]) < len(word):
        return False
    signs = found[0]
    if all(sign in string.hexdigits for sign in signs):
        return len(signs) not in DIGESTS
    # Paths and identifiers turn from one kind of character to another far less often.
    return len(_TURN.findall(signs)) >= 0.35 * len(signs)
