"""The press: writes links whose names are free.

A link is a record under its name, an entry in the index of its bucket and one for each of its tags,
written by one script that is decided by whether the name is free: of two requests for one alias the
first wins, and the other is told.  The index of URLs, in other buckets, is written in the same trip
right behind it: whoever repeats a request finishes what was begun.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import redis
from redis.exceptions import NoScriptError

from shortener import keys
from shortener.links import batches, wanted
from shortener.links.link import Link, Wish, decode, encode
from shortener.links.url_index import ENTER, UrlIndex, entering
from shortener.links.wanted import Held

# KEYS[1] the bucket's index  KEYS[2] its tags  KEYS[3] its notes
# ARGV[1] MessagePack: for each link record's key, name, place, record; and where there are tags,
#   uses or statistics that follow: [tag's index, tag, ...], key of its uses, uses, note
# Answers for each the record that has the name already, or nothing when this one took it.
# What goes wrong with one is told when all others are done.
CREATE = """
local links, answers, entries, wrong = cmsgpack.unpack(ARGV[1]), {}, {}, nil
local records, are_twice = {}, false
for i, link in ipairs(links) do
  local key, record = link[1], link[4]
  are_twice = are_twice or records[key]
  records[2 * i - 1], records[2 * i], records[key] = key, record, true
end
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then wrong = answer end
  return answer
end
local are_free = not are_twice and redis.call('MSETNX', unpack(records)) == 1
for i, link in ipairs(links) do
  local key, name, place, record = unpack(link)
  answers[i] = false
  if are_free or redis.call('SET', key, record, 'NX') then
    entries[#entries + 1] = place
    entries[#entries + 1] = name
  else
    answers[i] = try('GET', key)
  end
end
if #entries > 0 then try('ZADD', KEYS[1], unpack(entries)) end
for i, link in ipairs(links) do
  local _, name, place, _, indices, used, uses, note = unpack(link)
  if indices and not answers[i] then
    for j = 1, #indices, 2 do
      try('ZADD', indices[j], place, name)
      try('HINCRBY', KEYS[2], indices[j + 1], 1)
    end
    if uses > 0 then redis.call('SET', used, uses) end
    if note ~= '' then try('HSET', KEYS[3], note, 0) end
  end
end
return wrong or answers
"""

SHA1 = hashlib.sha1(CREATE.encode(), usedforsecurity=False).hexdigest()


class Press:
    """Writes the links of a site, and enters them in `urls`."""

    def __init__(self, store: redis.Redis, urls: UrlIndex) -> None:
        self._store, self._urls = store, urls

    def put(
        self, wishes: Sequence[Wish], links: Sequence[Link], claims: Sequence[Held] = ()
    ) -> list[Link | None]:
        """Store each link if its name is free; answers the links that have the others' names.

        `wishes` are what the links were made of; the `claims` on them, if any, are let go.
        """
        written = list(sheets(wishes, links))
        taken: dict[int, Link] = {}
        for sheet, answers in zip(written, self._write(written, links, claims), strict=True):
            taken |= sheet.taken(answers)
        for place, other in taken.items():
            if other.url != links[place].url:
                self._urls.remove(links[place].name, links[place].url)
        return [taken.get(place) for place in range(len(links))]

    def _write(
        self, written: "list[Sheet]", links: Sequence[Link], claims: Sequence[Held]
    ) -> list[list[bytes | None]]:
        """Run the script for each sheet, and enter all links under their URLs, in one trip."""
        pipeline = self._store.pipeline(transaction=False)
        if claims:  # which must not go before the links are there: the script's text goes along
            for sheet in written:
                pipeline.eval(CREATE, 3, *sheet.arguments)
            items = [held.entering(link.name) for held, link in zip(claims, links, strict=True)]
            batches.queue(pipeline, wanted.ENTER, items)
            return cast("list[list[bytes | None]]", pipeline.execute()[: len(written)])
        for sheet in written:
            pipeline.evalsha(SHA1, 3, *sheet.arguments)
        batches.queue(pipeline, ENTER, [entering(link) for link in links])
        answers = pipeline.execute(raise_on_error=False)
        unknown = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            pipeline.script_load(CREATE)
            for n in unknown:
                pipeline.evalsha(SHA1, 3, *written[n].arguments)
            for n, answer in zip(unknown, pipeline.execute()[1:], strict=True):
                answers[n] = answer
        for answer in answers:
            if isinstance(answer, redis.RedisError):
                raise answer
        return answers[: len(written)]


class Sheet(NamedTuple):
    """What one script writes: links of one bucket, at most `AT_ONCE`, by their places among all."""

    places: Sequence[int]
    arguments: Sequence[str | bytes]  # of the script, its three keys first

    def taken(self, answers: Sequence[bytes | None]) -> dict[int, Link]:
        """What the script answered: by place the links that have the others' names."""
        found = zip(self.places, answers, strict=True)
        return {place: decode(record) for place, record in found if record}


def sheets(wishes: Sequence[Wish], links: Sequence[Link]) -> Iterator[Sheet]:
    """Links, and what they were made of, by bucket, in few sheets."""
    for bucket, places in batches.by_bucket(keys.bucket(link.name) for link in links):
        packed = batches.pack([_packed(bucket, wishes[place], links[place]) for place in places])
        touched = [keys.index(bucket), keys.tags(bucket), keys.once(bucket)]
        yield Sheet(places, [*touched, packed])


def _packed(bucket: str, wish: Wish, link: Link) -> list[object]:
    name = link.name
    packed: list[object] = [keys.link_prefix(bucket) + name, name, str(link.place)]
    packed.append(encode(link).decode())
    if link.tags or wish.arrival:
        indices = [part for tag in link.tags for part in (keys.tag_index(bucket, tag), tag)]
        uses, note = wish.arrival or (0, "")
        packed += indices, keys.uses(bucket, link.number), uses, note
    return packed
