"""Which links lead to a URL: behind `find_existing`.

An entry is a digest of the URL and a link's name, in small sorted sets that the store packs
tightly.  The index lies in the URL's bucket and the link in that of its name.  Whoever makes or
changes a link enters it before the answer, and whoever deletes one takes its entry out first: so an
entry without its link is one that is being made (`offers`), or whose maker has died.  One whose
link leads elsewhere by now means nothing.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import redis

from shortener import keys
from shortener.links import batches
from shortener.links.link import Link

# KEYS the sets  ARGV their new members, one each
ENTER = """
local answers = {}
for i, key in ipairs(KEYS) do answers[i] = redis.call('ZADD', key, 0, ARGV[i]) end
return answers
"""

# KEYS the sets  ARGV[1] at most so many members are answered where none was seen, then for each set
# what its members begin with, the SHA-1 of those that were seen or '', and how many new ones follow
# Answers nothing for each where there are none but those seen: there the new ones are entered.
# For the others it answers those that are there, and where no new ones follow.
OFFER = """
local answers, at = {}, 2
for i, key in ipairs(KEYS) do
  local begin, seen, last = ARGV[at], ARGV[at + 1], at + 2 + ARGV[at + 2]
  local first, behind = '[' .. begin, '(' .. begin .. '\\255'
  local found, is_same = false, false
  if seen == '' and last > at + 2 then
    is_same = redis.call('ZLEXCOUNT', key, first, behind) == 0
  end
  if not is_same then
    local most = seen == '' and ARGV[1] or -1
    found = redis.call('ZRANGEBYLEX', key, first, behind, 'LIMIT', 0, most)
    is_same = seen ~= '' and redis.sha1hex(table.concat(found)) == seen
  end
  if is_same then
    for new = at + 3, last do redis.call('ZADD', key, 0, ARGV[new]) end
  end
  answers[i] = not is_same and found
  at = last + 1
end
return answers
"""

FEW = 10  # links to one URL that are asked for together with those to others
DIGEST = 8  # bytes of a URL's BLAKE2b; another URL with the same ones is told by its record


class Offer(NamedTuple):
    """Names to be entered under a URL, if there are none but those that were seen."""

    seen: Sequence[str]  # as they were answered
    names: Sequence[str]


class UrlIndex:
    """The index of a site."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store

    def add(self, links: Iterable[Link]) -> None:
        """Enter links under their URLs; once more does nothing."""
        batches.each(self._store, ENTER, [entry(link) for link in links])

    def remove(self, name: str, url: str) -> None:
        """A link of this name no longer leads to `url`."""
        key, digest = _place(url)
        pipeline = self._store.pipeline(transaction=False)
        pipeline.incr(keys.REMOVALS)
        pipeline.zrem(key, digest + name.encode())
        pipeline.execute()

    def removals(self) -> int:
        """How many entries were taken out, or are just being."""
        return int(cast("bytes | None", self._store.get(keys.REMOVALS)) or 0)

    def offer(self, offers: Mapping[str, Offer]) -> dict[str, list[str]]:
        """Enter what is offered under each URL; answers all names of those that have others, and
        of those for which nothing is offered."""
        places = {url: _place(url) for url in offers}
        items = [(places[url][0], *_said(places[url][1], offer)) for url, offer in offers.items()]
        answers = zip(offers, batches.each(self._store, OFFER, items, FEW), strict=True)
        found = {url: members for url, members in answers if members is not None}
        many = [url for url in found if len(found[url]) == FEW and not offers[url].seen]
        pipeline = self._store.pipeline(transaction=False)
        for url in many:  # each by itself: others have their turn in between
            key, begin = places[url]
            pipeline.zrangebylex(key, b"[" + begin, b"(" + begin + b"\xff")
        found |= zip(many, pipeline.execute() if many else (), strict=True)
        return {url: [m[DIGEST:].decode() for m in members] for url, members in found.items()}


def entry(link: Link) -> tuple[str, bytes]:
    """The set that a link is entered in, and its member there."""
    key, digest = _place(link.url)
    return key, digest + link.name.encode()


def _place(url: str) -> tuple[str, bytes]:
    """Where the links that lead to a URL are entered: a set, and what their members begin with."""
    digest = hashlib.blake2b(url.encode(), digest_size=DIGEST).digest()
    return keys.urls(keys.bucket(url), digest), digest


def _said(begin: bytes, offer: Offer) -> list[Any]:
    """What the script is told about one."""
    mark = ""
    if offer.seen:
        members = b"".join(begin + name.encode() for name in offer.seen)
        mark = hashlib.sha1(members, usedforsecurity=False).hexdigest()
    return [begin, mark, len(offer.names), *(begin + name.encode() for name in offer.names)]
