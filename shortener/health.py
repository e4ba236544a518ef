"""Named checks, in words: what is wrong, and how to mend it.

Behind `/-/ready` and `shortener check`.  A check is `ok`, `degraded` (links work, something needs
care) or `failed` (nothing can be served).
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import redis

from shortener import connections
from shortener.segments import held_journals
from shortener.status import read_status

MIN_FREE = 256 * 1024 * 1024  # bytes on the disk of the data directory
MAX_SILENCE = 10.0  # seconds without a sign of life from the aggregator
MAX_LAG = 64 * 1024 * 1024  # bytes of journals not applied


class Check(NamedTuple):
    """One finding.  `mend` says what to do about it."""

    name: str
    status: str
    detail: str
    mend: str = ""


def check(store: redis.Redis, data_dir: Path) -> list[Check]:
    """All checks, in the order an operator should read them."""
    return [*_redis(store), _disk(data_dir), _journal(data_dir), _aggregator(data_dir)]


def overall(checks: list[Check]) -> str:
    """The worst status of all."""
    found = {check.status for check in checks}
    return next((status for status in ("failed", "degraded") if status in found), "ok")


def _redis(store: redis.Redis) -> Iterator[Check]:
    try:
        info: dict[str, Any] = store.info()
    except connections.StoreError as error:
        yield Check(
            "redis",
            "degraded",
            f"does not answer: {error}",
            "Start it, or mend SHORTENER_REDIS_URL. Until then links that were served before "
            "still redirect, and their clicks wait in the journal.",
        )
        return
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info["redis_version"])
    if tuple(map(int, str(info["redis_version"]).split(".")[:2])) < (6, 2):
        mend = "Use Redis 6.2 or newer, or Valkey."
        yield Check("redis", "degraded", f"{name} {version} is too old", mend)
    else:
        yield Check("redis", "ok", f"{name} {version}")
    yield _persistence(info)
    yield _memory(info)


def _persistence(info: dict[str, Any]) -> Check:
    if not int(info.get("aof_enabled", 0)):
        return Check(
            "persistence",
            "degraded",
            "the append-only file is off: a crash of Redis loses links",
            "Set `appendonly yes` in Redis.",
        )
    if info.get("aof_last_write_status") != "ok" or info.get("aof_last_bgrewrite_status") != "ok":
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
            "Set `maxmemory-policy noeviction` in Redis.",
        )
    limit = int(info.get("maxmemory", 0))
    if limit and int(info["used_memory"]) > 0.9 * limit:
        mend = "Raise `maxmemory` in Redis."
        return Check("memory", "degraded", "more than 90 % of maxmemory is used", mend)
    return Check("memory", "ok", f"{info['used_memory_human']} used, noeviction")


def _disk(data_dir: Path) -> Check:
    free = shutil.disk_usage(data_dir).free
    if free < MIN_FREE:
        return Check(
            "disk", "degraded", f"{free >> 20} MiB free at {data_dir}", "Make room on that disk."
        )
    return Check("disk", "ok", f"{free >> 20} MiB free")


def _journal(data_dir: Path) -> Check:
    dropped = sum(journal.dropped() for journal in held_journals(data_dir / "journal"))
    if dropped:
        return Check(
            "journal",
            "degraded",
            f"{dropped} clicks could not be written down and are not counted",
            "Make room on the disk, or raise SHORTENER_JOURNAL_LIMIT.",
        )
    return Check("journal", "ok", "every click was written down")


def _aggregator(data_dir: Path) -> Check:
    status = read_status(data_dir)
    if status is None or time.time() - status.at > MAX_SILENCE:
        return Check(
            "aggregator",
            "degraded",
            "does not run: clicks wait in the journal",
            "Start `shortener serve` or `shortener aggregate` on this host.",
        )
    if status.lag > MAX_LAG:
        detail = f"is {status.lag >> 20} MiB of clicks behind"
        return Check("aggregator", "degraded", detail, "It catches up when load or Redis allow.")
    lost = status.lost + status.refused + status.set_aside
    if lost or status.damaged:
        return Check(
            "aggregator",
            "degraded",
            f"{lost} clicks lost, {status.damaged} bytes of journals damaged since its start",
            "See its log; `set-aside` in the data directory has what could be kept.",
        )
    return Check("aggregator", "ok", f"{status.applied} clicks applied, {status.lag} bytes behind")
