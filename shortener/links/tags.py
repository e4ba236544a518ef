"""Tags: which there are, and giving one another name or taking it from all links.

A tag is a word in the records of links, and an index in each bucket that follows them.  Renaming
one is long work in small steps, link by link, each a change like any other; a note in the store
says that it is under way, so that whoever repeats the call after a crash finishes it.  The
statistics of the tag go along: they are put aside under a name of their own first, in one step, and
added to the new tag's once.  Clicks that are on their way meanwhile keep the old tag: the link's
and the site's counts do not depend on it.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import msgspec
import redis

from shortener import keys
from shortener.errors import LinkNotFound, TagNotFound, TagTaken
from shortener.links.link import Link
from shortener.links.repository import Links
from shortener.statistics.portions import Portions
from shortener.statistics.stats import Stats, tag_subject

AT_ONCE = 100  # names read of an index


class TagCounts(NamedTuple):
    """A tag, how many links have it, and their clicks by people while they had it."""

    tag: str
    links: int
    clicks: int


class Tags:
    """The tags of a site."""

    def __init__(self, store: redis.Redis, links: Links, stats: Stats) -> None:
        self._store, self._links, self._stats = store, links, stats
        self._portions = Portions(store)

    def list(self) -> "list[TagCounts]":
        """Every tag that has links, in alphabetical order."""
        counts = self._links_by_tag()
        tags = sorted(counts)
        totals = self._stats.totals([tag_subject(tag) for tag in tags])
        return [
            TagCounts(tag, counts[tag], total.clicks)
            for tag, total in zip(tags, totals, strict=True)
        ]

    def names(self) -> Sequence[str]:
        """The same without their counts, which take a look at each."""
        return sorted(self._links_by_tag())

    def _links_by_tag(self) -> dict[str, int]:
        pipeline = self._store.pipeline(transaction=False)
        for bucket in keys.BUCKETS:
            pipeline.hgetall(keys.tags(bucket))
        counts: dict[str, int] = {}
        for part in cast("list[dict[bytes, bytes]]", pipeline.execute()):
            for tag, links in part.items():
                counts[tag.decode()] = counts.get(tag.decode(), 0) + int(links)
        return counts

    def links(self, tag: str) -> int:
        """How many links have it."""
        pipeline = self._store.pipeline(transaction=False)
        for bucket in keys.BUCKETS:
            pipeline.zcard(keys.tag_index(bucket, tag))
        return sum(pipeline.execute())

    def rename(self, tag: str, new: str, now: int) -> TagCounts:
        """Give a tag another name, at `now` (seconds since 1970), with its statistics.

        Raises `TagNotFound`, or `TagTaken` when links have the new one already.
        """
        note = cast("bytes | None", self._store.hget(keys.RETAGS, tag))
        begun = None if note is None else msgspec.json.decode(note, type=tuple[str, str])
        if begun is None or begun[0] != new:
            if not self.links(tag):
                raise TagNotFound
            if new != tag and self.links(new):
                raise TagTaken(f"Links have the tag {new} already.")
            begun = new, secrets.token_hex(8)
        if new != tag:
            self._store.hset(keys.RETAGS, tag, msgspec.json.encode(begun))
            self._retag(tag, lambda tags: _renamed(tags, tag, new), now)
            self._portions.move(tag_subject(tag), tag_subject(new), f"retag {begun[1]}", now)
            self._store.hdel(keys.RETAGS, tag)
        clicks = self._stats.totals([tag_subject(new)])[0].clicks
        return TagCounts(new, self.links(new), clicks)

    def remove(self, tag: str, now: int) -> None:
        """Take a tag from all links, and delete its statistics.  Raises `TagNotFound`."""
        if not self.links(tag):
            raise TagNotFound
        self._retag(tag, lambda tags: tuple(each for each in tags if each != tag), now)
        self._portions.delete(tag_subject(tag), now)

    def _retag(
        self, tag: str, changed: Callable[[tuple[str, ...]], tuple[str, ...]], now: int
    ) -> None:
        """Change the tags of every link that has this one."""

        def rewritten(_: bytes, link: Link) -> Link:
            return msgspec.structs.replace(link, tags=changed(link.tags), updated=now)

        for bucket in keys.BUCKETS:
            index = keys.tag_index(bucket, tag)
            while names := cast("list[bytes]", self._store.zrange(index, 0, AT_ONCE - 1)):
                for name in names:
                    try:
                        self._links.rewrite(name.decode(), rewritten)
                    except LinkNotFound:
                        continue  # deleted just now, and gone from the index with it


def _renamed(tags: tuple[str, ...], tag: str, new: str) -> tuple[str, ...]:
    """The tags with one renamed, once, in their order."""
    return tuple(dict.fromkeys(new if each == tag else each for each in tags))
