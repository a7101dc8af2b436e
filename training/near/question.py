"""The question of near-duplicates: which rows of one side are like any of the other."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from feedback.duplicates import DUPLICATE_BITS, DUPLICATE_JACCARD, fold, jaccard
from training.near.index import NearIndex
from training.near.rows import (
    BANDS,
    PLACE,
    PLACE_BITS,
    Array,
    Column,
    Segment,
    Signed,
    is_among,
    spread,
)

# Of 128, before the exact comparison; of pairs at Jaccard 0.7 and more it misses 3 in 10,000.
AGREEING_BINS = 74
# Pairs of distinct texts, counted once for each band that they share: more is a crowd, of which
# most is like the first that it meets, so that the rest may still be compared in minutes.
CROWD_PAIRS = 100_000_000
MOST_PAIRS = 300_000_000
LEADING_ROWS = 4  # of each bucket, which a crowd meets first
KEPT_HITS = 2**20
PAIRS_AT_ONCE = 2**18
CHECKED_PAIRS = 2**15
READ_PAIRS = 1_000
PICTURE_CELLS = 1_000_000

Read = Callable[[list[int]], dict[int, str]]
Keyed = tuple[Array, Array]  # keys (n,) and ids (n,)
Groups = dict[int, list[int]]  # ids by folded text


class TooAlike(Exception):
    """So many texts share so much that to compare them all would take too long."""


class Match(NamedTuple):
    """A row and one that it is like, by id; similarity from 0 to 1."""

    row: int
    other: int
    similarity: float
    is_same: bool  # the same input


def find(
    rows: Signed | NearIndex,
    index: Signed | NearIndex,
    *,
    settle: Literal["row", "other"],
    read_mine: Read,
    read_others: Read,
    counts: Callable[[Array], Array],
) -> Iterator[Match]:
    """Yield one match for each row, or for each id of the index, that has any.

    `read_*` give texts by id, without the ids that are gone; `counts` says which ids (n,) of the
    index count now. Raises TooAlike, after all but the texts that are nearly the same, where texts
    without a quick match make more than MOST_PAIRS.
    """
    mine = _Side(_segments(rows), read_mine, lambda ids: np.ones(len(ids), bool))
    theirs = _Side(_segments(index), read_others, counts)
    if settle == "row":
        yield from _matches(mine, theirs)
    else:
        for match in _matches(theirs, mine):
            yield match._replace(row=match.other, other=match.row)


def _segments(rows: Signed | NearIndex) -> Callable[[], Iterable[Segment]]:
    if isinstance(rows, NearIndex):
        return rows.segments
    in_memory = list(rows.segments())
    return lambda: in_memory


class _Side:
    """One side of the question: what it holds, which of it counts, and what has its match."""

    def __init__(
        self,
        segments: Callable[[], Iterable[Segment]],
        read: Read,
        counts: Callable[[Array], Array],
    ) -> None:
        self.segments = segments
        self.banded = segments  # whose bands are looked up: of all texts, or of open ones
        self._read = read
        self._counts = counts
        self.settled: set[int] = set()

    def __len__(self) -> int:
        return sum(map(len, self.segments()))

    def column(self, name: Column, *, among: Keyed | None = None) -> Keyed:
        """Return the keys of that name, all or those among others, and the ids of their rows."""
        columns = (segment.column(name) for segment in self.segments())
        return _joined(columns if among is None else (_shared(part, among) for part in columns))

    def open(self, keys: Array, ids: Array) -> Keyed:
        """Return what of it counts and has no match yet."""
        if not len(ids):
            return keys, ids
        is_open = np.array([pk not in self.settled for pk in ids.tolist()], bool)
        is_open &= self._counts(ids)
        return keys[is_open], ids[is_open]

    def groups(self, folded: Array) -> Groups:
        """Return the open ids of each of these folded texts."""
        asked = np.unique(folded)
        texts, ids = self.open(*_joined(part.ids_of(asked) for part in self.segments()))
        groups: Groups = {}
        for text, pk in zip(texts.tolist(), ids.tolist(), strict=True):
            groups.setdefault(text, []).append(pk)
        return groups

    def only_open(self) -> "_Side":
        """Return the same side, with nothing but open texts in the bands."""
        texts = [
            np.sort(np.array([*self.groups(part.folded)], np.uint64)) for part in self.segments()
        ]
        side = _Side(self.segments, self._read, self._counts)
        side.banded = lambda: map(Segment.only, self.segments(), texts)
        side.settled = self.settled
        return side

    def texts(self, groups: Groups) -> dict[int, tuple[int, str]]:
        """Read one text of each group, folded, and say of which id it is."""
        found = self._read([ids[0] for ids in groups.values()])
        gone = [ids for ids in groups.values() if ids[0] not in found]
        if gone:
            found = found | self._read([pk for ids in gone for pk in ids])
        named = {text: [pk for pk in ids if pk in found] for text, ids in groups.items()}
        return {text: (ids[0], fold(found[ids[0]])) for text, ids in named.items() if ids}


def _joined(parts: Iterable[Keyed]) -> Keyed:
    keys, ids = zip((np.empty(0, np.uint64), np.empty(0, np.int64)), *parts, strict=True)
    return np.concatenate(keys), np.concatenate(ids)


def _matches(asking: _Side, answering: _Side) -> Iterator[Match]:
    """Yield one match for each id of the asking side, as its row, the surest ways first."""
    for column in ("same", "folded", "picture"):
        yield from _equal(asking, answering, column)
    yield from _alike_pictures(asking, answering)
    yield from _alike_texts(asking, answering)


def _equal(asking: _Side, answering: _Side, column: Column) -> Iterator[Match]:
    if len(asking) < len(answering):  # the few are sorted, the many looked up
        asked = asking.column(column)
        answers = answering.column(column, among=asked)
        asked = _shared(asked, answers)
    else:
        answers = answering.column(column)
        asked = asking.column(column, among=answers)
    asked = asking.open(*asked)
    keys, ids = answering.open(*_shared(answers, asked))
    order = np.lexsort((ids, keys))
    keys, ids = keys[order], ids[order]
    low, high = (np.searchsorted(keys, asked[0], side) for side in ("left", "right"))
    is_hit = low < high
    first, last, pks = ids[low[is_hit]], ids[high[is_hit] - 1], asked[1][is_hit]
    others = np.where(first == pks, last, first)
    for pk, other in zip(pks.tolist(), others.tolist(), strict=True):
        if pk != other and pk not in asking.settled:
            asking.settled.add(pk)
            yield Match(pk, other, 1.0, column == "same")


def _shared(some: Keyed, others: Keyed) -> Keyed:
    keys, ids = some
    is_shared = is_among(keys, np.sort(others[0]))
    return keys[is_shared], ids[is_shared]


def _alike_texts(asking: _Side, answering: _Side) -> Iterator[Match]:
    found: list[Match] = []
    pairs, known = _counted(asking, answering)
    if pairs > CROWD_PAIRS:
        found += _compared(asking, answering, most=LEADING_ROWS)
        asking, answering = asking.only_open(), answering.only_open()
        pairs, known = _counted(asking, answering)
        if pairs > MOST_PAIRS:
            raise TooAlike(f"Over {MOST_PAIRS:,} pairs of texts share a band.")
    yield from found
    yield from _compared(asking, answering, known=known)


def _counted(asking: _Side, answering: _Side) -> tuple[int, list[Array]]:
    """Count the pairs of distinct texts once for each band that they share.

    Returns the hits of the first lookups too, so that few need not be found again.
    """
    pairs, kept, number = 0, [], 0
    for _, _, _, hits in _lookups(asking, answering):
        pairs += int(hits[2].sum())
        number += hits.shape[1]
        if number <= KEPT_HITS:
            kept.append(hits)
    return pairs, kept


def _compared(
    asking: _Side, answering: _Side, *, most: int | None = None, known: Iterable[Array] = ()
) -> Iterator[Match]:
    """Judge each text by the answers in its buckets, or by so many of each bucket."""
    lookups = _lookups(asking, answering, may_turn=most is None, known=known)
    for few, many, is_turned, hits in lookups:
        if most is not None:
            hits[2] = np.minimum(hits[2], most)
        for batch in _batches(hits):
            for texts, others, agreed in _likely(few, many, batch):
                sides = (others, texts) if is_turned else (texts, others)
                yield from _judged(asking, answering, *sides, agreed)


def _lookups(
    asking: _Side, answering: _Side, *, may_turn: bool = True, known: Iterable[Array] = ()
) -> Iterator[tuple[Segment, Segment, bool, Array]]:
    """Look up segments in segments, best the few in the many; say if that turns the sides.

    `known` are the hits of the first lookups.
    """
    found = iter(known)
    for mine in asking.banded():
        for theirs in answering.banded():
            is_turned = may_turn and len(mine) > len(theirs)
            few, many = (theirs, mine) if is_turned else (mine, theirs)
            hits = next(found, None)
            yield few, many, is_turned, _hits(few, many) if hits is None else hits


def _hits(few: Segment, many: Segment) -> Array:
    """Return (3, hits): a place in `few`, the first key of `many` with its bins, how many there."""
    hits = [np.empty((3, 0), np.int64)]
    width = many.bands.shape[1]
    for band in range(BANDS if width else 0):
        mine, theirs = few.bands[band], many.bands[band]
        low = np.searchsorted(theirs, mine & ~PLACE)
        is_hit = theirs[np.minimum(low, width - 1)] ^ mine <= PLACE
        mine, low = mine[is_hit], low[is_hit]
        high = np.searchsorted(theirs, mine | PLACE, "right")
        hits.append(np.stack([(mine & PLACE).astype(np.int64), band * width + low, high - low]))
    return np.concatenate(hits, axis=1)


def _batches(hits: Array) -> list[Array]:
    """Cut between places, so that each batch has few pairs and all that a place shares."""
    hits = hits[:, np.argsort(hits[0], kind="stable")]
    starts = np.flatnonzero(np.diff(hits[0], prepend=-1))
    batch = np.cumsum(np.add.reduceat(hits[2], starts)) // PAIRS_AT_ONCE
    return np.split(hits, starts[1:][np.diff(batch) != 0], axis=1)


def _likely(few: Segment, many: Segment, hits: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Yield the folded texts of pairs that agree in two bands and enough bins, and in how many."""
    places, low, counts = hits
    others = many.bands.reshape(-1)[spread(low, counts)] & PLACE
    codes = np.repeat(places.astype(np.uint64) << PLACE_BITS, counts) | others
    codes.sort()
    pairs = codes[1:][codes[1:] == codes[:-1]]  # of a second band, or a further one
    pairs = pairs[np.diff(pairs, prepend=~pairs[:1]) != 0]
    for start in range(0, len(pairs), CHECKED_PAIRS):
        part = pairs[start : start + CHECKED_PAIRS]
        mine, theirs = part >> PLACE_BITS, part & PLACE
        bins = few.signatures[mine].view(np.uint16) == many.signatures[theirs].view(np.uint16)
        agreed = bins.sum(axis=1)
        texts, other_texts = few.folded[mine], many.folded[theirs]
        is_likely = (agreed >= AGREEING_BINS) & (texts != other_texts)
        yield texts[is_likely], other_texts[is_likely], agreed[is_likely]


def _judged(
    asking: _Side, answering: _Side, asked: Array, answers: Array, agreed: Array
) -> Iterator[Match]:
    """Compare exactly, each text with its likeliest first, until it has a match."""
    if not len(asked):
        return
    waiting, known = asking.groups(asked), answering.groups(answers)
    order = _likeliest_first(asked, agreed)
    pairs = [
        (text, other)
        for text, other in zip(asked[order].tolist(), answers[order].tolist(), strict=True)
        if text in waiting and other in known
    ]
    for start in range(0, len(pairs), READ_PAIRS):
        part = [pair for pair in pairs[start : start + READ_PAIRS] if pair[0] in waiting]
        mine = asking.texts({text: waiting[text] for text, _ in part})
        theirs = answering.texts({other: known[other] for _, other in part})
        for text, other in part:
            if text not in waiting or text not in mine or other not in theirs:
                continue
            similarity = jaccard(mine[text][1], theirs[other][1])
            if similarity < DUPLICATE_JACCARD:
                continue
            for pk in set(waiting.pop(text)):
                asking.settled.add(pk)
                yield Match(pk, theirs[other][0], similarity, is_same=False)


def _likeliest_first(asked: Array, agreed: Array) -> Array:
    """Order pairs: first the likeliest of each text, then the second of each, and so on."""
    order = np.lexsort((-agreed, asked))
    places = np.arange(len(order))
    is_start = np.diff(asked[order], prepend=~asked[order[:1]]) != 0
    rank = places - np.maximum.accumulate(np.where(is_start, places, 0))
    return order[np.argsort(rank, kind="stable")]


def _alike_pictures(asking: _Side, answering: _Side) -> Iterator[Match]:
    keys, ids = asking.open(*asking.column("picture"))
    others, other_ids = answering.open(*answering.column("picture"))
    others, first = np.unique(others, return_index=True)
    step = max(1, PICTURE_CELLS // max(1, len(others)))
    for start in range(0, len(keys) if len(others) else 0, step):
        bits = np.bitwise_count(keys[start : start + step, None] ^ others)
        bits[bits == 0] = 64  # the row itself: another with the same hash was found before
        nearest = bits.argmin(axis=1)
        for row in np.flatnonzero(bits.min(axis=1) <= DUPLICATE_BITS).tolist():
            pk, similarity = int(ids[start + row]), 1 - int(bits[row, nearest[row]]) / 64
            if pk not in asking.settled:
                asking.settled.add(pk)
                yield Match(pk, int(other_ids[first[nearest[row]]]), similarity, is_same=False)
