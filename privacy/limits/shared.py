"""One count for all processes, in Redis; where Redis is away, each process counts for itself."""

import logging
import threading
import time
from collections.abc import Sequence

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.embedded import for_redis
from privacy.limits.windows import SLICES, Charge, Counts, Reading

logger = logging.getLogger(__name__)
TIMEOUT_SECONDS = 0.05  # for connecting, and for an answer
# The same where a batch names more subjects than that: 2,000 take 0.1 s on a busy machine.
FEW_CHARGES, PATIENT_TIMEOUT_SECONDS = 250, 0.5
PAUSE_SECONDS = 5.0  # until Redis is tried again

# KEYS: a subject each. ARGV[1], for each of them: its cost, and the length of a slice and the limit
# of each of its windows. See windows.py, which does the same.
SCRIPT = f"""
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local charges = cmsgpack.unpack(ARGV[1])
local wait, refusing, totals, states = 0, 0, {{}}, {{}}
for i, key in ipairs(KEYS) do
  local cost, windows = charges[i][1], charges[i][2]
  local stored = redis.call('GET', key)
  local state, longest = stored and cmsgpack.unpack(stored) or {{}}, 0
  for _, window in ipairs(windows) do
    local slice, limit = window[1], window[2]
    local here, live, total, window_wait = math.floor(now / slice), {{}}, cost, 0
    for n, count in pairs(state[slice] or {{}}) do
      if n >= here - {SLICES} and n <= here then
        live[n] = count
        total = total + count
      end
    end
    local excess, n = total - limit, here - {SLICES}
    while excess > 0 and n <= here do
      window_wait = (n + {SLICES} + 1) * slice - now
      excess = excess - (live[n] or 0)
      n = n + 1
    end
    if window_wait > wait then wait, refusing = window_wait, #totals end
    totals[#totals + 1] = total
    live[here] = (live[here] or 0) + cost
    state[slice] = live
  end
  for slice in pairs(state) do longest = math.max(longest, slice) end
  states[i] = {{state, math.ceil(longest * ({SLICES} + 1) / 1000)}}
end
if wait == 0 then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, cmsgpack.pack(states[i][1]), 'PX', states[i][2])
  end
end
return {{now, wait, refusing, totals}}
"""


class Meter:
    """Count in Redis while it answers in time, else here, where each of `processes` has its part.

    An empty URL is a Redis that is always away.
    """

    def __init__(self, url: str, *, processes: int) -> None:
        self._processes = processes
        self._local = Counts()
        self._lock = threading.Lock()
        self._is_away = not url
        self._rests_until = 0.0 if url else float("inf")
        self._scripts = [
            _client(url, timeout).register_script(SCRIPT)
            for timeout in (TIMEOUT_SECONDS, PATIENT_TIMEOUT_SECONDS)
            if url
        ]

    def take(self, charges: Sequence[Charge]) -> tuple[Sequence[Charge], Reading]:
        """Count all charges, or none where one would pass a limit; return them as they were asked.

        Never raises, and takes no longer than the timeout where Redis does not answer.
        """
        reading = self._ask(charges)
        if reading is None:
            charges = [self._part(charge) for charge in charges]
            reading = self._local.take(charges, time.monotonic_ns() // 1_000)
        return charges, reading

    def _ask(self, charges: Sequence[Charge]) -> Reading | None:
        if not self._scripts or not self._may_ask():
            return None
        script = self._scripts[len(charges) > FEW_CHARGES]
        try:
            answer = script(
                keys=[b"emend:limit:" + charge.digest for charge in charges],
                args=[msgspec.msgpack.encode([_numbers(charge) for charge in charges])],
            )
        except redis.RedisError:
            self._rest()
            return None
        self._is_away = False
        return Reading(*answer)

    def _may_ask(self) -> bool:
        """Let one request in PAUSE_SECONDS try for all of this process while Redis is away."""
        if not self._is_away:
            return True
        with self._lock:
            if time.monotonic() < self._rests_until:
                return False
            self._rests_until = time.monotonic() + PAUSE_SECONDS
            return True

    def _rest(self) -> None:
        with self._lock:
            if not self._is_away:
                logger.warning("limits.redis_unavailable")
            self._rests_until = time.monotonic() + PAUSE_SECONDS
            self._is_away = True

    def _part(self, charge: Charge) -> Charge:
        windows = (
            window._replace(limit=max(1, window.limit // self._processes))
            for window in charge.windows
        )
        return charge._replace(windows=tuple(windows))


def _numbers(charge: Charge) -> tuple[int, list[tuple[int, int]]]:
    return charge.cost, [(window.slice_us, window.limit) for window in charge.windows]


def _client(url: str, timeout_seconds: float) -> redis.Redis:
    """Return a client that neither waits nor tries again, and greets without round trips."""
    return redis.Redis.from_url(
        for_redis(url),
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
    )
