"""Count what came within a window of time; the same rules as the script of shared.py, in Python.

A window is cut into slices. What stands in the current slice and in the twelve before it counts:
never less than the window holds, so a limit is never passed, and a twelfth more at most.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

SLICES = 12
MOST_COUNTS = 100_000  # about 40 MB; what was not heard of for longest is forgotten first


class Window(NamedTuple):
    """At most `limit` in any so many seconds."""

    name: str
    seconds: float
    limit: int

    @property
    def slice_us(self) -> int:
        return math.ceil(self.seconds * 1_000_000 / SLICES)


class Charge(NamedTuple):
    """What one subject is to be counted for; a cost below zero takes a count back."""

    subject: str  # what kind it is: a key, a contributor, a session, an address
    digest: bytes
    cost: int
    windows: tuple[Window, ...]


class Reading(NamedTuple):
    """How all windows of all charges stand, one after the other, with the costs."""

    now_us: int
    wait_us: int  # until all would pass; 0: they have, and are counted
    refusing: int  # the position of the window that takes longest
    totals: list[int]


class Look(NamedTuple):
    """How one window of one subject stands."""

    name: tuple[bytes, int]
    counts: dict[int, int]  # of each slice that counts, with the cost
    total: int
    wait_us: int


class Counts:
    """The counts of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By digest and length of a slice: the count of each slice that has one.
        self._counts: OrderedDict[tuple[bytes, int], dict[int, int]] = OrderedDict()

    def take(self, charges: Sequence[Charge], now_us: int) -> Reading:
        """Count all charges, or none where one would pass a limit."""
        with self._lock:
            looks = [
                self._look(charge, window, now_us)
                for charge in charges
                for window in charge.windows
            ]
            waits = [look.wait_us for look in looks]
            if not any(waits):
                self._keep(looks)
        return Reading(now_us, max(waits), waits.index(max(waits)), [look.total for look in looks])

    def _look(self, charge: Charge, window: Window, now_us: int) -> Look:
        name, here = (charge.digest, window.slice_us), now_us // window.slice_us
        slices = range(here - SLICES, here + 1)
        counts = {n: count for n, count in self._counts.get(name, {}).items() if n in slices}
        total = charge.cost + sum(counts.values())
        excess, wait_us = total - window.limit, 0
        for n in slices if excess > 0 else ():
            # Until this slice and those before it have ended.
            wait_us = (n + SLICES + 1) * window.slice_us - now_us
            excess -= counts.get(n, 0)
            if excess <= 0:
                break
        counts[here] = counts.get(here, 0) + charge.cost
        return Look(name, counts, total, wait_us)

    def _keep(self, looks: Sequence[Look]) -> None:
        for look in looks:
            self._counts[look.name] = look.counts
            self._counts.move_to_end(look.name)
        while len(self._counts) > MOST_COUNTS:
            self._counts.popitem(last=False)
