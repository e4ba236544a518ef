"""Link records for the edge: read together, and remembered as long as they are right.

Look-ups that arrive in one turn of the event loop share one `MGET`; while some are in flight the
next ones gather.  Nobody waits for a timer.

What was read is remembered, bounded in bytes, and forgotten when Redis tells that it changed.  It
is trusted for `LEASE` after the sending of whatever Redis last replied to, and no longer: a reply
proves that every change acknowledged before its request has been heard of.  So no change is
overlooked for longer, whatever becomes of the connection, and without visitors nobody asks.  When
the connection is lost, or does not answer, nothing is trusted any more: each code is read again,
over another connection, before it is used.

Only while Redis does not answer do the old records serve: plain links that this worker has served,
for up to an hour after they were last read.  All others get 503 at once.  A link that was told to
have changed is not among them.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from itertools import chain
from typing import Any

import msgspec

from shortener import connections, keys
from shortener.errors import Internal, Problem, StoreAway
from shortener.gauges import BATCH, CACHE_MISSES, CACHE_STALE, REDIS_ERRORS, Counters
from shortener.links.link import Link, decode
from shortener.tracked import Told, Tracked
from shortener.web.memory import Memory, Remembered, as_read

LEASE = 0.05  # seconds; what is remembered is never out of date for longer
RENEWAL = 0.015  # seconds after which a lease is renewed when somebody comes
MAX_AGE = 3600.0  # seconds since a link was last read, after which it serves no more
CONNECT_TIMEOUT = 0.3  # seconds; doubled with each, for a Redis that is far away; nobody waits
MAX_CONNECT_TIMEOUT = 2.0
START_PATIENCE = 2.0  # seconds until a new worker takes visitors all the same
PATIENCE = 0.1  # seconds for a reply, or longer if connecting took so, until another is tried
GRACE = 0.01  # seconds more: when it was we who were late, the reply is there already
AT_ONCE = 4  # reads in flight: Redis may be busy with something else for a while
RETRY_PAUSE = 0.02  # seconds between two tries while Redis is away: it may be back and change

Connect = Callable[[Told, Callable[[Tracked], None]], Awaitable[Tracked]]

log = logging.getLogger(__name__)

Found = Remembered | Problem | None  # what a look-up finds: a link, a problem, or no link
Then = Callable[[Found], object]


class Records:
    """Reads and remembers records, for one event loop.

    `connect` makes a connection, or raises `OSError`.  `answer` is asked once for each record that
    is read.  `max_bytes` bounds what is remembered.
    """

    def __init__(
        self,
        connect: Connect,
        answer: Callable[[Link], bytes | None],
        max_bytes: int,
        counters: Counters,
    ) -> None:
        self._connect, self._answer, self._counters = connect, answer, counters
        self._remembered = Memory(max_bytes)
        self._term = 0  # what was remembered in an earlier one is not trusted
        self._trusted_until = 0.0
        self._renew_at = 0.0  # when to ask again; never later than the trust ends
        self._loop: asyncio.AbstractEventLoop | None = None  # that of whoever asks first
        self._waiting: dict[str, list[Then]] = {}
        self._reading: deque[tuple[float, dict[str, list[Then]]]] = deque()  # when sent, in order
        self._timeout: asyncio.TimerHandle | None = None  # of those who wait
        self._patience = PATIENCE
        self._store: Tracked | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()  # connecting has succeeded once, or was refused
        self._oldest = 0.0  # since when somebody may have been waiting
        self._away = False

    async def ready(self) -> None:
        """Connect, and wait for that, before anybody asks: they would have less patience."""
        self.open()
        self._stop_waiting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_PATIENCE):
                await self._tried.wait()

    def open(self) -> None:
        """Connect, when nobody has done so yet."""
        if self._connecting is None and self._store is None:
            self._connecting = self._running_loop.create_task(self._keep_connecting())
            self._wait(connections.REDIRECT_TIMEOUT - PATIENCE, self._despair)

    def close(self) -> None:
        """Let go of the connection.  What is still looked up is not found."""
        if self._connecting is not None:
            self._connecting.cancel()
        store, self._store = self._store, None
        if store is not None:
            store.abort()
        self._stop_waiting()
        self._away = True

    def known(self, name: str) -> Remembered | None:
        """The link with this normalised code when it is remembered and right, at this moment."""
        remembered = self._remembered.get(name)
        if remembered is None or remembered.term != self._term:
            return None
        now = time.monotonic()
        if now >= self._renew_at:
            if now >= self._trusted_until:
                return None
            self._renew(now)
        self._remembered.move_to_end(name)
        return remembered

    def find(self, name: str, then: Then) -> None:
        """Read the link with this normalised code; `then` is told what was found, in a later turn.

        The problem is `StoreAway` when Redis does not answer and the link is not remembered, and
        `Internal` when its record cannot be read.
        """
        waiting = self._waiting.get(name)
        if waiting is not None:
            waiting.append(then)
            return
        if not self._waiting:
            if not self._reading:
                self._oldest = time.monotonic()
            self._running_loop.call_soon(self._read)  # at the end of this turn
        self._waiting[name] = [then]

    def _read(self) -> None:
        """Read everything that is waited for."""
        if self._away:
            self._answer_from_memory()
        elif self._store is None:
            self.open()
        elif self._waiting and len(self._reading) < AT_ONCE:
            self._ask(self._store)

    def _ask(self, store: Tracked) -> None:
        asked, self._waiting = self._waiting, {}
        if not self._reading:
            self._be_patient()
        self._reading.append((time.monotonic(), asked))
        store.ask(self._answer_batch, b"MGET", *(keys.link(name).encode() for name in asked))

    def _answer_batch(self, records: Any) -> None:
        if not isinstance(records, list):
            log.warning("Redis refuses to read links: %s", records)
            self._away = True
            self._lost(self._store)
            return
        self._oldest, batch = self._reading.popleft()
        if self._reading:
            self._be_patient()
        else:
            self._stop_waiting()
        self._trust(self._oldest)
        self._counters.observe(BATCH, len(batch))
        self._counters.add(CACHE_MISSES, len(batch))
        for (name, waiting), record in zip(batch.items(), records, strict=True):
            _tell(waiting, self._remember(name, record, self._oldest))
        self._read()

    def _remember(self, name: str, record: bytes | None, read_at: float) -> Found:
        known = self._remembered.get(name)
        if known is not None and known.record == record:
            known.read_at, known.term = read_at, self._term
            self._remembered.move_to_end(name)
            return known
        if record is None:
            self._remembered.forget(name)
            return None
        try:
            link = decode(record)
        except msgspec.MsgspecError as error:  # of a later version, or damaged: its own fault
            log.error("the record of %s cannot be read: %s", name, error)  # noqa: TRY400
            self._remembered.forget(name)
            return Internal()
        new = as_read(record, link, self._answer(link), read_at, self._term)
        self._remembered.keep(name, new)
        return new

    def _changed(self, names: Iterable[bytes] | None) -> None:
        """What Redis tells: these keys were written or deleted, or any of them."""
        if names is None:
            self._remembered.forget_all()
            return
        for key in names:
            self._remembered.forget(keys.name_of_link(key.decode("utf-8", "replace")))

    def _trust(self, asked_at: float) -> None:
        """Redis has replied to what was asked at `asked_at`."""
        if self._store is not None and self._store.tracks:
            self._trusted_until = max(self._trusted_until, asked_at + LEASE)
            self._renew_at = max(self._renew_at, asked_at + RENEWAL)

    def _renew(self, now: float) -> None:
        self._renew_at = min(now + RENEWAL, self._trusted_until)
        if self._store is not None:
            self._store.ask(lambda _: self._trust(now), b"PING")

    def _be_patient(self) -> None:
        """Wait for the oldest reply that is due."""
        self._wait(self._patience, lambda: self._wait(GRACE, self._give_up))

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        self._stop_waiting()
        self._timeout = self._running_loop.call_later(seconds, then)

    @property
    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()  # a system call
        return self._loop

    def _stop_waiting(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def _give_up(self) -> None:
        """A reply has not come in time.  The connection may be dead and Redis alive."""
        self._away = time.monotonic() - self._oldest >= connections.REDIRECT_TIMEOUT
        self._lost(self._store)

    def _despair(self) -> None:
        """There has been no connection in time."""
        if self._store is None:
            self._away = True
            self._answer_from_memory()

    def _lost(self, store: Tracked | None) -> None:
        """The connection is of no use: connect anew, and read what was being read once more."""
        if store is None or store is not self._store:
            return
        self._counters.add(REDIS_ERRORS)
        store.abort()
        self._store = None
        self._stop_waiting()
        self._term += 1
        self._trusted_until = self._renew_at = 0.0
        reading, self._reading = self._reading, deque()
        for name, asking in chain.from_iterable(batch.items() for _, batch in reading):
            self._waiting.setdefault(name, []).extend(asking)
        if self._away:
            self._answer_from_memory()
        self.open()

    def _answer_from_memory(self) -> None:
        """Answer all who wait, without Redis."""
        waiting, self._waiting = self._waiting, {}
        oldest = time.monotonic() - MAX_AGE
        for name, asking in waiting.items():
            known = self._remembered.get(name)
            if known and known.read_at >= oldest and not known.link.is_gated:
                self._counters.add(CACHE_STALE)
                _tell(asking, known)
            else:
                _tell(asking, StoreAway())

    async def _keep_connecting(self) -> None:
        """Connect.  Once it has failed, whoever asks does not wait for it."""
        timeout = CONNECT_TIMEOUT
        while self._store is None:
            began = time.monotonic()
            try:
                async with asyncio.timeout(timeout):
                    self._store = await self._connect(self._changed, self._lost)
            except (OSError, TimeoutError, connections.StoreError) as error:
                self._counters.add(REDIS_ERRORS)
                self._away = True
                self._answer_from_memory()
                if isinstance(error, TimeoutError):
                    timeout = min(2 * timeout, MAX_CONNECT_TIMEOUT)
                else:
                    self._tried.set()
                await asyncio.sleep(RETRY_PAUSE)
        took = time.monotonic() - began
        self._patience = min(max(PATIENCE, 2 * took), connections.REDIRECT_TIMEOUT - GRACE)
        self._away = False
        self._tried.set()
        self._connecting = None
        self._stop_waiting()
        self._read()


def _tell(asking: Iterable[Then], found: Found) -> None:
    for then in asking:
        try:
            then(found)
        except Exception:  # whatever it is, it costs nobody else an answer
            log.exception("what was found could not be used")
