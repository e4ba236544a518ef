"""Redis clients, each made here with its retries, timeouts and pool stated.

redis-py 8 retries by default and would send an `INCR` or a whole script twice; here nothing is
retried below the caller, who knows what may be repeated.
"""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

REDIRECT_TIMEOUT = 0.25  # seconds; what a visitor may wait for the store
CALL_TIMEOUT = 2.0  # seconds; API calls and start
BATCH_TIMEOUT = 10.0  # seconds; the aggregator, which nobody waits for

StoreError = redis.RedisError
_AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.TryAgainError,
)
# The same where redis-py has no class of its own, or Redis 6.2 wraps it in a script's error.
_AWAY_WORDS = (
    *("MISCONF", "OOM", "LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS"),
    *("TRYAGAIN", "BUSY "),
)


def sync(url: str, timeout: float = CALL_TIMEOUT) -> "redis.Redis":
    """A thread-safe client; replies are bytes."""
    return redis.Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        max_connections=64,
    )


def is_away(error: Exception) -> bool:
    """Whether the store cannot be reached, or cannot write at the moment: not our mistake."""
    if isinstance(error, _AWAY):
        return True
    return isinstance(error, redis.ResponseError) and any(w in str(error) for w in _AWAY_WORDS)
