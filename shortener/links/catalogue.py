"""The catalogue: which links there are, filtered, in order, a page at a time.

By age alone, or with one tag, a page is read from an index and costs what it shows.  By clicks it
is read from the ranks that the tally keeps.  Every other question (a text, a domain, several tags)
goes through the links of the smallest index that has all that match, a thousand at a time, so the
store holds nobody up: some 2 ms of ours and 1 ms of its own for a thousand links.  That gives up
speed beyond some 100,000 links, and needs no index of words.

Places do not change, so each link is reached once however many are made while one is paging.
"""

from collections.abc import Iterator
from typing import NamedTuple, cast

import redis

from shortener import keys
from shortener.links.filters import Match, Position, Question
from shortener.links.link import Link
from shortener.links.repository import READ_AT_ONCE, Links


class Page(NamedTuple):
    """A stretch of the list; `following` is where the next one begins."""

    links: list[Link]
    following: Position | None
    total: int


class _Entry(NamedTuple):
    place: int
    name: str
    clicks: int = 0


class Catalogue:
    """The list of a site's links."""

    def __init__(self, store: redis.Redis, links: Links) -> None:
        self._store, self._links = store, links

    def page(self, question: Question) -> Page:
        """The links that match, at most `limit`, behind a position."""
        by_clicks = question.sort == "-clicks"
        if by_clicks and question.is_whole:
            entries, total = self._ranked(question)
        elif question.is_indexed and not by_clicks:
            entries, total = self._indexed(question)
        else:
            entries, total = self._matching(question)
        chosen = entries[: question.limit]
        following = None
        if len(entries) > question.limit:
            following = Position(chosen[-1].place, chosen[-1].clicks)
        links = self._links.read([entry.name for entry in chosen])
        return Page([link for link in links if link is not None], following, total)

    def count(self) -> int:
        """How many links there are."""
        pipeline = self._store.pipeline(transaction=False)
        for bucket in keys.BUCKETS:
            pipeline.zcard(keys.index(bucket))
        return sum(pipeline.execute())

    def _indexed(self, question: Question) -> tuple[list[_Entry], int]:
        """One more than asked for, from an index, and how many it has."""
        low, high = question.places
        first, last = low, high
        if question.behind is not None:
            if question.sort == "created":
                first = f"({question.behind.place}"
            else:
                last = f"({question.behind.place}"
        pipeline = self._store.pipeline(transaction=False)
        for key in _index(question.tags):
            if question.sort == "created":
                pipeline.zrangebyscore(key, first, last, 0, question.limit + 1, withscores=True)
            else:
                pipeline.zrevrangebyscore(key, last, first, 0, question.limit + 1, withscores=True)
            pipeline.zcount(key, low, high)
        answers = pipeline.execute()
        entries = [
            _Entry(int(place), name.decode()) for part in answers[::2] for name, place in part
        ]
        return _sorted(entries, question.sort), sum(answers[1::2])

    def _ranked(self, question: Question) -> tuple[list[_Entry], int]:
        """One more than asked for by clicks; links without any come last, newest first."""
        entries: list[_Entry] = []
        for bucket in keys.BUCKETS:
            entries += self._ranked_in(bucket, question)
        entries = _sorted(entries, question.sort)[: question.limit + 1]
        if len(entries) <= question.limit:
            wanted = question.limit + 1 - len(entries)
            behind = question.behind
            below = f"({behind.place}" if behind is not None and not behind.clicks else "+inf"
            unclicked = [
                entry
                for bucket in keys.BUCKETS
                for entry in self._unranked_in(bucket, below, wanted)
            ]
            entries += _sorted(unclicked, question.sort)[:wanted]
        return entries, self.count()

    def _ranked_in(self, bucket: str, question: Question) -> list[_Entry]:
        found: list[_Entry] = []
        behind, start = question.behind, 0
        highest = "+inf" if behind is None else behind.clicks
        at_once = question.limit + 1
        while highest != 0 and len(found) <= question.limit:
            part = cast(
                "list[tuple[bytes, float]]",
                self._store.zrevrangebyscore(
                    keys.ranks(bucket), highest, "(0", start, at_once, withscores=True
                ),
            )
            entries = [_rank(member, clicks) for member, clicks in part]
            found += [entry for entry in entries if _is_behind(entry, behind, "-clicks")]
            if len(part) < at_once:
                break
            start, at_once = start + at_once, READ_AT_ONCE
        return found

    def _unranked_in(self, bucket: str, below: str, wanted: int) -> list[_Entry]:
        found: list[_Entry] = []
        for part in self._through(keys.index(bucket), "-inf", below):
            members = [f"{entry.place:016d}{entry.name}" for entry in part]
            clicks = self._store.zmscore(keys.ranks(bucket), members)
            found += [entry for entry, n in zip(part, clicks, strict=True) if not n]
            if len(found) >= wanted:
                break
        return found

    def _matching(self, question: Question) -> tuple[list[_Entry], int]:
        """All that match behind the position, and how many match at all."""
        match = Match(question)
        low, high = question.places
        entries: list[_Entry] = []
        for bucket, key in self._smallest(question.tags):
            if match.needs_records:
                entries += self._searched(bucket, key, low, high, match)
            else:
                for part in self._through(key, low, high):
                    entries += [entry for entry in part if match.has_name(entry.name)]
        if question.sort == "-clicks":
            clicks = self._clicks()
            entries = [entry._replace(clicks=clicks.get(entry[:2], 0)) for entry in entries]
        left = [e for e in entries if _is_behind(e, question.behind, question.sort)]
        return _sorted(left, question.sort), len(entries)

    def _searched(
        self, bucket: str, key: str, low: str, high: str, match: Match
    ) -> Iterator[_Entry]:
        """What matches in an index of a bucket by what its records say, from high to low."""
        prefix = keys.link_prefix(bucket).encode()
        while True:
            names = cast(
                "list[bytes]", self._store.zrevrangebyscore(key, high, low, 0, READ_AT_ONCE)
            )
            if not names:
                return
            pipeline = self._store.pipeline(transaction=False)
            pipeline.mget([prefix + name for name in names])
            pipeline.zscore(key, names[-1])
            records, place = pipeline.execute()
            if place is None:  # it was deleted just now: read these again, without it
                continue
            for card in match.cards(record for record in records if record is not None):
                yield _Entry(card.place, card.name)
            if len(names) < READ_AT_ONCE:
                return
            high = f"({int(place)}"

    def _smallest(self, tags: tuple[str, ...]) -> list[tuple[str, str]]:
        """Of several tags the index with the fewest links; without any, that of all: by bucket."""
        if len(tags) < 2:
            return list(zip(keys.BUCKETS, _index(tags), strict=True))
        pipeline = self._store.pipeline(transaction=False)
        for tag in tags:
            for key in _index((tag,)):
                pipeline.zcard(key)
        sizes, buckets = pipeline.execute(), len(keys.BUCKETS)
        totals = [sum(sizes[n * buckets : (n + 1) * buckets]) for n in range(len(tags))]
        rarest = tags[totals.index(min(totals))]
        return list(zip(keys.BUCKETS, _index((rarest,)), strict=True))

    def _clicks(self) -> dict[tuple[int, str], int]:
        """Clicks of every link that has any, by place and name."""
        found: dict[tuple[int, str], int] = {}
        for bucket in keys.BUCKETS:
            start = 0
            while part := cast(
                "list[tuple[bytes, float]]",
                self._store.zrange(
                    keys.ranks(bucket), start, start + READ_AT_ONCE - 1, withscores=True
                ),
            ):
                entries = [_rank(member, clicks) for member, clicks in part]
                found |= {(entry.place, entry.name): entry.clicks for entry in entries}
                start += READ_AT_ONCE
        return found

    def _through(self, key: str, low: str, high: str) -> Iterator[list[_Entry]]:
        """An index from its high end to its low one, a thousand entries at a time."""
        while True:
            part = cast(
                "list[tuple[bytes, float]]",
                self._store.zrevrangebyscore(key, high, low, 0, READ_AT_ONCE, withscores=True),
            )
            if part:
                yield [_Entry(int(place), name.decode()) for name, place in part]
            if len(part) < READ_AT_ONCE:
                return
            high = f"({int(part[-1][1])}"


def _index(tags: tuple[str, ...]) -> list[str]:
    """The index of all links, or of those with a tag, in each bucket."""
    if tags:
        return [keys.tag_index(bucket, tags[0]) for bucket in keys.BUCKETS]
    return [keys.index(bucket) for bucket in keys.BUCKETS]


def _rank(member: bytes, clicks: float) -> _Entry:
    """The link that an entry of the ranks speaks of."""
    text = member.decode()
    return _Entry(int(text[:16]), text[16:], int(clicks))


def _sorted(entries: list[_Entry], sort: str) -> list[_Entry]:
    if sort == "-clicks":
        return sorted(entries, key=lambda entry: (entry.clicks, entry.place), reverse=True)
    return sorted(entries, reverse=sort == "-created")


def _is_behind(entry: _Entry, position: Position | None, sort: str) -> bool:
    """Whether an entry comes after the position in the order asked for."""
    if position is None:
        return True
    if sort == "created":
        return entry.place > position.place
    if sort == "-created":
        return entry.place < position.place
    return (entry.clicks, entry.place) < (position.clicks, position.place)
