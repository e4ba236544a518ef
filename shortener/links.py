"""Links: make, find, list, delete.

A link is one JSON string under its name, and an entry in the index of its bucket, scored by its
number, which says in what order links were made.  Both are written by one script, decided by
whether the name is free: of two requests for one alias the first wins, and the other is told.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import msgspec
import redis

from shortener import keys
from shortener.cells import kept_weeks, kept_years
from shortener.codes import RANDOM_FROM, Codes
from shortener.errors import CodesExhausted, CodeTaken, LinkNotFound

MAX_LEAPS = 24  # numbers tried until a free code is found; the last leap is 2**23 numbers wide

# KEYS[1] the record's key  KEYS[2] the bucket's index  ARGV record, name, number
# Answers the record that has the name already, or nothing when this one took it.
CREATE = """
local taken = redis.call('GET', KEYS[1])
if taken then return taken end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
return false
"""

# KEYS[1] the record's key  KEYS[2] the bucket's index  KEYS[3...] its statistics
# ARGV[1] the name  ARGV[2] the link's number.  Answers 1, or 0 when another link has the name.
DELETE = """
if tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or -1) ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
for i = 3, #KEYS do redis.call('DEL', KEYS[i]) end
return redis.call('DEL', KEYS[1])
"""


class Link(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The stored record.  Times are seconds since 1970; what has its default is left out."""

    v: int = msgspec.field(name="v")  # schema version of this record
    number: int = msgspec.field(name="n")
    code: str = msgspec.field(name="c")
    url: str = msgspec.field(name="u")
    created: int = msgspec.field(name="at")
    by: str = msgspec.field(name="by")  # id of the API key that made it
    status: int = msgspec.field(name="st", default=302)
    title: str | None = msgspec.field(name="t", default=None)
    tags: tuple[str, ...] = msgspec.field(name="tg", default=())
    expires: int | None = msgspec.field(name="ex", default=None)
    updated: int | None = msgspec.field(name="up", default=None)


class Wish(msgspec.Struct, frozen=True):
    """What a new link should be, checked and normalised; `given` names what was asked for."""

    url: str
    status: int
    code: str | None = None
    title: str | None = None
    tags: tuple[str, ...] = ()
    expires: int | None = None
    given: frozenset[str] = frozenset()

    def is_met_by(self, link: Link) -> bool:
        """Whether `link` equals the wish in every given field."""
        return all(getattr(self, name) == getattr(link, name) for name in self.given)


class Page(NamedTuple):
    """A stretch of the list, newest first; `next_number` is where the next one begins."""

    links: list[Link]
    next_number: int | None
    total: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Link).decode


def decode(record: bytes) -> Link:
    """The link in a stored record."""
    return _decode(record)


class Links:
    """The links of a site.  Every method may raise the store's errors."""

    def __init__(self, store: redis.Redis, codes: Callable[[], Codes], code_length: int) -> None:
        """`codes` is asked when the first code is made: the salt lies in the store."""
        self._store, self._codes, self._length = store, codes, code_length
        self._create = store.register_script(CREATE)
        self._delete = store.register_script(DELETE)

    def create(self, wish: Wish, by: str, now: int) -> tuple[Link, bool]:
        """Make a link, at `now` (seconds since 1970), for the API key with the id `by`.

        Answers the link and whether it is new: a custom alias asked for again by the same key with
        the same fields is a retry, and answers what is there.  Raises `CodeTaken`, or
        `CodesExhausted` after `MAX_LEAPS` tries.
        """
        number = int(self._store.incr(keys.NUMBER))
        if wish.code is not None:
            link = _made(wish, number, wish.code, by, now)
            taken = self._put(link)
            if taken is None:
                return link, True
            if taken.by == by and wish.is_met_by(taken):
                return taken, False
            raise CodeTaken(f"{wish.code} is the code of another link.")
        for leap in range(MAX_LEAPS):
            link = _made(wish, number, self._code(number), by, now)
            if self._put(link) is None:
                return link, True
            number = int(self._store.incrby(keys.NUMBER, 1 << leap))
        raise CodesExhausted

    def get(self, code: str) -> Link:
        """The link with this normalised code.  Raises `LinkNotFound`."""
        record = cast("bytes | None", self._store.get(keys.link(code)))
        if record is None:
            raise LinkNotFound
        return decode(record)

    def delete(self, code: str, now: int) -> None:
        """Delete a link and its statistics.  Raises `LinkNotFound`, also for whoever comes second.

        The script deletes the link whose number was read, not one that took its name meanwhile.
        """
        link = self.get(code)
        bucket, subject = keys.bucket(code), str(link.number)
        statistics = [
            keys.totals(bucket, subject),
            *(keys.quarters(bucket, subject, week) for week in kept_weeks(now)),
            *(keys.days(bucket, subject, year) for year in kept_years(now)),
        ]
        touched = [keys.link(code), keys.index(bucket), *statistics]
        if not self._delete(keys=touched, args=[code, link.number]):
            raise LinkNotFound

    def page(self, limit: int, below: int | None = None) -> Page:
        """At most `limit` links, newest first, with numbers less than `below`.

        Numbers only grow, so a link is reached once however many are made while one is paging.
        """
        pipeline = self._store.pipeline(transaction=False)
        highest = f"({below}" if below is not None else "+inf"
        for bucket in keys.BUCKETS:
            pipeline.zrevrangebyscore(
                keys.index(bucket), highest, "-inf", start=0, num=limit + 1, withscores=True
            )
            pipeline.zcard(keys.index(bucket))
        answers = pipeline.execute()
        entries = sorted(
            ((int(number), name.decode()) for part in answers[::2] for name, number in part),
            reverse=True,
        )
        chosen = entries[:limit]
        links = self._read([name for _, name in chosen])
        following = chosen[-1][0] if len(entries) > limit else None
        return Page([link for link in links if link is not None], following, sum(answers[1::2]))

    def _read(self, names: list[str]) -> list[Link | None]:
        pipeline = self._store.pipeline(transaction=False)
        for name in names:
            pipeline.get(keys.link(name))
        return [decode(record) if record else None for record in pipeline.execute()]

    def _code(self, number: int) -> str:
        if self._length >= RANDOM_FROM:
            return self._codes().draw(self._length)
        return self._codes().encode(number)

    def _put(self, link: Link) -> Link | None:
        """Store a link if its name is free; otherwise answer the link that has it."""
        touched = [keys.link(link.code), keys.index(keys.bucket(link.code))]
        taken = self._create(keys=touched, args=[_encode(link), link.code, link.number])
        return decode(cast("bytes", taken)) if taken else None


def _made(wish: Wish, number: int, code: str, by: str, now: int) -> Link:
    return Link(
        v=1,
        number=number,
        code=code,
        url=wish.url,
        created=now,
        by=by,
        status=wish.status,
        title=wish.title,
        tags=wish.tags,
        expires=wish.expires,
    )
