"""The mint: new links, one or a thousand at a time.

A number is taken, a code made of it, and the link written (`press`).  What tells a request from
others lies in other buckets and is written before, with the code (`claims`, `offers`): whoever
repeats a request finishes what was begun.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import redis

from shortener import keys
from shortener.codes import Codes
from shortener.errors import CodesExhausted, CodeTaken, Invalid, LinkNotFound, Problem
from shortener.links.claims import Claim, Claims
from shortener.links.link import Link, Wish
from shortener.links.numbers import Numbers
from shortener.links.offers import Offers
from shortener.links.press import Press
from shortener.links.repository import Links
from shortener.links.url_index import UrlIndex

MAX_LEAPS = 24  # numbers tried until a free code is found; the last leap is 2**23 numbers wide


class Made(NamedTuple):
    """A link, and whether it was made just now."""

    link: Link
    is_new: bool


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


Outcomes = dict[int, Made | Problem]


class Mint:
    """Makes the links of a site."""

    def __init__(self, store: redis.Redis, links: Links, codes: Callable[[], Codes]) -> None:
        """`codes` is asked when the first code is made: the salt lies in the store."""
        self._links, self._codes = links, codes
        self._numbers, self._claims = Numbers(store), Claims(store)
        urls = UrlIndex(store)
        self._press, self._offers = Press(store, urls), Offers(links, urls)

    def make(
        self, wishes: Sequence[Wish], by: str, now: int, repetition: Repetition | None = None
    ) -> list[Made | Problem]:
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
            first = claim.first if claim else self._numbers.take(len(plain))
            tries = [
                _Try(item, wishes[item], first + (item if claim else place), claim)
                for place, item in enumerate(plain)
            ]
            made |= self._settle(tries, by, now)
        seeking = {item: wishes[item] for item in rest if wishes[item].may_be_another}
        if seeking:
            made |= self._find_or_make(seeking, by, now)
        outcomes = [made[item] for item in range(len(wishes))]
        if claim and claim.done is None:
            self._claims.finish(claim, [_noted(outcome) for outcome in outcomes])
        return outcomes

    def _claim(self, repetition: Repetition, by: str, count: int) -> Claim:
        digest = hashlib.sha256(repetition.key.encode()).hexdigest()[:32]
        body = hashlib.sha256(repetition.body).hexdigest()
        claim = self._claims.take(keys.claim(by, digest), body, self._numbers.take(count))
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
            first = self._numbers.take(len(collided) << leap)
            tries = [self._leap(one, leap, number) for number, one in enumerate(collided, first)]
        else:
            outcomes |= {one.item: CodesExhausted() for one in tries}
        return outcomes

    def _find_or_make(self, wishes: dict[int, Wish], by: str, now: int) -> Outcomes:
        """For each wish the oldest equal link, or a new one; of two at once both get one link."""
        outcomes: Outcomes = {}
        same = _same(wishes)
        rest = {item: wishes[item] for item in dict.fromkeys(same.values())}
        for leap in range(MAX_LEAPS):
            outcomes |= self._find_or_try(rest, leap, by, now)
            rest = {item: wish for item, wish in rest.items() if item not in outcomes}
            if not rest:
                break
        else:
            outcomes |= {item: CodesExhausted() for item in rest}
        return outcomes | {i: _again(outcomes[one]) for i, one in same.items() if i != one}

    def _find_or_try(self, wishes: dict[int, Wish], leap: int, by: str, now: int) -> Outcomes:
        """The same, without those whose new code is taken."""
        taken = self._numbers.some(len(wishes) << max(leap - 1, 0))
        numbers = dict(zip(wishes, taken.numbers, strict=False))
        codes = {item: self._code(wishes[item], number) for item, number in numbers.items()}
        found, chosen = self._offers.settle(wishes, codes, now)
        if found:
            self._numbers.keep(taken._replace(numbers=[numbers[item] for item in found]))
        outcomes: Outcomes = {item: Made(link, False) for item, link in found.items()}
        tries = [_Try(item, wishes[item], numbers[item]) for item in chosen]
        links = [one.wish.link(one.number, chosen[one.item], by, now) for one in tries]
        others = self._press.put([one.wish for one in tries], links)
        for one, link, other in zip(tries, links, others, strict=True):
            if other is not None and self._offers.live([other], one.wish, now):
                outcomes[one.item] = Made(other, False)
            elif (outcome := _outcome(one, link, other)) is not None:
                outcomes[one.item] = outcome
        return outcomes

    def _leap(self, one: _Try, leap: int, number: int) -> _Try:
        if one.claim is not None:
            number = self._claims.leap(one.claim, one.item, leap, number)
        return one._replace(number=number)

    def _link(self, one: _Try, by: str, now: int) -> Link:
        nonce = one.claim.nonce if one.claim else b""
        return one.wish.link(one.number, self._code(one.wish, one.number, nonce), by, now)

    def _code(self, wish: Wish, number: int, nonce: bytes = b"") -> str:
        return wish.code or self._codes().make(number, wish.length, nonce)


def _outcome(one: _Try, link: Link, taken: Link | None) -> Made | Problem | None:
    """What became of a try; None when its code is taken and another one may be made."""
    if taken is None:
        return Made(link, True)
    if one.claim is not None and taken.number == one.number:
        return Made(taken, False)
    if one.wish.code is None:
        return None
    if (taken.by == link.by or one.wish.arrival) and one.wish.is_met_by(taken):
        return Made(taken, False)
    return CodeTaken(f"{one.wish.code} is the code of another link.")


def _noted(outcome: Made | Problem) -> tuple[str, int] | None:
    return (outcome.link.name, outcome.link.number) if isinstance(outcome, Made) else None


def _same(wishes: Mapping[int, Wish]) -> dict[int, int]:
    """For each item the first that asks for the same."""
    items: dict[str, list[int]] = {}
    for item, wish in wishes.items():
        items.setdefault(wish.fields["url"], []).append(item)
    firsts: dict[str, int] = {}
    return {
        item: firsts.setdefault(_digest(wishes[item]), item) if len(some) > 1 else item
        for some in items.values()
        for item in some
    }


def _digest(wish: Wish) -> str:
    """The same for wishes that ask for the same."""
    asked = [wish.domain, wish.code, wish.length, sorted(wish.fields.items())]
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()


def _again(outcome: Made | Problem) -> Made | Problem:
    """What became of somebody else's wish for the same."""
    return Made(outcome.link, False) if isinstance(outcome, Made) else outcome
