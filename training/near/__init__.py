"""Find all rows of one side that are nearly the same as a row of the other, in any order.

Near is a relation of two rows and nothing else: the same input; or the same text once folded; or
both texts long enough, two of 32 bands and 74 of 128 bins of their signatures agreeing and an exact
Jaccard of 0.7; or pictures whose difference hashes are within 6 bits. Nothing is capped, so what is
found does not depend on the order of rows; the work is bounded: beyond it TooAlike is raised.
"""

from training.near.index import NearIndex
from training.near.question import Match, TooAlike, find
from training.near.rows import Signed, sign

__all__ = ["Match", "NearIndex", "Signed", "TooAlike", "find", "sign"]
