"""Links: find, change, delete, and count visitors through a gate.

A link is one JSON string under its name, an entry in the index of its bucket, scored by its place
(by age), and one for each of its tags: in one bucket, changed by one script.  A change is decided
by whether the record is still what was read, so of two at once both hold, one after the other.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec
import redis

from shortener import keys
from shortener.errors import Changed, LinkNotFound
from shortener.links.link import Link, check_times, decode, encode, version
from shortener.links.url_index import UrlIndex
from shortener.statistics.cells import statistics, visitors

# KEYS[1] the record's key  KEYS[2] the bucket's index  KEYS[3] its tags  KEYS[4] its ranks
# KEYS[5...] the index of each tag, then the link's statistics  ARGV[1] the record as it was read
# ARGV[2] the name  ARGV[3] its entry in the ranks  ARGV[4...] the tags
# Answers 1, or the record as it is meanwhile, or nothing when it is gone.
DELETE = """
local found = redis.call('GET', KEYS[1])
if found ~= ARGV[1] then return found end
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[4], ARGV[3])
for i = 4, #ARGV do
  redis.call('ZREM', KEYS[i + 1], ARGV[2])
  if redis.call('HINCRBY', KEYS[3], ARGV[i], -1) <= 0 then redis.call('HDEL', KEYS[3], ARGV[i]) end
end
for i = #ARGV + 2, #KEYS do redis.call('DEL', KEYS[i]) end
return redis.call('DEL', KEYS[1])
"""

# KEYS[1] the record's key  KEYS[2] the link's uses  KEYS[3] its totals  KEYS[4] the bucket's tags
# KEYS[5...] the index of each tag that changes  ARGV[1] the record as it was read  ARGV[2] as it
# should be  ARGV[3] 1 if that has max_clicks  ARGV[4] the name  ARGV[5] the place
# ARGV[6] how many tags go  ARGV[7...] the tags that go, then those that come
# Answers 1, or the record as it is meanwhile, or nothing when it is gone.  A link that is limited
# from now on has used up the clicks it had; those still on their way are added by the tally.
CHANGE = """
local found = redis.call('GET', KEYS[1])
if found ~= ARGV[1] then return found end
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[2])
elseif redis.call('EXISTS', KEYS[2]) == 0 then
  local people, bots = redis.call('HGET', KEYS[3], 'c') or 0, redis.call('HGET', KEYS[3], 'b') or 0
  redis.call('SET', KEYS[2], string.format('%.0f', people + bots))
end
local going = tonumber(ARGV[6])
for i = 5, #KEYS do
  local tag = ARGV[i + 2]
  if i - 4 > going then
    redis.call('ZADD', KEYS[i], ARGV[5], ARGV[4])
    redis.call('HINCRBY', KEYS[4], tag, 1)
  else
    redis.call('ZREM', KEYS[i], ARGV[4])
    if redis.call('HINCRBY', KEYS[4], tag, -1) <= 0 then redis.call('HDEL', KEYS[4], tag) end
  end
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

READ_AT_ONCE = 1_000  # records in one command: less than a millisecond


class Links:
    """The links of a site.  Every method may raise the store's errors."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store
        self._urls = UrlIndex(store)
        self._delete = store.register_script(DELETE)
        self._change = store.register_script(CHANGE)
        self._take = store.register_script(TAKE)

    def get(self, name: str) -> Link:
        """The link with this name.  Raises `LinkNotFound`."""
        return decode(self._record(name))

    def read(self, names: Sequence[str]) -> list[Link | None]:
        """The links with these names, or None."""
        return [None if r is None else decode(r) for r in self.records(names)]

    def records(self, names: Sequence[str]) -> list[bytes | None]:
        """The records with these names, or None."""
        found: dict[str, bytes | None] = {}
        for start in range(0, len(names), READ_AT_ONCE):
            buckets: dict[str, list[str]] = {}
            for name in names[start : start + READ_AT_ONCE]:
                buckets.setdefault(keys.bucket(name), []).append(name)
            pipeline = self._store.pipeline(transaction=False)
            for some in buckets.values():
                pipeline.mget(keys.link(name) for name in some)
            for some, records in zip(buckets.values(), pipeline.execute(), strict=True):
                found |= zip(some, records, strict=True)
        return [found[name] for name in names]

    def change(
        self, name: str, fields: Mapping[str, Any], now: int, expected: str | None = None
    ) -> Link:
        """Change fields of a link, at `now` (seconds since 1970); answers what it is then.

        Of two changes at once both hold, one after the other.  Raises `LinkNotFound`, or
        `Changed` when `expected` is given and is not its version any more.
        """

        def changed(record: bytes, link: Link) -> Link:
            if expected is not None and version(record) != expected:
                raise Changed
            link = msgspec.structs.replace(link, **fields, updated=now)
            check_times(link.starts, link.expires)
            return link

        return self.rewrite(name, changed)

    def rewrite(self, name: str, changed: Callable[[bytes, Link], Link]) -> Link:
        """Make a link what `changed` says, as often as somebody else changes it meanwhile.

        It is given the record and the link in it.  Raises `LinkNotFound`.
        """
        record = self._record(name)
        while True:
            before = decode(record)
            link = changed(record, before)
            if link.url != before.url:
                self._urls.add([link])
            found = self._swap(record, before, link)
            if found == 1:
                if link.url != before.url:
                    self._urls.add([link])  # whoever took it out before did not see this change
                    self._urls.remove(name, before.url)
                return link
            if found is None:
                raise LinkNotFound
            record = cast("bytes", found)

    def _swap(self, record: bytes, before: Link, link: Link) -> object:
        bucket, number = keys.bucket(link.name), link.number
        going = [tag for tag in before.tags if tag not in link.tags]
        coming = [tag for tag in link.tags if tag not in before.tags]
        touched = [
            keys.link(link.name),
            keys.uses(bucket, number),
            keys.totals(bucket, str(number)),
            keys.tags(bucket),
            *(keys.tag_index(bucket, tag) for tag in [*going, *coming]),
        ]
        limited = int(link.max_clicks is not None)
        args: list[Any] = [
            record,
            encode(link),
            limited,
            link.name,
            link.place,
            len(going),
            *going,
            *coming,
        ]
        return self._change(keys=touched, args=args)

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

        What is deleted is the link that was found, not one that took its name meanwhile.
        """
        record = self._record(name)
        number = decode(record).number
        while True:
            link = decode(record)
            if link.number != number:
                raise LinkNotFound
            found = self._remove(record, link, now)
            if found == 1:
                self._urls.remove(name, link.url)
                return
            if found is None:
                raise LinkNotFound
            record = cast("bytes", found)

    def _remove(self, record: bytes, link: Link, now: int) -> object:
        bucket = keys.bucket(link.name)
        touched = [
            keys.link(link.name),
            keys.index(bucket),
            keys.tags(bucket),
            keys.ranks(bucket),
            *(keys.tag_index(bucket, tag) for tag in link.tags),
            keys.uses(bucket, link.number),
            *statistics(bucket, str(link.number), now),
            *visitors(bucket, str(link.number), now),
        ]
        args: list[Any] = [record, link.name, rank_entry(link), *link.tags]
        return self._delete(keys=touched, args=args)

    def _record(self, name: str) -> bytes:
        record = cast("bytes | None", self._store.get(keys.link(name)))
        if record is None:
            raise LinkNotFound
        return record


def rank_entry(link: Link) -> str:
    """The link in the ranks of its bucket: those of equal clicks are ordered by age."""
    return f"{link.place:016d}{link.name}"
