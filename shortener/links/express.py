"""The express: plain new links of an event loop, those of many requests made together.

A plain link is new whatever there is: no alias, no equal link that would do, no request that may
have come before.  Requests that arrive while others are being made share the next two trips to
Redis: one looks their keys up and takes their numbers, the other writes the links (`press`).
Nobody waits for a timer.

For whoever may not make links (any more), and when a code is taken, nothing was made and None is
the answer: the mint makes it or says why not.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import redis

from shortener import connections, keys, pipes
from shortener.accounts import Account, Uses, living
from shortener.codes import Codes
from shortener.errors import Internal, Problem, StoreAway
from shortener.gauges import REDIS_ERRORS, Counters
from shortener.links.link import Link, Wish, decode
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


Outcome = Link | Problem | None  # a new link, or why there is none; None: ask the mint


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

        Raises `StoreAway` and `Internal`; then it may have been made, and nobody was told.
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
                has_failed = any(isinstance(outcome, Problem) for outcome in made)
            except redis.ResponseError as error:
                made, has_failed = [_problem(error) for _ in batch], True
            except (OSError, TimeoutError, connections.StoreError):
                self._hang_up()
                batch, self._waiting = [*batch, *self._waiting], []
                made, has_failed = [StoreAway() for _ in batch], True
            except Exception:  # whatever it is, it is no reason to make no more
                log.exception("links cannot be made")
                made, has_failed = [Internal() for _ in batch], False
            if has_failed:
                self._counters.add(REDIS_ERRORS)
            self._end(batch, made)
        self._working = None

    def _end(self, orders: Sequence[Order], outcomes: Sequence[Outcome]) -> None:
        for order, outcome in zip(orders, outcomes, strict=True):
            if order.made.done():  # nobody waits any more
                continue
            if isinstance(outcome, Problem):
                order.made.set_exception(outcome)
            else:
                order.made.set_result(outcome)

    def _hang_up(self) -> None:
        """The connection is of no use."""
        if self._store is not None:
            self._store.abort()
            self._store = None

    async def _make(self, batch: Sequence[Order]) -> list[Outcome]:
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
        now, digests = int(time.time()), list(dict.fromkeys(order.digest for order in batch))
        asked = ("HMGET", keys.KEYS, *digests), ("INCRBY", keys.NUMBER, len(batch))
        records, last = await store.call(*asked)
        for reply in (records, last):
            if pipes.is_error(reply):
                raise redis.ResponseError(str(reply))
        able: dict[str, Account] = {}
        for digest, record in zip(digests, records, strict=True):
            with contextlib.suppress(msgspec.MsgspecError):  # Flask says what is wrong with it
                account = living(record, now)
                if account is not None and self._may(account):
                    able[digest] = account
        return last - len(batch) + 1, able

    def _lost(self, store: Pipe) -> None:
        if store is self._store:
            self._store = None


def _problem(error: Exception) -> Problem:
    """What to tell those whose link Redis refuses to write."""
    if connections.is_away(error):
        return StoreAway()
    log.error("a link cannot be made: %s", error)
    return Internal()


async def _write(
    wishes: Sequence[Wish], links: Sequence[Link], also: Sequence[Command], store: Pipe
) -> list[Outcome]:
    """Write the links whose code is free, and what else there is, which may fail.

    Each is judged by itself: a link is made when its record and its entry are there.
    """
    written, entries = list(sheets(wishes, links)), [entry(link) for link in links]
    enter: list[Command] = [("ZADD", key, 0, member) for key, member in entries]
    answers = await store.call(*map(_script, written), *enter, *also)
    unknown = [place for place, answer in enumerate(answers) if _is_unknown(answer)]
    if unknown:  # the server was started anew, or has flushed its scripts
        again = [("SCRIPT", "LOAD", CREATE), *(_script(written[place]) for place in unknown)]
        _, *known = await store.call(*again)
        for place, answer in zip(unknown, known, strict=True):
            answers[place] = answer
    outcomes: list[Outcome] = list(links)
    wrong: list[Link] = []  # those that were not made, but entered
    for sheet, found in zip(written, answers, strict=False):
        of_each = [found] * len(sheet.places) if pipes.is_error(found) else found
        for place, record in zip(sheet.places, of_each, strict=True):
            if pipes.is_error(record):
                outcomes[place] = _problem(redis.ResponseError(str(record)))
            elif record:
                outcomes[place] = None
                if not _leads_to(record, links[place].url):
                    wrong.append(links[place])
    for place, entered in enumerate(answers[len(written) : len(written) + len(links)]):
        if pipes.is_error(entered) and outcomes[place]:
            outcomes[place] = _problem(redis.ResponseError(str(entered)))
    if wrong:
        await _take_out(wrong, store)
    return outcomes


async def _take_out(wrong: Sequence[Link], store: Pipe) -> None:
    """Take out the entries of links that were not made; where a link of this name leads there by
    now, it is entered again."""
    entries = [entry(link) for link in wrong]
    taking: list[Command] = [("ZREM", *each) for each in entries]
    looking: list[Command] = [("GET", keys.link(link.name)) for link in wrong]
    records = (await store.call(*taking, *looking))[len(wrong) :]
    again: list[Command] = [
        ("ZADD", key, 0, member)
        for link, (key, member), record in zip(wrong, entries, records, strict=True)
        if record and not pipes.is_error(record) and _leads_to(record, link.url)
    ]
    if again:
        await store.call(*again)


def _leads_to(record: bytes, url: str) -> bool:
    try:
        return decode(record).url == url
    except msgspec.MsgspecError:  # whoever asks for that link is told
        return False


def _script(sheet: Sheet) -> Command:
    return ("EVALSHA", SHA1, 3, *sheet.arguments)


def _is_unknown(answer: Any) -> bool:
    return pipes.is_error(answer) and str(answer).startswith("NOSCRIPT")
