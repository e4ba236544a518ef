"""How often something may happen, in a sliding window.  The table names each limit.

What is rare or must hold exactly is counted in Redis over all workers; then a store that is away
counts nothing and raises its errors, and what was asked for fails with them, it is not let through.
What a stranger can do a thousand times a second is counted in each worker by itself, in bounded
memory and without asking Redis: that keeps working while Redis is away, and gives up that all
workers together allow so many times as much.
"""

import math
import threading
import time
from typing import NamedTuple

import redis
from limits import RateLimitItem, parse
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from shortener import gauges

MAX_COUNTED = 50_000  # networks in one worker and window; of more, the first seen are forgotten


class Limit(NamedTuple):
    """One row: how often, and whether that is counted in each worker by itself."""

    rate: str
    is_local: bool


LIMITS = {
    "password": Limit("10/minute", False),  # wrong passwords, by link and network
    "keys": Limit("100/minute", True),  # API keys that are none, by network
    "unknown": Limit("100/minute", True),  # codes that are none, by network
}


class _Storage(RedisStorage):
    """The library's own would read Valkey's client as well: 5 MB in each office, for nothing."""

    DEPENDENCIES = {"redis": None}  # noqa: RUF012 - as the library spells it


class Standing(NamedTuple):
    """How a limit stands for one who is counted."""

    name: str
    quota: int
    window: int  # seconds
    remaining: int
    reset: int  # seconds, at least 1, until there is more


class Limits:
    """The limits of a site.  `creation` is `SHORTENER_RATE_LIMIT`: links made, by key; "" is none.

    A limit that is not there has no end.
    """

    def __init__(self, store: redis.Redis, counters: gauges.Counters, creation: str = "") -> None:
        self._counters = counters
        rows = LIMITS | ({"creation": Limit(creation, False)} if creation else {})
        storage = _Storage("redis://", connection_pool=store.connection_pool)
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._shared: dict[str, RateLimitItem] = {
            name: parse(limit.rate) for name, limit in rows.items() if not limit.is_local
        }
        self._local = {
            name: _Window(parse(limit.rate)) for name, limit in rows.items() if limit.is_local
        }

    def hit(self, name: str, *who: str) -> bool:
        """Count one more; False, and not counted, when it would be one too many."""
        if name in self._local:
            return self._local[name].hit("/".join(who))
        item = self._shared.get(name)
        return item is None or self._limiter.hit(item, name, *who)

    def refusal(self, name: str, *who: str) -> Standing | None:
        """How the limit stands for one who is refused, which metrics tell."""
        self._counters.add(gauges.LIMITED[name])
        standing = self.standing(name, *who)
        return None if standing is None else standing._replace(remaining=0)

    def standing(self, name: str, *who: str) -> Standing | None:
        """How the limit stands, counting nothing; None when there is none."""
        if name in self._local:
            window = self._local[name]
            remaining, reset = window.standing("/".join(who))
            return Standing(name, window.quota, window.seconds, remaining, reset)
        item = self._shared.get(name)
        if item is None:
            return None
        stats, seconds = self._limiter.get_window_stats(item, name, *who), item.get_expiry()
        left = stats.reset_time - time.time()  # in the moment that a window begins it is 0
        reset = min(math.ceil(left), seconds) if left > 0 else seconds
        return Standing(name, item.amount, seconds, stats.remaining, reset)


class _Window:
    """Counts of one worker: those of this window, and a share of the last one's that shrinks."""

    def __init__(self, item: RateLimitItem) -> None:
        self.quota, self.seconds = item.amount, item.get_expiry()
        self._began, self._number = time.monotonic(), 0
        self._current: dict[str, int] = {}
        self._previous: dict[str, int] = {}
        self._lock = threading.Lock()

    def hit(self, who: str) -> bool:
        with self._lock:
            if self._used(who, time.monotonic() - self._began) + 1 > self.quota:
                return False
            if who not in self._current and len(self._current) >= MAX_COUNTED:
                del self._current[next(iter(self._current))]
            self._current[who] = self._current.get(who, 0) + 1
            return True

    def standing(self, who: str) -> tuple[int, int]:
        """What remains, and the seconds until this window ends."""
        now = time.monotonic() - self._began
        with self._lock:
            remaining = max(0, math.floor(self.quota - self._used(who, now)))
        return remaining, max(1, math.ceil(self.seconds - now % self.seconds))

    def _used(self, who: str, now: float) -> float:
        number = int(now // self.seconds)
        if number != self._number:
            self._previous = self._current if number == self._number + 1 else {}
            self._number, self._current = number, {}
        share = 1 - now % self.seconds / self.seconds
        return self._previous.get(who, 0) * share + self._current.get(who, 0)
