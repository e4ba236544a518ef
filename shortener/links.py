"""Links: make, find, list, delete.

A link is one JSON string under its name, and an entry in the index of its bucket, scored by its
place: by age.  Both are written by one script, decided by whether the name is free: of two requests
for one alias the first wins, and the other is told.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec
import redis

from shortener import keys
from shortener.cells import statistics
from shortener.codes import RANDOM_FROM, Codes
from shortener.errors import Changed, CodesExhausted, CodeTaken, LinkNotFound
from shortener.link import Link, Wish, check_times, decode, encode, version

MAX_LEAPS = 24  # numbers tried until a free code is found; the last leap is 2**23 numbers wide

# KEYS[1] the record's key  KEYS[2] the bucket's index  ARGV record, name, place
# Answers the record that has the name already, or nothing when this one took it.
CREATE = """
local taken = redis.call('GET', KEYS[1])
if taken then return taken end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
return false
"""

# KEYS[1] the record's key  KEYS[2] the bucket's index  KEYS[3] its ranks
# KEYS[4...] the link's statistics  ARGV[1] the name  ARGV[2] the link's place
# ARGV[3] its entry in the ranks.  Answers 1, or 0 when another link has the name.
DELETE = """
if tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or -1) ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[3])
for i = 4, #KEYS do redis.call('DEL', KEYS[i]) end
return redis.call('DEL', KEYS[1])
"""


# KEYS[1] the record's key  KEYS[2] the link's uses  KEYS[3] its totals
# ARGV[1] the record as it was read  ARGV[2] as it should be  ARGV[3] 1 if that has max_clicks
# Answers 1, or the record as it is meanwhile, or nothing when it is gone.  A link that is limited
# from now on has used up the clicks it had; those still on their way are added by the tally.
CHANGE = """
local found = redis.call('GET', KEYS[1])
if found ~= ARGV[1] then return found end
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[2])
elseif redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SET', KEYS[2], redis.call('HGET', KEYS[3], 'c') or 0)
end
return 1
"""

# KEYS[1] the record's key  KEYS[2] the link's uses  ARGV[1] the link's number
# Answers 1 when this visitor may go on, 0 when the link is used up, nothing when it is gone.
TAKE = """
local record = redis.call('GET', KEYS[1])
if not record then return false end
local link = cjson.decode(record)
if link.n ~= tonumber(ARGV[1]) then return false end
if not link.mx then return 1 end
if tonumber(redis.call('GET', KEYS[2]) or 0) >= link.mx then return 0 end
redis.call('INCR', KEYS[2])
return 1
"""


class Page(NamedTuple):
    """A stretch of the list, newest first; `next_place` is where the next one begins."""

    links: list[Link]
    next_place: int | None
    total: int


class Links:
    """The links of a site.  Every method may raise the store's errors."""

    def __init__(self, store: redis.Redis, codes: Callable[[], Codes], code_length: int) -> None:
        """`codes` is asked when the first code is made: the salt lies in the store."""
        self._store, self._codes, self._length = store, codes, code_length
        self._create = store.register_script(CREATE)
        self._delete = store.register_script(DELETE)
        self._change = store.register_script(CHANGE)
        self._take = store.register_script(TAKE)

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
            link = _made(wish, number, self._code(number, wish.length), by, now)
            if self._put(link) is None:
                return link, True
            number = int(self._store.incrby(keys.NUMBER, 1 << leap))
        raise CodesExhausted

    def get(self, name: str) -> Link:
        """The link with this name.  Raises `LinkNotFound`."""
        return decode(self._record(name))

    def change(
        self, name: str, fields: Mapping[str, Any], now: int, expected: str | None = None
    ) -> Link:
        """Change fields of a link, at `now` (seconds since 1970); answers what it is then.

        Of two changes at once both hold, one after the other.  Raises `LinkNotFound`, or
        `Changed` when `expected` is given and is not its version any more.
        """
        record = self._record(name)
        while True:
            if expected is not None and version(record) != expected:
                raise Changed
            link = msgspec.structs.replace(decode(record), **fields, updated=now)
            check_times(link.starts, link.expires)
            bucket, number = keys.bucket(name), link.number
            found = self._change(
                keys=[
                    keys.link(name),
                    keys.uses(bucket, number),
                    keys.totals(bucket, str(number)),
                ],
                args=[record, encode(link), int(link.max_clicks is not None)],
            )
            if found == 1:
                return link
            if found is None:
                raise LinkNotFound
            record = cast("bytes", found)

    def take(self, link: Link) -> bool:
        """Let one visitor through a link with `max_clicks`; False when it is used up.

        However many ask at once, not one too many gets through.  Raises `LinkNotFound`.
        """
        bucket = keys.bucket(link.name)
        touched = [keys.link(link.name), keys.uses(bucket, link.number)]
        taken = self._take(keys=touched, args=[link.number])
        if taken is None:
            raise LinkNotFound
        return bool(taken)

    def uses(self, links: Sequence[Link]) -> list[int]:
        """How many visitors each link has let through; 0 for those without `max_clicks`."""
        limited = [link for link in links if link.max_clicks is not None]
        pipeline = self._store.pipeline(transaction=False)
        for link in limited:
            pipeline.get(keys.uses(keys.bucket(link.name), link.number))
        counts = pipeline.execute() if limited else []
        used = {link.number: int(n or 0) for link, n in zip(limited, counts, strict=True)}
        return [used.get(link.number, 0) for link in links]

    def delete(self, name: str, now: int) -> None:
        """Delete a link and its statistics.  Raises `LinkNotFound`, also for whoever comes second.

        The script deletes the link whose number was read, not one that took its name meanwhile.
        """
        link = self.get(name)
        bucket, subject = keys.bucket(name), str(link.number)
        touched = [
            keys.link(link.name),
            keys.index(bucket),
            keys.ranks(bucket),
            keys.uses(bucket, link.number),
            *statistics(bucket, subject, now),
        ]
        if not self._delete(keys=touched, args=[name, link.place, rank_entry(link)]):
            raise LinkNotFound

    def page(self, limit: int, below: int | None = None) -> Page:
        """At most `limit` links, newest first, with places less than `below`.

        Places do not change, so a link is reached once however many are made while one is paging.
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
            ((int(place), name.decode()) for part in answers[::2] for name, place in part),
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

    def _record(self, name: str) -> bytes:
        record = cast("bytes | None", self._store.get(keys.link(name)))
        if record is None:
            raise LinkNotFound
        return record

    def _code(self, number: int, length: int) -> str:
        length = max(length, self._length)
        if length >= RANDOM_FROM:
            return self._codes().draw(length)
        return self._codes().encode(number, length)

    def _put(self, link: Link) -> Link | None:
        """Store a link if its name is free; otherwise answer the link that has it."""
        touched = [keys.link(link.name), keys.index(keys.bucket(link.name))]
        taken = self._create(keys=touched, args=[encode(link), link.name, link.place])
        return decode(cast("bytes", taken)) if taken else None


def rank_entry(link: Link) -> str:
    """The link in the ranks of its bucket: those of equal clicks are ordered by age."""
    return f"{link.place:016d}{link.name}"


def _made(wish: Wish, number: int, code: str, by: str, now: int) -> Link:
    fields: dict[str, Any] = {"domain": wish.domain, "status": wish.status} | wish.fields
    return Link(v=1, number=number, code=code, created=now, by=by, **fields)
