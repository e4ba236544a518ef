"""Salts: what a day's visitors are hashed with, and the end of both.

A visitor is 48 bits of a keyed hash of address and user agent, and only ever put into the day's
HyperLogLogs.  The key lies in the store, shared by all hosts, one for each day of the site's zone.
When no host holds a journal with clicks of that day any more, it is deleted with the day's
HyperLogLogs: from then on nobody can tell who came, not even with the address at hand.  A click
that comes later still makes no visitor.

Each host says in `held` which day its oldest held click may be of.  One that has said nothing for
`MAX_SILENCE` holds nobody's salt back.
"""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import redis

from shortener import keys
from shortener.segments import HeldJournal, first_time
from shortener.statistics.cells import date_number
from shortener.statistics.visits import Who

MAX_SILENCE = 3 * 24 * 3600  # seconds
REMEMBERED = 50_000  # visitors
AT_ONCE = 500  # keys deleted in one command
GONE = "gone"  # the last day whose salt was deleted
ROOM = timedelta(minutes=5)  # that clicks may lie before the first one of a segment


class Salts:
    """The salts of a site, as the aggregator of the host `host` sees them."""

    def __init__(self, store: redis.Redis, zone: ZoneInfo, host: str) -> None:
        self._store, self._zone, self._host = store, zone, host
        self._keyed: dict[int, hashlib.blake2b | None] = {}  # by day; None when its salt is gone
        self._visitors: dict[tuple[int, Who | None], int] = {}
        self._times: dict[Path, int] = {}  # of segments' first clicks, in milliseconds since 1970

    def visitor(self, day: int, who: Who) -> int | None:
        """The hash of who came on a day such as 20261125; None when its salt is gone."""
        return self.visitors([day], [who])[0]

    def visitors(self, days: Sequence[int], who: Sequence[Who | None]) -> list[int | None]:
        """The same for many, of whom some are nobody."""
        found: list[int | None] = list(map(self._visitors.get, zip(days, who, strict=True)))
        if len(self._visitors) + len(found) > REMEMBERED:
            self._visitors.clear()
        for place, one in enumerate(who):
            if found[place] is None and one is not None:
                day = days[place]
                keyed = self._keyed[day] if day in self._keyed else self._salt(day)
                if keyed is not None:
                    digest = keyed.copy()
                    digest.update(f"{one[0]} {one[1]}".encode("utf-8", "replace"))
                    found[place] = self._visitors[day, one] = int.from_bytes(digest.digest())
        return found

    def _salt(self, day: int) -> "hashlib.blake2b | None":
        """The keyed hash of a day, of nothing yet.  Whoever comes first makes the salt."""
        pipeline = self._store.pipeline(transaction=True)
        pipeline.hget(keys.SALTS, GONE)
        pipeline.hsetnx(keys.SALTS, str(day), secrets.token_bytes(16))
        pipeline.hget(keys.SALTS, str(day))
        gone, is_new, salt = pipeline.execute()
        if day <= int(gone or 0):
            if is_new:
                self._store.hdel(keys.SALTS, str(day))
            salt = None
        keyed = None if salt is None else hashlib.blake2b(digest_size=6, key=salt)
        self._keyed[day] = keyed
        return keyed

    def forget(self) -> None:
        """Ask the store again: it was away."""
        self._keyed.clear()
        self._visitors.clear()

    def tidy(self, journals: Iterable[HeldJournal], now: float) -> None:
        """Say which days are held here, and delete what is of days that nobody holds."""
        oldest = date_number(self._oldest(journals, now))
        pipeline = self._store.pipeline(transaction=False)
        pipeline.hset(keys.HELD, self._host, f"{oldest} {int(now)}")
        pipeline.hgetall(keys.HELD)
        pipeline.hkeys(keys.SALTS)
        _, held, salts = pipeline.execute()
        needed = min(oldest, *(_needed(said, now) for said in held.values()))
        if any(day < needed for day in self._keyed):
            self.forget()
        self._delete([int(day) for day in salts if day != GONE.encode() and int(day) < needed])

    def _oldest(self, journals: Iterable[HeldJournal], now: float) -> date:
        """The day of the oldest click that is held here, or today."""
        times: dict[Path, int] = {}
        for journal in journals:
            for segment in journal.segments:
                at = self._times.get(segment.path) or first_time(segment.path)
                if at:
                    times[segment.path] = at
        self._times = times
        oldest = min([now, *(at / 1000 for at in times.values())])
        return (datetime.fromtimestamp(oldest, UTC) - ROOM).astimezone(self._zone).date()

    def _delete(self, days: list[int]) -> None:
        if not days:
            return
        pipeline = self._store.pipeline(transaction=True)
        pipeline.hset(keys.SALTS, GONE, max(days))
        pipeline.hdel(keys.SALTS, *map(str, days))
        pipeline.execute()
        for bucket in keys.BUCKETS:
            for day in days:
                self._forget_visitors(bucket, day)

    def _forget_visitors(self, bucket: str, day: int) -> None:
        """First the HyperLogLogs, then the list of them."""
        subjects = self._store.hscan_iter(keys.visited(bucket, day), count=AT_ONCE)
        while some := list(islice(subjects, AT_ONCE)):
            names = (keys.visitors(bucket, subject.decode(), day) for subject, _ in some)
            self._store.unlink(*names)
        self._store.unlink(keys.visited(bucket, day))


def _needed(said: bytes, now: float) -> int:
    """The oldest day that a host holds; a far one when it has been silent for too long."""
    day, at = said.split()
    return int(day) if now - int(at) < MAX_SILENCE else 1 << 62
