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
from shortener.links.batches import Item
from shortener.links.link import Wish
from shortener.links.url_index import FEW, names_in, place

HELD = 60  # seconds that a request may take to make its links

# Of each a group, a claim, and its value  ARGV[3] at most so many members of it
# ARGV[4] seconds that a claim holds
# Answers nothing for each where nothing is claimed nor there; else whose claim it is, and members.
TAKE = """
local answers = {}
for i, said in ipairs(cmsgpack.unpack(ARGV[1])) do
  local group, claim, held = unpack(said)
  local digest = string.sub(ARGV[2], 8 * i - 7, 8 * i)
  local is_taken = redis.call('SET', claim, held, 'NX', 'EX', ARGV[4])
  if not is_taken then held = redis.call('GET', claim) end
  local key, first, behind = KEYS[1] .. group, '[' .. digest, '(' .. digest .. '\\255'
  answers[i] = false
  if not is_taken or redis.call('ZLEXCOUNT', key, first, behind) > 0 then
    answers[i] = {held, redis.call('ZRANGEBYLEX', key, first, behind, 'LIMIT', 0, ARGV[3])}
  end
end
return answers
"""

# Of each a group, the name of a link to enter or '', the claim, and its value
ENTER = """
local claims, values, ours = {}, {}, {}
for i, said in ipairs(cmsgpack.unpack(ARGV[1])) do
  local group, name, claim, value = unpack(said)
  if name ~= '' then
    redis.call('ZADD', KEYS[1] .. group, 0, string.sub(ARGV[2], 8 * i - 7, 8 * i) .. name)
  end
  claims[i], values[i] = claim, value
end
for i, held in ipairs(redis.call('MGET', unpack(claims))) do
  if held == values[i] then ours[#ours + 1] = claims[i] end
end
if #ours > 0 then redis.call('DEL', unpack(ours)) end
return 0
"""


class Draft(NamedTuple):
    """Number and code of a link to be made."""

    number: int
    code: str


class Held(NamedTuple):
    """A claim, what it is on, and the names of the links that may be there."""

    draft: Draft
    bucket: str  # of the URL
    digest: bytes  # of the URL
    claim: str
    value: str
    names: Sequence[str] = ()
    is_ours: bool = True  # and not that of somebody who was first

    def entering(self, name: str) -> Item:
        """What is to be entered under the URL, if it is not empty, when the claim is let go."""
        texts = (keys.url_group(self.digest), name, self.claim, self.value)
        return Item(self.bucket, self.digest, texts)


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
        asked: list[Held] = []
        items: list[Item] = []
        for item, wish in wishes.items():
            bucket, digest = place(wish.fields["url"])
            draft = drafts[item]
            claim, value = keys.wanted(bucket, digests[item]), f"{draft.number} {draft.code}"
            asked.append(Held(draft, bucket, digest, claim, value))
            items.append(Item(bucket, digest, (keys.url_group(digest), claim, value)))
        answers = batches.each(self._store, TAKE, items, FEW, HELD)
        return {
            item: held if answer is None else _held(held, *answer)
            for item, held, answer in zip(wishes, asked, answers, strict=True)
        }

    def drop(self, claims: Sequence[Held]) -> None:
        """Let go of those of ours, under which nothing is made."""
        pipeline = self._store.pipeline(transaction=False)
        batches.queue(pipeline, ENTER, [held.entering("") for held in claims if held.is_ours])
        pipeline.execute()


def _held(asked: Held, value: bytes, members: Sequence[bytes]) -> Held:
    """What was answered to who asked for a claim."""
    held = value.decode()
    number, _, code = held.partition(" ")
    return asked._replace(
        draft=Draft(int(number), code),
        value=held,
        names=names_in(members),
        is_ours=held == asked.value,
    )


def digest(wish: Wish) -> str:
    """The same for wishes that ask for the same."""
    asked: list[Any] = [wish.domain, wish.code, wish.length, sorted(wish.fields.items())]
    return hashlib.blake2b(msgspec.json.encode(asked), digest_size=16).hexdigest()
