"""How often something may happen: counted in Redis over all workers, in a sliding window.

The table names each limit.  A store that is away counts nothing and raises its errors; what was
asked for then fails with them, it is not let through.
"""

import redis
from limits import RateLimitItem, parse
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

LIMITS = {
    "password": "10/minute",  # wrong passwords, by link and address
}


class Limits:
    """The limits of a site, kept in `store`."""

    def __init__(self, store: redis.Redis) -> None:
        storage = RedisStorage("redis://", connection_pool=store.connection_pool)
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._items: dict[str, RateLimitItem] = {name: parse(t) for name, t in LIMITS.items()}

    def allows(self, name: str, *who: str) -> bool:
        """Whether one more would be within the limit; counts nothing."""
        return self._limiter.test(self._items[name], name, *who)

    def hit(self, name: str, *who: str) -> bool:
        """Count one more; False when it is one too many."""
        return self._limiter.hit(self._items[name], name, *who)
