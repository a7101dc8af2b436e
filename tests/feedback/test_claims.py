"""Who gets which item when moderators ask in the same moment."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from feedback import claims, review
from feedback.models import Feedback, ReviewClaim
from tests.product import Product

MODERATORS = ["kim", "lee", "mia", "ann"]


@pytest.fixture
def queue():
    """Return the rows of a queue, more than there are moderators."""
    shop = Product("shop")
    shop.task()
    for n in range(6):
        shop.correct(f"user-{n}", f"soup {n}", signal="down", corrected=None)
    return Feedback.objects.flagged().order_by("number")


def take(queue, by):
    return claims.take_next(claims.FEEDBACK, queue, by=by)


@pytest.mark.django_db(transaction=True)
def test_it_works(queue):
    """Four ask at once, ten times: nobody gets what another one gets."""
    together = Barrier(len(MODERATORS), timeout=30)

    def takes(by):
        taken = []
        try:
            for _ in range(10):
                claims.release(claims.FEEDBACK, by=by)
                together.wait()
                taken.append(take(queue, by).pk)
                together.wait()
        finally:
            connection.close()
        return taken

    with ThreadPoolExecutor(len(MODERATORS)) as pool:
        taken = list(pool.map(takes, MODERATORS))
    assert [len(set(items)) for items in zip(*taken, strict=True)] == [len(MODERATORS)] * 10
    assert ReviewClaim.objects.count() == len(MODERATORS)


@pytest.mark.django_db
def test_what_is_decided_in_the_same_moment_is_passed_over(queue, monkeypatch):
    first, second = queue[:2]
    claim = claims.take

    def take_after_lee_decided(kind, item, **more):
        if first.status == "flagged":
            review.reject(first, by="lee", reason="no")
        return claim(kind, item, **more)

    monkeypatch.setattr(claims, "take", take_after_lee_decided)
    assert take(queue, "kim") == second
    assert claims.of(claims.FEEDBACK, first.pk) is None
