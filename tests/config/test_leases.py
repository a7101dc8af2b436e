"""Long work is held by one worker at a time, and a dead worker's work is taken over."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from config import leases
from config.errors import LeaseLost
from tests.training.builders import Product
from training import datasets
from training.models import DatasetVersion


@pytest.fixture
def product(db):
    return Product()


@pytest.fixture
def version(product):
    return datasets.request_version(product.dataset)


def work():
    return DatasetVersion.objects.filter(status="building")


def let_the_lease_end():
    past = timezone.now() - timedelta(seconds=1)
    DatasetVersion.objects.update(lease_until=past)


def test_it_works(version):
    claimed = leases.claim(work())
    assert claimed == version
    assert claimed.attempts == 1
    assert claimed.lease_until > timezone.now()
    leases.require_held(claimed)


def test_what_is_held_cannot_be_claimed(version):
    leases.claim(work())
    assert leases.claim(work()) is None
    assert datasets.waiting_seconds() is None


def test_what_a_dead_worker_held_is_claimed_again(version):
    leases.claim(work())
    let_the_lease_end()
    assert datasets.waiting_seconds() >= 0
    assert leases.claim(work()).attempts == 2


def test_the_worker_that_was_overtaken_has_lost_the_work(version):
    overtaken = leases.claim(work())
    let_the_lease_end()
    leases.require_held(leases.claim(work()))
    with pytest.raises(LeaseLost):
        leases.require_held(overtaken)


def test_an_overtaken_build_changes_nothing(version):
    overtaken = leases.claim(work())
    let_the_lease_end()
    leases.claim(work())
    with pytest.raises(LeaseLost):
        datasets.build(overtaken)
    version.refresh_from_db()
    assert version.status == "building"


def test_work_that_killed_three_workers_fails(version):
    for _ in range(leases.MAX_ATTEMPTS):
        leases.claim(work())
        let_the_lease_end()
    assert leases.claim(work()) is None
    version.refresh_from_db()
    assert (version.status, version.error) == ("failed", "api.worker_died")


def test_the_oldest_work_is_claimed_first(product):
    first = datasets.request_version(product.dataset)
    datasets.request_version(Product("rival").dataset)
    assert leases.claim(work()) == first


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_claim_the_same():
    for number in range(8):
        datasets.request_version(Product(f"shop-{number}").dataset)
    claimed = []

    def claim_all():
        while row := leases.claim(work()):
            claimed.append(row.pk)
        connection.close()

    threads = [threading.Thread(target=claim_all) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == 8


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_renews_the_lease(monkeypatch):
    datasets.request_version(Product().dataset)
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.01)
    claimed = leases.claim(work())
    let_the_lease_end()
    with leases.heartbeat(claimed):
        ends_at = time.monotonic() + 10
        while leases.free(work()).exists() and time.monotonic() < ends_at:
            pass
        assert leases.claim(work()) is None


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_does_not_renew_another_workers_lease(monkeypatch):
    datasets.request_version(Product().dataset)
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.01)
    overtaken = leases.claim(work())
    let_the_lease_end()
    lease = leases.claim(work()).lease_until
    with leases.heartbeat(overtaken):
        threading.Event().wait(0.1)
    assert work().get().lease_until == lease


def test_no_heart_beats_after_the_work(version):
    with leases.heartbeat(leases.claim(work())):
        assert "heartbeat" in [thread.name for thread in threading.enumerate()]
    assert "heartbeat" not in [thread.name for thread in threading.enumerate()]
