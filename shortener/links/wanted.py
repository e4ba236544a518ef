"""Wanted links: of requests at once for equal links, all get one.

Number and code of a link to be made are claimed under what is asked for, in the step that looks for
links that are there.  Whoever asks for the same meanwhile makes that very link, and one of them is
first.  A claim is let go in the step that enters the link in the index of URLs: whoever comes then
finds it there.  A claim whose request has died holds for a minute.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import redis

from shortener import keys
from shortener.links import batches
from shortener.links.link import Link, Wish
from shortener.links.url_index import FEW, names_in, place

HELD = 60  # seconds that a request may take to make its links

# KEYS the sets of the index  ARGV[1] seconds that a claim holds  ARGV[2] at most so many members
# are answered, then for each set what its members begin with, the claim, and its value
# Answers nothing for each where nothing is claimed nor there; else whose claim it is, and members.
TAKE = """
local answers = {}
for i, key in ipairs(KEYS) do
  local begin, claim, held = ARGV[3 * i], ARGV[3 * i + 1], ARGV[3 * i + 2]
  local is_taken = redis.call('SET', claim, held, 'NX', 'EX', ARGV[1])
  if not is_taken then held = redis.call('GET', claim) end
  local first, behind = '[' .. begin, '(' .. begin .. '\\255'
  answers[i] = false
  if not is_taken or redis.call('ZLEXCOUNT', key, first, behind) > 0 then
    answers[i] = {held, redis.call('ZRANGEBYLEX', key, first, behind, 'LIMIT', 0, ARGV[2])}
  end
end
return answers
"""

# KEYS the sets of the index  ARGV for each its new member or '', the claim, and its value
ENTER = """
local answers, claims, ours = {}, {}, {}
for i, key in ipairs(KEYS) do
  if ARGV[3 * i - 2] ~= '' then redis.call('ZADD', key, 0, ARGV[3 * i - 2]) end
  claims[i], answers[i] = ARGV[3 * i - 1], 1
end
for i, held in ipairs(redis.call('MGET', unpack(claims))) do
  if held == ARGV[3 * i] then ours[#ours + 1] = claims[i] end
end
if #ours > 0 then redis.call('DEL', unpack(ours)) end
return answers
"""


class Draft(NamedTuple):
    """Number and code of a link to be made."""

    number: int
    code: str


class Held(NamedTuple):
    """A claim, what it is on, and the names of the links that may be there."""

    draft: Draft
    key: str  # of the set of the index
    begin: bytes  # of its members to this URL
    claim: str
    value: str
    names: list[str]
    is_ours: bool  # and not that of somebody who was first

    def entering(self, link: Link) -> batches.Item:
        """What the script that enters a link is told."""
        return self.key, self.begin + link.name.encode(), self.claim, self.value


class Wanted:
    """The claims on equal links of a site."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store

    def take(
        self, wishes: Mapping[int, Wish], digests: Mapping[int, str], drafts: Mapping[int, Draft]
    ) -> dict[int, Held]:
        """Claim the drafts, or be given those of who was first.

        Where `FEW` names are answered there may be more.
        """
        items: list[batches.Item] = []
        for item, wish in wishes.items():
            url, (number, code) = wish.fields["url"], drafts[item]
            key, begin = place(url)
            claim = keys.wanted(keys.bucket_of(key), digests[item])
            items.append((key, begin, claim, f"{number} {code}"))
        answers = batches.each(self._store, TAKE, items, HELD, FEW)
        found: dict[int, Held] = {}
        for item, (key, *said), answer in zip(wishes, items, answers, strict=True):
            begin, claim, value = said
            draft, held, names = drafts[item], value, list[str]()
            if answer is not None:
                held, names = answer[0].decode(), names_in(answer[1])
                number, _, code = held.partition(" ")
                draft = Draft(int(number), code)
            found[item] = Held(draft, key, begin, claim, held, names, held == value)
        return found

    def drop(self, claims: Sequence[Held]) -> None:
        """Let go of those of ours, under which nothing is made."""
        items = [(held.key, b"", held.claim, held.value) for held in claims if held.is_ours]
        batches.each(self._store, ENTER, items)


def digest(wish: Wish) -> str:
    """The same for wishes that ask for the same."""
    asked: list[Any] = [wish.domain, wish.code, wish.length, sorted(wish.fields.items())]
    return hashlib.blake2b(msgspec.json.encode(asked), digest_size=16).hexdigest()
