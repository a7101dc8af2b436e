"""The feedback that the benchmarks send, made by number: the same number is always the same body.

Inference n of the pool was filled in beforehand (see world.py); no act repeats another, and all
who correct one inference say the same, so that none is refused or flagged for that.
"""

import csv
import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

LABELS = ("negative", "neutral", "positive")
POOL = 100_000  # inferences known before
USERS = 20_000  # people known before: user-0 ...
BATCH = 1_000
SAMPLE = Path(__file__).parents[2] / "config" / "sample" / "reviews.tsv"


def read_sentences() -> list[bytes]:
    """Return English sentences, written as the inside of a JSON string."""
    with SAMPLE.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [json.dumps(row["Review"])[1:-1].encode() for row in rows]


SENTENCES = read_sentences()


def inference_id(n: int) -> bytes:
    return b"00000000-0000-4000-8000-%012x" % n


def correction(k: int, pool: int) -> bytes:
    """Correct the label of a known inference: about 250 bytes."""
    label = LABELS[(scattered(k, pool) + 1) % len(LABELS)].encode()
    return b'{"signal":"correction","corrected":"%b",%b}' % (label, known(k, pool))


def approval(k: int, pool: int) -> bytes:
    return b'{"signal":"up",%b}' % known(k, pool)


def known(k: int, pool: int) -> bytes:
    """Name a known inference and whose act it is: another person in each turn through the pool."""
    n, turn = scattered(k, pool), k // pool
    # One in fifty people is new.
    user = b"new-%d" % k if k % 50 == 49 else b"user-%d" % ((n + turn * 7919) % USERS)
    return (
        b'"inference_id":"%b","user_id":"%b","session_id":"session-%d",'
        b'"metadata":{"page":"/reviews/%d","locale":"en-GB","app":"3.2.1"}'
    ) % (inference_id(n), user, k // 8, n)


def scattered(k: int, pool: int) -> int:
    """Return number k's inference: each of the pool once a turn, neighbours far apart."""
    return k * 48_271 % pool


def rewriting(k: int, _pool: int) -> bytes:
    """Correct a text that Emend has not seen, e-mail address in one of eight: about 1 KB.

    One of its four texts holds a number, as of real ones a fifth to a quarter do: redaction looks
    at those more closely.
    """
    a, b, c, d, e, f, g = (
        SENTENCES[(k * m + m) % len(SENTENCES)] for m in (1, 3, 7, 11, 13, 17, 19)
    )
    contact = b" Write to anna.%d@example.com if that is unclear." % k if k % 8 == 7 else b""
    return (
        b'{"signal":"correction","task":"summary","input":"Review %d. %b %b %b %b",'
        b'"output":"In short, %b %b %b","corrected":"In short, %b %b %b",'
        b'"comment":"The last sentence was not right. %b%b","user_id":"user-%d",'
        b'"session_id":"session-%d","metadata":{"page":"/reviews/%d","locale":"en-GB",'
        b'"app":"3.2.1","screen":"1440x900","variant":"b"}}'
    ) % (
        *(k, a, b, c, d),
        *(a, b, e),
        *(a, b, f),
        *(g, contact, k % USERS, k // 8, k),
    )


def mix(start: int, pool: int) -> Iterator[bytes]:
    """Half corrections and a quarter approvals of known inferences, a quarter texts sent whole."""
    acts = (correction, correction, approval, rewriting)
    return (acts[k % 4](k, pool) for k in count(start))


def batches_by_id(start: int, pool: int) -> Iterator[bytes]:
    """Corrections of inferences that `mix` never approves of; a batch spans 2,000 numbers."""
    return (
        batch(correction(first + j // 2 * 4 + j % 2, pool) for j in range(BATCH))
        for first in count(start, 2 * BATCH)
    )


def batches_inline(start: int, pool: int) -> Iterator[bytes]:
    return (
        batch(rewriting(k, pool) for k in range(first, first + BATCH))
        for first in count(start, 2 * BATCH)
    )


def batch(items: Iterator[bytes]) -> bytes:
    return b'{"items":[%b]}' % b",".join(items)


KINDS: dict[str, Callable[[int, int], Iterator[bytes]]] = {
    "mix": mix,
    "batches_by_id": batches_by_id,
    "batches_inline": batches_inline,
}
SPAN = {"mix": 1, "batches_by_id": 2 * BATCH, "batches_inline": 2 * BATCH}  # numbers a request
