"""Link records for the edge.

Look-ups that arrive in one turn of the event loop share one `MGET`; while it is in flight the next
ones gather.  Nobody waits for a timer.  Links that were served are remembered, bounded, and used
only while Redis does not answer: then they redirect for up to an hour more, while codes that this
worker has not served, or that a password or a limit guards, get 503 at once.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from typing import NamedTuple, cast

import msgspec
import redis.asyncio

from shortener import connections, keys
from shortener.errors import Internal, StoreAway
from shortener.gauges import BATCH, CACHE_MISSES, CACHE_STALE, REDIS_ERRORS, Counters
from shortener.link import Link, decode

MAX_REMEMBERED = 50_000  # links of a worker; about 1 kB each
MAX_AGE = 3600.0  # seconds since a link was last read, after which it serves no more
PROBE_PAUSE = 0.25  # seconds between two tries while Redis is away


log = logging.getLogger(__name__)


class _Remembered(NamedTuple):
    record: bytes
    link: Link
    read_at: float


class Records:
    """Reads records for one event loop."""

    def __init__(self, store: redis.asyncio.Redis, counters: Counters) -> None:
        self._store, self._counters = store, counters
        self._waiting: dict[str, asyncio.Future[Link | None]] = {}
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()
        self._reader: asyncio.Task[None] | None = None
        self._away = False

    def find(self, name: str) -> "asyncio.Future[Link | None]":
        """The link with this normalised code, or None.

        The future fails with `StoreAway` when Redis does not answer and the link is not remembered.
        """
        future = self._waiting.get(name)
        if future is None:
            future = self._waiting[name] = asyncio.get_running_loop().create_future()
            if self._away:
                self._answer_from_memory(self._take())
            elif self._reader is None:
                self._reader = asyncio.create_task(self._read())
        return future

    async def close(self) -> None:
        """Stop reading and let go of the connection."""
        if self._reader is not None:
            self._reader.cancel()
        await self._store.aclose()

    def _take(self) -> "dict[str, asyncio.Future[Link | None]]":
        waiting, self._waiting = self._waiting, {}
        return waiting

    async def _read(self) -> None:
        """Read until nobody waits any more.  The task starts at the end of the loop's turn."""
        try:
            while self._waiting:
                batch = self._take()
                names = [keys.link(name) for name in batch]
                try:
                    async with asyncio.timeout(connections.REDIRECT_TIMEOUT):
                        records = await self._store.mget(names)
                except (connections.StoreError, TimeoutError, OSError):
                    self._counters.add(REDIS_ERRORS)
                    self._away = True
                    self._answer_from_memory(batch)
                    self._answer_from_memory(self._take())
                    break
                self._counters.observe(BATCH, len(batch))
                self._counters.add(CACHE_MISSES, len(batch))
                self._answer(batch, cast("list[bytes | None]", records))
        finally:
            self._reader = asyncio.create_task(self._probe()) if self._away else None

    def _answer(
        self, batch: "dict[str, asyncio.Future[Link | None]]", records: "list[bytes | None]"
    ) -> None:
        now = time.monotonic()
        for (name, future), record in zip(batch.items(), records, strict=True):
            if record is None:
                self._remembered.pop(name, None)
            try:
                link = None if record is None else self._remember(name, record, now)
            except msgspec.MsgspecError as error:  # of a later version, or damaged: its own fault
                log.error("the record of %s cannot be read: %s", name, error)  # noqa: TRY400
                if not future.done():
                    future.set_exception(Internal())
                continue
            if not future.done():
                future.set_result(link)

    def _remember(self, name: str, record: bytes, now: float) -> Link:
        known = self._remembered.get(name)
        link = known.link if known is not None and known.record == record else decode(record)
        self._remembered[name] = _Remembered(record, link, now)
        self._remembered.move_to_end(name)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return link

    def _answer_from_memory(self, batch: "dict[str, asyncio.Future[Link | None]]") -> None:
        oldest = time.monotonic() - MAX_AGE
        for name, future in batch.items():
            known = self._remembered.get(name)
            if future.done():
                continue
            if known and known.read_at >= oldest and not known.link.is_gated:
                self._counters.add(CACHE_STALE)
                future.set_result(known.link)
            else:
                future.set_exception(StoreAway())

    async def _probe(self) -> None:
        """Ask until Redis answers again; nobody waits for that."""
        while self._away:
            await asyncio.sleep(PROBE_PAUSE)
            try:
                async with asyncio.timeout(connections.REDIRECT_TIMEOUT):
                    await self._store.ping()
                self._away = False
            except (connections.StoreError, TimeoutError, OSError):
                continue
        self._reader = None
