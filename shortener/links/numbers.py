"""Numbers: each link has one, and its code is made of it."""

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import redis

from shortener import keys

MAX_LEAPS = 24  # numbers tried until a free code is found; the last leap is 2**23 numbers wide
KEPT = 10.0  # seconds: the numbers of two links of one second must not be 2**20 apart


class Taken(NamedTuple):
    """Numbers, and when they were taken."""

    numbers: Sequence[int]
    at: float  # monotonic


class Numbers:
    """The numbers of a site.  Some that were not needed are kept a little for whoever is next: an
    import of what is there already uses up none."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store
        self._kept = Taken((), 0.0)
        self._lock = threading.Lock()

    def take(self, count: int) -> int:
        """The first of so many new numbers that follow each other."""
        return int(self._store.incrby(keys.NUMBER, count)) - count + 1

    def some(self, count: int) -> Taken:
        """So many numbers, from those that were kept if these are as many."""
        now = time.monotonic()
        with self._lock:
            numbers, at = self._kept
            if len(numbers) >= count and now < at + KEPT:
                self._kept = Taken(numbers[count:], at)
                return Taken(numbers[:count], at)
        first = self.take(count)
        return Taken(range(first, first + count), now)

    def keep(self, unused: Taken) -> None:
        """These were not needed."""
        with self._lock:
            if len(unused.numbers) > len(self._kept.numbers) or unused.at > self._kept.at:
                self._kept = unused
