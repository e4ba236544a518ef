"""The express: plain new links of an event loop, those of many requests made together.

A plain link is new whatever there is: no alias, no equal link that would do, no request that may
have come before.  Requests that arrive while others are being made share the next two trips to
Redis: one looks their keys up and takes their numbers, the other writes the links (`press`).
Nobody waits for a timer.

For whoever may not make links (any more), and when a code is taken, nothing was made and None is
the answer: the mint makes it or says why not.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import redis

from shortener import connections, keys, pipes
from shortener.accounts import Account, Uses, living
from shortener.codes import Codes
from shortener.errors import Internal, Problem, StoreAway
from shortener.gauges import REDIS_ERRORS, Counters
from shortener.links.link import Link, Wish
from shortener.links.press import CREATE, SHA1, Sheet, sheets
from shortener.links.url_index import entry
from shortener.pipes import Command, Pipe

AT_ONCE = 32  # links that are made together: less than a millisecond of Redis

log = logging.getLogger(__name__)


class Order(NamedTuple):
    """A link that somebody with a key has asked for; `made` is when it is there."""

    digest: str  # the key's SHA-256
    wish: Wish
    now: int  # seconds since 1970
    made: "asyncio.Future[Link | None]"


class Express:
    """Makes links, for one event loop, with keys that `may` do so."""

    def __init__(
        self,
        connect: Callable[[Callable[[Pipe], None]], Awaitable[Pipe]],
        codes: Callable[[], Awaitable[Codes]],
        may: Callable[[Account], bool],
        counters: Counters,
    ) -> None:
        self._connect, self._find_codes, self._may = connect, codes, may
        self._counters = counters
        self._store: Pipe | None = None
        self._codes: Codes | None = None
        self._uses = Uses()
        self._waiting: list[Order] = []
        self._working: asyncio.Task[None] | None = None

    async def make(self, digest: str, wish: Wish, now: int) -> Link | None:
        """The new link; None when nothing was made and the mint is to be asked.

        Raises `StoreAway`; then it may have been made, and nobody was told.
        """
        loop = asyncio.get_running_loop()
        order = Order(digest, wish, now, loop.create_future())
        self._waiting.append(order)
        if self._working is None:
            self._working = loop.create_task(self._work())
        return await order.made

    async def _work(self) -> None:
        """Make what is waited for, until nobody waits."""
        while self._waiting:
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            try:
                async with asyncio.timeout(connections.CALL_TIMEOUT):
                    made = await self._make(batch)
            except (OSError, TimeoutError, connections.StoreError) as error:
                self._counters.add(REDIS_ERRORS)
                if self._store is not None:
                    self._store.abort()
                waiting, self._waiting = [*batch, *self._waiting], []
                self._fail(waiting, _problem(error))
            except Exception:  # whatever it is, it is no reason to make no more
                log.exception("links cannot be made")
                self._fail(batch, Internal())
            else:
                for order, link in zip(batch, made, strict=True):
                    if not order.made.done():
                        order.made.set_result(link)
        self._working = None

    def _fail(self, orders: Sequence[Order], problem: Problem) -> None:
        for order in orders:
            if not order.made.done():
                order.made.set_exception(problem)

    async def _make(self, batch: Sequence[Order]) -> list[Link | None]:
        """Raises `OSError`, and the store's errors."""
        if self._codes is None:
            self._codes = await self._find_codes()
        if self._store is None:
            self._store = await self._connect(self._lost)
        first, accounts = await self._begin(batch, self._store)
        good = [order for order in batch if order.digest in accounts]
        if not good:
            return [None] * len(batch)
        links = [
            order.wish.link(
                number,
                self._codes.make(number, order.wish.length),
                accounts[order.digest].id,
                order.now,
            )
            for number, order in enumerate(good, first)
        ]
        used = [
            ("HSET", keys.KEY_USES, digest, batch[0].now)
            for digest in accounts
            if self._uses.is_due(digest, batch[0].now)
        ]
        made = iter(await _write([order.wish for order in good], links, used, self._store))
        return [next(made) if order.digest in accounts else None for order in batch]

    async def _begin(self, batch: Sequence[Order], store: Pipe) -> tuple[int, dict[str, Account]]:
        """The first of so many numbers, and by the key's digest who may make links."""
        now, digests = batch[0].now, list(dict.fromkeys(order.digest for order in batch))
        asked = ("HMGET", keys.KEYS, *digests), ("INCRBY", keys.NUMBER, len(batch))
        records, last = await _call(store, asked)
        found = {d: living(record, now) for d, record in zip(digests, records, strict=True)}
        able = {d: account for d, account in found.items() if account and self._may(account)}
        return last - len(batch) + 1, able

    def _lost(self, store: Pipe) -> None:
        if store is self._store:
            self._store = None


def _problem(error: Exception) -> Problem:
    """What to tell those for whom nothing was made, or nobody knows."""
    if not isinstance(error, redis.ResponseError) or connections.is_away(error):
        return StoreAway()
    log.error("links cannot be made: %s", error)
    return Internal()


async def _write(
    wishes: Sequence[Wish], links: Sequence[Link], also: Sequence[Command], store: Pipe
) -> list[Link | None]:
    """Write the links whose code is free, and what else there is; the links that were made."""
    written = list(sheets(wishes, links))
    entries = [("ZADD", key, 0, member) for key, member in map(entry, links)]
    answers = await store.call(*map(_script, written), *entries, *also)
    lost = [place for place, answer in enumerate(answers) if _is_unknown(answer)]
    if lost:  # the server was started anew, or has flushed its scripts
        load = ("SCRIPT", "LOAD", CREATE)
        _, *again = await _call(store, [load, *(_script(written[place]) for place in lost)])
        for place, answer in zip(lost, again, strict=True):
            answers[place] = answer
    _check(answers)
    taken: dict[int, Link] = {}
    for sheet, found in zip(written, answers, strict=False):
        taken |= sheet.taken(found)
    others = [links[place] for place, other in taken.items() if other.url != links[place].url]
    if others:
        await _call(store, [("ZREM", key, member) for key, member in map(entry, others)])
    return [None if place in taken else link for place, link in enumerate(links)]


def _script(sheet: Sheet) -> Command:
    return ("EVALSHA", SHA1, 3, *sheet.arguments)


def _is_unknown(answer: Any) -> bool:
    return pipes.is_error(answer) and str(answer).startswith("NOSCRIPT")


async def _call(store: Pipe, commands: Sequence[Command]) -> list[Any]:
    """The replies.  Raises `OSError`, and `ResponseError` for the first that is an error."""
    replies = await store.call(*commands)
    _check(replies)
    return replies


def _check(replies: Sequence[Any]) -> None:
    for reply in replies:
        if pipes.is_error(reply):
            raise redis.ResponseError(str(reply))
