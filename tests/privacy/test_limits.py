"""Limits: what a window counts, in Redis and without it, and what a request is counted for."""

import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import msgspec
import pytest
import redis

from config.errors import Throttled
from privacy import limits
from privacy.limits import shared, windows
from privacy.limits.shared import Meter
from privacy.limits.windows import Charge, Counts, Window
from privacy.models import ApiKey
from tests.processes import Processes, wait_until

MINUTE_US = 60_000_000
START_US = 1_700_000_000_123_456
ADDRESS = "203.0.113.7"


@pytest.fixture(scope="module")
def processes():
    started = Processes()
    started.redis_process = started.redis()
    yield started
    started.end()


@pytest.fixture
def meter(processes):
    """Count in a Redis that the tests here may freeze."""
    return Meter(processes.redis_url, processes=2)


@pytest.fixture
def patient(monkeypatch):
    """Let Redis take its time, however busy the machine is."""
    monkeypatch.setattr(shared, "TIMEOUT_SECONDS", 10)


@pytest.fixture
def frozen(processes):
    """Freeze that Redis, until the test or its end lets it go on."""
    processes.kill(processes.redis_process, signal.SIGSTOP)
    yield lambda: processes.kill(processes.redis_process, signal.SIGCONT)
    processes.kill(processes.redis_process, signal.SIGCONT)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Count from nothing in each test, in this process."""
    counts = Meter("", processes=1)
    monkeypatch.setattr(limits, "_meter", lambda: counts)


def charge(*, limit=3, seconds=60, cost=1, digest=None):
    window = Window("rate", seconds, limit)
    return Charge("contributor", digest or uuid4().bytes, cost, (window,))


def is_counted(meter, *charges):
    return not meter.take(charges)[1].wait_us


def key(scope="capture", **given):
    return ApiKey(pk=7, scope=scope, limits=given)


def admit(*acts, key=None, address=ADDRESS):
    acts = acts or [("ann", "s-1")]
    return limits.admit(key=key or globals()["key"](), address=address, acts=acts)


def admitted(tries, **options):
    """Return how many of so many requests pass."""

    def passes():
        try:
            admit(**options)
        except Throttled:
            return False
        return True

    return sum(passes() for _ in range(tries))


@pytest.mark.parametrize("where", ["redis", "process"])
def test_it_works(patient, processes, where):
    meter = Meter(processes.redis_url if where == "redis" else "", processes=1)
    ann, bob = charge(), charge()
    assert [is_counted(meter, ann) for _ in range(5)] == [True, True, True, False, False]
    assert is_counted(meter, bob)


def test_redis_and_this_process_count_alike(patient, meter):
    """Windows of milliseconds: a thousand questions reach over many of them."""
    dice, counts, seen = random.Random(4), Counts(), Counter()
    subjects = [uuid4().bytes for _ in range(6)]
    for _ in range(1_500):
        charges = [
            Charge(
                "contributor",
                digest,
                dice.choice([-1, 0, 1, 1, 2, 9]),
                tuple(
                    Window("rate", seconds, dice.randint(4, 12))
                    for seconds in dice.sample([0.006, 0.012, 0.06, 3600], dice.randint(1, 3))
                ),
            )
            for digest in dice.sample(subjects, dice.randint(1, 3))
        ]
        _, shared_reading = meter.take(charges)
        assert counts.take(charges, shared_reading.now_us) == shared_reading
        seen[shared_reading.wait_us > 0] += 1
    assert not meter._is_away
    assert min(seen[True], seen[False]) > 100


def test_no_window_ever_holds_more_than_its_limit():
    dice, counts, subject = random.Random(5), Counts(), charge(limit=40)
    now_us, passed = START_US, []
    for _ in range(20_000):
        now_us += dice.randint(0, 200_000)
        if not counts.take([subject], now_us).wait_us:
            passed.append(now_us)
    most = max(
        sum(at - MINUTE_US < other <= at for other in passed[max(0, n - 60) : n + 1])
        for n, at in enumerate(passed)
    )
    assert most == 40
    minutes = (passed[-1] - passed[0]) / MINUTE_US
    assert len(passed) >= 40 * minutes * 12 / 13


def test_the_wait_is_as_long_as_it_takes_and_no_longer():
    dice = random.Random(6)
    counts, subject, now_us = Counts(), charge(limit=7, cost=2), START_US
    for _ in range(200):
        now_us += dice.randint(0, 9_000_000)
        wait_us = counts.take([subject], now_us).wait_us
        if wait_us:
            assert counts.take([subject], now_us + wait_us - 1).wait_us == 1
            now_us += wait_us
            assert counts.take([subject], now_us).wait_us == 0


@pytest.mark.parametrize("url", ["redis", ""])
def test_a_request_that_one_limit_refuses_counts_for_none(patient, processes, url):
    meter = Meter(url and processes.redis_url, processes=1)
    full, other = charge(limit=1), charge(limit=1)
    assert is_counted(meter, full)
    assert not is_counted(meter, other, full)
    assert is_counted(meter, other)


def test_thirty_two_at_once_get_the_limit_and_no_more(patient, meter):
    subject = charge(limit=100)
    with ThreadPoolExecutor(32) as pool:
        passed = list(pool.map(lambda _: is_counted(meter, subject), range(2_000)))
    assert sum(passed) == 100


def test_redis_keeps_no_names_and_nothing_for_ever(monkeypatch, patient, meter, processes):
    monkeypatch.setattr(limits, "_meter", lambda: meter)
    socket = str(processes.folder / "redis.sock")
    with redis.Redis(unix_socket_path=socket) as client:
        client.flushall()
        admit(("ann@example.org", "session-of-ann"))
        kept = {name: client.get(name) for name in client.scan_iter()}
        lives_seconds = [client.pttl(name) / 1_000 for name in kept]
    assert len(kept) == 4
    written = b" ".join([*kept, *kept.values()])
    assert not [name for name in (b"ann", b"203", b"session") if name in written]
    assert min(lives_seconds) > 0
    assert max(lives_seconds) <= 86_400 * 13 / 12


def test_without_redis_each_process_has_its_part():
    meter, subject = Meter("", processes=4), charge(limit=40)
    assert sum(is_counted(meter, subject) for _ in range(40)) == 10


def test_a_frozen_redis_costs_one_request_a_moment(meter, frozen):
    began_at = time.monotonic()
    assert is_counted(meter, charge())
    first_seconds = time.monotonic() - began_at
    assert shared.TIMEOUT_SECONDS <= first_seconds < 20 * shared.TIMEOUT_SECONDS
    began_at = time.monotonic()
    for _ in range(100):
        meter.take([charge()])
    assert time.monotonic() - began_at < 20 * shared.TIMEOUT_SECONDS  # not 100 of them


def test_a_frozen_redis_is_tried_by_one_for_all(monkeypatch, meter, frozen):
    monkeypatch.setattr(shared, "PAUSE_SECONDS", 0.5)
    meter.take([charge()])
    wait_until(lambda: time.monotonic() > meter._rests_until)

    def seconds(_):
        began_at = time.monotonic()
        meter.take([charge()])
        return time.monotonic() - began_at

    with ThreadPoolExecutor(8) as pool:
        took = list(pool.map(seconds, range(8)))
    assert sum(one >= shared.TIMEOUT_SECONDS for one in took) == 1


def test_redis_counts_again_once_it_answers(monkeypatch, meter, frozen):
    monkeypatch.setattr(shared, "PAUSE_SECONDS", 0.05)
    subject = charge(limit=1_000_000)
    meter.take([subject])
    frozen()
    wait_until(lambda: meter.take([subject])[1].now_us > START_US)


def test_a_killed_redis_is_no_error_and_a_new_one_is_found(monkeypatch, patient):
    monkeypatch.setattr(shared, "PAUSE_SECONDS", 0.05)
    processes = Processes()
    try:
        first = processes.redis()
        meter, subject = Meter(processes.redis_url, processes=2), charge(limit=20)
        with ThreadPoolExecutor(8) as pool:  # a connection each
            assert sum(pool.map(lambda _: is_counted(meter, subject), range(40))) == 20
            processes.kill(first)
            assert sum(pool.map(lambda _: is_counted(meter, subject), range(40))) == 10
            processes.redis()
            wait_until(lambda: meter.take([charge()])[1].now_us > START_US)
            assert sum(pool.map(lambda _: is_counted(meter, subject), range(40))) == 20
    finally:
        processes.end()


def test_what_is_not_heard_of_for_longest_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(windows, "MOST_COUNTS", 3)
    meter, old, kept = Meter("", processes=1), charge(limit=1), charge(limit=2)
    for subject in (old, kept, charge(), kept, charge()):
        assert is_counted(meter, subject)
    assert not is_counted(meter, kept)
    assert is_counted(meter, old)
    assert len(meter._local._counts) == 3


@pytest.mark.parametrize(
    ("given", "most"),
    [
        ({}, 20),
        ({"contributor": {"burst": 5}}, 5),
        ({"session": {"rate": 4}}, 4),
        ({"address": {"quota": 3}}, 3),
        ({"key": {"burst": 2}}, 2),
        ({"contributor": {"burst": None}, "session": {"burst": None}}, 30),
    ],
)
def test_a_key_may_have_limits_of_its_own(given, most):
    assert admitted(30, key=key(**given)) == most


def test_a_manage_key_asks_nothing(monkeypatch):
    monkeypatch.setattr(limits, "_meter", None)
    assert admit(key=key("manage")) == [0.0]


def test_a_manage_key_has_the_quota_that_is_set():
    assert admitted(30, key=key("manage", key={"quota": 25})) == 25


@pytest.mark.parametrize(
    "given",
    [
        {"key": {"burst": 0}},
        {"key": {"burst": "9"}},
        {"key": {"hourly": 9}},
        {"key": 9},
        {"people": {"burst": 9}},
        {"key": None},
        [],
        None,
    ],
)
def test_limits_that_cannot_be_read(given):
    with pytest.raises(msgspec.ValidationError):
        limits.read_limits("capture", given)


@pytest.mark.parametrize(("scope", "most"), [("capture", 20), ("manage", 25)])
def test_a_key_whose_limits_cannot_be_read_has_the_defaults(caplog, scope, most):
    nonsense = ApiKey(pk=9, scope=scope, limits=["burst", 1])
    assert admitted(25, key=nonsense) == most
    assert caplog.messages == ["limits.unreadable key=9"]


def test_a_batch_costs_its_items_and_each_person_theirs():
    few = key(contributor={"burst": 3}, session={"burst": 9}, key={"burst": 10})
    admit(("ann", "s"), ("ann", "s"), ("bob", None), (None, None), key=few)
    admit(("ann", "s"), ("bob", "s"), ("bob", "s"), key=few)
    with pytest.raises(Throttled, match=r"for one contributor in 10 seconds \(burst\)"):
        admit(("ann", "s"), key=few)
    with pytest.raises(Throttled, match=r"10 for one key .* This request alone has 11"):
        admit(*[(None, None)] * 11, key=few)
    admit(("eve", None), ("pat", None), ("kim", None), key=few)


def test_the_same_name_is_another_person_to_another_key():
    few = {"contributor": {"burst": 1}}
    admit(key=key(**few))
    admit(key=ApiKey(pk=8, scope="capture", limits=few))


def test_a_refusal_says_which_limit_and_not_whose():
    acts = [("ann@example.org", "s-1")]
    admit(*acts * 20)
    with pytest.raises(Throttled) as caught:
        admit(*acts)
    assert caught.value.detail == "At most 20 for one contributor in 10 seconds (burst)."
    assert 1 <= caught.value.retry_after_seconds <= 11


@pytest.mark.parametrize(("refused", "most"), [("burst", 11), ("rate", 65), ("quota", 93_600)])
def test_the_wait_is_that_of_the_limit_that_lasts_longest(refused, most):
    few = key(contributor={refused: 1}, session={"burst": 1})
    admit(key=few)
    with pytest.raises(Throttled) as caught:
        admit(key=few)
    assert most * 11 / 13 <= caught.value.retry_after_seconds <= most


def test_each_act_is_told_how_near_its_own_limits_are():
    wide = key(contributor={"burst": 10}, session={"burst": 20}, address={"rate": 100})
    shares = admit(("ann", "s"), ("ann", "s"), ("bob", "t"), (None, None), key=wide)
    assert shares == [0.2, 0.2, 0.1, 0.04]
    assert admit(("bob", None), key=wide) == [0.2]


def test_a_quota_nearly_spent_is_no_burst():
    assert admit(key=key(contributor={"quota": 1, "burst": 10})) == [0.1]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "198.51.100.1", ADDRESS),
        (1, None, ADDRESS),
        (1, "", ADDRESS),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "192.0.2.66, 198.51.100.1", "198.51.100.1"),
        (2, "192.0.2.66, 198.51.100.1,10.0.0.1", "198.51.100.1"),
        (3, "198.51.100.1,10.0.0.1", "198.51.100.1"),
        (1, "198.51.100.1:4711", "198.51.100.1"),
        (1, "[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::/64"),
        (1, "2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        (1, "::ffff:198.51.100.1", "198.51.100.1"),
        (1, "unknown", ""),
    ],
)
def test_whose_address_it_is(settings, proxies, forwarded, address):
    settings.TRUSTED_PROXIES = proxies
    environ = {"REMOTE_ADDR": ADDRESS}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    assert limits.address_of(environ) == address


def test_only_failures_are_counted():
    few = {Window("failed logins", 900, 2): "ann"}

    def attempt(outcome=None):
        with limits.failures(ValueError, few):
            if outcome:
                raise outcome

    for outcome in (OSError, OSError, OSError, ValueError):
        with pytest.raises(outcome):
            attempt(outcome)
    attempt()
    attempt()
    with pytest.raises(ValueError, match=r"^$"):
        attempt(ValueError)
    with pytest.raises(Throttled):
        attempt()


def test_guesses_made_at_once_are_counted_too():
    few = {Window("failed logins", 900, 5): "ann"}

    def attempt(_):
        try:
            with limits.failures(ValueError, few):
                time.sleep(0.1)
                raise ValueError
        except (ValueError, Throttled) as refusal:
            return type(refusal)

    with ThreadPoolExecutor(20) as pool:
        assert Counter(pool.map(attempt, range(20))) == {ValueError: 5, Throttled: 15}
