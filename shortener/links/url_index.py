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
from shortener.links.link import Link, decode

# KEYS the sets  ARGV their new members, one each
ENTER = """
local answers = {}
for i, key in ipairs(KEYS) do answers[i] = redis.call('ZADD', key, 0, ARGV[i]) end
return answers
"""

# KEYS the sets  ARGV[1] at most so many of each, then what members of each begin with
# Answers for each those that do.
MEMBERS = """
local answers = {}
for i, key in ipairs(KEYS) do
  local begin = ARGV[i + 1]
  answers[i] = redis.call(
    'ZRANGEBYLEX', key, '[' .. begin, '(' .. begin .. '\\255', 'LIMIT', 0, ARGV[1])
end
return answers
"""

FEW = 10  # links to one URL that are asked for together with those to others
DIGEST = 8  # bytes of a URL's BLAKE2b; another URL with the same ones is told by its record


class UrlIndex:
    """The index of a site."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store

    def add(self, links: Iterable[Link]) -> None:
        """Enter links under their URLs; once more does nothing."""
        batches.each(self._store, ENTER, [entry(link) for link in links])

    def remove(self, name: str, url: str) -> None:
        """A link of this name no longer leads to `url`; should it do so again by now, it is entered
        again."""
        key, digest = place(url)
        pipeline = self._store.pipeline(transaction=False)
        pipeline.zrem(key, digest + name.encode())
        pipeline.get(keys.link(name))
        record = cast("bytes | None", pipeline.execute()[1])
        if record is not None and (link := decode(record)).url == url:
            self.add([link])

    def names(self, urls: Sequence[str]) -> list[list[str]]:
        """For each URL the names of the links that may lead there."""
        places = {url: place(url) for url in urls}
        answers = batches.each(self._store, MEMBERS, list(places.values()), FEW)
        found = dict(zip(places, answers, strict=True))
        many = [url for url, members in found.items() if len(members) == FEW]
        pipeline = self._store.pipeline(transaction=False)
        for url in many:  # each by itself: others have their turn in between
            key, begin = places[url]
            pipeline.zrangebylex(key, b"[" + begin, b"(" + begin + b"\xff")
        found |= zip(many, pipeline.execute() if many else (), strict=True)
        names = {url: names_in(members) for url, members in found.items()}
        return [names[url] for url in urls]


def entry(link: Link) -> tuple[str, bytes]:
    """The set that a link is entered in, and its member there."""
    key, digest = place(link.url)
    return key, digest + link.name.encode()


def names_in(members: Iterable[bytes]) -> list[str]:
    """The names of links in members of a set."""
    return [member[DIGEST:].decode() for member in members]


def place(url: str) -> tuple[str, bytes]:
    """Where the links that lead to a URL are entered: a set, and what their members begin with."""
    digest = hashlib.blake2b(url.encode(), digest_size=DIGEST).digest()
    return keys.urls(keys.bucket(url), digest), digest
