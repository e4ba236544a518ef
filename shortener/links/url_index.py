"""Which links lead to a URL: behind `find_existing`.

An entry is a digest of the URL and the link's name, in small sorted sets that the store packs
tightly.  The index lies in the URL's bucket and the link in that of its name, so it may be behind:
an entry without its link, or whose link leads elsewhere by now, means nothing, and whoever makes or
changes a link writes the entry before the answer.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import redis

from shortener import keys
from shortener.links.link import Link

DIGEST = 8  # bytes of a URL's BLAKE2b; another URL with the same ones is told by its record


class _Entry(NamedTuple):
    key: str
    digest: bytes


class UrlIndex:
    """The index of a site."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store

    def add(self, links: Iterable[Link]) -> None:
        """Enter links under their URLs; once more does nothing."""
        pipeline = self._store.pipeline(transaction=False)
        self.enter(links, pipeline)
        pipeline.execute()

    def enter(self, links: Iterable[Link], pipeline: Any) -> None:
        """The same as part of a `pipeline`."""
        for link in links:
            entry = _entry(link.url)
            pipeline.zadd(entry.key, {entry.digest + link.name.encode(): 0})

    def remove(self, name: str, url: str) -> None:
        """A link of this name no longer leads to `url`."""
        entry = _entry(url)
        self._store.zrem(entry.key, entry.digest + name.encode())

    def names(self, urls: Sequence[str]) -> list[list[str]]:
        """For each URL the names of the links that may lead there."""
        pipeline = self._store.pipeline(transaction=False)
        for url in urls:
            entry = _entry(url)
            pipeline.zrangebylex(entry.key, b"[" + entry.digest, b"(" + entry.digest + b"\xff")
        answers = cast("list[list[bytes]]", pipeline.execute())
        return [[member[DIGEST:].decode() for member in answer] for answer in answers]


def _entry(url: str) -> _Entry:
    digest = hashlib.blake2b(url.encode(), digest_size=DIGEST).digest()
    return _Entry(keys.urls(keys.bucket(url), digest), digest)
