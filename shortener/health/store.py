"""The checks of the store."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, cast

import redis
from redis.exceptions import AuthenticationError, BusyLoadingError, NoPermissionError

from shortener import connections, keys
from shortener.health.check import Check
from shortener.values import REDIRECT_STATUSES

MAX_APART = 5.0  # seconds between its clock and ours


def checks(store: redis.Redis, code_salt: str, counts: Mapping[str, int]) -> Iterator[Check]:
    """Everything that the store tells in one round trip."""
    pipeline = store.pipeline(transaction=False)
    pipeline.info()
    pipeline.time()
    pipeline.hget(keys.SITE, "salt")
    before = time.time()
    try:
        answers = pipeline.execute(raise_on_error=False)
        now = (before + time.time()) / 2
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
    except connections.StoreError as error:
        yield _away(error, counts)
        return
    info, (seconds, microseconds), stored = answers
    yield _version(info)
    yield _persistence(info)
    yield _memory(info)
    yield _salt(code_salt, cast("bytes | None", stored))
    yield _clock(now - (seconds + microseconds / 1e6))


def _clock(apart: float) -> Check:
    """`apart` is by how many seconds we are ahead."""
    if abs(apart) <= MAX_APART:
        return Check("clock", "ok", "this host and Redis agree")
    where = "ahead of" if apart > 0 else "behind"
    return Check(
        "clock",
        "degraded",
        f"this host is {abs(apart):.0f} seconds {where} Redis: links begin and end, and clicks "
        "count, at the wrong time on one of them",
        "Set both clocks by NTP.",
    )


def _away(error: Exception, counts: Mapping[str, int]) -> Check:
    """Links that were redirected since the start are remembered; without any nothing works."""
    if isinstance(error, BusyLoadingError):
        reason, mend = "is loading its data", "Wait; a large file takes minutes."
    elif isinstance(error, AuthenticationError | NoPermissionError):
        reason = "refuses our password or user"
        mend = "Mend the password in SHORTENER_REDIS_URL, or the rights of its user."
    elif isinstance(error, redis.ResponseError):
        reason = f"answers {str(error).partition(' ')[0]}"
        mend = "Look at its log."
    else:
        reason, mend = "does not answer", "Start it, or mend SHORTENER_REDIS_URL."
    served = any(counts[f"redirect_{status}"] for status in REDIRECT_STATUSES)
    if not served and not isinstance(error, NoPermissionError):
        return Check("redis", "failed", f"{reason}, and no link was served before", mend)
    mend += " Until then links that were served before still redirect, and their clicks wait."
    return Check("redis", "degraded", reason, mend)


def _version(info: dict[str, Any]) -> Check:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info["redis_version"])
    if tuple(map(int, str(info["redis_version"]).split(".")[:2])) < (6, 2):
        mend = "Use Redis 6.2 or newer, or Valkey."
        return Check("redis", "degraded", f"{name} {version} is too old", mend)
    if info.get("role") != "master":
        detail = f"{name} {version} is a replica: links cannot be made, clicks wait"
        return Check("redis", "degraded", detail, "Name its master in SHORTENER_REDIS_URL.")
    return Check("redis", "ok", f"{name} {version}")


def _persistence(info: dict[str, Any]) -> Check:
    if not int(info.get("aof_enabled", 0)):
        return Check(
            "persistence",
            "degraded",
            "the append-only file is off: a crash of Redis loses links",
            "Set `appendonly yes` in Redis.",
        )
    written = (info.get("aof_last_write_status"), info.get("aof_last_bgrewrite_status"))
    if written != ("ok", "ok"):
        return Check(
            "persistence",
            "degraded",
            "Redis could not write its append-only file",
            "Look at the space on its disk and at its log.",
        )
    return Check("persistence", "ok", "append-only file on")


def _memory(info: dict[str, Any]) -> Check:
    policy, evicted = info.get("maxmemory_policy"), int(info.get("evicted_keys", 0))
    if policy != "noeviction" or evicted:
        return Check(
            "memory",
            "degraded",
            f"maxmemory-policy is {policy}, {evicted} keys were evicted: links may vanish",
            "Set `maxmemory-policy noeviction` in Redis"
            + (", and restore what is missing; `CONFIG RESETSTAT` forgets it." if evicted else "."),
        )
    limit = int(info.get("maxmemory", 0))
    if limit and int(info["used_memory"]) > 0.9 * limit:
        mend = "Raise `maxmemory` in Redis."
        return Check("memory", "degraded", "more than 90 % of maxmemory is used", mend)
    return Check("memory", "ok", f"{info['used_memory_human']} used, noeviction")


def _salt(setting: str, stored: bytes | None) -> Check:
    if setting and stored is not None and setting.encode() != stored:
        return Check(
            "salt",
            "degraded",
            "CODE_SALT is another than the data was begun with: new codes meet old ones, and each "
            "time another is tried",
            "Leave SHORTENER_CODE_SALT out, or `HSET site salt` to it in Redis.",
        )
    return Check("salt", "ok", "kept in Redis" if stored is not None else "made at the first start")
