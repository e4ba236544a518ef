"""The mint: new links, one or a thousand at a time.

A number is taken, a code made of it, and the link written (`press`).  What tells a request from
others lies in other buckets and is claimed before (`claims`, `wanted`): whoever repeats a request
finishes what was begun.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import redis

from shortener import keys
from shortener.codes import Codes
from shortener.errors import CodesExhausted, Invalid, LinkNotFound
from shortener.links.claims import Claim, Claims
from shortener.links.existing import Existing
from shortener.links.link import Link, Wish
from shortener.links.outcomes import MAX_LEAPS, Made, Outcome, Outcomes, judge
from shortener.links.press import Press
from shortener.links.repository import Links
from shortener.links.url_index import UrlIndex
from shortener.links.wanted import Draft, Wanted


class Repetition(NamedTuple):
    """What makes a request the same as an earlier one: the client's key, and what was sent."""

    key: str
    body: bytes


class _Try(NamedTuple):
    """One link to be made, as number `number`; a claim decides that and its random code."""

    item: int
    wish: Wish
    number: int
    claim: Claim | None = None


class Mint:
    """Makes the links of a site."""

    def __init__(self, store: redis.Redis, links: Links, codes: Callable[[], Codes]) -> None:
        """`codes` is asked when the first code is made: the salt lies in the store."""
        self._store, self._links, self._codes = store, links, codes
        self._claims, urls = Claims(store), UrlIndex(store)
        self._press = Press(store, urls)
        self._existing = Existing(links, urls, Wanted(store), self._press, self._draft)

    def make(
        self, wishes: Sequence[Wish], by: str, now: int, repetition: Repetition | None = None
    ) -> list[Outcome]:
        """Make links, at `now` (seconds since 1970), for the API key with the id `by`.

        One that cannot be made fails alone, with `CodeTaken`, or `CodesExhausted` after `MAX_LEAPS`
        tries.  A custom alias asked for again by the same key with the same fields is a retry, and
        answers what is there; so does a `repetition` within a day, with `LinkNotFound` for what was
        deleted meanwhile.  Raises `Invalid` for the same key with another body.
        """
        claim = self._claim(repetition, by, len(wishes)) if repetition else None
        made: Outcomes = self._made_before(claim) if claim else {}
        rest = [item for item in range(len(wishes)) if item not in made]
        plain = [item for item in rest if not wishes[item].may_be_another]
        if plain:
            first = claim.first if claim else self._numbers(len(plain))
            tries = [
                _Try(item, wishes[item], first + (item if claim else place), claim)
                for place, item in enumerate(plain)
            ]
            made |= self._settle(tries, by, now)
        seeking = {item: wishes[item] for item in rest if wishes[item].may_be_another}
        if seeking:
            made |= self._existing.find(seeking, by, now)
        outcomes = [made[item] for item in range(len(wishes))]
        if claim and claim.done is None:
            self._claims.finish(claim, [_noted(outcome) for outcome in outcomes])
        return outcomes

    def _claim(self, repetition: Repetition, by: str, count: int) -> Claim:
        digest = hashlib.sha256(repetition.key.encode()).hexdigest()[:32]
        body = hashlib.sha256(repetition.body).hexdigest()
        claim = self._claims.take(keys.claim(by, digest), body, self._numbers(count))
        if claim.digest != body:
            raise Invalid.field("Idempotency-Key", "was used for another request before")
        return claim

    def _made_before(self, claim: Claim) -> Outcomes:
        """What a finished claim led to; an item that failed is tried again."""
        done = dict(enumerate(claim.done or []))
        known = {item: entry for item, entry in done.items() if entry is not None}
        found = self._links.read([name for name, _ in known.values()])
        return {
            item: Made(link, False)
            if link is not None and link.number == number
            else LinkNotFound("The link that was made with this Idempotency-Key is deleted.")
            for (item, (_, number)), link in zip(known.items(), found, strict=True)
        }

    def _settle(self, tries: list[_Try], by: str, now: int) -> Outcomes:
        """Make each link, under the next number for as long as its code is taken."""
        outcomes: Outcomes = {}
        for leap in range(MAX_LEAPS):
            links = [self._link(one, by, now) for one in tries]
            found = self._press.put([one.wish for one in tries], links)
            collided: list[_Try] = []
            for one, link, taken in zip(tries, links, found, strict=True):
                outcome = _outcome(one, link, taken)
                if outcome is None:
                    collided.append(one)
                else:
                    outcomes[one.item] = outcome
            if not collided:
                break
            first = self._numbers(len(collided) << leap)
            tries = [self._leap(one, leap, number) for number, one in enumerate(collided, first)]
        else:
            outcomes |= {one.item: CodesExhausted() for one in tries}
        return outcomes

    def _draft(self, wishes: Sequence[Wish], leap: int) -> list[Draft]:
        first = self._numbers(len(wishes) << max(leap - 1, 0))
        return [Draft(n, self._code(wish, n)) for n, wish in enumerate(wishes, first)]

    def _numbers(self, count: int) -> int:
        """The first of so many new numbers."""
        return int(self._store.incrby(keys.NUMBER, count)) - count + 1

    def _leap(self, one: _Try, leap: int, number: int) -> _Try:
        if one.claim is not None:
            number = self._claims.leap(one.claim, one.item, leap, number)
        return one._replace(number=number)

    def _link(self, one: _Try, by: str, now: int) -> Link:
        nonce = one.claim.nonce if one.claim else b""
        return one.wish.link(one.number, self._code(one.wish, one.number, nonce), by, now)

    def _code(self, wish: Wish, number: int, nonce: bytes = b"") -> str:
        return wish.code or self._codes().make(number, wish.length, nonce)


def _outcome(one: _Try, link: Link, other: Link | None) -> Outcome | None:
    """What became of a try; None when its code is taken and another one may be made.

    A link with its number is what the same request has made before, if it is what was asked for:
    after an old backup the number may be another link's.
    """
    is_same = other is not None and one.claim is not None and other.number == one.number
    if other is not None and is_same and one.wish.is_met_by(other):
        return Made(other, False)
    return judge(one.wish, link, other)


def _noted(outcome: Outcome) -> tuple[str, int] | None:
    return (outcome.link.name, outcome.link.number) if isinstance(outcome, Made) else None
