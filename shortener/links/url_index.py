"""Which links lead to a URL: behind `find_existing`.

An entry is a digest of the URL and the link's name, in small sorted sets that the store packs
tightly.  The index lies in the URL's bucket and the link in that of its name, so it may be behind:
an entry without its link, or whose link leads elsewhere by now, means nothing, and whoever makes or
changes a link writes the entry before the answer.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import cast

import redis

from shortener import keys
from shortener.links import batches
from shortener.links.batches import Item
from shortener.links.link import Link, decode

# Of each a group, and the name of a link to enter
ENTER = """
local answers = {}
for i, said in ipairs(cmsgpack.unpack(ARGV[1])) do
  local digest = string.sub(ARGV[2], 8 * i - 7, 8 * i)
  answers[i] = redis.call('ZADD', KEYS[1] .. said[1], 0, digest .. said[2])
end
return answers
"""

# Of each a group  ARGV[3] at most so many members of it
# Answers for each those that begin with its digest.
MEMBERS = """
local answers = {}
for i, said in ipairs(cmsgpack.unpack(ARGV[1])) do
  local digest = string.sub(ARGV[2], 8 * i - 7, 8 * i)
  answers[i] = redis.call(
    'ZRANGEBYLEX', KEYS[1] .. said[1], '[' .. digest, '(' .. digest .. '\\255', 'LIMIT', 0, ARGV[3])
end
return answers
"""

FEW = 10  # links to one URL that are asked for together with those to others
# bytes of a URL's BLAKE2b, which the scripts cut by; another URL with the same ones is told by its
# record
DIGEST = 8


class UrlIndex:
    """The index of a site."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store

    def add(self, links: Iterable[Link]) -> None:
        """Enter links under their URLs; once more does nothing."""
        batches.each(self._store, ENTER, [entering(link) for link in links])

    def remove(self, name: str, url: str) -> None:
        """A link of this name no longer leads to `url`; should it do so again by now, it is entered
        again."""
        bucket, digest = place(url)
        pipeline = self._store.pipeline(transaction=False)
        pipeline.zrem(keys.urls(bucket, digest), digest + name.encode())
        pipeline.get(keys.link(name))
        record = cast("bytes | None", pipeline.execute()[1])
        if record is not None and (link := decode(record)).url == url:
            self.add([link])

    def names(self, urls: Sequence[str]) -> list[list[str]]:
        """For each URL the names of the links that may lead there."""
        places = {url: place(url) for url in urls}
        items = [Item(*each, (keys.url_group(each[1]),)) for each in places.values()]
        answers = batches.each(self._store, MEMBERS, items, FEW)
        found = dict(zip(places, answers, strict=True))
        many = [url for url, members in found.items() if len(members) == FEW]
        pipeline = self._store.pipeline(transaction=False)
        for url in many:  # each by itself: others have their turn in between
            bucket, begin = places[url]
            key = keys.urls(bucket, begin)
            pipeline.zrangebylex(key, b"[" + begin, b"(" + begin + b"\xff")
        found |= zip(many, pipeline.execute() if many else (), strict=True)
        names = {url: names_in(members) for url, members in found.items()}
        return [names[url] for url in urls]


def entry(link: Link) -> tuple[str, bytes]:
    """The set that a link is entered in, and its member there."""
    bucket, digest = place(link.url)
    return keys.urls(bucket, digest), digest + link.name.encode()


def entering(link: Link) -> Item:
    """What `ENTER` is told about a link."""
    bucket, digest = place(link.url)
    return Item(bucket, digest, (keys.url_group(digest), link.name))


def names_in(members: Iterable[bytes]) -> list[str]:
    """The names of links in members of a set."""
    return [member[DIGEST:].decode() for member in members]


def place(url: str) -> tuple[str, bytes]:
    """Where the links that lead to a URL are entered: a bucket, and the digest that tells the set
    and that its members begin with."""
    return keys.bucket(url), hashlib.blake2b(url.encode(), digest_size=DIGEST).digest()
